package main

import (
	"os"
	"runtime/debug"
)

// heapLimit is the size of Go's heap, in bytes, from which on garbage is collected more often. The
// caches are bounded to about 60 MB; without the limit, garbage would take as much again.
const heapLimit = 78 << 20

// limitHeap limits the heap for commands that fill a database, so that their memory does not depend
// on the length of the log. GOMEMLIMIT overrides it. Lift removes the limit.
func limitHeap() (lift func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(heapLimit)
	return func() { debug.SetMemoryLimit(before) }
}
