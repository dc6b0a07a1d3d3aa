package storetest

import (
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// A model counts as the documentation says, in the plainest way, and is what an
// engine is held against.
type model struct {
	events  []event
	pending map[pairKey][]int // indexes of the first soft attempt of each
	last    map[int]int       // first soft attempt -> last
	seen    map[string]bool
	at      map[string]int64 // position by source
	// deliveries to a recipient, in the order of the log
	delivered map[string][]time.Time
}

type pairKey struct{ host, mta, instance, queue, recipient string }

// An event is a row of the view deliveries.
type event struct {
	store.Attempt
	pair            bool // recovered, pending or expired, as the outcome goes
	first, toDomain bool // first attempt of its message, and to its domain
	before, after   time.Time
}

func newModel() *model {
	return &model{
		pending: make(map[pairKey][]int), last: make(map[int]int), seen: make(map[string]bool),
		at: make(map[string]int64), delivered: make(map[string][]time.Time),
	}
}

func (m *model) append(b *store.Batch) {
	x := slices.Clone(b.Expiries)
	for _, a := range b.Attempts {
		if a.Offset < m.at[a.Source] {
			continue
		}
		for len(x) > 0 && x[0].Offset < a.Offset {
			m.expire(x[0])
			x = x[1:]
		}
		m.add(a)
	}
	for _, e := range x {
		m.expire(e)
	}
	for _, s := range b.Sources {
		m.at[s.ID] = max(m.at[s.ID], s.Offset)
	}
}

func keyOf(a *bounce.Delivery) pairKey {
	return pairKey{a.Host, string(a.MTA), a.Instance, a.QueueID, a.Recipient}
}

func (m *model) add(a store.Attempt) {
	e := event{Attempt: a}
	i := len(m.events)
	counts := a.Outcome == bounce.Delivered || a.Outcome == bounce.Soft || a.Outcome == bounce.Hard
	// A pending pair of the same message?
	k, found := keyOf(&a.Delivery), -1
	if counts {
		for j, f := range m.pending[k] {
			diff := m.events[f].Arrived().Sub(a.Arrived()).Abs()
			if m.events[f].Delay < 0 || a.Delay < 0 || diff <= 2*time.Second {
				found = j
			}
		}
	}
	if found >= 0 {
		f := m.pending[k][found]
		switch a.Outcome {
		case bounce.Soft:
			m.last[f] = i
		default:
			m.events[f].pair = false
			m.pending[k] = slices.Delete(m.pending[k], found, found+1)
			e.pair = a.Outcome == bounce.Delivered
		}
	} else if a.Outcome == bounce.Soft {
		e.pair = true
		m.pending[k] = append(m.pending[k], i)
		m.last[i] = i
	}
	if a.Outcome == bounce.Hard && a.Reason == bounce.Expired {
		e.pair = true
	}
	if counts && found < 0 {
		msg := strings.Join([]string{a.Host, string(a.MTA), a.Instance, a.QueueID, a.Sender}, "\x00")
		e.first, e.toDomain = !m.seen[msg], !m.seen[msg+"\x00@"+a.RecipientDomain]
		m.seen[msg], m.seen[msg+"\x00@"+a.RecipientDomain] = true, true
	}
	m.events = append(m.events, e)
	m.history(i)
}

func (m *model) history(i int) {
	e := &m.events[i]
	switch e.Outcome {
	case bounce.Delivered:
		for j := range m.events[:i] {
			x := &m.events[j]
			if x.Recipient == e.Recipient && (x.Outcome == bounce.Soft || x.Outcome == bounce.Hard) && x.after.IsZero() {
				x.after = e.Time
			}
		}
		m.delivered[e.Recipient] = append(m.delivered[e.Recipient], e.Time)
	case bounce.Soft, bounce.Hard:
		if d := m.delivered[e.Recipient]; len(d) > 0 {
			e.before = d[len(d)-1]
		}
	}
}

func (m *model) expire(x bounce.Expiry) {
	if x.Offset < m.at[x.Source] {
		return
	}
	for k, fs := range m.pending {
		if k.host != x.Host || k.mta != string(x.MTA) || k.instance != x.Instance || k.queue != x.QueueID {
			continue
		}
		for _, f := range fs {
			first, last := m.events[f], m.events[m.last[f]]
			m.events[f].pair = false
			e := event{pair: true, before: first.before}
			e.Delivery = bounce.Delivery{
				Source: x.Source, Offset: x.Offset, Time: x.Time, Host: x.Host, MTA: x.MTA, Instance: x.Instance, Agent: x.Agent,
				QueueID: x.QueueID, MessageID: first.MessageID, Sender: first.Sender, SenderDomain: first.SenderDomain, SenderKnown: first.SenderKnown,
				Recipient: first.Recipient, RecipientDomain: first.RecipientDomain,
				RelayHost: last.RelayHost, RelayIP: last.RelayIP, RelayPort: last.RelayPort,
				ClientHost: first.ClientHost, ClientIP: first.ClientIP, SASLUser: first.SASLUser,
				Status: x.Status, Outcome: bounce.Hard, Local: true, Delay: -1,
			}
			e.Verdict = bounce.Verdict{Reason: bounce.Expired}
			m.events = append(m.events, e)
		}
		delete(m.pending, k)
	}
}

func (e *event) matches(f store.Filter) bool {
	relay := strings.ToLower(e.RelayHost)
	return (f.Since.IsZero() || !e.Time.Before(f.Since)) && (f.Until.IsZero() || e.Time.Before(f.Until)) &&
		(f.Domain == "" || e.RecipientDomain == f.Domain) &&
		(f.SenderDomain == "" || e.SenderDomain == f.SenderDomain) &&
		(f.Relay == "" || relay == f.Relay || strings.HasSuffix(relay, "."+f.Relay)) &&
		(f.Host == "" || e.Host == f.Host) && (f.MTA == "" || e.MTA == f.MTA) &&
		(len(f.Outcomes) == 0 || slices.Contains(f.Outcomes, e.Outcome)) &&
		(len(f.Reasons) == 0 || slices.Contains(f.Reasons, e.Reason)) &&
		(f.Recipient == "" || strings.EqualFold(e.Recipient, f.Recipient)) &&
		(f.QueueID == "" || e.QueueID == f.QueueID) &&
		(f.MessageID == "" || e.MessageID == f.MessageID)
}

// handedIn reports whether by groups by who handed a message in: that is told of
// failures only.
func handedIn(by store.By) bool {
	return by == store.BySender || by == store.BySASLUser || by == store.ByClient
}

func (e *event) key(by store.By) string {
	switch by {
	case store.BySender:
		return e.Sender
	case store.BySASLUser:
		return e.SASLUser
	case store.ByClient:
		if e.SASLUser != "" {
			return ""
		}
		return e.ClientIP
	case store.ByDomain:
		return e.RecipientDomain
	case store.BySenderDomain:
		return e.SenderDomain
	case store.ByRelay:
		return e.RelayHost
	case store.ByReason:
		return e.Reason.String()
	case store.ByRecipient:
		return e.Recipient
	case store.ByHost:
		return e.Host
	case store.ByDay:
		return e.Time.Format(time.DateOnly)
	case store.ByHour:
		return e.Time.Format("2006-01-02T15:00Z")
	case byRouteOfModel:
		return e.RecipientDomain + "\x00" + e.RelayHost
	}
	return ""
}

// byRouteOfModel is how the model groups for Store.Routes.
const byRouteOfModel store.By = "domain and relay"

func cutRoute(key string) (domain, relay string) {
	domain, relay, _ = strings.Cut(key, "\x00")
	return domain, relay
}

func (m *model) groups(f store.Filter, by store.By) map[string]store.Group {
	out := make(map[string]store.Group)
	distinct := make(map[string]bool)
	narrow := f.Recipient != "" || f.QueueID != "" || f.MessageID != ""
	for i := range m.events {
		e := &m.events[i]
		if !e.matches(f) {
			continue
		}
		k := e.key(by)
		if handedIn(by) && (e.Outcome == bounce.Delivered || k == "" && (by != store.BySender || !e.SenderKnown)) {
			continue
		}
		g, ok := out[k]
		if !ok {
			g.Key = k
		}
		n := int64(0)
		if e.pair {
			n = 1
		}
		null := int64(0)
		if e.SenderKnown && e.Sender == "" {
			null = 1
		}
		counts := true
		switch e.Outcome {
		case bounce.Delivered:
			g.Delivered++
			g.Recovered += n
		case bounce.Soft:
			g.Soft++
			g.Pending += n
			g.NullSoft += null
			if e.Code >= 500 {
				g.Soft5xx++
			}
		case bounce.Hard:
			g.Hard++
			g.Expired += n
			g.NullHard += null
		case bounce.Handoff:
			g.Handoff++
			counts = false
		case bounce.Probe:
			g.Probe++
			counts = false
		}
		if counts {
			g.Attempts++
			if e.Reason != bounce.NoReason {
				if g.Reasons == nil {
					g.Reasons = make(map[bounce.Reason]int64)
				}
				g.Reasons[e.Reason]++
			}
			first := e.first
			switch {
			case narrow || handedIn(by):
				msg := strings.Join([]string{k, e.Host, string(e.MTA), e.Instance, e.QueueID}, "\x00")
				first = !distinct[msg]
				distinct[msg] = true
			case f.Domain != "" || f.Relay != "" || by == store.ByDomain || by == store.ByRelay || by == byRouteOfModel:
				first = e.toDomain
			}
			if first {
				g.Messages++
			}
		}
		out[k] = g
	}
	return out
}
