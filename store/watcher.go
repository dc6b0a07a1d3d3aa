package store

import "context"

// A Watcher can be asked whether something was stored, at next to no cost.
type Watcher interface {
	// Watch returns a version: a function whose number changes whenever a batch has
	// become visible. One goroutine asks it at a time. Close it with stop.
	Watch(ctx context.Context) (version func() (int64, error), stop func(), err error)
}
