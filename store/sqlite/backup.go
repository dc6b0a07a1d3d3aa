package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"

	"bouncelog/internal/sqlite3"
)

// Backup copies the database to a new file while it is in use.
func (d *DB) Backup(ctx context.Context, to string) error {
	if d.opts.Temporary {
		return errors.New("backup: a temporary database is not kept")
	}
	c, done, err := d.readConn(ctx)
	if err != nil {
		return err
	}
	defer done()
	return d.backup(ctx, c, to)
}

// backup writes a complete copy under a temporary name, then renames it.
func (d *DB) backup(ctx context.Context, c *sqlite3.Conn, to string) (err error) {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("backup: %s exists", to)
	}
	part := &DB{dbFile: dbFile{to + ".part"}, opts: d.opts}
	os.Remove(part.path)
	if err := part.create(); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer os.Remove(part.path)
	dst, err := sqlite3.Open(part.uri("mode", "rw"))
	if err != nil {
		return part.wrap("backup", err)
	}
	defer func() {
		if e := dst.Close(); err == nil && e != nil {
			err = part.wrap("backup", e)
		}
		if err == nil {
			err = os.Rename(part.path, to)
		}
	}()
	return part.wrap("backup", dst.Backup(c))
}
