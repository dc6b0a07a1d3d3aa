package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Traffic generates delivery attempts as a busy mail server would log them: few recipients get most
// of the mail, some attempts fail, and soft failures are retried until they are delivered or given
// up. The same seed gives the same traffic.
type Traffic struct {
	Source string // of all attempts; "log" if empty
	Hosts  int    // logging hosts; 0 means one
	// PerSecond is the number of messages that arrive per second of logged time; 0 means 5.
	PerSecond float64

	r       *rand.Rand
	now     time.Time
	offset  int64
	n       int
	retries []retry // sorted by time
}

type retry struct {
	at   time.Time
	try  int
	end  int // the try after which fate applies
	fate int
	d    bounce.Delivery
	born time.Time
}

// NewTraffic returns Traffic that starts at 2026-03-02 00:00 UTC.
func NewTraffic(seed uint64) *Traffic {
	return &Traffic{r: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
}

const (
	fateDelivered = iota
	fateHard
	fateGivenUp // as Exim logs it: by an attempt
	fateExpires // as Postfix logs it: by a line for the message
)

// Batch returns the next n attempts, or a few more, as a batch with its position.
func (t *Traffic) Batch(n int) *store.Batch {
	b := new(store.Batch)
	for len(b.Attempts) < n {
		t.step(b)
	}
	b.Sources = []store.Source{{ID: t.source(), Path: "/var/log/mail.log", Offset: t.offset, Last: t.now, Lines: int64(t.n), Attempts: int64(t.n)}}
	return b
}

func (t *Traffic) source() string {
	if t.Source == "" {
		return "log"
	}
	return t.Source
}

// zipf returns small numbers much more often than large ones.
func (t *Traffic) zipf(n int) int {
	return int(math.Pow(float64(n), t.r.Float64())) - 1
}

func (t *Traffic) step(b *store.Batch) {
	rate := t.PerSecond
	if rate == 0 {
		rate = 5
	}
	t.now = t.now.Add(time.Duration(t.r.ExpFloat64() / rate * float64(time.Second)))
	for len(t.retries) > 0 && !t.retries[0].at.After(t.now) {
		x := t.retries[0]
		t.retries = t.retries[1:]
		t.retry(b, x)
	}
	id := fmt.Sprintf("%05X%06X", t.r.IntN(1<<20), 0x220000+t.r.IntN(1<<10))
	if t.r.IntN(20) == 0 {
		id = fmt.Sprintf("4Z%06dz%05d", t.r.IntN(1e6), t.r.IntN(1e5)) // long
	}
	base := bounce.Delivery{
		Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp",
		QueueID:   id,
		MessageID: fmt.Sprintf("%016x%016x@mail.example", t.r.Uint64(), t.r.Uint64()),
	}
	base.TLS = [...]string{"", "", "may:encrypt", "dane", "encrypt!"}[t.n%5]
	if t.Hosts > 1 {
		base.Host = fmt.Sprintf("mx%d", 1+t.r.IntN(t.Hosts))
	}
	switch t.n % 3 { // the sender or client that handed it in
	case 0:
		base.ClientIP, base.ClientHost = fmt.Sprintf("198.51.100.%d", t.n%50), "client.example"
		base.SASLUser = fmt.Sprintf("user%d", t.n%7)
	case 1:
		base.ClientIP = fmt.Sprintf("2001:db8::%x", t.n%50)
	}
	switch t.r.IntN(10) {
	case 0: // a notification of our own
		base.SenderKnown = true
	case 1: // not known
	default:
		base.SenderDomain = fmt.Sprintf("sender%d.example", t.zipf(200))
		base.Sender = fmt.Sprintf("user%d@%s", t.zipf(100), base.SenderDomain)
		base.SenderKnown = true
	}
	for range 1 + t.zipf(6) {
		d := base
		dom := t.zipf(20000)
		d.RecipientDomain = fmt.Sprintf("domain%d.example", dom)
		d.Recipient = fmt.Sprintf("rcpt.%d@%s", t.zipf(1+200000/(dom+1)), d.RecipientDomain)
		d.RelayHost = fmt.Sprintf("mx%d.domain%d.example", t.zipf(3), dom)
		d.RelayIP = fmt.Sprintf("192.0.%d.%d", dom%250, t.zipf(4))
		d.RelayPort = 25
		if t.r.IntN(40) == 0 {
			d.OriginalRecipient = "alias@" + d.RecipientDomain
		}
		switch x := t.r.IntN(1000); {
		case x < 40:
			t.emit(b, d, fateHard, t.now)
		case x < 90:
			fate := fateDelivered
			switch t.r.IntN(10) {
			case 0:
				fate = fateHard
			case 1:
				fate = fateGivenUp
			case 2:
				fate = fateExpires
			}
			x := retry{at: t.now, end: 1 + t.r.IntN(4), fate: fate, d: d, born: t.now}
			t.retry(b, x)
		case x < 100:
			d.Outcome, d.Status, d.Response, d.RelayHost, d.RelayIP, d.RelayPort = bounce.Handoff, "sent", "250 2.0.0 from MTA", "127.0.0.1", "127.0.0.1", 10024
			if t.n%2 == 0 {
				d.Response, d.Disposal = "250 2.7.0 Ok, discarded, id=11-02 - spam", bounce.Discarded
			}
			t.add(b, d, bounce.Verdict{}, t.now)
		case x < 105:
			d.Outcome, d.Status, d.Response = bounce.Probe, "deliverable", "250 2.1.5 Ok"
			t.add(b, d, bounce.Verdict{}, t.now)
		default:
			t.emit(b, d, fateDelivered, t.now)
		}
	}
}

func (t *Traffic) retry(b *store.Batch, x retry) {
	if x.try == x.end {
		if x.fate == fateExpires {
			t.offset += 100 + int64(t.r.IntN(200))
			if t.n%2 == 0 { // the message ends in another way
				b.Ends = append(b.Ends, bounce.End{
					Source: t.source(), Offset: t.offset, Time: t.now.Truncate(time.Second), Host: x.d.Host, MTA: x.d.MTA, Instance: x.d.Instance,
					QueueID: x.d.QueueID, Event: [...]bounce.EndEvent{bounce.MessageRemoved, bounce.MessageDiscarded, bounce.MessageCompleted, bounce.MessageFrozen}[t.n/2%4],
				})
				t.offset += 100
				return
			}
			b.Expiries = append(b.Expiries, bounce.Expiry{
				Source: t.source(), Offset: t.offset, Time: t.now.Truncate(time.Second), Host: x.d.Host, MTA: x.d.MTA, Instance: x.d.Instance,
				Agent: "qmgr", QueueID: x.d.QueueID, Status: "expired",
			})
			t.offset += 100
			return
		}
		t.emit(b, x.d, x.fate, x.born)
		return
	}
	x.try++
	d := x.d
	d.Outcome, d.Status, d.Code, d.Enhanced, d.Stage = bounce.Soft, "deferred", 450, bounce.Enhanced(4, 2, 0), bounce.StageRcpt
	v := bounce.Verdict{Reason: bounce.Greylisted, Scope: bounce.NobodyActs, Rule: "greylisting", Confidence: bounce.NamedCause}
	d.Response = "450 4.2.0 <" + d.Recipient + ">: Recipient address rejected: Greylisted for " + fmt.Sprint(300-t.r.IntN(100)) + " seconds"
	if t.r.IntN(10) == 0 {
		d.Code, d.Enhanced, d.Stage = 554, 0, bounce.StageConnect
		d.Response = "554 mail.example ESMTP not accepting messages"
		v = bounce.Verdict{Reason: bounce.Policy, Scope: bounce.ScopeSender, Rule: "greeting", Confidence: bounce.GeneralText}
	}
	if x.try > 1 && t.n%4 == 0 { // no relay is contacted
		d.Code, d.Enhanced, d.Stage, d.Local, d.Untried = 0, 0, 0, true, true
		d.RelayHost, d.RelayIP, d.RelayPort = "", "", 0
		d.Response = "retry time not reached for any host for '" + d.RecipientDomain + "'"
		v = bounce.Verdict{Reason: bounce.Connection, Detail: "not-tried", Scope: bounce.ScopeRemote, Rule: "retry-time-not-reached", Confidence: bounce.NamedCause}
	}
	switch t.n % 8 {
	case 0:
		d.Warning = "postfix/smtp: warning: no worthy mechs found"
	case 1:
		d.Warning = fmt.Sprintf("postfix/smtp: warning: <%s>: %d", d.Recipient, t.n)
	}
	t.add(b, d, v, x.born)
	x.at = t.now.Add(time.Duration(200+t.r.IntN(400)) * time.Second)
	i := len(t.retries)
	for i > 0 && t.retries[i-1].at.After(x.at) {
		i--
	}
	t.retries = append(t.retries, retry{})
	copy(t.retries[i+1:], t.retries[i:])
	t.retries[i] = x
}

func (t *Traffic) emit(b *store.Batch, d bounce.Delivery, fate int, born time.Time) {
	var v bounce.Verdict
	switch fate {
	case fateDelivered:
		d.Outcome, d.Status, d.Code, d.Enhanced = bounce.Delivered, "sent", 250, bounce.Enhanced(2, 0, 0)
		d.Response = fmt.Sprintf("250 2.0.0 Ok: queued as %012X", t.r.Uint64()>>16)
	case fateHard:
		d.Outcome, d.Status, d.Code, d.Stage = bounce.Hard, "bounced", 550, bounce.StageRcpt
		switch t.r.IntN(3) {
		case 0:
			d.Enhanced = bounce.Enhanced(5, 1, 1)
			d.Response = "550 5.1.1 <" + d.Recipient + ">: Recipient address rejected: User unknown"
			v = bounce.Verdict{Reason: bounce.UserUnknown, Scope: bounce.ScopeRecipient, Rule: "user-unknown", Confidence: bounce.NamedCause}
			if t.n%5 == 0 {
				d.Enhanced, d.Response = 0, "550 that person is gone"
				v.Rule, v.Confidence = "guess", bounce.Guess
			}
		case 1:
			d.Enhanced = bounce.Enhanced(5, 7, 26)
			d.Response = "550 5.7.26 Unauthenticated email from " + d.SenderDomain + " is not accepted due to domain's DMARC policy. " + fmt.Sprintf("%x-%x.%d", t.r.Uint32(), t.r.Uint64(), t.r.IntN(1e9))
			v = bounce.Verdict{Reason: bounce.AuthFailure, Detail: "dmarc", Scope: bounce.ScopeSender, Rule: "gmail-dmarc", Confidence: bounce.NamedCause}
		case 2:
			d.Response = "550 Blocked - see https://blocked.example/?ip=" + d.RelayIP
			v = bounce.Verdict{Reason: bounce.Blocklist, Scope: bounce.ScopeSender, Rule: "blocked", Confidence: bounce.GeneralText}
		}
	case fateGivenUp:
		d.Outcome, d.Status, d.Response, d.Local = bounce.Hard, "failed", "retry timeout exceeded", true
		v = bounce.Verdict{Reason: bounce.Expired, Scope: bounce.ScopeRemote, Rule: "retry-timeout", Confidence: bounce.NamedCause}
	}
	t.add(b, d, v, born)
}

func (t *Traffic) add(b *store.Batch, d bounce.Delivery, v bounce.Verdict, born time.Time) {
	t.offset += 200 + int64(t.r.IntN(2000))
	t.n++
	d.Source, d.Offset = t.source(), t.offset
	// As Exim logs them with +millisec.
	d.Time = t.now.Truncate(time.Millisecond)
	d.Delay = d.Time.Sub(born.Truncate(time.Millisecond)).Seconds()
	d.Sender, d.Recipient = strings.Clone(d.Sender), strings.Clone(d.Recipient)
	b.Attempts = append(b.Attempts, store.Attempt{Delivery: d, Verdict: v})
	t.offset += 150
}
