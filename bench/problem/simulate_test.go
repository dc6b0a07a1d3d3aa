package problem

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/store/storetest"
)

const (
	simDay  = 24 * time.Hour
	simDays = 35
	learnt  = 28 // days after which alarms count
	group   = 25 // pairs in one log
)

var simBegin = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// A simPair is one sender domain's mail to one provider.
type simPair struct {
	name       string
	perDay     float64 // messages
	recipients int
	refused    float64 // share of the messages that are refused in good days
	newsletter float64 // chance that the day's newsletter is judged spam
}

func newPair(r *rand.Rand, n int) simPair {
	return simPair{
		name:       fmt.Sprintf("s%d", n),
		perDay:     2 * math.Exp(0.9*r.NormFloat64()+0.9),
		recipients: 10 + r.IntN(60),
		refused:    0.015 * math.Exp(0.9*r.NormFloat64()-0.4),
		newsletter: 0.035,
	}
}

// log makes the pair's mail. From the day faultFrom on a share fault of the messages
// is refused.
func (p simPair) log(r *rand.Rand, faultFrom int, fault float64) (list []store.Attempt) {
	message := func(day, n, recipients int, refused bool) {
		at := simBegin.Add(time.Duration(day)*simDay + time.Duration(6+12*r.Float64())*time.Hour + time.Duration(r.IntN(3600))*time.Second)
		first := r.IntN(p.recipients)
		for i := range recipients {
			to := fmt.Sprintf("u%d", (first+i)%p.recipients)
			a := store.Attempt{Delivery: bounce.Delivery{
				Source: "sim", Time: at, Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp",
				QueueID: fmt.Sprintf("%sD%dM%d", p.name, day, n), Sender: "a@" + p.name + ".example", SenderDomain: p.name + ".example", SenderKnown: true,
				Recipient: to + "@" + p.name + "-there.example", RecipientDomain: p.name + "-there.example",
				RelayHost: "mx." + p.name + "-provider.example", RelayIP: "192.0.2.1", RelayPort: 25,
				Status: "sent", Outcome: bounce.Delivered, Code: 250, Delay: 1, Response: "250 2.0.0 Ok",
			}}
			if refused {
				a.Status, a.Outcome, a.Code, a.Response = "bounced", bounce.Hard, 550, "550 5.7.1 Message refused"
				a.Stage = bounce.StageEOM
				a.Verdict = bounce.Verdict{Reason: bounce.Policy, Scope: bounce.ScopeSender, Rule: "sim", Confidence: bounce.GeneralText}
			}
			list = append(list, a)
		}
	}
	for day := range simDays {
		n := 0
		for range poisson(r, p.perDay) {
			recipients := 1
			if r.IntN(5) == 0 {
				recipients = 2 + r.IntN(3)
			}
			n++
			message(day, n, recipients, r.Float64() < p.refused || day >= faultFrom && r.Float64() < fault)
		}
		if r.IntN(3) == 0 || r.Float64() < p.newsletter { // to many at once
			n++
			message(day, n, min(p.recipients, 5+r.IntN(20)), r.Float64() < 3*p.newsletter || day >= faultFrom && r.Float64() < fault)
		}
	}
	return list
}

func poisson(r *rand.Rand, mean float64) int {
	n, p, limit := 0, 1.0, math.Exp(-mean)
	for {
		if p *= r.Float64(); p < limit {
			return n
		}
		n++
	}
}

