package parser

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// times parses stamps and returns their times in loc.
func times(t *testing.T, o Options, stamps ...string) []string {
	t.Helper()
	p := New(nil, o)
	var out []string
	for _, s := range stamps {
		var r Result
		if kind := p.Parse([]byte(s+" mx1 cron[1]: x"), 0, &r); kind != Skipped {
			t.Fatalf("%q: %v", s, kind)
		}
		out = append(out, r.Time.In(o.Location).Format("2006-01-02 15:04:05 -0700"))
	}
	return out
}

func TestYear(t *testing.T) {
	modified := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		o      Options
		stamps []string
		want   []string
	}{
		{
			"the latest year in which the file is not older",
			Options{},
			[]string{"Nov 23 11:00:00"},
			[]string{"2026-11-23 11:00:00 +0000"},
		},
		{
			"a day's slack",
			Options{},
			[]string{"Nov 24 11:00:00"},
			[]string{"2026-11-24 11:00:00 +0000"},
		},
		{
			"else the year before",
			Options{},
			[]string{"Nov 25 11:00:00"},
			[]string{"2025-11-25 11:00:00 +0000"},
		},
		{
			"a file's time that is none",
			Options{Modified: time.Unix(0, 0), Now: modified},
			[]string{"Nov 23 11:00:00"},
			[]string{"2026-11-23 11:00:00 +0000"},
		},
		{
			"the turn of the year in the middle",
			Options{Modified: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)},
			[]string{"Dec 31 23:59:59", "Jan  1 00:00:00", "Dec 31 23:59:58", "Jan  1 00:00:01"},
			[]string{"2025-12-31 23:59:59 +0000", "2026-01-01 00:00:00 +0000", "2025-12-31 23:59:58 +0000", "2026-01-01 00:00:01 +0000"},
		},
		{
			"several years in one file",
			Options{Year: 2020},
			[]string{"Jun  1 00:00:00", "Nov  1 00:00:00", "Mar  1 00:00:00", "Aug  1 00:00:00", "Jan  1 00:00:00"},
			[]string{"2020-06-01 00:00:00 +0000", "2020-11-01 00:00:00 +0000", "2021-03-01 00:00:00 +0000", "2021-08-01 00:00:00 +0000", "2022-01-01 00:00:00 +0000"},
		},
		{
			"29 February is of a leap year",
			Options{},
			[]string{"Feb 29 10:00:00", "Mar  1 00:00:00"},
			[]string{"2024-02-29 10:00:00 +0000", "2024-03-01 00:00:00 +0000"},
		},
		{
			"29 February after other lines",
			Options{Modified: time.Date(2024, 3, 2, 0, 0, 0, 0, time.UTC)},
			[]string{"Dec 30 10:00:00", "Feb 28 23:59:59", "Feb 29 00:00:00"},
			[]string{"2023-12-30 10:00:00 +0000", "2024-02-28 23:59:59 +0000", "2024-02-29 00:00:00 +0000"},
		},
		{
			"the year asked for",
			Options{Year: 2011},
			[]string{"Dec 31 10:00:00", "Jan  1 10:00:00"},
			[]string{"2011-12-31 10:00:00 +0000", "2012-01-01 10:00:00 +0000"},
		},
		{
			"resumed: nearest to the last line",
			Options{Last: time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC)},
			[]string{"Jan  1 00:00:10"},
			[]string{"2026-01-01 00:00:10 +0000"},
		},
		{
			"30 February is no time",
			Options{},
			[]string{"Nov 23 11:00:00", "Feb 30 11:00:00"},
			[]string{"2026-11-23 11:00:00 +0000", "2026-11-23 11:00:00 +0000"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Location = time.UTC
			if tt.o.Modified.IsZero() {
				tt.o.Modified = modified
			}
			got := times(t, tt.o, tt.stamps...)
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
		})
	}
}

