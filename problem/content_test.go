package problem_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"bouncelog/bounce"
	"bouncelog/store"
)

// TestContent holds when mail called spam is an incident of its own: much of a sender domain's mail
// to a provider, to recipients known or not.
func TestContent(t *testing.T) {
	const (
		news   = "news@shop.example"
		office = "anna@office.example"
		google = "aspmx.l.google.com"
		spam   = "550 5.7.1 Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam, this message has been blocked."
	)
	said := mail{says: spam, stage: bounce.StageEOM}
	week := join(regular(12, 7, news, "u%d@gmail.com", google), regular(12, 8, office, "u%d@gmail.com", google))
	// letter returns a newsletter to new readers: n messages of which refused are called spam.
	letter := func(at time.Duration, from, format string, n, refused int, m mail) (list []mail) {
		for i := range n {
			x := mail{outcome: good, code: 250}
			if i*refused/n != (i+1)*refused/n {
				x = m
				x.outcome = bounce.Hard
			}
			x.at, x.id, x.from, x.to, x.relay = at+time.Duration(i)*time.Second, fmt.Sprintf("L%s%v%d", from, at, i), from, fmt.Sprintf(format, i), google
			list = append(list, x)
		}
		return list
	}
	forwarded := said
	forwarded.original = "info@club.example"
	type answer struct {
		Level, Cause, Title string
		Messages            int
	}
	title := "Google refuses shop.example: called spam"
	for _, test := range []struct {
		name  string
		mails []mail
		want  []answer
	}{
		{"most of a newsletter to new readers", letter(7*day, news, "new%d@gmail.com", 70, 60, said), []answer{{"confirmed", "content", title, 60}}},
		{"most of a newsletter to known readers", letter(7*day, news, "u%d@gmail.com", 12, 11, said), []answer{{"confirmed", "content", title, 11}}},
		{"the first mail of a domain", letter(7*day, "letter@new.example", "new%d@gmail.com", 70, 60, said), []answer{{"confirmed", "content", "Google refuses new.example: called spam", 60}}},
		{"a small part of much mail", letter(7*day, news, "new%d@gmail.com", 400, 12, said), nil},
		{"a few messages", letter(7*day, news, "new%d@gmail.com", 8, 7, said), nil},
		{
			"three senders with the same message",
			join(letter(7*day, news, "new%d@gmail.com", 20, 15, said), letter(7*day+time.Hour, "a@a.example", "new%d@gmail.com", 20, 15, said), letter(7*day+2*time.Hour, "b@b.example", "new%d@gmail.com", 20, 15, said)),
			[]answer{{"confirmed", "content", "Google refuses shop.example, a.example and b.example: called spam", 45}},
		},
		{
			"mail that was forwarded", letter(7*day, news, "new%d@gmail.com", 30, 25, forwarded),
			[]answer{{"likely", "forwarding", "mail forwarded from info@club.example is refused as spam at Google", 25}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []answer
			for _, p := range problemsIn(t, logOf(t, join(week, test.mails)), store.Filter{Since: begin.Add(7*day - time.Hour)}) {
				if !p.Background {
					got = append(got, answer{p.Level, p.Cause, p.Title, p.Messages})
				}
				if p.Cause == "content" && !p.Remains() {
					t.Errorf("%s: its cause ends with the mail", p.Title)
				}
				if p.Cause == "content" && !strings.Contains(p.Evidence[0].Text, "unsolicited") {
					t.Errorf("the evidence is %q", p.Evidence[0].Text)
				}
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestContentRejected holds when messages refused for their form or an attachment are an incident of their
// sender domain: nearly all of its mail to a provider that takes others' meanwhile.
func TestContentRejected(t *testing.T) {
	const (
		plant  = "anna@plant.example"
		office = "bert@office.example"
		google = "aspmx.l.google.com"
		form   = "550-5.7.1 [203.0.113.77] Messages with multiple addresses in From: header are not accepted. 550 5.7.1 https://support.google.com/mail/?p=RfcMessageNonCompliant"
		part   = "552-5.7.0 This message was blocked because its content presents a potential security issue."
	)
	week := join(regular(12, 7, plant, "u%d@gmail.com", google), regular(12, 7, office, "u%d@gmail.com", google))
	// sends returns n messages in half a day, of which refused are refused.
	sends := func(from, says string, n, refused int) (list []mail) {
		for i := range n {
			m := mail{outcome: good, code: 250}
			if i*refused/n != (i+1)*refused/n {
				m = mail{says: says, stage: bounce.StageEOM, outcome: bounce.Hard}
			}
			m.at, m.id, m.from, m.to, m.relay = 7*day+time.Duration(i)*12*time.Hour/time.Duration(n), fmt.Sprintf("L%s%d", from, i), from, fmt.Sprintf("u%d@gmail.com", i%12), google
			list = append(list, m)
		}
		return list
	}
	forwarded := sends(plant, form, 20, 20)
	for i := range forwarded {
		forwarded[i].original = "info@club.example"
	}
	others := sends(office, "", 12, 0)
	for _, test := range []struct {
		name  string
		mails []mail
		want  string
	}{
		{"all mail of a domain has a malformed header", join(sends(plant, form, 20, 20), others), "[confirmed content: Google refuses plant.example: content refused, 20 of 20]"},
		{"nearly all of its mail has an attachment", join(sends(plant, part, 40, 38), others), "[confirmed content: Google refuses plant.example: content refused, 38 of 39]"},
		{"most of it has", join(sends(plant, part, 40, 30), others), "[]"},
		{"a few messages", join(sends(plant, form, 8, 8), others), "[]"},
		{"forwarded mail", join(forwarded, others), "[]"},
		{"the provider takes no other mail", sends(plant, form, 20, 20), "[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := []string{}
			for _, p := range problemsIn(t, logOf(t, join(week, test.mails)), store.Filter{Since: begin.Add(7*day - time.Hour)}) {
				if !p.Background && p.Level != "watch" && p.Cause == "content" {
					got = append(got, fmt.Sprintf("%s %s: %s, %d of %d", p.Level, p.Cause, p.Title, p.Onset.Refused, p.Onset.Tried))
				}
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
