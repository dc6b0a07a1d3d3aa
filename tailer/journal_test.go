package tailer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func TestJournalLine(t *testing.T) {
	const at = `"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1795427226746288"`
	for _, test := range []struct {
		name, entry, want string
	}{
		{
			"Postfix", `{` + at + `,"_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"postfix/smtp","SYSLOG_PID":"42","_PID":"42","MESSAGE":"4T1: to=<a@b.test>"}`,
			"2026-11-23T09:47:06.746288+00:00 mx1 postfix/smtp[42]: 4T1: to=<a@b.test>",
		},
		{
			"no syslog fields", `{` + at + `,"_HOSTNAME":"mx1","_COMM":"exim4","_PID":"7","MESSAGE":"hello"}`,
			"2026-11-23T09:47:06.746288+00:00 mx1 exim4[7]: hello",
		},
		{
			"nothing at all", `{` + at + `,"MESSAGE":"hello"}`,
			"2026-11-23T09:47:06.746288+00:00 localhost unknown: hello",
		},
		{
			"bytes", `{` + at + `,"_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"x","MESSAGE":[71,114,252,195,1]}`,
			"2026-11-23T09:47:06.746288+00:00 mx1 x: Gr\xfc\xc3\x01",
		},
		{
			"line ends", `{` + at + `,"_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"x","MESSAGE":"one\ntwo\n"}`,
			"2026-11-23T09:47:06.746288+00:00 mx1 x: one two",
		},
		{
			"a field several times", `{` + at + `,"_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":["x","y"],"MESSAGE":[[104,105],"two"]}`,
			"2026-11-23T09:47:06.746288+00:00 mx1 x: hi",
		},
		{
			"several strings", `{` + at + `,"_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":["x","y"],"MESSAGE":["one","two"]}`,
			"2026-11-23T09:47:06.746288+00:00 mx1 x: one",
		},
		{
			"too long for journalctl", `{` + at + `,"_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"x","MESSAGE":null}`,
			"2026-11-23T09:47:06.746288+00:00 mx1 x: ",
		},
		{
			"a name that would forge a header", `{` + at + `,"_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"a b: c","_COMM":"logger","MESSAGE":"m"}`,
			"2026-11-23T09:47:06.746288+00:00 mx1 logger: m",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := parseEntry([]byte(test.entry))
			if err != nil {
				t.Fatal(err)
			}
			if string(e.line) != test.want || e.cursor != "s=1;i=2" {
				t.Errorf("got %q, cursor %q, want %q", e.line, e.cursor, test.want)
			}
		})
	}
	for _, bad := range []string{``, `{`, `{}`, `{"__CURSOR":"x"}`, `{"__CURSOR":"x","__REALTIME_TIMESTAMP":"y"}`, `[]`} {
		if e, err := parseEntry([]byte(bad)); err == nil {
			t.Errorf("parseEntry(%q) = %q, want an error", bad, e.line)
		}
	}
}

func FuzzJournalLine(f *testing.F) {
	f.Add([]byte(`{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1795427226746288","_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"x","MESSAGE":"m"}`))
	f.Add([]byte(`{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1","MESSAGE":[[1,2],"x"]}`))
	f.Add([]byte(`{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"-1","SYSLOG_IDENTIFIER":[[[1]]],"MESSAGE":[10,10]}`))
	f.Fuzz(func(t *testing.T, entry []byte) {
		e, err := parseEntry(entry)
		if err != nil {
			return
		}
		if e.cursor == "" || strings.Contains(string(e.line), "\n") {
			t.Errorf("line %q, cursor %q", e.line, e.cursor)
		}
	})
}

