package parser

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestPretty reads objects of several lines.
func TestPretty(t *testing.T) {
	entry := func(text any) map[string]any {
		return map[string]any{"MESSAGE": text, "SYSLOG_IDENTIFIER": "postfix/smtp", "_HOSTNAME": "mx1", "__REALTIME_TIMESTAMP": "1795427226123456", "PRIORITY": 6}
	}
	var list []any // of bytes
	for _, c := range []byte(wrapBare) {
		list = append(list, c)
	}
	for _, tt := range []struct {
		name     string
		object   any
		attempts int
		unparsed int
	}{
		{"journalctl -o json-pretty", entry(wrapBare), 1, 0},
		{"a text of bytes", entry(list), 1, 0},
		{"members within, the time behind them", map[string]any{"_source": map[string]any{"message": wrapSyslog, "labels": map[string]any{"x": nil, "y": []any{"z", true}}}, "timestamp": "2026-11-23T09:47:06.1Z"}, 1, 0},
		{"a list of objects", []any{entry(wrapBare), entry(wrapBare), entry("x")}, 2, 0},
		{"a list in an object", map[string]any{"events": []any{entry(wrapBare), entry(wrapBare)}, "token": "x"}, 2, 0},
		{"two texts", map[string]any{"message": wrapSyslog, "log": wrapSyslog}, 1, 0},
		{"a delivery in a list of strings", map[string]any{"lines": []any{"x", wrapSyslog}}, 0, 1},
		{"another program's", map[string]any{"MESSAGE": "Invalid user " + wrapBare, "SYSLOG_IDENTIFIER": "sshd"}, 0, 1},
		{"no text", map[string]any{"a": 1, "b": map[string]any{}, "c": []any{}}, 0, 0},
		{"a long text", map[string]any{"message": strings.Repeat("x", maxJoined) + wrapSyslog}, 0, 1},
	} {
		text, err := json.MarshalIndent(tt.object, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		attempts, unparsed := 0, 0
		for i, line := range strings.Split(strings.Repeat(string(text)+"\n", 2)+wrapSyslog, "\n") {
			switch p.Parse([]byte(line), int64(i), &r) {
			case Attempt:
				attempts++
				if d := r.Deliveries[0]; d.Recipient != "a@b.example" || !d.Time.Truncate(time.Second).Equal(time.Date(2026, 11, 23, 9, 47, 6, 0, time.UTC)) || d.Host != "mx1" || d.Agent != "smtp" {
					t.Errorf("%s: %+v", tt.name, d)
				}
			case Unparsed:
				unparsed++
				if !bytes.Contains(r.Text, []byte("status=bounced")) {
					t.Errorf("%s: the text of what is not understood: %q", tt.name, r.Text)
				}
			}
		}
		if attempts != 2*tt.attempts+1 || unparsed != 2*tt.unparsed {
			t.Errorf("%s: %d attempts and %d lines not understood, want %d and %d", tt.name, attempts, unparsed, 2*tt.attempts+1, 2*tt.unparsed)
		}
	}
	// A line after a broken object is read as a line of the log.
	for _, before := range []string{"{", "{\n\"message\": \"x\",", "{\n{\n[\n]\n}\n}\n}", "{\n\"a\": {\n\"b\": ["} {
		if kind, _ := parseLines(t, append(strings.Split(before, "\n"), wrapSyslog)...); kind != Attempt {
			t.Errorf("behind %q: %v", before, kind)
		}
	}
}

// FuzzPretty checks that no delivery in an object vanishes when the object is indented, and that
// the object does not affect the next lines.
func FuzzPretty(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"message":"4028B460: to=<a@b.example>, relay=none, delay=1, status=bounced (x)"}],"b":{"c":null}}`, `[{"log":[52,48]},{}]`, `{"log":"x","x":["to=<a@b>, status=sent"]}`} {
		f.Add([]byte(s))
	}
	text, _ := json.Marshal(wrapSyslog)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = []byte(strings.ReplaceAll(string(b), `"x"`, string(text)))
		var compact, indented bytes.Buffer
		if json.Compact(&compact, b) != nil || json.Indent(&indented, b, "", "  ") != nil || compact.Len() > maxWrapper || compact.Bytes()[0] != '{' {
			return
		}
		count := func(text string) (n int) {
			p := New(nil, Options{Location: time.UTC, Year: 2026})
			var r Result
			for i, line := range strings.Split(text+"\n"+wrapSyslog, "\n") {
				if kind := p.Parse([]byte(line), int64(i), &r); kind == Attempt || kind == Unparsed {
					n++
				}
			}
			return n
		}
		if one, several := count(compact.String()), count(indented.String()); several < one || several == 0 {
			t.Errorf("%s: %d lines with deliveries, indented %d", b, one, several)
		}
	})
}
