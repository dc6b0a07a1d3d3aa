package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/parser"
	"bouncelog/store"
	"bouncelog/tailer"
)

// batchSize is how many attempts are handed to the store at a time. A larger
// batch gains nothing and holds more memory.
const batchSize = 500

// batches is how many there are: the parser goes on while the store commits.
const batches = 8

// readAtOnce is how many attempts become visible together where a whole log is
// read: each commit writes the pages that it shares with the next. (A variable for
// tests.)
var readAtOnce = 200_000

// maxUnparsed bounds how many lines a batch keeps of those that were not
// understood; all are counted.
const maxUnparsed = 100

// maxPrograms bounds the names of programs that lines are counted by, since a
// log may be full of invented ones.
const maxPrograms = 1000

// An ingester carries lines from the tailer through the parser and the judge
// into batches for the store. One goroutine parses, one stores: SQLite is the
// slower of the two, and takes one writer.
type ingester struct {
	db    store.Store
	judge *bounce.Judge
	opts  parser.Options // Source, Modified and Last are filled in for each source

	queue   *parser.Queue
	sources map[string]*source
	touched map[string]bool // sources read since the last batch
	result  parser.Result
	batch   *store.Batch
	lines   int               // in batch
	skipped map[string]*int64 // lines by program

	// Whole says that whole logs are read: batches follow one another. Again
	// says that the caller will read again what is taken back
	// (store.ErrTakenBack), so that nobody need wait for a commit.
	whole, again bool
	uncommitted  int // attempts since the last batch that nothing followed

	batches  chan *store.Batch // read
	prepared chan *store.Batch // for the writer
	empty    chan *store.Batch // and back
	done     chan error        // the writer's end

	// retry is asked when a batch could not be stored, and says whether to try
	// again; it waits as long as it thinks fit.
	retry func(error) bool
	// stored is told of each batch that was stored, and how long that took.
	stored func(*store.Batch, time.Duration)
}

// A source is one log that is being read.
type source struct {
	store.Source
	parser *parser.Parser
}

// heapLimit is how large Go's heap may grow before garbage is collected more
// often, in bytes. What is remembered is bounded to some sixty million; without
// this, as much again would be garbage.
const heapLimit = 78 << 20

// limitHeap is for the commands that fill a database: they shall take the same
// memory however long a log is. GOMEMLIMIT overrides it. Lift takes it back.
func limitHeap() (lift func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(heapLimit)
	return func() { debug.SetMemoryLimit(before) }
}

