// Package notify tells of incidents: once when one begins, once when it is over, by
// whatever a [Destination] is. What was told, and what is still to be sent, stands in
// the database, so that no restart and no second process tells it again.
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
	lookBack   = 72 * time.Hour      // of the log that a look is about, at least
	lookLimit  = 14 * 24 * time.Hour // and at most
	stampAhead = 24 * time.Hour      // of the present that a stamp is believed
	sendFor    = 30 * time.Second    // at most, each time
	claimFor   = 10 * time.Minute    // after which who claimed an event is taken for dead
	firstRetry = 30 * time.Second
	lastRetry  = time.Hour // between two tries, at most
	giveUp     = 24 * time.Hour
	races      = 10 // with other processes that are lost in a row
)

// A Destination is told of events.
type Destination interface {
	// ID names it in the database: it stays the same, and gives nothing away.
	ID() string
	// String names it in a log, without what is secret of it.
	String() string
	// Send hands an event over, until ctx ends. It may come again where it was not
	// known to have come: Event.ID is the same then.
	Send(ctx context.Context, e *Event) error
}

// Options say what is told, and to whom.
type Options struct {
	To       []Destination
	Problems problem.Thresholds
	Location *time.Location // of the times in texts; nil: time.Local
	Host     string         // that says so
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
	// Found is given the problems of each look, those that are not told too, and the time of
	// the newest line that was searched (problem.Announcer.Take); it may be nil.
	Found func(ctx context.Context, r store.Reader, problems []problem.Problem, newest time.Time) error
}

// A Notifier looks for incidents that began or ended, and tells of them. One goroutine
// uses it; other processes may do the same with the same database.
type Notifier struct {
	Options
	db    store.Store
	swap  store.Swapper
	until time.Time // the newest stamp when it was last looked at; zero: it was not
	seen  int64     // attempts then, see look
}

// New makes a Notifier. The engine must be able to keep notes that are shared.
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

// Look looks for incidents that began or ended, and puts what there is to tell into the
// outbox. Where nothing was logged since the last look it does nothing.
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
	r, err := n.db.Read(ctx)
	if err != nil {
		return false, err
	}
	defer r.Close()
	note, err := r.Note(ctx, noteKey)
	if err != nil {
		return false, err
	}
	s, err := parseState(note)
	if err != nil {
		return false, err
	}
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
	// A stamp ahead of the clock hides nothing: neither what is logged after it with an
	// earlier one, nor that an incident goes on.
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
		if err := n.Found(ctx, r, rep.Problems, m.newest); err != nil {
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

// findings are the problems of a report.
func findings(rep *report.Report) (found []finding) {
	for _, in := range rep.Incidents() {
		if keys := rep.Problems[*in.Problem].Keys(); len(keys) > 0 {
			found = append(found, finding{keys: slices.Clone(keys[:min(len(keys), namesAtMost)]), noise: in.IsBackground(), incident: &in})
		}
	}
	return found
}

// textWidth is that of the text of a mail, RFC 5322 section 2.1.1.
const textWidth = 78

// keep notes the state, unless another process has changed it since it was read.
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

// change reads the state, has f change it, and keeps it.
func (n *Notifier) change(ctx context.Context, f func(s *state)) error {
	for range races {
		r, err := n.db.Read(ctx)
		if err != nil {
			return err
		}
		note, err := r.Note(ctx, noteKey)
		if err := errors.Join(err, r.Close()); err != nil {
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

// Deliver sends what is due. An error of a destination is logged, and the event tried
// again later; failed counts them. Next is when something is due again, zero where
// nothing is left.
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
				case to[i.To] == nil: // another process's
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
		// Whatever ends the program now, what was sent is noted.
		after := context.WithoutCancel(ctx)
		err = n.change(after, func(s *state) {
			s.Outbox = slices.DeleteFunc(s.Outbox, func(i *item) bool {
				if i.Event.ID != mine.Event.ID || i.To != mine.To {
					return false
				}
				i.Claimed = time.Time{}
				if sent != nil && ctx.Err() == nil { // else told to stop: at once after the next start
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

// send sends one event, and logs how that went.
func (n *Notifier) send(ctx context.Context, to Destination, i *item) error {
	limited, cancel := context.WithTimeout(ctx, sendFor)
	defer cancel()
	err := to.Send(limited, i.Event)
	switch {
	case err == nil:
		n.Log.Info("told "+to.String(), "event", i.Event.Kind, "id", i.Event.ID)
	case ctx.Err() != nil: // told to stop
	default:
		n.Log.Warn("cannot tell "+to.String(), "error", table.Clean(table.Cut(err.Error(), 500)), "again", fmt.Sprint(backoff(i.Tries+1)))
	}
	return err
}

// backoff is how long to wait after so many tries.
func backoff(tries int) time.Duration {
	d := firstRetry
	for ; tries > 1 && d < lastRetry; tries-- {
		d *= 2
	}
	return min(d, lastRetry)
}

// Run looks and delivers until ctx ends: at most once each time interval, and later
// where a look takes long; not while ready says that there is something better to do.
func (n *Notifier) Run(ctx context.Context, interval time.Duration, ready func() bool) {
	const share = 4 // it rests so many times as long as a look took
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
