package web

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/store"
)

// scannedAtMost is the maximum number of attempts read for a page with a condition that a store
// cannot select by.
const scannedAtMost = 50_000

// A match is a condition that a store cannot select by, with its words.
type match struct {
	words []string
	ok    func(*store.Attempt) bool
}

// lacking has the conditions for missing values that no filter of a store selects, by their word.
var lacking = map[string]lack{
	"domain":   {func(a *store.Attempt) bool { return a.RecipientDomain == "" }, []string{"recipient_domain"}},
	"relay":    {func(a *store.Attempt) bool { return a.RelayHost == "" }, []string{"relay_host"}},
	"sender":   {func(a *store.Attempt) bool { return a.SenderDomain == "" }, []string{"sender_domain"}},
	"host":     {func(a *store.Attempt) bool { return a.Host == "" }, []string{"host"}},
	"provider": {func(a *store.Attempt) bool { return a.RecipientDomain == "" && a.RelayHost == "" }, []string{"recipient_domain", "relay_host"}},
}

// A lack is a condition, and the columns of the view deliveries that are empty then.
type lack struct {
	ok      func(*store.Attempt) bool
	columns []string
}

// likeTemplate returns a pattern for SQL's LIKE that matches the responses of a template.
func likeTemplate(template string) string {
	return strings.NewReplacer(
		bounce.TokenAddr, "%", bounce.TokenIP, "%", bounce.TokenHost, "%", bounce.TokenID, "%", bounce.TokenN, "%", bounce.TokenBrace, "{", "%", `\%`, "_", `\_`, `\`, `\\`,
	).Replace(template)
}

// recovered is the word for deliveries of messages deferred before.
const recovered = "recovered"

// deferredBefore finds the deliveries, among the attempts that match f, of messages deferred before
// for the same recipient. It examines the newest scannedAtMost deferrals.
func deferredBefore(ctx context.Context, r store.Reader, f store.Filter) (func(*store.Attempt, string) bool, error) {
	f.Outcomes, f.Reasons, f.Relay, f.To = []bounce.Outcome{bounce.Soft}, nil, "", nil // the first try may have been at another relay
	if !f.Since.IsZero() {
		f.Since = f.Since.Add(-report.QueueLifetime)
	}
	found := map[store.Pair]bool{}
	for a, err := range r.Attempts(ctx, f, store.Page{Newest: true, Limit: scannedAtMost}) {
		if err != nil {
			return nil, err
		}
		found[a.Pair()] = true
	}
	return func(a *store.Attempt, _ string) bool { return found[a.Pair()] }, nil
}

// ofAddress is the word for permanent failures that lie with the recipient's address.
const ofAddress = "address"

// attempts lists the attempts, the newest first, or shows one.
func (v *screen) attempts(ctx context.Context, r store.Reader, req *http.Request, ref string) error {
	if ref != "" {
		return v.attempt(ctx, r, ref)
	}
	v.Name, v.Title, v.Phrases = "attempts", "Attempts", phrases("Delivery attempts, newest first")
	q := req.URL.Query()
	f, m, conditions, err := v.askedAttempts(ctx, r, q)
	if err != nil {
		return err
	}
	limit := perPage
	if v.form != formHTML {
		limit = attemptsAtMost
	}
	page := store.Page{Limit: limit + 1}
	if word := v.extra.Get("after"); word != "" {
		after, ok := parseRef(word)
		if !ok {
			return mistakef(http.StatusBadRequest, "This page of the list does not exist.")
		}
		page.After = after
	}
	if m.ok != nil {
		page.Limit = 0
	}
	found, stopped, err := v.newest(ctx, r, f, page, limit+1, m.ok)
	if err != nil {
		return err
	}
	if len(found) > 0 && q.Get("reply") != "" {
		conditions = append(conditions, "response LIKE "+sqlText(likeTemplate(bounce.TemplateOf(&found[0].Delivery).Text))+` ESCAPE '\'`)
	}
	v.Command = queryCommand("SELECT time, outcome, recipient, relay_host, reason, response, queue_id FROM deliveries", &f, "ORDER BY at DESC", conditions...)
	l := v.attemptList()
	for i := range found[:min(len(found), limit)] {
		l.Rows = append(l.Rows, v.attemptRow(&found[i]))
	}
	if len(found) > limit {
		last := found[limit-1].Ref()
		l.Next = &anchor{fmt.Sprintf("next %d", limit), v.self("after", refText(last))}
	} else if stopped {
		l.Note = fmt.Sprintf("%d attempts were looked at; a shorter period may show more.", scannedAtMost)
	}
	if page.After != (store.Ref{}) {
		l.First = &anchor{"newest", v.self("after", "")}
	}
	if len(m.words) > 0 {
		v.Facts = append(v.Facts, report.Fact{Label: "Only", Value: strings.Join(m.words, ", ")})
	}
	v.Tables = append(v.Tables, l)
	return nil
}

