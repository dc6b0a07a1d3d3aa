package parser

import (
	"bytes"
	"strings"

	"bouncelog/bounce"
)

// queueID reads "QUEUEID: " at the start of a message. Postfix's short queue ids have five or more
// hexadecimal digits; its long ones (enable_long_queue_ids) have ten or more characters, digits and
// letters without vowels. Some logs have masked ids, so queueID accepts any letters and digits.
func queueID(msg []byte) (id, rest []byte, ok bool) {
	i := bytes.IndexByte(msg[:min(len(msg), 26)], ':')
	if i < 5 || i >= len(msg)-1 || !allAlnum(msg[:i]) {
		return nil, nil, false
	}
	if i == 7 && string(msg[:7]) == "NOQUEUE" {
		return nil, nil, false
	}
	rest = msg[i+1:]
	for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') { // "QID:from=<…>" has no blank
		rest = rest[1:]
	}
	return msg[:i], rest, true
}

// hasOtherID reports whether msg is a delivery with a queue id that queueID does not accept: "4A:
// to=<…>, … status=…".
func hasOtherID(msg []byte) bool {
	i := bytes.IndexByte(msg, ' ')
	return i > 1 && msg[i-1] == ':' && hasPrefix(msg[i+1:], "to=<") && holdsDelivery(msg)
}

// beginsDelivery reports whether rest, which is the text of another message, begins with a
// delivery: a message with a queue id, or a line with its time.
func beginsDelivery(rest []byte) bool {
	if _, n := scanStamp(rest); n == 0 {
		if _, text, ok := queueID(rest); !ok || !hasPrefix(text, "to=<") {
			return false
		}
	}
	return holdsDelivery(rest)
}

// postfix reads the message of a Postfix program.
func (p *Parser) postfix(prog *program, h *header, r *Result, offset int64) Kind {
	d := prog.daemon
	if d == smtpdDaemon && isSession(h.message) {
		return Skipped
	}
	id, rest, ok := queueID(h.message)
	if !ok {
		if (d == smtpdDaemon || d == otherDaemon || d == cleanupDaemon) && isReject(h.message) {
			return Reject
		}
		if d == deliveryAgent && (hasPrefix(h.message, "to=<") || hasOtherID(h.message)) {
			return Unparsed
		}
		return Skipped
	}
	var k key // filled in place: a composite literal would be built elsewhere and copied
	k.log, k.host, k.instance, k.mta, k.id = p.log, p.host, prog.instance, bounce.Postfix, id
	switch d {
	case deliveryAgent:
		if hasPrefix(rest, "to=") {
			if to := rest[len("to="):]; len(to) > 0 && to[0] != '<' && escapedBracket(to) > 0 {
				return Unparsed // it is read again as HTML
			}
			return p.postfixDelivery(&k, prog, h.message, len(h.message)-len(rest), r, offset)
		} else if len(rest) > 2 && rest[0]|0x20 == 't' && rest[1]|0x20 == 'o' && (bytes.Contains(rest, []byte(" relay=")) || holdsDelivery(h.message)) {
			return Unparsed // with escapes, or with a damaged recipient
		} else if word, _, _ := bytes.Cut(rest, []byte(" ")); bytes.Contains(word, []byte("to=<")) && holdsDelivery(h.message) {
			return Unparsed // with a damaged name of the recipient
		}
	case qmgrDaemon:
		if hasPrefix(rest, "to=<") { // the queue manager itself bounces or defers it
			return p.postfixDelivery(&k, prog, h.message, len(h.message)-len(rest), r, offset)
		}
		if !logWord(id) {
			return p.qmgr(&k, prog, rest, r, offset)
		}
	case cleanupDaemon:
		switch {
		case hasPrefix(rest, "to=<"): // a milter or a limit refuses local mail (bounce_append)
			return p.postfixDelivery(&k, prog, h.message, len(h.message)-len(rest), r, offset)
		case hasPrefix(rest, "message-id="):
			v := bytes.TrimSpace(rest[len("message-id="):])
			if n := len(v); n > 1 && v[0] == '<' && v[n-1] == '>' {
				v = v[1 : n-1]
			}
			p.queue.messageID(&k, r.Time, v)
			return Queued
		case string(rest) == "removed (canceled)", string(rest) == "canceled":
			// Since Postfix 3.10: it was never queued.
			p.queue.remove(&k)
			return Queued
		case string(rest) == "removed (discarded)":
			p.end(&k, bounce.MessageDiscarded, []byte("cleanup"), r, offset)
			p.queue.remove(&k)
			return Queued
		case isReject(rest):
			// The message is refused, even if parts of it were received.
			p.queue.remove(&k)
			return Reject
		}
	case smtpdDaemon:
		if v, ok := cutPrefix(rest, "client="); ok {
			host, ip, sasl := clientOf(v)
			p.queue.client(&k, r.Time, host, ip, sasl)
			return Queued
		}
		if isReject(rest) {
			return Reject
		}
	case pickupDaemon:
		if hasPrefix(rest, "uid=") {
			p.queue.client(&k, r.Time, nil, nil, nil)
			return Queued
		}
	case superCommand:
		switch string(rest) {
		case "removed":
			p.end(&k, bounce.MessageRemoved, []byte("postsuper"), r, offset)
			return Queued
		case "requeued": // it continues under another queue id (postsuper -r)
			p.end(&k, bounce.MessageCompleted, []byte("postsuper"), r, offset)
			return Queued
		case "placed on hold":
			p.end(&k, bounce.MessageFrozen, []byte("postsuper"), r, offset)
			return Queued
		case "released from hold":
			p.end(&k, bounce.MessageThawed, []byte("postsuper"), r, offset)
			return Queued
		}
	case otherDaemon:
		if isReject(rest) {
			return Reject
		}
	}
	if logWord(id) {
		p.warnings.ofPostfix(p.host, prog, h, r)
		return Skipped // "warning: …"
	}
	if hasPrefix(rest, "to=<") && holdsDelivery(h.message) {
		return Unparsed // of a program that makes no deliveries
	}
	if isLevel(id) {
		return Skipped // no queue id: see labelled
	}
	if len(rest) > 0 && alnum[rest[0]] && beginsDelivery(rest) {
		return Unparsed
	}
	return Queued
}

