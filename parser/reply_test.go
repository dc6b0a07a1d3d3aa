package parser

import "testing"

func TestNormal(t *testing.T) {
	tests := []struct{ in, address, domain string }{
		{"", "", ""},
		{"local", "local", ""},
		{"Local@Example.ORG", "Local@example.org", "example.org"},
		{"a@b@Example.ORG", "a@b@example.org", "example.org"},
		{`"a@b"@x.example`, `"a@b"@x.example`, "x.example"},
		{"a@", "a@", ""},
		{"a@[192.0.2.1]", "a@[192.0.2.1]", "[192.0.2.1]"},
		{"Ü@BÜCHER.Example", "Ü@xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"ü@x.example", "ü@x.example", "x.example"},
		{"a@\xff\xfe.Example", "a@\xff\xfe.example", "\xff\xfe.example"},
	}
	for _, tt := range tests {
		if address, domain := normal(tt.in); address != tt.address || domain != tt.domain {
			t.Errorf("normal(%q) = %q, %q; want %q, %q", tt.in, address, domain, tt.address, tt.domain)
		}
	}
}
