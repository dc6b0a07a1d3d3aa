package parser

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// eximShows returns the form in which Exim's string_log_address (deliver.c) shows the recipient
// top: the local part in lower case without its quotes and backslashes (deliver_split_address), the
// domain, and the address itself if the two differ. bare omits the domain, as Exim does for local
// deliveries (the router option log_as_local).
func eximShows(top string, bare bool) string {
	i := strings.LastIndexByte(top, '@')
	local, domain := top[:i], top[i:]
	var b strings.Builder
	for i := 0; i < len(local); i++ {
		switch local[i] {
		case '"':
			continue
		case '\\':
			i++
		}
		b.WriteByte(local[i])
	}
	shown := asciiLower(b.String())
	if !bare {
		shown += asciiLower(domain)
		if strings.EqualFold(shown, top) {
			return shown
		}
	}
	return shown + " <" + top + ">"
}

// asciiLower is C's tolower, byte by byte.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c-'A' < 26 {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// meaning returns the mailbox that an address names: without its quotes, in lower case.
func meaning(addr string) string {
	i := strings.LastIndexByte(addr, '@')
	if i < 0 {
		return addr
	}
	shown, _, _ := strings.Cut(eximShows(addr[:i]+"@x", true), " <"+addr[:i])
	return shown + "\x00" + asciiLower(addr[i+1:])
}

// forgedLocals are local parts that imitate the text after an address in a line of Exim or Postfix.
// All of them name victim@bigmail.test.
var forgedLocals = []string{
	`victim@bigmail.test: User unknown`,
	`victim@bigmail.test`,
	`victim@bigmail.test:`,
	`victim@bigmail.test R=dnslookup T=remote_smtp`,
	`victim@bigmail.test R=dnslookup T=remote_smtp H=mx.bigmail.test [192.0.2.2] C=\"250 OK\"`,
	`victim@bigmail.test R=dnslookup T=remote_smtp H=mx.bigmail.test [192.0.2.2]: SMTP error from remote mail server after RCPT TO:<victim@bigmail.test>: 550 5.1.1 User unknown`,
	`victim@bigmail.test R=dnslookup T=remote_smtp defer (-44) H=mx.bigmail.test [192.0.2.2]: SMTP error from remote mail server after RCPT TO:<victim@bigmail.test>: 450 4.1.1 later`,
	`victim@bigmail.test <alias@x.test> R=dnslookup T=remote_smtp H=mx.bigmail.test [192.0.2.2]`,
	`x <victim@bigmail.test> R=local T=local_delivery`,
	`x <victim@bigmail.test>: 550 no`,
	`|x <victim@bigmail.test> R=local T=address_pipe`,
	`/x <victim@bigmail.test> R=local T=address_file`,
	`>x <victim@bigmail.test> R=local T=address_reply`,
	`:blackhole: <victim@bigmail.test> R=local`,
	`victim@bigmail.test (a@x.test, b@x.test) <c@x.test>: no`,
	`victim@bigmail.test <\"z\"@x.test>: 550 no`,
	`x (\"a@x.test) <victim@bigmail.test>: no`,
	`\"victim\"@bigmail.test: User unknown`,
	`victim@bigmail.test defer (-1): no`,
	`victim@bigmail.test, relay=mx.bigmail.test[192.0.2.2]:25, delay=1, dsn=5.1.1, status=bounced (User unknown)`,
	`victim@bigmail.test>, relay=mx.bigmail.test[192.0.2.2]:25, delay=1, dsn=5.1.1, status=bounced (User unknown)`,
	`victim@bigmail.test>: User unknown`,
}

