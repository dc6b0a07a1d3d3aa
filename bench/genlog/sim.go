package main

import (
	"bufio"
	"io"
	"time"
)

const (
	evArrive = iota // client connects, message is accepted
	evQueue         // cleanup and qmgr see it
	evTry           // a delivery attempt
)

const (
	kindOut = iota // submitted here, for remote recipients
	kindIn         // from another MTA, for a local mailbox
	kindDSN        // our own bounce notice to a local sender
)

const maxRcpt = 6

// A msg is a message in the queue.
type msg struct {
	qid      [24]byte
	qlen     uint8
	kind     uint8
	tries    uint8
	n        uint8 // recipients still pending
	from     int32 // address index; -1 is the null sender
	size     int32
	arrival  int64
	fracMS   int32
	host     string // the client's "name[ip]"
	rcpt     [maxRcpt]int32
	refQid   [24]byte // for a DSN: the message it is about
	refLen   uint8
	smtpdPID int32
}

// config is what the flags say.
type config struct {
	mta, stamp, host, queueIDs   string
	lines, bytes, seed           int64
	rate                         float64
	bounceRate, inbound, noise   float64
	senders, recipients, domains int
	start                        time.Time
	lifetime                     int64
	incAt, incLen                float64
	incDomains                   int
	traps                        bool
	incFrom, incTo               int64 // unix seconds
	vanishAt                     int64
}

// A flagged recipient was refused for authentication after a delivery.
type flagged struct {
	Recipient string `json:"recipient"`
	Domain    string `json:"domain"`
	LastOK    int64  `json:"last_delivered"`
	Failed    int64  `json:"first_auth_failure"`
}

// A sim is the simulation of one mail server.
type sim struct {
	cfg   *config
	w     *world
	r     *rng
	wh    *wheel
	msgs  []msg
	freeM []int32
	now   int64
	pend  float64

	// output
	out      *bufio.Writer
	b        []byte
	line0    int
	prefix   []byte // timestamp and host for the current second
	usPos    int    // where the microseconds stand in prefix; 0: none
	us, step int
	total    int64
	lines    int64
	full     bool
	seq      uint64

	procs map[string][]string

	// truth
	status    [4]int64 // sent, deferred, bounced, expired (per recipient)
	cats      [nCat]int64
	byAgent   map[string]int64
	dsn       map[string]int64
	messages  int64
	rejects   int64
	trapLines int64
	distinct  int64
	authHits  int64
	authCold  int64
	flags     []flagged
	firstLine int64
	lastLine  int64
}

const (
	stSent = iota
	stDeferred
	stBounced
	stExpired
)

// An outcome is how one attempt ends.
type outcome struct {
	st    uint8
	cat   uint8
	conn  uint8 // 0 none, or a connection or DNS trouble below
	relay uint8
	rep   *reply
}

const (
	coNone = iota
	coTimeout
	coRefused
	coNX
	coLost
	coTryAgain
	coSuspended
)

func newSim(cfg *config, out io.Writer) *sim {
	return &sim{
		cfg: cfg, w: newWorld(cfg), r: newRNG(uint64(cfg.seed) ^ 0xabcdef), wh: newWheel(),
		out: bufio.NewWriterSize(out, 1<<20), byAgent: map[string]int64{}, dsn: map[string]int64{}, procs: map[string][]string{},
	}
}

// diurnal is the load at a time of day relative to the mean.
func diurnal(t int64) float64 {
	h := int(t/3600) % 24
	return [24]float64{.4, .3, .3, .3, .4, .5, .7, 1, 1.5, 1.8, 1.8, 1.7, 1.5, 1.6, 1.7, 1.6, 1.5, 1.3, 1.1, .9, .8, .7, .6, .5}[h] * 24 / 24.5
}

func (s *sim) alloc() int32 {
	if n := len(s.freeM); n > 0 {
		i := s.freeM[n-1]
		s.freeM = s.freeM[:n-1]
		s.msgs[i] = msg{}
		return i
	}
	s.msgs = append(s.msgs, msg{})
	return int32(len(s.msgs) - 1)
}

