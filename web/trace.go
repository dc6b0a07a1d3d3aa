package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/store"
)

// tracedAtMost is the number of attempts that a page shows.
const tracedAtMost = 150

// trace shows the history of an address or a message, or the meaning of a reply.
func (v *screen) trace(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	word := strings.TrimSpace(v.extra.Get("q"))
	v.Name, v.Title = "trace", "Search"
	v.Search = strings.Map(func(r rune) rune { // for the search field, which shows it again
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
		f.Since, f.Until = time.Time{}, time.Time{} // a message is found at any time
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
		return v.otherWord(ctx, r, f, word)
	}
	return v.history(ctx, r, word, found, limit)
}

// otherWord answers a search that found no attempt: the word is the name of a domain or a provider,
// or a reply or a line of the log, which is explained.
func (v *screen) otherWord(ctx context.Context, r store.Reader, f store.Filter, word string) error {
	v.Command = "bouncelog explain " + table.ShellWord(word)
	d, x, err := v.o.Explain(word)
	noCode := err != nil || d.Code == 0 && d.Enhanced == 0
	if noCode && len(word) <= 255 {
		if ok, err := v.named(ctx, r, f, word); ok || err != nil {
			return err
		}
	}
	if err != nil || noCode && !strings.ContainsAny(word, " \t") {
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

// history shows attempts that a search found, the newest first, how they ended, and what the last one
// means. If there are more than limit, it leaves out the oldest.
func (v *screen) history(ctx context.Context, r store.Reader, word string, found []store.Attempt, limit int) error {
	v.Command = v.sel.command(all, nil, "trace", word)
	l := &list{Name: "attempts", Plain: true, Title: "Attempts, newest first", Columns: []table.Column{
		{Name: "time"}, {Name: "outcome"}, {Name: "what happened", Flex: true}, {Name: "reply", Flex: true}, {Name: "in the end"}, {Name: "queue id"},
	}}
	if len(found) > limit {
		found = found[1:] // drops the oldest
		l.Note = fmt.Sprintf("The newest %s; there are more.", table.Count(int64(limit), "attempt"))
	}
	whole, err := report.Ends(ctx, r, found)
	if err != nil {
		return err
	}
	ends := report.Endings(found, whole)
	for i := range slices.Backward(found) {
		a := &found[i]
		end := ""
		if e := ends[i]; e != nil {
			end = e.Words
		}
		to := v.attemptURL(a.Ref())
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{
			{Value: when.Stamp(a.Time.In(v.o.Location), "2006-01-02 15:04:05"), URL: to},
			{Value: a.Outcome.String(), Class: outcomeClass(a)},
			{Value: report.Sentence(a)},
			{Value: reply(a)},
			{Value: end},
			{Value: a.QueueID, URL: v.url("trace", "q", a.QueueID)},
		}})
	}
	v.Facts = append(v.Facts, report.Fact{Label: "Attempts", Value: len(found)})
	states := countEnds(ends)
	for _, s := range endStates {
		if states[s.name] > 0 {
			v.Facts = append(v.Facts, report.Fact{Label: "In the end " + strings.ReplaceAll(s.name, "_", " "), Value: states[s.name]})
		}
	}
	v.Tables = append(v.Tables, l)
	v.Phrases = v.answer(word, found, ends)
	last := &found[len(found)-1]
	if arrived := last.Arrived(); ends[len(ends)-1].State == "queued" && !arrived.IsZero() {
		seen, err := v.expiries(ctx, r)
		if err != nil {
			return err
		}
		for _, x := range lifetimes {
			if x.mta == last.MTA {
				v.Facts = append(v.Facts, report.Fact{Label: "Given up", Value: v.time(arrived.Add(cmp.Or(seen[x.mta], x.life)))})
			}
		}
	}
	if last.Failed() && last.Response != "" {
		v.explain(&last.Delivery, v.o.Judge.Explain(&last.Delivery))
		v.Parts[len(v.Parts)-1].Title = "What this failure means"
	}
	return nil
}

// named links to the page of the recipient domain, and to those of the providers, that have this
// name and attempts in f. It reports whether there is one.
func (v *screen) named(ctx context.Context, r store.Reader, f store.Filter, word string) (ok bool, err error) {
	f.Outcomes, f.Reasons = nil, nil
	cells, err := r.Count(ctx, f, store.ByDomain, store.ByRelay)
	if err != nil {
		return false, err
	}
	answers := provider.OfHost(word)
	var period []string
	if f.Since.IsZero() && f.Until.IsZero() {
		period = []string{"since", all}
	}
	routes, places := report.RoutesOf(cells), part{Title: "Domain and provider"}
	add := func(kind, name, path string) {
		if link := (anchor{kind + " " + name, v.url(deep(path, name), period...)}); !slices.Contains(places.Links, link) {
			places.Links = append(places.Links, link)
		}
	}
	for i := range cells {
		if c := &cells[i]; c.Attempts > 0 {
			if c.Keys[0] != "" && strings.EqualFold(c.Keys[0], word) {
				add("domain", c.Keys[0], "domains")
			}
			if p := routes.Provider(c.Keys[0], c.Keys[1]); p != "" && (p == answers || strings.EqualFold(provider.Name(p), word)) {
				add("provider", p, "providers")
			}
		}
	}
	if len(places.Links) == 0 {
		return false, nil
	}
	v.Phrases, v.Parts = phrases("Mail to "+table.Cut(word, 200)), append(v.Parts, places)
	v.Command = v.sel.command(all, nil, "trace", word)
	return true, nil
}

// endStates are the states of report.Ending, in the order of the counts; true: nobody got the
// message, and nobody will.
var endStates = []struct {
	name string
	lost bool
}{
	{"delivered", false},
	{"returned", true},
	{"dropped", true},
	{"expired", true},
	{"queued", false},
	{"frozen", true},
	{"removed", true},
	{"completed", false},
	{"discarded", true},
	{"quarantined", false},
	{"bounced", true},
	{"handed_on", false},
	{"probed", false},
}

// answer says in a sentence how a message ended, or the last message to an address.
func (v *screen) answer(word string, found []store.Attempt, ends []*report.Ending) []report.Phrase {
	last := len(found) - 1
	a, end := &found[last], ends[last] // the newest attempt is the last one of its message
	about := "Message " + table.Cut(word, 200)
	if id := report.BareID(word); strings.EqualFold(id, a.Recipient) || strings.EqualFold(id, a.OriginalRecipient) {
		about = "Last message to " + table.Cut(id, 200) + ", " + v.time(a.Time).String()
	} else if n := countEnds(ends); len(n) > 1 {
		var parts []report.Phrase
		for _, s := range endStates {
			if n[s.name] > 0 {
				parts = append(parts, report.Phrase{Text: fmt.Sprintf("%d %s", n[s.name], strings.ReplaceAll(s.name, "_", " ")), Bad: s.lost}, report.Phrase{Text: ", "})
			}
		}
		return append([]report.Phrase{{Text: about + ": "}}, parts[:len(parts)-1]...)
	}
	lost := false
	for _, s := range endStates {
		lost = lost || s.lost && s.name == end.State
	}
	return []report.Phrase{{Text: about + ": "}, {Text: end.Words, Bad: lost}}
}

// countEnds counts endings by state.
func countEnds(ends []*report.Ending) map[string]int {
	n := map[string]int{}
	for _, e := range ends {
		if e != nil {
			n[e.State]++
		}
	}
	return n
}
