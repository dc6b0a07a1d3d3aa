package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asUser calls f with the rights of another user. Only the calling thread changes
// its user, and it ends with the goroutine: the rest of the process stays root.
func asUser(t *testing.T, uid int, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked
		for _, call := range []struct{ number, id uintptr }{{syscall.SYS_SETRESGID, uintptr(uid)}, {syscall.SYS_SETRESUID, uintptr(uid)}} {
			if _, _, errno := syscall.RawSyscall(call.number, call.id, call.id, call.id); errno != 0 {
				t.Error(errno)
				return
			}
		}
		f()
	}()
	<-done
}

// Where the owner cannot be kept, nothing is written.
func TestOutputForeignOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "report")
	create(t, path, "old", 0o640)
	asUser(t, 4321, func() {
		if err := writeTo(t, path, "new"); err == nil || !strings.Contains(err.Error(), "keep the owner") {
			t.Errorf("error %v", err)
		}
	})
	if got := content(t, path); got != "old" {
		t.Errorf("%q was written", got)
	}
	onlyFiles(t, dir, "report")
}
