package tailer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A dirState says when a directory was last seen to change.
type dirState struct{ modified, since time.Time }

// directories are those where rotations of the log may be: its own, that of
// the file that it is a symbolic link to, and olddir.
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

// scan looks for rotations that were not looked at yet, where a directory has
// changed.
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
	var all []rotated
	for _, d := range dirs {
		list, err := siblings(d[0], d[1])
		if err != nil && !errors.Is(err, fs.ErrNotExist) && l.first {
			l.tell(EventDenied, d[0], "rotations cannot be listed", bare(err))
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
	noHistory := l.first && l.f.o.NoHistory && !l.f.ledger.knows(l.path)
	for _, r := range all {
		if live != nil && os.SameFile(live, r.info) {
			continue
		}
		if g := l.opened(r.info); g != nil {
			g.gone = false
			g.named(r.path)
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

// last returns the source that was first seen latest, among those that were
// live at path.
func (l *ledger) last(path string) (last *entry) {
	for _, list := range l.byBase {
		for _, e := range list {
			if e.path == path && (last == nil || e.seq > last.seq) {
				last = e
			}
		}
	}
	return last
}

// knows tells whether anything was ever read of the log at path.
func (l *ledger) knows(path string) bool {
	for _, list := range l.byBase {
		for _, e := range list {
			base, _ := splitRotated(filepath.Base(e.path))
			if filepath.Join(filepath.Dir(e.path), base) == path || e.path == path {
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

// forget has everything looked at again.
func (l *logFile) forget() {
	l.checked = nil
	clear(l.dirs)
	clear(l.later)
}
