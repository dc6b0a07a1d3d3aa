package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
)

// TestReplies holds what --flagged takes from a refusal for the client's
// address and for a selector, and what not.
func TestReplies(t *testing.T) {
	for _, test := range []struct{ reply, ips, selectors string }{
		{"550-5.7.26 SPF [shop.test] with ip: [203.0.113.25] = did not pass", "203.0.113.25", ""},
		{"550-5.7.25 [2001:db8::25] The IP address sending this message does not have a PTR record", "2001:db8::25", ""},
		{"554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.example", "203.0.113.9", ""},
		{"554 5.7.1 Service unavailable; client [IPv6:2001:db8::9] blocked", "2001:db8::9", ""},
		{"550 5.7.606 Access denied, banned sending IP [203.0.113.9].", "203.0.113.9", ""},
		{"550 SC-001 mail from 203.0.113.9 was rejected", "203.0.113.9", ""},
		{"550 Your IP: 203.0.113.9. Go away", "203.0.113.9", ""},
		{"550 see https://lists.example/lookup?ip=203.0.113.9", "203.0.113.9", ""},
		// The relay itself, addresses inside, and what is no address.
		{"550 mx.example [198.51.100.7] says no", "", ""},
		{"550 from [10.0.0.1], [127.0.0.1], [fe80::1], [192.168.1.1]", "", ""},
		{"550 5.7.1 version 8.14.4.1 [1.2.3] ip: 1.2.3.4.5 ip: 1.2.3.456", "", ""},
		{"550 5.7.20 no key for signature, mail2026._domainkey.shop.test", "", "mail2026"},
		{`550 DKIM: selector "s1" of shop.test has no key`, "", "s1"},
		{"550 DKIM failed (d=shop.test; s=brevo1; a=rsa-sha256)", "", "brevo1"},
		{"550 see https://mail.example/?s=1&p=2 and the selectors", "", ""},
		{"550 selector ../../../etc/passwd", "", ""},
	} {
		named := replies{relays: map[netip.Addr]bool{}, ips: map[netip.Addr]int{}, selectors: map[string]int{}}
		named.read(&store.Attempt{
			Delivery: bounce.Delivery{Response: test.reply, RelayIP: "198.51.100.7"}, Verdict: bounce.Verdict{Reason: bounce.AuthFailure},
		})
		got := fmt.Sprint(named.senders(), commonest(named.selectors, 10, strings.Compare))
		want := fmt.Sprintf("[%s] [%s]", test.ips, test.selectors)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reply, diff)
		}
	}
}

// TestRepliesBounded holds that no memory grows with what replies name, and
// that the commonest are taken.
func TestRepliesBounded(t *testing.T) {
	named := replies{relays: map[netip.Addr]bool{}, ips: map[netip.Addr]int{}, selectors: map[string]int{}}
	read := func(ip, selector string) {
		named.read(&store.Attempt{
			Delivery: bounce.Delivery{Response: "550 ip: [" + ip + "] " + selector + "._domainkey.a.test"}, Verdict: bounce.Verdict{Reason: bounce.AuthFailure},
		})
	}
	read("203.0.113.25", "mail")
	for i := range 5000 {
		read(fmt.Sprintf("198.51.%d.%d", i/250, i%250), fmt.Sprintf("s%d", i))
	}
	read("203.0.113.25", "mail")
	if len(named.ips) > namedAtMost || len(named.selectors) > namedAtMost {
		t.Errorf("%d addresses and %d selectors are kept", len(named.ips), len(named.selectors))
	}
	ips := named.senders()
	if len(ips) != flaggedIPs || ips[0] != netip.MustParseAddr("203.0.113.25") {
		t.Errorf("the addresses are %v", ips)
	}
	if s := commonest(named.selectors, 1, strings.Compare); s[0] != "mail" {
		t.Errorf("the selector is %v", s)
	}
}
