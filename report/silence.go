package report

import (
	"slices"
	"time"

	"bouncelog/internal/when"
)

// silentFor is the time without a line after which any log is silent.
const silentFor = 24 * time.Hour

// silence returns the silence at the end of the period. It returns nil if the logs do not end
// early, or if the missing attempts are so few that it may be chance.
func (r *Report) silence(o Options) (*Silence, error) {
	if o.Now.IsZero() || !o.Live || r.AsOf.IsZero() {
		return nil, nil
	}
	hours, err := r.hours()
	if err != nil {
		return nil, err
	}
	selected, err := r.selected()
	if err != nil {
		return nil, err
	}
	end := o.Now
	if u := o.Filter.Until; !u.IsZero() && u.Before(end) {
		end = u
	}
	quiet := end.Sub(r.AsOf).Truncate(time.Second)
	expected := usualAttempts(hours, r.AsOf, end)
	if quiet < silentFor && (quiet < time.Hour || expected < gapExpected) {
		return nil, nil
	}
	command := o.Positions
	if command == "" {
		command = o.command("report", "--section", SectionUnparsed)
	}
	return &Silence{Since: r.AsOf.UTC(), Seconds: quiet.Seconds(), Expected: usualAttempts(selected, r.AsOf, end), Command: command}, nil
}

// A profile holds the attempts in the complete hours of a log, deferrals aside (see Point.settled).
type profile struct {
	start  time.Time // of the first hour
	counts []int64
	median int64 // of all hours
}

// newProfile returns the profile of the complete hours from start to end.
func newProfile(points []Point, start, end time.Time) *profile {
	p := &profile{start: start, counts: make([]int64, max(0, int(end.Sub(start)/time.Hour)))}
	for i := range points {
		if t := points[i].Time; !t.Before(start) && t.Before(end) {
			p.counts[t.Sub(start)/time.Hour] += points[i].settled()
		}
	}
	p.median = middle(slices.Clone(p.counts))
	return p
}

// middle sorts a list and returns its median, the upper of two; 0 of an empty list.
func middle(list []int64) int64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[len(list)/2]
}

// usual returns the usual number of attempts in one hour of a silence: the median of the same hour of
// all days. With fewer than profileDays days, nights are not known to be quiet. Then it is at most the
// median of all hours, and at most the largest number in the same hour of another day. If there is no
// such hour, it is at most the larger number of the two hours before the silence, and of the two after.
func (p *profile) usual(hour, from, to time.Time) int64 {
	index := func(t time.Time) int { return int(t.Sub(p.start) / time.Hour) }
	var same []int64
	few, at := len(p.counts) < profileDays*24, index(hour)
	for i := at % 24; i < len(p.counts); i += 24 {
		if !few || i != at {
			same = append(same, p.counts[i])
		}
	}
	if !few {
		return middle(same)
	}
	if len(same) > 0 {
		return min(p.median, slices.Max(same))
	}
	n := p.median
	for _, i := range []int{index(from) - 2, index(to)} {
		if beside := p.counts[min(max(i, 0), len(p.counts)):min(max(i+2, 0), len(p.counts))]; len(beside) > 0 {
			n = min(n, slices.Max(beside))
		}
	}
	return n
}

// usualAttempts returns the usual number of attempts, deferrals aside, between two points in time after
// the last attempt. points are the hours with attempts, in order.
func usualAttempts(points []Point, from, to time.Time) (n int64) {
	if len(points) < 3 || to.Sub(from) > 366*24*time.Hour {
		return 0
	}
	const hour = time.Hour
	// The first and the last hour are incomplete.
	start, end := points[0].Time.Add(hour), points[len(points)-1].Time
	if back := end.Add(-28 * 24 * hour); back.After(start) {
		start = back
	}
	p := newProfile(points, start, end)
	for t := from.UTC().Truncate(hour).Add(hour); !t.Add(hour).After(to); t = t.Add(hour) { // whole hours
		n += p.usual(t, end, to)
	}
	return n
}

// aheadLeast is how far ahead of the clock a line must be for a report: a smaller lead is the skew
// of two machines.
const aheadLeast = time.Minute

// ahead returns how far a line lies in the future; 0 if that is less than aheadLeast.
func ahead(newest, now time.Time) time.Duration {
	if d := newest.Sub(now); d >= aheadLeast {
		return d
	}
	return 0
}

// AgeWords describes the age of the newest line.
func AgeWords(newest, now time.Time) string {
	if d := ahead(newest, now); d > 0 {
		return when.Span(d) + " in the future"
	}
	return when.Span(now.Sub(newest)) + " ago"
}

const (
	gapExpected = 20  // minimum number of missing attempts in a gap
	gapsShown   = 10  // gaps shown, the longest
	gapDays     = 200 // days read
	profileDays = 3   // minimum number of days to distinguish the hours of the day

	hostGap      = 12 * time.Hour     // length of a gap of one host, at least; higher: fewer gaps
	hostGapKnown = 7 * 24 * time.Hour // the host logs so long before, at least: a week has a weekend
	hostGapTimes = 2                  // times its longest other silence, at least
)
