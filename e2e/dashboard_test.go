//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// axe-core finds what people with a screen reader, or without a mouse, cannot use.
const (
	axeVersion = "4.14.1"
	axeSum     = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c" // of axe.min.js
)

// A site is a dashboard that is served.
type site struct {
	base   string // http://127.0.0.1:port
	client *http.Client
	cookie *http.Cookie
	db     string
	log    string
}

// serveDashboard makes a log that ends now, imports it and serves it.
func serveDashboard(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	bin, gen := program(t, "cmd/bouncelog"), program(t, "bench/genlog")
	s := &site{db: filepath.Join(dir, "test.db"), log: filepath.Join(dir, "mail.log")}
	start := time.Now().UTC()
	// How long the log is shows when it is made; made again it ends a minute ago.
	for range 2 {
		output(t, gen, "-rate", "20000", "-start", start.Format(time.RFC3339), "-lines", "60000", "-noise", "0.2", "-timestamp", "rfc3339", "-domains", "300",
			"-recipients", "6000", "-senders", "60", "-incident-at", "0.7", "-incident-length", "0.3", "-o", s.log)
		raw, err := os.ReadFile(s.log)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
		stamp, _, _ := strings.Cut(string(lines[len(lines)-1]), " ")
		last, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			t.Fatal(err)
		}
		start = start.Add(time.Since(last) - time.Minute)
	}
	output(t, bin, "import", "--db", s.db, s.log)
	s.serve(t, bin, "--period", "7d")
	return s
}

var printed = regexp.MustCompile(`(http://[^/\s]+)/\?token=(\S+)`)

// serve starts 'bouncelog serve' on a free port and brings the token.
func (s *site) serve(t *testing.T, bin string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, append([]string{"serve", "--db", s.db, "--listen", "127.0.0.1:0"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	m := printed.FindStringSubmatch(line)
	if err != nil || m == nil {
		t.Fatalf("serve printed %q, %v", line, err)
	}
	s.base = m[1]
	jar, _ := cookiejar.New(nil)
	s.client = &http.Client{Jar: jar, Timeout: time.Minute}
	if status, _ := s.get(t, "/?token="+m[2]); status != http.StatusOK {
		t.Fatalf("with the token: status %d", status)
	}
	u, _ := url.Parse(s.base)
	if len(jar.Cookies(u)) != 1 {
		t.Fatal("no cookie for the token")
	}
	s.cookie = jar.Cookies(u)[0]
}

func (s *site) get(t *testing.T, path string) (int, string) {
	t.Helper()
	res, err := s.client.Get(s.base + path)
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

var hrefs = regexp.MustCompile(`href="(/[^"]*)"`)

// first is the first link of a page that matches.
func (s *site) first(t *testing.T, path, like string) string {
	t.Helper()
	_, body := s.get(t, path)
	for _, m := range hrefs.FindAllStringSubmatch(body, -1) {
		if link := strings.ReplaceAll(m[1], "&amp;", "&"); regexp.MustCompile(like).MatchString(link) {
			return link
		}
	}
	t.Fatalf("%s has no link like %s", path, like)
	return ""
}

// browser starts a Chromium that speaks to nobody but the dashboard.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is missing: apt-get install chromium")
		}
		t.Skip("chromium is missing: apt-get install chromium")
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", false), chromedp.Flag("disable-dev-shm-usage", true),
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// A witness hears what a page complains of and whom it asks.
type witness struct {
	mu     sync.Mutex
	faults []string
	base   string
}

func (w *witness) say(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fmt.Sprintf(format, a...))
}

func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.faults
	w.faults = nil
	return list
}

func (w *witness) listen(ctx context.Context) {
	chromedp.ListenTarget(ctx, func(ev any) {
		switch e := ev.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
				w.say("console: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				w.say("console: %s", e.Args[0].Value)
			}
		case *runtime.EventExceptionThrown:
			w.say("exception: %s", e.ExceptionDetails.Error())
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, w.base+"/") && !strings.HasPrefix(u, "data:") && u != "about:blank" {
				w.say("a request to %s", u)
			}
		}
	})
}

