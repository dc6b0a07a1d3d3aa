package top

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"bouncelog/report"
	"bouncelog/store"
)

// opened is a model of a store that has answered its first questions.
func opened(t testing.TB, o Options, width, height int) *model {
	t.Helper()
	o.complete()
	s, err := o.state(width, height)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{o: &o, s: s, d: o.data(), a: &asker{o: &o}, ctx: t.Context(), tick: func(time.Duration, func(time.Time) tea.Msg) tea.Cmd { return nil }}
	settle(m, m.Init())
	return m
}

// keys presses keys by their names.
func (m *model) keys(names ...string) {
	for _, name := range names {
		settle(m, m.send(name))
	}
}

func (m *model) lines() []string { return strings.Split(frame(m.s, m.d, lookText), "\n") }

func (m *model) text() string { return frame(m.s, m.d, lookText) }

// TestTailMarks holds that a failure in the tail has the mark of its reason in the table of
// reasons, and its outcome in words.
func TestTailMarks(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 120, 40)
	m.keys("3")
	marks := map[string]string{} // by what ends the line, the reply
	tail, table := false, false
	found := 0
	for _, l := range m.lines() {
		fields := strings.Fields(strings.TrimPrefix(l, ">"))
		switch {
		case strings.HasPrefix(l, "last failures"):
			tail = true
		case len(fields) > 0 && fields[0] == "reason":
			table = true
		case len(fields) > 5 && table && !tail && (fields[0] == "✖" || fields[0] == "▲"):
			marks[fields[6]+fields[7]] = fields[0]
		case tail && len(fields) > 6 && strings.HasPrefix(fields[1], "×"):
			found++
			if want := marks[fields[5]+fields[6]]; fields[2] != want {
				t.Errorf("%q: the mark is not that of its reason, %q", l, want)
			}
			if want := map[bool]string{true: "soft", false: "hard"}[strings.HasPrefix(fields[5], "4")]; fields[3] != want {
				t.Errorf("%q is %s", l, want)
			}
		}
	}
	if found != 3 || len(marks) != 3 {
		t.Errorf("%d lines of a tail, %d rows:\n%s", found, len(marks), m.text())
	}
}

// TestFilterTail holds that a filter is one of the tail as well, for each table.
func TestFilterTail(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 120, 40)
	for i := range viewNames {
		m.keys(string(rune('1' + i)))
		m.keys("/")
		m.Update(tea.PasteMsg{Content: "GMX"})
		m.keys("enter")
		if s := m.text(); !strings.Contains(s, "last failures, folded, /GMX") || strings.Contains(s, "kpn.example") || !strings.Contains(s, "×14 ") {
			t.Errorf("%s, /GMX:\n%s", viewNames[i], s)
		}
		m.keys("esc", "/")
		m.Update(tea.PasteMsg{Content: "!gmx"})
		m.keys("enter")
		if s := m.text(); strings.Contains(s, "gmx.net") || !strings.Contains(s, "kpn.example") {
			t.Errorf("%s, /!gmx:\n%s", viewNames[i], s)
		}
		m.keys("esc")
		if s := m.text(); !strings.Contains(s, "gmx.net") || !strings.Contains(s, "kpn.example") {
			t.Errorf("%s, without a filter:\n%s", viewNames[i], s)
		}
	}
}

// TestSortMark holds that the column that the rows are sorted by is marked, and named in
// the foot, and none where the worst come first.
func TestSortMark(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 120, 30)
	for i := range viewNames {
		m.keys(string(rune('1' + i)))
		if s := m.text(); strings.Contains(s, sortMark) || strings.Contains(s, "sort:") {
			t.Errorf("%s, the worst first:\n%s", viewNames[i], s)
		}
		table := m.s.page().ans.table
		for at := range len(table.columns) + 1 {
			m.keys("s")
			name := table.name
			if at < len(table.columns) {
				name = table.columns[at].name
			}
			if s := m.text(); strings.Count(s, sortMark) != 1 || !strings.Contains(s, sortMark+name) || !strings.Contains(s, "s sort: "+name+" ") {
				t.Errorf("%s by %s:\n%s", viewNames[i], name, s)
			}
		}
		m.keys("s")
	}
}

