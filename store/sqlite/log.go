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

// Sizes of the write-ahead log, in bytes. It takes what was committed until it has been moved
// into the database and nobody reads it any more; SQLite has no bound for it.
const (
	// restingLog is what is left of it once it has begun anew.
	restingLog = 16 << 20
	// yieldingLog is at what size those who ask give way (see Options.GiveWay).
	yieldingLog = 64 << 20
	// noticeableLog is at what size it is spoken of.
	noticeableLog = 256 << 20
	// largestLog is at what size nothing more is committed until it has begun anew. One
	// transaction more may come on top.
	largestLog = 1 << 30
	// roomForBatch is what a transaction of follow takes, about.
	roomForBatch = 4 << 20
)

// giveWay waits while the write-ahead log is large and written to. It begins anew at a moment
// at which nobody reads what it holds; four who ask without a pause, each for seconds, never leave
// one. Whoever waits here until those who ask already have ended makes that moment.
func giveWay(ctx context.Context, path string, patience time.Duration) {
	const (
		look  = 50 * time.Millisecond
		alive = 30 * time.Second // a log that nobody has written to for so long will not begin anew
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

func (f *files) logSize() int64 {
	st, err := os.Stat(f.path + "-wal")
	if err != nil {
		return 0
	}
	return st.Size()
}

// ready says why no transaction can begin.
func (d *DB) ready() error {
	if d.checkpoints == nil { // temporary
		return nil
	}
	if err := d.files.replaced(d.path); err != nil {
		return err
	}
	if err := d.room(); err != nil {
		d.w.q.Cut(0) // a log that was large once may hold the room
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

// room says whether there is room for another transaction and then for what the log holds to
// be moved into the database. A log that has taken the last of the room could never be
// moved: the disk would stay full.
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

// logTrouble says why the write-ahead log is so large.
func (d *DB) logTrouble(size int64) string {
	text := fmt.Sprintf("the write-ahead log of %s has grown to %d MB", d.path, size>>20)
	if err := d.checkpoints.Failure(); err != nil {
		return fmt.Sprintf("%s, since it cannot be moved into the database: %v", text, err)
	}
	return text + " while somebody reads the database" + d.files.readerOf()
}

// Trouble says what threatens the database. See store.Guard.
func (d *DB) Trouble() error {
	if d.checkpoints == nil {
		return nil
	}
	if err := d.files.replaced(d.path); err != nil {
		return err
	}
	size := d.files.logSize()
	if size >= 2*restingLog && d.write.TryLock() {
		// It was needed once. Whoever reads may need it still.
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

// Pseudonymized reports whether local parts are stored as pseudonyms.
func (d *DB) Pseudonymized() bool { return d.pseudonymized }
