package ingest

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"bouncelog/parser"
	"bouncelog/tailer"
)

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

// See looks at the first chunk of each source.
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

// fewLines is the number of lines below which a log without mail is not strange if other inputs are
// mail logs: after a rotation, a log may begin with a few lines of syslog itself.
const fewLines = 20

// A StrangeInput is an input in which no line is about mail, or of which most lines with
// deliveries are not understood.
type StrangeInput struct {
	Path     string
	Lines    int64  // read now
	Binary   bool   // it is not text
	Encoding string // of its lines, from parser.Encoding; "": none is known

	// Lines with a delivery, and those of them that are not understood; 0 and 0 if no line is about
	// mail.
	Deliveries, NotUnderstood int64
}

// understoodShare is the least share of a log's lines with deliveries that must be understood.
const understoodShare = 0.5

// Unreadable reports whether too few of the lines with deliveries are understood.
func Unreadable(understood, notUnderstood int64) bool {
	return float64(understood) < understoodShare*float64(understood+notUnderstood)
}

// Unreadable returns the logs of which at least that many lines with deliveries were read since New
// and most of these were not understood, in the order of their paths.
func (g *Ingester) Unreadable(least int64) (list []StrangeInput) {
	for _, s := range g.sources {
		understood, not := s.Delivery-s.was.Delivery, s.Unparsed-s.was.Unparsed
		if n := understood + not; n >= least && Unreadable(understood, not) {
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
	list = append(list, l.g.Unreadable(1)...)
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
