//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What logrotate is told by Debian's packages, and by admins.
const (
	plainCreate     = "rotate 60\nmissingok\ncreate 0644 root root\n"
	debianRsyslog   = "rotate 60\nmissingok\ncreate 0644 root root\ncompress\ndelaycompress\n"
	compressAtOnce  = "rotate 60\nmissingok\ncreate 0644 root root\ncompress\n"
	debianExim4     = "rotate 60\nmissingok\nnocreate\ncompress\ndelaycompress\n"
	dateExt         = "rotate 60\nmissingok\ncreate 0644 root root\ndateext\ndateformat -%Y%m%d-%s\ncompress\ndelaycompress\n"
	copyTruncate    = "rotate 60\nmissingok\ncopytruncate\n"
	copyTruncateGzs = "rotate 60\nmissingok\ncopytruncate\ncompress\ndelaycompress\n"
)

// TestTorture has bouncelog follow a log that is rotated, truncated and
// deleted by the real logrotate, and kills bouncelog meanwhile. Every line
// bears a number. Each must be stored once; where copytruncate destroys lines
// that were written between its copy and its truncation, nobody can.
func TestTorture(t *testing.T) {
	need(t)
	rotate := logrotate(t)
	for _, s := range []struct {
		name     string
		destroys bool // lines may be gone from every file
		run      func(o *ordeal)
	}{
		{"append", false, func(o *ordeal) {
			o.startReader()
			o.write(20000, "rate=4000", "burst=400")
			o.wait()
		}},
		{"log that is not there yet", false, func(o *ordeal) {
			if err := os.Remove(o.log); err != nil {
				o.t.Fatal(err)
			}
			o.startReader()
			o.write(3000, "rate=3000", "burst=50")
			o.wait()
		}},
		{"lines in two pieces", false, func(o *ordeal) {
			o.startReader()
			o.write(1500, "rate=1000", "burst=10", "partial=0.1")
			o.during(1100*time.Millisecond, func() { o.rotate(plainCreate, true) })
		}},
		{"junk", false, func(o *ordeal) {
			o.startReader()
			o.write(3000, "rate=1500", "burst=50", "junk=1")
			o.wait()
		}},
		{"rename", false, func(o *ordeal) {
			o.startReader()
			o.write(15000, "rate=3000", "burst=150")
			o.during(700*time.Millisecond, func() { o.rotate(plainCreate, true) })
		}},
		{"rename, writer late", false, func(o *ordeal) {
			o.startReader()
			o.write(12000, "rate=2500", "burst=100")
			o.during(900*time.Millisecond, func() {
				o.rotate(plainCreate, false)
				time.Sleep(400 * time.Millisecond) // how late the writer is
				o.hup()
			})
		}},
		{"Debian's rsyslog", false, func(o *ordeal) {
			o.startReader()
			o.write(15000, "rate=3000", "burst=150")
			o.during(700*time.Millisecond, func() { o.rotate(debianRsyslog, true) })
		}},
		{"Debian's exim4", false, func(o *ordeal) {
			o.startReader()
			o.write(15000, "rate=3000", "burst=150", "reopen=inode", "format=exim")
			o.during(700*time.Millisecond, func() { o.rotate(debianExim4, false) })
		}},
		{"compressed at once", false, func(o *ordeal) {
			o.startReader()
			o.write(15000, "rate=3000", "burst=150", "reopen=inode")
			o.during(700*time.Millisecond, func() { o.rotate(compressAtOnce, false) })
		}},
		{"dateext", false, func(o *ordeal) {
			o.startReader()
			o.write(12000, "rate=3000", "burst=150")
			o.during(1200*time.Millisecond, func() { o.rotate(dateExt, true) })
		}},
		{"burst, then rename", false, func(o *ordeal) {
			o.startReader()
			for range 8 {
				o.write(3000, "reopen=never")
				o.wait()
				o.rotate(plainCreate, false)
				time.Sleep(300 * time.Millisecond) // between two bursts
			}
		}},
		{"rename while catching up", false, func(o *ordeal) {
			o.write(100000, "reopen=never")
			o.wait()
			o.startReader()
			o.write(4000, "rate=1500", "burst=50")
			time.Sleep(200 * time.Millisecond) // into the catching up
			o.rotate(plainCreate, true)
			o.wait()
		}},
		{"copytruncate", true, func(o *ordeal) {
			o.startReader()
			o.write(15000, "rate=3000", "burst=150", "reopen=never")
			o.during(700*time.Millisecond, func() { o.rotate(copyTruncate, false) })
		}},
		{"copytruncate in a pause", false, func(o *ordeal) {
			o.startReader()
			for range 6 {
				o.write(1500, "rate=6000", "burst=150", "reopen=never")
				o.wait()
				time.Sleep(600 * time.Millisecond) // the pause
				o.rotate(copyTruncateGzs, false)
			}
		}},
		{"copytruncate behind a burst", false, func(o *ordeal) {
			o.startReader()
			for i := range 8 {
				o.write(1500+700*i, "reopen=never")
				o.wait()
				o.rotate(copyTruncate, false)
			}
		}},
		{"deleted", false, func(o *ordeal) {
			o.startReader()
			for range 6 {
				o.write(2000, "rate=6000", "burst=200", "reopen=inode")
				o.wait()
				if err := os.Remove(o.log); err != nil {
					o.t.Fatal(err)
				}
			}
		}},
		{"truncated", false, func(o *ordeal) {
			o.startReader()
			for i := range 5 {
				o.write(1000+900*i, "reopen=never")
				o.wait()
				o.settle(800 * time.Millisecond)
				if err := os.Truncate(o.log, 0); err != nil {
					o.t.Fatal(err)
				}
			}
		}},
		{"trimmed and edited", false, func(o *ordeal) {
			o.startReader()
			o.write(2000, "rate=300", "burst=10", "reopen=inode")
			n := 0
			o.during(600*time.Millisecond, func() {
				o.edit([]string{
					`tail -n 200 "$1" >"$1~" && mv "$1~" "$1"`, `sed -i 2d "$1"`, `sed -i '3s/ mx1 / mx2 /' "$1"`,
				}[n%3])
				n++
			})
		}},
		{"trimmed in place, in pauses", false, func(o *ordeal) {
			o.startReader()
			for range 6 {
				o.write(500, "rate=2000", "burst=50", "reopen=never")
				o.wait()
				o.settle(5 * time.Second) // what is cut off unread is lost
				o.edit(`tail -n 300 "$1" >"$1~" && cat "$1~" >"$1" && rm "$1~"`)
			}
		}},
		{"down over edits", false, func(o *ordeal) {
			for i := range 4 {
				o.startReader()
				o.write(800, "rate=4000", "burst=100")
				o.wait()
				o.settle(5 * time.Second)
				o.stopReader(syscall.SIGTERM)
				o.edit([]string{`tail -n 200 "$1" >"$1~" && mv "$1~" "$1"`, `sed -i 3,50d "$1"`}[i%2])
				o.write(100, "reopen=never")
				o.wait()
			}
			o.startReader()
		}},
		{"down over renames", false, func(o *ordeal) {
			for i := range 4 {
				o.startReader()
				o.write(3000, "rate=4000", "burst=100")
				o.wait()
				o.stopReader(syscall.SIGTERM)
				for range 1 + i%3 {
					o.write(700, "rate=4000", "burst=100")
					time.Sleep(90 * time.Millisecond) // into the writing
					o.rotate(debianRsyslog, true)
					o.wait()
				}
			}
			o.startReader()
		}},
		{"down over copytruncates", false, func(o *ordeal) {
			for i := range 4 {
				o.startReader()
				o.write(3000, "rate=4000", "burst=100", "reopen=never")
				o.wait()
				o.stopReader(syscall.SIGTERM)
				for range 1 + i%3 {
					o.write(700, "reopen=never")
					o.wait()
					o.rotate(copyTruncateGzs, false)
				}
			}
			o.startReader()
		}},
		{"killed", false, func(o *ordeal) {
			o.startReader()
			o.write(20000, "rate=3000", "burst=150")
			o.kills(nil)
		}},
		{"killed, renames", false, func(o *ordeal) {
			o.startReader()
			o.write(24000, "rate=3000", "burst=150")
			o.kills(func() { o.rotate(debianRsyslog, true) })
		}},
		{"killed, copytruncates", true, func(o *ordeal) {
			o.startReader()
			o.write(24000, "rate=3000", "burst=150", "reopen=never")
			o.kills(func() { o.rotate(copyTruncate, false) })
		}},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := &ordeal{
				t: t, logrotate: rotate, bouncelog: program(t, "cmd/bouncelog"),
				log: filepath.Join(dir, "log", "mail.log"), db: filepath.Join(dir, "follow.db"), dir: dir,
			}
			o.follow = []string{o.bouncelog, "--db", o.db, "follow", o.log}
			for _, err := range []error{
				os.Chmod(dir, 0o755), // logrotate refuses directories that others can write to
				os.Mkdir(filepath.Dir(o.log), 0o755),
				os.WriteFile(o.log, nil, 0o644),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() {
				o.stopReader(syscall.SIGKILL)
				if o.writer != nil {
					o.writer.Process.Kill()
					o.writer.Wait()
				}
			})
			s.run(o)
			o.wait()
			o.settle(5 * time.Second)
			o.verify(s.destroys)
		})
	}
}

