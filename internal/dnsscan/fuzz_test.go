package dnsscan

import (
	"context"
	"errors"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"blitiri.com.ar/go/spf"
	"github.com/miekg/dns"
)

// seeds are the TXT records of the tests' world.
func seeds(f *testing.F) {
	f.Helper()
	raw, err := os.ReadFile("testdata/world.zone")
	if err != nil {
		f.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile(`(?m)^\S+\s+TXT .*$`).FindAll(raw, -1) {
		if rr, err := dns.NewRR(string(m)); err == nil {
			f.Add(unescape(strings.Join(rr.(*dns.TXT).Txt, "")))
			n++
		}
	}
	if n < 50 {
		f.Fatalf("found only %d records", n)
	}
	f.Add("v=spf1 \x1b[31m<b>=1+1 %{d}%")
	f.Add("v=DKIM1;\x00;;p=\xff")
}

func bounded(t *testing.T, what string, list []string, most int) {
	t.Helper()
	if len(list) > most {
		t.Fatalf("%d %s", len(list), what)
	}
	for _, s := range list {
		if len(s) > 400 {
			t.Fatalf("%s: %d bytes", what, len(s))
		}
	}
}

// oneRecord is a DNS with one record.
type oneRecord string

func (r oneRecord) LookupTXT(_ context.Context, name string) ([]string, error) {
	if name == "a.test" {
		return []string{string(r)}, nil
	}
	return nil, notFound(name)
}

func (oneRecord) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	return nil, notFound(name)
}

func (oneRecord) LookupIPAddr(_ context.Context, name string) ([]net.IPAddr, error) {
	return nil, notFound(name)
}

func (oneRecord) LookupAddr(_ context.Context, addr string) ([]string, error) {
	return nil, notFound(addr)
}

func FuzzSPF(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, txt string) {
		r := parseSPF(txt)
		// What the library that evaluates SPF takes for a fault is one.
		if isSPF(txt) && len(r.faults) == 0 {
			_, err := spf.CheckHostWithSender(net.IPv4(192, 0, 2, 1), "a.test", "x@a.test", spf.WithResolver(oneRecord(txt)))
			for _, fault := range []error{spf.ErrUnknownField, spf.ErrInvalidIP, spf.ErrInvalidMask, spf.ErrInvalidMacro, spf.ErrInvalidDomain} {
				if errors.Is(err, fault) {
					t.Fatalf("%q has no fault, and is not evaluated: %v", txt, err)
				}
			}
		}
		bounded(t, "faults", r.faults, 2*spfTermsAtMost)
		bounded(t, "notes", r.notes, 2*spfTermsAtMost)
		if len(r.faults) > 0 || !isSPF(txt) {
			return
		}
		// What has no fault reads the same when it is written again, and with
		// a term more.
		words := []string{"v=spf1"}
		for _, term := range r.terms {
			words = append(words, term.text)
		}
		again := parseSPF(strings.Join(words, " "))
		if !slices.Equal(r.terms, again.terms) || len(again.faults) > 0 {
			t.Fatalf("%q: %+v, then %+v", txt, r, again)
		}
		more := parseSPF(withTerm(txt, "ip4:192.0.2.1"))
		if len(more.faults) > 0 || !slices.ContainsFunc(more.terms, func(t spfTerm) bool { return t.text == "ip4:192.0.2.1" }) {
			t.Fatalf("%q: with a term more %+v", txt, more)
		}
	})
}

func FuzzDKIM(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, txt string) {
		k := parseDKIM(txt)
		bounded(t, "faults", slices.Concat(k.broken, k.faults), 20)
		if len(k.broken) == 0 && !k.revoked && k.bits == 0 {
			t.Fatalf("%q has neither a fault nor a key: %+v", txt, k)
		}
	})
}

func FuzzDMARC(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, txt string) {
		r := parseDMARC(txt)
		bounded(t, "faults", slices.Concat(r.broken, r.faults), 20)
		if len(r.broken) > 0 {
			return
		}
		if r.p == "" && len(r.rua) == 0 || r.pct < 0 || r.pct > 100 || !isDMARC(txt) {
			t.Fatalf("%q is not broken: %+v", txt, r)
		}
		for _, uri := range append(r.rua, r.ruf...) {
			if d := mailDomain(uri); d != "" && !askable(d+".") {
				t.Fatalf("%q is not a domain", d)
			}
		}
	})
}

func FuzzTransport(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, txt string) {
		sts, rpt := parseSTS(txt), parseTLSRPT(txt)
		bounded(t, "faults", slices.Concat(sts, rpt), 50)
		if len(sts) == 0 && len(rpt) == 0 {
			t.Fatalf("%q is both", txt)
		}
	})
}

// FuzzAnswer holds that no answer of a server does harm, whatever it says.
func FuzzAnswer(f *testing.F) {
	const name = "good.test."
	for _, records := range [][]string{
		{name + " TXT x", name + " TXT y"},
		{name + " CNAME a.test.", "a.test. CNAME b.test.", "b.test. TXT x"},
		{name + " CNAME a.test.", "a.test. CNAME " + name},
		{name + " CNAME " + name},
		{"other.test. TXT x", name + " A 192.0.2.1", name + " MX 10 a.test."},
	} {
		m := new(dns.Msg).SetQuestion(name, dns.TypeTXT)
		m.Response = true
		for _, r := range records {
			rr, err := dns.NewRR(r)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := new(dns.Msg)
		if m.Unpack(raw) != nil {
			return
		}
		for _, kind := range []uint16{dns.TypeTXT, dns.TypeA, dns.TypeMX, dns.TypePTR, dns.TypeTLSA} {
			done := make(chan struct{})
			close(done)
			c := &Client{cache: map[question]*entry{{name, kind}: {done: done, msg: m}}, slots: make(chan struct{}, 1)}
			a, err := c.ask(t.Context(), name, kind)
			if len(a.records) > recordsAtMost || len(a.aliases) > aliasesAtMost {
				t.Fatalf("%d records, %d aliases", len(a.records), len(a.aliases))
			}
			for _, rr := range a.records {
				if rr.Header().Rrtype != kind || err != nil {
					t.Fatalf("%v for a question about %s (%v)", rr, dns.TypeToString[kind], err)
				}
			}
			c.txt(t.Context(), name)
		}
	})
}

// FuzzZoneText holds that a record that is proposed can be read by a name
// server, and says what it was to say.
func FuzzZoneText(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, txt string) {
		record := txtRecord("a.test", txt)
		if record == "" {
			return
		}
		rr, err := dns.NewRR(record)
		if err != nil {
			t.Fatalf("%s: %v", record, err)
		}
		if got := unescape(strings.Join(rr.(*dns.TXT).Txt, "")); got != txt {
			t.Fatalf("%s says %q, not %q", record, got, txt)
		}
	})
}
