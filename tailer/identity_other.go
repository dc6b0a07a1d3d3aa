//go:build !unix

package tailer

import "os"

func inode(os.FileInfo) string { return "" }

func links(os.FileInfo) uint64 { return 1 }
