package sqlite3

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A Checkpointer moves what was committed from the write-ahead log into the database,
// beside the connection that writes: that one would wait for the disk meanwhile. It owns
// a connection and a goroutine. Switch SQLite's own checkpoints off on the connection that
// writes (PRAGMA wal_autocheckpoint = 0).
//
// The log begins anew, in the same place, with a transaction that finds all of it in the
// database and nobody reading it. Readers that follow one another without a gap keep it
// from that, and so does one that rests in the middle of its answer: see Queue.catchUp and
// Queue.Cut.
type Checkpointer struct {
	c       *Conn
	due     chan struct{}
	ended   chan struct{}
	running sync.Mutex   // held while a checkpoint is made
	large   atomic.Bool  // the log should begin anew
	behind  int          // checkpoints that were due while one was; the queue's goroutine owns it
	next    int64        // pages of the log at which readers are waited for; the queue's goroutine owns it
	failure atomic.Value // failure of the last checkpoint
}

type failure struct{ err error }

const (
	// checkpointAfter is about how many bytes may be committed to the log before.
	checkpointAfter = 2 << 20
	// commitWeight is about how many bytes a commit adds to the log beyond its rows: the
	// pages that it shares with the next.
	commitWeight = 256 << 10
	// maxLogPages is at how many pages the log is large.
	maxLogPages = 2048
	// waitLogPages is after how many pages more the writer waits for readers, and
	// waitReaders for how long, so that the log can begin anew.
	waitLogPages = 8192
	waitReaders  = 500 * time.Millisecond
	// maxBehind is how many checkpoints may be due before the writer waits: on a busy
	// machine the log would grow without a bound.
	maxBehind = 4
)

// NewCheckpointer starts one that uses c, which it closes in the end. Queue.Checkpoint
// gives it work.
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

// run makes a checkpoint that waits for nobody, and returns the size of the log in pages.
// Whatever stands in its way, the log keeps all of it.
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

// catchUp makes a checkpoint where the log is large. It is called between two
// transactions: with all of it in the database, and only then, the next begins the log
// anew, if nobody reads it just then. If that does not happen for long, since readers follow one
// another, the log is cut: while that waits for those who read, new ones do without the log.
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

// Cut moves all of the write-ahead log into the database and cuts the file of the log to
// nothing, between two transactions. It waits so long for others who write and who read,
// and reports whether it was possible: not where somebody goes on reading.
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
