package sqlite

import (
	"context"

	"bouncelog/store"
)

var _ store.Watcher = (*DB)(nil)

// Watch reads PRAGMA data_version on a connection of its own. The number changes with each commit
// of any other connection, and is read from shared memory
// (sqlite.org/pragma.html#pragma_data_version).
func (d *DB) Watch(ctx context.Context) (version func() (int64, error), stop func(), err error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, nil, err
	}
	return func() (int64, error) {
		n, err := c.Number("PRAGMA data_version")
		return n, d.wrap("read", err)
	}, done, nil
}
