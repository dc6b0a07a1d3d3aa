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
//
// A relay may also hand the mail back: a filter appliance between two queue ids of one host. Its reply names no
// queue id of this log, so the proof is that most messages that it takes arrive from its address again, with
// their Message-ID. It is believed of addresses of private networks only, which no stranger has: a list server
// elsewhere sends a post back, too.

// hops are the relays that pass mail on to another host or instance, or hand it back.
type hops struct {
	back map[string]*returns // by address
	sent map[string]*passage // by Message-ID: the last delivery to a relay that may hand it back
	came map[string]passage  // by Message-ID: the last arrival from such an address

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

// returns counts the messages that a relay took, and those of them that arrived from it again.
type returns struct{ taken, back int }

// A passage is a message on its way to or from a relay that may hand it back.
type passage struct {
	relay, id, login string
	log              int32 // see key
	back             bool  // it arrived again
}

const (
	maxHops   = 1000 // relays; after that, no more are found
	maxClaims = 4096 // deliveries; after that, all are forgotten
	maxReturn = 1000 // messages of a relay that are counted; after that, older ones count half
	// A relay hands mail back if at least backLeast messages arrived again, and two thirds of those that it took: a
	// filter keeps some; a mail store forwards a few.
	backLeast = 5
	// backMark marks the address of a relay that hands mail back, in the list of known hops.
	backMark = "back:"
	// maxMessageID is the longest Message-ID that is kept for this purpose, in bytes.
	maxMessageID = 250
	// clockDifference is the largest expected difference of the clocks of two hosts, in seconds.
	clockDifference = 2
)

// know adds the addresses of hops.
func (s *hops) know(list []string) {
	if s.known == nil {
		s.known = make(map[string]bool)
	}
	for _, ip := range list[:min(len(list), maxHops)] {
		if ip, ok := strings.CutPrefix(ip, backMark); ok {
			*s.returnsOf(ip) = returns{backLeast, backLeast}
			continue
		}
		s.known[ip] = true
	}
}

// found returns the sorted addresses of all hops, if some were found since the last call; otherwise
// nil. Those that hand mail back have the prefix backMark.
func (s *hops) found() []string {
	if !s.grown {
		return nil
	}
	s.grown = false
	list := slices.Collect(maps.Keys(s.known))
	for ip, r := range s.back {
		if r.hop() {
			list = append(list, backMark+ip)
		}
	}
	slices.Sort(list)
	return list
}

// hop reports whether the relay hands mail back.
func (r *returns) hop() bool { return r.back >= backLeast && 3*r.back >= 2*r.taken }

// returnsOf returns the counts of a relay. If there are too many relays, those of a new one are not kept.
func (s *hops) returnsOf(ip string) *returns {
	if s.back == nil {
		s.back = make(map[string]*returns)
	}
	if s.back[ip] == nil {
		if len(s.back) >= maxHops {
			return new(returns)
		}
		s.back[ip] = new(returns)
	}
	return s.back[ip]
}

// handsBack counts a message that a relay took, and reports whether that relay hands mail back, so that the
// message continues under another queue id.
func (s *hops) handsBack(e *queued, relay string) bool {
	id := e.value(fieldMessageID)
	if len(id) == 0 || len(id) > maxMessageID || !bounce.OwnNetwork(relay) {
		return false
	}
	r, was := s.returnsOf(relay), s.sent[string(id)]
	if was == nil || was.relay != relay || was.id != string(e.value(fieldID)) { // else it has several recipients
		if r.taken++; r.taken > maxReturn {
			r.taken, r.back = r.taken/2, r.back/2
		}
		if s.sent == nil || len(s.sent) >= maxClaims {
			s.sent = make(map[string]*passage)
		}
		was = &passage{relay: relay, id: string(e.value(fieldID)), login: string(e.value(fieldSASL)), log: e.log}
		s.sent[string(id)] = was
		if came, ok := s.came[string(id)]; ok { // before the relay replied
			s.arrive(was, r, &came)
		}
	}
	return r.hop()
}

// arrive counts a message that arrived from the relay that took it before.
func (s *hops) arrive(sent *passage, r *returns, came *passage) bool {
	if sent.back || sent.relay != came.relay || sent.id == came.id || sent.log != came.log && sent.log != 0 && came.log != 0 {
		return false
	}
	sent.back = true
	was := r.hop()
	r.back++
	s.grown = s.grown || r.hop() && !was
	return true
}

// comesBack notes that a message arrived. It returns the login that submitted it, if a relay handed it back.
func (s *hops) comesBack(next *queued) (login string) {
	r := s.back[string(next.value(fieldClientIP))]
	id := next.value(fieldMessageID)
	if r == nil || len(id) == 0 || len(id) > maxMessageID {
		return ""
	}
	came := passage{relay: string(next.value(fieldClientIP)), id: string(next.value(fieldID)), log: next.log}
	if sent := s.sent[string(id)]; sent != nil && s.arrive(sent, r, &came) {
		login = sent.login
	}
	if s.came == nil || len(s.came) >= maxClaims {
		s.came = make(map[string]passage)
	}
	s.came[string(id)] = came
	return login
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
