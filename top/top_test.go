package top

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/google/go-cmp/cmp"

	"bouncelog/ingest"
	"bouncelog/judge"
	"bouncelog/parser"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/tailer"
)

// now is the time of all frames.
var now = time.Date(2026, 11, 23, 14, 31, 7, 0, time.UTC)

// A script writes the log of a mail server.
type script struct {
	b strings.Builder
	n int
}

// mail is one message: a delivery attempt of it at a time, and its end.
func (s *script) mail(at time.Time, from, to, relay, status, dsn, text string, delay int) {
	s.n++
	id := fmt.Sprintf("4B%06X", s.n)
	stamp := at.Format("2006-01-02T15:04:05.000000Z07:00") + " mx1 postfix/"
	fmt.Fprintf(&s.b, "%sqmgr[7]: %s: from=<%s>, size=1200, nrcpt=1 (queue active)\n", stamp, id, from)
	fmt.Fprintf(&s.b, "%ssmtp[9]: %s: to=<%s>, relay=%s, delay=%d, delays=0/0/0/%d, dsn=%s, status=%s (%s)\n", stamp, id, to, relay, delay, delay, dsn, status, text)
	if status != "deferred" {
		fmt.Fprintf(&s.b, "%sqmgr[7]: %s: removed\n", stamp, id)
	}
}

const (
	outlook = "shop-example.mail.protection.outlook.com[192.0.2.25]:25"
	google  = "gmail-smtp-in.l.google.com[192.0.2.27]:25"
	gmx     = "mx00.gmx.net[192.0.2.28]:25"
)

// sampleLog is four hours of mail: at 14:05 Outlook begins to refuse shop.test.
func sampleLog() string {
	s := &script{}
	begin := now.Add(-4 * time.Hour)
	for i := range 480 { // every 30 s
		at := begin.Add(time.Duration(i) * 30 * time.Second)
		s.mail(at, "news@shop.test", fmt.Sprintf("g%d@gmail.example", i%40), google, "sent", "2.0.0", "250 2.0.0 OK 1732370000 a1b2c3", 1)
		if i%3 != 0 {
			continue
		}
		to := fmt.Sprintf("kunde%d@firma.example", i/3%25)
		if at.Before(time.Date(2026, 11, 23, 14, 5, 0, 0, time.UTC)) {
			s.mail(at, "news@shop.test", to, outlook, "sent", "2.6.0", "250 2.6.0 <x@shop.test> Queued mail for delivery", 1)
		} else {
			s.mail(at, "news@shop.test", to, outlook, "bounced", "5.7.515", "host "+strings.TrimSuffix(outlook, ":25")+
				" said: 550 5.7.515 Access denied, sending domain SHOP.TEST doesn't meet the required authentication level. (in reply to end of DATA command)", 2)
		}
		if i%9 == 0 {
			s.mail(at, "info@post.test", fmt.Sprintf("m%d@gmx.example", i%5), gmx, "deferred", "4.7.0",
				"host mx00.gmx.net[192.0.2.28] refused to talk to me: 421 gmx.net (mxgmx001) Nemesis ESMTP Service not available, too many connections", 30+i*i)
		}
		if i%60 == 0 {
			s.mail(at, "", fmt.Sprintf("weg%d@kpn.example", i), "mx.kpn.example[192.0.2.30]:25", "bounced", "5.1.1",
				"host mx.kpn.example[192.0.2.30] said: 550 5.1.1 User unknown (in reply to RCPT TO command)", 1)
		}
	}
	return s.b.String()
}

// stored reads a log into a store.
func stored(t testing.TB, log string) store.Store {
	t.Helper()
	db := memory.Open()
	rules, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	g, err := ingest.New(t.Context(), db, ingest.Options{Judge: rules, Parser: parser.Options{Location: time.UTC, Year: 2026}, Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	err = tailer.Read(t.Context(), []string{path}, g.Positions(), tailer.ReadOptions{}, g.Chunk)
	if err := g.Close(err); err != nil {
		t.Fatal(err)
	}
	return db
}

// options are those of a store that nothing is written to.
func options(t testing.TB, db store.Store) Options {
	t.Helper()
	rules, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	var read func(context.Context) (store.Reader, error)
	if db != nil {
		read = db.Read
	}
	return Options{
		Read: read, Explain: rules.Explain, Now: func() time.Time { return now }, Location: time.UTC,
		Watch: func(context.Context) (func() (int64, error), func(), error) {
			return func() (int64, error) { return 1, nil }, func() {}, nil
		},
	}
}

// compare holds a frame against a golden file.
func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// A terminal is an emulated one that a program runs on.
type terminal struct {
	t    *testing.T
	mu   sync.Mutex
	vt   *vt.Emulator
	raw  bytes.Buffer // all that was written to it
	wake chan struct{}
	keys *io.PipeWriter
	done chan error
}

// Write takes what the program draws.
func (x *terminal) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.raw.Write(p)
	_, err := x.vt.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))) // as a terminal driver does
	select {
	case x.wake <- struct{}{}:
	default:
	}
	return len(p), err
}