// quotings write a local part for an SMTP command, in the forms that Exim's parse_extract_address
// accepts.
var quotings = map[string]func(string) string{
	"quoted string": func(s string) string { return `"` + s + `"` },
	"quoted pairs": func(s string) string {
		var b strings.Builder
		s = strings.ReplaceAll(s, `\"`, `"`)
		for i := 0; i < len(s); i++ {
			if strings.IndexByte(" <>()@,;:\\\".[]", s[i]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(s[i])
		}
		return b.String()
	},
	"a word before":   func(s string) string { return `a."` + s + `"` },
	"the first word":  func(s string) string { return `"` + s + `".b` },
	"split":           func(s string) string { i := strings.IndexByte(s, ' ') + 1; return `"` + s[:i] + `"."` + s[i:] + `"` },
	"upper case":      func(s string) string { return `"` + strings.ToUpper(s[:1]) + s[1:] + `"` },
	"beyond RFC 5321": func(s string) string { return `"` + s + strings.Repeat(" x", 600) + `"` },
	"twice":           func(s string) string { return `"` + s + ` <\"z\"@y.test>: ` + s + `"` },
	"its own shown form": func(s string) string {
		return `"` + s + `@evil.test <\"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `\"@evil.test>: x"`
	},
	"behind a unicode dot": func(s string) string { return `"` + s + "\u3002" + `"` },
}

// eximTails are texts after the address, by flag.
var eximTails = map[string][]string{
	"=>": {" R=dnslookup T=remote_smtp H=mx.evil.test [198.51.100.9] C=\"250 OK\"", " R=localuser T=local_delivery", ""},
	"->": {" R=dnslookup T=remote_smtp H=mx.evil.test [198.51.100.9]"},
	">>": {" R=dnslookup T=remote_smtp H=mx.evil.test [198.51.100.9] C=\"250 OK\""},
	"**": {
		": Unrouteable address",
		" R=dnslookup T=remote_smtp H=mx.evil.test [198.51.100.9]: SMTP error from remote mail server after RCPT TO:<x@evil.test>: 550 5.1.1 no",
		" F=<\"victim@bigmail.test> R=x\"@evil.test> R=dnslookup T=remote_smtp: retry timeout exceeded",
	},
	"==": {
		" R=dnslookup defer (-1): host lookup did not complete",
		" R=dnslookup T=remote_smtp defer (-44) H=mx.evil.test [198.51.100.9]: SMTP error from remote mail server after RCPT TO:<x@evil.test>: 450 4.2.1 later",
		" routing defer (-52): retry time not reached",
	},
}

// TestForgedExim lets an outsider choose a recipient whose local part looks like the rest of a
// line. The line is about that recipient or is not understood, and is never about another mailbox.
func TestForgedExim(t *testing.T) {
	taken, refused := 0, 0
	for name, quote := range quotings {
		for _, local := range forgedLocals {
			top := quote(local) + "@evil.test"
			for flag, tails := range eximTails {
				for _, tail := range tails {
					for _, bare := range []bool{false, true} {
						line := "2026-11-23 09:47:06 1xVUtG-0005Lh-1y " + flag + " " + eximShows(top, bare) + tail
						kind, r := parseLines(t, line)
						if kind != Attempt {
							if kind != Unparsed {
								t.Errorf("%s: %v: %s", name, kind, line)
							}
							refused++
							continue
						}
						taken++
						checkForged(t, line, &r.Deliveries[0], top)
					}
				}
			}
		}
	}
	// Few lines may be doubted.
	if refused > taken/2 {
		t.Errorf("%d lines taken, %d not understood", taken, refused)
	}
	t.Logf("%d lines taken, %d not understood", taken, refused)
}

// checkForged checks that a delivery is about the recipient top.
func checkForged(t *testing.T, line string, d *bounce.Delivery, top string) {
	t.Helper()
	if meaning(d.Recipient) != meaning(top) || d.RecipientDomain != domainOf(top) {
		t.Errorf("%s:\nrecipient %q (%s)\nwant %q", line, d.Recipient, d.RecipientDomain, top)
	}
	if d.OriginalRecipient != "" && meaning(d.OriginalRecipient) != meaning(top) {
		t.Errorf("%s:\noriginal recipient %q", line, d.OriginalRecipient)
	}
	if d.RelayHost != "" && d.RelayHost != "mx.evil.test" {
		t.Errorf("%s:\nrelay %q", line, d.RelayHost)
	}
	if d.Code == 550 && d.Response != "550 5.1.1 no" {
		t.Errorf("%s:\nresponse %q", line, d.Response)
	}
}

// TestForgedEximRedirected does the same after a router has changed the address: another domain, a
// removed prefix or suffix, an alias. A line that cannot be distinguished from a forgery is not
// understood.
func TestForgedEximRedirected(t *testing.T) {
	const h = "2026-11-23 09:47:06 1xVUtG-0005Lh-1y "
	for _, tt := range []struct {
		name, msg, recipient, original string // no recipient: not understood
	}{
		{
			"a domain's alias", `=> lise@bigmail.test: user unknown@main.test <"lise@bigmail.test: User unknown"@alias.test> R=r T=local_delivery`,
			`"lise@bigmail.test: User unknown"@main.test`, `"lise@bigmail.test: User unknown"@alias.test`,
		},
		{
			"a suffix cut off", `=> lise@bigmail.test: x@own.test <"lise@bigmail.test: x+tag"@own.test> R=r T=local_delivery`, "", "",
		},
		{
			"a suffix cut off, a failure", `** lise@bigmail.test R=r T=t: 550 no@own.test <"lise@bigmail.test R=r T=t: 550 no+tag"@own.test>: Unrouteable address`, "", "",
		},
		{
			"a suffix cut off, local", `=> lise@bigmail.test <"lise@bigmail.test+tag"@own.test> R=localuser T=local_delivery`, "", "",
		},
		{
			"a prefix cut off, the parent named", `=> x <lise@bigmail.test>: no@own.test <"owner-x <lise@bigmail.test>: no"@own.test> R=r T=t`, "", "",
		},
		{
			"an alias whose address is quoted", `=> john@b.example <"john doe"@own.test> R=aliases T=remote_smtp H=mx [192.0.2.1] C="250 OK"`,
			"john@b.example", `"john doe"@own.test`,
		},
		{
			"all parents, one quoted", `=> john@b.example ("j, d <a@b>"@main.test) <"j, d <a@b>"@own.test> R=aliases T=remote_smtp H=mx [192.0.2.1] C="250 OK"`,
			"john@b.example", `"j, d <a@b>"@own.test`,
		},
		{
			"all parents of a pipe", `=> |/bin/x ("|/bin/x <lise@bigmail.test>: a"@main.test) <"|/bin/x <lise@bigmail.test>: a"@own.test> R=aliases T=address_pipe`,
			"", "",
		},
		{
			"cut before the parent's end", `** lise@bigmail.test: User unknown@evil.test <"lise@bigmail.test: User unk`, "", "",
		},
		{
			"cut before the parent's domain", `** lise@bigmail.test: User unknown@evil.test <"lise@bigmail.test: User unknown"@ev`, "", "",
		},
		{
			"not yet split into local part and domain", `** "lise@bigmail.test: User unknown"@evil.test: system filter failed`,
			`"lise@bigmail.test: User unknown"@evil.test`, "",
		},
		{
			"not yet split, quoted pairs", `** lise\@bigmail.test\:\ User\ unknown@evil.test: system filter failed`,
			`lise\@bigmail.test\:\ User\ unknown@evil.test`, "",
		},
		{
			"not yet split, quoted later", `== a."lise@bigmail.test: x"@evil.test R=dnslookup defer (-1): no`, `a."lise@bigmail.test: x"@evil.test`, "",
		},
		{
			"quoted without need", `=> lise@bigmail.test <"lise"@bigmail.test> R=dnslookup T=remote_smtp H=mx [192.0.2.1] C="250 OK"`, "lise@bigmail.test", "",
		},
		{
			"a reply that imitates a parent", `** a@b.example R=r T=t H=mx.evil.test [198.51.100.9]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 x@bigmail.test <"a@b.example R=r T=t H=mx.evil.test [198.51.100.9]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 x"@bigmail.test>: 550 5.1.1 no such user`,
			"", "",
		},
		{
			"an alias to an address that imitates a reply, its parent plain", `** lise@bigmail.test R=d T=r H=mx.bigmail.test [192.0.2.2]: SMTP error from remote mail server after RCPT TO:<lise@bigmail.test>: 550 5.1.1 no such user@evil.test <alias@shop.example> R=d T=r H=mx.evil.test [198.51.100.9]: 550 no`,
			"", "",
		},
		{
			"the same, with the sender named", `=> lise@bigmail.test R=d T=r H=mx.bigmail.test [192.0.2.2] C="250 OK" x@evil.test <alias@shop.example> F=<s@x.example> R=d T=r`,
			"", "",
		},
		{
			"the same, with a parent of its own", `** lise@bigmail.test <lise@bigmail.test> x@evil.test <alias@shop.example> R=d T=r H=mx.evil.test [198.51.100.9]: 550 no`,
			"lise@bigmail.test <lise@bigmail.test> x@evil.test", "alias@shop.example",
		},
		{
			"the same, without a blank", `=> lise@bigmail.test <x@y.test>@evil.test <alias@shop.example> R=d T=r H=mx.evil.test [198.51.100.9] C="250 OK"`,
			"lise@bigmail.test <x@y.test>@evil.test", "alias@shop.example",
		},
		{
			"the same, with ancestors", `** lise@bigmail.test (x@evil.test) <alias@shop.example>@evil.test <alias@shop.example> R=d T=r H=mx.evil.test [198.51.100.9]: 550 no`,
			"lise@bigmail.test (x@evil.test) <alias@shop.example>@evil.test", "alias@shop.example",
		},
		{
			"a reply with somebody's address", `** a@b.example R=r T=t H=mx.b.example [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 5.1.1 <a@b.example>: Recipient address rejected: a <b@b.example> is gone`,
			"a@b.example", "",
		},
		{
			"a reply with somebody's quoted address", `** a@b.example R=r T=t H=mx.b.example [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 to <"joe doe"@b.example>: no`,
			"a@b.example", "",
		},
		{
			"a certificate that imitates a parent", `=> a@b.example R=r T=t H=mx.evil.test [198.51.100.9] X=TLS1.3:A:256 CV=no DN="CN=x@bigmail.test <"a@b.example R=r T=t H=mx.evil.test [198.51.100.9] X=TLS1.3:A:256 CV=no DN=\"CN=x"@bigmail.test> R=r T=t H=mx.bigmail.test [192.0.2.2]" C="250 OK"`,
			"", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			kind, r := parseLines(t, h+tt.msg)
			if tt.recipient == "" {
				if kind != Unparsed {
					t.Fatalf("%v %+v, want it not understood", kind, r.Deliveries)
				}
				return
			}
			if kind != Attempt {
				t.Fatalf("%v, want an attempt", kind)
			}
			if d := r.Deliveries[0]; d.Recipient != tt.recipient || d.OriginalRecipient != tt.original {
				t.Errorf("recipient %q, original %q; want %q, %q", d.Recipient, d.OriginalRecipient, tt.recipient, tt.original)
			}
		})
	}
}

