package judge

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"bouncelog/bounce"
)

func TestReplies(t *testing.T) {
	text, err := os.ReadFile("testdata/replies.tsv")
	if err != nil {
		t.Fatal(err)
	}
	j := newJudge(t)
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		c := strings.Split(line, "\t")
		d := &bounce.Delivery{Outcome: bounce.Hard, Response: c[len(c)-1], Local: c[1] == "local"}
		if !d.Local {
			code, err := strconv.Atoi(d.Response[:3])
			if err != nil {
				t.Fatalf("line %d: %v", n+1, err)
			}
			d.Code = uint16(code)
			if len(c) == 3 {
				stage, ok := bounce.ParseStage(c[1])
				if !ok {
					t.Fatalf("line %d: no stage: %s", n+1, c[1])
				}
				d.Stage = stage
			}
		}
		if v := j.Verdict(d); v.Reason.String() != c[0] {
			t.Errorf("line %d: %s by %s, want %s: %s", n+1, v.Reason, v.Rule, c[0], d.Response)
		}
	}
}
