package problem

import "math"

// endChance is the probability below which an incident has ended: that so many messages in a row
// are taken although it goes on. Lower: later ends.
const endChance = 0.01

// A Course tells the end of an incident from a lull. Most incidents are complete: they let nothing
// through, and a few messages taken show their end. A partial incident concerns one of several
// sending addresses, or one of several hosts of a receiver: then messages are taken between its
// failures all the time, often many in a row, as when the listed address sends a newsletter twice a
// day. A run is the messages taken between two failures.
type Course struct {
	runs    float64 // runs that a failure ended; see Mixed
	taken   float64 // messages in them
	longest float64 // messages of the longest
	now     int64   // messages taken since the last failure
}

// Took adds messages taken since the last failure.
func (c *Course) Took(n int64) { c.now += n }

// Failed adds a failure, which ends a run.
func (c *Course) Failed() {
	if c.now == 0 {
		return
	}
	c.runs++
	c.taken += float64(c.now)
	c.longest = max(c.longest, float64(c.now))
	c.now = 0
}

// Mixed adds a stretch that ends with a failure, of which only the number of messages taken and the
// share of failed messages are known. It counts as many runs as an even mixture has.
func (c *Course) Mixed(taken int64, share float64) {
	c.Failed()
	c.runs += float64(taken) * share
	c.taken += float64(taken)
}

// Since returns the number of messages taken since the last failure.
func (c *Course) Since() int64 { return c.now }

// Needed returns the number of messages taken in a row that show the end: a run of that length is
// improbable, given how often a failure followed a message taken, and however many runs there were;
// and it is twice as long as any before. Runs vary more than chance, since mail is sent in batches.
func (c *Course) Needed() int64 {
	// Without a run nine of ten messages fail: nobody knows that all do.
	fails := min((c.runs+0.9)/(c.taken+1), 0.9)
	n := math.Ceil(math.Log(endChance/max(c.runs, 1)) / math.Log1p(-fails))
	return int64(min(max(n, 2*c.longest), math.MaxInt32))
}

// Over reports whether the messages taken since the last failure show that the incident has ended.
func (c *Course) Over() bool { return c.now >= c.Needed() }
