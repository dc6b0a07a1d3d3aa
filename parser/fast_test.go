package parser

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// TestAgain compares the fast path through the header with the normal one, on stamps that follow
// each other by seconds, forwards and backwards, through the end of a minute, a leap second and the
// end of daylight saving.
func TestAgain(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	seconds := []string{"58", "58", "59", "00", "01", "09", "10", "05", "60", "59", "60", "61", "5x", ":1", "30"}
	for _, form := range []string{
		"Oct 25 %s:%s mx1 postfix/smtp[1]: x", "Oct  5 %s:%s mx1 postfix/smtp[12345678901]: x", "Oct 5 %s:%s mx1 postfix/smtp[123x]: x",
		"2026 Oct 25 %s:%s mx1 postfix/smtp[1234567]: x", "2026-10-25T%s:%s.25+01:00 mx1 postfix/smtp[12345678]: x",
		"2026-10-25 %s:%s 1xVUtL-0005ru-2B Completed", "2026-10-25 %s:%s +0200 1xVUtL-0005ru-2B Completed",
	} {
		fast := New(nil, Options{Location: berlin, Year: 2026})
		slow := New(nil, Options{Location: berlin, Year: 2026})
		for _, minute := range []string{"02:30", "02:59", "02:00", "02:30", "03:00"} {
			for _, s := range seconds {
				line := fmt.Sprintf(form, minute, s)
				var got, want Result
				gotKind := fast.Parse([]byte(line), 0, &got)
				slow.clock.size = 0
				wantKind := slow.Parse([]byte(line), 0, &want)
				if gotKind != wantKind || !got.Time.Equal(want.Time) || got.Program != want.Program {
					t.Fatalf("%s: %v %v %q, want %v %v %q", line, gotKind, got.Time, got.Program, wantKind, want.Time, want.Program)
				}
			}
		}
	}
}

func TestLeadingDigits(t *testing.T) {
	for c := range 256 {
		for n := range 20 {
			for _, after := range []int{0, 1, 12} {
				b := make([]byte, n, n+1+after)
				for i := range b {
					b[i] = '0' + byte(i%10)
				}
				b = append(b, byte(c))
				for range after {
					b = append(b, '7')
				}
				want := n
				for want < len(b) && isDigit(b[want]) {
					want++
				}
				if got := leadingDigits(b); got != want {
					t.Fatalf("%q: got %d, want %d", b, got, want)
				}
			}
		}
	}
}

func TestUntracked(t *testing.T) {
	q := NewQueue(0)
	p := New(q, Options{Location: time.UTC, Year: 2026})
	var r Result
	active := func(id string) {
		p.Parse([]byte("Mar  2 00:00:01 mx1 postfix/qmgr[1]: "+id+": from=<a@example.org>, size=1904, nrcpt=1 (queue active)"), 0, &r)
	}
	active("41CD2222223")
	q.Untracked()
	active("41CD2222224")
	p.Parse([]byte("Mar  2 00:00:01 mx1 postfix/qmgr[1]: 41CD2222223: removed"), 0, &r)
	if opened, closed := q.Changes(nil, nil); len(opened)+len(closed) > 0 {
		t.Errorf("got %v opened, %v closed, want none", opened, closed)
	}
	p.Parse([]byte("Mar  2 00:00:01 mx1 postfix/smtp[1]: 41CD2222224: to=<b@example.com>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (x)"), 0, &r)
	if len(r.Deliveries) != 1 || r.Deliveries[0].Sender != "a@example.org" {
		t.Errorf("got %+v, want the sender joined", r.Deliveries)
	}
}

// TestHasControl tries each byte at each index, between bytes that are text and bytes that are
// carried into the next one.
func TestHasControl(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 15, 16, 63, 64, 65, 72, 127, 128, 135} {
		for _, around := range []byte{' ', 'a', 0x7f, 0x9f, 0xa0, 0xff} {
			b := bytes.Repeat([]byte{around}, n)
			if hasControl(b) {
				t.Fatalf("%q: got true, want false", b)
			}
			for i := range b {
				for c := range 256 {
					b[i] = byte(c)
					if got, want := hasControl(b), c < ' '; got != want {
						t.Fatalf("%q: got %v, want %v", b, got, want)
					}
				}
				b[i] = around
			}
		}
	}
}