// isSession reports whether msg is an smtpd(8) message about the beginning or the end of a session.
// A quarter of all lines are. Words of at most eight bytes are compared without a call: a line of Postfix
// takes 0.98 of the instructions.
func isSession(msg []byte) bool {
	return hasPrefix(msg, "connect ") && hasPrefix(msg[8:], "from ") || hasPrefix(msg, "disconne") && hasPrefix(msg[8:], "ct from ")
}

// logWord reports whether id is a word that begins Postfix's diagnostics (msg(3)). Such words look
// like queue ids.
func logWord(id []byte) bool {
	switch string(id) {
	case "warning", "fatal", "error", "panic", "statistics", "table", "daemon", "using", "TLSRPT":
		return true
	}
	return false
}

// isReject reports whether smtpd(8), cleanup(8) or postscreen(8) refused mail: "reject: …",
// "NOQUEUE: milter-reject: …".
func isReject(msg []byte) bool {
	if len(msg) < 8 || msg[0] > 'r' || msg[0] < 'N' {
		return false
	}
	msg, _ = cutPrefix(msg, "NOQUEUE: ")
	if len(msg) < 8 || msg[0] != 'r' && msg[0] != 'm' && msg[0] != 'd' {
		return false
	}
	return hasPrefix(msg, "reject: ") || hasPrefix(msg, "milter-reject: ") ||
		hasPrefix(msg, "discard: ") || hasPrefix(msg, "milter-discard: ")
}

