package tailer

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// A logFile is a followed name and all the files that hold parts of its log:
// the live one that the name refers to, the rotated ones that are still open
// because their writer may not have let go of them, and those in the queue,
// found beside it with something unread.
//
// Rotation is found by the name leading elsewhere; truncation by the live file
// having other content; and missed rotations, by looking up each new file that is
// named like a rotation in the sourceSet.
type logFile struct {
	f       *follower
	path    string
	globbed bool // found by a glob

	live    *generation   // the file of the name; nil: none that can be read
	old     []*generation // files it led to before, oldest first; at most keepOld
	oldBusy bool          // they had more than one step could take

	queue   []rotation           // to be checked, oldest first
	job     *job                 // being read; nil: none
	copied  map[*entry]bool      // sources of which a copy was found since the last truncation
	checked []os.FileInfo        // checked rotations, as they were then
	dirs    map[string]dirState  // by directory
	later   map[string]time.Time // when to try again what could not be read, by path
	scanned time.Time            // when the directories were listed
	retry   bool                 // something could not be read, and should be tried again

	first   bool   // nothing was checked yet
	settled bool   // the rotations were read, and the log was looked for
	rescan  bool   // a rotation that was open has changed
	current bool   // it was read to where it ended at the start
	last    *entry // read last before the start; nil once it is known what became of it

	missing   bool      // no file has the name
	denied    bool      // it cannot be opened
	failing   time.Time // when reading failed; zero: it works
	looked    time.Time // when its name was checked
	active    time.Time // when something last happened to it
	watched   bool      // the notifier reports changes in notified
	notified  atomic.Bool
	truncated *entry      // the live file's source before it was truncated, until the new content is identified
	since     time.Time   // when that was found out
	replaced  *generation // the file the name led to before, until the new one is identified
}

func newLogFile(f *follower, path string, globbed bool) *logFile {
	return &logFile{f: f, last: f.sources.last(path), path: path, globbed: globbed, first: true, active: time.Now(), copied: map[*entry]bool{}, dirs: map[string]dirState{}, later: map[string]time.Time{}}
}

func (l *logFile) event(kind EventKind, path, text string, err error) {
	e := Event{Kind: kind, Path: path, Text: text, Err: err}
	if l.live != nil && l.live.entry != nil && path == l.path {
		e.ID, e.Offset = l.live.entry.id, l.live.entry.offset
	}
	l.f.event(e)
}

// pause returns for how long a log need not be checked: a twentieth of the time since it last
// changed.
func (l *logFile) pause() time.Duration { return min(time.Since(l.active)/20, idlePoll) }

// watch asks the file system to report the next change, so that a log that is not checked is still
// read at once.
func (l *logFile) watch() {
	if l.f.notify == nil || l.watched {
		return
	}
	l.watched = true
	l.f.notify.watch(l.path, func() {
		l.notified.Store(true)
		l.f.wakeUp()
	})
}

func (l *logFile) unwatch() {
	if l.watched {
		l.f.notify.forget(l.path)
	}
	l.watched = false
}

// step does a bounded amount of work. With look, it checks the names as well, unless the log need
// not be checked.
func (l *logFile) step(look bool) (busy bool, err error) {
	told := l.notified.Swap(false)
	if told {
		l.unwatch()
		l.active = time.Now()
		if l.live != nil {
			l.live.tried = time.Time{}
		}
	}
	look = told || look && time.Since(l.looked) >= l.pause() || l.rescan || !l.settled && l.job == nil
	if look {
		l.looked = time.Now()
		if err := l.look(); err != nil {
			return false, err
		}
	}
	if look || l.oldBusy {
		if l.oldBusy, err = l.readOld(); l.oldBusy || l.rescan || err != nil {
			return true, err
		}
	}
	for l.job == nil && len(l.queue) > 0 {
		l.nextJob()
	}
	if l.job != nil {
		return l.readJob()
	}
	return l.readLive(look)
}

// caughtUp reports whether a log was once read to where it ended at the start.
func (l *logFile) caughtUp() bool {
	if !l.current && l.settled && l.job == nil && len(l.queue) == 0 && !l.oldBusy {
		g := l.live
		l.current = g == nil || l.behind() == 0 || g.entry != nil && g.entry.offset >= g.src.Size
	}
	return l.current
}

// look finds out which file the name refers to now.
func (l *logFile) look() error {
	fi, err := os.Stat(l.path)
	switch {
	case err == nil && fi.IsDir():
		err = ErrDirectory
		fallthrough
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		l.deny(err)
	case err != nil:
		if l.live != nil && !l.missing || l.first {
			l.event(EventMissing, l.path, "is not there; waiting for it", nil)
		}
		l.missing = true
	case l.live != nil && !os.SameFile(l.live.info, fi):
		l.event(EventRotated, l.path, "rotated, or replaced", nil)
		if err := l.retire(); err != nil {
			return err
		}
	case l.live != nil && (l.denied || l.missing) && l.failing.IsZero():
		l.event(EventRegained, l.path, "is there again", nil)
		l.denied, l.missing = false, false
	}
	l.rescan = false
	if err := l.scan(); err != nil {
		return err
	}
	l.first = false
	if l.job == nil && len(l.queue) == 0 && !l.oldBusy {
		l.settled = true
	}
	if fi == nil || err != nil || l.live != nil || l.job != nil || len(l.queue) > 0 || l.oldBusy {
		return nil
	}
	if time.Since(l.failing) < retryEvery {
		return nil
	}
	if !fi.Mode().IsRegular() { // opening a named pipe would wait for its writer
		l.deny(errors.New("not a regular file"))
		return nil
	}
	return l.open()
}

