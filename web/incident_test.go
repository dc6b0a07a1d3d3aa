package web_test

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"bouncelog/web"
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
	if words := regexp.MustCompile("<[^>]*>").ReplaceAllString(body, ""); !strings.Contains(words, "140 waiting") || !strings.Contains(words, "4 given up") {
		t.Error("the page does not say how much mail waits and was given up")
	}
	if strings.Contains(body, "from its beginning") || !strings.Contains(body, "in this period, to its last failure") {
		t.Error("the figures of the day are said to be those from the beginning")
	}
	before, _, _ := strings.Cut(body, ` failed attempts</a>`)
	link, _, _ := strings.Cut(before[strings.LastIndex(before, "/attempts?")+len("/attempts?"):], `"`)
	if rows := strings.Count(text(t, ask(s, "GET", "/attempts.csv?"+link)), "Connection timed out"); rows != 48+4 {
		t.Errorf("%d attempts of the day behind %s", rows, link)
	}
	for _, period := range []string{"day=2026-11-23", "since=all"} {
		followNumbers(t, s, 300, "/incidents?"+period)
	}
}

// TestOutageNumbers holds that the figures of an outage lead to their rows: mail that this server's own
// filter did not take, and other mail before and after.
func TestOutageNumbers(t *testing.T) {
	var b strings.Builder
	for i := range 120 {
		at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 5 * time.Minute).Format("Jan _2 15:04:05")
		id, to := fmt.Sprintf("6A1B2C%04X", i), fmt.Sprintf("u%d@d%d.example", i%11, i%7)
		fmt.Fprintf(&b, "%s mx1 postfix/qmgr[1]: %s: from=<a@shop.example>, size=1, nrcpt=1 (queue active)\n", at, id)
		if i >= 40 && i < 80 {
			fmt.Fprintf(&b, "%s mx1 postfix/smtp[1]: %s: to=<%s>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to 127.0.0.1[127.0.0.1]:10024: Connection refused)\n", at, id, to)
		} else {
			fmt.Fprintf(&b, "%s mx1 postfix/smtp[1]: %s: to=<%s>, relay=mx.%s[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n", at, id, to, to[strings.IndexByte(to, '@')+1:])
		}
	}
	s := dashboard(t, database(t, b.String()), nil)
	if list := text(t, ask(s, "GET", "/incidents")); !strings.Contains(list, "127.0.0.1") {
		t.Fatalf("no outage: %.2000s", list)
	}
	for _, period := range []string{"", "?since=2026-11-23+05:00"} {
		if n := followNumbers(t, s, 300, "/incidents"+period); n["incidents"] == 0 || n["incidents/"] == 0 {
			t.Errorf("%s: %v", period, n)
		}
	}
}

// TestFigureRequests holds that odd requests for rows are refused, that a hostile address is inert in
// the page and its command, and that a link shows the rows of its sender domain only.
func TestFigureRequests(t *testing.T) {
	key := []byte(strings.Repeat("k", web.KeyLength))
	s := dashboard(t, database(t, sample()), func(o *web.Options) { o.Key = key })
	id := regexp.MustCompile(`/incidents/[0-9a-f]{12}`)
	page := id.FindString(text(t, ask(s, "GET", "/incidents")))
	for query, status := range map[string]int{"rows=refused": 200, "rows=nothing": 404, "rows=": 404, "rows=attempts&hour=x": 400, "rows=attempts&hour=2026-11-23T09:00:00Z&page=-1": 200} {
		if res := ask(s, "GET", page+"?"+query); res.StatusCode != status {
			t.Errorf("%s?%s: status %d, not %d", page, query, res.StatusCode, status)
		}
	}
	body := text(t, ask(s, "GET", "/attempts?permanent=%3Cb%3E&relay-host=%3Cb%3E%27&recipient=%3Cb%3E%27%22%3B"))
	if strings.Contains(body, "<b>'") || !strings.Contains(html.UnescapeString(body), `'\''<b>'\'''\''";'\''`) {
		t.Errorf("a hostile address is not inert: %s", body)
	}
	base := must(web.Link(key, "shop.example", at.Add(time.Hour)))
	mine := id.FindString(text(t, ask(s, "GET", base+"incidents")))
	for _, rows := range []string{"refused", "tried", "before"} {
		res := ask(s, "GET", strings.TrimSuffix(base, "/")+mine+".json?rows="+rows)
		if body := text(t, res); res.StatusCode != 200 || !strings.Contains(body, "@big.example") || strings.Contains(body, "news.example") || strings.Contains(body, "4A1B2C0001") {
			t.Errorf("rows %s of a link: status %d: %.300s", rows, res.StatusCode, body)
		}
	}
}
