package dnsscan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const whyInbound = "It is about mail that comes to you: no mail of yours is refused for it."

// parseSTS reads an MTA-STS record (RFC 8461 section 3.1) and says what is
// wrong with it.
func parseSTS(txt string) (broken []string) {
	list, faults := tags(txt)
	broken = faults
	if len(list) == 0 || list[0] != (tag{"v", "STSv1"}) {
		return append(broken, "it must begin with v=STSv1;")
	}
	id, ok := lookup(list, "id")
	alnum := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	switch {
	case !ok:
		broken = append(broken, "id= is missing")
	case id == "" || len(id) > 32 || strings.ContainsFunc(id, func(r rune) bool { return !alnum(r) }):
		broken = append(broken, "id must be 1 to 32 letters and digits")
	}
	return broken
}

// parseTLSRPT reads a TLS-RPT record (RFC 8460 section 3) and says what is
// wrong with it.
func parseTLSRPT(txt string) (broken []string) {
	list, faults := tags(txt)
	broken = faults
	if len(list) == 0 || list[0] != (tag{"v", "TLSRPTv1"}) {
		return append(broken, "it must begin with v=TLSRPTv1;")
	}
	rua, ok := lookup(list, "rua")
	if !ok {
		return append(broken, "rua= is missing")
	}
	for i, uri := range strings.Split(rua, ",") {
		uri = strings.TrimSpace(uri)
		if i < 20 && mailDomain(uri) == "" && !strings.HasPrefix(strings.ToLower(uri), "https://") {
			broken = append(broken, quote(uri)+" is neither mailto: nor https:")
		}
	}
	return broken
}

// one returns the TXT record at name that begins with the version, and how
// many there are. Others that hold the word are returned where there is none.
func (s *scanner) one(ctx context.Context, name, version string) (txt string, n int, err error) {
	txts, _, err := s.txt(ctx, name)
	for _, t := range txts {
		if strings.HasPrefix(t, "v="+version+";") || t == "v="+version {
			if n++; n == 1 {
				txt = t
			}
		}
	}
	if n == 0 && len(txts) > 0 {
		return txts[0], 0, err
	}
	return txt, n, err
}

func (s *scanner) mtaSTS(ctx context.Context, a *about) {
	txt, n, err := s.one(ctx, "_mta-sts."+a.domain, "STSv1")
	proposal := txtRecord("_mta-sts."+a.domain, "v=STSv1; id=1")
	switch {
	case a.unanswered(CheckMTASTS, "mta-sts-unanswered", err):
	case n == 0 && txt == "":
		a.add(CheckMTASTS, Info, "mta-sts-missing", Finding{
			What: a.domain + " has no MTA-STS record.", Why: whyInbound,
			Do:     "To have mail to you sent over TLS only: serve the policy at https://mta-sts." + a.domain + "/.well-known/mta-sts.txt, then publish the record.",
			Record: proposal, Reference: "RFC 8461 3",
		})
	case n > 1:
		a.add(CheckMTASTS, Warning, "mta-sts-several", Finding{
			What: fmt.Sprintf("%s has %d MTA-STS records, and may have one.", a.domain, n), Why: "Senders act as if there were none. " + whyInbound,
			Do: "Leave one.", Record: txtRecord("_mta-sts."+a.domain, txt), Reference: "RFC 8461 3.1",
		})
	default:
		broken := parseSTS(txt)
		for _, b := range broken[:min(len(broken), 10)] {
			a.add(CheckMTASTS, Warning, "mta-sts-broken", Finding{
				What: fmt.Sprintf("The MTA-STS record of %s is broken: %s.", a.domain, b), Why: "Senders act as if there were none. " + whyInbound,
				Do: "Correct it.", Record: proposal, Reference: "RFC 8461 3.1",
			})
		}
		if len(broken) > 0 {
			return
		}
		ips, _, err := s.addresses(ctx, "mta-sts."+a.domain)
		if a.unanswered(CheckMTASTS, "mta-sts-unanswered", err) {
			return
		}
		if len(ips) == 0 {
			a.add(CheckMTASTS, Warning, "mta-sts-no-host", Finding{
				What: fmt.Sprintf("%s has an MTA-STS record, but mta-sts.%s, which must serve the policy, has no address.", a.domain, a.domain), Why: "Senders find no policy. " + whyInbound,
				Do: "Serve the policy there, or take the record out.", Reference: "RFC 8461 3.2",
			})
			return
		}
		a.add(CheckMTASTS, OK, "mta-sts-ok", Finding{What: fmt.Sprintf("%s has an MTA-STS record. The policy itself, which is served over HTTPS, was not fetched.", a.domain)})
	}
}

