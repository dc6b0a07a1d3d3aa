package parser

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
)

// exim reads a line of Exim's main log, from the log itself or from syslog. A delivery whose last
// part never came is counted with the next line of the same process that is not a delivery.
func (p *Parser) exim(prog *program, h *header, r *Result, offset int64) Kind {
	message := h.message
	kind := p.eximMessage(prog, h, r, offset)
	if prog.exim && kind != Attempt && p.parts.lost(p, prog, message) {
		return Unparsed
	}
	return kind
}

// eximMessage reads a message of Exim.
func (p *Parser) eximMessage(prog *program, h *header, r *Result, offset int64) Kind {
	if prog.exim {
		msg := h.message
		for len(msg) > 0 && msg[0] == ' ' { // from a syslog template
			msg = msg[1:]
		}
		if len(msg) > 0 && msg[0] == '[' {
			if part, ok := syslogPart(msg); ok {
				var kind Kind
				if msg, kind = p.parts.join(p, prog, &part); msg == nil {
					return kind
				}
			}
		}
		h.exim(p.ownStamp(msg, h, r))
	}
	if h.id == nil {
		if eximReject(h.message) {
			return Reject
		}
		if start := h.message[:min(len(h.message), 32)]; holdsEximID(start) {
			if at := eximGrammar().anywhere.FindIndex(start); at != nil && at[0] < 2 {
				return Unparsed // in brackets, or with a colon
			}
		}
		p.warnings.ofExim(p.host, nil, h.message, r)
		return Skipped
	}
	for len(h.rest) > 1 && h.rest[0] == ' ' {
		h.rest = h.rest[1:]
	}
	rest := h.rest
	if len(rest) < 2 {
		return Queued
	}
	var k key // filled in place: a composite literal would be built elsewhere and copied
	k.log, k.host, k.instance, k.mta, k.id = p.log, p.host, "exim", bounce.Exim, h.id
	if flag := eximFlag(rest); flag == "<=" {
		if len(rest) > 3 {
			p.eximArrival(&k, r.Time, rest[3:])
		}
		return Queued
	} else if flag != "" {
		if len(rest) < 4 || rest[2] == '\t' { // it is read again with a blank for its tab
			return Unparsed
		}
		if flag[1] != '>' && p.isHTML(rest) {
			return Unparsed // it is read again as HTML
		}
		return p.eximDelivery(&k, prog, flag, r, h, offset)
	}
	if rest[0] == '&' || rest[1] == '&' {
		if c, _ := entity(rest[bytes.IndexByte(rest, '&'):]); c == '<' || c == '>' {
			return Unparsed // it is read again as HTML
		}
	}
	if (rest[0] == '\\' || rest[0] == '=') && holdsDelivery(h.message) {
		return Unparsed // with escapes
	}
	if event, by := eximEnd(rest); event != "" {
		p.end(&k, event, by, r, offset)
		return Queued
	}
	if eximReject(rest) {
		return Reject
	}
	if bytes.Contains(rest, []byte(" R=")) && bytes.Contains(rest, []byte(" T=")) {
		return Unparsed // a delivery without a known arrow
	}
	p.warnings.ofExim(p.host, h.id, rest, r)
	return Queued
}

// eximEnd reads a message about a queued message as a whole: completed, removed, frozen or thawed.
func eximEnd(rest []byte) (event bounce.EndEvent, by []byte) {
	switch rest[0] {
	case 'C':
		if string(rest) == "Completed" || hasPrefix(rest, "Completed ") {
			return bounce.MessageCompleted, nil
		}
	case 'r':
		if by, ok := cutPrefix(rest, "removed by "); ok {
			return bounce.MessageRemoved, by
		}
	case 'c':
		if by, ok := cutPrefix(rest, "cancelled by "); ok {
			return bounce.MessageRemoved, by
		}
	case 'a': // exim -Mmad
		if by, ok := cutPrefix(rest, "all addresses marked delivered by "); ok {
			return bounce.MessageRemoved, by
		}
	case 'F', 'f', 'M', '*':
		rest, _ = cutPrefix(rest, "*** ")
		if by, ok := cutPrefix(rest, "frozen by "); ok {
			return bounce.MessageFrozen, by
		}
		if string(rest) == "Frozen" || hasPrefix(rest, "Frozen ") || string(rest) == "Message is frozen" {
			return bounce.MessageFrozen, nil
		}
	case 'U', 'u':
		if by, ok := cutPrefix(rest[1:], "nfrozen by "); ok {
			return bounce.MessageThawed, by
		}
	}
	return "", nil
}

