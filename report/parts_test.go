package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// at returns messages whose relay is below a domain.
func at(relay string, list []deferral) []deferral {
	for i := range list {
		list[i].at = relay
	}
	return list
}

// heldBack returns n messages that a relay defers until a time, and takes then.
func heldBack(domain, relay string, busy bool, n int, from, gap, until time.Duration) (list []deferral) {
	for i := range n {
		d := deferral{domain: domain, at: relay, busy: busy, end: "sent"}
		if !busy {
			d.reply, d.says, d.reason = true, "421 4.3.0 Temporary System Problem", bounce.SystemError
		}
		for try := from + time.Duration(i)*gap; try < until; try += 2 * hour {
			d.tries = append(d.tries, try)
		}
		d.tries = append(d.tries, until+time.Duration(i)*time.Second)
		list = append(list, d)
	}
	return list
}

// TestPartOfProvider holds that the part of a provider that takes nothing is an incident while the provider
// takes other mail: some of its hosts, or the mail of one domain. It is named from the day on which it began
// to its end, with its own figures.
func TestPartOfProvider(t *testing.T) {
	const began, ends = 4*oneDay + 9*hour, 5*oneDay + 15*hour
	usual := at("consumer.big.example", sent("mail.example", 7*60, 0, oneDay/60))
	for _, c := range []struct {
		name    string
		busy    bool
		domains int
		relay   string
		usual   []deferral // other mail to the provider
		want    string
	}{
		{"hosts of many domains", true, 10, "tenant.big.example", usual, "tenant.big.example (big.example)"},
		{"the same, another reason", false, 10, "tenant.big.example", usual, "tenant.big.example (big.example)"},
		{"one domain, hosts of its own", true, 1, "own.tenant.big.example", usual, "c0.example"},
		{"the same, beside others that take mail before", true, 1, "own.tenant.big.example", slices.Concat(usual, at("a.tenant.big.example", sent("a.example", 4*20+3, 0, oneDay/20)), at("b.tenant.big.example", sent("b.example", 20, 6*oneDay, oneDay/20))), "c0.example"},
		{"one domain, hosts of all", true, 1, "tenant.big.example", at("tenant.big.example", sent("mail.example", 7*60, 0, oneDay/60)), "c0.example"},
		{"the whole provider", true, 10, "tenant.big.example", at("consumer.big.example", append(sent("mail.example", 4*60+20, 0, oneDay/60), append(heldBack("mail.example", "", true, 70, began, 25*time.Minute, ends), sent("mail.example", 60, ends+hour, oneDay/60)...)...)), "big.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mails := [][]deferral{sent("fine.example", 7*300, 0, oneDay/300), c.usual}
			each := time.Duration(c.domains)
			for i := range each {
				domain := fmt.Sprintf("c%d.example", i)
				mails = append(mails, at(c.relay, sent(domain, 4*48/c.domains, i*time.Minute, each*oneDay/48)),
					heldBack(domain, c.relay, c.busy, 60/c.domains, began+i*10*time.Minute, each*30*time.Minute, ends), at(c.relay, sent(domain, 48/c.domains, ends+hour+i*time.Minute, each*oneDay/48)))
			}
			day := queueLog(t, 7*oneDay, mails...)
			ids := map[string]bool{}
			for n, want := range map[int]string{3: "[] []", 4: "[%s since 05-08 09] []", 5: "[] [%s since 05-08 09 to 05-09 15]", 6: "[] []"} {
				v := day(n).Verdict
				if strings.Contains(want, "%s") {
					want = fmt.Sprintf(want, c.want)
				}
				if got := toldOf(v, " defers all our mail", ids); got != want {
					t.Errorf("day %d: %s, want %s", n, got, want)
				}
				if n == 4 && len(v.Act) == 1 && c.want != "big.example" {
					if in := v.Act[0]; in.Refused != in.Tried || in.Refused != 30 || !strings.Contains(in.Why, "big.example") || !strings.Contains(in.Why, "other mail") && !strings.Contains(in.Why, "Other mail") {
						t.Errorf("%d of %d: %s", in.Refused, in.Tried, in.Why)
					}
				}
			}
			if len(ids) != 1 {
				t.Errorf("ids %v", ids)
			}
		})
	}
}

// TestPartOfProviderTakes holds that some deferred messages are no part of a provider that takes nothing.
func TestPartOfProviderTakes(t *testing.T) {
	mails := [][]deferral{sent("fine.example", 7*300, 0, oneDay/300), at("consumer.big.example", sent("mail.example", 7*60, 0, oneDay/60))}
	for i := range time.Duration(30) { // each domain waits now and then; no part of the provider does
		domain := fmt.Sprintf("c%d.example", i)
		mails = append(mails, at("tenant.big.example", sent(domain, 7*3, i*time.Minute, oneDay/3)))
		if i%3 == 0 {
			mails = append(mails, heldBack(domain, "tenant.big.example", true, 3, 4*oneDay+i*hour/2, hour, 4*oneDay+i*hour/2+4*hour))
		}
	}
	day := queueLog(t, 7*oneDay, mails...)
	for n := range 7 {
		v := day(n).Verdict
		if len(v.Act) > 0 || slices.ContainsFunc(v.Ended, func(in Incident) bool { return in.Title != "big.example defers part of our mail: rate limit" }) {
			t.Errorf("day %d: %+v %+v", n, v.Act, v.Ended)
		}
	}
}

