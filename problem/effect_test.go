package problem_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/problem"
	"bouncelog/store"
)

// TestEffects holds the words for what happens to the mail: nothing is refused by a 4xx, and mail that
// was only late was delivered.
func TestEffects(t *testing.T) {
	const (
		from  = "news@shop.example"
		low   = " 4.7.0 Our system has detected a very low reputation of the sending IP address 203.0.113.26"
		later = 10 * time.Minute
	)
	refused := func(code string, outcome bounce.Outcome) []mail {
		return refused(12, 12, day, from, "u%d@big.example", "mx.big.example", mail{says: code + low, outcome: outcome})
	}
	retried := func(list []mail, after time.Duration) []mail { // all are taken in the end
		return join(list, with(slices.Clone(list), func(m *mail) {
			m.at, m.outcome, m.says, m.code, m.local, m.relay = m.at+after, good, "", 250, false, "mx.big.example"
		}))
	}
	filter := mail{says: "connect to 127.0.0.1[127.0.0.1]:10024: Connection refused", local: true, outcome: bounce.Soft}
	down := spread(30, 15, day, 4*time.Minute, filter)
	noRoute := mail{says: "connect to mx.d%d.example[2001:db8::25]:25: Network is unreachable", local: true, outcome: bounce.Soft}
	byIPv4 := spread(300, 15, 0, 6*time.Minute, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
	toSix := with(spread(30, 3, day, 4*time.Minute, noRoute), func(m *mail) {
		m.to, m.id = strings.Replace("v"+m.to, "@d", "@six", 1), "V"+m.id
	})
	before := spread(60, 15, 0, 4*time.Minute, mail{outcome: good, code: 250, relay: "mx.d%d.example"})
	for _, test := range []struct {
		name          string
		mails         []mail
		effect, words string
		waiting       int
	}{
		{"5xx", refused("550", bounce.Hard), problem.EffectRefused, "big.example refuses shop.example: bad reputation", 0},
		{"a 5xx greeting, deferred", refused("554", bounce.Soft), problem.EffectRefused, "big.example refuses shop.example: bad reputation", 12},
		{"4xx, still queued", refused("421", bounce.Soft), problem.EffectDeferred, "big.example defers shop.example: bad reputation", 12},
		{"4xx, taken later", retried(refused("421", bounce.Soft), later), problem.EffectDeferred, "big.example defers shop.example: bad reputation", 0},
		{"4xx, one returned", join(refused("421", bounce.Soft), refused("450", bounce.Hard)[:1]), problem.EffectRefused, "big.example refuses shop.example: bad reputation", 11},
		{"4xx, returned days later", join(refused("421", bounce.Soft), with(refused("421", bounce.Hard), func(m *mail) { m.at += 40 * time.Hour })), problem.EffectRefused, "big.example defers shop.example: bad reputation", 0},
		{"a filter that is down", join(before, down), problem.EffectNotDelivered, "Nothing goes out", 30},
		{"a filter that was down", join(before, retried(down, 3*time.Hour)), problem.EffectDelayed, "fails at the next hop", 0},
		{"a filter that was down, one message still queued", join(before, retried(down[1:], 3*time.Hour), down[:1]), problem.EffectNotDelivered, "fails at the next hop", 1},
		{"no IPv6 route, retries take IPv4", join(byIPv4, retried(toSix[:26], time.Hour), toSix[26:]), problem.EffectDelayed, "no IPv6 route", 4},
		{"no IPv6 route, and no IPv4 address", join(byIPv4, toSix), problem.EffectNotDelivered, "no IPv6 route", 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, test.mails)
			if len(found) != 1 || found[0].Effect != test.effect || !strings.Contains(found[0].Title, test.words) {
				t.Fatalf("%+v, want %s: %s", found, test.effect, test.words)
			}
			if found[0].Waiting != test.waiting {
				t.Errorf("%d messages wait, want %d", found[0].Waiting, test.waiting)
			}
			if want := test.effect == problem.EffectDeferred; strings.Contains(found[0].Summary, "is deferred") != want {
				t.Errorf("%s: %s", test.effect, found[0].Summary)
			}
		})
	}
}

