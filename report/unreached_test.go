package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// A deferral is a message that is tried at some times, and given up at the last of them if it
// expires.
type deferral struct {
	domain string
	listed bool            // refused for a listing, else not reached
	busy   bool            // deferred by a server that is busy
	grey   bool            // greylisted
	guess  bounce.Reason   // the reason is a guess from the words of a refusal
	tries  []time.Duration // since the start of the log
	at     string          // the relay's domain; "": domain
	says   string          // the MTA's words; "": a connection timed out
	reason bounce.Reason   // of says
	detail string
	reply  bool   // says is a reply of the relay
	once   bool   // to a recipient who gets no other mail
	one    bool   // all to one recipient
	end    string // "": queued, else sent, expired, unknown or refused, at the last of the tries; or removed, an hour after it
}

// deferrals returns n messages, one every gap since at. Each is tried at once and then every step,
// until it ends after the given time.
func deferrals(domain string, n int, at, gap, step, after time.Duration, end string) (list []deferral) {
	for i := range n {
		d := deferral{domain: domain, end: end}
		for try := time.Duration(0); try <= after; try += step {
			d.tries = append(d.tries, at+time.Duration(i)*gap+try)
		}
		list = append(list, d)
	}
	return list
}

// sent returns n messages that are taken at once.
func sent(domain string, n int, at, gap time.Duration) []deferral {
	return deferrals(domain, n, at, gap, time.Hour, 0, "sent")
}

var mondays = time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)

// queueLog stores a log of messages, up to a moment of it. It returns a function that builds the
// report of a day.
func queueLog(t *testing.T, until time.Duration, mails ...[]deferral) (day func(n int) *Report) {
	t.Helper()
	days := queueDays(t, until, mails...)
	return func(n int) *Report {
		t.Helper()
		return days(n, n+1)
	}
}

// queueDays is like queueLog for the report of some days, from is the first and to that after the last.
func queueDays(t *testing.T, until time.Duration, mails ...[]deferral) (days func(from, to int) *Report) {
	t.Helper()
	build := queueBuild(t, until, mails...)
	return func(from, to int) *Report {
		t.Helper()
		return build(Options{Filter: store.Filter{Since: mondays.AddDate(0, 0, from), Until: mondays.AddDate(0, 0, to)}, Location: time.UTC})
	}
}

