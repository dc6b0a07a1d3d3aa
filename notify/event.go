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
	Grew  = "grew"  // it has reached several providers, recipients known to be valid, or ten times the rate
	Ended = "ended" // it is over
	More  = "more"  // more incidents began or ended at once than are reported singly
	Test  = "test"
)

// An Event is a message to a destination. Its JSON is the body of a webhook.
type Event struct {
	Version int    `json:"version"` // version of the JSON: 1
	Kind    string `json:"event"`
	ID      string `json:"id"`       // the same on each retry of the event
	Group   string `json:"incident"` // the same for all events of an incident, the id that it began with; "" of More and Test
	// MergedInto is the id of the incident that the ended incident is now part of.
	MergedInto string    `json:"merged_into,omitempty"`
	Host       string    `json:"host"` // host that sends the event
	Time       time.Time `json:"time"` // time at which the change was found
	Text       string    `json:"text"` // one sentence
	// Changes are the reasons of Grew.
	Changes []Change `json:"changes,omitempty"`
	Details string   `json:"details,omitempty"`
	// Facts are the facts in the report's verdict; nil for More and Test.
	Facts *report.Incident `json:"facts,omitempty"`
}

// A Change is a figure of an incident that has grown since the last event.
type Change struct {
	Of   string `json:"of"` // messages, or one of changesOf
	From int    `json:"from"`
	To   int    `json:"to"`
	// FromHours and ToHours are the hours, counted from the first refusal, of From and To messages.
	FromHours int `json:"from_hours,omitempty"`
	ToHours   int `json:"to_hours,omitempty"`
}

// changesOf has the words for Change.Of, except messages.
var changesOf = map[string]string{"messages_per_day": "messages a day", "messages_per_hour": "messages an hour", "providers": "providers", "valid": "recipients known to be valid"}

// The limits of an event: a log may hold very many names.
const (
	namesAtMost   = 20
	textAtMost    = 2000
	detailsAtMost = 8000
)

// NewTest returns a test event.
func NewTest(host string, now time.Time) *Event {
	now = now.UTC().Truncate(time.Second)
	return &Event{
		Version: 1, Kind: Test, ID: hash("test", host, now.Format(time.RFC3339Nano)), Host: host, Time: now,
		Text: "This is a test. Incidents are reported here: once when one begins, once when it is over.",
	}
}

// Subject returns the event in one line without control characters, for a header.
func (e *Event) Subject() string {
	// A client must not decode any part as an encoded word (RFC 2047).
	text := strings.ReplaceAll(table.Clean(e.Text), "=?", "= ?")
	return table.Cut(fmt.Sprintf("bouncelog, %s: %s", table.Clean(e.Host), text), 180)
}

// sentence describes an event of an incident.
func sentence(kind string, in *report.Incident, again bool, changes []Change) string {
	title := table.Clean(table.Cut(in.Title, 500))
	switch {
	case kind == Ended:
		return "Incident over: " + title
	case kind == Grew:
		var grown []string
		for _, c := range changes {
			if c.Of == "messages" {
				grown = append(grown, fmt.Sprintf("from %d messages in %d h to %d in %d h", c.From, c.FromHours, c.To, c.ToHours))
				continue
			}
			grown = append(grown, fmt.Sprintf("from %d to %d %s", c.From, c.To, changesOf[c.Of]))
		}
		return "Incident grows " + strings.Join(grown, ", ") + ": " + title
	case again:
		return "Incident back: " + title
	}
	return "Incident begun: " + title
}

// bounded returns a copy of an incident that fits into a message and has no characters that act on
// a terminal.
func bounded(in *report.Incident) *report.Incident {
	b := *in
	b.Problem, b.Hours = nil, nil
	for _, s := range []*string{&b.Title, &b.Short, &b.Ended, &b.Reply, &b.Warning, &b.Why, &b.Check, &b.Otherwise, &b.Disproved} {
		*s = table.Clean(table.Cut(*s, textAtMost))
	}
	for _, command := range [...]*string{&b.Command, &b.ListSenders} {
		if len(*command) > textAtMost {
			*command = "" // half a command would be another command
		}
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
