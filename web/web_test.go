package web_test

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bouncelog/bounce"
	"bouncelog/ingest"
	"bouncelog/internal/hostile"
	"bouncelog/judge"
	"bouncelog/parser"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/store/sqlite"
	"bouncelog/store/storetest"
	"bouncelog/tailer"
	"bouncelog/web"
)

// at is the time of all pages in these tests: a day after the newest line.
var at = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// database returns a database with the given log text.
func database(t testing.TB, log string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	fill(t, db, log)
	return db
}

// fill stores the given log text.
func fill(t testing.TB, db store.Store, log string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	g, err := ingest.New(t.Context(), db, ingest.Options{Judge: j, Parser: parser.Options{Location: time.UTC, Year: 2026}})
	if err != nil {
		t.Fatal(err)
	}
	err = tailer.Read(t.Context(), []string{path}, g.Positions(), tailer.ReadOptions{}, g.Chunk)
	if err := g.Close(err); err != nil {
		t.Fatal(err)
	}
}

// dashboard serves a database.
func dashboard(t testing.TB, db *sqlite.DB, change func(*web.Options)) *web.Server {
	t.Helper()
	j, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	o := web.Options{
		Judge: j, Location: time.UTC, Period: "30d", Now: func() time.Time { return at },
		Explain: func(s string) (*bounce.Delivery, judge.Explanation, error) {
			d := &bounce.Delivery{Delay: -1, Outcome: bounce.Hard}
			d.Code, d.Enhanced, d.Response = bounce.ParseReply(s)
			return d, j.Explain(d), nil
		},
	}
	if db != nil {
		o.Read, o.Watch = db.Read, db.Watch
	}
	if change != nil {
		change(&o)
	}
	s, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ask sends a request to a handler.
func ask(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "localhost:9155"
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// sample returns a log with an incident, waiting mail, delivered mail and two sender domains.
func sample() string {
	var b strings.Builder
	line := func(minute int, format string, a ...any) {
		stamp := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC).Add(time.Duration(minute) * time.Minute)
		b.WriteString(stamp.Format("Jan _2 15:04:05") + " mx1 postfix/" + fmt.Sprintf(format, a...) + "\n")
	}
	for i := range 60 {
		id, domain := fmt.Sprintf("4A1B2C%04X", i), []string{"shop.example", "news.example"}[i%2]
		line(i, "qmgr[1]: %s: from=<sender%d@%s>, size=1, nrcpt=1 (queue active)", id, i%3, domain)
		switch {
		case i%2 == 0 && i >= 20:
			line(i, "smtp[1]: %s: to=<user%d@big.example>, relay=mx1.bigmail.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.7.26, status=bounced (host mx1.bigmail.example[192.0.2.1] said: 550 5.7.26 This mail is unauthenticated, SPF and DKIM did not pass (in reply to end of DATA command))", id, i%7)
		case i%5 == 0:
			line(i, "smtp[1]: %s: to=<late%d@slow.example>, relay=mx.slow.example[192.0.2.2]:25, delay=1, delays=0/0/0/1, dsn=4.2.0, status=deferred (host mx.slow.example[192.0.2.2] said: 450 4.2.0 Greylisted (in reply to RCPT TO command))", id, i)
		case i%7 == 0:
			line(i, "smtp[1]: %s: to=<gone%d@big.example>, relay=mx1.bigmail.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx1.bigmail.example[192.0.2.1] said: 550 5.1.1 No such user (in reply to RCPT TO command))", id, i)
		default:
			line(i, "smtp[1]: %s: to=<user%d@big.example>, relay=mx1.bigmail.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, tls=%s, dsn=2.0.0, status=sent (250 2.0.0 Ok)", id, i%7, []string{"may", "may:none", "dane"}[i%3])
		}
	}
	return b.String()
}

// corners returns a log of cases that numbers and the lists behind them could count differently:
// mail that reached no relay (of a domain with a provider, and of one without), mail without a
// sender or a domain, hand-offs and probes, an address with a failure that counts and one that is
// doubted, deferred mail that was delivered later, and mail that has waited for some minutes.
func corners() string {
	var b strings.Builder
	line := func(minute int, format string, a ...any) {
		stamp := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC).Add(time.Duration(minute) * time.Minute)
		b.WriteString(stamp.Format("Jan _2 15:04:05") + " mx1 postfix/" + fmt.Sprintf(format, a...) + "\n")
	}
	message := func(minute int, id, from string) {
		line(minute, "qmgr[1]: %s: from=<%s>, size=1, nrcpt=1 (queue active)", id, from)
	}
	for i, domain := range []string{"big.example", "big.example", "lonely.example"} {
		id := fmt.Sprintf("5B1B2C%04X", i)
		message(100+i, id, "a@shop.example")
		line(100+i, "smtp[1]: %s: to=<u%d@%s>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to mx1.bigmail.example[192.0.2.1]:25: Connection timed out)", id, i, domain)
	}
	line(160, "smtp[1]: 5B1B2C0000: to=<u0@big.example>, relay=mx1.bigmail.example[192.0.2.1]:25, delay=3600, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)")
	message(110, "5B1B2C0100", "")
	line(110, "smtp[1]: 5B1B2C0100: to=<gone@big.example>, relay=mx1.bigmail.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx1.bigmail.example[192.0.2.1] said: 550 5.1.1 No such user (in reply to RCPT TO command))")
	for i, stage := range []string{"RCPT TO", "end of DATA"} {
		id := fmt.Sprintf("5B1B2C03%02X", i)
		message(110, id, "a@shop.example")
		line(110, "smtp[1]: %s: to=<twice%d@big.example>, relay=mx1.bigmail.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.2.1, status=bounced (host mx1.bigmail.example[192.0.2.1] said: 550 5.2.1 Mailbox disabled (in reply to %s command))", id, i, stage)
	}
	for i, reply := range []string{"relay=mx1.bigmail.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx1.bigmail.example[192.0.2.1] said: 550 5.1.1 No such user (in reply to RCPT TO command))", "relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (User unknown in virtual alias table)"} {
		id := fmt.Sprintf("5B1B2C05%02X", i)
		message(17+i, id, "a@shop.example")
		line(17+i, "%s[1]: %s: to=<both@big.example>, %s", []string{"smtp", "error"}[i], id, reply)
	}
	message(111, "5B1B2C0101", "a@shop.example")
	line(111, "local[1]: 5B1B2C0101: to=<root>, relay=local, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (unknown user: \"root\")")
	message(112, "5B1B2C0102", "a@shop.example")
	line(112, "smtp[1]: 5B1B2C0102: to=<u1@big.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 5B1B2C0103)")
	line(113, "smtp[1]: 5B1B2C0104: to=<u2@big.example>, relay=mx1.bigmail.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.1.5, status=deliverable (250 2.1.5 Ok)")
	for i, login := range []string{", sasl_method=PLAIN, sasl_username=anna@news.example", ""} {
		id := fmt.Sprintf("5B1B2C06%02X", i)
		line(115, "smtpd[1]: %s: client=client.example[198.51.100.7]%s", id, login)
		message(115, id, "Anna@news.example")
		line(115, "smtp[1]: %s: to=<late@slow.example>, relay=mx.slow.example[192.0.2.2]:25, delay=1, delays=0/0/0/1, dsn=4.2.0, status=deferred (host mx.slow.example[192.0.2.2] said: 450 4.2.0 Greylisted (in reply to RCPT TO command))", id)
	}
	for i, host := range []string{"mx0.slow.example", "alt.mx0.slow.example"} { // the second is below the first
		id := fmt.Sprintf("5B1B2C04%02X", i)
		message(120, id, "b@news.example")
		line(120, "smtp[1]: %s: to=<s%d@slow.example>, relay=%s[192.0.2.2]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)", id, i, host)
	}
	for i, minutes := range []int{3, 7, 15, 30, 200} {
		id := fmt.Sprintf("5B1B2C02%02X", i)
		message(1440-minutes, id, "b@news.example")
		line(1440-minutes, "smtp[1]: %s: to=<w%d@slow.example>, relay=mx%d.slow.example[192.0.2.2]:25, delay=1, delays=0/0/0/1, dsn=4.2.0, status=deferred (host mx%d.slow.example[192.0.2.2] said: 450 4.2.0 Greylisted (in reply to RCPT TO command))", id, i, i%2, i%2)
	}
	return b.String()
}