// queueBuild is like queueLog for any report.
func queueBuild(t *testing.T, until time.Duration, mails ...[]deferral) (build func(Options) *Report) {
	t.Helper()
	s := memory.Open()
	b := new(store.Batch)
	n := 0
	for _, list := range mails {
		for _, d := range list {
			n++
			for i, at := range d.tries {
				if at >= until {
					break
				}
				a := store.Attempt{Delivery: bounce.Delivery{
					Source: "log", Time: mondays.Add(at), Host: "mx1", MTA: bounce.Postfix, QueueID: fmt.Sprintf("%X", 0xA00000+n),
					Sender: "a@shop.example", SenderDomain: "shop.example", SenderKnown: true, Recipient: fmt.Sprintf("u%d@%s", n%40, d.domain), RecipientDomain: d.domain,
					Outcome: bounce.Soft, Status: "deferred", Local: true, Response: "connect to mx." + d.domain + "[192.0.2.1]:25: Connection timed out", Delay: -1,
				}, Verdict: bounce.Verdict{Reason: bounce.Connection, Scope: bounce.ScopeRemote, Rule: "test"}}
				if d.once {
					a.Recipient = fmt.Sprintf("once%d@%s", n, d.domain)
				}
				if d.one {
					a.Recipient = "one@" + d.domain
				}
				if d.says != "" {
					a.Response, a.Verdict.Reason, a.Verdict.Detail = d.says, d.reason, d.detail
					if judge.OwnDetail(d.detail) {
						a.Verdict.Scope = bounce.ScopeSender
					}
				}
				if d.reply {
					a.Local, a.Code, a.RelayHost, a.Verdict.Scope, a.Verdict.Confidence = false, 421, "mx."+cmp.Or(d.at, d.domain), judge.ReasonText(d.reason).Scope, bounce.NamedCause
				}
				if d.listed {
					a.Local, a.Code, a.RelayHost, a.Response = false, 451, "mx."+d.domain, "451 4.7.1 listed"
					a.Verdict = bounce.Verdict{Reason: bounce.Blocklist, Detail: "spamhaus-zen", Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause}
				}
				if d.guess != bounce.NoReason {
					a.Local, a.Code, a.RelayHost, a.Response = false, 451, "mx."+d.domain, "451 4.7.1 odd words"
					a.Verdict = bounce.Verdict{Reason: d.guess, Scope: judge.ReasonText(d.guess).Scope, Rule: "guess", Confidence: bounce.Guess}
				}
				if d.busy {
					a.Local, a.Code, a.RelayHost, a.Response = false, 451, "mx."+cmp.Or(d.at, d.domain), "451 4.7.500 Server busy. Please try again later"
					a.Verdict = bounce.Verdict{Reason: bounce.RateLimited, Scope: bounce.ScopeSender, Rule: "test", Confidence: bounce.NamedCause}
				}
				if d.grey {
					a.Local, a.Code, a.RelayHost, a.Response = false, 450, "mx."+d.domain, "450 4.2.0 Recipient address rejected: Greylisted"
					a.Verdict = bounce.Verdict{Reason: bounce.Greylisted, Scope: bounce.NobodyActs, Rule: "test", Confidence: bounce.NamedCause}
				}
				switch last := i == len(d.tries)-1; {
				case last && d.end == "sent":
					a.Outcome, a.Status, a.Local, a.Code, a.Response, a.RelayHost, a.Verdict = bounce.Delivered, "sent", false, 250, "250 ok", "mx."+cmp.Or(d.at, d.domain), bounce.Verdict{}
				case last && d.end == "unknown":
					a.Outcome, a.Status, a.Local, a.Code, a.Response, a.RelayHost = bounce.Hard, "bounced", false, 550, "550 5.1.1 unknown", "mx."+d.domain
					a.Verdict = bounce.Verdict{Reason: bounce.UserUnknown, Scope: bounce.ScopeRecipient, Rule: "test"}
				case last && d.end == "refused":
					a.Outcome, a.Status, a.Code = bounce.Hard, "bounced", 550
				case last && d.end == "expired":
					a.Outcome, a.Status, a.Verdict = bounce.Hard, "expired", bounce.Verdict{Reason: bounce.Expired, Scope: bounce.ScopeRemote, Rule: "test"}
				}
				b.Attempts = append(b.Attempts, a)
			}
			if at := d.tries[len(d.tries)-1] + time.Hour; d.end == "removed" && at < until {
				b.Ends = append(b.Ends, bounce.End{Source: "log", Offset: 1e9 + int64(n), Time: mondays.Add(at), Host: "mx1", MTA: bounce.Postfix, QueueID: fmt.Sprintf("%X", 0xA00000+n), Event: bounce.MessageRemoved, By: "postsuper"})
			}
		}
	}
	slices.SortStableFunc(b.Attempts, func(a, b store.Attempt) int { return a.Time.Compare(b.Time) })
	for i := range b.Attempts {
		b.Attempts[i].Offset = int64(i) * 100
	}
	last := b.Attempts[len(b.Attempts)-1]
	b.Sources = []store.Source{{ID: "log", Path: "/var/log/mail.log", Offset: last.Offset + 100, First: mondays, Last: mondays.Add(until), Lines: int64(n), Delivery: int64(n), Attempts: int64(n)}}
	storetest.Append(t, s, b)
	return func(o Options) *Report {
		t.Helper()
		r, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		rep, err := Build(t.Context(), r, o)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
}

const hour, oneDay = time.Hour, 24 * time.Hour

// TestDied holds that a domain that took mail and takes none for at least a day, or for longer than
// is plausible by its usual mail, is reported, however few messages go there, with one id; a domain
// that never took mail is not.
func TestDied(t *testing.T) {
	others := sent("fine.example", 14*400, 0, oneDay/400)
	dead := func(n int, at, gap time.Duration) []deferral {
		return deferrals("dead.example", n, at, gap, 3*hour, 5*oneDay, "expired")
	}
	for _, c := range []struct {
		name  string
		mails []deferral
		told  []int // days with a report
	}{
		{"two messages a day, taken for five days", append(sent("dead.example", 10, hour, oneDay/2), dead(12, 5*oneDay+2*hour, oneDay/2)...), []int{6, 7, 8, 9, 10}},
		{"two messages a day, never taken", dead(20, 2*hour, oneDay/2), nil},
		{"taken now and then", append(dead(12, 5*oneDay+2*hour, oneDay/2), sent("dead.example", 14, 5*hour, oneDay)...), nil},
		{"down for some hours", append(sent("dead.example", 20, hour, oneDay/2), deferrals("dead.example", 4, 5*oneDay+2*hour, hour, hour, 8*hour, "sent")...), nil},
		{"one message only", append(sent("dead.example", 10, hour, oneDay/2), dead(1, 5*oneDay+2*hour, oneDay/2)...), nil},
		{"thirty messages a day, none since three", append(sent("dead.example", 4*30+19, hour, oneDay/30), dead(210, 4*oneDay+15*hour, oneDay/30)...), []int{4, 5, 6, 7, 8, 9, 10}},
		{"thirty messages a day, down for two hours", append(sent("dead.example", 11*30, hour, oneDay/30), deferrals("dead.example", 4, 5*oneDay+20*hour, 15*time.Minute, 15*time.Minute, 2*hour, "sent")...), nil},
		{"thirty messages a day, down for twelve hours of the night", append(sent("dead.example", 3*30+26, hour, oneDay/30), deferrals("dead.example", 4, 3*oneDay+22*hour-10*time.Minute, 30*time.Minute, hour, 12*hour, "sent")...), []int{4}},
		{"a mail a week, none at the first failures", append(sent("dead.example", 2, hour, 4*oneDay), deferrals("dead.example", 6, 5*oneDay+hour, hour, hour, 20*hour, "sent")...), nil},
		{"a batch of forty a day before", append(sent("dead.example", 40, 4*oneDay, time.Minute), deferrals("dead.example", 6, 5*oneDay+hour, hour, hour, 20*hour, "sent")...), nil},
		{"taken until noon", append(sent("dead.example", 11, hour, oneDay/2), dead(12, 5*oneDay+13*hour+30*time.Minute, oneDay/2)...), []int{6, 7, 8, 9, 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			day := queueLog(t, 12*oneDay, others, c.mails)
			var told []int
			ids := map[string]bool{}
			for n := range 11 {
				for _, in := range append(day(n).Verdict.Act, day(n).Verdict.Ended...) {
					if strings.HasPrefix(in.Title, "dead.example does not take our mail") {
						told = append(told, n)
						ids[in.ID] = true
					}
				}
			}
			if fmt.Sprint(told) != fmt.Sprint(c.told) || len(ids) > 1 {
				t.Errorf("told on the days %v, want %v; ids %v", told, c.told, ids)
			}
		})
	}
}

// attended returns the mail to a domain that takes mail only while open. Three messages
// are sent in each busy hour, one in others. Each is tried every hour until it is taken.
func attended(domain string, until time.Duration, open, busy func(time.Time) bool) (list []deferral) {
	for h := time.Duration(0); h < until; h += hour {
		n := 1
		if busy(mondays.Add(h)) {
			n = 3
		}
		for i := range n {
			d := deferral{domain: domain, end: "sent"}
			for at := h + time.Duration(i)*15*time.Minute; ; at += hour {
				if d.tries = append(d.tries, at); open(mondays.Add(at)) || at >= until {
					break
				}
			}
			list = append(list, d)
		}
	}
	return list
}

// TestDiedOutOfHours holds that a domain that takes no mail at night or on the weekend is not
// reported for that, and that one that died in its hours is.
func TestDiedOutOfHours(t *testing.T) {
	office := func(t time.Time) bool {
		return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday && t.Hour() >= 7 && t.Hour() < 19
	}
	daily := func(t time.Time) bool { return t.Hour() >= 7 && t.Hour() < 21 }
	until := func(end time.Duration, open func(time.Time) bool) func(time.Time) bool {
		return func(t time.Time) bool { return open(t) && t.Before(mondays.Add(end)) }
	}
	always := func(time.Time) bool { return true }
	wednesday := 16 * oneDay
	for _, c := range []struct {
		name       string
		open, busy func(time.Time) bool
		read       time.Duration
		told       bool
	}{
		{"office hours, Saturday noon", office, office, 19*oneDay + 12*hour, false},
		{"office hours, Tuesday 06:00", office, office, 15*oneDay + 6*hour, false},
		{"closed at night, Tuesday 07:00", daily, daily, 15*oneDay + 7*hour, false},
		{"closed at night, Saturday 07:00", daily, daily, 19*oneDay + 7*hour, false},
		{"office hours, dead since Wednesday 09:00, Wednesday 13:00", until(wednesday+9*hour, office), office, wednesday + 13*hour, false},
		{"office hours, dead since Wednesday 09:00, Wednesday 16:00", until(wednesday+9*hour, office), office, wednesday + 16*hour, true},
		{"office hours, dead since Wednesday 09:00, Thursday 08:00", until(wednesday+9*hour, office), office, wednesday + 32*hour, true},
		{"always open, dead since Sunday 06:00, Sunday 12:00", until(20*oneDay+6*hour, always), always, 20*oneDay + 12*hour, true},
		{"always open, dead since 06:00 of the third day, 12:00", until(2*oneDay+6*hour, always), always, 2*oneDay + 12*hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			mails := attended("partner.example", c.read, c.open, c.busy)
			told := false
			day := queueLog(t, c.read, sent("fine.example", 1000*int(c.read/oneDay+1), 0, oneDay/1000), mails)
			for _, in := range day(int((c.read - 1) / oneDay)).Incidents() {
				told = told || strings.HasPrefix(in.Title, "partner.example does not take our mail") && !in.IsBackground()
			}
			if told != c.told {
				t.Errorf("told: %v, want %v", told, c.told)
			}
		})
	}
}

