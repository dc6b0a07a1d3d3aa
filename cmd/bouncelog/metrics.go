package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/metrics"
	"bouncelog/store"
)

// serveMetrics serves the metrics of follow on addr; nil if none are asked for.
func serveMetrics(ctx context.Context, addr, path string, log *slog.Logger) (*metrics.Metrics, error) {
	if addr == "" {
		return nil, nil
	}
	at, err := metrics.Address(addr)
	if err != nil {
		return nil, usageErrorf("as in --metrics :9154, or with a host in front to be seen from elsewhere", "--metrics %s: %w", addr, err)
	}
	m := metrics.New(version(), func() float64 {
		var size int64
		for _, suffix := range []string{"", "-wal"} {
			if st, err := os.Stat(path + suffix); err == nil {
				size += st.Size()
			}
		}
		return float64(size)
	})
	listening, err := m.Serve(ctx, at, func(err error) { log.Error("metrics", "error", err) })
	if err != nil {
		return nil, &exitError{status: exitFailed, err: fmt.Errorf("--metrics: %w", err), hint: "another address, as in --metrics :9155; under systemd it needs metrics.conf (docs/install.md)"}
	}
	log.Info("metrics", "address", listening.String())
	return m, nil
}

// storedCounter returns a function that counts each stored batch in the metrics. Without metrics it
// does nothing.
func storedCounter(ctx context.Context, m *metrics.Metrics, db store.Store) (func(*store.Batch, time.Duration), error) {
	if m == nil {
		return func(*store.Batch, time.Duration) {}, nil
	}
	r, err := db.Read(ctx)
	if err != nil {
		return nil, err
	}
	read, err := r.Coverage(ctx)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	before := map[string]store.Source{}
	for _, s := range read.Sources {
		before[s.ID] = s
	}
	attempts := map[metrics.Key]int{}
	return func(b *store.Batch, took time.Duration) {
		for i := range b.Attempts {
			a := &b.Attempts[i]
			k := metrics.Key{MTA: string(a.MTA), Outcome: a.Outcome.String()}
			if a.Outcome == bounce.Soft || a.Outcome == bounce.Hard {
				k.Reason = a.Reason.String()
				m.Failure(a.RecipientDomain, k.Outcome)
			}
			attempts[k]++
		}
		for k, n := range attempts {
			m.Attempts(k, n)
		}
		clear(attempts)
		m.Expired(len(b.Expiries))
		for _, s := range b.Sources {
			was := before[s.ID]
			m.Lines("delivery", s.Delivery-was.Delivery)
			m.Lines("queue", s.Queue-was.Queue)
			m.Lines("rejected", s.Rejected-was.Rejected)
			m.Lines("skipped", s.Skipped-was.Skipped)
			m.Lines("unparsed", s.Unparsed-was.Unparsed)
			m.Lines("blank", s.Blank-was.Blank)
			before[s.ID] = s
		}
		m.Batch(took)
	}, nil
}
