package judge

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// TestProviders compares the judge with the table in docs/providers.md, which was judged by hand
// from the providers' documentation.
func TestProviders(t *testing.T) {
	text, err := os.ReadFile("../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	j := newJudge(t)
	heading := regexp.MustCompile("^## (.*): `(.*)`$")
	stage := regexp.MustCompile(`^\((\w+)\) `)
	name, host, rows, sections := "", "", 0, 0
	done := func() {
		if name != "" && rows < 10 {
			t.Errorf("%s: %d replies, want ten", name, rows)
		}
	}
	for n, line := range strings.Split(string(text), "\n") {
		if m := heading.FindStringSubmatch(line); m != nil {
			done()
			name, host, rows = m[1], m[2], 0
			sections++
			continue
		}
		c := strings.Split(line, " | ")
		if name == "" || len(c) < 3 || !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| reply") {
			continue
		}
		rows++
		reply, reason, detail := strings.TrimPrefix(c[0], "| "), c[1], strings.Trim(c[2], "| ")
		d := &bounce.Delivery{RelayHost: host, Outcome: bounce.Hard}
		if m := stage.FindStringSubmatch(reply); m != nil {
			d.Stage, _ = bounce.ParseStage(m[1])
			reply = reply[len(m[0]):]
		}
		d.Response = reply
		code, err := strconv.Atoi(reply[:3])
		if err != nil {
			t.Errorf("line %d: no reply code", n+1)
			continue
		}
		d.Code = uint16(code)
		v := j.Verdict(d)
		if v.Reason.String() != reason || v.Detail != detail && detail != "" {
			t.Errorf("%s, line %d: %s %s by %s, want %s %s: %s", name, n+1, v.Reason, v.Detail, v.Rule, reason, detail, reply)
		}
	}
	done()
	if sections < 20 {
		t.Errorf("%d providers, want at least 20", sections)
	}
}
