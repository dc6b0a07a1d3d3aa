package render

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
)

//go:embed html
var files embed.FS

// Components returns the parts of a page as templates: verdict, fresh, incident, facts, figures,
// strip, bar, trend, table, foot. Other pages add their own templates to the copy that they get.
// The components contain no script, no style attribute and no external resource, so a page of them
// needs no exception in a Content-Security-Policy.
func Components() *template.Template {
	return template.Must(template.New("components").Funcs(template.FuncMap{"clean": clean, "cell": cellText, "words": words, "held": held, "breaks": breaks, "linked": linked}).ParseFS(files, "html/components.tmpl"))
}

// StyleSheet returns the style of all components, for light and dark, wide and narrow screens, and
// paper.
func StyleSheet() string {
	raw, err := files.ReadFile("html/style.css")
	if err != nil {
		panic(err) // an embedded file is always valid
	}
	return string(raw)
}

func clean(s string) string { return table.Clean(table.Cut(s, longest)) }

// A piece is a part of a text; a line does not break within a whole piece.
type piece struct {
	Text  string
	Whole bool
}

// wholePiece matches a point in time, or a word with a hyphen, as in many host names, with adjacent
// punctuation.
var wholePiece = regexp.MustCompile(`[^\s\w]*\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)?)?[^\s\w]*|[^\s-]+-\S+`)

// longestWhole is the maximum length in bytes of a piece that fits on a line of a telephone.
const longestWhole = 24

// held splits a text into pieces; matches of wholePiece are whole.
func held(cell any) (list []piece) {
	s, done := cellText(cell), 0
	for _, at := range wholePiece.FindAllStringIndex(s, -1) {
		list = append(list, piece{Text: s[done:at[0]]}, piece{s[at[0]:at[1]], at[1]-at[0] <= longestWhole})
		done = at[1]
	}
	return append(list, piece{Text: s[done:]})
}

// longWord is the maximum length in bytes of a word that does not break.
const longWord = 15

