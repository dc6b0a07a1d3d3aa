package sqlite

import (
	"context"
	"errors"
	"runtime"

	"bouncelog/store"
)

// Read returns a Reader of the last commit.
func (d *DB) Read(ctx context.Context) (store.Reader, error) {
	n := min(max(runtime.GOMAXPROCS(0), 1), readersAtOnce)
	if d.opts.Temporary {
		return d.readTemporary(n)
	}
	r := &reader{file: d.file}
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
	c, done, err := d.reader(context.Background())
	if err != nil {
		return nil, err
	}
	r := &reader{file: d.file, conns: []*shared{{Conn: c}}}
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