// clientOf reads "host[ip], sasl_method=PLAIN, sasl_username=user".
func clientOf(v []byte) (host, ip, sasl []byte) {
	rest := v
	if i := bytes.IndexByte(v, ','); i >= 0 {
		v, rest = v[:i], v[i:]
	} else {
		rest = nil
	}
	if i := bytes.IndexByte(v, '['); i >= 0 {
		host, v = v[:i], v[i+1:]
		if j := bytes.IndexByte(v, ']'); j >= 0 {
			ip = v[:j]
		}
	}
	if string(host) == "unknown" {
		host = nil
	}
	const user = ", sasl_username="
	if i := bytes.Index(rest, []byte(user)); i >= 0 {
		sasl = rest[i+len(user):]
		if j := bytes.Index(sasl, []byte(", ")); j >= 0 {
			sasl = sasl[:j]
		}
	}
	return host, ip, sasl
}

// qmgr reads the queue manager's lines.
func (p *Parser) qmgr(k *key, prog *program, rest []byte, r *Result, offset int64) Kind {
	if string(rest) == "removed" {
		p.end(k, bounce.MessageCompleted, nil, r, offset)
		return Queued
	}
	v, ok := cutPrefix(rest, "from=<")
	if !ok {
		if hasPrefix(rest, "from=&") && p.isHTML(rest) {
			return Unparsed // it is read again as HTML
		}
		return Queued
	}
	i := endOfSender(v)
	if i < 0 {
		return Unparsed
	}
	sender, v := v[:i], v[i+1:]
	if !p.unquoted && bytes.IndexByte(sender, '>') >= 0 && sender[0] != '"' {
		p.unquoted = true
	}
	if s, ok := cutPrefix(v, ", size="); ok {
		size := int64(0)
		for i := 0; i < len(s) && i < 18 && isDigit(s[i]); i++ {
			size = size*10 + int64(s[i]-'0')
		}
		p.queue.active(k, r.Time, sender, size)
		return Queued
	}
	s, ok := cutPrefix(v, ", status=")
	if !ok {
		return Queued
	}
	status := s
	if i := bytes.IndexByte(s, ','); i >= 0 {
		status = s[:i]
	}
	if st := string(status); st != "expired" && st != "force-expired" {
		return Unparsed
	}
	e := bounce.Expiry{
		Source: p.source, Offset: offset, Time: r.Time,
		Host: k.host, MTA: bounce.Postfix, Instance: k.instance, Agent: prog.agent,
		QueueID: string(k.id), Status: string(status),
	}
	m, ok := p.queue.get(k)
	if ok {
		e.Instance = m.Instance
	} else {
		m = bounce.Message{Host: k.host, MTA: bounce.Postfix, Instance: k.instance, QueueID: e.QueueID, Time: r.Time}
	}
	if !m.SenderKnown {
		m.Sender, _ = normal(string(sender))
		m.SenderKnown = true
	}
	e.Message = &m
	r.Expiry = e
	return Expiry
}

// endOfSender returns the index of the ">" that ends the sender in a qmgr line, or -1. It is the
// last ">" before ", size=" or ", status=", because no stranger's text follows the sender. Before
// Postfix 3.5 a sender is shown without its quotes and may hold ">, size=" itself.
func endOfSender(b []byte) int {
	if i := bytes.IndexByte(b, '>'); i >= 0 && hasPrefix(b[i:], ">, size=") && bytes.IndexByte(b[i+1:], '>') < 0 {
		return i
	}
	return max(bytes.LastIndex(b, []byte(">, size=")), bytes.LastIndex(b, []byte(">, status=")))
}

