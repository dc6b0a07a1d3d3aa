package provider

import (
	"testing"

	"bouncelog/bounce"
)

func TestOf(t *testing.T) {
	for _, test := range []struct{ relay, recipientDomain, want string }{
		{"gmail-smtp-in.l.google.com", "gmail.com", "google.com"},
		{"company-example.mail.protection.outlook.com", "company.example", "outlook.com"},
		{"MX.Example.co.uk.", "x.example", "example.co.uk"},
		{"mx.outloo\u212a.com", "x.example", "outloo\u212a.com"}, // KELVIN SIGN is no k
		{"mx.softbank.ne.jp", "x.example", "softbank.ne.jp"},
		{"localhost", "x.example", "localhost"},
		{"", "x.example", "x.example"},
		{"[192.0.2.1]", "x.example", "192.0.2.1"},
		{"203.0.113.7", "x.example", "203.0.113.7"},
		{"127.0.0.1", "x.example", "127.0.0.1"},
		{"[IPv6:2001:db8::7]", "x.example", "2001:db8::7"},
		{"2001:db8::7", "x.example", "2001:db8::7"},
		{"mx-ha03.web.de", "web.de", "web.de"},
		{"mx.a.co.at", "a.co.at", "a.co.at"},
		{"alt1.gmr-smtp-in.l.googlemail.com", "x.example", "google.com"},
		{"company-example.u-v1.mx.microsoft", "company.example", "outlook.com"},
		{"outlook-com.olc.protection.outlook.com", "hotmail.com", "outlook.com"},
		{"mx2.zoho.eu", "x.example", "zoho.com"},
		{"inbound-smtp.eu-west-1.amazonaws.com", "x.example", "amazonaws.com"},
		{"mx.city.kobe.jp", "x.example", "city.kobe.jp"},
		{"com", "x.example", "com"},
		{"163mx01.mxmail.netease.com", "x.example", "netease.com"},
		{"mx.163.com", "x.example", "netease.com"},
		{"d1.ess.cudaops.com", "x.example", "barracudanetworks.com"},
	} {
		d := &bounce.Delivery{RelayHost: test.relay, RecipientDomain: test.recipientDomain}
		if got := Of(d); got != test.want {
			t.Errorf("Of(%q) = %q, want %q", test.relay, got, test.want)
		}
	}
}

func TestName(t *testing.T) {
	for provider, want := range map[string]string{
		"outlook.com": "Microsoft", "google.com": "Google", "gmx.net": "GMX", "web.de": "web.de", "pphosted.com": "Proofpoint",
		"hornetsecurity.com": "hornetsecurity.com", "example.org": "example.org", "192.0.2.1": "192.0.2.1", "": "",
	} {
		if got := Name(provider); got != want {
			t.Errorf("Name(%q) = %q, want %q", provider, got, want)
		}
	}
	if !Is("outlook.com", "microsoft") || Is("outlook.com", "google") || Is("hornetsecurity.com", "") || Is("example.org", "") {
		t.Error("a provider has another's ID")
	}
}

// TestTable holds that the table names every domain once, as registered, and knows it by
// one name.
func TestTable(t *testing.T) {
	ids, domains := map[string]bool{}, map[string]bool{}
	for i := range Table {
		k := &Table[i]
		if ids[k.ID] && k.ID != "" {
			t.Errorf("%s is there twice", k.ID)
		}
		ids[k.ID] = true
		for _, list := range k.Domains {
			for _, domain := range list {
				if domains[domain] || registered(domain) != domain {
					t.Errorf("%s: %s is there twice, or is no registered domain", k.ID, domain)
				}
				domains[domain] = true
				if got := OfHost("mx." + domain); got != list[0] {
					t.Errorf("OfHost(mx.%s) = %q, want %q", domain, got, list[0])
				}
			}
			if IsFilter(list[0]) != k.Filter || len(k.Pages) > 0 && Page(list[0]) != k.Pages[0] {
				t.Errorf("%s: filter %v, page %q", list[0], IsFilter(list[0]), Page(list[0]))
			}
		}
	}
	if IsFilter("example.org") || Page("example.org") != "" {
		t.Error("a stranger is known")
	}
}
