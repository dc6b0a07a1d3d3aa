package dnsscan

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

const (
	whyDKIM      = "A signature that cannot be checked does not pass; DMARC then hangs on SPF alone, and bulk mail is refused: 550 5.7.26 (Gmail), 550 5.7.515 (Outlook.com), 550 5.7.20."
	whyDKIMShort = "Receivers must not accept signatures with RSA keys of less than 1024 bits (RFC 8301 3.2); Gmail refuses such mail: 550 5.7.26."
)

// CommonSelectors are common selectors of DKIM keys: the defaults of MTAs, control panels and large
// services.
func CommonSelectors() []string {
	return []string{
		"default", "dkim", "mail", "email", "smtp", "key1", "s1", "s2", "sel1", "selector1", "selector2",
		"google", "k1", "k2", "k3", "mandrill", "mxvault", "dkim1", "dkim2", "protonmail", "fm1", "fm2", "fm3",
		"zoho", "pm", "mailjet", "everlytickey1", "sig1", "x", "2024", "2025", "2026",
	}
}

// A dkimKey is a parsed DKIM key record.
type dkimKey struct {
	kind    string // rsa, ed25519
	bits    int
	revoked bool
	testing bool     // t=y
	strict  bool     // t=s
	broken  []string // each makes signatures fail
	faults  []string // against the grammar
}

