package parser

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
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
				slow.clock.forget()
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
					want := -1
					if c < ' ' {
						want = i
					}
					if got := indexControl(b); got != want || hasControl(b) != (c < ' ') {
						t.Fatalf("%q: got %d, %v, want %d", b, got, hasControl(b), want)
					}
				}
				b[i] = around
			}
		}
	}
}

// TestSameStart reads lines that begin like earlier ones, and others between them, with a parser that
// remembers how lines begin and with one that forgets it.
func TestSameStart(t *testing.T) {
	const to = ": 4F2C9A7B11: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"
	lines := []string{
		"Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:06 mx2 postfix/smtp[1]" + to,
		"Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:06 postfix/smtp[1]" + to,
		"Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"[pod/x/y] Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:07 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"Jan  3 09:47:06 mx1 postfix/smtp[1]" + to,
		"Jan  3 09:47:06 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:06 mx1 exim[1]: 2026-11-23 10:47:06 1xVUtL-0005ru-2B => c@d.example R=r T=t H=h [192.0.2.1]",
		"Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"2026-11-23 09:47:06 1xVUtL-0005ru-2B => c@d.example R=r T=t H=h [192.0.2.1]",
		"2026-11-23 09:47:06 1xVUtM-0005ru-2B => c@d.example R=r T=t H=h [192.0.2.1]",
		"2026-11-23 09:47:06 +0300 1xVUtN-0005ru-2B => c@d.example R=r T=t H=h [192.0.2.1]",
		"2026-11-23 09:47:06 UTC 1xVUtO-0005ru-2B => c@d.example R=r T=t H=h [192.0.2.1]",
		"2026-11-23 09:47:06 mx1 postfix/smtp[1]" + to,
		"2026-11-23 09:47:06.000 1xVUtP-0005ru-2B => c@d.example R=r T=t H=h [192.0.2.1]",
		"Nov 23 09:47:06.000 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:06.000 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:06.250 mx1 postfix/smtp[1]" + to,
		`{"log":"Nov 23 09:47:06 mx1 postfix/smtp[1]` + to + `\n","stream":"stdout","time":"2026-11-23T09:47:06.100000000Z"}`,
		`{"log":"Nov 23 09:47:06 mx1 postfix/smtp[1]` + to + `\n","stream":"stdout","time":"2026-11-23T09:47:06.200000000Z"}`,
		"2026-11-23T09:47:06.300000Z stdout F Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"2026-11-23T09:47:06.400000Z stdout F Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"2026-11-23T10:47:06.400000Z stdout F Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
		"Nov 23 09:47:06 mx1 postfix/smtp[1]" + to,
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		fast := New(nil, Options{Location: berlin(t), Year: 2026})
		slow := New(nil, Options{Location: berlin(t), Year: 2026})
		var read []string
		for range 40 {
			line := lines[rnd.IntN(len(lines))]
			read = append(read, line)
			for p := slow; p != nil; p = p.within {
				p.clock.start = p.clock.start[:0]
			}
			var got, want Result
			gotKind, wantKind := fast.Parse([]byte(line), 0, &got), slow.Parse([]byte(line), 0, &want)
			if gotKind != wantKind || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s\n%v %+v, want %v %+v", strings.Join(read, "\n"), gotKind, got, wantKind, want)
			}
		}
	}
}

func berlin(t *testing.T) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}
