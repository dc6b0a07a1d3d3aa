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

// A memoryKey is a template and all of about, in two numbers: a struct of six fields
// takes longer to hash and to compare.
type memoryKey struct {
	template     string
	codes, facts uint64
}

func (a *about) key(template string) memoryKey {
	expired := uint64(0)
	if a.expired {
		expired = 1
	}
	return memoryKey{template, uint64(a.enhanced)<<32 | uint64(a.code)<<16 | uint64(a.class), uint64(a.facts)<<16 | uint64(a.stage)<<8 | expired}
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

// get finds the judgement on a template, which is not to be changed; nil: there is none.
// It makes no string of the template.
func (m *memory) get(template []byte, a about) *judged {
	k := a.key("")
	m.mu.Lock()
	v := m.young[memoryKey{string(template), k.codes, k.facts}]
	if v == nil {
		if v = m.old[memoryKey{string(template), k.codes, k.facts}]; v != nil {
			m.keep(a.key(v.template), v)
		}
	}
	m.mu.Unlock()
	return v
}

func (m *memory) put(a about, v *judged) {
	if len(v.template) > memoryTemplate {
		return
	}
	m.mu.Lock()
	m.keep(a.key(v.template), v)
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
