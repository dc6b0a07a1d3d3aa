//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
)

// TestLoad follows a log that is written to at a steady rate, beside four readers that ask
// without a pause. The write-ahead log and the memory must stay bounded, and every line must be
// stored; how late lines are depends on the machine and is reported. 4,000 lines a second
// for 10 seconds, or what BOUNCELOG_LOAD says: "50000 10m".
func TestLoad(t *testing.T) {
	rate, length := 4000, 10*time.Second
	if s := os.Getenv("BOUNCELOG_LOAD"); s != "" {
		var d string
		_, err := fmt.Sscan(s, &rate, &d)
		if err == nil {
			length, err = time.ParseDuration(d)
		}
		if err != nil {
			t.Fatalf("BOUNCELOG_LOAD=%q: %v", s, err)
		}
	}
	const (
		largestLog    = 256 << 20 // bytes
		largestMemory = 256 << 20
	)
	bouncelog := program(t, "cmd/bouncelog")
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "load.db")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var said bytes.Buffer
	follow := exec.Command("nice", "-n", "5", bouncelog, "follow", // the priority that its systemd unit gives it
		"--config", os.DevNull, "--db", db, log)
	follow.Stderr = &said
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- follow.Wait() }()
	defer follow.Process.Kill()
	for {
		if st, err := os.Stat(db); err == nil && st.Size() > 0 {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("follow: %v\n%s", err, &said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	look, err := sql.Open("sqlite3", "file:"+db+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	stored := func() (position int64) {
		if err := look.QueryRow("SELECT coalesce(sum(offset), 0) FROM sources").Scan(&position); err != nil {
			return 0
		}
		return position
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var readers sync.WaitGroup
	answers := make([]int, 4)
	for i, args := range [][]string{
		{"report", "--all", "--format", "json"},
		{"query", "--format", "csv", "select * from bounces"},
		{"suppress"},
		{"report", "--by", "recipient", "--since", "1h"},
	} {
		readers.Go(func() {
			for ctx.Err() == nil {
				cmd := exec.CommandContext(ctx, bouncelog, append(args, "--config", os.DevNull, "--db", db)...)
				var complaints bytes.Buffer
				cmd.Stdout, cmd.Stderr = io.Discard, &complaints
				if err := cmd.Run(); err == nil {
					answers[i]++
				} else if ctx.Err() == nil && stored() > 0 {
					t.Errorf("%q: %v\n%s", args, err, &complaints)
					return
				}
			}
		})
	}

	// Where the log ended when.
	type mark struct {
		end int64
		at  time.Time
	}
	var mu sync.Mutex
	var marks []mark
	written := make(chan int, 1)
	began := time.Now()
	go func() {
		n := 0
		var end int64
		w := bufio.NewWriterSize(f, 1<<20)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for now := range tick.C {
			if now.Sub(began) >= length {
				break
			}
			for due := int(now.Sub(began).Seconds() * float64(rate)); n*4 < due; n++ {
				k, err := loadLines(w, n, began)
				if err != nil {
					t.Error(err)
				}
				end += int64(k)
			}
			if err := w.Flush(); err != nil {
				t.Error(err)
			}
			mu.Lock()
			marks = append(marks, mark{end, time.Now()})
			mu.Unlock()
		}
		written <- n
	}()

	// Every quarter of a second: how late is what is not stored yet?
	var lates []time.Duration
	var log0, log1, memory0, memory1 int64 // largest of the first and of the second half
	messages, total := 0, int64(-1)
	deadline := began.Add(length + 5*time.Minute)
	for {
		time.Sleep(250 * time.Millisecond)
		position, now := stored(), time.Now()
		mu.Lock()
		for len(marks) > 0 && marks[0].end <= position {
			total = marks[0].end
			marks = marks[1:]
		}
		late := time.Duration(0)
		if len(marks) > 0 {
			late = now.Sub(marks[0].at)
		}
		left := len(marks)
		mu.Unlock()
		lates = append(lates, late)
		var wal int64
		if st, err := os.Stat(db + "-wal"); err == nil {
			wal = st.Size()
		}
		if rss := resident(follow.Process.Pid); now.Sub(began) < length/2 {
			log0, memory0 = max(log0, wal), max(memory0, rss)
		} else {
			log1, memory1 = max(log1, wal), max(memory1, rss)
		}
		select {
		case messages = <-written:
		default:
		}
		if messages > 0 && left == 0 {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("follow ended: %v\n%s", err, &said)
		default:
		}
		if now.After(deadline) {
			t.Fatalf("after %v %d marks are not stored\n%s", now.Sub(began), left, &said)
		}
	}
	caughtUp := time.Since(began)
	stop()
	readers.Wait()
	if err := follow.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("follow: %v\n%s", err, &said)
	}
	var attempts int
	if err := look.QueryRow("SELECT sum(attempts) FROM sources").Scan(&attempts); err != nil || attempts != 2*messages {
		t.Errorf("%d attempts, want %d (%v)", attempts, 2*messages, err)
	}
	output(t, bouncelog, "db", "check", "--config", os.DevNull, "--db", db)
	var worst time.Duration
	over := 0
	for _, l := range lates {
		worst = max(worst, l)
		if l > 2*time.Second {
			over++
		}
	}
	t.Logf("%d lines (%d MB) at %d a second, all stored after %.1f s; beside that %v answers", 4*messages, total>>20, rate, caughtUp.Seconds(), answers)
	t.Logf("latest: %.2f s behind; %d of %d looks found a line more than 2 s late", worst.Seconds(), over, len(lates))
	t.Logf("write-ahead log: at most %d MB in the first half, %d MB in the second; memory of follow: %d MB, %d MB", log0>>20, log1>>20, memory0>>20, memory1>>20)
	if max(log0, log1) > largestLog {
		t.Errorf("the write-ahead log grew to %d bytes", max(log0, log1))
	}
	if max(memory0, memory1) > largestMemory {
		t.Errorf("follow took %d bytes", max(memory0, memory1))
	}
}

// loadLines writes the four lines of a message: into the queue, a delivery, another attempt,
// out of the queue.
func loadLines(w io.Writer, n int, began time.Time) (int, error) {
	at := began.Add(time.Duration(n) * 20 * time.Microsecond).UTC().Format("2006-01-02T15:04:05.000000Z07:00")
	id := fmt.Sprintf("%012X", 0x4A0000000000+n)
	other := `dsn=2.0.0, status=sent (250 2.0.0 Ok: queued)`
	switch n % 10 {
	case 0:
		other = fmt.Sprintf(`dsn=5.1.1, status=bounced (host mx.else.example[192.0.2.21] said: 550 5.1.1 <z%d@else%d.example>: user unknown (in reply to RCPT TO command))`, n%200_000, n%300)
	case 1:
		other = `dsn=4.7.1, status=deferred (host mx.else.example[192.0.2.21] said: 450 4.7.1 greylisted (in reply to RCPT TO command))`
	}
	return fmt.Fprintf(w, "%[1]s mx1 postfix/qmgr[103]: %[2]s: from=<news%[3]d@shop.example>, size=1200, nrcpt=2 (queue active)\n"+
		"%[1]s mx1 postfix/smtp[104]: %[2]s: to=<u%[4]d@good%[5]d.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued)\n"+
		"%[1]s mx1 postfix/smtp[105]: %[2]s: to=<z%[4]d@else%[6]d.example>, relay=mx.else.example[192.0.2.21]:25, delay=1, delays=0/0/0/1, %[7]s\n"+
		"%[1]s mx1 postfix/qmgr[103]: %[2]s: removed\n", at, id, n%7, n%200_000, n%500, n%300, other)
}

// resident is the memory of a process, in bytes.
func resident(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}
