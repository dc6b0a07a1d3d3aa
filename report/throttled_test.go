package report

import (
	"fmt"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/problem"
)

// throttledMail returns n messages, one every gap since at, of which the provider defers two tries.
func throttledMail(domain string, n int, at, gap time.Duration) []deferral {
	list := deferrals(domain, n, at, gap, 25*time.Minute, 50*time.Minute, "sent")
	for i := range list {
		list[i].busy = true
	}
	return list
}

func TestThrottled(t *testing.T) {
	const day, half = 24 * time.Hour, 30 * time.Minute
	others := sent("other.example", 24*14, 0, time.Hour)
	usual := sent("slow.example", 48*7+12, 0, half) // to 06:00 of day 7
	began := 7*day + 6*time.Hour
	logged := queueLog(t, 11*day+7*time.Hour, others, usual, throttledMail("slow.example", 48*2+12, began, half), sent("slow.example", 48, began+54*time.Hour, half))
	for _, x := range []struct {
		day, messages int
		ongoing       bool
	}{{7, 36, true}, {8, 48, true}, {9, 24, false}} {
		r := logged(x.day)
		if len(r.Problems) != 1 {
			t.Fatalf("day %d: %d problems, want 1", x.day, len(r.Problems))
		}
		p := &r.Problems[0]
		if p.Title != "slow.example defers part of our mail: rate limit" || p.Background || p.WhoActs() != bounce.ScopeSender || p.Effect != problem.EffectDeferred {
			t.Errorf("day %d: %q, background %v, %v acts, %s", x.day, p.Title, p.Background, p.WhoActs(), p.Effect)
		}
		if at := p.Began(); !at.Equal(mondays.Add(began)) {
			t.Errorf("day %d: began %v", x.day, at)
		}
		if p.Messages != x.messages || p.Ongoing != x.ongoing {
			t.Errorf("day %d: %d messages, want %d; ongoing %v", x.day, p.Messages, x.messages, p.Ongoing)
		}
		if want := mondays.Add(9*day + 12*time.Hour); !x.ongoing && !p.EndedAt.Equal(want) {
			t.Errorf("day %d: ended %v, want %v", x.day, p.EndedAt, want)
		}
	}
	for _, d := range []int{6, 10} {
		if r := logged(d); len(r.Problems) > 0 {
			t.Errorf("day %d: %s", d, r.Problems[0].Title)
		}
	}
}

func TestNotThrottled(t *testing.T) {
	const day, half = 24 * time.Hour, 30 * time.Minute
	others := sent("other.example", 24*14, 0, time.Hour)
	usual := sent("slow.example", 48*7+12, 0, half)
	began := 7*day + 6*time.Hour
	for _, x := range []struct {
		name string
		mail [][]deferral
	}{
		{"a campaign", [][]deferral{usual, throttledMail("slow.example", 500, began, time.Minute)}},
		{"an hour", [][]deferral{usual, throttledMail("slow.example", 30, began, 2*time.Minute), sent("slow.example", 36, began+2*time.Hour, half)}},
		{"always so", [][]deferral{throttledMail("slow.example", 48*9, 0, half)}},
		{"a new provider", [][]deferral{throttledMail("slow.example", 48*2, began, half)}},
	} {
		for _, d := range []int{7, 8} {
			for _, p := range queueLog(t, 9*day+7*time.Hour, append(x.mail, others)...)(d).Problems {
				t.Errorf("%s, day %d: %s", x.name, d, p.Title)
			}
		}
	}
}

// TestThrottledDomains holds that a provider throttles if it defers the mail of many of its domains, though most of
// its mail is for others; and not if it defers that of a few.
func TestThrottledDomains(t *testing.T) {
	const day, half = 24 * time.Hour, 30 * time.Minute
	began := 7*day + 6*time.Hour
	for _, x := range []struct {
		throttled int // of 40 domains
		want      int
	}{{20, 1}, {19, 1}, {12, 0}, {8, 0}} {
		mail := [][]deferral{sent("other.example", 24*14, 0, time.Hour)}
		for i := range 40 {
			domain, later := fmt.Sprintf("firm%d.example", i), time.Duration(i)*10*time.Minute
			usual := sent(domain, 4*9, later, 6*time.Hour)
			if i < x.throttled {
				usual = append(sent(domain, 4*7, later, 6*time.Hour), deferrals(domain, 6, began+later/6, half, 20*time.Minute, 3*time.Hour, "sent")...)
				for k := range usual[4*7:] {
					usual[4*7+k].busy = true
				}
			} else {
				usual = append(usual, sent(domain, 4, began+later/6, time.Hour)...)
			}
			for k := range usual {
				usual[k].at = "host.example"
			}
			mail = append(mail, usual)
		}
		r := queueLog(t, 9*day+7*time.Hour, mail...)(7)
		n := 0
		for _, p := range r.Problems {
			if p.Throttled() {
				n++
			}
		}
		if n != x.want {
			t.Errorf("%d domains: %d problems that throttle, want %d of %d", x.throttled, n, x.want, len(r.Problems))
		}
	}
}
