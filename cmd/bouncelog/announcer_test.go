package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bouncelog/problem"
)

// TestFollowAnnounces runs follow over a log with a listing, twice: what is new is announced once, and
// background never.
func TestFollowAnnounces(t *testing.T) {
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "test.db")
	const refused = "Nov 23 10:00:%02[1]d mx1 postfix/smtp[104]: 4A1B2C3D%02[1]d: to=<u%[1]d@good.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx.good.example[192.0.2.20] said: 554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using %[2]s (in reply to RCPT TO command))\n"
	write := func(first, n int, list string) {
		t.Helper()
		f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i := range n {
			fmt.Fprintf(f, refused, first+i, list)
		}
	}
	write(1, 3, "zen.spamhaus.org") // fewer are no incident
	follow := func(until func(stderr string) bool) string {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var stdout bytes.Buffer
		stderr := &lockedBuffer{}
		done := make(chan int, 1)
		go func() {
			done <- run(ctx, []string{"follow", "--db", db, "--year", "2026", log}, strings.NewReader(""), &stdout, stderr)
		}()
		deadline := time.Now().Add(20 * time.Second)
		for !until(stderr.String()) {
			if time.Now().After(deadline) {
				t.Errorf("after 20 s it has said\n%s", stderr.String())
				break
			}
			time.Sleep(10 * time.Millisecond) // polled, with a deadline
		}
		cancel()
		if status := <-done; status != 0 {
			t.Errorf("exit status %d\n%s", status, stderr.String())
		}
		return stderr.String()
	}
	announced := func(said string) bool {
		return strings.Contains(said, "Confirmed problem: good.example refuses our mail")
	}
	follow(announced)
	// The second time something else is new; the first must not be said again.
	write(20, 2, "b.barracudacentral.org")
	write(30, 3, "bl.spamcop.net")
	said := follow(func(said string) bool { return strings.Contains(said, "listed by spamcop") })
	if strings.Contains(said, "spamhaus") {
		t.Errorf("announced again:\n%s", said)
	}
	if strings.Contains(said, "barracuda") {
		t.Errorf("background is announced:\n%s", said)
	}
}

// TestWarning holds that the warning of an incident that is over says so.
func TestWarning(t *testing.T) {
	for _, p := range []problem.Problem{
		{Level: problem.Likely, Title: "x.example refuses our mail", Ongoing: true},
		{Level: problem.Likely, Title: "x.example refuses our mail", Ended: "mail is accepted again"},
	} {
		var said bytes.Buffer
		newAnnouncer(slog.New(slog.NewTextHandler(&said, nil)), nil, problem.Thresholds{}, nil).Announce(&p)
		ended := strings.Contains(said.String(), "Likely problem, ended: x.example") && strings.Contains(said.String(), `ended="mail is accepted`)
		if ended == p.Ongoing || p.Ongoing && strings.Contains(said.String(), "ended") {
			t.Errorf("ongoing %t: %s", p.Ongoing, &said)
		}
	}
}

// A lockedBuffer may be written and read at the same time.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
