package problem

import (
	"math/bits"
	"time"

	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/store"
)

// hoursKept is the maximum number of hours with a delivery, half a kilobyte each: two years.
const hoursKept = 20_000

// domainHoursKept is the maximum number of hours with a delivery of all domains together, about 20 bytes
// each. Of more, the deliveries of the other hours are counted.
const domainHoursKept = 500_000

// A reached records when recipients at others' servers took mail, according to the failed attempts
// that were read. A busy server has some hundred stretches of failures a day, and a query to the
// store for each would take longer than the rest of a report. Failed attempts do not tell whose
// mail was delivered, so deliveries are recorded only if everybody's mail is requested.
type reached struct {
	everybody bool               // see store.Filter.Everybody
	hours     map[int64]*seconds // keyed by hours since 1970
	answered  []moment           // when a host of others answered: the network is up
	domains   domainHours        // in which domains took mail
	kept      int                // hours in domains
}

// domainHours are the hours since 1970 in which domains, in lower case, took mail.
type domainHours map[string]map[int64]bool

func (h domainHours) add(domain string, hour int64) {
	if h[domain] == nil {
		h[domain] = map[int64]bool{}
	}
	h[domain][hour] = true
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

func hourTime(hour int64) time.Time { return time.Unix(hour*3600, 0).UTC() }

// A seconds is a bit set of the seconds of an hour.
type seconds [(3600 + 63) / 64]uint64

func newReached(f store.Filter) *reached {
	return &reached{
		everybody: f.Everybody(),
		hours:     map[int64]*seconds{},
		domains:   domainHours{},
	}
}

// note records that a host answered, and when the recipient of a failed attempt took mail.
func (x *reached) note(r *store.Refusal) {
	ofOthers := atOthers(r.Traits)
	if r.Code != 0 && ofOthers && !provider.Submits(r.RelayPort) {
		if len(x.answered) == failuresKept {
			x.answered = append(x.answered[:0], x.answered[failuresKept/2:]...)
		}
		x.answered = append(x.answered, momentOf(r.Time))
	}
	if !x.everybody || !ofOthers {
		return
	}
	x.noteDomain(r)
	for _, t := range [...]time.Time{r.DeliveredBefore, r.DeliveredAfter} {
		if t.IsZero() || t.Unix() < 0 {
			continue
		}
		hour, second := t.Unix()/3600, t.Unix()%3600
		s := x.hours[hour]
		if s == nil {
			if len(x.hours) >= hoursKept {
				continue
			}
			s = new(seconds)
			x.hours[hour] = s
		}
		s[second/64] |= 1 << (second % 64)
	}
}

// noteDomain records in which hours the domain of a failed attempt took mail, according to the history of
// the recipient.
func (x *reached) noteDomain(r *store.Refusal) {
	if !x.everybody {
		return
	}
	var hours map[int64]bool
	for _, t := range [...]time.Time{r.DeliveredBefore, r.DeliveredAfter} {
		if t.IsZero() || t.Unix() < 0 || x.kept >= domainHoursKept {
			continue
		}
		domain, hour := ascii.Lower(r.RecipientDomain), hourOf(t)
		if hours == nil {
			hours = x.domains[domain]
		}
		if !hours[hour] {
			x.domains.add(domain, hour)
			x.kept++
		}
	}
}

// domainsIn returns the hours that lie in a period, of some domains.
func (x *reached) domainsIn(domains []string, since, until time.Time) domainHours {
	out := domainHours{}
	for _, domain := range domains {
		for hour := range x.domains[domain] {
			if at := hourTime(hour); !at.Before(since) && (until.IsZero() || !at.Add(time.Hour).After(until)) {
				out.add(domain, hour)
			}
		}
	}
	return out
}

// least returns a lower bound of the number of deliveries to others in the time of a run.
func (x *reached) least(run []failure) (n int) {
	const second = moment(time.Second / time.Microsecond)
	first, last := int64((run[0].at+second-1)/second), int64(lastOf(run)/second)
	for hour := range x.hours {
		if from, to := max(first, hour*3600), min(last, hour*3600+3599); from <= to {
			n += x.during(from, to)
		}
	}
	return n
}

// during returns the number of seconds with a delivery in [from, to]. Both lie in the same hour.
func (x *reached) during(from, to int64) (n int) {
	s := x.hours[from/3600]
	if s == nil {
		return 0
	}
	from, to = from%3600, to%3600
	for i := from / 64; i <= to/64; i++ {
		word := s[i]
		if i == from/64 {
			word &= ^uint64(0) << (from % 64)
		}
		if i == to/64 {
			word &= ^uint64(0) >> (63 - to%64)
		}
		n += bits.OnesCount64(word)
	}
	return n
}

// interrupts reports whether mail was delivered in each hour in which a run has failures, and more
// than in an outage.
func (x *reached) interrupts(run []failure) bool {
	const second = moment(time.Second / time.Microsecond)
	first, last := int64((run[0].at+second-1)/second), int64(run[len(run)-1].at/second)
	if first < 0 {
		return false
	}
	n, counted := 0, int64(-1)
	for i := range run {
		hour := int64(run[i].at/second) / 3600
		if hour == counted {
			continue
		}
		counted = hour
		from, to := max(first, hour*3600), min(last, hour*3600+3599)
		if from > to {
			return false
		}
		taken := x.during(from, to)
		if taken == 0 {
			return false
		}
		n += taken
	}
	return float64(n) > outageThrough*float64(len(run))
}