var hrefs = regexp.MustCompile(`href="(/[^"]*)"`)

// links returns the links of a page to other pages.
func links(body string) (list []string) {
	for _, m := range hrefs.FindAllStringSubmatch(body, -1) {
		link := html.UnescapeString(m[1])
		if !strings.HasPrefix(link, "/static/") && !slices.Contains(list, link) {
			list = append(list, link)
		}
	}
	return list
}

// crawl requests every page that another page links to, and calls look with each.
func crawl(t *testing.T, h http.Handler, most int, from []string, look func(link, body string)) int {
	t.Helper()
	seen := map[string]bool{}
	queue := from
	for len(queue) > 0 && len(seen) < most {
		link := queue[0]
		queue = queue[1:]
		if seen[link] {
			continue
		}
		seen[link] = true
		res := ask(h, "GET", link, "Accept", "text/html")
		body := text(t, res)
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d\n%.300s", link, res.StatusCode, body)
		}
		look(link, body)
		if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			queue = append(queue, links(body)...)
		}
	}
	return len(seen)
}

// TestEveryLink follows every link: each page exists, also as CSV and JSON.
func TestEveryLink(t *testing.T) {
	s := dashboard(t, database(t, sample()), nil)
	kinds := map[string]bool{}
	n := crawl(t, s, 700, []string{"/"}, func(link, body string) {
		path, _, _ := strings.Cut(strings.TrimPrefix(link, "/"), "?")
		first, _, deep := strings.Cut(path, "/")
		switch {
		case strings.HasSuffix(path, ".json"):
			var v map[string]any
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				t.Errorf("%s: %v", link, err)
			}
			if v["screen"] == "" || v["command"] == "" {
				t.Errorf("%s says neither what it is nor its command", link)
			}
			first += " json"
		case strings.HasSuffix(path, ".csv"):
			if _, err := csv.NewReader(strings.NewReader(body)).ReadAll(); err != nil {
				t.Errorf("%s: %v", link, err)
			}
			first += " csv"
		default:
			if !strings.Contains(body, `data-copy="bouncelog `) {
				t.Errorf("%s does not tell its command", link)
			}
		}
		kinds[fmt.Sprint(first, deep)] = true
	})
	t.Logf("%d pages of %d kinds", n, len(kinds))
	for _, kind := range []string{"", "incidents", "providers", "domains", "queue", "trace", "replies", "senders", "suppress", "tls", "log", "attempts"} {
		if !kinds[kind+"false"] {
			t.Errorf("no link leads to %q", kind)
		}
	}
	for _, kind := range []string{"incidents", "providers", "domains", "attempts"} {
		if !kinds[kind+"true"] {
			t.Errorf("no link leads to one of the %s", kind)
		}
	}
}

// TestKeptInLinks holds that the links of a page keep its period and its filters, except links that
// change them.
func TestKeptInLinks(t *testing.T) {
	s := dashboard(t, database(t, sample()), nil)
	anchors := regexp.MustCompile(`<a [^>]*href="(/[^"]*)"[^>]*>`)
	n := crawl(t, s, 120, []string{"/?since=12d&sender-domain=shop.example"}, func(page, body string) {
		if strings.Contains(page, ".csv") || strings.Contains(page, ".json") || !strings.Contains(page, "since=12d") || !strings.Contains(page, "sender-domain=shop.example") {
			return
		}
		for _, m := range anchors.FindAllStringSubmatch(body, -1) {
			if strings.Contains(m[0], "Show all again") {
				continue
			}
			_, query, _ := strings.Cut(html.UnescapeString(m[1]), "?")
			q, err := url.ParseQuery(query)
			if err != nil || q.Get("since")+q.Get("day") == "" || q.Get("sender-domain") == "" {
				t.Errorf("%s leads to %s", page, m[1])
			}
		}
	})
	if n < 100 {
		t.Errorf("only %d pages", n)
	}
}

// bare has the numbers without rows, by table and column, and the words by which the page says what
// they count; "": the name of the column does.
var bare = map[string]string{
	"share": "", "senders.share of hard": "", "logins.share of hard": "", "clients.share of hard": "", "changes.before": "", "providers.before": "",
	"figure.lines": "", "figure.delivery": "", "figure.queue": "", "figure.not about deliveries": "", "figure.not understood": "", "figure.blank": "", "logs.lines": "", "logs.attempts": "", "not_understood.byte": "", "programs.lines": "", // of a log
	"changes.recipients": "each once, however often",
	"incidents.tried":    "counted and not listed", "ended.tried": "counted and not listed",
	"course.tried": "counted and not listed", "course.refused": "counted and not listed",
}

