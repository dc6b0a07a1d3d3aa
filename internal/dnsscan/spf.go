package dnsscan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"blitiri.com.ar/go/spf"
	"github.com/miekg/dns"
)

// Limits of RFC 7208 section 4.6.4.
const (
	spfLookups = 10
	spfVoid    = 2
	spfMX      = 10
)

const (
	whySPF      = "Gmail, Yahoo and Microsoft want SPF or DKIM of everybody and both of bulk senders; mail without is refused: 550 5.7.26 (Gmail), 550 5.7.515 (Outlook.com), 550 5.7.23."
	whySPFBroke = "Receivers end with permerror, which does not pass: as if there were no SPF at all (550 5.7.24, 550 5.7.26)."
)

// An spfTerm is a mechanism or a modifier of an SPF record.
type spfTerm struct {
	text      string
	qualifier byte   // + - ~ ?
	name      string // lower case
	value     string // domain-spec; "" where left out
	prefix    netip.Prefix
	modifier  bool
}

// An spfRecord is an SPF record that was read.
type spfRecord struct {
	terms  []spfTerm
	faults []string // each makes receivers end with permerror
	notes  []string // allowed, but probably a mistake
}

func (r *spfRecord) all() (spfTerm, bool) {
	for _, t := range r.terms {
		if t.name == "all" && !t.modifier {
			return t, true
		}
	}
	return spfTerm{}, false
}

// isSPF reports whether a TXT record is an SPF record (RFC 7208 section 4.5).
func isSPF(txt string) bool {
	s := strings.ToLower(txt[:min(len(txt), 7)])
	return s == "v=spf1" || s == "v=spf1 "
}

// nearlySPF matches a record that was meant to be SPF but is not.
var nearlySPF = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^[\s"'“”]*(?:v\s*=\s*)?spf\s*[12]\b|^[\s"']+v=spf1`)
})

var (
	spfModifier = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9._-]*=`) })
	spfMacro    = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`%(?:%|_|-|\{[slodiphcrtvSLODIPHCRTV][0-9]{0,3}[rR]?[-.+,/_=]*\})`)
	})
	spfCIDR = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(.*?)(?:/([0-9]{1,3}))?(?://([0-9]{1,3}))?$`) })
)

const spfTermsAtMost = 500

// parseSPF reads an SPF record (RFC 7208 sections 4.6, 5, 6 and 12).
func parseSPF(txt string) *spfRecord {
	r := &spfRecord{}
	fault := func(format string, a ...any) { r.faults = append(r.faults, fmt.Sprintf(format, a...)) }
	modifiers := map[string]bool{}
	words := strings.Split(txt[min(len(txt), len("v=spf1")):], " ")
	if len(words) > spfTermsAtMost {
		fault("it has %d terms", len(words))
		words = words[:spfTermsAtMost]
	}
	ended := ""
	for _, word := range words {
		if word == "" {
			continue
		}
		if i := strings.IndexFunc(word, func(c rune) bool { return c <= ' ' || c >= 0x7f }); i >= 0 {
			fault("%s holds a character that does not belong there", quote(word))
			continue
		}
		t := spfTerm{text: word, qualifier: '+'}
		if spfModifier().MatchString(word) {
			t.modifier = true
			t.name, t.value, _ = strings.Cut(word, "=")
			t.name = strings.ToLower(t.name)
			switch t.name {
			case "redirect", "exp":
				if modifiers[t.name] {
					fault("%s= occurs twice", t.name)
				}
				modifiers[t.name] = true
				if why := domainSpec(t.value); why != "" {
					fault("%s: %s", quote(word), why)
				}
			case "include", "a", "mx", "ip4", "ip6", "ptr", "exists", "all":
				r.notes = append(r.notes, fmt.Sprintf("%s is ignored: write %s with a colon", quote(word), t.name))
			case "v":
				fault("%s occurs twice: two records in one", quote(word))
			}
			r.terms = append(r.terms, t)
			continue
		}
		if bad := t.mechanism(word); bad != "" {
			fault("%s: %s", quote(t.text), bad)
			continue
		}
		if ended != "" {
			r.notes = append(r.notes, fmt.Sprintf("%s is after %s and is never evaluated", quote(t.text), quote(ended)))
		}
		if t.name == "all" && ended == "" {
			ended = t.text
		}
		r.terms = append(r.terms, t)
	}
	if ended != "" && modifiers["redirect"] {
		r.notes = append(r.notes, fmt.Sprintf("redirect= is ignored, since there is %s", quote(ended)))
	}
	return r
}