// TestFloodSent holds that a flood says what became of the account's mail, each recipient of a message
// once, however often it was tried.
func TestFloodSent(t *testing.T) {
	const unknown = "550 5.1.1 User unknown"
	clerk := mail{from: "clerk@office.example", login: "clerk@office.example"}
	usual := func() (all []mail) {
		for d := range 7 {
			all = append(all, batch(20, d, 10, unknown, clerk)...)
		}
		return all
	}()
	// Of 600 messages 200 are returned, and 60 of the others are deferred at first, each twice; 25 are
	// still queued, 35 are delivered an hour later.
	flood := batch(600, 7, 3, unknown, clerk)
	var tried []mail
	for i, m := range flood {
		if i%3 == 1 && i < 3*60 {
			late := m
			late.outcome, late.says = bounce.Soft, "451 4.7.1 Try again later"
			tried = append(tried, late)
			late.at += 20 * time.Minute
			tried = append(tried, late)
			if m.at += time.Hour; i >= 3*35 {
				continue
			}
		}
		tried = append(tried, m)
	}
	forged := with(slices.Clone(tried), func(m *mail) { m.from = "x@forged" + m.to[len("user"):len("user")+1] + ".example" })
	for _, test := range []struct {
		name  string
		mails []mail
		want  problem.Sent
	}{
		{"its own address", tried, problem.Sent{Recipients: 600, Delivered: 375, Returned: 200, Waiting: 25}},
		{"forged addresses", forged, problem.Sent{Recipients: 600, Delivered: 375, Returned: 200, Waiting: 25, Domains: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, f := range []store.Filter{{}, {Since: begin.Add(7*day - 8*time.Hour)}} {
				var got []problem.Sent
				for _, p := range problemsIn(t, logOf(t, join(usual, test.mails)), f) {
					if p.Cause == "flood" {
						got = append(got, *p.Sent)
					}
				}
				if diff := gocmp.Diff([]problem.Sent{test.want}, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

// TestOrigins holds that an incident of one of several hosts or instances has the numbers of each, and
// that one of all of them has none.
func TestOrigins(t *testing.T) {
	const (
		news   = "news@shop.example"
		listed = "550 5.7.1 Our system has detected a very low reputation of the sending IP address 203.0.113."
	)
	// Of 120 messages from each, one in every refuse is refused.
	from := func(host, instance, address string, refuse int) (all []mail) {
		for i := range 120 {
			m := mail{
				at: day + time.Duration(i)*4*time.Minute + time.Duration(len(instance))*time.Second, id: fmt.Sprint(host, instance, i), from: news,
				to: fmt.Sprintf("u%d@big.example", i%90), relay: "mx.big.example", outcome: good, code: 250, host: host, instance: instance,
			}
			if refuse > 0 && i%refuse == 0 {
				m.outcome, m.says = bounce.Hard, listed+address
			}
			all = append(all, m)
		}
		return all
	}
	before := to(60, 0, news, "u%d@big.example", "mx.big.example")
	for _, test := range []struct {
		name  string
		mails []mail
		want  []problem.Origin
	}{
		{"one of two instances", join(from("mx1", "out1", "7", 1), from("mx1", "postfix-2", "", 0)), []problem.Origin{{Host: "mx1", Instance: "out1", Address: "203.0.113.7", Refused: 120, Tried: 120}, {Host: "mx1", Instance: "postfix-2", Tried: 119}}},
		{"one of two hosts, with a few refusals at the other", join(from("mx1", "postfix", "7", 1), from("mx22", "postfix", "8", 30)), []problem.Origin{{Host: "mx1", Instance: "postfix", Address: "203.0.113.7", Refused: 120, Tried: 120}, {Host: "mx22", Instance: "postfix", Address: "203.0.113.8", Refused: 4, Tried: 120}}},
		{"both", join(from("mx1", "out1", "7", 1), from("mx1", "postfix-2", "8", 2)), nil},
		{"one instance, a part of its mail", from("mx1", "out1", "7", 2), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := problemsOf(t, join(before, test.mails))
			if len(found) != 1 {
				t.Fatalf("%+v", found)
			}
			if diff := gocmp.Diff(test.want, found[0].Origins); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestNothingLate holds that deferrals raise no alarm if retries delivered the mail soon, however many there
// are.
func TestNothingLate(t *testing.T) {
	limit := mail{says: "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address", outcome: bounce.Soft}
	for _, test := range []struct {
		name    string
		retried time.Duration // when retries deliver the mail
		taken   int           // others taken at once, half of their number
		late    int           // messages that wait an hour longer
		want    bool
	}{
		{"a burst of mail, delivered by the second try", 6 * time.Minute, 60, 0, true},
		{"two of it are late", 6 * time.Minute, 60, 2, true},
		{"three are late", 6 * time.Minute, 60, 3, false},
		{"delivered after an hour", time.Hour, 60, 0, false},
		{"a provider defers most of the mail, and takes it soon", 6 * time.Minute, 20, 0, false},
	} {
		deferred := refused(60, 60, day, "news@shop.example", "u%d@gmail.com", "gmail-smtp-in.l.google.com", limit)
		again := with(slices.Clone(deferred), func(m *mail) { m.at, m.outcome, m.says, m.code = m.at+test.retried, good, "", 250 })
		with(again[:test.late], func(m *mail) { m.at += time.Hour })
		others := func(after time.Duration, format string) []mail {
			return to(test.taken, day+after, "news@shop.example", format, "gmail-smtp-in.l.google.com")
		}
		found := problemsOf(t, join(others(20*time.Second, "v%d@gmail.com"), others(40*time.Second, "w%d@gmail.com"), deferred, again))
		if len(found) != 1 || found[0].Messages != 60 || found[0].Background != test.want {
			t.Errorf("%s: %d problems: %+.300v", test.name, len(found), found)
		}
	}
}
