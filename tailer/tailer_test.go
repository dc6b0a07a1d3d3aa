package tailer

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// deadline is how long a test waits for what should happen soon.
const deadline = 20 * time.Second

// A recorder keeps what was emitted and checks that the positions fit.
type recorder struct {
	t  testing.TB
	mu sync.Mutex

	lines  []string
	events []Event
	known  map[string]Position
	idle   int
	behind int64
}

func newRecorder(t testing.TB, known []Position) *recorder {
	r := &recorder{t: t, known: map[string]Position{}, behind: -1}
	for _, p := range known {
		r.known[p.ID] = p
	}
	return r
}

func (r *recorder) emit(c *Chunk) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, ok := r.known[c.Source.ID]
	if ok && c.Offset < before.Offset {
		r.t.Errorf("source %s: chunk at %d, but read up to %d before", c.Source.ID, c.Offset, before.Offset)
	}
	if c.Position.ID != c.Source.ID || c.Position.Path != c.Source.Path {
		r.t.Errorf("position %+v of source %+v", c.Position, c.Source)
	}
	if c.Source.Kind != KindJournal && c.Position.Offset != c.Offset+int64(len(c.Data)) {
		r.t.Errorf("position %d behind %d bytes at %d", c.Position.Offset, len(c.Data), c.Offset)
	}
	if len(c.Data) == 0 {
		r.t.Error("empty chunk")
	}
	for _, line := range c.Lines() {
		r.lines = append(r.lines, string(line))
	}
	r.known[c.Source.ID] = c.Position
	return nil
}

func (r *recorder) event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) positions() []Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.known), func(a, b Position) int { return cmp.Compare(a.ID, b.ID) })
}

// until waits until cond holds.
func (r *recorder) until(what string, cond func() bool) {
	r.t.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(time.Millisecond) {
		r.mu.Lock()
		ok := cond()
		r.mu.Unlock()
		if ok {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.Fatalf("not within %v: %s\nlines: %s\nevents: %v", deadline, what, brief(r.lines), r.events)
}

func (r *recorder) untilEvent(kind EventKind) {
	r.t.Helper()
	r.until("event "+string(kind), func() bool {
		return slices.ContainsFunc(r.events, func(e Event) bool { return e.Kind == kind })
	})
}

// want waits until the lines so far are these.
func (r *recorder) want(lines ...string) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d lines", len(lines)), func() bool { return len(r.lines) >= len(lines) })
	r.mu.Lock()
	defer r.mu.Unlock()
	sameLines(r.t, r.lines, lines)
}

func sameLines(t testing.TB, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("line %d missing: %.100q", i, want[i])
		case i >= len(want):
			t.Fatalf("line %d too many: %.100q", i, got[i])
		case got[i] != want[i]:
			t.Fatalf("line %d: got %.100q, want %.100q", i, got[i], want[i])
		}
	}
}

func brief(lines []string) string {
	s := fmt.Sprintf("%d", len(lines))
	for _, l := range lines[max(0, len(lines)-5):] {
		s += fmt.Sprintf(" %.60q", l)
	}
	return s
}

// A following is a Follow at work.
type following struct {
	*recorder
	cancel context.CancelFunc
	done   chan error
}

// follow follows sources with o.
func follow(t testing.TB, known []Position, o FollowOptions, sources ...string) *following {
	t.Helper()
	r := newRecorder(t, known)
	ctx, cancel := context.WithCancel(context.Background())
	f := &following{recorder: r, cancel: cancel, done: make(chan error, 1)}
	o.Event = r.event
	o.Idle = func(behind int64) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.idle++
		r.behind = behind
		return nil
	}
	go func() { f.done <- Follow(ctx, sources, known, o, r.emit) }()
	t.Cleanup(cancel)
	return f
}

// stop ends it and returns the positions, after checking that no line came
// besides want's.
func (f *following) stop(want ...string) []Position {
	f.t.Helper()
	f.cancel()
	select {
	case err := <-f.done:
		if err != nil {
			f.t.Fatalf("Follow: %v", err)
		}
	case <-time.After(deadline):
		f.t.Fatal("Follow does not end")
	}
	if want != nil {
		sameLines(f.t, f.lines, want)
	}
	return f.positions()
}

