package sqlite

import (
	"testing"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

func FuzzEngines(f *testing.F) {
	storetest.Fuzz(f, 24, func(t *testing.T) store.Store { return open(t, "", Options{Temporary: true}) })
}