// ownStamp reads the stamp and the process id that Exim writes before the message, even after a
// syslog header. Exim's stamp has the year and often milliseconds, so it is preferred. The zone is
// the exception: if only syslog's stamp has one, or if the two disagree (the option timezone),
// syslog's stamp is used.
func (p *Parser) ownStamp(msg []byte, h *header, r *Result) []byte {
	st, n := parseISO(msg, stampExim)
	if n == 0 || n >= len(msg) || msg[n] != ' ' {
		return msg
	}
	rest := msg[n+1:]
	if own, ok := p.clock.own(&st); ok && (st.zoned || h.form == stampRFC3164 || h.form == stampNone) {
		const slack = 10 * 60
		diff := own.Unix() - r.Time.Unix()
		if h.form == stampRFC3164 && !st.zoned && !p.clock.zoned(diff) {
			// The year was wrong: read syslog's stamp again in the right one.
			p.clock.set(own)
			if p.clock.read(h) {
				r.Time = p.clock.now
			}
			diff = own.Unix() - r.Time.Unix()
		}
		if h.form == stampNone || st.zoned || -slack < diff && diff < slack {
			r.Time = own
		}
	}
	return rest
}

// eximFlag returns the flag at the start of the text after the message id, or "".
func eximFlag(b []byte) string {
	if len(b) > 2 && b[2] != ' ' && b[2] != '\t' {
		return ""
	}
	switch string(b[:2]) {
	case "<=":
		return "<="
	case "=>":
		return "=>"
	case "->":
		return "->"
	case ">>":
		return ">>"
	case "*>":
		return "*>"
	case "**":
		return "**"
	case "==":
		return "=="
	}
	return ""
}

// eximReject reports whether msg is about mail that was not accepted: "H=… F=<…> rejected RCPT <…>:
// …", also "temporarily rejected".
func eximReject(msg []byte) bool {
	if len(msg) < 10 || msg[1] != '=' && msg[0] != 'r' {
		return false
	}
	if hasPrefix(msg, "rejected ") {
		return true
	}
	const before, after = " re", "jected "
	for at := len(before); at < len(msg); at++ { // the rarest letter: 0.45 of the instructions of a search for the word
		i := bytes.IndexByte(msg[at:], after[0])
		if i < 0 {
			break
		}
		if at += i; hasPrefix(msg[at:], after) && string(msg[at-len(before):at]) == before {
			return !bytes.Contains(msg[:at], []byte(": "))
		}
	}
	return false
}

// eximArrival reads "<= sender H=… P=… A=… S=… id=…".
func (p *Parser) eximArrival(k *key, at time.Time, b []byte) {
	var a arrival
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		i = len(b)
	}
	if bytes.IndexByte(b[:i], '"') >= 0 || bytes.IndexByte(b[:i], '\\') >= 0 {
		// The blank may be part of the sender.
		if i, _, _ = mailbox(b); i == 0 {
			p.queue.remove(k) // the sender is not known
			return
		}
	}
	a.sender, b = b[:i], b[i:]
	if string(a.sender) == "<>" {
		a.sender = nil
	}
	seen := false
	for len(b) > 0 {
		if b[0] == ' ' {
			b = b[1:]
			continue
		}
		end := bytes.IndexByte(b, ' ')
		if end < 0 {
			end = len(b)
		}
		if end > 2 {
			switch b[0] {
			case 'H':
				if b[1] == '=' && !seen {
					seen = true
					b = a.client(b[2:])
					continue
				}
			case 'A':
				if b[1] == '=' && a.user == nil {
					v := b[2:end]
					// authenticator:id, and :sender with smtp_mailauth
					if i := bytes.IndexByte(v, ':'); i >= 0 {
						a.user, _, _ = bytes.Cut(v[i+1:], []byte(":"))
					}
				}
			case 'S':
				if b[1] == '=' && a.size == 0 {
					for _, c := range b[2:end] {
						if !isDigit(c) || a.size > 1<<50 {
							break
						}
						a.size = a.size*10 + int64(c-'0')
					}
				}
			case 'D':
				if hasPrefix(b, "DN=\"") {
					if i := quotedEnd(b[3:]); i > 0 {
						end = 3 + i
					}
				}
			case 'i':
				if b[1] == 'd' && b[2] == '=' {
					a.messageID = b[3:end]
					end = len(b) // the subject and the recipients follow
				}
			case 'T':
				if b[1] == '=' && b[2] == '"' {
					end = len(b)
				}
			}
		}
		b = b[min(end+1, len(b)):]
	}
	p.queue.arrival(k, at, &a)
}

