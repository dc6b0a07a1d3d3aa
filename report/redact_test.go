package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/problem"
)

func TestRedactText(t *testing.T) {
	d := &redactor{key: []byte("k"), locals: []string{"hidden.name"}}
	for _, c := range []struct{ in, secret string }{
		{"550 5.1.1 <secret@good.example>: Recipient address rejected: User unknown", "secret"},
		{"550 no such user secret@good.example", "secret"},
		{"550 secret.part+tag=x@good.example.", "secret"},
		{`550 "secret words"@good.example unknown`, "secret"},
		{`550 "sec\"ret"@good.example unknown`, "ret"},
		{"550 a@b.example,secret@good.example;secret@x.example", "secret"},
		{"550 secret@[192.0.2.1] unknown", "secret"},
		{"550 sécret@good.example", "sécret"},
		{"550 SRS0=abcd=xy=shop.example=secret@relay.example", "secret"},
		{"550 bounces+secret=good.example@lists.example", "secret"},
		{`unknown user: "secret"`, "secret"},
		{"Nov 23 mx1 postfix/x[1]: to=<secret>, orig_to=<secret>, sasl_username=secret", "secret"},
		{"550 5.1.1 table.Hidden.name is not here", "hidden.name"},
		{"550 5.1.1 HIDDEN.NAME: unknown", "HIDDEN.NAME"},
		{"550 mailto:secret@good.example", "secret"},
		{"550 \u212a\u0130 hidden.name is not here", "hidden.name"}, // letters whose lower case has another length
		{"550 hidden.name \u2c62\u023a", "hidden.name"},
		{"550 5.1.1 hidden=2Ename is not here", "hidden"},
		{"550 5.1.1 see https://x.example/?to=HIDDEN%2ename&p=1", "HIDDEN"},
		{"cannot open /home/secret/mbox: permission denied", "secret"},
		{"error writing \"/var/vmail/good.example/secret.\"", "secret"},
		{"550 secret%2540good.example denied", "secret"},
		{"550 secret=3D40good.example denied", "secret"},
		{"550 secret&#64;good.example or secret&commat;good.example", "secret"},
		{"550 secret (at) good.example denied", "secret"},
		{"550 user secret denied", "secret"},
		{"550 no delivery for secret", "secret"},
		{"552 mailbox of secret is full", "secret"},
		{"550 hidden%252Ename denied", "hidden"},
		{"550 hidden&#46;name denied", "hidden"},
		{"550 \uff28idden.n\u00e4me or h\u0301idden.name denied", "idden"},
		{"550 secret@", "nothing to find"},
	} {
		got := d.text(c.in)
		if strings.Contains(got, c.secret) {
			t.Errorf("%q became %q", c.in, got)
		}
		if again := d.text(got); again != got {
			t.Errorf("%q, redacted again: %q", got, again)
		}
	}
	for _, kept := range []string{
		"550 5.1.1 User unknown in virtual mailbox table", "554 blocked using zen.spamhaus.org", "550 5.7.1 <unknown[192.0.2.1]>: refused",
	} {
		if got := d.text(kept); got != kept && !strings.Contains(kept, "<") {
			t.Errorf("%q became %q", kept, got)
		}
	}
	// One address has one hash everywhere, and different addresses have different hashes.
	a := d.address("Lise@good.example")
	if got := d.text("no <lise@good.example> here"); got != "no <"+a+"> here" {
		t.Errorf("%s and %s", a, got)
	}
	if d.address("l\u0131se@good.example") == a || d.address("fran\u212a@x.example") == d.address("frank@x.example") {
		t.Error("a look-alike letter makes two addresses the same")
	}
	if b := d.address("lisa@good.example"); b == a || !strings.HasSuffix(b, "@good.example") {
		t.Errorf("%s, %s", a, b)
	}
}

// TestRedactSample holds that only the shape is left of a line that was not understood.
func TestRedactSample(t *testing.T) {
	r := &Report{Location: time.UTC, Unparsed: &Coverage{Sample: []UnparsedSample{{Text: "Nov 23 10:00:00 mx1 postfix/smtp[1]: 550 kim.secret unknown, status=odd"}}}}
	if err := r.Redact(); err != nil {
		t.Fatal(err)
	}
	if got := r.Unparsed.Sample[0].Text; got != "Nov 23 10:00:00 mx1 postfix/smtp[1]: 000 xxx.xxxxxx xxxxxxx, status=xxx" {
		t.Error(got)
	}
}

// TestRedactChange holds that the addresses of a change are redacted.
func TestRedactChange(t *testing.T) {
	r := &Report{Location: time.UTC, asked: []string{SectionChanges}, Changes: []Change{{Kind: "total", Key: totalDeferrals, Change: ChangeMore, Mail: &MailOf{"kim.secret@shop.example", "lou.hidden@good.example", 9}}}}
	if err := r.Redact(); err != nil {
		t.Fatal(err)
	}
	if words := fmt.Sprint(r.Parts(true), *r.Changes[0].Mail); strings.Contains(words, "secret") || strings.Contains(words, "hidden") || !strings.Contains(words, "@shop.example") {
		t.Error(words)
	}
}

// TestRedactTitle holds that a problem whose title has an address is redacted everywhere.
func TestRedactTitle(t *testing.T) {
	const address = "kim.secret@shop.example"
	r := &Report{Location: time.UTC, asked: []string{SectionProblems}, Problems: []problem.Problem{{
		ID: "0123456789ab", Level: problem.Likely, Title: "the account <" + address + "> sends a flood of mail", Short: "the account <" + address + ">",
	}}}
	if err := r.Redact(); err != nil {
		t.Fatal(err)
	}
	for _, in := range r.Incidents() {
		if !strings.HasPrefix(in.ID, "r-") {
			t.Errorf("the id %s stays", in.ID)
		}
		if strings.Contains(in.Title+in.Short, "kim.secret") || !strings.Contains(in.Title, "@shop.example> sends") {
			t.Errorf("%q, %q", in.Title, in.Short)
		}
	}
	if rows := r.Parts(true)[0].Data.Rows; strings.Contains(fmt.Sprint(rows), "kim.secret") {
		t.Errorf("%v", rows)
	}
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{"a", `"`, "x y", "<", "@", "\xff", "é", "a@b"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		if len(before)+len(after) > 2000 || strings.Contains(before+after, "zqsecretqz") {
			t.Skip()
		}
		d := &redactor{key: []byte("k")}
		got := d.text(fmt.Sprintf("%s <zqsecretqz@good.example> %s", before, after))
		if strings.Contains(got, "zqsecretqz") {
			t.Errorf("%q, %q: %q", before, after, got)
		}
	})
}

// TestRedactSender holds that the sender of most messages of a problem is redacted, in both places.
func TestRedactSender(t *testing.T) {
	r := &Report{
		Problems: []problem.Problem{{Sender: &problem.Mostly{Login: "secret"}}},
		Verdict:  &Verdict{Act: []Incident{{Sender: &problem.Mostly{Login: "secret"}}}},
	}
	if err := r.Redact(); err != nil {
		t.Fatal(err)
	}
	if a, b := r.Problems[0].Sender.Login, r.Verdict.Act[0].Sender.Login; a != b || !redacted().MatchString(a) {
		t.Errorf("%q and %q", a, b)
	}
}
