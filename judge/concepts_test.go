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
		{connect, "550 192.0.2.1 belongs to an unknown domain", bounce.RDNSHelo, bounce.ScopeSender},
		{auth, "550 Account disabled", bounce.RelayDenied, bounce.ScopeSender},
		{mail, "550 Account disabled", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "550 5.2.1 refused", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "550 5.1.1 User unknown", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "552 5.2.2 Mailbox full", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "550 we know nothing of example.org, no such name", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "550 mail of this domain is barred: not permitted", bounce.SenderRejected, bounce.ScopeSender},
		{mail, "501 give a domain, it is mandatory", bounce.SenderRejected, bounce.ScopeSender},
		{rcpt, "550 5.1.1 User unknown", bounce.UserUnknown, bounce.ScopeRecipient},
		{rcpt, "550 Account disabled", bounce.MailboxDisabled, bounce.ScopeRecipient},
		{none, "550 5.1.1 User unknown", bounce.UserUnknown, bounce.ScopeRecipient},
		{eom, "550 5.1.1 User unknown", bounce.UserUnknown, bounce.ScopeRecipient},

		// The recipient chooses, not the server.
		{rcpt, "550 joe@example.org will not accept letters of this sender", bounce.RecipientRestricted, bounce.ScopeRecipient},
		{rcpt, "550 that user refuses mail from you", bounce.RecipientRestricted, bounce.ScopeRecipient},
		{rcpt, "550 our site refuses that sender", bounce.SenderRejected, bounce.ScopeSender},

		{rcpt, "550 the mailbox is not able to receive", bounce.MailboxDisabled, bounce.ScopeRecipient},
		{rcpt, "550 user was deactivated because of spam", bounce.MailboxDisabled, bounce.ScopeRecipient},
		{rcpt, "550 we host no mail for that user, he is not known", bounce.UserUnknown, bounce.ScopeRecipient},
		{rcpt, "550 directory harvest filter: not in LDAP, user unknown", bounce.UserUnknown, bounce.ScopeRecipient},
		{eom, "554 a stray carriage return is in line 3", bounce.ContentRejected, bounce.ScopeMessage},
		{eom, "554 your message is larger than we take", bounce.MessageTooLarge, bounce.ScopeMessage},
		{eom, "550 the file has a hidden extension that spam has too", bounce.ContentRejected, bounce.ScopeMessage},
		{mail, "450 your server could not be verified, unverified host", bounce.RDNSHelo, bounce.ScopeSender},
		{mail, "550 5.7.1 permission denied", bounce.Policy, bounce.ScopeSender},
		{eom, "451 4.3.0 permission denied", bounce.SystemError, bounce.ScopeRemote},
		{eom, "421 4.4.0 a failure while the command was run", bounce.SystemError, bounce.ScopeRemote},
		{connect, "421 the gateway is not ready", bounce.SystemError, bounce.ScopeRemote},

		// What the client does to others is not about this recipient.
		{rcpt, "550 5.7.1 blocked: your host sends to inactive accounts and unknown users", bounce.Reputation, bounce.ScopeSender},
		{rcpt, "550 sending mail to nonexistent mailboxes is not welcome", bounce.Reputation, bounce.ScopeSender},
		{rcpt, "550 the account you are sending to is inactive", bounce.MailboxDisabled, bounce.ScopeRecipient},
		// Neither is what is said of a login, of a header field, of the words of the message, of a table
		// that could not be read or of other senders.
		{auth, "525 5.7.13 Unauthorized IP address", bounce.RelayDenied, bounce.ScopeSender},
		{rcpt, "550 5.7.0 the SMTP AUTH account does not exist", bounce.RelayDenied, bounce.ScopeSender},
		{eom, "550 the header From holds an invalid mailbox", bounce.SenderRejected, bounce.ScopeSender},
		{eom, "554 refused: \"account disabled\" is what phishing says", bounce.ContentSpam, bounce.ScopeMessage},
		{rcpt, "550 the user has closed the mailbox to external mail", bounce.RecipientRestricted, bounce.ScopeRecipient},
		// A mailbox that is full may be emptied, whatever else is said of it.
		{rcpt, "552 over quota, the account is disabled until it is emptied", bounce.MailboxFull, bounce.ScopeRecipient},
		// A mailbox that is there for some.
		{rcpt, "550 5.2.1 the mailbox is closed to senders outside the organization", bounce.RecipientRestricted, bounce.ScopeRecipient},
		{eom, "550 5.1.3 the header To is malformed", bounce.ContentRejected, bounce.ScopeMessage},
		{eom, "550 a link in the body names a domain that does not exist", bounce.ContentSpam, bounce.ScopeMessage},

		// Other languages: full, unknown, closed, listed.
		{rcpt, "550 A címzett postafiókja megtelt", bounce.MailboxFull, bounce.ScopeRecipient},
		{rcpt, "450 Schránka uživatele je plná", bounce.MailboxFull, bounce.ScopeRecipient},
		{rcpt, "550 Vastaanottajaa ei löydy, tuntematon", bounce.UserUnknown, bounce.ScopeRecipient},
		{rcpt, "550 Mottagaren finns inte", bounce.UserUnknown, bounce.ScopeRecipient},
		{rcpt, "550 Ismeretlen címzett itt", bounce.UserUnknown, bounce.ScopeRecipient},
		{rcpt, "550 Kullanıcı hesabı kapatıldı", bounce.MailboxDisabled, bounce.ScopeRecipient},
		{connect, "550 Server je na černé listině", bounce.Blocklist, bounce.ScopeSender},
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
