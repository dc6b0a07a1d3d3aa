package tailer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The ways in which a log is put in the place of another.
var replacements = []struct {
	name string
	put  func(t testing.TB, path, text string)
}{
	{"renamed", func(t testing.TB, path, text string) {
		write(t, path+"~tmp", text)
		rename(t, path+"~tmp", path)
	}},
	{"in place", write},
}

// edits are what admins do to a log of 300 lines of which all were read.
var edits = []struct {
	name string
	edit func(lines []string) string
}{
	{"tail -n 100", func(l []string) string { return join(l[200:]) }},
	{"tail -n 12", func(l []string) string { return join(l[288:]) }},
	{"tail -n 1", func(l []string) string { return join(l[299:]) }},
	{"first line removed", func(l []string) string { return join(l[1:]) }},
	{"a line of the beginning altered", func(l []string) string {
		l = slices.Clone(l)
		l[2] = strings.Replace(l[2], "u00", "redacted", 1)
		return join(l)
	}},
	{"a line behind the beginning altered", func(l []string) string {
		l = slices.Clone(l)
		l[150] = strings.Replace(l[150], "u00", "redacted", 1)
		return join(l)
	}},
	{"lines behind the beginning removed", func(l []string) string {
		return join(slices.Delete(slices.Clone(l), 100, 200))
	}},
	{"each tenth line removed, the last too", func(l []string) string {
		var kept []string
		for i, line := range l {
			if i%10 != 9 {
				kept = append(kept, line)
			}
		}
		return join(kept)
	}},
	{"cut within a line", func(l []string) string { return join(l)[4096:] }},
	{"cut within the line before the last", func(l []string) string {
		text := join(l)
		return text[len(text)-len(l[299])-30:]
	}},
	{"a hole over the beginning", func(l []string) string {
		text := join(l)
		return strings.Repeat("\x00", 4096) + text[4096:]
	}},
	{"trimmed while lines came", func(l []string) string { return join(l[100:290]) }},
}

// A log that was trimmed or edited is read on where it was left, and that is said.
func TestEdited(t *testing.T) {
	lines, more := numbered(1, 300), numbered(301, 310)
	for _, way := range replacements {
		for _, e := range edits {
			if way.name == "in place" && e.name == "trimmed while lines came" {
				continue
			}
			name := e.name + ", " + way.name
			differs := func(r *recorder) {
				r.until("event", func() bool {
					return slices.ContainsFunc(r.events, func(e Event) bool { return e.Kind == EventDiffers })
				})
				for _, e := range r.events {
					if e.Kind == EventLost {
						t.Errorf("event %v", e)
					}
				}
			}
			t.Run(name, func(t *testing.T) {
				t.Run("followed", func(t *testing.T) {
					readers(t, func(t *testing.T, o FollowOptions) {
						path := newLog(t)
						write(t, path, join(lines))
						f := follow(t, nil, o, path)
						f.want(lines...)
						way.put(t, path, e.edit(lines))
						differs(f.recorder)
						appendTo(t, path, join(more))
						f.want(append(slices.Clone(lines), more...)...)
						f.stop(append(slices.Clone(lines), more...)...)
					})
				})
				t.Run("at once with new lines", func(t *testing.T) {
					t.Parallel()
					path := newLog(t)
					write(t, path, join(lines))
					f := follow(t, nil, FollowOptions{}, path)
					f.want(lines...)
					way.put(t, path, e.edit(lines)+join(more))
					f.want(append(slices.Clone(lines), more...)...)
					differs(f.recorder)
					f.stop(append(slices.Clone(lines), more...)...)
				})
				t.Run("while down", func(t *testing.T) {
					t.Parallel()
					path := newLog(t)
					write(t, path, join(lines))
					f := follow(t, nil, FollowOptions{}, path)
					f.want(lines...)
					pos := f.stop(lines...)
					way.put(t, path, e.edit(lines)+join(more))
					f = follow(t, pos, FollowOptions{}, path)
					f.want(more...)
					differs(f.recorder)
					f.stop(more...)
				})
				t.Run("read", func(t *testing.T) {
					t.Parallel()
					path := newLog(t)
					write(t, path, join(lines))
					_, pos := mustRead(t, nil, path)
					way.put(t, path, e.edit(lines)+join(more))
					got, pos := mustRead(t, pos, path)
					sameLines(t, got, more)
					if got, _ := mustRead(t, pos, path); len(got) > 0 {
						t.Errorf("again: %d lines", len(got))
					}
				})
			})
		}
	}
}

