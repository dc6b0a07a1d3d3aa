// Package metrics shows the work of the daemon to Prometheus: counters of what was stored, how many
// bytes are unread, and whether the daemon is healthy. Memory is bounded: names from the log do not
// become labels without a limit.
package metrics

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Domains is the number of recipient domains with a series of their own. The failures of all others
// are counted as "other".
const Domains = 50

// unwell is the time since the last call of Alive after which the daemon is unhealthy: the unit's
// WatchdogSec.
const unwell = 5 * time.Minute

// Metrics are the values shown. The methods of a nil *Metrics do nothing, so that callers need not
// check whether metrics are wanted. They may be called from several goroutines.
type Metrics struct {
	registry *prometheus.Registry
	attempts *prometheus.CounterVec
	failures *prometheus.CounterVec
	lines    *prometheus.CounterVec
	problems *prometheus.GaugeVec
	batches  prometheus.Histogram
	behind   prometheus.Gauge
	ready    prometheus.Gauge
	trouble  prometheus.Gauge
	stored   prometheus.Gauge
	expired  prometheus.Counter

	domains  *ranking
	isReady  atomic.Bool
	lastSign atomic.Int64 // when Alive was called last, in Unix nanoseconds
}

// New makes metrics. It calls the function for the size of the database, in bytes, at each scrape.
func New(version string, size func() float64) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bouncelog_attempts_total",
			Help: "Delivery attempts stored since the start, by MTA, outcome and reason (empty where nothing failed).",
		}, []string{"mta", "outcome", "reason"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bouncelog_failures_total",
			Help: "Failed delivery attempts stored since the start, for the domains that fail most; the rest is \"other\".",
		}, []string{"domain", "outcome"}),
		lines: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bouncelog_lines_total",
			Help: "Log lines stored since the start, by kind; \"unparsed\" look like a delivery and were not understood.",
		}, []string{"kind"}),
		problems: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "bouncelog_problems",
			Help: "Problems that are probably not the recipients' fault, by level, when they were last looked for.",
		}, []string{"level"}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "bouncelog_batch_duration_seconds",
			Help:    "How long it took to store a batch.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		behind: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bouncelog_behind_bytes",
			Help: "Bytes of the followed logs that are not read yet.",
		}),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bouncelog_ready",
			Help: "1 once the logs were caught up with.",
		}),
		trouble: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bouncelog_database_trouble",
			Help: "1 while something threatens the database, which the journal says.",
		}),
		stored: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "bouncelog_last_stored_timestamp_seconds",
			Help: "When a batch was last stored.",
		}),
	}
	m.expired = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "bouncelog_expired_messages_total",
		Help: "Messages that Postfix gave up since the start, each with all recipients that were still waiting.",
	})
	m.domains = newRanking(Domains, m.failures)
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "bouncelog_build_info",
		Help:        "1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	for _, outcome := range []string{"soft", "hard"} {
		m.failures.WithLabelValues(other, outcome)
	}
	for _, kind := range []string{"delivery", "queue", "rejected", "skipped", "unparsed", "blank"} {
		m.lines.WithLabelValues(kind)
	}
	m.registry.MustRegister(
		m.attempts, m.failures, m.lines, m.problems, m.batches, m.behind, m.ready, m.trouble, m.stored, m.expired, build,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "bouncelog_database_bytes",
			Help: "Size of the database with its write-ahead log.",
		}, size),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.Alive()
	return m
}

// A Key holds the labels of a counter of attempts. Each has few values.
type Key struct{ MTA, Outcome, Reason string }

// Attempts counts n stored attempts.
func (m *Metrics) Attempts(k Key, n int) {
	if m != nil {
		m.attempts.WithLabelValues(k.MTA, k.Outcome, k.Reason).Add(float64(n))
	}
}

// Failure counts one stored failure (outcome soft or hard) of a recipient
// domain.
func (m *Metrics) Failure(domain, outcome string) {
	if m != nil {
		m.domains.count(domain, outcome)
	}
}

// Lines counts n stored lines of a kind.
func (m *Metrics) Lines(kind string, n int64) {
	if m != nil && n > 0 {
		m.lines.WithLabelValues(kind).Add(float64(n))
	}
}

// Expired counts n messages whose time in the queue ran out.
func (m *Metrics) Expired(n int) {
	if m != nil {
		m.expired.Add(float64(n))
	}
}

// Batch records how long it took to store a batch.
func (m *Metrics) Batch(took time.Duration) {
	if m != nil {
		m.batches.Observe(took.Seconds())
		m.stored.SetToCurrentTime()
	}
}

// Behind sets the number of unread bytes. When it is first zero, the daemon is ready.
func (m *Metrics) Behind(bytes int64) {
	if m == nil {
		return
	}
	m.behind.Set(float64(bytes))
	if bytes == 0 && !m.isReady.Swap(true) {
		m.ready.Set(1)
	}
}

// Trouble sets whether something threatens the database.
func (m *Metrics) Trouble(is bool) {
	if m == nil {
		return
	}
	m.trouble.Set(0)
	if is {
		m.trouble.Set(1)
	}
}

// Problems sets the number of problems of a level (confirmed, likely, watch).
func (m *Metrics) Problems(level string, n int) {
	if m != nil {
		m.problems.WithLabelValues(level).Set(float64(n))
	}
}

// Alive is a sign of life. Without one for five minutes the daemon is unhealthy.
func (m *Metrics) Alive() {
	if m != nil {
		m.lastSign.Store(time.Now().UnixNano())
	}
}

// Address returns the address to listen on. Without a host that is the loopback interface, not
// every interface.
func Address(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return "", errors.New("no such port")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// Handler serves /metrics, /-/healthy and /-/ready.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 20 * time.Second}))
	say := func(w http.ResponseWriter, ok bool, yes, no string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
			yes = no
		}
		w.Write([]byte(yes + "\n"))
	}
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		say(w, time.Since(time.Unix(0, m.lastSign.Load())) < unwell, "healthy", "no sign of life for five minutes")
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		say(w, m.isReady.Load(), "ready", "catching up")
	})
	return mux
}

// Serve serves on addr (see Address) until ctx ends. It returns once it listens; later errors go to
// failed.
func (m *Metrics) Serve(ctx context.Context, addr string, failed func(error)) (net.Addr, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler:           m.Handler(),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	context.AfterFunc(ctx, func() { server.Close() })
	go func() {
		if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			failed(err)
		}
	}()
	return l.Addr(), nil
}
