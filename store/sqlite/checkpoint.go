package sqlite

import (
	"log/slog"
)

// A checkpointer moves what was committed from the write-ahead log into the
// database, beside the connection that writes: that one would wait for the disk
// meanwhile.
type checkpointer struct {
	c     *conn
	due   chan struct{}
	ended chan struct{}
}

// Bytes.
const (
	// checkpointAfter is about how much may stand in the log before.
	checkpointAfter = 2 << 20
	// commitWeight is about what a commit adds to the log beyond its rows: the
	// pages that it shares with the next.
	commitWeight = 64 << 10
)

// maxLogPages is at which size of the log, in pages, the connection that writes
// does it itself: only while it does not write can the log begin anew.
const maxLogPages = 16384

func newCheckpointer(c *conn) *checkpointer {
	k := &checkpointer{c: c, due: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(k.ended)
		for range k.due {
			// Whatever stands in the way, the log keeps all of it.
			if err := c.exec("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
				slog.Debug("checkpoint", "error", err)
			}
		}
	}()
	return k
}

// start has a checkpoint made soon, unless one is due already.
func (k *checkpointer) start() {
	select {
	case k.due <- struct{}{}:
	default:
	}
}

func (k *checkpointer) close() error {
	close(k.due)
	<-k.ended
	return k.c.close()
}
