package tailer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const (
	headMax = 1024 // bytes from the beginning that must agree
	tailMin = 128  // bytes before the offset that must agree, at least: from the beginning of the line that holds the first of them
	tailMax = 4096 // and at most
	endsMax = 16   // line ends in the head that are remembered
)

// An identity is what Position.State holds of a file: enough to recognise the file without keeping
// its text.
type identity struct {
	base   int64    // length of a leading hole (NUL bytes), which is no content
	head   digest   // the first bytes, at most headMax
	ends   []digest // up to each line end in the head, so that a short copy is known
	tail   digest   // the bytes before the offset that endOf gives
	lines  []digest // the last lines before the offset, at most linesMax; see edited.go
	open   bool     // the line before the offset has not ended: what follows up to "\n" belongs to it
	inode  string   // device and inode it was last seen at, a hint
	seq    int      // the higher, the later it was first seen
	cursor string   // a journal's
}

// shortSum is the part of a hash that is stored where there are many of them.
const shortSum = 0xffffffff << 32

// A digest is a number of bytes and their hash.
type digest struct {
	n   int
	sum uint64
}

func hash64(b []byte) uint64 {
	s := sha256.Sum256(b)
	return binary.BigEndian.Uint64(s[:])
}

func digestOf(b []byte) digest { return digest{len(b), hash64(b)} }

// endOf returns the last bytes read, which a file must have at the same offset to be
// the same log: from the beginning of a line on, since lines may end alike
// (the replies of one host), but hardly begin alike (time, queue id). before holds at
// least the last tailMax bytes before the offset, or all there are.
func endOf(before []byte) []byte {
	before = before[max(0, len(before)-tailMax):]
	if len(before) <= tailMin {
		return before
	}
	return before[bytes.LastIndexByte(before[:len(before)-tailMin], '\n')+1:]
}

// of reports whether b begins with p.
func (p digest) of(b []byte) bool { return len(b) >= p.n && hash64(b[:p.n]) == p.sum }

func (p digest) String() string { return fmt.Sprintf("%d:%016x", p.n, p.sum) }

// String returns the stored form: words of the form key=value.
func (m *identity) String() string {
	var b strings.Builder
	b.WriteString("v1")
	if m.base > 0 {
		fmt.Fprintf(&b, " base=%d", m.base)
	}
	if m.head.n > 0 {
		fmt.Fprintf(&b, " head=%v", m.head)
	}
	for i, e := range m.ends {
		sep := ","
		if i == 0 {
			sep = " ends="
		}
		fmt.Fprintf(&b, "%s%d:%08x", sep, e.n, uint32(e.sum>>32))
	}
	if m.tail.n > 0 {
		fmt.Fprintf(&b, " tail=%v", m.tail)
	}
	for i, l := range m.lines {
		sep := ","
		if i == 0 {
			sep = " lines="
		}
		fmt.Fprintf(&b, "%s%d:%08x", sep, l.n, uint32(l.sum>>32))
	}
	if m.open {
		b.WriteString(" open=1")
	}
	if m.seq > 0 {
		fmt.Fprintf(&b, " seq=%d", m.seq)
	}
	if m.inode != "" {
		fmt.Fprintf(&b, " inode=%s", url.QueryEscape(m.inode))
	}
	if m.cursor != "" {
		fmt.Fprintf(&b, " cursor=%s", url.QueryEscape(m.cursor))
	}
	return b.String()
}

// parseIdentity parses the result of identity.String. It ignores unknown words, so that an older
// program can read what a newer one stored.
func parseIdentity(s string) (identity, error) {
	var m identity
	words := strings.Fields(s)
	if len(words) == 0 || words[0] != "v1" {
		return m, fmt.Errorf("position state %q: unknown version", s)
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "base":
			m.base, err = strconv.ParseInt(value, 10, 64)
			if m.base < 0 {
				err = strconv.ErrRange
			}
		case "head":
			m.head, err = parseDigest(value, headMax, 16)
		case "ends":
			m.ends, err = parseDigests(value, headMax, endsMax)
		case "lines":
			m.lines, err = parseDigests(value, lineMax+1, linesMax)
		case "tail":
			m.tail, err = parseDigest(value, tailMax, 16)
		case "open":
			m.open = value == "1"
		case "seq":
			m.seq, err = strconv.Atoi(value)
		case "inode":
			m.inode, err = url.QueryUnescape(value)
		case "cursor":
			m.cursor, err = url.QueryUnescape(value)
		}
		if err != nil {
			return identity{}, fmt.Errorf("position state: %s: %w", key, err)
		}
	}
	return m, nil
}

// parseDigests parses a list of at most number digests with short hashes.
func parseDigests(s string, limit, number int) (list []digest, err error) {
	for e := range strings.SplitSeq(s, ",") {
		p, err := parseDigest(e, limit, 8)
		if err != nil || len(list) == number {
			return nil, fmt.Errorf("list %q", s)
		}
		p.sum <<= 32
		list = append(list, p)
	}
	return list, nil
}

