package tailer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// One test a hazard. Each runs with both ways of waiting for lines.

func TestGrowth(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 3000)
		write(t, path, join(lines[:1000]))
		f := follow(t, nil, o, path)
		f.want(lines[:1000]...)
		for i := 1000; i < 3000; i += 100 {
			appendTo(t, path, join(lines[i:i+100]))
			if i%500 == 0 {
				f.want(lines[:i+100]...)
			}
		}
		f.want(lines...)
		f.until("caught up", func() bool { return f.behind == 0 })
		pos := f.stop(lines...)
		if len(pos) != 1 || pos[0].Offset != int64(len(join(lines))) {
			t.Errorf("positions %+v", pos)
		}
	})
}

// Many lines at once are read by blocks, then one by one again.
func TestBurst(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 60000)
		write(t, path, join(lines[:1]))
		f := follow(t, nil, o, path)
		f.want(lines[:1]...)
		appendTo(t, path, join(lines[1:50000]))
		f.want(lines[:50000]...)
		for i := 50000; i < 60000; i += 1000 {
			appendTo(t, path, join(lines[i:i+1000]))
		}
		f.want(lines...)
		f.stop(lines...)
	})
}

func TestRestart(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 50)
		var pos []Position
		for i := range 5 {
			appendTo(t, path, join(lines[i*10:i*10+5]))
			f := follow(t, pos, o, path)
			f.want(lines[i*10 : i*10+5]...)
			appendTo(t, path, join(lines[i*10+5:i*10+10]))
			f.want(lines[i*10 : i*10+10]...)
			pos = f.stop(lines[i*10 : i*10+10]...)
		}
	})
}

func TestMissingAtFirst(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		f := follow(t, nil, o, path)
		f.untilEvent(EventMissing)
		lines := numbered(1, 10)
		appendTo(t, path, join(lines))
		f.want(lines...)
		f.stop(lines...)
	})
}

func TestPartialLine(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		dir := t.TempDir()
		path, other := filepath.Join(dir, "mail.log"), filepath.Join(dir, "other.log")
		write(t, path, "one\nhalf a ")
		write(t, other, "")
		f := follow(t, nil, o, path, other)
		f.want("one")
		appendTo(t, other, "meanwhile\n")
		f.want("one", "meanwhile")
		appendTo(t, path, "line")
		appendTo(t, other, "still\n")
		f.want("one", "meanwhile", "still")
		f.until("caught up but for half a line", func() bool { return f.behind == 0 })
		appendTo(t, path, "\ntwo\n")
		f.want("one", "meanwhile", "still", "half a line", "two")
		f.stop("one", "meanwhile", "still", "half a line", "two")
	})
}

// The second half of a line goes to the file that was renamed meanwhile.
func TestPartialLineOverRotation(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		write(t, path, "one\nhalf a ")
		f := follow(t, nil, o, path)
		f.want("one")
		rename(t, path, path+".1")
		write(t, path, "new\n")
		f.want("one", "new")
		f.until("caught up but for half a line", func() bool { return f.behind == 0 })
		appendTo(t, path+".1", "line\n")
		f.want("one", "new", "half a line")
		f.stop("one", "new", "half a line")
	})
}

func TestRename(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 100)
		write(t, path, join(lines[:10]))
		f := follow(t, nil, o, path)
		f.want(lines[:10]...)
		for i := 10; i < 100; i += 10 {
			appendTo(t, path, join(lines[i:i+5]))
			for n := 9; n > 0; n-- {
				if _, err := os.Stat(path + "." + string(rune('0'+n))); err == nil {
					rename(t, path+"."+string(rune('0'+n)), path+"."+string(rune('1'+n)))
				}
			}
			rename(t, path, path+".1")
			appendTo(t, path, join(lines[i+5:i+10]))
			f.want(lines[:i+10]...)
		}
		f.untilEvent(EventRotated)
		f.stop(lines...)
	})
}

// The writer makes a new log before logrotate does, which then moves it away.
func TestRenameFastWriter(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 30)
		write(t, path, join(lines[:10]))
		f := follow(t, nil, o, path)
		f.want(lines[:10]...)
		rename(t, path, path+".1")
		write(t, path, join(lines[10:20]))
		rename(t, path, path+"-2026112315.backup")
		write(t, path, join(lines[20:]))
		f.want(lines...)
		f.stop(lines...)
	})
}

