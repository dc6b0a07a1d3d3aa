package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// topLine is a delivery attempt of now.
func topLine(id, to, relay, status, text string) string {
	stamp := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00") + " mx1 postfix/"
	return stamp + "qmgr[1]: " + id + ": from=<news@shop.test>, size=1, nrcpt=1 (queue active)\n" +
		stamp + "smtp[2]: " + id + ": to=<" + to + ">, relay=" + relay + "[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=" + status + " (" + text + ")\n"
}

// A ptyTop is the program on a pseudo-terminal.
type ptyTop struct {
	t   *testing.T
	cmd *exec.Cmd
	tty *os.File

	mu   sync.Mutex
	vt   *vt.Emulator
	raw  bytes.Buffer
	wake chan struct{}
	end  chan error
}

func startTop(t *testing.T, width, height int, env []string, args ...string) *ptyTop {
	t.Helper()
	x := &ptyTop{t: t, cmd: exec.Command("bouncelog", append([]string{"top"}, args...)...), vt: vt.NewEmulator(width, height), wake: make(chan struct{}, 1), end: make(chan error, 1)}
	x.cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "TZ=UTC"), env...)
	var err error
	if x.tty, err = pty.StartWithSize(x.cmd, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.cmd.Process.Kill(); x.tty.Close() })
	go io.Copy(x.tty, x.vt) // the terminal's answers
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := x.tty.Read(buf)
			x.mu.Lock()
			x.raw.Write(buf[:n])
			x.vt.Write(buf[:n])
			x.mu.Unlock()
			select {
			case x.wake <- struct{}{}:
			default:
			}
			if err != nil {
				x.end <- x.cmd.Wait()
				return
			}
		}
	}()
	return x
}

func (x *ptyTop) screen() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return ansi.Strip(x.vt.Render())
}

// shows waits until the screen has some texts.
func (x *ptyTop) shows(texts ...string) {
	x.t.Helper()
	late := time.After(60 * time.Second)
	for {
		screen, missing := x.screen(), ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-x.wake:
		case err := <-x.end:
			x.t.Fatalf("ended (%v) before %q:\n%s", err, missing, screen)
		case <-late:
			x.t.Fatalf("%q did not come:\n%s", missing, screen)
		}
	}
}

func (x *ptyTop) press(keys string) {
	x.t.Helper()
	if _, err := io.WriteString(x.tty, keys); err != nil {
		x.t.Fatal(err)
	}
}

// TestTopTerminal runs the program on a terminal: from the database while another
// process writes it, and by itself from a log that grows.
func TestTopTerminal(t *testing.T) {
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "test.db")
	grow := func(lines string) {
		t.Helper()
		f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(lines)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		grow(topLine(fmt.Sprintf("4A00%04X", i), fmt.Sprintf("r%d@firma.example", i), "mx.big.example", "bounced", "550 5.7.1 refused here"))
	}
	store := func() {
		t.Helper()
		if status, _, stderr := attempt(t, t.Context(), "", "import", "--db", db, log); status != exitOK {
			t.Fatalf("import: %s", stderr)
		}
	}
	store()
	t.Run("database", func(t *testing.T) {
		x := startTop(t, 100, 30, nil, "--db", db)
		x.shows("● last line", "big.example", "550 5.7.1 refused here")
		x.press("\r")
		x.shows("providers › big.example", "recipients")
		x.press("\r")
		x.shows("r4@firma.example")
		x.press("\r")
		x.shows("message 4A000004", "in the end: <r4@firma.example>")
		grow(topLine("4A000100", "late@other.example", "mx.other.example", "deferred", "451 4.7.1 come back later"))
		store()
		x.press("1")
		x.shows("other.example", "451 4.7.1 come back later")
		if err := pty.Setsize(x.tty, &pty.Winsize{Cols: 60, Rows: 12}); err != nil {
			t.Fatal(err)
		}
		x.mu.Lock()
		x.vt.Resize(60, 12)
		x.mu.Unlock()
		x.shows("[1 providers]", "last failures"[:4], "q quit"[:1])
		x.press("q")
		if err := <-x.end; err != nil {
			t.Error(err)
		}
		if raw := x.raw.String(); !strings.Contains(raw, "\x1b[?1049h") || !strings.Contains(raw, "\x1b[?1049l") || !strings.Contains(raw, "\x1b[?25h") {
			t.Error("the terminal is not left as it was")
		}
	})
	t.Run("file", func(t *testing.T) {
		x := startTop(t, 100, 30, []string{"NO_COLOR=1"}, log)
		x.shows("following mail.log", "big.example")
		grow(topLine("4A000200", "new@fresh.example", "mx.fresh.example", "bounced", "550 5.1.1 no such user"))
		x.shows("fresh.example", "550 5.1.1 no such user")
		x.press("6")
		x.shows("[6 replies]", "550 5.1.1")
		if err := x.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-x.end
		if status := x.cmd.ProcessState.ExitCode(); status != exitInterrupted {
			t.Errorf("exit status %d after SIGTERM", status)
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, colour := range []string{"\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[1;31m", "\x1b[1;36m"} {
			if bytes.Contains(x.raw.Bytes(), []byte(colour)) {
				t.Errorf("%q in spite of NO_COLOR", colour)
			}
		}
	})
}