// newIngester makes an ingester that goes on where db stands.
func newIngester(ctx context.Context, db store.Store, judge *bounce.Judge, opts parser.Options) (*ingester, error) {
	g := &ingester{
		db: db, judge: judge, opts: opts,
		queue:    parser.NewQueue(0),
		sources:  map[string]*source{},
		touched:  map[string]bool{},
		skipped:  map[string]*int64{},
		batch:    new(store.Batch),
		batches:  make(chan *store.Batch, batches),
		prepared: make(chan *store.Batch, batches),
		empty:    make(chan *store.Batch, batches),
		done:     make(chan error, 1),
		retry:    func(error) bool { return false },
		stored:   func(*store.Batch, time.Duration) {},
	}
	known, err := db.Sources(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range known {
		g.sources[s.ID] = &source{Source: s}
	}
	for m, err := range db.OpenMessages(ctx) {
		if err != nil {
			return nil, err
		}
		g.queue.Restore(m)
	}
	g.queue.Changes(nil, nil) // what is restored is stored
	for range batches - 1 {
		g.empty <- new(store.Batch)
	}
	go g.prepare()
	go g.write(context.WithoutCancel(ctx))
	return g, nil
}

// positions are what the tailer needs to go on.
func (g *ingester) positions() []tailer.Position {
	list := make([]tailer.Position, 0, len(g.sources))
	for _, s := range g.sources {
		list = append(list, tailer.Position{ID: s.ID, Path: s.Path, Offset: s.Offset, State: s.State})
	}
	return list
}

// chunk takes in one stretch of log.
func (g *ingester) chunk(c *tailer.Chunk) error {
	s := g.source(c.Source)
	for offset, line := range c.Lines() {
		g.line(s, offset, line)
	}
	s.Path, s.Offset, s.State = c.Position.Path, c.Position.Offset, c.Position.State
	g.touched[s.ID] = true
	if len(g.batch.Attempts) >= batchSize || g.lines >= 125*batchSize {
		return g.send(g.whole && g.uncommitted < readAtOnce, g.again)
	}
	return nil
}

func (g *ingester) source(from *tailer.Source) *source {
	s := g.sources[from.ID]
	if s == nil {
		s = &source{Source: store.Source{ID: from.ID, Path: from.Path}}
		g.sources[from.ID] = s
	}
	if s.parser == nil {
		o := g.opts
		o.Source, o.Modified, o.Last = s.ID, from.Modified, s.Last
		s.parser = parser.New(g.queue, o)
	}
	return s
}

func (g *ingester) line(s *source, offset int64, line []byte) {
	g.lines++
	s.Lines++
	r := &g.result
	switch kind := s.parser.Parse(line, offset, r); kind {
	case parser.Attempt:
		s.Delivery++
		s.Attempts += int64(len(r.Deliveries))
		if len(r.Deliveries) > 1 {
			s.Repeated += int64(len(r.Deliveries))
		}
		for i := range r.Deliveries {
			d := &r.Deliveries[i]
			g.batch.Attempts = slices.Grow(g.batch.Attempts, 1)[:len(g.batch.Attempts)+1]
			a := &g.batch.Attempts[len(g.batch.Attempts)-1]
			a.Delivery, a.Verdict = *d, g.judge.Verdict(d)
		}
	case parser.Expiry:
		s.Queue++
		g.batch.Expiries = append(g.batch.Expiries, r.Expiry)
	case parser.Queued:
		s.Queue++
	case parser.Reject:
		s.Rejected++
	case parser.Skipped:
		s.Skipped++
		n := g.skipped[r.Program]
		if n == nil {
			n = g.skip(r.Program)
		}
		*n++
	case parser.Unparsed:
		s.Unparsed++
		if len(g.batch.Unparsed) < maxUnparsed {
			g.batch.Unparsed = append(g.batch.Unparsed, store.Unparsed{
				Source: s.ID, Offset: offset, Time: r.Time, Text: string(bytes.ToValidUTF8(line[:min(len(line), 1000)], nil)),
			})
		}
	case parser.Blank:
		s.Blank++
		return
	}
	if !r.Time.IsZero() {
		if s.First.IsZero() || r.Time.Before(s.First) {
			s.First = r.Time
		}
		s.Last = r.Time
	}
}

// skip gives a program its count of skipped lines.
func (g *ingester) skip(program string) *int64 {
	if len(g.skipped) >= maxPrograms {
		program = "(others)"
		if n := g.skipped[program]; n != nil {
			return n
		}
	}
	n := new(int64)
	g.skipped[program] = n
	return n
}

// flush has what was gathered stored and made visible.
func (g *ingester) flush() error {
	if len(g.touched) == 0 && g.uncommitted == 0 {
		return nil
	}
	return g.send(false, false)
}

// send hands what was gathered to the writer; it waits while the writer is busy
// with the batch before. More and ahead are those of the batch.
func (g *ingester) send(more, ahead bool) error {
	b := g.batch
	g.uncommitted += len(b.Attempts)
	for id := range g.touched {
		b.Sources = append(b.Sources, g.sources[id].Source)
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
	clear(g.touched)
	clear(g.skipped)
	g.lines = 0
	select {
	case g.batches <- b:
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
func (g *ingester) prepare() {
	for b := range g.batches {
		g.db.Prepare(b)
		g.prepared <- b // there is room for all
	}
	close(g.prepared)
}

// write stores batches until there are no more, or one cannot be stored.
func (g *ingester) write(ctx context.Context) {
	for b := range g.prepared {
		began := time.Now()
		err := g.db.Append(ctx, b)
		for err != nil && !errors.Is(err, store.ErrTakenBack) && g.retry(err) {
			err = g.db.Append(ctx, b)
		}
		if err != nil {
			g.done <- err
			return
		}
		g.stored(b, time.Since(began))
		*b = store.Batch{
			Attempts: recycle(b.Attempts), Expiries: recycle(b.Expiries), Sources: recycle(b.Sources),
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

// close stores what is left and ends the writer. The error is the first of
// the two that counts: the caller's, or that of storing.
func (g *ingester) close(err error) error {
	if flushed := g.flush(); err == nil {
		err = flushed
	}
	close(g.batches)
	if stored := <-g.done; err == nil || errors.Is(err, context.Canceled) && stored != nil {
		return stored
	}
	return err
}

// totals adds up the counts of all sources.
func (g *ingester) totals() (t store.Source) {
	for s := range maps.Values(g.sources) {
		t.Lines += s.Lines
		t.Delivery += s.Delivery
		t.Attempts += s.Attempts
		t.Queue += s.Queue
		t.Rejected += s.Rejected
		t.Skipped += s.Skipped
		t.Unparsed += s.Unparsed
		t.Blank += s.Blank
	}
	return t
}
