package sqlite

import (
	"context"
	"errors"

	"bouncelog/store"
)

// A batchWriter is a store.Writer.
type batchWriter struct{ d *DB }

// Write returns a Writer. Another process may also write, between two transactions.
func (d *DB) Write(context.Context) (store.Writer, error) {
	x := batchWriter{d}
	return x, x.d.withWriter("write", func(*writer) error { return nil })
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
