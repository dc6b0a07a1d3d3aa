package main

import (
	"fmt"
	"math"
	"strconv"
)

// Domain conditions.
const (
	domLive   = iota
	domNX     // does not exist: permanent, no relay
	domDead   // every MX times out: temporary until expiry
	domClosed // connection refused
	domLocal  // hosted here: delivered by lmtp
)

// Address conditions.
const (
	adValid   = iota
	adUnknown // never existed
	adDisabled
	adFull    // over quota for the whole run
	adVanish  // exists until world.vanishAt, unknown afterwards
	adBlocked // this receiver refuses us by policy from the first message on
)

// A domain is a recipient domain, remote or hosted here.
type domain struct {
	name     string
	dash     string
	fam      *family
	cond     uint8
	grey     bool
	incident bool
	relay    [3]string // host names
	relayIP  [3]string
	base, n  int32 // its addresses are base .. base+n-1

	// truth
	sent, deferred, bounced, expired int64
}

// The world is everybody: domains, addresses, clients.
type world struct {
	r       *rng
	dom     []domain // remote domains, then local ones
	nRemote int
	pick    *alias
	local   *alias // over senders

	// addresses: remote recipients first, then local senders
	arena   []byte
	off     []uint32
	at      []uint8 // length of the local part
	adDom   []int32
	cond    []uint8
	nRcpt   int
	seen    []uint8  // bit 0: occurred on a delivery line; bit 1: delivered; bit 2: greylist passed; bit 3: flagged
	okAt    []int64  // last successful delivery
	clients []string // "host[ip]" of submitting clients
	peers   []string // of inbound MTAs
	bots    []string
}

func (w *world) addr(i int32) []byte      { return w.arena[w.off[i]:w.off[i+1]] }
func (w *world) localPart(i int32) []byte { return w.arena[w.off[i] : w.off[i]+uint32(w.at[i])] }

var big = []struct {
	name, fam string
	w         float64
}{
	{"gmail.com", "google", 26},
	{"hotmail.com", "microsoft", 7},
	{"outlook.com", "microsoft", 6},
	{"yahoo.com", "yahoo", 6},
	{"gmx.de", "gmx", 4},
	{"web.de", "gmx", 4},
	{"icloud.com", "icloud", 3.5},
	{"live.com", "microsoft", 1.6},
	{"googlemail.com", "google", 1.5},
	{"aol.com", "yahoo", 1.4},
	{"t-online.de", "exchange", 1.4},
	{"msn.com", "microsoft", 0.9},
	{"me.com", "icloud", 0.8},
	{"orange.fr", "postfix", 0.8},
	{"gmx.net", "gmx", 0.8},
	{"yahoo.co.uk", "yahoo", 0.7},
	{"free.fr", "postfix", 0.6},
	{"comcast.net", "exchange", 0.6},
	{"libero.it", "postfix", 0.5},
	{"mail.ru", "exim", 0.5},
}

var (
	words  = []string{"acme", "north", "wind", "alpen", "blue", "river", "stone", "data", "werk", "haus", "green", "solar", "tech", "print", "auto", "media", "nova", "terra", "vita", "delta", "omega", "star", "hill", "lake", "forge", "craft", "link", "bau", "logi", "trade", "consult", "design"}
	tails  = []string{".example", ".de.example", ".co.example", ".example.net", ".example.org", ".fr.example", ".test", ".it.example"}
	firsts = []string{"anna", "ben", "clara", "david", "emma", "felix", "greta", "hans", "ida", "jonas", "katrin", "lukas", "maria", "nils", "olga", "paul", "rosa", "simon", "tina", "uwe", "vera", "willi", "yusuf", "zoe", "james", "mary", "john", "linda", "robert", "susan", "michael", "laura"}
	lasts  = []string{"smith", "mueller", "schmidt", "jones", "brown", "fischer", "weber", "wagner", "becker", "garcia", "martin", "bernard", "rossi", "russo", "novak", "kowalski", "jensen", "hansen", "larsen", "virtanen", "taylor", "wilson", "klein", "wolf", "schroeder", "neumann", "schwarz", "zimmermann", "braun", "krueger", "hofmann", "lange"}
	roles  = []string{"info", "office", "sales", "support", "billing", "kontakt", "hr", "it", "newsletter", "orders"}
)

// expand fills in a pattern for a mail host's name: %d the domain, %D a label
// made of it.
func expand(pat string, d *domain, salt int) string {
	b := make([]byte, 0, 64)
	for i := 0; i < len(pat); i++ {
		if pat[i] == '%' && i+1 < len(pat) {
			i++
			switch pat[i] {
			case 'd':
				b = append(b, d.name...)
			case 'D':
				if d.fam.name == "proofpoint" {
					b = append(b, fmt.Sprintf("%06x", salt&0xffffff)...)
				} else {
					b = append(b, d.dash...)
				}
			}
			continue
		}
		b = append(b, pat[i])
	}
	return string(b)
}