// postfixDelivery reads a delivery agent's line about an attempt (Postfix's log_adhoc(3)):
//
//	to=<R>, orig_to=<O>, relay=…, conn_use=2, delay=…, delays=a/b/c/d, tls=…, dsn=x.y.z, status=word (text)
func (p *Parser) postfixDelivery(k *key, prog *program, msg []byte, fields int, r *Result, offset int64) Kind {
	line, known, e := p.copyLine(k, msg)
	var f postfixFields
	if !f.scan(line[fields:]) || p.unquoted && f.forged(line[fields:]) {
		return Unparsed
	}
	p.repeat, p.repeatProg = line, prog
	d := r.first()
	d.Source, d.Offset, d.Time = p.source, offset, r.Time
	d.Host, d.MTA, d.Instance, d.Agent = k.host, bounce.Postfix, k.instance, prog.agent
	d.QueueID, d.Status = line[:len(k.id)], f.status
	d.Recipient, d.RecipientDomain = normal(f.to)
	if f.origTo != "" {
		if o, _ := normal(f.origTo); o != d.Recipient {
			d.OriginalRecipient = o
		}
	}
	relayOf(f.relay, d)
	var ok bool
	if d.Delay, ok = decimal(f.delay); !ok {
		d.Delay = -1
	}
	d.Delays, d.HasDelays = fourDelays(f.delays)
	d.TLS = f.tls
	d.Enhanced, _ = bounce.ParseEnhanced(f.dsn)
	f.reply(d)
	if d.Outcome = postfixOutcome(f.status, f.text, d); d.Outcome == bounce.NoOutcome {
		r.Deliveries = r.Deliveries[:0]
		return Unparsed
	}
	switch d.Outcome {
	case bounce.Handoff:
		d.Disposal = bounce.DisposalOf(f.text)
	case bounce.Delivered:
		if f.discards(prog.agent) {
			d.Disposal = bounce.Discarded
		}
	}
	arrived := 0.0
	if d.Delay >= 0 {
		arrived = float64(r.Time.Unix()) - d.Delay
	}
	if e != nil {
		p.queue.join(d, e, known, arrived, 600+d.Delay/10)
		if d.Outcome == bounce.Delivered && p.queue.passOn(e, d, f.text) {
			d.Outcome = bounce.Handoff
		}
	}
	if p.warnings.n > 0 {
		p.warnings.attach(d, prog, p.h.pid)
	}
	return Attempt
}

// postfixFields are the fields of a delivery line, unchanged.
type postfixFields struct {
	to, origTo, relay, delay, delays, tls, dsn, status, text string
}

// discards reports whether the mail was discarded: by discard(8), the only agent that delivers
// without a relay, or by an alias of /dev/null.
func (f *postfixFields) discards(agent string) bool {
	return agent == "discard" || agent == "" && f.relay == "none" || f.text == "delivered to file: /dev/null"
}

// forged reports whether the address may be longer than scan found: it may imitate the end of an
// address and the fields after it. A remote server's reply could look the same, so forged is called
// only if addresses are known to be shown without their quotes.
func (f *postfixFields) forged(s string) bool {
	s = s[len("to=")+len(f.to):]
	return strings.Count(s, ">, relay=") > 1 || strings.LastIndex(s, ">, orig_to=") > strings.Index(s, ">, relay=")
}

// maxFields is larger than the number of fields between relay= and the end.
const maxFields = 12

// scan reads the fields from left to right. It returns false if the line is not a delivery line or
// is cut before the end of its status.
func (f *postfixFields) scan(s string) bool {
	var ok bool
	if f.to, s, ok = postfixAddress(s[len("to="):]); !ok {
		return false
	}
	if v, found := strings.CutPrefix(s, "orig_to="); found {
		if f.origTo, s, ok = postfixAddress(v); !ok {
			return false
		}
	}
	if s, ok = strings.CutPrefix(s, "relay="); !ok {
		return false
	}
	i := strings.IndexByte(s, ',')
	if i < 0 || i+2 >= len(s) || s[i+1] != ' ' {
		return false
	}
	f.relay, s = s[:i], s[i+2:]
	for range maxFields {
		i := 0
		for i < len(s) && (s[i]-'a' < 26 || s[i] == '_') {
			i++
		}
		if i == 0 || i == len(s) || s[i] != '=' {
			return false
		}
		name := s[:i]
		s = s[i+1:]
		if name == "status" {
			return f.scanStatus(s)
		}
		i = 0
		for i < len(s) && s[i] != ',' && s[i] != ' ' {
			i++
		}
		if i == len(s) {
			return false
		}
		v := s[:i]
		if s[i] == ',' { // some versions omit the comma
			i++
		}
		if i == len(s) || s[i] != ' ' {
			return false
		}
		s = s[i+1:]
		switch name {
		case "delay":
			f.delay = v
		case "delays":
			f.delays = v
		case "tls":
			f.tls = v
		case "dsn":
			f.dsn = v
		}
	}
	return false
}

