//go:build !linux

package tailer

import "os"

// holeEnd leaves it to the caller to read what a hole seems to hold.
func holeEnd(_ *os.File, off int64) int64 { return off }
