package render

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/store"
)

// fullReport has data in every section, to test the layout. The numbers are tested on the sample
// logs, through the whole pipeline (cmd/bouncelog).
func fullReport(by store.Dimension) *report.Report {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 11, day, hour, minute, 0, 0, time.UTC) }
	ptr := func(t time.Time) *time.Time { return &t }
	sender := "anna@shop.example"
	counts := func(delivered, soft, hard int64) report.Counts {
		return report.Counts{Attempts: delivered + soft + hard, Delivered: delivered, Soft: soft, Hard: hard, Recovered: soft / 2, Pending: soft - soft/2, Messages: new(delivered + hard)}
	}
	groups := []report.Group{
		{Key: "big.example", Domain: "big.example", Counts: counts(12000, 340, 120), Reason: bounce.UserUnknown, Reasons: map[string]int64{"user_unknown": 120, "greylisted": 340}},
		{Key: "block.example", Domain: "block.example", Counts: counts(0, 2, 20), Refused: 22, Blocks: by == report.ByProvider, Reason: bounce.Blocklist, Reasons: map[string]int64{"blocklist": 22}},
	}
	reason := func(r bounce.Reason, soft, hard int64) report.ReasonCount {
		t := judge.ReasonText(r)
		return report.ReasonCount{Reason: r, Scope: t.Scope, Soft: soft, Hard: hard, Meaning: t.Meaning, Do: slices.Clone(t.Do)}
	}
	r := &report.Report{
		Location: time.UTC, By: by, AsOf: at(23, 23, 59), Now: at(25, 0, 59), Live: true,
		Period:  report.ReportPeriod{Since: ptr(at(23, 0, 0)), Until: ptr(at(24, 0, 0)), First: ptr(at(23, 0, 1)), Last: ptr(at(23, 23, 58))},
		Sources: []report.SourceCount{{Path: "/var/log/mail.log.1", Lines: 90000, Attempts: 9000}, {Path: "/var/log/mail.log", Lines: 30000, Attempts: 3482}},
		Totals: &report.Totals{
			Counts: counts(12000, 342, 140), DeliveredRate: 0.961, SoftRate: 0.027, HardRate: 0.011,
			NotificationHard: 3, Handoff: 17, Probe: 5, Soft5xx: 2, Previous: &report.Counts{Attempts: 11000, Delivered: 10800, Soft: 100, Hard: 100},
		},
		Problems: []problem.Problem{{
			Level: problem.Confirmed, Summary: "Mail from shop.example is refused at block.example: listed by spamhaus-zen", Title: "block.example refuses shop.example: listed by spamhaus-zen", Effect: problem.EffectRefused, Reason: bounce.Blocklist, Detail: "spamhaus-zen", Cause: "ip",
			SenderDomains: []string{"shop.example"}, Domains: []string{"block.example"}, Providers: []string{"block.example"}, Since: at(23, 10, 0), Until: at(23, 10, 19),
			Attempts: 22, Messages: 20, Recipients: 20, ValidRecipients: []string{"bob@block.example"},
			Evidence:   []problem.Evidence{{Source: "id", Offset: 4711, Time: at(23, 10, 0), Text: "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org"}},
			FirstCheck: "The list's own look-up page.", OtherExplanation: "A receiver whose resolver is refused.", DisprovedBy: "The list not showing the address.", Scan: "bouncelog scan shop.example",
		}},
		Changes: []report.Change{
			{Kind: "domain", Key: "block.example", Change: report.ChangeNew, Recipients: 20, Failed: 22, Hard: 20, Attempts: 22, Reason: bounce.Blocklist},
			{Kind: "provider", Key: "old.example", Change: report.ChangeSolved, RecipientsBefore: 38, Before: 40, Attempts: 300, Reason: bounce.RateLimited},
		},
		Providers:  []report.Group{{Key: "block.example", Counts: counts(0, 2, 20), Refused: 22, Blocks: true, Reason: bounce.Blocklist}, {Key: "big.example", Counts: counts(12000, 340, 120), Reason: bounce.UserUnknown}},
		Reasons:    []report.ReasonCount{reason(bounce.Greylisted, 340, 0), reason(bounce.UserUnknown, 0, 120), reason(bounce.Blocklist, 2, 20)},
		Recipients: []report.Recipient{{Recipient: "gone@big.example", Hard: 7, Reason: bounce.UserUnknown, Since: at(20, 9, 0), Last: at(23, 9, 0), LastDelivered: ptr(at(2, 8, 0)), Response: "550 5.1.1 User unknown"}},
		Pending: []report.Pending{
			{Recipient: "x@greeting.example", Sender: &sender, QueueID: "4XyZ1k2m3nz4Q", Host: "mx1", Arrived: ptr(at(20, 11, 0)), FirstSoft: at(20, 11, 1), LastTry: at(23, 23, 1), Reason: bounce.Policy, Code: 554, Response: "554 5.7.1 no"},
			{Recipient: "full@big.example", QueueID: "4XyZ1k2m3nz4R", FirstSoft: at(23, 20, 1), LastTry: at(23, 23, 1), Reason: bounce.MailboxFull, Code: 452, Response: "452 4.2.2 Mailbox full"},
		},
		Senders: &report.Senders{
			Senders:   []report.SenderCount{{Key: "web@shop.example", Failed: 142, Soft: 2, Hard: 140, Share: 0.8, Reason: bounce.Blocklist}, {Key: sender, Failed: 3, Soft: 1, Hard: 2, Share: 0.02, Reason: bounce.UserUnknown}},
			SASLUsers: []report.SenderCount{{Key: "hacked", Failed: 140, Soft: 0, Hard: 140, Share: 0.8, Reason: bounce.Blocklist}},
			Clients:   []report.SenderCount{{Key: "192.0.2.99", Failed: 140, Soft: 0, Hard: 140, Share: 0.8, Reason: bounce.Blocklist}},
		},
		Contradictions: []report.Contradiction{{Kind: "greeting_5xx", Meaning: "A 5xx in place of a greeting: the server does not talk to us at all, and the mail stays queued, silent, until it expires.", Attempts: 2, Replies: []report.ContradictoryReply{{Text: "554 5.7.1 no", Attempts: 2}}}},
		Unparsed: &report.Coverage{
			Files: 2, First: ptr(at(22, 6, 25)), Last: ptr(at(23, 23, 59)), Rotations: 1, Lines: 120000, Delivery: 12482, Queue: 30000, Rejected: 5000, Skipped: 72000, Unparsed: 18, Blank: 500, Repeated: 4,
			Gaps:     []report.Gap{{From: at(23, 3, 0), To: at(23, 5, 0), Expected: 900, Rotation: []string{"/var/log/mail.log.1", "/var/log/mail.log"}}},
			Programs: []report.ProgramCount{{Program: "dovecot", Lines: 60000}, {Lines: 12000}},
			Sample:   []report.UnparsedSample{{Source: "/var/log/mail.log", Offset: 4711, Text: "Nov 23 10:00:00 mx1 postfix/smtp[1]: odd"}},
			Reasons:  []report.UnknownReplyText{{Text: "550 the computer says no", Attempts: 12}},
		},
	}
	problemAt := 0
	r.Verdict = &report.Verdict{
		Status: report.StatusIncident, Sentence: "1 incident is going on: block.example refuses shop.example: listed by spamhaus-zen, since 10:00, 20 of 22 messages.",
		Phrases: []report.Phrase{{Text: "1 incident is going on: "}, {Text: "block.example refuses shop.example: listed by spamhaus-zen", Bad: true}, {Text: ", since 10:00, 20 of 22 messages."}},
		Going:   1, Newest: ptr(at(23, 23, 59)), Age: 25 * 3600,
		Act: []report.Incident{{
			Problem: &problemAt, Level: problem.Confirmed, Effect: problem.EffectRefused, Title: "block.example refuses shop.example: listed by spamhaus-zen", Short: "block.example refuses shop.example", Ours: true, Ongoing: true,
			Since: at(23, 10, 0), Until: at(23, 10, 19), Refused: 20, Tried: 22, Before: 0, BeforeTried: 40, Share: 0.016, Lost: 20, LostPerDay: 20, Recipients: 20, Valid: 1,
			SenderDomains: []string{"shop.example"}, Providers: []string{"block.example"}, Addresses: []string{"192.0.2.1"},
			Hours: []problem.Hour{{Time: at(23, 10, 0), Refused: 12}, {Time: at(23, 11, 0), Refused: 10}},
			Reply: "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org", Why: "The replies name the cause.", Check: "The list's own look-up page.",
			Otherwise: "A receiver whose resolver is refused.", Disproved: "The list not showing the address.", Command: "bouncelog scan shop.example",
		}},
		Ended: []report.Incident{{
			Level: problem.Confirmed, Effect: problem.EffectDeferred, Title: "old.example defers shop.example: SPF does not pass", Short: "old.example defers shop.example", Since: at(23, 1, 0), Until: at(23, 3, 0), EndedAt: at(23, 3, 5),
			Ended: "12 messages taken since", Refused: 9, Tried: 9, Share: 0.001, Recipients: 9, Valid: 9, Command: "bouncelog scan shop.example", Check: "SPF.",
		}, {
			Level: problem.Likely, Effect: problem.EffectReturned, Sent: &problem.Sent{Recipients: 1000, Delivered: 580, Returned: 400, Waiting: 20}, Title: "the account <clerk@office.example> sends a flood of mail", Since: at(23, 1, 0), Until: at(23, 3, 0),
			Ended: "since then no more of its mail is returned than usual", Refused: 400, Lost: 400, Recipients: 400, Reply: "550 5.1.1 User unknown", Check: "Whether its password was stolen.", Command: "bouncelog report --by sasl-user --sort hard", Remains: true,
		}},
		Background: &report.Background{Messages: 7, Providers: 3, Share: 0.0006, Command: "bouncelog report --section problems"},
		Silence:    &report.Silence{Since: at(23, 23, 59), Seconds: 90000, Expected: 12000, Command: "bouncelog db info"},
	}
	r.ProviderTable = &report.ProviderTable{
		Rows: []report.ProviderRow{
			{Provider: "block.example", Providers: 1, Attempts: 22, Soft: 2, Hard: 20, Messages: 22, Refused: 22, Reason: bounce.Blocklist, Mark: report.MarkRefuses},
			{Provider: "big.example", Providers: 1, Attempts: 12460, Delivered: 12000, Soft: 340, Waiting: 171, Hard: 120, Messages: 12000, RefusedBefore: 2, Reason: bounce.UserUnknown, Mark: report.MarkTakes},
		},
		Small: &report.ProviderRow{Providers: 8, Attempts: 9, Delivered: 9, Messages: 9}, Rest: &report.ProviderRow{Providers: 2, Attempts: 40, Delivered: 40, Messages: 40},
		Total: report.ProviderRow{Providers: 12, Attempts: 12531, Delivered: 12049, Soft: 342, Waiting: 171, Hard: 140, Messages: 12071, Refused: 22, RefusedBefore: 2}, Compared: true,
	}
	r.Comparison = &report.Comparison{
		Since: at(23, 2, 0), Until: at(24, 0, 0), PreviousSince: at(22, 2, 0), PreviousUntil: at(23, 0, 0), Hours: 24, Covered: 22,
		Counts: counts(12000, 342, 140), Before: report.Counts{Attempts: 11000, Delivered: 10800, Soft: 100, Hard: 100},
	}
	r.Lists = []report.List{{Section: report.SectionProviders, Shown: 10, Total: 12, More: "bouncelog report --section providers --all"}, {Section: report.SectionPending, Shown: 2, Total: 10000, Least: true, More: "bouncelog report --section pending --all"}, {Section: report.SectionUnparsed, Shown: 1, Total: 18, More: "bouncelog parse --unmatched /var/log/mail.log"}}
	for hour := range 24 {
		r.TimelineBefore = append(r.TimelineBefore, report.Point{Time: at(22, hour, 0), Delivered: 450, Soft: 9})
		r.Timeline = append(r.Timeline, report.Point{Time: at(23, hour, 0), Delivered: 500, Soft: int64(hour), Hard: int64(hour % 7)})
	}
	if by == store.ByDomain {
		r.Domains = groups
	} else {
		r.Groups = groups
	}
	return r
}

