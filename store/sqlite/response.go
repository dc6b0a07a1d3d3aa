package sqlite

import (
	"strings"

	"bouncelog/bounce"
	"bouncelog/store"
)

// shorten removes from a response the text that its row and its template repeat. The view
// deliveries and lengthen restore it.
func (s *secret) shorten(a *bounce.Delivery, p *prepared) string {
	names := s.names(a)
	response := s.scrub(store.Clean(a.Response, store.MaxResponse), names)
	short, mark := response, ""
	// A template that was cut may end within a token. Join and the view would restore different
	// texts from it.
	if t := p.template; store.Clean(t.Text, store.MaxResponse) == t.Text && bounce.Join(t.Text, t.Args) == response {
		short, mark = t.Args, "\x05"
	}
	for _, r := range [...]struct{ old, mark string }{{a.Recipient, "\x01"}, {a.RelayHost, "\x02"}, {a.RelayIP, "\x03"}, {a.Sender, "\x04"}} {
		if len(r.old) > 3 && len(r.old) <= store.MaxWord && s.scrub(store.Clean(r.old, store.MaxName), names) == r.old {
			short = strings.ReplaceAll(short, r.old, r.mark)
		}
	}
	return mark + short
}

// lengthen is the inverse of secret.shorten.
func lengthen(s string, d *bounce.Delivery) string {
	for i := range len(s) {
		if c := s[i]; c < '\t' {
			var b strings.Builder
			b.WriteString(s[:i])
			for _, c := range []byte(s[i:]) {
				switch c {
				case 1:
					b.WriteString(d.Recipient)
				case 2:
					b.WriteString(d.RelayHost)
				case 3:
					b.WriteString(d.RelayIP)
				case 4:
					b.WriteString(d.Sender)
				default:
					b.WriteByte(c)
				}
			}
			return b.String()
		}
	}
	return s
}
