package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"charm.land/bubbles/v2/key"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/judge"
)

// A state is the part of the screen that keys change. A frame depends on it and on data only.
type state struct {
	width, height int
	view          view
	window        int    // place in windows
	fixed         bool   // the options have set the period
	listing       bool   // there are no keys: of a listing
	stack         []page // the table first, what was opened last at the end
	tables        [len(viewNames)]page
	typing        bool // keys go to the filter
	paused        bool
	pausedAt      time.Time
	pausedEnd     time.Time // of what was counted then, lines ahead of the clock included
	said          string    // what the last key did, until the next one
	explain       func(*bounce.Delivery) judge.Explanation
	command       CommandWords
	copied        string // the command that the last key copied, until the next one
}

// data is the part of the screen that comes from the store and the clock.
type data struct {
	now       time.Time
	location  *time.Location
	name      string // of the log that is followed; "": a database
	only      string // what the options select, in words; "": all
	behind    int64  // bytes of it that are not read yet
	reading   bool   // it has not been read to its end since the start
	news      string // what happened to it; badNews: something is wrong with it
	badNews   bool
	left      time.Time // when lines left the log, by which commands of it count less; zero: none did
	err       string
	incidents *incidents

	since, until time.Time // the period of the options; zero: the window up to now
}

// A page is one screen with the choices made on it.
type page struct {
	kind     kind
	place    place
	title    string
	cursor   int    // a row, below 0 an incident; of a text the first line shown
	key      string // of the row, which may move; "": the first
	sort     string // the heading of the column that sorts the rows; "": the worst first
	filter   string
	lines    []string  // of a text
	command  string    // of a text
	incident *incident // of a text, whose replies enter opens; nil: none
	ans      *answer   // nil: not there yet
}

func (s *state) page() *page { return &s.stack[len(s.stack)-1] }

// clockOf returns the time that the screen shows.
func (s *state) clockOf(d *data) time.Time {
	if s.paused {
		return s.pausedAt
	}
	return d.now
}

// question returns the question of the page that is shown; ok is false if the page is a text.
func (s *state) question() (q question, ok bool) {
	p := s.page()
	q = question{kind: p.kind, place: p.place, window: windows[s.window]}
	if p.kind == pageTable {
		q.view = s.view
	}
	return q, p.kind != pageText
}

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

