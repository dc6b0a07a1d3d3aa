package parser

import (
	"fmt"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// TestHop holds that mail which one host passes to another, or to another instance, of the same
// log is handed off, and that only the log of the next one proves it.
func TestHop(t *testing.T) {
	const (
		first = "Nov 24 09:00:00 sub1 postfix/submission/smtpd[1]: C7EE1C2A90C: client=pc.example[192.0.2.7], sasl_method=PLAIN, sasl_username=lise@sender.test\n" +
			"Nov 24 09:00:00 sub1 postfix/cleanup[2]: C7EE1C2A90C: message-id=<one@sender.test>\n" +
			"Nov 24 09:00:00 sub1 postfix/qmgr[3]: C7EE1C2A90C: from=<lise@sender.test>, size=100, nrcpt=1 (queue active)\n"
		next = "Nov 24 09:00:01 out2 postfix/smtpd[4]: AA2C1523E00: client=sub1.sender.test[10.9.0.5]\n" +
			"Nov 24 09:00:01 out2 postfix/cleanup[5]: AA2C1523E00: message-id=<one@sender.test>\n" +
			"Nov 24 09:00:01 out2 postfix/qmgr[6]: AA2C1523E00: from=<SRS0=x=y=sender.test=lise@out.test>, size=300, nrcpt=1 (queue active)\n"
		toNext  = "Nov 24 09:00:01 sub1 postfix/smtp[7]: C7EE1C2A90C: to=<anna@plain.test>, relay=out2.sender.test[10.9.0.12]:25, delay=1, delays=0.1/0/0.4/0.2, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as AA2C1523E00)\n"
		toOther = "Nov 24 09:00:03 out2 postfix/smtp[8]: AA2C1523E00: to=<anna@plain.test>, relay=mx.plain.test[192.0.2.1]:25, delay=1, delays=0.1/0/0.4/0.2, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as %s)\n"
		other   = "Nov 24 08:59:00 out2 postfix/cleanup[5]: 0E2C1523E01: message-id=<zero@sender.test>\n"
		exim    = "Nov 24 09:00:01 out2 exim[4]: 1wNabc-000000001Gs-2Abc <= lise@sender.test H=sub1.sender.test [10.9.0.5] P=esmtp S=300 id=one@sender.test\n"
		toExim  = "Nov 24 09:00:01 sub1 postfix/smtp[7]: C7EE1C2A90C: to=<anna@plain.test>, relay=out2.sender.test[10.9.0.12]:25, delay=1, delays=0.1/0/0.4/0.2, dsn=2.0.0, status=sent (250 OK id=1wNabc-000000001Gs-2Abc)\n"
	)
	foreign := fmt.Sprintf(toOther, "9F3A1")
	for _, c := range []struct {
		name, log string
		want      string // "outcome login" of each delivery
	}{
		{"two hosts", first + next + toNext + foreign, "handoff lise@sender.test, delivered lise@sender.test"},
		{"the next host's lines arrive later", other + first + toNext + next + foreign, "delivered lise@sender.test, delivered lise@sender.test"},
		{
			"later, of a known hop",
			other + first + toNext + next + strings.NewReplacer("C7EE1C2A90C", "4A5B6C7D8E9", "AA2C1523E00", "BB3D1523E00", "<one@", "<two@").Replace(first+toNext),
			"delivered lise@sender.test, handoff lise@sender.test",
		},
		{"Postfix to Exim", first + exim + toExim, "handoff lise@sender.test"},
		{"two instances", first + strings.ReplaceAll(next, "out2 postfix/", "sub1 postfix-out/") + toNext, "handoff lise@sender.test"},
		{"the next host does not log here", first + toNext, "delivered lise@sender.test"},
		{"another message has the id", first + strings.ReplaceAll(next, "<one@", "<two@") + toNext, "delivered lise@sender.test"},
		{"a server that claims an id of the first host", first + next + toNext + fmt.Sprintf(toOther, "C7EE1C2A90C"), "handoff lise@sender.test, delivered lise@sender.test"},
		{
			"a server that claims an id of the first host, later",
			first + strings.ReplaceAll(next, "09:00:01", "09:00:09") + strings.ReplaceAll(fmt.Sprintf(toOther, "C7EE1C2A90C"), "09:00:03", "09:00:12"),
			"delivered ",
		},
		{"its own id", first + strings.ReplaceAll(toNext, "queued as AA2C1523E00", "queued as C7EE1C2A90C"), "delivered lise@sender.test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := New(nil, Options{Year: 2026})
			var r Result
			var got []string
			for line := range strings.Lines(c.log) {
				if p.Parse([]byte(strings.TrimSuffix(line, "\n")), 0, &r) != Attempt {
					continue
				}
				for _, d := range r.Deliveries {
					got = append(got, fmt.Sprintf("%v %s", d.Outcome, d.SASLUser))
				}
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

// TestHopOneLog holds that the order in which two logs are read does not decide what is counted:
// only the same log proves a hand-off.
func TestHopOneLog(t *testing.T) {
	q := NewQueue(0)
	one, other := New(q, Options{Year: 2026}), New(q, Options{Year: 2026})
	var r Result
	for _, line := range []string{
		"Nov 24 09:00:00 sub1 postfix/cleanup[2]: C7EE1C2A90C: message-id=<one@sender.test>",
		"Nov 24 09:00:00 sub1 postfix/qmgr[3]: C7EE1C2A90C: from=<lise@sender.test>, size=100, nrcpt=1 (queue active)",
	} {
		one.Parse([]byte(line), 0, &r)
	}
	other.Parse([]byte("Nov 24 09:00:01 out2 postfix/cleanup[5]: AA2C1523E00: message-id=<one@sender.test>"), 0, &r)
	one.Parse([]byte("Nov 24 09:00:01 sub1 postfix/smtp[7]: C7EE1C2A90C: to=<anna@plain.test>, relay=out2.sender.test[10.9.0.12]:25, delay=1, delays=0.1/0/0.4/0.2, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as AA2C1523E00)"), 0, &r)
	if got := r.Deliveries[0].Outcome; got != bounce.Delivered {
		t.Errorf("outcome %v, want delivered", got)
	}
}

// TestHopQuiet holds that two hosts in a log are noticed, and known hops believed, if no two messages are in the
// queue at the same time.
func TestHopQuiet(t *testing.T) {
	const log = "Nov 24 09:00:00 %[1]s postfix/cleanup[2]: %[2]s: message-id=<%[3]s@sender.test>\n" +
		"Nov 24 09:00:00 %[1]s postfix/qmgr[3]: %[2]s: from=<lise@sender.test>, size=100, nrcpt=1 (queue active)\n" +
		"Nov 24 09:00:01 %[1]s postfix/smtp[7]: %[2]s: to=<anna@plain.test>, relay=%[4]s:25, delay=1, delays=0.1/0/0.4/0.2, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as %[5]s)\n" +
		"Nov 24 09:00:01 %[1]s postfix/qmgr[3]: %[2]s: removed\n"
	message := func(host, id, name, relay, next string) string { return fmt.Sprintf(log, host, id, name, relay, next) }
	for _, c := range []struct {
		name, log string
		known     []string
		want      string
	}{
		{"a known hop", message("sub1", "C7EE1C2A90C", "one", "out2[10.9.0.12]", "AA2C1523E00"), []string{"10.9.0.12"}, "handoff"},
		{
			"one host after the other", message("out2", "AA2C1523E01", "zero", "mx.plain.test[192.0.2.1]", "9F3A1") +
				message("sub1", "C7EE1C2A90C", "one", "out2[10.9.0.12]", "AA2C1523E00") + message("out2", "AA2C1523E00", "one", "mx.plain.test[192.0.2.1]", "9F3A1") +
				message("sub1", "C7EE1C2A90D", "two", "out2[10.9.0.12]", "AA2C1523E02"), nil,
			"delivered delivered delivered handoff",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := NewQueue(0)
			q.KnowHops(c.known)
			p := New(q, Options{Year: 2026})
			var r Result
			var got []string
			for line := range strings.Lines(c.log) {
				if p.Parse([]byte(strings.TrimSuffix(line, "\n")), 0, &r) == Attempt {
					got = append(got, r.Deliveries[0].Outcome.String())
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}