// TestNumbers follows every number of every page: it leads to attempts, queued recipients or rows of
// an incident, and equals the length of the list there. A number that leads nowhere is 0, or one of
// bare.
func TestNumbers(t *testing.T) {
	counted := followNumbers(t, dashboard(t, database(t, sample()+corners()), nil), 300, "/", "/incidents", "/providers", "/domains", "/queue", "/replies", "/senders", "/suppress", "/tls", "/log", "/?since=1h")
	for _, kind := range []string{"", "incidents", "incidents/", "providers", "providers/", "domains", "domains/", "queue", "replies", "senders", "suppress", "tls"} {
		if counted[kind] == 0 {
			t.Errorf("no number of %q leads to its rows", kind)
		}
	}
}

// TestNumbersHostile does the same for a log of hostile texts.
func TestNumbersHostile(t *testing.T) {
	var b strings.Builder
	for i, s := range hostile.Texts {
		if utf8.ValidString(s) {
			b.WriteString(hostile.Lines(i, s))
		}
	}
	counted := followNumbers(t, dashboard(t, database(t, b.String()), nil), 40, "/incidents", "/providers", "/domains", "/queue", "/replies", "/senders", "/suppress", "/log")
	for _, kind := range []string{"domains", "queue", "replies", "senders", "suppress"} {
		if counted[kind] == 0 {
			t.Errorf("no number of %q leads to its rows", kind)
		}
	}
}

// followNumbers follows the numbers of the pages that the given ones lead to, at most so many. It returns how many led
// to rows, by the kind of the page.
func followNumbers(t *testing.T, s http.Handler, most int, from ...string) map[string]int {
	t.Helper()
	table := regexp.MustCompile(`(?s)<section class="list" id="([^"]*)">.*?</section>`)
	rest := regexp.MustCompile(`<tr role="row" class="rest">.*?</tr>`) // several places in one row: no page has them
	cell := regexp.MustCompile(`<td role="cell" class="n[^"]*" data-label="([^"]*)">(.*?)</td>`)
	figure := regexp.MustCompile(`<dt>([^<]*)</dt><dd><span class="n">(.*?)</span>`)
	facts := regexp.MustCompile(`(?s)<dl class="facts">.*?</dl>`)
	drawn := regexp.MustCompile(`<span class="bar">.*?</span>|<wbr>`)
	link := regexp.MustCompile(`^<a href="([^"]*)"[^>]*>([^<]*)</a>$`)
	anchor := regexp.MustCompile(`<a href="([^"]*)" class="whole">(\d[^<]*)</a>`)
	counted := map[string]int{} // numbers with rows, by the kind of the page
	known := map[string]int{}   // rows behind a link
	follow := func(page, where, target, number string) {
		target = html.UnescapeString(target)
		n, ok := known[target]
		if !ok {
			path, query, _ := strings.Cut(target, "?")
			rows, err := csv.NewReader(ask(s, "GET", path+".csv?"+query).Body).ReadAll()
			if err != nil {
				t.Fatal(target, err)
			}
			n = len(rows) - 1
			known[target] = n
		}
		if want := strings.ReplaceAll(number, "\u202f", ""); fmt.Sprint(n) != want {
			t.Errorf("%s: %s: %s has %d rows, not %s", page, where, target, n, want)
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(page, "/"), "?")
		if first, _, deep := strings.Cut(kind, "/"); deep {
			kind = first + "/"
		}
		counted[kind]++
	}
	crawl(t, s, most, from, func(page, body string) {
		one := func(where, text string) {
			text = drawn.ReplaceAllString(text, "")
			if m := link.FindStringSubmatch(text); m != nil {
				follow(page, where, m[1], m[2])
			} else if words, ok := bare[where]; (!ok || !strings.Contains(body, words)) && text != "0" && text != "" {
				t.Errorf("%s: %s: %s leads nowhere", page, where, text)
			}
		}
		for _, m := range table.FindAllStringSubmatch(body, -1) {
			m[0] = rest.ReplaceAllString(m[0], "")
			for _, c := range cell.FindAllStringSubmatch(m[0], -1) {
				where := m[1] + "." + c[1]
				if c[1] == "share" {
					where = "share"
				}
				one(where, c[2])
			}
		}
		for _, m := range figure.FindAllStringSubmatch(body, -1) {
			one("figure."+m[1], m[2])
		}
		for _, m := range facts.FindAllString(body, -1) {
			for _, c := range anchor.FindAllStringSubmatch(m, -1) {
				follow(page, "facts", c[1], c[2])
			}
		}
	})
	return counted
}

// TestEngines holds that every page is the same with every engine. It uses the simplest one, with
// which all others are compared (store/storetest).
func TestEngines(t *testing.T) {
	serve := func(db store.Store) *web.Server {
		fill(t, db, sample()+corners())
		return dashboard(t, nil, func(o *web.Options) { o.Read, o.Watch = db.Read, nil })
	}
	db := database(t, "")
	one, other := serve(db), serve(memory.Open())
	paths := regexp.MustCompile(`[^ <>"]*/mail\.log`)
	n := crawl(t, one, 200, []string{"/", "/incidents", "/providers", "/domains", "/queue", "/replies", "/senders", "/suppress", "/tls", "/log"}, func(page, body string) {
		if strings.Contains(page, ".csv") || strings.Contains(page, ".json") || strings.HasPrefix(page, "/attempts/") { // it shows the fields that an engine keeps
			return
		}
		if got := text(t, ask(other, "GET", page)); paths.ReplaceAllString(got, "") != paths.ReplaceAllString(body, "") {
			t.Errorf("%s is another page of another engine", page)
		}
	})
	if n < 200 {
		t.Errorf("only %d pages", n)
	}
}