// TestFoot holds that on no screen a key of the foot is cut, and that help and quit are
// always there.
func TestFoot(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 80, 24)
	whole := map[string]bool{}
	for _, b := range []struct{ key, desc string }{
		{"↵", "open"}, {"/", "filter"}, {"e", "explain"}, {"t", "trace"}, {"c", "copy"}, {"s", "sort"}, {"s", "sort: attempts"}, {"s", "sort: failed"}, {"+-", "window"}, {"p", "pause"}, {"?", "help"}, {"q", "quit"}, {"esc", "back"}, {"↑↓", "scroll"},
	} {
		whole[b.key+" "+b.desc] = true
	}
	for _, keys := range []string{"", "enter", "s", "enter", "enter", "esc", "e", "esc", "?", "esc", "esc", "esc", "s"} {
		if keys != "" {
			m.keys(keys)
		}
		for width := LeastWidth; width < 140; width++ {
			for _, height := range []int{LeastHeight, 15, 24} {
				m.s.width, m.s.height = width, height
				lines := m.lines()
				foot := lines[len(lines)-1]
				if !strings.Contains(foot, "? help") || !strings.Contains(foot, "q quit") || ansi.StringWidth(foot) > width {
					t.Fatalf("%d×%d after %q: %q", width, height, keys, foot)
				}
				rest := foot
				for rest != "" { // the longest key first
					best := ""
					for k := range whole {
						if (rest == k || strings.HasPrefix(rest, k+" ")) && len(k) > len(best) {
							best = k
						}
					}
					if best == "" {
						t.Fatalf("%d×%d after %q: %q of %q is no whole key", width, height, keys, rest, foot)
					}
					rest = strings.TrimLeft(rest[len(best):], " ")
				}
			}
		}
	}
	m.s.width, m.s.height = LeastWidth-1, LeastHeight
	if got, want := m.text(), "39×10 is too small: 40×10 is needed (q\nquits)"; got != want {
		t.Errorf("below the least: %q, want %q", got, want)
	}
}

// TestNoMail holds that nothing is said to be well where there is no mail.
func TestNoMail(t *testing.T) {
	db := stored(t, sampleLog())
	for _, c := range []struct {
		name   string
		filter store.Filter
		want   []string
	}{
		{"a domain", store.Filter{Domain: "zzz.example"}, []string{"○ no mail to zzz.example in the last 24h", "no mail to zzz.example in the window"}},
		{"a sender's domain", store.Filter{SenderDomain: "zzz.example"}, []string{"○ no mail from zzz.example in the last 24h", "no mail from zzz.example in the window"}},
		{"a relay", store.Filter{Relay: "zzz.example"}, []string{"○ no mail at zzz.example in the last 24h"}},
	} {
		o := options(t, db)
		o.Filter = c.filter
		m := opened(t, o, 100, 24)
		s := strings.Join(m.lines()[1:], "\n") // the first says how old the logs are
		for _, want := range c.want {
			if !strings.Contains(s, want) {
				t.Errorf("%s: %q is not there:\n%s", c.name, want, s)
			}
		}
		if strings.Contains(s, "●") {
			t.Errorf("%s: something is well:\n%s", c.name, s)
		}
		m.keys("3")
		if s := m.text(); !strings.Contains(s, "no failure") {
			t.Errorf("%s: reasons:\n%s", c.name, s)
		}
	}
	// A window without mail on a day with some.
	o := options(t, stored(t, sampleLog()))
	o.Filter.Domain = "kpn.example"
	o.Window = 5 * time.Minute
	m := opened(t, o, 100, 24)
	if s := m.text(); !strings.Contains(s, "no mail to kpn.example in the window; + widens it") || strings.Contains(s, "no mail to kpn.example in the last") {
		t.Errorf("kpn.example:\n%s", s)
	}
}