// client reads "name (helo) [address]:port" and returns the rest. All parts but the address may be
// missing.
func (a *arrival) client(b []byte) []byte {
	i := bytes.IndexByte(b, '[')
	if j := bytes.IndexByte(b[:max(i, 0)], '('); j >= 0 {
		// The client chose the text in the parentheses: an address literal, or anything that
		// helo_accept_junk_hosts permits.
		n := bytes.Index(b[j:], []byte(") ["))
		if n < 0 {
			return nil
		}
		i = j + n + 2
	}
	if i >= 0 {
		if name := b[:i]; len(name) > 1 && name[0] != '(' {
			if j := bytes.IndexByte(name, ' '); j > 0 {
				a.host = name[:j]
			}
		}
		b = b[i+1:]
		if j := bytes.IndexByte(b, ']'); j >= 0 {
			a.ip, b = b[:j], b[j+1:]
		}
	}
	if i = bytes.IndexByte(b, ' '); i < 0 {
		return nil
	}
	return b[i:]
}

// eximDelivery reads the text after "=>", "->", ">>", "**" or "==".
func (p *Parser) eximDelivery(k *key, prog *program, flag string, r *Result, h *header, offset int64) Kind {
	line, known, e := p.copyLine(k, h.message)
	var f eximFields
	if text := line[len(h.message)-len(h.rest)+3:]; !f.scan(flag, text) || f.isCut(text) {
		return Unparsed
	}
	if flag == "=>" && f.discardsMessage() {
		p.end(k, bounce.MessageDiscarded, nil, r, offset)
		return Queued
	}
	if flag == "==" && f.message == "domain matches queue_smtp_domains, or -odqs set" {
		return Queued // intended: no attempt was to be made
	}
	p.repeat, p.repeatProg = line, prog
	d := r.first()
	d.Source, d.Offset, d.Time = p.source, offset, r.Time
	d.Host, d.MTA, d.Instance, d.Agent = k.host, bounce.Exim, k.instance, f.transport
	d.QueueID, d.Delay = line[:len(k.id)], -1
	d.RelayHost, d.RelayIP, d.RelayPort = f.host, f.ip, f.port
	to, original := f.recipient()
	d.Recipient, d.RecipientDomain = normal(to)
	if original != "" {
		if o, _ := normal(original); o != d.Recipient {
			d.OriginalRecipient = o
		}
	}
	if v, ok := eximDuration(f.queueTime); ok {
		d.Delay = v
	}
	if v, ok := eximDuration(f.deliveryTime); ok {
		d.Delays[3], d.HasDelays = v, true
	}
	switch flag {
	case "**":
		d.Status, d.Outcome = "failed", bounce.Hard
	case "==":
		d.Status, d.Outcome = "deferred", bounce.Soft
		d.Untried = retryTime(f.message)
	default:
		d.Status, d.Outcome = "delivered", bounce.Delivered
		if flag == "*>" {
			// The command line option -N: the address was routed, but the transport did not run and
			// nothing was delivered.
			d.Outcome = bounce.Probe
		} else if f.discards() {
			d.Disposal = bounce.Discarded
		} else if f.isHandoff() {
			d.Outcome = bounce.Handoff
		}
	}
	f.reply(d, flag)
	if d.Outcome == bounce.Handoff {
		d.Disposal = bounce.DisposalOf(f.confirmation)
	}
	if f.hasSender {
		d.Sender, d.SenderDomain = normal(f.sender)
		d.SenderKnown = true
	}
	d.Size = f.size
	d.TLS = f.tls(d.Outcome)
	if e != nil {
		p.queue.join(d, e, known, 0, 0)
		if d.Outcome == bounce.Delivered && p.queue.passOn(e, d, f.confirmation) {
			d.Outcome = bounce.Handoff
		}
	}
	if p.warnings.n > 0 {
		p.warnings.attach(d, prog, nil)
	}
	return Attempt
}

