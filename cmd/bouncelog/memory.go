package main

import (
	"os"
	"runtime/debug"
)

// heapLimit is how large Go's heap may grow before garbage is collected more
// often, in bytes. What is remembered is bounded to some sixty million; without
// this, as much again would be garbage.
const heapLimit = 78 << 20

// limitHeap is for the commands that fill a database: they shall take the same
// memory however long a log is. GOMEMLIMIT overrides it. Lift takes it back.
func limitHeap() (lift func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(heapLimit)
	return func() { debug.SetMemoryLimit(before) }
}