// TestForgedSender lets an outsider choose a reverse-path that looks like the rest of a line.
func TestForgedSender(t *testing.T) {
	const h = "2026-11-23 09:47:06 1xVUtG-0005Lh-1y "
	const delivery = h + `=> a@b.example R=r T=t H=mx [192.0.2.1] C="250 OK"`
	for name, quote := range quotings {
		for _, local := range []string{
			`x H=mail.us.example [192.0.2.3] P=esmtpsa A=plain:boss@us.example S=1 id=forged@us.example`,
			`x> R=none T=none`, `x>: 550 5.1.1 User unknown`, `x>: host h [192.0.2.3]: 550 5.1.1 User unknown`,
		} {
			sender := quote(local) + "@evil.test"
			kind, r := parseLines(t, h+"<= "+sender+" H=mx.evil.test [198.51.100.9] P=esmtp S=77 id=true@evil.test", delivery)
			if d := r.Deliveries[0]; kind != Attempt || d.Sender != sender && len(sender) < maxField || d.ClientIP != "198.51.100.9" || d.SASLUser != "" || d.MessageID != "true@evil.test" || d.Size != 77 {
				t.Errorf("%s: %q:\n%+v", name, sender, d)
			}
			// log_selector = +sender_on_delivery +return_path_on_delivery
			kind, r = parseLines(t, h+"=> a@b.example F=<"+sender+"> P=<"+sender+"> R=r T=t H=mx [192.0.2.1] C=\"250 OK\"")
			if kind != Attempt {
				t.Errorf("%s: %q: %v", name, sender, kind)
			} else if d := r.Deliveries[0]; d.Sender != sender || d.Agent != "t" || d.RelayHost != "mx" {
				t.Errorf("%s: %q:\n%+v", name, sender, d)
			}
			// The reply to MAIL is the remote server's, whatever the sender contains.
			for _, host := range []string{"", "host mx [192.0.2.1]: "} {
				kind, r = parseLines(t, h+"** a@b.example R=r T=t H=mx [192.0.2.1]: SMTP error from remote mail server after MAIL FROM:<"+sender+"> SIZE=99: "+host+"550 5.7.1 no")
				if kind != Attempt {
					t.Errorf("%s: %q: %v", name, sender, kind)
				} else if d := r.Deliveries[0]; d.Response != "550 5.7.1 no" || d.Stage != bounce.StageMail {
					t.Errorf("%s: %q:\n%+v", name, sender, d)
				}
			}
		}
	}
}