// TestDaylightSaving follows a wall clock through both changes.
func TestDaylightSaving(t *testing.T) {
	for _, tt := range []struct {
		zone, day string
		year      int
		clock     []string
		want      []string
	}{
		{
			"Europe/Berlin", "Oct 25", 2026,
			[]string{"01:59:59", "02:00:00", "02:30:00", "02:29:59", "02:59:59", "02:00:00", "02:30:00", "02:29:30", "02:59:59", "03:00:00"},
			[]string{"01:59:59 +0200", "02:00:00 +0200", "02:30:00 +0200", "02:29:59 +0200", "02:59:59 +0200", "02:00:00 +0100", "02:30:00 +0100", "02:29:30 +0100", "02:59:59 +0100", "03:00:00 +0100"},
		},
		{
			"America/New_York", "Nov  1", 2026,
			[]string{"00:59:59", "01:59:50", "01:00:01", "01:59:58", "01:50:00", "02:00:00"},
			[]string{"00:59:59 -0400", "01:59:50 -0400", "01:00:01 -0500", "01:59:58 -0400", "01:50:00 -0500", "02:00:00 -0500"},
		},
		{
			"Australia/Lord_Howe", "Apr  5", 2026,
			[]string{"01:29:59", "01:59:59", "01:30:00", "01:50:00", "02:00:00"},
			[]string{"01:29:59 +1100", "01:59:59 +1100", "01:30:00 +1030", "01:50:00 +1030", "02:00:00 +1030"},
		},
		{
			"Europe/Berlin", "Mar 29", 2026,
			[]string{"01:59:59", "03:00:00", "03:00:01"},
			[]string{"01:59:59 +0100", "03:00:00 +0200", "03:00:01 +0200"},
		},
	} {
		loc, err := time.LoadLocation(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		p := New(nil, Options{Location: loc, Year: tt.year})
		last := time.Time{}
		for i, c := range tt.clock {
			var r Result
			p.Parse([]byte(tt.day+" "+c+" mx1 cron[1]: x"), 0, &r)
			if got := r.Time.In(loc).Format("15:04:05 -0700"); got != tt.want[i] {
				t.Errorf("%s, line %d: %s, want %s", tt.zone, i, got, tt.want[i])
			}
			if r.Time.Before(last.Add(-time.Minute)) {
				t.Errorf("%s, line %d: went back from %v to %v", tt.zone, i, last, r.Time)
			}
			last = r.Time
		}
	}
}

// TestLast checks that reading can stop anywhere and yields the same times when it is resumed.
func TestLast(t *testing.T) {
	stamps := []string{"Dec 30 10:00:00", "Dec 31 23:59:59", "Jan  1 00:00:00", "Feb 28 23:00:00", "Mar  1 00:00:00", "Oct 10 00:00:00"}
	o := Options{Location: time.UTC, Modified: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Year: 2024}
	whole := times(t, o, stamps...)
	for i := 1; i < len(stamps); i++ {
		p := New(nil, o)
		var r Result
		for _, s := range stamps[:i] {
			p.Parse([]byte(s+" mx1 cron[1]: x"), 0, &r)
		}
		resumed := o
		resumed.Last = p.Last()
		if got := times(t, resumed, stamps[i:]...); fmt.Sprint(got) != fmt.Sprint(whole[i:]) {
			t.Errorf("resumed at %d: %v, want %v", i, got, whole[i:])
		}
	}
}

// TestDoubt checks that a wrong clock or a forger cannot create a time in the future or change the
// time of other lines.
func TestDoubt(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		o      Options
		stamps []string
		want   []string // "": no time
	}{
		{
			"a server without a battery boots",
			Options{},
			[]string{"Nov 28 10:01:00", "Jan  1 00:00:12", "Nov 28 10:03:00"},
			[]string{"2026-11-28 10:01:00", "2026-01-01 00:00:12", "2026-11-28 10:03:00"},
		},
		{
			"29 February",
			Options{},
			[]string{"Nov 28 10:01:00", "Feb 29 10:02:00", "Nov 28 10:03:00", "Nov 28 10:04:00"},
			[]string{"2026-11-28 10:01:00", "2024-02-29 10:02:00", "2026-11-28 10:03:00", "2026-11-28 10:04:00"},
		},
		{
			"another year, named once",
			Options{},
			[]string{"Nov 28 10:01:00", "1999 Nov 28 10:02:00", "Nov 28 10:03:00"},
			[]string{"2026-11-28 10:01:00", "1999-11-28 10:02:00", "2026-11-28 10:03:00"},
		},
		{
			"another year, named once, at the beginning",
			Options{},
			[]string{"1999 Nov 28 10:02:00", "Nov 28 10:03:00"},
			[]string{"1999-11-28 10:02:00", "2026-11-28 10:03:00"},
		},
		{
			"another year, named twice",
			Options{},
			[]string{"Nov 28 10:01:00", "2019-11-28T10:02:00Z", "2019-11-28T10:02:01Z", "Nov 28 10:03:00"},
			[]string{"2026-11-28 10:01:00", "2019-11-28 10:02:00", "2019-11-28 10:02:01", "2019-11-28 10:03:00"},
		},
		{
			"the future",
			Options{},
			[]string{"2026-11-28T10:00:00Z", "2099-01-01T00:00:00Z", "2026-11-28T10:00:01Z", "9999-12-31T23:59:59-23:59", "2262-04-12T00:00:00Z"},
			[]string{"2026-11-28 10:00:00", "2026-11-28 10:00:00", "2026-11-28 10:00:01", "2026-11-28 10:00:01", "2026-11-28 10:00:01"},
		},
		{
			"the future, at the beginning",
			Options{},
			[]string{"2099-01-01T00:00:00Z", "Nov 28 10:03:00"},
			[]string{"", "2026-11-28 10:03:00"},
		},
		{
			"a day's slack", Options{}, []string{"2026-11-29T11:59:00Z", "2026-11-29T12:01:00Z"}, []string{"2026-11-29 11:59:00", "2026-11-29 11:59:00"},
		},
		{
			"before mail", Options{}, []string{"1989-12-31T23:59:59Z", "1990-01-01T00:00:00Z", "0001-01-01T00:00:00Z"}, []string{"", "1990-01-01 00:00:00", "1990-01-01 00:00:00"},
		},
		{
			"a file of the future",
			Options{Modified: time.Date(2096, 1, 1, 0, 0, 0, 0, time.UTC)},
			[]string{"Nov 28 10:01:00"},
			[]string{"2026-11-28 10:01:00"},
		},
		{
			"a quiet half year",
			Options{},
			[]string{"Jan  5 10:01:00", "May  1 10:02:00", "May  1 10:03:00", "Oct  1 10:03:00", "Oct  1 10:03:01"},
			[]string{"2026-01-05 10:01:00", "2026-05-01 10:02:00", "2026-05-01 10:03:00", "2026-10-01 10:03:00", "2026-10-01 10:03:01"},
		},
		{
			"the user names the year",
			Options{Year: 2026},
			[]string{"Dec 31 10:01:00", "Jan  1 10:02:00"},
			[]string{"2026-12-31 10:01:00", "2027-01-01 10:02:00"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Location, tt.o.Now = time.UTC, now
			p := New(nil, tt.o)
			for i, s := range tt.stamps {
				var r Result
				p.Parse([]byte(s+" mx1 cron[1]: x"), 0, &r)
				got := ""
				if !r.Time.IsZero() {
					got = r.Time.Format("2006-01-02 15:04:05")
				}
				if got != tt.want[i] {
					t.Errorf("%s: %s, want %s", s, got, tt.want[i])
				}
				if doubted := i > 0 && got == tt.want[i-1] || got == ""; r.Doubted != doubted {
					t.Errorf("%s: doubted %v", s, r.Doubted)
				}
			}
		})
	}
}

