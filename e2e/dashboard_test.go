//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"bouncelog/internal/chnode"
	"bouncelog/internal/hostile"
)

// A site is a dashboard that is served.
type site struct {
	base   string // http://127.0.0.1:port
	client *http.Client
	cookie *http.Cookie
	db     string
	log    string
}

// serveDashboard makes a log that ends now while an incident goes on, imports it and serves
// it.
func serveDashboard(t *testing.T) *site {
	t.Helper()
	s := &site{db: filepath.Join(t.TempDir(), "test.db"), log: logUntilNow(t)}
	bin := program(t, "cmd/bouncelog")
	output(t, bin, "import", "--db", s.db, s.log)
	s.serve(t, bin, "--period", "7d")
	return s
}

// logUntilNow makes that log.
func logUntilNow(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mail.log")
	// How long a log of so many lines is depends on the time of day: it is made too long, and
	// cut where it reaches the present.
	now := time.Now().UTC()
	raw := output(t, program(t, "bench/genlog"), "-rate", "12000", "-start", now.Add(-18*time.Hour).Format(time.RFC3339), "-lines", "160000", "-noise", "0.2", "-timestamp", "rfc3339", "-domains", "300",
		"-recipients", "6000", "-senders", "60", "-incident-at", "0.3", "-incident-length", "0.7", "-o", "-")
	lines := bytes.SplitAfter(raw, []byte("\n"))
	stamp := []byte(now.Format("2006-01-02T15:04:05"))
	n := slices.IndexFunc(lines, func(line []byte) bool { return bytes.Compare(line, stamp) >= 0 })
	if n < 0 {
		t.Fatalf("the log ends before %s", stamp)
	}
	if err := os.WriteFile(path, bytes.Join(lines[:n], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
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
	if status, _ := s.get(t, "/log?token="+m[2]); status != http.StatusOK {
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
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// A witness hears what a page complains of and whom it asks.
type witness struct {
	mu     sync.Mutex
	faults []string
	page   network.RequestID // of the page that was asked for last
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

// received is the HTML of the page, as it came.
func (w *witness) received(ctx context.Context) (string, error) {
	w.mu.Lock()
	id := w.page
	w.mu.Unlock()
	got, err := chromedp.Call(ctx, network.GetResponseBody, network.GetResponseBodyParams{RequestID: id})
	if err != nil {
		return "", err
	}
	return string(got.Body), nil
}

func (w *witness) listen(ctx context.Context) error {
	return chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
				w.say("console: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
				w.say("console: %s", e.Args[0].Value)
			}
		case *runtime.EventExceptionThrown:
			w.say("exception: %s", e.ExceptionDetails.Text)
		case *network.EventRequestWillBeSent:
			if e.Type == network.ResourceTypeDocument {
				w.mu.Lock()
				w.page = e.RequestID
				w.mu.Unlock()
			}
			if u := e.Request.URL; !strings.HasPrefix(u, w.base+"/") && !strings.HasPrefix(u, "data:") && u != "about:blank" {
				w.say("a request to %s", u)
			}
		}
	})
}

// login gives the browser the cookie.
func (s *site) login(ctx context.Context) error {
	_, logErr := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	_, runtimeErr := chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
	_, networkErr := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	only := true
	_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: s.cookie.Name, Value: s.cookie.Value, URL: s.base + "/", HTTPOnly: &only, SameSite: network.CookieSameSiteStrict})
	return errors.Join(logErr, runtimeErr, networkErr, err)
}

// look is how the screen is: its width, and light or dark.
func look(ctx context.Context, width int64, scheme string) error {
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	return errors.Join(err, chromedp.Do(ctx, chromedp.EmulateViewport(width, 900)))
}