// TestPartOfProviderRefuses holds that a part of a provider that refuses all mail for a reason of ours is an
// incident, whoever the recipients are, but not if they are a few.
func TestPartOfProviderRefuses(t *testing.T) {
	usual := at("consumer.big.example", sent("mail.example", 7*60, 0, oneDay/60))
	shop := func(list []deferral) []deferral {
		for i := range list {
			list[i].once = true
		}
		return list
	}
	one := func(list []deferral) []deferral {
		for i := range list {
			list[i].one = true
		}
		return list
	}
	refused := func(reason bounce.Reason) []deferral {
		list := at("old.big.example", deferrals("old.example", 24, 4*oneDay+9*hour, hour/2, hour, 0, "refused"))
		for i := range list {
			list[i].says, list[i].reason, list[i].reply = "554 5.7.9 Message not accepted for policy reasons", reason, true
		}
		return list
	}
	for _, c := range []struct {
		name  string
		mails []deferral
		want  string
	}{
		{"all mail of a shop", shop(refused(bounce.Policy)), "old.example refuses all our mail: refused by policy, 24 of 24"},
		{"content", shop(refused(bounce.ContentRejected)), "old.example refuses all our mail: content refused, 24 of 24"},
		{"some mail is taken", append(shop(refused(bounce.Policy)), at("old.big.example", shop(sent("old.example", 12, 4*oneDay+9*hour+time.Minute, hour)))...), "big.example refuses shop.example: no cause named, 24 of 65"}, // package problem

		{"all mail to one recipient", one(refused(bounce.Policy)), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			day := queueLog(t, 5*oneDay, sent("fine.example", 5*300, 0, oneDay/300), usual, at("old.big.example", shop(sent("old.example", 4*24, 0, oneDay/24))), c.mails)
			got := ""
			for _, in := range day(4).Verdict.Act {
				got += fmt.Sprintf("%s, %d of %d", in.Title, in.Refused, in.Tried)
				if in.Reply != "554 5.7.9 Message not accepted for policy reasons" || strings.Contains(in.Title, " all our mail") && !strings.Contains(in.Command, "--domain old.example") {
					t.Errorf("sample reply %q, command %q", in.Reply, in.Command)
				}
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestDomainOfTwoProviders holds that a domain whose mail two providers receive is one incident with the figures of
// all its mail, and that the figures of each provider that receives only its mail are those of the provider.
func TestDomainOfTwoProviders(t *testing.T) {
	both := func(n int, from, gap time.Duration, says string) (list []deferral) {
		for i, d := range sent("old.example", n, from, gap) {
			if d.once, d.at = true, "mx.big.example"; i%3 == 0 {
				d.at = "mx.other.example"
			}
			if says != "" {
				d.says, d.reason, d.reply, d.end = says, bounce.Policy, true, "refused"
			}
			list = append(list, d)
		}
		return list
	}
	const reply = "554 5.7.9 Message not accepted for policy reasons"
	usual := slices.Concat(at("mx.big.example", sent("mail.example", 5*60, 0, oneDay/60)), at("mx.other.example", sent("post.example", 5*60, 0, oneDay/60)))
	for _, c := range []struct {
		name  string
		usual []deferral
		want  string
	}{
		{"beside others", usual, "old.example refuses all our mail: refused by policy, 24 of 24, 24 returned, 0 waiting\n"},
		{"alone", nil, "big.example refuses all our mail: refused by policy, 16 of 16, 16 returned, 0 waiting\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// earlier refusals of the same day, and mail that was taken after them
			day := queueLog(t, 5*oneDay, sent("fine.example", 5*300, 0, oneDay/300), c.usual, both(4*48, 0, oneDay/48, ""), both(20, 4*oneDay, 5*time.Minute, reply),
				both(3, 4*oneDay+4*hour, time.Minute, ""), both(24, 4*oneDay+9*hour, hour/2, reply))
			got := ""
			for _, in := range day(4).Verdict.Act {
				got += fmt.Sprintf("%s, %d of %d, %d returned, %d waiting\n", in.Title, in.Refused, in.Tried, in.Lost, in.Waiting)
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestPartOfProviderDown holds that hosts of many domains to which no connection is made all day are one part of
// their provider, though no log of the day names them and each domain has a message or two.
func TestPartOfProviderDown(t *testing.T) {
	for _, c := range []struct {
		name    string
		domains int
		want    string
	}{
		{"seven domains", 7, "down.big.example (big.example) does not take our mail: no connection, 7 of 7"},
		{"three domains", 3, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			mails := [][]deferral{sent("fine.example", 5*300, 0, oneDay/300), at("consumer.big.example", sent("mail.example", 5*60, 0, oneDay/60))}
			for i := range time.Duration(c.domains) {
				domain := fmt.Sprintf("c%d.example", i)
				mails = append(mails, at("down.big.example", sent(domain, 4, 12*hour+i*hour, oneDay)), deferrals(domain, 1, 4*oneDay+12*hour+i*hour, 0, hour, 11*hour, ""))
			}
			r := queueLog(t, 5*oneDay, mails...)(4)
			got := ""
			for _, in := range r.Verdict.Act {
				got += fmt.Sprintf("%s, %d of %d", in.Title, in.Refused, in.Tried)
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			i := slices.IndexFunc(r.ProviderTable.Rows, func(row ProviderRow) bool { return row.Provider == "big.example" })
			if i < 0 || r.ProviderTable.Rows[i].Delivered != 60 || r.ProviderTable.Rows[i].lost() != int64(c.domains) {
				t.Errorf("providers %+v", r.ProviderTable.Rows)
			}
		})
	}
}