// mechanism parses a mechanism with its qualifier. It returns what is wrong with it, or "".
func (t *spfTerm) mechanism(word string) (bad string) {
	if strings.IndexByte("+-~?", word[0]) >= 0 {
		t.qualifier, word = word[0], word[1:]
	}
	end := strings.IndexAny(word, ":/")
	if end < 0 {
		end = len(word)
	}
	t.name, t.value = strings.ToLower(word[:end]), word[end:]
	switch t.name {
	case "all":
		if t.value != "" {
			bad = "all takes no value"
		}
	case "include", "exists":
		if !strings.HasPrefix(t.value, ":") {
			bad = "the domain is missing"
		} else {
			t.value = t.value[1:]
			bad = domainSpec(t.value)
		}
	case "a", "mx", "ptr":
		m := spfCIDR().FindStringSubmatch(t.value)
		switch {
		case t.name == "ptr" && (m[2] != "" || m[3] != ""):
			bad = "ptr takes no prefix length"
		case !length(m[2], 32) || !length(m[3], 128):
			bad = "the prefix length is wrong"
		case m[1] == "":
			t.value = ""
		case m[1][0] != ':':
			bad = "not a domain"
		default:
			t.value = m[1][1:]
			bad = domainSpec(t.value)
		}
	case "ip4", "ip6":
		var ok bool
		if t.prefix, ok = spfNetwork(strings.TrimPrefix(t.value, ":"), t.name == "ip6"); !ok || t.value == "" || t.value[0] != ':' {
			bad = "not an address of that kind"
		}
	default:
		bad = "no such mechanism"
		for _, meant := range []struct{ wrong, right string }{
			{"ipv4", "ip4"}, {"ipv6", "ip6"}, {"ip", "ip4"}, {"includes", "include"}, {"a-record", "a"}, {"mxs", "mx"},
		} {
			if t.name == meant.wrong {
				bad += "; " + meant.right + " was meant?"
			}
		}
		if _, err := netip.ParseAddr(word); err == nil {
			bad = "an address needs ip4: or ip6: in front"
		}
		if strings.ContainsAny(word, ",;") {
			bad = "terms are parted by blanks alone"
		}
	}
	return bad
}

// domainSpec returns the error of a domain-spec (RFC 7208 section 7.1), or "".
func domainSpec(s string) string {
	if s == "" {
		return "the domain is missing"
	}
	plain := spfMacro().ReplaceAllString(s, "")
	macroAtEnd := false
	if all := spfMacro().FindAllStringIndex(s, -1); len(all) > 0 {
		macroAtEnd = all[len(all)-1][1] == len(s)
	}
	trimmed := strings.TrimSuffix(s, ".")
	switch {
	case strings.Contains(plain, "%"):
		return "the macro is wrong"
	case strings.ContainsAny(plain, "/:"):
		return "not a domain"
	case macroAtEnd:
		return ""
	case !strings.Contains(trimmed, "."), strings.HasSuffix(trimmed, "."), plain == s && !askable(trimmed+"."):
		return "not a domain"
	}
	return ""
}

func length(s string, most int) bool {
	if s == "" {
		return true
	}
	n, err := strconv.Atoi(s)
	return err == nil && n <= most && (s == "0" || s[0] != '0')
}

func spfNetwork(s string, six bool) (netip.Prefix, bool) {
	addr, bits, cidr := strings.Cut(s, "/")
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Is4() == six || ip.Zone() != "" {
		return netip.Prefix{}, false
	}
	n := ip.BitLen()
	if cidr {
		if bits == "" || !length(bits, n) {
			return netip.Prefix{}, false
		}
		n, _ = strconv.Atoi(bits)
	}
	return netip.PrefixFrom(ip, n).Masked(), true
}

