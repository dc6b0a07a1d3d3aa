package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
)

// fullReport has something in every section.
func fullReport(by store.By) *Report {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC) }
	ptr := func(t time.Time) *time.Time { return &t }
	sender := "anna@shop.example"
	counts := func(delivered, soft, hard int64) Counts {
		return Counts{Attempts: delivered + soft + hard, Delivered: delivered, Soft: soft, Hard: hard, Recovered: soft / 2, Pending: soft - soft/2, Messages: delivered + hard}
	}
	groups := []Group{
		{Key: "big.example", Domain: "big.example", Counts: counts(12000, 340, 120), Reason: bounce.UserUnknown, Reasons: map[string]int64{"user_unknown": 120, "greylisted": 340}},
		{Key: "block.example", Domain: "block.example", Counts: counts(0, 2, 20), Refused: 22, Blocks: by == store.ByRelay, Reason: bounce.Blocklist, Reasons: map[string]int64{"blocklist": 22}},
	}
	reason := func(r bounce.Reason, soft, hard int64) ReasonCount {
		t := bounce.ReasonText(r)
		return ReasonCount{r, t.Scope, soft, hard, t.Meaning, slices.Clone(t.Do)}
	}
	r := &Report{
		loc: time.UTC, By: by, asOf: at(23, 23, 59),
		Period:  ReportPeriod{Since: ptr(at(23, 0, 0)), Until: ptr(at(24, 0, 0)), First: ptr(at(23, 0, 1)), Last: ptr(at(23, 23, 58))},
		Sources: []SourceCount{{Path: "/var/log/mail.log.1", Lines: 90000, Attempts: 9000}, {Path: "/var/log/mail.log", Lines: 30000, Attempts: 3482}},
		Totals: &Totals{
			Counts: counts(12000, 342, 140), DeliveredRate: 0.961, SoftRate: 0.027, HardRate: 0.011,
			NotificationHard: 3, Handoff: 17, Probe: 5, Soft5xx: 2, Previous: &Counts{Attempts: 11000, Delivered: 10800, Soft: 100, Hard: 100},
		},
		Problems: []Problem{{
			Level: Confirmed, Summary: "Mail from shop.example is refused at block.example: listed by spamhaus-zen", Reason: bounce.Blocklist, Detail: "spamhaus-zen", Cause: "ip",
			SenderDomains: []string{"shop.example"}, Domains: []string{"block.example"}, Providers: []string{"block.example"}, Since: at(23, 10, 0), Until: at(23, 10, 19),
			Attempts: 22, Messages: 20, Recipients: 20, ValidRecipients: []string{"bob@block.example"},
			Evidence:   []Evidence{{"id", 4711, at(23, 10, 0), "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org"}},
			FirstCheck: "The list's own look-up page.", OtherExplanation: "A receiver whose resolver is refused.", DisprovedBy: "The list not showing the address.", Scan: "bouncelog scan shop.example",
		}},
		Changes: []Change{
			{Kind: "domain", Key: "block.example", Change: ChangeNew, Failed: 22, Hard: 20, Attempts: 22, Reason: bounce.Blocklist},
			{Kind: "provider", Key: "old.example", Change: ChangeSolved, Before: 40, Attempts: 300, Reason: bounce.RateLimited},
		},
		Providers:  []Group{{Key: "block.example", Counts: counts(0, 2, 20), Refused: 22, Blocks: true, Reason: bounce.Blocklist}, {Key: "big.example", Counts: counts(12000, 340, 120), Reason: bounce.UserUnknown}},
		Reasons:    []ReasonCount{reason(bounce.Greylisted, 340, 0), reason(bounce.UserUnknown, 0, 120), reason(bounce.Blocklist, 2, 20)},
		Recipients: []Recipient{{Recipient: "gone@big.example", Hard: 7, Reason: bounce.UserUnknown, Since: at(20, 9, 0), Last: at(23, 9, 0), LastDelivered: ptr(at(2, 8, 0)), Response: "550 5.1.1 User unknown"}},
		Pending: []Pending{
			{Recipient: "x@greeting.example", Sender: &sender, QueueID: "4XyZ1k2m3nz4Q", Host: "mx1", Arrived: ptr(at(20, 11, 0)), FirstSoft: at(20, 11, 1), LastTry: at(23, 23, 1), Reason: bounce.Policy, Code: 554, Response: "554 5.7.1 no"},
			{Recipient: "full@big.example", QueueID: "4XyZ1k2m3nz4R", FirstSoft: at(23, 20, 1), LastTry: at(23, 23, 1), Reason: bounce.MailboxFull, Code: 452, Response: "452 4.2.2 Mailbox full"},
		},
		Senders: &Senders{
			Senders:   []SenderCount{{"web@shop.example", 142, 2, 140, 0.8, bounce.Blocklist}, {sender, 3, 1, 2, 0.02, bounce.UserUnknown}},
			SASLUsers: []SenderCount{{"hacked", 140, 0, 140, 0.8, bounce.Blocklist}},
			Clients:   []SenderCount{{"192.0.2.99", 140, 0, 140, 0.8, bounce.Blocklist}},
		},
		Contradictions: []Contradiction{{kindGreeting, contradictionWords[kindGreeting], 2, []ContradictoryReply{{"554 5.7.1 no", 2}}}},
		Unparsed: &Coverage{
			Files: 2, First: ptr(at(22, 6, 25)), Last: ptr(at(23, 23, 59)), Rotations: 1, Lines: 120000, Delivery: 12482, Queue: 30000, Rejected: 5000, Skipped: 72000, Unparsed: 18, Blank: 500, Repeated: 4,
			Gaps:     []Gap{{at(23, 3, 0), at(23, 5, 0), 900, []string{"/var/log/mail.log.1", "/var/log/mail.log"}}},
			Programs: []ProgramCount{{"dovecot", 60000}, {"", 12000}},
			Sample:   []UnparsedSample{{"/var/log/mail.log", 4711, "Nov 23 10:00:00 mx1 postfix/smtp[1]: odd"}},
			Reasons:  []UnknownReplyText{{"550 the computer says no", 12}},
		},
	}
	for hour := range 24 {
		r.Timeline = append(r.Timeline, Point{at(23, hour, 0), 500, int64(hour), int64(hour % 7)})
	}
	if by == store.ByDomain {
		r.Domains = groups
	} else {
		r.Groups = groups
	}
	return r
}

