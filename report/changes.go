package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/when"
	"bouncelog/store"
)

// The values of Change.Change.
const (
	ChangeNew    = "new"
	ChangeWorse  = "worse"
	ChangeMore   = "more" // of a total
	ChangeSolved = "solved"
)

// totalDeferrals is the key of the total of deferred attempts.
const totalDeferrals = "deferrals"

// The thresholds below which a change is noise (see docs/counting.md).
const (
	changeLeast  = 5   // failed recipients in the worse of the two periods
	changeShare  = 0.1 // of all recipients of the domain or provider in that period; for a reason, of all returned
	changeFactor = 2.0 // minimum ratio of the failures, at the traffic of the previous period
	changeSigma  = 3.0 // standard deviations of a random count

	totalLeast  = 100                 // more than before, at least; higher: fewer changes of totals
	totalFactor = 3.0                 // times the total of the previous period, at least: a Monday has three times a Sunday's mail
	totalUsual  = 2.0                 // times the largest of the earlier periods of the same length, at least
	totalPast   = 28 * 24 * time.Hour // these begin at most so long before
	totalOne    = 0.5                 // of the additional deferrals are mail of one sender to one recipient, at least, that are named
	totalKnown  = 4 * 24 * time.Hour  // the log begins so long before the period, at least: a weekend tells nothing of a Monday
)

// change compares the numbers of failed recipients of two periods. traffic is the ratio of all
// recipients now to those before. The result is "" for no significant change: a number that fell is
// not worse, and one that grew is not solved, whatever the traffic.
func change(now, before int64, traffic float64) string {
	expected := float64(before) * traffic
	beyond := math.Abs(float64(now)-expected) >= changeSigma*math.Sqrt(float64(now)+expected)
	switch {
	case now >= changeLeast && before == 0:
		return ChangeNew
	case now >= changeLeast && now > before && float64(now) >= changeFactor*expected && beyond:
		return ChangeWorse
	case before >= changeLeast && now < before && expected >= changeLeast && float64(now) <= expected/10 && beyond:
		return ChangeSolved
	}
	return ""
}

// before returns the filter of the period before that of f; ok is false if f is open at an end.
func before(f store.Filter, loc *time.Location) (store.Filter, bool) {
	if f.Since.IsZero() || f.Until.IsZero() {
		return f, false
	}
	p := when.Period{Since: f.Since, Until: f.Until}.Before(loc)
	f.Since, f.Until = p.Since, p.Until
	return f, true
}

// A tally holds the numbers from which changes are derived: recipients of messages, and those of
// them that failed.
type tally struct {
	recipients, lost, waiting int64
	failed, hard, attempts    int64
	reasons                   map[bounce.Reason]int64
	domains                   map[string]int64 // lost mail of a provider, by domain
}

// failedRecipients counts recipients to whom a message was returned or deferred: a retry adds
// nothing.
func failedRecipients(t *store.Counts) int64 { return t.Hard + t.Recovered + t.Pending }

// A talliedPeriod has the tallies of domains, providers and reasons, by name.
type talliedPeriod struct {
	kinds    map[string]map[string]*tally
	returned int64 // recipients to whom mail was returned
}

func tallies(routes []store.Cell, reasons []store.Cell) talliedPeriod {
	p := talliedPeriod{kinds: map[string]map[string]*tally{"domain": {}, "provider": {}, "reason": {}}}
	add := func(kind, key string, r *store.Cell) *tally {
		t := p.kinds[kind][key]
		if t == nil {
			t = &tally{reasons: map[bounce.Reason]int64{}, domains: map[string]int64{}}
			p.kinds[kind][key] = t
		}
		t.recipients += Recipients(&r.Counts)
		t.lost += failedRecipients(&r.Counts)
		t.waiting += r.Pending
		t.failed += r.Soft + r.Hard
		t.hard += r.Hard
		t.attempts += r.Attempts
		for reason, n := range r.Reasons {
			t.reasons[reason] += n
		}
		return t
	}
	usual := usualProviders(routes)
	for i := range routes {
		r := &routes[i]
		p.returned += r.Hard
		add("domain", r.Keys[0], r)
		add("provider", usual.provider(r), r).domains[r.Keys[0]] += failedRecipients(&r.Counts)
	}
	for i := range reasons {
		g := &reasons[i]
		if g.Soft+g.Hard == 0 {
			continue
		}
		// Recipients with a reason that took the mail later are not counted.
		p.kinds["reason"][g.Keys[0]] = &tally{recipients: p.returned, lost: g.Hard, failed: g.Soft + g.Hard, hard: g.Hard}
	}
	return p
}

