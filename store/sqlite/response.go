package sqlite

import (
	"strings"

	"bouncelog/bounce"
)

// shorten takes out of a response what its row and its template say anyhow; the view
// deliveries and lengthen put it back.
func (s *secret) shorten(a *bounce.Delivery, p *prepared) string {
	names := s.names(a)
	response := s.scrub(clean(a.Response, maxResponse), names)
	short, mark := response, ""
	if t, args := clean(p.template.Text, maxResponse), p.template.Args; rebuild(t, args) == response {
		short, mark = args, "\x05"
	}
	for _, r := range [...]struct{ old, mark string }{{a.Recipient, "\x01"}, {a.RelayHost, "\x02"}, {a.RelayIP, "\x03"}, {a.Sender, "\x04"}} {
		if len(r.old) > 3 && len(r.old) <= maxWord && s.scrub(clean(r.old, maxName), names) == r.old {
			short = strings.ReplaceAll(short, r.old, r.mark)
		}
	}
	return mark + short
}

// rebuild puts the parts of a response into the places of its template, as the view
// deliveries does.
func rebuild(template, parts string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(template, '{')
		if i < 0 {
			b.WriteString(template)
			return b.String()
		}
		b.WriteString(template[:i])
		template = template[i:]
		end := strings.IndexByte(template, '}') + 1
		if strings.HasPrefix(template, "{brace}") {
			b.WriteByte('{')
		} else {
			var part string
			part, parts, _ = strings.Cut(parts, " ")
			b.WriteString(part)
		}
		if end == 0 {
			return b.String() // not a template of Split
		}
		template = template[end:]
	}
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
