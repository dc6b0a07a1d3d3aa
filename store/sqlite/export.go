package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"iter"

	"bouncelog/bounce"
	"bouncelog/store"
)

var _ store.Exporter = (*reader)(nil)

// errPseudonyms is returned for a database with pseudonyms, which cannot be exported: the copy
// would continue with real names, and nobody could match them with the pseudonyms.
var errPseudonyms = errors.New("the database keeps pseudonyms, and another one would not continue them")

const (
	exportedFailure = "SELECT " + failureColumns + wordColumns + ", p.id FROM failure AS a" + wordTables + " LEFT JOIN pair AS p ON p.id = a.id WHERE a.id BETWEEN ?1 AND ?2"
	// exportedDelivery has the same columns.
	exportedDelivery = "SELECT " + deliveryColumns + `, NULL, dm.message, NULL, NULL, rl.local, rd.text, sl.local, sd.text, ml.left, mr.text, NULL, og.address, NULL, NULL
		FROM delivery AS a JOIN address AS rl ON rl.id = a.recipient JOIN name AS rd ON rd.id = rl.domain
		LEFT JOIN address AS sl ON sl.id = a.sender LEFT JOIN name AS sd ON sd.id = sl.domain
		LEFT JOIN delivery_message AS dm ON dm.id = a.id LEFT JOIN message_id AS ml ON ml.id = dm.message LEFT JOIN name AS mr ON mr.id = ml.right
		LEFT JOIN original AS og ON og.id = a.id WHERE a.id BETWEEN ?1 AND ?2`
	// Both are read in the order of their ids and merged, without sorting by SQLite.
	exportedAttempts = exportedDelivery + " UNION ALL " + exportedFailure + " ORDER BY 1"
	exportedExpiries = "SELECT " + failureColumns + wordColumns + " FROM failure AS a" + wordTables + " WHERE a.id < 0"
	// exportedPairs has two more columns: the attempt that ended the pair, and the line of an
	// expiry.
	exportedPairs = "SELECT " + failureColumns + wordColumns + ", p.ended, e.line FROM pair AS p JOIN failure AS a ON a.id = p.id" + wordTables +
		" LEFT JOIN failure AS e ON e.id = p.ended AND p.ended < 0 WHERE p.state != $STATE_PENDING"

	exportWidth = recordWidth + 9
)

// An exporter converts rows to entries.
type exporter struct {
	c     turn
	texts *texts
	from  map[string]int64
	last  map[int64]attemptID // pending pairs, by the id of their last deferral
	entry store.Entry
	yield func(*store.Entry, error) bool
}

func (r *reader) export(ctx context.Context, from map[string]int64, yield func(*store.Entry, error) bool, do func(x *exporter) error) {
	c := r.take(ctx)
	defer c.Unlock()
	x := &exporter{c: c, texts: newTexts(c.Conn), from: from, yield: yield}
	n, err := c.Number("SELECT count(*) FROM meta WHERE key = 'pseudonym_key'")
	if err == nil && n > 0 {
		err = errPseudonyms
	}
	if err == nil {
		err = do(x)
	}
	if err != nil && err != errEnough {
		yield(nil, r.wrap("export", err))
	}
}

// ExportAttempts yields the attempts in the order of their ids, which is the order of their lines.
func (r *reader) ExportAttempts(ctx context.Context, from map[string]int64) iter.Seq2[*store.Entry, error] {
	return func(yield func(*store.Entry, error) bool) { r.export(ctx, from, yield, (*exporter).attempts) }
}

