package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"bouncelog/bounce"
	"bouncelog/judge"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/store/storetest"
)

// A meddler stores something by way of other each time that something was committed, as
// a daemon does beside an import.
type meddler struct {
	*sqlite.DB
	other *sqlite.DB
	times int
	n     int64
}

func (m *meddler) Write(ctx context.Context) (store.Writer, error) {
	w, err := m.DB.Write(ctx)
	return &meddlingWriter{w, m}, err
}

type meddlingWriter struct {
	store.Writer
	m *meddler
}

func (w *meddlingWriter) Commit(ctx context.Context) error {
	m := w.m
	if err := w.Writer.Commit(ctx); err != nil || m.times == 0 {
		return err
	}
	m.times--
	m.n++
	return storetest.Put(ctx, m.other, &store.Batch{
		Attempts: []store.Attempt{{Delivery: bounce.Delivery{
			Source: "daemon", Offset: m.n, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Host: "mx1", MTA: bounce.Postfix, QueueID: "AAAAA",
			Recipient: fmt.Sprintf("meddler%d@daemon.example", m.n), RecipientDomain: "daemon.example", Outcome: bounce.Delivered, Status: "sent",
		}}},
		Sources: []store.Source{{ID: "daemon", Offset: m.n + 1, State: "v1"}},
	})
}

// TestImportOvertaken imports a log while another process writes: every line counts
// once.
func TestImportOvertaken(t *testing.T) {
	const batchSize = 500 // of package ingest
	const lines = 20 * batchSize
	var log bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&log, "Mar  1 %02d:%02d:%02d mx1 postfix/smtp[77]: %05X: to=<user%d@dest%d.example>, relay=mx.dest.example[192.0.2.7]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 12345)\n",
			i/3600%24, i/60%60, i%60, 0xA0000+i, i%100, i%7)
	}
	path := t.TempDir() + "/mail.log"
	if err := os.WriteFile(path, log.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(path string) *sqlite.DB {
		d, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		return d
	}
	dbPath := t.TempDir() + "/log.db"
	m := &meddler{DB: open(dbPath), other: open(dbPath), times: 3}
	judge, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := new(cobra.Command)
	cmd.SetContext(t.Context())
	cmd.SetErr(&stderr)
	in := &input{year: 2026, tz: "UTC", commitEvery: 2 * batchSize}
	n, unread, err := in.read(cmd, m, judge, []string{path})
	if err != nil || unread || stderr.Len() > 0 {
		t.Fatalf("read: %v, unread %v, %s", err, unread, &stderr)
	}
	if n.Lines != lines || n.Attempts != lines {
		t.Errorf("read %d lines with %d attempts, want %d", n.Lines, n.Attempts, lines)
	}
	if m.times != 0 {
		t.Errorf("it was not overtaken as often as it should have been: %d left", m.times)
	}
	if got := storetest.Totals(t, m, store.Filter{}); got.Delivered != lines+3 {
		t.Errorf("%d attempts are stored, want %d", got.Delivered, lines+3)
	}
	if problems, err := m.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("check: %v %v", problems, err)
	}
}

// TestImportWaitsForLock holds how long an import waits for another process (what it
// then does is in the script locked).
func TestImportWaitsForLock(t *testing.T) {
	defer func(d time.Duration) { lockPatience = d }(lockPatience)
	lockPatience = time.Hour
	var stderr bytes.Buffer
	retry := waitForLock(t.Context(), &stderr)
	if retry(errors.New("another thing")) {
		t.Error("tries again after an error that does not pass")
	}
	locked := fmt.Errorf("open: %w", store.ErrLocked)
	for range 3 {
		if !retry(locked) {
			t.Error("does not wait for the lock")
		}
	}
	if n := strings.Count(stderr.String(), "\n"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &stderr)
	}
	lockPatience = 0
	if retry(locked) {
		t.Error("waits for ever")
	}
}

// TestLongLine holds that a line that is longer than what is read of it is told, whatever reads it.
func TestLongLine(t *testing.T) {
	const line = "Nov 23 10:00:01 mx1 postfix/smtp[105]: 4A1B2C3D4E: to=<a@good.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (later)"
	list := "[" + strings.Repeat(fmt.Sprintf("{%q:%q},", "message", line), 5<<20/len(line)) + fmt.Sprintf("{%q:%q}]", "message", line)
	dir := t.TempDir()
	log, whole := dir+"/list.json", dir+"/short.json"
	if err := errors.Join(os.WriteFile(log, []byte(list+"\n"+line+"\n"), 0o600), os.WriteFile(whole, []byte(list[:strings.Index(list, "}")+1]+"]"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"parse", "--format", "none"}, {"import", "--db", dir + "/test.db"}, {"report"}} {
		status, _, stderr := attempt(t, t.Context(), "", append(args, "--year", "2026", log)...)
		if status != exitPartly || !strings.Contains(stderr, "the line at byte 0 is longer than 4194304 bytes") || !strings.Contains(stderr, "jq -c") {
			t.Errorf("%s: status %d\n%s", args[0], status, stderr)
		}
		if args[0] != "report" && !regexp.MustCompile(`: 29[0-9]{3} delivery attempts, 0 lines not understood`).MatchString(stderr) {
			t.Errorf("%s: %s", args[0], stderr)
		}
	}
	if status, _, stderr := attempt(t, t.Context(), "", "parse", "--format", "none", whole); status != exitOK || !strings.Contains(stderr, " 1 delivery attempt, 0 lines not") {
		t.Errorf("status %d\n%s", status, stderr)
	}
}

// TestFrozenInReport holds that the queue's list tells a message that is held from one that is tried again.
func TestFrozenInReport(t *testing.T) {
	const at = "2026-11-23 10:00:0"
	log := t.TempDir() + "/mainlog"
	text := at + "1 1xVUtG-0005Lh-1y == a@good.example R=r T=t defer (110): Connection timed out\n" +
		at + "2 1xVUtH-0005Lh-1y == b@good.example R=r T=t defer (110): Connection timed out\n" +
		at + "3 1xVUtI-0005Lh-1y == c@good.example R=r T=t defer (110): Connection timed out\n" +
		at + "4 1xVUtG-0005Lh-1y Frozen\n" + at + "4 1xVUtI-0005Lh-1y Frozen\n" + at + "5 1xVUtI-0005Lh-1y unfrozen by root\n"
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, stderr := attempt(t, t.Context(), "", "report", "--section", "pending", "--format", "json", log)
	if status != exitOK || strings.Count(out, `"frozen": true`) != 1 {
		t.Errorf("status %d\n%s%s", status, out, stderr)
	}
	if _, out, _ = attempt(t, t.Context(), "", "report", "--section", "pending", log); !regexp.MustCompile(`a@good\.example .*\(frozen\) `).MatchString(out) || strings.Count(out, "(frozen)") != 1 {
		t.Error(out)
	}
}
