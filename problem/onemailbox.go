package problem

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/store"
)

// A program that repeats itself, as a monitoring system may, floods one mailbox: its provider limits the rate
// at which the mailbox takes mail, and the rest of it waits. The deferrals say nothing of other mail.

// causeMailbox is the cause of floods of one mailbox, as the field Cause names it.
const causeMailbox = "mailbox_flood"

const (
	mailboxLeast = 50 // deferred or returned messages of one sender to the mailbox, at least; higher: fewer floods
	mailboxAsked = 10 // mailboxes whose mail is read, those with the most rate limits first; up to floodMail attempts of all
)

// A limitCount counts the attempts that were refused for a rate limit, by recipient, of at most setSize
// recipients.
type limitCount map[string]int

func (n limitCount) add(r *store.Refusal) {
	if r.Reason != bounce.RateLimited || r.Code == 0 || r.NullSender || r.Untried || !atOthers(r.Traits) {
		return
	}
	to := ascii.Lower(r.Recipient)
	if _, known := n[to]; known || len(n) < setSize {
		n[to]++
	}
}

// A mailboxAttempt is an attempt of the mail of one sender to one mailbox.
type mailboxAttempt struct {
	ref     store.Ref
	at      moment
	message uint64
	outcome bounce.Outcome
}

func (a *mailboxAttempt) failed() bool { return a.outcome != bounce.Delivered }

