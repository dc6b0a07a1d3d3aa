package top

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/internal/hostile"
	"bouncelog/internal/table"
	"bouncelog/report"
	"bouncelog/store"
)

// TestShellLines holds that a command that is folded for the screen is, marked there line by
// line, the same command for a shell: each line fits, and only the last ends the command.
func TestShellLines(t *testing.T) {
	commands := [][]string{
		{"report", "--all"},
		{"explain", "--", "550 5.7.515 Access denied, sending domain SHOP.TEST doesn't meet the required authentication level."},
		{"x", strings.Repeat("a", 300), strings.Repeat("it's ", 60), "''", "'", `\`, `a\'b`, "", "  ", "日本語 ünïcode " + strings.Repeat("語", 50)},
	}
	for _, text := range hostile.Texts {
		commands = append(commands, []string{"x", table.Clean(table.Cut(text, 500))})
	}
	for _, words := range commands {
		line := "printf"
		for _, w := range append([]string{`%s\n`}, words...) {
			line += " " + table.ShellWord(w)
		}
		want, err := exec.Command("sh", "-c", line).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{8, 20, 40, 79, 200, 10000} {
			lines := shellLines(line, n)
			for i, l := range lines {
				if width(l) > n {
					t.Errorf("%d columns: %q has %d", n, l, width(l))
				}
				if i < len(lines)-1 && !strings.HasSuffix(l, `\`) {
					t.Errorf("%d columns: %q ends the command", n, l)
				}
			}
			got, err := exec.Command("sh", "-c", strings.Join(lines, "\n")).CombinedOutput()
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d columns: %q is %q, want %q (%v)", n, strings.Join(lines, "\n"), got, want, err)
			}
		}
	}
}

// TestOpen holds that what the command of a page opens is that page, with the same rows, and
// that nothing else is opened.
func TestOpen(t *testing.T) {
	db := stored(t, sampleLog())
	seen := map[string]bool{}
	for i, name := range Views() {
		o := options(t, db)
		o.View = name
		m := opened(t, o, 160, 60)
		var walk func(deep int)
		walk = func(deep int) {
			p := m.s.page()
			if p.kind != pageTable && p.kind != pageMessage {
				words := p.place.opens()
				again := options(t, db)
				again.View = name
				for _, w := range words {
					again.Open = append(again.Open, strings.TrimPrefix(w, "--open="))
				}
				if err := again.Check(); err != nil {
					t.Fatalf("%q: %v", words, err)
				}
				seen[strings.Join(again.Open, " ")] = true
				x := opened(t, again, 160, 60)
				if got, want := fmt.Sprint(cellsOf(x.s.page().rows())), fmt.Sprint(cellsOf(p.rows())); got != want || x.s.page().kind != p.kind {
					t.Errorf("%q has\n%s\nwant\n%s", words, got, want)
				}
			}
			if deep == 2 {
				return
			}
			rows := p.rows()
			for k := range rows {
				m.s.page().move(k, 0, rows)
				at := len(m.s.stack)
				if m.keys("enter"); len(m.s.stack) > at {
					walk(deep + 1)
					m.s.stack = m.s.stack[:at]
				}
			}
		}
		m.keys(string(rune('1' + i)))
		walk(0)
	}
	if len(seen) < 20 {
		t.Errorf("only %d pages were opened: %v", len(seen), seen)
	}
	for _, words := range [][]string{{"x=y"}, {"provider="}, {"provider"}, {"reason=none"}, {"reason=x"}, {"provider=a", "domain=b"}, {"reply=a", "provider=b"}, {"queue=a", "reply=b"}, {"reply=a", "reply=b"}} {
		o := options(t, db)
		o.Open = words
		if err := o.Check(); err == nil {
			t.Errorf("%q can be opened", words)
		}
	}
}

// cellsOf are the names, figures and words of rows.
func cellsOf(rows []row) (list []string) {
	for i := range rows {
		text := rows[i].name
		for _, c := range rows[i].cells {
			text += fmt.Sprintf(" %d%s", c.n, c.text)
		}
		list = append(list, text+" "+rows[i].words)
	}
	return list
}

// TestListing holds that --all prints every row and the whole of it, and only that.
func TestListing(t *testing.T) {
	db := stored(t, sampleLog())
	for _, open := range [][]string{nil, {"provider=outlook.com"}, {"provider=outlook.com", "reply=550 5.7.515 Access denied, sending domain {host} doesn't meet the required authentication level."}, {"queue=gmx.net"}} {
		for _, filter := range []string{"", "kunde1", "!outlook"} {
			o := options(t, db)
			o.Open, o.All, o.Only = open, true, filter
			m := opened(t, o, 80, 24)
			rows := m.s.page().rows()
			var b bytes.Buffer
			if err := Once(t.Context(), &b, o, 80, 24); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
			if len(lines) != 2+max(len(rows), 1) {
				t.Fatalf("%q /%s: %d lines for %d rows:\n%s", open, filter, len(lines), len(rows), b.String())
			}
			for i, x := range rows {
				if l := lines[2+i]; !strings.Contains(l, x.name) || !strings.HasSuffix(l, x.words) || strings.HasPrefix(l, ">") {
					t.Errorf("%q is not the row of %s, %s", l, x.name, x.words)
				}
			}
		}
	}
}

// TestSort holds that the order of the rows is one of the options too, and that a column that
// is not there is told.
func TestSort(t *testing.T) {
	db := stored(t, sampleLog())
	for _, view := range Views() {
		o := options(t, db)
		o.View, o.All = view, true
		m := opened(t, o, 300, 40)
		for _, column := range m.s.page().headings() {
			o.Sort = column
			var b bytes.Buffer
			if err := Once(t.Context(), &b, o, 80, 24); err != nil {
				t.Fatal(err)
			}
			m.s.page().sort = column
			lines := strings.Split(b.String(), "\n")
			if !strings.HasSuffix(lines[0], ", by "+column) || !strings.Contains(lines[1], sortMark+column) {
				t.Errorf("%s by %s:\n%s", view, column, b.String())
			}
			for i, x := range m.s.page().rows() {
				if !strings.Contains(lines[2+i], x.drawn()) {
					t.Errorf("%s by %s: %q is not the row of %s", view, column, lines[2+i], x.name)
				}
			}
		}
		o.Sort = "size"
		if err := Once(t.Context(), io.Discard, o, 80, 24); !errors.Is(err, ErrSort) || !strings.Contains(err.Error(), `"size"`) {
			t.Errorf("%s by size: %v", view, err)
		}
		if s := opened(t, o, 80, 24).text(); !strings.Contains(s, `there is no column "size"`) || strings.Contains(s, sortMark) {
			t.Errorf("%s by size:\n%s", view, s)
		}
	}
}

// TestCommandWords holds what of the command line stands in the commands that are copied.
func TestCommandWords(t *testing.T) {
	o := options(t, stored(t, sampleLog()))
	o.Filter = store.Filter{SenderDomain: "shop.test"}
	o.Commands = CommandWords{
		DB: []string{"--db", "x.db"}, Rerun: []string{"--sender-domain", "shop.test"}, Zone: []string{"--tz", "UTC"}, Rules: []string{"--rules", "own.toml"},
		Thresholds: []string{"--problem-messages", "3"},
	}
	m := opened(t, o, 100, 30)
	copied := func() string { return m.s.press(keyPress{name: "c"}, m.d).copy }
	const period = " --since=2026-11-23T13:31:07Z --until=2026-11-23T14:31:08Z --db x.db --sender-domain shop.test"
	expect := func(what, want string) {
		t.Helper()
		if got := copied(); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
		}
	}
	expect("providers", "bouncelog top --once --all --view=providers"+period)
	m.keys("/")
	m.s.paste("out look")
	m.keys("enter")
	expect("filtered", "bouncelog top --once --all --view=providers '--filter=out look'"+period)
	m.keys("esc", "s")
	expect("sorted", "bouncelog top --once --all --view=providers --sort=attempts"+period)
	m.s.page().sort = ""
	m.keys("up")
	expect("an incident", "bouncelog report --section=verdict,problems --all --since=2026-11-22T14:31:07Z --until=2026-11-23T14:31:08Z --db x.db --sender-domain shop.test --problem-messages 3")
	m.keys("enter")
	expect("its page", "bouncelog report --section=verdict,problems --all --since=2026-11-22T14:31:07Z --until=2026-11-23T14:31:08Z --db x.db --sender-domain shop.test --problem-messages 3")
	m.keys("esc")
	m.s.page().move(0, 0, m.s.page().rows())
	m.keys("e")
	expect("an explanation", "bouncelog explain --relay=shop-example.mail.protection.outlook.com --stage=eom --rules own.toml -- '550 5.7.515 Access denied, sending domain SHOP.TEST doesn'\\''t meet the required authentication level.'")
	m.keys("esc", "enter")
	expect("replies", "bouncelog top --once --all --view=providers --open=provider=outlook.com"+period)
	m.keys("enter")
	expect("recipients", "bouncelog top --once --all --view=providers --open=provider=outlook.com '--open=reply=550 5.7.515 Access denied, sending domain {host} doesn'\\''t meet the required authentication level.'"+period)
	m.keys("enter")
	if got := copied(); !strings.HasPrefix(got, "bouncelog trace --host=mx1 --db x.db --tz UTC -- 4B") {
		t.Errorf("a message: %s", got)
	}
	for i, want := range []string{
		"top --once --all --view=providers", "top --once --all --view=domains", "top --once --all --view=reasons", "top --once --all --view=senders",
		"top --once --all --view=queue", "top --once --all --view=replies",
	} {
		m.keys(string(rune('1' + i)))
		m.s.stack = m.s.stack[:1]
		expect(Views()[i], "bouncelog "+want+period)
	}
	m.s.page().ans = nil
	if got := copied(); got != "" || !strings.Contains(m.text(), "there is nothing to copy yet") {
		t.Errorf("before the first answer: %q\n%s", got, m.text())
	}
	o.Commands = CommandWords{Files: []string{"mail.log"}}
	m = opened(t, o, 100, 30)
	m.keys("enter", "enter", "enter")
	if got := copied(); !slices.Contains(strings.Fields(got), "grep") || !strings.HasSuffix(got, " mail.log") {
		t.Errorf("a message of a log: %s", got)
	}
}

// TestIncidentCommand holds that the report over the period of the incidents' command has
// the incidents of the screen, with the same figures.
func TestIncidentCommand(t *testing.T) {
	db := stored(t, sampleLog())
	for _, at := range []time.Time{now, now.Add(999 * time.Millisecond), now.Add(20 * time.Minute)} {
		o := options(t, db)
		o.Now = func() time.Time { return at }
		m := opened(t, o, 100, 30)
		m.keys("up")
		words := strings.Fields(m.s.press(keyPress{name: "c"}, m.d).copy)
		f := store.Filter{}
		for _, w := range words {
			for key, to := range map[string]*time.Time{"--since=": &f.Since, "--until=": &f.Until} {
				if text, ok := strings.CutPrefix(w, key); ok {
					var err error
					if *to, err = time.Parse(time.RFC3339, text); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		r, err := db.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rep, err := report.Build(t.Context(), r, report.Options{Filter: f, Location: time.UTC, Now: at.Add(time.Hour), Live: true, Sections: []string{report.SectionVerdict, report.SectionProblems}})
		if err != nil {
			t.Fatal(err)
		}
		if len(rep.Verdict.Act) != 1 || len(m.d.incidents.list) != 1 {
			t.Fatalf("%q: %d incidents, on the screen %d", words, len(rep.Verdict.Act), len(m.d.incidents.list))
		}
		a, b := rep.Verdict.Act[0], m.d.incidents.list[0]
		if a.Short != b.Short || a.Figures() != b.Figures() || !a.Since.Equal(b.Since) || a.BeforeTried != b.BeforeTried || a.Share != b.Share || a.Lost != b.Lost {
			t.Errorf("%q has %+v, the screen %+v", words, a, b.Incident)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOpenOddNames holds that the command of each page opens that page also where a name has
// an @ in its local part, is empty, or has what no terminal may see: those are escaped in
// commands.
func TestOpenOddNames(t *testing.T) {
	log := &script{}
	at := now.Add(-10 * time.Minute)
	log.mail(at, `"two@signs"@shop.test`, "a@firma.example", outlook, "bounced", "5.7.1", "host mx said: 550 5.7.1 refused (in reply to RCPT TO command)", 1)
	log.mail(at, "nosign", "b@firma.example", outlook, "bounced", "5.7.1", "host mx said: 550 5.7.1 refused (in reply to RCPT TO command)", 1)
	for i, odd := range []string{"\x01", "\u200b", "\u202e", "e\u0301\u0301", `\x01`, "\x80", "\t", "\u05d0"} {
		relay := fmt.Sprintf("mx.o%sd%d.example[192.0.2.4]:25", odd, i)
		log.mail(at, "s"+odd+"@shop.test", "r@d"+odd+".example", relay, "deferred", "4.7.1", "host mx said: 451 4.7.1 later "+odd+" (in reply to RCPT TO command)", 60)
		log.mail(at, "s@shop"+odd+".test", "r@d"+odd+".example", "none", "deferred", "4.4.1", "connect to mx[192.0.2.4]:25: Connection timed out", 60)
	}
	stamp := at.Format("2006-01-02T15:04:05.000000Z07:00") + " mx1 postfix/"
	log.mail(at, "x@shop.test", "late@firma.example", outlook, "deferred", "4.7.1", "host mx said: 451 4.7.1 later (in reply to RCPT TO command)", 60)
	fmt.Fprintf(&log.b, "%[1]sqmgr[7]: 4B%06[2]X: from=<x@shop.test>, status=expired, returned to sender\n%[1]sqmgr[7]: 4B%06[2]X: removed\n", stamp, log.n)
	db := stored(t, log.b.String())
	pages, empty := 0, 0
	for i, name := range Views() {
		o := options(t, db)
		m := opened(t, o, 160, 60)
		m.keys(string(rune('1' + i)))
		var walk func(deep int)
		walk = func(deep int) {
			p := m.s.page()
			if deep > 0 && p.kind != pageMessage {
				again := options(t, db)
				again.View = name
				for _, w := range p.place.opens() {
					again.Open = append(again.Open, strings.TrimPrefix(clean(w), "--open="))
				}
				if p.place.reply && p.place.template == "" {
					empty++
				}
				if err := again.Check(); err != nil {
					t.Fatalf("%q: %v", again.Open, err)
				}
				x := opened(t, again, 160, 60)
				got, want := fmt.Sprint(cellsOf(x.s.page().rows())), fmt.Sprint(cellsOf(p.rows()))
				if got != want || x.s.page().kind != p.kind || len(p.rows()) == 0 {
					t.Errorf("%q has\n%s\nwant\n%s", again.Open, got, want)
				}
				pages++
			}
			rows := p.rows()
			for k := range rows {
				if deep == 2 {
					break
				}
				m.s.page().move(k, 0, rows)
				at := len(m.s.stack)
				if m.keys("enter"); len(m.s.stack) > at {
					walk(deep + 1)
					m.s.stack = m.s.stack[:at]
				}
			}
		}
		walk(0)
	}
	if pages < 80 || empty == 0 {
		t.Errorf("%d pages were opened, %d of an empty reply", pages, empty)
	}
}

// TestListingNames holds that --all prints every name whole, also of rows far below the first.
func TestListingNames(t *testing.T) {
	log := &script{}
	for i := range 300 {
		to := fmt.Sprintf("r@d%03d.example", i)
		if i > 250 {
			to = fmt.Sprintf("r@%s%d.example", strings.Repeat("long-", 12), i)
		}
		log.mail(now.Add(-time.Duration(i+1)*time.Second), "s@shop.test", to, outlook, "bounced", "5.1.1", "host mx said: 550 5.1.1 unknown (in reply to RCPT TO command)", 1)
	}
	o := options(t, stored(t, log.b.String()))
	o.All = true
	for _, view := range []string{"domains", "senders"} {
		o.View = view
		var b bytes.Buffer
		if err := Once(t.Context(), &b, o, 80, 24); err != nil {
			t.Fatal(err)
		}
		if s := b.String(); strings.Contains(s, "…") || view == "domains" && strings.Count(s, "long-long-long-long-long-long-long-long-long-long-long-long-") != 49 {
			t.Errorf("%s: names are cut:\n%s", view, s)
		}
	}
}

// TestLeftLog holds that c says where the log no longer has what the page counts, and nowhere
// else.
func TestLeftLog(t *testing.T) {
	db := stored(t, sampleLog())
	const want = "mail.log was rotated or truncated at "
	for _, c := range []struct {
		left time.Time
		keys []string
		says bool
	}{
		{time.Time{}, nil, false},
		{now.Add(-30 * time.Minute), nil, true},
		{now.Add(-30 * time.Minute), []string{"-"}, false}, // all of these 15 minutes came after it
		{now.Add(-2 * time.Hour), nil, false},
		{now.Add(-2 * time.Hour), []string{"up"}, true},
		{now.Add(-2 * time.Hour), []string{"up", "enter"}, true},
		{now.Add(-2 * time.Hour), []string{"enter", "enter"}, false},
		{now.Add(-2 * time.Hour), []string{"enter", "enter", "enter"}, true},
		{now.Add(-time.Minute), []string{"e"}, false}, // reads no log
	} {
		o := options(t, db)
		o.Name, o.Commands = "mail.log", CommandWords{Files: []string{"mail.log"}}
		o.Left = func() time.Time { return c.left }
		m := opened(t, o, 80, 24)
		m.keys(append(c.keys, "c")...)
		s := strings.Join(strings.Fields(m.text()), " ")
		if strings.Contains(s, want) != c.says || !strings.Contains(s, "bouncelog ") && !strings.Contains(s, "grep ") {
			t.Errorf("left at %s, after %q:\n%s", c.left, c.keys, m.text())
		}
	}
}
