package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What must not harm what is stored: an end at any moment, a full disk, a place that
// cannot be written to, a great many logs. (A locked and a damaged database are in
// the scripts; what concerns the store alone is in store/sqlite.)

// kills is how often a test kills: so many, or as many as BOUNCELOG_KILLS says.
func kills(t *testing.T, few int) int {
	t.Helper()
	s := os.Getenv("BOUNCELOG_KILLS")
	if s == "" {
		if testing.Short() {
			t.Skip("short")
		}
		return few
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mailLog writes the n-th of a series of messages as Postfix logs it: two recipients
// each, one of whom is refused or has to wait now and then.
func mailLog(b *bytes.Buffer, n int) {
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * 300 * time.Millisecond).Format("2006-01-02T15:04:05.000000Z07:00")
	id := fmt.Sprintf("%012X", 0x4A0000000000+n)
	fmt.Fprintf(b, "%s mx1 postfix/qmgr[103]: %s: from=<news%d@shop.example>, size=1200, nrcpt=2 (queue active)\n", at, id, n%7)
	fmt.Fprintf(b, "%s mx1 postfix/smtp[104]: %s: to=<u%d@good%d.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as %X)\n", at, id, n, n%50, n*7)
	switch {
	case n%20 == 0:
		fmt.Fprintf(b, "%s mx1 postfix/smtp[105]: %s: to=<x%d@else.example>, relay=mx.else.example[192.0.2.21]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.else.example[192.0.2.21] said: 550 5.1.1 <x%d@else.example>: user unknown (in reply to RCPT TO command))\n", at, id, n, n)
	case n%20 == 1:
		fmt.Fprintf(b, "%s mx1 postfix/smtp[105]: %s: to=<y%d@slow.example>, relay=mx.slow.example[192.0.2.22]:25, delay=1, delays=0/0/0/1, dsn=4.7.1, status=deferred (host mx.slow.example[192.0.2.22] said: 450 4.7.1 greylisted (in reply to RCPT TO command))\n", at, id, n)
	default:
		fmt.Fprintf(b, "%s mx1 postfix/smtp[105]: %s: to=<z%d@else.example>, relay=mx.else.example[192.0.2.21]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n", at, id, n)
	}
	fmt.Fprintf(b, "%s mx1 postfix/qmgr[103]: %s: removed\n", at, id)
}

// writeLog makes a log of messages.
func writeLog(t *testing.T, path string, from, to int) {
	t.Helper()
	var b bytes.Buffer
	for n := from; n < to; n++ {
		mailLog(&b, n)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.Write(b.Bytes())
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// bouncelog runs a command in this process and returns what it says.
func bouncelog(t *testing.T, wantStatus int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	if status := run(context.WithoutCancel(t.Context()), args, strings.NewReader(""), &out, &complaints); status != wantStatus {
		t.Fatalf("%q: exit status %d, want %d\n%s%s", args, status, wantStatus, &out, &complaints)
	}
	return out.String(), complaints.String()
}

// contents is what is in a database, whatever the files were called that it was read
// from.
func contents(t *testing.T, db string) string {
	t.Helper()
	bouncelog(t, exitOK, "db", "check", "--db", db)
	out, _ := bouncelog(t, exitOK, "query", "--db", db, "--format", "csv", `SELECT substr(time, 1, 13), outcome, reason, count(*), count(DISTINCT recipient),
		count(DISTINCT queue_id), sum(length(response)), group_concat(DISTINCT sender), min(recipient), max(recipient) FROM deliveries GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`)
	return out
}

// count is how many attempts are stored.
func count(t *testing.T, db string) int {
	t.Helper()
	var out, complaints bytes.Buffer
	if run(context.WithoutCancel(t.Context()), []string{"query", "--db", db, "--format", "csv", "--no-header", "SELECT count(*) FROM deliveries"}, strings.NewReader(""), &out, &complaints) != exitOK {
		return 0 // not made yet
	}
	n, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually waits until it holds. The pause between two looks is longer than a look, most of which
// count the rows of a database: the process under test needs the processor.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("after a minute: not %s", what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// A process is bouncelog in a process of its own.
type process struct {
	*exec.Cmd
	stderr string        // a file
	ended  chan struct{} // closed when it has
	err    error         // then
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &process{Cmd: exec.Command("bouncelog", args...), stderr: f.Name(), ended: make(chan struct{})}
	p.Stderr = f
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.ended
	})
	return p
}

// said is what it has said so far.
func (p *process) said() string {
	raw, err := os.ReadFile(p.stderr)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// end waits until it has ended and reports whether it was killed. Any other end than
// a good one fails the test.
func (p *process) end(t *testing.T) (killed bool) {
	t.Helper()
	<-p.ended
	if status, ok := p.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return true
	}
	if p.err != nil {
		t.Fatalf("%q: %v\n%s", p.Args, p.err, p.said())
	}
	return false
}

// TestKillImport kills imports at random moments until one gets through; the
// database must be as if nothing had happened. 5 kills, or as many as
// BOUNCELOG_KILLS says.
func TestKillImport(t *testing.T) {
	kills := kills(t, 5)
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	writeLog(t, log, 0, 110_000) // some commits
	began := time.Now()
	start(t, "import", "--db", dir+"/undisturbed.db", log).end(t)
	whole := time.Since(began)
	want := contents(t, dir+"/undisturbed.db")

	done := 0
	for round := 0; done < kills; round++ {
		db := fmt.Sprintf("%s/killed%d.db", dir, round)
		for through := false; !through; {
			p := start(t, "import", "--db", db, log)
			if done < kills {
				timer := time.AfterFunc(rand.N(whole), func() { p.Process.Kill() })
				defer timer.Stop()
			}
			if through = !p.end(t); !through {
				done++
			}
		}
		if got := contents(t, db); got != want {
			t.Fatalf("undisturbed:\n%.2000s\nkilled:\n%.2000s", want, got)
		}
		for _, file := range []string{db, db + "-wal", db + "-shm"} {
			os.Remove(file)
		}
	}
	t.Logf("%d kills; an import takes %v", done, whole.Round(time.Millisecond))
}

// TestKillFollow kills the daemon at random moments while a log is written and
// rotated; every line must count once. 10 kills, or as many as BOUNCELOG_KILLS
// says.
func TestKillFollow(t *testing.T) {
	kills := kills(t, 10)
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "follow.db")
	written := 0
	write := func(n int) {
		writeLog(t, log, written, written+n)
		written += n
	}
	rotations := 0
	rotate := func() {
		names, err := filepath.Glob(log + ".*")
		if err != nil {
			t.Fatal(err)
		}
		for n := len(names); n >= 0; n-- {
			from := log
			if n > 0 {
				from = fmt.Sprintf("%s.%d", log, n)
			}
			if err := os.Rename(from, fmt.Sprintf("%s.%d", log, n+1)); err != nil {
				t.Fatal(err)
			}
		}
		rotations++
		write(1)
	}
	write(10)
	for range kills {
		p := start(t, "follow", "--db", db, log)
		killed := time.AfterFunc(rand.N(600*time.Millisecond), func() { p.Process.Kill() })
		defer killed.Stop()
		for alive := true; alive; {
			select {
			case <-p.ended:
				alive = false
			case <-time.After(rand.N(20 * time.Millisecond)):
				write(rand.IntN(200))
				if rand.IntN(40) == 0 {
					rotate()
				}
			}
		}
		if !p.end(t) {
			t.Fatalf("ended by itself\n%s", p.said())
		}
		if rand.IntN(8) == 0 {
			rotate() // while nobody looks
		}
	}
	p := start(t, "follow", "--db", db, log)
	eventually(t, "all stored", func() bool { return count(t, db) >= 2*written })
	p.Process.Signal(syscall.SIGTERM)
	p.end(t)

	names, err := filepath.Glob(log + "*")
	if err != nil {
		t.Fatal(err)
	}
	bouncelog(t, exitOK, slices.Concat([]string{"import", "--db", dir + "/undisturbed.db"}, names)...)
	if want, got := contents(t, dir+"/undisturbed.db"), contents(t, db); got != want || count(t, db) != 2*written {
		t.Fatalf("%d attempts written, %d stored\nundisturbed:\n%.2000s\nkilled:\n%.2000s", 2*written, count(t, db), want, got)
	}
	t.Logf("%d kills, %d rotations, %d messages", kills, rotations, written)
}

// smallDisk mounts a file system of a few megabytes.
func smallDisk(t *testing.T, size string) (dir string, resize func(string)) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount a file system for it (%v): run as root", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, func(options string) {
		t.Helper()
		flags := uintptr(syscall.MS_REMOUNT)
		if options == "ro" {
			flags |= syscall.MS_RDONLY
			options = ""
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDisk lets an import and a daemon run into a full disk.
func TestFullDisk(t *testing.T) {
	dir, resize := smallDisk(t, "3m")
	logs := t.TempDir()
	log := filepath.Join(logs, "mail.log")
	writeLog(t, log, 0, 30_000)
	bouncelog(t, exitOK, "import", "--db", logs+"/undisturbed.db", log)
	want := contents(t, logs+"/undisturbed.db")

	db := dir + "/full.db"
	_, said := bouncelog(t, exitFailed, "import", "--db", db, log)
	if !strings.Contains(said, "no space left") || !strings.Contains(said, "hint: make room") {
		t.Errorf("said:\n%s", said)
	}
	bouncelog(t, exitOK, "db", "check", "--db", db)

	// The daemon waits for room, says so once, and goes on.
	p := start(t, "follow", "--db", db, log)
	eventually(t, "complained", func() bool { return strings.Contains(p.said(), "cannot store, trying again") })
	resize("size=100m")
	eventually(t, "all stored", func() bool { return count(t, db) >= 60_000 })
	p.Process.Signal(syscall.SIGTERM)
	p.end(t)
	if n := strings.Count(p.said(), "cannot store"); n != 1 {
		t.Errorf("complained %d times:\n%s", n, p.said())
	}
	if got := contents(t, db); got != want {
		t.Errorf("with room from the beginning:\n%.2000s\nfull meanwhile:\n%.2000s", want, got)
	}
}

// TestSmallDisk catches up on a file system with room for twice the database, beside a
// reader that rests meanwhile: the write-ahead log must not keep it full for ever.
func TestSmallDisk(t *testing.T) {
	dir, _ := smallDisk(t, "40m")
	log, db := filepath.Join(t.TempDir(), "mail.log"), dir+"/small.db"
	writeLog(t, log, 0, 100)
	bouncelog(t, exitOK, "import", "--db", db, log)
	reader, err := sql.Open("sqlite3", "file:"+db+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	rows, err := reader.Query("SELECT * FROM delivery")
	if err != nil || !rows.Next() {
		t.Fatal(err)
	}
	p := start(t, "follow", "--db", db, log)
	writeLog(t, log, 100, 60_000)
	eventually(t, "full, or all stored", func() bool { return strings.Contains(p.said(), "cannot store") || count(t, db) == 120_000 })
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all stored", func() bool { return count(t, db) == 120_000 })
	p.Process.Signal(syscall.SIGTERM)
	p.end(t)
	contents(t, db)
}

// TestReadOnlyDisk asks and stores where nothing can be written.
func TestReadOnlyDisk(t *testing.T) {
	dir, remount := smallDisk(t, "20m")
	log, db := filepath.Join(t.TempDir(), "mail.log"), dir+"/test.db"
	writeLog(t, log, 0, 100)
	bouncelog(t, exitOK, "import", "--db", db, log)
	want := contents(t, db)
	writeLog(t, log, 100, 200)
	remount("ro")
	for _, args := range [][]string{
		{"import", "--db", db, log},
		{"import", "--db", dir + "/other.db", log},
		{"follow", "--db", db, log},
		{"db", "prune", "--db", db, "--older-than", "1d"},
	} {
		_, said := bouncelog(t, exitFailed, args...)
		if !strings.Contains(said, dir) || !strings.Contains(said, "read-only") || !strings.Contains(said, "\nhint: ") {
			t.Errorf("%q said:\n%s", args, said)
		}
	}
	if got := contents(t, db); got != want {
		t.Errorf("what can be read of it:\n%s\nwant:\n%s", got, want)
	}
	remount("size=30m")
	bouncelog(t, exitOK, "import", "--db", db, log)
	if n := count(t, db); n != 400 {
		t.Errorf("%d attempts, want 400", n)
	}
}

// TestNotAllowed stores, as somebody who may not, where only others may.
func TestNotAllowed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, who alone can be somebody else")
	}
	self, err := exec.LookPath("bouncelog")
	if err != nil {
		t.Fatal(err)
	}
	// Under /tmp for a user who may not enter root's directories.
	dir, err := os.MkdirTemp("/tmp", "bouncelog-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	raw, err := os.ReadFile(self)
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.WriteFile(dir+"/bouncelog", raw, 0o755)); err != nil {
		t.Fatal(err)
	}
	log, db := dir+"/mail.log", dir+"/test.db"
	writeLog(t, log, 0, 10)
	bouncelog(t, exitOK, "import", "--db", db, log)
	if err := os.Chmod(db, 0o644); err != nil {
		t.Fatal(err)
	}
	writeLog(t, log, 10, 20)
	as := func(args ...string) (status int, out string) {
		cmd := exec.Command(dir+"/bouncelog", args...)
		cmd.Env = append(os.Environ(), "HOME=/")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		said, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(said)
	}
	for _, args := range [][]string{
		{"import", "--db", db, log},
		{"import", "--db", dir + "/other.db", log},
		{"import", "--db", dir + "/directory/other.db", log},
		{"follow", "--db", db, log},
	} {
		status, said := as(args...)
		if status != exitFailed || !strings.Contains(said, dir) || !strings.Contains(said, "permission denied") || !strings.Contains(said, "\nhint: ") {
			t.Errorf("%q: exit status %d\n%s", args, status, said)
		}
	}
	if status, said := as("query", "--db", db, "--format", "csv", "--no-header", "SELECT count(*) FROM deliveries"); status != exitOK || said != "20\n" {
		t.Errorf("query: exit status %d\n%s", status, said)
	}
	bouncelog(t, exitOK, "import", "--db", db, log)
	if n := count(t, db); n != 40 {
		t.Errorf("%d attempts, want 40", n)
	}
}

// TestManySources reads and follows a great many logs.
func TestManySources(t *testing.T) {
	const sources, followed, each = 1000, 100, 5
	dir := t.TempDir()
	db := filepath.Join(dir, "test.db")
	log := func(i int) string { return fmt.Sprintf("%s/host%04d.log", dir, i) }
	var names []string
	for i := range sources {
		writeLog(t, log(i), i*each, (i+1)*each)
		names = append(names, log(i))
	}
	bouncelog(t, exitOK, slices.Concat([]string{"import", "--db", db}, names)...)
	if n := count(t, db); n != 2*sources*each {
		t.Fatalf("%d attempts, want %d", n, 2*sources*each)
	}
	_, said := bouncelog(t, exitOK, slices.Concat([]string{"import", "--db", db}, names)...)
	if !strings.Contains(said, ": 0 lines read") {
		t.Errorf("read again: %s", said)
	}
	p := start(t, "follow", "--db", db, dir+"/host00*.log")
	for i := range followed {
		writeLog(t, log(i), (sources+i)*each, (sources+i+1)*each)
	}
	eventually(t, "all stored", func() bool { return count(t, db) >= 2*(sources+followed)*each })
	p.Process.Signal(syscall.SIGTERM)
	p.end(t)
	if n := count(t, db); n != 2*(sources+followed)*each {
		t.Errorf("%d attempts, want %d", n, 2*(sources+followed)*each)
	}
	info, _ := bouncelog(t, exitOK, "db", "info", "--db", db)
	if n := strings.Count(info, "\nsource "); n != sources {
		t.Errorf("%d sources, want %d", n, sources)
	}
	contents(t, db)
}
