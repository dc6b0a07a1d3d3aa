package notify

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func testHook(t *testing.T, answer http.HandlerFunc) *Webhook {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	header, err := ParseHeader("# who asks\nAuthorization: Bearer s3cret\n\n")
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewWebhook(server.URL+"/services/T0/secretpath", header, "bouncelog/test")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestWebhook holds the form of a request.
func TestWebhook(t *testing.T) {
	e := NewTest("mx1.example", time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC))
	h := testHook(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var got Event
		if err == nil {
			err = json.Unmarshal(body, &got)
		}
		if err != nil || got.Kind != Test || got.ID != e.ID || got.Version != 1 || got.Host != "mx1.example" {
			t.Errorf("%s, %v", body, err)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "User-Agent": "bouncelog/test", "Authorization": "Bearer s3cret", "Idempotency-Key": e.ID,
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if r.Method != http.MethodPost {
			t.Error(r.Method)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := h.Send(t.Context(), e); err != nil {
		t.Error(err)
	}
	if strings.Contains(h.String()+h.ID(), "secret") {
		t.Errorf("%s and %s give the path away", h.String(), h.ID())
	}
}

// TestWebhookFails holds that each kind of failure yields an error that describes it, without the
// URL.
func TestWebhookFails(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, "500"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "307"},
		"broken": {func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			c.Write([]byte("\x1b[31mno HTTP\r\n"))
			c.Close()
		}, ""},
	} {
		h := testHook(t, test.answer)
		err := h.Send(t.Context(), NewTest("mx1", time.Now()))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A server that hangs is abandoned after the timeout.
	release := make(chan struct{})
	asked := make(chan struct{}, 1)
	h := testHook(t, func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if err := h.Send(ctx, NewTest("mx1", time.Now())); err == nil {
		t.Error("who hangs was told")
	}
	close(release)
	// An endless response is not read to its end.
	h = testHook(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	if err := h.Send(t.Context(), NewTest("mx1", time.Now())); err != nil {
		t.Error(err)
	}
}

func TestNewWebhook(t *testing.T) {
	for _, address := range []string{"", "http://", "https:///x", "ftp://x/y", "https://user:secret@x.example/", "http://x example/secret", "http://x.example/%zzsecret", "javascript:alert(1)"} {
		if _, err := NewWebhook(address, nil, ""); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, text := range []string{"x", "A B: c", ": x"} {
		if _, err := ParseHeader(text); err == nil {
			t.Errorf("%q is taken for a header", text)
		}
	}
}
