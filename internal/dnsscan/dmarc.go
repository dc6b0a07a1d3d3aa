package dnsscan

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	whyDMARC      = "Gmail, Yahoo and Microsoft want a DMARC record, if only p=none, of everybody who sends 5,000 messages a day: 550 5.7.26 (Gmail), 550 5.7.515 (Outlook.com)."
	whyDMARCBroke = "Receivers take no notice of a broken record: as if there were none (550 5.7.515)."
)

// A dmarcRecord is a parsed DMARC record.
type dmarcRecord struct {
	p, sp, np   string   // none, quarantine, reject; "" where not given
	adkim, aspf string   // r, s
	rua, ruf    []string // URIs
	psd         string   // y, n, u
	testing     bool     // t=y
	pct         int
	broken      []string // each makes receivers take no notice of the record
	faults      []string // a part of it is ignored
}

// isDMARC reports whether a TXT record is a DMARC record (RFC 9989 section 4.7).
func isDMARC(txt string) bool {
	first, _, _ := strings.Cut(txt, ";")
	name, value, ok := strings.Cut(first, "=")
	return ok && strings.Trim(name, " \t") == "v" && strings.Trim(value, " \t") == "DMARC1"
}

// parseDMARC parses a DMARC record (RFC 9989 section 4.7, RFC 7489 section 6.3).
func parseDMARC(txt string) dmarcRecord {
	r := dmarcRecord{adkim: "r", aspf: "r", pct: 100}
	list, faults := tags(txt)
	r.faults = faults
	if !isDMARC(txt) {
		r.broken = append(r.broken, "it must begin with v=DMARC1;")
		return r
	}
	policy := func(name string, into *string) {
		v, ok := lookup(list, name)
		if !ok {
			return
		}
		v = strings.ToLower(v)
		if v == "none" || v == "quarantine" || v == "reject" {
			*into = v
			return
		}
		why := fmt.Sprintf("%s is %s, and must be none, quarantine or reject", name, quote(v))
		if name == "p" {
			r.broken = append(r.broken, why)
		} else {
			r.faults = append(r.faults, why)
		}
	}
	policy("p", &r.p)
	policy("sp", &r.sp)
	policy("np", &r.np)
	one := func(name, allowed string, into *string) {
		v, ok := lookup(list, name)
		if !ok {
			return
		}
		if v = strings.ToLower(v); len(v) == 1 && strings.Contains(allowed, v) {
			*into = v
		} else {
			r.faults = append(r.faults, fmt.Sprintf("%s is %s, and must be one of %s", name, quote(v), strings.Join(strings.Split(allowed, ""), ", ")))
		}
	}
	t := ""
	one("adkim", "rs", &r.adkim)
	one("aspf", "rs", &r.aspf)
	one("psd", "ynu", &r.psd)
	one("t", "yn", &t)
	r.testing = t == "y"
	if v, ok := lookup(list, "pct"); ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > 100 {
			r.faults = append(r.faults, fmt.Sprintf("pct is %s, and must be 0 to 100", quote(v)))
		} else {
			r.pct = n
		}
	}
	for name, into := range map[string]*[]string{"rua": &r.rua, "ruf": &r.ruf} {
		v, ok := lookup(list, name)
		if !ok {
			continue
		}
		for uri := range strings.SplitSeq(v, ",") {
			uri = strings.TrimSpace(uri)
			if len(*into) >= 20 {
				break
			}
			if mailDomain(uri) != "" || strings.HasPrefix(strings.ToLower(uri), "https://") {
				*into = append(*into, uri)
			} else {
				r.faults = append(r.faults, fmt.Sprintf("%s holds %s, which is not of the form mailto:postmaster@example.com", name, quote(uri)))
			}
		}
	}
	slices.Sort(r.faults) // the map above has no order
	if len(r.faults) > 10 {
		r.faults = r.faults[:10]
	}
	if _, ok := lookup(list, "p"); !ok && len(r.rua) == 0 {
		// RFC 9989 4.7: with reports asked for it counts as p=none.
		r.broken = append(r.broken, "there is no policy in it (p=)")
	}
	return r
}