// text is what an element shows.
func text(t *testing.T, ctx context.Context, selector string) string {
	t.Helper()
	return evaluate[string](t, ctx, fmt.Sprintf("document.querySelector(%q).textContent", selector))
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

// inspect holds that the page that is open fits its width, complains of nothing, asks nobody
// else, and that axe-core finds nothing.
func inspect(t *testing.T, ctx context.Context, w *witness, name, source string) {
	t.Helper()
	if sideways := evaluate[int](t, ctx, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); sideways > 0 {
		t.Errorf("%s scrolls sideways by %d pixels", name, sideways)
	}
	evaluate[int](t, ctx, source+"; 0")
	for _, v := range evaluate[[]string](t, ctx, `axe.run().then(r => r.violations.map(v => v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map(n => n.html).join(" ")))`, chromedp.EvalAwaitPromise) {
		t.Errorf("%s: axe: %.600s", name, v)
	}
	still(t, ctx, name)
	for _, f := range w.take() {
		t.Errorf("%s: %s", name, f)
	}
}

// still holds that nothing has moved since the page that is open was drawn first.
func still(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	// In parts of the screen (Cumulative Layout Shift).
	shift := evaluate[struct {
		Sum   float64
		Moved []string
	}](t, ctx, `new Promise(done => { let sum = 0, moved = []; new PerformanceObserver(l => l.getEntries().forEach(e => { sum += e.value; e.sources.forEach(s => moved.push((s.node && s.node.outerHTML || s.node && s.node.textContent || "").slice(0, 80) + " " + s.previousRect.y + " to " + s.currentRect.y)) })).observe({type: "layout-shift", buffered: true}); requestAnimationFrame(() => requestAnimationFrame(() => done({sum, moved}))) })`, chromedp.EvalAwaitPromise)
	if shift.Sum > 0.001 { // a figure that is renewed moves those beside it by 0.0001
		t.Errorf("%s: moves by %.4f while it loads: %q", name, shift.Sum, shift.Moved)
	}
}

// shoot takes a picture of the page that is open, where DASHBOARD_SHOTS names a directory.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	shots := os.Getenv("DASHBOARD_SHOTS")
	if shots == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(shots, name+".png"), picture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDashboardTexts looks at the screens of a log of hostile texts, and at those of an empty one.
func TestDashboardTexts(t *testing.T) {
	source := axe(t)
	ctx := browser(t)
	w := &witness{}
	if err := w.listen(ctx); err != nil {
		t.Fatal(err)
	}
	var texts strings.Builder
	for i, s := range hostile.Texts {
		texts.WriteString(hostile.Lines(i, s))
	}
	bin := program(t, "cmd/bouncelog")
	for name, log := range map[string]string{"hostile": texts.String(), "empty": ""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := &site{db: filepath.Join(dir, "test.db"), log: filepath.Join(dir, "mail.log")}
			if err := os.WriteFile(s.log, []byte(log), 0o600); err != nil {
				t.Fatal(err)
			}
			output(t, bin, "import", "--config", os.DevNull, "--db", s.db, s.log)
			s.serve(t, bin, "--config", os.DevNull, "--period", "all")
			w.base = s.base
			if err := s.login(ctx); err != nil {
				t.Fatal(err)
			}
			screens := []string{"/", "/incidents", "/providers", "/domains", "/queue", "/trace", "/replies", "/senders", "/suppress", "/tls", "/log", "/attempts"}
			if log != "" {
				screens = append(screens, s.first(t, "/providers", `^/providers/`), s.first(t, "/domains", `^/domains/`), s.first(t, "/attempts", `^/attempts/`), s.first(t, "/attempts", `^/trace`))
			}
			for _, width := range []int64{390, 1440} {
				if err := look(ctx, width, "light"); err != nil {
					t.Fatal(err)
				}
				for i, path := range screens {
					w.take()
					within, cancel := context.WithTimeout(ctx, time.Minute)
					err := chromedp.Do(within, chromedp.Navigate(s.base+path), chromedp.WaitReady("footer"))
					cancel()
					if err != nil {
						t.Fatal(err)
					}
					inspect(t, ctx, w, path, source)
					shoot(t, ctx, fmt.Sprintf("%s-%d-%d", name, width, i))
				}
			}
		})
	}
}