// breaks splits a text where a line may break in addition to blanks: in a long word, after the @ of
// an address, before a bracket, and before the dots of a host name, except the last of several. It
// does not break within numbers.
func breaks(cell any) (list []string) {
	s := cellText(cell)
	done, word := 0, 0
	for word < len(s) {
		end := len(s)
		if n := strings.IndexByte(s[word:], ' '); n >= 0 {
			end = word + n
		}
		local, last := strings.LastIndexByte(s[word:end], '@'), strings.LastIndexByte(s[word:end], '.')
		if local < 0 && last < end-word-1 && strings.Count(s[word:end], ".") == 1 && !strings.Contains(s[word:end], "/") {
			last = end - word // a name of two labels, not the path of a file
		}
		for i := word + 1; i < end && end-word > longWord; i++ {
			if s[i-1] == '@' || s[i] == '[' || s[i] == '.' && word+local < i && i < word+last && (!isDigit(s[i-1]) || !isDigit(s[i+1])) {
				list = append(list, s[done:i])
				done = i
			}
		}
		word = end + 1
	}
	return append(list, s[done:])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// A reply is untrusted text. An address in it becomes a link only if nothing is hidden: https, a
// plain host of ASCII letters without user or port, and the whole address as the link's text.
var addressInReply = regexp.MustCompile(`https://(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?:[/?#](?:[A-Za-z0-9/?#.,;:!&=+$%~_*()-]*[A-Za-z0-9/?#=&%_-])?)?`)

// linked splits a reply into texts and links.
func linked(reply string) (parts []link) {
	s, done := clean(reply), 0
	for _, at := range addressInReply.FindAllStringIndex(s, -1) {
		if next := s[at[1]:]; next != "" && strings.ContainsAny(next[:1], "@:\\") || strings.HasPrefix(next, "…") {
			continue // has a user or a port, or is cut off
		}
		parts = append(parts, link{Name: s[done:at[0]]}, link{s[at[0]:at[1]], s[at[0]:at[1]]})
		done = at[1]
	}
	return append(parts, link{Name: s[done:]})
}

// words returns the words of a command: a line breaks only between them.
func words(command string) []string { return strings.Fields(clean(command)) }

// cellText returns a cell as text for a page.
func cellText(cell any) string {
	switch n := cell.(type) {
	case int:
		return thousands(int64(n))
	case int64:
		return thousands(n)
	}
	return clean(table.Text(cell))
}

// thousands formats a count in groups of three digits, with a narrow space between them.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// A page is the data of page.tmpl.
type page struct {
	Title    string
	Style    template.CSS
	Phrases  []report.Phrase
	Header   []report.Fact
	Sections []part
	Foot     []report.Fact
}

// A part is a section of the page. The verdict has no ID, since it has no heading of its own.
type part struct {
	ID, Title, Short string
	Lead             []string
	Incidents        []card
	Facts            []report.Fact
	Table            *grid
	Empty            string
	Notes            []report.Note
	Trend            *trend
}

// A card is an incident.
type card struct {
	ID, Class, Shape, State string
	Number                  int // number of its mark in the trend; 0: none
	Title                   string
	Facts, Lines, More      []report.Fact // figures; facts in words; explanations
	Strip                   *strip
	Reply                   string
	Acts, Check             string // who acts, and what to check first
	Command, ListSenders    string // commands
	Pages                   []link
}

type link struct{ Name, URL string }

// A grid is a table.
type grid struct {
	Head []head
	Rows []row
}

type head struct {
	Name, Class string
	Chart       bool
}

type row struct {
	Class string
	Cells []cell
}

type cell struct {
	Text, Class, Label string
	Bar                []rect
}

// A rect is a bar of a drawing: X and W in percent of its width, Y and H in pixels.
type rect struct {
	Class, X, W, Y, H string
}

// A segment is a part of a line, from X, Y to X2, Y2.
type segment struct{ Class, X, Y, X2, Y2 string }

// A mark shows the start of an incident; Y is the line of its number.
type mark struct {
	X         string
	Number, Y int
	at        float64
}

type strip struct {
	Height   int
	Title    string
	From, To string
	Steps    int    // width of the bars' own coordinates
	Bars     string // path of all bars; Partly: of those of incomplete steps
	Partly   string
	Marks    []mark
}

func writeHTML(w io.Writer, r *report.Report, o Options) error {
	p := page{Title: "bouncelog: " + r.Headline(), Style: template.CSS(StyleSheet()), Header: append(origin(r, o.Host), r.Header()...)}
	if r.Verdict != nil {
		p.Phrases = r.Verdict.Phrases
		if len(p.Phrases) == 0 {
			p.Phrases = []report.Phrase{{Text: r.Verdict.Sentence}}
		}
	} else {
		p.Phrases = []report.Phrase{{Text: "bouncelog report"}}
	}
	if c := r.Unparsed; c != nil && c.Delivery+c.Unparsed > 0 {
		share := float64(c.Unparsed) / float64(c.Delivery+c.Unparsed)
		p.Header = append(p.Header, report.Fact{Label: "Not understood", Value: fmt.Sprintf("%.2f %%", 100*share), Note: "of the delivery lines"})
	}
	axis := newAxis(r)
	for _, s := range r.Parts(true) {
		one := part{ID: s.Name, Title: s.Title, Short: short(s.Title), Lead: s.Lead, Facts: s.Facts, Notes: s.Notes}
		if s.Name == report.SectionVerdict {
			one.ID = ""
		}
		for i := range s.Cards {
			number := 0
			if s.Name == report.SectionVerdict {
				number = i + 1
			}
			c := newCard(r, &s.Cards[i], number)
			if axis != nil && !o.Mail {
				c.Strip = axis.strip(&s.Cards[i])
			}
			one.Incidents = append(one.Incidents, c)
		}
		for i := range s.Over {
			c := newCard(r, &s.Over[i], len(s.Cards)+i+1)
			if c.Pages, c.More = nil, nil; !s.Over[i].Remains && !named(r, &s.Over[i]) {
				c.Check = ""
			}
			if axis != nil && !o.Mail {
				c.Strip = axis.strip(&s.Over[i])
			}
			one.Incidents = append(one.Incidents, c)
		}
		if s.Table != nil && len(s.Table.Rows) > 0 {
			named := len(s.Table.Rows)
			if s.Name == report.SectionProviders {
				named = len(r.ProviderTable.Rows)
			}
			one.Table = newGrid(s.Table, named, o.Mail)
		} else if len(s.Cards) == 0 {
			one.Empty = s.Empty
		}
		if s.Name == report.SectionVerdict && axis != nil && !o.Mail || s.Name == report.SectionTimeline && axis != nil && r.Verdict == nil && !o.Mail {
			one.Trend = axis.trend(r)
			if s.Name == report.SectionTimeline {
				one.Table = nil
			}
		}
		p.Sections = append(p.Sections, one)
	}
	if o.Made != "" {
		p.Foot = append(p.Foot, report.Fact{Label: "This page:", Note: o.Made})
	}
	p.Foot = append(p.Foot, report.Fact{Label: "Times are", Value: r.Zone()})
	t, err := Components().ParseFS(files, "html/page.tmpl")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "page.tmpl", p); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// origin returns the hosts of a report, and where and when it was made, since it may be printed.
func origin(r *report.Report, host string) (facts []report.Fact) {
	var names []string
	for i, h := range r.Hosts {
		if i == 3 && len(r.Hosts) > 4 {
			names = append(names, fmt.Sprintf("and %d more", len(r.Hosts)-i))
			break
		}
		names = append(names, table.Cut(h.Name, 64))
	}
	if len(names) > 0 {
		facts = append(facts, report.Fact{Label: "Report of", Value: strings.Join(names, ", ")})
	}
	if host != "" && !r.Now.IsZero() {
		facts = append(facts, report.Fact{Label: "Made", Value: r.Now.In(r.Location).Format("2006-01-02 15:04 ") + r.Zone(), Note: "on " + host})
	}
	return facts
}

// short returns the heading of a section for the table of contents.
func short(title string) string {
	for _, after := range []string{",", " since", " by"} {
		title, _, _ = strings.Cut(title, after)
	}
	if domain, ok := strings.CutPrefix(title, "By recipient "); ok {
		return strings.ToUpper(domain[:1]) + domain[1:] + "s"
	}
	return title
}

func newCard(r *report.Report, in *report.Incident, number int) card {
	c := card{
		Class: "ended", Shape: "●", State: state(in), Number: number, Title: table.Cut(in.Title, longest),
		Reply: in.Reply, Check: in.Check, Command: in.Command,
	}
	if number > 0 {
		c.ID = fmt.Sprintf("incident-%d", number)
	}
	switch {
	case in.Level == problem.Watch || !in.Going():
	case in.Level == problem.Confirmed:
		c.Class, c.Shape = "confirmed", "✖"
	default:
		c.Class, c.Shape = "likely", "▲"
	}
	for _, f := range facts(r, in, true) {
		switch f.Label {
		case "Sample reply", "Check first", "Run":
		case "Who acts":
			if in.Going() || in.Remains {
				c.Acts = cellText(f.Value)
			}
		case "List senders":
			c.ListSenders = table.Text(f.Value)
		case "Senders", "Our addresses", "Warning":
			c.Lines = append(c.Lines, f)
		case "Why", "Or else", "Disproved by":
			c.More = append(c.More, f)
		default:
			c.Facts = append(c.Facts, f)
		}
	}
	for _, name := range in.Providers {
		if url := provider.Page(name); url != "" && len(c.Pages) < 3 {
			c.Pages = append(c.Pages, link{provider.Name(name), url})
		}
	}
	return c
}

// newGrid lays out a table. The rows after the first named ones are sums; the last row is the sum
// of all rows. If the table has attempts, delivered, soft and hard, a bar shows their shares.
func newGrid(t *table.Table, named int, mail bool) *grid {
	g := &grid{}
	at := map[string]int{}
	for i, c := range t.Columns {
		at[c.Name] = i
	}
	_, parts := at["attempts"]
	for _, name := range []string{"delivered", "soft", "hard"} {
		_, ok := at[name]
		parts = parts && ok
	}
	parts = parts && !mail
	// The column that names the row is the first with free text, unless that is a remark at the
	// end.
	name := max(slices.IndexFunc(t.Columns, func(c table.Column) bool { return c.Flex }), 0)
	if name == len(t.Columns)-1 && !t.Columns[0].Number {
		name = 0
	}
	class := func(i int) string {
		c, words := t.Columns[i], []string{}
		switch {
		case c.Number:
			words = append(words, "n")
		case c.Flex:
			words = append(words, "wide")
		default:
			words = append(words, "whole")
		}
		if i == name {
			words = append(words, "name")
		}
		return strings.Join(words, " ")
	}
	for i, c := range t.Columns {
		h := head{Name: c.Name}
		if c.Number {
			h.Class = "n"
		}
		g.Head = append(g.Head, h)
		if parts && i == name {
			g.Head = append(g.Head, head{Chart: true})
		}
	}
	for n, cells := range t.Rows {
		x := row{}
		for i, v := range cells {
			one := cell{Text: cellText(v), Class: class(i), Label: t.Columns[i].Name}
			if k, ok := v.(int64); ok && k == 0 {
				one.Class += " zero"
			}
			if t.Columns[i].Name == "verdict" && one.Text != "" {
				one.Class += " mark-" + one.Text
				one.Text = map[string]string{report.MarkRefuses: "✖ ", report.MarkFails: "▲ ", report.MarkPartly: "◐ ", report.MarkTakes: "● "}[one.Text] + one.Text
			}
			one.Class = strings.TrimSpace(one.Class)
			x.Cells = append(x.Cells, one)
			if parts && i == name {
				bar := cell{Class: "chart"}
				all, _ := cells[at["attempts"]].(int64)
				left := 0.0
				for _, part := range []string{"delivered", "soft", "hard"} {
					k, _ := cells[at[part]].(int64)
					if all > 0 && k > 0 {
						width := 100 * float64(k) / float64(all)
						bar.Bar = append(bar.Bar, rect{Class: part, X: number(left), W: number(width)})
						left += width
					}
				}
				x.Cells = append(x.Cells, bar)
			}
		}
		switch {
		case n < named:
		case n == len(t.Rows)-1:
			x.Class = "sum"
		default:
			x.Class = "rest"
		}
		g.Rows = append(g.Rows, x)
	}
	return g
}

// number formats a length in a drawing.
func number(x float64) string { return strconv.FormatFloat(math.Round(x*100)/100, 'f', -1, 64) }

// An axis is the time axis of all drawings of a page.
type axis struct {
	start, end time.Time
	from, to   time.Time // range of time that the report covers; zero: unknown
	step       time.Duration
	points     []report.Point
	words      func(time.Time) string // formats a point in time
}

const stepsAtMost = 72

func newAxis(r *report.Report) *axis {
	if len(r.Timeline) == 0 {
		return nil
	}
	a := &axis{step: time.Hour, start: r.Timeline[0].Time, to: r.End(), words: r.PointTime}
	if r.Period.Since != nil {
		a.from = *r.Period.Since
	}
	if r.ByDay {
		a.step = 24 * time.Hour
	}
	n := int(r.Timeline[len(r.Timeline)-1].Time.Sub(a.start)/a.step) + 1
	if n < 2 {
		return nil
	}
	wide := (n + stepsAtMost - 1) / stepsAtMost
	a.step *= time.Duration(wide)
	n = (n + wide - 1) / wide
	a.end = a.start.Add(time.Duration(n) * a.step)
	a.points = steps(r.Timeline, a.start, a.end, a.step, n)
	return a
}

// x returns the position of a point in time, in percent.
func (a *axis) x(t time.Time) float64 {
	return min(max(100*float64(t.Sub(a.start))/float64(a.end.Sub(a.start)), 0), 100)
}

// partly reports whether the report covers less than nine tenths of a step, so that its counts
// cannot be compared with those of other steps.
func (a *axis) partly(step int) bool {
	from := a.start.Add(time.Duration(step) * a.step)
	to, missing := from.Add(a.step), time.Duration(0)
	if !a.from.IsZero() {
		missing += max(a.from.Sub(from), 0)
	}
	if !a.to.IsZero() {
		missing += max(to.Sub(a.to), 0)
	}
	return missing > a.step/10
}

const notComplete = ", not complete"

func (a *axis) width() float64 { return 100 / float64(len(a.points)) }

const stripHeight = 30

// strip draws the refusals of an incident over time.
func (a *axis) strip(in *report.Incident) *strip {
	if len(in.Hours) == 0 {
		return nil
	}
	counts := make([]int, len(a.points))
	most, steps := 0, 0
	for _, h := range in.Hours {
		if i := int(h.Time.Sub(a.start) / a.step); i >= 0 && i < len(counts) {
			if counts[i] == 0 {
				steps++
			}
			counts[i] += h.Refused
			most = max(most, counts[i])
		}
	}
	if steps < 2 {
		return nil // nothing to draw
	}
	s := &strip{
		Height: stripHeight, Title: fmt.Sprintf("Refused attempts per %s, at most %s", stepWords(a.step), thousands(int64(most))),
		From: a.words(a.start), To: a.words(a.points[len(a.points)-1].Time), Steps: len(a.points), Marks: []mark{{X: number(a.x(in.Since))}},
	}
	for i, n := range counts {
		if n > 0 {
			path := &s.Bars
			if a.partly(i) {
				path = &s.Partly
			}
			*path += fmt.Sprintf("M%d %sh.82V%dh-.82z", i, number(stripHeight-max(float64(n)*stripHeight/float64(most), 1)), stripHeight)
		}
	}
	return s
}

// A stack holds the bars of one step, with a common title.
type stack struct {
	Title string
	Bars  []rect
}

// A trend is the figure of attempts over time.
type trend struct {
	Step                string
	Before, Partly      bool // the figure has a line of the previous period; incomplete steps
	ShareHeight, Height int  // ShareHeight 0: no share is shown
	ShareTitle, Title   string
	Share, BeforeShare  []segment
	Bars                []stack
	Spans               []rect
	Marks               []mark
	Floor               int
	Most                string
	Times               []string
	Table               *grid
}

const (
	shareHeight = 70
	barsHeight  = 96
)

func (a *axis) trend(r *report.Report) *trend {
	t := &trend{Step: stepWords(a.step), ShareHeight: shareHeight, Height: barsHeight, Floor: 100}
	before := []report.Point(nil)
	if f := r.Filter; f != nil && len(f.Outcomes)+len(f.Reasons) > 0 {
		t.ShareHeight = 0 // the share is meaningless for a part of the outcomes
	}
	if t.ShareHeight > 0 && r.TimelineBefore != nil && r.Period.Since != nil && r.Comparison != nil {
		// The points of the previous period are moved to the times of this period.
		back := r.Period.Since.Sub(r.Comparison.PreviousSince) - r.Period.Since.Sub(r.Comparison.Since)
		moved := make([]report.Point, len(r.TimelineBefore))
		for i, p := range r.TimelineBefore {
			p.Time = p.Time.Add(back)
			moved[i] = p
		}
		before = steps(moved, a.start, a.end, a.step, len(a.points))
		t.Before = true
	}
	share := func(p report.Point) (float64, bool) {
		all := p.Delivered + p.Soft + p.Hard
		return 100 * float64(p.Delivered) / float64(max(all, 1)), all > 0
	}
	least, worst, most := 100.0, report.Point{}, int64(0)
	for _, list := range [][]report.Point{a.points, before} {
		for _, p := range list {
			if s, ok := share(p); ok && s < least {
				least, worst = s, p
			}
		}
	}
	for _, p := range a.points {
		most = max(most, p.Soft+p.Hard)
	}
	for _, floor := range []int{98, 95, 90, 80, 70, 50, 0} {
		if t.Floor = floor; least >= float64(floor) {
			break
		}
	}
	y := func(s float64) string { return number(shareHeight * (100 - s) / float64(100-t.Floor)) }
	line := func(points []report.Point) (out []segment) {
		last, known := 0.0, false
		for i, p := range points {
			s, ok := share(p)
			mid := (float64(i) + .5) * a.width()
			if ok && known {
				class := ""
				if a.partly(i) || a.partly(i-1) {
					class = "part"
				}
				out = append(out, segment{class, number(mid - a.width()), y(last), number(mid), y(s)})
			}
			last, known = s, ok
		}
		return out
	}
	t.Share, t.BeforeShare = line(a.points), line(before)
	t.ShareTitle = fmt.Sprintf("Delivered share of the attempts over time, %.1f %% at the least, at %s", least, r.PointTime(worst.Time))
	t.Title = fmt.Sprintf("Failed attempts per %s, at most %s", t.Step, thousands(most))
	t.Most = thousands(most)
	grid := &table.Table{Columns: []table.Column{{Name: "time", Flex: true}, {Name: "attempts", Number: true}, {Name: "delivered share", Number: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}}}
	for i, p := range a.points {
		when, class := r.PointTime(p.Time), ""
		if a.partly(i) {
			when, class, t.Partly = when+notComplete, " part", true
		}
		grid.Rows = append(grid.Rows, []any{when, p.Delivered + p.Soft + p.Hard, table.Share(float64(p.Delivered) / float64(max(p.Delivered+p.Soft+p.Hard, 1))), p.Soft, p.Hard})
		bottom, bars := float64(barsHeight), stack{Title: fmt.Sprintf("%s: %d soft, %d hard, %d delivered", when, p.Soft, p.Hard, p.Delivered)}
		for _, part := range []struct {
			class string
			n     int64
		}{{"hard", p.Hard}, {"soft", p.Soft}} {
			if part.n > 0 {
				h := max(float64(part.n)*(barsHeight-18)/float64(most), 1)
				bottom -= h
				bars.Bars = append(bars.Bars, rect{Class: part.class + class, X: number(float64(i) * a.width()), W: number(a.width() * .82), Y: number(bottom), H: number(h)})
			}
		}
		if len(bars.Bars) > 0 {
			t.Bars = append(t.Bars, bars)
		}
	}
	t.Table = newGrid(grid, len(grid.Rows), true)
	if v := r.Verdict; v != nil {
		for i := range v.Act {
			t.mark(a, &v.Act[i], i+1)
		}
		for i := range v.Ended[:min(len(v.Ended), report.EndedShown)] {
			t.mark(a, &v.Ended[i], len(v.Act)+i+1)
		}
	}
	labels := min(len(a.points), 4)
	for i := range labels {
		t.Times = append(t.Times, r.PointTime(a.points[i*(len(a.points)-1)/max(labels-1, 1)].Time))
	}
	return t
}

// mark draws the duration of an incident, with the number of its card. Numbers that would overlap
// are drawn below each other.
func (t *trend) mark(a *axis, in *report.Incident, n int) {
	from, to := a.x(in.Since), a.x(in.Until)
	t.Spans = append(t.Spans, rect{X: number(from), W: number(max(to-from, .4))})
	y := 12
	for _, m := range t.Marks {
		if math.Abs(m.at-from) < 3 {
			y += 13
		}
	}
	t.Marks = append(t.Marks, mark{number(from), n, y, from})
}

func stepWords(step time.Duration) string {
	switch n := step / (24 * time.Hour); {
	case n == 1:
		return "day"
	case n > 1 && step%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", n)
	}
	if step == time.Hour {
		return "hour"
	}
	return fmt.Sprintf("%d hours", step/time.Hour)
}