// TestForgedPostfix tests address formats: Postfix quotes local parts in its log since version 3.5
// (info_log_address_format = external), and not before.
func TestForgedPostfix(t *testing.T) {
	const tail = ">, relay=mx.evil.test[198.51.100.9]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx.evil.test[198.51.100.9] said: 550 5.7.1 no)"
	for _, local := range forgedLocals {
		external := `"` + local + `"@evil.test`
		line := pfHeader + "smtp[1]: 4028B460: to=<" + external + tail
		if kind, r := parseLines(t, line); kind != Attempt || r.Deliveries[0].Recipient != external {
			t.Errorf("%s:\n%v %+v", line, kind, r.Deliveries)
		}
		// The same before 3.5, as the recipient of a notification: an earlier line has named the
		// sender.
		internal := strings.ReplaceAll(local, `\"`, `"`) + "@evil.test"
		kind, r := parseLines(
			t,
			pfHeader+"qmgr[1]: 4028B45F: from=<"+internal+">, size=900, nrcpt=1 (queue active)",
			pfHeader+"smtp[1]: 4028B460: to=<"+internal+tail,
		)
		switch kind {
		case Unparsed:
		case Attempt:
			if d := r.Deliveries[0]; d.Recipient != internal {
				t.Errorf("%s: recipient %q", internal, d.Recipient)
			}
		default:
			t.Errorf("%s: %v", internal, kind)
		}
		// The message of such a sender.
		kind, r = parseLines(
			t,
			pfHeader+"qmgr[1]: 4028B460: from=<"+internal+">, size=900, nrcpt=1 (queue active)",
			pfHeader+"smtp[1]: 4028B460: to=<a@b.example"+tail,
		)
		if d := r.Deliveries[0]; kind != Attempt || d.Sender != internal || d.Size != 900 {
			t.Errorf("%s: sender %q, %d bytes", internal, d.Sender, d.Size)
		}
	}
	// A reply with a line feed, and a part, which Postfix does not write.
	whole := pfHeader + "smtp[1]: 4028B461: to=<victim@bigmail.test" + tail
	for _, line := range []string{pfDelivery[:len(pfDelivery)-1] + "\r" + whole, pfHeader + "smtp[1]: [2/2] " + whole} {
		if kind, r := parseLines(t, line); kind != Unparsed {
			t.Errorf("%q: %v %+v", line, kind, r.Deliveries)
		}
	}
	// A reply that imitates the next field does not end a field.
	kind, r := parseLines(t, pfDelivery[:len(pfDelivery)-1]+"), to=<victim@bigmail.test>, relay=none, delay=0, dsn=2.0.0, status=sent (250 Ok)")
	if kind != Attempt || r.Deliveries[0].Recipient == "victim@bigmail.test" {
		t.Errorf("%v %+v", kind, r.Deliveries)
	}
}

