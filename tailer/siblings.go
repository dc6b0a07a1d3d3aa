package tailer

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A dirState holds when a directory was last seen to change.
type dirState struct{ modified, since time.Time }

// directories returns the directories that may hold rotations of the log: its own, that of the file
// that it is a symbolic link to, and olddir.
func (l *logFile) directories() [][2]string {
	dir, base := filepath.Split(l.path)
	list := [][2]string{{filepath.Clean(dir), base}}
	if target, err := filepath.EvalSymlinks(l.path); err == nil && target != l.path {
		d, b := filepath.Split(target)
		if filepath.Clean(d) != list[0][0] || b != base {
			list = append(list, [2]string{filepath.Clean(d), b})
		}
	}
	for _, o := range l.f.o.OldDirs {
		if !filepath.IsAbs(o) {
			o = filepath.Join(dir, o)
		}
		list = append(list, [2]string{o, base})
	}
	return list
}

// scan searches for new rotations if a directory has changed.
func (l *logFile) scan() error {
	changed := l.retry && time.Since(l.scanned) > retryEvery
	dirs := l.directories()
	now := time.Now()
	for _, d := range dirs {
		fi, err := os.Stat(d[0])
		if err != nil {
			continue
		}
		// A tick of the file system's clock, of up to two seconds, may hold
		// several changes: go on looking for a while.
		s, known := l.dirs[d[0]]
		if !known || !fi.ModTime().Equal(s.modified) {
			s = dirState{fi.ModTime(), now}
			l.dirs[d[0]] = s
		}
		changed = changed || now.Sub(s.since) < 2500*time.Millisecond
	}
	if !changed {
		return nil
	}
	l.scanned, l.retry = now, false
	var all []rotation
	for _, d := range dirs {
		list, err := siblings(d[0], d[1])
		if err != nil && !errors.Is(err, fs.ErrNotExist) && l.first {
			l.event(EventDenied, d[0], "rotations cannot be listed", bare(err))
		}
		all = append(all, list...)
	}
	for _, g := range l.old {
		g.gone = true
	}
	live, _ := os.Stat(l.path)
	l.queue = l.queue[:0]
	var checked []os.FileInfo
	if live != nil && l.wasChecked(live) { // a compressed one
		checked = append(checked, live)
	}
	noHistory := l.first && l.f.o.NoHistory && !l.f.sources.knows(l.path)
	for _, r := range all {
		if live != nil && os.SameFile(live, r.info) {
			continue
		}
		if g := l.opened(r.info); g != nil {
			g.gone = false
			g.setPath(r.path)
			continue
		}
		if now.Before(l.later[r.path]) {
			l.retry = true
			continue
		}
		delete(l.later, r.path)
		if noHistory || l.wasChecked(r.info) {
			checked = append(checked, r.info)
			continue
		}
		l.queue = append(l.queue, r)
	}
	l.checked = checked
	return nil
}

// last returns the source that was found latest, among those that were live at path.
func (l *sourceSet) last(path string) (last *entry) {
	isPath := l.named(path)
	for _, list := range l.byBase {
		for _, e := range list {
			if isPath(e.path) && (last == nil || e.seq > last.seq) {
				last = e
			}
		}
	}
	return last
}

// knows reports whether any part of the log at path was ever read.
func (l *sourceSet) knows(path string) bool {
	isPath := l.named(path)
	for _, list := range l.byBase {
		for _, e := range list {
			base, _ := splitRotated(filepath.Base(e.path))
			if isPath(filepath.Join(filepath.Dir(e.path), base)) || isPath(e.path) {
				return true
			}
		}
	}
	return false
}

func (l *logFile) opened(fi os.FileInfo) *generation {
	if l.live != nil && os.SameFile(l.live.info, fi) {
		return l.live
	}
	if l.job != nil && os.SameFile(l.job.info, fi) {
		return l.job.generation
	}
	for _, g := range l.old {
		if os.SameFile(g.info, fi) {
			return g
		}
	}
	return nil
}

func (l *logFile) wasChecked(fi os.FileInfo) bool {
	for _, c := range l.checked {
		if os.SameFile(c, fi) && c.Size() == fi.Size() && c.ModTime().Equal(fi.ModTime()) {
			return true
		}
	}
	return false
}

// forget makes scan check everything again.
func (l *logFile) forget() {
	l.checked = nil
	clear(l.dirs)
	clear(l.later)
}

// errCopy means that a file is a copy of the live file: it holds nothing else until the live file
// is truncated.
var errCopy = errors.New("copy of the live file")

// A job is a rotation that is being read.
type job struct {
	*generation
	stream *stream
	not    map[*entry]bool
	keep   bool // it stays open: a writer may still have it
}

// nextJob takes the next rotation from the queue. It is read if something in it is unread.
func (l *logFile) nextJob() {
	r := l.queue[0]
	keep := len(l.queue) <= keepOld
	l.queue = l.queue[1:]
	j, err := l.startJob(r)
	switch {
	case err == errCopy, l.f.ctx.Err() != nil:
	case err != nil:
		l.failed(r.path, err)
	case j == nil:
		l.checked = append(l.checked, r.info)
	default:
		j.keep = keep
		l.job = j
	}
}