// TestForms holds that a screen shows the same rows as a page, as CSV and as JSON.
func TestForms(t *testing.T) {
	s := dashboard(t, database(t, sample()), nil)
	section := regexp.MustCompile(`(?s)<section class="list" id="([^"]*)">.*?</section>`)
	tags := regexp.MustCompile(`<[^>]*>|[✖▲◐●] `)
	name := regexp.MustCompile(`^[a-z][a-z0-9.@_]*$`)
	for _, page := range []string{"/now", "/incidents", "/providers", "/providers/bigmail.example", "/domains", "/domains/big.example", "/queue", "/replies", "/senders", "/suppress", "/tls", "/log", "/attempts", "/trace"} {
		query := ""
		if page == "/trace" {
			query = "?q=user1@big.example"
		}
		body := text(t, ask(s, "GET", strings.Replace(page, "/now", "/", 1)+query))
		var object struct {
			Tables map[string][]map[string]any `json:"tables"`
		}
		if err := json.Unmarshal([]byte(text(t, ask(s, "GET", page+".json"+query))), &object); err != nil {
			t.Fatal(err)
		}
		if len(object.Tables) == 0 {
			t.Errorf("%s.json has no table", page)
		}
		for _, m := range section.FindAllStringSubmatch(body, -1) {
			parts := strings.Split(m[0], `<tr role="row"`)
			shown := parts[min(2, len(parts)):] // without the heading
			shown = slices.DeleteFunc(shown, func(row string) bool { return strings.HasPrefix(row, ` class="sum"`) })
			if len(shown) == 50 || strings.Contains(m[0], "; CSV and JSON have all.") {
				continue // a page with more rows
			}
			list, ok := object.Tables[m[1]]
			if !ok || len(list) != len(shown) {
				t.Errorf("%s: %s has %d rows, and %d in JSON", page, m[1], len(shown), len(list))
			}
			if page == "/attempts" { // its CSV has all fields
				continue
			}
			join := "?"
			if query != "" {
				join = "&"
			}
			rows, err := csv.NewReader(ask(s, "GET", page+".csv"+query+join+"table="+m[1]).Body).ReadAll()
			if err != nil || len(rows) != len(shown)+1 {
				t.Errorf("%s: %s has %d rows, and %d in CSV (%v)", page, m[1], len(shown), len(rows)-1, err)
				continue
			}
			for i, row := range shown {
				line := html.UnescapeString(tags.ReplaceAllString(strings.ReplaceAll(row, "<wbr>", ""), " "))
				names := slices.DeleteFunc(slices.Clone(rows[i+1]), func(cell string) bool { return !name.MatchString(cell) })
				if len(names) > 0 && !strings.Contains(line, names[0]) {
					t.Errorf("%s: row %d of %s is %q in CSV and %q on the page", page, i, m[1], rows[i+1], line)
				}
			}
		}
	}
}

// TestNewest holds that the pages of attempts show each attempt once, the newest first, however far
// apart they are.
func TestNewest(t *testing.T) {
	db := database(t, "")
	b := &store.Batch{Sources: []store.Source{{ID: "log", Path: "/var/log/mail.log", Offset: 1 << 20}}}
	age := time.Minute // minus two: the first are in the future
	var want []string
	for i := range 130 {
		name := fmt.Sprintf("u%d@x.example", i)
		want = append(want, name)
		b.Attempts = append(b.Attempts, store.Attempt{Delivery: bounce.Delivery{
			Source: "log", Offset: int64(100 * i), Time: at.Add(-age + 2*time.Minute).Truncate(time.Second), Host: "mx1", MTA: bounce.Postfix, QueueID: fmt.Sprint("A", i),
			Recipient: name, RecipientDomain: "x.example", RelayHost: []string{"mx.one.example", "mx.two.example"}[i%2], Outcome: bounce.Delivered, Status: "sent", Delay: -1,
		}})
		age += age / 8 // up to some years
	}
	storetest.Append(t, db, b)
	s := dashboard(t, db, nil)
	recipient := regexp.MustCompile(`u\d+@x\.example`)
	next := regexp.MustCompile(`href="([^"]*)" rel="next"`)
	for query, want := range map[string][]string{"since=all": want, "since=2026-11-23": want[:slices.IndexFunc(b.Attempts, func(a store.Attempt) bool { return a.Time.Before(at.Add(-33 * time.Hour)) })]} {
		var got []string
		for link := "/attempts?" + query; link != ""; {
			body := text(t, ask(s, "GET", link))
			for _, row := range strings.Split(body, "<tr ")[1:] {
				if name := recipient.FindString(row); name != "" {
					got = append(got, name)
				}
			}
			m := next.FindStringSubmatch(body)
			if link = ""; m != nil {
				link = html.UnescapeString(m[1])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d attempts, not %d: %q", query, len(got), len(want), got)
		}
	}
}

// TestRefused sends requests that must be refused.
func TestRefused(t *testing.T) {
	s := dashboard(t, database(t, sample()), func(o *web.Options) { o.Hosts = []string{"mail.example.com"} })
	for _, c := range []struct {
		name, method, target string
		header               []string
		status               int
	}{
		{"a page", "GET", "/", nil, 200},
		{"a head", "HEAD", "/", nil, 200},
		{"by address", "GET", "/", []string{"Host", "127.0.0.1:9155"}, 200},
		{"by IPv6 address", "GET", "/", []string{"Host", "[::1]:9155"}, 200},
		{"a name of ours", "GET", "/", []string{"Host", "mail.example.com"}, 200},
		{"another name (DNS rebinding)", "GET", "/", []string{"Host", "evil.example"}, 421},
		{"another name with our port", "GET", "/", []string{"Host", "evil.example:9155"}, 421},
		{"a name that begins with ours", "GET", "/", []string{"Host", "localhost.evil.example"}, 421},
		{"no name", "GET", "/", []string{"Host", ""}, 421},
		{"two names", "GET", "/", []string{"Host", "localhost@evil.example"}, 421},
		{"a post", "POST", "/", nil, 405},
		{"a post from elsewhere", "POST", "/suppress", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"a post of an old browser from elsewhere", "POST", "/suppress", []string{"Origin", "https://evil.example"}, 403},
		{"a deletion", "DELETE", "/suppress", nil, 405},
		{"no page", "GET", "/nothing", nil, 404},
		{"below a list", "GET", "/queue/x", nil, 404},
		{"no incident", "GET", "/incidents/0123456789ab", nil, 404},
		{"no attempt", "GET", "/attempts/1.2.0.x", nil, 404},
		{"no reference", "GET", "/attempts/x", nil, 404},
		{"a path upwards", "GET", "/static/..%2f..%2fetc%2fpasswd", nil, 404},
		{"no such file", "GET", "/static/htmx.min.js", nil, 404},
		{"no period", "GET", "/?since=never", nil, 400},
		{"a period that ends first", "GET", "/?since=2026-11-24&until=2026-11-23", nil, 400},
		{"no outcome", "GET", "/attempts?outcome=lost", nil, 400},
		{"no reason", "GET", "/attempts?reason=bad", nil, 400},
		{"no place in a list", "GET", "/attempts?after=x", nil, 400},
		{"a query without an end", "GET", "/?domain=" + strings.Repeat("a", 9000), nil, 414},
		{"no table", "GET", "/log.csv?table=none", nil, 404},
	} {
		res := ask(s, c.method, c.target, c.header...)
		if res.StatusCode != c.status {
			t.Errorf("%s: status %d, not %d", c.name, res.StatusCode, c.status)
		}
		for key, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		} {
			if got := res.Header.Get(key); !strings.Contains(got, want) {
				t.Errorf("%s: %s is %q", c.name, key, got)
			}
		}
		if p := res.Header.Get("Content-Security-Policy"); strings.Contains(p, "unsafe") {
			t.Errorf("%s: the policy allows %s", c.name, p)
		}
	}
}

