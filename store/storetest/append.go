package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"bouncelog/store"
)

// Append stores batches with one Writer for the whole test, and commits after each batch.
func Append(t testing.TB, s store.Store, bs ...*store.Batch) {
	t.Helper()
	w := writerOf(t, s)
	for _, b := range bs {
		must(t, w.Append(t.Context(), b))
		must(t, w.Commit(t.Context()))
	}
}

var writers sync.Map // by store

func writerOf(t testing.TB, s store.Store) store.Writer {
	t.Helper()
	if w, known := writers.Load(s); known {
		return w.(store.Writer)
	}
	w, err := s.Write(t.Context())
	must(t, err)
	writers.Store(s, w)
	t.Cleanup(func() {
		writers.Delete(s)
		w.Close()
	})
	return w
}

// Put stores batches with a Writer of their own, and returns the error.
func Put(ctx context.Context, s store.Store, bs ...*store.Batch) error {
	w, err := s.Write(ctx)
	if err != nil {
		return err
	}
	for _, b := range bs {
		if err == nil {
			err = w.Append(ctx, b)
		}
		if err == nil {
			err = w.Commit(ctx)
		}
	}
	return errors.Join(err, w.Close())
}