// run simulates second by second until the log has its size.
func (s *sim) run() error {
	s.now = s.cfg.start.Unix()
	for !s.full {
		s.second()
		s.pend += s.cfg.rate / 86400 * diurnal(s.now)
		n := int(s.pend)
		s.pend -= float64(n)
		if n > 0 { // spread: some of this second's mail comes in the next ones
			for i := 0; i < n; i++ {
				s.wh.add(s.now+int64(s.r.n(3)), evArrive, s.newMsg())
			}
		}
		if s.cfg.mta == "postfix" {
			s.noisePostfix()
		} else {
			s.noiseExim()
		}
		for {
			k, mi, ok := s.wh.pop(s.now)
			if !ok || s.full {
				break
			}
			if s.cfg.mta == "postfix" {
				s.eventPostfix(k, mi)
			} else {
				s.eventExim(k, mi)
			}
		}
		s.now++
	}
	return s.out.Flush() // the first error of any write
}

// newMsg draws a message: who writes to whom.
func (s *sim) newMsg() int32 {
	r := s.r
	mi := s.alloc()
	m := &s.msgs[mi]
	m.fracMS = int32(r.n(1000))
	u := r.u64()
	m.size = int32(900 + u%3000)
	if u>>60 < 5 {
		m.size += int32((u >> 20) % 90000)
	}
	if u>>56&15 == 0 {
		m.size += int32((u >> 24) % 4000000)
	}
	m.n = 1
	if r.p(s.cfg.inbound) {
		m.kind = kindIn
		m.from = int32(s.w.recipient(r, s.w.pick.draw(r)))
		m.rcpt[0] = int32(s.w.nRcpt + s.w.local.draw(r))
		m.host = s.w.peers[r.n(len(s.w.peers))]
		return mi
	}
	m.from = int32(s.w.nRcpt + s.w.local.draw(r))
	m.host = s.w.clients[r.n(len(s.w.clients))]
	d := s.w.pick.draw(r)
	m.rcpt[0] = s.w.recipient(r, d)
	if x := r.n(100); x < 9 { // several recipients
		k := 2 + r.n(maxRcpt-1)
		same := x < 4
	next:
		for i := 1; i < k; i++ {
			if !same {
				d = s.w.pick.draw(r)
			}
			a := s.w.recipient(r, d)
			for j := 0; j < int(m.n); j++ {
				if m.rcpt[j] == a {
					continue next
				}
			}
			m.rcpt[m.n] = a
			m.n++
		}
	}
	return mi
}