// TestForgedContinuation lets a sender fold a header so that its second line looks like a line of
// the log. Exim writes the headers of a rejected message unchanged into its reject log.
func TestForgedContinuation(t *testing.T) {
	const rejected = "2026-11-23 09:47:05 1xVUtG-0005Lh-1y H=mx.evil.test [198.51.100.9] F=<x@evil.test> rejected after DATA: no"
	const victim = "1xVUtH-0005Lh-1z ** victim@bigmail.test R=dnslookup T=remote_smtp: 550 5.1.1 User unknown"
	forged := []string{
		"\t2026-11-23 09:47:06 " + victim,
		" 2026-11-23 09:47:06 " + victim,
		"  2026-11-23T09:47:06+00:00 mx1 exim[3]: " + victim,
		"\tNov 23 09:47:06 mx1 postfix/smtp[1]: 4028B460: to=<victim@bigmail.test>, relay=none, delay=1, dsn=5.1.1, status=bounced (no)",
		"  Subject: 2026-11-23 09:47:06 " + victim,
		" {\"log\":\"2026-11-23 09:47:06 " + victim + "\"}",
		"\t" + victim,
	}
	for _, line := range forged {
		if kind, r := parseLines(t, rejected, "Envelope-from: <x@evil.test>", "P Received: from x by y", "  Subject: a", line); kind != Unparsed {
			t.Errorf("%q: %v %+v", line, kind, r.Deliveries)
		}
		// Reading is resumed in the middle of the headers.
		p := New(nil, Options{Location: time.UTC, Year: 2026, Last: time.Date(2026, 11, 23, 9, 47, 5, 0, time.UTC)})
		var r Result
		if kind := p.Parse([]byte(line), 0, &r); kind != Unparsed {
			t.Errorf("%q, read on: %v %+v", line, kind, r.Deliveries)
		}
	}
	// A sender's forged arrival line adds nothing to a message.
	_, r := parseLines(t, rejected, "\t2026-11-23 09:47:06 1xVUtH-0005Lh-1z <= forged@evil.test H=x [192.0.2.1] P=smtp S=1", "2026-11-23 09:47:06 "+victim)
	if len(r.Deliveries) != 1 || r.Deliveries[0].Sender != "" {
		t.Errorf("%+v", r.Deliveries)
	}
	// A log that is indented throughout is read.
	if kind, _ := parseLines(t, "  "+rejected, "  2026-11-23 09:47:06 "+victim); kind != Attempt {
		t.Errorf("an indented log: %v", kind)
	}
}

