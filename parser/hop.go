package parser

import (
	"maps"
	"slices"
	"strings"

	"bouncelog/bounce"
)

// A log may have several hosts or instances that pass mail to each other: a submission host and
// four that send. Then each message is in it under several queue ids, and only the last host delivers
// it. A relay is such a hop if the log itself proves it, once: the reply of the relay names a queue id
// ("queued as ID"), and another host or instance logs the arrival of a message with that id and the
// same Message-ID. Its lines may come before or after the delivery's, since they reach a log server by
// different ways. The reply alone proves nothing, since any server may say anything.

// hops are the relays that pass mail on to another host or instance.
type hops struct {
	known   map[string]bool  // by address
	grown   bool             // since the last call of Hops
	claimed map[uint64]claim // by the hash of the next queue id; of deliveries that nothing proves yet
}

// A claim is a delivery whose reply names a queue id.
type claim struct {
	log                         int32 // see key
	relay, id, messageID, login string
	time                        int64 // of the message
	host, instance              string
	mta                         bounce.MTA
}

// KnowHops adds the addresses of hops that an earlier process found (see Hops).
func (q *Queue) KnowHops(list []string) {
	if q.hops.known == nil {
		q.hops.known = make(map[string]bool)
	}
	for _, ip := range list[:min(len(list), maxHops)] {
		q.hops.known[ip] = true
	}
}

// Hops returns the sorted addresses of the relays that pass mail on to another host or instance of
// their log, if some were found since the last call; otherwise nil.
func (q *Queue) Hops() []string {
	if !q.hops.grown {
		return nil
	}
	q.hops.grown = false
	return slices.Sorted(maps.Keys(q.hops.known))
}

const (
	maxHops   = 1000 // relays; after that, no more are found
	maxClaims = 4096 // deliveries; after that, all are forgotten
	// clockDifference is the largest expected difference of the clocks of two hosts, in seconds.
	clockDifference = 2
)

// passOn reports whether a delivery of the message e to another server was one to a hop, so that the
// message continues under another queue id.
func (q *Queue) passOn(e *queued, d *bounce.Delivery, reply string) bool {
	if !q.several || !e.inUse || d.RelayIP == "" {
		return false
	}
	id := queuedAs(reply)
	if id == "" || e.fields[fieldMessageID].n == 0 {
		return false
	}
	c := claim{
		e.log, d.RelayIP, id, string(e.value(fieldMessageID)), string(e.value(fieldSASL)),
		e.time, e.host, e.instance, e.mta,
	}
	h := q.hash([]byte(id))
	for i := q.heads[h&uint64(len(q.heads)-1)]; i != 0; {
		next := q.at(i)
		i = next.next
		if next.hash == h && q.proves(next, &c) {
			e.passed = true
			return true
		}
	}
	if len(q.hops.claimed) >= maxClaims {
		clear(q.hops.claimed)
	}
	if q.hops.claimed == nil {
		q.hops.claimed = make(map[uint64]claim)
	}
	q.hops.claimed[h] = c
	known := q.hops.known[c.relay]
	e.passed = e.passed || known
	return known
}

// comesFrom finds the delivery that a new message comes from, if that was logged before.
func (q *Queue) comesFrom(next *queued) {
	if len(q.hops.claimed) == 0 {
		return
	}
	if c, ok := q.hops.claimed[next.hash]; ok && q.proves(next, &c) {
		delete(q.hops.claimed, next.hash)
	}
}

// proves reports whether next is the message that a delivery claims to have become, notes the hop,
// and gives next the login that submitted the message: only the first host saw it.
//
// A server that gets the message knows the ids of the hosts before, from its headers. So a message
// that was passed on itself, or arrived before but for the difference of two clocks, is no next one.
func (q *Queue) proves(next *queued, c *claim) bool {
	if next.passed || string(next.value(fieldID)) != c.id || string(next.value(fieldMessageID)) != c.messageID || next.time+clockDifference < c.time ||
		next.log != c.log && next.log != 0 && c.log != 0 || next.host == c.host && next.instance == c.instance && next.mta == c.mta {
		return false
	}
	if !q.hops.known[c.relay] && len(q.hops.known) < maxHops {
		q.KnowHops([]string{c.relay})
		q.hops.grown = true
	}
	if next.fields[fieldSASL].n == 0 && c.login != "" {
		q.set(next, fieldSASL, []byte(c.login))
	}
	return true
}

var queueIDByte = alnumAnd("-")

// queuedAs returns the queue id in a reply of Postfix ("queued as ID") or Exim ("OK id=ID"); "": there
// is none.
func queuedAs(reply string) string {
	_, id, ok := strings.Cut(reply, "queued as ")
	if !ok {
		if _, id, ok = strings.Cut(reply, "OK id="); !ok {
			return ""
		}
	}
	n := 0
	for n < len(id) && queueIDByte[id[n]] {
		n++
	}
	return id[:n]
}