// floodedMailboxes finds the mailboxes that one sender of this side floods.
func (w *outageSearch) floodedMailboxes(ctx context.Context, keep bool) (found []Problem, err error) {
	f := w.f
	if len(f.Outcomes) > 0 || f.QueueID != "" || f.MessageID != "" {
		return nil, nil
	}
	maps.DeleteFunc(w.limits, func(_ string, n int) bool { return n < mailboxLeast })
	if len(w.limits) == 0 {
		return nil, nil
	}
	f.Recipients = slices.SortedFunc(maps.Keys(w.limits), func(a, b string) int {
		return cmp.Or(cmp.Compare(w.limits[b], w.limits[a]), cmp.Compare(a, b))
	})
	f.Recipients = f.Recipients[:min(len(f.Recipients), mailboxAsked)]
	f.Since, f.Outcomes, f.Reasons = w.from.time(), []bounce.Outcome{bounce.Delivered, bounce.Soft, bounce.Hard}, nil
	type mailOf struct{ sender, recipient string }
	mails := map[mailOf][]mailboxAttempt{}
	for a, err := range w.s.Attempts(ctx, f, store.Page{Limit: floodMail}) {
		if err != nil {
			return nil, err
		}
		k := mailOf{ascii.Lower(a.Sender), ascii.Lower(a.Recipient)}
		mails[k] = append(mails[k], mailboxAttempt{a.Ref(), momentOf(a.Time), messageHash(a, w.seed), a.Outcome})
	}
	for _, k := range slices.SortedFunc(maps.Keys(mails), func(a, b mailOf) int {
		return cmp.Or(cmp.Compare(a.recipient, b.recipient), cmp.Compare(a.sender, b.sender))
	}) {
		failed := slices.DeleteFunc(slices.Clone(mails[k]), func(a mailboxAttempt) bool { return !a.failed() })
		for len(failed) > 0 && k.sender != "" {
			n := 1
			for n < len(failed) && failed[n].at.sub(failed[n-1].at) < w.o.Window {
				n++
			}
			x := &mailboxFlood{sender: k.sender, recipient: k.recipient, failed: failed[:n], mail: mails[k]}
			x.first = x.messages(x.failed)
			failed = failed[n:]
			for other, list := range mails {
				if other.recipient == k.recipient {
					x.all += len(x.messages(list))
				}
			}
			is, err := w.floodsMailbox(ctx, x)
			if err == nil && is {
				var p *Problem
				if p, err = w.mailboxProblem(ctx, x, keep); p != nil {
					found = append(found, *p)
				}
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// A mailboxFlood is the mail of one sender to one mailbox of others that may be a flood.
type mailboxFlood struct {
	sender, recipient string
	failed            []mailboxAttempt  // in the order of time, at least one
	first             map[uint64]moment // of each failed message: its first failure
	mail              []mailboxAttempt  // all mail of the sender to the mailbox that was read
	all               int               // failed messages of all senders to the mailbox in the same time
	usual             float64           // messages of the sender to the mailbox a day, before
	known             int               // days that usual is derived from
}

// messages returns the failed messages of a list in the time of a flood, each with its first failure.
func (x *mailboxFlood) messages(list []mailboxAttempt) map[uint64]moment {
	first := map[uint64]moment{}
	for i := range list {
		a := &list[i]
		if _, seen := first[a.message]; !seen && a.failed() && a.at >= x.failed[0].at && a.at <= x.failed[len(x.failed)-1].at {
			first[a.message] = a.at
		}
	}
	return first
}

// floodsMailbox reports whether the mail of a sender to a mailbox is a flood: nearly all that its server
// defers or refuses, and many times the usual. If too few days are known, half of it came within a few hours.
func (w *outageSearch) floodsMailbox(ctx context.Context, x *mailboxFlood) (bool, error) {
	n, began := len(x.first), x.failed[0].at
	if n < mailboxLeast || float64(n) < mostlyShare*float64(x.all) {
		return false, nil
	}
	f := w.f
	f.Since, f.Until = began.add(-w.o.Past).time(), began.time()
	f.Senders, f.Recipients, f.Reasons = []string{x.sender}, []string{x.recipient}, nil
	before, err := w.total(ctx, f)
	if err != nil {
		return false, err
	}
	x.known = int(min(began.sub(w.first), w.o.Past) / (24 * time.Hour))
	x.usual = float64(before.Messages) / float64(max(x.known, 1))
	if x.known >= floodPast {
		return perDay(n, x.failed[len(x.failed)-1].at.sub(began)) >= floodTimes*x.usual, nil
	}
	times := slices.Sorted(maps.Values(x.first))
	half := (n + 1) / 2
	for i := half - 1; i < n; i++ {
		if times[i].sub(times[i-half+1]) < floodBurst*time.Hour {
			return true, nil
		}
	}
	return false, nil
}

// mailboxProblem describes a flood of one mailbox as a Problem. It returns nil if nothing failed in the
// period.
func (w *outageSearch) mailboxProblem(ctx context.Context, x *mailboxFlood, keep bool) (*Problem, error) {
	began, last := x.failed[0].at, x.failed[len(x.failed)-1].at
	shown := x.failed
	if !w.f.Since.IsZero() {
		since := momentOf(w.f.Since)
		shown = slices.DeleteFunc(slices.Clone(shown), func(a mailboxAttempt) bool { return a.at < since })
	}
	if len(shown) == 0 {
		return nil, nil
	}
	fate, over := map[uint64]bounce.Outcome{}, moment(0) // by message; when the last was delivered or returned
	for i := range x.mail {
		if a := &x.mail[i]; a.at >= began {
			if fate[a.message] = a.outcome; a.outcome != bounce.Soft {
				over = max(over, a.at)
			}
		}
	}
	waiting := 0
	for _, outcome := range fate {
		if outcome == bounce.Soft {
			waiting++
		}
	}
	refs := make([]store.Ref, 0, failureTexts)
	for _, i := range some(len(shown)) {
		refs = append(refs, shown[i].ref)
	}
	texts, err := w.s.Lookup(ctx, refs...)
	if err != nil {
		return nil, err
	}
	p := &Problem{
		Level: Likely, Cause: causeMailbox, Effect: EffectDeferred,
		SenderDomains: []string{}, Domains: []string{}, Providers: []string{}, Addresses: []string{}, ValidRecipients: []string{}, ValidBefore: []string{},
		Since: shown[0].at.time(), Until: last.time(), Attempts: int64(len(shown)), Recipients: 1, Waiting: waiting,
		Hours: []Hour{}, Evidence: evidenceOf(texts), Reasons: map[bounce.Reason]int64{},
		FirstCheck:       "Which program sends this mail, and why it repeats itself: monitoring, a cron job, a script in a loop. Stop it, then remove what is still queued of its mail (postqueue -p, exim -bp): it would be tried for days, and the provider may limit other mail of this server too.",
		OtherExplanation: "Many events that each send one message, and a mailbox that is meant to take them all.", DisprovedBy: "The owner of the mailbox, who wants all of this mail.",
		Scan: "bouncelog report --by sender --sort soft", keys: []key{{what: floodOf, sender: x.sender}}, homemade: true,
		Short: fmt.Sprintf("the sender <%s> floods the mailbox <%s>", x.sender, x.recipient),
	}
	p.Title = p.Short
	submitters := map[string]int{}
	for _, a := range texts {
		if a == nil {
			continue
		}
		p.Reason = cmp.Or(p.Reason, a.Reason)
		if len(p.Providers) == 0 {
			p.SenderDomains, p.Domains, p.Providers = []string{a.SenderDomain}, []string{a.RecipientDomain}, []string{provider.Of(&a.Delivery)}
		}
		submitters[cmp.Or(a.SASLUser, a.ClientIP)]++
	}
	p.Reasons[p.Reason] = p.Attempts
	if who, n := most(submitters); 2*n > len(texts) {
		p.FirstCheck += fmt.Sprintf(" It is handed in by <%s>.", who)
	}
	messages, returned := map[uint64]bool{}, map[uint64]bool{}
	for i := range shown {
		a := &shown[i]
		messages[a.message] = true
		if a.outcome == bounce.Hard {
			returned[a.message] = true
		}
		p.Hours = countHour(p.Hours, a.at)
		if keep {
			p.rows.failures = append(p.rows.failures, row{Ref: a.ref, message: a.message, recipient: maphash.String(w.seed, x.recipient), hard: a.outcome == bounce.Hard})
		}
	}
	p.Messages, p.Returned = len(messages), len(returned)
	if len(returned) > 0 {
		p.Effect = EffectReturned
	}
	if began < shown[0].at {
		p.FirstHeard = began.time()
		for message, first := range x.first {
			if messages[message] && first < shown[0].at {
				p.Older++
			}
		}
		p.Messages -= p.Older
	}
	p.Summary = fmt.Sprintf("%s, of %s to it since this began", p.Short+": "+table.Count(int64(len(x.first)), "message")+" deferred or returned", table.Count(int64(len(fate)), "message"))
	p.Why = fmt.Sprintf("Nearly all mail that the mailbox did not take is of this one sender, who sent it %.1f messages a day before.", x.usual)
	if x.known < floodPast {
		p.Why = fmt.Sprintf("Nearly all mail that the mailbox did not take is of this one sender, and half of it came within %d hours.", floodBurst)
	}
	switch quiet := w.end.sub(last) >= floodOver*time.Hour; {
	case waiting == 0:
		p.Ended, p.EndedAt = "all of it was delivered or returned", over.time()
	case quiet:
		p.Ended = fmt.Sprintf("%s of it wait", table.Count(int64(waiting), "message"))
	default:
		p.Ongoing = true
	}
	return p, nil
}