// TestToken holds that nothing is revealed without the token or its cookie, and that the token
// works once.
func TestToken(t *testing.T) {
	s := dashboard(t, database(t, sample()), func(o *web.Options) { o.Token = "the-token" })
	for _, target := range []string{"/", "/suppress.json", "/events", "/?token=", "/?token=the-toke", "/?token=the-token2", "/nothing"} {
		if res := ask(s, "GET", target); res.StatusCode != http.StatusUnauthorized || strings.Contains(text(t, res), "shop.example") {
			t.Errorf("%s without the token: status %d", target, res.StatusCode)
		}
	}
	if res := ask(s, "GET", "/", "Cookie", "bouncelog="); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("with an empty cookie: status %d", res.StatusCode)
	}
	res := ask(s, "GET", "//evil.example/queue?token=the-token&since=7d")
	if res.StatusCode == http.StatusSeeOther && !strings.HasPrefix(res.Header.Get("Location"), "/") || strings.HasPrefix(res.Header.Get("Location"), "//") {
		t.Errorf("the token leads to %s", res.Header.Get("Location"))
	}
	if len(res.Cookies()) == 0 {
		res = ask(s, "GET", "/queue?token=the-token&since=7d")
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != "/queue?since=7d" {
			t.Errorf("the token: status %d, to %q", res.StatusCode, got)
		}
	}
	if len(res.Cookies()) != 1 {
		t.Fatal("no cookie for the token")
	}
	c := res.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" {
		t.Errorf("the cookie is %s", c)
	}
	if res := ask(s, "GET", "/", "Cookie", c.Name+"="+c.Value); res.StatusCode != http.StatusOK {
		t.Errorf("with the cookie: status %d", res.StatusCode)
	}
	if res := ask(s, "GET", "/?token=the-token"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the token again: status %d", res.StatusCode)
	}
}