// TestGolden holds every rendering against a file. UPDATE_GOLDEN=1 writes them;
// look at the difference.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name   string
		by     store.By
		format Format
		o      WriteOptions
	}{
		{"report-80.txt", store.ByDomain, FormatTable, WriteOptions{Width: 80}},
		{"report-wide.txt", store.ByDomain, FormatTable, WriteOptions{Width: 200, Wide: true}},
		{"report-relay-80.txt", store.ByRelay, FormatTable, WriteOptions{Width: 80}},
		{"report.json", store.ByDomain, FormatJSON, WriteOptions{}},
		{"report.ndjson", store.ByDomain, FormatNDJSON, WriteOptions{}},
		{"report.csv", store.ByDomain, FormatCSV, WriteOptions{}},
		{"report-relay.tsv", store.ByRelay, FormatTSV, WriteOptions{}},
		{"report.md", store.ByDomain, FormatMarkdown, WriteOptions{}},
		{"report.html", store.ByDomain, FormatHTML, WriteOptions{}},
	} {
		var b bytes.Buffer
		if err := fullReport(c.by).Write(&b, c.format, c.o); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		path := filepath.Join("testdata", c.name)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if c.o.Width == 80 {
			for _, line := range strings.Split(b.String(), "\n") {
				if n := utf8.RuneCountInString(line); n > 80 {
					t.Errorf("%s: %d columns: %q", c.name, n, line)
				}
			}
		}
	}
}

// setStrings puts text into every exported string of v, maps' keys included.
func setStrings(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(text)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			setStrings(v.Elem(), text)
		}
	case reflect.Slice:
		for i := range v.Len() {
			setStrings(v.Index(i), text)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				setStrings(v.Field(i), text)
			}
		}
	case reflect.Map:
		if v.Type().Key().Kind() == reflect.String && v.Len() > 0 {
			v.SetMapIndex(reflect.ValueOf(text), v.MapIndex(v.MapKeys()[0]))
		}
	}
}

