package parser

import "time"

// maxWrapper bounds the search for an inner line, in bytes from the beginning.
const maxWrapper = 400

// maxDepth bounds the number of nested wrappers that are removed.
const maxDepth = 4

// A wrapping is the kind of wrapper of the last unwrapped line. The parser tries it first on the
// next line, because every line of a wrapped log has the same wrapper.
type wrapping uint8

const (
	unwrapped    wrapping = iota
	behindLead            // see lead.go
	behindHeader          // a header like those in header.go, but not of an MTA's program
	inObject              // JSON
	inExport              // a field on a line (export.go)
)

// An envelope is the information that wrappers give about the inner line.
type envelope struct {
	moment
	host    []byte
	program []byte
	pid     []byte
	object  bool // one of the wrappers is an object
	vouched bool // one of the wrappers names a mail server
}

// A moment is the nearest time before a line and, if that time has no zone, a time farther left
// that has one.
type moment struct {
	form  stampForm
	stamp []byte
	at    time.Time // the stamp's time, if already known

	farForm  stampForm
	farStamp []byte
	farAt    time.Time
}

// zoned reports whether the time has a zone.
func (m *moment) zoned() bool { return m.form != stampNone && zoned(m.form, m.stamp) }

// prefer takes a time that is nearer to the inner line.
func (m *moment) prefer(near *moment) {
	far := *m
	*m = *near
	switch {
	case near.zoned() || near.farForm != stampNone:
	case far.zoned():
		m.farForm, m.farStamp, m.farAt = far.form, far.stamp, far.at
	default:
		m.farForm, m.farStamp, m.farAt = far.farForm, far.farStamp, far.farAt
	}
}

// reference returns the nearest time with a zone, if there is one. A stamp without a zone that is
// nearer to the line is compared with it.
func (p *Parser) reference(m *moment) (ref reference) {
	form, stamp, at := m.form, m.stamp, m.at
	if form == stampNone || !zoned(form, stamp) {
		if form, stamp, at = m.farForm, m.farStamp, m.farAt; form == stampNone {
			return ref
		}
	}
	if !at.IsZero() && (form == stampUnix || stamp[len(stamp)-1] == 'Z') {
		return reference{known: true, sec: at.Unix(), nsec: int32(at.Nanosecond())}
	}
	st, n := parseStamp(stamp, form)
	if n == 0 || !st.unix && st.day > daysIn(st.year, st.month) {
		return ref
	}
	p.clock.zoneNamed(&st)
	ref.sec, ref.nsec, ref.offset = st.sec, st.nsec, int64(st.offset)
	if !st.unix {
		ref.sec = civil(st.year, st.month, st.day, st.hour, st.min, st.sec) - ref.offset
	}
	ref.known = p.clock.believable(ref.sec)
	return ref
}