// TestOpenedSums holds that what a row opens adds up to the row: also of recipients for
// which no relay was reached, which count to the provider that their domain's mail goes to.
func TestOpenedSums(t *testing.T) {
	log := &script{n: 0x1000}
	for i := range 5 {
		log.mail(now.Add(-time.Duration(i)*time.Minute), "info@post.test", fmt.Sprintf("x%d@firma.example", i), "none", "deferred", "4.4.1",
			"connect to shop-example.mail.protection.outlook.com[192.0.2.25]:25: Connection timed out", 30)
		log.mail(now.Add(-time.Duration(i)*time.Minute), "", fmt.Sprintf("x%d@lost.example", i), "none", "bounced", "5.4.4",
			"Host or domain name not found. Name service error for name=lost.example type=MX: Host not found", 1)
	}
	m := opened(t, options(t, stored(t, sampleLog()+log.b.String())), 160, 60)
	for i, view := range []string{"providers", "domains", "reasons", "senders", "replies"} {
		key := string(rune('1' + i))
		if view == "replies" {
			key = "6"
		}
		m.keys(key)
		page := m.s.page()
		rows := page.rows()
		if len(rows) < 3 {
			t.Fatalf("%s has %d rows", view, len(rows))
		}
		for k := range rows {
			x := &rows[k]
			want := x.cells[0].n
			if view == "providers" || view == "domains" {
				want = x.cells[2].n + x.cells[4].n // soft and hard
			}
			m.s.page().move(k, 0, rows)
			m.keys("enter")
			got := int64(0)
			for _, y := range m.s.page().rows() {
				got += y.cells[0].n
				if x.place.provider == "outlook.com" && strings.Contains(y.words, "timed out") && y.cells[0].n != 5 {
					t.Errorf("%d of 5 time-outs", y.cells[0].n)
				}
			}
			if got != want {
				t.Errorf("%s: %s has %d failures, its replies %d", view, x.name, want, got)
			}
			m.keys("esc")
		}
	}
}

// TestPartlyMark holds that a provider has no green mark below the incident that names it.
func TestPartlyMark(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 120, 30)
	if s := m.text(); !strings.Contains(s, "> ◐ outlook.com") || !strings.Contains(s, "  ● google.com") || strings.Contains(s, "◐ google.com") {
		t.Errorf("the marks of providers:\n%s", s)
	}
}

// TestMarkLeast holds that a provider has a mark of an incident only where it takes other mail.
func TestMarkLeast(t *testing.T) {
	d := &data{incidents: &incidents{list: []incident{{Incident: report.Incident{Providers: []string{"firma.example"}}}}}}
	for mark, want := range map[string]string{"": " ", report.MarkTakes: "◐", report.MarkFails: "▲", report.MarkRefuses: "✖"} {
		if got := markOfRow(&row{mark: mark, place: place{provider: "firma.example"}}, d).text; got != want {
			t.Errorf("a provider with the mark %q has %q, want %q", mark, got, want)
		}
	}
}

// TestScroll holds that each key moves a text at once, from its end and after the screen has
// another size too, and that the screen says how much is above and below it.
func TestScroll(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 80, 20)
	m.keys("?")
	// shown are the numbers of the lines of the text that are on the screen.
	shown := func() (first, last int) {
		t.Helper()
		lines := m.lines()[3:]
		lines = lines[:len(lines)-1]
		all := folds(helpText, m.s.width)
		above, below := 0, 0
		if n, _ := fmt.Sscanf(strings.TrimSpace(lines[0]), "… %d more lines (↑)", &above); n == 1 {
			lines = lines[1:]
		}
		if n, _ := fmt.Sscanf(strings.TrimSpace(lines[len(lines)-1]), "… %d more lines (↓)", &below); n == 1 {
			lines = lines[:len(lines)-1]
		}
		if got, want := strings.Join(lines, "\n"), strings.Join(all[above:len(all)-below], "\n"); got != want {
			t.Fatalf("%d lines above, %d below, but there is\n%s", above, below, m.text())
		}
		return above, len(all) - below
	}
	all := len(folds(helpText, 80))
	for _, key := range []string{"up", "k", "pgup"} {
		m.keys("end")
		first, last := shown()
		if last != all || first == 0 {
			t.Fatalf("the end is line %d of %d", last, all)
		}
		if m.keys(key); first == 0 {
			t.Fatal("there is nothing above")
		}
		if now, _ := shown(); now >= first {
			t.Errorf("%s at the end stays at line %d", key, now)
		}
	}
	m.keys("end", "end", "down", "j", "pgdown", "up")
	if _, last := shown(); last != all-2 { // one line, and the one below has the number
		t.Errorf("after the end and ↑ the last line is %d of %d", last, all)
	}
	m.keys("end")
	m.s.height = 30
	before, _ := shown()
	m.keys("up")
	if now, _ := shown(); now >= before {
		t.Errorf("↑ on a larger screen stays at line %d", now)
	}
	m.keys("home")
	if first, _ := shown(); first != 0 {
		t.Errorf("the beginning is line %d", first)
	}
}

