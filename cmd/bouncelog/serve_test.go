package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"bouncelog/internal/hostile"

	"golang.org/x/net/html"
)

// served runs 'bouncelog serve' in this process until the test ends, and returns where
// it is and a client that was let in.
func served(t *testing.T, args ...string) (base string, client *http.Client, status func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out lockedBuffer
	done := make(chan int, 1)
	go func() { done <- run(ctx, append([]string{"serve"}, args...), strings.NewReader(""), &out, &out) }()
	var once bool
	status = func() int {
		if !once {
			once = true
			cancel()
			return <-done
		}
		return 0
	}
	t.Cleanup(func() { status() })
	where := regexp.MustCompile(`dashboard at (\S+)\n`)
	eventually(t, "serving", func() bool { return where.MatchString(out.String()) || len(done) > 0 })
	m := where.FindStringSubmatch(out.String())
	if m == nil {
		t.Fatalf("serve: %s", out.String())
	}
	client = &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if !strings.HasPrefix(m[1], "http") {
		client.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", m[1]) }}
		return "http://localhost", client, status
	}
	u, err := url.Parse(m[1])
	if err != nil {
		t.Fatal(err)
	}
	base = "http://" + u.Host
	res, err := client.Get(m[1])
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if len(res.Cookies()) == 1 {
		client.Transport = withCookie{res.Cookies()[0]}
	}
	return base, client, status
}

// withCookie sends a cookie with every request.
type withCookie struct{ c *http.Cookie }

func (w withCookie) RoundTrip(r *http.Request) (*http.Response, error) {
	r.AddCookie(w.c)
	return http.DefaultTransport.RoundTrip(r)
}

func fetch(t *testing.T, client *http.Client, target string) (int, string) {
	t.Helper()
	res, err := client.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// elements calls yield with each element of a page, named by its tag and the names of
// its attributes.
func elements(body string, yield func(tag string, attributes map[string]string)) {
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			attributes := map[string]string{}
			for _, a := range token.Attr {
				attributes[a.Key] = a.Val
			}
			yield("<"+token.Data, attributes)
			for key := range attributes {
				yield("<"+token.Data+" "+key+"=", nil)
			}
		case html.CommentToken:
			yield("<!-- "+z.Token().Data, nil)
		}
	}
}