// TestGolden compares every rendering with a file. UPDATE_GOLDEN=1 writes the files; read the
// difference.
func TestGolden(t *testing.T) {
	for _, c := range []struct {
		name   string
		by     store.Dimension
		format table.Format
		o      Options
	}{
		{"report-80.txt", store.ByDomain, table.FormatTable, Options{Width: 80}},
		{"report-provider-80.txt", report.ByProvider, table.FormatTable, Options{Width: 80}},
		{"report.md", store.ByDomain, table.FormatMarkdown, Options{}},
		{"report.html", store.ByDomain, table.FormatHTML, Options{Made: "bouncelog report -d 2026-11-23", Host: "mx1"}},
		{"report-mail.html", store.ByDomain, table.FormatHTML, Options{Mail: true}},
	} {
		var b bytes.Buffer
		if err := Report(&b, fullReport(c.by), c.format, c.o); err != nil {
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

// setStrings sets every exported string of v, and the keys of maps.
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

// No text in any field acts on a terminal, in a page or in a spreadsheet.
func TestHostileReport(t *testing.T) {
	for _, hostile := range []string{
		"\x1b]0;owned\a\x1b[2J", "\u202etxt.exe\u2066", "</td></table><script>alert(1)</script><img src=http://evil.example/x onerror=x>",
		`" style="x" onload="alert(1)`, "=cmd|' /C calc'!A0", "a\r\nBcc: x\n| b |", "![x](http://evil.example)", "\xff\xfe\x00", strings.Repeat("x<", 5_000),
	} {
		for _, by := range []store.Dimension{store.ByDomain, report.ByProvider} {
			for _, f := range table.Formats() {
				r := fullReport(by)
				setStrings(reflect.ValueOf(r).Elem(), hostile)
				r.By = by
				var b bytes.Buffer
				if err := Report(&b, r, table.Format(f), Options{Width: 80}); err != nil {
					t.Fatalf("%s: %v", f, err)
				}
				got := b.String()
				for _, c := range got {
					if c != '\n' && c != '\t' && (c < 0x20 || c == 0x7f || table.Hidden(c)) {
						t.Fatalf("%s by %s: %.20q lets %U through", f, by, hostile, c)
					}
				}
				switch table.Format(f) {
				case table.FormatHTML:
					for _, bad := range []string{"<script", "<img", `" onload`, `" style="x"`} {
						if strings.Contains(got, bad) {
							t.Errorf("HTML by %s holds %s", by, bad)
						}
					}
				case table.FormatMarkdown:
					if strings.Contains(got, "<script") || strings.Contains(got, "![x](") {
						t.Errorf("Markdown lets markup through")
					}
				case table.FormatCSV:
					rows, err := csv.NewReader(strings.NewReader(got)).ReadAll()
					if err != nil {
						t.Fatal(err)
					}
					for _, row := range rows[1:] {
						if strings.ContainsAny(row[0][:1], "=+-@") {
							t.Errorf("CSV: %q", row[0])
						}
					}
				case table.FormatJSON:
					if !json.Valid(b.Bytes()) {
						t.Error("not JSON")
					}
				case table.FormatTable:
					if len(got) > 100_000 {
						t.Errorf("a long text makes a report of %d bytes", len(got))
					}
				}
			}
		}
	}
}

func TestPlainAddress(t *testing.T) {
	for in, want := range map[string]string{
		"Bob@Good.example": "bob@good.example", "a+b=c@x.example": "a+b=c@x.example", "0'brien_x/y&z@x.example": "0'brien_x/y&z@x.example",
		"SRS0=ab=XY=shop.example=a@x.example": "srs0=ab=xy=shop.example=a@x.example",
		"":                                    "", "bare": "", "@x.example": "", "a@": "", "a b@x.example": "", "a\nb@x.example": "", `"a"@x.example`: "", "#a@x.example": "",
		"a:b@x.example": "", "a,b@x.example": "", "a\\b@x.example": "", "a\u202eb@x.example": "", "a\u00a0b@x.example": "", "\xff@x.example": "",
		"a@x example": "", "a@[192.0.2.1]": "", "a@x.example\nb@y.example": "", "a@b@x.example": "",
		"a@.x.example": "", "a@x..example": "", "a@x.example.": "", "a@-x.example": "",
		// Letters that fold to ASCII letters, here or in the program that reads the map.
		"fran\u212a@x.example": "", "\u017fam@x.example": "", "\u0130da@x.example": "", "\uff41@x.example": "", "m\u00fcller@x.example": "", "mu\u0308ller@x.example": "",
		"a@ban\u212a.example": "", "a@\uff58.example": "",
		// Patterns of lsearch*@, wildlsearch and address lists (Exim), or of a regexp or pcre table
		// (Postfix).
		"*@x.example": "", "a*@x.example": "", "*a@x.example": "", "^.*@x.example": "", "/.*/@x.example": "", "!a@x.example": "", "!/a/@x.example": "",
		"+list@x.example": "", "$local_part@x.example": "", "a$@x.example": "", "a?@x.example": "", "a|b@x.example": "", "{a}@x.example": "", "`id`@x.example": "",
		"~.*~@x.example": "", "'.*'@x.example": "", "_a_@x.example": "", "=.*=@x.example": "", "&a&@x.example": "", "-a@x.example": "", ".a@x.example": "",
		"a%y.example@x.example": "", "a#b@x.example": "", "a!b@x.example": "", "a^b@x.example": "", "a~b@x.example": "",
	} {
		got, ok := plainAddress(in)
		if got != want || ok != (want != "") {
			t.Errorf("plainAddress(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

// FuzzPlainAddress holds that a map contains only words of plain characters, and that an address is
// kept unchanged or omitted.
func FuzzPlainAddress(f *testing.F) {
	for _, s := range []string{"Bob@Good.example", "fran\u212a@x.example", "*@x.example", "/.*/@x", "!a@x", "a b@x", "a@b@c", "@", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, a string) {
		plain, ok := plainAddress(a)
		if !ok {
			if plain != "" {
				t.Errorf("%q: %q", a, plain)
			}
			return
		}
		if !regexp.MustCompile(`^[a-z0-9][a-z0-9.&'+/=_-]*@[a-z0-9_][a-z0-9._-]*$`).MatchString(plain) {
			t.Errorf("%q became %q", a, plain)
		}
		if len(plain) != len(a) || !strings.EqualFold(plain, a) {
			t.Errorf("%q became %q: another address", a, plain)
		}
		if again, ok := plainAddress(plain); !ok || again != plain {
			t.Errorf("%q, and again %q", plain, again)
		}
	})
}

func TestReportFormats(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	r := &report.Report{
		Location: time.UTC, By: "domain",
		Period:     report.ReportPeriod{First: &at, Last: &at},
		Sources:    []report.SourceCount{{Path: "/var/log/\x1b[1mmail.log"}},
		Totals:     &report.Totals{Counts: report.Counts{Attempts: 2, Hard: 1, Delivered: 1, Messages: new(int64(2))}, HardRate: 0.5},
		Problems:   []problem.Problem{},
		Domains:    []report.Group{{Key: "<x>.example", Domain: "<x>.example", Counts: report.Counts{Attempts: 2, Hard: 1, Delivered: 1}}},
		Reasons:    []report.ReasonCount{},
		Recipients: []report.Recipient{},
		Unparsed:   &report.Coverage{Sample: []report.UnparsedSample{{Source: "mail.log", Offset: 7, Text: "odd \u202e line"}}},
	}
	for _, f := range table.Formats() {
		var b bytes.Buffer
		if err := Report(&b, r, table.Format(f), Options{Width: 80}); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		got := b.String()
		if strings.ContainsAny(got, "\x1b\u202e") {
			t.Errorf("%s lets control characters through:\n%s", f, got)
		}
		if !strings.Contains(got, "x&gt;.example") && !strings.Contains(got, "<x>.example") {
			t.Errorf("%s does not name the domain:\n%s", f, got)
		}
	}
	if err := Report(&bytes.Buffer{}, r, "pdf", Options{}); err == nil {
		t.Error("no error for a format that does not exist")
	}
}

// No address is left in any format, and each run has another key.
func TestRedact(t *testing.T) {
	build := func() *report.Report {
		at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
		sender := "secret1@shop.example"
		reply := "550 5.1.1 <secret2@good.example>: no, not secret3"
		warning := "postfix/local: warning: <secret2@good.example>: cannot create /home/secret6/Maildir"
		return &report.Report{
			Location: time.UTC, By: store.ByRecipient, Period: report.ReportPeriod{First: &at, Last: &at},
			Totals:         &report.Totals{},
			Verdict:        &report.Verdict{Sentence: "secret1@shop.example", Phrases: []report.Phrase{{Text: "secret1@shop.example"}}, Act: []report.Incident{{Title: "secret1@shop.example", Reply: reply, Warning: warning, Check: reply}}, Ended: []report.Incident{{Title: "secret3@good.example"}}},
			Lists:          []report.List{{Section: report.SectionPending, Total: 9, More: "bouncelog report --section pending 'log of secret1@shop.example'"}},
			Problems:       []problem.Problem{{Level: problem.Confirmed, Summary: "Mail of secret1@shop.example", ValidRecipients: []string{"secret3@good.example"}, Evidence: []problem.Evidence{{Text: reply, Warning: warning}}}},
			Groups:         []report.Group{{Key: "secret2@good.example", Counts: report.Counts{Attempts: 1, Hard: 1}}},
			Reasons:        []report.ReasonCount{},
			Recipients:     []report.Recipient{{Recipient: "secret2@good.example", Response: reply}},
			Pending:        []report.Pending{{Recipient: "secret3@good.example", Sender: &sender, Response: reply}},
			Senders:        &report.Senders{Senders: []report.SenderCount{{Key: sender, Hard: 1}}, SASLUsers: []report.SenderCount{{Key: "secret4", Hard: 1}}},
			Contradictions: []report.Contradiction{{Kind: "soft_5xx", Replies: []report.ContradictoryReply{{Text: reply, Attempts: 1}}}},
			Unparsed:       &report.Coverage{Sample: []report.UnparsedSample{{Text: "to=<secret5>, " + reply}}, Reasons: []report.UnknownReplyText{{Text: reply, Attempts: 1}}},
		}
	}
	seen := map[string]bool{}
	for range 2 {
		r := build()
		if err := r.Redact(); err != nil {
			t.Fatal(err)
		}
		for _, f := range table.Formats() {
			if f == "csv" || f == "tsv" {
				continue
			}
			var b bytes.Buffer
			if err := Report(&b, r, table.Format(f), Options{Width: 100}); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(b.String(), "secret") {
				t.Errorf("%s:\n%s", f, b.String())
			}
			if !strings.Contains(b.String(), "good.example") {
				t.Errorf("%s: the domain is gone:\n%s", f, b.String())
			}
		}
		seen[r.Recipients[0].Recipient] = true
		if r.Recipients[0].Recipient != r.Groups[0].Key {
			t.Errorf("one address, two names: %s, %s", r.Recipients[0].Recipient, r.Groups[0].Key)
		}
	}
	if len(seen) != 2 {
		t.Errorf("two runs, one key: %v", seen)
	}
}