// TestDeadKeys holds that a key that has nothing to act on says so.
func TestDeadKeys(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 80, 24)
	m.keys("up")
	for _, key := range []string{"e", "t"} {
		if m.keys(key); !strings.Contains(m.text(), "enter opens the incident") {
			t.Errorf("%s on an incident:\n%s", key, m.text())
		}
	}
	m.keys("down", "/")
	m.s.paste("nothing has that")
	m.keys("enter")
	for _, key := range []string{"e", "t", "enter"} {
		if m.keys(key); !strings.Contains(m.text(), "there is no row") {
			t.Errorf("%s on no row:\n%s", key, m.text())
		}
	}
}

// TestNarrow holds that the column that the rows are sorted by stays on each screen.
func TestNarrow(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 80, 24)
	for width := LeastWidth; width < 120; width++ {
		m.s.width = width
		for _, key := range []string{"1", "2"} {
			m.keys(key)
			m.s.page().sort = ""
			if s := m.text(); !strings.Contains(s, " refused") {
				t.Errorf("%d columns:\n%s", width, s)
			}
			m.s.page().sort = "hard"
			if s := m.text(); !strings.Contains(s, "▼hard") {
				t.Errorf("%d columns by hard:\n%s", width, s)
			}
		}
	}
}

// TestIncidentLine holds that names go before the cause of an incident where there is no room
// for both.
func TestIncidentLine(t *testing.T) {
	s := &state{width: 80, height: 24, stack: []page{{}}}
	d := &data{now: now, location: time.UTC, incidents: &incidents{list: []incident{{Incident: report.Incident{
		Short: "fr.example, GMX and 3 other providers refuse 60 sender domains", Title: "fr.example, GMX and 3 other providers refuse 60 sender domains: blocklist",
		Providers: []string{"fr.example", "gmx.net", "a.example", "b.example", "c.example"}, Level: "confirmed", Since: now.Add(-time.Hour), Refused: 60, Tried: 60,
	}}}}}
	if got, want := incidentLines(s, d)[0].draw(80, lookText), "✖ 5 providers refuse 60 sender domains since 13:31, all 60 messages: blocklist"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	x := &d.incidents.list[0]
	x.Short, x.Providers = "Microsoft refuses shop.test", x.Providers[:1]
	for cause, want := range map[string]string{
		"blocklist": "✖ Microsoft refuses shop.test since 13:31, all 60 messages: blocklist", "authentication does not pass": "✖ Microsoft refuses shop.test since 13:31, all 60: authentication does not pass",
		"this cause has more words than the screen has": "✖ Microsoft refuses shop.test: this cause has more words than the screen has si…", "": "✖ Microsoft refuses shop.test since 13:31, all 60 messages",
	} {
		if x.Title = x.Short; cause != "" {
			x.Title += ": " + cause
		}
		if got := incidentLines(s, d)[0].draw(80, lookText); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	x.Short, x.Title = "fr.example, GMX and 3 other providers refuse 60 sender domains", "fr.example, GMX and 3 other providers refuse 60 sender domains: blocklist"
	s.width = 140
	if got := incidentLines(s, d)[0].draw(140, lookText); !strings.Contains(got, "fr.example, GMX and 3 other") || !strings.Contains(got, ": blocklist") {
		t.Errorf("with room: %q", got)
	}
}

// TestMessageOpensAtRecipient holds that the trace of a message to many shows what happened
// to the one that was chosen, also of a message with more attempts than are read, and
// that its lines stand out.
func TestMessageOpensAtRecipient(t *testing.T) {
	for _, c := range []struct{ recipients, height int }{{3, 24}, {60, 24}, {60, 12}, {60, 60}, {traceAtMost + 100, 24}} {
		var b strings.Builder
		at := now.Add(-time.Minute).Format("2006-01-02T15:04:05.000000Z07:00") + " mx1 postfix/"
		fmt.Fprintf(&b, "%sqmgr[7]: 4C0001: from=<news@shop.test>, size=1200, nrcpt=%d (queue active)\n", at, c.recipients)
		for i := range c.recipients {
			fmt.Fprintf(&b, "%ssmtp[9]: 4C0001: to=<r%03d@firma.example>, relay=%s, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx said: 550 5.1.1 <r%03d@firma.example> User unknown (in reply to RCPT TO command))\n", at, i, outlook, i)
		}
		db := stored(t, b.String())
		for _, i := range []int{0, 1, c.recipients / 2, c.recipients - 1} {
			m := opened(t, options(t, db), 80, c.height)
			m.keys("enter", "enter")
			rows := m.s.page().rows()
			name := fmt.Sprintf("r%03d@firma.example", i)
			k := slices.IndexFunc(rows, func(x row) bool { return x.name == name })
			m.s.page().move(k, 0, rows)
			m.keys("enter")
			s := frame(m.s, m.d, lookColours)
			if !strings.Contains(ansi.Strip(s), "to <"+name+"> at") {
				t.Fatalf("%d recipients, %d lines: %s is not there:\n%s", c.recipients, c.height, name, ansi.Strip(s))
			}
			for l := range strings.Lines(s) {
				if strings.Contains(l, " to <r") && strings.Contains(l, "\x1b[1m") != strings.Contains(l, "<"+name+">") {
					t.Errorf("%s: %q", name, l)
				}
			}
		}
	}
}

// TestWholeWords holds that what the row at the cursor says is there in full where there is
// room below the table, and nothing of it where the table has it.
func TestWholeWords(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 80, 24)
	whole := func() bool {
		s := strings.Join(strings.Fields(m.text()), " ")
		return strings.Contains(s, " 550 5.7.515 Access denied, sending domain SHOP.TEST doesn't meet the required authentication level.")
	}
	if !whole() {
		t.Errorf("the first row's reply is not there in full:\n%s", m.text())
	}
	m.s.page().move(2, 0, m.s.page().rows())
	if s := m.text(); whole() || strings.Count(s, "550 5.1.1") != 3 {
		t.Errorf("on the third row:\n%s", s)
	}
	m.s.page().move(0, 0, m.s.page().rows())
	m.s.width = 200
	if s := m.text(); strings.Count(s, "SHOP.TEST") != 2 { // the row and the tail
		t.Errorf("said twice:\n%s", s)
	}
	for height := LeastHeight; height < 30; height++ {
		for _, width := range []int{40, 80, 100} {
			m.s.width, m.s.height = width, height
			if lines := m.lines(); len(lines) != height {
				t.Fatalf("%d×%d: %d lines", width, height, len(lines))
			}
			if s := m.text(); strings.Contains(s, "\n    550 5.7.515") && !strings.Contains(s, "google.com") {
				t.Errorf("%d×%d: in the place of a row:\n%s", width, height, s)
			}
		}
	}
}