// readJob reads a part of a rotation.
func (l *logFile) readJob() (busy bool, err error) {
	j := l.job
	for range 4 {
		var b block
		var err error
		if j.stream != nil {
			var ready bool
			if b, ready, err = j.stream.poll(); !ready {
				return false, nil // being decompressed
			}
		} else {
			b, err = j.blocks.next()
		}
		switch {
		case err == nil:
			if err := l.f.deliver(j.entry, j.src, b, max(-1, b.size-b.end())); err != nil {
				return false, err
			}
			continue
		case err == errNone, err == io.EOF:
			return true, l.endJob()
		case err == errReplaced && j.stream != nil:
			j.not[j.entry] = true
			j.stream.stop()
			if err = l.startStream(j); err == nil {
				if j.stream == nil {
					return true, l.endJob()
				}
				continue
			}
		case err == errReplaced:
			// Shorter than its source's offset, or truncated: nothing to read.
			return true, l.endJob()
		}
		l.job = nil
		if j.stream != nil {
			j.stream.stop()
		}
		j.f.Close()
		l.failed(j.src.Path, err)
		return true, nil
	}
	return true, nil
}

// failed handles a rotation that could not be read. A compressed file may still be incomplete.
func (l *logFile) failed(path string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		clear(l.dirs) // it was renamed: look again
		return
	}
	l.retry = true
	l.later[path] = time.Now().Add(retryEvery)
	fi, serr := os.Stat(path)
	if serr != nil || time.Since(fi.ModTime()) < finishedAfter {
		return
	}
	l.checked = append(l.checked, fi)
	l.f.event(Event{Kind: EventDenied, Path: path, Text: "rotated log cannot be read", Err: bare(err)})
}

// startJob opens a rotation and finds its unread part. It returns nil if there is none.
func (l *logFile) startJob(r rotation) (*job, error) {
	f, err := os.Open(r.path)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil || !os.SameFile(fi, r.info) { // it was renamed
		f.Close()
		return nil, fs.ErrNotExist
	}
	magic := make([]byte, magicLen)
	n, err := f.ReadAt(magic, 0)
	if err != nil && err != io.EOF {
		f.Close()
		return nil, err
	}
	j := &job{not: map[*entry]bool{}, generation: &generation{f: f, info: fi, grown: fi.ModTime(), src: &Source{
		Path: r.path, Kind: kindOf(magic[:n]), Modified: fi.ModTime(), Size: fi.Size(),
	}}}
	if j.src.Kind != KindFile {
		if err := l.startStream(j); err != nil || j.stream == nil {
			f.Close()
			return nil, err
		}
		return j, nil
	}
	j.entry, j.blocks, err = l.f.openPlain(f, r.path, time.Since(fi.ModTime()) > finishedAfter)
	if err != nil || j.entry == nil {
		f.Close()
		return nil, err
	}
	if l.live != nil && l.live.entry == j.entry {
		f.Close()
		return nil, errCopy
	}
	l.copied[j.entry] = true
	if fi.Size() < j.entry.offset { // a shorter copy; looked at again when it has grown
		f.Close()
		return nil, nil
	}
	return j, nil
}

// startStream begins to read a compressed rotation. j.stream is nil if it is known to have been
// read to its end.
func (l *logFile) startStream(j *job) error {
	j.stream = nil
	s, err := newStream(l.f.ctx, io.NewSectionReader(j.f, 0, 1<<62), nil, false, l.f.maxLine)
	if err != nil {
		return err
	}
	if len(s.head) == 0 {
		s.stop()
		return nil
	}
	j.entry = l.f.sources.find(s.base, s.head, func(int64, int) []byte { return nil }, j.not)
	switch {
	case j.entry == nil:
		j.entry = l.f.sources.add(s.base, s.head, j.src.Path)
	case j.entry.held, !s.decoded && gzipEndsAt(j.f, j.src, j.entry.offset):
		l.copied[j.entry] = true
		s.stop()
		return nil
	}
	s.wake = l.f.wakeUp
	// A text in UTF-16 may still be written to.
	s.whole = j.src.Kind == KindUTF16 && time.Since(j.src.Modified) < finishedAfter
	s.start(j.entry.offset, j.entry.open, j.entry.tail)
	j.stream = s
	return nil
}

// gzipEndsAt reports whether a gzip file holds size bytes, from the length in its last four bytes
// (RFC 1952 section 2.3.1), without decompressing it.
func gzipEndsAt(f *os.File, src *Source, size int64) bool {
	var b [4]byte
	if src.Kind != KindGzip || src.Size < 18 {
		return false
	}
	if _, err := f.ReadAt(b[:], src.Size-4); err != nil {
		return false
	}
	return uint32(b[0])|uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24 == uint32(size)
}

// endJob closes a rotation that was read to its end, or keeps it open.
func (l *logFile) endJob() error {
	j := l.job
	l.job = nil
	l.checked = append(l.checked, j.info)
	if j.blocks == nil {
		l.copied[j.entry] = true
		if j.stream != nil {
			j.stream.stop()
		}
		return j.f.Close()
	}
	if j.keep && j.blocks.off == j.entry.offset {
		l.old = append(l.old, j.generation)
		return nil
	}
	var err error
	if time.Since(j.info.ModTime()) > finishedAfter {
		err = l.finish(j.generation)
	}
	j.f.Close()
	return err
}
