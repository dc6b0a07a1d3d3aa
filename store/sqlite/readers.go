package sqlite

import (
	"context"
	"errors"
	"runtime"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// readConn takes a connection whose statements are cancelled with ctx; done returns it.
func (d *DB) readConn(ctx context.Context) (c *sqlite3.Conn, done func(), err error) {
	if d.opts.Temporary {
		d.single.RLock()
		if d.w == nil {
			d.single.RUnlock()
			return nil, nil, errClosed
		}
		c, err := d.w.c.Share()
		if err != nil {
			d.single.RUnlock()
			return nil, nil, d.wrap("read", err)
		}
		c.Under(ctx)
		return c, func() {
			c.Close()
			d.single.RUnlock()
		}, nil
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, nil, errClosed
	}
	if n := len(d.idle); n > 0 {
		c, d.idle = d.idle[n-1], d.idle[:n-1]
	}
	d.mu.Unlock()
	if c == nil {
		if c, err = d.dial(d.dsn, nil); err != nil {
			return nil, nil, err
		}
	}
	whole := c.Under(ctx)
	return c, func() {
		whole()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.closed || len(d.idle) >= 4 {
			c.Close()
			return
		}
		d.idle = append(d.idle, c)
	}, nil
}

// plainReader returns a connection for a user's SQL.
func (d *DB) plainReader(ctx context.Context) (c *sqlite3.Conn, done func(), err error) {
	if d.opts.Temporary {
		return d.readConn(ctx)
	}
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return nil, nil, errClosed
	}
	if c, err = sqlite3.OpenPlain(d.dsn); err != nil {
		return nil, nil, d.wrap("open", d.cannotOpen(err))
	}
	if err := c.Exec("PRAGMA cell_size_check = ON"); err != nil {
		c.Close()
		return nil, nil, d.wrap("open", err)
	}
	c.Under(ctx)
	return c, func() { c.Close() }, nil
}

// readersAtOnce is the largest number of connections of a Reader. A report asks five questions at
// once, and more connections than processors gain nothing.
const readersAtOnce = 4

// Read returns a Reader of the last commit.
func (d *DB) Read(ctx context.Context) (store.Reader, error) {
	n := min(max(runtime.GOMAXPROCS(0), 1), readersAtOnce)
	if d.opts.Temporary {
		return d.readTemporary(n)
	}
	r := &reader{dbFile: d.dbFile}
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
		c, done, err := d.readConn(ctx)
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
	// Other processes commit all the time. A single connection is consistent by itself.
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

// readTemporary returns a Reader of a temporary database, which has one connection. SQLite runs one
// statement at a time on it, and Append waits until the Reader is closed.
func (d *DB) readTemporary(n int) (store.Reader, error) {
	c, done, err := d.readConn(context.Background())
	if err != nil {
		return nil, err
	}
	r := &reader{dbFile: d.dbFile, conns: []*shared{{Conn: c}}}
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

var _ store.Watcher = (*DB)(nil)

// Watch reads PRAGMA data_version on a connection of its own. The number changes with each commit
// of any other connection, and is read from shared memory
// (sqlite.org/pragma.html#pragma_data_version).
func (d *DB) Watch(ctx context.Context) (version func() (int64, error), stop func(), err error) {
	c, done, err := d.readConn(ctx)
	if err != nil {
		return nil, nil, err
	}
	return func() (int64, error) {
		n, err := c.Number("PRAGMA data_version")
		return n, d.wrap("read", err)
	}, done, nil
}
