package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"bouncelog/store"
)

// Sizes of the write-ahead log, in bytes. It holds commits until they have been moved into the
// database and no reader needs them any more. SQLite does not limit it.
const (
	// restingLog is the size of the file after a reset.
	restingLog = 16 << 20
	// yieldingLog is the size from which new readers give way (see Options.GiveWay).
	yieldingLog = 64 << 20
	// noticeableLog is the size from which a warning is shown.
	noticeableLog = 256 << 20
	// largestLog is the size from which nothing more is committed until the log was reset. One more
	// transaction may exceed it.
	largestLog = 1 << 30
	// roomForBatch is about the size of a transaction of follow.
	roomForBatch = 4 << 20
)

// giveWay waits while the write-ahead log is large and being written. The log can be reset only at
// a moment when no reader uses it. Four clients that query without a pause, for seconds each, leave
// no such moment. If new readers wait here until the earlier ones have ended, there is one.
func giveWay(ctx context.Context, path string, patience time.Duration) {
	const (
		look  = 50 * time.Millisecond
		alive = 30 * time.Second // a log not written for this long will not be reset
	)
	log := realPath(path) + "-wal"
	for waited := time.Duration(0); waited < patience; waited += look {
		st, err := os.Stat(log)
		if err != nil || st.Size() < yieldingLog || time.Since(st.ModTime()) > alive {
			return
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return
		}
	}
}

// ready returns an error if no transaction can begin.
func (d *DB) ready() error {
	if d.checkpoints == nil { // a temporary database
		return nil
	}
	if err := d.files.replaced(d.path); err != nil {
		return err
	}
	if err := d.room(); err != nil {
		d.w.q.Cut(0) // a log that was large once may occupy the space
		if err := d.room(); err != nil {
			return err
		}
	}
	size := d.files.logSize()
	if size < d.opts.largestLog || d.w.q.Cut(time.Second) {
		return nil
	}
	return fmt.Errorf("%w: %s; it grows no further until that has ended", store.ErrLocked, d.logTrouble(size))
}

// room returns an error unless there is space for another transaction, and then for moving the log
// into the database. A log that fills the disk could never be moved, and the disk would stay full.
func (d *DB) room() error {
	var fs syscall.Statfs_t
	st, err := os.Stat(d.files.path)
	if err != nil || syscall.Statfs(d.files.path, &fs) != nil || fs.Blocks == 0 {
		return nil
	}
	pages, err := d.w.c.Number("PRAGMA page_count")
	if err != nil {
		return err
	}
	size, err := d.w.c.Number("PRAGMA page_size")
	if err != nil {
		return err
	}
	block := int64(fs.Bsize)
	total, free, needed := int64(fs.Blocks)*block, int64(fs.Bavail)*block, max(pages*size-st.Size(), 0)
	if free >= needed+min(roomForBatch, total/8) {
		return nil
	}
	return fmt.Errorf("%s: %w: %d MB are free, and its write-ahead log needs %d MB to be moved", d.path, store.ErrFull, free>>20, needed>>20)
}

// logTrouble returns the reason why the write-ahead log is so large.
func (d *DB) logTrouble(size int64) string {
	text := fmt.Sprintf("the write-ahead log of %s has grown to %d MB", d.path, size>>20)
	if err := d.checkpoints.Failure(); err != nil {
		return fmt.Sprintf("%s, since it cannot be moved into the database: %v", text, err)
	}
	return text + " while somebody reads the database" + d.files.readerOf()
}

// Trouble returns a problem that threatens the database. See store.Guard.
func (d *DB) Trouble() error {
	if d.checkpoints == nil {
		return nil
	}
	if err := d.files.replaced(d.path); err != nil {
		return err
	}
	size := d.files.logSize()
	if size >= 2*restingLog && d.write.TryLock() {
		// The log was this large once. Readers may still need it.
		if d.w != nil && !d.open {
			d.w.q.Cut(0)
			size = d.files.logSize()
		}
		d.write.Unlock()
	}
	if size >= noticeableLog {
		return errors.New(d.logTrouble(size))
	}
	return d.wrap("move the write-ahead log into the database", d.checkpoints.Failure())
}
