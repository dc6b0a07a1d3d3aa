package parser

import (
	"bytes"
	"encoding/binary"
	"time"
)

// A clock converts the stamps of one source to times. A stamp more than a day later than now, or
// before 1990, counts as none: it comes from a clock without a battery, or from a forger. Stamps
// without a year take it from the lines around them (RFC 3164 section 4.1.2 has no year):
//
//   - the first one gets the latest year in which it is not younger than the file, nor than now
//     (with one day of tolerance for other zones and wrong clocks),
//   - each later one gets the year that brings it nearest to the previous lines and is not in the
//     future, so that neither the turn of the year nor lines slightly out of order do harm,
//   - 29 February is in a leap year.
//
// A single line that is more than two months away from the others is not used as the reference for
// the next lines unless the next line agrees with it (follow). A line without a year that goes
// forward is the exception, as in a log of few lines.
//
// Stamps without a zone are local, unless a reference (beside) gives another zone, which then also
// holds for the lines of the same minute. In the hour that the end of daylight saving repeats, the
// first of the two times is taken unless it would go back; in the hour that its beginning skips,
// time.Date's result is used.
type clock struct {
	loc      *time.Location
	year     int       // set by the user; 0: infer
	youngest time.Time // no line is younger

	sec   int64 // time of the last line
	nsec  int32
	known bool // sec is set

	measure time.Time // the reference for stamps without a year; zero: none yet
	alone   time.Time // a stamp far from measure, until the next one agrees with either
	beside  reference // for the next stamp without a zone
	fixed   int64     // now and a day, if the options set now, else 0
	latest  int64     // no stamp is later; updated when a stamp seems to be
	doubted bool      // the last stamp is not believed

	monthName []byte // of the last stamp with the name of a month
	month     int

	// The last resolved stamp, up to the second, as the words that again compares: its first eight
	// bytes, the next eight (or fewer, before the second), and the last eight, "hh:mm:ss". The zone
	// follows, after an optional fraction. The stamp has size bytes; 0: there is none.
	size   int
	words  [3]uint64
	middle int // index of words[1]
	zone   []byte
	form   stampForm
	now    time.Time // time of the current line, UTC

	start []byte // of a line with the last stamp, up to the program; empty: see sameStart
	host  []byte // in start
}

// A reference is a time with its zone that is farther from the message than the line's own stamp,
// which has no zone.
type reference struct {
	known  bool
	sec    int64
	nsec   int32
	offset int64 // of the zone, in seconds east of UTC
}

// apart is the largest distance, in seconds, of two times before one line that can mean the same
// moment: a shipper reads a line seconds after it was written, a busy one minutes.
const apart = 10 * 60

// resolve returns the Unix time of a stamp without a zone. It tries the local zone, the reference's
// zone and UTC (as in most containers), and takes the first in which the stamp is near the
// reference (apart); if there is none, the stamp is local. A stamp without a year gets the year
// that brings it nearest to the reference.
func (ref *reference) resolve(c *clock, st *stamp) (sec int64, ok bool) {
	first, last := st.year, st.year
	if st.year == 0 {
		y := time.Unix(ref.sec, 0).In(c.loc).Year()
		first, last = y-1, y+1
	}
	for y := first; y <= last; y++ {
		if st.day > daysIn(y, st.month) {
			continue
		}
		local := c.local(st, y)
		if !ok || abs(local-ref.sec) < abs(sec-ref.sec) {
			sec, ok = local, true
		}
		wall := civil(y, st.month, st.day, st.hour, st.min, st.sec)
		for _, s := range [...]int64{local, wall - ref.offset, wall} {
			if abs(s-ref.sec) <= apart {
				return s, true
			}
		}
	}
	return sec, ok
}

// The length of a stamp up to the second for again, in bytes: from "Mar 2 00:00:01" to the size of
// three words.
const (
	minStamp = 14
	maxStamp = 24
	// unixStamp stands for a stamp that is a number: againUnix reads it.
	unixStamp = 1
)

