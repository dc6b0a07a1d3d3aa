package top

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"charm.land/bubbles/v2/key"

	"bouncelog/bounce"
	"bouncelog/judge"
)

// A keyPress is a key as bubbletea names it, and what it types.
type keyPress struct{ name, text string }

// An effect is what a key asks the model to do.
type effect struct {
	quit bool
	copy string // to the clipboard
}

// press handles a key, as bubbletea names it; text is what it types.
func (s *state) press(k keyPress, d *data) (e effect) {
	is := func(b key.Binding) bool { return key.Matches(k, b) }
	s.said, s.copied = "", ""
	if k.String() == "ctrl+c" {
		return effect{quit: true}
	}
	p := s.page()
	if s.typing {
		s.typed(k)
		return effect{}
	}
	pinned := 0
	if p.kind == pageTable && d.incidents != nil && !d.reading {
		pinned = len(d.incidents.list)
	}
	rows := p.rows()
	step := max(s.height/2, 1)
	scroll := func(by int) {
		if p.kind == pageText || p.kind == pageMessage {
			p.cursor = max(s.firstLine(p, len(folds(p.text(), s.width)))+by, 0)
			return
		}
		p.move(p.at(rows)+by, pinned, rows)
	}
	switch {
	case is(keyQuit):
		return effect{quit: true}
	case is(keyHelp):
		s.open(page{kind: pageText, title: "help", lines: helpText, command: "bouncelog help top"})
	case is(keyUp):
		scroll(-1)
	case is(keyDown):
		scroll(1)
	case is(keyPageUp):
		scroll(-step)
	case is(keyPageDn):
		scroll(step)
	case is(keyHome):
		if p.kind == pageText || p.kind == pageMessage {
			p.cursor = 0
		} else {
			p.move(0, pinned, rows)
		}
	case is(keyEnd):
		scroll(1 << 20)
	case is(keyBack):
		switch {
		case p.filter != "":
			p.filter = ""
		case len(s.stack) > 1:
			s.stack = s.stack[:len(s.stack)-1]
		}
	case is(keyFilter):
		if p.kind != pageText && p.kind != pageMessage {
			s.typing = true
		}
	case is(keyWider):
		s.zoom(1)
	case is(keyCloser):
		s.zoom(-1)
	case is(keySort):
		s.sortNext(p)
	case is(keyPause):
		s.pause(d)
	case is(keyNext):
		s.choose((s.view + 1) % view(len(viewNames)))
	case len(k.String()) == 1 && "1" <= k.String() && k.String() <= "6":
		s.choose(view(k.String()[0] - '1'))
	case is(keyOpen):
		s.enter(d)
	case is(keyExplain):
		s.explainRow(s.chosen(d, "explain"))
	case is(keyTrace):
		s.traceRow(s.chosen(d, "trace"))
	case is(keyCopy):
		e.copy = s.commandOf(d)
		if s.copied = e.copy; s.lacks(d) {
			s.said = d.name + " was rotated or truncated at " + clock(d.left, d.now, d.location) + ": it no longer has all lines of this page, and the command counts less"
		}
		if e.copy == "" {
			s.said = "there is nothing to copy yet"
		}
	}
	return e
}

// sortNext sorts by the next column that is on the screen.
func (s *state) sortNext(p *page) {
	if p.ans == nil || len(p.ans.table.columns) == 0 {
		return
	}
	n := len(p.ans.table.columns)
	shown := append(layOut(p, p.rows(), s.width).columns, n)
	for at := p.sortedBy() + 1; at <= n; at++ {
		if slices.Contains(shown, at) {
			p.sort = p.heading(at)
			return
		}
	}
	p.sort = ""
}

// pause stops the screen at this moment, or continues it.
func (s *state) pause(d *data) {
	s.paused, s.pausedAt, s.pausedEnd = !s.paused, d.now, d.now
	for i := range s.stack {
		if ans := s.stack[i].ans; ans != nil && ans.period.until.After(s.pausedEnd) {
			s.pausedEnd = ans.period.until
		}
	}
}

// typed handles a key that goes to the filter.
func (s *state) typed(k keyPress) {
	p := s.page()
	switch k.String() {
	case "enter":
		s.typing = false
	case "esc":
		s.typing, p.filter = false, ""
	case "backspace", "ctrl+h":
		if r := []rune(p.filter); len(r) > 0 {
			p.filter = string(r[:len(r)-1])
		}
	case "ctrl+u":
		p.filter = ""
	default:
		s.paste(k.text)
	}
	p.cursor, p.key = 0, ""
}

