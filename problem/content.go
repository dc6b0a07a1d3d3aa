package problem

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Mail called spam: a provider refuses a newsletter, or what a stolen password sends, for what it
// says. Each server has a few such refusals every day, which name no cause that concerns its other
// mail. Many at once, of a good part of a sender domain's mail to a provider, are an incident, and
// the reply is its cause: it says nothing against the addresses, so they need not be known to be
// valid. So are messages refused for their form or an attachment, if the provider takes mail of others
// meanwhile: else it is the provider (see report/unreached.go).

const (
	contentMessages = 10  // messages of one sender domain refused for what they are at one provider in a window, at least; higher: fewer incidents
	rejectedShare   = 0.9 // of the messages of a sender domain at a provider that are refused for their form, at least: a part may be one large mailing, or have a virus; higher: fewer incidents
	contentAsked    = 100 // streams whose other mail is counted; the mail of others stays without a named cause
)

// ofContent reports whether a reason is that of messages refused for what they are.
func ofContent(r bounce.Reason) bool { return r == bounce.ContentSpam || r == bounce.ContentRejected }

// countsRejected reports whether a refusal of a message for its form or an attachment counts: the mail was
// written here, and the receiver returned it.
func countsRejected(r *refusal) bool {
	return !r.Forwarded && !r.smarthost && r.SenderDomain != "" && r.hard && r.Code != 0
}

// A spamRun is a run of mail called spam, of one silent stream, or of messages refused for their form or an
// attachment.
type spamRun struct {
	silent, spam *stream // spam is the part of silent that was called spam; silent is nil if spam is refused for its form
	refusals     []*refusal
	refused      int   // messages
	tried        int64 // messages of the stream in the parts of its time counted so far
}

// contentIncidents takes mail called spam out of the silent streams and makes incidents of it.
func (x *refusalSearch) contentIncidents(ctx context.Context) (list []*incident, err error) {
	runs, err := x.dropSmallRuns(ctx, x.spamRuns())
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		if is, err := x.callsSpam(ctx, run); err != nil {
			return nil, err
		} else if !is {
			continue
		}
		if is, err := x.takesOthers(ctx, run); err != nil {
			return nil, err
		} else if !is {
			continue
		}
		for _, r := range run.refusals {
			r.claimed = true
		}
		list = append(list, x.incident(Confirmed, run.spam, run.refusals))
		if run.silent != nil {
			run.silent.refusals = slices.DeleteFunc(run.silent.refusals, func(r *refusal) bool { return r.claimed })
		}
	}
	return list, nil
}

// spamRuns returns the runs of enough mail called spam, or refused for its form.
func (x *refusalSearch) spamRuns() (runs []*spamRun) {
	var seen counter
	add := func(silent, spam *stream) {
		for _, part := range splitByGap(spam.refusals, x.o.Quiet()) {
			if mostInWindow(part, x.o.Window) >= contentMessages && len(runs) < contentAsked {
				runs = append(runs, &spamRun{silent: silent, spam: spam, refusals: part, refused: seen.count(part, anyMessage)})
			}
		}
	}
	for _, s := range sorted(x.named) {
		if s.key.reason == bounce.ContentRejected && len(s.refusals) >= contentMessages {
			add(nil, s)
		}
	}
	for _, s := range sorted(x.silent) {
		spam := newStream(key{what: namedStream, reason: bounce.ContentSpam, sender: s.key.sender, provider: s.key.provider, domain: s.key.domain})
		for _, r := range s.refusals {
			if r.Reason == bounce.ContentSpam {
				spam.refusals = append(spam.refusals, r)
				spam.templates[r.Template] = true
			}
		}
		if len(spam.refusals) < contentMessages {
			continue
		}
		for _, e := range s.samples {
			if spam.templates[e.template] {
				spam.samples = append(spam.samples, e)
			}
		}
		add(s, spam)
	}
	return runs
}

// goodPart reports whether a run is a good part of so many messages.
func (x *refusalSearch) goodPart(run *spamRun, tried int64) bool {
	share := x.o.Share
	if run.spam.key.reason == bounce.ContentRejected {
		share = max(share, rejectedShare)
	}
	return float64(run.refused) >= share*float64(tried)
}