// spf looks at the SPF record of a domain and tries the sending addresses.
func (s *scanner) spf(ctx context.Context, a *about) {
	txts, _, err := s.txt(ctx, a.domain)
	if a.unanswered(CheckSPF, "spf-unanswered", err) {
		return
	}
	var records []string
	for _, txt := range txts {
		switch {
		case isSPF(txt):
			records = append(records, txt)
		case nearlySPF().MatchString(txt[:min(len(txt), 64)]):
			a.add(CheckSPF, Error, "spf-not-quite", Finding{
				What: fmt.Sprintf("%s has a TXT record that looks like SPF and is none: %s.", a.domain, quote(txt)), Why: whySPF,
				Do: "It must begin with v=spf1 and a blank.", Record: txtRecord(a.domain, s.spfProposal()), Reference: "RFC 7208 4.5",
			})
		}
	}
	switch {
	case len(records) == 0 && len(a.found) > 0:
		return
	case len(records) == 0:
		a.add(CheckSPF, Error, "spf-missing", Finding{
			What: a.domain + " has no SPF record.", Why: whySPF,
			Do:     "Publish one that names every address that sends for the domain.",
			Record: txtRecord(a.domain, s.spfProposal()), Reference: "RFC 7208 4.5",
		})
		return
	case len(records) > 1:
		a.add(CheckSPF, Error, "spf-several", Finding{
			What: fmt.Sprintf("%s has %d SPF records, and may have one.", a.domain, len(records)), Why: whySPFBroke,
			Do: "Remove all, and publish one that joins them.", Record: txtRecord(a.domain, joinSPF(records)), Reference: "RFC 7208 3.2, 4.5",
		})
		return
	}

	w := &spfWalk{scanner: s, a: a}
	w.record(ctx, a.domain, records[0], []string{a.domain})
	w.conclude(records[0])
	s.spfTry(ctx, a, records[0])
}

// spfProposal is a record for a domain that has none.
func (s *scanner) spfProposal() string {
	var b strings.Builder
	b.WriteString("v=spf1 mx")
	for _, ip := range s.ips[:min(len(s.ips), 10)] {
		b.WriteString(" " + spfAddress(ip))
	}
	b.WriteString(" -all")
	return b.String()
}

func spfAddress(ip netip.Addr) string {
	if ip.Unmap().Is4() {
		return "ip4:" + ip.Unmap().String()
	}
	return "ip6:" + ip.String()
}

// joinSPF makes one record of several, with the mildest of their ends.
func joinSPF(records []string) string {
	out := []string{"v=spf1"}
	end := ""
	for _, txt := range records {
		for _, t := range parseSPF(txt).terms {
			switch {
			case t.name == "all":
				if end == "" || t.qualifier == '~' {
					end = string(t.qualifier) + "all"
				}
			case !slices.Contains(out, t.text):
				out = append(out, t.text)
			}
		}
	}
	joined := strings.Join(append(out, cmp.Or(end, "~all")), " ")
	if len(joined) > 900 || strings.Contains(joined, "redirect=") {
		return "v=spf1 mx -all"
	}
	return joined
}

// An spfWalk goes through a record and all that it includes, as a receiver
// does who finds no match before the end.
type spfWalk struct {
	*scanner
	a       *about
	lookups int
	void    []string
	costs   []string // of the terms of the domain's own record
	faults  []string // of all records
	open    bool     // some record passes everybody
}

// spfWalkAtMost bounds the lookups of a walk: include trees can be endless.
const spfWalkAtMost = 40

