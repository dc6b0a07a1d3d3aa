package sqlite

import (
	"database/sql/driver"
	"log/slog"
	"sync"
	"sync/atomic"
)

// A checkpointer moves what was committed from the write-ahead log into the
// database, beside the connection that writes: that one would wait for the disk
// meanwhile.
type checkpointer struct {
	c       *conn
	due     chan struct{}
	ended   chan struct{}
	running sync.Mutex
	large   atomic.Bool // the log should begin anew
}

// Bytes.
const (
	// checkpointAfter is about how much may stand in the log before.
	checkpointAfter = 2 << 20
	// commitWeight is about what a commit adds to the log beyond its rows: the
	// pages that it shares with the next.
	commitWeight = 128 << 10
)

// maxLogPages is at how many pages the log is large.
const maxLogPages = 8192

func newCheckpointer(c *conn) *checkpointer {
	k := &checkpointer{c: c, due: make(chan struct{}, 1), ended: make(chan struct{})}
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

// run makes a checkpoint and returns the size of the log in pages. Whatever stands
// in its way, the log keeps all of it.
func (k *checkpointer) run() (pages int64) {
	k.running.Lock()
	defer k.running.Unlock()
	err := k.c.each(func(row []driver.Value) error {
		pages = num(row[1])
		return errStop
	}, "PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil {
		slog.Debug("checkpoint", "error", err)
	}
	return pages
}

// start has a checkpoint made soon, unless one is due already.
func (k *checkpointer) start() {
	select {
	case k.due <- struct{}{}:
	default:
	}
}

// catchUp makes a checkpoint where the log is large. It is called between two
// transactions: with all of it in the database, and only then, the next begins
// the log anew.
func (k *checkpointer) catchUp() {
	if k.large.Swap(false) {
		k.run()
	}
}

// truncate moves all of the log into the database and cuts both to their sizes.
func (k *checkpointer) truncate(writer *conn) error {
	k.running.Lock()
	defer k.running.Unlock()
	return writer.exec("PRAGMA wal_checkpoint(TRUNCATE)")
}

func (k *checkpointer) close() error {
	close(k.due)
	<-k.ended
	return k.c.close()
}