// logrotate gives the command to run the real one: this machine's, or the
// lab's.
func logrotate(t *testing.T) []string {
	if path, err := exec.LookPath("logrotate"); err == nil {
		return []string{path}
	}
	root, libraries := unpacked(t, labDir(""))
	return []string{"env", libraries, filepath.Join(root, "usr/sbin/logrotate")}
}

// An ordeal is one scenario at work: a writer, a reader, a log.
type ordeal struct {
	t            *testing.T
	logrotate    []string
	bouncelog    string
	follow       []string // the reader
	dir, log, db string
	written      int
	writer       *exec.Cmd
	reader       *reader // nil while it is down
	last         *reader // the same, or the last that was
	rotations    int
	killed       int
}

// write starts a writer for the next n lines (see writer_test.go).
func (o *ordeal) write(n int, options ...string) {
	o.wait()
	// A SIGHUP that comes before the writer is ready for it must not end it.
	o.writer = exec.Command("sh", "-c", `trap "" HUP; exec "$0"`, os.Args[0])
	o.writer.Env = append(os.Environ(), writerEnv+"="+strings.Join(append(options, "log="+o.log,
		"from="+strconv.Itoa(o.written+1), "n="+strconv.Itoa(n)), "\n"))
	o.writer.Stderr = os.Stderr
	if err := o.writer.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.written += n
}

