package parser

import (
	"fmt"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// TestHandedBack holds that mail which a relay of the own network hands back is handed off, once enough of it came
// back, and that it keeps the login that submitted it.
func TestHandedBack(t *testing.T) {
	const (
		in    = "Nov 24 09:00:00 gw postfix/smtpd[1]: A1B2C3D%d: client=pc.sender.test[192.0.2.7], sasl_method=PLAIN, sasl_username=lise@sender.test\n"
		idIn  = "Nov 24 09:00:00 gw postfix/cleanup[2]: A1B2C3D%d: message-id=<m%d@sender.test>\n"
		took  = "Nov 24 09:00:01 gw postfix/smtp[4]: A1B2C3D%d: to=<anna@plain.test>, relay=filter.sender.test[10.0.0.9]:25, delay=1, delays=0.1/0/0.4/0.2, dsn=2.0.0, status=sent (250 2.6.0 accepted)\n"
		back  = "Nov 24 09:00:01 gw postfix/smtpd[1]: B1B2C3D%d: client=filter.sender.test[10.0.0.9]\n"
		idTwo = "Nov 24 09:00:01 gw postfix/cleanup[2]: B1B2C3D%d: message-id=<m%d@sender.test>\n"
		sent  = "Nov 24 09:00:02 gw postfix/smtp[4]: B1B2C3D%d: to=<anna@plain.test>, relay=mx.plain.test[192.0.2.1]:25, delay=1, delays=0.1/0/0.4/0.2, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n"
	)
	qmgr := func(id string) string {
		return "Nov 24 09:00:00 gw postfix/qmgr[3]: " + id + "%d: from=<lise@sender.test>, size=100, nrcpt=1 (queue active)\n"
	}
	exim := strings.NewReplacer( // the same in Exim's log
		in+idIn+qmgr("A1B2C3D"), "2026-11-24 09:00:00 1wNaaa-000000%05d-2Abc <= lise@sender.test H=pc.sender.test [192.0.2.7] P=esmtpsa A=plain:lise@sender.test S=300 id=m%d@sender.test\n",
		took, "2026-11-24 09:00:01 1wNaaa-000000%05d-2Abc => anna@plain.test R=filter T=remote_smtp H=filter.sender.test [10.0.0.9] C=\"250 accepted\"\n",
		back+idTwo+qmgr("B1B2C3D"), "2026-11-24 09:00:01 1wNbbb-000000%05d-2Abc <= lise@sender.test H=filter.sender.test [10.0.0.9] P=esmtp S=300 id=m%d@sender.test\n",
		sent, "2026-11-24 09:00:02 1wNbbb-000000%05d-2Abc => anna@plain.test R=dnslookup T=remote_smtp H=mx.plain.test [192.0.2.1] C=\"250 OK\"\n",
	)
	postfix := strings.NewReplacer()
	first, next := in+idIn+qmgr("A1B2C3D"), back+idTwo+qmgr("B1B2C3D")
	for _, c := range []struct {
		name     string
		form     *strings.Replacer
		lines    func(i int) string
		handoffs int // of 20 deliveries to the filter
		logins   int // of 20 deliveries of the messages that came back
	}{
		{"after its reply", postfix, func(int) string { return first + took + next + sent }, 15, 20},
		{"before its reply", postfix, func(int) string { return first + next + took + sent }, 15, 0},
		{"Exim", exim, func(int) string { return first + took + next + sent }, 15, 20},
		{"a filter that keeps a quarter", postfix, func(i int) string {
			if i%4 == 3 {
				return first + took
			}
			return first + took + next + sent
		}, 14, 15},
		{"a mail store that forwards a half", postfix, func(i int) string {
			if i%2 == 0 {
				return first + took
			}
			return first + took + next + sent
		}, 0, 10},
		{"a server of others", postfix, func(int) string {
			return strings.ReplaceAll(first+took+next+sent, "10.0.0.9", "198.51.100.9")
		}, 0, 0},
		{"other messages come from it", postfix, func(int) string {
			return first + took + strings.ReplaceAll(next, "message-id=<m%d", "message-id=<n%d") + sent
		}, 0, 0},
		{"it sends, and takes the same message for others", postfix, func(int) string {
			return strings.ReplaceAll(first, "192.0.2.7", "10.0.0.9") + took
		}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := NewQueue(0)
			p := New(q, Options{Year: 2026})
			var r Result
			handoffs, logins := 0, 0
			for i := range 20 {
				text := strings.ReplaceAll(c.form.Replace(c.lines(i)), "%d", fmt.Sprint(100+i))
				text = strings.ReplaceAll(text, "%05d", fmt.Sprint(10100+i))
				for line := range strings.Lines(text) {
					if p.Parse([]byte(strings.TrimSuffix(line, "\n")), 0, &r) != Attempt {
						continue
					}
					d := &r.Deliveries[0]
					if d.Outcome == bounce.Handoff {
						handoffs++
					}
					if d.RelayIP == "192.0.2.1" && d.SASLUser != "" {
						logins++
					}
				}
			}
			if handoffs != c.handoffs || logins != c.logins {
				t.Errorf("%d hand-offs, %d logins; want %d, %d", handoffs, logins, c.handoffs, c.logins)
			}
			next := NewQueue(0) // of the next process
			next.KnowHops(q.Hops())
			if known := len(next.hops.back) > 0 && next.hops.back["10.0.0.9"].hop(); known != (c.handoffs > 0) {
				t.Errorf("noted: %v", known)
			}
		})
	}
}
