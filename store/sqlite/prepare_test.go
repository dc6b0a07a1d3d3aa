package sqlite

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

// FuzzResponse stores a response and reads it back, through Go and through the view.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"550 5.1.1 <user@example.org>: User unknown", "450 {brace} {addr} 192.0.2.1", "{", "}", "a {id} b", "\x05a", "4.2.0 mx.example.org[192.0.2.25]", "s@sender.example  x",
		"550-5.7.1 [192.0.2.1      12] Our system 550-5.7.1 e9e14a558f8ab-1f0 - gsmtp", "a\x00\x01\xff",
		strings.Repeat("{", 2339) + "abcde{brace", // its template is cut within a token
		strings.Repeat("x ", 8191) + "77",         // the same
	} {
		f.Add(s)
	}
	d, err := Open(context.Background(), "", Options{Temporary: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	offset := int64(0)
	f.Fuzz(func(t *testing.T, s string) {
		offset += 10
		a := store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: offset, Time: time.Unix(1772409600, 0), QueueID: fmt.Sprint(offset), Outcome: bounce.Soft,
			Sender: "s@sender.example", SenderDomain: "sender.example", SenderKnown: true,
			Recipient: "user@example.org", RecipientDomain: "example.org", RelayHost: "mx.example.org", RelayIP: "192.0.2.25", Response: s,
		}}
		storetest.Append(t, d, &store.Batch{Attempts: []store.Attempt{a}, Sources: []store.Source{{ID: "log", Offset: offset + 10}}})
		want := store.Clean(s, store.MaxResponse)
		for _, x := range attempts(t, d, store.Filter{QueueID: a.QueueID}) {
			if x.Response != want {
				t.Errorf("%q came back as %q", want, x.Response)
			}
		}
		rows, err := d.Query(t.Context(), "SELECT response FROM deliveries WHERE offset = "+fmt.Sprint(offset))
		must(t, err)
		defer rows.Close()
		row, err := rows.Next()
		must(t, err)
		if row[0] != want {
			t.Errorf("the view has %q for %q", row[0], want)
		}
	})
}
