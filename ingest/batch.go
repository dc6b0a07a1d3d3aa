package ingest

import (
	"context"
	"errors"
	"time"

	"bouncelog/parser"
	"bouncelog/store"
)

// batchSize is how many attempts are handed to the store at a time. A larger
// batch gains nothing and holds more memory.
const batchSize = 500

// batches is how many batches there are: parsing goes on while the store commits.
const batches = 8

// Flush hands what was gathered to the store and has it made visible.
func (g *Ingester) Flush() error {
	if len(g.touched) == 0 && g.uncommitted == 0 {
		return nil
	}
	return g.send(false, false)
}

// send hands what was gathered to the writer; it waits while the writer is busy
// with the batch before. More and ahead are those of the batch.
func (g *Ingester) send(more, ahead bool) error {
	b := g.batch
	g.uncommitted += len(b.Attempts)
	for _, s := range g.touched {
		s.touched = false
		b.Sources = append(b.Sources, s.Source)
	}
	for program, n := range g.skipped {
		b.Skipped = append(b.Skipped, store.Skipped{Program: program, Lines: *n})
	}
	if b.More, b.Ahead = more, ahead; !more {
		g.uncommitted = 0
		var closed []parser.Key
		b.Opened, closed = g.queue.Changes(b.Opened, nil)
		for _, k := range closed {
			b.Closed = append(b.Closed, store.MessageKey(k))
		}
	}
	g.touched = g.touched[:0]
	clear(g.skipped)
	g.lines = 0
	select {
	case g.filled <- b:
	case err := <-g.done:
		g.done <- err
		return err
	}
	select {
	case g.batch = <-g.empty:
		return nil
	case err := <-g.done:
		g.done <- err
		return err
	}
}

// prepare takes batches apart while the one before is being stored.
func (g *Ingester) prepare() {
	for b := range g.filled {
		g.db.Prepare(b)
		g.prepared <- b // there is room for all
	}
	close(g.prepared)
}

// store stores batches until there are no more, or one cannot be stored.
func (g *Ingester) store(ctx context.Context) {
	for b := range g.prepared {
		began := time.Now()
		err := g.db.Append(ctx, b)
		for err != nil && !errors.Is(err, store.ErrTakenBack) && g.o.Retry(err) {
			err = g.db.Append(ctx, b)
		}
		if err != nil {
			g.done <- err
			return
		}
		g.o.Stored(b, time.Since(began))
		*b = store.Batch{
			Attempts: recycle(b.Attempts), Expiries: recycle(b.Expiries), Ends: recycle(b.Ends), Sources: recycle(b.Sources),
			Opened: recycle(b.Opened), Closed: recycle(b.Closed), Skipped: recycle(b.Skipped), Unparsed: recycle(b.Unparsed),
			Prepared: b.Prepared,
		}
		g.empty <- b
	}
	g.done <- nil
}

// recycle empties a slice and keeps its room, but not what it pointed at.
func recycle[T any](s []T) []T {
	clear(s)
	return s[:0]
}

// Close stores what is left and ends storing. err is why the caller stops, or nil. The
// error returned is the first of the two that counts: err, or that of storing.
func (g *Ingester) Close(err error) error {
	if flushed := g.Flush(); err == nil {
		err = flushed
	}
	close(g.filled)
	if stored := <-g.done; err == nil || errors.Is(err, context.Canceled) && stored != nil {
		return stored
	}
	return err
}

// Failed is why storing has ended, nil while it has not. While no line comes, nothing
// else would show it. Any goroutine may call it.
func (g *Ingester) Failed() error {
	select {
	case err := <-g.done:
		g.done <- err
		return err
	default:
		return nil
	}
}
