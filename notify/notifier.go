// Package notify reports incidents to any [Destination]: once when an incident begins, once when it
// is over. The database keeps the events that were sent and those still to be sent, so that neither
// a restart nor a second process repeats one.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

const (
	noteKey    = "notify"
	lookBack   = 72 * time.Hour      // minimum period of the log that a look covers
	lookLimit  = 14 * 24 * time.Hour // maximum period of the log that a look covers
	stampAhead = 24 * time.Hour      // maximum by which a timestamp may lie ahead of the present
	sendFor    = 30 * time.Second    // timeout of each try
	claimFor   = 10 * time.Minute    // after this time the process that claimed an event is considered dead
	firstRetry = 30 * time.Second
	lastRetry  = time.Hour // maximum time between two tries
	giveUp     = 24 * time.Hour
	races      = 10 // consecutive lost races with other processes, at most
)

// A Destination receives events.
type Destination interface {
	// ID returns its name in the database: it never changes and contains no secret.
	ID() string
	// String returns its name for a log, without secrets.
	String() string
	// Send delivers an event, until ctx ends. The same event may be sent again if its delivery was
	// not confirmed; Event.ID is the same then.
	Send(ctx context.Context, e *Event) error
}

// Options configure the events and their destinations.
type Options struct {
	To       []Destination
	Problems problem.Thresholds
	Location *time.Location // time zone of texts; nil: time.Local
	Host     string         // host that sends the events
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
	// Found gets the problems of each look, including those without an event, and the time of the
	// newest line that was searched (problem.Announcer.Take); it may be nil.
	Found func(ctx context.Context, problems []problem.Problem, newest time.Time) error
}

// A Notifier looks for incidents that began or ended, and sends events. Only one goroutine may use
// it; other processes may have their own on the same database.
type Notifier struct {
	Options
	db    store.Store
	swap  store.Swapper
	until time.Time // newest timestamp at the last look; zero: no look so far
	seen  int64     // number of attempts at that time, see look
}

