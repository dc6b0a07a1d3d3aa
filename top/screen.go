package top

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	"charm.land/lipgloss/v2"

	"bouncelog/internal/when"
	"bouncelog/report"
)

// A style is the meaning of a text. Each style also has a shape or a place: no meaning is shown by
// colour alone.
type style int

const (
	normal style = iota
	strong
	faint
	bad
	warning // of shapes and courses, as good is: yellow and green are hard to read on white
	good
	chosen // the row at the cursor
	bar    // the lines that part the screen
)

// A paint is the escape sequences before and after a text.
type paint struct{ begin, end string }

func paintOf(s lipgloss.Style) paint {
	begin, end, _ := strings.Cut(s.Render("x"), "x")
	return paint{begin, end}
}

// paints are computed from the styles once: rendering each text by its style would take two thirds
// of the time of a frame (BenchmarkFrame: 270 µs against 100).
var paints = func() (p [lookColours + 1][bar + 1]paint) {
	plain := lipgloss.NewStyle()
	for s, l := range map[style]lipgloss.Style{strong: plain.Bold(true), bad: plain.Bold(true), chosen: plain.Reverse(true), bar: plain.Bold(true)} {
		p[lookAttributes][s] = paintOf(l)
	}
	for s, l := range map[style]lipgloss.Style{
		strong: plain.Bold(true), faint: plain.Faint(true), bad: plain.Bold(true).Foreground(lipgloss.Red), warning: plain.Foreground(lipgloss.Yellow),
		good: plain.Foreground(lipgloss.Green), chosen: plain.Reverse(true), bar: plain.Bold(true),
	} {
		p[lookColours][s] = paintOf(l)
	}
	return p
}()

// A look is how styles are drawn.
type look int

const (
	lookText       look = iota // no escape sequence at all
	lookAttributes             // bold and reverse
	lookColours
)

// A span is a part of a line in one style; a line is a list of spans.
type (
	span struct {
		text  string
		style style
	}
	line []span
)

func (l line) width() (n int) {
	for _, s := range l {
		n += width(s.text)
	}
	return n
}

// draw makes a line exactly n columns wide. All its texts are plain already.
func (l line) draw(n int, how look) string {
	var b strings.Builder
	left := n
	for _, s := range l {
		text := s.text
		if w := width(text); w > left {
			text = fit(text, left)
			left = 0
		} else {
			left -= w
		}
		p := paints[how][s.style]
		if text != "" {
			b.WriteString(p.begin + text + p.end)
		}
	}
	if left > 0 {
		p := paint{}
		if len(l) > 0 && l[len(l)-1].style == chosen { // to the end of the line
			p = paints[how][chosen]
		}
		b.WriteString(p.begin + strings.Repeat(" ", left) + p.end)
	}
	if how == lookText {
		return strings.TrimRight(b.String(), " ")
	}
	return b.String()
}

// ends puts a text at the right end of a line of n columns if there is room.
func (l line) ends(n int, s span) line {
	room := n - l.width() - width(s.text)
	if room < 2 {
		return l
	}
	return append(l, span{strings.Repeat(" ", room), normal}, s)
}

// The marks of a provider.
var marks = map[string]span{
	report.MarkRefuses: {"✖", bad}, report.MarkFails: {"▲", warning}, report.MarkTakes: {"●", good}, report.MarkPartly: {"◐", warning}, "": {" ", normal},
}

// markOfRow returns the mark of a row. Incidents that are going on change it.
func markOfRow(x *row, d *data) span {
	if d.incidents != nil && x.place.provider != "" && x.mark == report.MarkTakes && !x.place.reply {
		for i := range d.incidents.list {
			if slices.Contains(d.incidents.list[i].Providers, x.place.provider) {
				return marks[report.MarkPartly]
			}
		}
	}
	return marks[x.mark]
}

// The smallest screen that a frame is drawn on, in columns and lines.
const (
	LeastWidth  = 40
	LeastHeight = 10
)

