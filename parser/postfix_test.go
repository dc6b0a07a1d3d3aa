package parser

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
)

// parseLines reads lines in order and returns the result of the last one.
func parseLines(t *testing.T, lines ...string) (Kind, Result) {
	t.Helper()
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	var r Result
	kind := Blank
	for i, l := range lines {
		kind = p.Parse([]byte(l), int64(1000*i), &r)
	}
	if len(p.paste.text) > 0 { // its end does not come
		kind, _, _ = p.End(0, &r)
	}
	return kind, r
}

func enhanced(t *testing.T, s string) bounce.EnhancedCode {
	t.Helper()
	e, ok := bounce.ParseEnhanced(s)
	if !ok {
		t.Fatalf("%q is no enhanced code", s)
	}
	return e
}

// TestPostfixDelivery tests the delivery agents and their wording.
func TestPostfixDelivery(t *testing.T) {
	type want struct {
		agent, instance, queueID string
		recipient, domain, orig  string
		relayHost, relayIP       string
		port                     uint16
		status                   string
		outcome                  bounce.Outcome
		code                     uint16
		enhanced                 string
		stage                    bounce.Stage
		response                 string
		local                    bool
		delay                    float64
		delays                   [4]float64
		hasDelays                bool
		tls                      string
		disposal                 bounce.Disposal
	}
	const fields = "relay=mx.b.example[192.0.2.1]:25, delay=1.5, delays=0.1/0.2/0.3/0.9, "
	base := want{
		agent: "smtp", instance: "postfix", queueID: "4028B460", recipient: "a@b.example", domain: "b.example",
		relayHost: "mx.b.example", relayIP: "192.0.2.1", port: 25, delay: 1.5,
		delays: [4]float64{0.1, 0.2, 0.3, 0.9}, hasDelays: true,
	}
	none := base
	none.relayHost, none.relayIP, none.port = "", "", 0
	type change func(*want)
	with := func(w want, status string, o bounce.Outcome, code uint16, enh string, stage bounce.Stage, response string, more ...change) want {
		w.status, w.outcome, w.code, w.enhanced, w.stage, w.response, w.local = status, o, code, enh, stage, response, code == 0
		for _, m := range more {
			m(&w)
		}
		return w
	}
	const noRelay = "relay=none, delay=1.5, delays=0.1/0.2/0.3/0.9, "
	relay := func(host, ip string, port uint16) change {
		return func(w *want) { w.relayHost, w.relayIP, w.port = host, ip, port }
	}
	agent := func(s string) change { return func(w *want) { w.agent = s } }
	discarded := func(w *want) { w.disposal = bounce.Discarded }
	tests := []struct {
		name, program, msg string
		want               want
	}{
		{
			"sent", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 69F)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 2.0.0 Ok: queued as 69F"),
		},
		{
			"conn_use and tls", "postfix/smtp", "4028B460: to=<a@b.example>, relay=mx.b.example[192.0.2.1]:25, conn_use=3, delay=1.5, delays=0.1/0.2/0.3/0.9, tls=dane/requiretls, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 2.0.0 Ok", func(w *want) { w.tls = "dane/requiretls" }),
		},
		{
			"Postfix 3.11: the TLS level was not reached", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "tls=secure:encrypt!, dsn=4.7.5, status=deferred (Server certificate not verified)",
			with(base, "deferred", bounce.Soft, 0, "4.7.5", bounce.StageTLS, "Server certificate not verified", func(w *want) { w.tls = "secure:encrypt!" }),
		},
		{
			"thrown away by one's own filter", "postfix/smtp", "4028B460: to=<a@b.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.7.0, status=sent (250 2.7.0 Ok, discarded, id=11-02 - spam)",
			with(base, "sent", bounce.Handoff, 250, "2.7.0", 0, "250 2.7.0 Ok, discarded, id=11-02 - spam", relay("127.0.0.1", "127.0.0.1", 10024), func(w *want) { w.disposal = "discarded" }),
		},
		{
			"a remote that discards has taken it", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=2.7.0, status=sent (250 2.7.0 Ok, discarded, id=11-02 - spam)",
			with(base, "sent", bounce.Delivered, 250, "2.7.0", 0, "250 2.7.0 Ok, discarded, id=11-02 - spam"),
		},
		{
			"no comma behind conn_use", "postfix/smtp", "4028B460: to=<a@b.example>, relay=mx.b.example[192.0.2.1]:25, conn_use=3 delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 2.0.0 Ok"),
		},
		{
			"Postfix 2.2: neither delays nor dsn", "postfix/smtp", "4028B460: to=<a@b.example>, relay=mx.b.example[192.0.2.1], delay=7, status=bounced (host mx.b.example[192.0.2.1] said: 550 no such user (in reply to RCPT TO command))",
			with(base, "bounced", bounce.Hard, 550, "", bounce.StageRcpt, "550 no such user", relay("mx.b.example", "192.0.2.1", 0), func(w *want) { w.delay, w.delays, w.hasDelays = 7, [4]float64{}, false }),
		},
		{
			"dsn is not the reply's code", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=5.0.0, status=bounced (host mx.b.example[192.0.2.1] said: 550 4.2.1 disabled (in reply to RCPT TO command))",
			with(base, "bounced", bounce.Hard, 550, "5.0.0", bounce.StageRcpt, "550 4.2.1 disabled"),
		},
		{
			"several lines", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=5.7.26, status=bounced (host mx.b.example[192.0.2.1] said: 550-5.7.26 Unauthenticated email is not accepted due to 550-5.7.26 domain's DMARC policy. 550 5.7.26 see https://x.example d2e1a72fcca58-4d3 - gsmtp (in reply to end of DATA command))",
			with(base, "bounced", bounce.Hard, 550, "5.7.26", bounce.StageEOM, "550 5.7.26 Unauthenticated email is not accepted due to domain's DMARC policy. see https://x.example d2e1a72fcca58-4d3 - gsmtp"),
		},
		{
			"a 5xx greeting is soft", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=4.7.1, status=deferred (host mx.b.example[192.0.2.1] refused to talk to me: 554 5.7.1 blocked)",
			with(base, "deferred", bounce.Soft, 554, "4.7.1", bounce.StageConnect, "554 5.7.1 blocked"),
		},
		{
			"cut by syslog", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=5.7.1, status=bounced (host mx.b.example[192.0.2.1] said: 550-5.7.1 one 550-5.7.1 tw",
			with(base, "bounced", bounce.Hard, 550, "5.7.1", 0, "550 5.7.1 one tw"),
		},
		{
			"a reply that imitates a delivery", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=5.1.1, status=bounced (host mx.b.example[192.0.2.1] said: 550 5.1.1 User unknown), to=<victim@b.example>, relay=none, delay=0, dsn=2.0.0, status=sent (250 2.0.0 Ok (in reply to RCPT TO command))",
			with(base, "bounced", bounce.Hard, 550, "5.1.1", bounce.StageRcpt, "550 5.1.1 User unknown), to=<victim@b.example>, relay=none, delay=0, dsn=2.0.0, status=sent (250 2.0.0 Ok"),
		},
		{
			"a recipient that imitates a delivery", "postfix/smtp", `4028B460: to=<"x>, relay=none, delay=0, dsn=2.0.0, status=sent (250 Ok) <"@b.example>, ` + fields + "dsn=5.1.1, status=bounced (host mx.b.example[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command))",
			with(base, "bounced", bounce.Hard, 550, "5.1.1", bounce.StageRcpt, "550 5.1.1 no", func(w *want) {
				w.recipient = `"x>, relay=none, delay=0, dsn=2.0.0, status=sent (250 Ok) <"@b.example`
			}),
		},
		{
			"quoted, with blanks, commas, angles and equals signs", "postfix/smtp", `4028B460: to=<"quoted user, x=<y>"@B.Example>, orig_to=<"a\"b>c"@d.example>, ` + fields + "dsn=2.0.0, status=sent (250 ok)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 ok", func(w *want) {
				w.recipient, w.orig = `"quoted user, x=<y>"@b.example`, `"a\"b>c"@d.example`
			}),
		},
		{
			"internal address format: not quoted", "postfix/smtp", `4028B460: to=<quoted user, x=<y>@b.example>, ` + fields + "dsn=2.0.0, status=sent (250 ok)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 ok", func(w *want) { w.recipient = "quoted user, x=<y>@b.example" }),
		},
		{
			"two at signs", "postfix/smtp", "4028B460: to=<a@x@b.example>, " + fields + "dsn=2.0.0, status=sent (250 ok)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 ok", func(w *want) { w.recipient = "a@x@b.example" }),
		},
		{
			"UTF-8: the domain becomes an A-label", "postfix/smtp", "4028B460: to=<Jürgen@BÜCHER.example>, " + fields + "dsn=2.0.0, status=sent (250 ok)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 ok", func(w *want) {
				w.recipient, w.domain = "Jürgen@xn--bcher-kva.example", "xn--bcher-kva.example"
			}),
		},
		{
			"no recipient", "postfix/local", "4028B460: to=<>, relay=local, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (delivered to mailbox)",
			with(base, "sent", bounce.Delivered, 0, "2.0.0", 0, "delivered to mailbox", agent("local"), relay("local", "", 0), func(w *want) { w.recipient, w.domain = "", "" }),
		},
		{
			"local, an alias to a command", "postfix/local", `4028B460: to=<a@b.example>, orig_to=<|"/usr/bin/x -y, z">, relay=local, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (delivered to command: /usr/bin/x)`,
			with(base, "sent", bounce.Delivered, 0, "2.0.0", 0, "delivered to command: /usr/bin/x", agent("local"), relay("local", "", 0), func(w *want) { w.orig = `|"/usr/bin/x -y, z"` }),
		},
		{
			"local, an alias", "postfix/local", "4028B460: to=<a@b.example>, relay=local, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (forwarded as 4028B461)",
			with(base, "sent", bounce.Handoff, 0, "2.0.0", 0, "forwarded as 4028B461", agent("local"), relay("local", "", 0)),
		},
		{
			"local, unknown", "postfix/local", `4028B460: to=<a@b.example>, relay=local, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=5.1.1, status=bounced (unknown user: "a")`,
			with(base, "bounced", bounce.Hard, 0, "5.1.1", 0, `unknown user: "a"`, agent("local"), relay("local", "", 0)),
		},
		{
			"virtual", "postfix/virtual", "4028B460: to=<a@b.example>, relay=virtual, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (delivered to maildir)",
			with(base, "sent", bounce.Delivered, 0, "2.0.0", 0, "delivered to maildir", agent("virtual"), relay("virtual", "", 0)),
		},
		{
			"pipe", "postfix/pipe", "4028B460: to=<a@b.example>, relay=dovecot, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=5.1.1, status=bounced (user unknown. Command output: 550 5.1.1 no )",
			with(base, "bounced", bounce.Hard, 0, "5.1.1", 0, "user unknown. Command output: 550 5.1.1 no ", agent("pipe"), relay("dovecot", "", 0)),
		},
		{
			"pipe, to a filter", "postfix/pipe", "4028B460: to=<a@b.example>, relay=spamassassin, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (delivered via spamassassin service)",
			with(base, "sent", bounce.Handoff, 0, "2.0.0", 0, "delivered via spamassassin service", agent("pipe"), relay("spamassassin", "", 0)),
		},
		{
			"pipe, to a store", "postfix/pipe", "4028B460: to=<a@b.example>, relay=dovecot, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (delivered via dovecot service)",
			with(base, "sent", bounce.Delivered, 0, "2.0.0", 0, "delivered via dovecot service", agent("pipe"), relay("dovecot", "", 0)),
		},
		{
			"lmtp over a socket", "postfix/lmtp", "4028B460: to=<a@b.example>, relay=mx1.x.example[private/dovecot-lmtp], delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (250 2.0.0 <a@b.example> ID Saved)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 2.0.0 <a@b.example> ID Saved", agent("lmtp"), relay("mx1.x.example", "", 0)),
		},
		{
			"lmtp to a store on this machine", "postfix/lmtp", "4028B460: to=<a@b.example>, relay=127.0.0.1[127.0.0.1]:24, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (250 2.0.0 <a@b.example> ID Saved)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 2.0.0 <a@b.example> ID Saved", agent("lmtp"), relay("127.0.0.1", "127.0.0.1", 24)),
		},
		{
			"lmtp to a filter", "postfix/lmtp", "4028B460: to=<a@b.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (250 2.0.0 Ok, id=1, from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4028B461)",
			with(base, "sent", bounce.Handoff, 250, "2.0.0", 0, "250 2.0.0 Ok, id=1, from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4028B461", agent("lmtp"), relay("127.0.0.1", "127.0.0.1", 10024)),
		},
		{
			"smtp to a filter", "postfix/amavis/smtp", "4028B460: to=<a@b.example>, relay=localhost[::1]:10026, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
			with(base, "sent", bounce.Handoff, 250, "2.0.0", 0, "250 2.0.0 Ok", relay("localhost", "::1", 10026)),
		},
		{
			"a filter that refuses is an outcome", "postfix/smtp", "4028B460: to=<a@b.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=5.7.0, status=bounced (host 127.0.0.1[127.0.0.1] said: 554 5.7.0 Reject, id=1 - spam (in reply to end of DATA command))",
			with(base, "bounced", bounce.Hard, 554, "5.7.0", bounce.StageEOM, "554 5.7.0 Reject, id=1 - spam", relay("127.0.0.1", "127.0.0.1", 10024)),
		},
		{
			"error", "postfix/error", "4028B460: to=<a@b.example>, " + noRelay + "dsn=4.4.1, status=deferred (delivery temporarily suspended: connect to b.example[192.0.2.1]:25: Connection refused)",
			with(none, "deferred", bounce.Soft, 0, "4.4.1", bounce.StageConnect, "delivery temporarily suspended: connect to b.example[192.0.2.1]:25: Connection refused", agent("error")),
		},
		{
			"retry, with an earlier reply", "postfix/retry", "4028B460: to=<a@b.example>, " + noRelay + "dsn=4.7.0, status=deferred (delivery temporarily suspended: host b.example[2001:db8::1] said: 421-4.7.0 a 421 4.7.0 b (in reply to MAIL FROM command))",
			with(none, "deferred", bounce.Soft, 421, "4.7.0", bounce.StageMail, "421 4.7.0 a b", agent("retry")),
		},
		{
			"discard", "postfix/discard", "4028B460: to=<a@b.example>, " + noRelay + "dsn=2.0.0, status=sent (by order of the administrator)",
			with(none, "sent", bounce.Delivered, 0, "2.0.0", 0, "by order of the administrator", agent("discard"), discarded),
		},
		{
			"discard under a service's name", "postfix/nobody/discard", "4028B460: to=<a@b.example>, " + noRelay + "dsn=2.0.0, status=sent (nobody)",
			with(none, "sent", bounce.Delivered, 0, "2.0.0", 0, "nobody", agent("discard"), discarded),
		},
		{
			"an alias that leads to /dev/null", "postfix/local", "4028B460: to=<a@b.example>, relay=local, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=2.0.0, status=sent (delivered to file: /dev/null)",
			with(none, "sent", bounce.Delivered, 0, "2.0.0", 0, "delivered to file: /dev/null", agent("local"), relay("local", "", 0), discarded),
		},
		{
			"DNS", "postfix/smtp", "4028B460: to=<a@b.example>, " + noRelay + "dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name=b.example type=A: Host not found)",
			with(none, "bounced", bounce.Hard, 0, "5.4.4", 0, "Host or domain name not found. Name service error for name=b.example type=A: Host not found"),
		},
		{
			"lost connection", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=4.4.2, status=deferred (lost connection with mx.b.example[192.0.2.1] while sending RCPT TO)",
			with(base, "deferred", bounce.Soft, 0, "4.4.2", bounce.StageRcpt, "lost connection with mx.b.example[192.0.2.1] while sending RCPT TO"),
		},
		{
			"timeout at the greeting", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=4.4.2, status=deferred (conversation with mx.b.example[192.0.2.1] timed out while receiving the initial server greeting)",
			with(base, "deferred", bounce.Soft, 0, "4.4.2", bounce.StageConnect, "conversation with mx.b.example[192.0.2.1] timed out while receiving the initial server greeting"),
		},
		{
			"timeout at the handshake", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=4.4.2, status=deferred (lost connection with mx.b.example[192.0.2.1] while performing the EHLO handshake)",
			with(base, "deferred", bounce.Soft, 0, "4.4.2", bounce.StageHelo, "lost connection with mx.b.example[192.0.2.1] while performing the EHLO handshake"),
		},
		{
			"timeout at the end", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=4.4.2, status=deferred (conversation with mx.b.example[192.0.2.1] timed out while sending end of data -- message may be sent more than once)",
			with(base, "deferred", bounce.Soft, 0, "4.4.2", bounce.StageEOM, "conversation with mx.b.example[192.0.2.1] timed out while sending end of data -- message may be sent more than once"),
		},
		{
			"Postfix 3.11: SMTPUTF8", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "tls=may?, dsn=5.6.7, status=bounced (message requires SMTPUTF8, but no server was found that supports SMTPUTF8. The last attempted server was mx.b.example[192.0.2.1])",
			with(base, "bounced", bounce.Hard, 0, "5.6.7", bounce.StageHelo, "message requires SMTPUTF8, but no server was found that supports SMTPUTF8. The last attempted server was mx.b.example[192.0.2.1]", func(w *want) { w.tls = "may?" }),
		},
		{
			"Postfix 3.11: REQUIRETLS", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "tls=encrypt/!requiretls:nocertmatch, dsn=5.7.10, status=bounced (Sender requested REQUIRETLS, but my configured TLS security level 'encrypt' disables certificate matching. The last attempted server was mx.b.example)",
			with(base, "bounced", bounce.Hard, 0, "5.7.10", bounce.StageTLS, "Sender requested REQUIRETLS, but my configured TLS security level 'encrypt' disables certificate matching. The last attempted server was mx.b.example", func(w *want) { w.tls = "encrypt/!requiretls:nocertmatch" }),
		},
		{
			"TLS", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=4.7.4, status=deferred (TLS is required, but was not offered by host mx.b.example[192.0.2.1])",
			with(base, "deferred", bounce.Soft, 0, "4.7.4", bounce.StageTLS, "TLS is required, but was not offered by host mx.b.example[192.0.2.1]"),
		},
		{
			"SASL", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=4.7.8, status=deferred (SASL authentication failed; server mx.b.example[192.0.2.1] said: 535 5.7.8 Error: authentication failed)",
			with(base, "deferred", bounce.Soft, 535, "4.7.8", bounce.StageAuth, "535 5.7.8 Error: authentication failed"),
		},
		{
			"soft_bounce", "postfix/local", `4028B460: to=<a@b.example>, relay=local, delay=1.5, delays=0.1/0.2/0.3/0.9, dsn=4.1.1, status=SOFTBOUNCE (unknown user: "a")`,
			with(base, "SOFTBOUNCE", bounce.Soft, 0, "4.1.1", 0, `unknown user: "a"`, agent("local"), relay("local", "", 0)),
		},
		{
			"address verification", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=5.1.1, status=undeliverable (host mx.b.example[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command))",
			with(base, "undeliverable", bounce.Probe, 550, "5.1.1", bounce.StageRcpt, "550 5.1.1 no"),
		},
		{
			"long queue id of an instance", "postfix-out/smtp", "4jY7Nx1nZjzPt: to=<a@b.example>, " + fields + "dsn=2.0.0, status=sent (250 ok)",
			with(base, "sent", bounce.Delivered, 250, "2.0.0", 0, "250 ok", func(w *want) { w.instance, w.queueID = "postfix-out", "4jY7Nx1nZjzPt" }),
		},
		{
			"no text", "postfix/smtp", "4028B460: to=<a@b.example>, " + fields + "dsn=2.0.0, status=sent",
			with(base, "sent", bounce.Delivered, 0, "2.0.0", 0, ""),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kind, r := parseLines(t, "Nov 23 09:47:06 mx1 "+tt.program+"[20469]: "+tt.msg)
			if kind != Attempt || len(r.Deliveries) != 1 {
				t.Fatalf("%v with %d deliveries, want an attempt", kind, len(r.Deliveries))
			}
			got := r.Deliveries[0]
			w := bounce.Delivery{
				Time: time.Date(2026, 11, 23, 9, 47, 6, 0, time.UTC), Host: "mx1", MTA: bounce.Postfix,
				Instance: tt.want.instance, Agent: tt.want.agent, QueueID: tt.want.queueID,
				Recipient: tt.want.recipient, RecipientDomain: tt.want.domain, OriginalRecipient: tt.want.orig,
				RelayHost: tt.want.relayHost, RelayIP: tt.want.relayIP, RelayPort: tt.want.port,
				Status: tt.want.status, Outcome: tt.want.outcome, Code: tt.want.code, Stage: tt.want.stage,
				Response: tt.want.response, Local: tt.want.local,
				Delay: tt.want.delay, Delays: tt.want.delays, HasDelays: tt.want.hasDelays,
				TLS: tt.want.tls, Disposal: tt.want.disposal,
			}
			if tt.want.enhanced != "" {
				w.Enhanced = enhanced(t, tt.want.enhanced)
			}
			if diff := cmp.Diff(w, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestKinds tests the kinds of lines that are not deliveries.
func TestKinds(t *testing.T) {
	const h = "Nov 23 09:47:06 mx1 "
	tests := []struct {
		line string
		want Kind
	}{
		{"", Blank},
		{" \r", Blank},
		{h + "postfix/smtpd[1]: connect from unknown[192.0.2.1]", Skipped},
		{h + "postfix/smtpd[1]: 4028B460: client=unknown[192.0.2.1]", Queued},
		{h + "postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <a@b>: Relay access denied; from=<x@y> to=<a@b> proto=ESMTP helo=<z>", Reject},
		{h + "postfix/smtpd[1]: 4028B460: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 x; from=<x@y> to=<a@b> proto=ESMTP helo=<z>", Reject},
		{h + "postfix/smtpd[1]: NOQUEUE: milter-reject: CONNECT from unknown[192.0.2.1]: x", Reject},
		{h + "postfix/smtpd[1]: NOQUEUE: reject_warning: RCPT from unknown[192.0.2.1]: 554 5.7.1 x", Skipped},
		{h + "postfix/postscreen[1]: NOQUEUE: reject: RCPT from [192.0.2.1]:1234: 550 5.7.1 x", Reject},
		{h + "postfix/cleanup[1]: 4028B460: milter-reject: END-OF-MESSAGE from x[192.0.2.1]: 5.7.1 x; from=<a@b> to=<c@d>", Reject},
		{h + "postfix/cleanup[1]: 4028B460: reject: header Subject: x from y; from=<a@b> to=<c@d>: 5.7.1 status=sent (250", Reject},
		{h + "postfix/cleanup[1]: 4028B460: message-id=<x@y>", Queued},
		{h + "postfix/cleanup[1]: 4028B460: to=<a@b.example>, relay=none, delay=0.2, delays=0.2/0/0/0, dsn=5.7.1, status=bounced (Spam message rejected)", Attempt},
		{h + "postfix/qmgr[1]: 4028B460: to=<a@b.example>, relay=none, delay=9, status=bounced (mail forwarding loop)", Attempt},
		{h + "postfix/smtpd[1]: 4028B460: to=<a@b.example>, relay=none, delay=9, dsn=2.0.0, status=sent (x)", Unparsed},
		{h + "postfix/cleanup[1]: 4028B460: warning: header Subject: 4028B460: to=<a@b>, relay=none, delay=0, status=sent (250 ok)", Queued},
		{h + "postfix/qmgr[1]: 4028B460: from=<a@b>, size=1, nrcpt=1 (queue active)", Queued},
		{h + "postfix/qmgr[1]: 4028B460: from=<a@b>, status=expired, returned to sender", Expiry},
		{h + "postfix/qmgr[1]: 4028B460: from=<>, status=force-expired, returned to sender", Expiry},
		{h + "postfix/qmgr[1]: 4028B460: from=<a@b>, status=odd, returned to sender", Unparsed},
		{h + "postfix/qmgr[1]: 4028B460: from=<a@b>, status=expir", Unparsed},
		{h + "postfix/qmgr[1]: 4028B460: removed", Queued},
		{h + "postfix/qmgr[1]: warning: connect to transport private/x: Connection refused", Skipped},
		{h + "postfix/bounce[1]: 4028B460: sender non-delivery notification: 4028B461", Queued},
		{h + "postfix/smtp[1]: connect to mx.b[192.0.2.1]:25: Connection refused", Skipped},
		{h + "postfix/smtp[1]: 4028B460: host mx.b[192.0.2.1] said: 450 4.2.0 to=<a@b>, relay=none, delay=0, status=sent (in reply to RCPT TO command)", Queued},
		{h + "postfix/smtp[1]: 4028B460: to=<a@b>, relay=none, delay=0, dsn=4.0", Unparsed},
		{h + "postfix/smtp[1]: 4028B460: to=<a@b", Unparsed},
		{h + "postfix/smtp[1]: 4028B460: to=<a@b>, relay=none, delay=0, status=odd (x)", Unparsed},
		{h + "postfix/smtp[1]: 4028B460: xto=<a@b>, relay=none, delay=0, dsn=2.0.0, status=sent (x)", Unparsed},
		{h + "postfix/smtp[1]: 4028B460: host b[192.0.2.1] said: 450 to=<a@b>, status=sent (in reply to RCPT TO command)", Queued},
		{h + "postfix/smtp[1]: warning: 4028B460: to=<a@b>, relay=none, delay=0, status=sent (x)", Skipped},
		{h + "postfix/anvil[1]: statistics: max connection rate 1/60s", Skipped},
		{h + "dovecot: imap(4028B460: to=<a@b>, relay=none, delay=0, dsn=2.0.0, status=sent (x))", Unparsed},
		{h + "dovecot[4]: 4028B460: to=<a@b>, relay=none, delay=0, dsn=2.0.0, status=sent (x)", Unparsed},
		{h + "opendkim[1]: 4028B460: DKIM-Signature field added (s=mail, d=b)", Skipped},
		{h + "exim[1]: 2026-11-23 09:47:06 H=x [192.0.2.1] F=<a@b> rejected RCPT <c@d>: no", Reject},
		{h + "exim[1]: [2/2] 1xVUtG-0005Lh-1y => a@b R=x", Queued},
		{h + "5f2ab81c03de[1]: 2026-11-23 09:47:06 1xVUtG-0005Lh-1y => a@b R=x T=y", Attempt},
		{"2026-11-23 09:47:06 1xVUtG-0005Lh-1y <= a@b H=x [192.0.2.1] P=smtp S=1 T=\"x => a@b R=x T=y\"", Queued},
		{"2026-11-23 09:47:06 1xVUtG-0005Lh-1y Completed", Queued},
		{"2026-11-23 09:47:06 1xVUtG-0005Lh-1y Frozen (delivery error message)", Queued},
		{"2026-11-23 09:47:06 1xVUtG-0005Lh-1y H=mx.b [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b>: 450 rejected ** a@b", Queued},
		{"2026-11-23 09:47:06 1xVUtG-0005Lh-1y H=x [192.0.2.1] F=<a@b> rejected after DATA: no", Reject},
		{"2026-11-23 09:47:06 H=x [192.0.2.1] F=<a@b> temporarily rejected RCPT <c@d>: later", Reject},
		{"2026-11-23 09:47:06 exim 4.96 daemon started: pid=1", Skipped},
		{"2026-11-23 09:47:06 1xVUtG-0005Lh-1y => ", Unparsed},
		{"2026-11-23 09:47:06 1xVUtG-0005Lh-1y **", Unparsed},
		{"nothing of the kind", Skipped},
		{"4028B460: to=<a@b>, relay=none, del", Unparsed},
	}
	for _, tt := range tests {
		if got, _ := parseLines(t, tt.line); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.line, got, tt.want)
		}
	}
}

