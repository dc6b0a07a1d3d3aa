package web_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bouncelog/store/sqlite"
	"bouncelog/web"
)

// BenchmarkPages measures every page on the database that BOUNCELOG_WEB_DB names. It prints the
// median and the 95th percentile of 20 requests after the first, the CPU time of one, and the size
// of the page. It measures each page when it is built for each request beside other pages (the
// search for incidents is kept), and when it is served again with nothing stored in between. With
// BOUNCELOG_WEB_EVERY=1s it requests pages at that interval, only again, and counts builds in the
// background as CPU time: that is for a database to which 'bouncelog follow' writes.
func BenchmarkPages(b *testing.B) {
	path := os.Getenv("BOUNCELOG_WEB_DB")
	if path == "" {
		b.Skip("BOUNCELOG_WEB_DB names no database")
	}
	db, err := sqlite.Open(b.Context(), path, sqlite.Options{ReadOnly: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	r, err := db.Read(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	read, err := r.Coverage(b.Context())
	r.Close()
	if err != nil {
		b.Fatal(err)
	}
	var now time.Time
	for _, s := range read.Sources {
		if s.Last.After(now) {
			now = s.Last
		}
	}
	serve := func() *web.Server {
		return dashboard(b, db, func(o *web.Options) {
			o.Period, o.Now = "24h", func() time.Time { return now.Add(time.Minute) }
		})
	}
	s := serve()
	first := func(page, like string) string {
		if os.Getenv("BOUNCELOG_WEB_PAGES") != "" {
			return ""
		}
		for _, link := range links(body(s, page)) {
			if strings.HasPrefix(link, like) {
				return link
			}
		}
		b.Logf("%s has no link like %s", page, like)
		return page
	}
	rounds := 20
	if n, err := strconv.Atoi(os.Getenv("BOUNCELOG_WEB_ROUNDS")); err == nil {
		rounds = n
	}
	every, _ := time.ParseDuration(os.Getenv("BOUNCELOG_WEB_EVERY"))
	var pages []string
	for _, page := range measured {
		if from, ok := strings.CutSuffix(page, "/*"); ok {
			page = first(from, from+"/")
		} else if from, ok := strings.CutSuffix(page, "?*"); ok {
			page = first("/attempts", from+"?")
		}
		pages = append(pages, page)
		if !strings.Contains(page, "?") {
			path := page
			if page == "/" {
				path = "/now"
			}
			pages = append(pages, path+".csv", path+".json")
		}
	}
	if only := os.Getenv("BOUNCELOG_WEB_PAGES"); only != "" {
		pages = strings.Fields(only)
	}
	for _, page := range pages {
		for _, how := range []string{"anew", "beside", "again"} {
			if how != "again" && every > 0 {
				continue
			}
			name, same := page+" "+how, how == "again"
			var took []time.Duration
			size, cpu := 0, processor()
			for i := range 1 + rounds {
				target := page
				if how == "anew" {
					s = serve()
				}
				if !same { // another key for the cache, the same query for the store
					target += map[bool]string{true: "&", false: "?"}[strings.Contains(page, "?")] + fmt.Sprintf("host=&sort=%s%d", how, i)
				}
				if i == 1 {
					cpu = processor()
				}
				if same && i > 0 {
					time.Sleep(every)
				}
				began := time.Now()
				res := made(s, target)
				if i > 0 {
					took = append(took, time.Since(began))
				}
				if res.StatusCode != http.StatusOK {
					b.Fatalf("%s: status %d", target, res.StatusCode)
				}
				size = int(res.ContentLength)
				if size < 0 {
					raw := body(s, page)
					size = len(raw)
				}
			}
			slices.Sort(took)
			if page == "/" && size > firstAtMost {
				b.Errorf("the first page has %d bytes", size)
			}
			b.Logf("%-60.60s median %8.1f ms  p95 %8.1f ms  processor %8.1f ms  %6d bytes", name, ms(took[len(took)/2]), ms(took[len(took)*95/100]), ms((processor()-cpu)/time.Duration(rounds)), size)
		}
	}
}

// measured lists the pages that BenchmarkPages requests; those without a query also as CSV and
// JSON. "/x/*" stands for a page that /x links to, "/x?*" for one that the list of attempts links
// to.
var measured = []string{
	"/", "/?since=7d", "/incidents", "/incidents/*", "/providers", "/providers/*", "/domains", "/domains/*", "/queue", "/replies", "/senders", "/suppress", "/tls", "/log",
	"/attempts", "/attempts?outcome=hard", "/attempts/*", "/trace?*", "/trace", "/providers?since=7d", "/domains?since=7d", "/replies?since=7d", "/suppress?since=7d", "/senders?since=7d",
}

const firstAtMost = 60_000 // maximum size of the first page in bytes

// TestMeasured holds that the measurement includes every screen.
func TestMeasured(t *testing.T) {
	deep := []string{"incidents", "providers", "domains", "attempts"}
	for _, name := range web.Screens() {
		if !slices.Contains(measured, "/"+name) || slices.Contains(deep, name) && !slices.Contains(measured, "/"+name+"/*") {
			t.Errorf("BenchmarkPages does not measure /%s", name)
		}
	}
}

// processor returns the CPU time of the process (getrusage(2)), which other processes affect less
// than the clock.
func processor() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// made requests a page until it has been built.
func made(h http.Handler, page string) *http.Response {
	for {
		if res := ask(h, "GET", page, "Accept", "text/html"); res.StatusCode != http.StatusServiceUnavailable && res.Header.Get("Refresh") == "" {
			return res
		}
	}
}

func body(h http.Handler, page string) string {
	res := made(h, page)
	raw := make([]byte, 0, 1<<16)
	buf := make([]byte, 1<<16)
	for {
		n, err := res.Body.Read(buf)
		raw = append(raw, buf[:n]...)
		if err != nil {
			return string(raw)
		}
	}
}
