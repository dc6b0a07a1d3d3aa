package ingest

import (
	"context"
	"errors"
	"strings"
	"time"

	"bouncelog/parser"
	"bouncelog/store"
)

const (
	// batchSize is how many attempts go to the store at a time if many batches are committed
	// together. A larger batch gains nothing and holds more memory.
	batchSize = 500
	// followedBatch is the greatest number if each batch is committed: pages that many attempts
	// share are then written once. Of a log that is caught up with, a third of the bytes is written
	// with 4,000 as with 500, and a third of the CPU time is saved. At 25,000 attempts a second
	// beside four readers the write-ahead log grows to 460 MB with 4,000 and to 190 MB with 16,000.
	// A log at rest is flushed at once.
	followedBatch = 16_000
	// batchLines is the greatest number of lines in a batch.
	batchLines = 125 * batchSize
)

// batches is the number of batches: parsing continues while the store commits.
const batches = 4

// Flush sends the batch that is being filled to the store, and commits.
func (g *Ingester) Flush() error {
	if len(g.touched) == 0 && g.uncommitted == 0 {
		return nil
	}
	return g.send(true)
}

// send passes the batch to the goroutine that stores, and takes an empty one. It blocks while all
// others wait to be stored.
func (g *Ingester) send(commit bool) error {
	b := g.batch
	var hops []string
	g.uncommitted += len(b.Attempts)
	for _, s := range g.touched {
		s.touched = false
		b.Sources = append(b.Sources, s.Source)
	}
	for program, n := range g.skipped {
		b.Skipped = append(b.Skipped, store.Skipped{Program: program, Lines: *n})
	}
	if commit {
		g.uncommitted = 0
		var closed []parser.Key
		b.Opened, closed = g.queue.Changes(b.Opened, nil)
		for _, k := range closed {
			b.Closed = append(b.Closed, store.MessageKey(k))
		}
		hops = g.queue.Hops()
	}
	g.touched = g.touched[:0]
	clear(g.skipped)
	g.lines = 0
	select {
	case g.filled <- filled{b, commit, hops}:
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

// store stores batches until there are no more, or one cannot be stored.
func (g *Ingester) store(ctx context.Context) {
	err := g.storeAll(ctx)
	if e := g.w.Close(); err == nil {
		err = e
	}
	g.done <- err
}

func (g *Ingester) storeAll(ctx context.Context) error {
	alone := true // nothing was appended since the last commit
	for b := range g.filled {
		began := time.Now()
		err := g.put(ctx, b)
		for err != nil && alone && g.o.Retry(err) {
			err = g.put(ctx, b)
		}
		if err != nil {
			return err
		}
		alone = b.commit
		g.o.Stored(b.Batch, time.Since(began))
		*b.Batch = store.Batch{
			Attempts: recycle(b.Attempts), Expiries: recycle(b.Expiries), Ends: recycle(b.Ends), Sources: recycle(b.Sources),
			Opened: recycle(b.Opened), Closed: recycle(b.Closed), Skipped: recycle(b.Skipped), Unparsed: recycle(b.Unparsed),
		}
		g.empty <- b.Batch
	}
	return nil
}

// put appends a batch, and commits if the batch says so.
func (g *Ingester) put(ctx context.Context, b filled) error {
	err := g.w.Append(ctx, b.Batch)
	if err == nil && b.commit {
		err = g.w.Commit(ctx)
	}
	if err == nil && b.hops != nil && g.notes != nil {
		err = g.notes.SetNote(ctx, g.o.hopsKey(), []byte(strings.Join(b.hops, " ")))
	}
	return err
}

// recycle empties a slice and keeps its memory, but not what it pointed to.
func recycle[T any](s []T) []T {
	clear(s)
	return s[:0]
}

// Close stores the last batch and ends storing. err is why the caller stops, or nil. The returned
// error is err or that of storing; the latter also if err only says that the context ended.
func (g *Ingester) Close(err error) error {
	if err == nil && g.o.Whole {
		for _, s := range g.sources {
			if s.parser != nil {
				g.end(s)
			}
		}
	}
	if flushed := g.Flush(); err == nil {
		err = flushed
	}
	close(g.filled)
	if stored := <-g.done; err == nil || errors.Is(err, context.Canceled) && stored != nil {
		return stored
	}
	return err
}

// Failed returns why storing has ended; nil while it goes on. While no line comes, nothing else
// would show it. Any goroutine may call it.
func (g *Ingester) Failed() error {
	select {
	case err := <-g.done:
		g.done <- err
		return err
	default:
		return nil
	}
}
