package when

import (
	"testing"
	"time"
)

func TestParsePeriod(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones on this machine:", err)
	}
	now := time.Date(2026, 11, 23, 14, 5, 6, 0, berlin) // a Monday
	for _, test := range []struct{ word, since, until string }{
		{"today", "2026-11-23T00:00:00+01:00", "2026-11-24T00:00:00+01:00"},
		{"yesterday", "2026-11-22T00:00:00+01:00", "2026-11-23T00:00:00+01:00"},
		{"this_week", "2026-11-23T00:00:00+01:00", "2026-11-30T00:00:00+01:00"},
		{"last week", "2026-11-16T00:00:00+01:00", "2026-11-23T00:00:00+01:00"},
		{"this month", "2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00"},
		{"Last_Month", "2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00"}, // summer time ends in it
		{"Monday", "2026-11-23T00:00:00+01:00", "2026-11-24T00:00:00+01:00"},
		{"tuesday", "2026-11-17T00:00:00+01:00", "2026-11-18T00:00:00+01:00"},
		{"last_7_days", "2026-11-16T00:00:00+01:00", "2026-11-23T00:00:00+01:00"},
		{"last 30 days", "2026-10-24T00:00:00+02:00", "2026-11-23T00:00:00+01:00"},
		{"2026-W47", "2026-11-16T00:00:00+01:00", "2026-11-23T00:00:00+01:00"},
		{"2026-w01", "2025-12-29T00:00:00+01:00", "2026-01-05T00:00:00+01:00"},
		{"2026-W53", "2026-12-28T00:00:00+01:00", "2027-01-04T00:00:00+01:00"},
		{"2026-W46 to 2026-W47", "2026-11-09T00:00:00+01:00", "2026-11-23T00:00:00+01:00"},
		{"2026-11", "2026-11-01T00:00:00+01:00", "2026-12-01T00:00:00+01:00"},
		{"2026-10-25", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"}, // 25 hours long
		{"2026-11-01 to 2026-11-15", "2026-11-01T00:00:00+01:00", "2026-11-16T00:00:00+01:00"},
		{"2026-09 - 2026-10", "2026-09-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00"},
	} {
		p, err := ParsePeriod(test.word, now)
		if err != nil {
			t.Errorf("ParsePeriod(%q): %v", test.word, err)
			continue
		}
		if since, until := p.Since.Format(time.RFC3339), p.Until.Format(time.RFC3339); since != test.since || until != test.until {
			t.Errorf("ParsePeriod(%q) = %s to %s, want %s to %s", test.word, since, until, test.since, test.until)
		}
	}
	for _, word := range []string{"", "tomorrow", "2026-13", "2026-11-31", "2026-11-15 to 2026-11-01", "to", "2026-11-01 to x", "mon", "last_0_days", "last_x_days", "last_99999999_days", "2026-W00", "2025-W53", "2026-W7", "99999-W01"} {
		if p, err := ParsePeriod(word, now); err == nil {
			t.Errorf("ParsePeriod(%q) = %v, want an error", word, p)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 5, 6, 0, time.UTC)
	for _, test := range []struct{ word, want string }{
		{"2026-11-22", "2026-11-22T00:00:00Z"},
		{"2026-11-22 14:05", "2026-11-22T14:05:00Z"},
		{"2026-11-22 14:05:59", "2026-11-22T14:05:59Z"},
		{"2026-11-22T14:05:00+01:00", "2026-11-22T14:05:00+01:00"},
		{"24h", "2026-11-22T14:05:06Z"},
		{"90m", "2026-11-23T12:35:06Z"},
		{"7d", "2026-11-16T14:05:06Z"},
		{"yesterday", "2026-11-22T00:00:00Z"},
		{"Friday", "2026-11-20T00:00:00Z"},
	} {
		got, err := ParseTime(test.word, now)
		if err != nil || got.Format(time.RFC3339) != test.want {
			t.Errorf("ParseTime(%q) = %v, %v, want %s", test.word, got, err, test.want)
		}
	}
	for _, word := range []string{"", "never", "-24h", "-7d", "7 days", "2026-02-30", "1e9d", "99999999d", "last_week", "2026-11"} {
		if got, err := ParseTime(word, now); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", word, got)
		}
	}
}

func TestPeriodBefore(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	day := func(y, m, d int) time.Time { return time.Date(y, time.Month(m), d, 0, 0, 0, 0, berlin) }
	for _, c := range []struct{ since, until, want time.Time }{
		{day(2026, 10, 25), day(2026, 10, 26), day(2026, 10, 24)}, // 25 hours
		{day(2026, 10, 26), day(2026, 10, 27), day(2026, 10, 25)}, // the day after
		{day(2026, 3, 29), day(2026, 3, 30), day(2026, 3, 28)},    // 23 hours
		{day(2026, 3, 1), day(2026, 4, 1), day(2026, 2, 1)},       // a month
		{day(2026, 1, 1), day(2027, 1, 1), day(2025, 1, 1)},
		{day(2026, 11, 16), day(2026, 11, 23), day(2026, 11, 9)}, // a week
		{day(2026, 11, 16).Add(time.Hour), day(2026, 11, 16).Add(3 * time.Hour), day(2026, 11, 15).Add(23 * time.Hour)},
	} {
		got := Period{c.since, c.until}.Before(berlin)
		if !got.Since.Equal(c.want) || !got.Until.Equal(c.since) {
			t.Errorf("before %s to %s: %s to %s, want from %s", c.since, c.until, got.Since, got.Until, c.want)
		}
	}
}
