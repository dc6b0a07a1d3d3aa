package tailer

import (
	"bytes"
	"io"
	"os"
	"time"
)

// A generation is one open file behind a followed name: the file that has the name now
// or had it before, or a rotation that is being read. Since it stays open, it is the same
// file under any name. Only the follower's goroutine uses it; its readAhead has a copy of
// the blockReader.
type generation struct {
	f     *os.File
	info  os.FileInfo // when it was opened
	src   *Source     // replaced, never altered: chunks refer to it
	entry *entry      // its source; nil: not known yet, since there is no whole line
	at    int64       // entry.offset after the last block of this file

	// Either ahead reads it, or blocks does, from the follower's goroutine.
	blocks *blockReader
	ahead  *readAhead  // of the live file only; nil while reading is suspended
	asLeft os.FileInfo // the file when reading was suspended; nil while it is not

	hole  int64     // length of the NUL bytes before its content, if known
	begun int64     // size at which its identity was unknown, or it was a copy
	grown time.Time // when it last had something to read
	tried time.Time // last attempt to identify it, or to find a change

	gone    bool  // it has none of the log's names
	copy    bool  // it is a shorter copy of a known log
	inPlace bool  // it was truncated
	cut     int64 // its size when that was found out
}

// stopReadAhead stops the readAhead of g and emits the blocks that it has read.
func (l *logFile) stopReadAhead(g *generation) error {
	if g.ahead == nil {
		return nil
	}
	left := g.ahead.stop()
	g.ahead = nil
	for _, b := range left {
		if _, err := l.deliverBlock(g, b); err != nil {
			return err
		}
	}
	return nil
}

// deliverBlock delivers a block that a readAhead has read. It returns false if the block does not
// continue the source: the readAhead must then start again.
func (l *logFile) deliverBlock(g *generation, b block) (bool, error) {
	if b.event != nil {
		l.f.event(*b.event)
	}
	if b.from > g.entry.offset || g.at != g.entry.offset {
		return false, nil
	}
	g.grown, l.active = time.Now(), time.Now()
	err := l.f.deliver(g.entry, g.src, b, max(0, b.size-b.end()))
	g.at = g.entry.offset
	return true, err
}

// readOld continues to read rotated files that are still open.
func (l *logFile) readOld() (busy bool, err error) {
	kept := l.old[:0]
	for i, g := range l.old {
		more, alive, err := l.drain(g, 8)
		if err != nil {
			return false, err
		}
		if more && alive {
			l.old = append(kept, l.old[i:]...)
			return true, nil // the older one first
		}
		if alive && (len(l.old)-i > keepOld || g.gone && time.Since(g.grown) > goneAfter) {
			alive = false
			if err := l.finish(g); err != nil {
				return false, err
			}
		}
		if !alive {
			if fi, err := g.f.Stat(); err == nil && g.info != nil {
				l.checked = append(l.checked, fi)
			}
			g.f.Close()
			continue
		}
		kept = append(kept, g)
	}
	l.old = kept
	return false, nil
}

// drain reads at most n blocks of g. It returns whether there may be more, and whether the file can
// still be read.
func (l *logFile) drain(g *generation, n int) (more, alive bool, err error) {
	if g.entry == nil {
		size := g.size()
		if size == g.begun {
			return false, true, nil
		}
		e, p, err := l.f.openPlain(g.f, g.src.Path, false)
		if err != nil || e == nil || size < e.offset {
			g.begun = size
			return false, err == nil, nil
		}
		g.entry, g.blocks = e, p
	}
	if g.blocks.off != g.entry.offset {
		ok, err := g.blocks.moveTo(g.entry)
		if err == errReplaced { // not the same content any more
			g.entry, g.blocks = nil, nil
			return true, true, nil
		}
		if !ok {
			return false, err == nil, nil
		}
	}
	for range n {
		b, err := g.blocks.next()
		if err == errNone {
			g.entry.held = g.entry.held || g.blocks.idleSize == g.entry.offset || g.size() == g.entry.offset
			return false, true, nil
		}
		if err != nil { // truncated or overwritten
			g.info = nil
			clear(l.dirs) // identify it before anything else
			l.rescan = true
			return false, false, nil
		}
		g.grown, l.active = time.Now(), time.Now()
		if err := l.f.deliver(g.entry, g.src, b, max(0, b.size-b.end())); err != nil {
			return false, false, err
		}
	}
	return true, true, nil
}

