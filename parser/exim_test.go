package parser

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
)

// TestEximDelivery tests the flags and fields of Exim's delivery lines.
func TestEximDelivery(t *testing.T) {
	remote := bounce.Delivery{
		Agent: "remote_smtp", Recipient: "a@b.example", RecipientDomain: "b.example",
		RelayHost: "mx.b.example", RelayIP: "192.0.2.1", Delay: -1,
	}
	local := bounce.Delivery{Agent: "local_delivery", Recipient: "a@b.example", RecipientDomain: "b.example", Delay: -1, Local: true}
	bare := local
	bare.Agent = ""
	with := func(d bounce.Delivery, status string, o bounce.Outcome, code uint16, enh string, stage bounce.Stage, response string, more ...func(*bounce.Delivery)) bounce.Delivery {
		d.Status, d.Outcome, d.Code, d.Stage, d.Response, d.Local = status, o, code, stage, response, code == 0
		if enh != "" {
			d.Enhanced = enhanced(t, enh)
		}
		for _, m := range more {
			m(&d)
		}
		return d
	}
	to := func(recipient, original string) func(*bounce.Delivery) {
		return func(d *bounce.Delivery) {
			d.Recipient, d.OriginalRecipient, d.RecipientDomain = recipient, original, domainOf(recipient)
		}
	}
	relay := func(host, ip string, port uint16) func(*bounce.Delivery) {
		return func(d *bounce.Delivery) { d.RelayHost, d.RelayIP, d.RelayPort = host, ip, port }
	}
	agent := func(s string) func(*bounce.Delivery) { return func(d *bounce.Delivery) { d.Agent = s } }
	untried := func(d *bounce.Delivery) { d.Untried = true }
	discarded := func(d *bounce.Delivery) { d.Disposal = bounce.Discarded }
	tests := []struct {
		name, msg string
		want      bounce.Delivery
	}{
		{
			"delivered", `=> a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] X=TLS1.3:AES:256 CV=yes DN="CN=x R=y" C="250 2.0.0 Ok: queued as 6A3"`,
			with(remote, "delivered", bounce.Delivered, 250, "2.0.0", 0, "250 2.0.0 Ok: queued as 6A3"),
		},
		{
			"additional address", `-> a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] C="250 OK"`,
			with(remote, "delivered", bounce.Delivered, 250, "", 0, "250 OK"),
		},
		{
			"cut-through", `>> a@b.example R=dnslookup T=remote_smtp H=mx.b.example [2001:db8::1] C="250 OK"`,
			with(remote, "delivered", bounce.Delivered, 250, "", 0, "250 OK", relay("mx.b.example", "2001:db8::1", 0)),
		},
		{
			"-N: not delivered", `*> a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] C="delivery bypassed by -N option"`,
			with(remote, "delivered", bounce.Probe, 0, "", 0, "delivery bypassed by -N option"),
		},
		{
			"log_selector = +all", `=> a@b.example F=<s@Sender.example> P=<s@sender.example> R=dnslookup T=remote_smtp S=448 H=mx.b.example [192.0.2.1]:25 I=[192.0.2.9]:45022 L K C="250- 300 byte chunk, total 300\\n250 OK" QT=2m3.5s DT=0.019s`,
			with(remote, "delivered", bounce.Delivered, 250, "", 0, "250 300 byte chunk, total 300 OK", relay("mx.b.example", "192.0.2.1", 25), func(d *bounce.Delivery) {
				d.Sender, d.SenderDomain, d.SenderKnown, d.Size = "s@sender.example", "sender.example", true, 448
				d.Delay, d.Delays[3], d.HasDelays = 123.5, 0.019, true
			}),
		},
		{
			"null sender in F=", `=> a@b.example F=<> R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] C="250 OK"`,
			with(remote, "delivered", bounce.Delivered, 250, "", 0, "250 OK", func(d *bounce.Delivery) { d.SenderKnown = true }),
		},
		{
			"marks behind the host", `=> a@b.example R=r T=remote_smtp H=mx.b.example DS [192.0.2.1]* TFO* L* C="250 OK"`,
			with(remote, "delivered", bounce.Delivered, 250, "", 0, "250 OK"),
		},
		{
			"a confirmation that imitates fields", `=> a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] C="250 \" H=evil [198.51.100.1] T=x F=<z@y> \\"`,
			with(remote, "delivered", bounce.Delivered, 250, "", 0, `250 " H=evil [198.51.100.1] T=x F=<z@y> \`),
		},
		{
			"cut within the confirmation", `=> a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] C="250 2.6.0 <x@y> [Intern`,
			with(remote, "delivered", bounce.Delivered, 250, "2.6.0", 0, "250 2.6.0 <x@y> [Intern"),
		},
		{
			"local", "=> a <a@b.example> R=localuser T=local_delivery",
			with(local, "delivered", bounce.Delivered, 0, "", 0, ""),
		},
		{
			"local, by way of an alias", "=> a@b.example <List@B.Example> R=localuser T=local_delivery",
			with(local, "delivered", bounce.Delivered, 0, "", 0, "", to("a@b.example", "List@b.example")),
		},
		{
			"case of the local part only", "=> ok.user@b.example <Ok.User@B.Example> R=r T=local_delivery",
			with(local, "delivered", bounce.Delivered, 0, "", 0, "", to("ok.user@b.example", "Ok.User@b.example")),
		},
		{
			"all parents", "=> a (x@b.example, y@b.example) <list@b.example> R=localuser T=local_delivery",
			with(local, "delivered", bounce.Delivered, 0, "", 0, "", to("list@b.example", "")),
		},
		{
			"a pipe", `=> |/usr/bin/filter -x "a b" R=z <a@b.example> R=aliases T=address_pipe`,
			with(local, "delivered", bounce.Delivered, 0, "", 0, "", agent("address_pipe")),
		},
		{
			"a file", "=> /var/mail/a <a@b.example> R=aliases T=address_file",
			with(local, "delivered", bounce.Delivered, 0, "", 0, "", agent("address_file")),
		},
		{
			"blackhole", "=> :blackhole: <a@b.example> R=system_aliases",
			with(bare, "delivered", bounce.Delivered, 0, "", 0, "", discarded),
		},
		{
			"into /dev/null", "=> /dev/null <a@b.example> R=userforward T=**bypassed**",
			with(local, "delivered", bounce.Delivered, 0, "", 0, "", agent("**bypassed**"), discarded),
		},
		{
			"discarded by a filter", "=> discarded <a@b.example> R=userforward",
			with(bare, "delivered", bounce.Delivered, 0, "", 0, "", agent(""), discarded),
		},
		{
			"a user of that name", "=> discarded <a@b.example> R=localuser T=local_delivery",
			with(local, "delivered", bounce.Delivered, 0, "", 0, "", agent("local_delivery")),
		},
		{
			"autoreply", "=> >sender@x.example <a@b.example> R=userforward T=address_reply",
			with(local, "delivered", bounce.Handoff, 0, "", 0, "", agent("address_reply")),
		},
		{
			"to a filter on this machine", `=> a@b.example R=amavis T=amavis H=127.0.0.1 [127.0.0.1]:10024 C="250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 OK"`,
			with(remote, "delivered", bounce.Handoff, 250, "2.0.0", 0, "250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 OK", relay("127.0.0.1", "127.0.0.1", 10024), agent("amavis")),
		},
		{
			"to a store on this machine", `=> a@b.example R=r T=dovecot_lmtp H=127.0.0.1 [127.0.0.1] C="250 2.0.0 <a@b.example> xyz Saved"`,
			with(remote, "delivered", bounce.Delivered, 250, "2.0.0", 0, "250 2.0.0 <a@b.example> xyz Saved", relay("127.0.0.1", "127.0.0.1", 0), agent("dovecot_lmtp")),
		},
		{
			"a quoted local part, shown without quotes", `=> quoted user, x=<y>@b.example <"quoted user, x=<y>"@B.example> R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] C="250 OK"`,
			with(remote, "delivered", bounce.Delivered, 250, "", 0, "250 OK", to(`"quoted user, x=<y>"@b.example`, "")),
		},
		{
			"UTF-8", `=> Jürgen@bücher.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] C="250 OK"`,
			with(remote, "delivered", bounce.Delivered, 250, "", 0, "250 OK", to("Jürgen@xn--bcher-kva.example", "")),
		},
		{
			"failed", "** a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 5.1.1 <a@b.example>: User unknown",
			with(remote, "failed", bounce.Hard, 550, "5.1.1", bounce.StageRcpt, "550 5.1.1 <a@b.example>: User unknown"),
		},
		{
			"a blank before the colon, pipelining", "** a@b.example F=<s@x.example> R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1]* : SMTP error from remote mail server after pipelined MAIL FROM:<s@x.example> SIZE=2048: 552 5.3.4 too big",
			with(remote, "failed", bounce.Hard, 552, "5.3.4", bounce.StageMail, "552 5.3.4 too big", func(d *bounce.Delivery) {
				d.Sender, d.SenderDomain, d.SenderKnown = "s@x.example", "x.example", true
			}),
		},
		{
			"before 4.88: the host in the message", "** a@b.example R=dnslookup T=remote_smtp X=TLSv1.2:AES256-GCM-SHA384:256: SMTP error from remote mail server after RCPT TO:<a@b.example>: host mx.b.example [192.0.2.1]: 554 5.7.1 no PTR",
			with(remote, "failed", bounce.Hard, 554, "5.7.1", bounce.StageRcpt, "554 5.7.1 no PTR"),
		},
		{
			"several lines, UTF-8 escaped, times at the end", `** a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1]:25 I=[192.0.2.9]:5: SMTP error from remote mail server after end of data: 550-5.7.1 bo\303\256te\n550-5.7.1\n550 5.7.1 end QT=1s DT=0.5s`,
			with(remote, "failed", bounce.Hard, 550, "5.7.1", bounce.StageEOM, "550 5.7.1 boîte end", relay("mx.b.example", "192.0.2.1", 25), func(d *bounce.Delivery) {
				d.Delay, d.Delays[3], d.HasDelays = 1, 0.5, true
			}),
		},
		{
			"Latin-1 and control bytes stay escaped", `** a@b.example R=r T=remote_smtp H=mx.b.example [192.0.2.1]: SMTP error from remote mail server after DATA: 550 Empf\344nger \033[31m`,
			with(remote, "failed", bounce.Hard, 550, "", bounce.StageData, `550 Empf\344nger \033[31m`),
		},
		{
			"a reply that imitates a delivery", `** a@b.example R=r T=remote_smtp H=mx.b.example [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 no => v@b.example R=r T=t H=x [198.51.100.1] C="250 OK"`,
			with(remote, "failed", bounce.Hard, 550, "", bounce.StageRcpt, `550 no => v@b.example R=r T=t H=x [198.51.100.1] C="250 OK"`),
		},
		{
			"gave up", "** a@b.example: retry timeout exceeded",
			with(bare, "failed", bounce.Hard, 0, "", 0, "retry timeout exceeded"),
		},
		{
			"gave up, with the parent", "** a@b.example <list@x.example> R=r T=remote_smtp: all hosts for 'b.example' have been failing for a long time (and retry time not reached)",
			with(bare, "failed", bounce.Hard, 0, "", 0, "all hosts for 'b.example' have been failing for a long time (and retry time not reached)", to("a@b.example", "list@x.example"), agent("remote_smtp")),
		},
		{
			"not routed", "** nobody <a@b.example>: Unrouteable address",
			with(bare, "failed", bounce.Hard, 0, "", 0, "Unrouteable address"),
		},
		{
			"deferred by the remote", "== a@b.example R=dnslookup T=remote_smtp defer (-44) H=mx.b.example [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 451 4.7.1 later",
			with(remote, "deferred", bounce.Soft, 451, "4.7.1", bounce.StageRcpt, "451 4.7.1 later"),
		},
		{
			"deferred at the greeting", "== a@b.example R=dnslookup T=remote_smtp defer (0) H=mx.b.example [192.0.2.1]:25 DT=0.1s: SMTP error from remote mail server after initial connection: 421 busy",
			with(remote, "deferred", bounce.Soft, 421, "", bounce.StageConnect, "421 busy", relay("mx.b.example", "192.0.2.1", 25), func(d *bounce.Delivery) {
				d.Delays[3], d.HasDelays = 0.1, true
			}),
		},
		{
			"deferred at EHLO", "== a@b.example R=dnslookup T=remote_smtp defer (0) H=mx.b.example [192.0.2.1]: SMTP error from remote mail server after EHLO x.example: 450 4.7.1 no",
			with(remote, "deferred", bounce.Soft, 450, "4.7.1", bounce.StageHelo, "450 4.7.1 no"),
		},
		{
			"refused connection", "== a@b.example R=dnslookup T=remote_smtp defer (111): Connection refused DT=0.000s",
			with(bare, "deferred", bounce.Soft, 0, "", bounce.StageConnect, "Connection refused", agent("remote_smtp"), func(d *bounce.Delivery) { d.HasDelays = true }),
		},
		{
			"timeout within the dialogue", "== a@b.example R=dnslookup T=remote_smtp defer (110): Connection timed out H=mx.b.example [192.0.2.1]: SMTP timeout after RCPT TO:<a@b.example>",
			with(remote, "deferred", bounce.Soft, 0, "", bounce.StageRcpt, "Connection timed out: SMTP timeout after RCPT TO:<a@b.example>"),
		},
		{
			"connection lost", "== a@b.example R=dnslookup T=remote_smtp defer (-18) H=mx.b.example [192.0.2.1]: Remote host closed connection in response to end of data",
			with(remote, "deferred", bounce.Soft, 0, "", bounce.StageEOM, "Remote host closed connection in response to end of data"),
		},
		{
			"a reply that is none", "== a@b.example R=dnslookup T=remote_smtp defer (-19) H=mx.b.example [192.0.2.1]: Malformed SMTP reply in response to initial connection: hello there",
			with(remote, "deferred", bounce.Soft, 0, "", bounce.StageConnect, "hello there", func(d *bounce.Delivery) { d.Local = false }),
		},
		{
			"TLS", "== a@b.example R=dnslookup T=remote_smtp defer (-37) H=mx.b.example [192.0.2.1]: TLS session: (certificate verification failed): certificate invalid",
			with(remote, "deferred", bounce.Soft, 0, "", bounce.StageTLS, "TLS session: (certificate verification failed): certificate invalid"),
		},
		{
			"retry time not reached", "== a@b.example R=dnslookup T=remote_smtp defer (-53): retry time not reached for any host for 'b.example'",
			with(bare, "deferred", bounce.Soft, 0, "", 0, "retry time not reached for any host for 'b.example'", agent("remote_smtp"), untried),
		},
		{
			"routing", "== a@b.example routing defer (-52): retry time not reached",
			with(bare, "deferred", bounce.Soft, 0, "", 0, "retry time not reached", untried),
		},
		{
			"host lookup", "== a@b.example R=dnslookup defer (-36): host lookup did not complete",
			with(bare, "deferred", bounce.Soft, 0, "", 0, "host lookup did not complete"),
		},
		{
			"a quota", "== a <a@b.example> R=r T=local_delivery defer (-22): mailbox is full (MTA-imposed quota exceeded while writing to /var/mail/a)",
			with(local, "deferred", bounce.Soft, 0, "", 0, "mailbox is full (MTA-imposed quota exceeded while writing to /var/mail/a)"),
		},
		{
			"LMTP, after the message", "** a@b.example R=r T=remote_smtp H=mx.b.example [192.0.2.1]: LMTP error after DATA: 552 5.2.2 full",
			with(remote, "failed", bounce.Hard, 552, "5.2.2", bounce.StageEOM, "552 5.2.2 full"),
		},
		{
			"4.100: a host that refuses", "== a@b.example R=dnslookup T=remote_smtp defer (Connection refused) H=mx.b.example [192.0.2.1] DT=0.1s",
			with(remote, "deferred", bounce.Soft, 0, "", bounce.StageConnect, "Connection refused", func(d *bounce.Delivery) { d.Delays[3], d.HasDelays = 0.1, true }),
		},
		{
			"4.100: a reply", "== a@b.example R=dnslookup T=remote_smtp defer H=mx.b.example [192.0.2.1] DSN=yes DT=0.1s: SMTP error from remote mail server after RCPT TO:<a@b.example>: 451 4.7.1 later",
			with(remote, "deferred", bounce.Soft, 451, "4.7.1", bounce.StageRcpt, "451 4.7.1 later", func(d *bounce.Delivery) { d.Delays[3], d.HasDelays = 0.1, true }),
		},
		{
			"4.100: neither words nor message", "== a@b.example R=dnslookup T=remote_smtp defer H=mx.b.example [192.0.2.1]",
			with(remote, "deferred", bounce.Soft, 0, "", 0, ""),
		},
		{
			"4.100: routing", "== a@b.example routing defer: retry time not reached",
			with(bare, "deferred", bounce.Soft, 0, "", 0, "retry time not reached", untried),
		},
		{
			"4.100: held", "== a@b.example defer: domain is held",
			with(bare, "deferred", bounce.Soft, 0, "", 0, "domain is held"),
		},
		{
			"4.100: given up", "** a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1] (Connection timed out) DT=0.9s",
			with(remote, "failed", bounce.Hard, 0, "", bounce.StageConnect, "Connection timed out", func(d *bounce.Delivery) { d.Delays[3], d.HasDelays = 0.9, true }),
		},
		{
			"4.100: a local part with defer in it", `== a defer: b@b.example <"a defer: b"@b.example> routing defer: retry time not reached`,
			with(bare, "deferred", bounce.Soft, 0, "", 0, "retry time not reached", to(`"a defer: b"@b.example`, ""), untried),
		},
		{
			"old: the host repeated", "== a@b.example R=dnslookup T=remote_smtp defer (113): No route to host H=mx.b.example [192.0.2.1]: mx.b.example [192.0.2.1]",
			with(remote, "deferred", bounce.Soft, 0, "", bounce.StageConnect, "No route to host"),
		},
		{
			"old: the host in the words", "== a@b.example R=dnslookup T=remote_smtp defer (110): Connection timed out: SMTP timeout while connected to mx.b.example [192.0.2.1] after end of data (1234 bytes written)",
			with(remote, "deferred", bounce.Soft, 0, "", bounce.StageEOM, "Connection timed out: SMTP timeout while connected to mx.b.example [192.0.2.1] after end of data (1234 bytes written)"),
		},
		{
			"old: closed", "== a@b.example R=dnslookup T=remote_smtp defer (-18): Remote host mx.b.example [192.0.2.1] closed connection in response to MAIL FROM:<s@x.example> SIZE=1822",
			with(remote, "deferred", bounce.Soft, 0, "", bounce.StageMail, "Remote host mx.b.example [192.0.2.1] closed connection in response to MAIL FROM:<s@x.example> SIZE=1822"),
		},
		{
			"a very old line", "== a@b.example T=smtp defer",
			with(bare, "deferred", bounce.Soft, 0, "", 0, "", agent("smtp")),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kind, r := parseLines(t, "2026-11-23 09:47:06 1xVUtG-0005Lh-1y "+tt.msg)
			if kind != Attempt || len(r.Deliveries) != 1 {
				t.Fatalf("%v with %d deliveries, want an attempt", kind, len(r.Deliveries))
			}
			want := tt.want
			want.Time = time.Date(2026, 11, 23, 9, 47, 6, 0, time.UTC)
			want.MTA, want.Instance, want.QueueID = bounce.Exim, "exim", "1xVUtG-0005Lh-1y"
			want.TLS = r.Deliveries[0].TLS // TestEximTLS holds it
			if diff := cmp.Diff(want, r.Deliveries[0]); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestEximTLS tests X= and CV=, translated to Postfix's tls=. The lines come from Exim 4.96, 4.98
// and 4.100 in a lab, except those for DANE and resumption.
func TestEximTLS(t *testing.T) {
	const (
		at     = " R=dnslookup T=remote_smtp H=mx.bigmail.test [192.0.2.2]"
		cipher = " X=TLS1.3:ECDHE_X25519__ECDSA_SECP256R1_SHA256__AES_128_GCM:128"
		full   = " F=<s@sender.test> P=<s@sender.test> R=dnslookup T=remote_smtp S=401 H=mx.bigmail.test [192.0.2.2]:25 I=[203.0.113.25]:49346 PS=ese"
		reply  = ": SMTP error from remote mail server after RCPT TO:<a@bigmail.test>: 550 5.1.1 no such user"
	)
	for _, tt := range []struct{ line, want string }{
		{"=> a@bigmail.test" + at + cipher + ` CV=no C="250 2.0.0 OK"`, "may"},
		{"=> a@bigmail.test" + at + cipher + ` CV=yes C="250 2.0.0 OK"`, "verify"},
		{"=> a@bigmail.test" + at + cipher + `* CV=yes C="250 2.0.0 OK"`, "verify"},
		{"=> a@bigmail.test" + at + cipher + ` CV=dane C="250 2.0.0 OK"`, "dane"},
		{"=> a@bigmail.test" + full + cipher + `:X25519 CV=no DN="CN=mx.bigmail.test" L K C="250 2.0.0 OK  1763900000 d94 - gsmtp" QT=2.286s DT=0.968s`, "may"},
		{"=> a@bigmail.test" + full + ` X=TLS1.3:TLS_AES_256_GCM_SHA384:256:X25519MLKEM768 CV=dane C="250 OK"`, "dane"},
		{"-> b@bigmail.test" + at + cipher + `:X25519 CV=no C="250 2.0.0 OK"`, "may"},
		{"=> a@bigmail.test" + at + ` C="250 2.0.0 OK"`, "none"},
		{"=> a@store.test R=store T=lmtp_store H=192.0.2.24 [192.0.2.24] C=\"250 2.1.5 Ok\"", "none"},
		{"=> labuser <labuser@lab.test> R=local T=local_delivery", ""},
		{`=> a@bigmail.test R=x T=smtp H=127.0.0.1 [127.0.0.1]:10026 C="250 from MTA(x) queued as 1"`, ""},
		{"** a@bigmail.test" + at + cipher + ":X25519 CV=no " + reply, "may"},
		{"** a@bigmail.test" + at + cipher + " CV=no" + reply, "may"},
		{"** a@bigmail.test" + at + reply, ""},
		{"** a@bigmail.test" + at + ": SMTP error from remote mail server after RCPT TO:<a@bigmail.test>: 550 no X=TLS1.3:x:1 CV=dane", ""},
		{"== a@bigmail.test" + at + cipher + " CV=yes defer (-44): SMTP error from remote mail server after RCPT TO:<a@bigmail.test>: 450 4.2.0 later", "verify"},
		{"== a@bigmail.test R=dnslookup T=remote_smtp defer (-44) H=mx.bigmail.test [192.0.2.2]" + cipher + " CV=no: SMTP error from remote mail server after RCPT TO:<a@bigmail.test>: 450 4.2.0 later", "may"},
		{"== x@tlsreq.test R=dnslookup T=remote_smtp defer H=mx.tlsreq.test [198.51.100.103]:25 I=[203.0.113.25]:60902 DT=0.075s: a TLS session is required, but the server did not offer TLS support", "!encrypt"},
		{"== x@tlsreq.test R=dnslookup T=remote_smtp defer (-38) H=mx.tlsreq.test [198.51.100.103]: a TLS session is required, but the server did not offer TLS support", "!encrypt"},
		{"== x@tlsverify.test R=dnslookup T=remote_smtp defer H=mx.tlsverify.test [198.51.100.102]: TLS session: (certificate verification failed): certificate invalid", "!verify"},
		{"== x@dane.test R=dnslookup T=remote_smtp defer (-36): DANE error: mx.dane.test lookup not DNSSEC", "!dane"},
		{"== x@dane.test R=dnslookup T=remote_smtp defer: DANE error: tlsa lookup DEFER", "dane?"},
	} {
		kind, r := parseLines(t, "2026-11-23 09:47:06 1xVUtG-0005Lh-1y "+tt.line)
		if kind != Attempt {
			t.Errorf("%s: %v", tt.line, kind)
		} else if got := r.Deliveries[0].TLS; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.line, got, tt.want)
		}
	}
}

// TestEximArrival joins the fields of "<=" to the deliveries.
func TestEximArrival(t *testing.T) {
	const h = "2026-11-23 09:47:06 10HmbE-000000005vi-0000 "
	delivery := h + `=> a@b.example R=r T=t H=mx [192.0.2.1] C="250 OK"`
	tests := []struct {
		name, arrival string
		want          bounce.Delivery
	}{
		{
			"submission", `<= S@X.Example H=(helo.example) [192.0.2.7]:1234 I=[192.0.2.9]:587 P=esmtpsa X=TLS1.3:AES:256 CV=no A=plain_server:user@x.example:auth@x.example S=1904 RT=0.1s id=m1@x.example T="S=1 id=z" from <s@x.example> for a@b.example`,
			bounce.Delivery{MessageID: "m1@x.example", Sender: "S@x.example", SenderDomain: "x.example", SenderKnown: true, Size: 1904, ClientIP: "192.0.2.7", SASLUser: "user@x.example"},
		},
		{
			"relayed", "<= s@x.example H=out.x.example (helo) [2001:db8::7] P=esmtp S=5 id=m2",
			bounce.Delivery{MessageID: "m2", Sender: "s@x.example", SenderDomain: "x.example", SenderKnown: true, Size: 5, ClientHost: "out.x.example", ClientIP: "2001:db8::7"},
		},
		{
			"helo is an address", "<= s@x.example H=([192.168.1.20]) [192.0.2.8] P=esmtp S=5 id=m3",
			bounce.Delivery{MessageID: "m3", Sender: "s@x.example", SenderDomain: "x.example", SenderKnown: true, Size: 5, ClientIP: "192.0.2.8"},
		},
		{
			"a notification", "<= <> R=1xVUtG-0005Lh-1y U=Debian-exim P=local S=4067",
			bounce.Delivery{SenderKnown: true, Size: 4067},
		},
		{
			"local, a quoted sender", `<= "s S=9"@x.example U=root P=local S=7 id=m4@x`,
			bounce.Delivery{MessageID: "m4@x", Sender: `"s S=9"@x.example`, SenderDomain: "x.example", SenderKnown: true, Size: 7},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, r := parseLines(t, h+tt.arrival, delivery)
			d := r.Deliveries[0]
			got := bounce.Delivery{
				MessageID: d.MessageID, Sender: d.Sender, SenderDomain: d.SenderDomain, SenderKnown: d.SenderKnown,
				Size: d.Size, ClientHost: d.ClientHost, ClientIP: d.ClientIP, SASLUser: d.SASLUser,
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			_, r = parseLines(t, h+tt.arrival, h+"Completed", delivery)
			if d := r.Deliveries[0]; d.SenderKnown || d.MessageID != "" {
				t.Errorf("still known after Completed: %+v", d)
			}
		})
	}
}

// TestEnds tests the lines about the end of a message as a whole.
func TestEnds(t *testing.T) {
	const exim = "2026-11-23 09:47:06 10HmbE-000000005vi-0000 "
	deferred := []string{exim + "<= s@x.example U=s P=local S=5", exim + "== a@b.example R=r defer (-1): no"}
	done := []string{exim + "<= s@x.example U=s P=local S=5", exim + "=> a@b.example R=r T=t"}
	queued := []string{pfHeader + "qmgr[1]: 4028B460: from=<s@x.example>, size=5, nrcpt=1 (queue active)", pfDelivery}
	for _, tt := range []struct {
		name   string
		before []string
		line   string
		event  bounce.EndEvent
		by     string
	}{
		{"-Mrm", deferred, exim + "removed by root", bounce.MessageRemoved, "root"},
		{"-Mg", nil, exim + "cancelled by root", bounce.MessageRemoved, "root"},
		{"timeout_frozen_after", deferred, exim + "cancelled by timeout_frozen_after", bounce.MessageRemoved, "timeout_frozen_after"},
		{"nothing left of a deferred one", deferred, exim + "Completed", bounce.MessageCompleted, ""},
		{"nothing left of an unknown one", nil, exim + "Completed QT=3s", bounce.MessageCompleted, ""},
		{"nothing left, and nothing was deferred", done, exim + "Completed", "", ""},
		{"frozen", deferred, exim + "Frozen (delivery error message)", bounce.MessageFrozen, ""},
		{"frozen, in a queue run", deferred, exim + "Message is frozen", bounce.MessageFrozen, ""},
		{"-Mf", deferred, exim + "frozen by root", bounce.MessageFrozen, "root"},
		{"-Mt", deferred, exim + "unfrozen by root", bounce.MessageThawed, "root"},
		{"auto_thaw", deferred, exim + "Unfrozen by auto-thaw", bounce.MessageThawed, "auto-thaw"},
		{"system filter", deferred[:1], exim + "=> discarded (system filter)", bounce.MessageDiscarded, ""},
		{"by the ACL", deferred[:1], exim + "=> blackhole (RCPT ACL discarded recipients)", bounce.MessageDiscarded, ""},
		{"a subject", nil, exim + `<= s@x.example U=s P=local S=5 T="removed by root" for a@b.example`, "", ""},
		{"postsuper -d", queued, pfHeader + "postsuper[1]: 4028B460: removed", bounce.MessageRemoved, "postsuper"},
		{"postsuper -r", queued, pfHeader + "postsuper[1]: 4028B460: requeued", bounce.MessageCompleted, "postsuper"},
		{"postsuper -r, nothing deferred", queued[:1], pfHeader + "postsuper[1]: 4028B460: requeued", "", ""},
		{"-Mmad", deferred, exim + "all addresses marked delivered by root", bounce.MessageRemoved, "root"},
		{"postsuper -h", queued, pfHeader + "postsuper[1]: 4028B460: placed on hold", bounce.MessageFrozen, "postsuper"},
		{"postsuper -H", queued, pfHeader + "postsuper[1]: 4028B460: released from hold", bounce.MessageThawed, "postsuper"},
		{"qmgr, deferred before", queued, pfHeader + "qmgr[1]: 4028B460: removed", bounce.MessageCompleted, ""},
		{"qmgr, nothing deferred", queued[:1], pfHeader + "qmgr[1]: 4028B460: removed", "", ""},
		{"cancelled", queued[:1], pfHeader + "cleanup[1]: 4028B460: removed (canceled)", "", ""},
		{"header_checks, DISCARD", queued[:1], pfHeader + "cleanup[1]: 4028B460: removed (discarded)", bounce.MessageDiscarded, "cleanup"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kind, r := parseLines(t, append(append([]string{}, tt.before...), tt.line)...)
			if kind != Queued || r.End.Event != tt.event || r.End.By != tt.by {
				t.Errorf("%v %+v, want %q by %q", kind, r.End, tt.event, tt.by)
			}
			if tt.event != "" && r.End.QueueID != "4028B460" && r.End.QueueID != "10HmbE-000000005vi-0000" {
				t.Errorf("queue id %q", r.End.QueueID)
			}
		})
	}
	// A frozen message is known as frozen, also in a new process.
	q := NewQueue(0)
	p := New(q, Options{Location: time.UTC})
	var r Result
	for _, line := range append(deferred, exim+"Frozen") {
		p.Parse([]byte(line), 0, &r)
	}
	opened, _ := q.Changes(nil, nil)
	if len(opened) != 1 || !opened[0].Frozen {
		t.Fatalf("%+v, want one, frozen", opened)
	}
	q = NewQueue(0)
	q.Restore(opened[0])
	p = New(q, Options{Location: time.UTC})
	p.Parse([]byte(exim+"unfrozen by root"), 0, &r)
	if opened, _ = q.Changes(nil, nil); len(opened) != 1 || opened[0].Frozen {
		t.Fatalf("%+v, want it thawed", opened)
	}
	// Mail that is queued on purpose has no attempt.
	if kind, _ := parseLines(t, exim+"== a@b.example R=dnslookup T=remote_smtp defer (-1): domain matches queue_smtp_domains, or -odqs set"); kind != Queued {
		t.Errorf("queued on purpose: %v", kind)
	}
}