func (f *postfixFields) scanStatus(s string) bool {
	i := 0
	for i < len(s) && (s[i]|0x20-'a' < 26 || s[i] == '-') {
		i++
	}
	f.status = s[:i]
	if i == 0 {
		return false
	}
	s = s[i:]
	if s == "" {
		return true
	}
	if s, ok := strings.CutPrefix(s, " ("); ok {
		end, closed := strings.CutSuffix(s, ")")
		if !closed {
			if end, closed = strings.CutSuffix(strings.TrimRight(s, statusTail), ")"); !closed {
				end = strings.TrimRight(s, " ")
			}
		}
		f.text = end
		return true
	}
	return strings.Trim(s, " ") == ""
}

// postfixAddress reads "<address>, " before the next field. Address formats other than
// info_log_address_format=external do not quote, so any ">" may be part of the address, except the
// first one before relay= or orig_to=. (Some logs lack the brackets.)
func postfixAddress(s string) (addr, rest string, ok bool) {
	if len(s) == 0 {
		return "", "", false
	}
	if s[0] != '<' {
		i := strings.IndexByte(s, ',')
		if i <= 0 || i+1 >= len(s) || s[i+1] != ' ' || strings.IndexByte(s[:i], ' ') >= 0 || !nextField(s[i+2:]) {
			return "", "", false
		}
		return s[:i], s[i+2:], true
	}
	s = s[1:]
	if len(s) > 0 && s[0] == '"' {
		if addr, rest, ok = addressFrom(s, endOfQuoted(s)); ok {
			return addr, rest, ok
		}
	}
	return addressFrom(s, 0)
}

// addressFrom finds the end of an address from index i on.
func addressFrom(s string, i int) (addr, rest string, ok bool) {
	for {
		j := strings.IndexByte(s[i:], '>')
		if j < 0 {
			return "", "", false
		}
		i += j
		if rest, ok := strings.CutPrefix(s[i+1:], ", "); ok && nextField(rest) {
			return s[:i], rest, true
		}
		i++
	}
}

func nextField(s string) bool {
	return strings.HasPrefix(s, "relay=") || strings.HasPrefix(s, "orig_to=")
}

// relayOf reads the value of relay=: none, the name of a local agent or a service, or
// host[address]:port, in which the address may be the path of a socket.
func relayOf(s string, d *bounce.Delivery) {
	if s == "none" {
		return
	}
	i := strings.IndexByte(s, '[')
	if i < 0 {
		d.RelayHost = s
		return
	}
	d.RelayHost = s[:i]
	s = s[i+1:]
	i = strings.LastIndexByte(s, ']')
	if i < 0 {
		return
	}
	addr, port := s[:i], s[i+1:]
	if isAddressLike(addr) {
		d.RelayIP = addr
	}
	if port, ok := strings.CutPrefix(port, ":"); ok {
		d.RelayPort = portNumber(port)
	}
}

func portNumber(s string) uint16 {
	n := 0
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) || i > 4 {
			return 0
		}
		n = n*10 + int(s[i]-'0')
	}
	if n > 65535 {
		return 0
	}
	return uint16(n)
}