// The writer goes on writing to the renamed file, as rsyslog does until its HUP.
func TestRenameLateWriter(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		write(t, path, "one\n")
		f := follow(t, nil, o, path)
		f.want("one")
		rename(t, path, path+".1")
		write(t, path, "")
		appendTo(t, path+".1", "two\n")
		f.want("one", "two")
		appendTo(t, path, "three\n")
		f.want("one", "two", "three")
		appendTo(t, path+".1", "late\n")
		f.want("one", "two", "three", "late")
		f.stop("one", "two", "three", "late")
	})
}

func TestCopyTruncate(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 100)
		write(t, path, "")
		f := follow(t, nil, o, path)
		for i := 0; i < 100; i += 10 {
			// Some may be read from the log and some only from the copy.
			appendTo(t, path, join(lines[i:i+10]))
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rename1 := path + "." + string(rune('0'+9-i/10))
			write(t, rename1, string(text))
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
			if i%20 == 0 {
				f.want(lines[:i+10]...)
			}
		}
		f.until("100 lines", func() bool { return len(f.lines) >= 100 })
		f.stop()
		slices.Sort(f.lines)
		slices.Sort(lines)
		sameLines(t, f.lines, lines)
	})
}

// The copy is written over the one before it, in place.
func TestCopyOver(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 60)
		write(t, path, join(lines[:10]))
		f := follow(t, nil, o, path)
		f.want(lines[:10]...)
		for i := 10; i < 60; i += 10 {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			write(t, path+".1", string(text)+join(lines[i:i+5])) // as if written to the log meanwhile
			write(t, path, join(lines[i+5:i+10]))
			f.want(lines[:i+10]...)
		}
		f.stop(lines...)
	})
}

// The file is emptied and has grown beyond its old length before anybody looks.
func TestTruncateAndRegrow(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 1000)
		write(t, path, join(lines[:100]))
		f := follow(t, nil, o, path)
		f.want(lines[:100]...)
		write(t, path, join(lines[100:])) // truncates, same inode
		f.want(lines...)
		f.untilEvent(EventTruncated)
		f.untilEvent(EventLost) // nobody knows what stood there last
		f.stop(lines...)
	})
}

func TestTruncateWhileDown(t *testing.T) {
	path := newLog(t)
	lines := numbered(1, 300)
	write(t, path, join(lines[:100]))
	f := follow(t, nil, FollowOptions{}, path)
	f.want(lines[:100]...)
	pos := f.stop()
	write(t, path, join(lines[100:]))
	f = follow(t, pos, FollowOptions{}, path)
	f.want(lines[100:]...)
	f.untilEvent(EventLost)
	f.stop(lines[100:]...)
}

// A writer without O_APPEND goes on at its old offset: a hole comes before.
func TestHole(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		w, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		io.WriteString(w, "one\ntwo\n")
		f := follow(t, nil, o, path)
		f.want("one", "two")
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "three\n")
		f.want("one", "two", "three")
		pos := f.stop("one", "two", "three")
		io.WriteString(w, "four\n")
		f = follow(t, pos, o, path)
		f.want("four")
		f.stop("four")
	})
}

// A file that loses its end in place: what comes then is new.
func TestCutInPlace(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 100)
		write(t, path, join(lines))
		f := follow(t, nil, o, path)
		f.want(lines...)
		if err := os.Truncate(path, int64(len(join(lines[:50])))); err != nil {
			t.Fatal(err)
		}
		f.untilEvent(EventLost)
		appendTo(t, path, "new\n")
		f.want(append(lines, "new")...)
		pos := f.stop()
		appendTo(t, path, "newer\n")
		f = follow(t, pos, o, path)
		f.want("newer")
		f.stop("newer")
	})
}

func TestDelete(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		w, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		io.WriteString(w, "one\n")
		f := follow(t, nil, o, path)
		f.want("one")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "two\n")
		f.want("one", "two")
		f.untilEvent(EventMissing)
		io.WriteString(w, "three\n")
		write(t, path, "four\n")
		f.want("one", "two", "three", "four")
		f.stop("one", "two", "three", "four")
	})
}

