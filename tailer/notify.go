package tailer

import (
	"sync"

	"github.com/fsnotify/fsnotify"
)

// A notifier calls a function when a file has changed, if the file system reports changes. Polling
// finds what it misses, so its errors do not matter.
type notifier struct {
	w         *fsnotify.Watcher
	mu        sync.Mutex
	callbacks map[string]func() // by the file's name
}

// newNotifier returns nil if the system has no such function.
func newNotifier() *notifier {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil
	}
	n := &notifier{w: w, callbacks: map[string]func(){}}
	go n.run()
	return n
}

func (n *notifier) run() {
	for {
		select {
		case ev, ok := <-n.w.Events:
			if !ok {
				return
			}
			n.mu.Lock()
			tell := n.callbacks[ev.Name]
			n.mu.Unlock()
			if tell != nil {
				tell()
			}
		case _, ok := <-n.w.Errors:
			if !ok {
				return
			}
		}
	}
}

// watch calls tell when the file at path has changed. tell must not block. It replaces an earlier
// tell.
func (n *notifier) watch(path string, tell func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.callbacks[path] = tell
	n.w.Remove(path) // may be that of the file before it
	n.w.Add(path)
}

func (n *notifier) forget(path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.w.Remove(path)
	delete(n.callbacks, path)
}

func (n *notifier) close() { n.w.Close() }