// Whatever stands in whatever field, nothing of it acts: not on a terminal, not
// in a page, not in a spreadsheet.
func TestHostileReport(t *testing.T) {
	for _, hostile := range []string{
		"\x1b]0;owned\a\x1b[2J", "\u202etxt.exe\u2066", "</td></table><script>alert(1)</script><img src=http://evil.example/x onerror=x>",
		`" style="x" onload="alert(1)`, "=cmd|' /C calc'!A0", "a\r\nBcc: x\n| b |", "![x](http://evil.example)", "\xff\xfe\x00", strings.Repeat("x<", 5_000),
	} {
		for _, by := range []store.By{store.ByDomain, store.ByRelay} {
			for _, f := range Formats() {
				r := fullReport(by)
				setStrings(reflect.ValueOf(r).Elem(), hostile)
				r.By = by
				var b bytes.Buffer
				if err := r.Write(&b, Format(f), WriteOptions{Width: 80}); err != nil {
					t.Fatalf("%s: %v", f, err)
				}
				got := b.String()
				for _, c := range got {
					if c != '\n' && c != '\t' && (c < 0x20 || c == 0x7f || hidden(c)) {
						t.Fatalf("%s by %s: %.20q lets %U through", f, by, hostile, c)
					}
				}
				switch Format(f) {
				case FormatHTML:
					for _, bad := range []string{"<script", "<img", `" onload`, `" style="x"`} {
						if strings.Contains(got, bad) {
							t.Errorf("HTML by %s holds %s", by, bad)
						}
					}
				case FormatMarkdown:
					if strings.Contains(got, "<script") || strings.Contains(got, "![x](") {
						t.Errorf("Markdown lets markup through")
					}
				case FormatCSV:
					rows, err := csv.NewReader(strings.NewReader(got)).ReadAll()
					if err != nil {
						t.Fatal(err)
					}
					for _, row := range rows[1:] {
						if strings.ContainsAny(row[0][:1], "=+-@") {
							t.Errorf("CSV: %q", row[0])
						}
					}
				case FormatJSON:
					if !json.Valid(b.Bytes()) {
						t.Error("not JSON")
					}
				case FormatTable:
					if len(got) > 100_000 {
						t.Errorf("a long text makes a report of %d bytes", len(got))
					}
				}
			}
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

func TestChange(t *testing.T) {
	for _, c := range []struct {
		now, before int64
		traffic     float64
		want        string
	}{
		{4, 0, 1, ""},
		{5, 0, 1, ChangeNew},
		{10, 8, 1, ""}, // chance
		{12, 5, 1, ""}, // twice as many, but few
		{40, 10, 1, ChangeWorse},
		{40, 20, 2, ""}, // twice the traffic
		{0, 4, 1, ""},
		{0, 20, 1, ChangeSolved},
		{1, 100, 1, ChangeSolved},
		{50, 100, 1, ""}, // better, not solved
		{0, 20, 0.1, ""}, // hardly anything was sent
		{0, 0, 1, ""},
	} {
		if got := change(c.now, c.before, c.traffic); got != c.want {
			t.Errorf("change(%d, %d, %g) = %q, want %q", c.now, c.before, c.traffic, got, c.want)
		}
	}
}

func TestPlainAddress(t *testing.T) {
	for in, want := range map[string]string{
		"Bob@Good.example": "bob@good.example", "a+b=c@x.example": "a+b=c@x.example", "müller@x.example": "müller@x.example",
		"": "", "bare": "", "@x.example": "", "a@": "", "a b@x.example": "", "a\nb@x.example": "", `"a"@x.example`: "", "#a@x.example": "",
		"a:b@x.example": "", "a,b@x.example": "", "a\\b@x.example": "", "a\u202eb@x.example": "", "a\u00a0b@x.example": "", "\xff@x.example": "",
		"a@x example": "", "a@[192.0.2.1]": "", "a@x.example\nb@y.example": "", "a@b@x.example": "",
	} {
		got, ok := plainAddress(in)
		if got != want || ok != (want != "") {
			t.Errorf("plainAddress(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}
