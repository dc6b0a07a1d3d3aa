package parser

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// sharedDir returns a directory of other people's logs beside the project.
func sharedDir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "shared", name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not here: nothing to compare with", dir)
	}
	return dir
}

// readTSV reads a table of tab-separated values without its comments.
func readTSV(t *testing.T, name string) [][]string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' {
			rows = append(rows, strings.Split(line, "\t"))
		}
	}
	return rows
}

// The lines that the independent reading reads wrongly, each checked by hand.
var truthErrs = map[string]string{
	"exim_testsuite__log_dev.log:2436": "an automatic reply to several addresses, parted at its blank: by the corpus' own rule the recipient is the parent",
	"exim_testsuite__log_dev.log:2440": `the file "save bfolder", parted at its blank: the recipient is the parent`,
	"exim_testsuite__log_dev.log:3083": "a local part with blanks, shown by Exim without its quotes: the recipient is the whole of it",
	"exim_wiki__How-to-force-IPv4-connections-for-specific-domains-if-IPv6-is-enabled.md.log:1": "the enhanced code 5.7.1 stands after the 554, behind the host as before Exim 4.88",
}

// TestCorpus compares the attempts read from real logs with an independent reading of them.
func TestCorpus(t *testing.T) {
	dir := sharedDir(t, "corpus")
	type place struct {
		file string
		line int
	}
	truth := map[place][]string{}
	for _, row := range readTSV(t, filepath.Join(dir, "truth.tsv")) {
		n, err := strconv.Atoi(row[1])
		if err != nil || len(row) != 10 {
			t.Fatalf("truth.tsv: %q", row)
		}
		truth[place{row[0], n}] = row[2:]
	}
	ambiguous := map[place]bool{}
	for _, row := range readTSV(t, filepath.Join(dir, "ambiguous.tsv")) {
		n, err := strconv.Atoi(row[1])
		if err != nil {
			t.Fatalf("ambiguous.tsv: %q", row)
		}
		ambiguous[place{row[0], n}] = true
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no logs in %s: %v", dir, err)
	}
	total, equal, errs := map[string]int{}, map[string]int{}, map[string]int{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		p := New(nil, Options{Location: time.UTC, Modified: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)})
		var r Result
		for i, line := range bytes.Split(b, []byte("\n")) {
			at := place{base, i + 1}
			kind := p.Parse(line, int64(i), &r)
			want, isDelivery := truth[at]
			switch {
			case ambiguous[at]:
			case r.End.Event == bounce.MessageDiscarded && kind == Queued:
				// The independent reading has a recipient "blackhole", which does not exist.
			case kind == Attempt && !isDelivery:
				t.Errorf("%s:%d: taken for a delivery:\n\t%s", base, i+1, line)
			case isDelivery:
				mta := want[0]
				total[mta]++
				if kind != Attempt {
					t.Logf("%s:%d: %s: %v, not a delivery:\n\t%s", base, i+1, mta, kind, line)
					continue
				}
				got := truthRow(&r.Deliveries[0])
				want[2], _ = normal(want[2]) // the truth keeps the domain's case
				if g, w := strings.Join(got, "\t"), strings.Join(want, "\t"); g != w {
					reason, known := truthErrs[base+":"+strconv.Itoa(i+1)]
					t.Logf("%s:%d: %s\n\t%s\n\tgot  %q\n\twant %q", base, i+1, reason, line, got, want)
					if !known {
						continue
					}
					errs[mta]++
				}
				equal[mta]++
			}
		}
	}
	for _, mta := range []string{"postfix", "exim"} {
		share := float64(equal[mta]) / float64(total[mta])
		t.Logf("%s: %d of %d delivery lines right (%.2f %%), of which the truth errs in %d", mta, equal[mta], total[mta], 100*share, errs[mta])
		if share < 0.998 {
			t.Errorf("%s: %.2f %% of the lines are right, want 99.8 %%", mta, 100*share)
		}
	}
}

// truthRow returns a delivery in the columns of truth.tsv.
func truthRow(d *bounce.Delivery) []string {
	code := ""
	if d.Code != 0 {
		code = strconv.Itoa(int(d.Code))
	}
	return []string{
		string(d.MTA), d.QueueID, d.Recipient, d.Status, d.RelayHost, d.RelayIP, code, d.Enhanced.String(),
	}
}

func (k Kind) String() string {
	names := [...]string{"blank", "attempt", "expiry", "queued", "reject", "skipped", "unparsed"}
	if int(k) < len(names) {
		return names[k]
	}
	return "?"
}
