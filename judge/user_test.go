package judge

import (
	"strings"
	"testing"

	"bouncelog/bounce"
)

func TestUserRules(t *testing.T) {
	j := newJudge(t, `
[[rule]]
id = "acme-full"
reason = "mailbox_full"
detail = "acme"
any = ["kiste voll"]

[[rule]]
id = "acme-code"
reason = "rate_limited"
host = "mx.acme.example"
enhanced = "x.7.1"

[[rule]]
id = "acme-users"
reason = "policy"
scope = "remote"
any = "user unknown"
code = ["550"]
not = ["certainly"]

[[provider]]
id = "acme"
name = "Acme Mail"
hosts = ["acme.example"]
`)
	for _, c := range []struct {
		d    bounce.Delivery
		want bounce.Verdict
	}{
		{bounce.Delivery{Code: 550, Response: "550 Die Kiste VOLL"}, bounce.Verdict{Reason: bounce.MailboxFull, Detail: "acme", Scope: bounce.ScopeRecipient, Rule: "acme-full", Confidence: bounce.NamedCause}},
		{bounce.Delivery{Code: 550, Response: "550 5.7.1 no", RelayHost: "a.mx.ACME.example."}, bounce.Verdict{Reason: bounce.RateLimited, Detail: "", Scope: bounce.ScopeSender, Rule: "acme-code", Confidence: bounce.ProviderCode}},
		{bounce.Delivery{Code: 550, Response: "550 5.7.1 no", RelayHost: "xmx.acme.example"}, bounce.Verdict{Reason: bounce.Unknown, Detail: "", Rule: "enhanced-x.7.1", Confidence: bounce.CodeOnly}},
		{bounce.Delivery{Code: 550, Response: "550 5.1.1 User unknown"}, bounce.Verdict{Reason: bounce.Policy, Detail: "", Scope: bounce.ScopeRemote, Rule: "acme-users", Confidence: bounce.NamedCause}},
		{bounce.Delivery{Code: 550, Response: "550 5.1.1 User certainly unknown, user unknown"}, bounce.Verdict{Reason: bounce.UserUnknown, Detail: "", Scope: bounce.ScopeRecipient, Rule: "no-such-user", Confidence: bounce.NamedCause}},
		{bounce.Delivery{Code: 450, Response: "450 4.1.1 User unknown"}, bounce.Verdict{Reason: bounce.UserUnknown, Detail: "", Scope: bounce.ScopeRecipient, Rule: "no-such-user", Confidence: bounce.NamedCause}},
	} {
		c.d.Outcome = bounce.Hard
		if got := j.Verdict(&c.d); got != c.want {
			t.Errorf("%q from %q: %+v, want %+v", c.d.Response, c.d.RelayHost, got, c.want)
		}
	}
	if p, ok := j.ProviderInfo("mx.acme.example"); !ok || p.Name != "Acme Mail" {
		t.Errorf("provider of mx.acme.example: %+v, %t", p, ok)
	}
	if got := j.Provider("a.mx.acme.example"); got != "mx.acme.example" {
		t.Errorf("class %q, want mx.acme.example", got)
	}
	if got := j.Provider("other.acme.example"); got != "acme.example" {
		t.Errorf("class %q, want acme.example", got)
	}
	first := true
	last := Tier(0)
	for r := range j.Rules() {
		if first && (r.Tier != TierUser || !strings.HasPrefix(r.ID, "acme-")) {
			t.Errorf("the first rule is %s (%s), want one of the user's", r.ID, r.Tier)
		}
		first = false
		if r.Tier < last {
			t.Errorf("%s (%s) comes after a rule of tier %s", r.ID, r.Tier, last)
		}
		last = r.Tier
	}
}

func TestUserRulesErrors(t *testing.T) {
	for _, c := range []struct{ rules, want string }{
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"xyz\"]\ncolour = 1\n", "line 5: unknown key"},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"xyz\"]\n\n[settings]\nx = 1\n", "line 6: unknown key"},
		{"[[rule]]\nid = \"a\"\nreason = \"polcy\"\nany = [\"xyz\"]\n", `rule a: "polcy" is no reason`},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"xyz\"]\nre = \"(\"\n", "rule a: re: "},
		{"[[rule]]\nreason = \"policy\"\nany = [\"xyz\"]\n", "rule number 1: an id"},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\n", "rule a: any, url, enhanced or code is needed"},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\nre = \"x\"\n", "rule a: all, not and re need any or url"},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"x\"]\n", "too short"},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\ncode = [\"5x1\"]\n", `"5x1" is no reply code`},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\nenhanced = [\"3.1.1\"]\n", `"3.1.1" is no enhanced status code`},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"xyz\"]\nstage = [\"lunch\"]\n", `"lunch" is no stage`},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"xyz\"]\nscope = \"us\"\n", `"us" is no scope`},
		{"[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"xyz\"]\n[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"xyz\"]\n", "another rule has the same id"},
		{"[[rule]]\nid = \"spf\"\nreason = \"policy\"\nany = [\"xyz\"]\n", "another rule has the same id"},
		{"[[rule]]\nid = \"a\nreason = 1", "line 2"},
		{"[[rule]]\nid = \"a\"\nany = [1]\n", "line 3: any: a text or a list of texts"},
		{strings.Repeat("# a long comment\n", 1<<16), "longer than"},
	} {
		_, err := New([]byte(c.rules))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("rules %.60q: %v, want %q in it", c.rules, err, c.want)
		}
	}
}

// A reply cannot make a rule's regular expression slow: RE2 is linear, and only the first part of a
// text is examined.
func TestLongReply(t *testing.T) {
	j := newJudge(t)
	d := &bounce.Delivery{Code: 550, Outcome: bounce.Hard, Response: "550 " + strings.Repeat("user mailbox not found but ", 100_000)}
	if v := j.Verdict(d); v.Reason != bounce.UserUnknown {
		t.Errorf("%+v", v)
	}
}