// eximFields are the fields of a delivery line, unchanged.
type eximFields struct {
	eximAddress
	router, transport       string
	host, ip                string
	port                    uint16
	sender                  string
	hasSender               bool
	size                    int64
	confirmation            string // C="…"
	cipher, verified        string // X=, CV=
	queueTime, deliveryTime string
	errno                   int
	strerror                string // the system's message, for a positive errno
	message                 string // after the fields
}

// unescape removes the backslashes that Exim writes before quotes and backslashes in a quoted
// value.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// tls returns the encryption of the session in the words of Postfix's tls= (bounce.Delivery.TLS).
// Exim does not log the level wanted, only the result: X= with the cipher if there was TLS, and
// CV=dane or CV=yes if the certificate was verified; its default log_selector has both. A delivery
// to a host without X= was not encrypted. For a failure without X= the encryption is not known,
// unless the message names it.
func (f *eximFields) tls(outcome bounce.Outcome) string {
	switch {
	case f.cipher != "" && f.verified == "dane":
		return "dane"
	case f.cipher != "" && f.verified == "yes":
		return "verify"
	case f.cipher != "":
		return "may"
	case outcome == bounce.Delivered && f.ip != "":
		return "none"
	case strings.HasPrefix(f.message, "a TLS session is required, but "):
		return "!encrypt"
	case strings.HasPrefix(f.message, "TLS session: (certificate verification failed"):
		return "!verify"
	case strings.HasPrefix(f.message, "DANE error: tlsa lookup "):
		return "dane?"
	case strings.HasPrefix(f.message, "DANE error: "):
		return "!dane"
	}
	return ""
}

// discardsMessage reports whether all recipients of a message were discarded. Exim then writes a
// word in place of the address: "=> discarded (system filter)", "=> blackhole (RCPT ACL discarded
// recipients)".
func (f *eximFields) discardsMessage() bool {
	return f.parent == "" && f.router == "" && f.transport == "" && (f.address == "discarded" || f.address == "blackhole")
}

// discards reports whether an alias or a filter discards the recipient's mail: "=> :blackhole:
// <a@b>", "=> /dev/null <a@b>" (that transport is bypassed), and without a transport "=> discarded
// <a@b>".
func (f *eximFields) discards() bool {
	return f.parent != "" && (f.address == ":blackhole:" || f.address == "/dev/null" || f.address == "discarded" && f.transport == "")
}

// retryTime reports whether the deferral was without an attempt: the address or its hosts were
// tried before, and the time of the next retry has not come.
func retryTime(message string) bool {
	return strings.HasPrefix(message, "retry time not reached") || strings.HasPrefix(message, "Retry time not yet reached")
}

// isHandoff reports whether the delivery is not one to the recipient's domain: an automatic reply
// (it has a message id of its own) or mail passed to a filter or another MTA on this machine.
func (f *eximFields) isHandoff() bool {
	if strings.HasPrefix(f.address, ">") {
		return true
	}
	filterPort := f.port >= 10000 && f.port < 11000
	if f.ip != "127.0.0.1" && f.ip != "::1" {
		return filterPort && strings.Contains(f.confirmation, " from MTA(")
	}
	if filterPort || strings.Contains(f.confirmation, " from MTA(") {
		return true
	}
	// LMTP over TCP looks the same but ends in a mail store.
	return f.port != 24 && !strings.Contains(f.transport, "lmtp") && !strings.HasSuffix(f.confirmation, " Saved")
}

// scan reads the fields from left to right.
func (f *eximFields) scan(flag, s string) bool {
	rest, ok := f.scanAddress(s)
	if !ok || f.address == "" || rest == "" && f.address[len(f.address)-1] == '=' {
		return false
	}
	rest, deferred := f.scanFields(rest, flag)
	if strings.HasPrefix(f.router, "3D") {
		return false // from quoted-printable text, like an address that ends in an equals sign
	}
	if flag != "==" || !deferred {
		f.message = rest
		return true
	}
	f.scanDeferral(rest)
	return true
}