// TestLink holds that a link shows one sender domain's mail until it expires, and nothing else.
func TestLink(t *testing.T) {
	key := []byte(strings.Repeat("k", web.KeyLength))
	now := at
	s := dashboard(t, database(t, sample()), func(o *web.Options) {
		o.Key, o.Token, o.Now = key, "the-token", func() time.Time { return now }
	})
	base, err := web.Link(key, "Shop.Example", at.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	n := crawl(t, s, 400, []string{base}, func(link, body string) {
		if !strings.HasPrefix(link, base) && !strings.HasPrefix(link, strings.TrimSuffix(base, "/")) {
			t.Errorf("the link leads out of itself: %s", link)
		}
		for _, other := range []string{"news.example", "mail.log", "TestLink"} {
			if strings.Contains(body, other) {
				t.Errorf("%s shows %s", link, other)
			}
		}
	})
	if body := text(t, ask(s, "GET", base)); !strings.Contains(body, "shop.example") || n < 20 {
		t.Errorf("%d pages; the first does not say whose mail it shows", n)
	}
	for _, path := range []string{"log", "senders", "suppress", "tls", "log.json", "suppress.csv", "?sender-domain=news.example"} {
		res := ask(s, "GET", base+path)
		if body := text(t, res); res.StatusCode != http.StatusNotFound && !strings.HasPrefix(path, "?") || strings.Contains(body, "news.example") {
			t.Errorf("%s: status %d", path, res.StatusCode)
		}
	}
	// Mail of another sender is not found, even if its name is known.
	for _, path := range []string{"trace.json?q=sender0%40news.example", "trace.json?q=4A1B2C0001", "attempts.json?sender-domain=news.example"} {
		if body := text(t, ask(s, "GET", base+path)); strings.Contains(body, "4A1B2C0001\"") && strings.Contains(body, "smtp") {
			t.Errorf("%s shows another sender's mail: %.300s", path, body)
		}
	}
	for name, link := range map[string]string{
		"one letter changed": strings.Replace(base, base[8:9], string(base[8]^1), 1), "no signature": strings.Split(base, ".")[0] + "/", "another key": must(web.Link([]byte(strings.Repeat("x", web.KeyLength)), "shop.example", at.Add(time.Hour))),
		"expired": must(web.Link(key, "shop.example", at.Add(-time.Second))), "no domain": must(web.Link(key, "", at.Add(time.Hour))), "nothing": "/link/x/",
	} {
		if res := ask(s, "GET", link); res.StatusCode != http.StatusForbidden || strings.Contains(text(t, res), "shop") {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
	}
	// Another claim with the signature of a valid one, and a path element that leads elsewhere, are
	// refused.
	payload, signature, _ := strings.Cut(strings.Trim(strings.TrimPrefix(base, "/link/"), "/"), ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	forged := []string{}
	for _, change := range [][2]string{{"shop.example", "news.example"}, {fmt.Sprint(at.Add(time.Hour).Unix()), fmt.Sprint(at.Add(9999 * time.Hour).Unix())}, {`"u":`, `"d":"news.example","u":`}, {`{`, ` {`}} {
		other := strings.Replace(string(raw), change[0], change[1], 1)
		if other == string(raw) {
			t.Fatalf("the claim is %s", raw)
		}
		forged = append(forged, "/link/"+base64.RawURLEncoding.EncodeToString([]byte(other))+"."+signature+"/")
	}
	forged = append(forged, "/link/"+payload+".", "/link/"+payload+"."+signature+signature+"/", "/link/"+signature+"."+payload+"/", "/link/"+payload+"."+signature+"=/",
		"/link/../queue", "/link/%2e%2e/queue", "/link/x%2f..%2f..%2fqueue", "/static/../queue", "/static/%2e%2e/queue", "/static/..%2fqueue", "//queue", "/link//queue", base+"../../queue", base+"..%2f..%2fqueue", base+"%2e%2e/%2e%2e/queue",
		base+"events", base+"static/x", base+"link/x/", base+"log", base+"attempts/1.0.0.x", strings.Replace(base, "/link/", "/Link/", 1))
	for _, link := range forged {
		res := ask(s, "GET", link, "HX-Request", "true")
		if body := text(t, res); res.StatusCode == http.StatusOK || strings.Contains(body, "news.example") {
			t.Errorf("%s: status %d\n%.200s", link, res.StatusCode, body)
		}
	}
	now = at.Add(2 * time.Hour)
	if res := ask(s, "GET", base); res.StatusCode != http.StatusForbidden {
		t.Errorf("after its time: status %d", res.StatusCode)
	}
	if _, err := web.Link([]byte("short"), "shop.example", at); err == nil {
		t.Error("a short key signs")
	}
	if res := ask(dashboard(t, database(t, sample()), nil), "GET", base); res.StatusCode != http.StatusForbidden {
		t.Errorf("without a key: status %d", res.StatusCode)
	}
}

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

// TestFailing holds that a client sees no internal error of the store, but does see that the
// database does not exist yet.
func TestFailing(t *testing.T) {
	db := database(t, sample())
	var err error
	s := dashboard(t, db, func(o *web.Options) {
		read := o.Read
		o.Read = func(ctx context.Context) (store.Reader, error) {
			if err != nil {
				return nil, err
			}
			return read(ctx)
		}
	})
	for _, c := range []struct {
		err    error
		status int
		says   string
	}{
		{nil, 200, ""},
		{fmt.Errorf("open /secret/path: %w", io.ErrUnexpectedEOF), 500, "log of 'bouncelog serve'"},
		{fmt.Errorf("open /secret/path: %w", store.ErrMissing), 503, "no database yet"},
		{context.DeadlineExceeded, 503, "shorter period"},
		{store.ErrLocked, 503, "locked"},
	} {
		err = c.err
		for _, accept := range []string{"text/html", "*/*"} {
			res := ask(s, "GET", "/providers?since="+url.QueryEscape(fmt.Sprint(c.status, "h")), "Accept", accept)
			body := text(t, res)
			if res.StatusCode != c.status || !strings.Contains(strings.ReplaceAll(body, "&#39;", "'"), c.says) || strings.Contains(body, "/secret") {
				t.Errorf("%v: status %d\n%.300s", c.err, res.StatusCode, body)
			}
		}
	}
}

// TestEncryption holds how Postfix's words are interpreted.
func TestEncryption(t *testing.T) {
	s := dashboard(t, database(t, sample()), nil)
	var page struct {
		Tables struct {
			Encryption []map[string]any `json:"encryption"`
		} `json:"tables"`
	}
	if err := json.Unmarshal([]byte(text(t, ask(s, "GET", "/tls.json"))), &page); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, row := range page.Tables.Encryption {
		if row["provider"] != "bigmail.example" {
			continue
		}
		found = true
		clear, enc, ver := row["in_the_clear"].(float64), row["encrypted"].(float64), row["verified"].(float64)
		if clear == 0 || enc == 0 || ver == 0 || row["policy_not_kept"].(float64) != 0 {
			t.Errorf("%v", row)
		}
	}
	if !found {
		t.Errorf("no row of the provider: %v", page)
	}
}

var heading = regexp.MustCompile(`(?s)<h1 class="verdict">(.*?)</h1>`)

// said returns the first heading of a page, without its tags.
func said(body string) string {
	m := heading.FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m[1], ""))
}

// TestTraceAnswers holds that a trace begins with the end of the last message to an address, or of
// all recipients of a message, whatever filter the linking page had.
func TestTraceAnswers(t *testing.T) {
	s := dashboard(t, database(t, sample()+corners()), nil)
	for query, want := range map[string]string{
		"gone7@big.example":    "Last message to gone7@big.example, 2026-11-23 09:07: returned to the sender after 1 s",
		"<LATE5@slow.example>": "Last message to LATE5@slow.example, 2026-11-23 09:05: greylisted; still queued as far as the log goes",
		"user4@big.example":    "Last message to user4@big.example, 2026-11-23 09:53: delivered after 1 s",
		"u0@big.example":       "Last message to u0@big.example, 2026-11-23 11:40: deferred (connection), then delivered after 1 h 0 min",
		"4A1B2C0001":           "Message 4A1B2C0001: delivered after 1 s",
		"nobody@big.example":   "No attempt found",
	} {
		if got := said(text(t, ask(s, "GET", "/trace?q="+url.QueryEscape(query)))); got != want {
			t.Errorf("%s: %q, not %q", query, got, want)
		}
	}
	if body := text(t, ask(s, "GET", "/trace?q=late5%40slow.example")); !strings.Contains(body, `Given up <b><span class="whole">2026-11-28 09:04</span></b>`) {
		t.Errorf("it does not say when the message is given up: %.3000s", body[strings.Index(body, "<h1"):])
	}
	for _, link := range links(text(t, ask(s, "GET", "/attempts?outcome=hard&reason=user_unknown&relay=mx1.bigmail.example&since=12d"))) {
		if q := link[strings.Index(link, "?")+1:]; strings.HasPrefix(link, "/trace?") && (strings.Contains(q, "outcome") || strings.Contains(q, "reason") || strings.Contains(q, "relay") || !strings.Contains(q, "since=12d")) {
			t.Errorf("the list leads to a part of a trace: %s", link)
		}
	}
}

// TestSearchPlaces holds that the search for a recipient domain, a provider or a relay leads to its
// page, if it has attempts.
func TestSearchPlaces(t *testing.T) {
	s := dashboard(t, database(t, sample()+`Nov 22 09:00:00 mx1 postfix/smtp[1]: 5B1B2C0400: to=<a@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)
`), func(o *web.Options) { o.Period = "1h" })
	for word, want := range map[string][]string{
		"gmail.com":            {"/domains/gmail.com?since=all", "/providers/google.com?since=all"},
		"Google":               {"/providers/google.com?since=all"},
		"BIG.example":          {"/domains/big.example?since=all"},
		"mx1.bigmail.example":  {"/providers/bigmail.example?since=all"},
		"Microsoft":            nil,
		"outlook.com":          nil,
		"550 5.1.1 gmail.com":  nil,
		"Connection timed out": nil,
	} {
		var got []string
		for _, link := range links(text(t, ask(s, "GET", "/trace?q="+url.QueryEscape(word)))) {
			if strings.HasPrefix(link, "/domains/") || strings.HasPrefix(link, "/providers/") {
				got = append(got, link)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s leads to %q, not to %q", word, got, want)
		}
	}
}

// TestProviderPage holds that the page of a provider shows the incidents that go on there, and that
// its command is about that provider only.
func TestProviderPage(t *testing.T) {
	s := dashboard(t, database(t, sample()), func(o *web.Options) { o.Now = func() time.Time { return at.Add(-23 * time.Hour) } })
	for name, want := range map[string]bool{"bigmail.example": true, "slow.example": false} {
		body := text(t, ask(s, "GET", "/providers/"+name))
		if got := strings.Contains(body, `<article class="incident`); got != want {
			t.Errorf("%s: an incident is shown: %v", name, got)
		}
		_, foot, _ := strings.Cut(body, "This page:")
		if _, foot, _ = strings.Cut(foot, `data-copy="`); !strings.Contains(foot[:max(strings.Index(foot, `"`), 0)], name) {
			t.Errorf("%s: the command is %.300s", name, foot)
		}
	}
}

// TestReasonBreaks holds that a main reason breaks at the underscore where two tables share the
// width of a page.
func TestReasonBreaks(t *testing.T) {
	s := dashboard(t, database(t, sample()), nil)
	if body := text(t, ask(s, "GET", "/?day=2026-11-23")); !strings.Contains(body, `<td role="cell" class="code" data-label="main reason">auth_<wbr>failure</td>`) {
		t.Error("a main reason does not break at the underscore")
	}
}

// TestNotCompared holds that the first page says why it shows no changes.
func TestNotCompared(t *testing.T) {
	s := dashboard(t, database(t, sample()), nil)
	for query, want := range map[string]string{
		"since=24h":      "A period that goes on, or has no start, is not compared.",
		"since=all":      "A period that goes on, or has no start, is not compared.",
		"day=2026-11-23": "Nothing is known of the period before.",
	} {
		if body := text(t, ask(s, "GET", "/?"+query)); !strings.Contains(body, want) {
			t.Errorf("%s does not say %q", query, want)
		}
	}
}

// TestTraceNewest holds that the newest of very many attempts are shown, the newest first.
func TestTraceNewest(t *testing.T) {
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "Nov 23 %02d:%02d:00 mx1 postfix/smtp[1]: 4A1B2C%04X: to=<one@big.example>, relay=mx1.bigmail.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n", 9+i/60, i%60, i)
	}
	body := text(t, ask(dashboard(t, database(t, b.String()), nil), "GET", "/trace?q=one%40big.example"))
	first, last, oldest := strings.Index(body, "2026-11-23 12:19:00"), strings.Index(body, "2026-11-23 09:50:00"), strings.Index(body, "2026-11-23 09:49:00")
	if first < 0 || last < first || oldest >= 0 || !strings.Contains(body, "The newest 150 attempts") {
		t.Errorf("the newest at %d, the last at %d, one too old at %d", first, last, oldest)
	}
}

