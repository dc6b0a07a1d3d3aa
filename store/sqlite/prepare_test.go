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

// FuzzResponse stores a response and reads it back, through Go and through the view. The response is head
// n times, and tail: the fuzzer spends its time on short inputs, though responses are long.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"550 5.1.1 <user@example.org>: User unknown", "450 {brace} {addr} 192.0.2.1", "{", "}", "a {id} b", "\x05a", "4.2.0 mx.example.org[192.0.2.25]", "s@sender.example  x",
		"550-5.7.1 [192.0.2.1      12] Our system 550-5.7.1 e9e14a558f8ab-1f0 - gsmtp", "a\x00\x01\xff",
	} {
		f.Add("", uint16(0), s)
	}
	f.Add("{", uint16(2339), "abcde{brace") // its template is cut within a token
	f.Add("x ", uint16(8191), "77")         // the same
	f.Add("1 {", uint16(maxTokens/2), "x")
	var d *DB
	closeIt := func() {
		if d != nil {
			d.Close()
		}
	}
	f.Cleanup(closeIt)
	offset := int64(0)
	f.Fuzz(func(t *testing.T, head string, n uint16, tail string) {
		s := strings.Repeat(head, min(int(n), store.MaxResponse/max(1, len(head)))) + tail
		if offset%(1000*10) == 0 { // else each input takes longer than the one before
			closeIt()
			var err error
			d, err = Open(context.Background(), "", Options{Temporary: true})
			must(t, err)
		}
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

// A response with many variable parts is stored whole: the view would take a time that grows with their
// square.
func TestManyTokens(t *testing.T) {
	d, err := Open(t.Context(), "", Options{Temporary: true})
	must(t, err)
	defer d.Close()
	for i, c := range []struct {
		response string
		whole    bool
	}{
		{strings.Repeat("1 ", maxTokens) + "x", false},
		{strings.Repeat("1 ", maxTokens+1) + "x", true},
		{strings.Repeat("1 ", 4000) + "x", true},
		{strings.Repeat("{", 1000) + "1 x", true},
	} {
		offset := int64(i+1) * 10
		a := store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: offset, Time: time.Unix(1772409600, 0), QueueID: fmt.Sprint(offset), Outcome: bounce.Hard,
			Recipient: "user@example.org", RecipientDomain: "example.org", Response: c.response,
		}}
		storetest.Append(t, d, &store.Batch{Attempts: []store.Attempt{a}, Sources: []store.Source{{ID: "log", Offset: offset + 10}}})
		rows, err := d.Query(t.Context(), "SELECT f.text, d.response FROM failure AS f JOIN deliveries AS d ON d.offset = "+fmt.Sprint(offset)+" ORDER BY f.id DESC LIMIT 1")
		must(t, err)
		row, err := rows.Next()
		must(t, err)
		if whole := row[0] == c.response; whole != c.whole || row[1] != c.response {
			t.Errorf("%.20q: stored as %.20q, read as %.20q", c.response, row[0], row[1])
		}
		rows.Close()
	}
}
