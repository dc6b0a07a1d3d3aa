package tailer

import (
	"sync/atomic"
	"time"
)

const (
	// stallAfter is how long whole lines may stand unread before the library
	// is taken to have missed them.
	stallAfter = 400 * time.Millisecond
	// libraryMax is how much may be unread for the library to be used: it
	// takes a line at a time, and reads a line that is not whole yet again and
	// again without bound.
	libraryMax = 1 << 20
	// aheadMax bounds what a pump reads ahead, in bytes; aheadBlocks in blocks,
	// which may be a single line each.
	aheadMax    = 1 << 20
	aheadBlocks = 1024
)

// A pump reads the live file of a log ahead, in a goroutine of its own, and
// proves each block at once. So what was read counts, even if the file is
// truncated while the one before is being stored.
//
// It reads in blocks up to the end of the file; then it leaves the waiting to
// the following library, or waits itself.
type pump struct {
	plain
	path    string
	native  bool          // do not use the library
	poll    time.Duration // without the library
	changed <-chan struct{}
	wake    func()

	out   chan block
	ahead atomic.Int64  // bytes in out
	room  chan struct{} // out has become shorter
	idle  atomic.Int64  // size of the file when it had no whole line to read
	err   error         // why out was closed; nil where it was stopped
	quit  chan struct{}
	done  chan struct{}
}

func (f *follower) newPump(p *plain, path string) *pump {
	pu := &pump{
		plain:  *p,
		path:   path,
		native: f.o.Native || !libraryWorks(p.f),
		poll:   min(f.o.Poll, 10*time.Millisecond),
		wake:   f.poke,
		out:    make(chan block, aheadBlocks),
		room:   make(chan struct{}, 1),
		quit:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	if f.notify != nil {
		pu.changed = f.notify.watch(path)
		pu.poll *= 2 // only for what the file system does not tell
	}
	go pu.run()
	return pu
}

func (p *pump) run() {
	defer close(p.done)
	defer p.wake()
	defer close(p.out)
	stalled := false // the library gave up with lines unread
	for {
		b, err := p.next()
		switch err {
		case nil:
			if stalled {
				b.event = &Event{Kind: EventStalled, Path: p.path, Offset: b.off, Text: "the following library missed lines; they were read without it"}
			}
			stalled = false
			if !p.send(b) {
				return
			}
		case errNone:
			p.idle.Store(p.idleSize)
			if p.native || p.open {
				if !p.wait() {
					return
				}
				continue
			}
			var ok bool
			if ok, stalled = p.followLibrary(); !ok {
				return
			}
		default:
			p.err = err
			return
		}
	}
}

// send hands a block on; it returns false when the pump is to end.
func (p *pump) send(b block) bool {
	for p.ahead.Load() >= aheadMax {
		select {
		case <-p.room:
		case <-p.quit:
			return false
		}
	}
	p.ahead.Add(int64(len(b.data)))
	select {
	case p.out <- b:
		p.wake()
		return true
	case <-p.quit:
		return false
	}
}

// taken notes that b was taken from out.
func (p *pump) taken(b block) {
	p.ahead.Add(-int64(len(b.data)))
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// wait waits until the file may have changed.
func (p *pump) wait() bool {
	t := time.NewTimer(p.poll)
	defer t.Stop()
	select {
	case <-p.quit:
		return false
	case <-p.changed:
	case <-t.C:
	}
	return true
}

// stop ends the pump and returns what it had read ahead.
func (p *pump) stop() (left []block) {
	close(p.quit)
	<-p.done
	for b := range p.out {
		left = append(left, b)
	}
	return left
}
