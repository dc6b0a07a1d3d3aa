//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// axe-core 4.14.1 (MPL-2.0, testdata/axe-core/LICENSE): axe.min.js of the package axe-core of
// npm, compressed. It is used by this test only.
//
//go:embed testdata/axe-core/axe.min.js.gz
var axeCompressed []byte

const axeSum = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c" // SHA-256 of axe.min.js

func axe(t *testing.T) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(axeCompressed))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != axeSum {
		t.Fatalf("axe.min.js has the checksum %x", sum)
	}
	return string(raw)
}

// TestPage opens the report's page in Debian's Chromium, in two widths, light and dark:
// it asks nothing of anybody, holds no script, needs no scrolling sideways, and axe-core
// finds nothing that keeps anybody from reading it.
func TestPage(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no chromium: apt-get install chromium")
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	output(t, program(t, "bench/genlog"), "-bytes", "8M", "-rate", "600", "-incident-at", "0.7", "-incident-length", "0.25", "-start", "2026-11-14T00:00:00Z", "-o", log)
	pages := map[string]string{}
	for name, args := range map[string][]string{
		"going on":    {"--since", "2026-11-16", "--until", "2026-11-19T12:00", log},
		"sample logs": {"../testdata/postfix-rfc3164.log", "../testdata/exim-all.log"},
		"one section": {"--section", "timeline", log},
		"nothing":     {"--domain", "nobody.example", log},
	} {
		pages[name] = filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".html")
		output(t, program(t, "cmd/bouncelog"), append([]string{"report", "--config", os.DevNull, "--tz", "UTC", "--year", "2026", "-o", pages[name]}, args...)...)
	}

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.UserDataDir(filepath.Join(dir, "profile")))
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	defer cancel()
	chrome, cancel := chromedp.NewContext(allocator)
	defer cancel()
	if err := chromedp.Do(chrome); err != nil { // it starts once, for all
		t.Fatal(err)
	}
	script := axe(t)
	for name, page := range pages {
		for _, width := range []int64{390, 1440} {
			for _, scheme := range []string{"light", "dark"} {
				t.Run(fmt.Sprintf("%s/%d/%s", name, width, scheme), func(t *testing.T) { openPage(t, chrome, page, width, scheme, script) })
			}
		}
	}
}

func openPage(t *testing.T, chrome context.Context, page string, width int64, scheme, script string) {
	tab, cancel := chromedp.NewContext(chrome)
	defer cancel()
	tab, cancel = context.WithTimeout(tab, time.Minute)
	defer cancel()
	var mu sync.Mutex
	var asked []string
	if err := chromedp.Listen(tab, func(event any) {
		if e, ok := event.(*network.EventRequestWillBeSent); ok {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, e.Request.URL)
		}
	}); err != nil {
		t.Fatal(err)
	}
	url := "file://" + page
	dark := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
	if err := chromedp.Do(tab, chromedp.EmulateViewport(width, 900), dark, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	scripts := evaluate[int](t, tab, `document.scripts.length`)
	// A style attribute or a handler would need an exception in a Content-Security-Policy.
	acting := evaluate[int](t, tab, `[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name === 'style' || a.name.startsWith('on'))).length`)
	evaluate[chromedp.Void](t, tab, `document.querySelectorAll('details').forEach(d => d.open = true)`)
	wide := evaluate[[]string](t, tab, `[document.documentElement, ...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.tagName + ' ' + e.scrollWidth + ' > ' + e.clientWidth + ' ' + e.textContent.slice(0, 60))`)
	evaluate[chromedp.Void](t, tab, script)
	violations := evaluate[[]string](t, tab, `axe.run(document).then(r => r.violations.map(v => v.id + ': ' + v.help + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200)).join(' | ')))`, chromedp.EvalAwaitPromise)
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 1 || asked[0] != url {
		t.Errorf("requests: %q", asked)
	}
	if scripts > 0 || acting > 0 {
		t.Errorf("%d scripts, %d elements with a style or a handler", scripts, acting)
	}
	for _, w := range wide {
		t.Errorf("sideways scrolling: %s", w)
	}
	for _, v := range violations {
		t.Errorf("axe-core: %s", v)
	}
}

// evaluate is the value of an expression in the page.
func evaluate[T any](t *testing.T, tab context.Context, expression string, o ...chromedp.EvaluateOption) T {
	t.Helper()
	v, err := chromedp.Run(tab, chromedp.Evaluate[T](expression, o...))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