// TestEximAddressOrNothing tests texts after the flag that are not an address in Exim's form. Such
// a line is understood as the address that it holds, or not at all.
func TestEximAddressOrNothing(t *testing.T) {
	for _, tt := range []struct{ msg, want string }{ // no address: not understood
		{"== h@example.com delivery defer: x", ""},
		{"== h@example.com delivery: x", ""},
		{"** h@example.com failed: x", ""},
		{"** h h@example.com R=r T=t: x", ""},
		{"** h@example.com, i@example.com: x", ""},
		{"=> <h@example.com> R=r T=t", ""},
		{"** <h@example.com>: Unrouteable address", ""},
		{"=>  h@example.com R=r T=t", "h@example.com"},
		{"=> h@example.com  R=r T=t", "h@example.com"},
		{"**   h@example.com: x", "h@example.com"},
		{"== h@example.com routing defer (-1): x", "h@example.com"},
		{"=> |/bin/x y <h@example.com> R=r T=t", "h@example.com"},
		{"=> h <h@example.com> R=r T=t", "h@example.com"},
		{`** "h i"@example.com: x`, `"h i"@example.com`},
		{`=> h i <"h i"@example.com> R=r T=t`, `"h i"@example.com`},
	} {
		kind, r := parseLines(t, "2026-11-23 09:47:06 1xVUtG-0005Lh-1y "+tt.msg)
		switch {
		case tt.want == "" && kind != Unparsed:
			t.Errorf("%s: %v %+v", tt.msg, kind, r.Deliveries)
		case tt.want != "" && (kind != Attempt || r.Deliveries[0].Recipient != tt.want):
			t.Errorf("%s: %v %+v", tt.msg, kind, r.Deliveries)
		}
	}
}