// TestDashboard looks at every screen as a browser does.
func TestDashboard(t *testing.T) {
	s := serveDashboard(t)
	source := axe(t)
	ctx := browser(t)
	w := &witness{base: s.base}
	if err := errors.Join(w.listen(ctx), s.login(ctx)); err != nil {
		t.Fatal(err)
	}
	do := func(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		within, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := chromedp.Do(within, steps...); err != nil {
			t.Fatal(err)
		}
	}
	open := func(t *testing.T, path string) {
		t.Helper()
		do(t, chromedp.Navigate(s.base+path), chromedp.WaitReady("footer"))
	}
	at := func(t *testing.T) string { t.Helper(); return evaluate[string](t, ctx, "location.href") }
	screens := s.screens(t)
	names := slices.Sorted(maps.Keys(screens))
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{390, 1440} {
			t.Run(fmt.Sprintf("%s-%d", scheme, width), func(t *testing.T) {
				if err := look(ctx, width, scheme); err != nil {
					t.Fatal(err)
				}
				for _, name := range names {
					w.take()
					open(t, screens[name])
					inspect(t, ctx, w, name+" ("+screens[name]+")", source)
					shoot(t, ctx, fmt.Sprintf("%s-%d-%s", scheme, width, name))
				}
			})
		}
	}

	t.Run("slow line", func(t *testing.T) {
		// A page that arrives in pieces is drawn once it is whole.
		throttle := func(limits ...*network.Conditions) {
			if _, err := chromedp.Call(ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: limits}); err != nil {
				t.Fatal(err)
			}
		}
		throttle(&network.Conditions{DownloadThroughput: 60_000, UploadThroughput: -1})
		defer throttle()
		for _, name := range names {
			open(t, screens[name])
			still(t, ctx, name+" ("+screens[name]+")")
		}
	})

	t.Run("walk", func(t *testing.T) {
		// From the verdict to the log line in three steps: the page, the incident, its
		// evidence.
		open(t, "/")
		if verdict := text(t, ctx, "h1"); !strings.Contains(verdict, "going on") {
			t.Errorf("the verdict is %q", verdict)
		}
		do(t, chromedp.Click(".incident .heading a"), chromedp.WaitVisible("#evidence td.name a"), chromedp.Click("#evidence td.name a"), chromedp.WaitVisible("pre.log"))
		line := strings.TrimSpace(text(t, ctx, "pre.log"))
		raw, err := os.ReadFile(s.log)
		if err != nil {
			t.Fatal(err)
		}
		if line == "" || !bytes.Contains(raw, []byte(line+"\n")) || !strings.Contains(line, "status=") {
			t.Errorf("the log line shown is %q", line)
		}
	})

	t.Run("tasks", func(t *testing.T) {
		// Three questions of a postmaster, each in at most three clicks or words typed.
		open(t, "/")
		do(t, chromedp.Click(`//nav[@aria-label="Period"]//a[.="24 h"]`), chromedp.WaitVisible(`//a[@aria-current="true"][.="24 h"]`),
			chromedp.Click(`//section[@id="providers"]//td//a[contains(., "outlook.com")]`), chromedp.WaitVisible("#sender_domains td.name a"),
			chromedp.Click("#sender_domains td.name a"), chromedp.WaitVisible(".page-provider .filters"))
		if got, replies := at(t), text(t, ctx, "#replies"); !strings.Contains(got, "sender-domain=") || !strings.Contains(replies, "auth_failure") {
			t.Errorf("why mail of a sender domain is refused by a provider: at %s: %.300s", got, replies)
		}
		open(t, "/")
		address := strings.Split(screens["trace"], "q=")[1]
		address, _, _ = strings.Cut(strings.ReplaceAll(address, "%40", "@"), "&")
		do(t, chromedp.SendKeys("#q", address+kb.Enter), chromedp.WaitVisible(".page-trace #attempts"))
		if got := text(t, ctx, "h1"); !strings.HasPrefix(got, "Last message to "+address) {
			t.Errorf("whether mail to %s goes through: %q", address, got)
		}
		do(t, chromedp.Click(`nav a[data-key="w"]`), chromedp.WaitVisible(".page-queue #recipients"))
		if got := text(t, ctx, ".fresh"); !strings.Contains(got, "First given up 20") {
			t.Errorf("when what is stuck is lost: %q", got)
		}
	})

	t.Run("keys", func(t *testing.T) {
		press := func(keys ...string) {
			t.Helper()
			pressed := input.TimeSinceEpoch(float64(time.Now().UnixMilli()) / 1000)
			for _, k := range keys {
				if len(k) != 1 || k[0] < ' ' {
					do(t, chromedp.KeyEvent(k))
					continue
				}
				// As a keyboard does: the character comes of the key, unless the page takes it.
				// All keys of one call at one moment: no load of the machine parts them.
				_, down := chromedp.Call(ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: k, Text: k, Timestamp: pressed})
				_, up := chromedp.Call(ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: k, Timestamp: pressed})
				if err := errors.Join(down, up); err != nil {
					t.Fatal(err)
				}
			}
		}
		// The page that a key leads to: it is loaded, and listens.
		arrives := func(want string) {
			t.Helper()
			within, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			for {
				got, err := chromedp.Run(within, chromedp.Evaluate[string](`document.readyState === "complete" ? location.href : ""`))
				if err == nil && strings.Contains(got, want) {
					return
				}
				if within.Err() != nil {
					t.Fatalf("at %s, not at %s", got, want)
				}
			}
		}
		open(t, "/")
		// All of it without a mouse: the incident, its evidence, a search, each screen.
		press("j", kb.Enter)
		arrives("/incidents/")
		press("j", kb.Enter)
		arrives("/attempts/")
		press("/")
		if id := evaluate[string](t, ctx, "document.activeElement.id"); id != "q" {
			t.Fatalf("/ leads to %q", id)
		}
		press(strings.Split("nobody@x.example", "")...)
		press(kb.Enter)
		arrives("/trace?q=nobody%40x.example")
		for key, path := range map[string]string{"i": "/incidents", "p": "/providers", "d": "/domains", "w": "/queue", "r": "/replies", "s": "/senders", "u": "/suppress", "t": "/tls", "l": "/log"} {
			press("g", key)
			arrives(path)
		}
		press("?")
		if !evaluate[bool](t, ctx, `document.getElementById("keys").open`) {
			t.Error("? shows no keys")
		}
		press(kb.Escape)
		if evaluate[bool](t, ctx, `document.getElementById("keys").open`) {
			t.Error("Escape leaves the keys open")
		}
		if missed := evaluate[string](t, ctx, `Array.from(document.querySelectorAll("a[href], button, input")).filter(x => x.tabIndex < 0).map(x => x.outerHTML).join()`); missed != "" {
			t.Errorf("out of reach of the keyboard: %s", missed)
		}
	})

	t.Run("back", func(t *testing.T) {
		open(t, "/providers?since=7d")
		do(t, chromedp.Click("#providers td.name a"), chromedp.WaitVisible("#relays"), chromedp.NavigateBack(), chromedp.WaitVisible("#providers"))
		if got := at(t); got != s.base+"/providers?since=7d" {
			t.Errorf("back at %s", got)
		}
	})

	t.Run("commands", func(t *testing.T) {
		// The command that a screen names says the same.
		for _, c := range []struct{ screen, shown, said string }{
			{"now", "facts.attempts", "totals.attempts"},
			{"now", "verdict.sentence", "verdict.sentence"},
			{"incidents", "tables.incidents.messages", "problems.messages"},
			{"providers", "tables.providers.attempts", "provider_table.rows.attempts"},
			{"providers", "tables.providers.refused", "provider_table.rows.refused"},
			{"domains", "tables.domains.attempts", "domains.attempts"},
			{"domain", "facts.hard.value", "totals.hard"},
			{"queue", "tables.recipients.queue_id", "pending.queue_id"},
			{"replies", "tables.reasons.hard", "reasons.hard"},
			{"senders", "tables.sender_domains.delivered", "groups.delivered"},
			{"suppress", "tables.suppress.recipient", "suppress.recipient"},
			{"suppress", "tables.spared.recipient", "spared.recipient"},
			{"log", "facts.queue.value", "unparsed.queue"},
			{"attempts", "tables.attempts.queue_id", "queue_id"},
			{"trace", "tables.attempts.queue_id", "queue_id"},
			{"tls", "tables.encryption.provider", "nothing"},
		} {
			path, query, _ := strings.Cut(screens[c.screen], "?")
			if path == "/" {
				path = "/now"
			}
			_, body := s.get(t, path+".json?"+query)
			page := object(t, []byte(body))
			command := strings.Join(fields(page, "command"), "")
			shell := exec.Command("sh", "-c", command+" --format json")
			shell.Env = append(os.Environ(), "PATH="+filepath.Dir(program(t, "cmd/bouncelog"))+":"+os.Getenv("PATH"), "BOUNCELOG_DB="+s.db, "BOUNCELOG_CONFIG="+os.DevNull)
			shell.Stderr = os.Stderr
			out, err := shell.Output()
			if err != nil {
				t.Errorf("%s: %s: %v", c.screen, command, err)
				continue
			}
			shown, said := fields(page, c.shown), fields(object(t, out), c.said)
			if !slices.Equal(shown, said) || len(shown) == 0 && c.screen != "tls" {
				t.Errorf("%s: %s: %d values %.200q, and %d on the page %.200q", c.screen, command, len(said), said, len(shown), shown)
			}
		}
	})

	t.Run("print", func(t *testing.T) {
		// Every screen fits the paper: A4 within the margins of the style sheet.
		defer look(ctx, 1440, "light")
		for _, name := range names {
			open(t, screens[name])
			_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
			if err := errors.Join(err, chromedp.Do(ctx, chromedp.EmulateViewport(688, 900))); err != nil {
				t.Fatal(err)
			}
			if wide := evaluate[[]string](t, ctx, `[...document.querySelectorAll("body *")].filter(e => e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".unseen")).slice(0, 3).map(e => e.outerHTML.slice(0, 200))`); len(wide) > 0 {
				t.Errorf("%s is cut on paper: %q", name, wide)
			}
			pdf, err := chromedp.Run(ctx, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4)))
			if err != nil || len(pdf) < 10_000 {
				t.Errorf("%s: %d bytes of PDF, %v", name, len(pdf), err)
			}
			if shots := os.Getenv("DASHBOARD_SHOTS"); shots != "" {
				os.WriteFile(filepath.Join(shots, name+".pdf"), pdf, 0o644)
			}
		}
	})

	t.Run("without scripts", func(t *testing.T) {
		// What a page shows is what the server sent: scripts add nothing to it. The same page
		// asked for twice would not do, since its figures and ages move on.
		for _, name := range names {
			// One that is older than a minute would be exchanged.
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+screens[name], nil)
			r.Header.Set("HX-Request", "true")
			if res, err := s.client.Do(r); err != nil {
				t.Fatal(err)
			} else {
				res.Body.Close()
			}
			open(t, screens[name])
			sent, err := w.received(ctx)
			if err != nil {
				t.Fatal(err)
			}
			const textOf = `.querySelector("main").textContent`
			shown := evaluate[string](t, ctx, "document"+textOf)
			plain := evaluate[string](t, ctx, fmt.Sprintf(`new DOMParser().parseFromString(%s, "text/html")`, literal(sent))+textOf)
			if shown != plain || len(plain) < 100 {
				from := 0
				for from < min(len(shown), len(plain)) && shown[from] == plain[from] {
					from++
				}
				t.Errorf("%s shows %.80q, and was sent as %.80q", name, shown[from:], plain[from:])
			}
		}
		// By links and forms alone, from the verdict to the log line, and to a search.
		if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
			t.Fatal(err)
		}
		defer chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{})
		open(t, "/")
		do(t, chromedp.Click(".incident .heading a"), chromedp.WaitVisible("#evidence td.name a"), chromedp.Click("#evidence td.name a"), chromedp.WaitVisible("pre.log"),
			chromedp.SendKeys("#q", "nobody@x.example"+kb.Enter), chromedp.WaitVisible(".note"))
		where, err := chromedp.Run(ctx, chromedp.Location())
		if err != nil || !strings.Contains(where, "/trace?q=nobody") {
			t.Errorf("at %s, %v", where, err)
		}
	})

	t.Run("live", func(t *testing.T) {
		// Something is stored: the page shows it by itself, and stays where it is.
		open(t, "/log")
		before := text(t, ctx, ".figures .n")
		more := filepath.Join(t.TempDir(), "more.log")
		line := time.Now().UTC().Format(time.RFC3339) + " mx9 postfix/smtp[1]: 4A1B2C3D4E: to=<live@rcpt.example>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))\n"
		if err := os.WriteFile(more, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		output(t, program(t, "cmd/bouncelog"), "import", "--db", s.db, more)
		within, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := chromedp.Run(within, chromedp.Poll[bool](fmt.Sprintf(`document.querySelector(".figures .n").textContent !== %q`, before))); err != nil {
			t.Errorf("the figure is still %q: %v", before, err)
		}
		if got := at(t); got != s.base+"/log" {
			t.Errorf("the page is at %s", got)
		}
		for _, f := range w.take() {
			if !strings.Contains(f, "net::ERR_ABORTED") { // the streams of the pages before
				t.Error(f)
			}
		}
	})
}