// frame draws a screen: exactly s.height lines of s.width columns.
func frame(s *state, d *data, how look) string {
	w, h := s.width, s.height
	if w < LeastWidth || h < LeastHeight {
		return smallFrame(w, h, how)
	}
	page := s.page()
	lines := []line{headLine(s, d), ratesLine(s, d)}
	if page.kind == pageTable {
		lines = append(lines, incidentLines(s, d)...)
	}
	lines = append(lines, tabsLines(s, d)...)
	foot := footLines(s)
	room := h - len(lines) - len(foot)
	lines = append(lines, body(s, d, room)...)
	for len(lines) < h-len(foot) {
		lines = append(lines, nil)
	}
	lines = append(lines[:h-len(foot)], foot...)
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = l.draw(w, how)
	}
	return strings.Join(out, "\n")
}

// listingWidth is the greatest width of the table of a listing, in columns.
const listingWidth = 1000

// listing draws all rows of a table in full width, below a line with their title.
func listing(s *state, d *data, how look) string {
	page := s.page()
	names := []string{viewNames[s.view]}
	for _, p := range s.stack[1:] {
		names = append(names, plain(p.title))
	}
	head := strings.Join(names, " › ")
	const second = "2006-01-02 15:04:05"
	if of := page.ans.period; page.kind == pageTable && s.view == viewQueue || page.place.waits != "" {
		head += ", as of " + of.until.In(d.location).Format(second)
	} else {
		head += ", " + of.since.In(d.location).Format(second) + " to " + of.until.In(d.location).Format(second)
	}
	change, _ := page.changeWords(d)
	for _, more := range []string{plain(d.only), page.ans.table.note, change} {
		if more != "" {
			head += ", " + more
		}
	}
	if page.filter != "" {
		head += ", /" + plain(page.filter)
	}
	if page.sortedBy() >= 0 {
		head += ", by " + page.sort
	}
	wide := *s
	wide.width, wide.listing = listingWidth, true
	rows := page.rows()
	out := []string{line{{head, strong}}.draw(width(head), how)}
	add := func(l line) { out = append(out, strings.TrimRight(l.draw(min(l.width(), listingWidth), how), " ")) }
	for _, l := range tableLines(&wide, d, page, rows, 1) {
		add(l)
	}
	l := layOut(page, rows, listingWidth)
	for i := range rows {
		add(rowLine(page, &rows[i], markOfRow(&rows[i], d), l, false))
	}
	return strings.Join(out, "\n")
}

// smallFrame returns the frame of a screen that is too small.
func smallFrame(w, h int, how look) string {
	var out []string
	for _, text := range wrap(fmt.Sprintf("%d×%d is too small: %d×%d is needed (q quits)", w, h, LeastWidth, LeastHeight), w) {
		if len(out) < h {
			out = append(out, line{{text, normal}}.draw(w, how))
		}
	}
	return strings.Join(out, "\n")
}

// heldFor is for how long an answer counts as one of now.
const heldFor = 5 * time.Second

// asOf returns the moment of an answer: now or, if something may have been stored since, the last
// time when it was known that nothing was.
func (ans *answer) asOf(now time.Time) time.Time {
	if now.Sub(ans.held) > heldFor {
		return ans.held
	}
	return now
}

// aheadAfter is how far lines may be ahead of the clock before that is a warning: the clock is
// wrong, or stamps were read in the wrong time zone (--tz).
const aheadAfter = time.Minute