// wait waits until the writer has written all its lines.
func (o *ordeal) wait() {
	if o.writer == nil {
		return
	}
	w := o.writer
	o.writer = nil
	if err := w.Wait(); err != nil {
		o.t.Fatalf("writer: %v", err)
	}
}

// during calls f every so often while the writer is at work, then waits.
func (o *ordeal) during(every time.Duration, f func()) {
	done := make(chan error, 1)
	w := o.writer
	go func() { done <- w.Wait() }()
	for {
		select {
		case err := <-done:
			o.writer = nil
			if err != nil {
				o.t.Fatalf("writer: %v", err)
			}
			return
		case <-time.After(every):
			f()
		}
	}
}

// kills kills and restarts the reader at odd times while the writer is at
// work, with a rotation now and then.
func (o *ordeal) kills(rotate func()) {
	rng := rand.New(rand.NewPCG(1, 1))
	next := time.Now()
	o.during(20*time.Millisecond, func() {
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond) // how long it is up
		if rotate != nil && time.Now().After(next) && rng.IntN(2) == 0 {
			rotate() // while the reader is up
			next = time.Now().Add(600 * time.Millisecond)
			time.Sleep(time.Duration(rng.IntN(15)) * time.Millisecond) // into what follows a rotation
		}
		o.stopReader(syscall.SIGKILL)
		o.killed++
		time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond) // how long it is down
		if rotate != nil && time.Now().After(next) {
			rotate() // while it is down
			next = time.Now().Add(600 * time.Millisecond)
		}
		o.startReader()
	})
	if o.killed < 3 {
		o.t.Errorf("killed %d times only", o.killed)
	}
}

// hup makes the writer reopen the log, as rsyslog does.
func (o *ordeal) hup() {
	if o.writer != nil {
		o.writer.Process.Signal(syscall.SIGHUP)
	}
}

