package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"

	"bouncelog/tailer"
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
	t.Run("log goes and comes", func(t *testing.T) {
		grow(topLine("4A000300", "old@early.example", "mx.early.example", "bounced", "550 5.1.1 no such user"))
		x := startTop(t, 120, 30, nil, log)
		x.shows("following mail.log", "early.example")
		if err := os.Rename(log, log+".1"); err != nil {
			t.Fatal(err)
		}
		x.shows("▲ mail.log is not there; waiting for it")
		grow(topLine("4A000301", "new@second.example", "mx.second.example", "bounced", "550 5.1.1 no such user"))
		x.shows("mail.log rotated, or replaced", "second.example")
		if err := os.Truncate(log, 0); err != nil {
			t.Fatal(err)
		}
		x.shows("mail.log was truncated or rewritten")
		grow(topLine("4A000302", "new@third.example", "mx.third.example", "bounced", "550 5.1.1 no such user"))
		x.shows("third.example")
		x.press("c")
		x.shows("mail.log was rotated or truncated at ", "no longer has all lines of this page", "bouncelog top --once")
		x.press("q")
		if err := <-x.end; err != nil {
			t.Error(err)
		}
	})
}

// TestLogNews holds what of the events of a followed log is said, and for how long.
func TestLogNews(t *testing.T) {
	n := &logNews{}
	expect := func(what, text string, bad bool) {
		t.Helper()
		if got, is := n.say(); got != text || is != bad {
			t.Errorf("%s: %q (bad: %t), want %q (%t)", what, got, is, text, bad)
		}
	}
	event := func(kind tailer.EventKind, text string, err error) {
		n.take(tailer.Event{Kind: kind, Path: "/var/log/mail.log", Text: text, Err: err})
	}
	expect("nothing", "", false)
	event(tailer.EventStarted, "is followed", nil)
	expect("started", "", false)
	event(tailer.EventDenied, "cannot be read", fs.ErrPermission)
	expect("denied", "mail.log cannot be read: permission denied", true)
	event(tailer.EventRegained, "can be read again", nil)
	expect("regained", "mail.log can be read again", false)
	if !n.left().IsZero() {
		t.Error("lines have left a log that could not be read for a while")
	}
	n.until = time.Now().Add(-time.Nanosecond)
	expect("later", "", false)
	event(tailer.EventLost, "lost its end", nil)
	event(tailer.EventRotated, "rotated", nil)
	expect("a loss matters longer", "mail.log lost its end", true)
	if n.left().IsZero() {
		t.Error("no line has left a log that was rotated")
	}
	event(tailer.EventMissing, "is not there", nil)
	expect("what holds matters more", "mail.log is not there", true)
}

// copy presses c and is the command that is sent to the clipboard (OSC 52).
func (x *ptyTop) copy() string {
	x.t.Helper()
	sent := func() []string {
		x.mu.Lock()
		defer x.mu.Unlock()
		return osc52.FindAllString(x.raw.String(), -1)
	}
	before := len(sent())
	x.press("c")
	late := time.After(60 * time.Second)
	for {
		if all := sent(); len(all) > before {
			command, err := base64.StdEncoding.DecodeString(osc52.FindStringSubmatch(all[before])[1])
			if err != nil {
				x.t.Fatal(err)
			}
			return string(command)
		}
		select {
		case <-x.wake:
		case <-late:
			x.t.Fatalf("nothing was sent to the clipboard:\n%s", x.screen())
		}
	}
}

var osc52 = regexp.MustCompile(`\x1b\]52;c;([A-Za-z0-9+/=]+)[\a\x1b]`)

// tableRows are the rows of the table on a screen or in a listing, without cursor and mark,
// the head first.
func tableRows(screen, head string) (rows []string) {
	for l := range strings.Lines(screen) {
		l = strings.Join(strings.Fields(strings.TrimLeft(strings.TrimSpace(l), "> ✖▲●◐")), " ")
		switch {
		case len(rows) == 0 && !strings.HasPrefix(l, head+" "):
		case len(rows) > 0 && (l == "" || strings.HasPrefix(l, "last failures")):
			return rows
		default:
			rows = append(rows, l)
		}
	}
	return rows
}

