// Package when reads and writes periods and points in time in the words of the
// command line.
package when

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Period is a stretch of time, Since included, Until not. A zero end is
// open.
type Period struct {
	Since time.Time
	Until time.Time
}

// Before is the period of the same length before p, which must be closed: whole
// months for whole months of loc, whole days for whole days, whatever the
// clocks do.
func (p Period) Before(loc *time.Location) Period {
	midnight := func(t time.Time) bool {
		t = t.In(loc)
		return t.Equal(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, loc))
	}
	since, until := p.Since.In(loc), p.Until.In(loc)
	if !midnight(since) || !midnight(until) {
		return Period{p.Since.Add(-p.Until.Sub(p.Since)), p.Since}
	}
	if since.Day() == 1 && until.Day() == 1 {
		months := 12*(until.Year()-since.Year()) + int(until.Month()-since.Month())
		return Period{since.AddDate(0, -months, 0), p.Since}
	}
	days := int(until.Sub(since)+12*time.Hour) / int(24*time.Hour)
	return Period{since.AddDate(0, 0, -days), p.Since}
}

// ParsePeriod reads pflogsumm's words for a period, as of now and in now's
// location: today, yesterday, this_week, last_week (weeks begin on Monday),
// this_month, last_month; a day of the week, the last one, which may be today;
// last_7_days, whole ones, up to yesterday; 2026-11, 2026-W47 (ISO 8601),
// 2026-11-22, and two of the last three forms with " to " or " - " between them,
// both included. Underscores and blanks are the same.
func ParsePeriod(word string, now time.Time) (Period, error) {
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	month := day.AddDate(0, 0, 1-day.Day())
	week := day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
	name := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(word)), " ", "_")
	switch name {
	case "today":
		return Period{day, day.AddDate(0, 0, 1)}, nil
	case "yesterday":
		return Period{day.AddDate(0, 0, -1), day}, nil
	case "this_week":
		return Period{week, week.AddDate(0, 0, 7)}, nil
	case "last_week":
		return Period{week.AddDate(0, 0, -7), week}, nil
	case "this_month":
		return Period{month, month.AddDate(0, 1, 0)}, nil
	case "last_month":
		return Period{month.AddDate(0, -1, 0), month}, nil
	}
	for d := range 7 {
		if day := day.AddDate(0, 0, -d); strings.ToLower(day.Weekday().String()) == name {
			return Period{day, day.AddDate(0, 0, 1)}, nil
		}
	}
	if rest, ok := strings.CutPrefix(name, "last_"); ok {
		if days, ok := strings.CutSuffix(rest, "_days"); ok {
			if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
				return Period{day.AddDate(0, 0, -int(n)), day}, nil
			}
		}
	}
	for _, between := range []string{" to ", " - ", "_to_"} {
		if from, to, ok := strings.Cut(word, between); ok {
			a, err := parseDate(from, now.Location())
			if err != nil {
				return Period{}, err
			}
			b, err := parseDate(to, now.Location())
			if err != nil {
				return Period{}, err
			}
			if !a.Since.Before(b.Until) {
				return Period{}, fmt.Errorf("the period %q ends before it begins", word)
			}
			return Period{a.Since, b.Until}, nil
		}
	}
	return parseDate(word, now.Location())
}

// parseDate reads a month, a week or a day, whole.
func parseDate(word string, loc *time.Location) (Period, error) {
	word = strings.TrimSpace(word)
	if t, err := time.ParseInLocation("2006-01-02", word, loc); err == nil {
		return Period{t, t.AddDate(0, 0, 1)}, nil
	}
	if t, err := time.ParseInLocation("2006-01", word, loc); err == nil {
		return Period{t, t.AddDate(0, 1, 0)}, nil
	}
	if year, week, ok := strings.Cut(strings.ToUpper(word), "-W"); ok && len(year) == 4 && len(week) == 2 {
		y, err1 := strconv.ParseUint(year, 10, 16)
		w, err2 := strconv.ParseUint(week, 10, 8)
		if err1 == nil && err2 == nil {
			day := time.Date(int(y), 1, 4, 0, 0, 0, 0, loc) // in the first week
			day = day.AddDate(0, 0, 7*(int(w)-1)-(int(day.Weekday())+6)%7)
			if gotY, gotW := day.ISOWeek(); gotY == int(y) && gotW == int(w) {
				return Period{day, day.AddDate(0, 0, 7)}, nil
			}
		}
	}
	return Period{}, fmt.Errorf("%q is not a period", word)
}

// ParseTime reads a point in time, as of now and in now's location: a day (its
// beginning; as a date, or as today, yesterday or a day of the week), a day with
// a time ("2026-11-22 14:05", seconds if you like), RFC 3339, or how long ago
// ("90m", "24h", "7d").
func ParseTime(word string, now time.Time) (time.Time, error) {
	word = strings.TrimSpace(word)
	if days, ok := strings.CutSuffix(word, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(days+"\n", "%d\n", &n); err == nil && n >= 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(word); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, word, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse(time.RFC3339, word); err == nil {
		return t, nil
	}
	if p, err := ParsePeriod(word, now); err == nil && p.Until.Equal(p.Since.AddDate(0, 0, 1)) {
		return p.Since, nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time", word)
}

// Span is a length of time in words, in the one or two units that say most.
func Span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d/time.Hour%24)
	case d >= time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d/time.Minute%60)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// Known reports whether t is the time of a line: attempts without a time are stored at the
// beginning of time, and no mail was logged before RFC 821 (1982).
func Known(t time.Time) bool { return t.Year() >= 1982 }

// Stamp is t in a layout; "time unknown" where it is not (see Known).
func Stamp(t time.Time, layout string) string {
	if !Known(t) {
		return "time unknown"
	}
	return t.Format(layout)
}