// login gives the browser the cookie.
func (s *site) login(ctx context.Context) error {
	u, err := url.Parse(s.base)
	if err != nil {
		return err
	}
	return chromedp.Run(ctx, log.Enable(), network.Enable(), runtime.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		return network.SetCookie(s.cookie.Name, s.cookie.Value).WithDomain(u.Hostname()).WithPath("/").WithHTTPOnly(true).WithSameSite(network.CookieSameSiteStrict).Do(ctx)
	}))
}

// axe fetches axe-core by npm and gives its source.
func axe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", "npm pack axe-core@"+axeVersion+" && tar xzf axe-core-*.tgz package/axe.min.js")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm pack: %v\n%s", err, tail(out))
	}
	raw, err := os.ReadFile(filepath.Join(dir, "package", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != axeSum {
		t.Fatalf("axe.min.js %s has the checksum %x", axeVersion, sum)
	}
	return string(raw)
}

// screens are all pages with one of each kind that has a name in its path.
func (s *site) screens(t *testing.T) map[string]string {
	return map[string]string{
		"now": "/", "incidents": "/incidents", "incident": s.first(t, "/incidents", `^/incidents/`), "providers": "/providers", "provider": s.first(t, "/providers", `^/providers/`),
		"domains": "/domains", "domain": s.first(t, "/domains", `^/domains/`), "queue": "/queue", "queue-one": s.first(t, "/queue", `^/queue\?.*q=`), "replies": "/replies",
		"senders": "/senders", "suppress": "/suppress", "tls": "/tls", "log": "/log", "attempts": "/attempts?outcome=hard", "attempt": s.first(t, "/attempts?outcome=hard", `^/attempts/`),
		"search": "/trace", "trace": s.first(t, "/attempts?outcome=soft", `^/trace\?.*q=.*%40`), "explain": "/trace?q=" + url.QueryEscape("550 5.7.26 This mail has been blocked because the sender is unauthenticated"),
		"nothing": "/trace?q=nobody%40nowhere.example", "filtered": "/?sender-domain=shop.example&since=7d",
	}
}

// TestDashboard looks at every screen as a browser does.
func TestDashboard(t *testing.T) {
	s := serveDashboard(t)
	source := axe(t)
	ctx := browser(t)
	w := &witness{base: s.base}
	w.listen(ctx)
	if err := s.login(ctx); err != nil {
		t.Fatal(err)
	}
	screens := s.screens(t)
	shots := os.Getenv("DASHBOARD_SHOTS") // a directory for pictures
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 1440} {
			t.Run(fmt.Sprintf("%s-%d", scheme, width), func(t *testing.T) {
				err := chromedp.Run(ctx, emulation.SetDeviceMetricsOverride(width, 900, 1, width < 500),
					emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
				if err != nil {
					t.Fatal(err)
				}
				for name, path := range screens {
					w.take()
					var sideways int64
					var found string
					var picture []byte
					err := chromedp.Run(ctx, chromedp.Navigate(s.base+path), chromedp.WaitReady("footer"),
						chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &sideways),
						chromedp.Evaluate(source+"; 0", nil),
						chromedp.Evaluate(`axe.run().then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map(n => n.html).join(" "))))`, &found,
							func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }),
					)
					if err != nil {
						t.Fatalf("%s: %v", path, err)
					}
					if sideways > 0 {
						t.Errorf("%s (%s) scrolls sideways by %d pixels", name, path, sideways)
					}
					var violations []string
					if err := json.Unmarshal([]byte(found), &violations); err != nil {
						t.Fatal(err)
					}
					for _, v := range violations {
						t.Errorf("%s (%s): axe: %.600s", name, path, v)
					}
					for _, f := range w.take() {
						t.Errorf("%s (%s): %s", name, path, f)
					}
					if shots != "" {
						if err := chromedp.Run(ctx, chromedp.FullScreenshot(&picture, 100)); err != nil {
							t.Fatal(err)
						}
						if err := os.WriteFile(filepath.Join(shots, fmt.Sprintf("%s-%d-%s.png", scheme, width, name)), picture, 0o644); err != nil {
							t.Fatal(err)
						}
					}
				}
			})
		}
	}

	t.Run("walk", func(t *testing.T) {
		// From the verdict to the log line in three steps: the page, the incident, its
		// evidence.
		var verdict, line string
		err := chromedp.Run(ctx, chromedp.Navigate(s.base+"/"), chromedp.Text("h1", &verdict),
			chromedp.Click(".incident .heading a"), chromedp.WaitVisible("#evidence td.name a"),
			chromedp.Click("#evidence td.name a"), chromedp.WaitVisible("pre.log"), chromedp.Text("pre.log", &line))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(verdict, "going on") {
			t.Errorf("the verdict is %q", verdict)
		}
		raw, err := os.ReadFile(s.log)
		if err != nil {
			t.Fatal(err)
		}
		if line == "" || !bytes.Contains(raw, []byte(strings.TrimSpace(line)+"\n")) || !strings.Contains(line, "status=") {
			t.Errorf("the log line shown is %q", line)
		}
	})

	t.Run("keys", func(t *testing.T) {
		var at, active string
		press := func(keys ...string) {
			t.Helper()
			for _, k := range keys {
				// As a keyboard does: the character comes of the key, unless the page takes it.
				var action chromedp.Action = chromedp.KeyEvent(k)
				if k[0] >= ' ' && len(k) == 1 {
					action = chromedp.Tasks{input.DispatchKeyEvent(input.KeyDown).WithKey(k).WithText(k), input.DispatchKeyEvent(input.KeyUp).WithKey(k)}
				}
				if err := chromedp.Run(ctx, action); err != nil {
					t.Fatal(err)
				}
			}
		}
		where := func(want string) {
			t.Helper()
			for range 200 {
				if err := chromedp.Run(ctx, chromedp.WaitReady("footer"), chromedp.Location(&at)); err == nil && strings.Contains(at, want) {
					return
				}
				if err := chromedp.Run(ctx, chromedp.Evaluate(`new Promise(r => setTimeout(r, 25))`, nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) })); err != nil {
					continue
				}
			}
			t.Fatalf("at %s, not at %s", at, want)
		}
		if err := chromedp.Run(ctx, chromedp.Navigate(s.base+"/"), chromedp.WaitReady("footer")); err != nil {
			t.Fatal(err)
		}
		// All of it without a mouse: the incident, its evidence, a search, each screen.
		press("j", kb.Enter)
		where("/incidents/")
		press("j", kb.Enter)
		where("/attempts/")
		press("/")
		if err := chromedp.Run(ctx, chromedp.Evaluate(`document.activeElement.id`, &active)); err != nil || active != "q" {
			t.Fatalf("/ leads to %q, %v", active, err)
		}
		press("n", "o", "b", "o", "d", "y", "@", "x", ".", "e", "x", "a", "m", "p", "l", "e", kb.Enter)
		where("/trace?q=nobody%40x.example")
		for key, path := range map[string]string{"i": "/incidents", "p": "/providers", "d": "/domains", "w": "/queue", "r": "/replies", "s": "/senders", "u": "/suppress", "t": "/tls", "l": "/log", "n": s.base + "/"} {
			press("g", key)
			where(path)
		}
		var open bool
		press("?")
		if err := chromedp.Run(ctx, chromedp.Evaluate(`document.getElementById('keys').open`, &open)); err != nil || !open {
			t.Errorf("? shows no keys: %v", err)
		}
		press(kb.Escape)
		// Tab reaches every link of a page, and what has the focus can be seen.
		var missed string
		if err := chromedp.Run(ctx, chromedp.Evaluate(`Array.from(document.querySelectorAll('a[href], button, input')).filter(x => x.tabIndex < 0).map(x => x.outerHTML).join()`, &missed)); err != nil || missed != "" {
			t.Errorf("out of reach of the keyboard: %s, %v", missed, err)
		}
	})

	t.Run("back", func(t *testing.T) {
		var at string
		err := chromedp.Run(ctx, chromedp.Navigate(s.base+"/providers?since=7d"), chromedp.WaitReady("footer"),
			chromedp.Click("#providers td.name a"), chromedp.WaitVisible("#relays"), chromedp.NavigateBack(), chromedp.WaitVisible("#providers"), chromedp.Location(&at))
		if err != nil || at != s.base+"/providers?since=7d" {
			t.Errorf("back at %s, %v", at, err)
		}
	})

	t.Run("live", func(t *testing.T) {
		// Something is stored: the page shows it by itself, and stays where it is.
		var before, after string
		if err := chromedp.Run(ctx, chromedp.Navigate(s.base+"/log"), chromedp.WaitReady("footer"), chromedp.Text(".figures .n", &before)); err != nil {
			t.Fatal(err)
		}
		more := filepath.Join(t.TempDir(), "more.log")
		stamp := time.Now().UTC().Format(time.RFC3339)
		text := stamp + " mx9 postfix/smtp[1]: 4A1B2C3D4E: to=<live@rcpt.example>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))\n"
		if err := os.WriteFile(more, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		output(t, program(t, "cmd/bouncelog"), "import", "--db", s.db, more)
		deadline, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		err := chromedp.Run(deadline, chromedp.Poll(fmt.Sprintf(`document.querySelector('.figures .n').innerText !== %q`, before), nil, chromedp.WithPollingInterval(100*time.Millisecond)),
			chromedp.Text(".figures .n", &after))
		if err != nil || after == before {
			t.Errorf("the figure is %q, was %q: %v", after, before, err)
		}
		for _, f := range w.take() {
			if !strings.Contains(f, "net::ERR_ABORTED") {
				t.Error(f)
			}
		}
	})

	t.Run("print", func(t *testing.T) {
		var pdf []byte
		err := chromedp.Run(ctx, chromedp.Navigate(s.base+"/"), chromedp.ActionFunc(func(ctx context.Context) (err error) {
			pdf, _, err = page.PrintToPDF().WithPaperWidth(8.27).WithPaperHeight(11.69).Do(ctx)
			return err
		}))
		if err != nil || len(pdf) < 10_000 {
			t.Errorf("%d bytes of PDF, %v", len(pdf), err)
		}
		if shots != "" {
			os.WriteFile(filepath.Join(shots, "now.pdf"), pdf, 0o644)
		}
	})

	t.Run("script off", func(t *testing.T) {
		// The same content, by links and forms alone.
		text := map[string]string{}
		for _, off := range []bool{false, true} {
			if err := chromedp.Run(ctx, emulation.SetScriptExecutionDisabled(off)); err != nil {
				t.Fatal(err)
			}
			names := slices.Collect(func(yield func(string) bool) {
				for name := range screens {
					if !yield(name) {
						return
					}
				}
			})
			slices.Sort(names)
			for _, name := range names {
				var main string
				if err := chromedp.Run(ctx, chromedp.Navigate(s.base+screens[name]), chromedp.WaitReady("footer"), chromedp.TextContent("main", &main)); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				main = regexp.MustCompile(`\d+ (s|min|h|d)`).ReplaceAllString(main, "…")
				if off && (main != text[name] || len(main) < 100) {
					at := 0
					for at < min(len(main), len(text[name])) && main[at] == text[name][at] {
						at++
					}
					t.Errorf("%s has other text without scripts: %.80q, with %.80q", name, main[at:], text[name][at:])
				}
				text[name] = main
			}
		}
		var at string
		err := chromedp.Run(ctx, chromedp.Navigate(s.base+"/"), chromedp.Click(".incident .heading a"), chromedp.WaitVisible("#evidence td.name a"), chromedp.Click("#evidence td.name a"), chromedp.WaitVisible("pre.log"),
			chromedp.SetValue("#q", "nobody@x.example"), chromedp.Submit("#q"), chromedp.WaitVisible(".note"), chromedp.Location(&at))
		if err != nil || !strings.Contains(at, "/trace?q=nobody") {
			t.Errorf("at %s, %v", at, err)
		}
		chromedp.Run(ctx, emulation.SetScriptExecutionDisabled(false))
	})
}
