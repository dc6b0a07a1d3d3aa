package render

import (
	"slices"
	"strings"
	"testing"
)

// TestLinked holds that an address in a reply is a link only where it is shown whole and
// hides nothing, and that no letter of the reply is lost.
func TestLinked(t *testing.T) {
	for _, c := range []struct {
		reply string
		links []string
	}{
		{"550 see https://help.example/a?b=c#d.", []string{"https://help.example/a?b=c#d"}},
		{"550 see (https://help.example) or https://two.example/x;", []string{"https://help.example", "https://two.example/x"}},
		{"550 https://help.example/%20a,b - gsmtp", []string{"https://help.example/%20a,b"}},
		{"550 <https://help.example/>", []string{"https://help.example/"}},
		{"550 http://help.example/", nil},
		{"550 https://bank.example@evil.example/", nil},
		{"550 https://bank.example:443@evil.example/", nil},
		{"550 https://evil.example:8443/", nil},
		{"550 https://evil.example\\@bank.example/", nil},
		{"550 https://192.0.2.1/", nil},
		{"550 https://b\u0430nk.example/", nil},
		{"550 https://xn--bnk-6cd.example/", []string{"https://xn--bnk-6cd.example/"}},
		{"550 javascript:https//x https:/x https://", nil},
		{"550 https://help.example/\u202egnp", nil},
		{"550 " + strings.Repeat("x ", longest/2-12) + "https://help.example/longer", nil},
	} {
		var links []string
		text := ""
		for _, p := range linked(c.reply) {
			text += p.Name
			if p.URL != "" {
				links = append(links, p.URL)
				if p.URL != p.Name {
					t.Errorf("%q is shown as %q", p.URL, p.Name)
				}
			}
		}
		if !slices.Equal(links, c.links) || text != clean(c.reply) {
			t.Errorf("%.80q: links %q in %.80q", c.reply, links, text)
		}
	}
}