// TestStalled holds that a provider that defers all of its usual mail for some hours is an incident
// with an end, and that a burst that it slows down, an hour of deferrals and one that takes some mail
// are none.
func TestStalled(t *testing.T) {
	others, usual := sent("fine.example", 8*400, 0, oneDay/400), func(to time.Duration) []deferral { return sent("big.example", int(to/hour)*10, 0, hour/10) }
	busy := func(n int, at, gap, after time.Duration) []deferral {
		list := deferrals("big.example", n, at, gap, hour/2, after, "sent")
		for i := range list {
			list[i].busy = true
			list[i].tries[len(list[i].tries)-1] = at + after // all at its end
			for j := range list[i].tries {
				list[i].tries[j] = min(list[i].tries[j], at+after)
			}
		}
		return list
	}
	since := func(from, to time.Duration) []deferral {
		return sent("big.example", int((to-from)/hour)*10, from, hour/10)
	}
	at := 4*oneDay + 8*hour
	for _, c := range []struct {
		name  string
		mails []deferral
		read  time.Duration
		want  string
	}{
		{"on the third day of the log", slices.Concat(since(2*oneDay, at), busy(30, at, hour/10, 5*hour)), at + 3*hour, "defers all our mail: it says that it is busy, 30 of 30, ongoing true"},
		{"over, on the third day of the log", slices.Concat(since(2*oneDay, at), busy(50, at, hour/10, 5*hour), sent("big.example", 100, at+5*hour+time.Minute, hour/10)), at + 12*hour, "defers all our mail: it says that it is busy, 50 of 50, ongoing false"},
		{"a burst on the third day of the log", slices.Concat(since(2*oneDay, at), busy(300, at, 36*time.Second, 5*hour)), at + 3*hour, "nothing"},
		{"on the second day of the log", slices.Concat(since(3*oneDay, at), busy(30, at, hour/10, 5*hour)), at + 3*hour, "nothing"},
		{"going on", slices.Concat(usual(at), busy(30, at, hour/10, 5*hour)), at + 3*hour, "defers all our mail: it says that it is busy, 30 of 30, ongoing true"},
		{"over", slices.Concat(usual(at), busy(50, at, hour/10, 5*hour), sent("big.example", 100, at+5*hour+time.Minute, hour/10)), at + 12*hour, "defers all our mail: it says that it is busy, 50 of 50, ongoing false"},
		{"an hour", slices.Concat(usual(at), busy(10, at, hour/10, hour)), at + hour, "nothing"},
		{"some is taken", slices.Concat(usual(at+3*hour), busy(30, at, hour/10, 5*hour)), at + 3*hour, "nothing"},
		{"a burst that is slowed down", slices.Concat(usual(at), busy(300, at, 36*time.Second, 5*hour)), at + 3*hour, "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := "nothing"
			for _, in := range queueLog(t, c.read, others, c.mails)(4).Incidents() {
				if !in.IsBackground() {
					_, title, _ := strings.Cut(in.Title, " ")
					got = fmt.Sprintf("%s, %d of %d, ongoing %v", title, in.Refused, in.Tried, in.Ongoing)
				}
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestStalledLittle holds that a provider with little mail that takes none of it for hours is an incident,
// also if the mail comes in batches, or the replies speak of a rate.
func TestStalledLittle(t *testing.T) {
	others := sent("fine.example", 8*400, 0, oneDay/400)
	at := 4*oneDay + 8*hour
	var usual []deferral // twelve messages a day in two batches, at 9:00 and 16:00
	batches := func(day int) (list []deferral) {
		for _, h := range []time.Duration{9 * hour, 16 * hour} {
			list = append(list, sent("little.example", 6, time.Duration(day)*oneDay+h, time.Minute)...)
		}
		return list
	}
	for day := range 4 {
		usual = append(usual, batches(day)...)
	}
	failing := func(n int, busy bool, end time.Duration) []deferral {
		list := batches(4)[:n]
		for i := range list {
			list[i].busy, list[i].end = busy, ""
			for try := list[i].tries[0] + hour/2; try <= end; try += hour / 2 {
				list[i].tries = append(list[i].tries, try)
			}
		}
		return list
	}
	for _, c := range []struct {
		name  string
		mails []deferral
		read  time.Duration
		want  string
	}{
		{"no connection", failing(12, false, at+12*hour), at + 12*hour, "little.example does not take our mail: no connection, 12 of 12"},
		{"it says that it is busy", failing(12, true, at+12*hour), at + 12*hour, "little.example defers all our mail: it says that it is busy, 12 of 12"},
		{"for four hours", failing(6, true, at+5*hour), at + 5*hour, "nothing"},
		{"some is taken", slices.Concat(failing(12, true, at+12*hour), sent("little.example", 6, at+hour, 2*hour)), at + 12*hour, "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := "nothing"
			for _, in := range queueLog(t, c.read, others, usual, c.mails)(4).Incidents() {
				if !in.IsBackground() {
					got = fmt.Sprintf("%s, %d of %d", in.Title, in.Refused, in.Tried)
				}
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestStalledAmongReturned holds that an outage that is over has its messages in the report of many days,
// too, in which the provider returned more mail for another reason.
func TestStalledAmongReturned(t *testing.T) {
	at := 4*oneDay + 8*hour
	mails := deferrals("big.example", 50, at, hour/10, hour/2, 5*hour, "sent")
	for i := range mails {
		mails[i].says, mails[i].reason = "451 4.3.2 Temporary server error", bounce.SystemError
		last := len(mails[i].tries) - 1
		for j := range mails[i].tries {
			mails[i].tries[j] = min(mails[i].tries[j], at+5*hour-time.Minute)
		}
		mails[i].tries[last] = at + 5*hour
	}
	days := queueDays(t, at+12*hour, sent("fine.example", 5*400, 0, oneDay/400), sent("big.example", int(at/hour)*10, 0, hour/10), mails,
		sent("big.example", 100, at+5*hour+time.Minute, hour/10), deferrals("big.example", 30, hour, 3*hour, hour, 0, "unknown"))
	for _, from := range []int{0, 4} {
		var got []string
		for _, in := range days(from, 5).Incidents() {
			got = append(got, fmt.Sprintf("%s: %d of %d", in.Title, in.Refused, in.Tried))
		}
		if want := "big.example defers all our mail: server trouble: 50 of 50"; len(got) != 1 || got[0] != want {
			t.Errorf("from day %d: %q, want %q", from, got, want)
		}
	}
}

// TestTakesNothing holds that a provider that takes nothing of the usual mail is an incident, too, if its
// replies ask something of this side, with words that fit what became of the mail.
func TestTakesNothing(t *testing.T) {
	at := 4*oneDay + 8*hour
	others, usual := sent("fine.example", 8*400, 0, oneDay/400), sent("big.example", int(at/hour)*10, 0, hour/10)
	failed := func(reason bounce.Reason, end string) []deferral {
		list := deferrals("big.example", 30, at, hour/10, hour, 0, end)
		for i := range list {
			list[i].says, list[i].reason, list[i].reply = "550 5.7.1 no", reason, true
			switch end {
			case "":
				list[i].tries = append(list[i].tries, list[i].tries[0]+hour/2)
			case "sent":
				list[i].tries = append(list[i].tries, at+4*hour)
			}
		}
		return list
	}
	shop := func(list []deferral) []deferral {
		for i := range list {
			list[i].once = true
		}
		return list
	}
	policy := deferrals("big.example", 120, at, hour/10, hour, 0, "refused")
	for i := range policy {
		policy[i].says, policy[i].reason, policy[i].reply = "554 5.7.1 Message rejected due to local policy", bounce.Policy, true
	}
	shop(policy)
	for _, c := range []struct {
		name  string
		mails []deferral
		want  string
	}{
		{"all mail of a shop is refused by policy", policy, "big.example refuses all our mail: refused by policy, sender acts, 120 of 120 returned"},
		{"some of it is taken", slices.Concat(policy, shop(sent("big.example", 30, at+time.Minute, hour*2/5))), "big.example refuses shop.example: no cause named, sender acts, 120 of 120 returned"}, // package problem
		{"all mailboxes of a provider are full", slices.Concat(shop(failed(bounce.MailboxFull, "sent")), sent("big.example", 60, at+4*hour, hour/10)), "big.example defers all our mail: it says that the mailboxes are full, remote acts, 0 of 30 returned"},
		{"some of them are", slices.Concat(shop(failed(bounce.MailboxFull, "sent")), shop(sent("big.example", 30, at+time.Minute, hour/10))), "nothing"},
		{"TLS is required", failed(bounce.TLS, ""), "big.example defers all our mail: no acceptable TLS, sender acts, 0 of 30 returned"},
		{"all messages are malformed", failed(bounce.ContentRejected, "refused"), "big.example refuses all our mail: content refused, sender acts, 30 of 30 returned"},
		{"TLS was required, and all was taken later", slices.Concat(failed(bounce.TLS, "sent"), sent("big.example", 60, at+4*hour, hour/10)), "big.example defers all our mail: no acceptable TLS, sender acts, 0 of 30 returned"},
		{"some is taken", slices.Concat(failed(bounce.ContentRejected, "refused"), sent("big.example", 30, at+time.Minute, hour/10)), "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := "nothing"
			for _, in := range queueLog(t, at+12*hour, others, usual, c.mails)(4).Incidents() {
				if !in.IsBackground() {
					got = fmt.Sprintf("%s, %s acts, %d of %d returned", in.Title, in.Scope, in.Lost, in.Refused)
				}
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestTakesNothingUntilMorning holds that the end of such an incident is told, however few messages were
// refused on its last day.
func TestTakesNothingUntilMorning(t *testing.T) {
	at, days := 4*oneDay+8*hour, 6*oneDay+7*hour
	refused := deferrals("big.example", 32, at, hour/2, hour, 0, "refused") // until midnight
	late := deferrals("big.example", 5, 5*oneDay+hour, hour, hour, 0, "refused")
	for _, list := range [][]deferral{refused, late} {
		for i := range list {
			list[i].says, list[i].reason, list[i].reply, list[i].once = "554 5.7.1 Message rejected due to local policy", bounce.Policy, true, true
		}
	}
	day := queueLog(t, days, sent("fine.example", 8*400, 0, oneDay/400), sent("big.example", int(at/hour)*2, 0, hour/2), refused, late, sent("big.example", 40, 5*oneDay+9*hour, hour/2))
	for n, want := range map[int]string{
		4: "big.example refuses all our mail: refused by policy, 32 from 05-08 08:00, going on true",
		5: "big.example refuses all our mail: refused by policy, 5 from 05-08 08:00, going on false to 05-09 09:00",
		6: "",
	} {
		got := ""
		for _, in := range day(n).Incidents() {
			if in.IsBackground() {
				continue
			}
			got += fmt.Sprintf("%s, %d from %s, going on %v", in.Title, in.Refused, in.Since.Format("01-02 15:04"), in.Ongoing)
			if !in.Ongoing {
				got += in.EndedAt.Format(" to 01-02 15:04")
			}
		}
		if got != want {
			t.Errorf("day %d: %q, want %q", n, got, want)
		}
	}
}

// TestTakesNothingFewEachDay holds that a provider that takes nothing is an incident until it takes mail, however
// few messages were refused on a day, but not if these are a few recipients' or too few in all.
func TestTakesNothingFewEachDay(t *testing.T) {
	refused := func(first, each int, again bool) (list []deferral) {
		for i := range 3 {
			n := each
			if i == 0 {
				n = first
			}
			part := deferrals("big.example", n, time.Duration(4+i)*oneDay+8*hour, hour/2, hour, 0, "refused")
			for k := range part {
				part[k].says, part[k].reason, part[k].reply, part[k].once, part[k].one = "554 5.7.1 Message rejected due to local policy", bounce.Policy, true, !again, again
			}
			list = append(list, part...)
		}
		return list
	}
	for _, c := range []struct {
		name  string
		mails []deferral
		want  map[int]string
	}{
		{"fewer on the following days", refused(24, 6, false), map[int]string{4: "24 messages since 05-08 08, going on true", 5: "6 messages since 05-08 08, going on true", 6: "6 messages since 05-08 08, going on true"}},
		{"few each day", refused(12, 12, false), map[int]string{4: "", 5: "12 messages since 05-08 08, going on true", 6: "12 messages since 05-08 08, going on true"}},
		{"of one recipient", refused(12, 12, true), map[int]string{4: "", 5: "", 6: ""}},
		{"too few", refused(6, 6, false), map[int]string{4: "", 5: "", 6: ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n, want := range c.want {
				day := queueLog(t, time.Duration(n+1)*oneDay+7*hour, sent("fine.example", 9*400, 0, oneDay/400), sent("big.example", 4*12+4, 0, 2*hour), c.mails)
				got := ""
				for _, in := range day(n).Incidents() {
					if !in.IsBackground() {
						got += fmt.Sprintf("%d messages since %s, going on %v", in.Refused, in.Since.Format("01-02 15"), in.Ongoing)
					}
				}
				if got != want {
					t.Errorf("day %d: %q, want %q", n, got, want)
				}
			}
		})
	}
}

// TestGreylistingWithoutEnd holds that a domain that took mail and greylists every attempt since, for
// longer than greylisting takes, is an incident with an end. Usual greylisting is none, however many
// messages, nor is mail that is tried once.
func TestGreylistingWithoutEnd(t *testing.T) {
	others, usual := sent("fine.example", 8*400, 0, oneDay/400), func(to time.Duration) []deferral { return sent("grey.example", int(to/hour), 10*time.Minute, hour) }
	grey := func(n int, at, gap, again, after time.Duration, end string) []deferral {
		list := deferrals("grey.example", n, at, gap, again, after, end)
		for i := range list {
			list[i].grey = true
		}
		return list
	}
	until := func(list []deferral, end time.Duration) []deferral { // all attempts fail until then
		for i := range list {
			tries := list[i].tries
			for len(tries) > 1 && tries[len(tries)-2] >= end {
				tries = tries[:len(tries)-1]
			}
			tries[len(tries)-1] = end
			list[i].tries = tries
		}
		return list
	}
	at := 4*oneDay + 8*hour
	for _, c := range []struct {
		name  string
		mails []deferral
		read  time.Duration
		want  string
	}{
		{"going on, a few hours", slices.Concat(usual(at), grey(9, at, hour, hour/2, 4*oneDay, "")), at + 9*hour, "grey.example defers all our mail: greylisting that never ends, 9, ongoing true, acts remote"},
		{"over", slices.Concat(usual(at), until(grey(9, at, hour, hour/2, oneDay, "sent"), at+9*hour), sent("grey.example", 20, at+9*hour+time.Minute, hour)), at + 12*hour, "grey.example defers all our mail: greylisting that never ends, 9, ongoing false, acts remote"},
		{"many, and a short past", slices.Concat(usual(0), sent("grey.example", 3, at-3*hour, hour), grey(15, at, hour/2, hour/2, 4*oneDay, "")), at + 12*hour, "grey.example defers all our mail: greylisting that never ends, 15, ongoing true, acts remote"},
		{"few, and a short past", slices.Concat(usual(0), sent("grey.example", 3, at-3*hour, hour), grey(8, at, hour, hour/2, 4*oneDay, "")), at + 12*hour, "nothing"},
		{"two hours", slices.Concat(usual(at), grey(9, at, hour/4, hour/4, 4*oneDay, "")), at + 2*hour, "nothing"},
		{"usual greylisting", slices.Concat(usual(at), grey(200, at, hour/10, 10*time.Minute, 20*time.Minute, "sent")), at + 12*hour, "nothing"},
		{"a domain that never took mail", grey(9, at, hour, hour/2, 4*oneDay, ""), at + 12*hour, "nothing"},
		{"messages that are not tried again", slices.Concat(usual(at), grey(12, at, hour, 5*oneDay, 5*oneDay, "")), at + 12*hour, "nothing"},
		{"some is taken", slices.Concat(usual(at+12*hour), grey(9, at, hour, hour/2, 4*oneDay, "")), at + 12*hour, "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := "nothing"
			for _, in := range queueLog(t, c.read, others, c.mails)(4).Incidents() {
				if !in.IsBackground() {
					got = fmt.Sprintf("%s, %d, ongoing %v, acts %s", in.Title, in.Refused, in.Ongoing, in.Scope)
				}
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestGreylistedOlder holds that the report of a later day counts the messages that were tried in it,
// whenever they were tried first.
func TestGreylistedOlder(t *testing.T) {
	at := 4*oneDay + 8*hour
	list := slices.Concat(deferrals("grey.example", 9, at, hour, hour/2, 4*oneDay, ""), deferrals("grey.example", 6, at+oneDay, hour/2, hour/2, 4*oneDay, ""))
	for i := range list {
		list[i].grey = true
	}
	r := queueLog(t, at+oneDay+6*hour, sent("fine.example", 8*400, 0, oneDay/400), sent("grey.example", int(at/hour), 10*time.Minute, hour), list)(5)
	if len(r.Verdict.Act) != 1 || r.Verdict.Act[0].Refused != 15 {
		t.Errorf("%s", r.Verdict.Sentence)
	}
}

// TestDiedAtRelay holds that a server is reported for its whole outage, with one id and one name,
// whatever the domain of its host is called, and that the report of the day on which it takes mail
// again, and of several days, says that it ended. It took no mail for 54 hours; the failures and the
// mail taken of the last hour are not told apart by their hour.
func TestDiedAtRelay(t *testing.T) {
	for _, domain := range []string{"dead.example", "dead.hoster.example"} {
		for _, daily := range []time.Duration{6, 30, 60} {
			dead := sent(domain, 4*int(daily), 9*hour, oneDay/daily)
			ends := 6*oneDay + 15*hour + 30*time.Minute
			for at := 4*oneDay + 9*hour + 10*time.Minute; at < ends; at += oneDay / daily {
				d := deferral{domain: domain, end: "sent"}
				for try := at; try < ends; try += hour {
					d.tries = append(d.tries, try)
				}
				d.tries = append(d.tries, ends+at%hour)
				dead = append(dead, d)
			}
			dead = append(dead, sent(domain, 3*int(daily), ends+hour, oneDay/daily)...)
			days := queueDays(t, 11*oneDay, sent("fine.example", 11*400, 0, oneDay/400), dead)
			ids := map[string]bool{}
			first := "[{{domain}} since 05-08 09] []"
			if daily == 6 { // takes mail in four hours of such a time
				first = "[] []"
			}
			for _, p := range []struct {
				from, to int
				want     string
			}{
				{3, 4, "[] []"},
				{4, 5, first},
				{5, 6, "[{{domain}} since 05-08 09] []"},
				{6, 7, "[] [{{domain}} since 05-08 09 to 05-10 15]"},
				{7, 8, "[] []"},
				{4, 7, "[] [{{domain}} since 05-08 09 to 05-10 15]"},
				{3, 8, "[] [{{domain}} since 05-08 09 to 05-10 15]"},
			} {
				v := days(p.from, p.to).Verdict
				if got, want := toldOf(v, " does not take our mail", ids), strings.ReplaceAll(p.want, "{{domain}}", domain); got != want {
					t.Errorf("%s, %d messages a day, days %d to %d: %s, want %s", domain, daily, p.from, p.to-1, got, want)
				}
			}
			if len(ids) != 1 {
				t.Errorf("%s, %d messages a day: ids %v", domain, daily, ids)
			}
		}
	}
}

// toldOf returns the incidents of a verdict that go on, and those that have ended: the title up to some words, since
// when, and the end. It adds their ids.
func toldOf(v *Verdict, words string, ids map[string]bool) string {
	told := [2][]string{}
	for i, list := range [][]Incident{v.Act, v.Ended} {
		for _, in := range list {
			name, _, _ := strings.Cut(in.Title, words)
			name += in.Since.Format(" since 01-02 15")
			if !in.EndedAt.IsZero() {
				name += in.EndedAt.Format(" to 01-02 15")
			}
			ids[in.ID] = true
			told[i] = append(told[i], name)
		}
	}
	return fmt.Sprint(told[0], told[1])
}

// TestDiedHoster holds that mail that reached no relay counts to the server that serves the domain, if
// that has several domains.
func TestDiedHoster(t *testing.T) {
	var mails [][]deferral
	for _, domain := range []string{"a.hoster.example", "b.hoster.example"} {
		mails = append(mails, sent(domain, 4*15+5, hour, oneDay/15), deferrals(domain, 10, 4*oneDay+9*hour, hour, hour, 3*oneDay, "sent"))
	}
	day := queueLog(t, 9*oneDay, append(mails, sent("fine.example", 9*400, 0, oneDay/400))...)
	if act := day(4).Verdict.Act; len(act) != 1 || act[0].Short != "hoster.example does not take our mail" || act[0].Refused != 20 {
		t.Errorf("%+v", act)
	}
}

// TestDeadQueue holds that the report of each day says how much mail to a dead domain waits at the
// end of that day, whenever it is read, and how much was given up until then.
func TestDeadQueue(t *testing.T) {
	mails := [][]deferral{
		sent("fine.example", 14*400, 0, oneDay/400), sent("dead.example", 10, hour, oneDay/2),
		deferrals("dead.example", 14, 5*oneDay+2*hour, oneDay/2, 3*hour, 3*oneDay, "expired"),
	}
	for _, until := range []time.Duration{11 * oneDay, 13 * oneDay} {
		day := queueLog(t, until, mails...)
		for n, want := range map[int]string{
			6: "4 waiting since 2026-05-09 02:00, 0 given up",
			8: "6 waiting since 2026-05-10 02:00, 2 given up since 2026-05-12 02:00",
			9: "6 waiting since 2026-05-11 02:00, 4 given up since 2026-05-12 02:00",
		} {
			got := "nothing"
			for _, in := range day(n).Incidents() {
				if q := in.Queue; q != nil {
					got = fmt.Sprintf("%d waiting since %s, %d given up", q.Waiting, q.Oldest.Format("2006-01-02 15:04"), q.GivenUp)
					if q.GivenUp > 0 {
						got += " since " + q.FirstLost.Format("2006-01-02 15:04")
					}
				}
			}
			if got != want {
				t.Errorf("day %d, read after %v: %s, want %s", n, until, got, want)
			}
		}
	}
}

// TestDeadTried holds that the messages of a period are those that were tried in it, also if they were
// first tried before.
func TestDeadTried(t *testing.T) {
	const hour = time.Hour
	day := queueLog(t, 4*24*hour,
		sent("busy.example", 90, 0, hour), sent("dead.example", 10, 0, time.Hour),
		deferrals("dead.example", 15, 20*hour, time.Minute, 4*hour, 100*hour, "sent"), // tried every four hours
		deferrals("dead.example", 3, 50*hour, time.Minute, 4*hour, 100*hour, "sent"),
	)
	r := day(2)
	in := r.Verdict.Act
	if len(in) != 1 || in[0].Refused != 18 || in[0].Waiting != 18 || in[0].Figures() != "18 messages in this period" {
		t.Fatalf("%+v", in)
	}
	if want := 18.0 / (24 + 18); float64(in[0].Share) != want {
		t.Errorf("share %v, want %v", in[0].Share, want)
	}
}

// TestBeganAgain holds that failures that ended within the period are not part of those that began
// later, neither their time nor their number; and that each period has the same onset.
func TestBeganAgain(t *testing.T) {
	others := sent("fine.example", 10*400, 0, oneDay/400)
	dead := func(n int, at, gap time.Duration) []deferral {
		return deferrals("dead.example", n, at, gap, hour, 5*oneDay, "expired")
	}
	short := slices.Concat(sent("dead.example", 58*4, 0, hour/4), deferrals("dead.example", 4, 58*hour, hour/4, hour, hour, "sent"), sent("dead.example", 138*4, 59*hour, hour/4))
	long := slices.Concat(sent("dead.example", 48, 0, hour), deferrals("dead.example", 40, 2*oneDay, hour/2, hour, 10*hour, "expired"), sent("dead.example", 48, 4*oneDay, hour))
	for _, c := range []struct {
		name  string
		mails []deferral
		read  time.Duration
		want  string
	}{
		{"an hour, then 45 minutes", slices.Concat(short, dead(4, 8*oneDay+5*hour, hour/4)), 8*oneDay + 6*hour, "nothing"},
		{"an hour, then dead", slices.Concat(short, dead(60, 8*oneDay+5*hour, hour/4)), 8*oneDay + 12*hour, "since 2026-05-12 05:00, 28 of 28 lost, 0 returned, 28 waiting since 2026-05-12 05:00"},
		{"a day, then dead", slices.Concat(long, dead(120, 6*oneDay+2*hour, hour/2)), 9 * oneDay, "since 2026-05-10 02:00, 120 of 120 lost, 0 returned, 120 waiting since 2026-05-10 02:00"},
		{"a day, then dead, read later", slices.Concat(long, dead(120, 6*oneDay+2*hour, hour/2)), 13 * oneDay, "since 2026-05-10 02:00, 120 of 120 lost, 0 returned, 120 waiting since 2026-05-10 02:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			days := queueDays(t, c.read, others, c.mails)
			ids := map[string]bool{}
			told := func(from, to int) string {
				for _, in := range days(from, to).Incidents() {
					ids[in.ID] = true
					return fmt.Sprintf("since %s, %d of %d lost, %d returned, %d waiting since %s", in.Since.Format("2006-01-02 15:04"), in.Refused, in.Tried, in.Lost, in.Queue.Waiting, in.Queue.Oldest.Format("2006-01-02 15:04"))
				}
				return "nothing"
			}
			if got := told(1, 9); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if told(6, 9); len(ids) > 1 {
				t.Errorf("ids %v", ids)
			}
		})
	}
}

// TestThen holds that a past day is judged as of its end: mail that waited then counts as not
// delivered, whether it still waits, was given up or was delivered days later.
func TestThen(t *testing.T) {
	for _, end := range []string{"expired", "sent"} {
		want := ""
		for _, until := range []time.Duration{6*oneDay + hour, 8 * oneDay, 12 * oneDay, 14 * oneDay} {
			day := queueLog(t, until, sent("fine.example", 14*400, 0, oneDay/400), sent("dead.example", 5*30, 0, oneDay/30),
				deferrals("dead.example", 2*30, 5*oneDay+2*hour, oneDay/30, 5*hour, 5*oneDay, end))
			got := "nothing"
			for _, in := range day(5).Incidents() {
				got = fmt.Sprint(in.ID, in.Title, in.IsBackground(), in.Ongoing, in.Refused, in.Tried, in.Lost, in.Share)
			}
			if want == "" {
				want = got
			}
			if got != want || !strings.Contains(got, "dead.example does not take our mail") {
				t.Errorf("%s, seen after %v: %s\nat first: %s", end, until, got, want)
			}
		}
	}
}

// TestThenPaused holds that failures that begin, and mail that is taken, after a past day do not
// change its report.
func TestThenPaused(t *testing.T) {
	dead := func(n int, at time.Duration) []deferral {
		return deferrals("dead.example", n, at, 2*hour, 3*hour, 12*hour, "expired")
	}
	for name, c := range map[string]struct {
		mails []deferral
		told  bool
	}{
		"dead, a pause, dead":            {slices.Concat(sent("dead.example", 10, hour, oneDay/2), dead(16, 5*oneDay+2*hour), dead(6, 10*oneDay)), true},
		"taken for the first time later": {slices.Concat(deferrals("dead.example", 40, 5*oneDay, 72*time.Minute, 3*hour, 2*oneDay, "expired"), sent("dead.example", 40, 9*oneDay+12*hour, hour)), false},
	} {
		for _, until := range []time.Duration{7 * oneDay, 12 * oneDay} {
			told := false
			for _, in := range queueLog(t, until, sent("fine.example", 14*1000, 0, oneDay/1000), c.mails)(6).Incidents() {
				told = told || !in.IsBackground()
			}
			if told != c.told {
				t.Errorf("%s, read after %v: told: %v, want %v", name, until, told, c.told)
			}
		}
	}
}

// TestWaitingOfEarlierDays holds that mail of earlier days that waits for a provider counts in its incident
// as in the providers and the queue, also if the provider never took mail.
func TestWaitingOfEarlierDays(t *testing.T) {
	day := queueLog(t, 3*oneDay, sent("fine.example", 3*200, 0, oneDay/200), deferrals("big.example", 60, oneDay+hour, 40*time.Minute, hour, 5*oneDay, "expired"))
	for n, want := range []int{1: 35, 60} {
		if n == 0 {
			continue
		}
		r := day(n)
		list := r.Incidents()
		if len(list) != 1 || list[0].Refused != want || list[0].Waiting != want || *r.Totals.Waiting != int64(want) || list[0].Share > 1 {
			t.Errorf("day %d: %d waiting in all, %+v, want %d", n, *r.Totals.Waiting, list, want)
		}
	}
}

// TestShareOfOlder holds that a share of all mail counts the same mail in both numbers: on a day
// with ten new messages, forty older ones are not 100 %.
func TestShareOfOlder(t *testing.T) {
	fine := append(sent("fine.example", 4*200, 0, oneDay/200), sent("fine.example", 10, 10*oneDay, oneDay/10)...)
	for listed, refused := range map[bool]int{false: 40, true: 16} { // expired mail was not refused that day
		old := append(sent("a.example", 60, 0, oneDay/20), deferrals("a.example", 40, 5*oneDay+2*hour, 10*time.Minute, 6*hour, 5*oneDay, "expired")...)
		for i := range old {
			old[i].listed = listed
		}
		day := queueLog(t, 11*oneDay, fine, old)
		all := day(10).Incidents()
		if len(all) != 1 || all[0].Refused != refused || all[0].Share != table.Share(float64(refused)/float64(10+refused)) {
			t.Errorf("%+v", all)
		}
	}
}

// TestPartlyReached holds that a provider that fails a part of the time is one incident that goes
// on, whatever it takes in between, and that ends once it takes all mail for longer.
func TestPartlyReached(t *testing.T) {
	mails := [][]deferral{sent("fine.example", 14*400, 0, oneDay/400), sent("half.example", 5*80, 0, oneDay/80)}
	for h := 5 * oneDay; h < 7*oneDay; h += 6 * hour {
		mails = append(mails, deferrals("half.example", 30, h, time.Minute, 20*time.Minute, 20*time.Minute, "expired"), sent("half.example", 20, h+2*hour, 10*time.Minute))
	}
	mails = append(mails, sent("half.example", 3*80, 7*oneDay, oneDay/80))
	going := func(until time.Duration) bool {
		n := int((until - 1) / oneDay)
		for _, in := range queueLog(t, until, mails...)(n).Incidents() {
			if strings.HasPrefix(in.Title, "half.example does not take our mail") {
				return in.Ongoing
			}
		}
		return false
	}
	ends, was := 0, true
	for until := 5*oneDay + 2*hour; until < 6*oneDay+19*hour; until += hour {
		is := going(until)
		if was && !is {
			ends++
		}
		was = is
	}
	if ends > 1 { // the first pause is like no other
		t.Errorf("it ended %d times while it went on", ends)
	}
	if going(8 * oneDay) {
		t.Error("it goes on after a day of mail taken")
	}
}

// TestWaiting holds that the report of a day says how much mail waited at the end of that day, whenever
// it is read and whenever the mail was deferred, and that all sections have the same number.
func TestWaiting(t *testing.T) {
	mails := [][]deferral{
		sent("fine.example", 9*40, 0, oneDay/40),
		deferrals("full.example", 3, oneDay+2*hour, hour, 4*hour, 3*oneDay, "expired"),    // given up on day 4
		deferrals("slow.example", 5, 2*oneDay+20*hour, time.Minute, hour, 9*hour, "sent"), // taken on day 3
		deferrals("dead.example", 2, 2*oneDay+3*hour, hour, 3*hour, 7*oneDay, ""),         // still queued
		deferrals("spam.example", 4, 2*oneDay+5*hour, hour, hour, 26*hour, "removed"),     // by hand, on day 3
	}
	for _, until := range []time.Duration{3 * oneDay, 3*oneDay + hour, 6 * oneDay, 9 * oneDay} {
		day := queueLog(t, until, mails...)
		for n, want := range []int64{0, 3, 14, 5, 2, 2} {
			if time.Duration(n+1)*oneDay > until {
				break
			}
			rep := day(n)
			if got := rep.Totals.Waiting; got == nil || *got != want {
				t.Errorf("day %d, read after %v: %d waiting, want %d", n, until, *got, want)
			}
			checkWaiting(t, fmt.Sprintf("day %d, read after %v", n, until), rep)
		}
		// Days that are not over, and parts of the log.
		days := queueDays(t, until, mails...)
		for _, part := range [][2]int{{0, 9}, {2, 9}, {1, 3}, {0, 3}, {2, 5}, {0, 6}} {
			checkWaiting(t, fmt.Sprintf("days %v, read after %v", part, until), days(part[0], part[1]))
		}
	}
}

// checkWaiting holds that the totals, the providers and the list of the queue have the same number of
// waiting mail.
func checkWaiting(t *testing.T, what string, rep *Report) {
	t.Helper()
	want := *rep.Totals.Waiting
	got := map[string]int64{"table": rep.ProviderTable.Total.Waiting, "rows": 0, "providers": 0, "list": int64(len(rep.Pending))}
	if l := rep.List(SectionPending); l != nil {
		got["list"] = int64(l.Total)
	}
	for _, x := range rep.ProviderTable.Rows {
		got["rows"] += x.Waiting
	}
	for _, x := range rep.Providers {
		got["providers"] += *x.Waiting
	}
	for where, n := range got {
		if n != want && where != "providers" || n > want {
			t.Errorf("%s: %d waiting, but %d in %s", what, want, n, where)
		}
	}
}

// TestByHour holds that the hours of a provider do not depend on the order of a store's cells.
func TestByHour(t *testing.T) {
	cell := func(hour, domain string, delivered, soft int64) store.Cell {
		c := store.Cell{Keys: [store.MaxDimensions]string{hour, domain}}
		c.Delivered, c.Soft, c.Messages = delivered, soft, delivered+soft
		if soft > 0 {
			c.Reasons = map[bounce.Reason]int64{bounce.Connection: soft}
		}
		return c
	}
	all := func() []store.Cell {
		return []store.Cell{cell("2026-05-04 10", "a.example", 0, 3), cell("2026-05-04 09", "a.example", 2, 0), cell("2026-05-04 10", "b.example", 4, 1)}
	}
	reversed := all()
	slices.Reverse(reversed)
	for _, cells := range [][]store.Cell{all(), reversed} {
		hours := byHour(cells)
		if len(hours) != 2 || hours[0].Delivered != 2 || hours[1].Delivered != 4 || hours[1].Soft != 4 || hours[1].Messages != 8 || hours[1].Reasons[bounce.Connection] != 4 {
			t.Errorf("%+v", hours)
		}
	}
}

// TestGuessJudgesNobody holds that a reason that is only a guess makes no provider an incident, and is no
// main reason of one. A stated reason does and is.
func TestGuessJudgesNobody(t *testing.T) {
	for _, guess := range []bounce.Reason{bounce.NoReason, bounce.Connection, bounce.DNSRouting, bounce.Blocklist} {
		failed := deferrals("odd.example", 60, 2*oneDay+time.Minute, 10*time.Minute, hour, 8*hour, "")
		for i := range failed {
			failed[i].guess = guess
		}
		rep := queueLog(t, 4*oneDay, sent("fine.example", 3*400, 0, oneDay/400), sent("odd.example", 60, 0, hour/2), failed)(2)
		var row *ProviderRow
		for i := range rep.ProviderTable.Rows {
			if x := &rep.ProviderTable.Rows[i]; x.Provider == "odd.example" {
				row = x
			}
		}
		want := bounce.Unknown
		if guess == bounce.NoReason {
			want = bounce.Connection
		}
		if row == nil || row.Reason != want {
			t.Errorf("guess %q: %+v, want the reason %s", guess, row, want)
		}
		if unreached := slices.ContainsFunc(rep.Problems, func(p problem.Problem) bool { return p.Unreached() }); unreached != (guess == bounce.NoReason) {
			t.Errorf("guess %q: an incident: %v", guess, unreached)
		}
	}
}

// TestLater holds that the report of a day, read on the next morning, names what is going on then and was
// no incident of that day.
func TestLater(t *testing.T) {
	listed := func(at time.Duration) []deferral {
		list := deferrals("big.example", 40, at, 4*time.Minute, hour, 5*oneDay, "expired")
		for i := range list {
			list[i].listed = true
		}
		return list
	}
	fine := sent("fine.example", 6*200, 0, oneDay/200)
	for _, c := range []struct {
		name  string
		began time.Duration
		until time.Duration
		want  bool
	}{
		{"since the night, read in the morning", 3*oneDay + 3*hour, 3*oneDay + 7*hour, true},
		{"since shortly before midnight", 3*oneDay - 5*time.Minute, 3*oneDay + 7*hour, true},
		{"not yet", 3*oneDay + 8*hour, 3*oneDay + 7*hour, false},
		{"since the day, so it is an incident of the day", 2*oneDay + 3*hour, 3*oneDay + 7*hour, false},
		{"read days later", 3*oneDay + 3*hour, 5*oneDay + 7*hour, false},
	} {
		v := queueLog(t, c.until, fine, listed(c.began))(2).Verdict
		words := "After the period: "
		if c.began < 3*oneDay {
			words = "Proven after the period: "
		}
		if got := len(v.Later) == 1; got != c.want || strings.HasPrefix(v.Sentence, words+"big.example defers shop.example: listed by spamhaus-zen, since") != c.want {
			t.Errorf("%s: %+v, %s", c.name, v.Later, v.Sentence)
		}
	}
}

// TestDeadWithoutNewMail holds that an incident goes on while old messages wait and are tried, on a day
// without a new one.
func TestDeadWithoutNewMail(t *testing.T) {
	var mails []deferral
	for d := range 5 { // a working week; the domain is gone on Thursday
		for i := range 6 {
			at := time.Duration(d)*oneDay + time.Duration(8+i)*hour
			mails = append(mails, sent("else.example", 5, at, time.Minute)...)
			if d < 3 {
				mails = append(mails, sent("old.example", 1, at, time.Minute)...)
			} else {
				mails = append(mails, deferrals("old.example", 1, at, time.Minute, hour, 5*oneDay-time.Minute, "expired")...)
			}
		}
	}
	mails = append(mails, sent("else.example", 20, 5*oneDay, 2*hour)...)
	report := queueLog(t, 7*oneDay+20*hour, mails)
	id := ""
	for n := 3; n < 8; n++ {
		r := report(n)
		if len(r.Verdict.Act) != 1 || id != "" && r.Verdict.Act[0].ID != id {
			t.Errorf("day %d: %s", n, r.Verdict.Sentence)
			continue
		}
		if id = r.Verdict.Act[0].ID; n == 5 && r.Verdict.Act[0].Queue.Waiting != 12 {
			t.Errorf("day %d: %d messages wait", n, r.Verdict.Act[0].Queue.Waiting)
		}
	}
}

// TestOutageExplains holds that an outage of this side explains the failures at each provider that it
// has most of, and no others.
func TestOutageExplains(t *testing.T) {
	one := func(d deferral, domains ...string) (list []deferral) { // three days of mail taken, and a day of failures
		for i, domain := range domains {
			for h := range 3*24 + 9 {
				at := time.Duration(h)*hour + time.Duration(i)*time.Minute
				list = append(list, deferral{domain: domain, at: d.at, tries: []time.Duration{at}, end: "sent"})
			}
			for n := range 16 {
				x := d
				x.domain, x.tries = domain, nil
				for try := range 4 {
					x.tries = append(x.tries, 3*oneDay+9*hour+time.Duration(n*3+i)*time.Minute+time.Duration(try)*20*time.Minute)
				}
				list = append(list, x)
			}
		}
		return list
	}
	others := []string{"a.example", "b.example", "c.example", "d.example", "e.example", "f.example"}
	ours := []string{"one.example", "two.example"} // domains at one provider
	for _, test := range []struct {
		name          string
		outage, there deferral
		want          []string
	}{
		{
			"a resolver that does not answer (Exim)",
			deferral{says: "host lookup did not complete", reason: bounce.DNSRouting},
			deferral{says: "host lookup did not complete", reason: bounce.DNSRouting},
			[]string{"resolver"},
		},
		{
			"a content filter that is down",
			deferral{says: "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused", reason: bounce.Connection, detail: "own-hop"},
			deferral{says: "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused", reason: bounce.Connection, detail: "own-hop"},
			[]string{"next_hop"},
		},
		{
			"a content filter that is down, while a provider does not answer",
			deferral{says: "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused", reason: bounce.Connection, detail: "own-hop"},
			deferral{says: "connect to mx.google.com[192.0.2.4]:25: Connection timed out", reason: bounce.Connection},
			[]string{"next_hop", "provider"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.there.at = "google.com"
			mails := append(one(test.outage, others...), one(test.there, ours...)...)
			if len(test.want) > 1 { // the filter took some mail for the provider's domains, too
				few := one(test.outage, ours...)
				for i := range few {
					if few[i].end == "" && i%16 < 4 {
						mails = append(mails, few[i])
					}
				}
			}
			unknown := deferral{domain: "one.example", at: "google.com", says: "said: 550 5.1.1 unknown", reason: bounce.UserUnknown, tries: []time.Duration{3*oneDay + hour}, end: "expired"}
			r := queueLog(t, 3*oneDay+11*hour, mails, []deferral{unknown})(3)
			var got []string
			for i := range r.Problems {
				p := &r.Problems[i]
				if p.Ongoing && !p.Background {
					got = append(got, p.Cause)
				}
				if p.Cause == "provider" && p.Scan != "bouncelog report --domain one.example" && p.Scan != "bouncelog report --domain two.example" {
					t.Errorf("the failures reached no relay, but: %s", p.Scan)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestSenderAtFaultExplainsOnlyItsMail holds that a provider that takes no mail is an incident beside the
// refusals of one sender domain there, during it and afterwards; and that the deferrals of that sender
// domain alone are none.
func TestSenderAtFaultExplainsOnlyItsMail(t *testing.T) {
	const trouble = 4*oneDay + 10*hour
	for _, test := range []struct {
		name   string
		until  time.Duration
		others bool // the mail of others is deferred too
		want   []string
	}{
		{"during", trouble + 3*hour - time.Minute, true, []string{"authentication", "provider"}},
		{"in the morning", 5*oneDay + 7*hour, true, []string{"authentication", "provider"}},
		{"others' mail is taken", 5*oneDay + 7*hour, false, []string{"authentication"}},
	} {
		build := mailLog(t, mondays, func(add func(time.Duration, string, string, bounce.Outcome, bounce.Reason)) {
			for at := time.Duration(0); at < test.until; at += 5 * time.Minute {
				add(at, "fine.example", "else.example", bounce.Delivered, bounce.NoReason)
				outcome, reason := bounce.Delivered, bounce.NoReason
				if at >= trouble && at < trouble+3*hour && test.others {
					outcome, reason = bounce.Soft, bounce.SystemError
				}
				add(at+time.Second, "other.example", "big.example", outcome, reason)
				if at >= 4*oneDay+8*hour && at < 4*oneDay+16*hour {
					outcome, reason = bounce.Hard, bounce.AuthFailure
				}
				if at%(15*time.Minute) == 0 {
					add(at+2*time.Second, "shop.example", "big.example", outcome, reason)
				}
			}
		})
		var got []string
		r := build(Options{Filter: store.Filter{Since: mondays.Add(4 * oneDay), Until: mondays.Add(5 * oneDay)}})
		for i := range r.Problems {
			if in := r.incidentOf(i); !in.IsBackground() {
				if got = append(got, r.Problems[i].Cause); in.Refused == 0 {
					t.Errorf("%s: %s: 0 messages", test.name, in.Title)
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v: %s", test.name, got, test.want, r.Verdict.Sentence)
		}
	}
}

// TestDiedOfOneSender holds that a provider is no incident if all the mail that it did not take is of one
// sender domain, which others refuse at the same time, and nobody else wrote to it.
func TestDiedOfOneSender(t *testing.T) {
	const night = 4*oneDay + 23*hour // of a sender domain whose DNS records are gone from 4 d 7 h to 5 d 15 h
	for _, test := range []struct {
		name   string
		others bool // the provider does not take the mail of others
		want   []string
	}{
		{"nobody else wrote", false, []string{"sender"}},
		{"the mail of others fails, too", true, []string{"provider", "sender"}},
	} {
		build := mailLog(t, mondays, func(add func(time.Duration, string, string, bounce.Outcome, bounce.Reason)) {
			for at := time.Duration(0); at < 5*oneDay+22*hour; at += 10 * time.Minute {
				gone := at >= 4*oneDay+7*hour && at < 5*oneDay+15*hour
				for i, domain := range []string{"a.example", "b.example", "c.example", "d.example"} {
					add(at+time.Duration(i)*time.Second, "fine.example", domain, bounce.Delivered, bounce.NoReason)
					if outcome, reason := bounce.Delivered, bounce.NoReason; at%(30*time.Minute) == 0 {
						if gone {
							outcome, reason = bounce.Hard, bounce.SenderRejected
						}
						add(at+5*time.Second, "shop.example", domain, outcome, reason)
					}
				}
				if at%(30*time.Minute) != 0 {
					continue
				}
				silent := at >= night && at < night+9*hour
				switch {
				case !silent:
					add(at+10*time.Second, "fine.example", "big.example", bounce.Delivered, bounce.NoReason)
				case test.others:
					add(at+10*time.Second, "fine.example", "big.example", bounce.Soft, bounce.DNSRouting)
				}
				if outcome, reason := bounce.Delivered, bounce.NoReason; true {
					if gone {
						outcome, reason = bounce.Soft, bounce.DNSRouting
					}
					add(at+11*time.Second, "shop.example", "big.example", outcome, reason)
				}
			}
		})
		r := build(Options{Filter: store.Filter{Since: mondays.Add(5 * oneDay), Until: mondays.Add(6 * oneDay)}})
		var got []string
		for i := range r.Problems {
			if in := r.incidentOf(i); !in.IsBackground() {
				got = append(got, r.Problems[i].Cause)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v: %s", test.name, got, test.want, r.Verdict.Sentence)
		}
	}
}

// TestUnreachedReply holds that the incident of a provider that takes nothing has a sample of its replies.
func TestUnreachedReply(t *testing.T) {
	var mails []deferral
	for d := range 4 {
		mails = append(mails, sent("big.example", 24, time.Duration(d)*oneDay, hour)...)
	}
	failed := deferrals("big.example", 24, 4*oneDay, 30*time.Minute, hour, 2*hour, "")
	for i := range failed {
		failed[i].busy = true
	}
	r := queueLog(t, 5*oneDay, mails, failed)(4)
	in := slices.Collect(func(yield func(Incident) bool) {
		for i := range r.Problems {
			if r.Problems[i].Unreached() && !yield(r.incidentOf(i)) {
				return
			}
		}
	})
	if len(in) != 1 || in[0].Reply != "451 4.7.500 Server busy. Please try again later" {
		t.Errorf("%+v", in)
	}
}

// TestReturnedAtOnce holds that an outage of a receiver goes on when this server returns its mail without a try, as
// Exim does after a long failure, but that mail which expires without a failure before is none.
func TestReturnedAtOnce(t *testing.T) {
	atOnce := deferrals("dead.example", 20, 5*oneDay, 2*hour, hour, 0, "expired")
	for _, c := range []struct {
		name  string
		mails []deferral
		want  string
	}{
		{"after an outage", slices.Concat(deferrals("dead.example", 18, 3*oneDay+hour, 2*hour, hour, 12*hour, "expired"), atOnce), "dead.example does not take our mail: no connection, 12 of 12"},
		{"without one", atOnce, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			for _, in := range queueLog(t, 6*oneDay, sent("fine.example", 6*200, 0, oneDay/200), sent("dead.example", 36, 0, 2*hour), c.mails)(5).Verdict.Act {
				got += fmt.Sprintf("%s, %d of %d", in.Title, in.Refused, in.Tried)
				if !strings.Contains(in.Check, "returns new mail at once") {
					t.Error(in.Check)
				}
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