// parseDKIM parses a DKIM key record (RFC 6376 section 3.6.1, RFC 8463).
func parseDKIM(txt string) dkimKey {
	k := dkimKey{kind: "rsa"}
	list, faults := tags(txt)
	k.faults = faults
	breaks := func(format string, a ...any) { k.broken = append(k.broken, fmt.Sprintf(format, a...)) }
	if v, ok := lookup(list, "v"); ok {
		if v != "DKIM1" {
			breaks("v is %s, and must be DKIM1", quote(v))
		} else if list[0].name != "v" {
			breaks("v=DKIM1 must come first")
		}
	}
	if v, ok := lookup(list, "k"); ok {
		k.kind = v
	}
	if h, ok := lookup(list, "h"); ok && !slices.Contains(words(h), "sha256") {
		breaks("it allows %s only, and signatures are made with sha256 (RFC 8301 3.1)", quote(h))
	}
	if s, ok := lookup(list, "s"); ok && !slices.Contains(words(s), "*") && !slices.Contains(words(s), "email") {
		breaks("it is for %s, not for email", quote(s))
	}
	if t, ok := lookup(list, "t"); ok {
		k.testing, k.strict = slices.Contains(words(t), "y"), slices.Contains(words(t), "s")
	}
	p, ok := lookup(list, "p")
	p = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, p)
	switch {
	case !ok:
		breaks("there is no key in it (p=)")
		return k
	case p == "":
		k.revoked = true
		return k
	}
	raw, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		raw, err = base64.RawStdEncoding.DecodeString(p)
		if err == nil {
			breaks("the base64 of the key lacks its = at the end: it was cut")
		}
	}
	if err != nil {
		hint := ""
		if strings.ContainsAny(p, `"\`) {
			hint = "; quotes or backslashes of the zone file got into it"
		} else if strings.Contains(p, "BEGIN") || strings.Contains(p, "-----") {
			hint = "; the BEGIN and END lines of the PEM file do not belong there"
		}
		breaks("the key is not base64%s", hint)
		return k
	}
	switch k.kind {
	case "rsa":
		// RFC 6376 names the bare form (PKCS #1), everybody uses the other
		// (errata 3017).
		var key *rsa.PublicKey
		if any, err := x509.ParsePKIXPublicKey(raw); err == nil {
			key, _ = any.(*rsa.PublicKey)
			if key == nil {
				breaks("it says rsa, and the key is another")
				return k
			}
		} else if key, err = x509.ParsePKCS1PublicKey(raw); err != nil {
			breaks("the key cannot be read: it was cut, or is not a public RSA key")
			return k
		}
		k.bits = key.N.BitLen()
	case "ed25519":
		k.bits = 8 * len(raw)
		if len(raw) != ed25519.PublicKeySize {
			breaks("an Ed25519 key has 32 bytes, and this has %d (RFC 8463 4)", len(raw))
		}
	default:
		breaks("%s is not a kind of key that receivers know", quote(k.kind))
	}
	return k
}

// words splits a list at its colons.
func words(s string) []string {
	list := strings.Split(s[:min(len(s), 500)], ":")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// dkim checks the keys that a domain publishes for its signatures.
func (s *scanner) dkim(ctx context.Context, a *about) {
	given := len(s.Selectors) > 0
	selectors := s.Selectors
	if !given {
		// A domain that answers for every name would seem to have all keys.
		txts, _, err := s.txt(ctx, "bouncelog-no-such-selector._domainkey."+a.domain)
		if a.unanswered(CheckDKIM, "dkim-unanswered", err) {
			return
		}
		if len(txts) > 0 {
			a.add(CheckDKIM, Info, "dkim-wildcard", Finding{
				What: a.domain + " answers for every DKIM selector, so its keys cannot be found by trying common names.",
				Do:   "Name the selector with --selector: it is the value of s= in the DKIM-Signature of a message.", Reference: "RFC 6376 3.6.2.1",
			})
			return
		}
		selectors = CommonSelectors()
	}

	results := make([]about, len(selectors))
	found := make([]bool, len(selectors))
	var wait sync.WaitGroup
	for i, selector := range selectors {
		wait.Go(func() {
			results[i].domain = a.domain
			found[i] = s.dkimSelector(ctx, &results[i], selector, given)
		})
	}
	wait.Wait()
	kinds := map[string]bool{}
	for i := range results {
		for _, f := range results[i].found {
			kinds[f.Rule] = true
			a.add(f.Check, f.Level, f.Rule, f)
		}
	}
	if given || slices.Contains(found, true) {
		if kinds["dkim-ed25519"] && !kinds["dkim-ok"] {
			a.add(CheckDKIM, Warning, "dkim-only-ed25519", Finding{
				What: a.domain + " has Ed25519 keys only, as far as looked at.", Why: "Many receivers cannot check these signatures yet, and take the mail as not signed.",
				Do: "Sign with an RSA key of 2048 bits as well.", Reference: "RFC 8463 5",
			})
		}
		return
	}
	for _, f := range a.found {
		if f.Unanswered {
			return
		}
	}
	f := Finding{
		What: fmt.Sprintf("No DKIM key of %s was found under %d common selectors; it may have keys under other names.", a.domain, len(selectors)),
		Why:  "Gmail, Yahoo and Microsoft want mail signed: 550 5.7.26, 550 5.7.515.", Reference: "RFC 6376 3.6.2",
		Do:     "If mail is signed, name the selector with --selector: it is the value of s= in the DKIM-Signature of a message. If not, sign it (OpenDKIM, rspamd, Exim's dkim_domain) and publish the key.",
		Record: "mail._domainkey." + a.domain + `. TXT "v=DKIM1; k=rsa; p=…the public key in base64…"`,
	}
	// A name that exists without records has names below it (RFC 8020).
	if answer, err := s.ask(ctx, "_domainkey."+a.domain, dns.TypeTXT); err == nil && !answer.none {
		f.What = fmt.Sprintf("%s has DKIM keys, or had some, but none under %d common selectors.", a.domain, len(selectors))
		a.add(CheckDKIM, Info, "dkim-other-selector", f)
		return
	}
	a.add(CheckDKIM, Warning, "dkim-not-found", f)
}

// dkimSelector checks the key of one selector, and reports whether there is a record.
func (s *scanner) dkimSelector(ctx context.Context, a *about, selector string, given bool) bool {
	name := selector + "._domainkey." + a.domain
	txts, answer, err := s.txt(ctx, name)
	if a.unanswered(CheckDKIM, "dkim-unanswered", err) {
		return false
	}
	key := fmt.Sprintf("The DKIM key %s of %s", selector, a.domain)
	record := name + `. TXT "v=DKIM1; k=rsa; p=…the public key in base64…"`
	switch {
	case len(txts) == 0 && !given:
		return false
	case len(txts) == 0:
		f := Finding{
			What: key + " does not exist.", Why: whyDKIM, Do: "Publish the public key that belongs to the key that signs, under this very name.",
			Record: record, Reference: "RFC 6376 3.6.2, 6.1.2",
		}
		if len(answer.aliases) > 0 {
			f.What = fmt.Sprintf("%s leads to %s (CNAME), and nothing is there.", key, answer.aliases[len(answer.aliases)-1])
			f.Do, f.Record = "Have the service publish its key, or correct the CNAME.", ""
		} else if twice, _, err := s.txt(ctx, name+"."+a.domain); err == nil && len(twice) > 0 {
			f.What = fmt.Sprintf("%s does not exist, but %s.%s does: the zone's name was appended twice.", key, name, a.domain)
			f.Do = "Enter the name without the domain, or with a dot at its end."
		}
		a.add(CheckDKIM, Error, "dkim-missing", f)
		return true
	case len(txts) > 1:
		a.add(CheckDKIM, Error, "dkim-several", Finding{
			What: fmt.Sprintf("%s has %d TXT records, and may have one.", key, len(txts)), Why: "Which of them is the key is anybody's guess, so signatures fail now and then: 550 5.7.20, 550 5.7.26.",
			Do: "Leave the one that belongs to the key that signs.", Reference: "RFC 6376 3.6.2.2",
		})
		return true
	}
	k := parseDKIM(txts[0])
	for _, b := range k.broken {
		a.add(CheckDKIM, Error, "dkim-broken", Finding{
			What: fmt.Sprintf("%s is broken: %s.", key, b), Why: whyDKIM, Do: "Publish it again, from the file that the signer made.",
			Record: record, Reference: "RFC 6376 3.6.1",
		})
	}
	for _, f := range k.faults {
		a.add(CheckDKIM, Warning, "dkim-syntax", Finding{
			What: fmt.Sprintf("%s is not quite right: %s.", key, f), Why: "Strict receivers take the whole record for broken.", Do: "Correct it.", Reference: "RFC 6376 3.2",
		})
	}
	if k.testing {
		a.add(CheckDKIM, Warning, "dkim-testing", Finding{
			What: key + " says that it is a test (t=y).", Why: "Receivers may treat the mail as if it were not signed.",
			Do: "Take t=y out once signing works.", Reference: "RFC 6376 3.6.1",
		})
	}
	if k.strict {
		a.add(CheckDKIM, Info, "dkim-strict", Finding{
			What: key + " is for addresses in " + a.domain + " itself, not in its subdomains (t=s).", Reference: "RFC 6376 3.6.1",
		})
	}
	switch {
	case len(k.broken) > 0:
	case k.revoked:
		level := Info
		if given {
			level = Error
		}
		a.add(CheckDKIM, level, "dkim-revoked", Finding{
			What: key + " was revoked: its p= is empty.", Why: "Signatures with this selector fail: 550 5.7.20, 550 5.7.26.",
			Do: "Sign with a key that is published; if this selector is out of use, all is well.", Reference: "RFC 6376 3.6.1",
		})
	case k.kind == "rsa" && k.bits < 1024:
		a.add(CheckDKIM, Error, "dkim-short", Finding{
			What: fmt.Sprintf("%s has %d bits.", key, k.bits), Why: whyDKIMShort,
			Do: "Make a key of 2048 bits and publish it under a new selector.", Record: "new" + record, Reference: "RFC 8301 3.2",
		})
	case k.kind == "rsa" && k.bits < 2048:
		a.add(CheckDKIM, Warning, "dkim-weak", Finding{
			What: fmt.Sprintf("%s has %d bits.", key, k.bits), Why: "Signers should use 2048 bits; receivers may stop taking less.",
			Do: "Make a key of 2048 bits and publish it under a new selector.", Reference: "RFC 8301 3.2",
		})
	case k.kind == "ed25519":
		a.add(CheckDKIM, OK, "dkim-ed25519", Finding{What: key + " is an Ed25519 key."})
	default:
		a.add(CheckDKIM, OK, "dkim-ok", Finding{What: fmt.Sprintf("%s is there: %s, %d bits.", key, cmp.Or(k.kind, "rsa"), k.bits)})
	}
	return true
}
