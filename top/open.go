package top

import (
	"strings"
	"time"

	"bouncelog/bounce"
)

// The things that can be opened on the command line, and their filters.
const (
	openProvider = "provider"
	openDomain   = "domain"
	openSender   = "sender"
	openReason   = "reason"
	openReply    = "reply"
	openQueue    = "queue"
)

// Opens returns the names of what can be opened.
func Opens() []string {
	return []string{openProvider, openDomain, openSender, openReason, openReply, openQueue}
}

// openedBy returns the pages that words such as provider=NAME open, one upon another. ok is false
// for a word that opens nothing there.
func openedBy(words []string) (pages []page, ok bool) {
	var at page
	for _, w := range words {
		key, value, named := strings.Cut(w, "=")
		p := page{kind: pageReplies, place: at.place, title: value}
		if key == openReply && value == "" {
			p.title = codes(0, 0)
		}
		switch first := len(pages) == 0; {
		case !named || value == "" && key != openReply: // what was never answered has an empty template
			return nil, false
		case key == openReply && (first || at.kind == pageReplies):
			p.kind, p.place.reply, p.place.template = pageRecipients, true, value
		case !first:
			return nil, false
		case key == openProvider:
			p.place.provider = value
		case key == openDomain:
			p.place.domain = value
		case key == openSender:
			p.place.sender = value
		case key == openReason:
			if p.place.reason, ok = bounce.ParseReason(value); !ok || p.place.reason == bounce.NoReason {
				return nil, false
			}
		case key == openQueue:
			p.kind, p.place.waits = pageRecipients, value
		default:
			return nil, false
		}
		p.place.escaped = p.place.escaped || strings.Contains(value, `\`)
		at = p
		pages = append(pages, p)
	}
	return pages, true
}

// opens returns the words that open a place.
func (p *place) opens() (words []string) {
	for _, x := range [...]struct{ key, value string }{
		{openProvider, p.provider}, {openDomain, p.domain}, {openSender, p.sender}, {openQueue, p.waits}, {openReply, p.template},
	} {
		if x.value != "" || x.key == openReply && p.reply {
			words = append(words, "--open="+x.key+"="+x.value)
		}
		if x.key == openSender && p.reason != bounce.NoReason {
			words = append(words, "--open="+openReason+"="+p.reason.String())
		}
	}
	return words
}

// commandOf returns the command that prints what the page shows, with the same numbers; "" if the
// page shows nothing yet.
func (s *state) commandOf(d *data) string {
	p := s.page()
	switch {
	case p.kind == pageText:
		return p.command
	case p.kind == pageMessage:
		return s.command.trace(p.place.host, p.place.queueID)
	case p.kind == pageTable && p.cursor < 0:
		if incidentAt(p, d) >= 0 {
			return d.incidents.command(&s.command)
		}
	}
	if p.ans == nil {
		return ""
	}
	words := []string{"top", "--once", "--all", "--view=" + viewNames[s.view]}
	if p.kind != pageTable {
		words = append(words, p.place.opens()...)
	}
	if p.filter != "" {
		words = append(words, "--filter="+p.filter)
	}
	if p.sort != "" {
		words = append(words, "--sort="+p.sort)
	}
	return s.command.of(p.ans.period, words...)
}

// lacks reports whether the command of the page would read a followed log that no longer has all
// lines that the page counts.
func (s *state) lacks(d *data) bool {
	p := s.page()
	if d.left.IsZero() || len(s.command.Files) == 0 || p.kind == pageText && p.title != "incident" {
		return false
	}
	since := time.Time{} // of a message and of incidents: any
	if p.ans != nil && p.kind != pageMessage && p.cursor >= 0 {
		since = p.ans.period.since
	}
	return !since.After(d.left)
}
