package tailer

import (
	"sync/atomic"
	"time"
)

const (
	// stallAfter is how long whole lines may be unread before the library
	// is taken to have missed them.
	stallAfter = 400 * time.Millisecond
	// libraryMax is how much may be unread for the library to be used: it
	// takes a line at a time, and reads a line that is not whole yet again and
	// again without bound.
	libraryMax = 1 << 20
	// libraryLogs is how many logs are left to the library at a time: it looks at
	// each a hundred times a second, which is half a percent of a processor.
	libraryLogs = 16
	// aheadMax bounds what a readAhead reads ahead, in bytes; aheadBlocks in blocks,
	// which may be a single line each.
	aheadMax    = 1 << 20
	aheadBlocks = 1024
)

// A readAhead reads the live file of a log ahead, in its own goroutine, and
// proves each block at once. A proven block counts, even if the file is truncated
// while the block before it is being stored.
//
// It reads in blocks up to the end of the file; then it leaves the waiting to
// the following library, or waits itself.
type readAhead struct {
	blockReader
	path    string
	native  bool          // do not use the library
	poll    time.Duration // without the library, at least
	notify  *notifier     // nil: there is none
	changed chan struct{} // yields when the file system reports a change; nil: not requested yet
	library chan struct{} // see follower
	wake    func()

	out    chan block
	queued atomic.Int64  // bytes in out
	room   chan struct{} // out has become shorter
	idle   atomic.Int64  // size of the file when it had no whole line to read
	err    error         // why out was closed; nil: it was stopped
	quit   chan struct{}
	done   chan struct{}
}

func (f *follower) newReadAhead(p *blockReader, path string) *readAhead {
	ra := &readAhead{
		blockReader: *p,
		path:        path,
		native:      f.o.Native || !libraryWorks(p.f),
		poll:        min(f.o.Poll, 10*time.Millisecond),
		notify:      f.notify,
		library:     f.library,
		wake:        f.wakeUp,
		out:         make(chan block, aheadBlocks),
		room:        make(chan struct{}, 1),
		quit:        make(chan struct{}),
		done:        make(chan struct{}),
	}
	go ra.run()
	return ra
}

// stalledEvery is the shortest time between two reports that the library fell behind: on a busy log
// that happens often, and it needs no action.
const stalledEvery = time.Hour

func (p *readAhead) run() {
	defer close(p.done)
	defer p.wake()
	defer close(p.out)
	defer p.unwatch()
	stalled := false   // the library gave up with lines unread
	last := time.Now() // of a block
	var told time.Time // when that was last reported
	for {
		b, err := p.next()
		switch err {
		case nil:
			if stalled && time.Since(told) >= stalledEvery {
				told = time.Now()
				b.event = &Event{Kind: EventStalled, Path: p.path, Offset: b.off, Text: "the following library fell behind; the lines were read without it, none is lost"}
			}
			stalled, last = false, time.Now()
			if !p.send(b) {
				return
			}
		case errNone:
			p.idle.Store(p.idleSize)
			if p.native || p.open || !p.takeLibrary() {
				if !p.wait(last) {
					return
				}
				continue
			}
			p.unwatch()
			var ok bool
			ok, stalled = p.followLibrary()
			last = time.Now()
			<-p.library
			if !ok {
				return
			}
		default:
			p.err = err
			return
		}
	}
}

// send passes a block on. It returns false if the readAhead must end.
func (p *readAhead) send(b block) bool {
	for p.queued.Load() >= aheadMax {
		select {
		case <-p.room:
		case <-p.quit:
			return false
		}
	}
	p.queued.Add(int64(len(b.data)))
	select {
	case p.out <- b:
		p.wake()
		return true
	case <-p.quit:
		return false
	}
}

// taken records that b was taken from out.
func (p *readAhead) taken(b block) {
	p.queued.Add(-int64(len(b.data)))
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// takeLibrary reports whether the library is free. The caller must give it back.
func (p *readAhead) takeLibrary() bool {
	select {
	case p.library <- struct{}{}:
		return true
	default:
		return false
	}
}

// wait waits until the file may have changed: until the file system says so, or for
// some time, since not every change is reported. That time grows with the age of the
// last block.
func (p *readAhead) wait(last time.Time) bool {
	poll := p.poll
	if p.notify != nil {
		if p.changed == nil {
			changed := make(chan struct{}, 1)
			p.changed = changed
			p.notify.watch(p.path, func() {
				select {
				case changed <- struct{}{}:
				default:
				}
			})
			return true // it may have changed before
		}
		poll *= 2
	}
	t := time.NewTimer(max(poll, min(time.Since(last)/20, idlePoll)))
	defer t.Stop()
	select {
	case <-p.quit:
		return false
	case <-p.changed:
	case <-t.C:
	}
	return true
}

func (p *readAhead) unwatch() {
	if p.changed != nil {
		p.notify.forget(p.path)
		p.changed = nil
	}
}

// stop ends the readAhead and returns the blocks that were not taken.
func (p *readAhead) stop() (left []block) {
	close(p.quit)
	<-p.done
	for b := range p.out {
		left = append(left, b)
	}
	return left
}
