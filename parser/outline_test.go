package parser

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// objects are pairs of lines of one log: the second one differs in values only.
var objects = [][2]string{
	{
		`{"log":"Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=\u003ca@b.example\u003e, relay=none, delay=1, dsn=4.4.1, status=deferred (x)\n","stream":"stdout","time":"2026-11-23T09:47:06.123Z"}`,
		`{"log":"Nov 23 09:47:08 mx1 postfix/smtp[1]: 4A1B2C3D4F: to=\u003cc@d.example\u003e, relay=none, delay=1, dsn=5.4.4, status=bounced (\"y\")\n","stream":"stderr","time":"2026-11-23T09:47:08.5Z"}`,
	},
	{
		`{"__CURSOR":"s=1;i=1","__REALTIME_TIMESTAMP":"1795427226000000","PRIORITY":"6","_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"postfix/smtp","_PID":"7","MESSAGE":"4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"}`,
		`{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795427227000000","PRIORITY":"4","_HOSTNAME":"mx2","SYSLOG_IDENTIFIER":"postfix/lmtp","_PID":"8","MESSAGE":"4A1B2C3D4F: to=<c@d.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"}`,
	},
	{ // an application's: the level is a library's, or a field holds a text of its own
		`{"level":"3","tags":["a"],"host":{"name":"mx1","id":7},"message":"Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)","offset":1}`,
		`{"level":"30","tags":["a"],"host":{"name":"mx1","id":8},"message":"Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)","offset":12}`,
	},
	{
		`{"customer":"x","message":"Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)","offset":1}`,
		`{"customer":"x","message":"Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)","offset":12}`,
	},
	{ // a visitor's text that looks like an object
		`{"level":"info","time":"2026-11-23T09:47:03Z","userAgent":"Mozilla","message":"Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"}`,
		`{"level":"info","time":"2026-11-23T09:47:04Z","userAgent":"{","message":"Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"}`,
	},
	{ // only a value that is not read differs
		`{"message":"Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)","offset":1}`,
		`{"message":"Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)","offset":12}`,
	},
	{ // a delivery in a field that is not read
		`{"message":"Nov 23 09:47:06 mx1 postfix/anvil[1]: x","version":"1","time":"2026-11-23T09:47:06Z"}`,
		`{"message":"Nov 23 09:47:06 mx1 postfix/anvil[1]: x","version":"4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, status=sent (x)","time":"2026-11-23T09:47:06Z"}`,
	},
	{
		`{"stream":{"app":"postfix"},"values":[["1795427226000000000","Nov 23 09:47:06 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"]]}`,
		`{"stream":{"app":"nginx"},"values":[["1795427227000000000","Nov 23 09:47:07 mx1 postfix/smtp[1]: 4A1B2C3D4E: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"]]}`,
	},
}

// sameWithout parses lines by a parser and by one that forgets something after each line.
func sameWithout(t *testing.T, forget func(*Parser), lines ...[]byte) {
	t.Helper()
	o := Options{Location: time.FixedZone("CET", 3600), Modified: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Source: "s"}
	p, without := New(nil, o), New(nil, o)
	var r, want Result
	for i, line := range lines {
		kind := p.Parse(bytes.Clone(line), int64(i), &r)
		wantKind := without.Parse(bytes.Clone(line), int64(i), &want)
		for q := without; q != nil; q = q.within {
			forget(q)
		}
		if kind != wantKind {
			t.Fatalf("%d: %q: got %v, want %v", i, line, kind, wantKind)
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Fatalf("%d: %q:\n%s", i, line, diff)
		}
	}
}

func forgetOutline(p *Parser) { p.outline = outline{} }

// raised adds n to each digit.
func raised(line []byte, n byte) []byte {
	line = bytes.Clone(line)
	for i, c := range line {
		if isDigit(c) {
			line[i] = '0' + (c-'0'+n%10)%10
		}
	}
	return line
}

func TestOutline(t *testing.T) {
	for _, pair := range objects {
		a, b := []byte(pair[0]), []byte(pair[1])
		steady := slices.Repeat([][]byte{a}, patience+2)
		sameWithout(t, forgetOutline, slices.Concat(steady, [][]byte{b, raised(a, 1), a, raised(b, 1)}, steady, [][]byte{raised(b, 3), a})...)
		sameWithout(t, forgetOutline, a, a, b, a, raised(a, 1), b, b, raised(b, 3), a)
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var o object
		p.outline.read(&o, a, p)
		for _, line := range [][]byte{a, b} {
			if o = (object{}); !o.readJSON(line, p) {
				t.Fatalf("%s: not an object", line)
			}
		}
		if o.elsewhere == nil && !p.outline.read(&object{}, a, p) {
			t.Errorf("%s: does not fit the outline", a)
		}
	}
}

// TestFixedNames checks that names that do not differ become a part of the text, and that other names
// are read.
func TestFixedNames(t *testing.T) {
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	var r Result
	line := func(app, text string) []byte {
		return []byte(`{"stream":{"app":"` + app + `"},"values":[["1795427226000000000","` + text + `"]]}`)
	}
	for range patience + 1 {
		p.Parse(line("postfix", "Nov 23 09:47:06 mx1 postfix/anvil[1]: x"), 0, &r)
	}
	if !p.outline.isFixed || p.outline.fixed.who() != mailServer || len(p.outline.gaps) != 2 {
		t.Errorf("got fixed %v, author %v, %d gaps, want true, %v, 2", p.outline.isFixed, p.outline.fixed.who(), len(p.outline.gaps), mailServer)
	}
	for _, app := range []string{"nginx", "postfix"} {
		want := map[string]Kind{"nginx": Unparsed, "postfix": Attempt}[app]
		if kind := p.Parse(line(app, wrapSyslog), 0, &r); kind != want {
			t.Errorf("%s: got %v, want %v", app, kind, want)
		}
	}
}

// TestOutlinesOfManyKinds checks that a log whose objects have no common outline is not copied
// line by line.
func TestOutlinesOfManyKinds(t *testing.T) {
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	made := 0
	for i := range 1000 {
		line := []byte(`{"` + string(rune('a'+i%26)) + `":"1","message":"x y"}`)
		new(object).readJSON(line, p)
		if p.outline.learning {
			made++
		}
	}
	if want := patience + 1000/sparse; made > want {
		t.Errorf("got %d outlines of 1000 lines, want at most %d", made, want)
	}
}

// FuzzOutline compares the results with and without outlines.
func FuzzOutline(f *testing.F) {
	for _, pair := range objects {
		f.Add([]byte(pair[0]), []byte(pair[1]), byte(1))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, n byte) {
		sameWithout(t, forgetOutline, slices.Concat(slices.Repeat([][]byte{a}, patience+2), [][]byte{b, raised(a, n), b, a})...)
		sameWithout(t, forgetOutline, a, raised(a, n), b, raised(b, n), a, b, a, raised(b, 2*n))
	})
}