// deleted reports whether g has lost all its names.
func (g *generation) deleted() bool {
	fi, err := g.f.Stat()
	return err == nil && links(fi) == 0
}

func (g *generation) size() int64 {
	fi, err := g.f.Stat()
	if err != nil {
		return -1
	}
	return fi.Size()
}

// moveTo moves to e's offset, which another file with the same content has moved forward. It
// returns false if p's file is shorter.
func (p *blockReader) moveTo(e *entry) (bool, error) {
	tail := make([]byte, e.tail.n)
	if _, err := p.f.ReadAt(tail, e.offset-int64(len(tail))); err == io.EOF {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if digestOf(tail) != e.tail {
		return false, errReplaced
	}
	p.off, p.open, p.tail = e.offset, e.open, e.tail
	return true, nil
}

// finish emits the rest of a file that is no longer written to.
func (l *logFile) finish(g *generation) error {
	if g.blocks == nil || g.blocks.off != g.entry.offset {
		return nil
	}
	b, err := g.blocks.rest()
	if err != nil {
		return nil
	}
	return l.f.deliver(g.entry, g.src, b, 0)
}

// readLive emits what the readAhead has read of the live file.
func (l *logFile) readLive(look bool) (busy bool, err error) {
	g := l.live
	if g == nil {
		return false, nil
	}
	if g.ahead == nil {
		if time.Since(g.tried) < max(l.f.o.Poll/2, l.pause()) {
			return false, nil
		}
		g.tried = time.Now()
		if l.unchanged(g) {
			return false, nil
		}
		if g.entry != nil {
			g.ahead = l.f.newReadAhead(g.blocks, l.path)
		} else if err := l.identify(g); err != nil || g.entry == nil {
			if time.Since(l.active) > suspendAfter {
				l.watch()
			}
			return false, err
		}
	}
	for range 64 {
		fits := g.at == g.entry.offset || g.agrees()
		if fits {
			select {
			case b, ok := <-g.ahead.out:
				if !ok {
					return true, l.readAheadFailed(g)
				}
				g.ahead.taken(b)
				if fits, err = l.deliverBlock(g, b); err != nil {
					return true, err
				}
			default:
				if look && time.Since(g.grown) > suspendAfter {
					return false, l.suspend(g)
				}
				return false, nil
			}
		}
		if !fits {
			// Another file with this content was ahead: see whether this one
			// still has it.
			g.ahead.stop()
			g.entry, g.blocks, g.ahead = nil, nil, nil
			return false, nil
		}
	}
	return true, nil
}

// agrees reports whether g has the bytes by which another file with the same content has moved g's
// entry forward.
func (g *generation) agrees() bool {
	p := blockReader{f: g.f}
	ok, _ := p.moveTo(g.entry)
	if ok {
		g.at = g.entry.offset
	}
	return ok
}

// suspend stops the readAhead of a file that nobody has written to for some time, since waiting for
// it costs as much as reading a busy one. A line without an end does not prevent that.
func (l *logFile) suspend(g *generation) error {
	fi, err := g.f.Stat()
	if err != nil || g.ahead.queued.Load() > 0 || fi.Size() != g.entry.offset && fi.Size() != g.ahead.idle.Load() {
		return nil
	}
	read := &g.ahead.blockReader
	if err := l.stopReadAhead(g); err != nil {
		return err
	}
	g.asLeft, g.blocks = fi, read // where reading resumes, and the file's state to expect then
	l.watch()                     // the readAhead's own watch has ended with it
	g.tried = time.Time{}         // it may have been written to before that
	return nil
}

// unchanged reports whether g was suspended and nobody has written to it since.
func (l *logFile) unchanged(g *generation) bool {
	if g.asLeft == nil {
		return false
	}
	fi, err := g.f.Stat()
	if err == nil && fi.Size() == g.asLeft.Size() && fi.ModTime().Equal(g.asLeft.ModTime()) {
		return true
	}
	g.asLeft, g.grown, l.active = nil, time.Now(), time.Now()
	l.unwatch()
	return false
}

// identify finds the source of the live file, once it has a line, and begins to read it.
func (l *logFile) identify(g *generation) error {
	var head []byte
	fi, err := g.f.Stat()
	if err != nil {
		return l.fail(g, err)
	}
	if g.hole, head, err = readHead(l.f.ctx, g.f, g.hole); err != nil {
		if l.f.ctx.Err() != nil {
			return nil
		}
		return l.fail(g, err)
	}
	if g.copy && fi.Size() == g.begun || !l.stable(fi) {
		return nil
	}
	e, p, err := l.f.placePlain(g.f, l.path, g.hole, head, false)
	if err != nil {
		if l.f.ctx.Err() != nil {
			return nil
		}
		return l.fail(g, err)
	}
	if e == nil {
		g.begun = fi.Size()
		return nil
	}
	if !l.failing.IsZero() {
		l.event(EventRegained, l.path, "can be read again", nil)
		l.failing, l.denied = time.Time{}, false
	}
	l.reportMissing()
	if l.truncated != nil {
		if !l.copied[l.truncated] && e.was != l.truncated {
			l.f.event(Event{
				Kind: EventLost, Path: l.path, ID: l.truncated.id, Offset: l.truncated.offset,
				Text: "was truncated, and no copy of it was found: lines written before that and not read by then are lost",
			})
		}
		l.truncated = nil
		clear(l.copied)
	}
	if was := l.replaced; was != nil {
		l.replaced = nil
		// A new log is short. This one may be the old one with all lines altered.
		if was.entry != nil && was.deleted() && e.offset == e.base && fi.Size() >= was.entry.offset/2 {
			l.f.event(Event{
				Kind: EventDiffers, Path: l.path, ID: e.id,
				Text: "another file is in its place, which has none of the last lines: it is read from its beginning",
			})
		}
	}
	if size := g.size(); size < e.offset {
		if !g.inPlace && (e.fresh || e.inode != inode(g.info)) {
			g.copy, g.begun = true, fi.Size()
			return nil // a shorter copy of a known log: wait until it is longer
		}
		// The same file, cut short in place: what comes now is new, and what has
		// come since that was found out.
		if g.inPlace {
			size = min(size, g.cut)
		}
		if e, p, err = l.f.cutShort(g.f, p, size, l.path); err != nil || e == nil {
			return nil
		}
	}
	e.inode, e.fresh = inode(g.info), true
	g.src = &Source{Path: l.path, Kind: KindFile, Modified: fi.ModTime(), Size: fi.Size()}
	g.entry, g.blocks, g.at, g.inPlace, g.copy = e, p, e.offset, false, false
	l.unwatch()
	g.ahead = l.f.newReadAhead(p, l.path)
	return nil
}

// stable reports whether a truncated file can be read now. If a copy of its old content
// was found, it can: its content is new. Otherwise somebody may be writing the old
// content, or a part of it, back, and the file can be identified only after that.
func (l *logFile) stable(fi os.FileInfo) bool {
	if l.truncated == nil || l.copied[l.truncated] {
		return true
	}
	waited := time.Since(l.since)
	return waited > settleMax || waited > settleMin && time.Since(fi.ModTime()) > settleMin
}

// cutShort makes a source of a file that has lost its end. Reading begins at that end.
func (r *reader) cutShort(f *os.File, p *blockReader, size int64, path string) (*entry, *blockReader, error) {
	from := max(size-blockSize, p.base)
	buf := make([]byte, size-from)
	n, err := f.ReadAt(buf, from)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	i := bytes.LastIndexByte(buf[:n], '\n') + 1
	if i == 0 {
		return nil, nil, nil
	}
	e := r.sources.add(p.base, p.head, path)
	e.offset = from + int64(i)
	e.setHead(p.head[:min(int64(len(p.head)), e.offset-p.base)])
	e.tail = digestOf(endOf(buf[:i]))
	e.addLines(buf[:i])
	r.event(Event{Kind: EventLost, Path: path, ID: e.id, Offset: e.offset, Text: "lost its end; it is read on from where it ends now"})
	return e, newBlockReader(f, p.base, p.head, e, r.maxLine), nil
}

// setPath sets the present name of g. A Source that was emitted is not changed.
func (g *generation) setPath(path string) {
	src := *g.src
	src.Path = path
	g.src = &src
}