// headLine shows how current the screen is.
func headLine(s *state, d *data) line {
	var l line
	add := func(style style, format string, a ...any) { l = append(l, span{fmt.Sprintf(format, a...), style}) }
	// A database does not show whether a daemon follows the logs.
	name := ""
	if d.name != "" {
		name = "following " + plain(d.name) + ", "
	}
	ans := s.page().ans
	if ans == nil {
		ans = s.stack[0].ans
	}
	at := d.now
	if ans != nil {
		at = ans.asOf(d.now)
	}
	shape := func(text string) { l = append(l, span{text, warning}) }
	switch {
	case d.err != "":
		add(bad, "✖ %s", plain(d.err))
	case s.paused:
		shape("‖ ")
		add(strong, "paused at %s", s.pausedAt.In(d.location).Format(time.TimeOnly))
	case d.behind >= behindShown:
		shape("▲ ")
		add(strong, "reading, %d MB to go", d.behind>>20)
	case d.badNews:
		shape("▲ ")
		add(strong, "%s", plain(d.news))
	case ans == nil:
		add(faint, "○ asking")
	case ans.last.IsZero():
		shape("▲ ")
		add(strong, "%sno line was read yet", name)
	case at.Sub(ans.last) >= silentAfter:
		shape("▲ ")
		add(strong, "%sthe last line is %s old", name, when.Span(at.Sub(ans.last)))
	case ans.last.Sub(at) >= aheadAfter:
		shape("▲ ")
		add(strong, "%sthe last line is %s ahead of the clock", name, when.Span(ans.last.Sub(at)))
	default:
		add(good, "● ")
		if d.news != "" {
			add(normal, "%s", plain(d.news))
			break
		}
		add(normal, "%slast line %s ago", name, when.Span(at.Sub(ans.last)))
	}
	if d.only != "" {
		add(strong, "  only %s", plain(d.only))
	}
	end := "window " + spanShort(windows[s.window])
	switch {
	case !d.until.IsZero():
		end = minute(d.since, d.now, d.location) + "–" + minute(d.until, d.now, d.location)
	case ans != nil && ans.window == windows[s.window] && d.now.Sub(ans.asked) > heldFor:
		end += " to " + clock(ans.asked, d.now, d.location)
	}
	for _, text := range []string{end + "  " + d.now.In(d.location).Format(time.TimeOnly), end} {
		if room := s.width - l.width() - width(text); room >= 2 {
			return l.ends(s.width, span{text, strong})
		}
	}
	return append(cutTo(l, s.width-width(end)-2), span{"  " + end, strong})
}

// perMinute formats a rate.
func perMinute(f float64, known bool) string {
	switch {
	case !known:
		return "–"
	case f == 0:
		return "0/min"
	case f < 0.1:
		return "<0.1/min"
	case f < 10:
		return strconv.FormatFloat(f, 'f', 1, 64) + "/min"
	}
	return number(int64(f+0.5), 6) + "/min"
}

// How wide a course is drawn, in columns.
const (
	courseAtMost = 60
	courseLeast  = 4 // less says nothing
)

// ratesLine shows delivered, soft and hard a minute, and their course in the window.
func ratesLine(s *state, d *data) line {
	ans := s.stack[0].ans
	for i := range s.stack { // the newest answer counts
		if x := s.stack[i].ans; x != nil && x.window == windows[s.window] && (ans == nil || ans.window != x.window || x.asked.After(ans.asked)) {
			ans = x
		}
	}
	if ans == nil {
		return line{}
	}
	at := ans.asOf(s.clockOf(d))
	if !d.until.IsZero() {
		at = d.until
	}
	r := ans.rates.at(at)
	rows := []struct {
		name   string
		style  style
		counts []int64
	}{{"delivered", good, r.delivered}, {"soft", warning, r.soft}, {"hard", bad, r.hard}}
	taken := 0
	words := make([]string, len(rows))
	for i, x := range rows {
		words[i] = perMinute(r.perMinute(x.counts, at, ans.first, ans.last))
		taken += len(x.name) + 1 + width(words[i]) + 1
	}
	of, gap := "last "+spanShort(time.Duration(r.recent()-1)*r.step)+"  ", "   "
	if s.width-taken-2*len(gap)-len(of) < 3*12 { // the course says more
		of = ""
	}
	each, steps := min((s.width-len(of)-taken-2*len(gap))/3, courseAtMost), len(r.course(r.delivered))
	for n := each; n > each/2; n-- { // each column is as many steps, where that leaves half of the room
		if steps%n == 0 {
			each = n
			break
		}
	}
	if each < courseLeast { // no course: the unit once
		each, gap = 0, "  "
	}
	l := line{{of, faint}}
	for i, x := range rows {
		if i > 0 {
			l = append(l, span{gap, normal})
		}
		style := x.style
		if words[i] == "0/min" || words[i] == "–" {
			style = normal
		}
		word := words[i]
		if each == 0 && i < len(rows)-1 {
			word = strings.TrimSuffix(word, "/min")
		}
		l = append(l, span{x.name + " ", normal}, span{word, strong})
		if each > 0 {
			l = append(l, span{" ", normal}, span{sparkline(r.course(x.counts), each), style})
		}
	}
	return l
}