// matters reports whether enough recipients failed in a period to act: a share of the mail that
// retries did not deliver.
func (t *tally) matters() bool {
	return t.hard+t.waiting >= changeLeast && float64(t.lost) >= changeShare*float64(t.recipients)
}

// changes compares two periods; traffic is the ratio of all their mail. It reports failures at a
// provider once: under the domain if the provider has only that one, else under the provider.
func changes(now, then talliedPeriod, traffic float64) []Change {
	found := []Change{}
	told := map[[2]string]int64{} // lost mail at providers, by change and domain
	for _, kind := range []string{"provider", "domain", "reason"} {
		keys := map[string]bool{}
		for _, p := range []talliedPeriod{now, then} {
			for key := range p.kinds[kind] {
				keys[key] = true
			}
		}
		for key := range keys {
			a, b := cmp.Or(now.kinds[kind][key], &tally{}), cmp.Or(then.kinds[kind][key], &tally{})
			c := Change{
				Kind: kind, Key: key, Recipients: a.lost, RecipientsBefore: b.lost, Messages: a.lost, MessagesBefore: b.lost,
				Failed: a.failed, Hard: a.hard, Before: b.failed, Attempts: a.attempts, Reason: mainReason(a.reasons),
			}
			c.Change = change(a.lost, b.lost, traffic)
			worse := a
			if c.Change == ChangeSolved {
				worse = b
			}
			if c.Change == "" || key == "" || !worse.matters() {
				continue
			}
			if c.Change == ChangeSolved {
				c.Reason = mainReason(b.reasons)
				if kind != "reason" && a.attempts == 0 {
					continue // no mail is sent there any more: that solves nothing
				}
			}
			switch of := [2]string{c.Change, key}; {
			case kind == "domain" && told[of] > 0 && told[of] == worse.lost:
				continue
			case kind == "provider":
				if slices.Contains(slices.Collect(maps.Values(worse.domains)), worse.lost) {
					continue
				}
				for domain, lost := range worse.domains {
					told[[2]string{c.Change, domain}] += lost
				}
			}
			found = append(found, c)
		}
	}
	rank := map[string]int{ChangeNew: 0, ChangeWorse: 1, ChangeSolved: 2, "provider": 0, "domain": 1, "reason": 2}
	slices.SortFunc(found, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank[a.Change], rank[b.Change]), cmp.Compare(max(b.Recipients, b.RecipientsBefore), max(a.Recipients, a.RecipientsBefore)),
			cmp.Compare(rank[a.Kind], rank[b.Kind]), strings.Compare(a.Key, b.Key))
	})
	return found
}

