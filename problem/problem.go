// Package problem finds what is probably not the recipients' fault: refusals for failing
// authentication, a bad reputation, a blocklist, and outages of the sending side itself.
package problem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// The levels of a problem.
const (
	// Confirmed: a reply names the cause.
	Confirmed = "confirmed"
	// Likely: repeated refusals without a named cause, to recipients known to be valid.
	Likely = "likely"
	// Watch: less than that.
	Watch = "watch"
)

// A Problem is one incident that probably is not the recipient's fault.
type Problem struct {
	Level   string        `json:"level"`
	Summary string        `json:"summary"`
	Reason  bounce.Reason `json:"reason,omitzero"`
	Detail  string        `json:"detail,omitempty"`
	Cause   string        `json:"cause"` // authentication, reputation, ip, forwarding, unknown; of an outage see there
	Why     string        `json:"why"`   // that cause and that level

	SenderDomains []string `json:"sender_domains"`
	Domains       []string `json:"domains"`   // of the recipients
	Providers     []string `json:"providers"` // who refused
	// Addresses are our own, as the replies name them.
	Addresses []string `json:"addresses"`

	// Since and Until are the first and the last refusal of the period.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// FirstHeard is when it began, where that was before the period.
	FirstHeard time.Time `json:"first_heard,omitzero"`
	Ongoing    bool      `json:"ongoing"`
	Ended      string    `json:"ended,omitempty"`       // how
	EndedAt    time.Time `json:"ended_at,omitzero"`     // the first message taken after the last refusal
	Before     *Tried    `json:"before,omitempty"`      // before it began
	Onset      *Tried    `json:"since_onset,omitempty"` // from then to its last refusal

	Attempts int64 `json:"attempts"`
	Messages int   `json:"messages"`
	// Returned are those of the messages that were given up: their mail is lost.
	Returned        int      `json:"returned"`
	Recipients      int      `json:"recipients"`
	ValidRecipients []string `json:"valid_recipients"`
	// ValidBefore are those of them who took mail before they were refused.
	ValidBefore []string `json:"valid_before"`

	// Hours are the refusals of the period by the hour, as far as there are any.
	Hours []Hour `json:"hours"`

	Evidence         []Evidence `json:"evidence"`
	FirstCheck       string     `json:"first_check"`
	OtherExplanation string     `json:"other_explanation"`
	DisprovedBy      string     `json:"disproved_by"`
	Scan             string     `json:"scan"`

	keys      []string
	selectors []string
	short     string
}

// Title says in a few words, without figures, what is wrong where the providers, the
// senders and the reason do not say it: of an outage, and of forwarded spam. Else "".
func (p *Problem) Title() string { return p.short }

// Outage reports whether the sending side itself is at fault and nobody refused the mail.
func (p *Problem) Outage() bool { return p.short != "" && len(p.Providers) == 0 }

// Valid is how many of the recipients are known to be valid.
func (p *Problem) Valid() int { return len(p.ValidRecipients) }

// Selectors are our DKIM selectors that the replies name, the most often named
// first.
func (p *Problem) Selectors() []string { return p.selectors }

// Keys name what a problem is about. It is the same problem as an earlier one
// where they have a key in common and no day passed between them.
func (p *Problem) Keys() []string { return p.keys }

// Began is when the problem was first heard of.
func (p *Problem) Began() time.Time {
	if p.FirstHeard.IsZero() {
		return p.Since
	}
	return p.FirstHeard
}

// Tried are the messages of the senders to the providers of a problem that were
// taken or refused in a stretch of time, by the deliveries that were looked at.
type Tried struct {
	Refused int       `json:"refused"`
	Tried   int       `json:"tried"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
}

// An Hour is the refusals of one.
type Hour struct {
	Time    time.Time `json:"time"`
	Refused int       `json:"refused"` // attempts
}

// Evidence is a log line that a problem rests on.
type Evidence struct {
	Source string    `json:"source"`
	Offset int64     `json:"offset"`
	Time   time.Time `json:"time"`
	Text   string    `json:"text"`
}

// Thresholds are the thresholds of the likely level (see docs/counting.md). A
// field that is zero stands for its default.
type Thresholds struct {
	Recipients int           // refused, and known to be valid before it began; 3
	Messages   int           // refused; 2
	Share      float64       // of the messages tried, 0 to 1; 0.10
	Chance     float64       // of as many refusals, by the pair's own past: less than this; 0.001
	Window     time.Duration // in which the messages are counted; 24 hours
	Past       time.Duration // the pair's own; 28 days
	Valid      time.Duration // a delivery this long ago still proves an address; 90 days
}

// DefaultThresholds are the thresholds that zero fields stand for.
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

// Quiet is how long no refusal is logged before an incident has ended: two windows,
// since there is mail that goes out once a day.
func (o Thresholds) Quiet() time.Duration { return 2 * o.withDefaults().Window }

// Check says what is wrong with the thresholds.
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

// What bounds the search, so that a flood of rejections, or of invented names,
// cannot fill the memory, and a report does not slow down with history.
const (
	trackedAtMost   = 100_000 // members of one incident's sets
	hitsAtMost      = 500_000 // refusals that are kept
	pilesAtMost     = 10_000  // groups of them
	weighedAtMost   = 50      // groups that are held against their past, the largest first
	deliveriesRead  = 80_000  // deliveries that are read for that
	evidenceShown   = 3       // log lines a problem names
	addressesShown  = 8
	recalledAtMost  = 20 // incidents whose words are read again
	streamProviders = 8  // more than these are not held against what was delivered
	manySenders     = 3  // more sender domains than this are counted, not named
	segmentsAtMost  = 4  // incidents of one pair that are looked for
	samplesAtMost   = 64 // texts kept of one group
)

// Find looks for what probably is not the recipients' fault among the failed
// attempts that match f: it gathers the refusals, weighs those that name no cause
// against what was delivered, and puts into words what is left.
func Find(ctx context.Context, s store.Reader, f store.Filter, o Thresholds) ([]Problem, error) {
	o = o.withDefaults()
	found := []Problem{}
	refused, err := refusals(ctx, s, f, o)
	if err != nil {
		return nil, err
	}
	own, err := outages(ctx, s, f, o)
	if err != nil {
		return nil, err
	}
	found = append(append(found, own...), refused...)
	rank := map[string]int{Confirmed: 0, Likely: 1, Watch: 2}
	slices.SortFunc(found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank[a.Level], rank[b.Level]), cmp.Compare(b.Valid(), a.Valid()),
			cmp.Compare(b.Attempts, a.Attempts), a.Since.Compare(b.Since), strings.Compare(a.Summary, b.Summary))
	})
	return found, nil
}

// Searched are the reasons of failed attempts that Find looks at: where there is no new
// one, it finds nothing new.
func Searched() []bounce.Reason {
	return bounce.Reasons(func(r bounce.Reason) bool {
		return slices.Contains(store.Suspect, r) || slices.Contains(outageReasons, r)
	})
}

// refusals finds the problems that receivers' refusals show.
func refusals(ctx context.Context, s store.Reader, f store.Filter, o Thresholds) ([]Problem, error) {
	g, err := gather(ctx, s, f, o)
	if err != nil || g == nil {
		return nil, err
	}
	if err := g.dropUnknown(ctx, s); err != nil {
		return nil, err
	}
	incidents, err := g.weigh(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := recall(ctx, s, incidents); err != nil {
		return nil, err
	}
	var found []Problem
	var seen counter
	for _, in := range incidents {
		found = append(found, in.problem(o, &seen))
	}
	return found, nil
}