// TestForgedWords reads a program's line that holds an MTA's line in a stranger's words.
func TestForgedWords(t *testing.T) {
	const exim = "2026-11-23 09:47:06 1xVUtH-0005Lh-1z ** victim@bigmail.test R=dnslookup T=remote_smtp: 550 5.1.1 User unknown"
	const postfix = "Nov 23 09:47:06 mx1 postfix/smtp[1]: 4028B460: to=<victim@bigmail.test>, relay=none, delay=1, dsn=5.1.1, status=bounced (no)"
	for _, before := range []string{
		"2026-11-23 09:47:05 Subject: ", "2026-11-23 09:47:05 Warning: ", "2026-11-23 09:47:05.123 +0100 warning: Subject: ",
		"2026-11-23 09:47:05 [123] Subject: ", "2026-11-23 09:47:05 a subject ", "2026-11-23 09:47:05 Betreff: Re: ",
		"Nov 23 09:47:05 user alice said: ", "2026-11-23T09:47:05Z user alice said: ", "user alice said: ",
		"2026-11-23T09:47:05Z ERROR user alice not found ", "[Mon Nov 23 09:47:05 2026] [error] File does not exist: ",
		"[web] user: ", "2026-11-23T09:47:05Z user: ", "2026-11-23T09:47:05Z INFO [web] user: ", "2026/11/23 09:47:05 user: ",
		"2026/11/23 09:47:05 [error] user alice7 said: ", "23-Nov-2026 09:47:05.123 SEVERE [http-8080] unknown command: ",
	} {
		for _, line := range []string{exim, postfix} {
			for _, whole := range []string{before + line, `{"log":"` + before + line + `\n","time":"2026-11-23T09:47:06Z"}`, "mail-1  | " + before + line} {
				if kind, r := parseLines(t, whole); kind != Unparsed {
					t.Errorf("%s: %v %+v", whole, kind, r.Deliveries)
				}
			}
		}
	}
}

// TestForgedUser reads a user name in a web server's log.
func TestForgedUser(t *testing.T) {
	for _, name := range []string{wrapSyslog, wrapExim, wrapBare, "postfix/smtp[7]: " + wrapBare, `{"log":"` + wrapSyslog + `"}`, "300 <22>" + wrapSyslog} {
		for _, before := range []string{"", "web-1  | ", "[web] ", "Nov 23 09:47:05 host7 web[1]: "} {
			line := before + "192.0.2.9 - " + name + ` [23/Nov/2026:09:47:05 +0000] "GET / HTTP/1.1" 401 1`
			if kind, r := parseLines(t, line); kind != Unparsed {
				t.Errorf("%s: %v %+v", line, kind, r.Deliveries)
			}
		}
	}
}

