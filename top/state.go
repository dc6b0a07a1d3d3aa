package top

import (
	"cmp"
	"slices"
	"strings"
	"time"

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

// behindShown is the number of unread bytes of a log from which on the head shows it.
const behindShown = 1 << 20

// look reads the present state of a followed log.
func (d *data) look(o *Options) {
	if o.Behind != nil {
		d.behind = o.Behind()
		d.reading = d.reading && d.behind >= behindShown
	}
	if o.News != nil {
		d.news, d.badNews = o.News()
	}
	if o.Left != nil {
		d.left = o.Left()
	}
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

// isOf reports whether a line of a trace begins an attempt for a recipient, or its end.
func isOf(line, recipient string) bool {
	return recipient != "" && strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") && strings.Contains(line, "<"+table.Clean(recipient)+">")
}

const (
	blockLines = 4 // of an attempt: when, the reply, the reason, the end
	textHead   = 3 // lines above a text: the head, the rates, the way to it
)

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
