package web_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/store/storetest"
	"bouncelog/web"
)

// more stores an attempt.
func more(t *testing.T, db *sqlite.DB, offset int64) {
	t.Helper()
	a := store.Attempt{Delivery: bounce.Delivery{
		Source: "more", Offset: offset, Time: at.Add(-time.Hour), Host: "mx1", MTA: bounce.Postfix, Instance: "postfix", Agent: "smtp", QueueID: "4A1B2C3D4E", Recipient: "new@new.example",
		RecipientDomain: "new.example", RelayHost: "mx.new.example", Status: "bounced", Outcome: bounce.Hard, Code: 550, Response: "550 no", Delay: -1,
	}, Verdict: bounce.Verdict{Reason: bounce.UserUnknown}}
	b := &store.Batch{Attempts: []store.Attempt{a}, Sources: []store.Source{{ID: "more", Path: "/var/log/more.log", Offset: offset + 10, Lines: 1, Delivery: 1, Attempts: 1}}}
	storetest.Append(t, db, b)
}

// TestKept holds that a page is built once while nothing is stored, and again for a reader who was
// told of new data.
func TestKept(t *testing.T) {
	db := database(t, sample())
	made := 0
	s := dashboard(t, db, func(o *web.Options) {
		read := o.Read
		o.Read = func(ctx context.Context) (store.Reader, error) {
			made++
			return read(ctx)
		}
	})
	for range 5 {
		ask(s, "GET", "/domains")
	}
	ask(s, "GET", "/domains?sort=hard")
	if made != 2 {
		t.Errorf("2 pages, asked for 6 times, were made %d times", made)
	}
	more(t, db, 100)
	if body := text(t, ask(s, "GET", "/domains", "HX-Request", "true")); !strings.Contains(body, "new.example") {
		t.Error("the page that was told of something new shows the old")
	}
	if body := text(t, ask(s, "GET", "/domains")); !strings.Contains(body, "new.example") || made != 3 {
		t.Errorf("made %d times", made)
	}
	// A failed build is not cached.
	for range 2 {
		if res := ask(s, "GET", "/attempts/1.2.0.x"); res.StatusCode != http.StatusNotFound {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	if made != 5 {
		t.Errorf("made %d times", made)
	}
}

// TestStale holds that a cached page is served at once while its successor is built, and states its
// moment. A reader who was told of new data waits for the successor.
func TestStale(t *testing.T) {
	db := database(t, sample())
	var held atomic.Bool
	release := make(chan struct{})
	s := dashboard(t, db, func(o *web.Options) {
		read := o.Read
		o.Read = func(ctx context.Context) (store.Reader, error) {
			if held.Load() {
				<-release
			}
			return read(ctx)
		}
	})
	first := text(t, ask(s, "GET", "/domains"))
	if !strings.Contains(first, "As of <b><span class=\"whole\">2026-11-24 09:00:00</span></b>") {
		t.Error("the page does not say its moment")
	}
	held.Store(true)
	more(t, db, 100)
	told := make(chan string)
	go func() { told <- text(t, ask(s, "GET", "/domains", "HX-Request", "true")) }()
	for range 3 {
		if again := text(t, ask(s, "GET", "/domains")); again != first {
			t.Error("the page is not the one that is kept")
		}
	}
	select {
	case <-told:
		t.Error("the page that was told of something new did not wait for it")
	default:
	}
	close(release)
	if body := <-told; !strings.Contains(body, "new.example") {
		t.Error("the page that was told of something new shows the old")
	}
	if body := text(t, ask(s, "GET", "/domains")); !strings.Contains(body, "new.example") {
		t.Error("the new page is not kept")
	}
}

// TestLeft holds that a build continues for a waiting reader although the one who started it has
// left, and that a build without waiting readers is abandoned.
func TestLeft(t *testing.T) {
	db := database(t, sample())
	begun, ended := make(chan struct{}), make(chan struct{})
	var builds atomic.Int32
	s := dashboard(t, db, func(o *web.Options) {
		read := o.Read
		o.Read = func(ctx context.Context) (store.Reader, error) {
			if builds.Add(1) == 1 {
				close(begun)
				<-ctx.Done()
				close(ended)
			}
			return read(ctx)
		}
	})
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/domains", nil)
	r.Host = "localhost"
	gone := make(chan struct{})
	go func() {
		s.ServeHTTP(httptest.NewRecorder(), r)
		close(gone)
	}()
	<-begun
	leave()
	<-gone
	<-ended
	if body := text(t, ask(s, "GET", "/domains")); !strings.Contains(body, "big.example") || builds.Load() != 2 {
		t.Errorf("made %d times: %.200s", builds.Load(), body)
	}
}

// TestStreamSince holds that a page learns at once of data stored between its build and its stream.
func TestStreamSince(t *testing.T) {
	db := database(t, sample())
	s := dashboard(t, db, nil)
	server := httptest.NewServer(s)
	defer server.Close()
	base := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	_, stream, _ := strings.Cut(text(t, ask(s, "GET", "/domains")), `hx-sse:connect="`)
	stream, _, _ = strings.Cut(stream, `"`)
	more(t, db, 100)
	res, err := http.Get(base + stream)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		switch lines.Text() {
		case "event: stored":
			return
		case ": alive":
			t.Fatalf("%s heard nothing", stream)
		}
	}
}

// TestStreams holds that live pages learn of new data, that their number is limited, and that
// closed pages leave nothing behind.
func TestStreams(t *testing.T) {
	db := database(t, sample())
	s := dashboard(t, db, nil)
	server := httptest.NewServer(s)
	defer server.Close()
	base := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	before := runtime.NumGoroutine()
	open := func(ctx context.Context) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, "GET", base+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	ctx, cancel := context.WithCancel(t.Context())
	res := open(ctx)
	if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Fatalf("content type %q", got)
	}
	heard := make(chan string, 100)
	go func() {
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			heard <- lines.Text()
		}
		close(heard)
	}()
	// The first check of the database comes a moment after the page has connected.
	deadline := time.After(time.Minute)
	for offset, told := int64(100), false; !told; offset += 10 {
		more(t, db, offset)
		select {
		case line := <-heard:
			told = line == "event: stored"
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			t.Fatal("nothing was heard of what was stored")
		}
	}
	refused := 0
	for range 40 { // too many streams of one client
		if r := open(ctx); r.StatusCode == http.StatusServiceUnavailable {
			refused++
			r.Body.Close()
		}
	}
	if refused == 0 {
		t.Error("one client may open 41 streams")
	}
	cancel()
	http.DefaultClient.CloseIdleConnections()
	for range 600 { // until all streams have ended
		if runtime.NumGoroutine() <= before+8 {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Errorf("%d goroutines, there were %d", runtime.NumGoroutine(), before)
}
