package sqlite

import (
	"errors"
	"fmt"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// withWriter calls fn with the writer, while nobody else has it.
func (d *DB) withWriter(what string, fn func(*writer) error) error {
	d.write.Lock()
	defer d.write.Unlock()
	if d.opts.Temporary {
		// Its one connection would show a Reader uncommitted rows.
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

// transact runs f in the transaction that is open, or in a new one, and leaves it open.
// Where it fails all of the transaction is taken back, and what is remembered of the
// dictionaries is forgotten.
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

// begin begins a transaction, and forgets what is remembered of the dictionaries if
// another process has written since the last: an import beside the daemon.
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

// commit ends the transaction and waits for that.
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
	first := d.w.c.Settle() // what was still to be written is taken back too
	if first != nil && !errors.Is(err, first) {
		err = errors.Join(first, err)
	}
	d.open = false
	if d.opts.Temporary {
		d.broken = errors.Join(errHalf, err) // it has no journal that could undo anything
		return d.broken
	}
	if d.w.c.InTransaction() {
		d.w.c.Exec("ROLLBACK")
	}
	err = errors.Join(err, d.w.reset())
	if sqlite3.KindOf(err) == sqlite3.ErrFull {
		d.w.q.Cut(0) // a large log may be what fills the disk
	}
	return err
}

// errHalf is why a temporary database takes nothing more.
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