// TestAhead holds that lines ahead of the clock are counted, as the report counts them, and
// that the head says so.
func TestAhead(t *testing.T) {
	for _, c := range []struct {
		ahead time.Duration
		want  string
	}{{0, "● last line 0 s ago"}, {30 * time.Second, "● last line 0 s ago"}, {time.Hour, "▲ the last line is 1 h 0 min ahead of the clock"}} {
		s := &script{}
		s.mail(now.Add(c.ahead), "news@shop.test", "a@firma.example", outlook, "sent", "2.6.0", "250 2.6.0 Queued", 1)
		m := opened(t, options(t, stored(t, s.b.String())), 100, 24)
		if s := m.text(); !strings.HasPrefix(s, c.want) || !strings.Contains(s, "outlook.com            1  100 %") && !strings.Contains(s, "outlook.com        1  100 %") {
			t.Errorf("%s:\n%s", c.ahead, s)
		}
	}
}

// TestTailRoom holds that the tail has a third of a screen, also where there are more rows
// than room, and all that the rows leave.
func TestTailRoom(t *testing.T) {
	log := &script{n: 0x2000}
	for i := range 60 {
		log.mail(now.Add(-time.Duration(i)*time.Second), "info@post.test", fmt.Sprintf("x@d%02d.example", i), fmt.Sprintf("mx.d%02d.example[192.0.2.40]:25", i), "bounced", "5.1.1",
			fmt.Sprintf("host mx.d%02d.example[192.0.2.40] said: 550 5.1.1 User unknown (in reply to RCPT TO command)", i), 1)
	}
	db := stored(t, log.b.String())
	for _, c := range []struct{ height, tail int }{{24, 6}, {35, 10}, {60, 18}} {
		m := opened(t, options(t, db), 80, c.height)
		_, tail, _ := strings.Cut(m.text(), "last failures, folded\n")
		if got := strings.Count(tail, "×1 "); got != c.tail-1 {
			t.Errorf("%d lines: the tail has %d, want %d:\n%s", c.height, got, c.tail-1, m.text())
		}
	}
}

