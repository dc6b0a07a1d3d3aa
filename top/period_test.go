package top

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/store"
)

// edgeLog has a refusal and a delivery a second or two about the ends of each window that
// ends at a moment, and of the window before it, and one ahead of the clock.
func edgeLog(at time.Time, loc *time.Location) string {
	s := &script{}
	times := []time.Time{at.Add(3 * time.Second)}
	for _, w := range Windows() {
		since, err := when.ParseTime(w, at.In(loc))
		if err != nil {
			panic(err)
		}
		for _, t := range []time.Time{since, since.Add(-at.Sub(since))} {
			for d := -2; d <= 2; d++ {
				times = append(times, t.Add(time.Duration(d)*time.Second))
			}
		}
	}
	times = append(times, at.Add(-time.Second), at, at.Add(-40*24*time.Hour)) // the logs reach back far enough
	slices.SortFunc(times, time.Time.Compare)
	for i, t := range times {
		s.mail(t, "news@shop.test", fmt.Sprintf("a%d@firma.example", i), outlook, "sent", "2.6.0", "250 2.6.0 Queued", 1)
		s.mail(t, "news@shop.test", fmt.Sprintf("b%d@firma.example", i), outlook, "bounced", "5.7.1", "host "+strings.TrimSuffix(outlook, ":25")+" said: 550 5.7.1 refused (in reply to end of DATA command)", 1)
	}
	return s.b.String()
}

