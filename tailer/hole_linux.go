package tailer

import (
	"errors"
	"os"
	"syscall"
)

// seekData is SEEK_DATA of lseek(2).
const seekData = 3

// holeEnd returns where the first bytes at or behind off are that are stored, the
// file's size where there are none, and off where the file system cannot tell. It
// moves f's own offset, which nobody uses.
func holeEnd(f *os.File, off int64) int64 {
	end, err := f.Seek(off, seekData)
	if errors.Is(err, syscall.ENXIO) {
		if fi, err := f.Stat(); err == nil {
			return max(off, fi.Size())
		}
	}
	if err != nil {
		return off
	}
	return end
}