// TestDashboardFleet looks at every screen of a dashboard over ClickHouse as a browser does, and
// holds that each has the rows and numbers that it has over SQLite.
func TestDashboardFleet(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	bin, log := program(t, "cmd/bouncelog"), logUntilNow(t)
	var sites []*site
	for _, db := range []string{"clickhouse://" + node.Address() + "/dashboard", filepath.Join(t.TempDir(), "test.db")} {
		s := &site{db: db, log: log}
		output(t, bin, "import", "--config", os.DevNull, "--agent", "mx1", "--db", db, log)
		s.serve(t, bin, "--config", os.DevNull, "--period", "7d")
		sites = append(sites, s)
	}
	s, other := sites[0], sites[1]
	screens := s.screens(t)
	names := slices.Sorted(maps.Keys(screens))
	t.Run("numbers", func(t *testing.T) {
		for _, name := range names {
			path, query, _ := strings.Cut(screens[name], "?")
			if path == "/" {
				path = "/now"
			}
			var answers [2]string
			for i, x := range []*site{s, other} {
				status, body := x.get(t, path+".json?"+query)
				if status != http.StatusOK {
					t.Fatalf("%s: status %d, %.300s", path, status, body)
				}
				answers[i] = ageing.ReplaceAllString(body, "")
			}
			if diff := cmp.Diff(strings.Split(answers[1], "\n"), strings.Split(answers[0], "\n")); diff != "" {
				t.Errorf("%s (-SQLite +ClickHouse):\n%.3000s", name, diff)
			}
		}
	})
	source, ctx, w := axe(t), browser(t), &witness{base: s.base}
	if err := errors.Join(w.listen(ctx), s.login(ctx)); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int64{390, 1440} {
		if err := look(ctx, width, "light"); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			w.take()
			within, cancel := context.WithTimeout(ctx, 2*time.Minute)
			err := chromedp.Do(within, chromedp.Navigate(s.base+screens[name]), chromedp.WaitReady("footer"))
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			inspect(t, ctx, w, name+" ("+screens[name]+")", source)
			shoot(t, ctx, fmt.Sprintf("fleet-%d-%s", width, name))
		}
	}
}

