package sqlite3

import (
	"database/sql/driver"
	"log/slog"
	"sync"
	"sync/atomic"
)

// A Checkpointer moves what was committed from the write-ahead log into the database,
// beside the connection that writes: that one would wait for the disk meanwhile. It owns
// a connection and a goroutine. Switch SQLite's own checkpoints off on the connection that
// writes (PRAGMA wal_autocheckpoint = 0).
type Checkpointer struct {
	c       *Conn
	due     chan struct{}
	ended   chan struct{}
	running sync.Mutex  // held while a checkpoint is made
	large   atomic.Bool // the log should begin anew
	behind  int         // checkpoints that were due while one was; the queue's goroutine owns it
}

const (
	// checkpointAfter is about how many bytes may be committed to the log before.
	checkpointAfter = 2 << 20
	// commitWeight is about how many bytes a commit adds to the log beyond its rows: the
	// pages that it shares with the next.
	commitWeight = 128 << 10
	// maxLogPages is at how many pages the log is large.
	maxLogPages = 8192
	// maxBehind is how many checkpoints may be due before the writer waits: on a busy
	// machine the log would grow without a bound.
	maxBehind = 16
)

// NewCheckpointer starts one that uses c, which it closes in the end. Queue.Checkpoint
// gives it work.
func NewCheckpointer(c *Conn) *Checkpointer {
	k := &Checkpointer{c: c, due: make(chan struct{}, 1), ended: make(chan struct{})}
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

// run makes a checkpoint and returns the size of the log in pages. Whatever stands in its
// way, the log keeps all of it.
func (k *Checkpointer) run() (pages int64) {
	k.running.Lock()
	defer k.running.Unlock()
	err := k.c.Each(func(row []driver.Value) error {
		pages, _ = row[1].(int64)
		return ErrStop
	}, "PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil {
		slog.Debug("checkpoint", "error", err)
	}
	return pages
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
// anew.
func (k *Checkpointer) catchUp() {
	if k.large.Swap(false) {
		k.run()
	}
}

// truncate moves all of the log into the database and cuts both to their sizes.
func (k *Checkpointer) truncate(writer *Conn) error {
	k.running.Lock()
	defer k.running.Unlock()
	return writer.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
}

func (k *Checkpointer) close() error {
	close(k.due)
	<-k.ended
	return k.c.Close()
}
