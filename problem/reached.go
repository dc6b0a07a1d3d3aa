package problem

import (
	"math/bits"
	"time"

	"bouncelog/internal/provider"
	"bouncelog/store"
)

// hoursKept is the maximum number of hours with a delivery, half a kilobyte each: two years.
const hoursKept = 20_000

// A reached records when recipients at others' servers took mail, according to the failed attempts
// that were read. A busy server has some hundred stretches of failures a day, and a query to the
// store for each would take longer than the rest of a report. Failed attempts do not tell whose
// mail was delivered, so deliveries are recorded only if everybody's mail is requested.
type reached struct {
	everybody bool               // see store.Filter.Everybody
	hours     map[int64]*seconds // keyed by hours since 1970
	answered  []moment           // when a host of others answered: the network is up
}

// A seconds is a bit set of the seconds of an hour.
type seconds [(3600 + 63) / 64]uint64

func newReached(f store.Filter) *reached {
	return &reached{
		everybody: f.Everybody(),
		hours:     map[int64]*seconds{},
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