func (c *clock) init(o Options) {
	c.loc = o.Location
	if c.loc == nil {
		c.loc = time.Local
	}
	c.year = o.Year
	now := time.Now()
	if !o.Now.IsZero() {
		now = o.Now
		c.fixed = now.AddDate(0, 0, 1).Unix()
	}
	c.latest = now.AddDate(0, 0, 1).Unix()
	if c.year != 0 { // the user knows better: that year and the turn of the next
		c.fixed = max(c.latest, civil(c.year+2, 1, 1, 0, 0, 0))
		c.latest = c.fixed
	}
	c.youngest = o.Modified
	if c.youngest.Unix() < earliest || c.youngest.After(now) {
		c.youngest = now
	}
	c.youngest = c.youngest.AddDate(0, 0, 1)
	if !o.Last.IsZero() {
		c.set(o.Last)
	}
}

func (c *clock) last() time.Time { return time.Unix(c.sec, int64(c.nsec)).UTC() }

// believable reports whether a line can have that time.
func (c *clock) believable(sec int64) bool {
	if sec > c.latest && c.fixed == 0 {
		c.latest = time.Now().AddDate(0, 0, 1).Unix()
	}
	return sec >= earliest && sec <= c.latest
}

// lone is the largest distance, in seconds, from the previous lines at which a stamp becomes the
// reference for the next ones at once.
const lone = 62 * 24 * 3600

// follow makes a time the reference for the next stamps, unless it is far from the previous ones.
// If there was no reference, a year in a stamp must occur again.
func (c *clock) follow(sec int64, named bool) {
	t := time.Unix(sec, 0)
	near := func(u time.Time) bool { return !u.IsZero() && abs(sec-u.Unix()) <= lone }
	forward := !named && sec > c.measure.Unix()
	if near(c.measure) || near(c.alone) || c.measure.IsZero() && !named || forward {
		c.measure, c.alone = t, time.Time{}
	} else {
		c.alone = t
	}
}

// read sets now to the time of the stamp in h. Without a stamp, or with one that is not believable,
// now is the time of the previous line, or else the zero time. read returns false for a stamp that
// is not a valid time (30 February) or has an unknown zone (zoneNamed).
func (c *clock) read(h *header) bool {
	c.doubted = false
	if h.form == stampNone {
		return true
	}
	st, n := parseStamp(h.stamp, h.form)
	if n != len(h.stamp) {
		return false
	}
	if !c.zoneNamed(&st) && !c.beside.known {
		return false
	}
	sec, ok := c.resolve(&st)
	if h.form == stampRFC3164 {
		name, _, _ := bytes.Cut(h.stamp, []byte(" "))
		if st.other != 0 {
			sec, ok = c.likelier(&st, name, sec, ok)
		}
		c.monthName, c.month = append(c.monthName[:0], name...), st.month
	}
	if !ok {
		return false
	}
	if c.beside.known && sec == c.beside.sec && st.fractionLen == 0 {
		st.nsec = c.beside.nsec // the same second with more precision
	}
	if !c.take(sec, st.nsec, st.year != 0 || st.unix) {
		return true
	}
	if st.unix && h.plain && n > 0 {
		c.form, c.size = h.form, unixStamp
	} else if st.second >= minStamp && st.second <= maxStamp && h.plain {
		c.form = h.form
		c.size = st.second
		c.middle = min(8, c.size-10) // words[1] ends before the second
		for i, at := range [...]int{0, c.middle, c.size - 8} {
			c.words[i] = binary.LittleEndian.Uint64(h.stamp[at:])
		}
		c.zone = append(c.zone[:0], h.stamp[st.second+st.fractionLen:]...)
	}
	return true
}

// likelier chooses between the two months that a name can mean: not the month to which the previous
// line gave another name, and else the one nearer to that line, or to the end of the file.
func (c *clock) likelier(st *stamp, name []byte, sec int64, ok bool) (int64, bool) {
	measure := c.measure
	if measure.IsZero() {
		measure = c.youngest
	}
	renamed := !bytes.Equal(name, c.monthName)
	first := st.month
	st.month = st.other
	other, known := c.resolve(st)
	switch {
	case !known, renamed && c.month == st.other:
	case !ok, renamed && c.month == first, abs(other-measure.Unix()) < abs(sec-measure.Unix()):
		return other, true
	}
	st.month = first
	return sec, ok
}