// TestZoneNames reads stamps with a zone's name. The local zone counts if it has that name, else
// the name's general meaning, else the local zone.
func TestZoneNames(t *testing.T) {
	const pm = "postfix/smtp[7]: " + wrapBare
	for _, tt := range []struct{ line, local, want string }{
		{"Fri 2026-11-20 10:01:05 CET mx1 " + pm, "Europe/Berlin", "09:01:05"},
		{"Fri 2026-11-20 10:01:05 CET mx1 " + pm, "UTC", "09:01:05"},
		{"Fri 2026-11-20 10:01:05.123456 CEST mx1 " + pm, "Europe/Berlin", "08:01:05"},
		{"Fri 2026-11-20 10:01:05 EST mx1 " + pm, "Europe/Berlin", "15:01:05"},
		{"Fri 2026-11-20 10:01:05 IST mx1 " + pm, "Asia/Kolkata", "04:31:05"},
		{"Fri 2026-11-20 10:01:05 IST mx1 " + pm, "Asia/Jerusalem", "08:01:05"},
		{"Fri 2026-11-20 10:01:05 IST mx1 " + pm, "Europe/Berlin", ""},
		{"Fri 2026-11-20 10:01:05 IST mx1 " + pm, "UTC", ""},
		{"Nov 20 10:01:05 CST mx1 " + pm, "UTC", ""},
		{"Fri Nov 20 10:01:05 CST 2026 mx1 " + pm, "Europe/Berlin", ""},
		{`{"time":"2026-11-20 10:01:05 IST","host":"mx1","message":"` + pm + `"}`, "UTC", ""},
		{`{"time":"2026-11-20 10:01:05 IST","host":"mx1","message":"` + pm + `"}`, "Asia/Kolkata", "04:31:05"},
		{"2026-11-20T04:31:06.5Z stdout F 2026-11-20 10:01:05 IST mx1 " + pm, "Asia/Kolkata", "04:31:05"},
		{"Fri 2026-11-20 10:01:05 CST mx1 " + pm, "Asia/Shanghai", "02:01:05"},
		{"Fri 2026-11-20 10:01:05 CST mx1 " + pm, "America/Chicago", "16:01:05"},
		{"Fri 2026-11-20 10:01:05 XYZT mx1 " + pm, "Europe/Berlin", "09:01:05"},
		{"Fri 2026-11-20 10:01:05 EST mx1 postfix@-.service[7]: " + wrapBare, "Europe/Berlin", "15:01:05"},
		{"2026-11-20 10:01:05 EST mx1 " + pm, "Europe/Berlin", "15:01:05"},
		{"Nov 20 10:01:05 EST mx1 " + pm, "Europe/Berlin", "15:01:05"},
		{"Nov 20 10:01:05 CEST mx1 " + pm, "Europe/Berlin", "08:01:05"},
		{"Fri Nov 20 10:01:05 EST 2026 mx1 " + pm, "Europe/Berlin", "15:01:05"},
		{"20 Nov 2026 10:01:05 EST mx1 " + pm, "Europe/Berlin", "15:01:05"},
		{`{"time":"2026-11-20 10:01:05 EST","host":"mx1","message":"` + pm + `"}`, "Europe/Berlin", "15:01:05"},
		{`{"time":"Nov 20 10:01:05 EST","host":"mx1","message":"` + pm + `"}`, "Europe/Berlin", "15:01:05"},
		// A host in capitals is not a zone.
		{"2026-11-20 10:01:05 MAIL " + pm, "UTC", "10:01:05"},
		{"Nov 20 10:01:05 MAIL " + pm, "UTC", "10:01:05"},
	} {
		loc, err := time.LoadLocation(tt.local)
		if err != nil {
			t.Skip(err)
		}
		p := New(nil, Options{Location: loc, Year: 2026})
		var r Result
		for n := range 3 {
			host := "mx1"
			if strings.Contains(tt.line, "MAIL") {
				host = "MAIL"
			}
			kind := p.Parse([]byte(tt.line), 0, &r)
			if zone := AmbiguousZone([]byte(tt.line)); tt.want == "" && kind == Unparsed && (zone == "IST" || zone == "CST") {
				continue
			}
			if kind != Attempt {
				t.Errorf("%s (%d): %v", tt.line, n, kind)
			} else if got := r.Deliveries[0].Time.Format(time.TimeOnly); got != tt.want || r.Deliveries[0].Host != host {
				t.Errorf("%s in %s (%d): %s on %q, want %s", tt.line, tt.local, n, got, r.Deliveries[0].Host, tt.want)
			}
		}
	}
	// Lines of one minute, with and without a zone.
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	var r Result
	for i, stamp := range []string{"2026-11-20 10:01:05 EST", "2026-11-20 10:01:06 EST", "2026-11-20 10:01:07", "2026-11-20 10:01:08 CET"} {
		want := []string{"15:01:05", "15:01:06", "10:01:07", "09:01:08"}[i]
		if kind := p.Parse([]byte(stamp+" mx1 "+pm), 0, &r); kind != Attempt || r.Time.Format(time.TimeOnly) != want {
			t.Errorf("%s: %v, %v", stamp, kind, r.Time)
		}
	}
}