// TestGivenUp holds the time at which the queue is given up: at the MTA's default age, or at the
// age of recently expired mail.
func TestGivenUp(t *testing.T) {
	waits := func(body string) (times []string) {
		rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		at := slices.Index(rows[0], "given up")
		for _, row := range rows[1:] {
			times = append(times, row[0]+" "+row[at])
		}
		return times
	}
	one := "Nov 23 21:00:00 mx1 postfix/smtp[1]: 5B1B2C0200: to=<w@slow.example>, relay=none, delay=3600, delays=3600/0/0/0, dsn=4.4.1, status=deferred (connect to mx.slow.example[192.0.2.2]:25: Connection timed out)\n" +
		"2026-11-23 20:00:00 1sAbCd-000001-Ab == e@slow.example R=dnslookup T=remote_smtp defer (110): Connection timed out H=mx.slow.example [192.0.2.2]\n"
	gone := "Nov 21 10:00:00 mx1 postfix/smtp[1]: 5B1B2C0300: to=<x@slow.example>, relay=none, delay=3600, delays=3600/0/0/0, dsn=4.4.1, status=deferred (connect to mx.slow.example[192.0.2.2]:25: Connection timed out)\n" +
		"Nov 22 09:10:00 mx1 postfix/smtp[1]: 5B1B2C0300: to=<x@slow.example>, relay=none, delay=87000, delays=87000/0/0/0, dsn=4.4.1, status=deferred (connect to mx.slow.example[192.0.2.2]:25: Connection timed out)\n" +
		"Nov 22 09:11:00 mx1 postfix/qmgr[1]: 5B1B2C0300: from=<a@shop.example>, status=expired, returned to sender\n" +
		"Nov 22 09:12:00 mx1 postfix/smtp[1]: 5B1B2C0301: to=<y@slow.example>, relay=none, delay=60, delays=60/0/0/0, dsn=4.4.1, status=deferred (connect to mx.slow.example[192.0.2.2]:25: Connection timed out)\n" +
		"Nov 22 09:13:00 mx1 postfix/qmgr[1]: 5B1B2C0301: from=<a@shop.example>, status=force-expired, returned to sender\n"
	for log, want := range map[string][]string{
		one:        {"w@slow.example 2026-11-28 20:00", "e@slow.example 2026-11-27 20:00"},
		gone + one: {"w@slow.example 2026-11-24 20:11", "e@slow.example 2026-11-27 20:00"}, // 24 h 11 min
	} {
		s := dashboard(t, database(t, log), nil)
		got := waits(text(t, ask(s, "GET", "/queue.csv")))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("given up: %q, not %q", got, want)
		}
		body := text(t, ask(s, "GET", "/"))
		if earliest := slices.MinFunc(want, func(a, b string) int { return strings.Compare(a[len(a)-16:], b[len(b)-16:]) }); !strings.Contains(body, "First given up "+earliest[len(earliest)-16:]) {
			t.Errorf("the first page does not say that %s is the first", earliest)
		}
	}
}

// TestWarning holds that the page of an incident and of an attempt show the MTA's warning just
// before, and that the pages of a link do not: it may be about others.
func TestWarning(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		stamp := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC).Add(time.Duration(i) * 3 * time.Minute).Format("Jan _2 15:04:05")
		fmt.Fprintf(&b, "%[1]s mx1 postfix/qmgr[1]: 4A1B2C%04[2]X: from=<letter@shop.example>, size=1, nrcpt=1 (queue active)\n", stamp, i)
		fmt.Fprintf(&b, "%s mx1 postfix/lmtp[%d]: fatal: open <b>/home/hans/secret.db</b>: Permission denied\n", stamp, 100+i)
		fmt.Fprintf(&b, "%s mx1 postfix/error[2]: 4A1B2C%04X: to=<user%d@big%d.example>, relay=none, delay=1, delays=0/0/0/1, dsn=4.3.0, status=deferred (unknown mail transport error)\n", stamp, i, i, i%15)
	}
	const warning = "postfix/lmtp: fatal: open &lt;b&gt;/home/hans/secret.db&lt;/b&gt;: Permission denied"
	s := dashboard(t, database(t, b.String()), func(o *web.Options) { o.Key = []byte(strings.Repeat("k", web.KeyLength)) })
	pages := 0
	crawl(t, s, 300, []string{"/?since=30d", "/incidents?since=30d"}, func(link, body string) {
		if path, query, _ := strings.Cut(link, "?"); strings.HasPrefix(path, "/incidents/") && !strings.Contains(query, "rows=") || strings.HasPrefix(path, "/attempts/") {
			if pages++; !strings.Contains(body, warning) {
				t.Errorf("%s does not show the warning", link)
			}
		}
	})
	if pages < 2 {
		t.Errorf("%d pages of incidents and attempts", pages)
	}
	base := must(web.Link([]byte(strings.Repeat("k", web.KeyLength)), "shop.example", at.Add(time.Hour)))
	n := crawl(t, s, 300, []string{base + "?since=30d", base + "incidents?since=30d", base + "now.json?since=30d", base + "incidents.json?since=30d", base + "attempts.csv?since=30d"}, func(link, body string) {
		if strings.Contains(body, "secret.db") {
			t.Errorf("%s shows the warning", link)
		}
	})
	if n < 20 {
		t.Errorf("%d pages of a link", n)
	}
}

