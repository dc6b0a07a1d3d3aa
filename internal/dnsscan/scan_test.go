package dnsscan

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bouncelog/internal/dnsscan/dnstest"
)

// world starts the DNS server of the tests.
func world(t testing.TB) *dnstest.Server {
	t.Helper()
	zone, err := os.ReadFile("testdata/world.zone")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, string(zone))
}

func serve(t testing.TB, zone string) *dnstest.Server {
	t.Helper()
	s, err := dnstest.Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func client(s *dnstest.Server) *Client {
	return &Client{Servers: []string{s.Addr}, Timeout: 5 * time.Second}
}

// produced are the rules that the tests have seen.
var produced struct {
	sync.Mutex
	rules map[string]Level
}

// scan runs and notes which rules came up.
func scan(t testing.TB, o Options, domains []string, ips ...string) []Finding {
	t.Helper()
	var addrs []netip.Addr
	for _, ip := range ips {
		addrs = append(addrs, netip.MustParseAddr(ip))
	}
	found, err := Run(t.Context(), domains, addrs, o)
	if err != nil {
		t.Fatal(err)
	}
	produced.Lock()
	defer produced.Unlock()
	if produced.rules == nil {
		produced.rules = map[string]Level{}
	}
	for _, f := range found {
		produced.rules[f.Rule] = f.Level
		if f.What == "" || f.Rule == "" || f.Check == "" || f.Level.Rank() < 0 {
			t.Errorf("an incomplete finding: %+v", f)
		}
		if !strings.HasPrefix(f.Rule, string(f.Check)+"-") && f.Rule != "ip-private" {
			t.Errorf("the rule %s does not begin with its check, %s", f.Rule, f.Check)
		}
		if f.Level == Error && (f.Why == "" || f.Do == "") {
			t.Errorf("%s: an error must say why and what to do: %+v", f.Rule, f)
		}
	}
	return found
}

// rules are levels and rules of one check, in order.
func rules(found []Finding, check Check) string {
	var list []string
	for _, f := range found {
		if f.Check == check {
			list = append(list, string(f.Level)+" "+f.Rule)
		}
	}
	return strings.Join(list, ", ")
}

const ours = "203.0.113.25"

func TestDomains(t *testing.T) {
	s := world(t)
	c := client(s)
	for _, test := range []struct {
		domain string
		check  Check
		want   string
		says   string // somewhere in the findings of the check
	}{
		{"nothing.test", CheckDomain, "error domain-missing", "550 5.1.8"},
		{"x.broken.test", CheckDomain, "warning domain-unanswered", "SERVFAIL"},

		{"good.test", CheckMX, "ok mx-ok", "mail.good.test"},
		{"mx-none.test", CheckMX, "error mx-missing", "mx-none.test. MX 10 mail.mx-none.test."},
		{"mx-implicit.test", CheckMX, "warning mx-implicit, ok mx-ok", "203.0.113.30"},
		{"mx-null.test", CheckMX, "warning mx-null", "RFC 7505"},
		{"mx-null-others.test", CheckMX, "error mx-null-and-others, ok mx-ok", ""},
		{"mx-address.test", CheckMX, "error mx-address, error mx-unreachable", ""},
		{"mx-cname.test", CheckMX, "warning mx-cname, ok mx-ok", "mx-cname.test. MX 10 mail.good.test."},
		{"mx-lost.test", CheckMX, "error mx-unreachable, warning mx-no-address", ""},
		{"mx-half.test", CheckMX, "warning mx-no-address, ok mx-ok", "nowhere.mx-half.test"},
		{"mx-private.test", CheckMX, "error mx-unreachable, warning mx-private", "10.0.0.25"},
		{"mx-servfail.test", CheckMX, "warning mx-unanswered, ok mx-ok", "SERVFAIL"},

		{"good.test", CheckSPF, "ok spf-ok, ok spf-pass", ""},
		{"spf-none.test", CheckSPF, "error spf-missing", `spf-none.test. TXT "v=spf1 mx ip4:203.0.113.25 -all"`},
		{"spf-several.test", CheckSPF, "error spf-several", `spf-several.test. TXT "v=spf1 mx include:good.test ~all"`},
		{"spf-typo.test", CheckSPF, "error spf-not-quite", ""},
		{"spf-quoted.test", CheckSPF, "error spf-not-quite", ""},
		{"spf-unknown.test", CheckSPF, "error spf-broken, error spf-permerror", "ip4 was meant"},
		{"spf-bare.test", CheckSPF, "error spf-broken, error spf-permerror", "needs ip4:"},
		{"spf-badip.test", CheckSPF, "error spf-broken, error spf-permerror", ""},
		{"spf-badmask.test", CheckSPF, "error spf-broken, error spf-broken, error spf-permerror", ""},
		{"spf-comma.test", CheckSPF, "error spf-broken, error spf-permerror", "blanks"},
		{"spf-equals.test", CheckSPF, "warning spf-ignored, ok spf-ok, ok spf-pass", "include with a colon"},
		{"spf-late.test", CheckSPF, "warning spf-ignored, ok spf-ok, ok spf-pass", "203.0.113.26"},
		{"spf-plusall.test", CheckSPF, "error spf-open, warning spf-void-some, ok spf-pass", `TXT "v=spf1 mx -all"`},
		{"spf-wide.test", CheckSPF, "error spf-wide, ok spf-pass", ""},
		{"spf-noend.test", CheckSPF, "warning spf-no-end, ok spf-ok, ok spf-pass", "~all"},
		{"spf-neutral.test", CheckSPF, "error spf-neutral, ok spf-ok", `"v=spf1 ip4:203.0.113.99 ip4:203.0.113.25 ?all"`},
		{"spf-softfail.test", CheckSPF, "error spf-fail, ok spf-ok", `"v=spf1 ip4:203.0.113.99 ip4:203.0.113.25 ~all"`},
		{"spf-fail.test", CheckSPF, "error spf-fail, ok spf-ok", "550 5.7.26"},
		{"spf-ptr.test", CheckSPF, "warning spf-ptr, ok spf-ok, ok spf-pass", "RFC 7208 5.5"},
		{"spf-redirect.test", CheckSPF, "ok spf-ok, ok spf-pass", ""},
		{"spf-redirect-lost.test", CheckSPF, "error spf-broken, error spf-permerror", "has no SPF record"},
		{"spf-redirect-all.test", CheckSPF, "warning spf-ignored, ok spf-ok, ok spf-pass", "redirect= is ignored"},
		{"spf-include-lost.test", CheckSPF, "error spf-broken, error spf-permerror, warning spf-void-some", "nothing.spf-include-lost.test"},
		{"spf-include-open.test", CheckSPF, "error spf-open, warning spf-void-some, ok spf-pass", "spf-plusall.test"},
		{"spf-include-several.test", CheckSPF, "error spf-broken, error spf-permerror", "2 SPF records"},
		{"spf-loop.test", CheckSPF, "error spf-broken, error spf-permerror", "circle"},
		{"spf-self.test", CheckSPF, "error spf-broken, error spf-permerror", "circle"},
		{"spf-void.test", CheckSPF, "error spf-void, error spf-permerror", "c.spf-void.test"},
		{"spf-void-some.test", CheckSPF, "warning spf-void-some, ok spf-ok, ok spf-pass", ""},
		{"spf-macro.test", CheckSPF, "error spf-permerror, ok spf-ok", ""},
		{"spf-badmacro.test", CheckSPF, "error spf-broken, error spf-permerror", "macro"},
		{"spf-servfail.test", CheckSPF, "warning spf-unanswered, warning spf-temperror", "x.broken.test"},
		{"spf-upper.test", CheckSPF, "ok spf-ok, ok spf-pass", ""},
		{"spf-manymx.test", CheckSPF, "error spf-broken, error spf-permerror", "12 MX records"},
		{"spf-nonascii.test", CheckSPF, "error spf-broken, warning spf-no-end, ok spf-pass", ""},
		{"spf-twice.test", CheckSPF, "error spf-broken, error spf-fail, warning spf-ignored, warning spf-ignored, warning spf-void-some", `"v=spf1 mx ip4:203.0.113.25 -all"`},
		{"spf-tworedirects.test", CheckSPF, "error spf-broken, error spf-permerror", "twice"},
		{"spf-lookups.test", CheckSPF, "error spf-lookups, error spf-permerror", "12 DNS lookups"},
		{"spf-near.test", CheckSPF, "warning spf-lookups-near, ok spf-ok, ok spf-pass", "9 of the 10"},
		{"spf-long.test", CheckSPF, "warning spf-long, ok spf-ok, ok spf-pass", ""},
		{"spf-tree.test", CheckSPF, "error spf-lookups, error spf-permerror", "40 or more"},

		{"good.test", CheckDKIM, "ok dkim-ok", "2048"},
		{"dkim-none.test", CheckDKIM, "warning dkim-not-found", "--selector"},
		{"dkim-hidden.test", CheckDKIM, "info dkim-other-selector", "--selector"},
		{"dkim-wild.test", CheckDKIM, "info dkim-wildcard", ""},
		{"dkim-ed.test", CheckDKIM, "warning dkim-only-ed25519, ok dkim-ed25519", ""},
		{"dkim-old.test", CheckDKIM, "info dkim-revoked, ok dkim-ok", ""},

		{"good.test", CheckDMARC, "ok dmarc-ok", ""},
		{"dmarc-none.test", CheckDMARC, "error dmarc-missing", `_dmarc.dmarc-none.test. TXT "v=DMARC1; p=none; rua=mailto:postmaster@dmarc-none.test"`},
		{"dmarc-watch.test", CheckDMARC, "info dmarc-none, ok dmarc-ok", ""},
		{"dmarc-several.test", CheckDMARC, "error dmarc-several", ""},
		{"dmarc-lower.test", CheckDMARC, "error dmarc-not-quite", ""},
		{"dmarc-badp.test", CheckDMARC, "error dmarc-broken", "monitor"},
		{"dmarc-nop.test", CheckDMARC, "warning dmarc-no-policy, info dmarc-none, ok dmarc-ok", `"v=DMARC1; p=none; rua=mailto:d@dmarc-nop.test"`},
		{"dmarc-empty.test", CheckDMARC, "error dmarc-broken", ""},
		{"dmarc-misc.test", CheckDMARC, "warning dmarc-subdomains, warning dmarc-no-reports, info dmarc-pct, info dmarc-strict, ok dmarc-ok", "DKIM and SPF"},
		{"dmarc-faults.test", CheckDMARC, "warning dmarc-syntax, warning dmarc-syntax, warning dmarc-syntax, warning dmarc-syntax, warning dmarc-syntax, warning dmarc-no-reports, ok dmarc-ok", "nonsense"},
		{"dmarc-testing.test", CheckDMARC, "info dmarc-testing, info dmarc-strict, ok dmarc-ok", "strict on SPF"},
		{"dmarc-dkimstrict.test", CheckDMARC, "info dmarc-strict, ok dmarc-ok", "strict on DKIM:"},
		{"dmarc-external.test", CheckDMARC, "warning dmarc-reports-refused, ok dmarc-reports-ok, ok dmarc-ok", `dmarc-external.test._report._dmarc.reports.test. TXT "v=DMARC1"`},
		{"dmarc-apex.test", CheckDMARC, "error dmarc-missing", `Move it to _dmarc.dmarc-apex.test`},
		{"dmarc-doubled.test", CheckDMARC, "error dmarc-missing", "appended twice"},
		{"sub.good.test", CheckDMARC, "info dmarc-inherited, ok dmarc-ok", "reject (p)"},
		{"deep.sub.dmarc-misc.test", CheckDMARC, "warning dmarc-subdomains, warning dmarc-no-reports, info dmarc-inherited, info dmarc-pct, info dmarc-strict, ok dmarc-ok", "none (sp)"},
		{"dmarc-servfail.test", CheckDMARC, "warning dmarc-unanswered", ""},
		{"shop.psd.test", CheckDMARC, "info dmarc-inherited, ok dmarc-ok", "that of shop.psd.test"},
		{"team.dept.corp.test", CheckDMARC, "info dmarc-inherited, ok dmarc-ok", "that of dept.corp.test holds: reject"},
		{"a.b.c.d.e.f.g.h.i.deep.test", CheckDMARC, "info dmarc-inherited, ok dmarc-ok", "that of deep.test"},
		{"sister.test", CheckDMARC, "info dmarc-none, ok dmarc-ok", ""},

		{"good.test", CheckMTASTS, "ok mta-sts-ok", "was not fetched"},
		{"sts-none.test", CheckMTASTS, "info mta-sts-missing", `_mta-sts.sts-none.test. TXT "v=STSv1; id=1"`},
		{"sts-several.test", CheckMTASTS, "warning mta-sts-several", ""},
		{"sts-noid.test", CheckMTASTS, "warning mta-sts-broken", "id= is missing"},
		{"sts-badid.test", CheckMTASTS, "warning mta-sts-broken", "letters and digits"},
		{"sts-case.test", CheckMTASTS, "warning mta-sts-broken", "v=STSv1"},
		{"sts-nohost.test", CheckMTASTS, "warning mta-sts-no-host", ""},
		{"stsfail.test", CheckMTASTS, "warning mta-sts-unanswered", ""},
		{"good.test", CheckTLSRPT, "ok tls-rpt-ok", ""},
		{"sts-none.test", CheckTLSRPT, "info tls-rpt-missing", `_smtp._tls.sts-none.test. TXT "v=TLSRPTv1; rua=mailto:postmaster@sts-none.test"`},
		{"rpt-several.test", CheckTLSRPT, "warning tls-rpt-several", ""},
		{"rpt-norua.test", CheckTLSRPT, "warning tls-rpt-broken", "rua= is missing"},
		{"rpt-badrua.test", CheckTLSRPT, "warning tls-rpt-broken", "postmaster@good.test"},
		{"stsfail.test", CheckTLSRPT, "warning tls-rpt-unanswered", ""},
		{"good.test", CheckDANE, "ok dane-ok", "mail.good.test, mail2.good.test"},
		{"dane-broken.test", CheckDANE, strings.Repeat("warning dane-broken, ", 4) + "warning dane-broken", "2 bytes instead of 32"},
		{"dane-unsigned.test", CheckDANE, "warning dane-unsigned", "RFC 7672"},
		{"dane-mx.test", CheckDANE, "warning dane-unsigned", ""},
		{"dane-tlsa.test", CheckDANE, "warning dane-unsigned", ""},
		{"dane-none.test", CheckDANE, "info dane-missing", ""},
		{"dane-fail.test", CheckDANE, "warning dane-unanswered, info dane-missing", ""},
	} {
		t.Run(test.domain+" "+string(test.check), func(t *testing.T) {
			found := scan(t, Options{Client: c}, []string{test.domain}, ours)
			found = slices.DeleteFunc(found, func(f Finding) bool { return f.Domain != test.domain })
			if diff := cmp.Diff(sortWords(test.want), sortWords(rules(found, test.check))); diff != "" {
				t.Errorf("-want +got:\n%s%s", diff, text(found, test.check))
			}
			if !strings.Contains(text(found, test.check), test.says) {
				t.Errorf("%q is not said:\n%s", test.says, text(found, test.check))
			}
		})
	}
}

func sortWords(s string) []string {
	list := strings.Split(s, ", ")
	slices.Sort(list)
	return list
}

func text(found []Finding, check Check) string {
	var b strings.Builder
	for _, f := range found {
		if f.Check == check {
			fmt.Fprintf(&b, "%s %s: %s\n  why %s\n  do %s\n  record %s\n  see %s\n", f.Level, f.Rule, f.What, f.Why, f.Do, f.Record, f.Reference)
		}
	}
	return b.String()
}

func TestSelectors(t *testing.T) {
	c := client(world(t))
	for _, test := range []struct{ selector, want, says string }{
		{"none", "error dkim-missing", `none._domainkey.dkim.test. TXT "v=DKIM1; k=rsa; p=`},
		{"doubled", "error dkim-missing", "appended twice"},
		{"revoked", "error dkim-revoked", ""},
		{"s512", "error dkim-short", "512 bits"},
		{"s1000", "error dkim-short", "RFC 8301"},
		{"s1024", "warning dkim-weak", ""},
		{"s2048", "ok dkim-ok", ""},
		{"pkcs1", "ok dkim-ok", "2048"},
		{"ed", "warning dkim-only-ed25519, ok dkim-ed25519", ""},
		{"edshort", "error dkim-broken", "15"},
		{"ec", "error dkim-broken", "another"},
		{"testing", "warning dkim-testing, info dkim-strict, ok dkim-ok", ""},
		{"cut", "error dkim-broken", "cut"},
		{"notbase", "error dkim-broken", "base64"},
		{"nop", "error dkim-broken", "p="},
		{"version", "error dkim-broken", "DKIM2"},
		{"order", "error dkim-broken", "first"},
		{"sha1", "error dkim-broken", "sha256"},
		{"tlsrpt", "error dkim-broken", "not for email"},
		{"kind", "error dkim-broken", "dsa"},
		{"semicolons", "warning dkim-syntax, ok dkim-ok", ""},
		{"spaces", "ok dkim-ok", ""},
		{"several", "error dkim-several", ""},
		{"cname", "ok dkim-ok", ""},
		{"lost", "error dkim-missing", "nothing.good.test"},
		{"slow", "warning dkim-unanswered", "SERVFAIL"},
	} {
		t.Run(test.selector, func(t *testing.T) {
			found := scan(t, Options{Client: c, Selectors: []string{test.selector}}, []string{"dkim.test"})
			if diff := cmp.Diff(sortWords(test.want), sortWords(rules(found, CheckDKIM))); diff != "" {
				t.Errorf("-want +got:\n%s%s", diff, text(found, CheckDKIM))
			}
			if !strings.Contains(text(found, CheckDKIM), test.says) {
				t.Errorf("%q is not said:\n%s", test.says, text(found, CheckDKIM))
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	c := client(world(t))
	for _, test := range []struct{ ip, helo, want, says string }{
		{ours, "", "info helo-not-given, ok ptr-ok", "It should be mail.good.test"},
		{"2001:db8::25", "", "info helo-not-given, ok ptr-ok", ""},
		{"203.0.113.50", "mail.me.test", "error helo-no-address, error ptr-missing", "50.113.0.203.in-addr.arpa. PTR mail.me.test."},
		{"2001:db8::50", "", "error ptr-missing, info helo-not-given", "0.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR "},
		{"203.0.113.51", "", "error ptr-not-confirmed, info helo-not-given", "other.test. A 203.0.113.51"},
		{"2001:db8::55", "", "error ptr-not-confirmed, info helo-not-given", "other.test. AAAA 2001:db8::55"},
		{"203.0.113.53", "", "warning ptr-several, info helo-not-given, ok ptr-ok", ""},
		{"203.0.113.54", "", "warning ptr-generic, info helo-not-given, ok ptr-ok", ""},
		{"203.0.113.55", "", "info helo-not-given, ok ptr-ok", "delegated.test"},
		{"203.0.113.56", "", "error ptr-missing, info helo-not-given", "56.0-63.113.0.203.in-addr.arpa (CNAME)"},
		{"203.0.113.57", "", "error ptr-not-confirmed, info helo-not-given", ""},
		{"203.0.113.58", "", "warning ptr-unanswered, info helo-not-given", "name.broken.test"},
		{"203.0.113.59", "", "warning ptr-unanswered", ""},
		{"203.0.113.60", "", "error ptr-not-confirmed, info helo-not-given", ""},
		{"10.1.2.3", "", "info ip-private", ""},
		{"100.64.3.4", "", "info ip-private", ""},
		{"fe80::1", "", "info ip-private", ""},
		{ours, "mail.good.test", "ok helo-ok, ok ptr-ok", ""},
		{ours, "MAIL.good.test.", "ok helo-ok, ok ptr-ok", ""},
		{ours, "localhost", "error helo-not-a-name, ok ptr-ok", ""},
		{ours, "[203.0.113.25]", "error helo-not-a-name, ok ptr-ok", ""},
		{ours, "mail.local", "error helo-not-a-name, ok ptr-ok", ""},
		{ours, "gone.good.test", "error helo-no-address, ok ptr-ok", "gone.good.test. A 203.0.113.25"},
		{"2001:db8::25", "mail2.good.test", "warning helo-other-address, ok ptr-ok", "mail2.good.test. AAAA 2001:db8::25"},
		{"203.0.113.25", "helo-fail.test", "warning helo-spf, ok helo-ok, ok ptr-ok", `helo-fail.test. TXT "v=spf1 a -all"`},
		{"203.0.113.25", "helo-broken.test", "warning helo-spf, ok helo-ok, ok ptr-ok", "permerror"},
		{ours, "x.broken.test", "warning helo-unanswered, ok ptr-ok", ""},
	} {
		t.Run(test.ip+" "+test.helo, func(t *testing.T) {
			found := scan(t, Options{Client: c, HELO: test.helo}, nil, test.ip)
			all := text(found, CheckPTR) + text(found, CheckHELO)
			got := strings.Trim(rules(found, CheckPTR)+", "+rules(found, CheckHELO), ", ")
			if diff := cmp.Diff(sortWords(test.want), sortWords(got)); diff != "" {
				t.Errorf("-want +got:\n%s%s", diff, all)
			}
			if !strings.Contains(all, test.says) {
				t.Errorf("%q is not said:\n%s", test.says, all)
			}
		})
	}
}

func TestBlocklists(t *testing.T) {
	s := world(t)
	for _, test := range []struct{ zone, ip, want, says string }{
		{"bl.test", "203.0.113.9", "error blocklist-listed", "listed: https://bl.test/"},
		{"bl.test", "203.0.113.8", "ok blocklist-clear", ""},
		{"bl.test", "2001:db8::9", "error blocklist-listed", ""},
		{"bl.test", "2001:db8::8", "ok blocklist-clear", ""},
		{"four.test", "203.0.113.9", "ok blocklist-clear", ""},
		{"four.test", "2001:db8::9", "info blocklist-dead", "lists no IPv6 addresses"},
		{"all.test", "203.0.113.9", "info blocklist-lists-all", "dead"},
		{"parked.test", "203.0.113.9", "info blocklist-lists-all", "sold"},
		{"dead.test", "203.0.113.9", "info blocklist-dead", ""},
		{"gone.test", "203.0.113.9", "info blocklist-dead", ""},
		{"refused-bl.test", "203.0.113.9", "info blocklist-refused", "a public one"},
		{"typo-bl.test", "203.0.113.9", "info blocklist-refused", "misspelt"},
		{"excess-bl.test", "203.0.113.9", "info blocklist-refused", "too many questions"},
		{"odd-bl.test", "203.0.113.9", "info blocklist-refused", ""},
		{"x.broken.test", "203.0.113.9", "info blocklist-unanswered", ""},
		{"moody.test", "203.0.113.9", "info blocklist-refused", ""},
		{"moody.test", "203.0.113.10", "ok blocklist-clear", ""},
		{"moody.test", "203.0.113.11", "warning blocklist-unanswered", ""},
	} {
		t.Run(test.zone+" "+test.ip, func(t *testing.T) {
			found := scan(t, Options{Client: client(s), Blocklists: []Blocklist{{Zone: test.zone}}}, nil, test.ip)
			if got := rules(found, CheckBlocklist); got != test.want {
				t.Errorf("got %s, want %s\n%s", got, test.want, text(found, CheckBlocklist))
			}
			if !strings.Contains(text(found, CheckBlocklist), test.says) {
				t.Errorf("%q is not said:\n%s", test.says, text(found, CheckBlocklist))
			}
		})
	}
	names := []Blocklist{{Zone: "names.test", Domains: true, codes: []blockCode{{"127.0.1.4", "phishing"}}}, {Zone: "bl.test"}}
	found := scan(t, Options{Client: client(s), Blocklists: names}, []string{"bad.test", "good.test"})
	if got, want := rules(found, CheckBlocklist), "error blocklist-listed, ok blocklist-clear"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := text(found, CheckBlocklist); !strings.Contains(got, "127.0.1.4 (phishing)") {
		t.Errorf("the answer's meaning is missing:\n%s", got)
	}
	// A list is asked about itself before it is believed, and once.
	s = world(t)
	scan(t, Options{Client: client(s), Blocklists: []Blocklist{{Zone: "all.test"}}}, nil, "203.0.113.8", "203.0.113.9")
	for _, q := range s.Questions() {
		if strings.HasSuffix(q, "113.0.203.all.test. A") {
			t.Errorf("%s was asked of a list that failed its test", q)
		}
	}
	if n := s.Asked("1.0.0.127.all.test. A"); n != 1 {
		t.Errorf("the list was tested %d times", n)
	}
}

// TestNotValidated holds that a resolver without DNSSEC is not taken for an
// unsigned zone.
func TestNotValidated(t *testing.T) {
	s := serve(t, `
a.test. MX 10 mail.a.test.
mail.a.test. A 203.0.113.1
_25._tcp.mail.a.test. TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000001
`)
	found := scan(t, Options{Client: client(s)}, []string{"a.test"})
	if got, want := rules(found, CheckDANE), "info dane-not-validated"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := rules(found, CheckSPF), "error spf-missing"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s = serve(t, `a.test. TXT "v=spf1 -all"`)
	if got, want := rules(scan(t, Options{Client: client(s)}, []string{"a.test"}), CheckSPF), "info spf-no-address, ok spf-ok"; got != want {
		t.Errorf("without an address: got %s, want %s", got, want)
	}
}

// TestPrivate holds that an address inside is not held against SPF.
func TestPrivate(t *testing.T) {
	found := scan(t, Options{Client: client(world(t))}, []string{"good.test"}, "10.1.2.3", "::ffff:203.0.113.25")
	if got, want := rules(found, CheckSPF), "ok spf-ok, ok spf-pass"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestHELOInSPF holds that the name of HELO is what SPF macros see.
func TestHELOInSPF(t *testing.T) {
	c := client(world(t))
	for helo, want := range map[string]string{"mail.good.test": "ok spf-ok, ok spf-pass", "other.test": "error spf-fail, ok spf-ok"} {
		if got := rules(scan(t, Options{Client: c, HELO: helo}, []string{"spf-helo.test"}, ours), CheckSPF); got != want {
			t.Errorf("HELO %s: got %s, want %s", helo, got, want)
		}
	}
}

// TestOrder holds that what is about one domain stands together, the worst
// first, and that a run is the same every time.
func TestOrder(t *testing.T) {
	s := world(t)
	run := func() []Finding {
		return scan(t, Options{Client: client(s), Blocklists: []Blocklist{{Zone: "all.test"}, {Zone: "bl.test"}}},
			[]string{"spf-lookups.test", "good.test", "dmarc-faults.test"}, "203.0.113.9", ours)
	}
	first := run()
	var order []string
	for i, f := range first {
		subject := f.Domain
		if subject == "" {
			subject = f.IP
		}
		if len(order) == 0 || order[len(order)-1] != subject {
			order = append(order, subject)
		} else if f.Level.Rank() < first[i-1].Level.Rank() {
			t.Errorf("%s: %s after %s", subject, f.Level, first[i-1].Level)
		}
	}
	if diff := cmp.Diff([]string{"spf-lookups.test", "good.test", "dmarc-faults.test", "203.0.113.9", ours, "all.test"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	for range 3 {
		if diff := cmp.Diff(first, run()); diff != "" {
			t.Fatalf("another run differs:\n%s", diff)
		}
	}
}

func TestParseDomain(t *testing.T) {
	for in, want := range map[string]string{
		"Example.COM.": "example.com", "xn--mller-kva.example": "xn--mller-kva.example", "a_b.example": "a_b.example",
		"": "", "localhost": "", "192.0.2.1": "", "[192.0.2.1]": "", "a..b": "", "http://example.com": "", "user@example.com": "",
		"a b.example": "", "*.example": "", strings.Repeat("a", 64) + ".example": "", strings.Repeat("a.", 130) + "example": "", `a\.b.example`: "", "example.com;": "",
	} {
		got, err := ParseDomain(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ParseDomain(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestRunBounds(t *testing.T) {
	if _, err := Run(t.Context(), make([]string, DomainsAtMost+1), nil, Options{Client: &Client{}}); err == nil {
		t.Error("too many domains are scanned")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, []string{"good.test"}, nil, Options{Client: client(world(t))}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run ends with %v", err)
	}
}

// TestMain holds that the tests, when all of them ran, brought up each rule.
func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	whole := true
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		whole = whole && flag.Lookup(name).Value.String() == ""
	}
	if source, err := sourceRules(); status == 0 && whole {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
		for rule := range source {
			if _, ok := produced.rules[rule]; !ok {
				fmt.Fprintf(os.Stderr, "no test brings up the rule %s\n", rule)
				status = 1
			}
		}
	}
	os.Exit(status)
}

// sourceRules are the rules that stand in the source.
func sourceRules() (map[string]bool, error) {
	source := map[string]bool{}
	files, err := os.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") || !strings.HasSuffix(f.Name(), ".go") {
			continue
		}
		raw, err := os.ReadFile(f.Name())
		if err != nil {
			return nil, err
		}
		for _, m := range regexp.MustCompile(`(?:\.add|\.unanswered|say)\((?:Check\w+, )?(?:\w+, )?"([a-z0-9-]+)"`).FindAllStringSubmatch(string(raw), -1) {
			source[m[1]] = true
		}
	}
	if len(source) < 50 {
		return nil, fmt.Errorf("found only %d rules in the source: the test is broken", len(source))
	}
	return source, nil
}

// TestRules holds that the documentation lists each rule, and no other.
func TestRules(t *testing.T) {
	source, err := sourceRules()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/scan.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = true
	}
	for rule := range source {
		if !documented[rule] {
			t.Errorf("the rule %s is not in docs/scan.md", rule)
		}
	}
	for rule := range documented {
		if !source[rule] {
			t.Errorf("docs/scan.md has the rule %s, and there is no such", rule)
		}
	}
}
