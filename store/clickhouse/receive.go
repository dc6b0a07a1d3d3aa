package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strings"

	"bouncelog/bounce"
	"bouncelog/store"
)

// receivedAtOnce is the number of rows in one insert: some 20 MB if failures have long texts.
var receivedAtOnce = 20_000 // tests set less

// Receive copies the logs of one host from another store. Rows are inserted first and all positions
// last, in one insert, so nothing is visible earlier. The key of a row is its identity, so after an
// interruption rows are written again, or skipped if a note says that they are stored.
//
// The precedence of a row follows from the place of its line in the logs, counted from a number in
// the note. So an attempt has the same precedence in each run, and the row that ends it a later
// one, in whatever order they are written.
func (d *DB) Receive(ctx context.Context, from store.Exporter, agent string) (attempts int64, err error) {
	if d.opts.ReadOnly {
		return 0, fmt.Errorf("write %s: it was opened for reading", d.name)
	}
	x := &receiver{d: d, agent: store.Clean(agent, store.MaxWord)}
	err = x.receive(ctx, from)
	return x.attempts, err
}

type receiver struct {
	d       *DB
	agent   string
	sources []store.Source       // of the other store, with its ids
	stored  map[string]*position // sources of this store
	starts  map[string]int64     // the first byte of a source among the bytes of all sources
	ends    map[string]int64     // positions after the copy
	total   int64                // bytes of all sources
	note    receiveNote

	rows     []*row
	messages []endRow
	attempts int64
}

// A receiveNote is the progress of an interrupted run.
type receiveNote struct {
	Base     uint64           `json:"base"`     // sequence number of the first byte
	Attempts map[string]int64 `json:"attempts"` // offsets up to which attempts are written, by source
}

func (x *receiver) noteKey() string { return "receive/" + x.agent }

// source returns the id of a source in this store: it gets the agent as a prefix unless it has one
// already.
func (x *receiver) source(id string) string {
	if x.agent == "" || id == "" || strings.Contains(id, "/") {
		return store.Clean(id, store.MaxWord)
	}
	return store.Clean(x.agent+"/"+id, store.MaxWord)
}

// host returns the host of a line; if the line named none, the agent.
func (x *receiver) host(name string) string {
	if name == "" {
		name = x.agent
	}
	return store.Clean(name, store.MaxWord)
}

