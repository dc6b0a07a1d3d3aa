package metrics

import (
	"container/heap"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// other is the label of all domains without a series of their own.
const other = "other"

// candidates is how many domains are counted for each one that is shown.
const candidates = 20

// A ranking counts failures by domain in bounded memory. It counts the domains that fail most (the
// Space-Saving algorithm of Metwally, Agrawal and El Abbadi: a new domain replaces the one with the
// lowest count and inherits that count as its possible error) and gives a series to those with the
// highest certain counts. A flood of names that fail once each therefore does not displace a domain
// that fails often.
//
// A series only grows, as a counter must: it begins when its domain comes among the first, and ends
// when another takes its place.
type ranking struct {
	mu     sync.Mutex
	series *prometheus.CounterVec
	shown  int // how many may have a series
	byName map[string]*entry
	all    entries
	first  map[string]*entry // those with a series
	aged   time.Time
}

type entry struct {
	domain string
	count  int64
	error  int64 // how much of count may be others'
	index  int   // in the heap
}

func (e *entry) certain() int64 { return e.count - e.error }

func newRanking(shown int, series *prometheus.CounterVec) *ranking {
	return &ranking{series: series, shown: shown, byName: map[string]*entry{}, first: map[string]*entry{}, aged: time.Now()}
}

// count counts one failure.
func (r *ranking) count(domain, outcome string) {
	domain = label(domain)
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.aged) >= 24*time.Hour {
		r.age()
		r.aged = now
	}
	e := r.byName[domain]
	switch {
	case e != nil:
		e.count++
		heap.Fix(&r.all, e.index)
	case len(r.all) < r.shown*candidates:
		e = &entry{domain: domain, count: 1}
		r.byName[domain] = e
		heap.Push(&r.all, e)
	default:
		e = r.all[0]
		delete(r.byName, e.domain)
		r.hide(e)
		e.domain, e.error, e.count = domain, e.count, e.count+1
		r.byName[domain] = e
		heap.Fix(&r.all, 0)
	}
	if r.first[domain] == nil {
		r.show(e)
	}
	if r.first[domain] == nil {
		domain = other
	}
	r.series.WithLabelValues(domain, outcome).Inc()
}

// show gives a domain a series if there is room or a shown domain has failed less.
func (r *ranking) show(e *entry) {
	if len(r.first) >= r.shown {
		var least *entry
		for _, f := range r.first {
			if least == nil || f.certain() < least.certain() || f.certain() == least.certain() && f.domain > least.domain {
				least = f
			}
		}
		if e.certain() <= least.certain() {
			return
		}
		r.hide(least)
	}
	r.first[e.domain] = e
}

func (r *ranking) hide(e *entry) {
	if r.first[e.domain] == e {
		delete(r.first, e.domain)
		r.series.DeletePartialMatch(prometheus.Labels{"domain": e.domain})
	}
}

// age halves all counts, so that the failures of last month do not keep out those of today.
func (r *ranking) age() {
	for _, e := range r.all {
		e.count /= 2
		e.error /= 2
	}
	heap.Init(&r.all)
}

// label returns a domain as a label. Names with characters that no host name or address literal has
// are not shown.
func label(domain string) string {
	switch {
	case domain == "":
		return "(none)"
	case len(domain) > 253, domain == other:
		return "(invalid)"
	}
	for _, c := range []byte(domain) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte(".-_:[]", c) < 0 {
			return "(invalid)"
		}
	}
	return domain
}

// entries are a heap with the least count on top.
type entries []*entry

func (h entries) Len() int           { return len(h) }
func (h entries) Less(i, j int) bool { return h[i].count < h[j].count }
func (h entries) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *entries) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *entries) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
