package store

import "context"

// A Watcher tells at almost no cost whether something was stored.
type Watcher interface {
	// Watch returns a version function, whose result changes whenever a batch has become visible,
	// for use by one goroutine at a time. stop closes it.
	Watch(ctx context.Context) (version func() (int64, error), stop func(), err error)
}