func newWorld(cfg *config) *world {
	w := &world{r: newRNG(uint64(cfg.seed))}
	r := w.r
	byName := map[string]*family{}
	for _, f := range families {
		byName[f.name] = f
	}
	mix := []string{"microsoft", "microsoft", "microsoft", "google", "google", "postfix", "postfix", "postfix", "exim", "exim", "exchange", "mimecast", "proofpoint"}
	nd := cfg.domains
	weights := make([]float64, 0, nd)
	bigSum := 0.0
	for _, b := range big {
		bigSum += b.w
	}
	// the tail shares what the large providers leave: Zipf with exponent 1.02
	tailSum := 0.0
	for i := 0; i < nd; i++ {
		tailSum += 1 / math.Pow(float64(i+8), 1.02)
	}
	for i := 0; i < nd; i++ {
		d := domain{}
		wt := 0.0
		if i < len(big) {
			d.name, d.fam, wt = big[i].name, byName[big[i].fam], big[i].w
		} else {
			d.name = words[r.n(len(words))] + words[r.n(len(words))] + strconv.Itoa(i) + tails[r.n(len(tails))]
			d.fam = byName[mix[r.n(len(mix))]]
			wt = (100 - bigSum) / (math.Pow(float64(i+8), 1.02) * tailSum)
			switch x := r.f(); {
			case x < 0.004:
				d.cond = domNX
			case x < 0.008:
				d.cond = domDead
			case x < 0.010:
				d.cond = domClosed
			}
			d.grey = len(d.fam.by[catGreylist]) > 0 && r.p(0.35)
		}
		weights = append(weights, wt)
		w.dom = append(w.dom, d)
	}
	w.nRemote = nd
	nl := cfg.senders/40 + 1
	if nl > 60 {
		nl = 60
	}
	for i := 0; i < nl; i++ {
		w.dom = append(w.dom, domain{name: words[r.n(len(words))] + "-hosted" + strconv.Itoa(i) + ".example", fam: families[5], cond: domLocal})
	}
	for i := range w.dom {
		d := &w.dom[i]
		b := []byte(d.name)
		for k := range b {
			if b[k] == '.' {
				b[k] = '-'
			}
		}
		d.dash = string(b)
		for k := range d.relay {
			pat := d.fam.retry[k%len(d.fam.retry)]
			if d.fam.name == "microsoft" {
				pat = d.fam.retry[0]
				if i < len(big) {
					pat = d.fam.retry[1]
				}
			}
			salt := int(r.u64())
			d.relay[k] = expand(pat, d, salt)
			d.relayIP[k] = fmt.Sprintf("%s.%d.%d", d.fam.ip, (salt>>24)&255, (salt>>32)&255)
		}
	}
	total := 0.0
	for _, x := range weights {
		total += x
	}
	w.pick = newAlias(weights)
	w.off = append(w.off, 0)
	add := func(local string, d int) {
		w.arena = append(w.arena, local...)
		w.arena = append(w.arena, '@')
		w.arena = append(w.arena, w.dom[d].name...)
		w.off = append(w.off, uint32(len(w.arena)))
		w.at = append(w.at, uint8(len(local)))
		w.adDom = append(w.adDom, int32(d))
	}
	// Recipients: a domain's share of addresses follows its share of mail,
	// flattened, so that small domains have a few addresses each.
	for i := 0; i < nd; i++ {
		d := &w.dom[i]
		n := int(float64(cfg.recipients)*weights[i]/total + 0.5)
		if n < 1 {
			n = 1
		}
		d.base, d.n = int32(len(w.adDom)), int32(n)
		for k := 0; k < n; k++ {
			var l string
			switch {
			case i >= len(big) && k < 2:
				l = roles[r.n(len(roles))]
				if k == 1 {
					l += "1"
				}
			default:
				l = firsts[r.n(len(firsts))] + "." + lasts[r.n(len(lasts))] + strconv.Itoa(k)
			}
			add(l, i)
			c := uint8(adValid)
			u := r.f()
			b := cfg.bounceRate
			switch {
			case u < b*0.80:
				c = adUnknown
			case u < b*0.92:
				c = adDisabled
			case u < b*1.10:
				c = adFull
			case u < b*1.25:
				c = adVanish
			case u < b*1.40:
				c = adBlocked
			}
			w.cond = append(w.cond, c)
		}
	}
	w.nRcpt = len(w.adDom)
	sw := make([]float64, cfg.senders)
	for i := 0; i < cfg.senders; i++ {
		dd := w.nRemote + i%nl
		l := firsts[r.n(len(firsts))] + "." + lasts[r.n(len(lasts))] + strconv.Itoa(i)
		if i%7 == 0 {
			l = roles[r.n(len(roles))] + strconv.Itoa(i)
		}
		add(l, dd)
		w.cond = append(w.cond, adValid)
		sw[i] = 1 / math.Pow(float64(i+2), 0.9)
	}
	w.local = newAlias(sw)
	w.seen = make([]uint8, len(w.adDom))
	w.okAt = make([]int64, len(w.adDom))
	ip := func() string {
		v := r.u64()
		return fmt.Sprintf("%d.%d.%d.%d", 11+v%180, (v>>8)&255, (v>>16)&255, 1+(v>>24)%254)
	}
	for i := 0; i < 600; i++ {
		a := ip()
		if r.p(0.6) {
			w.clients = append(w.clients, "unknown["+a+"]")
		} else {
			w.clients = append(w.clients, fmt.Sprintf("p%x.dip0.isp%d.example.net[%s]", r.u64()&0xffffffff, r.n(40), a))
		}
		d := &w.dom[w.pick.draw(r)]
		w.peers = append(w.peers, fmt.Sprintf("mail-%s.out.%s[%s]", string(r.alnum(nil, 6)), d.name, a))
		w.bots = append(w.bots, "unknown["+ip()+"]")
	}
	// The incident hits some large and some small domains.
	left := cfg.incDomains
	for _, i := range []int{1, 5, len(big) + 1, 3, len(big) + 4, 9, 6, len(big) + 9} {
		if left > 0 && i < nd && w.dom[i].cond == domLive {
			w.dom[i].incident = true
			left--
		}
	}
	return w
}

// recipient draws a remote address: a domain by weight, then a skewed address in it.
func (w *world) recipient(r *rng, d int) int32 {
	dm := &w.dom[d]
	u := r.f()
	return dm.base + int32(u*u*float64(dm.n))
}
