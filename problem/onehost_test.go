package problem_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// TestOutageOfOneHost holds that an outage of one of several mail hosts is that of its mail alone, from its
// first failure, while the others deliver to the same domains.
func TestOutageOfOneHost(t *testing.T) {
	const gap = 4 * time.Minute
	taken := mail{outcome: good, code: 250, relay: "mx.d%d.example"}
	on := func(host string, list []mail) []mail {
		return with(slices.Clone(list), func(m *mail) { m.host, m.id = host, host+m.id })
	}
	before := join(on("mail1", spread(90, 15, 0, gap, taken)), on("mail2", spread(90, 15, time.Minute, gap, taken)))
	meanwhile := on("mail1", spread(60, 15, day+20*time.Minute, gap, taken)) // to the same recipients
	inside := on("mail1", with(spread(100, 1, time.Minute, 20*time.Minute, mail{outcome: good, code: 250, relay: "127.0.0.1", address: "127.0.0.1", agent: "lmtp"}), func(m *mail) { m.to = "u@home.example" }))
	silent := func(says string) []mail {
		return spread(60, 15, day, gap, mail{says: says, local: true, outcome: bounce.Soft})
	}
	refused, lookUp := silent("connect to mx.d%d.example[192.0.2.7]:25: Connection timed out"), silent("Host or domain name not found. Name service error for name=d%d.example type=MX: Host not found, try again")
	for _, c := range []struct {
		name  string
		mails []mail
		want  string // "": nothing
	}{
		{"port 25 of one host", join(before, meanwhile, on("mail2", refused)), "Nothing goes out from mail2: mail to many domains fails on the way out"},
		{"the resolver of one host", join(before, meanwhile, on("mail2", lookUp)), "Nothing goes out from mail2: mail to many domains fails at the DNS look-up"},
		{"both hosts", join(before, on("mail1", refused), on("mail2", with(slices.Clone(refused), func(m *mail) { m.at += time.Second; m.id = "x" + m.id }))), "Nothing goes out: mail to many domains fails on the way out"},
		{"the only host that sends to others", join(on("mail2", spread(90, 15, 0, gap, taken)), inside, on("mail2", refused)), "Nothing goes out: mail to many domains fails on the way out"},
		{"domains that are dead for both hosts", join(before, meanwhile, on("mail2", spread(60, 15, day+2*time.Minute, gap, taken)), on("mail2", with(slices.Clone(refused[:30]), func(m *mail) { m.to = strings.Replace(m.to, "@d", "@dead", 1) })),
			on("mail1", with(slices.Clone(refused[30:]), func(m *mail) { m.to = strings.Replace(m.to, "@d", "@dead", 1) }))), ""},
		{"domains that one host does not reach while it delivers", join(before, meanwhile, on("mail2", spread(60, 15, day+2*time.Minute, gap, taken)), on("mail2", with(slices.Clone(refused), func(m *mail) { m.to, m.id = strings.Replace(m.to, "@d", "@dead", 1), "x"+m.id }))), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := problemsOf(t, c.mails)
			switch {
			case c.want == "" && len(found) == 0:
			case len(found) != 1 || c.want == "" || !strings.HasPrefix(found[0].Title, c.want) || !found[0].Since.Equal(begin.Add(day)):
				for _, p := range found {
					t.Errorf("%s, since %v", p.Title, p.Since)
				}
				t.Errorf("want one: %q", c.want)
			}
		})
	}
}
