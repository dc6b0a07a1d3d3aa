// Package ingest writes log lines into a store: it parses the chunks of a tailer, judges the
// attempts and gathers them into batches. The commands import, follow and report FILE do the same
// work with chunks from different readers.
//
//	tailer.Chunk -> parser.Parser -> judge -> store.Batch -> store.Store
//
// The caller's goroutine parses and judges; another one appends batches by a store.Writer and
// commits.
package ingest

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"bouncelog/parser"
	"bouncelog/store"
	"bouncelog/tailer"
)

// New returns an Ingester that resumes at the positions in db. Its errors are those of db.
func New(ctx context.Context, db store.Store, o Options) (*Ingester, error) {
	if o.CommitEvery == 0 {
		o.CommitEvery = 200_000
	}
	if o.Retry == nil {
		o.Retry = func(error) bool { return false }
	}
	if o.Stored == nil {
		o.Stored = func(*store.Batch, time.Duration) {}
	}
	g := &Ingester{
		o:       o,
		queue:   parser.NewQueue(0),
		sources: map[string]*source{},
		skipped: map[string]*int64{},
		batch:   new(store.Batch),
		filled:  make(chan filled, batches),
		empty:   make(chan *store.Batch, batches),
		done:    make(chan error, 1),
	}
	var err error
	if g.w, err = db.Write(ctx); err != nil {
		return nil, err
	}
	from, err := g.w.Resume(ctx)
	if err != nil {
		return nil, errors.Join(err, g.w.Close())
	}
	for _, s := range from.Sources {
		if id, own := strings.CutPrefix(s.ID, o.agentPrefix()); own {
			g.sources[id] = &source{Source: s, was: s}
		}
	}
	for _, m := range from.Messages {
		g.queue.Restore(m)
	}
	g.queue.Changes(nil, nil) // restored messages are stored already
	if g.notes, _ = db.(store.Noter); g.notes != nil {
		value, err := g.notes.Note(ctx, o.hopsKey())
		if err != nil {
			return nil, errors.Join(err, g.w.Close())
		}
		if len(value) > 0 {
			g.queue.KnowHops(strings.Split(string(value), " "))
		}
	}
	for range batches - 1 {
		g.empty <- new(store.Batch)
	}
	go g.store(context.WithoutCancel(ctx))
	return g, nil
}

// Positions returns the position of each source, where the tailer resumes.
func (g *Ingester) Positions() []tailer.Position {
	list := make([]tailer.Position, 0, len(g.sources))
	for id, s := range g.sources {
		list = append(list, tailer.Position{ID: id, Path: s.Path, Offset: s.Offset, State: s.State})
	}
	return list
}

// Source returns the counts of one source (tailer.Source.ID), and whether it is known.
func (g *Ingester) Source(id string) (store.Source, bool) {
	if s := g.sources[id]; s != nil {
		return s.Source, true
	}
	return store.Source{}, false
}

// Totals returns the sum of the counts of all sources.
func (g *Ingester) Totals() (t store.Source) {
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

// Chunk parses one chunk of a log. It blocks while storing lags behind. An error is the end of
// storing: call Close.
func (g *Ingester) Chunk(c *tailer.Chunk) error {
	s := g.source(c.Source)
	for offset, line := range parser.Lines(c.Lines()) {
		g.line(s, offset, line)
	}
	s.Path, s.Offset, s.State = c.Position.Path, c.Position.Offset, c.Position.State
	if !s.touched {
		s.touched = true
		g.touched = append(g.touched, s)
	}
	size := followedBatch
	if g.o.Whole {
		size = batchSize
	}
	if len(g.batch.Attempts) >= size || g.lines >= batchLines {
		return g.send(!g.o.Whole || g.uncommitted >= g.o.CommitEvery)
	}
	return nil
}

func (g *Ingester) source(from *tailer.Source) *source {
	s := g.sources[from.ID]
	if s == nil {
		s = &source{Source: store.Source{ID: g.o.agentPrefix() + from.ID, Path: from.Path}}
		g.sources[from.ID] = s
	}
	if s.parser == nil {
		o := g.o.Parser
		o.Source, o.Modified, o.Last, o.Host = s.ID, from.Modified, s.Last, g.o.Agent
		s.parser = parser.New(g.queue, o)
	}
	return s
}