// dropSmallRuns drops runs that are a small part of their streams' messages on some of their days, or,
// without a whole day, in the time that they have in common with the other runs at the provider. It
// counts the streams of one provider together, day by day, until each has too many messages. (A report
// of one day on ten million attempts with 60 runs took more than 120 s of processor time when all
// messages of each run were counted, and takes 9.4 s; 60 runs within half a day of 700,000 attempts took
// 4.3 s one by one, and take 0.1 s.)
func (x *refusalSearch) dropSmallRuns(ctx context.Context, runs []*spamRun) ([]*spamRun, error) {
	type place struct{ provider, domain string }
	type part struct {
		place
		since, until moment
	}
	groups := map[part]map[string][]*spamRun{} // by sender domain
	add := func(k part, run *spamRun) {
		if groups[k] == nil {
			groups[k] = map[string][]*spamRun{}
		}
		groups[k][run.spam.key.sender] = append(groups[k][run.spam.key.sender], run)
	}
	short := map[place][]*spamRun{} // without a whole day
	for _, run := range runs {
		at, list := place{run.spam.key.provider, run.spam.key.domain}, run.refusals
		first, last := dayOf(list[0].at.time().Add(24*time.Hour-1)), dayOf(list[len(list)-1].at.time())
		if first >= last {
			short[at] = append(short[at], run)
		}
		for d := first; d < last; d++ {
			add(part{at, momentOf(dayTime(d)), momentOf(dayTime(d + 1))}, run)
		}
	}
	for at, list := range short {
		common := part{at, 0, math.MaxInt64}
		for _, run := range list {
			common.since, common.until = max(common.since, run.refusals[0].at), min(common.until, run.refusals[len(run.refusals)-1].at)
		}
		if len(list) == 1 || common.since >= common.until {
			continue
		}
		for _, run := range list {
			add(common, run)
		}
	}
	large := func(run *spamRun) bool { return x.goodPart(run, run.tried) }
	parts := slices.SortedFunc(maps.Keys(groups), func(a, b part) int {
		return cmp.Or(strings.Compare(a.provider, b.provider), strings.Compare(a.domain, b.domain), cmp.Compare(a.since, b.since))
	})
	for _, k := range parts {
		open := false
		for _, list := range groups[k] {
			open = open || slices.ContainsFunc(list, large)
		}
		if !open {
			continue
		}
		f := x.mailTo(k.provider, k.domain)
		f.Since, f.Until = k.since.time(), k.until.time()
		cells, err := x.s.Count(ctx, f, store.BySenderDomain)
		if err != nil {
			return nil, err
		}
		for i := range cells {
			for _, run := range groups[k][cells[i].Keys[0]] {
				run.tried += cells[i].Messages
			}
		}
	}
	return slices.DeleteFunc(runs, func(run *spamRun) bool { return !large(run) }), nil
}

// mailTo selects all mail to a provider, or to a domain if it is not empty.
func (x *refusalSearch) mailTo(provider, domain string) store.Filter {
	f := x.f
	f.Outcomes, f.Reasons = nil, nil
	if domain != "" {
		f.Domain = domain
	} else {
		f.Relay = provider
	}
	return f
}

// takesOthers reports whether a provider that refuses a run for its form takes other mail meanwhile.
func (x *refusalSearch) takesOthers(ctx context.Context, run *spamRun) (bool, error) {
	k, list := run.spam.key, run.refusals
	if k.reason != bounce.ContentRejected {
		return true, nil
	}
	f := x.mailTo(k.provider, k.domain)
	f.Since, f.Until, f.Outcomes = list[0].at.time(), list[len(list)-1].at.time().Add(time.Second), []bounce.Outcome{bounce.Delivered}
	c, err := store.CountAll(ctx, x.s, f)
	return c.Delivered > 0, err
}

// callsSpam reports whether a run is a good part of the messages of its stream in its time.
func (x *refusalSearch) callsSpam(ctx context.Context, run *spamRun) (bool, error) {
	k, list := run.spam.key, run.refusals
	f := x.mailTo(k.provider, k.domain)
	f.SenderDomain, f.Since, f.Until = k.sender, list[0].at.time(), list[len(list)-1].at.time().Add(time.Second)
	c, err := store.CountAll(ctx, x.s, f)
	return x.goodPart(run, c.Messages), err
}
