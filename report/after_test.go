package report

import (
	"strings"
	"testing"
	"time"

	"bouncelog/store"
)

// TestEndedSince holds that the end of an incident that a morning's report called going on is in the next
// one, and in no other, though no message was refused on the day of that report.
func TestEndedSince(t *testing.T) {
	const morning = 7 * hour
	refused := deferrals("big.example", 40, 2*oneDay+9*hour, 12*time.Minute, hour, 0, "")
	for i := range refused {
		refused[i].listed = true
	}
	for _, c := range []struct {
		name     string
		after    []deferral // mail to the same receiver after the last refusal
		tells    int        // the day whose report tells the end
		clock    string
		going    []int  // the days whose reports say that it goes on
		sentence string // of the report of the next day
	}{
		{"little mail on the evening, more on the next day", sent("big.example", 40, 2*oneDay+20*hour, 12*hour), 3, "2026-05-06 20:00", []int{2}, ""},
		{"mail in the night after the next day", sent("big.example", 20, 4*oneDay+hour, 10*time.Minute), 3, "2026-05-08 01:00", []int{2}, ""},
		{"enough mail on the evening", sent("big.example", 300, 2*oneDay+18*hour, 4*time.Minute), -1, "", nil, ""},
		{"no more mail", nil, -1, "", []int{2, 3, 4}, ""}, // nothing shows an end
	} {
		for day := 2; day < 7; day++ {
			v := queueLog(t, time.Duration(day+1)*oneDay+morning, sent("fine.example", 8*200, 0, oneDay/200), sent("big.example", 2*200, 0, oneDay/200), refused, c.after)(day).Verdict
			want := "Ended since the last report: big.example defers shop.example: listed by spamhaus-zen, " + c.clock + "."
			if got := strings.Contains(v.Sentence, want); got != (day == c.tells) || len(v.EndedBefore) != bit(day == c.tells) {
				t.Errorf("%s, day %d: %q, %d incidents; want the end: %v", c.name, day, v.Sentence, len(v.EndedBefore), day == c.tells)
			}
			going := false
			for _, d := range c.going {
				going = going || d == day
			}
			if got := v.Going+len(v.Later) > 0; got != going {
				t.Errorf("%s, day %d: %q; want it going on: %v", c.name, day, v.Sentence, going)
			}
		}
	}
}

// TestEndedSinceQuietNights holds the same for a server that sends little mail, and none at night: the logs of
// its mornings end before the period does.
func TestEndedSinceQuietNights(t *testing.T) {
	var fine, refused []deferral
	for day := range time.Duration(12) {
		fine = append(fine, sent("fine.example", 10, day*oneDay+9*hour, hour)...)
	}
	for i, n := range []int{3, 3, 1, 1, 1} {
		refused = append(refused, deferrals("big.example", n, time.Duration(4+i)*oneDay+10*hour, hour, hour, 0, "refused")...)
	}
	for i := range refused {
		refused[i].listed = true
	}
	taken := append(sent("big.example", 4, 9*hour+10*time.Minute, oneDay), sent("big.example", 4, 9*oneDay+9*hour+10*time.Minute, 2*hour)...)
	const going = "1 incident is going on: big.example refuses shop.example: listed by spamhaus-zen, since 2026-05-08 10:00"
	for day, want := range map[int]string{
		7:  going,
		8:  going,
		9:  "No incident. Nothing was refused on our account. Ended since the last report: big.example refuses shop.example: listed by spamhaus-zen, 2026-05-13 09:10.",
		10: "No incident. Nothing was refused on our account.",
	} {
		end := time.Duration(day+1) * oneDay
		for _, asked := range []time.Duration{7 * hour, 9 * oneDay} { // after the end of the period
			o := Options{Filter: store.Filter{Since: mondays.Add(end - oneDay), Until: mondays.Add(end)}, Location: time.UTC, Live: true, Now: mondays.Add(end + asked)}
			if got := queueBuild(t, end-5*hour, fine, refused, taken)(o).Verdict.Sentence; !strings.HasPrefix(got, want) || day > 8 && got != want {
				t.Errorf("day %d, read %v later: %q, want %q", day, asked, got, want)
			}
		}
	}
}

// TestLaterEntry holds that the report has the check and the command of an incident beside its period: one
// that began since, or whose end is not known.
func TestLaterEntry(t *testing.T) {
	const morning = 7 * hour
	for _, c := range []struct {
		name            string
		at              time.Duration // the first of 40 refusals
		sentence, entry string
		command         string
	}{
		{
			"began since", 4*oneDay + hour, "After the period: big.example defers shop.example: listed by spamhaus-zen, since 2026-05-08 01:00, all ",
			"After the period: big.example defers shop.example: listed by spamhaus-zen (since 2026-05-08 01:00). Check first: ", "bouncelog report --since 2026-05-08 --db x.db",
		},
		{
			"too few in the period", 4*oneDay - 15*time.Minute, "Proven after the period: big.example defers shop.example: listed by spamhaus-zen, since 2026-05-07 23:45, all ",
			"Proven after the period: big.example defers shop.example: listed by spamhaus-zen (since 2026-05-07 23:45). Check first: ", "bouncelog report --since 2026-05-07 --db x.db",
		},
		{
			"no mail since", 2*oneDay + 18*hour, "Not known to have ended: big.example defers shop.example: listed by spamhaus-zen, since 2026-05-06 18:00, last seen 2026-05-06 23:51, all ",
			"Not known to have ended: big.example defers shop.example: listed by spamhaus-zen (since 2026-05-06 18:00). Check first: ", "bouncelog report --since 2026-05-06 --db x.db",
		},
		{
			"no mail for two days", oneDay + 18*hour, "Not known to have ended: big.example defers shop.example: listed by spamhaus-zen, since 2026-05-05 18:00, last seen 2026-05-05 23:51, all ",
			"Not known to have ended: big.example defers shop.example: listed by spamhaus-zen (since 2026-05-05 18:00). Check first: ", "bouncelog report --since 2026-05-05 --db x.db",
		},
	} {
		refused := deferrals("big.example", 40, c.at, 9*time.Minute, hour, 0, "")
		for i := range refused {
			refused[i].listed = true
		}
		build := queueBuild(t, 4*oneDay+morning, sent("fine.example", 8*200, 0, oneDay/200), sent("big.example", int(min(c.at, 2*oneDay)*200/oneDay), 0, oneDay/200), refused)
		r := build(Options{Filter: store.Filter{Since: mondays.Add(3 * oneDay), Until: mondays.Add(4 * oneDay)}, Location: time.UTC, Rerun: []string{"--db", "x.db", "-d", "2026-05-07"}})
		if !strings.Contains(r.Verdict.Sentence, c.sentence) {
			t.Errorf("%s: %q, want %q", c.name, r.Verdict.Sentence, c.sentence)
		}
		var found []Note
		for _, n := range r.verdictSection(false).Notes {
			if strings.HasPrefix(n.Text, c.entry) {
				found = append(found, n)
			}
		}
		if len(found) != 1 || found[0].Command != c.command || r.Verdict.Later[0].Command != c.command {
			t.Errorf("%s: %+v, want %q and the command %q", c.name, found, c.entry, c.command)
		}
	}
}