// mailDomain returns the domain of a mailto: URI; "" if it is none.
func mailDomain(uri string) string {
	if len(uri) < 7 || !strings.EqualFold(uri[:7], "mailto:") || len(uri) > 400 {
		return ""
	}
	addr, _, _ := strings.Cut(uri[7:], "!") // the size limit of RFC 7489 6.2
	i := strings.LastIndexByte(addr, '@')
	if i < 1 {
		return ""
	}
	domain := strings.ToLower(strings.TrimSuffix(addr[i+1:], "."))
	if !strings.Contains(domain, ".") || !askable(domain+".") || strings.ContainsAny(domain, "<>,%\"' ") {
		return ""
	}
	return domain
}

// dmarcAt looks up the DMARC records of one name.
func (s *scanner) dmarcAt(ctx context.Context, domain string) (records, others []string, err error) {
	txts, _, err := s.txt(ctx, "_dmarc."+domain)
	for _, txt := range txts {
		if isDMARC(txt) {
			records = append(records, txt)
		} else {
			others = append(others, txt)
		}
	}
	return records, others, err
}

// treeWalk finds the organisational domain and its record (RFC 9989 section 4.10): it queries the
// domain and its parents, eight at most.
func (s *scanner) treeWalk(ctx context.Context, domain string) (org, record string, err error) {
	labels := strings.Split(domain, ".")
	org = domain
	for n := 0; len(labels) > 0 && n < 8; n++ {
		at := strings.Join(labels, ".")
		records, _, err := s.dmarcAt(ctx, at)
		if err != nil {
			return org, record, err
		}
		if len(records) == 1 {
			r := parseDMARC(records[0])
			switch {
			case r.psd == "n":
				return at, records[0], nil
			case r.psd == "y" && at != domain:
				// The domain below it; the policy is that of the public suffix
				// unless one was found further down.
				if record == "" {
					record = records[0]
				}
				below := strings.Split(domain, ".")
				return strings.Join(below[len(below)-len(labels)-1:], "."), record, nil
			}
			org, record = at, records[0]
		}
		if len(labels) > 8 {
			labels = labels[len(labels)-7:]
		} else {
			labels = labels[1:]
		}
	}
	return org, record, nil
}

func dmarcProposal(domain string) string {
	return txtRecord("_dmarc."+domain, "v=DMARC1; p=none; rua=mailto:postmaster@"+domain)
}

// dmarc checks the DMARC policy that applies to a domain.
func (s *scanner) dmarc(ctx context.Context, a *about) {
	records, others, err := s.dmarcAt(ctx, a.domain)
	if a.unanswered(CheckDMARC, "dmarc-unanswered", err) {
		return
	}
	for _, txt := range others {
		if strings.Contains(strings.ToLower(txt[:min(len(txt), 40)]), "dmarc") {
			a.add(CheckDMARC, Error, "dmarc-not-quite", Finding{
				What: fmt.Sprintf("_dmarc.%s has a TXT record that looks like DMARC and is none: %s.", a.domain, quote(txt)), Why: whyDMARCBroke,
				Do: "It must begin with v=DMARC1; in capitals.", Record: dmarcProposal(a.domain), Reference: "RFC 9989 4.7, RFC 7489 6.4",
			})
		}
	}
	if len(records) > 1 {
		a.add(CheckDMARC, Error, "dmarc-several", Finding{
			What: fmt.Sprintf("%s has %d DMARC records, and may have one.", a.domain, len(records)), Why: "Receivers then use none of them (550 5.7.515).",
			Do: "Leave one.", Record: txtRecord("_dmarc."+a.domain, records[0]), Reference: "RFC 9989 4.10, RFC 7489 6.6.3",
		})
		return
	}
	if len(records) == 1 {
		s.dmarcRecord(ctx, a, a.domain, records[0])
		return
	}
	org, record, err := s.treeWalk(ctx, a.domain)
	if a.unanswered(CheckDMARC, "dmarc-unanswered", err) {
		return
	}
	if record != "" {
		r := parseDMARC(record)
		policy, which := r.p, "p"
		if r.sp != "" {
			policy, which = r.sp, "sp"
		}
		if policy == "" {
			policy = "none"
		}
		a.add(CheckDMARC, Info, "dmarc-inherited", Finding{
			What: fmt.Sprintf("%s has no DMARC record of its own; that of %s holds: %s (%s).", a.domain, org, policy, which), Reference: "RFC 9989 4.10",
		})
		s.dmarcRecord(ctx, a, org, record)
		return
	}
	if len(a.found) > 0 {
		return
	}
	f := Finding{
		What: a.domain + " has no DMARC record, nor has a domain above it.", Why: whyDMARC,
		Do:     "Publish one. p=none asks for reports and changes nothing else.",
		Record: dmarcProposal(a.domain), Reference: "RFC 9989 4.7, RFC 7489 6.3",
	}
	if twice, _, err := s.dmarcAt(ctx, a.domain+"."+a.domain); err == nil && len(twice) > 0 {
		f.What = fmt.Sprintf("%s has no DMARC record, but _dmarc.%s.%s has one: the zone's name was appended twice.", a.domain, a.domain, a.domain)
		f.Do, f.Record = "Enter the name without the domain, or with a dot at its end.", txtRecord("_dmarc."+a.domain, twice[0])
	} else if txts, _, err := s.txt(ctx, a.domain); err == nil {
		for _, txt := range txts {
			if isDMARC(txt) {
				f.What = fmt.Sprintf("%s has its DMARC record at the domain itself, where receivers do not look it up.", a.domain)
				f.Do, f.Record = "Move it to _dmarc."+a.domain+".", txtRecord("_dmarc."+a.domain, txt)
			}
		}
	}
	a.add(CheckDMARC, Error, "dmarc-missing", f)
}

