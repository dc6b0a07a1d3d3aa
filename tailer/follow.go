package tailer

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// FollowOptions are the options of Follow. The zero value is usable.
type FollowOptions struct {
	Stdin   io.Reader     // what "-" reads; nil: os.Stdin
	MaxLine int           // longer lines are cut, in bytes; 0: DefaultMaxLine
	Poll    time.Duration // between two checks of the names; 0: 50 ms
	// Native reads without the library that follows files, woken by the file
	// system (inotify) or by Poll. Systems other than Linux, a missing /proc
	// and network file systems always have it.
	Native bool
	// NoHistory leaves out the rotations that are there when a log is
	// followed for the first time. Otherwise they are read first.
	NoHistory bool
	// OldDirs are further directories that rotations are moved to
	// (logrotate's olddir). A relative one is taken from the log's directory.
	OldDirs []string
	// Containers are names of containers, or patterns of them as in path.Match,
	// whose output is read from a journal besides what mail servers log there:
	// that of docker's or podman's log driver journald.
	Containers []string
	// JournalSince is the time before which a journal's entries are left out when it is
	// followed for the first time, since they were read from a file. Zero: none is.
	JournalSince time.Time
	// Reopen, when it yields, makes Follow check all names again at once (SIGHUP).
	Reopen <-chan struct{}
	// Event is called with events that an admin may want to know.
	Event func(Event)
	// Idle is called when all that can be read has been emitted, half a second after the
	// last time at the earliest, every half second while there is more, and once a second when
	// nothing happens: the moment to commit. behind counts the bytes known to be
	// unread: 0 when caught up.
	Idle func(behind int64) error
}

const (
	defaultPoll   = 50 * time.Millisecond
	commitPause   = 500 * time.Millisecond // between two commits: each writes the pages that it shares with the next
	idleEvery     = time.Second
	globEvery     = time.Second
	retryEvery    = 2 * time.Second        // after a failed read
	finishedAfter = time.Minute            // without a write: a rotated file is finished
	goneAfter     = time.Hour              // a deleted file is closed, which frees its space
	suspendAfter  = 2 * time.Second        // without a write: the goroutine that waits for the file ends
	idlePoll      = 500 * time.Millisecond // the longest time between two checks of a quiet log
	keepOld       = 3                      // rotated files that are kept open
)

// Follow passes lines of the sources to emit as they come. It begins at the
// positions in known. Sources are files, which need not exist yet; globs, whose
// new files are followed too; "journal:" or "journal:NAMESPACE", systemd's
// journal; "-", standard input. It returns nil when ctx ends, or at the end of
// standard input if that is the only source.
//
// emit and the hooks in o are called from one goroutine at a time. While emit
// runs, at most about two megabytes a source are read ahead.
//
// The longer a log is quiet, the less often it is checked, down to twice a second;
// the file system reports changes before that (inotify). A glob may match many logs.
//
// A line is emitted once its "\n" is there. The last line of a rotated file may
// have none: it is emitted if the file is compressed, or was not written to for a
// minute.
func Follow(ctx context.Context, sources []string, known []Position, o FollowOptions, emit func(*Chunk) error) error {
	l, err := newSourceSet(known)
	if err != nil {
		return err
	}
	f := &follower{
		reader:  reader{ctx: ctx, live: true, sources: l, maxLine: o.MaxLine, event: o.Event, emit: emit},
		o:       o,
		logs:    map[string]*logFile{},
		wake:    make(chan struct{}, 1),
		started: time.Now(),
	}
	f.defaults()
	if f.o.Poll <= 0 {
		f.o.Poll = defaultPoll
	}
	if f.o.Idle == nil {
		f.o.Idle = func(int64) error { return nil }
	}
	if f.o.Stdin == nil {
		f.o.Stdin = os.Stdin
	}
	f.notify = newNotifier()
	f.library = make(chan struct{}, libraryLogs)
	defer f.close()
	seen := map[string]bool{}
	for _, s := range sources {
		if seen[s] {
			continue
		}
		seen[s] = true
		switch {
		case s == "-":
			f.feeds = append(f.feeds, newStdinFeed(f))
		case strings.HasPrefix(s, journalPrefix):
			j, err := newJournalFeed(f, s)
			if err != nil {
				return &PathError{Path: s, Err: err}
			}
			f.feeds = append(f.feeds, j)
		case strings.ContainsAny(s, "*?["):
			if _, err := filepath.Match(s, ""); err != nil {
				return &PathError{Path: s, Err: err}
			}
			f.globs = append(f.globs, s)
		default:
			if fi, err := os.Stat(s); err == nil && fi.IsDir() {
				return &PathError{Path: s, Err: ErrDirectory}
			}
			f.add(s, false)
		}
	}
	if len(sources) == 0 {
		return errors.New("nothing to follow")
	}
	return f.run()
}