// TestRefusedWithoutIncident holds that nothing is said to be well above a provider that
// refuses most of our mail, of which no incident is known.
func TestRefusedWithoutIncident(t *testing.T) {
	for _, c := range []struct {
		refused, taken, providers int
		want                      string
	}{
		{30, 0, 1, "▲ 1 provider refuses most of our mail. No incident."},
		{1, 60, 1, "● No incident."},
		{60, 0, 2, "▲ 2 providers refuse most of our mail. No incident."},
		{60, 0, 12, "▲ Nothing was delivered. No incident."},
		{60, 40, 12, "▲ Most attempts were refused. No incident."},
		{40, 60, 12, "● No incident."},
		{3, 0, 1, "▲ Nothing was delivered. No incident."},
	} {
		log := &script{}
		for i := range c.refused {
			log.mail(now.Add(-time.Duration(i)*time.Minute), "info@post.test", fmt.Sprintf("x%d@firma%d.example", i, i%c.providers), fmt.Sprintf("mx.firma%d.example[192.0.2.40]:25", i%c.providers), "bounced", "5.7.1",
				"host mx.firma.example[192.0.2.40] said: 550 5.7.1 no (in reply to RCPT TO command)", 1)
		}
		for i := range c.taken {
			log.mail(now.Add(-time.Duration(i)*time.Minute), "info@post.test", fmt.Sprintf("x%d@firma%d.example", i, i%c.providers), fmt.Sprintf("mx.firma%d.example[192.0.2.40]:25", i%c.providers), "sent", "2.0.0", "250 2.0.0 Ok", 1)
		}
		m := opened(t, options(t, stored(t, log.b.String())), 100, 24)
		for _, m.s.width = range []int{100, 80, 60, 40} {
			s := m.text()
			first := strings.Split(s, "\n")[2]
			if m.s.width == 100 && !strings.HasPrefix(first, c.want) || !strings.HasSuffix(first, "(last 24h)") {
				t.Errorf("%d refused, %d taken, %d providers: not %q:\n%s", c.refused, c.taken, c.providers, c.want, s)
			}
		}
	}
}

// TestEveryIncident holds that keys reach and open each incident, also those for which there
// is no line above the table.
func TestEveryIncident(t *testing.T) {
	db := stored(t, sampleLog())
	for _, height := range []int{14, 24, 40} {
		m := opened(t, options(t, db), 120, height)
		for _, name := range []string{"second", "third", "fourth", "fifth"} {
			x := m.d.incidents.list[0]
			x.Short, x.Title = "the "+name, "the "+name
			m.d.incidents.list = append(m.d.incidents.list, x)
		}
		m.d.incidents.more = 2
		n := len(m.d.incidents.list)
		if n != 5 || incidentsShown(m.s, m.d) >= n {
			t.Fatalf("%d lines: %d incidents, %d are shown: the test is broken", height, n, incidentsShown(m.s, m.d))
		}
		seen := map[string]bool{}
		for i := range n + 1 { // the last one stays at the first
			m.keys("up")
			at := max(n-1-i, 0)
			want := "▶ " + m.d.incidents.list[at].Short
			if s := m.text(); strings.Count(s, "▶") != 1 || !strings.Contains(s, want) || !strings.Contains(s, fmt.Sprintf(" +%d\n", n-incidentsShown(m.s, m.d)+m.d.incidents.more)) {
				t.Fatalf("%d lines, up %d times: not %q:\n%s", height, i+1, want, s)
			}
			m.keys("enter")
			seen[m.s.page().lines[0]] = true
			m.keys("esc")
		}
		if len(seen) != n {
			t.Errorf("%d lines: %d of %d incidents were opened", height, len(seen), n)
		}
		for range n {
			m.keys("j")
		}
		if s := m.text(); strings.Contains(s, "▶") || !strings.Contains(s, "\n> ") {
			t.Errorf("%d lines: back in the table:\n%s", height, s)
		}
	}
}

