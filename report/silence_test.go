package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

func TestAgeWords(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		newest time.Duration // before now
		want   string
		ahead  time.Duration
	}{
		{5 * time.Minute, "5 min ago", 0},
		{0, "0 s ago", 0},
		{-30 * time.Second, "0 s ago", 0}, // the skew of two clocks
		{-time.Minute, "1 min in the future", time.Minute},
		{-2 * time.Hour, "2 h 0 min in the future", 2 * time.Hour},
	} {
		at := now.Add(-c.newest)
		if got := AgeWords(at, now); got != c.want || ahead(at, now) != c.ahead {
			t.Errorf("%v: %q, %v", c.newest, got, ahead(at, now))
		}
	}
}

// TestGapsOfSelection holds that the usual number of attempts in a gap counts the mail that a
// report selects.
func TestGapsOfSelection(t *testing.T) {
	begin := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	hours := func(n int64) (list []Point) {
		for h := range 5 * 24 {
			if h < 80 || h >= 90 {
				list = append(list, Point{Time: begin.Add(time.Duration(h) * time.Hour), Delivered: n})
			}
		}
		return list
	}
	all := hours(30)
	for _, test := range []struct {
		of   []Point
		want int64 // attempts; 0: no gap
	}{{all, 300}, {hours(2), 20}, {hours(1), 10}, {nil, 0}} {
		var got int64
		for _, g := range gaps(all, test.of, nil) {
			got += g.Expected
		}
		if got != test.want {
			t.Errorf("%d hours with mail: %d attempts would be usual, want %d", len(test.of), got, test.want)
		}
	}
}