// incidentsShown is how many incidents are pinned.
func incidentsShown(s *state, d *data) int {
	if d.incidents == nil || d.reading {
		return 0
	}
	return min(len(d.incidents.list), max(1, min(3, (s.height-12)/4)))
}

// incidentAt returns the index of the incident at the cursor; negative: none. The row above the
// first of a table is the last incident.
func incidentAt(p *page, d *data) int {
	if d.incidents == nil || p.cursor >= 0 {
		return -1
	}
	return len(d.incidents.list) + p.cursor
}

// incidentLines shows the pinned incidents, or that there is none.
func incidentLines(s *state, d *data) []line {
	in := d.incidents
	if d.reading { // of half a log nothing is known to be well, nor that it goes on
		return []line{{{"○ reading the log: its incidents come then", faint}}}
	}
	if in == nil {
		return []line{{{"○ looking for incidents", faint}}}
	}
	if in.empty && d.only != "" && !in.bad {
		return []line{{{"○ ", warning}, {fmt.Sprintf("no mail %s in the last %s", plain(d.only), spanShort(in.period)), strong}}}
	}
	if len(in.list) == 0 {
		mark := span{"● ", good}
		switch {
		case in.bad:
			mark = span{"▲ ", warning}
		case in.empty: // nothing is known to be well
			mark = span{"○ ", faint}
		}
		of := fmt.Sprintf(" (last %s)", spanShort(in.period))
		if !d.until.IsZero() {
			of = " (from " + minute(in.of.since, d.now, d.location) + ")"
		}
		return []line{append(cutTo(line{mark, {plain(in.sentence), normal}}, min(width(in.sentence)+2, s.width-width(of))), span{of, normal})}
	}
	n := incidentsShown(s, d)
	at := incidentAt(s.page(), d) // the one at the cursor is among those that are shown
	first := max(at-n+1, 0)
	lines := make([]line, n)
	for i := range n {
		x := &in.list[first+i]
		mark := span{"✖ ", bad}
		if x.Stuck || x.Level != "confirmed" {
			mark = span{"▲ ", warning}
		}
		end := ""
		if more := len(in.list) - n + in.more; i == n-1 && more > 0 {
			end = fmt.Sprintf("  +%d", more)
		}
		text, check := incidentWords(x, s.width-2-width(end), d)
		if s.width-2-width(text+check) >= 30 { // half a sentence helps nobody
			check += "   first check: " + plain(x.Check)
		}
		lines[i] = line{mark, {text, strong}, {check, normal}}
		if at == first+i {
			lines[i] = line{{"▶ " + text + check, chosen}}
		}
		if end != "" {
			lines[i] = append(cutTo(lines[i], s.width-width(end)), span{end, strong})
		}
	}
	return lines
}