func parseDigest(s string, limit, digits int) (digest, error) {
	n, sum, _ := strings.Cut(s, ":")
	length, err := strconv.Atoi(n)
	if err != nil || length < 1 || length > limit {
		return digest{}, fmt.Errorf("length %q", n)
	}
	v, err := strconv.ParseUint(sum, 16, 64)
	if err != nil || len(sum) != digits {
		return digest{}, fmt.Errorf("hash %q", sum)
	}
	return digest{length, v}, nil
}

// setHead sets the known beginning of a file.
func (m *identity) setHead(head []byte) {
	head = head[:min(len(head), headMax)]
	if len(head) <= m.head.n {
		return
	}
	m.head = digestOf(head)
	from := 0
	if n := len(m.ends); n > 0 {
		from = m.ends[n-1].n
	}
	for len(m.ends) < endsMax {
		i := bytes.IndexByte(head[from:], '\n')
		if i < 0 {
			break
		}
		from += i + 1
		p := digestOf(head[:from])
		p.sum &= shortSum
		m.ends = append(m.ends, p)
	}
}

// sameHead reports whether a file that begins with head may be the one of m. A shorter file must
// agree up to its last whole line.
func (m *identity) sameHead(head []byte) bool {
	if len(head) >= m.head.n {
		return m.head.of(head)
	}
	last := bytes.LastIndexByte(head, '\n') + 1
	best := digest{}
	for _, e := range m.ends {
		if e.n <= last {
			best = e
		}
	}
	if best.n < last && len(m.ends) < endsMax {
		return false // m has no line end there
	}
	return best.n > 0 && hash64(head[:best.n])&shortSum == best.sum
}

// firstLine returns the first line of head, without its "\n", and whether it is complete: up to its
// end, or up to headMax bytes of it.
func firstLine(head []byte) (line []byte, whole bool) {
	head = head[:min(len(head), headMax)]
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		return head[:i], true
	}
	return head, len(head) == headMax
}

// baseID makes a source's name from its first line.
func baseID(head []byte) string {
	line, _ := firstLine(head)
	s := sha256.Sum256(line)
	return hex.EncodeToString(s[:12])
}

// An entry is a known source and its offset. All open files with the same content share one entry.
type entry struct {
	id, path string
	offset   int64
	identity
	held  bool   // read to its end through a descriptor that is still open
	seen  bool   // found since the start
	was   *entry // the source that it was before it was edited
	fresh bool   // followed since the start: its inode is no hint any more
}

func (e *entry) position() Position {
	return Position{ID: e.id, Path: e.path, Offset: e.offset, State: e.identity.String()}
}

// A sourceSet holds all known sources.
type sourceSet struct {
	byBase   map[string][]*entry
	journals map[string]*entry
	ids      map[string]bool
	whole    map[string]string // see wholePath
	latest   int               // highest seq
}

func newSourceSet(known []Position) (*sourceSet, error) {
	l := &sourceSet{byBase: map[string][]*entry{}, journals: map[string]*entry{}, ids: map[string]bool{}, whole: map[string]string{}}
	for _, p := range known {
		m, err := parseIdentity(p.State)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", p.ID, err)
		}
		if p.Offset < 0 {
			return nil, fmt.Errorf("source %s: offset %d", p.ID, p.Offset)
		}
		e := &entry{id: p.ID, path: p.Path, offset: p.Offset, identity: m}
		l.ids[p.ID] = true
		l.latest = max(l.latest, m.seq)
		if strings.HasPrefix(p.ID, journalPrefix) {
			l.journals[p.ID] = e
			continue
		}
		base, _, _ := strings.Cut(p.ID, "-")
		l.byBase[base] = append(l.byBase[base], e)
	}
	return l, nil
}

// find returns the known source of a file with this beginning, or nil. tailAt reads the n bytes of
// the file that end at off; it returns nil if the file is shorter or they cannot be read yet.
// Sources in not are left out.
//
// If several match, the one whose last bytes match too is returned.
func (l *sourceSet) find(base int64, head []byte, tailAt func(off int64, n int) []byte, not map[*entry]bool) (best *entry) {
	proven := false
	for _, e := range l.byBase[baseID(head)] {
		if not[e] || e.base != base || !e.sameHead(head) {
			continue
		}
		tail := tailAt(e.offset, e.tail.n)
		switch {
		case tail == nil: // shorter than the source's offset, or not known yet
			if best == nil {
				best = e
			}
		case hash64(tail) == e.tail.sum || e.tail.n == 0:
			if !proven || e.offset > best.offset {
				best, proven = e, true
			}
		}
	}
	if best != nil {
		best.seen = true
	}
	return best
}

// add makes a new source. If another source has the same first line, the name gets a number: no
// name is used twice.
func (l *sourceSet) add(base int64, head []byte, path string) *entry {
	b := baseID(head)
	id := b
	for n := 2; l.ids[id]; n++ {
		id = b + "-" + strconv.Itoa(n)
	}
	e := &entry{id: id, path: path, offset: base, seen: true}
	e.base = base
	e.setHead(head)
	l.latest++
	e.seq = l.latest
	l.ids[id] = true
	l.byBase[b] = append(l.byBase[b], e)
	return e
}