func TestExpiry(t *testing.T) {
	const h = "Nov 23 09:47:06 mx1 postfix-out/"
	_, r := parseLines(
		t,
		h+"cleanup[1]: 4028B460: message-id=<x@y>",
		h+"qmgr[1]: 4028B460: from=<A@B.Example>, size=385, nrcpt=1 (queue active)",
		h+"qmgr[1]: 4028B460: from=<A@B.Example>, status=expired, returned to sender",
	)
	at := time.Date(2026, 11, 23, 9, 47, 6, 0, time.UTC)
	want := bounce.Expiry{
		Offset: 2000, Time: at, Host: "mx1", MTA: bounce.Postfix, Instance: "postfix-out", Agent: "qmgr",
		QueueID: "4028B460", Status: "expired", Message: &bounce.Message{
			Host: "mx1", MTA: bounce.Postfix, Instance: "postfix-out", QueueID: "4028B460", Time: at,
			MessageID: "x@y", Sender: "A@b.example", SenderKnown: true, Size: 385,
		},
	}
	if diff := cmp.Diff(want, r.Expiry); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// Without the earlier lines, the line itself still names the sender.
	_, r = parseLines(t, h+`qmgr[1]: 4028B460: from=<"a>, size="@b.example>, status=force-expired, returned to sender`)
	if m := r.Expiry.Message; m == nil || m.Sender != `"a>, size="@b.example` || !m.SenderKnown || r.Expiry.Status != "force-expired" {
		t.Errorf("got %+v, %+v", r.Expiry, m)
	}
}

