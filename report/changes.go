package report

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/when"
	"bouncelog/store"
)

// A Change is a domain, a provider or a reason that fails otherwise than in
// the period before.
type Change struct {
	Kind     string        `json:"kind"` // domain, provider, reason
	Key      string        `json:"key"`
	Change   string        `json:"change"` // new, worse, solved
	Failed   int64         `json:"failed"` // attempts, soft and hard
	Hard     int64         `json:"hard"`
	Before   int64         `json:"failed_before"`
	Attempts int64         `json:"attempts"`        // where the kind has a number of its own
	Reason   bounce.Reason `json:"reason,omitzero"` // the commonest: of now, of then where solved
}

// The words for Change.Change.
const (
	ChangeNew    = "new"
	ChangeWorse  = "worse"
	ChangeSolved = "solved"
)

// What changed at less than this is noise (see docs/counting.md).
const (
	changeLeast  = 5   // failed attempts in the worse of the two periods
	changeFactor = 2.0 // how much worse, at the traffic of then
	changeSigma  = 3.0 // standard deviations of a count that varies by chance
)

// change says how now failed attempts compare with before failed ones, where
// traffic is the ratio of all attempts now to those before; "": nothing to
// speak of.
func change(now, before int64, traffic float64) string {
	expected := float64(before) * traffic
	beyond := math.Abs(float64(now)-expected) >= changeSigma*math.Sqrt(float64(now)+expected)
	switch {
	case now >= changeLeast && before == 0:
		return ChangeNew
	case now >= changeLeast && float64(now) >= changeFactor*expected && beyond:
		return ChangeWorse
	case before >= changeLeast && expected >= changeLeast && float64(now) <= expected/10 && beyond:
		return ChangeSolved
	}
	return ""
}

// before is the filter of the period before that of f; ok is false where f is
// open at an end.
func before(f store.Filter, loc *time.Location) (store.Filter, bool) {
	if f.Since.IsZero() || f.Until.IsZero() {
		return f, false
	}
	p := when.Period{Since: f.Since, Until: f.Until}.Before(loc)
	f.Since, f.Until = p.Since, p.Until
	return f, true
}

// A tally is what changes are told from.
type tally struct {
	failed, hard, attempts int64
	reasons                map[bounce.Reason]int64
}

// tallies counts domains, providers and reasons.
func tallies(routes []store.Route) map[string]map[string]*tally {
	kinds := map[string]map[string]*tally{"domain": {}, "provider": {}, "reason": {}}
	add := func(kind, key string, r *store.Route) {
		t := kinds[kind][key]
		if t == nil {
			t = &tally{reasons: map[bounce.Reason]int64{}}
			kinds[kind][key] = t
		}
		t.failed += r.Soft + r.Hard
		t.hard += r.Hard
		t.attempts += r.Attempts
		for reason, n := range r.Reasons {
			t.reasons[reason] += n
		}
	}
	usual := usualProviders(routes)
	for i := range routes {
		r := &routes[i]
		add("domain", r.Domain, r)
		add("provider", usual.provider(r), r)
		for reason, n := range r.Reasons {
			t := kinds["reason"][reason.String()]
			if t == nil {
				t = &tally{}
				kinds["reason"][reason.String()] = t
			}
			t.failed += n
		}
	}
	return kinds
}

// changes compares the routes of two periods. A provider that is one domain
// only is told as that.
func changes(now, then []store.Route) []Change {
	nowBy, thenBy := tallies(now), tallies(then)
	total := func(routes []store.Route) (n int64) {
		for i := range routes {
			n += routes[i].Attempts
		}
		return n
	}
	found := []Change{}
	was, is := total(then), total(now)
	if was == 0 || is == 0 {
		return found
	}
	traffic := float64(is) / float64(was)
	for _, kind := range []string{"domain", "provider", "reason"} {
		keys := map[string]bool{}
		for key := range nowBy[kind] {
			keys[key] = true
		}
		for key := range thenBy[kind] {
			keys[key] = true
		}
		for key := range keys {
			a, b := nowBy[kind][key], thenBy[kind][key]
			if a == nil {
				a = &tally{}
			}
			if b == nil {
				b = &tally{}
			}
			c := Change{Kind: kind, Key: key, Failed: a.failed, Hard: a.hard, Before: b.failed, Attempts: a.attempts, Reason: mainReason(a.reasons)}
			if c.Change = change(a.failed, b.failed, traffic); c.Change == "" || key == "" {
				continue
			}
			if c.Change == ChangeSolved {
				c.Reason = mainReason(b.reasons)
				if kind != "reason" && a.attempts == 0 {
					continue // nobody mails it any more: that solves nothing
				}
			}
			if kind == "provider" {
				if d := nowBy["domain"][key]; d != nil && d.failed == a.failed {
					continue
				}
				if d := thenBy["domain"][key]; c.Change == ChangeSolved && d != nil && d.failed == b.failed {
					continue
				}
			}
			found = append(found, c)
		}
	}
	rank := map[string]int{ChangeNew: 0, ChangeWorse: 1, ChangeSolved: 2, "provider": 0, "domain": 1, "reason": 2}
	slices.SortFunc(found, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank[a.Change], rank[b.Change]), cmp.Compare(max(b.Failed, b.Before), max(a.Failed, a.Before)),
			cmp.Compare(rank[a.Kind], rank[b.Kind]), strings.Compare(a.Key, b.Key))
	})
	return found
}

// mainReason is the reason that most failures had; NoReason where there are none.
func mainReason(reasons map[bounce.Reason]int64) (reason bounce.Reason) {
	var most int64
	for r, n := range reasons {
		if n > most || n == most && r < reason {
			most, reason = n, r
		}
	}
	return reason
}
