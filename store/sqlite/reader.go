package sqlite

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A reader is a store.Reader: some connections in read transactions that see the same
// commit, which take turns.
type reader struct {
	d     *DB
	conns []*shared
	turn  atomic.Uint32

	counting counting

	close func()
}

var _ store.Reader = (*reader)(nil)

// A shared connection is used by one goroutine at a time. The lock is held while
// SQLite is asked, and not while a caller's loop runs (see pause): whoever waits for
// a connection holds no other, so nobody waits for ever.
type shared struct {
	sync.Mutex
	*sqlite3.Conn
}

// A turn is the use of a shared connection.
type turn struct {
	*shared
	ctx context.Context
}

// pause runs the body of a caller's loop, which may ask the Reader something else.
func (t turn) pause(body func() bool) bool {
	t.Unlock()
	defer func() {
		t.Lock()
		t.Under(t.ctx) // others have used it
	}()
	return body()
}

// readersAtOnce is how many connections a Reader has at most: a report asks five
// questions at once, and more connections than processors gain nothing.
const readersAtOnce = 4

// Read returns a Reader of what is committed.
func (d *DB) Read(ctx context.Context) (store.Reader, error) {
	n := min(max(runtime.GOMAXPROCS(0), 1), readersAtOnce)
	if d.opts.Temporary {
		return d.readTemporary(n)
	}
	r := &reader{d: d}
	var dones []func()
	giveBack := func() {
		for _, done := range dones {
			done()
		}
	}
	r.close = func() {
		for _, c := range r.conns {
			c.Under(context.Background())
			c.Exec("ROLLBACK") // nothing was written; after an error there may be no transaction
		}
		giveBack()
	}
	for range n {
		c, done, err := d.reader(ctx)
		if err != nil {
			giveBack()
			return nil, err
		}
		dones = append(dones, done)
		r.conns = append(r.conns, &shared{Conn: c})
	}
	for range 10 {
		same, err := r.begin()
		if err == nil && same {
			return r, nil
		}
		for _, c := range r.conns {
			if c.InTransaction() {
				err = errors.Join(err, c.Exec("ROLLBACK"))
			}
		}
		if err != nil {
			giveBack()
			return nil, d.wrap("read", err)
		}
	}
	// Others commit all the time. One connection sees one moment by itself.
	for _, done := range dones[1:] {
		done()
	}
	r.conns, dones = r.conns[:1], dones[:1]
	if _, err := r.begin(); err != nil {
		giveBack()
		return nil, d.wrap("read", err)
	}
	return r, nil
}

// begin begins a transaction on each connection. All of them see the same commit
// where the first connection saw none between its look before the others began and
// its own beginning.
func (r *reader) begin() (same bool, err error) {
	const version = "PRAGMA data_version" // changes with each commit of another connection
	before, err := r.conns[0].Number(version)
	if err != nil {
		return false, err
	}
	for i := range r.conns {
		c := r.conns[(i+1)%len(r.conns)]
		if err := c.Exec("BEGIN"); err != nil {
			return false, err
		}
		after, err := c.Number(version) // the transaction begins with the first read
		if err != nil {
			return false, err
		}
		same = after == before // of the last, the first connection
	}
	return same, nil
}

// readTemporary returns a Reader of a temporary database, which has one connection:
// SQLite runs one statement of it at a time, and Append waits until the Reader is
// closed.
func (d *DB) readTemporary(n int) (store.Reader, error) {
	c, done, err := d.reader(context.Background())
	if err != nil {
		return nil, err
	}
	r := &reader{d: d, conns: []*shared{{Conn: c}}}
	r.close = func() {
		for _, c := range r.conns[1:] {
			c.Close()
		}
		done()
	}
	for range n - 1 {
		c, err := c.Share()
		if err != nil {
			r.close()
			return nil, d.wrap("read", err)
		}
		r.conns = append(r.conns, &shared{Conn: c})
	}
	return r, nil
}

// Close ends the transactions.
func (r *reader) Close() error {
	if r.close != nil {
		r.close()
		r.close = nil
	}
	return nil
}

// take takes a connection, the next in turn where all are in use. Unlock it.
func (r *reader) take(ctx context.Context) turn {
	t := turn{ctx: ctx}
	for _, c := range r.conns {
		if c.TryLock() {
			t.shared = c
			break
		}
	}
	if t.shared == nil {
		t.shared = r.conns[int(r.turn.Add(1))%len(r.conns)]
		t.Lock()
	}
	t.Under(ctx)
	return t
}

// together runs two questions, at the same time where a second connection is free.
func (r *reader) together(t turn, one, other func(*sqlite3.Conn) error) error {
	for _, second := range r.conns {
		if second == t.shared || !second.TryLock() {
			continue
		}
		failed := make(chan error, 1)
		go func() {
			defer second.Unlock()
			second.Under(t.ctx)
			failed <- other(second.Conn)
		}()
		return errors.Join(one(t.Conn), <-failed)
	}
	return errors.Join(one(t.Conn), other(t.Conn))
}

// Note returns what was noted under a key.
func (r *reader) Note(ctx context.Context, key string) ([]byte, error) {
	c := r.take(ctx)
	defer c.Unlock()
	v, err := c.One("SELECT value FROM meta WHERE key = ?", notePrefix+key)
	text, ok := v.(string)
	if !ok {
		return nil, r.d.wrap("read a note", err)
	}
	return []byte(text), r.d.wrap("read a note", err)
}

// notePrefix keeps notes apart from what the database keeps for itself in the
// table meta.
const notePrefix = "note:"

// SetNote notes a value, in a transaction of its own.
func (d *DB) SetNote(_ context.Context, key string, value []byte) error {
	return d.writing("note", func(w *writer) error {
		return w.c.Run("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", notePrefix+key, string(value))
	})
}

// SwapNote notes a value in place of another, in a transaction of its own.
func (d *DB) SwapNote(_ context.Context, key string, old, new []byte) (swapped bool, err error) {
	err = d.writing("note", func(w *writer) error {
		v, err := w.c.One("SELECT value FROM meta WHERE key = ?", notePrefix+key)
		if err != nil {
			return err
		}
		text, ok := v.(string)
		if swapped = ok == (old != nil) && text == string(old); !swapped {
			return nil
		}
		return w.c.Run("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", notePrefix+key, string(new))
	})
	return swapped && err == nil, err
}