// TestServeHostile sends the hostile texts through every screen and form of the
// dashboard, and as what is asked of it.
func TestServeHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("some thousand requests")
	}
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "test.db")
	harmlessLog, harmlessDB := filepath.Join(dir, "harmless.log"), filepath.Join(dir, "harmless.db")
	var text, harmless strings.Builder
	for i, s := range hostile.Texts {
		text.WriteString(hostile.Lines(i, s))
		harmless.WriteString(hostile.Lines(i, fmt.Sprintf("harmless%d", i)))
	}
	for path, s := range map[string]string{log: text.String(), harmlessLog: harmless.String()} {
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("BOUNCELOG_YEAR", "2026")
	for path, from := range map[string]string{db: log, harmlessDB: harmlessLog} {
		if status, _, stderr := attempt(t, t.Context(), "", "import", "--db", path, from); status != exitOK {
			t.Fatalf("import: %s", stderr)
		}
	}
	screens := []string{"", "incidents", "providers", "domains", "queue", "replies", "senders", "suppress", "tls", "log", "attempts", "trace"}
	// The pages of a harmless log have the tags and attributes that there may be, as a
	// browser reads them.
	allowed := map[string]bool{}
	base, client, _ := served(t, "--db", harmlessDB, "--listen", "127.0.0.1:0", "--period", "all")
	inner := regexp.MustCompile(`href="(/(?:incidents|providers|domains|attempts)/[^"]+|/attempts\?[^"]*|/trace\?[^"]*)"`)
	follow := func(base string, client *http.Client, most int, look func(target, body string)) {
		seen := map[string]bool{}
		var deep []string
		for _, s := range screens {
			_, body := fetch(t, client, base+"/"+s)
			look("/"+s, body)
			for _, m := range inner.FindAllStringSubmatch(body, -1) {
				if link := strings.ReplaceAll(m[1], "&amp;", "&"); !seen[link] {
					seen[link] = true
					deep = append(deep, link)
				}
			}
		}
		for i := range min(most, len(deep)) { // of all kinds
			link := deep[i*len(deep)/min(most, len(deep))]
			_, body := fetch(t, client, base+link)
			look(link, body)
		}
	}
	follow(base, client, 150, func(_, body string) {
		elements(body, func(tag string, _ map[string]string) { allowed[tag] = true })
	})
	for _, tag := range []string{"<article", "<article class=", "<h2 class=", "<small", // of an incident
		"<p hx-get=", "<p hx-trigger=", "<p hx-target=", "<p hx-select=", "<p hx-swap="} { // of a page older than a minute
		allowed[tag] = true
	}
	if len(allowed) < 30 {
		t.Fatalf("the pages have hardly a tag: %v", allowed)
	}
	base, client, _ = served(t, "--db", db, "--listen", "127.0.0.1:0", "--period", "all")
	page := func(target, body string) {
		if what := hostile.Unclean(body); what != "" {
			t.Errorf("%.200s has %s", target, what)
		}
		elements(body, func(tag string, attributes map[string]string) {
			if !allowed[tag] {
				t.Errorf("%.200s has %q", target, tag)
			}
			for _, key := range []string{"href", "src", "action", "hx-get", "hx-sse:connect"} {
				to, has := attributes[key]
				if has && (!strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "https://") && !strings.HasPrefix(to, "#") || strings.HasPrefix(to, "//") || strings.HasPrefix(to, "https://") && strings.Contains(to, "evil")) {
					t.Errorf("%.200s leads to %.200q", target, to)
				}
			}
		})
	}
	n := 0
	follow(base, client, 700, func(target, body string) { n++; page(target, body) })
	if n < 400 {
		t.Errorf("only %d pages", n)
	}
	for _, s := range screens {
		name := s
		if name == "" {
			name = "now"
		}
		if status, body := fetch(t, client, base+"/"+name+".json"); status != http.StatusOK || !json.Valid([]byte(body)) || hostile.Unclean(body) != "" {
			t.Errorf("%s.json: status %d, %s", name, status, hostile.Unclean(body))
		}
		status, body := fetch(t, client, base+"/"+name+".csv")
		rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
		if status != http.StatusOK || err != nil || hostile.Unclean(body) != "" {
			t.Errorf("%s.csv: status %d, %v, %s", name, status, err, hostile.Unclean(body))
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) && !regexp.MustCompile(`^-?[0-9.]+$`).MatchString(cell) {
					t.Errorf("%s.csv: a cell that a spreadsheet takes for a formula: %.100q", name, cell)
				}
			}
		}
	}
	// What is asked is as hostile.
	for _, s := range hostile.Texts {
		if len(s) > 2000 {
			s = s[:2000]
		}
		q := url.QueryEscape(s)
		for _, target := range []string{
			"/trace?q=" + q, "/?domain=" + q, "/?since=" + q, "/attempts?provider=" + q, "/attempts?after=" + q, "/queue?q=" + q, "/providers?sort=" + q, "/providers/" + url.PathEscape(s),
			"/domains/" + url.PathEscape(s), "/incidents/" + url.PathEscape(s), "/attempts/" + url.PathEscape(s), "/" + url.PathEscape(s), "/static/" + url.PathEscape(s), "/link/" + url.PathEscape(s) + "/",
		} {
			status, body := fetch(t, client, base+target)
			if status >= 500 {
				t.Errorf("%.200s: status %d", target, status)
			}
			if strings.HasPrefix(body, "<!DOCTYPE html>") {
				page(target, body)
			}
		}
		for _, target := range []string{"/trace.json?q=" + q, "/queue.csv?q=" + q} {
			if status, body := fetch(t, client, base+target); status >= 500 || hostile.Unclean(body) != "" {
				t.Errorf("%.200s: status %d, %s", target, status, hostile.Unclean(body))
			}
		}
	}
}