// take sets now to a time if it is believable. named reports whether the stamp had a year.
func (c *clock) take(sec int64, nsec int32, named bool) bool {
	if sec == c.sec && c.known && c.alone.IsZero() { // as most times of a busy log
		c.nsec, c.doubted = nsec, false
		c.now = c.last()
		return true
	}
	c.forget()
	if c.doubted = !c.believable(sec); c.doubted {
		return false
	}
	c.follow(sec, named)
	c.sec, c.nsec, c.known = sec, nsec, true
	c.now = c.last()
	return true
}

// again reads the stamp of a line of the same minute and format as the previous line, and of no
// earlier second. It returns the text after the stamp and its blank. (Within a minute, offsets from
// UTC do not change.)
func (c *clock) again(line []byte) (rest []byte, ok bool) { return c.againBefore(line, oneBlank) }

var oneBlank = []byte(" ")

// againBefore is again for a stamp before a given text, which is not empty. It returns the text after that.
func (c *clock) againBefore(line, after []byte) (rest []byte, ok bool) {
	n := c.size
	if n <= unixStamp {
		if n == 0 {
			return nil, false
		}
		return c.againUnix(line, after)
	}
	if len(line) < n+2 ||
		binary.LittleEndian.Uint64(line) != c.words[0] || binary.LittleEndian.Uint64(line[c.middle:]) != c.words[1] {
		return nil, false
	}
	last, later := binary.LittleEndian.Uint64(line[n-8:]), int64(0)
	if last != c.words[2] {
		if later = secondsLater(last, c.words[2]); later <= 0 {
			return nil, false
		}
	}
	nsec := int32(0)
	if line[n] == '.' {
		if n++; !isDigit(line[n]) {
			return nil, false
		}
		first := n
		for ; n < len(line) && isDigit(line[n]); n++ {
			if n < first+9 {
				nsec = nsec*10 + int32(line[n]-'0')
			}
		}
		for i := n; i < first+9; i++ {
			nsec *= 10
		}
	} else if c.beside.known && c.beside.sec == c.sec+later {
		nsec = c.beside.nsec
	}
	if z := len(c.zone); z > 0 {
		if len(line) < n+z || !bytes.Equal(line[n:n+z], c.zone) {
			return nil, false
		}
		n += z
	}
	if n+1 >= len(line) || line[n] != after[0] {
		return nil, false
	}
	if len(after) > 1 {
		if !bytes.HasPrefix(line[n:], after) {
			return nil, false
		}
	} else if line[n+1] <= ' ' {
		return nil, false
	}
	if c.form == stampExim && (line[n+1] == '+' || line[n+1] == '-') {
		return nil, false // a zone
	}
	switch c := line[n+1]; {
	case c-'A' < 26:
		if _, zone := scanZoneName(line[n:]); zone > 0 {
			return nil, false
		}
		fallthrough
	case c == 'a' || c == 'p':
		if n+2 >= len(line) {
			break
		}
		if c = line[n+2] | 0x20; (c == 'm' || c == '.') && (&stamp{hour: 1}).half(line[n:]) > 0 {
			return nil, false
		}
	}
	if later > 0 {
		c.words[2] = last
	}
	c.advance(later, nsec)
	return line[n+len(after):], true
}

// againUnix is againBefore for a stamp that is a number of seconds.
func (c *clock) againUnix(line, after []byte) (rest []byte, ok bool) {
	if c.beside.known {
		return nil, false
	}
	st, n := parseStamp(line, c.form)
	later := st.sec - c.sec
	if n == 0 || later < 0 || later >= 60 || !bytes.HasPrefix(line[n:], after) || len(after) == 1 && (n+1 >= len(line) || line[n+1] <= ' ') {
		return nil, false
	}
	c.advance(later, st.nsec)
	return line[n+len(after):], true
}

