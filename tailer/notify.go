package tailer

import (
	"sync"

	"github.com/fsnotify/fsnotify"
)

// A notifier wakes pumps when their file was written to, where the file system
// tells. What it misses is found by polling, so its errors do not matter.
type notifier struct {
	w  *fsnotify.Watcher
	mu sync.Mutex
	ch map[string]chan struct{}
}

// newNotifier returns nil where there is no such thing.
func newNotifier() *notifier {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil
	}
	n := &notifier{w: w, ch: map[string]chan struct{}{}}
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
			ch := n.ch[ev.Name]
			n.mu.Unlock()
			select {
			case ch <- struct{}{}:
			default:
			}
		case _, ok := <-n.w.Errors:
			if !ok {
				return
			}
		}
	}
}

// watch returns a channel that yields when the file at path has changed.
func (n *notifier) watch(path string) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch[path] == nil {
		n.ch[path] = make(chan struct{}, 1)
	}
	n.w.Remove(path) // may be that of the file before it
	n.w.Add(path)
	return n.ch[path]
}

func (n *notifier) forget(path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.w.Remove(path)
	delete(n.ch, path)
}

func (n *notifier) close() { n.w.Close() }
