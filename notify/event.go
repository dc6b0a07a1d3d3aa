package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/report"
)

// The kinds of events.
const (
	Began = "began" // an incident has begun
	Grew  = "grew"  // it has reached several providers, recipients known to be valid, or ten times the size
	Ended = "ended" // it is over
	More  = "more"  // more began or ended at once than are told one by one
	Test  = "test"
)

// An Event is what a destination is told. Its JSON is the body of a webhook.
type Event struct {
	Version int    `json:"version"` // of the form: 1
	Kind    string `json:"event"`
	ID      string `json:"id"`       // the same each time that the event is sent
	Group   string `json:"incident"` // the same for all events of an incident, the id that it began with; "" of More and Test
	// MergedInto is the incident that this one, which ended, is part of from now on.
	MergedInto string    `json:"merged_into,omitempty"`
	Host       string    `json:"host"` // that says so
	Time       time.Time `json:"time"` // when it was found
	Text       string    `json:"text"` // in a sentence
	// Changes are what Grew is about.
	Changes []Change `json:"changes,omitempty"`
	Details string   `json:"details,omitempty"`
	// Facts are those of the report's verdict; nil of More and Test.
	Facts *report.Incident `json:"facts,omitempty"`
}

// A Change is what of an incident has grown, since it was last told.
type Change struct {
	Of   string `json:"of"` // one of changesOf
	From int    `json:"from"`
	To   int    `json:"to"`
}

// changesOf has the words for Change.Of.
var changesOf = map[string]string{"messages_per_day": "messages a day", "providers": "providers", "valid": "recipients known to be valid"}

// What is told of an incident at most: a log may hold very many names.
const (
	namesAtMost   = 20
	textAtMost    = 2000
	detailsAtMost = 8000
)

// NewTest makes the event of a test.
func NewTest(host string, now time.Time) *Event {
	now = now.UTC().Truncate(time.Second)
	return &Event{
		Version: 1, Kind: Test, ID: hash("test", host, now.Format(time.RFC3339Nano)), Host: host, Time: now,
		Text: "This is a test. Incidents will be told here: once when one begins, once when it is over.",
	}
}

// Subject is the event in a line without control characters, for a header.
func (e *Event) Subject() string {
	// What a client would decode as an encoded word (RFC 2047) must not be one.
	text := strings.ReplaceAll(table.Clean(e.Text), "=?", "= ?")
	return table.Cut(fmt.Sprintf("bouncelog, %s: %s", table.Clean(e.Host), text), 180)
}

// sentence is what an event says of an incident.
func sentence(kind string, in *report.Incident, again bool, changes []Change) string {
	title := table.Clean(table.Cut(in.Title, 500))
	switch {
	case kind == Ended:
		return "Incident over: " + title
	case kind == Grew:
		var grown []string
		for _, c := range changes {
			grown = append(grown, fmt.Sprintf("from %d to %d %s", c.From, c.To, changesOf[c.Of]))
		}
		return "Incident grows " + strings.Join(grown, ", ") + ": " + title
	case again:
		return "Incident back: " + title
	}
	return "Incident begun: " + title
}

// bounded is a copy of an incident that is not larger than a message should be, without
// what acts on a terminal.
func bounded(in *report.Incident) *report.Incident {
	b := *in
	b.Problem, b.Hours = nil, nil
	for _, s := range []*string{&b.Title, &b.Short, &b.Ended, &b.Reply, &b.Warning, &b.Why, &b.Check, &b.Otherwise, &b.Disproved} {
		*s = table.Clean(table.Cut(*s, textAtMost))
	}
	if len(b.Command) > textAtMost {
		b.Command = "" // half of it would be another one
	}
	for _, list := range []*[]string{&b.SenderDomains, &b.Providers, &b.ProviderNames, &b.Addresses} {
		*list = slices.Clone((*list)[:min(len(*list), namesAtMost)])
		for i, name := range *list {
			(*list)[i] = table.Clean(table.Cut(name, 255))
		}
	}
	return &b
}

func hash(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:12])
}