// dmarcRecord checks the record of org.
func (s *scanner) dmarcRecord(ctx context.Context, a *about, org, txt string) {
	r := parseDMARC(txt)
	for _, b := range r.broken {
		a.add(CheckDMARC, Error, "dmarc-broken", Finding{
			What: fmt.Sprintf("The DMARC record of %s is broken: %s.", org, b), Why: whyDMARCBroke,
			Do: "Correct it.", Record: dmarcProposal(org), Reference: "RFC 9989 4.7, RFC 7489 6.3",
		})
	}
	if len(r.broken) > 0 {
		return
	}
	for _, f := range r.faults {
		a.add(CheckDMARC, Warning, "dmarc-syntax", Finding{
			What: fmt.Sprintf("A part of the DMARC record of %s is ignored: %s.", org, f), Why: "Strict receivers may take no notice of the whole record.",
			Do: "Correct it.", Reference: "RFC 9989 4.7, RFC 7489 6.3",
		})
	}
	policy := r.p
	if policy == "" {
		policy = "none"
		a.add(CheckDMARC, Warning, "dmarc-no-policy", Finding{
			What: fmt.Sprintf("The DMARC record of %s names no policy (p=).", org), Why: "It counts as p=none under RFC 9989, and as broken with receivers that keep to RFC 7489.",
			Do: "Say p=none.", Record: txtRecord("_dmarc."+org, strings.Replace(txt, "DMARC1", "DMARC1; p=none", 1)), Reference: "RFC 9989 4.7",
		})
	}
	switch {
	case policy == "none":
		a.add(CheckDMARC, Info, "dmarc-none", Finding{
			What: fmt.Sprintf("The DMARC policy of %s is none: enough for bulk senders, and no protection from forgery.", org),
			Do:   "Once the reports show that all of your mail passes, say p=quarantine, then p=reject.", Reference: "RFC 9989 4.7",
		})
	case r.testing:
		a.add(CheckDMARC, Info, "dmarc-testing", Finding{
			What: fmt.Sprintf("The DMARC policy of %s is %s, and is being tested (t=y): receivers apply the next milder one.", org, policy), Reference: "RFC 9989 4.7",
		})
	}
	if r.pct < 100 {
		a.add(CheckDMARC, Info, "dmarc-pct", Finding{
			What: fmt.Sprintf("The DMARC policy of %s is for %d %% of the mail (pct).", org, r.pct), Why: "RFC 9989 has done away with pct; receivers that keep to it apply the policy to all mail.",
			Do: "Take pct out.", Reference: "RFC 9989 A.6, RFC 7489 6.3",
		})
	}
	rank := func(p string) int { return slices.Index([]string{"none", "quarantine", "reject"}, p) }
	if r.sp != "" && rank(r.sp) < rank(policy) {
		a.add(CheckDMARC, Warning, "dmarc-subdomains", Finding{
			What: fmt.Sprintf("The DMARC policy for subdomains of %s (sp=%s) is milder than its own (p=%s).", org, r.sp, policy), Why: "Whoever forges the domain uses a subdomain, one that does not exist will do.",
			Do: "Say sp=" + policy + ", or np=reject for subdomains that do not exist.", Reference: "RFC 9989 4.7",
		})
	}
	strict := ""
	switch {
	case r.adkim == "s" && r.aspf == "s":
		strict = "DKIM and SPF"
	case r.adkim == "s":
		strict = "DKIM"
	case r.aspf == "s":
		strict = "SPF"
	}
	if strict != "" {
		a.add(CheckDMARC, Info, "dmarc-strict", Finding{
			What: fmt.Sprintf("DMARC of %s is strict on %s: the domain of the signature or of the envelope sender must be that of From itself, and a subdomain does not count.", org, strict),
			Why:  "Mail through services that sign or bounce under a subdomain does not align: 550 5.7.26.", Do: "Use relaxed alignment (r) unless you know that you need the other.", Reference: "RFC 9989 4.4, RFC 7489 3.1",
		})
	}
	if len(r.rua) == 0 {
		value := strings.TrimRight(strings.TrimSpace(txt), ";") + "; rua=mailto:postmaster@" + org
		a.add(CheckDMARC, Warning, "dmarc-no-reports", Finding{
			What: fmt.Sprintf("The DMARC record of %s asks for no reports (rua).", org), Why: "Reports are how you learn what fails before it is refused.",
			Do: "Ask for them.", Record: txtRecord("_dmarc."+org, value), Reference: "RFC 9989 4.7, RFC 9990",
		})
	}
	s.dmarcReports(ctx, a, org, append(slices.Clone(r.rua), r.ruf...))
	if !slices.ContainsFunc(a.found, func(f Finding) bool { return f.Level == Error }) {
		a.add(CheckDMARC, OK, "dmarc-ok", Finding{What: fmt.Sprintf("%s has a DMARC record: %s.", org, quote(txt))})
	}
}