// fakeJournalctl puts a journalctl into PATH that prints the entries of a file,
// from the one that --cursor names on, and then ends or waits. It stands for
// how the real one behaves that ends by itself; the real one is tested with a
// real journald.
func fakeJournalctl(t *testing.T, after string) (journal string) {
	dir := t.TempDir()
	journal = filepath.Join(dir, "journal")
	script := `#!/bin/sh
cursor=
for a; do
	case $a in --cursor=*) cursor=${a#--cursor=} ;; esac
done
echo "$@" >>"` + dir + `/calls"
if [ -n "$cursor" ]; then
	sed -n "/\"$cursor\"/,\$p" "` + journal + `"
else
	cat "` + journal + `"
fi
` + after + "\n"
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return journal
}

func entries(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString(`{"__CURSOR":"c` + n + `","__REALTIME_TIMESTAMP":"1795427226746288","_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"` + n + `"}` + "\n")
	}
	return b.String()
}

func journalLines(names ...string) (lines []string) {
	for _, n := range names {
		lines = append(lines, "2026-11-23T09:47:06.746288+00:00 mx1 postfix/smtp: "+n)
	}
	return lines
}

func TestJournal(t *testing.T) {
	journal := fakeJournalctl(t, "exec sleep 1000")
	write(t, journal, entries("1", "2", "3"))
	f := follow(t, nil, FollowOptions{}, "journal:")
	f.want(journalLines("1", "2", "3")...)
	pos := f.stop()
	if len(pos) != 1 || pos[0].ID != "journal:" || pos[0].Offset != 3 {
		t.Fatalf("positions %+v, want one of 3 entries", pos)
	}
	appendTo(t, journal, entries("4", "5"))
	f = follow(t, pos, FollowOptions{}, "journal:")
	f.want(journalLines("4", "5")...)
	pos = f.stop(journalLines("4", "5")...)
	if pos[0].Offset != 5 {
		t.Errorf("position %+v, want 5 entries", pos[0])
	}
	// A namespace is another source.
	f = follow(t, pos, FollowOptions{Containers: []string{"postfix"}}, "journal:mail")
	f.want(journalLines("1", "2", "3", "4", "5")...)
	if pos = f.stop(); len(pos) != 2 {
		t.Errorf("positions %+v, want two", pos)
	}
	calls, err := os.ReadFile(filepath.Join(filepath.Dir(journal), "calls"))
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(strings.TrimSpace(string(calls)), "\n")
	for i, want := range []string{"SYSLOG_FACILITY=2", "--cursor=c3", "--namespace=mail"} {
		if !strings.Contains(list[i], want) || !strings.Contains(list[i], "--all") || !strings.Contains(list[i], "--lines=all") {
			t.Errorf("call %d: %s, want %s", i, list[i], want)
		}
	}
	if !strings.Contains(list[2], "SYSLOG_FACILITY=2 + ") || !strings.HasSuffix(list[2], " + CONTAINER_NAME=postfix") {
		t.Errorf("with a container: %s", list[2])
	}
}