// TestLastHasDate holds that a time of another day has its date, whole at every width.
func TestLastHasDate(t *testing.T) {
	log := &script{}
	log.mail(now.Add(-50*time.Hour), "s@shop.test", "r@firma.example", outlook, "bounced", "5.1.1", "host mx said: 550 5.1.1 unknown (in reply to RCPT TO command)", 1)
	log.mail(now.Add(-50*time.Hour), "s@shop.test", "q@firma.example", outlook, "deferred", "4.7.1", "host mx said: 451 4.7.1 later (in reply to RCPT TO command)", 1)
	o := options(t, stored(t, log.b.String()))
	o.Window = 7 * 24 * time.Hour
	for _, keys := range [][]string{{"enter"}, {"enter", "enter"}, {"5", "enter"}} {
		for _, width := range []int{80, 120} {
			m := opened(t, o, width, 24)
			m.keys(keys...)
			shown := width >= 100 || len(keys) > 1
			if s := m.text(); strings.Contains(s, " 11-21 12:31 ") != shown {
				t.Errorf("%d columns, %q:\n%s", width, keys, s)
			}
		}
	}
}

// TestNoDomain holds that enter says why a row without a domain does not open.
func TestNoDomain(t *testing.T) {
	log := &script{}
	log.mail(now.Add(-time.Minute), "s@shop.test", "root", "local", "bounced", "5.1.1", "unknown user: \"root\"", 1)
	m := opened(t, options(t, stored(t, log.b.String())), 100, 24)
	if m.keys("2"); !strings.Contains(m.text(), "(no domain)") {
		t.Fatalf("there is no row without a domain: the test is broken:\n%s", m.text())
	}
	if m.keys("enter"); !strings.Contains(m.text(), "recipients without a domain are no place of their own") {
		t.Errorf("enter says nothing:\n%s", m.text())
	}
}

// TestSortShown holds that s sorts by what is on the screen, and that each key changes it.
func TestSortShown(t *testing.T) {
	for _, width := range []int{LeastWidth, 60, 80, 120} {
		m := opened(t, options(t, stored(t, sampleLog())), width, 24)
		for i := range viewNames {
			m.keys(string(rune('1' + i)))
			n := 0
			for {
				if m.keys("s"); m.s.page().sort == "" {
					break
				}
				n++
				if s := m.text(); strings.Count(s, sortMark) != 1 {
					t.Fatalf("%d columns, %s, s %d times:\n%s", width, viewNames[i], n, s)
				}
			}
			if n < 2 {
				t.Errorf("%d columns, %s: sorted by %d columns", width, viewNames[i], n)
			}
		}
	}
}

// TestFilterDrawn holds that a filter finds escapes as they are drawn.
func TestFilterDrawn(t *testing.T) {
	log := &script{}
	log.mail(now.Add(-time.Minute), "s\u200b@shop.test", "r@firma.example", outlook, "bounced", "5.1.1", "host mx said: 550 5.1.1 un\u202eknown (in reply to RCPT TO command)", 1)
	m := opened(t, options(t, stored(t, log.b.String())), 120, 24)
	for _, word := range []string{`s\u200b@`, `un\u202ekn`} {
		m.keys("4", "/")
		m.s.paste(word)
		m.keys("enter")
		if s := m.text(); strings.Contains(s, "no row has") || strings.Count(s, `un\u202eknown`) != 2 {
			t.Errorf("/%s:\n%s", word, s)
		}
		m.keys("esc")
	}
}

// TestFilterCounts holds that a row matches by all that it counts, not by its last reply
// alone: its name as people call it, each of its reasons, and the replies among the newest
// failures.
func TestFilterCounts(t *testing.T) {
	log := &script{}
	refuse := func(ago time.Duration, from, status, dsn, text string) {
		log.mail(now.Add(-ago), from, "r@firma.example", outlook, status, dsn, "host "+strings.TrimSuffix(outlook, ":25")+" said: "+text+" (in reply to end of DATA command)", 1)
	}
	refuse(50*time.Minute, "old@shop.test", "bounced", "5.1.1", "550 5.1.1 User unknown") // not among the newest
	for range recentAtMost {
		refuse(30*time.Minute, "s@shop.test", "bounced", "5.7.515", "550 5.7.515 Access denied, sending domain SHOP.TEST doesn't meet the required authentication level.")
	}
	refuse(time.Minute, "s@shop.test", "deferred", "4.3.1", "452 4.3.1 Insufficient system resources")
	log.mail(now.Add(-time.Minute), "s@shop.test", "r@gmail.example", google, "sent", "2.0.0", "250 2.0.0 OK", 1)
	m := opened(t, options(t, stored(t, log.b.String())), 120, 30)
	for _, c := range []struct {
		key, word, row string
	}{
		{"1", "5.7.515", "outlook.com"},
		{"1", "auth_failure", "outlook.com"},
		{"1", "user_unknown", "outlook.com"},
		{"1", "Microsoft", "outlook.com"},
		{"2", "5.7.515", "firma.example"},
		{"2", "user_unknown", "firma.example"},
		{"3", "5.7.515", "auth_failure"},
		{"4", "5.7.515", "s@shop.test"},
		{"4", "user_unknown", "old@shop.test"},
		{"6", "auth_failure", "550 5.7.515"},
		{"6", "SHOP.TEST", "550 5.7.515"},
	} {
		for _, not := range []string{"", "!"} {
			m.keys(c.key, "/")
			m.s.paste(not + c.word)
			m.keys("enter")
			found := false
			for _, x := range m.s.page().rows() {
				found = found || x.name == c.row
			}
			if found != (not == "") {
				t.Errorf("%s, /%s: %s is shown: %v\n%s", c.key, not+c.word, c.row, found, m.text())
			}
			m.keys("esc")
		}
	}
}

