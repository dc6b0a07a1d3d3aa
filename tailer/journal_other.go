//go:build !linux

package tailer

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