// isCut reports whether a line ends with its address, or within the one in brackets after a local
// name. Exim writes a router or a message after them, so the end of the domain may be missing. Only
// marks of a break or flags of one character may follow the address.
func (f *eximFields) isCut(text string) bool {
	if f.router != "" || f.message != "" {
		return false
	}
	after := text[strings.LastIndex(text, f.address)+len(f.address):]
	return strings.IndexFunc(after, func(r rune) bool { return r < 0x80 && alnum[r] }) < 0 ||
		strings.LastIndexByte(text, '>') < strings.LastIndex(text, " <") && !strings.Contains(f.address, "@")
}

// scanDeferral reads the text after "defer". Up to Exim 4.99 it begins with a number; a positive
// number is the system's errno, and the system's message follows:
//
//	(errno)[: words of the system][ H=… …][: message]
//
// Exim 4.100 writes no number, and the system's message only if there is no other message:
//
//	[ (words)][ H=… …][: message]
func (f *eximFields) scanDeferral(rest string) {
	system := false
	if v, ok := strings.CutPrefix(rest, " ("); ok {
		i := strings.IndexByte(v, ')')
		if i < 0 {
			f.message = v
			return
		}
		word := v[:i]
		rest = v[i+1:]
		if n, err := strconv.Atoi(word); err == nil {
			f.errno = n
			system = n > 0
		} else if strings.IndexByte(word, ' ') >= 0 || !strings.Contains(rest, ": ") {
			f.strerror = word
		} else {
			system = true // the number has been masked in the log
		}
	}
	if strings.HasPrefix(rest, " ") {
		f.message, _ = f.scanFields(rest, "**")
		return
	}
	f.message = strings.TrimPrefix(rest, ": ")
	if system {
		if i := strings.Index(f.message, " H="); i > 0 {
			f.strerror = f.message[:i]
			f.message, _ = f.scanFields(f.message[i:], "**")
		} else if i := strings.Index(f.message, ": "); i > 0 && !strings.HasPrefix(f.message, "SMTP ") {
			f.strerror, f.message = f.message[:i], f.message[i+2:]
		}
	}
	if f.strerror == "" || f.host == "" {
		f.message = f.trailing(f.message)
	}
}

// scanFields reads " NAME=value" and flags without a value up to the message. It returns the
// message, or the text after "defer (".
func (f *eximFields) scanFields(s, flag string) (rest string, deferred bool) {
	for s != "" {
		if s[0] == ':' && (len(s) == 1 || s[1] == ' ') {
			return f.trailing(strings.TrimPrefix(s[1:], " ")), false
		}
		if s[0] == ' ' {
			s = s[1:]
			continue
		}
		n := fieldName(s)
		if n == 0 {
			if flag == "==" {
				if v, ok := cutDefer(s); ok {
					return v, true
				}
			}
			if s[0] == '(' && flag == "**" {
				// Exim 4.100: the system's message, if there is no other one.
				if i := strings.IndexByte(s, ')'); i > 0 {
					f.strerror, s = s[1:i], s[i+1:]
					continue
				}
			}
			// A flag (L, K, TFO*, *), or words.
			i := strings.IndexByte(s, ' ')
			if i < 0 {
				i = len(s)
			}
			if s[i-1] == ':' && i < len(s) {
				i--
			}
			if flag == "**" && i > 4 && s[0]-'a' < 26 {
				return s, false // words
			}
			s = s[i:]
			continue
		}
		name := s[:n-1]
		s = s[n:]
		var v string
		v, s = f.value(name, s)
		switch name {
		case "R":
			f.router = v
		case "T":
			f.transport = v
		case "F":
			if !f.hasSender {
				f.sender, f.hasSender = v, true
			}
		case "S":
			f.size, _ = strconv.ParseInt(v, 10, 64)
		case "C":
			f.confirmation = v
		case "X":
			f.cipher = v
		case "CV":
			f.verified = v
		case "QT":
			f.queueTime = v
		case "DT":
			f.deliveryTime = v
		}
	}
	return "", false
}

// value reads the value of a field.
func (f *eximFields) value(name, s string) (v, rest string) {
	switch {
	case s == "":
		return "", ""
	case name == "H":
		return "", f.hostValue(s)
	case s[0] == '"':
		if i := endOfQuoted(s); i > 0 {
			return s[1 : i-1], s[i:]
		}
		return s[1:], "" // cut
	case s[0] == '<':
		s = s[1:]
		if i := endOfAddress(s); i >= 0 {
			return s[:i], s[i+1:]
		}
		return s, "" // cut
	}
	i := strings.IndexByte(s, ' ')
	if i < 0 {
		i = len(s)
	}
	if i > 0 && s[i-1] == ':' {
		i--
	}
	return s[:i], s[i:]
}

