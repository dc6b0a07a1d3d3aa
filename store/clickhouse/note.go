package clickhouse

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// latestNote returns the value of a key, with its version if several processes change it; otherwise
// 0.
func (d *DB) latestNote(ctx context.Context, key string) (value []byte, version uint64, err error) {
	var n uint64
	var text string
	err = d.conn.QueryRow(ctx, "SELECT count(), max(version), argMax(value, version) FROM shared_note WHERE key = "+quote(key)).Scan(&n, &version, &text)
	if err == nil && n == 0 {
		err = d.conn.QueryRow(ctx, "SELECT count(), argMax(value, seq) FROM note WHERE key = "+quote(key)).Scan(&n, &text)
	}
	if err == nil && n > 0 {
		value = []byte(text)
	}
	return value, version, err
}

// Note returns the value of a key.
func (d *DB) Note(ctx context.Context, key string) ([]byte, error) {
	value, _, err := d.latestNote(ctx, key)
	return value, d.wrap("note", err)
}

// SetNote sets the value of a key.
func (d *DB) SetNote(ctx context.Context, key string, value []byte) error {
	seq, err := d.number(ctx)
	if err == nil {
		err = insert(ctx, d, "note (key, value, seq)", [][]any{{key, string(value), seq}}, func(v []any) []any { return v })
	}
	return d.wrap("note", err)
}

// SwapNote replaces an old value of a key. ClickHouse cannot compare values when it writes, but it
// drops an insert with the deduplication token (insert_deduplication_token) of an earlier one. When
// several processes write the same version of a note, the first insert is stored; each process then
// reads the writer of that version and knows whether it won. The rows are kept, so that no process
// writes a version again whose token the server has forgotten.
func (d *DB) SwapNote(ctx context.Context, key string, old, new []byte) (swapped bool, err error) {
	value, version, err := d.latestNote(ctx, key)
	if err != nil {
		return false, d.wrap("note", err)
	}
	if (old == nil) != (value == nil) || string(old) != string(value) {
		return false, nil
	}
	version++
	var id [16]byte
	rand.Read(id[:]) // never fails
	me := hex.EncodeToString(id[:])
	once := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"insert_deduplicate": 1, "insert_deduplication_token": fmt.Sprintf("%d %s", version, key)}))
	if err := insert(once, d, "shared_note (key, version, value, writer)", [][]any{{key, version, string(new), me}}, func(v []any) []any { return v }); err != nil {
		return false, d.wrap("note", err)
	}
	var winner string
	err = d.conn.QueryRow(ctx, fmt.Sprintf("SELECT any(writer) FROM shared_note WHERE key = %s AND version = %d", quote(key), version)).Scan(&winner)
	return err == nil && winner == me, d.wrap("note", err)
}