// incidentWords returns the title of an incident and its cause in n columns. If there is no room
// for all, the cause is worth more than the names of several providers, and more than the figures.
func incidentWords(x *incident, n int, d *data) (text, cause string) {
	since, figures, brief := " since "+minute(x.Since, d.now, d.location), ", "+x.Figures(), x.Short
	cause = strings.TrimPrefix(x.Title, x.Short)
	if _, whom, ok := strings.Cut(x.Short, " refuse "); ok && len(x.Providers) > 1 {
		brief = fmt.Sprintf("%d providers refuse %s", len(x.Providers), whom)
	}
	few := figures
	if x.Tried > 0 {
		few = strings.TrimSuffix(figures, " messages")
	}
	long := x.Short + since + figures
	if x.Tried == 0 && x.Share > 0 && n >= 96 { // of how many is not known
		long += ", " + x.Share.String() + " of all mail"
	}
	for _, text := range []string{long, brief + since + figures, brief + since + few} {
		if text = plain(text); width(text+plain(cause)) <= n {
			return text, plain(cause)
		}
	}
	if cause == "" {
		return plain(brief + since + figures), ""
	}
	return plain(brief + cause + since), ""
}

// cutTo makes a line exactly n columns wide.
func cutTo(l line, n int) (out line) {
	for _, s := range l {
		w := min(width(s.text), n)
		if w < width(s.text) {
			s.text = fit(s.text, w)
		}
		n -= w
		out = append(out, s)
	}
	return append(out, span{strings.Repeat(" ", max(n, 0)), normal})
}

// changeWords returns the words of the comparison, if the table has a column for it.
func (p *page) changeWords(d *data) (long, short string) {
	if p.ans == nil || len(p.ans.table.rows) == 0 || !slices.ContainsFunc(p.ans.table.columns, func(c column) bool { return c.name == "change" }) {
		return "", ""
	}
	return p.ans.compared.words(d.now, d.location)
}

// tabsLines shows the views, or the path to the page that is shown, and how it is sorted, filtered
// and compared: at the right end, or on a line of its own if there is no room.
func tabsLines(s *state, d *data) []line {
	var l line
	page := s.page()
	if len(s.stack) == 1 {
		whole := 0
		for _, name := range viewNames {
			whole += len(name) + 4
		}
		for i, name := range viewNames {
			if whole > s.width && view(i) != s.view {
				l = append(l, span{fmt.Sprintf(" %d ", i+1), normal})
			} else if view(i) == s.view {
				l = append(l, span{fmt.Sprintf("[%d %s]", i+1, name), bar})
			} else {
				l = append(l, span{fmt.Sprintf(" %d %s ", i+1, name), normal})
			}
		}
	} else {
		l = append(l, span{viewNames[s.view], normal})
		for i, p := range s.stack[1:] {
			title := plain(p.title)
			if room := max(s.width/3, 20); width(title) > room {
				title = fit(title, room)
			}
			style := normal
			if i == len(s.stack)-2 {
				style = bar
			}
			l = append(l, span{" › ", faint}, span{title, style})
		}
	}
	var how []string
	if page.filter != "" {
		how = append(how, "/"+plain(page.filter))
	}
	if page.sortedBy() >= 0 {
		how = append(how, "by "+page.sort)
	}
	if page.ans != nil && page.ans.table.note != "" {
		how = append(how, page.ans.table.note)
	}
	text := span{strings.Join(how, "  "), faint}
	if long, short := page.changeWords(d); long != "" {
		text.text = strings.TrimSpace(text.text + "  " + long)
		if width(text.text) > s.width-4 {
			text.text = strings.TrimSpace(strings.Join(how, "  ") + "  " + short)
		}
	}
	if text.text == "" || s.width-l.width() >= width(text.text)+2 {
		return []line{l.ends(s.width, text)}
	}
	return []line{l, {{"    ", normal}, text}}
}

// tailLeast is the least number of lines of the tail, its head included.
const tailLeast = 4

