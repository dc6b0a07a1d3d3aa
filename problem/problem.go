package problem

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// The levels of a problem, from the most certain to the least.
const (
	// Confirmed: a reply names the cause, or the MTA or its relay host says that the
	// sending side is at fault.
	Confirmed = "confirmed"
	// Likely: refusals without a named cause that stand out, to recipients known to be
	// valid; an outage that nobody names; forwarded spam.
	Likely = "likely"
	// Watch: less than that. No alarm depends on it.
	Watch = "watch"
)

// A Problem is one incident that probably is not the recipients' fault. Unless stated
// otherwise, its figures are of the period asked for.
type Problem struct {
	// ID names the incident: it is the same in each search that finds its onset.
	ID      string `json:"id"`
	Level   string `json:"level"`
	Summary string `json:"summary"` // one sentence, without a full stop
	// Title is what the problem is called, wherever it is named: without figures and a full
	// stop. Short is the title without the cause.
	Title  string        `json:"title"`
	Short  string        `json:"-"`
	Reason bounce.Reason `json:"reason,omitzero"`
	Detail string        `json:"detail,omitempty"`
	// Cause is what is at fault: authentication, sender, reputation, ip, forwarding, unknown, flood;
	// or that of an outage (see outageCauses).
	Cause string `json:"cause"`
	Why   string `json:"why"` // what the level and the cause rest on

	// SenderDomains and Providers are those that were refused, and that refused, from the onset
	// on; Domains are the recipients'.
	SenderDomains []string `json:"sender_domains"`
	Domains       []string `json:"domains"`
	Providers     []string `json:"providers"`
	// Addresses are those of the sending side that the replies name, the most often named
	// first.
	Addresses []string `json:"addresses"`

	// Since and Until are the first and the last refusal of the period.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// FirstHeard is the onset, where that lies before the period; else zero.
	FirstHeard time.Time `json:"first_heard,omitzero"`
	Ongoing    bool      `json:"ongoing"`
	// Background: it is of the kind that every server has every day, and no alarm.
	Background bool      `json:"-"`
	Ended      string    `json:"ended,omitempty"`       // how, in words
	EndedAt    time.Time `json:"ended_at,omitzero"`     // the first message taken after the last refusal
	Before     *Tried    `json:"before,omitempty"`      // the messages before the onset; nil: not known
	Onset      *Tried    `json:"since_onset,omitempty"` // the messages from the onset to the last refusal; nil: not known

	// Everybody is as Onset, with the messages of all senders to these providers.
	Everybody *Tried `json:"-"`

	Attempts int64 `json:"attempts"` // refused
	Messages int   `json:"messages"` // refused
	// Older counts those of the messages that were refused before the period, too: they are none of its
	// messages.
	Older int `json:"-"`
	// Returned counts those of the messages that were given up: their mail is lost.
	Returned        int      `json:"returned"`
	Recipients      int      `json:"recipients"`
	ValidRecipients []string `json:"valid_recipients"`
	// ValidBefore are the ValidRecipients who took mail before they were refused.
	ValidBefore []string `json:"valid_before"`

	// Hours are the hours of the period with a refusal, in order.
	Hours []Hour `json:"hours"`

	Evidence         []Evidence `json:"evidence"`
	FirstCheck       string     `json:"first_check"`
	OtherExplanation string     `json:"other_explanation"`
	DisprovedBy      string     `json:"disproved_by"`
	Scan             string     `json:"scan"` // the command that looks further

	keys      []key
	selectors []string
	hops      []string
	homemade  bool
}

// Homemade reports whether the sending side itself is at fault, whatever the receivers say:
// by an outage, a flood or forwarded spam.
func (p *Problem) Homemade() bool { return p.homemade }

// Outage reports whether the sending side itself is at fault and nobody refused the mail.
func (p *Problem) Outage() bool { return p.homemade && len(p.Providers) == 0 }

// Hops are the hosts, addresses or sockets that an outage is at, as the replies name them,
// by provider.
func (p *Problem) Hops() []string { return p.hops }

// Valid returns the number of recipients known to be valid.
func (p *Problem) Valid() int { return len(p.ValidRecipients) }

// Selectors are the DKIM selectors of the sending side that the replies name, the most
// often named first.
func (p *Problem) Selectors() []string { return p.selectors }

// Keys name the subjects of a problem, at least one. It is the same problem as an earlier
// one where they have a key in common and no day passed between them.
func (p *Problem) Keys() []string {
	list := make([]string, len(p.keys))
	for i, k := range p.keys {
		list[i] = k.String()
	}
	return list
}

// id is Problem.ID.
func (p *Problem) id() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", p.keys[0], p.Began().Unix()))
	return hex.EncodeToString(sum[:6])
}

// Began is the onset.
func (p *Problem) Began() time.Time {
	if p.FirstHeard.IsZero() {
		return p.Since
	}
	return p.FirstHeard
}

// Tried counts the messages of the senders to the providers of a problem that were
// delivered or refused in a stretch of time, as far as their deliveries were read.
type Tried struct {
	Refused int       `json:"refused"`
	Tried   int       `json:"tried"` // Refused included
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
}

// usualChance is how improbable as many refusals have to be for more than chance.
const usualChance = 1e-2

