package main

import (
	"os"
	"strconv"
	"syscall"
)

// backNice is the nice value of what can wait. It lies above that of follow's systemd unit, and
// not far above: who reads at the lowest priority on a busy machine holds its moment of
// the database for as long as half a minute, and the write-ahead log grows meanwhile.
const backNice = 10

// stepBack lets others go first, mail above all: it lowers the priority of
// the process, as the systemd unit of the report does (setpriority(2)). Linux keeps one for
// each thread; a new thread has that of the one that made it, so threads are gone
// through until there is no new one. Where it is not allowed, nothing is lost.
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

// lower lowers the priority of a thread that has a higher one.
func lower(thread int) {
	// The system call gives 20 less the nice value.
	if was, err := syscall.Getpriority(syscall.PRIO_PROCESS, thread); err == nil && 20-was < backNice {
		syscall.Setpriority(syscall.PRIO_PROCESS, thread, backNice)
	}
}