// ExportEnds yields the other events of lines.
func (r *reader) ExportEnds(ctx context.Context, from map[string]int64) iter.Seq2[*store.Entry, error] {
	return func(yield func(*store.Entry, error) bool) {
		r.export(ctx, from, yield, func(x *exporter) error {
			for _, part := range []func() error{x.expiries, x.pairs, x.ends} {
				if err := part(); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// attempt fills the entry from a row that begins with the columns of a failure.
func (x *exporter) attempt(kind store.EntryKind, v []driver.Value) error {
	var row record
	row.scan(v[:exportWidth])
	x.entry = store.Entry{Kind: kind, PairOffset: -1}
	e := &x.entry
	if err := x.texts.fill(&row, &e.Attempt); err != nil {
		return err
	}
	e.Source, e.Offset = e.Attempt.Source, e.Attempt.Offset
	e.First, e.FirstToDomain = row.meta&flagFirst != 0, row.meta&flagFirstToDomain != 0
	switch e.Attempt.Outcome {
	case bounce.Delivered:
		e.Pair = row.meta&flagRecovered != 0
	case bounce.Hard:
		e.Pair = e.Attempt.Reason == bounce.Expired
	}
	return nil
}

// pair sets the pair of a soft failure.
func (x *exporter) pair(id attemptID) (err error) {
	x.entry.PairSource, err = x.texts.source(id.source())
	x.entry.PairOffset = id.offset()
	return err
}

// hand yields the entry, unless its line comes before the lines asked for.
func (x *exporter) hand() error {
	if x.entry.Offset < x.from[x.entry.Source] {
		return nil
	}
	if !x.c.pause(func() bool { return x.yield(&x.entry, nil) }) {
		return errEnough
	}
	return nil
}

func (x *exporter) attempts() error {
	x.last = make(map[int64]attemptID)
	err := x.c.Columns(2, func(v []int64) error {
		x.last[v[0]] = attemptID(v[1])
		return nil
	}, "SELECT columns(last, pair) FROM pending")
	if err != nil {
		return err
	}
	sources := make(map[int64]string)
	if err := x.c.Each(func(v []driver.Value) error {
		sources[num(v[0])] = str(v[1])
		return nil
	}, "SELECT id, name FROM source"); err != nil {
		return err
	}
	for _, n := range sorted(sources) {
		span := attemptsOf(n)
		span.lo += min(x.from[sources[n]], maxOffset)
		err := x.c.Once(func(v []driver.Value) error {
			id := num(v[0])
			if err := x.attempt(store.EntryAttempt, v); err != nil {
				return err
			}
			pair, last := x.last[id]
			switch {
			case v[exportWidth] != nil:
				x.entry.Pair, pair = true, attemptID(id)
				fallthrough
			case last:
				if err := x.pair(pair); err != nil {
					return err
				}
			}
			return x.hand()
		}, exportedAttempts, span.lo, span.hi)
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) expiries() error {
	return x.c.Once(func(v []driver.Value) error {
		if err := x.attempt(store.EntryExpired, v); err != nil {
			return err
		}
		x.entry.Pair = true
		return x.hand()
	}, exportedExpiries)
}

// pairs yields the pairs that are no longer pending, with the line that ended them.
func (x *exporter) pairs() error {
	return x.c.Once(func(v []driver.Value) (err error) {
		if err := x.attempt(store.EntryOver, v); err != nil {
			return err
		}
		ended := attemptID(num(v[exportWidth]))
		if ended.expired() {
			ended = attemptID(num(v[exportWidth+1]))
		}
		e := &x.entry
		if e.Pair = true; ended != 0 {
			if e.Source, err = x.texts.source(ended.source()); err != nil {
				return err
			}
			e.Offset = ended.offset()
		}
		if err := x.pair(attemptID(num(v[0]))); err != nil {
			return err
		}
		return x.hand()
	}, layoutSQL(exportedPairs))
}

func (x *exporter) ends() error {
	return x.c.Once(func(v []driver.Value) error {
		id := attemptID(num(v[0]))
		x.entry = store.Entry{Kind: store.EntryEnd, Source: str(v[1]), Offset: id.offset(), PairOffset: -1}
		x.entry.End = bounce.End{
			Source: str(v[1]), Offset: id.offset(), Time: when(v[2]), Host: str(v[3]), MTA: bounce.MTA(str(v[4])), Instance: str(v[5]),
			QueueID: queueText(v[6]), Event: bounce.EndEvent(str(v[7])), By: str(v[8]),
		}
		return x.hand()
	}, layoutSQL(`SELECT e.id, s.name, e.at, o.host, o.mta, o.instance, e.queue, e.event, e.by
		FROM message_end AS e JOIN origin AS o ON o.id = e.origin JOIN source AS s ON s.id = e.id >> $OFFSET_BITS`))
}