func (w *spfWalk) record(ctx context.Context, domain, txt string, path []string) {
	r := parseSPF(txt)
	own := len(path) == 1
	in := ""
	if !own {
		in = " (in the record of " + domain + ")"
	}
	for _, f := range r.faults {
		if len(w.faults) < 10 {
			w.faults = append(w.faults, f+in)
		}
	}
	const notesAtMost = 5
	for _, n := range r.notes[:min(len(r.notes), notesAtMost)] {
		w.a.add(CheckSPF, Warning, "spf-ignored", Finding{
			What: "In the SPF record of " + domain + ", " + n + ".", Why: "The record does not say what it seems to say.",
			Do: "Take it out, or write it right.", Reference: "RFC 7208 5.1, 6",
		})
	}
	if all, ok := r.all(); ok && all.qualifier == '+' && !w.open {
		w.open = true
		w.a.add(CheckSPF, Error, "spf-open", Finding{
			What: fmt.Sprintf("The SPF record of %s ends with %s: the whole world may send as %s.", domain, quote(all.text), w.a.domain),
			Why:  "Spammers use such domains, and receivers count it against them: 550 5.7.1, blocklists.",
			Do:   "Name the sending addresses and end with -all or ~all.", Record: w.proposal(domain, txt, all), Reference: "RFC 7208 5.1",
		})
	}
	_, hasAll := r.all()
	seen := map[string]bool{}
	for _, t := range r.terms {
		if w.lookups >= spfWalkAtMost || ctx.Err() != nil {
			return
		}
		before := w.lookups
		if t.prefix.IsValid() {
			w.network(domain, t)
		}
		if t.modifier && (t.name != "redirect" || hasAll) {
			continue
		}
		w.term(ctx, domain, t, path)
		if cost := w.lookups - before; own && cost > 1 {
			w.costs = append(w.costs, fmt.Sprintf("%s (%d)", short(t.text, 80), cost))
		} else if own && cost == 1 {
			w.costs = append(w.costs, short(t.text, 80))
		}
		if t.name == "ptr" && !seen["ptr"] {
			seen["ptr"] = true
			w.a.add(CheckSPF, Warning, "spf-ptr", Finding{
				What: "The SPF record of " + domain + " uses ptr.", Why: "It is slow and should not be used; some receivers skip it.",
				Do: "Put ip4: and ip6: in its place.", Reference: "RFC 7208 5.5",
			})
		}
		if t.name == "all" && !t.modifier {
			return
		}
	}
	if !hasAll && own && !slices.ContainsFunc(r.terms, func(t spfTerm) bool { return t.name == "redirect" }) {
		w.a.add(CheckSPF, Warning, "spf-no-end", Finding{
			What: "The SPF record of " + domain + " has no result for all other addresses.", Why: "Their result is neutral: anyone can send as the domain, and receivers trust it less.",
			Do: "End it with -all, or with ~all for a start.", Record: txtRecord(domain, txt+" ~all"), Reference: "RFC 7208 4.7, 5.1",
		})
	}
}

// network looks at ip4 and ip6.
func (w *spfWalk) network(domain string, t spfTerm) {
	if t.qualifier != '+' || t.prefix.Addr().Is4() && t.prefix.Bits() >= 10 || t.prefix.Addr().Is6() && t.prefix.Bits() >= 20 {
		return
	}
	w.a.add(CheckSPF, Error, "spf-wide", Finding{
		What: fmt.Sprintf("The SPF record of %s lets a large part of the internet send: %s.", domain, t.text),
		Why:  "Spammers use such domains, and receivers count it against them: 550 5.7.1, blocklists.",
		Do:   "Name your own addresses only.", Reference: "RFC 7208 5.6",
	})
}

// proposal is a record with its open end closed.
func (w *spfWalk) proposal(domain, txt string, all spfTerm) string {
	if domain != w.a.domain {
		return ""
	}
	return txtRecord(domain, strings.Replace(txt, " "+all.text, " -all", 1))
}

// term counts what a term asks of a receiver, and follows it.
func (w *spfWalk) term(ctx context.Context, domain string, t spfTerm, path []string) {
	target := cmp.Or(t.value, domain)
	macro := strings.Contains(target, "%")
	switch t.name {
	case "include", "redirect":
		w.lookups++
		if !macro {
			w.follow(ctx, t, strings.ToLower(strings.TrimSuffix(target, ".")), path)
		}
	case "a", "exists":
		w.lookups++
		if !macro {
			ips, _, err := w.addresses(ctx, target)
			w.result(target+" (A, AAAA)", len(ips), err)
		}
	case "mx":
		w.lookups++
		if !macro {
			answer, err := w.ask(ctx, target, dns.TypeMX)
			w.result(target+" (MX)", len(answer.records), err)
			if n := len(answer.records); n > spfMX {
				w.faults = append(w.faults, fmt.Sprintf("%s: %s has %d MX records, and %d may be looked at", quote(t.text), target, n, spfMX))
			}
		}
	case "ptr":
		w.lookups++
	}
}

// result notes a lookup that found nothing, or failed.
func (w *spfWalk) result(name string, n int, err error) {
	if !w.a.unanswered(CheckSPF, "spf-unanswered", err) && n == 0 {
		w.void = append(w.void, name)
	}
}

