package notify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
)

// A finding is an incident found by a search.
type finding struct {
	keys     []string // see problem.Problem.Keys
	noise    bool     // raises no alarm
	incident *report.Incident
}

// A state is the data kept in the database between two looks, in one note.
type state struct {
	Incidents []*told `json:"incidents,omitempty"`
	Outbox    []*item `json:"outbox,omitempty"`
}

// A told is an incident that an event has announced.
type told struct {
	ID      string     `json:"id"`
	Keys    []string   `json:"keys"`
	Began   time.Time  `json:"began"`
	Until   time.Time  `json:"until"` // the last refusal
	EndedAt *time.Time `json:"ended_at,omitempty"`
	Noise   *time.Time `json:"noise_since,omitempty"` // since when it is only background
	Times   int        `json:"times"`                 // how often it began; more than once if it came back
	Events  int        `json:"events"`

	// As of the last event; Size also as of its first hour.
	problem.Size
	Providers int `json:"providers"`
	Valid     int `json:"valid"`

	Facts *report.Incident `json:"facts"` // as of the last look
}

// An item is an event still to be sent to one destination.
type item struct {
	Event   *Event    `json:"event"`
	To      string    `json:"to"`               // Destination.ID
	Tries   int       `json:"tries,omitempty"`  //
	Next    time.Time `json:"next"`             // time of the next try
	Claimed time.Time `json:"claimed,omitzero"` // since when a process is sending it
}

const (
	toldAtMost   = 500 // maximum number of incidents kept
	outboxAtMost = 200 // maximum number of items
	atOnce       = 10  // maximum number of events of one look that are sent singly
)

func parseState(note []byte) (*state, error) {
	s := &state{}
	if note == nil {
		return s, nil
	}
	if err := json.Unmarshal(note, s); err != nil {
		return nil, fmt.Errorf("read what was told: %w", err)
	}
	for _, t := range s.Incidents {
		t.Hours = cmp.Or(t.Hours, 24) // an old note has the messages of a day
	}
	return s, nil
}

// A moment is the time of a look, by two clocks.
type moment struct {
	now    time.Time     // clock of this machine
	newest time.Time     // newest time in the log: while it is silent nothing ends
	quiet  time.Duration // see problem.Thresholds.Quiet
	host   string
	// describe describes an incident, in lines.
	describe func(in *report.Incident) string
}

// look compares the findings with the told incidents, and returns the new events.
//
// A finding is a told incident if they share a key and less than quiet lies between them. Told
// incidents that have become one continue as one, and the others end. An incident is over if the
// search says so and nothing was refused for a while (settle), or if nothing was refused for quiet
// while the log goes on. An incident that comes back within that time is told again, and then ends
// only after such a silence. So an intermittent incident does not cause ever more events.
func (s *state) look(found []finding, m moment) (events []*Event) {
	matched := map[*told]bool{}
	for i := range found {
		f := &found[i]
		in := f.incident
		known := slices.Collect(s.matching(f, m.quiet))
		for _, t := range known {
			matched[t] = true
		}
		switch {
		case len(known) > 0:
			// An ongoing incident comes before ended ones.
			if i := slices.IndexFunc(known, func(t *told) bool { return t.EndedAt == nil }); i > 0 {
				known[0], known[i] = known[i], known[0]
			}
			t := known[0]
			for _, other := range known[1:] {
				if other.EndedAt == nil {
					events = append(events, other.mergeInto(t, in, m))
				}
				t.absorb(other)
				matched[other] = true
			}
			s.Incidents = slices.DeleteFunc(s.Incidents, func(x *told) bool { return slices.Contains(known[1:], x) })
			if e := t.meet(f, m); e != nil {
				events = append(events, e)
			}
		case f.noise || !in.Ongoing || m.now.Sub(in.Until) >= m.quiet || len(s.Incidents) >= toldAtMost:
			// An old log that is imported raises no alarm.
		default:
			t := &told{ID: in.ID, Keys: f.keys, Began: in.Since}
			s.Incidents = append(s.Incidents, t)
			events = append(events, t.begin(f, m))
		}
	}
	for _, t := range s.Incidents {
		if !matched[t] && t.EndedAt == nil && m.newest.Sub(t.Until) >= m.quiet {
			over := *t.Facts
			over.Ongoing, over.Ended = false, "nothing was refused since"
			events = append(events, t.end(&finding{incident: &over}, m))
		}
	}
	s.Incidents = slices.DeleteFunc(s.Incidents, func(t *told) bool { return t.EndedAt != nil && m.newest.Sub(t.Until) >= m.quiet })
	return events
}

// matching returns the told incidents that match a finding.
func (s *state) matching(f *finding, quiet time.Duration) func(yield func(*told) bool) {
	return func(yield func(*told) bool) {
		for _, t := range s.Incidents {
			if f.incident.Since.Sub(t.Until) < quiet && t.Began.Sub(f.incident.Until) < quiet &&
				slices.ContainsFunc(f.keys, func(key string) bool { return slices.Contains(t.Keys, key) }) && !yield(t) {
				return
			}
		}
	}
}