// TestNothingThere holds that a key that has nothing to act on says so, and why.
func TestNothingThere(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 120, 40)
	says := func(key, want string) {
		t.Helper()
		n := len(m.s.stack)
		if m.keys(key); !strings.Contains(m.text(), want) || len(m.s.stack) != n {
			t.Errorf("%s does not say %q:\n%s", key, want, m.text())
		}
	}
	m.keys("end") // google.com, which takes all
	says("t", "there is no failure to trace")
	says("e", "there is no failure to explain")
	m.keys("home", "e")
	for key, what := range map[string]string{"t": "trace", "e": "explain", "enter": "open"} {
		says(key, "there is nothing to "+what+" here")
	}
	m.keys("esc", "t")
	for key, what := range map[string]string{"t": "trace", "e": "explain", "enter": "open"} {
		says(key, "there is nothing to "+what+" here")
	}
	m.keys("5")
	says("t", "open it first") // all that waits

	// Mail waits, but in the window all was taken.
	log := &script{}
	log.mail(now.Add(-2*time.Hour), "s@shop.test", "r@gmx.example", gmx, "deferred", "4.3.1", "host mx00.gmx.net[192.0.2.28] said: 452 4.3.1 full (in reply to RCPT TO command)", 1)
	log.mail(now.Add(-time.Minute), "s@shop.test", "r@gmx.example", gmx, "sent", "2.0.0", "250 2.0.0 OK", 1)
	m = opened(t, options(t, stored(t, log.b.String())), 120, 40)
	if m.keys("t"); !strings.Contains(m.text(), "› message 4B000001") {
		t.Errorf("not the message that waits:\n%s", m.text())
	}
}

// TestFromIncident holds that enter leads from an incident to its provider's replies, and
// from there down to one message.
func TestFromIncident(t *testing.T) {
	o := options(t, stored(t, sampleLog()))
	m := opened(t, o, 80, 24)
	m.keys("up", "enter")
	if s := m.text(); !strings.Contains(s, "↵ replies") {
		t.Errorf("the foot does not say where enter leads:\n%s", s)
	}
	if m.keys("t"); !strings.Contains(m.text(), "enter opens its replies") {
		t.Errorf("t does not say how to trace:\n%s", m.text())
	}
	m.keys("enter")
	if s := m.text(); !strings.Contains(s, "incident › outlook.com") || !strings.Contains(s, "/auth_failure") || !strings.Contains(s, "> ✖ 550 5.7.515") {
		t.Errorf("not its replies:\n%s", s)
	}
	m.keys("enter", "t")
	if s := m.text(); !strings.Contains(s, "› message 4B") || !strings.Contains(s, "auth_failure") {
		t.Errorf("not a message:\n%s", s)
	}
	m.keys("esc", "esc", "esc", "esc")
	if s := m.text(); !strings.Contains(s, "providers › incident\n") {
		t.Errorf("back is not the incident:\n%s", s)
	}

	at := now.Add(3 * time.Hour) // the window has none of it
	o.Now = func() time.Time { return at }
	m = opened(t, o, 80, 24)
	m.keys("up", "enter", "enter")
	if s := m.text(); !strings.Contains(s, "window 4h") || !strings.Contains(s, "> ✖ 550 5.7.515") {
		t.Errorf("the window has none of its replies:\n%s", s)
	}
}