func TestDeletedWhileDown(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\n")
	f := follow(t, nil, FollowOptions{}, path)
	f.want("one")
	pos := f.stop("one")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "two\n")
	f = follow(t, pos, FollowOptions{}, path)
	f.want("two")
	f.untilEvent(EventLost)
	f.stop("two")
}

// Rotated several times while nobody looked, with all that logrotate may do.
func TestRotatedWhileDown(t *testing.T) {
	lines := numbered(1, 60)
	for _, test := range []struct {
		name  string
		files map[string]string // what there is at the next start
		want  []string
	}{
		{"once", map[string]string{".1": join(lines[:20]), "": join(lines[20:30])}, lines[10:30]},
		{"once, compressed", map[string]string{".1.gz": compressed(t, KindGzip, join(lines[:20])), "": join(lines[20:30])}, lines[10:30]},
		{
			"three times", map[string]string{
				".3.gz": compressed(t, KindGzip, join(lines[:20])), ".2.gz": compressed(t, KindGzip, join(lines[20:40])),
				".1": join(lines[40:50]), "": join(lines[50:]),
			}, lines[10:],
		},
		{
			"three times, dateext", map[string]string{
				"-20261121.xz": compressed(t, KindXZ, join(lines[:20])), "-20261122.zst": compressed(t, KindZstd, join(lines[20:40])),
				"-20261123": join(lines[40:50]), "": join(lines[50:]),
			}, lines[10:],
		},
		{"and the new log is empty", map[string]string{".1": join(lines[:20]), "": ""}, lines[10:20]},
		{"and there is no new log", map[string]string{".1": join(lines[:20])}, lines[10:20]},
		{"nothing new", map[string]string{".1": join(lines[:10]), "": join(lines[20:30])}, lines[20:30]},
		{"still being compressed", map[string]string{
			".1": join(lines[:20]), ".1.gz": compressed(t, KindGzip, join(lines[:20]))[:60], "": join(lines[20:30]),
		}, lines[10:30]},
		{"other files beside it", map[string]string{".1": join(lines[:20]), ".bak": "not this\n", ".1.swp": "nor this\n", "": join(lines[20:30])}, lines[10:30]},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newLog(t)
			write(t, path, join(lines[:10]))
			f := follow(t, nil, FollowOptions{}, path)
			f.want(lines[:10]...)
			pos := f.stop(lines[:10]...)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			for name, text := range test.files {
				write(t, path+name, text)
			}
			f = follow(t, pos, FollowOptions{}, path)
			f.want(test.want...)
			pos = f.stop(test.want...)
			appendTo(t, path, "more\n")
			f = follow(t, pos, FollowOptions{}, path)
			f.want("more")
			f.stop("more")
		})
	}
}

// Compressed copies of what was read must not be read again, and compressing
// must not disturb.
func TestCompressWhileFollowing(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 40)
		write(t, path, join(lines[:10]))
		f := follow(t, nil, o, path)
		f.want(lines[:10]...)
		rename(t, path, path+".1")
		write(t, path, join(lines[10:20]))
		f.want(lines[:20]...)
		write(t, path+".1.gz", compressed(t, KindGzip, join(lines[:10])))
		if err := os.Remove(path + ".1"); err != nil {
			t.Fatal(err)
		}
		appendTo(t, path, join(lines[20:30]))
		f.want(lines[:30]...)
		pos := f.stop(lines[:30]...)
		f = follow(t, pos, o, path)
		appendTo(t, path, join(lines[30:]))
		f.want(lines[30:]...)
		f.stop(lines[30:]...)
	})
}

func TestHistory(t *testing.T) {
	path := newLog(t)
	lines := numbered(1, 30)
	write(t, path+".2.gz", compressed(t, KindGzip, join(lines[:10])))
	write(t, path+".1", join(lines[10:20]))
	write(t, path, join(lines[20:]))
	f := follow(t, nil, FollowOptions{}, path)
	f.want(lines...)
	f.stop(lines...)
	f = follow(t, nil, FollowOptions{NoHistory: true}, path)
	f.want(lines[20:]...)
	f.stop(lines[20:]...)
}