// The path is absolute for one command and relative for the next, or leads through a link.
func TestEditedOtherSpelling(t *testing.T) {
	lines, more := numbered(1, 300), numbered(301, 310)
	for _, e := range edits {
		path := newLog(t)
		t.Chdir(filepath.Dir(path))
		name, link := filepath.Base(path), filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(filepath.Dir(path), link); err != nil {
			t.Fatal(err)
		}
		through := filepath.Join(link, name)
		for _, names := range [][2]string{{path, name}, {name, path}, {"./" + name, path}, {path, through}, {through, path}, {through, name}} {
			write(t, path, join(lines))
			_, pos := mustRead(t, nil, names[0])
			replacements[0].put(t, path, e.edit(lines)+join(more))
			got, _ := mustRead(t, pos, names[1])
			sameLines(t, got, more)
		}
	}
}

// Trimmed again and again, as by a job of cron's.
func TestTrimmedOften(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 1400)
		write(t, path, join(lines[:200]))
		f := follow(t, nil, o, path)
		f.want(lines[:200]...)
		for n := 200; n < len(lines); n += 300 {
			appendTo(t, path, join(lines[n:n+300]))
			f.want(lines[:n+300]...)
			replacements[n/300%2].put(t, path, join(lines[n+100:n+300]))
		}
		pos := f.stop(lines...)
		f = follow(t, pos, FollowOptions{}, path)
		appendTo(t, path, "more\n")
		f.want("more")
		f.stop("more")
	})
}

// What is put in a log's place and has none of its last lines is another log.
func TestReplaced(t *testing.T) {
	lines, other := numbered(1, 300), numbered(1001, 1300)
	for _, way := range replacements {
		t.Run(way.name, func(t *testing.T) {
			readers(t, func(t *testing.T, o FollowOptions) {
				path := newLog(t)
				write(t, path, join(lines))
				f := follow(t, nil, o, path)
				f.want(lines...)
				way.put(t, path, join(other))
				f.want(append(slices.Clone(lines), other...)...)
				// Nobody knows what became of the lines before, or whether these
				// are some of them, all altered.
				f.until("a warning", func() bool {
					return slices.ContainsFunc(f.events, func(e Event) bool { return e.Kind == EventLost || e.Kind == EventDiffers })
				})
				f.stop(append(slices.Clone(lines), other...)...)
			})
		})
	}
}

// A rotation that is edited is recognised, too.
func TestEditedRotation(t *testing.T) {
	readers(t, func(t *testing.T, o FollowOptions) {
		path := newLog(t)
		lines := numbered(1, 100)
		write(t, path, join(lines))
		f := follow(t, nil, o, path)
		f.want(lines...)
		rename(t, path, path+".1")
		write(t, path, "new\n")
		f.want(append(slices.Clone(lines), "new")...)
		replacements[0].put(t, path+".1", join(lines[50:]))
		f.untilEvent(EventDiffers)
		appendTo(t, path, "newer\n")
		f.want(append(slices.Clone(lines), "new", "newer")...)
		f.stop(append(slices.Clone(lines), "new", "newer")...)
	})
}

// A log that was left alone is looked at as closely when it has changed.
func TestAlteredWhileSuspended(t *testing.T) {
	lines := numbered(1, 100)
	for _, test := range []struct {
		name  string
		alter func(path string) error
		kind  EventKind
		then  []string
	}{
		{"emptied", func(path string) error { return os.Truncate(path, 0) }, EventLost, nil},
		{"lost its end", func(path string) error { return os.Truncate(path, int64(len(join(lines[:50])))) }, EventLost, nil},
		{"trimmed", func(path string) error { return os.WriteFile(path, []byte(join(lines[60:])), 0o644) }, EventDiffers, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newLog(t)
			write(t, path, join(lines))
			r, l, until := stepper(t, path)
			until(func() bool { return len(r.lines) == 100 })
			l.live.grown = l.live.grown.Add(-2 * suspendAfter)
			until(l.suspended)
			if err := test.alter(path); err != nil {
				t.Fatal(err)
			}
			until(func() bool {
				appendTo(t, path, "")
				return slices.ContainsFunc(r.events, func(e Event) bool { return e.Kind == EventTruncated })
			})
			appendTo(t, path, "new\n")
			until(func() bool { return len(r.lines) == 101 })
			sameLines(t, r.lines, append(slices.Clone(lines), "new"))
			if !slices.ContainsFunc(r.events, func(e Event) bool { return e.Kind == test.kind }) {
				t.Errorf("events %v, want %s", r.events, test.kind)
			}
		})
	}
}

