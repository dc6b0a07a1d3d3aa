package parser

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
)

const pfHeader = "Nov 23 09:47:06 mx1 postfix/"

var pfDelivery = pfHeader + "smtp[1]: 4028B460: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"

// TestJoin follows messages through Postfix's queue.
func TestJoin(t *testing.T) {
	first := []string{
		pfHeader + "submission/smtpd[1]: 4028B460: client=out.x.example[192.0.2.7], sasl_method=PLAIN, sasl_username=u@x.example",
		pfHeader + "cleanup[1]: 4028B460: message-id=<m1@x.example>",
		pfHeader + "qmgr[1]: 4028B460: from=<s@X.Example>, size=385, nrcpt=1 (queue active)",
	}
	whole := bounce.Delivery{
		MessageID: "m1@x.example", Sender: "s@x.example", SenderDomain: "x.example", SenderKnown: true,
		Size: 385, ClientHost: "out.x.example", ClientIP: "192.0.2.7", SASLUser: "u@x.example",
	}
	second := bounce.Delivery{MessageID: "m2@x.example", Sender: "z@y.example", SenderDomain: "y.example", SenderKnown: true, Size: 7}
	tests := []struct {
		name  string
		lines []string
		want  bounce.Delivery
	}{
		{"everything", first, whole},
		{"queued before the log began", nil, bounce.Delivery{}},
		{"activated again", append(slices.Clone(first), first[2]), whole},
		{"removed", append(slices.Clone(first), pfHeader+"qmgr[1]: 4028B460: removed"), bounce.Delivery{}},
		{"cancelled", append(slices.Clone(first), pfHeader+"cleanup[1]: 4028B460: removed (canceled)"), bounce.Delivery{}},
		{"discarded", append(slices.Clone(first), pfHeader+"cleanup[1]: 4028B460: removed (discarded)"), bounce.Delivery{}},
		{"removed by postsuper", append(slices.Clone(first), pfHeader+"postsuper[1]: 4028B460: removed"), bounce.Delivery{}},
		{"refused after its data", append(slices.Clone(first), pfHeader+"cleanup[1]: 4028B460: milter-reject: END-OF-MESSAGE from x[192.0.2.1]: 5.7.1 x; from=<a@b> to=<c@d>"), bounce.Delivery{}},
		{"the id is used again: smtpd", append(slices.Clone(first), pfHeader+"smtpd[1]: 4028B460: client=unknown[192.0.2.8]"), bounce.Delivery{ClientIP: "192.0.2.8"}},
		{"the id is used again: pickup", append(slices.Clone(first), pfHeader+"pickup[1]: 4028B460: uid=0 from=<root>"), bounce.Delivery{}},
		{"the id is used again: cleanup", append(slices.Clone(first), pfHeader+"cleanup[1]: 4028B460: message-id=<m2@x.example>"), bounce.Delivery{MessageID: "m2@x.example"}},
		{
			"the id is used again: cleanup and qmgr",
			append(slices.Clone(first), pfHeader+"cleanup[1]: 4028B460: message-id=<m2@x.example>", pfHeader+"qmgr[1]: 4028B460: from=<z@y.example>, size=7, nrcpt=1 (queue active)"),
			second,
		},
		{
			"the id is used again: another sender", append(slices.Clone(first), pfHeader+"qmgr[1]: 4028B460: from=<z@y.example>, size=7, nrcpt=1 (queue active)"),
			bounce.Delivery{Sender: "z@y.example", SenderDomain: "y.example", SenderKnown: true, Size: 7},
		},
		{
			"the id is used again: another size", append(slices.Clone(first), pfHeader+"qmgr[1]: 4028B460: from=<s@X.Example>, size=386, nrcpt=1 (queue active)"),
			bounce.Delivery{Sender: "s@x.example", SenderDomain: "x.example", SenderKnown: true, Size: 386},
		},
		{
			"a message that came long after the one known", []string{
				strings.Replace(first[1], "Nov 23", "Nov 20", 1), strings.Replace(first[2], "Nov 23", "Nov 20", 1),
			}, bounce.Delivery{},
		},
		{"a null sender", []string{pfHeader + "qmgr[1]: 4028B460: from=<>, size=9, nrcpt=1 (queue active)"}, bounce.Delivery{SenderKnown: true, Size: 9}},
		{
			"smtpd under a name of its own", []string{
				strings.Replace(first[0], "postfix/submission", "postfix-submission", 1), first[1], first[2],
			}, whole,
		},
		{"another host", []string{strings.ReplaceAll(first[2], " mx1 ", " mx2 ")}, bounce.Delivery{}},
		{"an empty message id", []string{pfHeader + "cleanup[1]: 4028B460: message-id=<>"}, bounce.Delivery{}},
		{"a message id without brackets", []string{pfHeader + "cleanup[1]: 4028B460: message-id=m1"}, bounce.Delivery{MessageID: "m1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, r := parseLines(t, append(slices.Clone(tt.lines), pfDelivery)...)
			d := r.Deliveries[0]
			got := bounce.Delivery{
				MessageID: d.MessageID, Sender: d.Sender, SenderDomain: d.SenderDomain, SenderKnown: d.SenderKnown,
				Size: d.Size, ClientHost: d.ClientHost, ClientIP: d.ClientIP, SASLUser: d.SASLUser,
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if d.Instance != "postfix" {
				t.Errorf("instance %q", d.Instance)
			}
		})
	}
}

// TestInstances keeps two instances with the same queue id apart, and finds the queue of a
// transport that logs under another name.
func TestInstances(t *testing.T) {
	in := strings.ReplaceAll(pfHeader, "postfix/", "postfix-in/")
	out := strings.ReplaceAll(pfHeader, "postfix/", "postfix-out/")
	_, r := parseLines(
		t,
		in+"qmgr[1]: 4028B460: from=<in@x>, size=1, nrcpt=1 (queue active)",
		out+"smtpd[1]: 4028B460: client=x[192.0.2.1]",
		out+"qmgr[1]: 4028B460: from=<out@x>, size=2, nrcpt=1 (queue active)",
		strings.ReplaceAll(pfDelivery, "postfix/", "postfix-in/"),
	)
	if d := r.Deliveries[0]; d.Sender != "in@x" || d.Instance != "postfix-in" {
		t.Errorf("sender %q of instance %q, want in@x of postfix-in", d.Sender, d.Instance)
	}
	_, r = parseLines(
		t,
		out+"qmgr[1]: 4028B460: from=<out@x>, size=2, nrcpt=1 (queue active)",
		strings.ReplaceAll(pfDelivery, "postfix/", "postfix-slow/"),
	)
	if d := r.Deliveries[0]; d.Sender != "out@x" || d.Instance != "postfix-out" {
		t.Errorf("sender %q of instance %q, want out@x of postfix-out", d.Sender, d.Instance)
	}
}

// TestChanges passes the queue to a store, and from there to a new process.
func TestChanges(t *testing.T) {
	q := NewQueue(0)
	p := New(q, Options{Location: time.UTC, Year: 2026})
	var r Result
	feed := func(lines ...string) {
		for _, l := range lines {
			p.Parse([]byte(pfHeader+l), 0, &r)
		}
	}
	key := func(id string) Key { return Key{"mx1", bounce.Postfix, "postfix", id} }
	message := func(id, sender string, size int64) bounce.Message {
		return bounce.Message{
			Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", QueueID: id,
			Time: time.Date(2026, 11, 23, 9, 47, 6, 0, time.UTC), Sender: sender, SenderKnown: true, Size: size,
		}
	}
	check := func(step string, opened []bounce.Message, closed []Key) {
		t.Helper()
		o, c := q.Changes(nil, nil)
		if diff := cmp.Diff(opened, o); diff != "" {
			t.Errorf("%s: opened (-want +got)\n%s", step, diff)
		}
		if diff := cmp.Diff(closed, c); diff != "" {
			t.Errorf("%s: closed (-want +got)\n%s", step, diff)
		}
	}
	check("nothing", nil, nil)
	feed("qmgr[1]: AAAAA1: from=<a@x>, size=1, nrcpt=1 (queue active)", "qmgr[1]: AAAAA1: removed")
	check("came and went", nil, nil)
	feed("qmgr[1]: AAAAA2: from=<b@x>, size=2, nrcpt=1 (queue active)")
	check("opened", []bounce.Message{message("AAAAA2", "b@x", 2)}, nil)
	feed("qmgr[1]: AAAAA2: from=<b@x>, size=2, nrcpt=1 (queue active)")
	check("said again", nil, nil)
	feed("qmgr[1]: AAAAA2: from=<c@x>, size=3, nrcpt=1 (queue active)")
	check("changed", []bounce.Message{message("AAAAA2", "c@x", 3)}, nil)
	feed("qmgr[1]: AAAAA2: removed", "qmgr[1]: AAAAA2: from=<d@x>, size=4, nrcpt=1 (queue active)")
	check("closed and opened again", []bounce.Message{message("AAAAA2", "d@x", 4)}, nil)
	feed("qmgr[1]: AAAAA2: removed")
	check("closed", nil, []Key{key("AAAAA2")})
	check("and that was all", nil, nil)

	// A new process.
	q = NewQueue(0)
	m := message("4028B460", "s@x.example", 9)
	m.MessageID, m.ClientHost, m.ClientIP, m.SASLUser = "m@x", "h", "192.0.2.1", "u"
	q.Restore(message("BBBBB2", "", 0))
	q.Restore(m)
	if oldest := q.at(q.oldest); !oldest.is(fieldID, []byte("4028B460")) || q.at(oldest.newer).older != oldest.self || q.newest == q.oldest {
		t.Errorf("the message restored last is not the oldest")
	}
	check("restored", nil, nil)
	p = New(q, Options{Location: time.UTC, Year: 2026})
	p.Parse([]byte(pfDelivery), 0, &r)
	if d := r.Deliveries[0]; d.Sender != "s@x.example" || d.MessageID != "m@x" || d.SASLUser != "u" || d.Size != 9 {
		t.Errorf("after a restart: %+v", d)
	}
	feed("qmgr[1]: 4028B460: removed")
	check("closed after a restart", nil, []Key{key("4028B460")})
}

// TestQueueIsBounded opens very many messages.
func TestQueueIsBounded(t *testing.T) {
	const bound = 1 << 20
	q := NewQueue(bound)
	p := New(q, Options{Location: time.UTC, Year: 2026})
	var r Result
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 100_000
	for i := range n {
		id := fmt.Sprintf("%X", 0x10000000+i)
		p.Parse(fmt.Appendf(nil, "%ssmtpd[1]: %s: client=h%d.x.example[192.0.2.%d]", pfHeader, id, i, i%256), 0, &r)
		p.Parse(fmt.Appendf(nil, "%scleanup[1]: %s: message-id=<%s.%d@x.example>", pfHeader, id, strings.Repeat("x", i%300), i), 0, &r)
		p.Parse(fmt.Appendf(nil, "%sqmgr[1]: %s: from=<s%d@x.example>, size=%d, nrcpt=1 (queue active)", pfHeader, id, i, i), 0, &r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*bound {
		t.Errorf("the heap grew by %d bytes, the bound is %d", grown, bound)
	}
	if q.used > bound {
		t.Errorf("%d bytes used, the bound is %d", q.used, bound)
	}
	// The newest messages are present, the oldest are not.
	delivery := func(i int) bounce.Delivery {
		p.Parse(fmt.Appendf(nil, "%ssmtp[1]: %X: to=<a@b>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)", pfHeader, 0x10000000+i), 0, &r)
		return r.Deliveries[0]
	}
	if d := delivery(0); d.SenderKnown {
		t.Errorf("the first message is still known: %+v", d)
	}
	if d := delivery(n - 1); d.Sender != fmt.Sprintf("s%d@x.example", n-1) {
		t.Errorf("the last message is not known: %+v", d)
	}
	if live := q.live; live < 500 || live > bound/queuedSize {
		t.Errorf("%d messages known", live)
	}
	opened, closed := q.Changes(nil, nil)
	if len(opened) != q.live || len(closed) != 0 {
		t.Errorf("%d opened, %d closed; want %d, 0", len(opened), len(closed), q.live)
	}
	// A message that is dropped to save memory is reported as closed.
	for i := range 20_000 {
		p.Parse(fmt.Appendf(nil, "%sqmgr[1]: %X: from=<t@x>, size=1, nrcpt=1 (queue active)", pfHeader, 0x20000000+i), 0, &r)
	}
	if _, closed = q.Changes(nil, nil); len(closed) != len(opened) {
		t.Errorf("%d closed, want %d", len(closed), len(opened))
	}
}

// TestQueueFields checks that absurd fields are not kept and do no harm.
func TestQueueFields(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	_, r := parseLines(
		t,
		pfHeader+"smtpd[1]: 4028B460: client="+long+"[192.0.2.1], sasl_username="+long,
		pfHeader+"cleanup[1]: 4028B460: message-id=<"+long+">",
		pfHeader+"qmgr[1]: 4028B460: from=<"+long+">, size=99999999999999999999, nrcpt=1 (queue active)",
		pfDelivery,
	)
	if d := r.Deliveries[0]; d.SenderKnown || d.Sender != "" || d.MessageID != "" || d.ClientIP != "192.0.2.1" {
		t.Errorf("got %+v", d)
	}
}