// Nobody has caught up while a rotation is read, or before the log itself is.
func TestBehindRotation(t *testing.T) {
	lines := numbered(1, 60000)
	for name, text := range map[string]string{".1.gz": compressed(t, KindGzip, join(lines[:50000])), ".1": join(lines[:50000])} {
		t.Run(name, func(t *testing.T) {
			path := newLog(t)
			write(t, path+name, text)
			write(t, path, join(lines[50000:]))
			r := newRecorder(t, nil)
			ctx, cancel := context.WithTimeout(context.Background(), deadline)
			defer cancel()
			read := -1 // when it first said that it has caught up
			err := Follow(ctx, []string{path}, nil, FollowOptions{Idle: func(behind int64) error {
				if behind == 0 && read < 0 {
					read = len(r.lines)
					cancel()
				}
				return nil
			}}, r.emit)
			if err != nil || read != len(lines) {
				t.Errorf("caught up after %d lines of %d; %v", read, len(lines), err)
			}
		})
	}
}

func TestOldDir(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		o.OldDirs = []string{"old"}
		path := newLog(t)
		old := filepath.Join(filepath.Dir(path), "old")
		if err := os.Mkdir(old, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path, "one\n")
		f := follow(t, nil, o, path)
		f.want("one")
		pos := f.stop("one")
		appendTo(t, path, "two\n")
		rename(t, path, filepath.Join(old, "mail.log.1"))
		write(t, path, "three\n")
		f = follow(t, pos, o, path)
		f.want("two", "three")
		f.stop("two", "three")
	})
}

func TestSymlink(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		dir := filepath.Join(filepath.Dir(path), "logs")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		link := func(target string) {
			t.Helper()
			if err := os.Symlink(target, path+".new"); err != nil {
				t.Fatal(err)
			}
			rename(t, path+".new", path)
		}
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		write(t, a, "one\n")
		link("logs/a")
		f := follow(t, nil, o, path)
		f.want("one")
		appendTo(t, a, "two\n")
		write(t, b, "three\n")
		link("logs/b")
		f.want("one", "two", "three")
		appendTo(t, b, "four\n")
		f.want("one", "two", "three", "four")
		pos := f.stop("one", "two", "three", "four")
		// The target is rotated, beside itself.
		appendTo(t, b, "five\n")
		rename(t, b, b+".1")
		write(t, b, "six\n")
		f = follow(t, pos, o, path)
		f.want("five", "six")
		f.stop("five", "six")
	})
}

func TestGlob(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "mail.log"), "one\n")
		write(t, filepath.Join(dir, "mail.log.1"), "older\n") // belongs to mail.log
		write(t, filepath.Join(dir, "other.txt"), "not this\n")
		f := follow(t, nil, o, filepath.Join(dir, "m*"))
		f.want("older", "one")
		write(t, filepath.Join(dir, "mainlog"), "two\n")
		f.want("older", "one", "two")
		appendTo(t, filepath.Join(dir, "mail.log"), "three\n")
		f.want("older", "one", "two", "three")
		write(t, filepath.Join(dir, "mainlog-20261123"), "four\n")
		f.want("older", "one", "two", "three", "four")
		f.stop("older", "one", "two", "three", "four")
	})
}

// Logs whose name has the date: each is followed, with no log of the bare name.
func TestGlobDated(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "mainlog-20261122"), "one\n")
		f := follow(t, nil, o, filepath.Join(dir, "mainlog-*"))
		f.want("one")
		write(t, filepath.Join(dir, "mainlog-20261123"), "two\n")
		f.want("one", "two")
		appendTo(t, filepath.Join(dir, "mainlog-20261122"), "late\n")
		f.want("one", "two", "late")
		f.stop("one", "two", "late")
	})
}

// Two names for one content yield each line once, until they differ.
func TestSameContent(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		dir := t.TempDir()
		a, b := filepath.Join(dir, "mail.log"), filepath.Join(dir, "mail.info")
		lines := numbered(1, 30)
		write(t, a, join(lines[:10]))
		write(t, b, join(lines[:10]))
		f := follow(t, nil, o, a, b)
		f.want(lines[:10]...)
		appendTo(t, a, join(lines[10:20]))
		f.want(lines[:20]...)
		appendTo(t, b, join(lines[10:20]))
		appendTo(t, b, join(lines[20:])) // ahead now
		f.want(lines...)
		appendTo(t, a, join(lines[20:]))
		appendTo(t, a, "only here\n")
		f.want(append(lines, "only here")...)
		f.stop(append(lines, "only here")...)
	})
}

