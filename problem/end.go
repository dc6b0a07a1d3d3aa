package problem

import "math"

const (
	// endChance is the probability below which an incident has ended: that so many messages in a row
	// are taken although it goes on. Lower: later ends.
	endChance = 0.01
	// strayRatio is how many times more failures the largest burst has than a stray, at least; and the
	// number of messages taken without which a burst does not end. Higher: later ends.
	strayRatio = 10
	// strayMost is the number of failures of a burst that is no stray, however large the largest is.
	strayMost = 10
)

// A Course tells the end of an incident from a lull. Most incidents are complete: they let nothing
// through, and a few messages taken show their end. A partial incident concerns one of several
// sending addresses, or one of several hosts of a receiver: then messages are taken between its
// failures all the time, often many in a row, as when the listed address sends a newsletter twice a
// day.
//
// A run is the messages taken between two failures. A run after which the incident was over divides
// it into bursts. A burst with few failures is a stray: it does not belong to the incident, so the
// messages taken before and after it are no run.
type Course struct {
	bursts []burst // in order; only the last may have been a stray when the next began
	now    int64   // messages taken since the last failure
}

// A burst is failures with only short runs between them.
type burst struct {
	before   float64 // messages taken since the burst before it in the list
	failures float64
	runs     float64 // see Mixed
	taken    float64 // messages in them
	longest  float64 // messages of the longest
}

// Took adds messages taken since the last failure.
func (c *Course) Took(n int64) { c.now += n }

// Failed adds a failure, which ends a run.
func (c *Course) Failed() {
	if len(c.bursts) == 0 {
		c.bursts = []burst{{}}
	}
	n := float64(c.now)
	switch b := c.last(); {
	case n >= strayRatio && b.failures > 0 && c.Over():
		if b.failures*strayRatio < c.largest() {
			*b = burst{before: b.before + b.taken + n}
		} else {
			c.bursts = append(c.bursts, burst{before: n})
		}
	case n > 0:
		b.runs++
		b.taken += n
		b.longest = max(b.longest, n)
	}
	c.last().failures++
	c.now = 0
}

// Mixed adds a stretch that ends with a failure, of which only the number of messages taken and the
// share of failed messages are known. It counts as many runs as an even mixture has.
func (c *Course) Mixed(taken int64, share float64) {
	c.Failed()
	b, n := c.last(), float64(taken)*share
	b.failures += n
	b.runs += n
	b.taken += float64(taken)
}

// Since returns the number of messages taken since the last failure.
func (c *Course) Since() int64 { return c.now }

// Stray reports whether the last failure belongs to a stray.
func (c *Course) Stray() bool {
	b := c.last()
	return b != nil && b.failures < strayMost && b.failures*strayRatio < c.largest()
}

// Needed returns the number of messages taken in a row that show the end: a run of that length is
// improbable, given how often a failure followed a message taken, and however many runs there were;
// and it is twice as long as any before. Runs vary more than chance, since mail is sent in batches.
func (c *Course) Needed() int64 {
	var all burst
	lull, largest := 0.0, c.largest()
	for i, first := 0, true; i < len(c.bursts); i++ {
		b := &c.bursts[i]
		lull += b.before
		if b.failures*strayRatio < largest {
			lull += b.taken
			continue
		}
		if !first {
			all.runs++
			all.taken += lull
			all.longest = max(all.longest, lull)
		}
		all.runs += b.runs
		all.taken += b.taken
		all.longest = max(all.longest, b.longest)
		lull, first = 0, false
	}
	// Without a run nine of ten messages fail: nobody knows that all do.
	fails := min((all.runs+0.9)/(all.taken+1), 0.9)
	n := math.Ceil(math.Log(endChance/max(all.runs, 1)) / math.Log1p(-fails))
	return int64(min(max(n, 2*all.longest), math.MaxInt32))
}

// Over reports whether the messages taken since the last failure show that the incident has ended.
func (c *Course) Over() bool { return c.now >= c.Needed() }

// last returns the last burst, or nil if there is none.
func (c *Course) last() *burst {
	if len(c.bursts) == 0 {
		return nil
	}
	return &c.bursts[len(c.bursts)-1]
}

// largest returns the number of failures of the largest burst.
func (c *Course) largest() (n float64) {
	for i := range c.bursts {
		n = max(n, c.bursts[i].failures)
	}
	return n
}