func TestHalfDay(t *testing.T) {
	o := Options{Location: time.UTC, Modified: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
	for _, stamp := range []string{
		"Nov 23 %s", "Nov 23 2026 %s", "Nov 23, 2026 %s", "Nov 23, 2026 @ %s", "2026 Nov 23 %s", "Nov 23 %s UTC 2026",
		"23 Nov 2026 %s UTC", "2026-11-23 %s", "2026-11-23T%s", "2026/11/23 %s +0000", "11/23/2026 %s", "23.11.2026, %s",
	} {
		for _, half := range []string{" PM", " pm", "PM", "\u202fPM", "\u00a0PM", " p.m.", " p. m.", " p.\u00a0m."} {
			// Twice, since the second line of a minute takes the fast path.
			got := times(t, o, fmt.Sprintf(stamp, "02:44:58"+half), fmt.Sprintf(stamp, "02:44:59"+half), fmt.Sprintf(stamp, "12:00:01"+half), fmt.Sprintf(stamp, "02:45:01.250"+half))
			want := []string{"2026-11-23 14:44:58 +0000", "2026-11-23 14:44:59 +0000", "2026-11-23 12:00:01 +0000", "2026-11-23 14:45:01 +0000"}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%q: %q", fmt.Sprintf(stamp, "02:44:58"+half), got)
			}
		}
		got := times(t, o, fmt.Sprintf(stamp, "12:44:58 AM"), fmt.Sprintf(stamp, "01:44:58 AM"))
		if got[0] != "2026-11-23 00:44:58 +0000" || got[1] != "2026-11-23 01:44:58 +0000" {
			t.Errorf("%q, AM: %q", stamp, got)
		}
	}
	// A log that changes its clock within a minute.
	got := times(t, o, "2026-11-23 02:44:58", "2026-11-23 02:44:58 PM", "2026-11-23 02:44:58", "2026-11-23 02:44:59 pm")
	if got[1] != "2026-11-23 14:44:58 +0000" || got[2] != "2026-11-23 02:44:58 +0000" || got[3] != "2026-11-23 14:44:59 +0000" {
		t.Errorf("changed: %q", got)
	}
	for host, want := range map[string]string{"pm": "pm", "am": "am", "pmta1": "pmta1", "amavis": "amavis", "a.m.example": "a.m.example", "PM mx1": "mx1", "PM": ""} {
		var h header
		if splitHeader([]byte("Nov 23 02:44:58 "+host+" postfix/smtp[1]: x"), &h); string(h.host) != want {
			t.Errorf("host %q: %q", host, h.host)
		}
	}
}

// TestDays reads dates whose day may be before or after the month.
func TestDays(t *testing.T) {
	for stamp, want := range map[string]string{
		"23-11-2026 09:47:06": "2026-11-23", "11-23-2026 09:47:06": "2026-11-23", "11/23/2026 09:47:06": "2026-11-23",
		"05-11-2026 09:47:06": "", "05/11/2026 09:47:06": "", "05.11.2026 09:47:06": "2026-11-05", "11-11-2026 09:47:06": "2026-11-11",
		"05-Nov-2026 09:47:06": "2026-11-05",
	} {
		got := ""
		if st, n := parseDay([]byte(stamp)); n > 0 {
			got = fmt.Sprintf("%d-%02d-%02d", st.year, st.month, st.day)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", stamp, got, want)
		}
	}
}