// dmarcReports checks that the receivers of reports agree (RFC 9990 section 4, RFC 7489 section
// 7.1).
func (s *scanner) dmarcReports(ctx context.Context, a *about, org string, uris []string) {
	asked := map[string]bool{}
	own := ""
	for _, uri := range uris {
		to := mailDomain(uri)
		if to == "" || asked[to] || len(asked) >= 10 {
			continue
		}
		asked[to] = true
		if to == org || strings.HasSuffix(to, "."+org) || strings.HasSuffix(org, "."+to) {
			continue
		}
		if own == "" {
			var err error
			if own, _, err = s.treeWalk(ctx, org); err != nil {
				own = org
			}
		}
		if theirs, _, err := s.treeWalk(ctx, to); err == nil && theirs == own {
			continue
		}
		name := org + "._report._dmarc." + to
		txts, _, err := s.txt(ctx, name)
		if a.unanswered(CheckDMARC, "dmarc-unanswered", err) {
			continue
		}
		if !slices.ContainsFunc(txts, isDMARC) {
			a.add(CheckDMARC, Warning, "dmarc-reports-refused", Finding{
				What: fmt.Sprintf("Reports on %s are to go to %s, which does not say that it wants them.", org, to), Why: "Receivers then send no reports there.",
				Do: fmt.Sprintf("Have %s publish that it takes them, or name an address in %s.", to, org), Record: txtRecord(name, "v=DMARC1"), Reference: "RFC 9990 4, RFC 7489 7.1",
			})
			continue
		}
		a.add(CheckDMARC, OK, "dmarc-reports-ok", Finding{What: fmt.Sprintf("%s takes the reports on %s.", to, org)})
	}
}
