//go:build linux

package tailer

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/hpcloud/tail"
	"github.com/hpcloud/tail/watch"
)

// How github.com/hpcloud/tail v1.0.0 is used: to wait for lines at the end of
// one open file, and nothing else. It is given our own descriptor's path in
// /proc, so that no rename leads it astray, polls, since with inotify a rename
// ends it, and never reopens. It reports neither offsets nor truncations: the
// offset is counted (it cuts one "\n" a line and nothing else), and its
// lines are compared with the bytes of the file. See docs/following.md.

func init() {
	// A line destroyed by copytruncate is one that nobody read in time.
	watch.POLL_DURATION = 10 * time.Millisecond
}

// localFS are the file systems, by their numbers in statfs(2), on which a stat of an open file does
// not fail. A failed stat makes the library end the process.
var localFS = map[int64]bool{
	0xEF53:     true, // ext2, ext3, ext4
	0x58465342: true, // XFS
	0x9123683E: true, // Btrfs
	0xF2F52010: true, // F2FS
	0x2FC12FC1: true, // ZFS
	0xCA451A4E: true, // bcachefs
	0x01021994: true, // tmpfs
	0x858458F6: true, // ramfs
	0x794C7630: true, // overlayfs
}

func fdPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// libraryWorks reports whether the library can follow f.
func libraryWorks(f *os.File) bool {
	var fs syscall.Statfs_t
	if syscall.Fstatfs(int(f.Fd()), &fs) != nil || !localFS[int64(fs.Type)&0xffffffff] {
		return false
	}
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	theirs, err := os.Stat(fdPath(f))
	return err == nil && os.SameFile(ours, theirs)
}

// followLibrary waits for lines with the library. It returns when reading by blocks is better: the
// file was replaced, or much has come, or (stalled) the library has missed something. ok is false
// if the readAhead must end.
func (p *readAhead) followLibrary() (ok, stalled bool) {
	t, err := tail.TailFile(fdPath(p.f), tail.Config{
		Location:  &tail.SeekInfo{Offset: p.off},
		Follow:    true,
		MustExist: true,
		Poll:      true,
		Logger:    tail.DiscardingLogger,
	})
	if err != nil { // permission to open it is gone, our descriptor still reads
		p.native = true
		return true, false
	}
	defer stopLibrary(t)
	watchdog := time.NewTicker(stallAfter / 4)
	defer watchdog.Stop()
	var batch []byte
	last := time.Now() // of progress
	start := p.off
	for {
		select {
		case <-p.quit:
			return false, false
		case line, open := <-t.Lines:
			batch = batch[:0]
			for misses := 0; open && line.Err == nil && len(line.Text) < p.max; {
				batch = append(append(batch, line.Text...), '\n')
				if len(batch) >= blockSize {
					break
				}
				line = nil
				for ; line == nil && misses < 3; misses++ {
					select {
					case line, open = <-t.Lines:
					default:
						runtime.Gosched()
					}
				}
				if line == nil {
					break
				}
			}
			if len(batch) == 0 {
				if !open && p.off == start {
					p.native = true // it ended at once, and would do so again
				}
				return true, false
			}
			b, err := p.check(batch)
			if err != nil { // reading by blocks finds out what it is
				return true, false
			}
			if !p.send(b) {
				return false, false
			}
			last = time.Now()
		case <-watchdog.C:
			fi, err := p.f.Stat()
			if err != nil || fi.Size() < p.off || fi.Size()-p.off > libraryMax {
				return true, false
			}
			if fi.Size() == p.idleSize && fi.ModTime().Equal(p.idleTime) {
				continue
			}
			if fi.Size() == p.off {
				if p.proveUnchanged(fi) != errNone {
					return true, false
				}
			} else if time.Since(last) > stallAfter {
				return true, true
			}
		}
	}
}

// stopLibrary stops t, which would wait for ever for a receiver of its last line.
func stopLibrary(t *tail.Tail) {
	t.Kill(nil)
	for range t.Lines {
	}
	t.Wait()
}
