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
	return true
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
	l.sketch, l.next, l.gaps = l.next, l.sketch, l.gaps[:0]
	at := 0
	for _, m := range l.members {
		if m.varies {
			l.gaps = append(l.gaps, gap{member: m, before: l.text[at:m.start], isText: l.text[m.start-1] == '"'})
			at = m.end
		}
	}
	l.rest = l.text[at:]
}
