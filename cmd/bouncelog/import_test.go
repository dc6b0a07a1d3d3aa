package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/store"
)

// TestImportWaitsForLock holds how long an import waits for another process (what it
// then does is in the script locked).
func TestImportWaitsForLock(t *testing.T) {
	defer func(d time.Duration) { lockPatience = d }(lockPatience)
	lockPatience = time.Hour
	var stderr bytes.Buffer
	retry := waitForLock(t.Context(), &stderr)
	if retry(errors.New("another thing")) {
		t.Error("tries again after an error that does not pass")
	}
	locked := fmt.Errorf("open: %w", store.ErrLocked)
	for range 3 {
		if !retry(locked) {
			t.Error("does not wait for the lock")
		}
	}
	if n := strings.Count(stderr.String(), "\n"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &stderr)
	}
	lockPatience = 0
	if retry(locked) {
		t.Error("waits for ever")
	}
}