// TestLinkApart holds that a link reveals nothing about others affected by the same incident, about
// the account that floods, or about other mail to the same places.
func TestLinkApart(t *testing.T) {
	var b strings.Builder
	for i := range 400 {
		id, from, login := fmt.Sprintf("4A1B2C%04X", i), "letter@shop.example", "shopper"
		if i%2 == 1 {
			from, login = "paper@secret.example", "hans@secret.example"
		}
		stamp := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC).Add(time.Duration(i) * 3 * time.Minute).Format("Jan _2 15:04:05")
		fmt.Fprintf(&b, "%s mx1 postfix/smtpd[1]: %s: client=client.secret.example[198.51.100.7], sasl_method=PLAIN, sasl_username=%s\n", stamp, id, login)
		fmt.Fprintf(&b, "%s mx1 postfix/qmgr[1]: %s: from=<%s>, size=1, nrcpt=1 (queue active)\n", stamp, id, from)
		status := "dsn=2.0.0, status=sent (250 2.0.0 Ok)"
		if i > 200 {
			status = "dsn=5.7.26, status=bounced (host mx1.bigmail.example[192.0.2.1] said: 550 5.7.26 This mail is unauthenticated, SPF and DKIM did not pass for " + from + " (in reply to end of DATA command))"
		}
		fmt.Fprintf(&b, "%s mx1 postfix/smtp[1]: %s: to=<user%d@big.example>, relay=mx1.bigmail.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, %s\n", stamp, id, i%40, status)
	}
	key := []byte(strings.Repeat("k", web.KeyLength))
	s := dashboard(t, database(t, b.String()), func(o *web.Options) { o.Key, o.Token = key, "the-token" })
	base := must(web.Link(key, "shop.example", at.Add(time.Hour)))
	look := func(link, body string) {
		if at := strings.Index(body, "secret.example"); at >= 0 {
			t.Errorf("%s shows another's: %.200s", link, body[max(at-100, 0):])
		}
		if strings.Contains(body, "198.51.100.7") || strings.Contains(body, "shopper") {
			t.Errorf("%s shows a client or a login", link)
		}
	}
	n := crawl(t, s, 300, []string{base + "?since=30d", base + "incidents?since=30d", base + "now.json?since=30d", base + "incidents.json?since=30d"}, func(link, body string) {
		look(link, body)
		path, query, _ := strings.Cut(link, "?")
		if path != strings.TrimSuffix(path, "/") || strings.HasSuffix(path, "json") || strings.HasSuffix(path, "csv") {
			return
		}
		for _, form := range []string{".csv", ".json"} {
			look(path+form, text(t, ask(s, "GET", path+form+"?"+query)))
		}
	})
	if n < 100 || !strings.Contains(text(t, ask(s, "GET", base+"incidents?since=30d")), "shop.example") {
		t.Errorf("%d pages, or no incident", n)
	}
}

// TestStandardDay holds that a date as the standard period is that day, and not all time since.
func TestStandardDay(t *testing.T) {
	db := database(t, sample())
	for period, want := range map[string]string{"2026-11-22": "--day 2026-11-22", "2026-11-23": "--day 2026-11-23", "24h": "--since 24h"} {
		s := dashboard(t, db, func(o *web.Options) {
			o.Period, o.Now = period, func() time.Time { return at.Add(24 * time.Hour) }
		})
		page := text(t, ask(s, "GET", "/providers"))
		if some := period == "2026-11-23"; strings.Contains(page, "bigmail.example") != some && period != "24h" {
			t.Errorf("%s: mail %v, want %v", period, !some, some)
		}
		if !strings.Contains(page, want) {
			t.Errorf("%s: no %q in\n%s", period, want, page)
		}
	}
}

// TestLastReply holds that the page of a domain shows the newest of a recipient's replies, whenever a reply
// was seen first.
func TestLastReply(t *testing.T) {
	var b strings.Builder
	for i, says := range []string{"550 5.1.1 No such user", "550 5.2.1 Mailbox disabled", "550 5.1.1 No such user"} {
		stamp := time.Date(2026, 11, 23, 9, i, 0, 0, time.UTC).Format("Jan _2 15:04:05")
		fmt.Fprintf(&b, "%s mx1 postfix/qmgr[1]: 4A1B2C%04X: from=<a@shop.example>, size=1, nrcpt=1 (queue active)\n", stamp, i)
		fmt.Fprintf(&b, "%s mx1 postfix/smtp[1]: 4A1B2C%04X: to=<gone@big.example>, relay=mx1.big.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=%s, status=bounced (host mx1.big.example[192.0.2.1] said: %s (in reply to RCPT TO command))\n", stamp, i, says[4:9], says)
	}
	s := dashboard(t, database(t, b.String()), nil)
	if page := text(t, ask(s, "GET", "/domains/big.example.json")); !strings.Contains(page, `"last_reply": "550 5.1.1 No such user"`) {
		t.Errorf("no newest reply in %s", page)
	}
}

// TestRecoveredInstances holds that the deliveries of deferred mail are those of the same queue: two
// instances of Postfix on a host may use the same queue id.
func TestRecoveredInstances(t *testing.T) {
	line := func(at, instance, result string) string {
		return "Nov 23 " + at + " mx1 " + instance + "/smtp[1]: 4A1B2C3D4E: to=<u@big.example>, relay=mx.big.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, " + result + "\n"
	}
	const soft, sent = "dsn=4.2.0, status=deferred (host mx.big.example[192.0.2.1] said: 450 4.2.0 Greylisted (in reply to RCPT TO command))", "dsn=2.0.0, status=sent (250 2.0.0 Ok)"
	s := dashboard(t, database(t, line("09:00:00", "postfix-in", soft)+line("09:10:00", "postfix-out", sent)), nil)
	if body := text(t, ask(s, "GET", "/attempts.csv?since=all&end=recovered")); strings.Contains(body, "4A1B2C3D4E") {
		t.Errorf("a delivery by another instance: %s", body)
	}
	s = dashboard(t, database(t, line("09:00:00", "postfix-in", soft)+line("09:10:00", "postfix-in", sent)), nil)
	if body := text(t, ask(s, "GET", "/attempts.csv?since=all&end=recovered")); !strings.Contains(body, "4A1B2C3D4E") {
		t.Errorf("no delivery: %s", body)
	}
}