// readers runs a test with both ways of waiting for lines.
func readers(t *testing.T, test func(t *testing.T, o FollowOptions)) {
	t.Run("library", func(t *testing.T) { t.Parallel(); test(t, FollowOptions{}) })
	t.Run("native", func(t *testing.T) { t.Parallel(); test(t, FollowOptions{Native: true}) })
}

// numbered returns lines of a log, each different from all others.
func numbered(from, to int) []string {
	var lines []string
	for i := from; i <= to; i++ {
		lines = append(lines, fmt.Sprintf("Nov 23 09:00:%02d mx1 postfix/smtp[42]: 4T%08dz: to=<u%08d@bounce.test>, dsn=5.1.1, status=bounced", i%60, i, i))
	}
	return lines
}

func join(lines []string) string { return strings.Join(lines, "\n") + "\n" }

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func newLog(t testing.TB) string { return filepath.Join(t.TempDir(), "mail.log") }

// readAll reads paths once and returns the lines, all positions and the error.
func readAll(t testing.TB, known []Position, o ReadOptions, paths ...string) ([]string, []Position, error) {
	t.Helper()
	r := newRecorder(t, known)
	o.Event = r.event
	err := Read(context.Background(), paths, known, o, r.emit)
	return r.lines, r.positions(), err
}

func mustRead(t testing.TB, known []Position, paths ...string) ([]string, []Position) {
	t.Helper()
	lines, pos, err := readAll(t, known, ReadOptions{}, paths...)
	if err != nil {
		t.Fatal(err)
	}
	return lines, pos
}

func TestMain(m *testing.M) {
	switch os.Getenv("TAILER_TEST_CHILD") {
	case "kill":
		killChild()
	case "permission":
		permissionChild()
	default:
		os.Exit(m.Run())
	}
}

func TestChunkLines(t *testing.T) {
	for _, test := range []struct {
		name, data string
		kind       string
		want       string
	}{
		{"lines", "a\nbc\n", KindFile, "10 a|12 bc|"},
		{"unended", "a\nbc", KindFile, "10 a|12 bc|"},
		{"empty lines", "\n\nx\n", KindFile, "10 |11 |12 x|"},
		{"CR stays", "a\r\n", KindFile, "10 a\r|"},
		{"nothing", "", KindFile, ""},
		{"entries", "a\nbc\n", KindJournal, "10 a|11 bc|"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := Chunk{Source: &Source{Kind: test.kind}, Offset: 10, Data: []byte(test.data)}
			var got strings.Builder
			for off, line := range c.Lines() {
				fmt.Fprintf(&got, "%d %s|", off, line)
			}
			if got.String() != test.want {
				t.Errorf("got %q, want %q", got.String(), test.want)
			}
		})
	}
}

func FuzzChunkLines(f *testing.F) {
	f.Add([]byte("a\nb\n"), int64(0))
	f.Add([]byte("\n\n\x00\xff\r\n"), int64(7))
	f.Add([]byte("no end"), int64(1))
	f.Fuzz(func(t *testing.T, data []byte, off int64) {
		off &= 1<<40 - 1
		c := Chunk{Source: &Source{Kind: KindFile}, Offset: off, Data: data}
		var all []byte
		for at, line := range c.Lines() {
			if at != off+int64(len(all)) {
				t.Fatalf("line at %d, want %d", at, off+int64(len(all)))
			}
			if bytes.IndexByte(line, '\n') >= 0 {
				t.Fatalf("line with a line end: %q", line)
			}
			all = append(append(all, line...), '\n')
		}
		if want := bytes.TrimSuffix(data, []byte("\n")); !bytes.Equal(bytes.TrimSuffix(all, []byte("\n")), want) {
			t.Fatalf("got %q, want %q", all, data)
		}
	})
}
