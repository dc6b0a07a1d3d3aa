package sqlite3

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Checkpointer moves committed pages from the write-ahead log into the database. It owns a
// connection and a goroutine, so that the connection that writes does not wait for the disk. Switch
// SQLite's own checkpoints off on the connection that writes (PRAGMA wal_autocheckpoint = 0).
//
// A transaction resets the log (it writes from the log's beginning) if all of the log is in the
// database and no reader uses it. Overlapping readers prevent that, and so does a long read: see
// Queue.catchUp and Queue.Cut.
type Checkpointer struct {
	c       *Conn
	due     chan struct{}
	ended   chan struct{}
	running sync.Mutex   // locked during a checkpoint
	large   atomic.Bool  // the log should be reset
	behind  int          // checkpoints that became due during another; the queue's goroutine owns it
	next    int64        // size of the log, in pages, at which to wait for readers; the queue's goroutine owns it
	failure atomic.Value // failure of the last checkpoint
}

type failure struct{ err error }

const (
	// checkpointAfter is about the number of bytes committed to the log between two checkpoints.
	checkpointAfter = 2 << 20
	// commitWeight is about the number of bytes that a commit adds to the log beyond its rows: the
	// pages that it shares with the next commit.
	commitWeight = 256 << 10
	// maxLogPages is the size from which the log is large, in pages.
	maxLogPages = 2048
	// After each waitLogPages pages more, the writer waits up to waitReaders for readers, so that
	// the log can be reset.
	waitLogPages = 8192
	waitReaders  = 500 * time.Millisecond
	// maxBehind is the number of due checkpoints from which on the writer waits: on a busy machine
	// the log would otherwise grow without a limit.
	maxBehind = 4
)

// NewCheckpointer starts a Checkpointer on c, which it closes at its end. Pass it to Queue.Checkpoint.
func NewCheckpointer(c *Conn) *Checkpointer {
	k := &Checkpointer{c: c, due: make(chan struct{}, 1), ended: make(chan struct{}), next: waitLogPages}
	go func() {
		defer close(k.ended)
		for range k.due {
			if k.run() > maxLogPages {
				k.large.Store(true)
			}
		}
	}()
	return k
}

// run makes a checkpoint that does not wait for readers, and returns the size of the log in pages.
// What it cannot move into the database stays in the log.
func (k *Checkpointer) run() (pages int64) {
	k.running.Lock()
	defer k.running.Unlock()
	err := k.c.Each(func(row []driver.Value) error {
		pages, _ = row[1].(int64)
		return ErrStop
	}, "PRAGMA wal_checkpoint(PASSIVE)")
	k.failure.Store(failure{err})
	return pages
}

// Failure is why the last checkpoint failed; nil: it did not.
func (k *Checkpointer) Failure() error {
	f, _ := k.failure.Load().(failure)
	return f.err
}

// start has a checkpoint made soon, unless one is due already. It is called between two
// transactions.
func (k *Checkpointer) start() {
	select {
	case k.due <- struct{}{}:
		k.behind = 0
	default:
		if k.behind++; k.behind >= maxBehind {
			k.behind = 0
			k.run()
		}
	}
}

// catchUp makes a checkpoint if the log is large. It is called between two transactions: only if all
// of the log is in the database and no reader uses it does the next transaction reset the log. If
// overlapping readers prevent that for long, the log is truncated, which waits for these readers; new
// readers read the database alone.
func (q *Queue) catchUp() {
	k := q.checkpoints
	if !k.large.Swap(false) {
		return
	}
	switch pages := k.run(); {
	case pages < waitLogPages:
		k.next = waitLogPages
	case pages >= k.next:
		if k.next = pages + waitLogPages; q.cut(waitReaders) {
			k.next = waitLogPages
		}
	}
}

// Cut moves all of the write-ahead log into the database and truncates the log to nothing, between two
// transactions. It waits for other writers and readers for at most patience. It reports whether it
// succeeded; a long read prevents it.
func (q *Queue) Cut(patience time.Duration) bool {
	q.pending.Wait()
	return q.checkpoints != nil && q.cut(patience)
}

// cut is Cut in the turn of the queue. It uses the connection that writes, which would
// otherwise take the cut for a commit of others (see Notice).
func (q *Queue) cut(patience time.Duration) bool {
	q.checkpoints.running.Lock()
	defer q.checkpoints.running.Unlock()
	ctx := context.Background()
	if q.c.exec(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", patience.Milliseconds())) != nil {
		return false
	}
	defer q.c.exec(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", q.patience))
	s, err := q.c.prepare("PRAGMA wal_checkpoint(TRUNCATE)")
	if err != nil {
		return false
	}
	defer s.Close()
	busy := int64(1)
	err = s.Each(func(row []driver.Value) error {
		busy, _ = row[0].(int64)
		return ErrStop
	})
	return err == nil && busy == 0
}

func (k *Checkpointer) close() error {
	close(k.due)
	<-k.ended
	return k.c.Close()
}