// text is what is on the screen, without blanks at line ends.
func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var b strings.Builder
	for line := range strings.Lines(ansi.Strip(x.vt.Render())) {
		b.WriteString(strings.TrimRight(line, " \r\n") + "\n")
	}
	return b.String()
}

// start runs the program on a terminal. The clock does not tick.
func start(t *testing.T, o Options, width, height int) *terminal {
	t.Helper()
	x := &terminal{t: t, vt: vt.NewEmulator(width, height), wake: make(chan struct{}, 1), done: make(chan error, 1)}
	in, keys := io.Pipe()
	x.keys = keys
	go io.Copy(io.Discard, x.vt) // its answers to questions of the program
	go func() {
		x.done <- run(t.Context(), in, x, o, func(time.Duration, func(time.Time) tea.Msg) tea.Cmd { return nil },
			tea.WithWindowSize(width, height), tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	}()
	return x
}

// press types keys as a terminal sends them.
func (x *terminal) press(keys string) {
	x.t.Helper()
	if _, err := io.WriteString(x.keys, keys); err != nil {
		x.t.Fatal(err)
	}
}

// await waits until the screen shows something.
func (x *terminal) await(what string, is func(screen string) bool) string {
	x.t.Helper()
	late := time.After(20 * time.Second)
	for {
		screen := x.text()
		if is(screen) {
			return screen
		}
		select {
		case <-x.wake:
		case err := <-x.done:
			x.t.Fatalf("ended (%v) before %s:\n%s", err, what, screen)
		case <-late:
			x.t.Fatalf("%s did not come; the screen is\n%s", what, screen)
		}
	}
}

// shows waits for all of some texts.
func (x *terminal) shows(texts ...string) string {
	x.t.Helper()
	return x.await(strings.Join(texts, ", "), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// gone waits until a text is not on the screen any more.
func (x *terminal) gone(text string) {
	x.t.Helper()
	x.await("the end of "+text, func(screen string) bool { return !strings.Contains(screen, text) })
}

// quit ends the program by q.
func (x *terminal) quit() {
	x.t.Helper()
	x.press("q")
	if err := <-x.done; err != nil {
		x.t.Error(err)
	}
}

// TestFrames holds the frames of all tables at two sizes against golden files, and that
// a terminal shows what --once prints.
func TestFrames(t *testing.T) {
	db := stored(t, sampleLog())
	for _, size := range []struct{ width, height int }{{80, 24}, {200, 60}} {
		for _, name := range Views() {
			o := options(t, db)
			o.View = name
			var b bytes.Buffer
			if err := Once(t.Context(), &b, o, size.width, size.height); err != nil {
				t.Fatal(err)
			}
			compare(t, fmt.Sprintf("%s-%dx%d", name, size.width, size.height), b.String())
			lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
			if len(lines) != size.height {
				t.Errorf("%s: %d lines of %d", name, len(lines), size.height)
			}
			for i, l := range lines {
				if w := ansi.StringWidth(l); w > size.width {
					t.Errorf("%s: line %d has %d columns of %d", name, i+1, w, size.width)
				}
			}
		}
		x := start(t, options(t, db), size.width, size.height)
		screen := x.shows("Microsoft refuses", "550 5.7.515")
		var b bytes.Buffer
		if err := Once(t.Context(), &b, options(t, db), size.width, size.height); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b.String(), screen); diff != "" {
			t.Errorf("--once and the terminal differ (-once +terminal):\n%s", diff)
		}
		x.quit()
	}
}

// TestKeys finds the incident by keys alone: provider, replies, recipients, one message,
// and back; what each key says on the way.
func TestKeys(t *testing.T) {
	db := stored(t, sampleLog())
	for _, size := range []struct{ width, height int }{{80, 24}, {200, 60}} {
		t.Run(fmt.Sprintf("%dx%d", size.width, size.height), func(t *testing.T) {
			x := start(t, options(t, db), size.width, size.height)
			golden := func(name, screen string) {
				t.Helper()
				compare(t, fmt.Sprintf("%s-%dx%d", name, size.width, size.height), screen)
			}
			home := x.shows("> ◐ outlook.com", "✖ Microsoft refuses shop.test")
			x.press("\r")
			golden("open-replies", x.shows("providers › outlook.com", "recipients", "> ✖ 550 5.7.515"))
			x.press("\r")
			golden("open-recipients", x.shows("› 550 5.7.515", "@firma.example"))
			x.press("\x1b[B\r") // down
			golden("open-message", x.shows("› message 4B", "550 5.7.515", "in the end: <kunde"))
			x.press("c")
			x.shows("bouncelog trace --host=mx1 -- 4B", "OSC 52")
			x.press("\x1b")
			x.gone("› message")
			x.press("e")
			golden("explain", x.shows("› explanation", "What to do", "auth_failure"))
			x.press("\x1b")
			x.gone("› explanation")
			x.press("\x1b")
			x.gone("› 550 5.7.515")
			x.press("\x1b")
			if back := x.shows("> ◐ outlook.com", "[1 providers]"); back != home {
				t.Errorf("back is not where it began (-began +back):\n%s", cmp.Diff(home, back))
			}
			// The incident above the first row, and its evidence.
			x.press("k")
			x.shows("▶ Microsoft refuses shop.test")
			x.press("\r")
			golden("incident", x.shows("› incident", "Evidence", "First check"))
			x.press("\x1b")
			x.gone("› incident")
			x.press("j")
			x.shows("> ◐ outlook.com")
			// Filter, negated and dropped.
			x.press("/gmx")
			x.gone("● google.com")
			x.press("\r")
			x.shows("/gmx", "? help")
			x.press("\x1b")
			x.shows("● google.com")
			x.press("/!outlook\r")
			x.gone("◐ outlook.com")
			x.shows("● google.com", "? help")
			x.press("\x1b")
			x.shows("◐ outlook.com")
			// Sort, window, pause, help.
			x.press("s")
			x.shows("by attempts", "▼attempts", "> ● google.com")
			x.press("ssssss") // the other columns that are on the screen, and the name
			if size.width >= 100 {
				x.press("s")
			}
			x.shows("by provider")
			x.press("s")
			x.gone("by provider")
			x.shows("> ◐ outlook.com")
			x.press("+")
			x.shows("window 4h")
			x.press("--")
			x.shows("window 15m")
			x.press("+")
			x.shows("window 1h")
			x.press("p")
			x.shows("‖ paused at 14:31:07")
			x.press("p")
			x.shows("● last line")
			x.press("?")
			golden("help", x.shows("1 2 3 4 5 6 ", "q             quit"))
			x.press("\x1b")
			x.gone("› help")
			for key, name := range map[string]string{"2": "[2 domains]", "3": "[3 reasons]", "4": "[4 senders]", "5": "[5 queue]", "6": "[6 replies]"} {
				x.press(key)
				x.shows(name)
			}
			x.press("5")
			x.shows("waits for", "1280+")
			x.press("\r")
			golden("open-queue", x.shows("queue › all", "@gmx.example", "last try"))
			x.press("t")
			x.shows("› message", "still queued")
			x.press("1c")
			x.shows("bouncelog top --once --all --view=providers --since=2026-11-23T13:31:07Z", "--until=2026-11-23T14:31:08Z", "sent to the terminal's clipboard (OSC 52)")
			x.quit()
			// OSC 52 has the command, in base64.
			if raw := x.raw.String(); !strings.Contains(raw, "\x1b]52;c;"+base64.StdEncoding.EncodeToString([]byte("bouncelog top --once --all --view=providers --since=2026-11-23T13:31:07Z --until=2026-11-23T14:31:08Z"))) {
				t.Error("the command was not sent to the clipboard")
			}
		})
	}
}

// TestResize draws what a terminal of any size has room for, and nothing else.
func TestResize(t *testing.T) {
	o := options(t, stored(t, sampleLog()))
	o.complete()
	s, err := o.state(80, 24)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{o: &o, s: s, d: o.data(), a: &asker{o: &o}, ctx: t.Context(), tick: func(time.Duration, func(time.Time) tea.Msg) tea.Cmd { return nil }}
	settle(m, m.Init())
	for _, keys := range []string{"", "5", "enter", "esc", "1", "up", "enter", "esc", "?"} {
		if keys != "" {
			settle(m, m.send(keys))
		}
		for width := 1; width < 230; width += 7 {
			for _, height := range []int{1, 2, 9, 10, 11, 13, 24, 60} {
				m.Update(tea.WindowSizeMsg{Width: width, Height: height})
				for _, how := range []look{lookText, lookColours} {
					lines := strings.Split(frame(m.s, m.d, how), "\n")
					if width >= LeastWidth && height >= LeastHeight && len(lines) != height {
						t.Fatalf("%d×%d after %q: %d lines", width, height, keys, len(lines))
					}
					for _, l := range lines {
						if w := ansi.StringWidth(l); w > width || how == lookColours && len(lines) > 1 && w != width {
							t.Fatalf("%d×%d after %q: %d columns: %q", width, height, keys, w, l)
						}
					}
				}
			}
		}
	}
}

// settle runs commands, and what follows from them, until there are none.
func settle(m *model, c tea.Cmd) {
	if c == nil {
		return
	}
	switch msg := c().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			settle(m, c)
		}
	default:
		_, next := m.Update(msg)
		settle(m, next)
	}
}

