//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// A reader is a bouncelog that follows, in the background.
type reader struct {
	process *exec.Cmd
	gone    chan struct{} // closed when it has ended
	err     error         // how; may be read then

	mu    sync.Mutex
	said  bytes.Buffer
	spoke chan struct{} // closed when it has said something
}

func startReader(name string, args ...string) (*reader, error) {
	r := &reader{process: exec.Command(name, args...), gone: make(chan struct{}), spoke: make(chan struct{})}
	r.process.Stdout, r.process.Stderr = r, r
	if err := r.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		r.err = r.process.Wait()
		close(r.gone)
	}()
	return r, nil
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said.Len() == 0 && len(p) > 0 {
		close(r.spoke)
	}
	return r.said.Write(p)
}

// words is the end of what it has said.
func (r *reader) words() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return tail(bytes.Clone(r.said.Bytes()))
}

// end ends it by SIGKILL, at once, or by SIGTERM, which must give status 0. That
// waits until it has said something: a program that has not come to its first
// statement yet dies of SIGTERM as it does of SIGKILL.
func (r *reader) end(sig syscall.Signal) error {
	if sig == syscall.SIGTERM {
		select {
		case <-r.spoke:
		case <-r.gone:
		case <-time.After(time.Minute):
		}
	}
	r.process.Process.Signal(sig)
	<-r.gone
	ws := r.process.ProcessState.Sys().(syscall.WaitStatus)
	if sig == syscall.SIGKILL && ws.Signaled() && ws.Signal() == sig || r.err == nil && sig == syscall.SIGTERM {
		return nil
	}
	return fmt.Errorf("%s: %v after %v\n%s", r.process, r.err, sig, r.words())
}
