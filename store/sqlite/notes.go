package sqlite

import "context"

// notePrefix separates notes from the database's own keys in the table meta.
const notePrefix = "note:"

// Note returns the value of a key.
func (d *DB) Note(ctx context.Context, key string) ([]byte, error) {
	c, done, err := d.readConn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	v, err := c.One("SELECT value FROM meta WHERE key = ?", notePrefix+key)
	text, ok := v.(string)
	if !ok {
		return nil, d.wrap("read a note", err)
	}
	return []byte(text), d.wrap("read a note", err)
}

// SetNote sets the value of a key, in a transaction of its own.
func (d *DB) SetNote(_ context.Context, key string, value []byte) error {
	return d.writing("note", func(w *writer) error {
		return w.c.Run("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", notePrefix+key, string(value))
	})
}

// SwapNote replaces an old value of a key, in a transaction of its own.
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
