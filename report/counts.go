package report

import (
	"context"

	"bouncelog/store"
)

// counts returns the counts of c; if messages is set, with the number of messages.
func counts(c *store.Tally, messages bool) Counts {
	n := Counts{c.Attempts, c.Delivered, c.Soft, c.Hard, c.Recovered, c.Pending, c.Expired, nil}
	if messages {
		n.Messages = &c.Messages
	}
	return n
}

func totals(ctx context.Context, s store.Reader, f store.Filter) (*Totals, error) {
	c, err := store.CountAll(ctx, s, f)
	if err != nil {
		return nil, err
	}
	whole, err := s.Discarded(ctx, f)
	if err != nil {
		return nil, err
	}
	t := &Totals{
		Counts:           counts(&c, ofMessages(f)),
		NotificationSoft: c.NullSoft,
		NotificationHard: c.NullHard,
		Handoff:          c.Handoff,
		Discarded:        c.Discarded + whole,
		Probe:            c.Probe,
		Soft5xx:          c.Soft5xx,
	}
	if c.Attempts > 0 {
		t.DeliveredRate = float64(c.Delivered) / float64(c.Attempts)
		t.SoftRate = float64(c.Soft) / float64(c.Attempts)
		t.HardRate = float64(c.Hard) / float64(c.Attempts)
	}
	return t, nil
}

// lesser returns the number of rows of the sections after the domains.
func lesser(top int) int {
	if top > 20 || top == 0 {
		return top
	}
	return min(top, 10)
}

// nullSender is the null sender in the keys of store.BySender; the report shows it as "".
const nullSender = "<>"

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ofMessages reports whether the store counts all messages of the attempts that f selects, also by
// recipient domain: it counts a message with its first attempt to each domain.
func ofMessages(f store.Filter) bool {
	f.Domain, f.Domains, f.SenderDomain = "", nil, ""
	return f.OfMessages()
}
