package provider

import (
	"testing"

	"bouncelog/bounce"
)

func TestProvider(t *testing.T) {
	for _, test := range []struct{ relay, recipientDomain, want string }{
		{"gmail-smtp-in.l.google.com", "gmail.com", "google.com"},
		{"company-example.mail.protection.outlook.com", "company.example", "outlook.com"},
		{"MX.Example.co.uk.", "x.example", "example.co.uk"},
		{"mx.softbank.ne.jp", "x.example", "softbank.ne.jp"},
		{"localhost", "x.example", "localhost"},
		{"", "x.example", "x.example"},
		{"[192.0.2.1]", "x.example", "x.example"},
	} {
		d := &bounce.Delivery{RelayHost: test.relay, RecipientDomain: test.recipientDomain}
		if got := Of(d); got != test.want {
			t.Errorf("Of(%q) = %q, want %q", test.relay, got, test.want)
		}
	}
}