// hostValue reads "name [address]:port*". Between name and address there may be "DS" or the name
// that a client gave.
func (f *eximFields) hostValue(s string) (rest string) {
	host, ip := "", ""
	t := s
	for range 4 {
		t = strings.TrimLeft(t, " ")
		if strings.HasPrefix(t, "[") {
			i := strings.IndexByte(t[:min(len(t), maxParent)], ']')
			if i < 0 {
				break
			}
			ip, rest = t[1:i], t[i+1:]
			if f.host == "" && f.ip == "" {
				f.host = host
				if isAddressLike(ip) {
					f.ip = ip
				}
				if port, ok := strings.CutPrefix(rest, ":"); ok {
					i := 0
					for i < len(port) && isDigit(port[i]) {
						i++
					}
					f.port = portNumber(port[:i])
				}
			}
			// Skip the port and the marks after it, but keep the colon before the message.
			i = 0
			for i < len(rest) && rest[i] != ' ' && !(rest[i] == ':' && (i+1 == len(rest) || rest[i+1] == ' ')) {
				i++
			}
			return rest[i:]
		}
		i := strings.IndexByte(t, ' ')
		if i < 0 {
			i = len(t)
		}
		word := t[:i]
		if host == "" {
			if strings.HasSuffix(word, ":") {
				f.host = word[:len(word)-1]
				return t[i-1:]
			}
			host = word
		} else if fieldName(word) > 0 {
			break
		}
		t = t[i:]
	}
	if f.host == "" {
		f.host = host
	}
	return s[min(len(host), len(s)):]
}

// trailing cuts off the times that log selectors put after the message.
func (f *eximFields) trailing(s string) string {
	for _, name := range [...]string{"DT=", "QT="} {
		i := strings.LastIndexByte(s, ' ')
		if i < 0 || !strings.HasPrefix(s[i+1:], name) {
			continue
		}
		v := s[i+1+len(name):]
		if _, ok := eximDuration(v); !ok {
			continue
		}
		if name == "DT=" {
			f.deliveryTime = v
		} else {
			f.queueTime = v
		}
		s = s[:i]
	}
	return s
}

// eximDuration reads Exim's time intervals ("1w2d3h4m5.678s") as seconds.
func eximDuration(s string) (sec float64, ok bool) {
	if s == "" {
		return 0, false
	}
	for s != "" {
		i := 0
		for i < len(s) && (isDigit(s[i]) || s[i] == '.') {
			i++
		}
		v, ok := decimal(s[:i])
		if !ok || i == len(s) {
			return 0, false
		}
		switch s[i] {
		case 'w':
			v *= 7 * 24 * 3600
		case 'd':
			v *= 24 * 3600
		case 'h':
			v *= 3600
		case 'm':
			v *= 60
		case 's':
		default:
			return 0, false
		}
		sec += v
		s = s[i+1:]
	}
	return sec, true
}

// reply parses the confirmation or the message.
func (f *eximFields) reply(d *bounce.Delivery, flag string) {
	if flag != "**" && flag != "==" {
		text := f.confirmation
		if strings.IndexByte(text, '\\') >= 0 {
			text = unprint(unescape(text))
		}
		d.Code = bounce.ReplyCode(text)
		d.Local = d.Code == 0
		d.Enhanced = bounce.ReplyEnhanced(text)
		d.Response = bounce.JoinReply(text)
		return
	}
	after, remote := f.command()
	switch m := f.message; {
	case after == "":
		d.Stage = eximStage(m, f)
	case strings.HasPrefix(after, "sending data block"), strings.HasPrefix(m, "LMTP error after DATA"):
		// LMTP sends a reply for each recipient after the message (RFC 2033).
		d.Stage = bounce.StageEOM
	default:
		d.Stage = smtpStage(after)
	}
	if remote {
		if reply := f.remoteReply(after, d); reply != "" {
			reply = unprint(reply)
			d.Response = bounce.JoinReply(reply)
			if f.message[0] != 'M' { // else it is not a reply as defined by RFC 5321, even if it begins with digits
				d.Code = bounce.ReplyCode(reply)
				d.Enhanced = bounce.ReplyEnhanced(reply)
			}
			return
		}
	}
	d.Local = true
	if f.strerror != "" && f.message == f.host+" ["+f.ip+"]" {
		f.message = "" // before 4.88 the host is named twice
	}
	f.hostInWords(d)
	d.Response = unprint(f.message)
	if f.strerror != "" {
		d.Response = strings.TrimSuffix(f.strerror+": "+d.Response, ": ")
	}
}

