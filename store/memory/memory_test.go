package memory_test

import (
	"testing"

	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memory.Open() })
}