// isAddressLike reports whether the text in the brackets after a host's name may be an IP address
// and not the path of a socket. There is no stricter check, because the MTA wrote it and logs are
// anonymised in many ways.
func isAddressLike(s string) bool {
	for i := 0; i < len(s); i++ {
		if !addressByte[s[i]] {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// fourDelays reads delays=a/b/c/d, in seconds.
func fourDelays(s string) (v [4]float64, ok bool) {
	if s == "" {
		return v, false
	}
	for i := range v {
		j := 0
		for j < len(s) && s[j] != '/' {
			j++
		}
		if v[i], ok = decimal(s[:j]); !ok {
			return [4]float64{}, false
		}
		if j == len(s) {
			if i < 3 {
				return [4]float64{}, false
			}
			return v, true
		}
		s = s[j+1:]
	}
	return [4]float64{}, false
}

// postfixOutcome maps the status word to an outcome. The MTA's status counts, not the digit of the
// reply.
func postfixOutcome(status, text string, d *bounce.Delivery) bounce.Outcome {
	switch status {
	case "sent":
		if strings.HasPrefix(text, "forwarded as ") || text == "expanded" || isFilter(d, text) {
			return bounce.Handoff
		}
		return bounce.Delivered
	case "expanded":
		return bounce.Handoff
	case "deferred", "SOFTBOUNCE":
		return bounce.Soft
	case "bounced", "expired", "force-expired":
		return bounce.Hard
	case "deliverable", "undeliverable", "undeliverable-but-not-cached":
		return bounce.Probe
	}
	return bounce.NoOutcome
}

// isFilter reports whether the delivery is a hand-off to a content filter (Postfix's FILTER_README)
// or to another mail system on the same machine, which logs its own deliveries.
func isFilter(d *bounce.Delivery, text string) bool {
	if d.Agent == "pipe" {
		return filterServices[d.RelayHost] && strings.HasPrefix(text, "delivered via ")
	}
	filterPort := d.RelayPort >= 10000 && d.RelayPort < 11000
	if d.RelayIP != "127.0.0.1" && d.RelayIP != "::1" {
		// A reply that quotes the next MTA comes from a filter, but a filter before the queue of a
		// remote site replies in the same way.
		return filterPort && strings.Contains(text, " from MTA(")
	}
	if d.Agent == "lmtp" {
		// LMTP ends in a mail store (RFC 2033), unless the other side queues.
		return filterPort || strings.Contains(text, " from MTA(") || strings.Contains(text, "queued as ")
	}
	return true
}

// filterServices are the usual names in master.cf of commands that take a message from pipe(8) and
// resubmit it, or reply to it: FILTER_README's simple content filter, SpamAssassin's recipe,
// vacation programs.
var filterServices = map[string]bool{
	"filter": true, "dfilt": true, "content_filter": true, "content-filter": true, "spamfilter": true,
	"spamassassin": true, "spamchk": true, "clamav": true, "amavis": true, "altermime": true, "disclaimer": true,
	"vacation": true, "autoreply": true, "autoresponder": true,
}

// reply parses the status text: whether it comes from a remote server, the reply, and the stage.
func (f *postfixFields) reply(d *bounce.Delivery) {
	text := f.text
	d.Response = text
	d.Local = true
	if f.status != "sent" {
		text = strings.TrimPrefix(text, "delivery temporarily suspended: ")
	}
	const sasl = "SASL authentication failed; server "
	switch {
	case strings.HasPrefix(text, "host "), strings.HasPrefix(text, sasl):
		reply, ok := "", false
		if i := saidAfter(text); i > 0 {
			switch {
			case strings.HasPrefix(text[i:], " said: "):
				reply, ok = text[i+len(" said: "):], true
				if strings.HasPrefix(text, sasl) {
					d.Stage = bounce.StageAuth
				}
			case strings.HasPrefix(text[i:], " refused to talk to me: "):
				reply, ok = text[i+len(" refused to talk to me: "):], true
				d.Stage = bounce.StageConnect
				if strings.Contains(reply, "elo command rejected") {
					d.Stage = bounce.StageHelo // Postfix writes the same for both
				}
			}
		}
		if !ok {
			break
		}
		if i := strings.LastIndex(reply, " (in reply to "); i >= 0 {
			if command, ok := strings.CutSuffix(reply[i+len(" (in reply to "):], ")"); ok {
				if s := smtpStage(strings.TrimSuffix(command, " command")); s != bounce.NoStage {
					d.Stage = s
					reply = reply[:i]
				}
			}
		}
		d.Local = false
		d.Code = bounce.ReplyCode(reply)
		d.Response = bounce.JoinReply(reply)
		return
	case d.RelayIP != "" || d.Agent == "lmtp" || d.Agent == "smtp" || d.Agent == "" && strings.Contains(f.relay, "["):
		if code := bounce.ReplyCode(text); code != 0 {
			d.Code = code
			d.Local = false
			d.Response = bounce.JoinReply(text)
			if f.status == "sent" {
				d.Stage = bounce.NoStage
			}
			return
		}
	}
	if f.status != "sent" {
		d.Stage = localStage(text)
	}
}

// saidAfter returns the index after "host name[address]" or "server name[address]", or 0.
func saidAfter(text string) int {
	i := strings.IndexByte(text, '[')
	if i < 0 {
		return 0
	}
	j := strings.IndexByte(text[i:], ']')
	if j < 0 {
		return 0
	}
	i += j + 1
	if i < len(text) && text[i] == ':' { // a port
		i++
		for i < len(text) && isDigit(text[i]) {
			i++
		}
	}
	return i
}

// smtpStage returns the stage of an SMTP command in the spelling of Postfix and Exim.
func smtpStage(command string) bounce.Stage {
	command = strings.TrimPrefix(strings.TrimPrefix(command, "pipelined "), "pipelining ")
	word, rest, _ := strings.Cut(command, " ")
	switch strings.ToUpper(strings.TrimSuffix(word, ":")) {
	case "EHLO", "HELO", "LHLO", "XCLIENT", "XFORWARD":
		return bounce.StageHelo
	case "STARTTLS", "TLS":
		return bounce.StageTLS
	case "AUTH":
		return bounce.StageAuth
	case "MAIL":
		return bounce.StageMail
	case "RCPT":
		return bounce.StageRcpt
	case "DATA", "BDAT":
		return bounce.StageData
	case "END":
		const ofData = "of data"
		if len(rest) >= len(ofData) && equalFold(rest[:len(ofData)], ofData) {
			return bounce.StageEOM
		}
	case "DATA/BDAT":
		return bounce.StageData
	case "INITIAL", "CONNECT":
		return bounce.StageConnect
	}
	return bounce.NoStage
}

// localStage returns the stage that Postfix's own error message names.
func localStage(text string) bounce.Stage {
	switch {
	case strings.HasPrefix(text, "connect to "):
		return bounce.StageConnect
	case strings.HasPrefix(text, "SMTPUTF8 is required"), strings.HasPrefix(text, "message requires SMTPUTF8"): // since Postfix 3.11
		return bounce.StageHelo
	case strings.HasPrefix(text, "message size "):
		return bounce.StageMail
	case strings.HasPrefix(text, "SASL authentication failed"):
		return bounce.StageAuth
	case strings.HasPrefix(text, "TLS is required"), strings.HasPrefix(text, "Server certificate "),
		strings.HasPrefix(text, "Cannot start TLS"), strings.HasPrefix(text, "TLSA lookup error"),
		strings.Contains(text, "TLS handshake"), strings.HasPrefix(text, "non DNSSEC destination"),
		strings.HasPrefix(text, "Sender requested REQUIRETLS"):
		return bounce.StageTLS
	case strings.HasPrefix(text, "lost connection with "), strings.HasPrefix(text, "conversation with "):
		i := strings.Index(text, " while ")
		if i < 0 {
			return bounce.NoStage
		}
		what := text[i+len(" while "):]
		switch {
		case strings.HasPrefix(what, "receiving the initial server greeting"):
			return bounce.StageConnect
		case strings.HasPrefix(what, "performing the EHLO handshake"), strings.HasPrefix(what, "performing the HELO handshake"),
			strings.HasPrefix(what, "performing the LHLO handshake"):
			return bounce.StageHelo
		case strings.HasPrefix(what, "sending message body"):
			return bounce.StageEOM
		case strings.HasPrefix(what, "sending "):
			return smtpStage(what[len("sending "):])
		}
	}
	return bounce.NoStage
}