// filterAtMost is the greatest length of a filter, in bytes.
const filterAtMost = 200

// paste adds text to the filter.
func (s *state) paste(text string) {
	if !s.typing {
		return
	}
	p := s.page()
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
	if len(p.filter)+len(text) <= filterAtMost {
		p.filter += text
	}
}

// choose shows another view.
func (s *state) choose(v view) {
	s.tables[s.view] = s.stack[0]
	s.view, s.stack = v, []page{s.tables[v]} // as it was left
}

// zoom makes the window longer or shorter.
func (s *state) zoom(by int) {
	to := s.window + by
	if s.fixed {
		s.said = "--since and --until have set the period"
		return
	}
	if to < 0 || to >= len(windows) {
		s.said = "the window is from " + spanShort(windows[0]) + " to " + spanShort(windows[len(windows)-1])
		return
	}
	s.window = to
}

func (s *state) open(p page) {
	if top := s.page(); top.kind == p.kind && top.title == p.title && p.kind == pageText {
		return // it is open
	}
	s.stack = append(slices.Clip(s.stack), p)
}

// enter opens what is at the cursor.
func (s *state) enter(d *data) {
	p := s.page()
	if p.kind == pageTable && p.cursor < 0 {
		if i := incidentAt(p, d); i >= 0 {
			s.openIncident(&d.incidents.list[i], d)
		}
		return
	}
	if p.incident != nil {
		s.openReplies(p.incident, d)
		return
	}
	x := s.chosen(d, "open")
	if x == nil {
		return
	}
	next := page{place: x.place, title: x.name}
	switch {
	case x.place.queueID != "":
		next.kind, next.title = pageMessage, "message "+x.place.queueID
	case x.place == place{}:
		s.said = "recipients without a domain are no place of their own: 6 has the replies, / finds them"
		return
	case p.kind == pageReplies, x.place.reply, x.place.waits != "":
		next.kind = pageRecipients
	default:
		next.kind = pageReplies
	}
	s.open(next)
}

// chosen returns the row that a key acts on; without one it shows why. does names the key's action.
func (s *state) chosen(d *data, does string) *row {
	p := s.page()
	if p.kind == pageText || p.kind == pageMessage {
		s.said = "there is nothing to " + does + " here; esc goes back"
		if p.incident != nil {
			s.said = "that is for a reply; enter opens its replies"
		}
		return nil
	}
	x := p.selected()
	switch {
	case x != nil:
	case p.kind == pageTable && incidentAt(p, d) >= 0:
		s.said = "that is for a row of the table; enter opens the incident"
	case p.ans != nil:
		s.said = "there is no row"
	}
	return x
}

// traceRow opens the message that got the row's last words.
func (s *state) traceRow(x *row) {
	switch {
	case x == nil:
	case x.place.queueID != "":
		s.open(page{kind: pageMessage, place: place{host: x.place.host, queueID: x.place.queueID, recipient: x.place.recipient}, title: "message " + x.place.queueID})
	case x.last != nil:
		s.open(page{kind: pageMessage, place: place{host: x.last.Host, queueID: x.last.QueueID, recipient: x.last.Recipient}, title: "message " + x.last.QueueID})
	case x.says != "" || x.place.waits != "":
		s.said = openFirst
	default:
		s.said = "there is no failure to trace"
	}
}

// openFirst is shown for a row whose last failure is not known.
const openFirst = "its last failure is not among the newest: open it first"

// explainRow opens the explanation of the row's last words.
func (s *state) explainRow(x *row) {
	switch {
	case x == nil:
	case x.last != nil:
		s.open(page{kind: pageText, title: "explanation", lines: explanation(s.explain(&x.last.Delivery), replyText(x.last)), command: s.command.explain(x.last)})
	case x.reason != bounce.NoReason:
		t := judge.ReasonText(x.reason)
		lines := []string{t.Title, "  " + t.Meaning, "", "What to do"}
		for _, step := range t.Do {
			lines = append(lines, "  - "+step)
		}
		s.open(page{kind: pageText, title: "explanation", lines: lines, command: command([]string{"explain", "--reasons"}, s.command.Rules)})
	case x.says != "" || x.place.waits != "":
		s.said = openFirst
	default:
		s.said = "there is no failure to explain"
	}
}

