package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A reader is a store.Reader: some connections in read transactions that see the same
// commit, which take turns.
type reader struct {
	file
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
		return nil, r.wrap("read a note", err)
	}
	return []byte(text), r.wrap("read a note", err)
}

// notePrefix keeps notes apart from what the database keeps for itself in the
// table meta.
const notePrefix = "note:"
