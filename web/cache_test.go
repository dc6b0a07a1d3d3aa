package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strconv"
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

// bench is a dashboard of a store in memory, in a synctest bubble, where waiting takes no time.
type bench struct {
	t     *testing.T
	db    store.Store
	s     *Server
	reads atomic.Int32 // number of Readers that were requested
	last  atomic.Int64 // version of the store
	slow  time.Duration
	first time.Duration                 // as slow, for the first Reader
	gate  atomic.Pointer[chan struct{}] // a request for a Reader waits until it is closed; nil: no wait
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, db: memory.Open()}
	j, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	b.s, err = New(Options{
		Read: func(ctx context.Context) (store.Reader, error) {
			if b.reads.Add(1) == 1 {
				time.Sleep(b.first)
			}
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

// hold blocks queries to the store until release.
func (b *bench) hold() (release func()) {
	gate := make(chan struct{}) // a mutex would stop the bubble's clock
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

// TestAged holds that the first page never delays a reader, however old it is. It is built before
// the first request. If the next one takes longer than a second, the old page states its age and
// requests the new one.
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
		if !strings.Contains(body, `hx-get="/?" hx-trigger="load"`) || !strings.Contains(body, ">8 h 0 min old; ") {
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

// TestQuick holds that an old page is not served if its successor takes less than a second.
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
		// A page of a past period does not reload itself: it is at most a minute old.
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

// TestShared holds that all pages share one search for incidents. After the first page, the page of
// an incident makes only its own queries, even while more is stored.
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
		// While more is stored, a new page may use the kept report, and states its moment. A page
		// that was told of new data shows it.
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

// TestLong holds that a page that takes longer than a reader waits is built to the end, and served
// on the next request. Meanwhile a page says so, and CSV and JSON are refused.
func TestLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.slow = answerTime + time.Second
		b.store("one.example", 30)
		for _, c := range []struct {
			path, header string
			status       int
			took         time.Duration
		}{
			{"/domains", "Refresh", http.StatusOK, firstTime},
			{"/domains.json", "Retry-After", http.StatusServiceUnavailable, answerTime},
		} {
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			r.Host = "localhost"
			w := httptest.NewRecorder()
			began := time.Now()
			b.s.ServeHTTP(w, r)
			if took := time.Since(began); w.Code != c.status || took != c.took || w.Header().Get(c.header) == "" {
				t.Errorf("%s: status %d after %s, %v", c.path, w.Code, took, w.Header())
			}
			time.Sleep(time.Until(began.Add(b.slow + time.Second)))
			began = time.Now()
			if body := b.get(c.path); !strings.Contains(body, "one.example") || strings.Contains(body, `class="aged"`) || time.Since(began) > patienceIdle {
				t.Errorf("%s after %s: %.2000s", c.path, time.Since(began), body)
			}
		}
	})
}

// TestRetry holds that a client that asks again when Retry-After or Refresh says gets the answer once it
// is built, however long that takes. The second path is a past period, whose pages are not renewed.
func TestRetry(t *testing.T) {
	for _, slow := range []time.Duration{answerTime + time.Second, answerTime + 20*time.Second, 2*answerTime + 25*time.Second, 5 * time.Minute} {
		for _, path := range []string{"/domains.json", "/domains?period=2000-01-01", "/incidents.csv"} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.slow = slow
				b.store("one.example", 30)
				began := time.Now()
				for {
					r := httptest.NewRequest(http.MethodGet, path, nil)
					r.Host = "localhost"
					w := httptest.NewRecorder()
					b.s.ServeHTTP(w, r)
					again := w.Header().Get("Retry-After") + w.Header().Get("Refresh")
					if w.Code == http.StatusOK && again == "" {
						break
					}
					after, err := strconv.Atoi(again)
					if took := time.Since(began); err != nil || took > 2*slow+keptFor { // the report and the page
						t.Fatalf("%s of %s: status %d after %s, %v", path, slow, w.Code, took, w.Header())
					}
					time.Sleep(time.Duration(after) * time.Second)
				}
			})
		}
	}
}

