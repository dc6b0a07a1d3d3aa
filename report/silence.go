package report

import (
	"slices"
	"time"

	"bouncelog/internal/when"
)

// silentFor is the time without a line after which any log is silent.
const silentFor = 24 * time.Hour

// silence returns the silence at the end of the period. It returns nil if the logs do not end
// early, or if the missing attempts are so few that it may be chance. hours are all attempts by the
// hour.
func (r *Report) silence(o Options, hours []Point) *Silence {
	if o.Now.IsZero() || !o.Live || r.AsOf.IsZero() {
		return nil
	}
	end := o.Now
	if u := o.Filter.Until; !u.IsZero() && u.Before(end) {
		end = u
	}
	quiet := end.Sub(r.AsOf).Truncate(time.Second)
	expected := usualAttempts(hours, r.AsOf, end)
	if quiet < silentFor && (quiet < time.Hour || expected < gapExpected) {
		return nil
	}
	return &Silence{Since: r.AsOf.UTC(), Seconds: quiet.Seconds(), Expected: expected, Command: o.command("report", "--section", SectionUnparsed)}
}

// usualAttempts returns the usual number of attempts, deferrals aside, between two points in time, from the median of
// each hour of the day (of all hours, with fewer than profileDays days). points are the hours with
// attempts, in order.
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
	size := int(end.Sub(start) / hour)
	if size < 1 {
		return 0
	}
	counts := make([]int64, size)
	for _, p := range points {
		if !p.Time.Before(start) && p.Time.Before(end) {
			counts[p.Time.Sub(start)/hour] += p.settled()
		}
	}
	step := 1
	if size >= profileDays*24 {
		step = 24
	}
	var usual [24]int64
	for h := range usual {
		var same []int64
		for i := range counts {
			if step == 1 || start.Add(time.Duration(i)*hour).UTC().Hour() == h {
				same = append(same, counts[i])
			}
		}
		slices.Sort(same)
		usual[h] = same[len(same)/2]
	}
	for t := from.UTC().Truncate(hour).Add(hour); !t.Add(hour).After(to); t = t.Add(hour) { // whole hours
		n += usual[t.Hour()]
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
