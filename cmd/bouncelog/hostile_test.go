package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"bouncelog/internal/hostile"
)

// attempt runs bouncelog in this process; a panic fails the test.
func attempt(t *testing.T, ctx context.Context, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(ctx, args, strings.NewReader(stdin), &out, &errs)
	if what := hostile.Unclean(errs.String()); what != "" {
		t.Errorf("bouncelog %.200q: standard error has %s:\n%.500q", args, what, errs.String())
	}
	return status, out.String(), errs.String()
}

var tag = regexp.MustCompile(`<[/!]?[a-zA-Z][^\s>]*`)

// TestHostile sends a hundred hostile texts through every command. Nothing may
// crash, nothing of them may reach a terminal, HTML, a spreadsheet or SQL as what
// it wants to be, and memory may not grow with them.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("some thousand runs")
	}
	if len(hostile.Texts) < 100 {
		t.Fatalf("only %d texts", len(hostile.Texts))
	}
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "test.db")
	var text strings.Builder
	for i, s := range hostile.Texts {
		text.WriteString(hostile.Lines(i, s))
	}
	if err := os.WriteFile(log, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BOUNCELOG_DB", db)
	t.Setenv("BOUNCELOG_YEAR", "2026")
	ctx := t.Context()
	if status, _, stderr := attempt(t, ctx, "", "import", log); status != exitOK {
		t.Fatalf("import: exit status %d\n%s", status, stderr)
	}
	count := func(db string) string {
		_, n, _ := attempt(t, ctx, "", "query", "--db", db, "--format", "csv", "--no-header", "select count(*) from deliveries")
		return strings.TrimSpace(n)
	}
	stored := count(db)
	if n, err := strconv.Atoi(stored); err != nil || n < 3*len(hostile.Texts) {
		t.Errorf("%s attempts of %d texts are stored: the test is broken", stored, len(hostile.Texts))
	}
	_, n, _ := attempt(t, ctx, "", "query", "--format", "csv", "--no-header", "select count(*) from deliveries where warning is not null")
	if n, err := strconv.Atoi(strings.TrimSpace(n)); err != nil || n < 100 {
		t.Errorf("%d attempts have a warning: the test is broken", n)
	}

	t.Run("follow", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		other := filepath.Join(dir, "follow.db")
		var out lockedBuffer
		done := make(chan int, 1)
		go func() {
			done <- run(ctx, []string{"follow", "--db", other, "--metrics", "127.0.0.1:0", log}, strings.NewReader(""), &out, &out)
		}()
		eventually(t, "caught up", func() bool { return strings.Contains(out.String(), "caught up") && count(other) == stored })
		cancel()
		if status := <-done; status != exitOK {
			t.Errorf("exit status %d", status)
		}
		if what := hostile.Unclean(out.String()); what != "" {
			t.Errorf("follow says %s", what)
		}
	})

	// The HTML of a harmless log has the tags that there may be.
	harmless := filepath.Join(dir, "harmless.log")
	if err := os.WriteFile(harmless, []byte(hostile.Lines(1, "harmless")), 0o600); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	_, page, _ := attempt(t, ctx, "", "report", "--format", "html", "--all", harmless)
	_, more, _ := attempt(t, ctx, "", "report", "--format", "html", "../../testdata/postfix-rfc3164.log")
	for _, m := range tag.FindAllString(page+more, -1) {
		allowed[m] = true
	}
	if len(allowed) < 10 {
		t.Fatalf("the report has hardly a tag: %v", allowed)
	}
	check := func(t *testing.T, format, out string) {
		t.Helper()
		if what := hostile.Unclean(out); what != "" {
			t.Errorf("%s has %s", format, what)
		}
		switch format {
		case "html":
			for _, m := range tag.FindAllString(out, -1) {
				if !allowed[m] {
					t.Errorf("a tag %q in the HTML", m)
				}
			}
		case "json":
			if !json.Valid([]byte(out)) {
				t.Error("invalid JSON")
			}
		case "ndjson":
			for line := range strings.Lines(out) {
				if !json.Valid([]byte(line)) {
					t.Errorf("invalid JSON: %.200q", line)
				}
			}
		case "csv":
			for _, separator := range ",;" {
				r := csv.NewReader(strings.NewReader(out))
				r.Comma, r.LazyQuotes, r.FieldsPerRecord = separator, separator != ',', -1
				rows, err := r.ReadAll()
				if err != nil {
					t.Error(err)
				}
				for _, row := range rows {
					for _, cell := range row {
						if _, err := strconv.ParseFloat(cell, 64); err != nil && cell != "" && strings.ContainsRune("=+-@\t\r＝＋－＠", []rune(cell)[0]) {
							t.Errorf("with %q between cells, one that a spreadsheet takes for a formula: %.100q", separator, cell)
						}
					}
				}
			}
		}
	}
	for _, format := range []string{"table", "json", "ndjson", "csv", "tsv", "markdown", "html"} {
		t.Run(format, func(t *testing.T) {
			for _, args := range [][]string{
				{"report", "--all", "--wide"},
				{"report", "--all", "--by", "recipient"},
				{"report", "--all", "--by", "relay"},
				{"report", "--all", "--by", "sender-domain"},
				{"report", "--all", "--by", "host"},
				{"query", "select * from deliveries"},
				{"query", "select * from unparsed"},
				{"query", "select * from recipients"},
				{"parse", log},
				{"parse", "--unmatched", log},
				{"db", "info"},
			} {
				status, out, stderr := attempt(t, ctx, "", append(args, "--format", format)...)
				if status != exitOK {
					t.Errorf("%q: exit status %d\n%.500s", args, status, stderr)
				}
				check(t, format, out)
			}
		})
	}

	t.Run("arguments", func(t *testing.T) {
		for _, s := range hostile.Texts {
			for _, args := range [][]string{
				{"explain", "--", s},
				{"explain", "--", "550 5.7.1 " + s},
				{"explain", "--relay", s, "550"},
				{"trace", "--", s},
				{"trace", "--", s + "@rcpt.example"},
				{"query", "--", s},
				{"report", "--domain=" + s},
				{"report", "--tz=" + s},
				{"report", "--since=" + s},
				{"report", "--day=" + s},
				{"report", "--fail-on=" + s},
				{"report", "--sort=" + s},
				{"config", "--", s},
				{"explain", "--rules=" + s + ".toml", "--", "550"},
				{"--", s},
			} {
				status, out, _ := attempt(t, ctx, "", args...)
				if status == 2 || status < 0 {
					t.Errorf("%.100q: exit status %d", args, status)
				}
				if what := hostile.Unclean(out); what != "" {
					t.Errorf("%.100q prints %s", args, what)
				}
			}
		}
	})

	t.Run("stdin", func(t *testing.T) {
		for _, format := range []string{"table", "json", "ndjson"} {
			_, out, _ := attempt(t, ctx, text.String(), "explain", "-", "--format", format)
			check(t, format, out)
		}
		var objects strings.Builder
		for _, s := range hostile.Texts {
			line, err := json.Marshal(map[string]any{"mta": s, "recipient": s, "relay_host": s, "response": s, "code": 550, "stage": s, "outcome": s, "enhanced": s})
			if err != nil {
				t.Fatal(err)
			}
			objects.Write(append(line, '\n'))
		}
		status, out, stderr := attempt(t, ctx, objects.String(), "explain", "-", "--input", "ndjson")
		if status != exitOK {
			t.Errorf("explain --input ndjson: exit status %d\n%s", status, stderr)
		}
		check(t, "table", out)
	})

	t.Run("files", func(t *testing.T) {
		file := filepath.Join(dir, "file.toml")
		for _, s := range hostile.Texts {
			for _, text := range []string{s, s + " = 1", "tz = " + strconv.Quote(s), "[" + s + "]", "[follow]\n" + strconv.Quote(s) + " = 1"} {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if status, out, _ := attempt(t, ctx, "", "--config", file, "config"); status != exitUsage && status != exitOK || hostile.Unclean(out) != "" {
					t.Errorf("configuration %.100q: exit status %d", text, status)
				}
			}
			for _, text := range []string{s, "[[rule]]\nid = " + strconv.Quote(s) + "\nreason = " + strconv.Quote(s), "[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [" + strconv.Quote(s) + "]\nre = " + strconv.Quote(s)} {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if status, _, _ := attempt(t, ctx, "", "explain", "--rules="+file, "550 "+"x"); status != exitFailed && status != exitOK && status != exitUsage {
					t.Errorf("rules %.100q: exit status %d", text, status)
				}
			}
		}
		// Files without an end.
		for _, args := range [][]string{{"--config", "/dev/zero", "report"}, {"import", "--rules", "/dev/zero", log}} {
			if status, _, _ := attempt(t, ctx, "", args...); status == exitOK {
				t.Errorf("%q: exit status 0", args)
			}
		}
		endless := io.MultiReader(strings.NewReader(`{"response": "`), &repeat{n: 64 << 20})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var out bytes.Buffer
		if status := run(ctx, []string{"explain", "-", "--input", "ndjson"}, endless, &out, &out); status == exitOK {
			t.Error("an object of 64 MB was taken")
		}
		runtime.ReadMemStats(&after)
		if grown := (after.TotalAlloc - before.TotalAlloc) >> 20; grown > 48 {
			t.Errorf("an object of 64 MB took %d MB", grown)
		}
	})

	// The database is none the worse, and nobody ran anything.
	if status, out, _ := attempt(t, ctx, "", "db", "check"); status != exitOK {
		t.Errorf("db check: %s", out)
	}
	if got := count(db); got != stored {
		t.Errorf("%s attempts, there were %s", got, stored)
	}
	if _, err := os.Stat("/tmp/bouncelog-owned"); err == nil {
		t.Error("a shell has seen a text of the log")
	}
}