// TestForgedAfter reads another program's line after an honest one of the same second.
func TestForgedAfter(t *testing.T) {
	forged := strings.Replace(wrapSyslog, "a@b", "lise@b", 1)
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, tt := range []struct{ honest, forged string }{
		{`{"log":` + quote(wrapSyslog+"\n") + `}`, `{"program":"nginx","message":` + quote(forged) + `}`},
		{`{"log":` + quote(wrapSyslog+"\n") + `}`, `{"SYSLOG_IDENTIFIER":"nginx","MESSAGE":` + quote(forged) + `}`},
		{`{"log":` + quote(wrapSyslog+"\n") + `}`, `program=nginx msg=` + quote(forged)},
		{"Nov 23 09:47:06 host docker/postfix[7]: " + wrapSyslog, "Nov 23 09:47:06 host nginx: " + forged},
		{"Nov 23 09:47:06 host docker/postfix[7]: " + wrapSyslog, "Nov 23 09:47:06 host logger: " + forged},
	} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		if kind := p.Parse([]byte(tt.honest), 0, &r); kind != Attempt {
			t.Errorf("%s: %v", tt.honest, kind)
		}
		if kind := p.Parse([]byte(tt.forged), 1, &r); kind != Unparsed {
			t.Errorf("%s\nbehind %s: %v %+v", tt.forged, tt.honest, kind, r.Deliveries)
		}
	}
}

// TestForgedPieces reads lines that a container engine has cut in two.
func TestForgedPieces(t *testing.T) {
	cri := func(stream, tag, text string) string {
		return "2026-11-23T09:47:06.123456789+00:00 " + stream + " " + tag + " " + text
	}
	docker := func(stream, text string) string {
		b, _ := json.Marshal(text)
		return `{"log":` + string(b) + `,"stream":"` + stream + `","time":"2026-11-23T09:47:06.1Z"}`
	}
	long, cut := strings.Repeat("x", maxJoined/2), strings.LastIndexByte(wrapSyslog, '(')+1
	begun := wrapSyslog[:cut] + strings.Repeat("x", dockerCut)
	for _, tt := range []struct {
		name  string
		lines []string
		want  []Kind
		end   bool // something waited
	}{
		{"CRI, a user's name", []string{cri("stdout", "P", "Nov 23 09:47:06 h sshd[1]: Invalid user "), cri("stdout", "F", wrapSyslog)}, []Kind{Skipped, Unparsed}, false},
		{"docker, a user's name", []string{docker("stdout", "Nov 23 09:47:06 h sshd[1]: Invalid user "+long), docker("stdout", wrapSyslog+"\n")}, []Kind{Skipped, Unparsed}, false},
		{"CRI, a long line", []string{cri("stdout", "P", wrapSyslog[:99]), cri("stderr", "F", wrapSyslog), cri("stdout", "P", wrapSyslog[99:110]), cri("stdout", "F", wrapSyslog[110:]), cri("stdout", "F", wrapSyslog)}, []Kind{Skipped, Attempt, Skipped, Attempt, Attempt}, false},
		{"docker, a long line", []string{docker("stdout", begun), docker("stderr", wrapSyslog+"\n"), docker("stdout", wrapSyslog[cut:]+"\n")}, []Kind{Skipped, Attempt, Attempt}, false},
		{"docker, no line feeds", []string{docker("stdout", "x\n"), docker("stdout", wrapSyslog), docker("stdout", wrapOther)}, []Kind{Skipped, Attempt, Attempt}, false},
		{"too long", []string{cri("stdout", "P", wrapSyslog), cri("stdout", "P", long), cri("stdout", "P", long), cri("stdout", "F", "x"), cri("stdout", "F", wrapSyslog)}, []Kind{Skipped, Skipped, Skipped, Unparsed, Attempt}, false},
		{"pieces without an end", []string{cri("stdout", "P", wrapSyslog), cri("stdout", "P", wrapOther), cri("stdout", "P", wrapSyslog)}, []Kind{Skipped, Unparsed, Unparsed}, true},
		{"no end", []string{cri("stdout", "P", wrapSyslog)}, []Kind{Skipped}, true},
		{"no end, cut in the reply's host", []string{cri("stdout", "P", wrapSyslog[:strings.Index(wrapSyslog, " relay=")])}, []Kind{Skipped}, true},
		{"no end, docker", []string{docker("stdout", strings.Repeat("x", dockerCut)+" postfix/smtp[1]: 4XyzAb1234zQ2: to=<a@b.example>, ")}, []Kind{Skipped}, true},
		{"no end, a rejected client", []string{cri("stdout", "P", "Nov 23 09:47:06 h postfix/smtpd[1]: NOQUEUE: reject: from=<> to=<a@b.example>")}, []Kind{Skipped}, false},
		{"an empty end", []string{cri("stdout", "P", wrapSyslog), cri("stdout", "F", ""), cri("stdout", "F", wrapSyslog)}, []Kind{Skipped, Attempt, Attempt}, false},
		{"an empty end, blanks cut off", []string{cri("stdout", "P", wrapSyslog), strings.TrimSpace(cri("stdout", "F", "")), cri("stdout", "F", wrapSyslog)}, []Kind{Skipped, Attempt, Attempt}, false},
		{"an empty line", []string{cri("stdout", "F", ""), cri("stdout", "F", wrapSyslog)}, []Kind{Skipped, Attempt}, false},
	} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		for i, line := range tt.lines {
			if kind := p.Parse([]byte(line), int64(i), &r); kind != tt.want[i] {
				t.Errorf("%s, line %d: %v, want %v", tt.name, i, kind, tt.want[i])
			}
		}
		if kind, _, ok := p.End(0, &r); ok != tt.end || ok && kind != Unparsed {
			t.Errorf("%s: the end: %v, %v", tt.name, kind, ok)
		}
	}
}

