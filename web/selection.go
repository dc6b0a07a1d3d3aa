package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/store"
)

// selectKeys are the keys of a URL that select attempts, named and ordered like the options of the
// command line.
var selectKeys = []string{"since", "until", "day", "domain", "sender-domain", "relay", "host", "mta", "outcome", "reason"}

// selectNames are those that hold a name as the log has it, which may begin with a blank.
var selectNames = []string{"domain", "sender-domain", "relay", "host"}

// A selection is the set of attempts of a page, in words and as a filter.
type selection struct {
	words  url.Values // values of the given selectKeys
	filter store.Filter
	now    time.Time
	open   bool // the period ends now
}

// all is the word for a period without a start.
const all = "all"

// selection parses the selection of a query.
func (o *Options) selection(q url.Values) (*selection, error) {
	sel := &selection{words: url.Values{}, now: o.Now().In(o.Location)}
	for _, key := range selectKeys {
		for _, word := range q[key] {
			if !slices.Contains(selectNames, key) {
				word = strings.TrimSpace(word)
			}
			if word != "" && len(sel.words[key]) < 20 {
				sel.words.Add(key, word)
			}
		}
	}
	get := sel.words.Get
	since, until, day := get("since"), get("until"), get("day")
	if since+until+day == "" {
		if since = o.Period; isPeriod(since) {
			since, day = "", since
		}
	}
	f := &sel.filter
	*f = store.Filter{
		Domain: ascii.Lower(get("domain")), SenderDomain: ascii.Lower(get("sender-domain")),
		Relay: ascii.Lower(get("relay")), Host: get("host"), MTA: bounce.MTA(get("mta")),
	}
	if day != "" {
		p, err := when.ParsePeriod(day, sel.now)
		if err != nil {
			return nil, mistakef(http.StatusBadRequest, "%v. A period is today, yesterday, monday, last_week, last_7_days, 2026-W47, 2026-11, 2026-11-22 or \"2026-11-01 to 2026-11-15\".", err)
		}
		f.Since, f.Until = p.Since, p.Until
	} else {
		for _, end := range []struct {
			word string
			t    *time.Time
		}{{since, &f.Since}, {until, &f.Until}} {
			if end.word == "" || end.word == all {
				continue
			}
			t, err := when.ParseTime(end.word, sel.now)
			if err != nil {
				return nil, mistakef(http.StatusBadRequest, "%v. A time is 2026-11-22, \"2026-11-22 14:05\", or 24h or 7d for as long ago.", err)
			}
			*end.t = t.Truncate(time.Second)
		}
	}
	sel.open = f.Until.IsZero() || f.Until.After(sel.now)
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return nil, mistakef(http.StatusBadRequest, "The period ends before it begins.")
	}
	switch f.MTA {
	case "", bounce.Postfix, bounce.Exim:
	default:
		return nil, mistakef(http.StatusBadRequest, "There is no such MTA; there are postfix and exim.")
	}
	for _, word := range sel.words["outcome"] {
		o, ok := bounce.ParseOutcome(word)
		if !ok || o == bounce.NoOutcome {
			return nil, mistakef(http.StatusBadRequest, "There is no such outcome; there are delivered, soft, hard, handoff and probe.")
		}
		f.Outcomes = append(f.Outcomes, o)
	}
	for _, word := range sel.words["reason"] {
		if word == suspect {
			f.Reasons = append(f.Reasons, suspects...)
			continue
		}
		r, ok := bounce.ParseReason(word)
		if !ok || r == bounce.NoReason {
			return nil, mistakef(http.StatusBadRequest, "There is no such reason; 'bouncelog explain --reasons' lists them.")
		}
		f.Reasons = append(f.Reasons, r)
	}
	return sel, nil
}

// isPeriod reports whether a standard period has a beginning and an end, such as yesterday or 2026-11-22.
// 24h and 7d have only a beginning.
func isPeriod(word string) bool {
	return word != all && (!strings.ContainsAny(word[:1], "0123456789") || strings.Contains(word, "-"))
}

