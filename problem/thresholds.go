package problem

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Thresholds are the thresholds of the likely level (docs/incidents.md). A zero field stands for its
// default. A larger Recipients, Messages or Share, or a smaller Chance, means fewer problems.
type Thresholds struct {
	Recipients int           // refused recipients known to be valid before the onset; default 3
	Messages   int           // refused messages; default 2
	Share      float64       // refused messages as a share of those tried, 0 to 1; default 0.10
	Chance     float64       // probability of the number of refusals, from the stream's own past, below which they are a problem; 1: do not compare; default 0.001
	Window     time.Duration // for Recipients and Messages; default 24 hours
	Past       time.Duration // length of a stream's past for comparison; default 28 days
	Valid      time.Duration // how long a delivery proves an address; default 90 days
}

// DefaultThresholds returns the defaults of all fields.
func DefaultThresholds() Thresholds {
	const day = 24 * time.Hour
	return Thresholds{Recipients: 3, Messages: 2, Share: 0.10, Chance: 1e-3, Window: day, Past: 28 * day, Valid: 90 * day}
}

func (o Thresholds) withDefaults() Thresholds {
	d := DefaultThresholds()
	return Thresholds{
		cmp.Or(o.Recipients, d.Recipients), cmp.Or(o.Messages, d.Messages), cmp.Or(o.Share, d.Share), cmp.Or(o.Chance, d.Chance),
		cmp.Or(o.Window, d.Window), cmp.Or(o.Past, d.Past), cmp.Or(o.Valid, d.Valid),
	}
}

// Quiet returns the time without a refusal after which an incident has ended: two windows, since
// some mail is sent once a day.
func (o Thresholds) Quiet() time.Duration { return 2 * o.withDefaults().Window }

// Check returns an error if a threshold is out of its range.
func (o Thresholds) Check() error {
	switch {
	case o.Recipients < 0:
		return errors.New("the flag needs at least one recipient")
	case o.Messages < 0:
		return errors.New("the flag needs at least one message")
	case o.Share < 0 || o.Share > 1:
		return fmt.Errorf("%g is no share of the messages: that is 0 to 1", o.Share)
	case o.Chance < 0 || o.Chance > 1:
		return fmt.Errorf("%g is no probability: that is 0 to 1", o.Chance)
	case o.Window < 0 || o.Past < 0 || o.Valid < 0:
		return errors.New("a length of time is not negative")
	}
	return nil
}
