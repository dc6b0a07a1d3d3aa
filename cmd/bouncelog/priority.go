package main

import (
	"os"
	"strconv"
	"syscall"
)

// backNice is the nice value of commands that can wait. It is above that of follow's systemd unit,
// so that follow goes first, but not far above: a reader at the lowest priority on a busy machine
// keeps its read transaction open for up to half a minute, in which the write-ahead log grows.
const backNice = 10

// stepBack raises the nice value of the process to backNice (setpriority(2)), as the systemd unit
// of the report does. Linux has a nice value for each thread, and a new thread inherits it, so
// stepBack repeats until it finds no new thread. An error is ignored.
func stepBack() {
	done := map[string]bool{}
	for again := true; again; {
		again = false
		threads, _ := os.ReadDir("/proc/self/task")
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil && !done[t.Name()] {
				done[t.Name()], again = true, true
				lower(id)
			}
		}
	}
}

// lower raises the nice value of a thread to backNice if it is below.
func lower(thread int) {
	// The system call gives 20 less the nice value.
	if was, err := syscall.Getpriority(syscall.PRIO_PROCESS, thread); err == nil && 20-was < backNice {
		syscall.Setpriority(syscall.PRIO_PROCESS, thread, backNice)
	}
}