func TestFindLines(t *testing.T) {
	var m identity
	lines := numbered(1, 40)
	m.addLines([]byte(join(lines)))
	if len(m.lines) != linesMax {
		t.Fatalf("%d lines are remembered", len(m.lines))
	}
	other := numbered(101, 140)
	same := strings.Repeat("the same long line again and again, which holds no time of its own\n", 30)
	for _, test := range []struct {
		name   string
		lines  []digest
		text   string
		behind string // the text up to there; "-": not recognised
	}{
		{"nothing", m.lines, "", "-"},
		{"all", m.lines, join(lines), join(lines)},
		{"all, and more", m.lines, join(lines) + join(other), join(lines)},
		{"others", m.lines, join(other), "-"},
		{"others, then all", m.lines, join(other) + join(lines), join(other) + join(lines)},
		{"three that are not the last", m.lines, join(lines[30:33]) + join(other), "-"},
		{"the last three", m.lines, join(lines[37:]) + join(other), join(lines[37:])},
		{"the last three behind others", m.lines, join(other) + join(lines[37:]), "-"},
		{"half a line, then the last two", m.lines, lines[37][10:] + "\n" + join(lines[38:]), lines[37][10:] + "\n" + join(lines[38:])},
		{"another order", m.lines, join(other[:3]) + lines[39] + "\n" + lines[38] + "\n" + lines[37] + "\n" + lines[36] + "\n", "-"},
		{"some missing", m.lines, join(slices.Delete(slices.Clone(lines), 30, 36)), join(slices.Delete(slices.Clone(lines), 30, 36))},
		{"the last without its end", m.lines, strings.TrimSuffix(join(lines), "\n"), join(lines[:39])},
		{"long lines between", m.lines, join(lines[:35]) + strings.Repeat("x", 3*lineMax) + "\n" + join(lines[35:]), join(lines[:35]) + strings.Repeat("x", 3*lineMax) + "\n" + join(lines[35:])},
		{"a short one", linesOf("started\n"), "started\n" + join(other), "-"},
		{"the same again and again", linesOf(same), same + join(other), same},
	} {
		end, ok := findLines(strings.NewReader(test.text), test.lines, false)
		switch {
		case !ok && test.behind == "-":
		case !ok || end != int64(len(test.behind)):
			t.Errorf("%s: %d, %v, want %d", test.name, end, ok, len(test.behind))
		}
	}
	if _, ok := findLines(strings.NewReader(join(lines[:39])), m.lines, true); ok {
		t.Error("the last line is not there, but wanted")
	}
}

func linesOf(text string) []digest {
	var m identity
	m.addLines([]byte(text))
	return m.lines
}

// Whatever is read in however many pieces, the same lines are remembered.
func TestAddLines(t *testing.T) {
	text := join(numbered(1, 50))
	want := linesOf(text)
	for _, size := range []int{1, 2, 17, 40} {
		var m identity
		for lines := range slices.Chunk(numbered(1, 50), size) {
			m.addLines([]byte(join(lines)))
		}
		if fmt.Sprint(m.lines) != fmt.Sprint(want) {
			t.Errorf("in pieces of %d: %v, want %v", size, m.lines, want)
		}
	}
}

// A path is resolved once: there may be thousands of one base name, which are all compared.
func TestWholePath(t *testing.T) {
	l, err := newSourceSet(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log, link := filepath.Join(dir, "0.log"), filepath.Join(t.TempDir(), "0.log")
	write(t, log, "")
	if err := os.Symlink(log, link); err != nil {
		t.Fatal(err)
	}
	isLog := l.named(log)
	for _, what := range []string{"a link", "a link that is gone"} {
		if !isLog(link) || isLog(filepath.Join(dir, "other", "0.log")) {
			t.Error(what)
		}
		os.Remove(link)
	}
}
