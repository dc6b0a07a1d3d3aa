package judge

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// A knownReply is a line of testdata/replies.tsv.
type knownReply struct {
	line     int
	delivery bounce.Delivery
	reason   bounce.Reason
}

func readReplies(t *testing.T) (list []knownReply) {
	t.Helper()
	text, err := os.ReadFile("testdata/replies.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		c := strings.Split(line, "\t")
		r := knownReply{line: n + 1, delivery: bounce.Delivery{Outcome: bounce.Hard, Response: c[len(c)-1], Local: c[1] == "local"}}
		var ok bool
		if r.reason, ok = bounce.ParseReason(c[0]); !ok {
			t.Fatalf("line %d: no reason: %s", n+1, c[0])
		}
		d := &r.delivery
		if !d.Local {
			code, err := strconv.Atoi(d.Response[:3])
			if err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
			d.Code = uint16(code)
			if len(c) == 3 {
				if d.Stage, ok = bounce.ParseStage(c[1]); !ok {
					t.Fatalf("line %d: no stage: %s", n+1, c[1])
				}
			}
		}
		list = append(list, r)
	}
	return list
}

func TestReplies(t *testing.T) {
	j := newJudge(t)
	for _, r := range readReplies(t) {
		if v := j.Verdict(&r.delivery); v.Reason != r.reason {
			t.Errorf("line %d: %s by %s, want %s: %s", r.line, v.Reason, v.Rule, r.reason, r.delivery.Response)
		}
	}
}