// TestWindowOfReport holds that each table counts exactly what the report counts with
// --since at the same moment: at any fraction of a second, across a change of the clocks,
// and with lines ahead of the clock.
func TestWindowOfReport(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{
		now, now.Add(time.Nanosecond), now.Add(500 * time.Millisecond), time.Date(2026, 11, 23, 14, 0, 0, 1, time.UTC),
		time.Date(2026, 10, 27, 14, 31, 7, 5e8, time.UTC), // the clocks of Berlin went back on the 25th
	} {
		db := stored(t, edgeLog(at, berlin))
		for i, word := range Windows() {
			o := options(t, db)
			o.Location = berlin
			r, err := db.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			a := &asker{o: &o}
			since, err := when.ParseTime(word, at.In(berlin))
			if err != nil {
				t.Fatal(err)
			}
			rep, err := report.Build(t.Context(), r, report.Options{
				Filter: store.Filter{Since: since}, Location: berlin, Now: at.In(berlin), Live: true,
				Sections: []string{report.SectionTotals, report.SectionReasons},
			})
			if err != nil {
				t.Fatal(err)
			}
			ans, err := a.ask(t.Context(), r, question{kind: pageTable, window: windows[i]}, at)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := ans.table.rows[0].cells[0].n, rep.Totals.Attempts; got != want {
				t.Errorf("%s, %s: %d attempts, the report has %d", at, word, got, want)
			}
			if got, want := int64(len(ans.recent)), rep.Totals.Soft+rep.Totals.Hard; got != want {
				t.Errorf("%s, %s: the tail has %d failures, the report %d", at, word, got, want)
			}
			reasons, err := a.ask(t.Context(), r, question{kind: pageTable, view: viewReasons, window: windows[i]}, at)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := reasons.table.rows[0].cells[0].n, rep.Reasons[0].Hard; got != want {
				t.Errorf("%s, %s: %d refused, the report has %d", at, word, got, want)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestComparison holds that the window before is as long and ends where this one begins,
// and that only what the logs cover is compared.
func TestComparison(t *testing.T) {
	clock := func(h, m, s int) time.Time { return time.Date(2026, 11, 23, h, m, s, 0, time.UTC) }
	p := period{since: clock(13, 0, 0), now: clock(14, 0, 0), until: clock(14, 0, 3)}
	for _, c := range []struct {
		what        string
		first, last time.Time
		want        string
	}{
		{"all of both", clock(11, 0, 0), clock(13, 59, 59), "13:00:00-14:00:03 12:00:00-13:00:00 whole"},
		{"to the second", clock(12, 0, 0), clock(14, 0, 0), "13:00:00-14:00:03 12:00:00-13:00:00 whole"},
		{"a quiet server", clock(11, 0, 0), clock(13, 51, 0), "13:00:00-14:00:03 12:00:00-13:00:00 whole"},
		{"the logs begin late", clock(12, 20, 0), clock(14, 0, 0), "13:20:00-14:00:00 12:20:00-13:00:00"},
		{"the logs have ended", clock(11, 0, 0), clock(13, 40, 0), "13:00:00-13:40:01 12:00:00-12:40:01"},
		{"both", clock(12, 10, 0), clock(13, 45, 0), "13:10:00-13:45:01 12:10:00-12:45:01"},
		{"a quarter at least", clock(12, 46, 0), clock(14, 0, 0), ""},
		{"nothing before", clock(13, 10, 0), clock(14, 0, 0), ""},
		{"nothing since", clock(11, 0, 0), clock(12, 59, 0), ""},
		{"no line", time.Time{}, time.Time{}, ""},
	} {
		got := ""
		if x := p.comparison(c.first, c.last); x != nil {
			got = fmt.Sprintf("%s-%s %s-%s", x.now.since.Format(time.TimeOnly), x.now.until.Format(time.TimeOnly), x.then.since.Format(time.TimeOnly), x.then.until.Format(time.TimeOnly))
			if x.whole {
				got += " whole"
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// TestChange holds what the column change says: the difference of the parts that are
// compared, a dash where nothing is, and in words which part where that is not all.
func TestChange(t *testing.T) {
	s := &script{}
	mail := func(ago time.Duration, n int) {
		for range n {
			s.mail(now.Add(-ago), "news@shop.test", "a@firma.example", outlook, "bounced", "5.7.1", "host "+strings.TrimSuffix(outlook, ":25")+" said: 550 5.7.1 refused (in reply to end of DATA command)", 1)
		}
	}
	mail(100*time.Minute, 2) // the logs begin here: 20 minutes into the window before
	mail(90*time.Minute, 1)
	mail(50*time.Minute, 9) // not compared
	mail(30*time.Minute, 4)
	mail(0, 1)
	db := stored(t, s.b.String())
	for _, c := range []struct {
		window          time.Duration
		attempts        int64
		change, compare string
	}{
		{15 * time.Minute, 1, "−3", ""},
		{time.Hour, 14, "+2", "change: of 13:51–14:31 against 12:51–13:31, what the logs cover"},
		{4 * time.Hour, 17, "–", ""},
	} {
		o := options(t, db)
		a := &asker{o: &o}
		r, err := db.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for v := range viewNames {
			if view(v) == viewQueue {
				continue
			}
			ans, err := a.ask(t.Context(), r, question{kind: pageTable, view: view(v), window: c.window}, now)
			if err != nil {
				t.Fatal(err)
			}
			x := ans.table.rows[0]
			at := slices.IndexFunc(ans.table.columns, func(c column) bool { return c.name == "change" })
			words, _ := ans.compared.words(now, time.UTC)
			if x.cells[0].n != c.attempts || x.cells[at].text != c.change || words != c.compare {
				t.Errorf("%s, %s: %d, change %s (%q), want %d, %s (%q)", spanShort(c.window), viewNames[v], x.cells[0].n, x.cells[at].text, words, c.attempts, c.change, c.compare)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestChangeWords holds that the screen says which part is compared, where the table has a
// change and nowhere else, and whole at every width.
func TestChangeWords(t *testing.T) {
	m := opened(t, options(t, stored(t, sampleLog())), 80, 24)
	m.keys("+") // four hours: the logs begin with the window
	m.d.now = now
	m.s.page().ans.compared = &comparison{
		now:  period{since: now.Add(-30 * time.Minute), until: now},
		then: period{since: now.Add(-90 * time.Minute), until: now.Add(-time.Hour)},
	}
	for width := LeastWidth; width < 200; width++ {
		m.s.width = width
		long, short := "change: of 14:01–14:31 against 13:01–13:31, what the logs cover", "change: of 14:01–14:31"
		if s := m.text(); !strings.Contains(s, short) || strings.Contains(s, "against") && !strings.Contains(s, long) || width >= 80 && !strings.Contains(s, long) {
			t.Fatalf("%d columns:\n%s", width, s)
		}
	}
	m.keys("enter")
	m.s.page().ans.compared = m.s.stack[0].ans.compared
	if s := m.text(); strings.Contains(s, "change: of") {
		t.Errorf("where there is no change:\n%s", s)
	}
}

// TestFixedPeriod holds that a period of the options is shown as it is: the head says so, no
// key changes it, and it counts what the report counts.
func TestFixedPeriod(t *testing.T) {
	db := stored(t, sampleLog())
	o := options(t, db)
	o.Since, o.Until = now.Add(-3*time.Hour+500*time.Millisecond), now.Add(-time.Hour)
	m := opened(t, o, 100, 24)
	want := m.s.page().ans.table.rows
	for range 2 {
		if s := m.text(); !strings.Contains(s, "11:31–13:31  14:31:07\n") || strings.Contains(s, "window") {
			t.Errorf("the head and the foot:\n%s", s)
		}
		m.keys("+")
		if s := m.text(); !strings.Contains(s, "--since and --until have set the period") {
			t.Errorf("after +:\n%s", s)
		}
		m.keys("-", "p", "p")
	}
	r, err := db.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rep, err := report.Build(t.Context(), r, report.Options{Filter: store.Filter{Since: o.Since, Until: o.Until}, Sections: []string{report.SectionProviders}})
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != len(rep.ProviderTable.Rows) || len(want) < 3 {
		t.Fatalf("%d rows, the report has %d", len(want), len(rep.ProviderTable.Rows))
	}
	for i, x := range rep.ProviderTable.Rows {
		if got := want[i]; got.name != x.Provider || got.cells[0].n != x.Attempts || got.cells[2].n != x.Soft || got.cells[4].n != x.Hard || got.cells[5].n != x.Refused {
			t.Errorf("%v, the report has %+v", got, x)
		}
	}
}

// TestWait holds that wait is what the table of the queue has, whatever the window, also where
// nothing was tried in it and where no relay was reached.
func TestWait(t *testing.T) {
	log := &script{}
	const later = "host mx said: 451 4.7.1 later (in reply to RCPT TO command)"
	for _, ago := range []time.Duration{90 * time.Minute, 5 * time.Minute} { // one message
		log.n = 100
		log.mail(now.Add(-ago), "s@shop.test", "a@firma.example", outlook, "deferred", "4.7.1", later, int((90*time.Minute-ago)/time.Second)+1)
	}
	log.mail(now.Add(-3*time.Hour), "s@shop.test", "b@firma.example", outlook, "deferred", "4.7.1", later, 1)
	log.mail(now.Add(-2*time.Hour), "s@shop.test", "c@gmx.example", gmx, "deferred", "4.7.1", later, 1)
	log.mail(now.Add(-time.Minute), "s@shop.test", "d@gmail.example", google, "sent", "2.0.0", "250 2.0.0 OK", 1)
	log.mail(now.Add(-time.Minute), "s@shop.test", "e@firma.example", "none", "deferred", "4.4.1", "connect to mx[192.0.2.4]:25: Connection timed out", 1)
	db := stored(t, log.b.String())
	for i, word := range Windows() {
		for _, until := range []time.Time{{}, now.Add(-time.Hour)} {
			o := options(t, db)
			o.Window = windows[i]
			if !until.IsZero() {
				o.Since, o.Until = until.Add(-windows[i]), until
			}
			m := opened(t, o, 120, 24)
			waits := func(key string, at int) map[string]int64 {
				m.keys(key)
				sums := map[string]int64{}
				for _, x := range m.s.page().rows() {
					if n := x.cells[at].n; n > 0 {
						sums[x.name] = n
					}
				}
				return sums
			}
			queue, providers, domains := waits("5", 0), waits("1", 3), waits("2", 3)
			all := queue["all"]
			delete(queue, "all")
			if want := map[bool]int64{true: 4, false: 3}[until.IsZero()]; all != want || !maps.Equal(queue, providers) {
				t.Errorf("%s until %v: the queue has %v, wait is %v", word, until, queue, providers)
			}
			if until.IsZero() { // one row of a provider where nothing was tried
				m.keys("1")
				rows := m.s.page().rows()
				at := slices.IndexFunc(rows, func(x row) bool { return x.name == "gmx.net" })
				m.s.page().move(at, 0, rows)
				m.keys("enter")
				if s := m.text(); !strings.Contains(s, "c@gmx.example") && rows[at].cells[0].n == 0 || rows[at].words == "" {
					t.Errorf("%s: enter on what only waits:\n%s", word, s)
				}
				m.keys("esc")
			}
			if want := all - 1; domains["firma.example"] != want || domains["gmx.example"] != 1 {
				t.Errorf("%s until %v: wait of domains is %v", word, until, domains)
			}
		}
	}
}

// TestQueueOfPast holds that the queue of a past period, or of a paused screen, has no message
// that was deferred first after it, and says so.
func TestQueueOfPast(t *testing.T) {
	log := &script{}
	for i, ago := range []time.Duration{3 * time.Hour, 2 * time.Hour, time.Minute} {
		log.mail(now.Add(-ago), "s@shop.test", fmt.Sprintf("q%d@firma.example", i), outlook, "deferred", "4.7.1", "host mx said: 451 4.7.1 later (in reply to RCPT TO command)", 1)
	}
	o := options(t, stored(t, log.b.String()))
	for _, c := range []struct {
		until time.Duration
		keys  []string
		want  int64
	}{{0, []string{"5"}, 3}, {time.Hour, []string{"5"}, 2}, {0, []string{"5", "enter"}, 3}, {time.Hour, []string{"5", "enter"}, 2}} {
		if o.Since, o.Until = (time.Time{}), (time.Time{}); c.until > 0 {
			o.Since, o.Until = now.Add(-4*time.Hour), now.Add(-c.until)
		}
		m := opened(t, o, 100, 24)
		m.keys(c.keys...)
		page := m.s.page()
		got := int64(len(page.rows()))
		if len(c.keys) == 1 {
			got = page.rows()[0].cells[0].n
		}
		if s := m.text(); got != c.want || strings.Contains(s, "deferred by the end of the period and still queued") != (c.until > 0) {
			t.Errorf("until %s before, %q: %d of %d:\n%s", c.until, c.keys, got, c.want, s)
		}
	}
}
