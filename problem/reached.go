package problem

import (
	"math/bits"
	"time"

	"bouncelog/internal/provider"
	"bouncelog/store"
)

// hoursKept are the hours in which somebody was reached, half a kilobyte each: two years.
const hoursKept = 20_000

// A reached is when recipients at others' servers took mail, according to the failed
// attempts that were read: to ask the store for each stretch of failures, of which a busy
// server has some hundreds a day, takes longer than all else of a report. Whose mail that was
// the failed attempts do not say; so it is only noted if everybody's mail is asked for.
type reached struct {
	everybody bool               // see store.Filter.Everybody
	hours     map[int64]*seconds // since 1970
	answered  []moment           // when a host of others answered: the way out works
}

// The seconds of an hour, a bit each.
type seconds [(3600 + 63) / 64]uint64

func newReached(f store.Filter) *reached {
	return &reached{
		everybody: f.Everybody(),
		hours:     map[int64]*seconds{},
	}
}

// note notes that a host answered, and when the recipient of a failed attempt took mail.
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

// during is in how many seconds from one to another, both included, somebody was reached;
// they are of one hour.
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

// interrupts reports whether mail was taken in each hour in which a run has failures, and
// more of it than an outage leaves.
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
