package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestReportStepsBack looks at a report that waits for its log: all of its threads
// have given way.
func TestReportStepsBack(t *testing.T) {
	fifo := t.TempDir() + "/log"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "report", fifo)
	tasks := filepath.Join("/proc", strconv.Itoa(p.Process.Pid), "task")
	if _, err := os.Stat(tasks); err != nil {
		t.Skip("no /proc here:", err)
	}
	eventually(t, "every thread to have stepped back", func() bool {
		threads, _ := filepath.Glob(tasks + "/*/stat")
		for _, name := range threads {
			stat, err := os.ReadFile(name)
			if err != nil {
				continue // gone
			}
			_, rest, _ := strings.Cut(string(stat), ") ")
			if nice, err := strconv.Atoi(strings.Fields(rest)[16]); err != nil || nice < backNice { // see proc(5)
				return false
			}
		}
		return len(threads) > 0
	})
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	p.end(t)
}