// rotate runs logrotate; with hup, it signals the writer as the rsyslog
// package has it.
func (o *ordeal) rotate(conf string, hup bool) {
	post := ""
	if hup && o.writer != nil {
		post = fmt.Sprintf("sharedscripts\npostrotate\nkill -HUP %d 2>/dev/null || true\nendscript\n", o.writer.Process.Pid)
	}
	file := filepath.Join(o.dir, "logrotate.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s {\n%s%s}\n", o.log, conf, post), 0o644); err != nil {
		o.t.Fatal(err)
	}
	args := append(o.logrotate[1:], "-f", "-s", filepath.Join(o.dir, "logrotate.state"), file)
	if out, err := exec.Command(o.logrotate[0], args...).CombinedOutput(); err != nil {
		o.t.Fatalf("logrotate: %v\n%s", err, out)
	}
	o.rotations++
}

// edit runs a shell command on the log, $1, as an admin does.
func (o *ordeal) edit(command string) {
	if out, err := exec.Command("sh", "-c", command, "sh", o.log).CombinedOutput(); err != nil {
		o.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	o.rotations++
}

// startReader starts bouncelog and gives it some time.
func (o *ordeal) startReader() {
	r, err := startReader(o.follow[0], o.follow[1:]...)
	if err != nil {
		o.t.Fatal(err)
	}
	o.reader, o.last = r, r
	time.Sleep(150 * time.Millisecond) // it is to be at work, not ready: kills may come at any time
}

func (o *ordeal) stopReader(sig syscall.Signal) {
	if o.reader == nil {
		return
	}
	o.reader = nil
	if err := o.last.end(sig); err != nil {
		o.t.Error(err)
	}
}

var numbered = regexp.MustCompile(`u(\d{8})@bounce\.test`)

// stored gives how often each number is in the database.
func (o *ordeal) stored() (counts map[int]int, total int) {
	out, err := exec.Command(o.bouncelog, "--db", o.db, "query", "--format", "tsv", "--no-header", "select recipient from deliveries").Output()
	if err != nil {
		return nil, 0 // no database yet
	}
	counts = map[int]int{}
	for _, line := range strings.Fields(string(out)) {
		m := numbered.FindStringSubmatch(line)
		if m == nil || m[0] != line {
			o.t.Errorf("stored: %q", line)
			continue
		}
		counts[number(strings.TrimLeft(m[1], "0"))]++
		total++
	}
	return counts, total
}

// settle waits until everything is stored, or nothing more comes for d.
func (o *ordeal) settle(d time.Duration) {
	last, since := -1, time.Now()
	for time.Since(since) < d {
		counts, n := o.stored()
		if len(counts) >= o.written {
			time.Sleep(300 * time.Millisecond) // duplicates may follow
			return
		}
		if n != last {
			last, since = n, time.Now()
		}
		time.Sleep(200 * time.Millisecond) // a poll
	}
}

// verify compares what is stored with what was written.
func (o *ordeal) verify(destroys bool) {
	counts, _ := o.stored()
	disk := o.onDisk()
	var lost, gone, twice int
	var sample []int
	for i := 1; i <= o.written; i++ {
		switch n := counts[i]; {
		case n > 1:
			twice += n - 1
		case n == 1:
			continue
		case !disk[i] && destroys:
			gone++
			continue
		default:
			lost++
		}
		if len(sample) < 10 {
			sample = append(sample, i)
		}
	}
	o.t.Logf("%d lines, %d rotations, %d kills; %d lost, %d twice, %d destroyed before they could be read",
		o.written, o.rotations, o.killed, lost, twice, gone)
	if lost > 0 || twice > 0 {
		var said []byte
		if o.last != nil {
			said = o.last.words()
		}
		o.t.Errorf("lines lost or stored twice, such as %v\n%s", sample, said)
	}
}

// onDisk gives the lines that are still in the log or a rotated file.
func (o *ordeal) onDisk() map[int]bool {
	names, err := filepath.Glob(o.log + "*")
	if err != nil {
		o.t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			o.t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(raw))
			if err != nil {
				o.t.Fatalf("%s: %v", name, err)
			}
			if raw, err = io.ReadAll(z); err != nil {
				o.t.Fatalf("%s: %v", name, err)
			}
		}
		for _, m := range numbered.FindAllSubmatch(raw, -1) {
			seen[number(strings.TrimLeft(string(m[1]), "0"))] = true
		}
	}
	return seen
}