// TestEximPartLost counts a delivery whose last part never comes, once.
func TestEximPartLost(t *testing.T) {
	const begun = "Nov 23 09:47:06 mx1 exim[7]: [1/2] 1xVUtG-0005Lh-1y ** a@b.example R=r T=t H=mx.b.example [192.0.2.1]: SMTP error from remote mail server after DATA: 550"
	const last = "Nov 23 09:47:06 mx1 exim[7]: [2/2]  5.7.1 no"
	const completed = "Nov 23 09:47:07 mx1 exim[7]: 1xVUtG-0005Lh-1y Completed"
	const attempt = "Nov 23 09:47:07 mx1 exim[7]: 1xVUtG-0005Lh-1y => c@b.example R=r T=t"
	for _, tt := range []struct {
		name  string
		lines []string
		want  []Kind
	}{
		{"whole", []string{begun, last, completed}, []Kind{Queued, Attempt, Queued}},
		{"lost", []string{begun, completed, completed}, []Kind{Queued, Unparsed, Queued}},
		{"another process between", []string{begun, strings.Replace(completed, "[7]", "[8]", 1), last, completed}, []Kind{Queued, Queued, Attempt, Queued}},
		{"another attempt of the process", []string{begun, attempt, completed}, []Kind{Queued, Attempt, Unparsed}},
		{"no delivery", []string{strings.Replace(begun, "**", "<=", 1), completed}, []Kind{Queued, Queued}},
	} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		for i, line := range tt.lines {
			if kind := p.Parse([]byte(line), int64(1000*i), &r); kind != tt.want[i] {
				t.Errorf("%s: %s: %v, want %v", tt.name, line, kind, tt.want[i])
			}
		}
	}
}