// ageing is what two dashboards show of their own moment; and what a message's arrival, exact to a
// second, goes into.
var ageing = regexp.MustCompile(`(?m)^ {4}"(since|until)": .*\n|^ *"(as_of|command|age|age_seconds|oldest|last_line|given_up|first_given_up)": .*\n|^ *"note": ".* ago"\n`)

// object reads JSON, of one value or of one a line.
func object(t *testing.T, raw []byte) (value any) {
	t.Helper()
	var all []any
	for d := json.NewDecoder(bytes.NewReader(raw)); ; {
		var one any
		if err := d.Decode(&one); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v: %.200s", err, raw)
		}
		all = append(all, one)
	}
	if len(all) == 1 {
		return all[0]
	}
	return all
}

// fields are the values at a path of keys, of all elements of lists on the way, sorted.
func fields(value any, path string) (list []string) {
	switch x := value.(type) {
	case []any:
		for _, one := range x {
			list = append(list, fields(one, path)...)
		}
		slices.Sort(list)
	case map[string]any:
		key, rest, _ := strings.Cut(path, ".")
		if one, ok := x[key]; ok {
			return fields(one, rest)
		}
	case nil:
	default:
		list = []string{fmt.Sprint(x)}
	}
	return list
}

// literal is a text as an expression of JavaScript.
func literal(s string) string {
	raw, _ := json.Marshal(s) // never fails for a string
	return string(raw)
}