// TestTopCommands runs the command that c copies on each page, and holds that it has the
// numbers of the page: from a database and from a log.
func TestTopCommands(t *testing.T) {
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "a b.db")
	var lines strings.Builder
	for i := range 30 {
		lines.WriteString(topLine(fmt.Sprintf("4A0%05X", i), fmt.Sprintf("g%d@fine.example", i), "mx.fine.example", "sent", "250 2.0.0 Ok"))
		if i%3 == 0 {
			lines.WriteString(topLine(fmt.Sprintf("4A1%05X", i), fmt.Sprintf("r%d@firma.example", i%9), "mx.big.example", "bounced", fmt.Sprintf("host mx.big.example[192.0.2.1] said: 550 5.7.1 it's refused, %d (in reply to RCPT TO command)", i)))
			lines.WriteString(topLine(fmt.Sprintf("4A2%05X", i), fmt.Sprintf("r%d@firma.example", i), "mx.big.example", "deferred", "host mx.big.example[192.0.2.1] said: 451 4.7.1 later (in reply to RCPT TO command)"))
		}
		if i%5 == 0 {
			lines.WriteString(topLine(fmt.Sprintf("4A3%05X", i), fmt.Sprintf("u%d@other.example", i), "mx.other.example", "bounced", "host mx.other.example[192.0.2.1] said: 550 5.1.1 unknown (in reply to RCPT TO command)"))
		}
	}
	if err := os.WriteFile(log, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := attempt(t, t.Context(), "", "import", "--db", db, log); status != exitOK {
		t.Fatalf("import: %s", stderr)
	}
	run := func(command string) string {
		t.Helper()
		c := exec.Command("sh", "-c", command)
		c.Env = append(os.Environ(), "TZ=UTC")
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		return string(out)
	}
	for _, args := range [][]string{{"--db", db}, {log}, {"--db", db, "--domain", "firma.example", "--tz", "Asia/Tokyo"}} {
		x := startTop(t, 190, 50, nil, args...)
		x.shows("last line", "big.example", "last failures")
		// The command of a page, with what is on the screen before it covers the foot.
		page := func(keys string, shows ...string) (command, screen string) {
			t.Helper()
			x.press(keys)
			x.shows(shows...)
			screen = x.screen()
			command = x.copy()
			x.shows("(OSC 52)")
			return command, screen
		}
		same := func(command, screen, head string) {
			t.Helper()
			want, got := tableRows(screen, head), tableRows(run(command), head)
			if len(want) < 2 || len(got) != len(want) {
				t.Fatalf("%s has %d rows, the screen %d:\n%s", command, len(got), len(want), screen)
			}
			for i := range want {
				if !strings.HasPrefix(got[i], strings.TrimSuffix(want[i], "…")) {
					t.Errorf("%s\nhas  %s\nwant %s", command, got[i], want[i])
				}
			}
		}
		command, screen := page("1", "[1 providers]")
		same(command, screen, "provider")
		command, screen = page("2", "[2 domains]", "domain  ")
		same(command, screen, "domain")
		command, screen = page("3", "[3 reasons]", "reason  ")
		same(command, screen, "reason")
		command, screen = page("4", "[4 senders]", "sender  ", "news@shop.test")
		same(command, screen, "sender")
		command, screen = page("5", "[5 queue]", "1280+")
		same(command, screen, "waits for, min")
		command, screen = page("6", "[6 replies]", "550 5.7.1 it's")
		same(command, screen, "reply")
		command, screen = page("1/big\r", "/big", "q quit")
		same(command, screen, "provider")
		x.press("\x1b")
		x.shows("last failures, folded  ")
		command, screen = page("\r", "providers › ", "recipients")
		same(command, screen, "reply")
		command, screen = page("\r", " › 4", "r3@firma.example")
		same(command, screen, "recipient")
		command, _ = page("\r", "› message 4A", "in the end: ")
		if out := run(command); !strings.Contains(out, "4A") || !strings.Contains(out, "firma.example") {
			t.Errorf("%s: %s", command, out)
		}
		x.press("\x1b")
		x.shows("q quit", "r3@firma.example")
		command, screen = page("e", "› explanation", "What to do")
		if out := run(command); !strings.Contains(out, "later") && !strings.Contains(out, "refused") {
			t.Errorf("%s: %s\n%s", command, out, screen)
		}
		command, screen = page("4\r", "senders › news@shop.test", "recipients")
		same(command, screen, "reply")
		command, screen = page("3\r", "reasons › ", "recipients")
		same(command, screen, "reply")
		command, screen = page("5\r", "queue › ", "last try")
		same(command, screen, "recipient")
		x.press("q")
		if err := <-x.end; err != nil {
			t.Error(err)
		}
	}
}