// isOf reports whether a line of a trace begins an attempt for a recipient, or its end.
func isOf(line, recipient string) bool {
	return recipient != "" && strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") && strings.Contains(line, "<"+table.Clean(recipient)+">")
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

const (
	blockLines = 4 // of an attempt: when, the reply, the reason, the end
	textHead   = 3 // lines above a text: the head, the rates, the way to it
)

// textRoom returns how many lines of a text fit on the screen.
func (s *state) textRoom() int { return s.height - textHead - len(footLines(s)) }

// firstLine returns the first line that is shown of a text of n lines: the line that the page was
// scrolled to, or an earlier one if the text would end above the foot. Nothing else bounds
// page.cursor there.
func (s *state) firstLine(p *page, n int) int { return max(min(p.cursor, n-s.textRoom()), 0) }

func (p *page) text() []string {
	if p.kind == pageMessage && p.ans != nil {
		return p.ans.lines
	}
	return p.lines
}

// keyOf returns the key that identifies a row among the others.
func keyOf(x *row) string { return x.name + "\x00" + x.place.template }

// leaves reports whether a row passes the filter: it contains the filter's word, or does not, as
// the filter says.
func (p *page) leaves(has func(word string) bool) bool {
	word, not := strings.CutPrefix(strings.ToLower(p.filter), "!")
	return word == "" || has(word) != not
}

// contains reports whether a text contains a word in lower case, as it is or as it is drawn.
func contains(text, word string) bool {
	return strings.Contains(strings.ToLower(text), word) || strings.Contains(word, `\`) && strings.Contains(strings.ToLower(plain(text)), word)
}

// tail returns the newest failures that pass the filter, folded.
func (p *page) tail() []fold {
	return folded(p.ans.recent, func(x *failure) bool { return p.leaves(x.has) })
}

// rows returns the rows that pass the filter, in their order.
func (p *page) rows() []row {
	if p.ans == nil {
		return nil
	}
	rows := slices.Clone(p.ans.table.rows)
	rows = slices.DeleteFunc(rows, func(x row) bool {
		return !p.leaves(func(word string) bool {
			return contains(x.name+" "+provider.Name(x.name)+" "+x.words+" "+x.reason.String(), word) ||
				strings.Contains(x.says, word) || strings.Contains(word, `\`) && strings.Contains(strings.ToLower(plain(x.says)), word)
		})
	})
	switch at := p.sortedBy(); {
	case at == len(p.ans.table.columns):
		slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	case at >= 0:
		slices.SortStableFunc(rows, func(a, b row) int {
			return cmp.Or(cmp.Compare(b.cells[at].n, a.cells[at].n), strings.Compare(a.cells[at].text, b.cells[at].text))
		})
	}
	return rows
}

// at returns the index of the cursor among rows: the cursor follows its row when that moves.
func (p *page) at(rows []row) int {
	if p.cursor < 0 {
		return p.cursor
	}
	if p.key != "" {
		if i := slices.IndexFunc(rows, func(x row) bool { return keyOf(&x) == p.key }); i >= 0 {
			return i
		}
	}
	return min(p.cursor, max(len(rows)-1, 0))
}

// move puts the cursor on a row or, if the index is negative, on an incident.
func (p *page) move(to, incidents int, rows []row) {
	p.cursor = min(max(to, -incidents), max(len(rows)-1, 0))
	p.key = ""
	if p.cursor > 0 && p.cursor < len(rows) {
		p.key = keyOf(&rows[p.cursor])
	}
}

// selected returns the row at the cursor; nil: none.
func (p *page) selected() *row {
	rows := p.rows()
	if i := p.at(rows); i >= 0 && i < len(rows) {
		return &rows[i]
	}
	return nil
}

// sortMark marks the column that the rows are sorted by: figures from the largest, names from A. No
// column is marked if the worst come first.
const sortMark = "▼"

// heading returns the name of a column; that of the rows' names if at is len(columns).
func (p *page) heading(at int) string {
	if at < len(p.ans.table.columns) {
		return p.ans.table.columns[at].name
	}
	return p.ans.table.name
}

// before returns what precedes the name of a column: the mark, or the blank in its place.
func (p *page) before(at int) string {
	if p.sortedBy() == at {
		return sortMark
	}
	return " "
}

// headings returns the names of the columns by which rows can be sorted, that of the rows' names
// last.
func (p *page) headings() (names []string) {
	for at := range len(p.ans.table.columns) + 1 {
		names = append(names, p.heading(at))
	}
	return names
}

// sortedBy returns the index of the column that sorts the rows; it is negative if the worst come
// first.
func (p *page) sortedBy() int {
	if p.sort == "" || p.ans == nil {
		return -1
	}
	return slices.Index(p.headings(), p.sort)
}

// The keys. The foot of the screen and the page of ? explain them.
var (
	keyFilter  = key.NewBinding(key.WithKeys("/"), key.WithHelp("/", "filter"))
	keyOpen    = key.NewBinding(key.WithKeys("enter", "right", "l"), key.WithHelp("↵", "open"))
	keyLeads   = key.NewBinding(key.WithHelp("↵", "replies"))
	keyBack    = key.NewBinding(key.WithKeys("esc", "left", "backspace", "h"), key.WithHelp("esc", "back"))
	keyExplain = key.NewBinding(key.WithKeys("e"), key.WithHelp("e", "explain"))
	keyTrace   = key.NewBinding(key.WithKeys("t"), key.WithHelp("t", "trace"))
	keyCopy    = key.NewBinding(key.WithKeys("c"), key.WithHelp("c", "copy"))
	keySort    = key.NewBinding(key.WithKeys("s"), key.WithHelp("s", "sort"))
	keyWider   = key.NewBinding(key.WithKeys("+", "="), key.WithHelp("+-", "window"))
	keyCloser  = key.NewBinding(key.WithKeys("-", "_"))
	keyPause   = key.NewBinding(key.WithKeys("p"), key.WithHelp("p", "pause"))
	keyHelp    = key.NewBinding(key.WithKeys("?", "f1"), key.WithHelp("?", "help"))
	keyQuit    = key.NewBinding(key.WithKeys("q", "ctrl+c"), key.WithHelp("q", "quit"))
	keyUp      = key.NewBinding(key.WithKeys("up", "k"))
	keyDown    = key.NewBinding(key.WithKeys("down", "j"))
	keyPageUp  = key.NewBinding(key.WithKeys("pgup", "ctrl+b"))
	keyPageDn  = key.NewBinding(key.WithKeys("pgdown", "space", "ctrl+f"))
	keyHome    = key.NewBinding(key.WithKeys("home", "g"))
	keyScroll  = key.NewBinding(key.WithHelp("↑↓", "scroll"))
	keyEnd     = key.NewBinding(key.WithKeys("end", "G"))
	keyNext    = key.NewBinding(key.WithKeys("tab"))
)

// footKeys are the keys of the foot in their order, with the order in which they are left out if
// there is no room for all. Help and quit always stay: help explains the others.
func (s *state) footKeys() (keys, goes []key.Binding) {
	p := s.page()
	sort := keySort
	if p.sortedBy() >= 0 {
		sort = key.NewBinding(key.WithHelp("s", "sort: "+p.sort))
	}
	if p.kind == pageText || p.kind == pageMessage {
		keys, goes = []key.Binding{keyBack, keyScroll, keyCopy, keyPause, keyHelp, keyQuit}, []key.Binding{keyPause, keyCopy, keyScroll, keyBack}
		if p.incident != nil {
			keys, goes = slices.Insert(keys, 1, keyLeads), append(goes, keyLeads)
		}
		return keys, goes
	}
	keys = []key.Binding{keyOpen, keyFilter, keyExplain, keyTrace, keyCopy, sort, keyWider, keyPause, keyHelp, keyQuit}
	goes = []key.Binding{keyPause, keyTrace, keyCopy, keyWider, keySort, keyExplain, keyFilter, keyOpen}
	if s.fixed {
		keys = slices.DeleteFunc(keys, func(k key.Binding) bool { return k.Help().Key == keyWider.Help().Key })
	}
	if len(s.stack) > 1 {
		keys, goes = slices.Insert(keys, 0, keyBack), append(goes, keyBack)
	}
	return keys, goes
}

// helpText is the page of ?.
var helpText = []string{
	"Tables",
	"  1 2 3 4 5 6   providers, domains, reasons, senders, queue, replies; tab: next",
	"  s             sort by the next column, which ▼ marks; else the worst come first",
	"  /             show only rows and failures with a word; !word leaves them out",
	"  + -           a longer or shorter window: 5m 15m 1h 4h 24h 7d",
	"",
	"Rows",
	"  ↑ ↓ k j       move, also pgup pgdn home end; the incidents are above the first",
	"  enter         open: a provider, its replies, their recipients, one message",
	"  e             explain the last reply: its meaning, and what to do",
	"  t             trace the message that got it",
	"  esc           back; drop the filter",
	"",
	"Screen",
	"  c             send the command for what is shown to the clipboard, and show it",
	"  p             pause, and go on",
	"  q             quit",
	"",
	"Marks of a provider or domain; below 20 messages there is none",
	"  ✖  refuses most of our mail, for a reason that is ours or not named",
	"  ▲  does not take most messages, for another reason",
	"  ●  takes what we send",
	"  ◐  takes other mail: an incident is going on there",
	"Marks of a reason, a reply or a failure",
	"  ✖  is about us",
	"  ▲  is not",
	"",
	"Columns",
	"  deliv.        share of the attempts that delivered",
	"  wait          still queued; the queue has ages in minutes, as qshape(1)",
	"  refused       failures for a reason that is ours or not named",
	"  change        against the window before; – where the logs do not cover it",
	"  last words    the last reply; in brackets the reason, where it is older",
	"",
	"Rates",
	"  The mean of the last twelfth of the window, a minute at least, and of the step",
	"  that runs; – where the logs have no line of that time or less than a minute.",
}

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
		reason += "; " + x.Sure
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