// askedAttempts returns what the keys of a URL select: by a filter, by a match for what no filter
// selects, and as conditions of SQL for the command beyond the filter.
func (v *screen) askedAttempts(ctx context.Context, r store.Reader, q url.Values) (f store.Filter, m match, conditions []string, err error) {
	f = v.sel.filter
	also := func(key, name string, ok func(*store.Attempt, string) bool) {
		word := q.Get(key)
		if word == "" {
			return
		}
		m.words = append(m.words, name+" "+word)
		if ok != nil {
			before := m.ok
			m.ok = func(a *store.Attempt) bool { return (before == nil || before(a)) && ok(a, word) }
		}
	}
	also("provider", "provider", nil)
	also("reply", "reply", func(a *store.Attempt, word string) bool { return replyID(bounce.TemplateOf(&a.Delivery).Text) == word })
	also("sender", "sender", func(a *store.Attempt, word string) bool { return a.SenderKnown && a.Sender == word })
	also("login", "login", nil)
	also("client", "client", func(a *store.Attempt, word string) bool { return a.ClientIP == word })
	also("recipient", "recipient", nil)
	also("relay-host", "relay host", func(a *store.Attempt, word string) bool { return ascii.Lower(a.RelayHost) == ascii.Lower(word) })
	also("permanent", "permanent failures:", func(a *store.Attempt, word string) bool {
		if word == ofAddress {
			return report.OwnFault(a.Outcome, &a.Verdict)
		}
		return a.Outcome == bounce.Hard || a.Code/100 == 5
	})
	also("answer", "answer", func(a *store.Attempt, word string) bool {
		return slices.Contains(strings.Split(word, ","), report.AnswerID(a))
	})
	also("none", "without a", func(a *store.Attempt, word string) bool { return lacking[word].ok == nil || lacking[word].ok(a) })
	if q.Get("end") == recovered {
		ok, err := deferredBefore(ctx, r, f)
		if err != nil {
			return f, m, nil, err
		}
		f.Outcomes = []bounce.Outcome{bounce.Delivered}
		also("end", "in the end", ok)
	}
	also("tls", "TLS", func(a *store.Attempt, word string) bool {
		return a.RelayHost != "" && a.Outcome != bounce.Handoff && a.Outcome != bounce.Probe && encryptionOf(a.TLS).String() == word
	})
	if name := q.Get("provider"); name != "" {
		routes, _, err := v.routes(ctx, r)
		if err != nil {
			return f, m, nil, err
		}
		f.To = routes.Destination(name)
	}
	if word := q.Get("recipient"); word != "" {
		f.Recipients = []string{word}
		conditions = append(conditions, "recipient = "+sqlText(word)+" COLLATE NOCASE")
	}
	if word := q.Get("sender"); word != "" {
		f.Senders = []string{word} // in any case of letters
	}
	if word := q.Get("login"); word != "" {
		f.Logins = []string{word}
	}
	if word := q.Get("relay-host"); word != "" {
		f.Relay = word // and the hosts below it
		conditions = append(conditions, "relay_host = "+sqlText(word)+" COLLATE NOCASE")
	}
	switch q.Get("permanent") {
	case "":
	case ofAddress:
		if len(f.Reasons) == 0 {
			f.Reasons = store.Faults
		}
	default:
		conditions = append(conditions, "(outcome = 'hard' OR code BETWEEN 500 AND 599)")
	}
	for _, x := range []struct{ key, column string }{{"sender", "sender"}, {"login", "sasl_user"}, {"client", "client_ip"}} {
		if word := q.Get(x.key); word != "" {
			conditions = append(conditions, x.column+" = "+sqlText(word))
		}
	}
	for _, column := range lacking[q.Get("none")].columns {
		conditions = append(conditions, "coalesce("+column+", '') = ''")
	}
	if q.Get("end") == recovered {
		conditions = append(conditions, "(queue_id, recipient) IN (SELECT queue_id, recipient FROM deliveries WHERE outcome = 'soft')")
	}
	return f, m, conditions, nil
}