// body is the table and the tail, or a text.
func body(s *state, d *data, room int) []line {
	page := s.page()
	if page.kind == pageText || page.kind == pageMessage {
		return textBody(s, page)
	}
	ans := page.ans
	if ans == nil {
		return []line{{{"  asking", faint}}}
	}
	rows := page.rows()
	tail := 0
	var folds []fold
	if page.kind == pageTable {
		folds = page.tail()
	}
	if len(folds) > 0 && room >= 2*tailLeast {
		tail = min(max(tailLeast, room/3, room-len(rows)-1), len(folds)+1)
	}
	// The full words of the row at the cursor are worth more than failures that are long past.
	least := min(tail, tailLeast)
	words := wholeWords(s, page, rows, min(room-1-len(rows)-least-1, wordsAtMost))
	if len(words) > 0 {
		tail = max(min(tail, room-1-len(rows)-len(words)-1), least)
	}
	lines := tableLines(s, d, page, rows, room-tail-len(words))
	if tail+len(words) == 0 {
		return lines
	}
	for len(lines) < room-tail-len(words) {
		lines = append(lines, nil)
	}
	lines = append(lines, words...)
	if tail == 0 {
		return lines
	}
	return append(lines, tailLines(s, d, ans, folds, tail)...)
}

// wordsAtMost is the greatest number of lines for the full last words of the row at the cursor.
const wordsAtMost = 4

// wholeWords returns the name and the last words of the row at the cursor, if the table shows them
// cut and there is room below it.
func wholeWords(s *state, page *page, rows []row, room int) (lines []line) {
	at := page.at(rows)
	if at < 0 || at >= len(rows) || room < 1 {
		return nil
	}
	x, l := &rows[at], layOut(page, rows, s.width)
	text := plain(x.words)
	if name := plain(x.name); width(name) > l.name {
		text = strings.TrimSpace(name + "  " + text)
	} else if width(text) <= l.words {
		return nil
	}
	for _, t := range wrap(text, s.width-4) {
		lines = append(lines, line{{"    " + t, normal}})
	}
	if len(lines) > room {
		lines = lines[:room]
		lines[room-1] = line{{strings.TrimRight(fit(lines[room-1][0].text, s.width-2), " ") + " …", normal}}
	}
	return lines
}

// A laid is the layout of a table: the columns that fit on the screen.
type laid struct {
	name, words int
	columns     []int // their places in the table
}

// wordsLeast is the least width of the last words if names come first.
const wordsLeast = 12

// leastName is the least width of a row's name if columns of figures are left out for it.
const leastName = 12

// measuredAtMost is the number of rows whose names are measured.
const measuredAtMost = 200

// layOut divides the width of the screen: the figures get theirs, the name what it needs up to a
// third, the last words the rest.
func layOut(page *page, rows []row, total int) laid {
	var l laid
	t := &page.ans.table
	taken := 4 // cursor and mark
	for i, c := range t.columns {
		if total >= c.least {
			l.columns = append(l.columns, i)
			taken += 1 + max(c.width, width(page.heading(i)))
		}
	}
	for at := len(l.columns) - 1; at >= 0 && total-taken < leastName; at-- {
		if i := l.columns[at]; i != t.key && i != page.sortedBy() {
			taken -= 1 + max(t.columns[i].width, width(page.heading(i)))
			l.columns = slices.Delete(l.columns, at, at+1)
		}
	}
	need := width(page.heading(len(t.columns)))
	measured := len(rows)
	if total < listingWidth { // a screen has few of them
		measured = min(measured, measuredAtMost)
	}
	for i := range rows[:measured] {
		need = max(need, min(width(rows[i].drawn()), total))
	}
	free := total - taken
	l.name = max(min(need, max(total/4, free/2, 12), free), 8)
	if t.nameFirst {
		l.name = max(min(need, free-2-wordsLeast), 8)
	}
	if l.words = free - l.name - 2; l.words < 8 {
		l.name, l.words = max(min(need, free), 8), 0
	} else if t.nameFirst && need > l.name && l.words <= wordsLeast+4 {
		if l.name = min(need, free); free-l.name-2 < 8 { // no words at all: the name is what the row is about
			l.words = 0
		} else {
			l.words = free - l.name - 2
		}
	} else if need > l.name && l.words > 40 { // a longer name where there is room
		more := min(need-l.name, l.words-40)
		l.name, l.words = l.name+more, l.words-more
	}
	return l
}