// meet updates an incident.
func (t *told) meet(f *finding, m moment) *Event {
	in := f.incident
	t.addKeys(f.keys)
	if in.Until.After(t.Until) {
		t.Until = in.Until
	}
	t.Facts = bounded(in)
	silence := m.newest.Sub(t.Until)
	switch {
	case !f.noise:
		t.Noise = nil
	case t.Noise == nil:
		t.Noise = &m.newest
	}
	switch {
	case t.EndedAt != nil:
		if in.Ongoing && !f.noise && in.Until.After(*t.EndedAt) {
			return t.begin(f, m)
		}
	case !in.Ongoing && (silence >= m.quiet || t.Times == 1 && silence >= settle(in)):
		return t.end(f, m)
	case in.Ongoing && t.Noise != nil && m.newest.Sub(*t.Noise) >= m.quiet:
		over := *in
		over.Ongoing, over.Ended = false, "now and then a message is refused, as on every day"
		return t.end(&finding{incident: &over}, m)
	case in.Ongoing && !f.noise:
		if changes := t.grown(in); len(changes) > 0 {
			return t.event(Grew, f, m, changes...)
		}
	}
	return nil
}

func (t *told) addKeys(keys []string) {
	for _, key := range keys {
		if !slices.Contains(t.Keys, key) && len(t.Keys) < 4*namesAtMost {
			t.Keys = append(t.Keys, key)
		}
	}
}

// absorb merges another incident that has turned out to be the same.
func (t *told) absorb(other *told) {
	t.addKeys(other.Keys)
	if other.Began.Before(t.Began) {
		t.Began = other.Began
	}
	if other.Until.After(t.Until) {
		t.Until = other.Until
	}
	t.Times = max(t.Times, other.Times)
	t.Size, t.Providers, t.Valid = t.Most(other.Size), max(t.Providers, other.Providers), max(t.Valid, other.Valid)
}

// settle returns how long no mail must have been refused before an incident is reported as over:
// the search runs every few minutes, and would take a lucky hour for the end.
func settle(in *report.Incident) time.Duration {
	return min(max(in.Until.Sub(in.Since)/8, time.Hour), 12*time.Hour)
}

// sizeOf returns the size of an incident.
func sizeOf(in *report.Incident) problem.Size {
	return problem.SizeOf(in.Refused, in.Since, in.Until, in.Hours)
}

// grown returns the figures of an incident that have grown since its last event; each can grow only
// a few times.
func (t *told) grown(in *report.Incident) (changes []Change) {
	switch now := sizeOf(in); {
	case now.Faster(t.Size) && min(now.Hours, t.Hours) < 24:
		changes = append(changes, Change{"messages", t.Messages, now.Messages, t.Hours, now.Hours})
	case now.Faster(t.Size):
		changes = append(changes, Change{Of: "messages_per_day", From: t.Messages * 24 / t.Hours, To: now.Messages * 24 / now.Hours})
	case now.Grew(t.Size):
		changes = append(changes, Change{Of: "messages_per_hour", From: t.Peak, To: now.Peak})
	case now.Hours == 1:
		t.Size = now.Most(t.Size)
	}
	if now := len(in.Providers); t.Providers == 1 && now > 1 {
		changes = append(changes, Change{Of: "providers", From: t.Providers, To: now})
	}
	if t.Valid == 0 && in.Valid > 0 {
		changes = append(changes, Change{Of: "valid", From: t.Valid, To: in.Valid})
	}
	return changes
}

func (t *told) begin(f *finding, m moment) *Event {
	t.Times++
	t.EndedAt = nil
	t.Until = f.incident.Until
	t.Facts = bounded(f.incident)
	return t.event(Began, f, m)
}

func (t *told) end(f *finding, m moment) *Event {
	at := m.newest
	t.EndedAt = &at
	return t.event(Ended, f, m)
}

// mergeInto ends an incident that is now part of another.
func (t *told) mergeInto(other *told, in *report.Incident, m moment) *Event {
	over := *t.Facts
	over.Ongoing, over.Ended = false, "now part of: "+in.Title
	e := t.end(&finding{incident: &over}, m)
	e.Text = table.Clean(table.Cut("Incident merged: "+over.Title+"; now part of: "+in.Title, 1000))
	e.MergedInto = other.ID
	return e
}

// event returns an event, and records its figures.
func (t *told) event(kind string, f *finding, m moment, changes ...Change) *Event {
	in := f.incident
	t.Events++
	t.Size, t.Providers, t.Valid = sizeOf(in).Most(t.Size), max(len(in.Providers), t.Providers), max(in.Valid, t.Valid)
	return &Event{
		Version: 1, Kind: kind, ID: hash(t.ID, strconv.Itoa(t.Events)), Group: t.ID, Host: m.host, Time: m.now.UTC().Truncate(time.Second),
		Text: sentence(kind, in, t.Times > 1, changes), Changes: changes, Details: table.Cut(m.describe(in), detailsAtMost), Facts: bounded(in),
	}
}

// post puts events into the outbox, for each destination, and returns the number dropped for lack
// of room. If there are more than atOnce, one event replaces the rest.
func (s *state) post(events []*Event, to []Destination, m moment) (dropped int) {
	if n := len(events); n > atOnce {
		rest := &Event{
			Version: 1, Kind: More, ID: hash("more", events[atOnce-1].ID), Host: m.host, Time: m.now.UTC().Truncate(time.Second),
			Text: fmt.Sprintf("%d more incidents began or ended: bouncelog report --section problems", n-atOnce+1),
		}
		events = append(slices.Clone(events[:atOnce-1]), rest)
	}
	for _, e := range events {
		for _, d := range to {
			if len(s.Outbox) >= outboxAtMost {
				dropped++
				continue
			}
			s.Outbox = append(s.Outbox, &item{Event: e, To: d.ID(), Next: m.now.UTC()})
		}
	}
	return dropped
}
