package parser

import "bytes"

// An outline is an object of a log with the values that differ from line to line marked in it.
// Nearly all objects of a log have the same names in the same order and most of the same values, so
// the text between the marked values is compared as a whole, and only these values are read. An
// object that does not fit is read by readJSON and becomes the next outline.
//
// By instructions for a whole line, with outlines a line of the journal takes 0.50 of the time
// without, one of Filebeat's 0.42, one of Loki's 0.74, one of docker's 0.97.
type outline struct {
	sketch
	gaps []gap
	rest []byte // the text after the last gap

	// The names of hosts, programs and files are the same in all objects of many logs. If they have not
	// differed in patience objects, they are compared as text, and the object that they make is fixed.
	// By instructions for a whole line, a line of Loki's then takes 0.87 of the time.
	fixed   object
	isFixed bool
	steady  int // objects in a row with the same names; -1: they have differed
	patient int // steady at which they are fixed

	next     sketch // of the object that readJSON reads
	learning bool   // next is being made
	misses   int    // objects in a row that did not fit
}

// A gap is a value in an outline that may differ from line to line.
type gap struct {
	member
	before []byte // the text from the previous gap on
	isText bool   // it is a string, else a number
	value  []byte // in the current object
}

// A sketch is the text of an object with its members.
type sketch struct {
	text    []byte
	members []member
	signs   signs // of the members whose values are not used
}

// A member is a name with a string or a number as its value, or a string in a list of pairs. Its
// slices are parts of the sketch's text.
type member struct {
	place
	key        []byte // nil: the string in a pair
	start, end int    // of the value in the text
	used       bool   // the object depends on the value
	valued     bool   // it is a text or a time
	varies     bool   // the value may differ from line to line
}

const (
	maxOutline = 16 << 10 // bytes of its text
	// After patience misses in a row, only one object in sparse becomes an outline: each log has a
	// few kinds of objects, and a log without a common one is not to be copied.
	patience, sparse = 16, 64
)

// read reads an object that fits the outline. It returns false for any other.
func (l *outline) read(o *object, b []byte, p *Parser) bool {
	i := 0
	for k := range l.gaps {
		g := &l.gaps[k]
		if !bytes.HasPrefix(b[i:], g.before) {
			return false
		}
		start := i + len(g.before)
		if g.isText {
			i = closingQuote(b, start)
		} else {
			i = endOfNumber(b, start)
		}
		if i < 0 {
			return false
		}
		g.value = b[start:i]
	}
	if len(l.gaps) == 0 || !bytes.Equal(b[i:], l.rest) {
		return false
	}
	l.misses = 0
	if l.isFixed {
		signs := o.signs
		*o = l.fixed
		o.signs |= signs
	} else if l.steady >= 0 {
		l.compareNames()
	}
	o.size = len(b)
	o.signs |= l.signs
	p.room(len(b))
	for k := range l.gaps {
		switch g := &l.gaps[k]; {
		case g.key == nil:
			o.value(g.value, p)
		case g.used:
			o.place = g.place
			o.field(g.key, g.value, p)
		default:
			o.search(g.value)
		}
	}
	if l.steady == l.patient && !l.isFixed {
		l.fix(p)
	}
	return true
}

// isName reports whether a value is used and tells neither the text nor the time.
func (m *member) isName() bool { return m.used && !m.valued }

// compareNames compares the names in the current object with those of the outline.
func (l *outline) compareNames() {
	l.steady++
	for k := range l.gaps {
		if g := &l.gaps[k]; g.isName() && !bytes.Equal(g.value, l.text[g.start:g.end]) {
			l.steady = -1
			return
		}
	}
}

// fix makes the names part of the text.
func (l *outline) fix(p *Parser) {
	l.fixed = object{envelope: envelope{moment: moment{form: stampUnix}}} // so that no name is taken for the time
	for k := range l.gaps {
		if g := &l.gaps[k]; g.isName() {
			l.fixed.place = g.place
			l.fixed.field(g.key, l.text[g.start:g.end], p)
		}
	}
	l.fixed.moment, l.fixed.place = moment{}, place{}
	l.isFixed = true
	l.makeGaps()
}

// begin begins the next sketch. It returns the text of the object that readJSON shall read.
func (l *outline) begin(b []byte) []byte {
	l.learning = len(b) <= maxOutline && (l.misses < patience || l.misses%sparse == 0)
	l.misses++
	if !l.learning {
		return b
	}
	l.next = sketch{text: append(l.next.text[:0], b...), members: l.next.members[:0]}
	return l.next.text
}

// finish makes the sketch the outline. A value varies if it is used, or if it has differed between
// objects with the same names.
func (l *outline) finish() {
	same := len(l.members) == len(l.next.members)
	for k := range l.next.members {
		same = same && bytes.Equal(l.members[k].key, l.next.members[k].key)
	}
	for k := range l.next.members {
		m := &l.next.members[k]
		m.varies = m.used
		if same {
			was := &l.members[k]
			m.varies = m.used || was.varies || !bytes.Equal(l.text[was.start:was.end], l.next.text[m.start:m.end])
		}
	}
	if l.patient = max(l.patient, patience); l.isFixed && same {
		l.patient = min(8*l.patient, 1<<16) // they have differed all the same
	}
	l.sketch, l.next, l.isFixed, l.steady = l.next, l.sketch, false, 0
	l.makeGaps()
}

// makeGaps finds the gaps of the sketch.
func (l *outline) makeGaps() {
	l.gaps = l.gaps[:0]
	at := 0
	for _, m := range l.members {
		if m.varies && !(l.isFixed && m.isName()) {
			l.gaps = append(l.gaps, gap{member: m, before: l.text[at:m.start], isText: l.text[m.start-1] == '"'})
			at = m.end
		}
	}
	l.rest = l.text[at:]
}
