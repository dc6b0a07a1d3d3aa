package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// announced is the key in the table meta under which stands, as JSON, what was
// announced and the Unix time until which it was last seen.
const announced = "announced"

// Announced says what was announced, and until when it was last seen.
func (d *DB) Announced(ctx context.Context) (map[string]time.Time, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	v, err := c.One("SELECT value FROM meta WHERE key = ?", announced)
	if err != nil {
		return nil, d.wrap("read what was announced", err)
	}
	all := make(map[string]time.Time)
	if text, ok := v.(string); ok {
		seconds := make(map[string]int64)
		if err := json.Unmarshal([]byte(text), &seconds); err != nil {
			return nil, fmt.Errorf("read what was announced: %w", err)
		}
		for key, at := range seconds {
			all[key] = time.Unix(at, 0).UTC()
		}
	}
	return all, nil
}

// Announce replaces what was announced, in a transaction of its own.
func (d *DB) Announce(_ context.Context, all map[string]time.Time) error {
	seconds := make(map[string]int64, len(all))
	for key, at := range all {
		seconds[key] = at.Unix()
	}
	text, err := json.Marshal(seconds)
	if err != nil {
		return err
	}
	return d.writing("announce", func(w *writer) error {
		return w.c.Run("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", announced, string(text))
	})
}