// follow goes into an included record.
func (w *spfWalk) follow(ctx context.Context, t spfTerm, target string, path []string) {
	if slices.Contains(path, target) {
		w.faults = append(w.faults, fmt.Sprintf("%s leads back to %s: a circle", quote(t.text), target))
		return
	}
	txts, _, err := w.txt(ctx, target)
	if w.a.unanswered(CheckSPF, "spf-unanswered", err) {
		return
	}
	var records []string
	for _, txt := range txts {
		if isSPF(txt) {
			records = append(records, txt)
		}
	}
	if len(txts) == 0 {
		w.void = append(w.void, target+" (TXT)")
	}
	switch len(records) {
	case 0:
		w.faults = append(w.faults, fmt.Sprintf("%s: %s has no SPF record", quote(t.text), target))
	case 1:
		w.record(ctx, target, records[0], append(slices.Clone(path), target))
	default:
		w.faults = append(w.faults, fmt.Sprintf("%s: %s has %d SPF records, and may have one", quote(t.text), target, len(records)))
	}
}

// conclude says what the whole came to.
func (w *spfWalk) conclude(txt string) {
	a := w.a
	for _, f := range w.faults[:min(len(w.faults), 10)] {
		a.add(CheckSPF, Error, "spf-broken", Finding{
			What: "The SPF record of " + a.domain + " is broken: " + f + ".", Why: whySPFBroke,
			Do: "Correct the term, or take it out.", Reference: "RFC 7208 4.6, 5.2, 12",
		})
	}
	count := strconv.Itoa(w.lookups)
	if w.lookups >= spfWalkAtMost {
		count = strconv.Itoa(spfWalkAtMost) + " or more"
	}
	costs := ""
	if len(w.costs) > 0 {
		costs = ": " + some(w.costs, 8)
	}
	switch {
	case w.lookups > spfLookups:
		a.add(CheckSPF, Error, "spf-lookups", Finding{
			What: fmt.Sprintf("The SPF record of %s needs %s DNS lookups, and %d are allowed%s.", a.domain, count, spfLookups, costs), Why: whySPFBroke,
			Do: "Take out the includes of services that you no longer use, put ip4: and ip6: in place of a and mx, or let services send under a subdomain of their own.", Reference: "RFC 7208 4.6.4",
		})
	case w.lookups >= spfLookups-1:
		a.add(CheckSPF, Warning, "spf-lookups-near", Finding{
			What: fmt.Sprintf("The SPF record of %s needs %s of the %d DNS lookups that are allowed%s.", a.domain, count, spfLookups, costs),
			Why:  "The record breaks when a service that you include adds one.", Do: "Make room: take out what is no longer used.", Reference: "RFC 7208 4.6.4",
		})
	}
	if len(w.void) > spfVoid {
		a.add(CheckSPF, Error, "spf-void", Finding{
			What: fmt.Sprintf("The SPF record of %s asks for %d records that do not exist, and %d are allowed: %s.", a.domain, len(w.void), spfVoid, some(w.void, 5)),
			Why:  whySPFBroke, Do: "Take these names out.", Reference: "RFC 7208 4.6.4",
		})
	} else if len(w.void) > 0 {
		a.add(CheckSPF, Warning, "spf-void-some", Finding{
			What: fmt.Sprintf("The SPF record of %s asks for what does not exist: %s.", a.domain, some(w.void, 5)),
			Why:  fmt.Sprintf("With more than %d of these, receivers end with permerror.", spfVoid), Do: "Take the names out.", Reference: "RFC 7208 4.6.4",
		})
	}
	if len(txt) > 450 {
		a.add(CheckSPF, Warning, "spf-long", Finding{
			What: fmt.Sprintf("The SPF record of %s is %d characters long.", a.domain, len(txt)), Why: "With the other TXT records it may not fit into a UDP answer; where TCP is blocked, SPF then fails.",
			Do: "Shorten it: wider networks, an include, a subdomain for a service.", Reference: "RFC 7208 3.4",
		})
	}
	if !slices.ContainsFunc(a.found, func(f Finding) bool { return f.Level == Error || f.Unanswered }) {
		a.add(CheckSPF, OK, "spf-ok", Finding{What: fmt.Sprintf("%s has an SPF record: %s (%s of %d lookups).", a.domain, quote(txt), count, spfLookups)})
	}
}