// A follower follows all sources in one goroutine. Others read ahead: a readAhead for each log, a
// goroutine for each feed.
type follower struct {
	reader
	o       FollowOptions
	logs    map[string]*logFile
	order   []*logFile
	globs   []string
	globbed time.Time
	feeds   []feed
	notify  *notifier     // nil: the file system reports no changes
	library chan struct{} // holds one for each log that is left to the following library
	wake    chan struct{} // something may have been read
	started time.Time
}

// A feed is a source that can only be read in order.
type feed interface {
	// step emits the lines that have come, without waiting.
	step() (busy bool, err error)
	done() bool
	close()
}

// wakeUp wakes the follower.
func (f *follower) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// add begins to follow a log.
func (f *follower) add(path string, globbed bool) {
	path = filepath.Clean(path)
	if f.logs[path] == nil {
		l := newLogFile(f, path, globbed)
		f.logs[path] = l
		f.order = append(f.order, l)
	}
}

// expand adds new files that match a glob and forgets those that are gone. A rotation that matches
// belongs to its log, if that matches too.
func (f *follower) expand() {
	present := map[string]bool{}
	for _, g := range f.globs {
		paths, _ := filepath.Glob(g)
		if len(paths) == 0 && f.globbed.IsZero() {
			f.event(Event{Kind: EventMissing, Path: g, Text: "matches nothing yet"})
		}
		match := map[string]bool{}
		for _, p := range paths {
			match[filepath.Clean(p)] = true
		}
		for _, p := range paths {
			dir, name := filepath.Split(filepath.Clean(p))
			base, _ := splitRotated(name)
			if base != name && (match[dir+base] || f.logs[dir+base] != nil) {
				continue
			}
			if fi, err := os.Stat(p); err != nil || !fi.Mode().IsRegular() {
				continue
			}
			present[filepath.Clean(p)] = true
			f.add(p, true)
		}
	}
	f.globbed = time.Now()
	kept := f.order[:0]
	for _, l := range f.order {
		if l.globbed && !present[l.path] && l.finished() {
			l.close()
			delete(f.logs, l.path)
			continue
		}
		kept = append(kept, l)
	}
	f.order = kept
}

func (f *follower) run() error {
	tick := time.NewTicker(f.o.Poll)
	defer tick.Stop()
	var looked, idled time.Time
	var committed int64 = -1
	for f.ctx.Err() == nil {
		look := time.Since(looked) >= f.o.Poll*9/10
		if look {
			if len(f.globs) > 0 && time.Since(f.globbed) >= globEvery {
				f.expand()
			}
			looked = time.Now()
		}
		busy := false
		for _, l := range f.order {
			b, err := l.step(look)
			if err != nil {
				return err
			}
			busy = busy || b
			if !l.caughtUp() {
				break // logs are caught up with one after another, in their order
			}
		}
		live := len(f.order) > 0 || len(f.globs) > 0
		for _, s := range f.feeds {
			b, err := s.step()
			if err != nil {
				return err
			}
			busy = busy || b
			live = live || !s.done()
		}
		since := time.Since(idled)
		if since >= commitPause && (busy || f.emitted != committed) || since >= idleEvery || !live {
			if err := f.o.Idle(f.behind()); err != nil {
				return err
			}
			committed, idled = f.emitted, time.Now()
		}
		if !live {
			return nil
		}
		if busy {
			select {
			case _, ok := <-f.o.Reopen:
				f.reopen(ok)
			default:
			}
			continue
		}
		select {
		case <-f.wake:
		case <-tick.C:
		case _, ok := <-f.o.Reopen:
			f.reopen(ok)
			looked = time.Time{}
		case <-f.ctx.Done():
		}
	}
	// What was read ahead is emitted: its file may be gone by the next start.
	for _, l := range f.order {
		if err := l.flush(); err != nil {
			return err
		}
	}
	for _, s := range f.feeds {
		if _, err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

// reopen makes the follower check all names again. ok is false if Reopen was closed.
func (f *follower) reopen(ok bool) {
	if !ok {
		f.o.Reopen = nil
	}
	f.globbed = time.Time{}
	for _, l := range f.order {
		l.forget()
	}
}

func (f *follower) behind() (n int64) {
	for _, l := range f.order {
		n += l.behind()
	}
	return n
}

func (f *follower) close() {
	for _, l := range f.order {
		l.close()
	}
	for _, s := range f.feeds {
		s.close()
	}
	if f.notify != nil {
		f.notify.close()
	}
}
