package web

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/store"
)

// tracedAtMost is how many attempts a page shows of what was asked for.
const tracedAtMost = 150

// trace is what happened to an address or a message, or what a reply means.
func (v *screen) trace(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	word := strings.TrimSpace(v.extra.Get("q"))
	v.Name, v.Title = "trace", "Search"
	v.Search = strings.Map(func(r rune) rune { // for the field of the search, which shows it again
		if r < ' ' || r == 0x7f || table.Hidden(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, word)
	v.Command = "bouncelog trace"
	if word == "" {
		v.Phrases = phrases("Trace of an address or a message")
		v.Notes = append(v.Notes, "Type a recipient's address, a queue id or a Message-ID; or paste a reply or a line of the log to have it explained.")
		return nil
	}
	f := v.sel.filter
	if len(v.sel.words["since"])+len(v.sel.words["until"])+len(v.sel.words["day"]) == 0 {
		f.Since, f.Until = time.Time{}, time.Time{} // who asks for one message does not care when
	}
	limit := tracedAtMost
	if v.form != formHTML {
		limit = 10_000
	}
	var found []store.Attempt
	if len(word) <= 1000 && !strings.ContainsAny(word, " \t\n") {
		var err error
		if found, err = report.Trace(ctx, r, f, word, limit+1); err != nil {
			return err
		}
	}
	v.Title = table.Cut(word, 100)
	if len(found) == 0 {
		v.Command = "bouncelog explain " + shellWord(word)
		d, x, err := v.server.o.Explain(word)
		if err != nil || !strings.ContainsAny(word, " \t") && d.Code == 0 && d.Enhanced == 0 {
			v.Phrases = phrases("No attempt found")
			v.Facts = append(v.Facts, report.Fact{Label: "Asked for", Value: table.Cut(word, 200)})
			v.Notes = append(v.Notes, "An address is looked for as the MTA logged it, a queue id and a Message-ID as a whole. Log says which time is covered.")
			v.Command = v.sel.command(all, nil, "trace", word)
			return nil
		}
		v.Phrases = phrases("Explanation of a reply")
		v.explain(d, x)
		if d.QueueID != "" {
			v.Parts = append(v.Parts, part{Title: "Go on", Links: []anchor{{"message " + d.QueueID, v.url("trace", "q", d.QueueID)}, {"all of " + d.Recipient, v.url("trace", "q", d.Recipient)}}})
		}
		return nil
	}
	v.Command = v.sel.command(all, nil, "trace", word)
	v.Phrases = phrases("Trace of " + table.Cut(word, 200))
	l := &list{Name: "attempts", Plain: true, Title: "Attempts, oldest first", Columns: []table.Column{
		{Name: "time"}, {Name: "outcome"}, {Name: "what happened", Flex: true}, {Name: "reply", Flex: true}, {Name: "in the end"}, {Name: "queue id"},
	}}
	if len(found) > limit {
		found = found[:limit]
		l.Note = "The first attempts of the period; there are more. Choose a shorter one."
	}
	whole, err := report.Ends(ctx, r, found)
	if err != nil {
		return err
	}
	ends := report.Endings(found, whole)
	states := map[string]int{}
	for i := range found {
		a := &found[i]
		end := ""
		if e := ends[i]; e != nil {
			end = e.Words
			states[e.State]++
		}
		to := v.attemptURL(a.Ref())
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{
			{Value: when.Stamp(a.Time.In(v.server.o.Location), "2006-01-02 15:04:05"), URL: to},
			{Value: a.Outcome.String(), Class: outcomeClass(a)},
			{Value: report.Sentence(a)},
			{Value: reply(a)},
			{Value: end},
			{Value: a.QueueID, URL: v.url("trace", "q", a.QueueID)},
		}})
	}
	v.Facts = append(v.Facts, report.Fact{Label: "Attempts", Value: len(found)})
	for _, s := range []string{"delivered", "returned", "dropped", "expired", "queued", "frozen", "removed", "completed", "discarded", "quarantined", "bounced", "handed_on", "probed"} {
		if states[s] > 0 {
			v.Facts = append(v.Facts, report.Fact{Label: "In the end " + strings.ReplaceAll(s, "_", " "), Value: states[s]})
		}
	}
	v.Tables = append(v.Tables, l)
	// The words of the last failure.
	for i := len(found) - 1; i >= 0; i-- {
		if found[i].Failed() && found[i].Response != "" {
			v.explain(&found[i].Delivery, v.server.o.Judge.Explain(&found[i].Delivery))
			v.Parts[len(v.Parts)-1].Title = "What the last failure means"
			break
		}
	}
	return nil
}