// TestTabs measures what the dashboard takes from 'bouncelog follow': its processor time
// for the same lines, and how late it stores them, with ten tabs open (a stream of events
// each, and a page every five seconds) and with none. BOUNCELOG_TABS="2000 60s 3" is lines
// a second, for how long, and how often; BOUNCELOG_WEB_DB names a database to begin with.
func TestTabs(t *testing.T) {
	var messages, rounds int
	var lasts string
	if _, err := fmt.Sscan(os.Getenv("BOUNCELOG_TABS"), &messages, &lasts, &rounds); err != nil {
		t.Skip("BOUNCELOG_TABS is not set")
	}
	length, err := time.ParseDuration(lasts)
	if err != nil {
		t.Fatal(err)
	}
	messages = int(float64(messages) * length.Seconds() / 4) // of four lines each
	least := map[int]time.Duration{}
	for range rounds {
		for _, tabs := range []int{0, 10} {
			took, late := followed(t, tabs, messages, length)
			t.Logf("%2d tabs: follow took a processor for %.2f s; lines were %.2f s late in the mean, %.2f s at most", tabs, took.Seconds(), mean(late).Seconds(), slices.Max(late).Seconds())
			if was, ok := least[tabs]; !ok || took < was {
				least[tabs] = took
			}
		}
	}
	t.Logf("%d lines: %.2f s without tabs, %.2f s with ten: %+.1f %%", 4*messages, least[0].Seconds(), least[10].Seconds(), 100*(least[10].Seconds()/least[0].Seconds()-1))
}