// TestRepeated counts the lines that a syslog daemon says it left out.
func TestRepeated(t *testing.T) {
	const h = "Nov 23 09:47:06 mx1 "
	const delivery = "4028B460: to=<a@b>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"
	tests := []struct {
		name  string
		lines []string
		kind  Kind
		n     int
	}{
		{"rsyslog", []string{h + "postfix/smtp[1]: message repeated 3 times: [ " + delivery + "]"}, Attempt, 3},
		{"once", []string{h + "postfix/smtp[1]: message repeated 1 times: [ " + delivery + "]"}, Attempt, 1},
		{"the line before", []string{h + "postfix/smtp[1]: " + delivery, h + "last message repeated 2 times"}, Attempt, 2},
		{"twice the line before", []string{h + "postfix/smtp[1]: " + delivery, h + "last message repeated 2 times", h + "last message repeated 4 times"}, Attempt, 4},
		{"another line before", []string{h + "postfix/smtp[1]: " + delivery, h + "postfix/smtp[1]: x", h + "last message repeated 2 times"}, Skipped, 0},
		{"nothing before", []string{h + "last message repeated 2 times"}, Skipped, 0},
		{"no delivery", []string{h + "postfix/qmgr[1]: message repeated 2 times: [ 4028B460: removed]"}, Queued, 0},
		{"absurdly often", []string{h + "postfix/smtp[1]: message repeated 99999999999999999999 times: [ " + delivery + "]"}, Unparsed, 0},
		{"more often than there are bytes", []string{h + "postfix/smtp[1]: message repeated 999 times: [ " + delivery + "]"}, Unparsed, 0},
		{"never", []string{h + "postfix/smtp[1]: message repeated 0 times: [ " + delivery + "]"}, Unparsed, 0},
		{"within itself", []string{h + "postfix/smtp[1]: message repeated 2 times: [ message repeated 2 times: [ " + delivery + "]]"}, Skipped, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kind, r := parseLines(t, tt.lines...)
			if kind != tt.kind || len(r.Deliveries) != tt.n {
				t.Fatalf("%v with %d deliveries, want %v with %d", kind, len(r.Deliveries), tt.kind, tt.n)
			}
			for i, d := range r.Deliveries {
				if want := int64(1000*(len(tt.lines)-1) + i); d.Offset != want || d.Response != "x" {
					t.Errorf("delivery %d: offset %d, response %q; want %d, x", i, d.Offset, d.Response, want)
				}
			}
		})
	}
}