func TestJunk(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		write(t, path, "")
		f := follow(t, nil, o, path)
		lines := []string{"nul \x00\x00 bytes", "latin1 Gr\xfc\xdfe \xff\xfe", "crlf\r", "cr\rin\v\f\u2028side", "", strings.Repeat("x", 3<<20), "end"}
		for _, l := range lines {
			appendTo(t, path, l+"\n")
		}
		f.want(lines...)
		f.stop(lines...)
	})
}

func TestLongLine(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		o.MaxLine = 1000
		path := newLog(t)
		write(t, path, "one\n")
		f := follow(t, nil, o, path)
		f.want("one")
		long := strings.Repeat("abcdefghij", 300)
		appendTo(t, path, long)
		f.want("one", long[:1000])
		f.untilEvent(EventCut)
		appendTo(t, path, long+long)
		pos := f.stop("one", long[:1000])
		appendTo(t, path, long+"\ntwo\n")
		f = follow(t, pos, o, path)
		f.want("two")
		f.stop("two")
	})
}

func TestStdin(t *testing.T) {
	r, w := io.Pipe()
	f := follow(t, nil, FollowOptions{Stdin: r}, "-")
	io.WriteString(w, "one\ntw")
	f.want("one")
	io.WriteString(w, "o\nthree")
	f.want("one", "two")
	w.Close()
	f.want("one", "two", "three")
	select {
	case err := <-f.done:
		if err != nil {
			t.Errorf("Follow: %v", err)
		}
	case <-time.After(deadline):
		t.Error("Follow does not end at the end of standard input")
	}
}

func TestFollowErrors(t *testing.T) {
	emit := func(*Chunk) error { return nil }
	if err := Follow(context.Background(), nil, nil, FollowOptions{}, emit); err == nil {
		t.Error("no error without sources")
	}
	if err := Follow(context.Background(), []string{t.TempDir()}, nil, FollowOptions{}, emit); !errors.Is(err, ErrDirectory) {
		t.Errorf("directory: error %v", err)
	}
	if err := Follow(context.Background(), []string{"/[x"}, nil, FollowOptions{}, emit); !errors.Is(err, filepath.ErrBadPattern) {
		t.Errorf("bad glob: error %v", err)
	}
	path := newLog(t)
	write(t, path, "one\n")
	stop := errors.New("stop")
	if err := Follow(context.Background(), []string{path}, nil, FollowOptions{}, func(*Chunk) error { return stop }); err != stop {
		t.Errorf("error %v, want that of emit", err)
	}
	if err := Follow(context.Background(), []string{path}, nil, FollowOptions{Idle: func(int64) error { return stop }}, emit); err != stop {
		t.Errorf("error %v, want that of Idle", err)
	}
}

// While emit takes its time, what is read ahead is bounded, and rotations that
// happen meanwhile are not missed.
func TestBackPressure(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 90000)
		write(t, path, join(lines[:1]))
		r := newRecorder(t, nil)
		blocked, release := make(chan bool, 1), make(chan bool)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		done := make(chan error, 1)
		go func() {
			first := true
			done <- Follow(ctx, []string{path}, nil, o, func(c *Chunk) error {
				if first {
					first = false
					blocked <- true
					<-release
				}
				return r.emit(c)
			})
		}()
		<-blocked
		appendTo(t, path, join(lines[1:60000]))
		rename(t, path, path+".1")
		write(t, path, join(lines[60000:70000]))
		rename(t, path+".1", path+".2")
		rename(t, path, path+".1")
		write(t, path, join(lines[70000:]))
		close(release)
		r.want(lines...)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		sameLines(t, r.lines, lines)
	})
}

