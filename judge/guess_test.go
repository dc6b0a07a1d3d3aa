package judge

import (
	"math"
	"math/rand/v2"
	"testing"

	"bouncelog/bounce"
)

// certain returns a guesser that gives a reason the same probability for all replies.
func certain(r bounce.Reason, p float64) guesser {
	g := make([]byte, guessHeader+guessReasons)
	others := float64(guessReasons - 1)
	g[guessHeader+int(r)] = byte(int8(math.Round(math.Log(others*p/(1-p)) / guessUnit)))
	return guesser(g)
}

func TestGuess(t *testing.T) {
	reply := bounce.Delivery{Code: 550, Response: "550 zork", RelayHost: "mx.dest.example", RelayIP: "192.0.2.9", RelayPort: 25, Stage: bounce.StageRcpt, Outcome: bounce.Hard}
	for _, c := range []struct {
		name   string
		change func(*bounce.Delivery)
		reason bounce.Reason
		p      float64
		rule   string
	}{
		{"a reply without a rule", nil, bounce.MailboxFull, 0.7, guessRule},
		{"one that is not probable enough", nil, bounce.MailboxFull, 0.5, "none"},
		{"a cause of the sender's", nil, bounce.Blocklist, 0.9, guessRule},
		{"one that is not probable enough for that", nil, bounce.Blocklist, 0.7, "none"},
		{"the reason of the code", func(d *bounce.Delivery) { d.Code, d.Response = 571, "571 zork" }, bounce.Policy, 0.9, "reply-571"},
		{"a rule that names the cause", func(d *bounce.Delivery) { d.Response = "550 User unknown" }, bounce.MailboxFull, 0.99, "no-such-user"},
		{"a rule of concepts", func(d *bounce.Delivery) { d.Response = "550 recipient e-mail adress unknown" }, bounce.MailboxFull, 0.99, "concept-recipient-unknown"},
		{"greylisting by a 5xx", nil, bounce.Greylisted, 0.99, "none"},
		{"expiry by a 4xx", func(d *bounce.Delivery) { d.Code, d.Response = 450, "450 zork" }, bounce.Expired, 0.99, "none"},
		{"the user's rule", func(d *bounce.Delivery) { d.Code, d.Response = 599, "599 zork" }, bounce.MailboxFull, 0.99, "mine"},
		{"the MTA's own words", func(d *bounce.Delivery) { d.Code, d.Response, d.Local = 0, "zork", true }, bounce.MailboxFull, 0.99, "none"},
		{"a reply of an own filter", func(d *bounce.Delivery) { d.RelayIP = "127.0.0.1" }, bounce.MailboxFull, 0.99, "none"},
	} {
		j := newJudge(t, "[[rule]]\nid = \"mine\"\nreason = \"policy\"\ncode = \"599\"\n")
		j.guesser = certain(c.reason, c.p)
		d := reply
		if c.change != nil {
			c.change(&d)
		}
		v := j.Verdict(&d)
		if v.Rule != c.rule {
			t.Errorf("%s: %+v, want rule %s", c.name, v, c.rule)
		}
		if guessed := v.Rule == guessRule; guessed != (v.Confidence == bounce.Guess) || guessed && (v.Reason != c.reason || v.Scope != ReasonText(c.reason).Scope) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

// Wordings that no rule knows.
func TestGuessedReplies(t *testing.T) {
	j := newJudge(t)
	for _, c := range []struct {
		want  bounce.Reason
		reply string
	}{
		{bounce.MailboxFull, "452 no more letters fit in this mailbox"},
		{bounce.Greylisted, "451 come again in 10 minutes, stranger"},
		{bounce.UserUnknown, "550 that person never lived at this mailbox"},
	} {
		d := bounce.Delivery{Code: bounce.ReplyCode(c.reply), Response: c.reply, RelayHost: "mx.dest.example", Stage: bounce.StageRcpt, Outcome: bounce.Hard}
		if v := j.Verdict(&d); v.Reason != c.want || v.Confidence != bounce.Guess {
			t.Errorf("%s: %+v", c.reply, v)
		}
	}
}

// Words that mean nothing suggest nothing.
func TestNothingToGuess(t *testing.T) {
	j := newJudge(t)
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		text := []byte("550")
		for range 1 + r.IntN(8) {
			text = append(text, ' ')
			for range 6 + r.IntN(6) {
				text = append(text, "bcdfghjklmnpqrstvwxz"[r.IntN(20)])
			}
		}
		d := bounce.Delivery{Code: 550, Response: string(text), Outcome: bounce.Hard}
		if v := j.Verdict(&d); v.Confidence == bounce.Guess {
			t.Fatalf("%q: %+v", text, v)
		}
	}
}

// BenchmarkGuess judges a new template that ends at a guess.
func BenchmarkGuess(b *testing.B) {
	j := newJudge(b, thousandRules(b))
	s := j.scratch.New().(*scratch)
	template, _ := bounce.Split("554 5.7.1 Wir haben leider keine Verwendung fuer das, was unter der Anschrift a@example.org von 192.0.2.1 eingeliefert wurde; more at https://example.org/hilfe?c=12")
	b.ReportAllocs()
	for b.Loop() {
		j.judge(s, template, about{code: 554, stage: bounce.StageEOM})
	}
}