// New returns a Notifier. The engine must support shared notes.
func New(db store.Store, o Options) (*Notifier, error) {
	swap, ok := db.(store.Swapper)
	if !ok {
		return nil, errors.New("this database cannot keep what was told")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	return &Notifier{Options: o, db: db, swap: swap}, nil
}

// Look looks for incidents that began or ended, and puts their events into the outbox. It does
// nothing if nothing was logged since the last look.
func (n *Notifier) Look(ctx context.Context) error {
	for range races {
		done, err := n.look(ctx)
		if done || err != nil {
			return err
		}
	}
	return errRace
}

var errRace = errors.New("other processes keep changing what was told")

func (n *Notifier) look(ctx context.Context) (done bool, err error) {
	note, err := n.swap.Note(ctx, noteKey) // first: the Reader then sees all that the note is about
	if err != nil {
		return false, err
	}
	s, err := parseState(note)
	if err != nil {
		return false, err
	}
	r, err := n.db.Read(ctx)
	if err != nil {
		return false, err
	}
	defer r.Close()
	m := moment{now: n.Now(), quiet: n.Problems.Quiet(), host: n.Host}
	limit := m.now.Add(stampAhead)
	span, err := r.Span(ctx, store.Filter{Until: limit})
	if err != nil {
		return false, err
	}
	m.newest = span.Last
	if m.newest.IsZero() {
		return true, nil
	}
	// A timestamp ahead of the clock hides neither later lines with an earlier timestamp nor an
	// ongoing incident.
	if m.now.Before(m.newest) {
		m.newest = m.now
	}
	seen, err := store.CountAll(ctx, r, store.Filter{Since: m.newest.Add(-lookBack).Truncate(time.Hour), Until: limit.Truncate(time.Hour)})
	if err != nil {
		return false, err
	}
	if span.Last.Equal(n.until) && seen.Attempts == n.seen {
		return true, nil
	}
	since := m.newest.Add(-lookBack)
	for _, t := range s.Incidents {
		if began := t.Began.Add(-time.Hour); began.Before(since) {
			since = began
		}
	}
	if furthest := m.newest.Add(-lookLimit); since.Before(furthest) {
		since = furthest
	}
	rep, err := report.Build(ctx, r, report.Options{
		Filter: store.Filter{Since: since, Until: limit}, Location: n.Location, Problems: n.Problems, Sections: []string{report.SectionVerdict}, Now: m.now, Top: 20,
	})
	if err != nil {
		return false, err
	}
	m.describe = func(in *report.Incident) string {
		var b bytes.Buffer
		render.WriteIncident(&b, rep, in, textWidth)
		return b.String()
	}
	if n.Found != nil {
		if err := n.Found(ctx, rep.Problems, m.newest); err != nil {
			return false, err
		}
	}
	found := findings(rep)
	events := s.look(found, m)
	dropped := s.post(events, n.To, m)
	if err := r.Close(); err != nil {
		return false, err
	}
	if done, err = n.keep(ctx, note, s); !done || err != nil {
		return done, err
	}
	n.until, n.seen = span.Last, seen.Attempts
	for _, e := range events {
		n.Log.Info("incident "+e.Text, "event", e.Kind, "id", e.ID)
	}
	if dropped > 0 {
		n.Log.Error("too much is still to be sent: some of it is not told", "events", dropped)
	}
	return true, nil
}

// findings returns the problems of a report as findings.
func findings(rep *report.Report) (found []finding) {
	for _, in := range rep.Incidents() {
		if keys := rep.Problems[*in.Problem].Keys(); len(keys) > 0 {
			found = append(found, finding{keys: slices.Clone(keys[:min(len(keys), namesAtMost)]), noise: in.IsBackground(), incident: &in})
		}
	}
	return found
}

// textWidth is the width of the text of a mail, RFC 5322 section 2.1.1.
const textWidth = 78

// keep writes the state, unless another process has changed it since it was read.
func (n *Notifier) keep(ctx context.Context, old []byte, s *state) (done bool, err error) {
	note, err := json.Marshal(s)
	if err != nil {
		return false, err
	}
	if bytes.Equal(note, old) || old == nil && len(s.Incidents)+len(s.Outbox) == 0 {
		return true, nil
	}
	return n.swap.SwapNote(ctx, noteKey, old, note)
}

// change reads the state, calls f to change it, and writes it.
func (n *Notifier) change(ctx context.Context, f func(s *state)) error {
	for range races {
		note, err := n.swap.Note(ctx, noteKey)
		if err != nil {
			return err
		}
		s, err := parseState(note)
		if err != nil {
			return err
		}
		f(s)
		if done, err := n.keep(ctx, note, s); done || err != nil {
			return err
		}
	}
	return errRace
}

// Deliver sends the events that are due. It logs an error of a destination, and retries the event
// later; failed is the number of errors. next is the time at which another event is due, or zero if
// none is left.
func (n *Notifier) Deliver(ctx context.Context) (failed int, next time.Time, err error) {
	to := map[string]Destination{}
	for _, d := range n.To {
		to[d.ID()] = d
	}
	for ctx.Err() == nil {
		var mine *item
		now := n.Now().UTC()
		next = time.Time{}
		err := n.change(ctx, func(s *state) {
			mine, next = nil, time.Time{}
			s.Outbox = slices.DeleteFunc(s.Outbox, func(i *item) bool {
				old := now.Sub(i.Event.Time) >= giveUp
				if old {
					n.Log.Error("given up: "+i.Event.Text, "id", i.Event.ID, "tries", i.Tries)
				}
				return old
			})
			for _, i := range s.Outbox {
				due := i.Next
				if free := i.Claimed.Add(claimFor); !i.Claimed.IsZero() && free.After(due) {
					due = free
				}
				switch {
				case to[i.To] == nil: // belongs to another process
				case mine == nil && !due.After(now):
					mine = i
					i.Claimed = now
				case next.IsZero() || due.Before(next):
					next = due
				}
			}
		})
		if err != nil || mine == nil {
			return failed, next, err
		}
		sent := n.send(ctx, to[mine.To], mine)
		if sent != nil {
			failed++
		}
		// The result is recorded even if the program is stopped now.
		after := context.WithoutCancel(ctx)
		err = n.change(after, func(s *state) {
			s.Outbox = slices.DeleteFunc(s.Outbox, func(i *item) bool {
				if i.Event.ID != mine.Event.ID || i.To != mine.To {
					return false
				}
				i.Claimed = time.Time{}
				if sent != nil && ctx.Err() == nil { // otherwise stopped: retried at once after the next start
					i.Tries++
					i.Next = n.Now().UTC().Add(backoff(i.Tries))
				}
				return sent == nil
			})
		})
		if err != nil {
			return failed, next, err
		}
	}
	return failed, next, ctx.Err()
}

// send sends one event, and logs the result.
func (n *Notifier) send(ctx context.Context, to Destination, i *item) error {
	limited, cancel := context.WithTimeout(ctx, sendFor)
	defer cancel()
	err := to.Send(limited, i.Event)
	switch {
	case err == nil:
		n.Log.Info("sent to "+to.String(), "event", i.Event.Kind, "id", i.Event.ID)
	case ctx.Err() != nil: // stopped
	default:
		n.Log.Warn("cannot tell "+to.String(), "error", table.Clean(table.Cut(err.Error(), 500)), "again", fmt.Sprint(backoff(i.Tries+1)))
	}
	return err
}

// backoff returns the time to wait after the given number of tries.
func backoff(tries int) time.Duration {
	d := firstRetry
	for ; tries > 1 && d < lastRetry; tries-- {
		d *= 2
	}
	return min(d, lastRetry)
}

// Run looks and delivers until ctx ends: at most once per interval, and less often if a look takes
// long. It skips a look and its deliveries while ready returns false.
func (n *Notifier) Run(ctx context.Context, interval time.Duration, ready func() bool) {
	const share = 4 // it rests this many times the duration of a look
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		rest := interval
		if ready() {
			began := time.Now()
			limited, cancel := context.WithTimeout(ctx, 10*time.Minute)
			err := n.Look(limited)
			cancel()
			rest = max(interval, share*time.Since(began))
			_, next, sendErr := n.Deliver(ctx)
			if wait := next.Sub(n.Now()); !next.IsZero() && wait < rest {
				rest = max(wait, time.Second)
			}
			if err = errors.Join(err, sendErr); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrLocked) {
				n.Log.Warn("cannot look for incidents to tell", "error", table.Clean(err.Error()))
			}
		}
		timer.Reset(rest)
	}
}