func (s *scanner) tlsRPT(ctx context.Context, a *about) {
	name := "_smtp._tls." + a.domain
	txt, n, err := s.one(ctx, name, "TLSRPTv1")
	proposal := txtRecord(name, "v=TLSRPTv1; rua=mailto:postmaster@"+a.domain)
	switch {
	case a.unanswered(CheckTLSRPT, "tls-rpt-unanswered", err):
	case n == 0 && txt == "":
		a.add(CheckTLSRPT, Info, "tls-rpt-missing", Finding{
			What: a.domain + " asks for no TLS reports.", Why: whyInbound, Do: "With MTA-STS or DANE, ask for them.", Record: proposal, Reference: "RFC 8460 3",
		})
	case n > 1:
		a.add(CheckTLSRPT, Warning, "tls-rpt-several", Finding{
			What: fmt.Sprintf("%s has %d TLS-RPT records, and may have one.", a.domain, n), Why: "Senders act as if there were none. " + whyInbound,
			Do: "Leave one.", Record: txtRecord(name, txt), Reference: "RFC 8460 3",
		})
	default:
		broken := parseTLSRPT(txt)
		for _, b := range broken[:min(len(broken), 10)] {
			a.add(CheckTLSRPT, Warning, "tls-rpt-broken", Finding{
				What: fmt.Sprintf("The TLS-RPT record of %s is broken: %s.", a.domain, b), Why: "No reports come. " + whyInbound,
				Do: "Correct it.", Record: proposal, Reference: "RFC 8460 3",
			})
		}
		if len(broken) == 0 {
			a.add(CheckTLSRPT, OK, "tls-rpt-ok", Finding{What: a.domain + " asks for TLS reports."})
		}
	}
}

// dane checks the TLSA records of the MX hosts (RFC 7672). It connects to no host, so it does not
// compare them with the certificates.
func (s *scanner) dane(ctx context.Context, a *about, mxValidated bool, hosts []string) {
	good := []string{}
	any := false
	for _, host := range hosts {
		name := "_25._tcp." + host
		answer, err := s.ask(ctx, name, dns.TypeTLSA)
		if a.unanswered(CheckDANE, "dane-unanswered", err) || len(answer.records) == 0 {
			continue
		}
		any = true
		usable := 0
		for _, rr := range answer.records {
			t, ok := rr.(*dns.TLSA)
			if !ok {
				continue
			}
			if why := tlsaFault(t); why != "" {
				a.add(CheckDANE, Warning, "dane-broken", Finding{
					What: fmt.Sprintf("A TLSA record of %s is of no use: %s.", host, why),
					Why:  "Senders that check DANE pass it over, or send no mail to you. " + whyInbound,
					Do:   "Publish the hash of the server's key.", Record: name + ". TLSA 3 1 1 …the SHA-256 of the public key in hex…", Reference: "RFC 7672 3.1",
				})
				continue
			}
			usable++
		}
		if usable == 0 {
			continue
		}
		_, address, err := s.addresses(ctx, host)
		if mxValidated && answer.validated && err == nil && address.validated {
			good = append(good, host)
			continue
		}
		f := Finding{
			What: fmt.Sprintf("%s has TLSA records, but the resolver did not validate them with DNSSEC (no AD bit).", host),
			Why:  "Without DNSSEC on the MX, the addresses and the TLSA record, senders take no notice of DANE. " + whyInbound,
			Do:   "Sign the zones of the domain and of the MX host.", Reference: "RFC 7672 2.2",
		}
		if root, err := s.ask(ctx, ".", dns.TypeSOA); err != nil || !root.validated {
			f.What = fmt.Sprintf("%s has TLSA records; whether they are signed is not known, since the resolver does not validate DNSSEC.", host)
			f.Do = "Ask a resolver that validates, with --resolver."
			a.add(CheckDANE, Info, "dane-not-validated", f)
			continue
		}
		a.add(CheckDANE, Warning, "dane-unsigned", f)
	}
	switch {
	case len(good) > 0:
		slices.Sort(good)
		a.add(CheckDANE, OK, "dane-ok", Finding{What: fmt.Sprintf("DANE: %s has TLSA records, validated by the resolver. They were not held against the certificate.", some(good, 3))})
	case !any && len(hosts) > 0:
		a.add(CheckDANE, Info, "dane-missing", Finding{What: "The mail servers of " + a.domain + " have no TLSA records (DANE).", Why: whyInbound, Reference: "RFC 7672"})
	}
}

// tlsaFault says why a TLSA record is of no use with SMTP (RFC 7672 section
// 3.1, RFC 6698 section 2.1).
func tlsaFault(t *dns.TLSA) string {
	want := map[uint8]int{1: 64, 2: 128}[t.MatchingType] // hex digits
	switch {
	case t.Usage > 3:
		return fmt.Sprintf("there is no usage %d", t.Usage)
	case t.Usage < 2:
		return fmt.Sprintf("usage %d (PKIX) is not for SMTP; it must be 3 or 2", t.Usage)
	case t.Selector > 1:
		return fmt.Sprintf("there is no selector %d", t.Selector)
	case t.MatchingType > 2:
		return fmt.Sprintf("there is no matching type %d", t.MatchingType)
	case want > 0 && len(t.Certificate) != want:
		return fmt.Sprintf("the hash has %d bytes instead of %d", len(t.Certificate)/2, want/2)
	}
	return ""
}
