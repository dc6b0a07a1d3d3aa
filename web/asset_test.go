package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestVendor holds that third-party files match static/VENDOR, that no other file is minified, and
// that each third-party file has its licence beside it.
func TestVendor(t *testing.T) {
	raw, err := os.ReadFile("static/VENDOR")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 6 {
			t.Fatalf("%q has %d fields", line, len(fields))
		}
		content, err := os.ReadFile(filepath.Join("static", fields[0]))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != fields[5] {
			t.Errorf("%s has the checksum %x", fields[0], sum)
		}
		if _, err := os.Stat(filepath.Join("static", strings.TrimSuffix(fields[1], ".org")+".LICENSE")); err != nil {
			t.Error(err)
		}
		listed[fields[0]] = true
	}
	scripts, err := filepath.Glob("static/*.min.js")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	for _, s := range scripts {
		if !listed[filepath.Base(s)] {
			t.Errorf("%s is not listed", s)
		}
	}
}

// TestAssets holds that a page's files exist, with names from their content, and that no page has
// an inline script, style or event handler.
func TestAssets(t *testing.T) {
	s := dashboard(t, database(t, sample()), nil)
	page := text(t, ask(s, "GET", "/", "Accept", "text/html"))
	found := regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(found) < 5 {
		t.Errorf("the page loads %d files", len(found))
	}
	for _, m := range found {
		res := ask(s, "GET", m[1])
		if res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || res.Header.Get("Content-Type") == "" {
			t.Errorf("%s: status %d, %s", m[1], res.StatusCode, res.Header)
		}
	}
	for _, bad := range []string{"<style", " style=", " onclick=", " onload=", "javascript:", "ZgotmplZ", "http://"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if n := len(page); n > 60_000 {
		t.Errorf("the first page has %d bytes", n)
	}
}