// tableLines returns the head of a table and as many rows as fit, among them the one at the cursor.
func tableLines(s *state, d *data, page *page, rows []row, room int) []line {
	t := &page.ans.table
	l := layOut(page, rows, s.width)
	head := line{{"   " + page.before(len(t.columns)) + fit(page.heading(len(t.columns)), l.name), bar}}
	for _, i := range l.columns {
		c, name := t.columns[i], page.heading(i)
		w := max(c.width, width(name))
		text := right(page.before(i)+name, w+1)
		if c.words {
			text = page.before(i) + fit(name, w)
		}
		head = append(head, span{text, bar})
	}
	if l.words > 0 {
		head = append(head, span{"  " + t.words, bar})
	}
	lines := []line{head}
	if len(rows) == 0 {
		text := t.empty
		if page.kind == pageTable && s.view != viewQueue && d.only != "" && len(t.rows) == 0 {
			text = "no mail " + plain(d.only) + " in the window"
			if page.ans.table.name != "provider" && page.ans.table.name != "domain" {
				text = "no failure " + plain(d.only) + " in the window"
			}
		}
		switch {
		case page.filter != "" && len(t.rows) > 0:
			text = "no row has “" + plain(page.filter) + "”"
			if !s.listing {
				text += "; esc shows all"
			}
		case page.kind == pageTable && s.view != viewQueue && s.window < len(windows)-1 && !s.fixed && !s.listing:
			text += "; + widens it"
		}
		return append(lines, line{{"    " + text, faint}})
	}
	cursor := page.at(rows)
	first := 0
	if visible := room - 1; cursor >= visible {
		first = cursor - visible + 1
	}
	for i := first; i < len(rows) && len(lines) < room; i++ {
		lines = append(lines, rowLine(page, &rows[i], markOfRow(&rows[i], d), l, i == cursor))
	}
	return lines
}

// drawn returns the name of a row as it is drawn.
func (x *row) drawn() string {
	if x.name == "" {
		return "(no domain)"
	}
	return plain(x.name)
}

func rowLine(page *page, x *row, mark span, l laid, here bool) line {
	t, name := &page.ans.table, x.drawn()
	out := line{{"  ", normal}, mark, {" " + fit(name, l.name), normal}}
	for _, i := range l.columns {
		c, v := t.columns[i], x.cells[i]
		w := max(c.width, width(page.heading(i)))
		style := normal
		text := v.text
		switch {
		case c.words:
			out = append(out, span{" " + fit(plain(text), w), normal})
			continue
		case text == "":
			text = number(v.n, w)
		}
		switch {
		case text == "0" || text == "=":
			style = faint
		case c.name == "refused":
			style = bad
		case c.name == "change" && v.n > 0:
			style = strong
		}
		out = append(out, span{" " + right(text, w), style})
	}
	if l.words > 0 {
		out = append(out, span{"  " + fit(plain(x.words), l.words), normal})
	}
	if !here {
		return out
	}
	whole := "> "
	for _, s := range out[1:] {
		whole += s.text
	}
	return line{{whole, chosen}}
}

// tailLines returns the newest failures, folded.
func tailLines(s *state, d *data, ans *answer, folds []fold, room int) []line {
	title := "last failures, folded"
	if len(ans.recent) == recentAtMost {
		title = fmt.Sprintf("last %d failures, folded", recentAtMost)
	}
	if filter := s.page().filter; filter != "" {
		title += ", /" + plain(filter)
	}
	lines := []line{{{title, bar}}}
	wide, when := 12, 8
	for i := range folds[:min(len(folds), room)] {
		wide = max(wide, min(width(plain(folds[i].provider)), s.width/4))
		when = max(when, len(clock(folds[i].Time, d.now, d.location)))
	}
	for i := range folds {
		if len(lines) == room {
			break
		}
		f := &folds[i]
		lines = append(lines, line{
			{fit(clock(f.Time, d.now, d.location), when) + " ", normal},
			{fit("×"+number(int64(f.n), 4), 5) + " ", strong},
			marks[markOf(f.Reason)],
			{" ", normal},
			{f.Outcome.String() + " ", normal},
			{fit(plain(f.provider), wide) + "  ", normal},
			{plain(replyText(f.Attempt)), normal},
		})
	}
	return lines
}

