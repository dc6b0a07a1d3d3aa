package parser

import "testing"

// A look-alike letter makes another domain, unless the DNS treats the two as equal: then the
// A-label is that of the plain letter.
func TestNormalDomain(t *testing.T) {
	for in, want := range map[string]string{
		"Mail.Example": "mail.example", "BÜCHER.example": "xn--bcher-kva.example", "straße.example": "xn--strae-oqa.example",
		"bu\u0308cher.example": "xn--bcher-kva.example", "пример.example": "xn--e1afmkfd.example",
		// Look-alikes of another domain.
		"ban\u212a.example": "ban\u212a.example", "b\u00baok.example": "b\u00baok.example", "outl\u217cok.example": "outl\u217cok.example", "\uff42ank.example": "\uff42ank.example",
		"ban\u212a_x.example": "ban\u212a_x.example", "BAN\u212a\xff.Example": "ban\u212a\xff.example", "": "",
	} {
		if got := NormalDomain(in); got != want {
			t.Errorf("NormalDomain(%q) = %q, want %q", in, got, want)
		}
	}
}
