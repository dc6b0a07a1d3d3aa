package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A reader is a store.Reader with several connections, each in a read transaction on the same
// commit. Callers use them in turn.
type reader struct {
	dbFile
	conns []*shared
	turn  atomic.Uint32

	counting counting

	close func()
}

var _ store.Reader = (*reader)(nil)

// A shared connection is used by one goroutine at a time. The lock is held while SQLite runs, and
// released while a caller's loop body runs (see pause). A goroutine that waits for a connection
// holds no other, so there is no deadlock.
type shared struct {
	sync.Mutex
	*sqlite3.Conn
}

// A turn is the use of a shared connection.
type turn struct {
	*shared
	ctx context.Context
}

// pause runs the body of a caller's loop, which may query the Reader.
func (t turn) pause(body func() bool) bool {
	t.Unlock()
	defer func() {
		t.Lock()
		t.Under(t.ctx) // other goroutines have used it
	}()
	return body()
}

// begin begins a transaction on each connection. All see the same commit if the first connection
// detects no commit between a check before the others began and its own begin.
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
		same = after == before // of the first connection, which begins last
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

// take locks a free connection, or the next in turn if all are in use. The caller unlocks it.
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

// together runs two queries, in parallel if a second connection is free.
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
