package web_test

import (
	"fmt"
	"html"
	"strings"
	"testing"
	"time"
)

// TestUnreachedPage holds that the page of a provider that nothing reaches shows attempts, that
// its link leads to them, and that its figures of a period do not claim to count from the onset.
func TestUnreachedPage(t *testing.T) {
	var b strings.Builder
	for i := range 4 * 48 {
		at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 30 * time.Minute)
		line := func(id, to, rest string) {
			fmt.Fprintf(&b, "%[1]s mx1 postfix/qmgr[1]: %[2]s: from=<a@shop.example>, size=1, nrcpt=1 (queue active)\n%[1]s mx1 postfix/smtp[1]: %[2]s: to=<%[3]s>, %[4]s\n", at.Format("Jan _2 15:04:05"), id, to, rest)
		}
		line(fmt.Sprintf("4A1B2C%04X", i), fmt.Sprintf("u%d@up.example", i%9), "relay=mx.up.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)")
		if down := fmt.Sprintf("v%d@down.example", i%9); i < 48 {
			line(fmt.Sprintf("4A1B2D%04X", i), down, "relay=mx.down.example[192.0.2.2]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)")
		} else {
			const failed = "relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to mx.down.example[192.0.2.2]:25: Connection timed out)"
			line(fmt.Sprintf("4A1B2D%04X", i), down, failed)
			if old := i - 2; 144 <= old && old < 148 { // in the same second it fails again and is given up
				id := fmt.Sprintf("4A1B2D%04X", old)
				line(id, fmt.Sprintf("v%d@down.example", old%9), strings.Replace(failed, "delay=1,", "delay=3601,", 1))
				fmt.Fprintf(&b, "%s mx1 postfix/qmgr[1]: %s: from=<a@shop.example>, status=expired, returned to sender\n", at.Format("Jan _2 15:04:05"), id)
			}
		}
	}
	s := dashboard(t, database(t, b.String()), nil)
	list := text(t, ask(s, "GET", "/incidents?day=2026-11-23"))
	_, id, _ := strings.Cut(list, `href="/incidents/`)
	id, _, _ = strings.Cut(id, `"`)
	body := html.UnescapeString(text(t, ask(s, "GET", html.UnescapeString("/incidents/"+id))))
	if n := strings.Count(body, "Connection timed out"); n < 3 {
		t.Errorf("%d attempts as evidence: %s", n, id)
	}
	if !strings.Contains(body, "140 waiting") || !strings.Contains(body, "4 given up") {
		t.Error("the page does not say how much mail waits and was given up")
	}
	if strings.Contains(body, "from its beginning") || !strings.Contains(body, "in this period, to its last failure") {
		t.Error("the figures of the day are said to be those from the beginning")
	}
	_, link, _ := strings.Cut(body, `href="/attempts?`)
	link, _, _ = strings.Cut(link, `"`)
	if rows := strings.Count(text(t, ask(s, "GET", "/attempts.csv?"+link)), "Connection timed out"); rows != 3*48+4 {
		t.Errorf("%d attempts behind %s", rows, link)
	}
}