func firstWord(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// period returns the word of the period in the navigation.
func (sel *selection) period(standard string) string {
	switch since, until, day := sel.words.Get("since"), sel.words.Get("until"), sel.words.Get("day"); {
	case since+until+day == "":
		return standard
	case day != "":
		return day
	case until != "":
		return firstWord(since, "…") + " – " + until
	default:
		return since
	}
}

// command returns the equivalent command line: words and the selection, except the keys in without.
func (sel *selection) command(standard string, without []string, words ...string) string {
	line := []string{"bouncelog"}
	for _, w := range words {
		line = append(line, table.ShellWord(w))
	}
	given := sel.words.Get("since") + sel.words.Get("until") + sel.words.Get("day")
	if given == "" && standard != all && !slices.Contains(without, "since") {
		if isPeriod(standard) {
			line = append(line, "--day", table.ShellWord(standard))
		} else {
			line = append(line, "--since", standard)
		}
	}
	for _, key := range selectKeys {
		if slices.Contains(without, key) {
			continue
		}
		for _, word := range sel.words[key] {
			if key == "since" && word == all {
				continue
			}
			if key == "reason" && word == suspect {
				names := make([]string, len(suspects))
				for i, r := range suspects {
					names[i] = r.String()
				}
				word = strings.Join(names, ",")
			}
			line = append(line, "--"+key+"="+table.ShellWord(word))
		}
	}
	return strings.Join(line, " ")
}

// queryCommand returns the command line that reads the attempts of a filter from the view
// deliveries; rest are further conditions.
func queryCommand(what string, f *store.Filter, order string, rest ...string) string {
	var all []string
	is := func(column, value string) {
		if value != "" {
			all = append(all, column+" = "+sqlText(value))
		}
	}
	if !f.Since.IsZero() {
		all = append(all, "time >= "+sqlText(f.Since.UTC().Format(time.RFC3339)))
	}
	if !f.Until.IsZero() {
		all = append(all, "time < "+sqlText(f.Until.UTC().Format(time.RFC3339)))
	}
	is("recipient_domain", f.Domain)
	is("sender_domain", f.SenderDomain)
	is("host", f.Host)
	is("mta", string(f.MTA))
	if f.Relay != "" {
		all = append(all, sqlRelay(f.Relay))
	}
	if f.To != nil {
		var places []string
		for _, suffix := range f.To.Relays {
			places = append(places, sqlRelay(suffix))
		}
		if len(f.To.Domains) > 0 {
			domains := make([]string, len(f.To.Domains))
			for i, name := range f.To.Domains {
				domains[i] = sqlText(name)
			}
			places = append(places, "coalesce(relay_host, '') = '' AND coalesce(recipient_domain, '') IN ("+strings.Join(domains, ", ")+")")
		}
		if len(places) == 0 {
			places = []string{"0"} // no mail goes there
		}
		all = append(all, "("+strings.Join(places, " OR ")+")")
	}
	oneOf := func(column string, names []string) {
		if len(names) > 0 {
			all = append(all, column+" IN ("+strings.Join(names, ", ")+")")
		}
	}
	var outcomes, reasons []string
	for _, o := range f.Outcomes {
		outcomes = append(outcomes, sqlText(o.String()))
	}
	for _, r := range f.Reasons {
		reasons = append(reasons, sqlText(r.String()))
	}
	oneOf("outcome", outcomes)
	oneOf("reason", reasons)
	if all = append(all, rest...); len(all) > 0 {
		what += " WHERE " + strings.Join(all, " AND ")
	}
	return "bouncelog query " + table.ShellWord(what+" "+order)
}

// sqlRelay returns the SQL condition of store.Filter.Relay.
func sqlRelay(suffix string) string {
	return "'.' || relay_host LIKE " + sqlText("%."+suffix)
}

// sqlText quotes a text for SQL.
func sqlText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// suspect is the word for the reasons of refusals on our side or without a named reason. It keeps
// the URLs short.
const suspect = "refused"

// suspects are the reasons that suspect stands for.
var suspects = bounce.Reasons(bounce.Reason.RefusesSender)
