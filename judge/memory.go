package judge

import (
	"sync"

	"bouncelog/bounce"
)

// A memory keeps verdicts. It is bounded: when the young generation is full it
// becomes the old one, and what was the old one is forgotten; what is asked
// for again is young again. Replies that change every time thus cost time, not
// space.
type memory struct {
	mu         sync.Mutex
	young, old map[memoryKey]*judged
	bytes      int // of the templates in young
}

type memoryKey struct {
	template string
	about
}

// Bounds of a generation. A mail server meets a few hundred templates; a
// large site with accepted mail a few thousand.
const (
	memoryEntries  = 8192
	memoryBytes    = 4 << 20
	memoryTemplate = 2048 // longer templates are judged anew each time
)

// A judged template is what a memory holds.
type judged struct {
	template  string
	situation string
	verdict   bounce.Verdict
}

// get finds the judgement on a template. It makes no string of it.
func (m *memory) get(template []byte, a about) (judged, bool) {
	m.mu.Lock()
	v := m.young[memoryKey{string(template), a}]
	if v == nil {
		if v = m.old[memoryKey{string(template), a}]; v != nil {
			m.keep(memoryKey{v.template, a}, v)
		}
	}
	m.mu.Unlock()
	if v == nil {
		return judged{}, false
	}
	return *v, true
}

func (m *memory) put(a about, v judged) {
	if len(v.template) > memoryTemplate {
		return
	}
	m.mu.Lock()
	m.keep(memoryKey{v.template, a}, &v)
	m.mu.Unlock()
}

// keep adds an entry to the young generation; m.mu is held.
func (m *memory) keep(k memoryKey, v *judged) {
	if m.young == nil || len(m.young) >= memoryEntries || m.bytes+len(k.template) > memoryBytes {
		m.old, m.young, m.bytes = m.young, make(map[memoryKey]*judged), 0
	}
	m.young[k] = v
	m.bytes += len(k.template)
}