// send presses a key by its name.
func (m *model) send(name string) tea.Cmd {
	codes := map[string]tea.Key{"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "up": {Code: tea.KeyUp}}
	k, ok := codes[name]
	if !ok {
		k = tea.Key{Code: rune(name[0]), Text: name}
	}
	_, c := m.Update(tea.KeyPressMsg(k))
	return c
}

// TestAsksNothing holds that a store is asked nothing while nothing is stored, once
// when something was, and at once by a key.
func TestAsksNothing(t *testing.T) {
	db := stored(t, sampleLog())
	o := options(t, db)
	asked, version, at := 0, int64(1), now
	o.Now = func() time.Time { return at }
	o.Read = func(ctx context.Context) (store.Reader, error) {
		asked++
		return db.Read(ctx)
	}
	o.Watch = func(context.Context) (func() (int64, error), func(), error) {
		return func() (int64, error) { return version, nil }, func() {}, nil
	}
	o.complete()
	s, err := o.state(80, 24)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{o: &o, s: s, d: o.data(), a: &asker{o: &o}, ctx: t.Context(), tick: func(time.Duration, func(time.Time) tea.Msg) tea.Cmd { return nil }}
	tick := func(seconds int) {
		for range seconds {
			at = at.Add(time.Second)
			settle(m, func() tea.Msg { return tickMsg(at) })
		}
	}
	expect := func(what string, want int) {
		t.Helper()
		if asked != want {
			t.Errorf("%s: asked %d times, want %d", what, asked, want)
		}
		asked = 0
	}
	settle(m, m.Init())
	expect("the first frame", 2) // the table and the incidents
	tick(300)
	expect("five quiet minutes", 0)
	version = 2
	tick(300)
	expect("something was stored", 2)
	settle(m, m.send("2"))
	expect("another table", 1)
	settle(m, m.send("p"))
	version = 3
	tick(60)
	expect("paused", 0)
	settle(m, m.send("enter"))
	expect("opened while paused", 1)
	settle(m, m.send("esc"))
	settle(m, m.send("p"))
	tick(1)
	expect("going on", 2)
}

// TestErrors shows what is wrong with the store, goes on asking once a second and
// recovers.
func TestErrors(t *testing.T) {
	db := stored(t, sampleLog())
	o := options(t, db)
	broken, asked, at := true, 0, now
	o.Now = func() time.Time { return at }
	o.Read = func(ctx context.Context) (store.Reader, error) {
		asked++
		if broken {
			return nil, fmt.Errorf("open x.db: %w \x1b[31m", store.ErrLocked)
		}
		return db.Read(ctx)
	}
	o.complete()
	s, err := o.state(80, 24)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{o: &o, s: s, d: o.data(), a: &asker{o: &o}, ctx: t.Context(), tick: func(time.Duration, func(time.Time) tea.Msg) tea.Cmd { return nil }}
	settle(m, m.Init())
	if f := frame(m.s, m.d, lookText); !strings.Contains(f, `✖ open x.db: database is locked \x1b[31m`) {
		t.Errorf("the frame does not say what is wrong:\n%s", f)
	}
	for range 10 {
		at = at.Add(time.Second)
		settle(m, func() tea.Msg { return tickMsg(at) })
	}
	if asked < 10 || asked > 30 {
		t.Errorf("asked %d times in ten seconds", asked)
	}
	broken = false
	for range 3 {
		at = at.Add(time.Second)
		settle(m, func() tea.Msg { return tickMsg(at) })
	}
	if f := frame(m.s, m.d, lookText); !strings.Contains(f, "● last line") || !strings.Contains(f, "outlook.com") {
		t.Errorf("it did not recover:\n%s", f)
	}
}
