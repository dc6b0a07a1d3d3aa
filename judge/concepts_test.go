package judge

import (
	"testing"

	"bouncelog/bounce"
)

// Replies in words of no server: the subject and what is said of it decide, and the stage says whom
// the words can be about.
func TestConcepts(t *testing.T) {
	j := newJudge(t)
	const none, connect, helo, auth, mail, rcpt, eom = bounce.NoStage, bounce.StageConnect, bounce.StageHelo, bounce.StageAuth, bounce.StageMail, bounce.StageRcpt, bounce.StageEOM
	for _, c := range []struct {
		stage  bounce.Stage
		text   string
		reason bounce.Reason
		scope  bounce.Scope
	}{
		// Before RCPT TO there is no recipient.
		{connect, "550 5.1.1 refused", bounce.Unknown, bounce.NoScope},
		{connect, "554 5.7.2 no service", bounce.Unknown, bounce.NoScope},
		{helo, "550 No such user here", bounce.Unknown, bounce.NoScope},
		{helo, "550 5.1.2 Host unknown", bounce.RDNSHelo, bounce.ScopeSender},
		{auth, "550 Account disabled", bounce.RelayDenied, bounce.ScopeSender},
		{mail, "550 Account disabled", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "550 5.2.1 refused", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "550 5.1.1 User unknown", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "552 5.2.2 Mailbox full", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "550 we know nothing of example.org, no such name", bounce.SenderRejected, bounce.ScopeSender},
		{rcpt, "550 5.1.1 User unknown", bounce.UserUnknown, bounce.ScopeRecipient},
		{rcpt, "550 Account disabled", bounce.MailboxDisabled, bounce.ScopeRecipient},
		{none, "550 5.1.1 User unknown", bounce.UserUnknown, bounce.ScopeRecipient},
		{eom, "550 5.1.1 User unknown", bounce.UserUnknown, bounce.ScopeRecipient},
	} {
		d := bounce.Delivery{Outcome: bounce.Hard, Response: c.text, Stage: c.stage, Code: bounce.ReplyCode(c.text), RelayHost: "mx.example.com", RelayIP: "198.51.100.7"}
		if c.text[0] == '4' {
			d.Outcome = bounce.Soft
		}
		if v := j.Verdict(&d); v.Reason != c.reason || v.Scope != c.scope {
			t.Errorf("%s: %q: %s, scope %q, by %s; want %s, %q", c.stage, c.text, v.Reason, v.Scope, v.Rule, c.reason, c.scope)
		}
	}
}

// A user's rule may say that a reply before RCPT TO is about the recipient.
func TestUserRuleBeforeRecipient(t *testing.T) {
	j, err := New([]byte(`[[rule]]
id = "mine"
reason = "user_unknown"
any = ["gone fishing"]
`))
	if err != nil {
		t.Fatal(err)
	}
	d := bounce.Delivery{Outcome: bounce.Hard, Response: "550 gone fishing", Code: 550, Stage: bounce.StageMail}
	if v := j.Verdict(&d); v.Reason != bounce.UserUnknown || v.Rule != "mine" {
		t.Error(v)
	}
}