// ByChance reports whether as many messages are refused by chance where a share of them is
// refused usually. The first and the last one say nothing: where the stretch begins and ends is
// chosen by them.
func (t *Tried) ByChance(share float64) bool {
	return tail(t.Refused-2, t.Tried-2, share) >= usualChance
}

// An Hour counts the refused attempts of one hour.
type Hour struct {
	Time    time.Time `json:"time"` // its beginning, UTC
	Refused int       `json:"refused"`
}

// countHour adds a refused attempt, which is not earlier than those before.
func countHour(list []Hour, at moment) []Hour {
	hour := at.time().UTC().Truncate(time.Hour)
	if n := len(list); n > 0 && list[n-1].Time.Equal(hour) {
		list[n-1].Refused++
		return list
	}
	return append(list, Hour{hour, 1})
}

// Evidence is a log line that a problem rests on.
type Evidence struct {
	Source string    `json:"source"` // store.Source.ID
	Offset int64     `json:"offset"` // of the line's first byte
	Time   time.Time `json:"time"`
	Text   string    `json:"text"` // the reply
	// Warning is what the MTA logged just before (bounce.Delivery.Warning).
	Warning string `json:"warning,omitempty"`
}

// byPlace orders log lines by time, then by their place in the logs.
func (e *Evidence) byPlace(o *Evidence) int {
	return cmp.Or(e.Time.Compare(o.Time), strings.Compare(e.Source, o.Source), cmp.Compare(e.Offset, o.Offset))
}

// Find finds the problems among the failed attempts that match f: those of the highest
// level first, then by recipients known to be valid, then by attempts.
func Find(ctx context.Context, s store.Reader, f store.Filter, o Thresholds) ([]Problem, error) {
	o = o.withDefaults()
	end, err := endOf(ctx, s, f)
	if err != nil {
		return nil, err
	}
	reached := newReached(f)
	refused, err := findRefusals(ctx, s, f, o, end, reached)
	if err != nil {
		return nil, err
	}
	own, err := findOutages(ctx, s, f, o, end, reached)
	if err != nil {
		return nil, err
	}
	floods, err := findFloods(ctx, s, f, o, end)
	if err != nil {
		return nil, err
	}
	found := append(append(append([]Problem{}, own...), floods...), refused...)
	usual := &usualMail{ctx: ctx, s: s, f: f}
	for i := range found {
		found[i].ID = found[i].id()
		if found[i].Background, err = found[i].isBackground(usual); err != nil {
			return nil, err
		}
	}
	rank := map[string]int{Confirmed: 0, Likely: 1, Watch: 2}
	slices.SortFunc(found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank[a.Level], rank[b.Level]), cmp.Compare(b.Valid(), a.Valid()),
			cmp.Compare(b.Attempts, a.Attempts), a.Since.Compare(b.Since), strings.Compare(a.Summary, b.Summary))
	})
	return found, nil
}

// strays is how many messages with a stamp ahead of all others, by a clock that is wrong, end
// nothing; strayAttempts is how many of their attempts are read.
const (
	strays        = 2
	strayAttempts = 1000
)

// endOf is up to when the log tells what goes on: the time of the newest message but strays, or
// the end of the period. In a log of no more than strays it is that of the newest.
func endOf(ctx context.Context, s store.Reader, f store.Filter) (end moment, err error) {
	messages := map[[3]string]bool{}
	for a, err := range s.Attempts(ctx, store.Filter{}, store.Page{Limit: strayAttempts, Newest: true}) {
		if err != nil {
			return 0, err
		}
		messages[[...]string{a.Host, a.Instance, a.QueueID}] = true
		if len(messages) == 1 || len(messages) > strays {
			end = momentOf(a.Time)
		}
		if len(messages) > strays {
			break
		}
	}
	if !f.Until.IsZero() {
		end = min(end, momentOf(f.Until))
	}
	return end, nil
}

// Searched returns the reasons of the failed attempts that Find looks at: without a new
// one of them it finds nothing new.
func Searched() []bounce.Reason {
	return bounce.Reasons(func(r bounce.Reason) bool {
		return slices.Contains(refusedReasons, r) || slices.Contains(outageReasons, r) || slices.Contains(floodReasons, r)
	})
}

// findRefusals finds the problems that receivers' refusals show.
func findRefusals(ctx context.Context, s store.Reader, f store.Filter, o Thresholds, end moment, reached *reached) ([]Problem, error) {
	x, err := readRefusals(ctx, s, f, o, reached)
	if err != nil || x == nil {
		return nil, err
	}
	x.end = end
	if err := x.dropUnknownMailboxes(ctx); err != nil {
		return nil, err
	}
	incidents, err := x.incidents(ctx)
	if err != nil {
		return nil, err
	}
	if err := readTexts(ctx, s, incidents); err != nil {
		return nil, err
	}
	if err := dropRelays(ctx, s, f, incidents); err != nil {
		return nil, err
	}
	for _, in := range incidents {
		if in.spam {
			if err := in.readOriginals(ctx, s); err != nil {
				return nil, err
			}
		}
	}
	var found []Problem
	var seen counter
	for _, in := range incidents {
		found = append(found, in.problem(o, &seen))
	}
	return found, nil
}