// advance makes the time of the current line that of the last one and so many seconds.
func (c *clock) advance(later int64, nsec int32) {
	if !c.alone.IsZero() {
		c.follow(c.sec+later, true)
	}
	if later > 0 {
		c.start = c.start[:0]
		c.sec += later
		c.nsec = nsec
		c.now = c.last()
	} else if nsec != c.nsec {
		c.nsec = nsec
		c.now = c.last()
	}
}

// sameStart reports whether a line begins with the same time and host as an earlier one, as do most
// lines of a busy log whose times have no fraction. With it, a line of Postfix takes 0.91 of the
// instructions that it takes without.
func (c *clock) sameStart(line []byte) bool {
	n := len(c.start)
	return n > 0 && len(line) > n && string(line[:n]) == string(c.start) && (c.form != stampExim || isDigit(line[n]))
}

// refine takes the fraction of the second from the reference, if it is of the same second.
func (c *clock) refine() {
	nsec := int32(0)
	if c.beside.known && c.beside.sec == c.sec {
		nsec = c.beside.nsec
	}
	if nsec != c.nsec {
		c.nsec = nsec
		c.now = c.last()
	}
}

// keepStart keeps the start of a line for sameStart: the text up to the program, or in Exim's own log up
// to the message id, whose digit cannot belong to the time. rest is the text after the stamp.
func (c *clock) keepStart(line, rest []byte, host string) {
	n := 0
	if c.form != stampExim {
		n = len(host) + 1
		if n == 1 || len(rest) < n || rest[n-1] != ' ' || string(rest[:n-1]) != host {
			return
		}
	}
	if c.size > unixStamp && line[c.size] != '.' && c.alone.IsZero() {
		c.start = append(c.start, line[:len(line)-len(rest)+n]...)
		c.host = c.start[len(c.start)-n:]
		c.host = c.host[:max(0, n-1)]
	}
}

// secondsLater returns by how many seconds one "hh:mm:ss" is later than another of the same minute,
// both as little-endian words. It returns 0 if they are not of the same minute, or if one is a leap
// second or not a valid second.
func secondsLater(a, b uint64) int64 {
	if a<<16 != b<<16 {
		return 0
	}
	tens, ones := byte(a>>48), byte(a>>56)
	if tens < '0' || tens > '5' || !isDigit(ones) || byte(b>>48) > '5' {
		return 0
	}
	return (int64(tens)-int64(byte(b>>48)))*10 + int64(ones) - int64(byte(b>>56))
}

// zoneNamed resolves the zone's name in a stamp to an offset. If the local zone has that name at
// some time of the year, its offset is used, else the name's general meaning. zoneNamed returns
// false if that is ambiguous. An unknown name counts as no zone.
func (c *clock) zoneNamed(st *stamp) bool {
	if st.name == nil {
		return true
	}
	year := st.year
	if year == 0 {
		year = c.youngest.Year()
	}
	t := time.Date(year, time.Month(st.month), st.day, st.hour, st.min, int(st.sec), 0, c.loc)
	for _, months := range [...]int{0, 6} {
		if name, offset := t.AddDate(0, months, 0).Zone(); name == st.name.name {
			st.zoned, st.offset = true, offset
			return true
		}
	}
	return !st.name.ambiguous || st.name.name == ""
}

// AmbiguousZone returns the name of the time zone after the time at the start of a line that is not
// understood, if the name means several zones ("IST") and Options.Location is none of them; else
// "".
func AmbiguousZone(line []byte) string {
	line = line[:min(len(line), 2*longestStamp)]
	for i, c := range line {
		if c == ' ' && i > 0 && (isDigit(line[i-1]) || line[i-1] == 'M') {
			if name, _ := scanZoneName(line[i:]); name != nil && name.ambiguous {
				return name.name
			}
		}
	}
	return ""
}

