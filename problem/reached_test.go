package problem

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// TestDomainHours holds that the hours in which a domain took mail are known from the histories of the
// recipients, and that an hour that is only partly in a period is left to be counted.
func TestDomainHours(t *testing.T) {
	at := time.Date(2026, 3, 2, 10, 30, 0, 0, time.UTC)
	r := &store.Refusal{Traits: &store.Traits{RecipientDomain: "Big.example"}, Time: at, DeliveredBefore: at.Add(-2 * time.Hour), DeliveredAfter: at.Add(time.Hour)}
	x := newReached(store.Filter{})
	x.noteDomain(r)
	x.noteDomain(r)
	for _, test := range []struct {
		since, until time.Time
		want         []int // hours of the day
	}{
		{time.Time{}, time.Time{}, []int{8, 11}},
		{at.Add(-150 * time.Minute), at.Add(90 * time.Minute), []int{8, 11}},
		{at.Add(-149 * time.Minute), at.Add(90 * time.Minute), []int{11}},
		{at.Add(-150 * time.Minute), at.Add(89 * time.Minute), []int{8}},
	} {
		var got []int
		for _, hour := range slices.Sorted(maps.Keys(x.domainsIn([]string{"big.example"}, test.since, test.until)["big.example"])) {
			got = append(got, hourTime(hour).Hour())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("from %s until %s: %d, want %d", test.since, test.until, got, test.want)
		}
	}
	x = newReached(store.Filter{Host: "mx1"}) // the deliveries may be another host's
	if x.noteDomain(r); len(x.domains) > 0 {
		t.Errorf("of one host: %v", x.domains)
	}
}

// TestHoursCounted holds that hours are counted only for the domains, and in the time, in which the
// histories of the recipients leave enough refusals of valid ones without a delivery in between.
func TestHoursCounted(t *testing.T) {
	const each = 12
	log := &shortLog{begin: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}
	for _, domain := range []string{"left.example", "lost.example"} {
		for i := range each {
			log.add(time.Duration(i)*time.Minute, "a@shop.example", fmt.Sprintf("u%d@%s", i, domain), "mx."+domain)
		}
	}
	log.add(0, "a@shop.example", "boss@left.example", "mx.left.example")
	unknown := bounce.Verdict{Reason: bounce.UserUnknown, Scope: bounce.ScopeRecipient}
	for i := range each {
		at := 48*time.Hour + time.Duration(i)*time.Hour
		for _, to := range []string{fmt.Sprintf("u%d@left.example", i), fmt.Sprintf("u%d@lost.example", i), "boss@left.example"} {
			a := log.add(at, "a@shop.example", to, "mx."+strings.SplitN(to, "@", 2)[1])
			refuse(a, "550 5.1.1 User unknown", unknown)
			a.Stage = bounce.StageRcpt
		}
		log.add(at+time.Second, "a@shop.example", "boss@left.example", "mx.left.example")
	}
	counter := &hourReader{Reader: log.read(t)}
	found, err := Find(t.Context(), counter, store.Filter{}, Thresholds{})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Cause != causeTable || !slices.Equal(found[0].Domains, []string{"lost.example"}) {
		t.Errorf("%+v", found)
	}
	if !slices.Equal(slices.Compact(counter.domains), []string{"lost.example"}) {
		t.Errorf("hours counted for %q", counter.domains)
	}
}

// An hourReader keeps the domains whose deliveries are counted by the hour.
type hourReader struct {
	store.Reader
	domains []string
}

func (r *hourReader) CountPeriods(ctx context.Context, f store.Filter, periods []store.Span, by ...store.Dimension) ([][]store.Cell, error) {
	if slices.Equal(by, []store.Dimension{store.ByHour, store.ByDomain}) {
		r.domains = append(r.domains, f.Domains...)
	}
	return store.CountPeriods(ctx, r.Reader, f, periods, by...)
}

func (r *hourReader) NewestAt(ctx context.Context, f store.Filter, visits []store.Visit) ([]*store.Attempt, error) {
	return store.NewestAt(ctx, r.Reader, f, visits)
}