// totalChanges finds the totals of a period that are many times those of the previous one, and of
// each earlier period of that length: all mail, and the deferred attempts. hours are the attempts of
// the log; other are the changes of providers and domains, which may explain the deferrals.
func totalChanges(hours []Point, c *Comparison, traffic float64, other []Change) (found []Change) {
	is, was := &c.Counts, &c.Before
	if len(hours) == 0 || c.Since.Sub(hours[0].Time.Truncate(24*time.Hour)) < totalKnown {
		return nil
	}
	more := func(now, before int64, traffic float64, of func(*Point) int64) bool {
		expected := totalFactor * float64(before) * traffic
		return now >= before+totalLeast && float64(now) >= expected && float64(sum(hours, c.Since, c.Until, of)) >= totalUsual*float64(mostBefore(hours, c.Since, c.Until, of))
	}
	if more(is.Delivered+is.Hard, was.Delivered+was.Hard, 1, (*Point).settled) {
		found = append(found, Change{Key: "deliveries", Recipients: is.Delivered + is.Hard, RecipientsBefore: was.Delivered + was.Hard})
	}
	explained := slices.ContainsFunc(other, func(x Change) bool {
		return x.Kind != "reason" && x.Change != ChangeSolved && 2*(x.Failed-x.Before) >= is.Soft-was.Soft
	})
	if !explained && more(is.Soft, was.Soft, max(traffic, 1), func(p *Point) int64 { return p.Soft }) {
		found = append(found, Change{Key: totalDeferrals, Recipients: is.Soft, RecipientsBefore: was.Soft})
	}
	for i := range found {
		x := &found[i]
		x.Kind, x.Change, x.Messages, x.MessagesBefore = "total", ChangeMore, x.Recipients, x.RecipientsBefore
		x.Failed, x.Before, x.Hard, x.Attempts = is.Soft+is.Hard, was.Soft+was.Hard, is.Hard, is.Attempts
	}
	return found
}

// findMail names the sender and the recipient of most of the deferrals that are more than before: a
// program may flood one mailbox. cells are the deferrals by sender and recipient.
func (c *Change) findMail(cells []store.Cell) {
	for i := range cells {
		x := &cells[i]
		if from := x.Keys[0]; from == "" || from == nullSender || float64(x.Soft) < totalOne*float64(c.Recipients-c.RecipientsBefore) {
			continue
		}
		if c.Mail == nil || x.Soft > c.Mail.Attempts {
			c.Mail, c.Reason = &MailOf{x.Keys[0], x.Keys[1], x.Soft}, mainReason(x.Reasons)
		}
	}
}

// sum adds up the attempts of some hours.
func sum(hours []Point, since, until time.Time, of func(*Point) int64) (n int64) {
	for i := range hours {
		if p := &hours[i]; !p.Time.Before(since) && p.Time.Before(until) {
			n += of(p)
		}
	}
	return n
}

// mostBefore returns the largest sum of an earlier period of the same length; 0 if there is none.
func mostBefore(hours []Point, since, until time.Time, of func(*Point) int64) (most int64) {
	length := until.Sub(since)
	for back := length; back <= totalPast && len(hours) > 0 && until.Add(-back).After(hours[0].Time); back += length {
		most = max(most, sum(hours, since.Add(-back), until.Add(-back), of))
	}
	return most
}

// mainReason returns the most frequent reason of the failures; NoReason if there are none. The end
// of the queue lifetime counts only if there is no other reason: the temporary failures before it
// are among the failures. Among equals it prefers a reason about us, then one that no retry mends,
// then the alphabet. Failures without a reason (see Stated) count as unknown.
func mainReason(reasons map[bounce.Reason]int64) (reason bounce.Reason) {
	if n := reasons[bounce.NoReason]; n > 0 {
		reasons = maps.Clone(reasons)
		delete(reasons, bounce.NoReason)
		reasons[bounce.Unknown] += n
	}
	better := func(r bounce.Reason, n int64) bool {
		switch {
		case reason == bounce.NoReason:
			return true
		case (r == bounce.Expired) != (reason == bounce.Expired):
			return reason == bounce.Expired
		case n != reasons[reason]:
			return n > reasons[reason]
		case r.RefusesSender() != reason.RefusesSender():
			return r.RefusesSender()
		case r.AboutAddress() != reason.AboutAddress():
			return r.AboutAddress()
		}
		return r.String() < reason.String()
	}
	for r, n := range reasons {
		if n > 0 && better(r, n) {
			reason = r
		}
	}
	return reason
}