// resolve returns the Unix time of a stamp.
func (c *clock) resolve(st *stamp) (sec int64, ok bool) {
	if st.unix {
		return st.sec, true
	}
	if c.beside.known && !st.zoned {
		return c.beside.resolve(c, st)
	}
	if st.year != 0 {
		if st.day > daysIn(st.year, st.month) {
			return 0, false
		}
		return c.local(st, st.year), true
	}
	if st.day > daysIn(2000, st.month) {
		return 0, false
	}
	if c.measure.IsZero() {
		return c.first(st), true
	}
	y, measure := c.measure.In(c.loc).Year(), c.measure.Unix()
	c.believable(civil(y+1, 1, 1, 0, 0, 0)) // updates latest to today
	best, found := int64(0), false
	// A leap year is at most eight years away (2096, 2104).
	reach := 1
	if st.month == 2 && st.day == 29 {
		reach = 8
	}
	for d := -reach; d <= reach; d++ {
		if st.day > daysIn(y+d, st.month) {
			continue
		}
		if s := c.local(st, y+d); s <= c.latest && (!found || abs(s-measure) < abs(best-measure)) {
			best, found = s, true
		}
	}
	return best, found
}

// first returns the Unix time of the first stamp without a year.
func (c *clock) first(st *stamp) int64 {
	if c.year != 0 {
		y := c.year
		for st.day > daysIn(y, st.month) {
			y--
		}
		return c.local(st, y)
	}
	for y := c.youngest.In(c.loc).Year(); ; y-- {
		if st.day > daysIn(y, st.month) {
			continue
		}
		if s := c.local(st, y); s <= c.youngest.Unix() {
			return s
		}
	}
}

// local returns the Unix time of the stamp in the given year.
func (c *clock) local(st *stamp, year int) int64 {
	if st.zoned {
		return civil(year, st.month, st.day, st.hour, st.min, st.sec) - int64(st.offset)
	}
	wall := civil(year, st.month, st.day, st.hour, st.min, st.sec)
	t := time.Date(year, time.Month(st.month), st.day, st.hour, st.min, int(st.sec), 0, c.loc)
	_, off := t.Zone()
	s := t.Unix()
	if s+int64(off) != wall || !c.known {
		return s // skipped by the change to daylight saving, or no earlier line to choose by
	}
	// The same wall clock time may also occur a change of offset earlier or later. A change is an
	// hour (half an hour on Lord Howe Island).
	early, late := s, s
	for _, d := range [...]int64{-3600, -1800, 1800, 3600} {
		_, o := time.Unix(s+d, 0).In(c.loc).Zone()
		if s+d+int64(o) == wall {
			early, late = min(early, s+d), max(late, s+d)
		}
	}
	// Lines may be out of order by minutes, but rarely across the change.
	disorder := int64(300)
	if _, o := c.last().In(c.loc).Zone(); late != early && int64(o) == wall-late {
		disorder = 5
	}
	if early < c.sec-disorder && late-c.sec < 2*3600 {
		return late
	}
	return early
}

// civil returns the Unix time of a date and a time of day in UTC.
func civil(year, month, day, hour, minute int, sec int64) int64 {
	// Days since 1970-01-01, counting years from March.
	if month <= 2 {
		year--
		month += 12
	}
	days := int64(365*year+year/4-year/100+year/400) + int64((153*(month-3)+2)/5+day-1) - 719468
	return ((days*24+int64(hour))*60+int64(minute))*60 + sec
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// own returns the time of a stamp inside a message; such a stamp has a year.
func (c *clock) own(st *stamp) (time.Time, bool) {
	if st.year == 0 || st.day > daysIn(st.year, st.month) {
		return time.Time{}, false
	}
	sec := c.local(st, st.year)
	return time.Unix(sec, int64(st.nsec)).UTC(), c.believable(sec)
}

// zoned reports whether two times d seconds apart may be the same instant in two zones.
func (c *clock) zoned(d int64) bool { return abs(d) <= 15*3600 }

// set makes t the time of the last line.
func (c *clock) set(t time.Time) {
	c.sec, c.nsec, c.known = t.Unix(), int32(t.Nanosecond()), true
	c.measure, c.alone = t, time.Time{}
	c.now = t.UTC()
	c.forget()
}

// forget lets the next stamp be read in full.
func (c *clock) forget() { c.size, c.start = 0, c.start[:0] }