// spfTry evaluates the record for each sending address.
func (s *scanner) spfTry(ctx context.Context, a *about, txt string) {
	if len(s.ips) == 0 {
		a.add(CheckSPF, Info, "spf-no-address", Finding{
			What: "No sending address is known that the SPF record of " + a.domain + " could be tried with.",
			Do:   "Give the addresses that send with --ip.",
		})
		return
	}
	helo := cmp.Or(s.HELO, a.domain)
	for _, ip := range s.ips {
		result, err := spf.CheckHostWithSender(net.IP(ip.AsSlice()), helo, "postmaster@"+a.domain, spf.WithResolver(spfResolver{s.Client}), spf.WithContext(ctx))
		f := Finding{IP: ip.String(), Why: whySPF, Reference: "RFC 7208 4.6, 8"}
		add := withTerm(txt, spfAddress(ip))
		switch result {
		case spf.Pass:
			a.add(CheckSPF, OK, "spf-pass", Finding{IP: f.IP, What: fmt.Sprintf("SPF passes: %s may send for %s.", ip, a.domain)})
		case spf.Fail, spf.SoftFail:
			f.What = fmt.Sprintf("SPF does not pass: %s is not among the addresses that may send for %s (%s).", ip, a.domain, result)
			f.Do = "If it is yours, add it to the record. If the mail goes through a service, include that."
			f.Record = txtRecord(a.domain, add)
			a.add(CheckSPF, Error, "spf-fail", f)
		case spf.Neutral, spf.None:
			f.What = fmt.Sprintf("SPF does not pass: the record of %s says nothing of %s (%s).", a.domain, ip, result)
			f.Do = "Add the address to the record."
			f.Record = txtRecord(a.domain, add)
			a.add(CheckSPF, Error, "spf-neutral", f)
		case spf.TempError:
			f.What = fmt.Sprintf("SPF of %s could not be evaluated for %s: the DNS does not answer everything.", a.domain, ip)
			f.Why, f.Unanswered = "A receiver who meets the same answers 451 4.4.3 or 4.7.24, and the mail waits in the queue.", true
			a.add(CheckSPF, Warning, "spf-temperror", f)
		default:
			f.What = fmt.Sprintf("SPF of %s ends with permerror for %s: %s.", a.domain, ip, spfReason(err))
			f.Why, f.Do = whySPFBroke, "Correct the record."
			a.add(CheckSPF, Error, "spf-permerror", f)
		}
	}
}

// heloSPF evaluates SPF for the name of HELO, which is what receivers go by when
// the sender is null: with notifications (RFC 7208 sections 2.3 and 2.4).
func (s *scanner) heloSPF(ctx context.Context, a *about, ip netip.Addr, name string) {
	result, err := spf.CheckHostWithSender(net.IP(ip.AsSlice()), name, "postmaster@"+name, spf.WithResolver(spfResolver{s.Client}), spf.WithContext(ctx))
	f := Finding{
		Why: "With notifications, whose sender is null, SPF is about this name: 550 5.7.23, 550 5.7.1.", Do: "Let the record of that name pass its own address.",
		Record: txtRecord(name, "v=spf1 a -all"), Reference: "RFC 7208 2.3, 2.4",
	}
	switch result {
	case spf.Fail, spf.SoftFail:
		f.What = fmt.Sprintf("SPF does not pass for the name that the server says in HELO: %s may not say %s (%s).", ip, name, result)
	case spf.PermError:
		f.What = fmt.Sprintf("SPF of %s, which the server says in HELO, ends with permerror: %s.", name, spfReason(err))
	default:
		return
	}
	a.add(CheckHELO, Warning, "helo-spf", f)
}

func spfReason(err error) string {
	switch {
	case errors.Is(err, spf.ErrLookupLimitReached):
		return fmt.Sprintf("it needs more than %d DNS lookups", spfLookups)
	case errors.Is(err, spf.ErrVoidLookupLimitReached):
		return fmt.Sprintf("it asks for more than %d names that do not exist", spfVoid)
	case err != nil:
		return err.Error()
	}
	return "it cannot be read"
}

// withTerm is a record with a term put before its end.
func withTerm(txt, term string) string {
	r := parseSPF(txt)
	words := []string{"v=spf1"}
	done := false
	for _, t := range r.terms {
		if !done && (t.name == "all" || t.name == "redirect") {
			words, done = append(words, term), true
		}
		if words = append(words, t.text); t.name == "all" {
			break
		}
	}
	if !done {
		words = append(words, term)
	}
	return strings.Join(words, " ")
}