// Neither goroutines nor descriptors grow with the number of rotations.
func TestNothingLeaks(t *testing.T) {
	for _, native := range []bool{false, true} {
		path := newLog(t)
		write(t, path, "start\n")
		f := follow(t, nil, FollowOptions{Native: native}, path)
		want := []string{"start"}
		f.want(want...)
		rotate := func(n int) {
			for i := range n {
				line := numbered(len(want), len(want))[0]
				os.Remove(path + ".4")
				for n := 3; n > 0; n-- {
					os.Rename(path+"."+string(rune('0'+n)), path+"."+string(rune('1'+n)))
				}
				if i%3 == 2 { // copytruncate
					text, _ := os.ReadFile(path)
					write(t, path+".1", string(text))
					write(t, path, line+"\n")
				} else {
					rename(t, path, path+".1")
					write(t, path, line+"\n")
				}
				want = append(want, line)
				f.want(want...)
			}
		}
		rotate(10)
		goroutines, files := runtime.NumGoroutine(), openFiles(t)
		rotate(30)
		f.until("goroutines and files as before", func() bool {
			return runtime.NumGoroutine() <= goroutines+2 && openFiles(t) <= files+2
		})
		f.stop(want...)
	}
}

func openFiles(t testing.TB) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return len(list)
}

// A name that leads to something that is no file must not hold up the others.
func TestNamedPipe(t *testing.T) {
	dir := t.TempDir()
	fifo, path := filepath.Join(dir, "fifo"), filepath.Join(dir, "mail.log")
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Skip("no mkfifo: ", err)
	}
	write(t, path, "one\n")
	f := follow(t, nil, FollowOptions{}, fifo, path)
	f.untilEvent(EventDenied)
	f.want("one")
	f.stop("one")
}

// A glob may match many files that are not written to any more.
func TestManyQuietFiles(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		dir := t.TempDir()
		var all []string
		old := time.Now().Add(-time.Hour)
		name := func(i int) string { return filepath.Join(dir, fmt.Sprintf("mainlog-202601%02d", i)) }
		for i := 1; i <= 28; i++ {
			line := fmt.Sprintf("line %d", i)
			all = append(all, line)
			write(t, name(i), line+"\n")
			if err := os.Chtimes(name(i), old, old); err != nil {
				t.Fatal(err)
			}
		}
		f := follow(t, nil, o, filepath.Join(dir, "mainlog-*"))
		f.want(all...)
		pos := f.stop(all...)
		f = follow(t, pos, o, filepath.Join(dir, "mainlog-*"))
		for i := 28; i > 0; i -= 9 {
			f.until("idle", func() bool { return f.idle > 0 })
			appendTo(t, name(i), "more\n")
			f.until("more", func() bool { return len(f.lines) == (28-i)/9+1 })
		}
		f.until("caught up", func() bool { return f.behind == 0 })
		f.stop("more", "more", "more", "more")
	})
}

// A copy of what is known under the log's own name yields nothing, until it is
// longer.
func TestShorterCopy(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 30)
		write(t, path, join(lines[:20]))
		f := follow(t, nil, o, path)
		f.want(lines[:20]...)
		rename(t, path, path+".away") // not named like a rotation
		write(t, path, join(lines[:5]))
		f.untilEvent(EventRotated)
		appendTo(t, path, join(lines[5:25]))
		f.want(lines[:25]...)
		appendTo(t, path, join(lines[25:]))
		f.want(lines...)
		f.stop(lines...)
	})
}

// What is still being compressed is read when it is there whole.
func TestCompressedSlowly(t *testing.T) {
	path := newLog(t)
	lines := numbered(1, 5000)
	write(t, path, "now\n")
	whole := compressed(t, KindGzip, join(lines))
	write(t, path+".1.gz", whole[:len(whole)/2])
	f := follow(t, nil, FollowOptions{}, path)
	f.until("the log", func() bool { return slices.Contains(f.lines, "now") })
	write(t, path+".1.gz", whole)
	f.until("all lines", func() bool { return len(f.lines) == len(lines)+1 })
	f.stop()
	f.lines = slices.DeleteFunc(f.lines, func(s string) bool { return s == "now" })
	sameLines(t, f.lines, lines)
}