// TestPreview holds that a search for incidents that takes minutes delays no page: the first screen
// is served without it after some seconds, other pages meanwhile, and the complete screen as soon as
// the search is finished, even to a page that was told of new data.
func TestPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.first = 9 * time.Minute
		b.store("one.example", 30)
		began := time.Now()
		body := b.get("/")
		if took := time.Since(began); took > 2*firstTime || !strings.Contains(body, "The search for incidents is not finished") || !strings.Contains(body, `<a href="/">loads again</a>`) {
			t.Errorf("after %s:\n%.3000s", took, body)
		}
		for _, part := range []string{`Attempts <b>30</b>`, `id="ages"`} {
			if !strings.Contains(body, part) {
				t.Errorf("the preview has no %s:\n%.5000s", part, body)
			}
		}
		if body := b.get("/domains"); !strings.Contains(body, "one.example") {
			t.Errorf("another page:\n%.2000s", body)
		}
		if body := b.get("/", "HX-Request", "true"); !strings.Contains(body, `hx-get="/" hx-trigger="load delay:5s"`) {
			t.Errorf("a page that renews itself does not ask again:\n%.3000s", body)
		}
		for !strings.Contains(body, `href="/incidents/`) {
			if time.Since(began) > b.first+time.Minute {
				t.Fatalf("after %s:\n%.3000s", time.Since(began), body)
			}
			time.Sleep(previewAgain)
			body = b.get("/")
		}
		// The search never ends from here on. A page that was told of new data shows the old.
		b.store("two.example", 30)
		release := b.hold()
		defer release()
		asked := time.Now()
		body = b.get("/", "HX-Request", "true")
		if took := time.Since(asked); took != toldTime || !strings.Contains(body, "one.example") || !strings.Contains(body, " old; ") {
			t.Errorf("after %s:\n%.3000s", took, body)
		}
	})
}

// TestLateError holds that the error of a build is told to a reader who left before its end.
func TestLateError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache[int](&versions{}, 2, nil)
		defer c.close()
		bad, n := errors.New("bad"), 0
		get := func() error {
			_, err := c.get(t.Context(), "page", want{most: firstTime}, func(_ context.Context, now moment, _ bool) (int, moment, error) {
				time.Sleep(time.Minute)
				n++
				return n, now, bad
			})
			return err
		}
		for i := range 2 { // then it is built again
			if err := get(); !errors.Is(err, errInWork) {
				t.Errorf("%v at once", err)
			}
			time.Sleep(time.Minute)
			if err := get(); !errors.Is(err, bad) || n != i+1 {
				t.Errorf("%v after %d builds", err, n)
			}
		}
		if err := get(); !errors.Is(err, errInWork) {
			t.Errorf("%v at once", err)
		}
		time.Sleep(time.Hour)
		if err := get(); !errors.Is(err, errInWork) {
			t.Errorf("%v after an hour", err)
		}
	})
}

// TestLongRest holds that a value whose build takes minutes is in work at most half of the time.
func TestLongRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache[int](&versions{}, 2, nil)
		defer c.close()
		var n atomic.Int64 // the last page may still be built
		began := time.Now()
		for time.Since(began) < 2*time.Hour {
			_, err := c.get(t.Context(), "page", want{fresh: true, aged: true, most: toldTime}, func(_ context.Context, now moment, _ bool) (int, moment, error) {
				time.Sleep(5 * time.Minute)
				return int(n.Add(1)), now, nil
			})
			if err != nil && !errors.Is(err, errInWork) {
				t.Fatal(err)
			}
		}
		if n := n.Load(); n < 10 || n > 12 {
			t.Errorf("built %d times in two hours", n)
		}
	})
}