// FuzzForge builds any recipient of RFC 5321 section 4.1.2, shows it as Exim does, and checks that
// the line is about it or is not understood.
func FuzzForge(f *testing.F) {
	for i, local := range forgedLocals {
		for flag := range 5 {
			f.Add(strings.ReplaceAll(local, `\"`, `"`), uint64(i*977+flag), byte(flag), i%2 == 0)
		}
	}
	flags := []string{"=>", "->", ">>", "**", "=="}
	f.Fuzz(func(t *testing.T, local string, quoting uint64, flag byte, bare bool) {
		if local == "" || strings.ContainsAny(local, "\x00\r\n") || len(local) > 2000 {
			return
		}
		top := fuzzQuote(local, quoting) + "@evil.test"
		name := flags[int(flag)%len(flags)]
		tails := eximTails[name]
		line := "2026-11-23 09:47:06 1xVUtG-0005Lh-1y " + name + " " + eximShows(top, bare) + tails[quoting%uint64(len(tails))]
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		kind := p.Parse([]byte(line), 0, &r)
		if kind == Queued { // it may continue on the next line
			kind, _, _ = p.End(1, &r)
		}
		switch kind {
		case Attempt:
			checkForged(t, line, &r.Deliveries[0], top)
		case Unparsed:
		default:
			t.Errorf("%v: %s", kind, line)
		}
	})
}

// fuzzQuote writes a local part with quoted strings, quoted pairs and atoms, according to the bits
// of how.
func fuzzQuote(local string, how uint64) string {
	var b strings.Builder
	inside := false
	for i := 0; i < len(local); i++ {
		c := local[i]
		bit := how >> (uint(i*3) % 64) & 7
		special := c <= ' ' || c == 0x7f || strings.IndexByte(`<>()@,;:\".[]`, c) >= 0
		if bit == 1 && !inside || bit == 2 && inside {
			b.WriteByte('"')
			inside = !inside
		}
		if inside && (c == '"' || c == '\\') || !inside && special && (c != '.' || bit == 3) || bit == 4 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	if inside {
		b.WriteByte('"')
	}
	return b.String()
}

// TestForgeBounded checks that very long text is refused in linear time; quadratic time would be
// hours.
func TestForgeBounded(t *testing.T) {
	for _, unit := range []string{` <"`, ` <"x`, ` <"\"`, ` <a\ `, ` (`, ` (a) <`, ` <"a" <`, `: <"`, `"`, `\\`, ` <a@b`} {
		s := "x" + strings.Repeat(unit, 200_000)
		var f eximFields
		done := make(chan bool, 1)
		go func() { done <- f.scan("**", s); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%q: still at it", unit)
		}
	}
}

// domainOf returns the unchanged part after the last "@", or "" for a bare local name. A quoted
// local part may hold other "@" (RFC 5321 section 4.1.2).
func domainOf(addr string) string {
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		return addr[i+1:]
	}
	return ""
}