func (x *receiver) receive(ctx context.Context, from store.Exporter) error {
	resume, err := from.Resume(ctx)
	if err != nil {
		return err
	}
	x.sources = resume.Sources
	ids := make([]string, len(x.sources))
	for i := range x.sources {
		ids[i] = x.source(x.sources[i].ID)
	}
	stored, err := x.d.positions(ctx, "id IN ("+quotes(ids)+")")
	if err != nil {
		return x.d.wrap("read", err)
	}
	x.stored = make(map[string]*position)
	for _, p := range stored {
		x.stored[p.ID] = p
	}
	// Skip lines that are already stored.
	lines, ahead := make(map[string]int64), false
	x.starts, x.ends = make(map[string]int64), make(map[string]int64)
	for i := range x.sources {
		s := &x.sources[i]
		id := ids[i]
		stored := x.stored[id]
		if lines[s.ID] = 0; stored != nil {
			lines[s.ID] = stored.Offset
		}
		ahead = ahead || stored == nil || s.Offset > stored.Offset
		x.starts[id], x.ends[id] = x.total, s.Offset
		x.total += s.Offset + 1
	}
	if !ahead {
		return nil
	}
	if err := x.resume(ctx); err != nil {
		return err
	}
	begin := maps.Clone(lines)
	for id, offset := range x.note.Attempts {
		begin[id] = max(begin[id], offset)
	}
	for e, err := range from.ExportAttempts(ctx, begin) {
		if err != nil {
			return err
		}
		x.take(e)
		x.attempts++
		if len(x.rows) < receivedAtOnce {
			continue
		}
		// The line at this byte may stand for more attempts, so it is read again.
		x.note.Attempts[e.Source] = e.Offset
		if err := x.flush(ctx); err != nil {
			return err
		}
		if err := x.keepNote(ctx); err != nil {
			return err
		}
	}
	for e, err := range from.ExportEnds(ctx, lines) {
		if err != nil {
			return err
		}
		x.take(e)
		if len(x.rows)+len(x.messages) >= receivedAtOnce {
			if err := x.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := x.flush(ctx); err != nil {
		return err
	}
	coverage, err := from.Coverage(ctx)
	if err == nil {
		err = x.finish(ctx, coverage, resume.Messages)
	}
	return err
}

// resume reads the note of an interrupted run, or creates one.
func (x *receiver) resume(ctx context.Context) error {
	text, _, err := x.d.latestNote(ctx, x.noteKey())
	if err != nil {
		return x.d.wrap("note", err)
	}
	if len(text) > 0 && json.Unmarshal(text, &x.note) == nil && x.note.Base > 0 && x.note.Attempts != nil {
		return nil
	}
	base, err := x.d.number(ctx)
	if err != nil {
		return x.d.wrap("note", err)
	}
	x.note = receiveNote{Base: base, Attempts: make(map[string]int64)}
	return x.keepNote(ctx)
}

func (x *receiver) keepNote(ctx context.Context) error {
	text, err := json.Marshal(&x.note)
	if err != nil {
		return err
	}
	return x.d.SetNote(ctx, x.noteKey(), text)
}

// seq returns the sequence number of the rows of a line.
func (x *receiver) seq(source string, offset int64) uint64 {
	return x.note.Base + uint64(x.starts[source]+min(offset, x.ends[source]))
}

// take converts an entry to a row.
func (x *receiver) take(e *store.Entry) {
	if e.Kind == store.EntryEnd {
		end := e.End
		end.Source, end.Host = x.source(end.Source), x.host(end.Host)
		x.messages = append(x.messages, end)
		return
	}
	told := x.source(e.Source)
	a := &e.Attempt
	a.Source, a.Host = x.source(a.Source), x.host(a.Host)
	r := rowOf(a, 0)
	if a.Outcome == bounce.Delivered { // the other store keeps the template as well
		r.Template = store.Clean(a.Response, store.MaxResponse)
	}
	// A repeated line may reach past the position.
	r.ToldBy, r.Line = told, min(e.Offset, x.ends[told]-1)
	r.Precedence = math.MaxUint64 - x.seq(told, e.Offset)
	r.First, r.ToDomain, r.Pair = e.First, e.FirstToDomain, e.Pair
	if e.PairOffset >= 0 {
		r.PairSource, r.PairOffset = x.source(e.PairSource), e.PairOffset
	}
	switch e.Kind {
	case store.EntryOver:
		r.Outcome = ended
	case store.EntryExpired:
		x.attempts++
	}
	x.rows = append(x.rows, r)
}

// flush inserts the rows.
func (x *receiver) flush(ctx context.Context) error {
	err := insertRows(ctx, x.d, x.rows)
	if err == nil {
		err = insertEnds(ctx, x.d, x.messages)
	}
	x.rows, x.messages = x.rows[:0], x.messages[:0]
	return x.d.wrap("write", err)
}

// finish writes the queue of the other store, and the positions.
func (x *receiver) finish(ctx context.Context, coverage *store.Coverage, queue []bounce.Message) error {
	seq, err := x.d.number(ctx)
	if err != nil {
		return x.d.wrap("write", err)
	}
	unparsed := coverage.Unparsed
	for i := range unparsed {
		unparsed[i].Source = x.source(unparsed[i].Source)
	}
	if err := insertUnparsed(ctx, x.d, unparsed, seq); err != nil {
		return x.d.wrap("write", err)
	}
	// The queue is attributed to the last log, up to its position.
	told := x.sources[len(x.sources)-1]
	by := x.source(told.ID)
	seq += uint64(len(unparsed))
	messages, err := x.gone(ctx, queue, by, told.Offset)
	if err != nil {
		return err
	}
	for i := len(queue) - 1; i >= 0; i-- { // the other store lists the last opened first
		m := queue[i]
		m.Host = x.host(m.Host)
		messages = append(messages, queuedRow{m, by, told.Offset, false})
	}
	if err := insertQueued(ctx, x.d, messages, seq); err != nil {
		return x.d.wrap("write", err)
	}
	seq += uint64(len(messages)) + 1
	if x.d.beforePositions != nil {
		if err := x.d.beforePositions(); err != nil {
			return err
		}
	}
	skipped := make(map[string]int64)
	for _, s := range coverage.Skipped {
		skipped[store.Clean(s.Program, store.MaxWord)] = s.Lines
	}
	var list []*position
	for i, s := range x.sources {
		p := &position{Source: s, firstSeen: x.note.Base + uint64(i)}
		p.ID, p.Path = x.source(s.ID), store.Clean(s.Path, 4096)
		if i == 0 {
			p.skipped = skipped // the other store does not count them by log
		}
		if old := x.stored[p.ID]; old != nil {
			p.firstSeen = old.firstSeen
		}
		list = append(list, p)
	}
	if err := insertPositions(ctx, x.d, list, seq); err != nil {
		return x.d.wrap("write", err)
	}
	return x.d.SetNote(ctx, x.noteKey(), nil)
}

// gone returns the messages that an earlier run wrote as queued and that are queued no longer.
func (x *receiver) gone(ctx context.Context, queue []bounce.Message, by string, position int64) (list []queuedRow, err error) {
	if x.agent == "" {
		return nil, nil
	}
	queued := make(map[store.MessageKey]bool)
	for _, m := range queue {
		queued[store.MessageKey{Host: x.host(m.Host), MTA: m.MTA, Instance: m.Instance, QueueID: m.QueueID}] = true
	}
	sql := "SELECT " + messageColumns + " FROM queued_message GROUP BY " + messageColumns +
		" HAVING NOT argMax(closed, seq) AND startsWith(argMax(source, seq), " + quote(x.agent+"/") + ")"
	err = x.d.ask(ctx, "queue", sql, func(scan func(to ...any) error) error {
		var k store.MessageKey
		var mta string
		err := scan(&k.Host, &mta, &k.Instance, &k.QueueID)
		if k.MTA = bounce.MTA(mta); !queued[k] {
			list = append(list, queuedRow{bounce.Message{Host: k.Host, MTA: k.MTA, Instance: k.Instance, QueueID: k.QueueID}, by, position, true})
		}
		return err
	})
	return list, err
}
