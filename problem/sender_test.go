package problem_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
)

// TestRefusedSender holds that a sender domain is refused if several providers refuse at least as much of
// its mail as is taken. Mail that failed for another reason was not taken.
func TestRefusedSender(t *testing.T) {
	const from = "news@shop.example"
	at := func(i int) time.Duration { return time.Duration(i) * 10 * time.Minute }
	mails := func(id string, n, providers int, m mail) (list []mail) {
		for i := range n {
			m.at, m.id, m.from = at(i), fmt.Sprintf("%s%d", id, i), from
			m.to, m.relay = fmt.Sprintf("u%d@%s%d.example", i, id, i%providers), fmt.Sprintf("mx.%s%d.example", id, i%providers)
			list = append(list, m)
		}
		return list
	}
	refused := mails("r", 20, 5, mail{outcome: bounce.Hard, says: "550 5.1.8 <news@shop.example>: Sender address rejected: Domain not found", stage: bounce.StageRcpt})
	deferred := mails("d", 20, 1, mail{outcome: bounce.Soft, says: "450 4.4.312 DNS query failed", stage: bounce.StageRcpt})
	taken := func(n int) []mail { return mails("t", n, 1, mail{outcome: good, code: 250}) }
	for _, test := range []struct {
		name  string
		mails []mail
		want  bool
	}{
		{"half of the mail", join(refused, taken(18)), true},
		{"half of the mail, and other mail is deferred for another reason", join(refused, deferred, taken(18)), true},
		{"half of the mail, and one more refusal after a day", join(refused, taken(18), with(mails("r", 1, 5, refused[0]), func(m *mail) { m.at, m.id = day, "late" }),
			with(taken(60), func(m *mail) { m.id += "b"; m.at += 6 * time.Hour })), true},
		{"less than half, but all mail to providers that took mail before", join(
			with(slices.Clone(refused), func(m *mail) { m.id += "k"; m.outcome, m.code, m.says = good, 250, "" }),
			with(join(slices.Clone(refused), taken(20), with(taken(20), func(m *mail) { m.id += "b"; m.at += time.Minute })), func(m *mail) { m.at += day }),
		), true},
		{"less than half, at providers that take other mail of the sender", join(
			with(slices.Clone(refused), func(m *mail) { m.id += "k"; m.outcome, m.code, m.says = good, 250, "" }),
			with(join(slices.Clone(refused), taken(20), with(slices.Clone(refused), func(m *mail) { m.id += "o"; m.at += time.Minute; m.outcome, m.code, m.says = good, 250, "" }),
				with(slices.Clone(refused), func(m *mail) { m.id += "p"; m.at += 2 * time.Minute; m.outcome, m.code, m.says = good, 250, "" })), func(m *mail) { m.at += day }),
		), false},
		{"less than half", join(refused, taken(20), with(taken(20), func(m *mail) { m.id += "b"; m.at += time.Minute })), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			is := false
			for _, p := range problemsOf(t, test.mails) {
				is = is || p.Cause == "sender" && p.Level == problem.Confirmed
			}
			if is != test.want {
				t.Errorf("%v, want %v", is, test.want)
			}
		})
	}
}

// TestRefusedSenderApart holds that a refused sender and the failing authentication of another sender domain at
// the same providers are two incidents; of the same sender domain, they are one.
func TestRefusedSenderApart(t *testing.T) {
	mails := func(id, from, says string) (list []mail) {
		for i := range 20 {
			p := fmt.Sprintf("p%d.example", i%5)
			list = append(list, mail{
				at: time.Duration(i) * 10 * time.Minute, id: fmt.Sprintf("%s%d", id, i), from: from, to: fmt.Sprintf("u%d@%s", i, p), relay: "mx." + p,
				outcome: bounce.Hard, says: says, stage: bounce.StageRcpt,
			})
		}
		return list
	}
	auth := mails("a", "info@nord.example", "550 5.7.26 the message does not pass DMARC")
	for from, want := range map[string]int{"info@nord.example": 1, "info@shop.example": 2} {
		n := 0
		for _, p := range problemsOf(t, join(auth, mails("s", from, "550 5.1.8 Sender address rejected: Domain not found"))) {
			if p.Level == problem.Confirmed {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: %d incidents, want %d", from, n, want)
		}
	}
}
