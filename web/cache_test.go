package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"bouncelog/bounce"
	"bouncelog/judge"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

// bench is a dashboard of a store in memory, in a bubble of synctest: its hours take no time.
type bench struct {
	t     *testing.T
	db    store.Store
	s     *Server
	reads atomic.Int32 // how often the store was asked for a Reader
	last  atomic.Int64 // version of what is stored
	slow  time.Duration
	gate  atomic.Pointer[chan struct{}] // a Reader is waited for until it is closed; nil: none is
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, db: memory.Open()}
	j, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	b.s, err = New(Options{
		Read: func(ctx context.Context) (store.Reader, error) {
			b.reads.Add(1)
			time.Sleep(b.slow)
			if gate := b.gate.Load(); gate != nil {
				<-*gate
			}
			return b.db.Read(ctx)
		},
		Watch: func(context.Context) (func() (int64, error), func(), error) {
			return func() (int64, error) { return b.last.Load(), nil }, func() {}, nil
		},
		Judge: j, Location: time.UTC,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.s.Close)
	return b
}

// store stores messages to a domain.
func (b *bench) store(domain string, n int) {
	at := b.last.Add(1)
	batch := &store.Batch{Sources: []store.Source{{ID: "log", Path: "/var/log/mail.log", Offset: 10_000 * (at + 1), First: time.Now(), Last: time.Now()}}}
	for i := range n {
		batch.Attempts = append(batch.Attempts, store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: 10_000*at + int64(i), Time: time.Now().Add(-time.Second), Host: "mx1", MTA: bounce.Postfix, QueueID: fmt.Sprint("A", at, i), Sender: "a@shop.example", SenderDomain: "shop.example", SenderKnown: true,
			Recipient: fmt.Sprint("u", i, "@", domain), RecipientDomain: domain, RelayHost: "mx." + domain, Outcome: bounce.Hard, Status: "bounced", Code: 550, Response: "550 5.7.1 SPF check failed", Delay: -1,
		}, Verdict: bounce.Verdict{Reason: bounce.AuthFailure, Detail: "spf", Scope: bounce.ScopeSender}})
	}
	storetest.Append(b.t, b.db, batch)
}

// hold keeps those waiting who ask the store, until release.
func (b *bench) hold() (release func()) {
	gate := make(chan struct{}) // a mutex would stop the time of the bubble
	b.gate.Store(&gate)
	return func() {
		b.gate.Store(nil)
		close(gate)
	}
}

func (b *bench) get(path string, header ...string) string {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost"
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.s.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.t.Errorf("%s: status %d\n%.300s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// TestAged holds that the first page never keeps a reader waiting, however old it is: it is made
// before anybody asks, says its age when another one takes longer than a second, and asks for
// that one.
func TestAged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.store("old.example", 30)
		if err := b.s.Warm(t.Context()); err != nil {
			t.Fatal(err)
		}
		made := b.reads.Load()
		if body := b.get("/"); !strings.Contains(body, "old.example") || strings.Contains(body, `class="aged"`) || b.reads.Load() != made {
			t.Errorf("the first page is not the one that was made in advance:\n%.2000s", body)
		}
		time.Sleep(8 * time.Hour)
		b.store("new.example", 30)
		release := b.hold()
		began := time.Now()
		body := b.get("/?")
		if took := time.Since(began); took > patienceIdle || !strings.Contains(body, "old.example") || strings.Contains(body, "new.example") {
			t.Errorf("after %s:\n%.2000s", took, body)
		}
		if !strings.Contains(body, `hx-get="/?" hx-trigger="load"`) || !strings.Contains(body, "This page is 8 h 0 min old") {
			t.Errorf("the page does not say its age, or does not ask for the new one: %s", regexp.MustCompile(`<p class="aged.*`).FindString(body))
		}
		told := make(chan string)
		go func() { told <- b.get("/", "HX-Request", "true") }()
		synctest.Wait()
		release()
		if body := <-told; !strings.Contains(body, "new.example") || strings.Contains(body, `class="aged"`) {
			t.Errorf("the new page:\n%.2000s", body)
		}
	})
}

// TestQuick holds that an old page whose successor takes no second is not served at all.
func TestQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.store("old.example", 30)
		b.get("/")
		time.Sleep(8 * time.Hour)
		b.store("new.example", 30)
		if body := b.get("/"); !strings.Contains(body, "new.example") || strings.Contains(body, `class="aged"`) {
			t.Errorf("%.2000s", body)
		}
		// One of a period that is over does not renew itself: its age is at most a minute.
		b.get("/?until=2000-01-01T09:00")
		time.Sleep(time.Hour)
		b.store("more.example", 30)
		release := b.hold()
		done := make(chan string)
		go func() { done <- b.get("/?until=2000-01-01T09:00") }()
		time.Sleep(2 * patienceIdle)
		select {
		case <-done:
			t.Error("a page that does not renew itself is served although it is old")
		default:
		}
		release()
		<-done
	})
}

