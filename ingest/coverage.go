package ingest

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"bouncelog/parser"
	"bouncelog/store"
	"bouncelog/tailer"
)

// maxUnparsed bounds how many lines a batch keeps of those that were not
// understood; all are counted.
const maxUnparsed = 100

// maxPrograms bounds the names of programs by which lines are counted, since a log may be full of
// invented ones.
const maxPrograms = 1000

// line parses one line, judges its attempts, and counts it by its kind.
func (g *Ingester) line(s *source, offset int64, line []byte) {
	g.lines++
	s.Lines++
	g.count(s, s.parser.Parse(line, offset, &g.result), offset, line)
}

// end counts the events that still waited for a line when the log ended, in place of the line read
// last.
func (g *Ingester) end(s *source) {
	for {
		kind, was, ok := s.parser.End(s.Offset, &g.result)
		if !ok {
			return
		}
		if was == parser.Queued {
			s.Queue--
		} else if s.Skipped--; g.skipped[""] != nil && *g.skipped[""] > 0 {
			*g.skipped[""]--
		}
		g.count(s, kind, s.Offset, nil)
		if !s.touched {
			s.touched = true
			g.touched = append(g.touched, s)
		}
	}
}

// count counts the parser's event for a line by its kind.
func (g *Ingester) count(s *source, kind parser.Kind, offset int64, line []byte) {
	r := &g.result
	switch kind {
	case parser.Attempt:
		s.Delivery++
		s.Attempts += int64(len(r.Deliveries))
		if r.Repeated > 1 {
			s.Repeated += int64(r.Repeated)
		}
		for i := range r.Deliveries {
			d := &r.Deliveries[i]
			g.batch.Attempts = slices.Grow(g.batch.Attempts, 1)[:len(g.batch.Attempts)+1]
			a := &g.batch.Attempts[len(g.batch.Attempts)-1]
			a.Delivery = *d
			a.Template, a.Verdict = g.o.Judge.Judge(d)
			a.Outcome = d.Counted()
		}
	case parser.Expiry:
		s.Queue++
		g.batch.Expiries = append(g.batch.Expiries, r.Expiry)
	case parser.Queued:
		s.Queue++
	case parser.Reject:
		s.Rejected++
	case parser.Skipped:
		s.Skipped++
		n := g.skipped[r.Program]
		if n == nil {
			n = g.skip(r.Program)
		}
		*n++
	case parser.Unparsed:
		s.Unparsed++
		if r.Text != nil {
			line = r.Text
		}
		if len(g.batch.Unparsed) < maxUnparsed {
			g.batch.Unparsed = append(g.batch.Unparsed, store.Unparsed{
				Source: s.ID, Offset: offset, Time: r.Time, Text: string(bytes.ToValidUTF8(line[:min(len(line), 1000)], nil)),
			})
		}
	case parser.Blank:
		s.Blank++
		return
	}
	if r.End.Event != "" {
		g.batch.Ends = append(g.batch.Ends, r.End)
	}
	if !r.Time.IsZero() {
		if s.First.IsZero() || r.Time.Before(s.First) {
			s.First = r.Time
		}
		s.Last = r.Time
	}
}

// skip adds to the count of a program's skipped lines.
func (g *Ingester) skip(program string) *int64 {
	if len(g.skipped) >= maxPrograms {
		program = "(others)"
		if n := g.skipped[program]; n != nil {
			return n
		}
	}
	n := new(int64)
	g.skipped[program] = n
	return n
}

// An InputCheck detects inputs that are no mail logs. Call See before the Ingester gets a chunk,
// and Strange at the end.
type InputCheck struct {
	g        *Ingester
	binary   map[string]bool
	encoding map[string]string // parser.Encoding of the first lines
	paths    map[string]string
}

// NewInputCheck returns a check of what g reads from now on.
func NewInputCheck(g *Ingester) *InputCheck {
	return &InputCheck{g: g, binary: map[string]bool{}, encoding: map[string]string{}, paths: map[string]string{}}
}

// See records a chunk.
func (l *InputCheck) See(c *tailer.Chunk) {
	if _, seen := l.paths[c.Source.ID]; seen {
		return
	}
	l.paths[c.Source.ID] = c.Source.Path
	head := c.Data[:min(len(c.Data), 4096)]
	odd := 0
	for _, b := range head {
		if b < 0x20 && b != '\n' && b != '\r' && b != '\t' && b != 0x1b {
			odd++
		}
	}
	l.binary[c.Source.ID] = odd*20 > len(head)
	// Encodings break lines anywhere, quoted-printable behind an equals sign.
	l.encoding[c.Source.ID] = parser.Encoding(bytes.ReplaceAll(bytes.ReplaceAll(head, []byte("=\n"), nil), []byte("\n"), nil))
}

// fewLines is how many lines prove nothing beside other logs that are mail logs: after a rotation a
// log may begin with a few lines of syslog itself.
const fewLines = 20

// A StrangeInput is an input in which no line is about mail, or of which most lines with
// deliveries are not understood.
type StrangeInput struct {
	Path     string
	Lines    int64  // read now
	Binary   bool   // it is no text
	Encoding string // its text is in: see parser.Encoding; "" where that is not known

	Deliveries    int64 // lines that hold a delivery, where most are not understood
	NotUnderstood int64 // of these
}

// understoodShare is the least share of a log's lines with deliveries that must be understood.
const understoodShare = 0.5

// Foreign reports whether too few lines with deliveries are understood.
func Foreign(understood, notUnderstood int64) bool {
	return float64(understood) < understoodShare*float64(understood+notUnderstood)
}

// Foreign returns the logs of which, since New, at least as many lines with deliveries were read and
// most of these were not understood, in the order of their paths.
func (g *Ingester) Foreign(least int64) (list []StrangeInput) {
	for _, s := range g.sources {
		understood, not := s.Delivery-s.was.Delivery, s.Unparsed-s.was.Unparsed
		if n := understood + not; n >= least && Foreign(understood, not) {
			list = append(list, StrangeInput{Path: s.Path, Lines: s.Lines - s.was.Lines, Deliveries: n, NotUnderstood: not})
		}
	}
	slices.SortFunc(list, byPath)
	return list
}

func byPath(a, b StrangeInput) int { return strings.Compare(a.Path, b.Path) }

// Strange returns the inputs that are no mail logs, or whose deliveries are not understood, in
// the order of their paths.
func (l *InputCheck) Strange() (list []StrangeInput) {
	mail := func(id string) bool {
		now, _ := l.g.Source(id)
		return now.Delivery+now.Queue+now.Rejected+now.Unparsed > 0
	}
	others := slices.ContainsFunc(slices.Collect(maps.Keys(l.paths)), mail)
	for id, path := range l.paths {
		s := l.g.sources[id]
		if s == nil {
			continue
		}
		n := s.Lines - s.was.Lines
		if n == 0 || mail(id) || others && !l.binary[id] && s.Lines < fewLines {
			continue
		}
		list = append(list, StrangeInput{Path: path, Lines: n, Binary: l.binary[id]})
	}
	list = append(list, l.g.Foreign(1)...)
	for id, path := range l.paths {
		for i := range list {
			if list[i].Path == path {
				list[i].Encoding = l.encoding[id]
			}
		}
	}
	slices.SortFunc(list, byPath)
	return list
}
