package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncelog/notify"
)

// TestFollowTells runs follow with a webhook that hangs: reading goes on, it ends
// when it is told to, and after the next start the event comes, once.
func TestFollowTells(t *testing.T) {
	defer func(d time.Duration) { notifyEvery = d }(notifyEvery)
	notifyEvery = 10 * time.Millisecond
	asked := make(chan notify.Event, 100)
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e notify.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		asked <- e
		select {
		case <-hangs:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()

	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "test.db")
	write := func(n int, list string) {
		t.Helper()
		f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		stamp := time.Now().UTC().Format(time.RFC3339)
		for i := range n {
			fmt.Fprintf(f, "%s mx1 postfix/smtp[104]: 4A1B2C3D%s%d: to=<u%d@good.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx.good.example[192.0.2.20] said: 554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using %s (in reply to RCPT TO command))\n",
				stamp, list[:1], i, i, list)
		}
	}
	start := func() (stderr *lockedBuffer, stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		stderr = &lockedBuffer{}
		done := make(chan int, 1)
		go func() {
			var stdout bytes.Buffer
			done <- run(ctx, []string{"follow", "--db", db, "--notify", server.URL + "/secret", log}, strings.NewReader(""), &stdout, stderr)
		}()
		return stderr, func() {
			t.Helper()
			cancel()
			select {
			case status := <-done:
				if status != 0 {
					t.Errorf("exit status %d\n%s", status, stderr)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("it does not end\n%s", stderr)
			}
			if strings.Contains(stderr.String(), "secret") {
				t.Errorf("it gives the URL away:\n%s", stderr)
			}
		}
	}
	event := func() (e notify.Event) {
		t.Helper()
		select {
		case e = <-asked:
		case <-time.After(20 * time.Second):
			t.Fatal("nothing was told")
		}
		return e
	}

	write(5, "zen.spamhaus.org")
	stderr, stop := start()
	first := event()
	if first.Kind != notify.Began || first.Facts == nil || first.Facts.Refused != 5 {
		t.Errorf("told %+v", first)
	}
	write(3, "bl.spamcop.net")
	deadline := time.Now().Add(20 * time.Second)
	stored := func() string {
		var out, complaint bytes.Buffer
		run(t.Context(), []string{"query", "--db", db, "--format", "csv", "select count(*) as n from deliveries"}, strings.NewReader(""), &out, &complaint)
		return out.String() + complaint.String()
	}
	for !strings.Contains(stored(), "\n8\n") {
		if time.Now().After(deadline) {
			t.Fatalf("reading waits for who hangs:\n%s", stderr)
		}
		time.Sleep(10 * time.Millisecond) // polled, with a deadline
	}
	for !strings.Contains(stderr.String(), "Confirmed problem: good.example refuses our mail") { // by the same search
		if time.Now().After(deadline.Add(20 * time.Second)) {
			t.Fatalf("the log does not warn of what is told:\n%s", stderr)
		}
		time.Sleep(10 * time.Millisecond) // polled, with a deadline
	}
	stop()

	close(hangs)
	stderr, stop = start()
	if again := event(); again.ID != first.ID {
		t.Errorf("after the next start %+v, want the id %s", again, first.ID)
	}
	for !strings.Contains(stderr.String(), "sent to http://127.0.0.1:") {
		if time.Now().After(deadline.Add(20 * time.Second)) {
			t.Fatalf("it was not noted:\n%s", stderr)
		}
		time.Sleep(10 * time.Millisecond) // polled, with a deadline
	}
	stop()
	for len(asked) > 0 {
		if e := <-asked; e.ID == first.ID {
			t.Error("told twice")
		}
	}
}

// TestOneID holds that an incident has one id: in the report's JSON, in the event of a webhook and in the address of its page.
func TestOneID(t *testing.T) {
	told := make(chan notify.Event, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e notify.Event
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		told <- e
	}))
	defer server.Close()
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "test.db")
	var lines strings.Builder
	for i := range 9 {
		fmt.Fprintf(&lines, "%s mx1 postfix/smtp[104]: 4A1B2C3D%d: to=<u%d@good.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx.good.example[192.0.2.20] said: 554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using zen.spamhaus.org (in reply to RCPT TO command))\n",
			time.Now().UTC().Add(time.Duration(i-10)*time.Minute).Format(time.RFC3339), i, i)
	}
	if err := os.WriteFile(log, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	bouncelog(t, exitOK, "import", "--db", db, log)
	bouncelog(t, exitOK, "notify", "--db", db, server.URL)
	e := <-told
	if e.Group == "" || e.Facts == nil || e.Facts.ID != e.Group {
		t.Fatalf("told %+v", e)
	}
	base, client, _ := served(t, "--db", db, "--listen", "127.0.0.1:0")
	if status, body := fetch(t, client, base+"/incidents/"+e.Group); status != http.StatusOK || !strings.Contains(body, "listed by spamhaus-zen") {
		t.Errorf("/incidents/%s: status %d", e.Group, status)
	}
	for _, period := range []string{"24h", "7d"} {
		out, _ := bouncelog(t, exitOK, "report", "--db", db, "--since", period, "--format", "json")
		var rep struct {
			Verdict  struct{ Act []struct{ ID string } }
			Problems []struct{ ID string }
		}
		if err := json.Unmarshal([]byte(out), &rep); err != nil {
			t.Fatal(err)
		}
		if len(rep.Verdict.Act) != 1 || rep.Verdict.Act[0].ID != e.Group || len(rep.Problems) != 1 || rep.Problems[0].ID != e.Group {
			t.Errorf("report --since %s: %+v, want the id %s", period, rep, e.Group)
		}
	}
}
