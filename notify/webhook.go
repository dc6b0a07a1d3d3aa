package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"bouncelog/internal/table"
)

// A Webhook is a URL to which events are posted, as JSON (RFC 8259).
type Webhook struct {
	url    *url.URL
	header http.Header
	client *http.Client
}

// bodyAtMost is the maximum size of a body in bytes.
const bodyAtMost = 64 << 10

// NewWebhook returns a destination for an http or https URL. Each request has the given header, for
// authentication.
func NewWebhook(address string, header http.Header, agent string) (*Webhook, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		var e *url.Error
		if errors.As(err, &e) {
			err = e.Err // without the URL, which may be secret
		}
		return nil, err
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("it is no URL like https://host/path")
	case u.User != nil:
		return nil, errors.New("a user and a password do not belong into a URL")
	}
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", agent)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = bodyAtMost
	transport.DisableKeepAlives = true // the next event may be far off
	return &Webhook{url: u, header: h, client: &http.Client{
		Transport: transport,
		Timeout:   sendFor,
		// A redirect would send secrets elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// ID identifies the URL without revealing it.
func (h *Webhook) ID() string { return "webhook " + hash(h.url.String()) }

// String returns the URL without its path, which is often a secret.
func (h *Webhook) String() string { return table.Clean(h.url.Scheme + "://" + h.url.Host) }

// Send posts an event. Any status except 200 to 299 is an error.
func (h *Webhook) Send(ctx context.Context, e *Event) error {
	body, err := table.MarshalJSON(e)
	if err != nil {
		return err
	}
	if len(body) > bodyAtMost {
		short := *e
		short.Details, short.Facts = "", nil
		if body, err = table.MarshalJSON(&short); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, sendFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url.String(), bytes.NewReader(body))
	if err != nil {
		return errors.New("no request can be made of the URL")
	}
	req.Header = h.header.Clone()
	req.Header.Set("Idempotency-Key", e.ID)
	resp, err := h.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, bodyAtMost)) // some servers otherwise count the request as aborted
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answers %s", table.Clean(table.Cut(resp.Status, 100)))
	}
	return nil
}

// ParseHeader parses lines such as "Authorization: Bearer …"; it skips empty lines and those that
// begin with #.
func ParseHeader(text string) (http.Header, error) {
	h := http.Header{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("line %d is not like Name: value", n)
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return h, nil
}