// command returns the text after "SMTP error from remote mail server after" and similar words: the
// command, often with the reply to it. remote reports whether the reply is the remote server's own
// text.
func (f *eximFields) command() (after string, remote bool) {
	m := f.message
	switch {
	case strings.HasPrefix(m, "SMTP error from remote "), strings.HasPrefix(m, "LMTP error "):
		if i := strings.Index(m[:min(len(m), 64)], " after "); i >= 0 {
			return m[i+len(" after "):], true
		}
	case strings.HasPrefix(m, "Malformed "), strings.HasPrefix(m, "Remote host "):
		if i := strings.Index(m, " in response to "); i >= 0 {
			return m[i+len(" in response to "):], m[0] == 'M'
		}
	case strings.HasPrefix(m, "SMTP timeout "), strings.HasPrefix(m, "LMTP timeout "):
		if i := strings.Index(m, " after "); i >= 0 {
			return m[i+len(" after "):], false
		}
	}
	return "", false
}

// hostInWords finds the host in Exim's own message, which names it before version 4.88: "Remote
// host name [address] closed connection in response to …", "SMTP timeout while connected to name
// [address] after …".
func (f *eximFields) hostInWords(d *bounce.Delivery) {
	if f.host != "" || f.ip != "" {
		return
	}
	v, ok := strings.CutPrefix(f.message, "Remote host ")
	if !ok {
		if v, ok = strings.CutPrefix(f.message, "SMTP timeout while connected to "); !ok {
			return
		}
	}
	host, v, ok := strings.Cut(v, " [")
	if !ok || !plainLocal(host) {
		return
	}
	if ip, _, ok := strings.Cut(v, "]"); ok && isAddressLike(ip) {
		d.RelayHost, d.RelayIP = host, ip
	}
}

// remoteReply returns the reply after a command, or "". Before Exim 4.88 the host precedes it:
// "host name [address]: ".
func (f *eximFields) remoteReply(after string, d *bounce.Delivery) string {
	reply := afterCommand(after)
	v, ok := strings.CutPrefix(reply, "host ")
	if !ok {
		return reply
	}
	i := strings.Index(v, "]: ")
	if i < 0 {
		return reply
	}
	j := strings.LastIndexByte(v[:i], '[')
	if j <= 0 {
		return reply
	}
	if f.host == "" {
		d.RelayHost = strings.TrimSpace(v[:j])
		if ip := v[j+1 : i]; isAddressLike(ip) {
			d.RelayIP = ip
		}
	}
	return v[i+len("]: "):]
}

// afterCommand returns the text after "RCPT TO:<address>: ".
func afterCommand(s string) string {
	i := 0
	if j := strings.IndexByte(s, '<'); j >= 0 && j < 24 && !strings.Contains(s[:j], ": ") {
		e := endOfAddress(s[j+1:])
		if e < 0 {
			return "" // cut
		}
		i = j + 1 + e
	}
	if j := strings.Index(s[i:], ": "); j >= 0 {
		return s[i+j+2:]
	}
	return ""
}

// eximStage returns the stage that Exim's own error message names.
func eximStage(m string, f *eximFields) bounce.Stage {
	switch {
	case strings.HasPrefix(m, "TLS session"), strings.HasPrefix(m, "a TLS session is required"),
		strings.HasPrefix(m, "failure while setting up TLS"), f.errno == -37, f.errno == -38:
		return bounce.StageTLS
	case strings.HasPrefix(m, "authentication required"), f.errno == -42:
		return bounce.StageAuth
	case f.transport != "" && (noConnection[f.strerror] || f.errno > 0 && f.strerror == "" && noConnection[m]):
		return bounce.StageConnect
	}
	return bounce.NoStage
}

// noConnection are the system's messages, strerror(3), for a failed connection.
var noConnection = map[string]bool{
	"Connection refused": true, "Connection timed out": true, "Operation timed out": true, "No route to host": true,
	"Host is down": true, "Network is unreachable": true, "Connection reset by peer": true,
}