// TestUnknownVersion holds that a value that was built before the database could be watched is not
// served once it can: another database may have taken its place meanwhile.
func TestUnknownVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := false
		c := newCache[string](&versions{watch: func(context.Context) (func() (int64, error), func(), error) {
			if !there {
				return nil, nil, errors.New("no database")
			}
			return func() (int64, error) { return 1, nil }, func() {}, nil
		}}, 2, nil)
		defer c.close()
		for _, content := range []string{"old", "new"} {
			p, err := c.get(t.Context(), "page", want{}, func(_ context.Context, now moment, _ bool) (string, moment, error) {
				time.Sleep(time.Second)
				return content, now, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if p.value != content {
				t.Errorf("got the %s page, want the %s one", p.value, content)
			}
			there = true
		}
	})
}

// TestReplacedMeanwhile holds that a value in work is not served to a reader who asks after another
// database has taken the place of the one that it is of.
func TestReplacedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var replaced atomic.Bool
		database := func() string {
			if replaced.Load() {
				return "new"
			}
			return "old"
		}
		c := newCache[string](&versions{watch: func(context.Context) (func() (int64, error), func(), error) {
			watched := database()
			return func() (int64, error) {
				if watched != database() {
					return 0, errors.New("replaced")
				}
				return 1, nil
			}, func() {}, nil
		}}, 2, nil)
		defer c.close()
		get := func() string {
			p, err := c.get(t.Context(), "page", want{}, func(_ context.Context, now moment, _ bool) (string, moment, error) {
				content := database()
				time.Sleep(time.Second)
				return content, now, nil
			})
			if err != nil {
				t.Error(err)
			}
			return p.value
		}
		go get()
		time.Sleep(time.Second / 2)
		replaced.Store(true)
		if got := get(); got != "new" {
			t.Errorf("got the %s page, want the new one", got)
		}
	})
}

// TestRest holds how often a slow page is built, however often it is requested.
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
		// The least recently requested key is dropped.
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

// TestTabsLong opens ten tabs for hours. Something is stored every minute, and each tab is told.
// Neither memory nor goroutines may grow.
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
		hours := 6
		if testing.Short() {
			hours = 3
		}
		var heap uint64
		var goroutines int
		for minute := range 60 * hours {
			time.Sleep(time.Minute)
			if minute%60 == 59 {
				b.db = memory.Open() // as after pruning: the test's store must not count as memory
				b.store("one.example", 30)
			}
			b.last.Add(1)
			for _, tab := range tabs {
				b.get(tab, "HX-Request", "true")
			}
			for _, form := range []string{"", ".csv", ".json"} {
				b.get(strings.Replace(tabs[minute%len(tabs)]+form, "/.", "/now.", 1) + "?sort=" + fmt.Sprint(minute)) // a new page each time
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

// TestKeptForms holds that CSV and JSON are cached like pages, for at most a minute, share the
// search for incidents with them, and state their moment; and that the cache holds at most
// keptBytes.
func TestKeptForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.store("one.example", 30)
		for range 3 {
			for _, path := range []string{"/now.json", "/providers.json", "/incidents.csv", "/domains.csv", "/domains.csv?table=domains"} {
				b.get(path)
			}
		}
		if n := b.reads.Load(); n != 1+5 { // the search, and each form
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

// TestRenewed holds that a form that is requested again and again never waits, and is never older
// than a minute, if nothing is stored meanwhile.
func TestRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.slow = 2 * time.Second
		b.store("one.example", 30)
		b.get("/incidents.json")
		for range 60 {
			time.Sleep(5 * time.Second)
			began := time.Now()
			body := b.get("/incidents.json")
			of, err := time.Parse(`"as_of": "`+time.RFC3339+`"`, asOf.FindString(body))
			if took := time.Since(began); took > 0 || err != nil || began.Sub(of) > keptFor {
				t.Errorf("it took %s, and is %s old, %v", took, began.Sub(of), err)
			}
		}
		if n := b.reads.Load(); n > 40 {
			t.Errorf("the store was asked %d times in five minutes", n)
		}
	})
}

var asOf = regexp.MustCompile(`"as_of": "[^"]*"`)
