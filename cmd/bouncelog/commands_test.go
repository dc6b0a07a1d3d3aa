package main

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bouncelog/internal/dnsscan/dnstest"
)

// TestPrintedCommands holds that each command that a report prints works as printed, in
// every form and whatever was selected: a shell takes it apart, it ends with status 0, and
// it answers about the same logs and the same period. What lists a whole list lists as much
// as the report said.
func TestPrintedCommands(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	dns, err := dnstest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	dir := t.TempDir()
	log, exim, db := filepath.Join(dir, "the postmaster's $log.log"), filepath.Join(dir, "mainlog"), filepath.Join(dir, "a db.db")
	for from, to := range map[string]string{"postfix-rfc3164.log": log, "exim-mainlog.log": exim} {
		raw, err := os.ReadFile(filepath.Join("../../testdata", from))
		if err != nil {
			t.Fatal(err)
		}
		// Lines that look like deliveries and are none.
		odd := strings.Repeat("Nov 23 14:45:59 mx1 postfix/smtp[9]: 4F2C9D: to=<odd@plain.test>, relay=odd status=odd\n", 30)
		if from == "exim-mainlog.log" {
			odd = ""
		}
		if err := os.WriteFile(to, append(raw, odd...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sendmail := filepath.Join(dir, "sendmail")
	if err := os.WriteFile(sendmail, []byte("#!/bin/sh\ncat >"+filepath.Join(dir, "mail.eml")+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BOUNCELOG_DB", filepath.Join(dir, "none.db"))
	t.Setenv("COLUMNS", "80")
	call := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if status := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr); status != exitOK {
			t.Fatalf("%q: exit status %d\n%s", args, status, &stderr)
		}
		return stdout.String()
	}
	call("import", "--db", db, "--year", "2026", "--tz", "UTC", log, exim)
	type list struct {
		Section, More string
		Total, Shown  int
		Least         bool `json:"at_least"`
	}
	type answer struct {
		Period  struct{ Since, Until string }
		Sources []struct{ Path string }
		Lists   []list
	}
	decode := func(args ...string) (a answer) {
		t.Helper()
		if err := json.Unmarshal([]byte(call(append(args, "--format", "json")...)), &a); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return a
	}
	ran := map[string]int{}
	for _, args := range [][]string{
		{"--year", "2026", "--tz", "UTC", log},
		{"--year", "2026", "--tz", "UTC", log, exim},
		{"--year", "2026", "--tz", "UTC", "-d", "2026-11-23", "--sender-domain", "sender.test", log},
		{"--year", "2026", "--tz", "UTC", "--since", "2026-11-23 14:44:30", "--outcome", "soft,hard", log},
		{"--year", "2026", "--tz", "UTC", "--redact", "--wide", log},
		{"--db", db, "--tz", "UTC", "--by", "recipient", "--sort", "hard"},
		{"--db", db, "--tz", "UTC", "-d", "2026-11-22 to 2026-11-24", "--by", "provider", "--problem-messages", "3"},
		{"--db", db, "--tz", "UTC", "--mta", "exim"},
	} {
		args = append([]string{"report", "--top", "3"}, args...)
		asked := decode(args...)
		call(append(slices.Clone(args), "--mail-to", "root", "--sendmail", sendmail)...)
		text, page := readMail(t, filepath.Join(dir, "mail.eml"))
		printed := slices.Concat(
			commandsInText(call(args...)), commandsInText(call(append(slices.Clone(args), "--section", "problems")...)),
			commandsInPage(call(append(slices.Clone(args), "--format", "html")...)), commandsInText(text), commandsInPage(page),
			commandsInMarkdown(call(append(slices.Clone(args), "--format", "markdown")...)),
		)
		for _, l := range asked.Lists {
			if l.Shown < l.Total || l.Least {
				printed = append(printed, l.More)
			}
		}
		slices.Sort(printed)
		for _, command := range slices.Compact(printed) {
			out, err := exec.Command("sh", "-c", `printf '%s\n' `+strings.TrimPrefix(command, "bouncelog ")).Output()
			if err != nil || !strings.HasPrefix(command, "bouncelog ") {
				t.Fatalf("%s: %v", command, err)
			}
			words := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
			ran[words[0]]++
			switch words[0] {
			case "report":
				got := decode(words...)
				if diff := cmp.Diff(asked.Period, got.Period); diff != "" {
					t.Errorf("%s\nis about another period (-report +command):\n%s", command, diff)
				}
				if diff := cmp.Diff(asked.Sources, got.Sources); diff != "" {
					t.Errorf("%s\nis about other logs (-report +command):\n%s", command, diff)
				}
				for _, l := range asked.Lists {
					if l.More == command && l.Section != "unknown_replies" && (len(got.Lists) == 0 || got.Lists[0].Total < l.Total || !l.Least && got.Lists[0].Total != l.Total || got.Lists[0].Shown != got.Lists[0].Total) {
						t.Errorf("%s\nshows %+v, and the report spoke of %+v", command, got.Lists, l)
					}
				}
			case "scan":
				words = append(words, "--resolver", dns.Addr, "--no-blocklists")
				fallthrough
			default:
				if call(words...) == "" {
					t.Errorf("%s\nsays nothing", command)
				}
			}
		}
	}
	if ran["report"] < 30 || ran["scan"] < 5 || ran["parse"] < 3 {
		t.Errorf("only so many commands were run: %v", ran)
	}
}

// commandsInText are the commands that stand in a report of text: each is a line, or follows
// the label Run.
func commandsInText(text string) (list []string) {
	for _, m := range regexp.MustCompile(`(?m)^(?:Run: +|  )(bouncelog .*)$`).FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// commandsInPage are those of a page: code that begins with the program's name.
func commandsInPage(page string) (list []string) {
	for _, m := range regexp.MustCompile(`(?s)<code[^>]*>(.*?)</code>`).FindAllStringSubmatch(page, -1) {
		words := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m[1], ""))
		if words = strings.TrimSpace(words); strings.HasPrefix(words, "bouncelog ") {
			list = append(list, words)
		}
	}
	return list
}

// commandsInMarkdown are those of a Markdown report.
func commandsInMarkdown(text string) (list []string) {
	for _, m := range regexp.MustCompile("`(bouncelog [^`]+)`").FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// readMail reads both parts of a report's mail.
func readMail(t *testing.T, path string) (text, page string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, part := range []*string{&text, &page} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		*part = strings.ReplaceAll(string(body), "\r\n", "\n")
	}
	return text, page
}