// simulated stores the mail of some pairs in a database.
func simulated(t *testing.T, seed uint64, first, n, faultFrom int, fault float64) store.Store {
	t.Helper()
	db, err := sqlite.Open(t.Context(), "", sqlite.Options{Temporary: true})
	if err != nil {
		t.Fatal(err)
	}
	var all []store.Attempt
	for i := first; i < first+n; i++ {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		all = append(all, newPair(r, i).log(r, faultFrom, fault)...)
	}
	slices.SortStableFunc(all, func(a, b store.Attempt) int { return a.Time.Compare(b.Time) })
	b := &store.Batch{Attempts: all}
	for i := range all {
		all[i].Offset = int64(i) * 100
	}
	b.Sources = []store.Source{{ID: "sim", Path: "sim", Offset: int64(len(all)) * 100, First: simBegin, Last: all[len(all)-1].Time}}
	if err := storetest.Put(t.Context(), db, b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// likelyOn says which sender domains have a likely problem on a day, as the
// report of that day tells.
func likelyOn(t *testing.T, s store.Store, day int, o problem.Thresholds) map[string]bool {
	t.Helper()
	since := simBegin.Add(time.Duration(day) * simDay)
	r, err := s.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	problems, err := problem.Find(t.Context(), r, store.Filter{Since: since, Until: since.Add(simDay)}, o)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, p := range problems {
		if p.Level == problem.Likely {
			for _, d := range p.SenderDomains {
				found[d] = true
			}
		}
	}
	return found
}

// The rules, from the loosest to the one that is the default.
var rules = []struct {
	name string
	o    problem.Thresholds
}{
	{"any refusal of a valid recipient", problem.Thresholds{Recipients: 1, Messages: 1, Share: 1e-9, Chance: 1}},
	{"at least 3 valid recipients", problem.Thresholds{Recipients: 3, Messages: 1, Share: 1e-9, Chance: 1}},
	{"and at least 2 messages", problem.Thresholds{Recipients: 3, Messages: 2, Share: 1e-9, Chance: 1}},
	{"and new against its own 28 days, at least 10 %: the default", problem.Thresholds{}},
}

var faults = []float64{1, 0.5, 0.2}

// A simResult is what one rule came to.
type simResult struct {
	alarmDays, days   int
	pairs, everAlarms int
	found             [3]int // within three days, by faults
}

// TestSimulation counts false alarms and faults found on FLAG_PAIRS pairs (1500 for
// the table of README.md).
func TestSimulation(t *testing.T) {
	pairs := 2 * group
	if n, err := strconv.Atoi(os.Getenv("FLAG_PAIRS")); err == nil {
		pairs = n
	}
	results := make([]simResult, len(rules))
	for first := 0; first < pairs; first += group {
		quiet := simulated(t, 1, first, group, simDays, 0)
		for i, rule := range rules {
			ever := map[string]bool{}
			for day := learnt; day < simDays; day++ {
				for d := range likelyOn(t, quiet, day, rule.o) {
					results[i].alarmDays++
					ever[d] = true
				}
			}
			results[i].days += group * (simDays - learnt)
			results[i].pairs += group
			results[i].everAlarms += len(ever)
		}
		for f, fault := range faults {
			broken := simulated(t, 2, first, group, learnt, fault)
			for i, rule := range rules {
				found := map[string]bool{}
				for day := learnt; day < learnt+3; day++ {
					for d := range likelyOn(t, broken, day, rule.o) {
						found[d] = true
					}
				}
				results[i].found[f] += len(found)
			}
		}
	}
	for i, rule := range rules {
		x := results[i]
		share := func(n int) float64 { return 100 * float64(n) / float64(x.pairs) }
		t.Logf("| %s | %.2f | %.1f %% | %.0f / %.0f / %.0f |", rule.name, 100*float64(x.alarmDays)/float64(x.days), share(x.everAlarms),
			share(x.found[0]), share(x.found[1]), share(x.found[2]))
	}
	last, loosest := results[len(results)-1], results[0]
	if last.alarmDays*20 > loosest.alarmDays || last.alarmDays*100 > last.days {
		t.Errorf("%d false alarms in %d days; %d without thresholds", last.alarmDays, last.days, loosest.alarmDays)
	}
	if last.found[0]*10 < last.pairs*7 {
		t.Errorf("%d of %d whole faults found within three days", last.found[0], last.pairs)
	}
}