func mean(list []time.Duration) (sum time.Duration) {
	for _, d := range list {
		sum += d
	}
	return sum / time.Duration(len(list))
}

// followed follows a log that grows by so many messages, with so many tabs open, and returns
// the processor time of 'bouncelog follow' and how late its lines were, looked at four times
// a second.
func followed(t *testing.T, tabs, messages int, length time.Duration) (took time.Duration, late []time.Duration) {
	dir := t.TempDir()
	bin, logName := program(t, "cmd/bouncelog"), filepath.Join(dir, "mail.log")
	s := &site{db: filepath.Join(dir, "test.db"), log: logName}
	if from := os.Getenv("BOUNCELOG_WEB_DB"); from != "" {
		output(t, "cp", from, s.db)
	} else {
		output(t, bin, "import", "--config", os.DevNull, "--db", s.db, "../testdata/postfix-rfc3164.log")
	}
	f, err := os.Create(logName)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	follow := exec.Command(bin, "follow", "--config", os.DevNull, "--db", s.db, logName)
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	defer follow.Process.Kill()
	look, err := sql.Open("sqlite3", "file:"+s.db+"?mode=ro&_busy_timeout=5000")
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close()
	ctx, stop := context.WithCancel(t.Context())
	var open sync.WaitGroup
	if tabs > 0 {
		s.serve(t, bin, "--config", os.DevNull, "--period", "7d")
	}
	for i := range tabs {
		open.Go(func() {
			ask := func(path string) {
				r, _ := http.NewRequestWithContext(ctx, "GET", s.base+path, nil)
				r.AddCookie(s.cookie)
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					return // it is over
				}
				defer res.Body.Close()
				io.Copy(io.Discard, res.Body)
			}
			open.Go(func() { ask("/events") })
			for next := time.NewTicker(5 * time.Second); ; {
				ask([]string{"/", "/incidents", "/providers", "/domains", "/queue", "/replies", "/senders", "/tls", "/log", "/attempts"}[i])
				select {
				case <-next.C:
				case <-ctx.Done():
					next.Stop()
					return
				}
			}
		})
	}
	type mark struct {
		end int64
		at  time.Time
	}
	var marks []mark
	var end, stored int64
	n, began := 0, time.Now()
	for step := 0; n < messages || stored < end; step++ {
		for due := int(time.Since(began).Seconds() / length.Seconds() * float64(messages)); n < min(due, messages); n++ {
			k, err := loadLines(f, n, began)
			if err != nil {
				t.Fatal(err)
			}
			end += int64(k)
		}
		marks = append(marks, mark{end, time.Now()})
		if step%10 == 9 {
			if err := look.QueryRow("SELECT coalesce(max(offset), 0) FROM sources WHERE path = ?", logName).Scan(&stored); err != nil {
				t.Fatal(err)
			}
			marks = slices.DeleteFunc(marks, func(m mark) bool { return m.end <= stored })
			late = append(late, 0)
			if len(marks) > 0 {
				late[len(late)-1] = time.Since(marks[0].at)
			}
		}
		<-time.After(25 * time.Millisecond)
	}
	stop()
	open.Wait()
	if err := errors.Join(follow.Process.Signal(os.Interrupt), follow.Wait()); err != nil {
		t.Fatal(err)
	}
	return follow.ProcessState.UserTime() + follow.ProcessState.SystemTime(), late
}