// What containers print, through docker's or podman's log driver journald.
func TestJournalOfContainers(t *testing.T) {
	entry := func(n int, fields string) string {
		return fmt.Sprintf(`{"__CURSOR":"c%d","__REALTIME_TIMESTAMP":"1795427226746288","_HOSTNAME":"mx1",%s}`+"\n", n, fields)
	}
	const header = "2026-11-23T09:47:06.746288+00:00 mx1 "
	all := entry(1, `"_COMM":"smtp","SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"of the host"`) +
		entry(2, `"_COMM":"dockerd","_PID":"7","SYSLOG_IDENTIFIER":"c50a483a8a8e","CONTAINER_NAME":"mailcow-postfix-mailcow-1","MESSAGE":"Nov 23 09:47:06 c50a postfix/smtp[9]: of a container\r"`) +
		entry(3, `"_COMM":"dockerd","SYSLOG_IDENTIFIER":"dockerd","MESSAGE":"of the engine itself"`) +
		entry(4, `"_COMM":"dockerd","SYSLOG_IDENTIFIER":"web","CONTAINER_NAME":"web-1","MESSAGE":"of another container"`) +
		entry(5, `"_COMM":"conmon","SYSLOG_IDENTIFIER":"exim","CONTAINER_NAME":"exim","MESSAGE":"of podman"`)
	for _, test := range []struct {
		containers  []string
		match, want []string
	}{
		{
			[]string{"mailcow-*", "exim"},
			[]string{" + CONTAINER_NAME=exim", " + _COMM=dockerd + _COMM=conmon"},
			[]string{"postfix/smtp: of the host", "c50a483a8a8e[7]: Nov 23 09:47:06 c50a postfix/smtp[9]: of a container\r", "exim: of podman"},
		},
		{
			[]string{"*"},
			[]string{" + _COMM=dockerd + _COMM=conmon"},
			[]string{"postfix/smtp: of the host", "c50a483a8a8e[7]: Nov 23 09:47:06 c50a postfix/smtp[9]: of a container\r", "web: of another container", "exim: of podman"},
		},
	} {
		journal := fakeJournalctl(t, "exec sleep 1000")
		write(t, journal, all)
		var want []string
		for _, w := range test.want {
			want = append(want, header+w)
		}
		f := follow(t, nil, FollowOptions{Containers: test.containers}, "journal:")
		f.want(want...)
		pos := f.stop(want...)
		appendTo(t, journal, entry(6, `"_COMM":"dockerd","CONTAINER_NAME":"exim","MESSAGE":"more"`))
		f = follow(t, pos, FollowOptions{Containers: test.containers}, "journal:")
		f.want(header + "dockerd: more")
		f.stop(header + "dockerd: more")
		calls, err := os.ReadFile(filepath.Join(filepath.Dir(journal), "calls"))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range test.match {
			if !strings.Contains(string(calls), match) {
				t.Errorf("%q: journalctl was called with %s, want %s", test.containers, calls, match)
			}
		}
	}
	err := Follow(context.Background(), []string{"journal:"}, nil, FollowOptions{Containers: []string{"[x"}}, func(*Chunk) error { return nil })
	if !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("error %v, want that of the pattern", err)
	}
}

// journalctl ends by itself again and again: each entry comes once.
func TestJournalctlEnds(t *testing.T) {
	journal := fakeJournalctl(t, "echo Bad message >&2; exit 1")
	write(t, journal, entries("1", "2"))
	f := follow(t, nil, FollowOptions{}, "journal:")
	f.untilEvent(EventJournal)
	appendTo(t, journal, entries("3"))
	f.want(journalLines("1", "2", "3")...)
	appendTo(t, journal, "this is no entry\n"+entries("4"))
	f.want(journalLines("1", "2", "3", "4")...)
	f.stop(journalLines("1", "2", "3", "4")...)
	if err := f.events[0].Err; err == nil || !strings.Contains(err.Error(), "Bad message") {
		t.Errorf("event's error %v, want what journalctl said", err)
	}
}

// The entry that was read last was vacuumed: nothing behind it may be left out,
// and the loss is told.
func TestJournalVacuumed(t *testing.T) {
	journal := fakeJournalctl(t, "exec sleep 1000")
	write(t, journal, entries("1", "2"))
	f := follow(t, nil, FollowOptions{}, "journal:")
	f.want(journalLines("1", "2")...)
	pos := f.stop()
	write(t, journal, entries("4", "5"))
	script := filepath.Join(filepath.Dir(journal), "journalctl")
	write(t, script, "#!/bin/sh\ncat '"+journal+"'\nexec sleep 1000\n")
	f = follow(t, pos, FollowOptions{}, "journal:")
	f.want(journalLines("4", "5")...)
	f.untilEvent(EventLost)
	f.stop(journalLines("4", "5")...)
}

func TestJournalMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := Follow(context.Background(), []string{"journal:"}, nil, FollowOptions{}, func(*Chunk) error { return nil })
	var pe *PathError
	if !errors.Is(err, exec.ErrNotFound) || !errors.As(err, &pe) || pe.Path != "journal:" {
		t.Errorf("error %v", err)
	}
}
