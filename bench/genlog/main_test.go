package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
)

func testConfig(mta, stamp, ids string) *config {
	t0 := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	return &config{
		mta: mta, stamp: stamp, host: "mx1", queueIDs: ids, bytes: 6e6, seed: 7, rate: 40000,
		bounceRate: 0.05, inbound: 0.2, noise: 1, senders: 200, recipients: 3000, domains: 400, start: t0,
		lifetime: 3600, incDomains: 4, traps: true,
		incFrom: t0.Unix() + 3000, incTo: t0.Unix() + 6000, vanishAt: t0.Unix() + 3000,
	}
}

func generate(c *config) (*sim, string) {
	var b bytes.Buffer
	s := newSim(c, &b)
	if err := s.run(); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return s, b.String()
}

func TestSameSeedSameBytes(t *testing.T) {
	_, a := generate(testConfig("postfix", "rfc3164", "short"))
	_, b := generate(testConfig("postfix", "rfc3164", "short"))
	if a != b {
		t.Fatal("two runs with one seed differ")
	}
}

// The truth must be what an independent reading of the log gives.
func TestTruthPostfix(t *testing.T) {
	for _, stamp := range []string{"rfc3164", "rfc3339"} {
		for _, ids := range []string{"short", "long"} {
			s, log := generate(testConfig("postfix", stamp, ids))
			re := regexp.MustCompile(`^\S.* mx1 postfix/(?:smtp|lmtp|local|virtual|error)\[\d+\]: [0-9A-Za-z]+: to=<([^>]+)>,(?: orig_to=<[^>]+>,)? relay=\S+, delay=[\d.]+, delays=[\d./]+, dsn=(\d\.\d+\.\d+), status=(sent|deferred|bounced) \(.*\)$`)
			exp := regexp.MustCompile(`: from=<[^>]*>, status=expired, returned to sender$`)
			got := map[string]int64{}
			rc := map[string]bool{}
			last, n := "", int64(0)
			ok := map[string]bool{}
			flag := map[string]bool{}
			for _, l := range strings.Split(strings.TrimSuffix(log, "\n"), "\n") {
				n++
				if stamp == "rfc3339" && l[:26] < last {
					t.Fatal("time runs backwards: " + l)
				}
				last = l[:min(26, len(l))]
				if exp.MatchString(l) {
					got["expired"]++
				}
				if m := re.FindStringSubmatch(l); m != nil {
					got[m[3]]++
					rc[m[1]] = true
					switch {
					case m[3] == "sent":
						ok[m[1]] = true
					case m[3] == "bounced" && strings.HasPrefix(m[2], "5.7.") && ok[m[1]]:
						flag[m[1]] = true
					}
				}
			}
			if n != s.lines || int64(len(log)) != s.total {
				t.Errorf("%s %s: %d lines, truth says %d", stamp, ids, n, s.lines)
			}
			for i, k := range []string{"sent", "deferred", "bounced"} {
				if got[k] != s.status[i] {
					t.Errorf("%s %s: %s: %d lines, truth says %d", stamp, ids, k, got[k], s.status[i])
				}
			}
			if (got["expired"] > 0) != (s.status[stExpired] > 0) {
				t.Errorf("expired: %d lines, %d recipients", got["expired"], s.status[stExpired])
			}
			if int64(len(rc)) != s.distinct {
				t.Errorf("%d recipients, truth says %d", len(rc), s.distinct)
			}
			if len(flag) != len(s.flags) || len(flag) == 0 {
				t.Errorf("%d flagged, truth says %d", len(flag), len(s.flags))
			}
			for _, f := range s.flags {
				if !flag[f.Recipient] {
					t.Errorf("%s is not flagged", f.Recipient)
				}
			}
		}
	}
}

func TestTruthExim(t *testing.T) {
	for _, ids := range []string{"short", "long"} {
		s, log := generate(testConfig("exim", "default", ids))
		re := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w{6}-\w{6,11}-\w{2,4} (=>|->|==|\*\*) (\S+?):? `)
		got := map[string]int64{}
		for _, l := range strings.Split(log, "\n") {
			if m := re.FindStringSubmatch(l); m != nil {
				k := m[1]
				if strings.HasSuffix(l, ": retry timeout exceeded") && k == "**" {
					k = "expired"
				}
				got[k]++
			}
		}
		if got["=>"]+got["->"] != s.status[stSent] || got["=="] != s.status[stDeferred] || got["**"] != s.status[stBounced] || got["expired"] != s.status[stExpired] {
			t.Errorf("%s: lines %v, truth says %v", ids, got, s.status)
		}
	}
}