// decide lets an attempt to deliver m to address a end.
func (s *sim) decide(m *msg, a int32) outcome {
	r, w := s.r, s.w
	d := &w.dom[w.adDom[a]]
	if d.cond == domLocal {
		if m.kind == kindIn && r.n(500) == 0 {
			return outcome{st: stDeferred, cat: catMailboxFull, rep: famDefault.reply(r, catMailboxFull, true, true)}
		}
		return outcome{st: stSent, cat: catSent}
	}
	switch d.cond {
	case domNX:
		return outcome{st: stBounced, cat: catDNS, conn: coNX}
	case domDead:
		if m.tries > 1 && r.n(3) == 0 {
			return outcome{st: stDeferred, cat: catConnect, conn: coSuspended}
		}
		return outcome{st: stDeferred, cat: catConnect, conn: coTimeout}
	case domClosed:
		return outcome{st: stDeferred, cat: catConnect, conn: coRefused}
	}
	u := r.u64()
	rel := uint8(u & 3)
	if rel > 2 {
		rel = 0
	}
	soft := func(cat int) outcome {
		return outcome{st: stDeferred, cat: uint8(cat), relay: rel, rep: d.fam.reply(r, cat, true, true)}
	}
	hard := func(cat int) outcome {
		return outcome{st: stBounced, cat: uint8(cat), relay: rel, rep: d.fam.reply(r, cat, false, true)}
	}
	x := float64(u>>11) / (1 << 53)
	if x < 0.003 {
		c := uint8(coTimeout)
		cat := uint8(catConnect)
		if x < 0.0012 {
			c = coLost
		} else if x < 0.0016 {
			c, cat = coTryAgain, catDNS
		}
		return outcome{st: stDeferred, cat: cat, conn: c, relay: rel}
	}
	if d.grey && w.seen[a]&4 == 0 {
		w.seen[a] |= 4
		return soft(catGreylist)
	}
	switch w.cond[a] {
	case adUnknown:
		return hard(catUserUnknown)
	case adDisabled:
		return hard(catDisabled)
	case adVanish:
		if s.now >= s.cfg.vanishAt {
			return hard(catUserUnknown)
		}
	case adFull:
		o := soft(catMailboxFull)
		if len(d.fam.by[catMailboxFull]) > 0 {
			o.rep = d.fam.reply(r, catMailboxFull, false, false)
			if !o.rep.soft {
				o.st = stBounced
			}
		}
		return o
	case adBlocked:
		return hard(catPolicy)
	}
	if d.incident && s.now >= s.cfg.incFrom && s.now < s.cfg.incTo && u>>40&15 != 0 {
		return hard(catAuth)
	}
	switch {
	case x < 0.011:
		return soft(catRateLimit)
	case x < 0.015:
		return soft(catTempOther)
	case x < 0.016:
		return hard(catSize)
	case x < 0.018 && w.seen[a]&2 == 0:
		return hard(catPolicy)
	}
	return outcome{st: stSent, cat: catSent, relay: rel, rep: &d.fam.sent[int(u>>32)%len(d.fam.sent)]}
}

// count records one delivery line that really was written.
func (s *sim) count(a int32, o *outcome, agent, dsn string) {
	w := s.w
	s.status[o.st]++
	s.cats[o.cat]++
	s.byAgent[agent]++
	s.dsn[dsn]++
	d := &w.dom[w.adDom[a]]
	if w.seen[a]&1 == 0 {
		w.seen[a] |= 1
		s.distinct++
	}
	switch o.st {
	case stSent:
		d.sent++
		w.seen[a] |= 2
		w.okAt[a] = s.now
	case stDeferred:
		d.deferred++
	case stBounced:
		d.bounced++
	}
	if o.cat == catAuth {
		s.authHits++
		if w.seen[a]&2 == 0 {
			s.authCold++
		} else if w.seen[a]&8 == 0 {
			w.seen[a] |= 8
			s.flags = append(s.flags, flagged{string(w.addr(a)), d.name, w.okAt[a], s.now})
		}
	}
}

// backoff is the time to the next attempt, as Postfix's defaults give it.
func (s *sim) backoff(m *msg) int64 {
	age := s.now - m.arrival
	if age < 300 {
		age = 300
	}
	if age > 4000 {
		age = 4000
	}
	return age + int64(s.r.n(120))
}

// text appends a reply with its marks filled in.
func (s *sim) text(segs []seg, a, from int32, o *outcome, nl string) {
	b := s.b
	r, w := s.r, s.w
	for i := range segs {
		g := &segs[i]
		if g.op == 0 {
			b = append(b, g.lit...)
			continue
		}
		switch g.op {
		case '\n':
			b = append(b, nl...)
		case 'R':
			b = append(b, w.addr(a)...)
		case 'L':
			b = append(b, w.localPart(a)...)
		case 'D':
			if from >= 0 {
				b = append(b, w.dom[w.adDom[from]].name...)
			}
		case 'S':
			if from >= 0 {
				b = append(b, w.addr(from)...)
			}
		case 'H':
			b = r.hex(b, 12)
		case 'B':
			b = r.alnum(b, 16)
		case 'T':
			b = appendInt(b, s.now)
		case 'N':
			v := r.u64()
			for k := 0; k < 8; k++ {
				b = append(b, '0'+byte(v>>(8*k)&0xff)%10)
			}
		case 'O':
			b = append(b, "203.0.113.25"...)
		case 'M':
			b = append(b, w.dom[w.adDom[a]].relay[o.relay]...)
		case 'I':
			b = append(b, w.dom[w.adDom[a]].relayIP[o.relay]...)
		case '%':
			b = append(b, '%')
		}
	}
	s.b = b
}