// TestHostileMemory holds that memory does not grow with what a log invents: ten
// times as many names take hardly more.
func TestHostileMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads some megabytes")
	}
	peak := func(names int) uint64 {
		dir := t.TempDir()
		log := filepath.Join(dir, "mail.log")
		f, err := os.Create(log)
		if err != nil {
			t.Fatal(err)
		}
		for i := range names {
			fmt.Fprintf(f, "Nov 23 10:00:00 h%d prog%d[1]: %X: to=<u%d@d%d.example>, relay=r%d.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host r said: 550 %d %x no)\n", i, i, 0x4A1B2C3D00+i, i, i, i, i, i*7919)
			fmt.Fprintf(f, "Nov 23 10:00:00 mx1 prog%d[1]: nothing\nNov 23 10:00:00 mx1 postfix/qmgr[1]: %X: from=<s%d@s%d.example>, size=1, nrcpt=1 (queue active)\n", i, 0x4A1B2C3D00+i, i, i)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if status := run(t.Context(), []string{"import", "--db", filepath.Join(dir, "test.db"), "--year", "2026", log}, nil, &out, &out); status != exitPartly { // no delivery of it is understood
			t.Fatalf("exit status %d\n%s", status, &out)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	few, many := peak(3_000), peak(30_000)
	t.Logf("heap after %d MB with few names, %d MB with ten times as many", few>>20, many>>20)
	if many > few+32<<20 {
		t.Errorf("memory grew from %d to %d MB", few>>20, many>>20)
	}
}

// repeat yields n letters.
type repeat struct{ n int }

func (r *repeat) Read(p []byte) (int, error) {
	if r.n <= 0 {
		return 0, io.EOF
	}
	p = p[:min(len(p), r.n)]
	for i := range p {
		p[i] = 'a'
	}
	r.n -= len(p)
	return len(p), nil
}
