package ingest

import (
	"bytes"
	"slices"

	"bouncelog/parser"
	"bouncelog/store"
)

// maxUnparsed is the greatest number of lines that are not understood that a batch keeps; all are
// counted.
const maxUnparsed = 100

// maxPrograms is the greatest number of programs whose skipped lines a batch counts by name, since a
// log may be full of invented names.
const maxPrograms = 1000

// line parses one line, judges its attempts, and counts it by its kind.
func (g *Ingester) line(s *source, offset int64, line []byte) {
	g.lines++
	s.Lines++
	g.count(s, s.parser.Parse(line, offset, &g.result), offset, line)
}

// end counts the events that waited for another line when the log ended. Each is counted in place of
// the last line, which was counted when it was read.
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
