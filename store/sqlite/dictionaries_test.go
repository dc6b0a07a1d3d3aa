package sqlite

import (
	"fmt"
	"math"
	"testing"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

// odd returns attempts whose texts are stored in another form than in the log, or are easily
// confused with others.
func odd(from store.Attempt) (list []store.Attempt) {
	for i, d := range []bounce.Delivery{
		{Recipient: "a\x02b@b.example", RecipientDomain: "b.example"},
		{Recipient: "a@o\x03d.example", RecipientDomain: "o\x03d.example", RelayHost: "mx.o\x02d.example", RelayIP: "192.0.2.1"},
		{Recipient: "a@bücher.example", RecipientDomain: "xn--bcher-kva.example", RelayHost: "mx.b.example", RelayIP: "2001:db8::1", RelayPort: 25},
		{Recipient: "root"},
		{Recipient: "root@", RelayHost: "0.0.0.0", RelayIP: "0.0.0.0"},
		{Recipient: "a@b.example", RecipientDomain: "b.example", RelayHost: "none"},
		{Recipient: "a@b.example", RecipientDomain: "b.example", RelayHost: "none", RelayIP: "1.2.3", RelayPort: 10025},
		{Recipient: "A@b.example", RecipientDomain: "b.example", RelayHost: "\xff", RelayIP: "fe80::1%eth\x00"},
	} {
		a := from
		a.Offset += int64(i + 1)
		a.QueueID = fmt.Sprintf("0DD%05X", a.Offset&0xfffff)
		a.Recipient, a.RecipientDomain, a.RelayHost, a.RelayIP, a.RelayPort = d.Recipient, d.RecipientDomain, d.RelayHost, d.RelayIP, d.RelayPort
		a.OriginalRecipient = ""
		list = append(list, a)
	}
	return list
}

// TestRemember repeatedly reopens a database and preloads its dictionaries, and expects the same
// contents as in a database that stayed open.
func TestRemember(t *testing.T) {
	for _, o := range []Options{{}, {Pseudonymize: true}} {
		t.Run(fmt.Sprintf("pseudonyms %t", o.Pseudonymize), func(t *testing.T) {
			dir := t.TempDir()
			whole, parts := open(t, dir+"/whole.db", o), open(t, dir+"/parts.db", o)
			batches := func() func() *store.Batch {
				tr := storetest.NewTraffic(1)
				tr.PerSecond = 0.003 // days
				return func() *store.Batch {
					b := tr.Batch(300)
					more := odd(b.Attempts[len(b.Attempts)-1])
					b.Attempts = append(b.Attempts, more...)
					b.Sources[0].Offset = max(b.Sources[0].Offset, more[len(more)-1].Offset+1)
					return b
				}
			}
			one, other := batches(), batches()
			for i := range 8 {
				storetest.Append(t, whole, one())
				w := parts.w
				w.names.known.lookUps, w.routes.known.lookUps, w.addresses.known.lookUps = math.MaxInt32, math.MaxInt32, math.MaxInt32
				storetest.Append(t, parts, other())
				if i == 0 {
					must(t, parts.Close())
					parts = open(t, dir+"/parts.db", o)
					continue
				}
				for name, c := range map[string][2]bool{
					"name":    {w.names.known.partial, w.names.known.asStored},
					"route":   {w.routes.known.partial, w.routes.known.asStored},
					"address": {w.addresses.known.partial, w.addresses.known.asStored},
				} {
					if want := name != "address" || !o.Pseudonymize; c[0] == want || c[1] != want {
						t.Errorf("%s: partial %t, as stored %t", name, c[0], c[1])
					}
				}
				for table, columns := range map[string]string{"name": "text", "route": "domain, host, ip, port", "address": "local, domain"} {
					n, err := w.c.Number("SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT " + columns + " FROM " + table + ")) FROM " + table)
					must(t, err)
					if n != 0 {
						t.Errorf("batch %d: %d rows of %s are there twice", i, n, table)
					}
				}
				must(t, parts.Close())
				parts = open(t, dir+"/parts.db", o)
			}
			if !o.Pseudonymize {
				same(t, whole, parts)
			} else { // each database has its own key
				if got, want := totals(t, parts), totals(t, whole); got != want {
					t.Errorf("Totals = %+v, want %+v", got, want)
				}
				sound(t, parts)
			}
			histories(t, parts)
		})
	}
}

// TestSmallCaches makes every cache overflow repeatedly.
func TestSmallCaches(t *testing.T) {
	dir := t.TempDir()
	whole, small := open(t, dir+"/whole.db", Options{}), open(t, dir+"/small.db", Options{})
	tr, again := storetest.NewTraffic(1), storetest.NewTraffic(1)
	tr.PerSecond, again.PerSecond = 0.003, 0.003 // days
	for range 10 {
		storetest.Append(t, whole, tr.Batch(500))
		w := small.w
		for _, max := range []*int{&w.names.known.max, &w.routes.known.max, &w.replies.known.max, &w.addresses.known.max, &w.texts.known.max, &w.messages.known.max} {
			*max = 20
		}
		storetest.Append(t, small, again.Batch(500))
	}
	same(t, whole, small)
	histories(t, small)
	n, err := small.w.c.Number("SELECT count(*) - count(DISTINCT domain || ' ' || local) FROM address")
	must(t, err)
	if n != 0 {
		t.Errorf("%d addresses are there twice", n)
	}
}
