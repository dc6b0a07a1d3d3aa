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
	grown   bool             // since the last call of found
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

const (
	maxHops   = 1000 // relays; after that, no more are found
	maxClaims = 4096 // deliveries; after that, all are forgotten
	// clockDifference is the largest expected difference of the clocks of two hosts, in seconds.
	clockDifference = 2
)

// know adds the addresses of hops.
func (s *hops) know(list []string) {
	if s.known == nil {
		s.known = make(map[string]bool)
	}
	for _, ip := range list[:min(len(list), maxHops)] {
		s.known[ip] = true
	}
}

// found returns the sorted addresses of all hops, if some were found since the last call; otherwise
// nil.
func (s *hops) found() []string {
	if !s.grown {
		return nil
	}
	s.grown = false
	return slices.Sorted(maps.Keys(s.known))
}

// claimOf returns the claim of a delivery of the message e to a relay. It returns false if the reply
// names no queue id, or nothing could prove that the message is the same.
func claimOf(e *queued, relay, reply string) (c claim, ok bool) {
	id := queuedAs(reply)
	if id == "" || e.fields[fieldMessageID].n == 0 {
		return c, false
	}
	return claim{
		e.log, relay, id, string(e.value(fieldMessageID)), string(e.value(fieldSASL)),
		e.time, e.host, e.instance, e.mta,
	}, true
}

// keep notes a claim that nothing proves yet, by the hash of its queue id.
func (s *hops) keep(h uint64, c claim) {
	if len(s.claimed) >= maxClaims {
		clear(s.claimed)
	}
	if s.claimed == nil {
		s.claimed = make(map[uint64]claim)
	}
	s.claimed[h] = c
}

// proves reports whether next is the message that a delivery claims to have become, and notes the hop.
//
// A server that gets the message knows the ids of the hosts before, from its headers. So a message
// that was passed on itself, or arrived before but for the difference of two clocks, is no next one.
func (s *hops) proves(next *queued, c *claim) bool {
	if next.passed || string(next.value(fieldID)) != c.id || string(next.value(fieldMessageID)) != c.messageID || next.time+clockDifference < c.time ||
		next.log != c.log && next.log != 0 && c.log != 0 || next.host == c.host && next.instance == c.instance && next.mta == c.mta {
		return false
	}
	if !s.known[c.relay] && len(s.known) < maxHops {
		s.know([]string{c.relay})
		s.grown = true
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