// attemptsAtMost is the maximum number of attempts in a CSV or JSON document.
const attemptsAtMost = 10_000

// attemptList returns an empty list of attempts; attemptRow returns its rows. Its CSV has all fields.
func (v *screen) attemptList() *list {
	l := &list{Name: "attempts", Title: "Attempts", Empty: "No such attempt in this period.", Columns: []table.Column{
		{Name: "time"}, {Name: "outcome"}, {Name: "recipient", Flex: true}, {Name: "relay"}, {Name: "reason"}, {Name: "reply", Flex: true}, {Name: "queue id"},
	}}
	if v.form == formCSV {
		l.Columns, _ = v.fields(&store.Attempt{})
	}
	return l
}

func (v *screen) attemptRow(a *store.Attempt) row {
	if v.form == formCSV {
		_, x := v.fields(a)
		return x
	}
	to := v.attemptURL(a.Ref())
	return row{URL: to, Cells: []cell{
		{Value: table.Text(when.Stamp(a.Time.In(v.o.Location), "2006-01-02 15:04:05")), URL: to},
		{Value: a.Outcome.String(), Class: outcomeClass(a)},
		{Value: a.Recipient, URL: v.url("trace", "q", a.Recipient)},
		{Value: firstWord(a.RelayHost, a.Agent), URL: v.relayURL(a)},
		{Value: a.Reason.String()},
		{Value: reply(a)},
		{Value: a.QueueID, URL: v.url("trace", "q", a.QueueID)},
	}}
}

// backwards yields the attempts that match f, the newest first. It queries one hour, then ever
// longer stretches before it, since a store sorts all results of a query. For 600,000 attempts in a
// day, the newest 50 took 210 ms of CPU time in one query, and take 17 ms this way.
func (v *screen) backwards(ctx context.Context, r store.Reader, f store.Filter, p store.Page) iter.Seq2[*store.Attempt, error] {
	p.Newest = true
	end := v.sel.now
	if p.After != (store.Ref{}) {
		end = time.Unix(p.After.Time, 0)
	} else if !f.Until.IsZero() && f.Until.Before(end) {
		end = f.Until
	}
	return func(yield func(*store.Attempt, error) bool) {
		part := f
		for length := time.Hour; ; length *= 4 {
			part.Since = end.Add(-length).Truncate(time.Second)
			last := part.Since.Before(f.Since) || length > longest
			if last {
				part.Since = f.Since
			}
			for a, err := range r.Attempts(ctx, part, p) {
				if !yield(a, err) || err != nil {
					return
				}
			}
			if last {
				return
			}
			part.Until = part.Since
		}
	}
}

// longest is longer than the age of any mail.
const longest = 100 * 365 * day

// newest reads the attempts that match f and for which ok returns true. stopped reports whether it
// gave up after scannedAtMost attempts.
func (v *screen) newest(ctx context.Context, r store.Reader, f store.Filter, p store.Page, limit int, ok func(*store.Attempt) bool) (found []store.Attempt, stopped bool, err error) {
	seen := 0
	for a, err := range v.backwards(ctx, r, f, p) {
		if err != nil {
			return nil, false, err
		}
		if seen++; ok != nil && seen > scannedAtMost {
			return found, true, nil
		}
		if ok == nil || ok(a) {
			if found = append(found, *a); len(found) == limit {
				break
			}
		}
	}
	return found, false, nil
}
