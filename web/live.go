package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"bouncelog/internal/table"
)

// The limits of the streams of live pages.
const (
	streamsAtMost   = 200              // in total
	streamsOfOne    = 24               // per client, if clients can be distinguished
	streamLasts     = 30 * time.Minute // then the page reconnects
	streamWrite     = 10 * time.Second // a client that reads nothing for this time is disconnected
	streamBeat      = 25 * time.Second // keep-alive interval, for proxies
	streamStep      = 2 * time.Second  // interval of checks for new data
	streamTellAgain = 5 * time.Second  // minimum between two events
)

// A hub checks for new data on behalf of all open pages, and tells them. Without open pages it does
// not check.
type hub struct {
	watch    watch
	versions *versions // of the store, for pages that connect
	log      *slog.Logger
	step     time.Duration
	again    time.Duration

	mu      sync.Mutex
	clients map[chan struct{}]string
	of      map[string]int
	stop    context.CancelFunc // stops the checks; nil: none run
	closed  chan struct{}
}

func newHub(watch watch, versions *versions, log *slog.Logger) *hub {
	return &hub{watch: watch, versions: versions, log: log, step: streamStep, again: streamTellAgain, clients: map[chan struct{}]string{}, of: map[string]int{}, closed: make(chan struct{})}
}

// join adds a page. A pending sign covers all later ones.
func (h *hub) join(client string) (signs chan struct{}, leave func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
		return nil, nil, false
	default:
	}
	if len(h.clients) >= streamsAtMost || client != "" && h.of[client] >= streamsOfOne {
		return nil, nil, false
	}
	signs = make(chan struct{}, 1)
	h.clients[signs] = client
	h.of[client]++
	if h.stop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		h.stop = cancel
		go h.look(ctx)
	}
	return signs, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.clients, signs)
		if h.of[client]--; h.of[client] == 0 {
			delete(h.of, client)
		}
		if len(h.clients) == 0 && h.stop != nil {
			h.stop()
			h.stop = nil
		}
	}, true
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
	default:
		close(h.closed)
	}
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// look checks the version repeatedly while there are pages. If the database is missing or replaced,
// it opens it again.
func (h *hub) look(ctx context.Context) {
	var (
		version func() (int64, error)
		stop    func()
		last    int64
		told    time.Time
		changed bool
	)
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	tick := time.NewTicker(h.step)
	defer tick.Stop()
	for {
		if version == nil {
			v, end, err := h.watch(ctx)
			if err == nil {
				version, stop = v, end
				if last, err = version(); err != nil {
					stop()
					version, stop = nil, nil
				}
			}
		} else if n, err := version(); err != nil {
			h.log.Debug("cannot look for changes", "error", table.Clean(err.Error()))
			stop()
			version, stop = nil, nil
			changed = true
		} else if n != last {
			last, changed = n, true
		}
		if changed && time.Since(told) >= h.again {
			changed, told = false, time.Now()
			h.tell()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (h *hub) tell() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		select {
		case c <- struct{}{}:
		default: // a sign is pending already
		}
	}
}

// client returns the identity of a client. On a unix socket, or behind a proxy on one, all clients
// look alike.
func client(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || net.ParseIP(host) == nil {
		return ""
	}
	return host
}

// serve streams an event "stored" whenever something was stored (server-sent events, HTML
// standard section 9.2). It sends one at once if something was stored since the page was built; the
// query has the page's version.
func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	if h.watch == nil {
		http.NotFound(w, r)
		return
	}
	signs, leave, ok := h.join(client(r))
	if !ok {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "too many live pages", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	control := http.NewResponseController(w)
	send := func(text string) bool {
		if control.SetWriteDeadline(time.Now().Add(streamWrite)) != nil {
			return false
		}
		if _, err := fmt.Fprint(w, text); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // stops nginx from buffering
	if !send("retry: 5000\n\n") {
		return
	}
	since, err := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	if now := h.versions.now(); err == nil && (!now.known || now.number != since) {
		select {
		case signs <- struct{}{}:
		default:
		}
	}
	end := time.NewTimer(streamLasts)
	defer end.Stop()
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for n := 1; ; {
		text := ": alive\n\n"
		select {
		case <-r.Context().Done():
			return
		case <-h.closed:
			return
		case <-end.C:
			return
		case <-beat.C:
		case <-signs:
			text = fmt.Sprintf("event: stored\ndata: %d\n\n", n)
			n++
		}
		if !send(text) {
			return
		}
	}
}
