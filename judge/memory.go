package judge

import (
	"sync"

	"bouncelog/bounce"
)

// A memory caches verdicts. It is bounded: when the young generation is full, it becomes the old
// one, and the previous old one is dropped. A verdict that is used again moves to the young
// generation. Replies that change every time thus cost time but not memory.
type memory struct {
	mu         sync.Mutex
	young, old map[memoryKey]*judged
	bytes      int // of the templates in young
}

// A memoryKey is a template and all of about, packed into two numbers: a struct of six fields takes
// longer to hash and to compare.
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

// Limits of a generation. A mail server meets a few hundred templates; a large site with accepted
// mail a few thousand.
const (
	memoryEntries  = 8192
	memoryBytes    = 4 << 20
	memoryTemplate = 2048 // longer templates are not cached
)

// A judged is the cached judgement on a template.
type judged struct {
	template  string
	situation string
	verdict   bounce.Verdict
}

// get returns the judgement on a template, or nil. The caller must not change it. get does not
// convert the template to a string.
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

// keep adds an entry to the young generation; the caller holds m.mu.
func (m *memory) keep(k memoryKey, v *judged) {
	if m.young == nil || len(m.young) >= memoryEntries || m.bytes+len(k.template) > memoryBytes {
		m.old, m.young, m.bytes = m.young, make(map[memoryKey]*judged), 0
	}
	m.young[k] = v
	m.bytes += len(k.template)
}
