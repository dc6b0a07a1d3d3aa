package tailer

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// A log may be trimmed (tail -n 200 log >tmp; mv tmp log), edited (sed -i), or lose its beginning
// to the file system (fallocate -c, -p). Then it has another beginning, or other bytes before
// the position. It is recognised by the last lines that were read: reading resumes after them.
// All lines before them count as read, although an edit may have added some.

const (
	linesMax  = 16       // lines remembered of each source
	lineMax   = 64 << 10 // their greatest length, in bytes
	linesFew  = 4        // equal lines that identify a source
	linesSize = 64       // their least size, in bytes: short lines may occur again

	// A truncated file without a copy is not read for settleMin to settleMax: a program may be
	// writing its old content back.
	settleMin = 200 * time.Millisecond
	settleMax = time.Second
)

// addLines remembers the last lines of data, which follows the data added before.
func (m *identity) addLines(data []byte) {
	var added [linesMax]digest
	n := linesMax
	for n > 0 && len(data) > 0 {
		i := bytes.LastIndexByte(data[:len(data)-1], '\n') + 1
		n--
		added[n] = shortDigest(data[i:])
		data = data[:i]
	}
	kept := m.lines[max(0, len(m.lines)-n):]
	m.lines = append(slices.Clip(kept), added[n:]...)
}

// shortDigest is digestOf of a line, as it is stored. One that is longer than
// lineMax has no hash: it is not looked for.
func shortDigest(line []byte) digest {
	if len(line) > lineMax {
		return digest{n: lineMax + 1}
	}
	p := digestOf(line)
	p.sum &= shortSum
	return p
}

// findLines searches r for lines, which are in the order in which they were read. It returns the
// offset after the last of them that was found. As many as possible must be found, in that order
// and close to each other: at least linesFew of them, or the last of them if r begins later. With
// last, the last one must be found.
func findLines(r io.Reader, lines []digest, last bool) (end int64, ok bool) {
	places := map[digest][]int{}
	lengths := map[int]bool{}
	for i, l := range lines {
		places[l] = append(places[l], i)
		lengths[l.n] = true
	}
	type hit struct {
		nth  int // line of r
		line digest
	}
	var hits []hit // among the last lines of r, as many as are remembered
	in := bufio.NewReaderSize(r, lineMax)
	best, whole := 0, false // whole: the first line of r is one of those
	var pos int64
	for nth := 0; ; nth++ {
		line, err := in.ReadSlice('\n')
		long := false
		for ; err == bufio.ErrBufferFull; long = true {
			pos += int64(len(line))
			line, err = in.ReadSlice('\n')
		}
		if err != nil {
			return end, best > 0 // without an end it is no line yet
		}
		pos += int64(len(line))
		if long || !lengths[len(line)] {
			continue
		}
		h := hit{nth, shortDigest(line)}
		if places[h.line] == nil {
			continue
		}
		whole = whole || nth == 0
		hits = append(hits, h)
		for hits[0].nth <= nth-linesMax {
			hits = hits[1:]
		}
		count, size, newest, next := 0, 0, -1, len(lines)
		for _, h := range slices.Backward(hits) {
			i, _ := slices.BinarySearch(places[h.line], next)
			if i == 0 {
				continue
			}
			next = places[h.line][i-1]
			newest = max(newest, next)
			count++
			size += h.line.n
		}
		there := nth + 1
		if !whole {
			there-- // the first line may have lost its beginning
		}
		isLast := newest == len(lines)-1
		if count < min(linesFew, there, len(lines)) || count < linesFew && !isLast || last && !isLast || size < linesSize || count < best {
			continue
		}
		best, end = count, pos
	}
}

// edited finds out whether an unknown file, or one that is shorter than the offset of its source it
// (as short), is an edited log. If so it makes a source of it, read up to where the log was left.
func (r *reader) edited(f *os.File, path string, base int64, head []byte, short *entry) *entry {
	fi, err := f.Stat()
	if err != nil {
		return nil
	}
	from := base
	candidates := []*entry{short}
	if short != nil {
		// It may be a growing copy, which is checked often, so only its end is read. An edited log
		// has grown little since.
		from = max(base, fi.Size()-1<<20)
	} else {
		candidates = r.sources.left(path, r.live)
	}
	for _, e := range candidates {
		if len(e.lines) == 0 {
			continue
		}
		// An edited log is about as long as it was, or shorter.
		limit := min(fi.Size(), base+2*(e.offset-e.base)+1<<20)
		end, ok := findLines(&ctxReader{r: io.NewSectionReader(f, from, max(0, limit-from)), err: r.ctx.Err}, e.lines, short != nil)
		if !ok {
			continue
		}
		end += from
		before := make([]byte, min(end-base, tailMax))
		if _, err := f.ReadAt(before, end-int64(len(before))); err != nil {
			return nil
		}
		now := r.sources.add(base, head, path)
		now.offset, now.was = end, e
		now.tail, now.lines = digestOf(endOf(before)), slices.Clone(e.lines)
		e.seen = true
		r.event(Event{
			Kind: EventDiffers, Path: path, ID: now.id, Offset: end,
			Text: "was trimmed or edited: it is read on behind the last line that is known, at byte " + strconv.FormatInt(end, 10),
		})
		return now
	}
	return nil
}

// A ctxReader reads r until err returns an error.
type ctxReader struct {
	r   io.Reader
	err func() error
}

func (u *ctxReader) Read(p []byte) (int, error) {
	if err := u.err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// named returns a function that reports whether another path is the same file as path: relative to
// the working directory or not, through symbolic links or not. A path that was relative to another
// directory is not recognised.
func (l *sourceSet) named(path string) func(other string) bool {
	base := filepath.Base(path)
	return func(other string) bool {
		return other == path || filepath.Base(other) == base && l.wholePath(other) == l.wholePath(path)
	}
}

// wholePath returns the absolute path without symbolic links, as far as they can be resolved. Each
// path is resolved once: a thousand logs of one base name, as containers have, took 28 s without.
func (l *sourceSet) wholePath(path string) string {
	whole, ok := l.whole[path]
	if ok {
		return whole
	}
	whole = path
	if abs, err := filepath.Abs(path); err == nil {
		whole = abs
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(whole)); err == nil {
		whole = filepath.Join(dir, filepath.Base(whole))
	}
	if real, err := filepath.EvalSymlinks(whole); err == nil {
		whole = real
	}
	l.whole[path] = whole
	return whole
}

// left returns the sources that a file at path may have been before it was edited, the latest
// first: those last seen there, or at the name of the log that it is a rotation of. With live, also
// those found since at this or another name.
func (l *sourceSet) left(path string, live bool) (list []*entry) {
	dir, name := filepath.Split(path)
	log, _ := splitRotated(name)
	isPath, isLog := l.named(path), l.named(filepath.Join(dir, log))
	for _, entries := range l.byBase {
		for _, e := range entries {
			if (isPath(e.path) || isLog(e.path)) && (live || !e.seen) {
				list = append(list, e)
			}
		}
	}
	slices.SortFunc(list, func(a, b *entry) int { return cmp.Compare(b.seq, a.seq) })
	return list[:min(len(list), 4)]
}