// A compressed file is read once.
func TestFollowCompressed(t *testing.T) {
	dir := t.TempDir()
	z, path := filepath.Join(dir, "old.gz"), filepath.Join(dir, "mail.log")
	write(t, z, compressed(t, KindGzip, "one\ntwo"))
	write(t, path, "three\n")
	f := follow(t, nil, FollowOptions{}, z, path)
	f.until("three lines", func() bool { return len(f.lines) == 3 })
	appendTo(t, path, "four\n")
	f.until("four lines", func() bool { return len(f.lines) == 4 })
	pos := f.stop()
	slices.Sort(f.lines)
	sameLines(t, f.lines, []string{"four", "one", "three", "two"})
	f = follow(t, pos, FollowOptions{}, z, path)
	appendTo(t, path, "five\n")
	f.want("five")
	f.stop("five")
}

func TestReopen(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\n")
	reopen := make(chan struct{})
	f := follow(t, nil, FollowOptions{Reopen: reopen}, path)
	f.want("one")
	reopen <- struct{}{}
	close(reopen)
	appendTo(t, path, "two\n")
	f.want("one", "two")
	f.stop("one", "two")
}

// stepper is a follower of one log whose steps the test makes itself.
func stepper(t *testing.T, path string) (*recorder, *logFile, func(cond func() bool)) {
	t.Helper()
	r := newRecorder(t, nil)
	l, err := newSourceSet(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{
		reader: reader{ctx: t.Context(), live: true, sources: l, event: r.event, emit: r.emit},
		o:      FollowOptions{Poll: time.Millisecond, Native: true}, logs: map[string]*logFile{}, wake: make(chan struct{}, 1),
	}
	f.defaults()
	f.add(path, true)
	lf := f.logs[path]
	t.Cleanup(lf.close)
	until := func(cond func() bool) {
		t.Helper()
		r.until("steps", func() bool {
			r.mu.Unlock()
			_, err := lf.step(true)
			r.mu.Lock()
			if err != nil {
				t.Fatal(err)
			}
			return cond()
		})
	}
	return r, lf, until
}

// A file that cannot be read (a failing disk, a stale network file) is closed,
// and opened again after a while, without repeating anything.
func TestReadError(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\n")
	r, l, until := stepper(t, path)
	until(func() bool { return len(r.lines) == 1 && l.live.ahead != nil })
	if err := l.live.f.Close(); err != nil { // whoever reads it now gets an error
		t.Fatal(err)
	}
	until(func() bool { return l.live == nil })
	if n := len(r.events); r.events[n-1].Kind != EventDenied {
		t.Errorf("events %v, want denied at the end", r.events)
	}
	appendTo(t, path, "two\n")
	for range 3 {
		if _, err := l.step(true); err != nil || l.live != nil {
			t.Fatalf("opened again at once, or error %v", err)
		}
	}
	l.failing = l.failing.Add(-retryEvery)
	until(func() bool { return len(r.lines) == 2 })
	if n := len(r.events); r.events[n-1].Kind != EventRegained {
		t.Errorf("events %v, want regained at the end", r.events)
	}
	sameLines(t, r.lines, []string{"one", "two"})
}

// A quiet file needs no readAhead.
func TestSuspend(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\n")
	r, l, until := stepper(t, path)
	until(func() bool { return len(r.lines) == 1 })
	l.live.grown = time.Now().Add(-2 * suspendAfter)
	until(func() bool { return l.suspended() && l.live.ahead == nil })
	if n := l.behind(); n != 0 {
		t.Errorf("behind by %d", n)
	}
	appendTo(t, path, "two\n")
	until(func() bool { return len(r.lines) == 2 })
	if l.suspended() {
		t.Error("still suspended")
	}
	// Gone, and nobody writes to it any more: it can be forgotten.
	if l.finished() {
		t.Error("finished, but it is there")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	until(func() bool { return l.missing })
	if l.finished() {
		t.Error("finished, but somebody may still write to it")
	}
	l.live.grown = time.Now().Add(-2 * finishedAfter)
	if !l.finished() {
		t.Error("not finished")
	}
}

// A log that nothing happens to is left alone, until the file system tells of a
// change.
func TestQuietLog(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\n")
	r, l, until := stepper(t, path)
	if l.f.notify = newNotifier(); l.f.notify == nil {
		t.Skip("the file system tells nothing here")
	}
	t.Cleanup(l.f.notify.close)
	until(func() bool { return len(r.lines) == 1 })
	for _, quiet := range []struct{ since, pause time.Duration }{
		{0, 0}, {time.Second, 50 * time.Millisecond}, {5 * time.Second, 250 * time.Millisecond}, {time.Hour, idlePoll},
	} {
		l.active = time.Now().Add(-quiet.since)
		if p := l.pause(); p < quiet.pause || p > quiet.pause+20*time.Millisecond {
			t.Errorf("pause of %v after %v, want %v", p, quiet.since, quiet.pause)
		}
	}
	l.live.grown = time.Now().Add(-2 * suspendAfter)
	l.active = time.Now()
	until(func() bool { return l.suspended() && l.watched })
	l.active, l.looked = time.Now().Add(-time.Hour), time.Now().Add(time.Hour) // not to be looked at by itself
	l.live.tried = l.looked
	for range 3 {
		if _, err := l.step(true); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, path, "two\n")
	until(func() bool { return len(r.lines) == 2 })
	// The end of a name is told, too.
	l.live.grown = time.Now().Add(-2 * suspendAfter)
	l.active, l.looked = time.Now(), time.Time{}
	until(func() bool { return l.suspended() && l.watched })
	l.active, l.looked = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	rename(t, path, path+".1")
	until(func() bool { return !l.looked.After(time.Now()) })
	write(t, path, "three\n")
	until(func() bool { return len(r.lines) == 3 })
	sameLines(t, r.lines, []string{"one", "two", "three"})
}

// Half a line at the end of a log that nobody writes to any more is not waited for.
func TestSuspendBehindHalfALine(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\nhalf")
	r, l, until := stepper(t, path)
	until(func() bool { return len(r.lines) == 1 })
	l.live.grown = time.Now().Add(-2 * suspendAfter)
	until(l.suspended)
	appendTo(t, path, " a line\n")
	until(func() bool { return len(r.lines) == 2 })
	sameLines(t, r.lines, []string{"one", "half a line"})
}

// Deleted rotations are closed after an hour, with the rest of their last line.
func TestOldFilesAreClosed(t *testing.T) {
	path := newLog(t)
	write(t, path, "one\nhalf")
	r, l, until := stepper(t, path)
	until(func() bool { return len(r.lines) == 1 })
	rename(t, path, path+".1")
	write(t, path, "new\n")
	until(func() bool { return len(r.lines) == 2 && len(l.old) == 1 })
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	until(func() bool { return l.old[0].gone })
	l.old[0].grown = time.Now().Add(-2 * goneAfter)
	until(func() bool { return len(l.old) == 0 })
	sameLines(t, r.lines, []string{"one", "new", "half"})
}

func TestEventString(t *testing.T) {
	for want, e := range map[string]Event{
		"/l: rotated":                     {Kind: EventRotated, Path: "/l"},
		"/l: cannot be read: not allowed": {Kind: EventDenied, Path: "/l", Text: "cannot be read", Err: errors.New("not allowed")},
	} {
		if got := e.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got, want := (&PathError{Path: "/l", Offset: 7, Err: ErrTruncated}).Error(), "/l: compressed file is cut short (after 7 bytes)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStdinErrors(t *testing.T) {
	whole := compressed(t, KindGzip, join(numbered(1, 3000)))
	err := Follow(context.Background(), []string{"-"}, nil, FollowOptions{Stdin: strings.NewReader(whole[:len(whole)/2])}, func(*Chunk) error { return nil })
	if !errors.Is(err, ErrTruncated) {
		t.Errorf("cut short: error %v", err)
	}
	err = Follow(context.Background(), []string{"-"}, nil, FollowOptions{Stdin: strings.NewReader("\x1f\x8b\x08")}, func(*Chunk) error { return nil })
	if !errors.Is(err, ErrTruncated) {
		t.Errorf("cut short in its header: error %v", err)
	}
	if err := Follow(context.Background(), []string{"-"}, nil, FollowOptions{Stdin: strings.NewReader("")}, func(*Chunk) error { return nil }); err != nil {
		t.Errorf("nothing: error %v", err)
	}
}

func (l *logFile) suspended() bool { return l.live != nil && l.live.asLeft != nil }