// TestHostGaps holds that a host of a common log that is silent for long while the other logs is
// named: not a host that is silent at each weekend or was new, nor when nobody logs.
func TestHostGaps(t *testing.T) {
	begin := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC) // a Monday
	hours := func(to int, logs func(h int) bool) (list []Point) {
		for h := range to {
			if logs(h) {
				list = append(list, Point{Time: begin.Add(time.Duration(h) * time.Hour), Delivered: 10})
			}
		}
		return list
	}
	always := func(int) bool { return true }
	weekdays := func(h int) bool { return h/24%7 < 5 }
	silent := func(from, to int) func(int) bool { return func(h int) bool { return h < from || h >= to } }
	for _, test := range []struct {
		name          string
		first, second func(int) bool
		want          string
	}{
		{"both log", always, always, ""},
		{"one is silent for two days", always, silent(10*24, 12*24), "mx2 48 h"},
		{"one is silent at the end", always, silent(11*24, 14*24), "mx2 72 h"},
		{"both are silent", silent(10*24, 12*24), silent(10*24, 12*24), ""},
		{"one is silent at weekends", always, weekdays, ""},
		{"one is silent for some hours", always, silent(10*24, 10*24+6), ""},
		{"one was new", always, silent(3*24, 5*24), ""},
	} {
		got := ""
		for _, g := range hostGaps(map[string][]Point{"mx1": hours(14*24, test.first), "mx2": hours(14*24, test.second)}, begin.Add((14*24-1)*time.Hour)) {
			got += fmt.Sprintf("%s %.0f h", g.Host, g.To.Sub(g.From).Hours())
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestRetriesAreNotUsual holds that nights in which queued mail was retried make no gap of a quiet night,
// and no silence of a night without mail.
func TestRetriesAreNotUsual(t *testing.T) {
	begin := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	var hours []Point
	for h := range 10*24 + 1 {
		p := Point{Time: begin.Add(time.Duration(h) * time.Hour), Delivered: 30}
		if night := h%24 < 6; night {
			p.Delivered = 0
			if h >= 3*24 {
				p.Soft = 50
			}
		}
		if p.Delivered+p.Soft > 0 {
			hours = append(hours, p)
		}
	}
	if found := gaps(hours, hours, nil); len(found) > 0 {
		t.Errorf("gaps: %+v", found)
	}
	midnight := begin.Add(10 * 24 * time.Hour)
	if n := usualAttempts(hours, midnight, midnight.Add(5*time.Hour)); n != 0 {
		t.Errorf("%d attempts are usual at night", n)
	}
	if n := usualAttempts(hours, midnight, midnight.Add(9*time.Hour)); n != 90 {
		t.Errorf("%d attempts are usual until nine, want 90", n)
	}
}

// TestQuietNights holds that the quiet nights of a log of few days are neither a gap nor a silence, and
// that hours without a log in the day are.
func TestQuietNights(t *testing.T) {
	begin := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	day := []int64{6, 2, 0, 0, 0, 4, 9, 30, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 25, 20, 15, 12, 9, 7}
	for _, n := range []int{24, 31, 48, 55, 71} {
		var hours, missing []Point
		for h := range n {
			p := Point{Time: begin.Add(time.Duration(h) * time.Hour), Delivered: day[h%24]}
			if h > 24 && (h%24 == 1 || h%24 == 23) {
				p.Delivered = 0 // by chance
			}
			if p.Delivered == 0 {
				continue
			}
			hours = append(hours, p)
			if h < 10 || h >= 15 {
				missing = append(missing, p)
			}
		}
		if found := gaps(hours, hours, nil); len(found) > 0 {
			t.Errorf("%d hours: gaps %+v", n, found)
		}
		if found := gaps(missing, missing, nil); len(found) != 1 || found[0].From.Hour() != 10 || found[0].To.Hour() != 15 {
			t.Errorf("%d hours: gaps %+v, want 10 to 15", n, found)
		}
		last := hours[len(hours)-1].Time.Add(time.Hour)
		morning := last.Truncate(24 * time.Hour).Add(29 * time.Hour)
		if silent := usualAttempts(hours, last, morning); last.Hour() >= 22 && silent >= gapExpected {
			t.Errorf("%d hours: %d attempts are usual until %v", n, silent, morning)
		}
	}
}

// TestGapOfDay holds that a gap has one size in every report, derived from the whole log, and that
// its hours are not compared.
func TestGapOfDay(t *testing.T) {
	start := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	build := mailLog(t, start, func(add func(at time.Duration, sender, domain string, outcome bounce.Outcome, reason bounce.Reason)) {
		for i := range 7 * 24 * 20 {
			at := time.Duration(i) * 3 * time.Minute
			if hour := int(at / time.Hour); hour/24 == 4 && hour%24 >= 8 && hour%24 < 16 {
				continue
			}
			outcome, reason := bounce.Delivered, bounce.NoReason
			if i%20 == 7 {
				outcome, reason = bounce.Hard, bounce.UserUnknown
			}
			add(at, "shop.example", "large.example", outcome, reason)
			if hour := int(at/time.Hour) % 24; hour >= 8 && hour < 16 { // most mail is sent during the day
				for range 4 {
					add(at, "shop.example", "large.example", bounce.Delivered, bounce.NoReason)
				}
			}
		}
	})
	const day = 24 * time.Hour
	for _, c := range []struct {
		name     string
		days     [2]int
		expected int64
		compared int   // hours
		before   int64 // attempts
	}{
		{"the day of the gap", [2]int{4, 5}, 800, 16, 320},
		{"the day after", [2]int{5, 6}, 0, 16, 320},
		{"another day", [2]int{3, 4}, 0, 24, 1120},
		{"three days", [2]int{4, 7}, 800, 64, 2560},
	} {
		r := build(Options{Filter: store.Filter{Since: start.Add(time.Duration(c.days[0]) * day), Until: start.Add(time.Duration(c.days[1]) * day)}})
		for _, list := range [][]Gap{r.Verdict.Gaps, r.Unparsed.Gaps} {
			var got int64
			for _, g := range list {
				got += g.Expected
			}
			if got != c.expected {
				t.Errorf("%s: %d attempts would be usual, want %d", c.name, got, c.expected)
			}
		}
		if x := r.Comparison; x == nil || x.Covered != c.compared || x.Before.Attempts != c.before || x.Counts.Attempts != c.before {
			t.Errorf("%s: compared %+v", c.name, x)
		}
		if len(r.Changes) > 0 {
			t.Errorf("%s: %+v", c.name, r.Changes)
		}
	}
}

// TestEndInGap holds that the end of an incident has no exact time if no log was read around it.
func TestEndInGap(t *testing.T) {
	refusals := deferrals("busy.example", 40, 9*oneDay, time.Hour/2, time.Hour, 0, "")
	for i := range refusals {
		refusals[i].listed = true
	}
	days := queueDays(t, 20*oneDay, sent("busy.example", 9*400, 0, oneDay/400), refusals, sent("fine.example", 400, 9*oneDay, oneDay/400),
		sent("busy.example", 5*400, 13*oneDay+2*time.Hour, oneDay/400))
	const want = "ended between 2026-05-13 19:30 and 2026-05-17 02:00 (no log)"
	for _, period := range [][2]int{{0, 20}, {9, 10}} {
		r := days(period[0], period[1])
		found := r.Incidents()
		if len(found) != 1 {
			t.Fatalf("days %v: %d incidents", period, len(found))
		}
		if got := r.Course(&found[0]); !strings.HasPrefix(got, want) || !strings.Contains(r.Verdict.Sentence, want) {
			t.Errorf("days %v: %q, %q, want %q", period, got, r.Verdict.Sentence, want)
		}
	}
	for day, tells := range map[int]bool{8: false, 13: true, 14: false} {
		v := days(day, day+1).Verdict
		if got := strings.Contains(v.Sentence, "Ended since the last report: busy.example defers shop.example: listed by spamhaus-zen, "+strings.TrimPrefix(want, "ended ")); got != tells || len(v.EndedBefore) != bit(tells) || v.Status != StatusQuiet {
			t.Errorf("day %d: %s, %q, %d incidents; tells its end: want %v", day, v.Status, v.Sentence, len(v.EndedBefore), tells)
		}
	}
}