// textBody returns the visible part of a text.
func textBody(s *state, page *page) []line {
	if page.kind == pageMessage && page.ans == nil {
		return []line{{{"  asking", faint}}}
	}
	var all []line
	for _, text := range page.text() {
		style := normal
		if text != "" && text[0] != ' ' || isOf(text, page.place.recipient) {
			style = strong
		}
		for _, l := range folds([]string{text}, s.width) {
			all = append(all, line{{l, style}})
		}
	}
	room, first := s.textRoom(), s.firstLine(page, len(all))
	lines := slices.Clone(all[first:min(len(all), first+room)])
	if first > 0 {
		lines[0] = line{{fmt.Sprintf("  … %d more lines (↑)", first+1), faint}}
	}
	if rest := len(all) - first - room; rest > 0 && len(lines) > 0 {
		lines[len(lines)-1] = line{{fmt.Sprintf("  … %d more lines (↓)", rest+1), faint}}
	}
	return lines
}

const (
	footAtMost = 4 // lines of the foot
	footLeaves = 5 // lines that a foot with a command leaves of a screen: it is to be whole
)

// footLines returns the keys, what is typed, or the result of the last key, in full if there is
// room.
func footLines(s *state) (lines []line) {
	switch {
	case s.typing:
		return []line{{{"/" + plain(s.page().filter), strong}, {"▏", normal}, {"   enter keeps it, esc drops it; !word leaves out", faint}}}
	case s.copied != "":
		lines = []line{{{"sent to the terminal's clipboard (OSC 52); where it does not take that, mark it:", faint}}}
		if s.width < 80 {
			lines = []line{{{"sent to the terminal (OSC 52), or mark:", faint}}}
		}
		if s.said != "" {
			lines = nil
			for _, text := range wrap(plain(s.said), s.width) {
				lines = append(lines, line{{text, strong}})
			}
		}
		for _, text := range shellLines(plain(s.copied), s.width) {
			lines = append(lines, line{{text, strong}})
		}
		if most := s.height - footLeaves; len(lines) > most {
			lines = append(lines[:most-1], line{{"… a larger screen has the rest", faint}})
		}
		return lines
	case s.said != "":
		for i, text := range wrap(plain(s.said), s.width) {
			if i == footAtMost {
				break
			}
			lines = append(lines, line{{text, strong}})
		}
		return lines
	}
	keys, goes := s.footKeys()
	for {
		for _, gap := range []string{"   ", "  ", " "} { // as much as there is room for
			var l line
			for i, k := range keys {
				if i > 0 {
					l = append(l, span{gap, normal})
				}
				l = append(l, span{k.Help().Key, strong}, span{" " + plain(k.Help().Desc), normal})
			}
			if l.width() <= s.width || len(goes) == 0 && gap == " " {
				return []line{l}
			}
		}
		keys = slices.DeleteFunc(keys, func(k key.Binding) bool { return k.Help().Key == goes[0].Help().Key })
		goes = goes[1:]
	}
}

// textRoom returns how many lines of a text fit on the screen.
func (s *state) textRoom() int { return s.height - textHead - len(footLines(s)) }

// firstLine returns the first line that is shown of a text of n lines: the line that the page was
// scrolled to, or an earlier one if the text would end above the foot. Nothing else bounds
// page.cursor there.
func (s *state) firstLine(p *page, n int) int { return max(min(p.cursor, n-s.textRoom()), 0) }