// explanation returns the explanation of a reply, in lines.
func explanation(x judge.Explanation, reply string) []string {
	lines := []string{x.Title, "  " + x.Meaning}
	add := func(title string, text ...string) {
		var said []string
		for _, t := range text {
			if t != "" {
				said = append(said, "  "+t)
			}
		}
		if len(said) > 0 {
			lines = append(append(lines, "", title), said...)
		}
	}
	add("Reply", reply)
	reason := x.Verdict.Reason.String()
	if x.Verdict.Detail != "" {
		reason += " (" + x.Verdict.Detail + ")"
	}
	if x.Sure != "" {
		reason += ". " + x.Sure
	}
	add("Reason", reason)
	add("Who acts", x.Turn)
	add("Retry", x.Retry)
	do := slices.Clone(x.Do)
	for i := range do {
		do[i] = "- " + do[i]
	}
	add("What to do", do...)
	add("Could also be", x.Also)
	add("See", x.Links...)
	return lines
}

// openIncident opens the evidence of an incident.
func (s *state) openIncident(in *incident, d *data) {
	lines := []string{in.Title, "  " + in.Figures() + " since " + minute(in.Since, d.now, d.location)}
	if in.Going() {
		lines[1] += ", going on"
	}
	add := func(title string, text ...string) {
		if len(text) > 0 && text[0] != "" {
			lines = append(lines, "", title)
			for _, t := range text {
				lines = append(lines, "  "+t)
			}
		}
	}
	if in.Share > 0 {
		lines = append(lines, "  "+in.Share.String()+" of all messages of the last "+spanShort(d.incidents.period))
	}
	if in.BeforeTried > 0 {
		lines = append(lines, "  before: "+number(int64(in.Before), 9)+" of "+number(int64(in.BeforeTried), 9)+" messages")
	}
	add("First check", in.Check)
	add("Why", in.Why)
	var seen []string
	for _, e := range in.evidence {
		seen = append(seen, clock(e.Time, d.now, d.location)+"  "+e.Text)
		if e.Warning != "" {
			seen = append(seen, "  logged just before: "+e.Warning)
		}
	}
	add("Evidence", seen...)
	if len(seen) == 0 {
		add("Reply", in.Reply)
	}
	add("Providers", strings.Join(in.Providers, ", "))
	add("Sender domains", strings.Join(in.SenderDomains, ", "))
	add("Our addresses, as the replies name them", strings.Join(in.Addresses, ", "))
	add("Other explanation", in.Otherwise)
	add("What would disprove it", in.Disproved)
	add("Next command", in.Command)
	next := page{kind: pageText, title: "incident", lines: lines, command: d.incidents.command(&s.command)}
	if in.leads() {
		next.incident = in
	}
	s.open(next)
}

// leads reports whether there are replies of the incident to open.
func (in *incident) leads() bool { return len(in.Providers) > 0 || in.reason != bounce.NoReason }

// openReplies opens the replies of an incident: those of its first provider, if it has one, with
// its reason. A window that begins after the last refusal holds none of them, so it is made longer.
func (s *state) openReplies(in *incident, d *data) {
	next := page{kind: pageReplies}
	if len(in.Providers) > 0 {
		next.title, next.place.provider, next.filter = in.Providers[0], in.Providers[0], in.reason.String()
	} else {
		next.title, next.place.reason = in.reason.String(), in.reason
	}
	if len(in.Providers) > 1 {
		s.said = "this is the first of its providers: " + strings.Join(in.Providers, ", ")
	}
	for !s.fixed && s.window < len(windows)-1 && s.clockOf(d).Add(-windows[s.window]).After(in.Until) {
		s.window++
	}
	s.open(next)
}

func (k keyPress) String() string { return k.name }

// answered gives an answer to the page that asked, if it still needs it.
func (s *state) answered(ans *answer) {
	for i := range s.stack {
		p := &s.stack[i]
		if p.kind == ans.kind && p.place == ans.place && ans.window == windows[s.window] && (p.kind != pageTable || ans.view == s.view) {
			first := p.ans == nil
			p.ans = ans
			if p.sort != "" && p.sortedBy() < 0 { // of the options
				s.said = fmt.Sprintf("there is no column %q: there are %s", p.sort, strings.Join(p.headings(), ", "))
				p.sort = ""
			}
			if p.kind == pageMessage && first {
				p.cursor = s.lineOf(p)
			}
		}
	}
}

// lineOf returns the line at which the trace of a message opens: the last event of the chosen
// recipient, if that is below the screen, under the line that counts those above.
func (s *state) lineOf(p *page) int {
	at, text := 0, p.text()
	for i, l := range text {
		if isOf(l, p.place.recipient) && !strings.HasPrefix(l, "  in the end: ") {
			at = i
		}
	}
	above, block := len(folds(text[:at], s.width)), len(folds(text[at:min(at+blockLines, len(text))], s.width))
	if above+block <= s.textRoom() {
		return 0
	}
	return above - 1
}