func (l *logFile) deny(err error) {
	if !l.denied {
		l.event(EventDenied, l.path, "cannot be read", bare(err))
	}
	l.denied = true
}

// open opens the file that the name refers to.
func (l *logFile) open() error {
	f, err := os.Open(l.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.deny(err)
		}
		return nil
	}
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		f.Close()
		l.deny(errors.New("not a regular file"))
		return nil
	}
	magic := make([]byte, magicLen)
	if n, _ := f.ReadAt(magic, 0); kindOf(magic[:n]) != KindFile {
		f.Close() // not to be followed, only read
		if !l.wasChecked(fi) {
			l.queue = append(l.queue, rotation{path: l.path, info: fi})
		}
		return nil
	}
	for i, g := range l.old { // renamed back
		if os.SameFile(g.info, fi) {
			f.Close()
			l.old = append(l.old[:i], l.old[i+1:]...)
			l.live = g
			g.setPath(l.path)
			g.blocks, g.entry = nil, nil // found again from its content
			return nil
		}
	}
	switch {
	case !l.failing.IsZero(): // reported once it can be read
	case l.denied:
		l.event(EventRegained, l.path, "can be read again", nil)
		l.denied = false
	case l.missing:
		l.event(EventRegained, l.path, "is there", nil)
	default:
		l.event(EventStarted, l.path, "following", nil)
	}
	l.missing, l.active = false, time.Now()
	l.live = &generation{f: f, info: fi, grown: fi.ModTime(), src: &Source{Path: l.path, Kind: KindFile, Modified: fi.ModTime(), Size: fi.Size()}}
	return nil
}

// retire makes the live file an old one: its writer may still write to it.
func (l *logFile) retire() error {
	g := l.live
	l.live = nil
	l.unwatch()
	if err := l.stopReadAhead(g); err != nil {
		return err
	}
	g.grown, l.active, g.asLeft = time.Now(), time.Now(), nil
	l.old = append(l.old, g)
	l.replaced = g
	l.oldBusy = true
	return nil
}

// flush emits the blocks that were read ahead.
func (l *logFile) flush() error {
	if l.live == nil {
		return nil
	}
	return l.stopReadAhead(l.live)
}

// reportMissing reports, once after the start, that the file that was read last cannot be found.
func (l *logFile) reportMissing() {
	if e := l.last; e != nil && !e.seen {
		l.f.event(Event{
			Kind: EventLost, Path: l.path, ID: e.id, Offset: e.offset,
			Text: "the file that was read last is gone: lines written to it since are lost",
		})
	}
	l.last = nil
}

// fail closes a live file that cannot be read. It is opened again later.
func (l *logFile) fail(g *generation, err error) error {
	l.failing = time.Now()
	l.deny(err)
	l.live = nil
	l.unwatch()
	g.f.Close()
	return nil
}

// readAheadFailed handles a live file that could not be read further.
func (l *logFile) readAheadFailed(g *generation) error {
	err := g.ahead.err
	g.ahead = nil
	if err != errReplaced {
		return l.fail(g, err)
	}
	l.event(EventTruncated, l.path, "was truncated or rewritten", nil)
	g.entry.held = false
	l.truncated, l.since, g.cut = g.entry, time.Now(), g.size()
	g.entry, g.blocks, g.inPlace, g.hole = nil, nil, true, 0
	// The copy may be a new file, or have been written over one that is open.
	l.oldBusy = true
	clear(l.dirs)
	return l.scan()
}

// finished reports whether a log has been read completely.
func (l *logFile) finished() bool {
	return l.job == nil && len(l.queue) == 0 && !l.oldBusy &&
		(l.live == nil || l.missing && time.Since(l.live.grown) > finishedAfter)
}

// behind returns the number of unread bytes, as far as known: all bytes of a compressed file, and
// one if there may be some.
func (l *logFile) behind() (n int64) {
	count := func(g *generation) {
		if g == nil {
			return
		}
		size := g.size()
		switch {
		case g.ahead != nil && g.ahead.idle.Load() == size && g.ahead.queued.Load() == 0: // a line being written
		case g.ahead == nil && g.blocks != nil && g.blocks.idleSize == size: // nor is this one whole
		case g.entry != nil:
			n += max(size-g.entry.offset, 0)
		case !g.copy && g.asLeft == nil && size != g.begun:
			n += max(size, 0)
		}
	}
	count(l.live)
	for _, g := range l.old {
		if g.entry != nil {
			count(g)
		}
	}
	for _, r := range l.queue {
		n += r.info.Size()
	}
	if j := l.job; j != nil && j.stream != nil {
		n += j.info.Size()
	} else if j != nil {
		count(j.generation)
	}
	if !l.settled || l.job != nil {
		n = max(n, 1)
	}
	return n
}

func (l *logFile) close() {
	if l.live != nil {
		if l.live.ahead != nil {
			l.live.ahead.stop()
		}
		l.live.f.Close()
	}
	l.unwatch()
	for _, g := range l.old {
		g.f.Close()
	}
	if l.job != nil {
		if l.job.stream != nil {
			l.job.stream.stop()
		}
		l.job.f.Close()
	}
}