// TestServeProtection holds where the dashboard may be served: on a unix socket, on the
// loopback interface with a token or users, elsewhere with TLS and users only.
func TestServeProtection(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "test.db")
	log := filepath.Join(dir, "mail.log")
	if err := os.WriteFile(log, []byte(hostile.Lines(1, "harmless")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BOUNCELOG_YEAR", "2026")
	if status, _, stderr := attempt(t, t.Context(), "", "import", "--db", db, log); status != exitOK {
		t.Fatal(stderr)
	}
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// The password is "test"; bcrypt, as prometheus.io prints it.
	const users = "basic_auth_users:\n  alice: $2a$04$p6PYXxTFDWCz0vdlsrgLfexJbDWAmEIKptj8tkkoc8/2azHkRVJAu\n"
	withUsers, empty := file("users.yml", users), file("empty.yml", "{}\n")
	noFile := filepath.Join(dir, "none.yml")
	broken := file("broken.yml", "basic_auth_users: [\n")
	for _, args := range [][]string{
		{"--listen", "0.0.0.0:0"},
		{"--listen", "[::]:0"},
		{"--listen", "192.0.2.1:9155"},
		{"--listen", "0.0.0.0:0", "--web-config", withUsers},
		{"--listen", "127.0.0.1:0", "--web-config", empty},
		{"--listen", "127.0.0.1:0", "--web-config", noFile},
		{"--listen", "127.0.0.1:0", "--web-config", broken},
		{"--listen", "nonsense"},
		{"--listen", ":99999"},
		{"--period", "never"},
		{"--link-key", "/dev/zero"},
		{"--link-key", file("short.key", "c2hvcnQ=\n")},
	} {
		if args[0] != "--listen" {
			args = append(args, "--listen", "127.0.0.1:0")
		}
		status, out, stderr := attempt(t, t.Context(), "", append([]string{"serve", "--db", db}, args...)...)
		if status != exitUsage || strings.Contains(out, "dashboard at") {
			t.Errorf("%q: exit status %d\n%s", args, status, stderr)
		}
	}

	t.Run("users", func(t *testing.T) {
		base, client, _ := served(t, "--db", db, "--listen", "127.0.0.1:0", "--period", "all", "--web-config", withUsers)
		ask := func(name, password string) int {
			r, err := http.NewRequest("GET", base+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if name != "" {
				r.SetBasicAuth(name, password)
			}
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res.StatusCode
		}
		for _, c := range []struct {
			name, password string
			status         int
		}{{"", "", 401}, {"alice", "wrong", 401}, {"bob", "test", 401}, {"alice", "", 401}, {"alice", "test", 200}} {
			if got := ask(c.name, c.password); got != c.status {
				t.Errorf("%s %s: status %d", c.name, c.password, got)
			}
		}
		// Somebody takes the users out: nothing is served any more.
		if err := os.WriteFile(withUsers, []byte("{}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(withUsers, time.Now(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := ask("", ""); got != http.StatusServiceUnavailable {
			t.Errorf("without users: status %d", got)
		}
	})

	t.Run("unix", func(t *testing.T) {
		socket := filepath.Join(dir, "web.sock")
		base, client, status := served(t, "--db", db, "--listen", "unix:"+socket, "--period", "all")
		st, err := os.Stat(socket)
		if err != nil || st.Mode().Perm() != 0o660 {
			t.Errorf("the socket has mode %v, %v", st.Mode(), err)
		}
		if got, body := fetch(t, client, base+"/log"); got != http.StatusOK || !strings.Contains(body, "mail.log") {
			t.Errorf("status %d", got)
		}
		if got, _, stderr := attempt(t, t.Context(), "", "serve", "--db", db, "--listen", "unix:"+socket); got != exitFailed || !strings.Contains(stderr, "another process") {
			t.Errorf("a second one: exit status %d, %s", got, stderr)
		}
		if got, _, _ := attempt(t, t.Context(), "", "serve", "--db", db, "--listen", "unix:"+log); got != exitFailed {
			t.Errorf("in the place of a file: exit status %d", got)
		}
		if got := status(); got != exitOK {
			t.Errorf("told to stop: exit status %d", got)
		}
	})

	t.Run("no database", func(t *testing.T) {
		late := filepath.Join(dir, "late.db")
		base, client, _ := served(t, "--db", late, "--listen", "127.0.0.1:0", "--period", "all")
		if status, body := fetch(t, client, base+"/"); status != http.StatusServiceUnavailable || !strings.Contains(body, "no database") {
			t.Errorf("status %d, %s", status, body)
		}
		if status, _, stderr := attempt(t, t.Context(), "", "import", "--db", late, log); status != exitOK {
			t.Fatal(stderr)
		}
		if status, _ := fetch(t, client, base+"/"); status != http.StatusOK {
			t.Errorf("once it is there: status %d", status)
		}
		// Another file takes its place.
		other := filepath.Join(dir, "other.db")
		more := file("more.log", hostile.Lines(2, "restored"))
		if status, _, stderr := attempt(t, t.Context(), "", "import", "--db", other, more); status != exitOK {
			t.Fatal(stderr)
		}
		if err := os.Rename(other, late); err != nil {
			t.Fatal(err)
		}
		if status, body := fetch(t, client, base+"/log"); status != http.StatusOK || !strings.Contains(body, "more.log") {
			t.Errorf("after it was replaced: status %d, %s", status, body)
		}
	})

	t.Run("link", func(t *testing.T) {
		key := filepath.Join(dir, "link.key")
		status, out, stderr := attempt(t, t.Context(), "", "serve", "link", "--link-key", key, "--sender-domain", "sender.example", "--for", "1h")
		if status != exitOK || !strings.HasPrefix(out, "http://localhost:9155/link/") {
			t.Fatalf("exit status %d, %s%s", status, out, stderr)
		}
		if st, err := os.Stat(key); err != nil || st.Mode().Perm()&0o007 != 0 {
			t.Errorf("the key has mode %v, %v", st.Mode(), err)
		}
		base, _, _ := served(t, "--db", db, "--listen", "127.0.0.1:0", "--period", "all", "--link-key", key)
		path := strings.TrimPrefix(strings.TrimSpace(out), "http://localhost:9155")
		if status, body := fetch(t, http.DefaultClient, base+path); status != http.StatusOK || !strings.Contains(body, "sender.example") {
			t.Errorf("the link: status %d", status)
		}
		if status, _ := fetch(t, http.DefaultClient, base+"/"); status != http.StatusUnauthorized {
			t.Errorf("without it: status %d", status)
		}
		if err := os.Chmod(key, 0o644); err != nil {
			t.Fatal(err)
		}
		if status, _, _ := attempt(t, t.Context(), "", "serve", "link", "--link-key", key, "--sender-domain", "sender.example"); status != exitUsage {
			t.Errorf("a key that all can read: exit status %d", status)
		}
		for _, args := range [][]string{{"--sender-domain", "a@b"}, {"--for", "-1h"}, {"--for", "9999d"}, {"--link-key", ""}} {
			all := append([]string{"serve", "link", "--link-key", key, "--sender-domain", "sender.example"}, args...)
			if status, _, _ := attempt(t, t.Context(), "", all...); status != exitUsage {
				t.Errorf("%q: exit status %d", args, status)
			}
		}
	})

	t.Run("slow clients", func(t *testing.T) {
		// A thousand connections that say nothing, twice as many as there may be: others are
		// served all the same once these have had their time, and the memory stays.
		before := heap()
		base, client, _ := served(t, "--db", db, "--listen", "127.0.0.1:0", "--period", "all")
		var slow []net.Conn
		for range 1000 {
			c, err := net.DialTimeout("tcp", strings.TrimPrefix(base, "http://"), 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			slow = append(slow, c)
			c.Write([]byte("GET / HTTP/1.1\r\nHost: "))
		}
		defer func() {
			for _, c := range slow {
				c.Close()
			}
		}()
		if grown := heap() - before; grown > 64<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
		if status, _ := fetch(t, client, base+"/tls"); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	})
}

// heap is how much memory is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
