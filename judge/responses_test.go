package judge

import (
	"bufio"
	"crypto/md5"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// labelled is a reply that was judged by hand.
type labelled struct {
	id       string
	source   string
	delivery bounce.Delivery
	reason   string
	authrep  string
}

func readLabelled(t *testing.T, file string) []labelled {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Skipf("no labelled replies here: %v", err)
	}
	defer f.Close()
	var rows []labelled
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	column := map[string]int{}
	for sc.Scan() {
		c := strings.Split(sc.Text(), "\t")
		if len(column) == 0 {
			for i, n := range c {
				column[n] = i
			}
			continue
		}
		get := func(n string) string {
			if i, ok := column[n]; ok && i < len(c) {
				return c[i]
			}
			return ""
		}
		r := labelled{id: get("id"), source: get("source"), reason: get("reason"), authrep: get("authrep")}
		d := &r.delivery
		d.Response, d.RelayHost, d.Outcome = get("text"), get("host"), bounce.Hard
		if get("class") == "soft" {
			d.Outcome = bounce.Soft
		}
		if n, err := strconv.Atoi(get("code")); err == nil {
			d.Code = uint16(n)
		}
		d.Enhanced, _ = bounce.ParseEnhanced(get("dsn"))
		switch get("stage") {
		case "CONN":
			d.Stage = bounce.StageConnect
		case "EHLO", "HELO":
			d.Stage = bounce.StageHelo
		case "MAIL":
			d.Stage = bounce.StageMail
		case "RCPT":
			d.Stage = bounce.StageRcpt
		case "DATA":
			d.Stage = bounce.StageData
		case "EOD":
			d.Stage = bounce.StageEOM
		}
		rows = append(rows, r)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// measures are the scores of the scorer for the labelled replies.
type measures struct {
	n                                             int
	reason, macroF1, precision, recall, abstained float64
}

func (m measures) String() string {
	return fmt.Sprintf("n=%d reason %.3f macro-F1 %.3f authentication/reputation precision %.3f recall %.3f unknown %.3f",
		m.n, m.reason, m.macroF1, m.precision, m.recall, m.abstained)
}

func authrep(r bounce.Reason) bool {
	return r == bounce.Blocklist || r == bounce.Reputation || r == bounce.AuthFailure || r == bounce.RDNSHelo
}

func score(rows []labelled, verdicts []bounce.Verdict) (m measures) {
	right, said, is := map[string]int{}, map[string]int{}, map[string]int{}
	tp, fp, fn, hits := 0, 0, 0, 0
	for i, r := range rows {
		v := verdicts[i]
		said[v.Reason.String()]++
		is[r.reason]++
		if v.Reason.String() == r.reason {
			right[r.reason]++
			hits++
		}
		switch yes := authrep(v.Reason); {
		case yes && r.authrep == "yes":
			tp++
		case yes:
			fp++
		case r.authrep == "yes":
			fn++
		}
	}
	sum := 0.0
	for reason, n := range is {
		if right[reason] > 0 {
			p, c := float64(right[reason])/float64(said[reason]), float64(right[reason])/float64(n)
			sum += 2 * p * c / (p + c)
		}
	}
	m.n = len(rows)
	m.reason = float64(hits) / float64(len(rows))
	m.macroF1 = sum / float64(len(is))
	m.precision = float64(tp) / float64(max(1, tp+fp))
	m.recall = float64(tp) / float64(max(1, tp+fn))
	m.abstained = float64(said["unknown"]) / float64(len(rows))
	return m
}

// folds is the number of parts among which the sources of the labelled replies are divided.
const folds = 3

// unseen is the fold whose wrong verdicts are not shown, so that rules are written without it. Its
// score is then an estimate for unknown replies.
var unseen = flag.Int("unseen", folds-1, "the fold of sources of which TestLabelledReplies shows no wrong verdicts")

// foldOf returns the fold of a source: all replies of one source are in one fold.
func foldOf(source string) int {
	sum := md5.Sum([]byte("f1" + source))
	return int(sum[0]) % folds
}

// TestLabelledReplies compares the judge with replies judged by hand: the common ones in dev.tsv,
// and rare wordings in dev2.tsv. -v shows the score of each fold and the differing verdicts.
func TestLabelledReplies(t *testing.T) {
	j := newJudge(t)
	for _, set := range []struct {
		file                                          string
		reason, macroF1, precision, recall, abstained float64 // required scores
	}{
		{"dev.tsv", 0.97, 0.95, 0.97, 0.97, 0.03},
		{"dev2.tsv", 0.90, 0.88, 0.93, 0.90, 0.03},
	} {
		rows := readLabelled(t, "../../shared/responses/"+set.file)
		verdicts := make([]bounce.Verdict, len(rows))
		var fold [folds][]labelled
		var foldVerdicts [folds][]bounce.Verdict
		for i := range rows {
			r := &rows[i]
			verdicts[i] = j.Verdict(&r.delivery)
			f := foldOf(r.source)
			fold[f], foldVerdicts[f] = append(fold[f], *r), append(foldVerdicts[f], verdicts[i])
			if got := verdicts[i]; testing.Verbose() && got.Reason.String() != r.reason && f != *unseen {
				d := &r.delivery
				t.Logf("%s %s: %s (%s), want %s: %d %s %s %.200s", r.id, d.RelayHost, got.Reason, got.Rule, r.reason, d.Code, d.Enhanced, d.Stage, d.Response)
			}
		}
		for f := range fold {
			t.Logf("%s fold %d: %s", set.file, f, score(fold[f], foldVerdicts[f]))
		}
		m := score(rows, verdicts)
		t.Logf("%s all:    %s", set.file, m)
		if m.reason < set.reason || m.macroF1 < set.macroF1 || m.precision < set.precision || m.recall < set.recall || m.abstained > set.abstained {
			t.Errorf("%s: below what is asked for (%+v): %s", set.file, set, m)
		}
	}
}