func appendInt(b []byte, v int64) []byte {
	if v < 0 {
		b = append(b, '-')
		v = -v
	}
	var t [20]byte
	i := len(t)
	for {
		i--
		t[i] = '0' + byte(v%10)
		v /= 10
		if v == 0 {
			return append(b, t[i:]...)
		}
	}
}

// delay appends milliseconds the way Postfix does: two significant digits.
func appendDelay(b []byte, ms int64) []byte {
	switch {
	case ms >= 10000:
		return appendInt(b, ms/1000)
	case ms >= 1000:
		b = append(b, '0'+byte(ms/1000))
		if d := ms / 100 % 10; d != 0 {
			b = append(b, '.', '0'+byte(d))
		}
		return b
	case ms < 10:
		if ms == 0 {
			return append(b, '0')
		}
		return append(b, '0', '.', '0', '1')
	}
	b = append(b, '0', '.', '0'+byte(ms/100))
	if d := ms / 10 % 10; d != 0 {
		b = append(b, '0'+byte(d))
	}
	return b
}

var months = [...]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}

// second prepares everything that is the same for all lines of a second.
func (s *sim) second() {
	t := time.Unix(s.now, 0).UTC()
	b := s.prefix[:0]
	s.usPos = 0
	switch s.cfg.stamp {
	case "rfc3339":
		b = t.AppendFormat(b, "2006-01-02T15:04:05.")
		s.usPos = len(b)
		b = append(b, "000000+00:00 "...)
	case "rfc3164":
		b = append(b, months[t.Month()-1]...)
		b = append(b, ' ')
		if t.Day() < 10 {
			b = append(b, ' ')
		}
		b = appendInt(b, int64(t.Day()))
		b = t.AppendFormat(b, " 15:04:05 ")
	default: // Exim's own
		b = t.AppendFormat(b, "2006-01-02 15:04:05 ")
		s.prefix = b
		return
	}
	b = append(b, s.cfg.host...)
	b = append(b, ' ')
	if s.cfg.mta == "exim" {
		b = append(b, "exim[1187]: "...)
		b = t.AppendFormat(b, "2006-01-02 15:04:05 ")
	}
	s.prefix = b
	s.us = s.r.n(20000)
	s.step = 900000/(int(s.cfg.rate/86400*20)+2) + 1
}

// begin starts a line; end finishes it and says whether it was written (lines
// past the asked size are dropped, and must not be counted).
func (s *sim) begin() {
	s.line0 = len(s.b)
	p := len(s.b)
	s.b = append(s.b, s.prefix...)
	if s.usPos > 0 {
		if s.us < 999000 {
			s.us += 1 + s.r.n(s.step)
		}
		v := s.us
		if v > 999999 {
			v = 999999
		}
		for i := 5; i >= 0; i-- {
			s.b[p+s.usPos+i] = '0' + byte(v%10)
			v /= 10
		}
	}
}

func (s *sim) end() bool {
	if s.full {
		s.b = s.b[:s.line0]
		return false
	}
	s.b = append(s.b, '\n')
	s.lines++
	s.total += int64(len(s.b) - s.line0)
	if s.firstLine == 0 {
		s.firstLine = s.now
	}
	s.lastLine = s.now
	if (s.cfg.lines > 0 && s.lines >= s.cfg.lines) || (s.cfg.bytes > 0 && s.total >= s.cfg.bytes) {
		s.full = true
	}
	if len(s.b) > 1<<16 || s.full {
		s.out.Write(s.b)
		s.b = s.b[:0]
	}
	return true
}

func (s *sim) str(x string) { s.b = append(s.b, x...) }
