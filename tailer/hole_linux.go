package tailer

import (
	"errors"
	"os"
	"syscall"
)

// seekData is SEEK_DATA of lseek(2).
const seekData = 3

// holeEnd returns the offset of the first stored bytes at or after off; the file's size if there
// are none, and off if the file system does not tell. It moves f's own offset, which nothing uses.
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
