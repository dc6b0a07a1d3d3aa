package sqlite

import (
	"context"
	"errors"
	"fmt"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// withWriter locks the writer and calls fn with it.
func (d *DB) withWriter(what string, fn func(*writer) error) error {
	d.write.Lock()
	defer d.write.Unlock()
	if d.opts.Temporary {
		// On its one connection a Reader would see uncommitted rows.
		if d.w == nil || !d.open {
			d.single.Lock()
		}
		defer func() {
			if d.w == nil || !d.open {
				d.single.Unlock()
			}
		}()
	}
	if d.w == nil {
		if d.opts.ReadOnly {
			return fmt.Errorf("%s: %s: opened for reading only", what, d.path)
		}
		return errClosed
	}
	return d.wrap(what, fn(d.w))
}

// transact runs f in the open transaction, or in a new one, and leaves it open. If f fails, the
// whole transaction is rolled back and the cached dictionaries are cleared.
func (d *DB) transact(f func() error) error {
	if d.broken != nil {
		return d.broken
	}
	err := d.w.q.Failed()
	if err == nil && !d.open {
		err = d.begin()
	}
	if err == nil {
		err = f()
	}
	if err == nil {
		return nil
	}
	return d.undo(err)
}

// begin begins a transaction. If another process, such as an import beside the daemon, has written
// since the last one, it clears the cached dictionaries.
func (d *DB) begin() error {
	if err := d.ready(); err != nil {
		return err
	}
	for range 10 {
		d.w.q.Begin()
		d.open = true
		err := d.w.c.Settle()
		if !errors.Is(err, sqlite3.ErrChanged) {
			return err
		}
		if err := d.w.reset(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: others write to it all the time", store.ErrLocked)
}

// commit commits the transaction and waits for the result.
func (d *DB) commit() error {
	if err := d.w.flush(); err != nil {
		return err
	}
	if err := d.files.replaced(d.path); err != nil {
		return err
	}
	d.w.q.Commit()
	err := d.w.c.Settle()
	d.open = err != nil
	return err
}

// undo rolls the transaction back because of err.
func (d *DB) undo(err error) error {
	first := d.w.c.Settle() // the queued rows are rolled back too
	if first != nil && !errors.Is(err, first) {
		err = errors.Join(first, err)
	}
	d.open = false
	if d.opts.Temporary {
		d.broken = errors.Join(errHalf, err) // a temporary database has no journal to roll back
		return d.broken
	}
	if d.w.c.InTransaction() {
		d.w.c.Exec("ROLLBACK")
	}
	err = errors.Join(err, d.w.reset())
	if sqlite3.KindOf(err) == sqlite3.ErrFull {
		d.w.q.Cut(0) // a large log may be filling the disk
	}
	return err
}

// errHalf is why a temporary database can store nothing more.
var errHalf = errors.New("a part of a batch cannot be taken back")

// writing runs f in a transaction of its own.
func (d *DB) writing(what string, f func(w *writer) error) error {
	return d.withWriter(what, func(w *writer) error {
		if d.open { // by a Writer
			if err := d.transact(d.commit); err != nil {
				return err
			}
		}
		return d.transact(func() error {
			if err := f(w); err != nil {
				return err
			}
			return d.commit()
		})
	})
}

// A batchWriter is a store.Writer.
type batchWriter struct{ d *DB }

// Write returns a Writer. Another process may also write, between two transactions.
func (d *DB) Write(context.Context) (store.Writer, error) {
	x := batchWriter{d}
	return x, x.d.withWriter("write", func(*writer) error { return nil })
}

// Resume returns the positions at which reading resumes.
func (x batchWriter) Resume(ctx context.Context) (*store.Resume, error) {
	r, err := x.d.Read(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.(*reader).Resume(ctx)
}

// Append stores a batch. Attempts before the position of their source are stored already and are
// left out. So a batch may be appended again, and a batch whose positions are all behind those
// stored changes nothing.
func (x batchWriter) Append(ctx context.Context, b *store.Batch) error {
	return x.d.withWriter("store", func(w *writer) error {
		return x.d.transact(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.append(b)
		})
	})
}

// Commit commits the transaction and waits for the result.
func (x batchWriter) Commit(ctx context.Context) error {
	return x.d.withWriter("store", func(w *writer) error {
		if !x.d.open {
			return x.d.broken
		}
		return x.d.transact(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return x.d.commit()
		})
	})
}

// Rollback rolls the transaction back.
func (x batchWriter) Rollback() error {
	return x.d.withWriter("roll back", func(w *writer) error {
		if !x.d.open {
			return nil
		}
		return x.d.undo(nil)
	})
}

// Close rolls back everything since the last commit. For a temporary database it also clears the
// cached dictionaries, some forty megabytes, since from now on the database is mostly read.
func (x batchWriter) Close() error {
	err := x.d.withWriter("close", func(w *writer) error {
		if x.d.open {
			return x.d.undo(nil)
		}
		if x.d.opts.Temporary {
			return w.reset()
		}
		return nil
	})
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}