// TestShared holds that the search for incidents is made once for all pages that show it: after
// the first page, that of an incident asks for nothing but itself, also while more is stored.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.slow = time.Second
		b.store("one.example", 30)
		first := b.get("/")
		_, id, _ := strings.Cut(first, `href="/incidents/`)
		id, _, _ = strings.Cut(id, `"`)
		if made := b.reads.Load(); made != 2 || id == "" {
			t.Fatalf("the store was asked %d times for a page with the incident %q", made, id)
		}
		for _, path := range []string{"/incidents/" + id, "/incidents", "/providers"} {
			before := b.reads.Load()
			if body := b.get(path); !strings.Contains(body, "one.example") || b.reads.Load() != before+1 {
				t.Errorf("%s asked the store %d times", path, b.reads.Load()-before)
			}
		}
		// While more is stored the kept report will do for a new page, which says its moment; one that was told
		// of what was stored shows it.
		time.Sleep(time.Second)
		b.store("two.example", 30)
		if body := b.get("/providers?sort=hard"); !strings.Contains(body, "As of <b><span class=\"whole\">2000-01-01 00:00:00</span></b>") || strings.Contains(body, "two.example") {
			t.Errorf("%.2000s", body)
		}
		if body := b.get("/providers?sort=hard", "HX-Request", "true"); !strings.Contains(body, "two.example") {
			t.Errorf("%.2000s", body)
		}
		if body := b.get("/providers.json"); !strings.Contains(body, "two.example") {
			t.Errorf("%.2000s", body)
		}
	})
}

// TestLong holds that a page that takes longer than a reader waits is made all the same, and is
// there when it is asked for again.
func TestLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.slow = answerTime + time.Second
		b.store("one.example", 30)
		r := httptest.NewRequest(http.MethodGet, "/domains", nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		began := time.Now()
		b.s.ServeHTTP(w, r)
		if took := time.Since(began); w.Code != http.StatusServiceUnavailable || took != answerTime || w.Header().Get("Retry-After") == "" {
			t.Errorf("status %d after %s", w.Code, took)
		}
		time.Sleep(time.Minute)
		began = time.Now()
		if body := b.get("/domains"); !strings.Contains(body, "one.example") || time.Since(began) > patienceIdle {
			t.Errorf("after %s: %.2000s", time.Since(began), body)
		}
	})
}

// TestRest holds how often a page that takes long is made, however often it is asked for.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache[int](&versions{}, 2, nil)
		defer c.close()
		n := 0
		slow := func(_ context.Context, now moment, _ bool) (int, moment, error) {
			time.Sleep(2 * time.Second)
			n++
			return n, now, nil
		}
		for range 1000 {
			if _, err := c.get(t.Context(), "page", want{aged: true}, slow); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n < 40 || n > 50 { // 2 s of each 22
			t.Errorf("made %d times", n)
		}
		// The key that was asked for longest ago makes room.
		for _, key := range []string{"other", "page", "third"} {
			if _, err := c.get(t.Context(), key, want{aged: true}, slow); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.entries) != 2 || c.entries["other"] != nil {
			t.Errorf("%d entries", len(c.entries))
		}
	})
}

// TestTabsLong has ten tabs open for hours in which something is stored every minute, each of them
// told of it, and holds that neither memory nor goroutines grow.
func TestTabsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.store("one.example", 30)
		tabs := []string{"/", "/incidents", "/providers", "/domains", "/queue", "/replies", "/senders", "/tls", "/log", "/attempts"}
		state := func() (heap uint64, goroutines int) {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc, runtime.NumGoroutine()
		}
		const hours = 6
		var heap uint64
		var goroutines int
		for minute := range 60 * hours {
			time.Sleep(time.Minute)
			if minute%60 == 59 {
				b.db = memory.Open() // as a database that is pruned: the store of the test is no part of the memory
				b.store("one.example", 30)
			}
			b.last.Add(1)
			for _, tab := range tabs {
				b.get(tab, "HX-Request", "true")
			}
			for _, form := range []string{"", ".csv", ".json"} {
				b.get(strings.Replace(tabs[minute%len(tabs)]+form, "/.", "/now.", 1) + "?sort=" + fmt.Sprint(minute)) // another page each time
			}
			if minute == 119 {
				heap, goroutines = state()
			}
		}
		if h, g := state(); h > heap+4<<20 || g > goroutines+2 {
			t.Errorf("%d bytes and %d goroutines after two hours, %d and %d after %d", heap, goroutines, h, g, hours)
		}
	})
}

// TestKeptForms holds that CSV and JSON are kept as pages are, for a minute at most, share the search
// for incidents with them, and say their moment; and that no more is kept than keptBytes.
func TestKeptForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.store("one.example", 30)
		for range 3 {
			for _, path := range []string{"/now.json", "/providers.json", "/incidents.csv", "/domains.csv", "/domains.csv?table=domains"} {
				b.get(path)
			}
		}
		if n := b.reads.Load(); n != 1+5 { // the search, and each
			t.Errorf("the store was asked %d times", n)
		}
		moment := func() string { return asOf.FindString(b.get("/now.json")) }
		first := moment()
		time.Sleep(keptFor)
		if again := moment(); first == "" || again == first {
			t.Errorf("after a minute it is of %q, before of %q", again, first)
		}
		b.store("two.example", 10_000)
		all := 0
		for i := range 20 {
			all += len(b.get(fmt.Sprintf("/attempts.json?sort=%d", i)))
		}
		kept := 0
		for _, e := range b.s.pages.entries {
			kept += len(e.kept.value)
		}
		if kept > keptBytes || kept < keptBytes/2 || all < keptBytes {
			t.Errorf("%d of %d bytes are kept", kept, all)
		}
	})
}

var asOf = regexp.MustCompile(`"as_of": "[^"]*"`)
