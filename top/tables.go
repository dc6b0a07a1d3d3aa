package top

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/report"
	"bouncelog/store"
)

// A change is a figure by name against that of the window before; nil: not known.
type change map[string]int64

// changeOf sums up both parts by name.
func changeOf[T any](b *both[T], sum func(list []T, add func(name string, n int64))) change {
	if b == nil {
		return nil
	}
	c := change{}
	sum(b.now, func(name string, n int64) { c[name] += n })
	sum(b.then, func(name string, n int64) { c[name] -= n })
	return c
}

// cell returns the change of a row.
func (c change) cell(name string) cell {
	switch d := c[name]; {
	case c == nil:
		return cell{text: "–"}
	case d == 0:
		return cell{text: "="}
	case d > 0:
		return cell{n: d, text: "+" + number(d, 6)}
	default:
		return cell{n: d, text: "−" + number(-d, 6)}
	}
}

// lastOf returns the newest failure for each key; the failures are in the order of the newest
// first.
func lastOf(recent []store.Attempt, key func(*store.Attempt) string) map[string]*store.Attempt {
	last := map[string]*store.Attempt{}
	for i := range recent {
		if k := key(&recent[i]); last[k] == nil {
			last[k] = &recent[i]
		}
	}
	return last
}

// sayings are the distinct reasons and replies among the attempts that a row counts, by the row.
type sayings map[string]map[string]bool

func (s sayings) add(key string, texts ...string) {
	if s[key] == nil {
		s[key] = map[string]bool{}
	}
	for _, text := range texts {
		s[key][strings.ToLower(text)] = true
	}
}

// failures adds the reasons and replies of failures.
func (s sayings) failures(list []store.Attempt, key func(*store.Attempt) string) {
	for i := range list {
		s.add(key(&list[i]), list[i].Reason.String(), replyText(&list[i]))
	}
}

// cells adds the reasons that cells count.
func (s sayings) cells(list []store.Cell, key func(*store.Cell) string) {
	for i := range list {
		for r, n := range list[i].Reasons {
			if n > 0 {
				s.add(key(&list[i]), r.String())
			}
		}
	}
}

// of returns those of a row, joined, in lower case.
func (s sayings) of(key string) string {
	return strings.Join(slices.Sorted(maps.Keys(s[key])), "  ")
}

// setLast gives a row its last failure and words. If the failure is not among the newest ones, the
// words are the reason.
func (x *row) setLast(last *store.Attempt) {
	x.last = last
	if last != nil {
		x.words, x.reason = replyText(last), last.Reason
	} else {
		x.words = reasonText(x.reason)
	}
}

// places returns the table of providers or domains, with those that mail waits for and those where
// nothing was tried last.
func places(now []store.Cell, compared *both[store.Cell], v view, recent []store.Attempt, queued []store.Queued) tableData {
	t := tableData{name: "provider", words: "last words", empty: "no mail in this window", key: 5, columns: []column{
		{name: "attempts", width: 8},
		{name: "deliv.", width: 6},
		{name: "soft", width: 5},
		{name: "wait", width: 5, least: 100},
		{name: "hard", width: 5},
		{name: "refused", width: 7},
		{name: "change", width: 7},
	}}
	routes := report.RoutesOf(now)
	by, key := report.ByProvider, func(a *store.Attempt) string { return routes.Provider(a.RecipientDomain, a.RelayHost) }
	if v == viewDomains {
		t.name, by = "domain", store.ByDomain
		key = func(a *store.Attempt) string { return a.RecipientDomain }
	}
	last, says := lastOf(recent, key), sayings{}
	says.failures(recent, key)
	says.cells(now, func(c *store.Cell) string {
		if v == viewDomains {
			return c.Keys[0]
		}
		return routes.Provider(c.Keys[0], c.Keys[1])
	})
	changes := changeOf(compared, func(list []store.Cell, add func(string, int64)) {
		for _, p := range report.Places(list, nil, by) {
			add(p.Provider, p.Refused)
		}
	})
	waits, waiting := map[string]int64{}, map[string]*store.Attempt{} // and the last attempt of what waits
	for i := range queued {
		q := &queued[i].Attempt
		name := key(q)
		waits[name]++
		if w := waiting[name]; w == nil || q.Time.After(w.Time) {
			waiting[name] = q
		}
		says.add(name, q.Reason.String(), replyText(q))
	}
	list := slices.DeleteFunc(report.Places(now, nil, by), func(p report.ProviderRow) bool { return p.Attempts == 0 })
	tried := len(list)
	for _, p := range list {
		if last[p.Provider] == nil && p.Soft+p.Hard == 0 { // it counts no other failure than what waits
			last[p.Provider] = waiting[p.Provider]
		}
		delete(waiting, p.Provider)
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		list = append(list, report.ProviderRow{Provider: name})
		last[name] = waiting[name]
	}
	slices.SortStableFunc(list[tried:], func(a, b report.ProviderRow) int { return cmp.Compare(waits[b.Provider], waits[a.Provider]) })
	for i := range list {
		p := &list[i]
		x := row{mark: p.Mark, name: p.Provider, says: says.of(p.Provider), reason: p.Reason, cells: []cell{
			{n: p.Attempts},
			{n: 100 * p.Delivered / max(p.Attempts, 1), text: fmt.Sprintf("%d %%", 100*p.Delivered/max(p.Attempts, 1))},
			{n: p.Soft},
			{n: waits[p.Provider]},
			{n: p.Hard},
			{n: p.Refused},
			changes.cell(p.Provider),
		}}
		if p.Attempts == 0 {
			x.cells[1] = cell{text: " "}
		}
		switch {
		case v == viewDomains:
			x.place.domain = p.Provider
		case p.Attempts == 0: // there is nothing but what waits
			x.place.waits = p.Provider
		default:
			x.place.provider = p.Provider
		}
		x.setLast(last[p.Provider])
		t.rows = append(t.rows, x)
	}
	return t
}

// failedTable returns a table of failures by one key.
func failedTable(name string, now []store.Cell, compared *both[store.Cell]) tableData {
	t := tableData{name: name, words: "last words", empty: "no failure in this window", columns: []column{
		{name: "failed", width: 7}, {name: "soft", width: 6}, {name: "hard", width: 6}, {name: "change", width: 7},
	}}
	changes := changeOf(compared, func(list []store.Cell, add func(string, int64)) {
		for i := range list {
			add(list[i].Keys[0], list[i].Soft+list[i].Hard)
		}
	})
	for i := range now {
		c := &now[i]
		n, key := c.Soft+c.Hard, c.Keys[0]
		if n == 0 {
			continue
		}
		t.rows = append(t.rows, row{name: key, cells: []cell{{n: n}, {n: c.Soft}, {n: c.Hard}, changes.cell(key)}})
	}
	slices.SortFunc(t.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.cells[0].n, a.cells[0].n), strings.Compare(a.name, b.name))
	})
	return t
}

func reasonsTable(now []store.Cell, compared *both[store.Cell], recent []store.Attempt) tableData {
	t := failedTable("reason", now, compared)
	key := func(a *store.Attempt) string { return a.Reason.String() }
	last, says := lastOf(recent, key), sayings{}
	says.failures(recent, key)
	for i := range t.rows {
		x := &t.rows[i]
		x.reason, _ = bounce.ParseReason(x.name)
		x.place.reason = x.reason
		x.says = says.of(x.name)
		x.mark = markOf(x.reason)
		x.setLast(last[x.name])
	}
	return t
}

// markOf returns the mark of failures with one reason: whether the reason is about us.
func markOf(r bounce.Reason) string {
	if r.RefusesSender() {
		return report.MarkRefuses
	}
	return report.MarkFails
}

func sendersTable(now []store.Cell, compared *both[store.Cell], recent []store.Attempt) tableData {
	t := failedTable("sender", now, compared)
	last, says := lastOf(recent, senderOf), sayings{}
	says.failures(recent, senderOf)
	says.cells(now, func(c *store.Cell) string { return c.Keys[0] })
	t.rows = slices.DeleteFunc(t.rows, func(x row) bool { return x.name == "" })
	for i := range t.rows {
		x := &t.rows[i]
		x.place.sender = x.name
		x.says = says.of(x.name)
		x.setLast(last[x.name])
	}
	return t
}

func senderOf(a *store.Attempt) string {
	if a.SenderKnown && a.Sender == "" {
		return "<>"
	}
	return a.Sender
}

// repliesTable returns the replies, whoever answered.
func repliesTable(now []store.Reply, compared *both[store.Reply], recent []store.Attempt) tableData {
	t := tableData{name: "reply", words: "text", empty: "no failure in this window", columns: []column{
		{name: "failed", width: 7}, {name: "soft", width: 6, least: 100}, {name: "hard", width: 6, least: 100}, {name: "change", width: 7}, {name: "reason", width: 15, words: true},
	}}
	changes := changeOf(compared, func(list []store.Reply, add func(string, int64)) {
		for i := range list {
			add(list[i].Template, list[i].Attempts)
		}
	})
	type sum struct {
		store.Reply   // the commonest
		n, soft, hard int64
		most          int64
	}
	sums, says := map[string]*sum{}, sayings{}
	for i := range now {
		x := &now[i]
		s := sums[x.Template]
		if s == nil {
			s = &sum{}
			sums[x.Template] = s
		}
		says.add(x.Template, x.Reason.String(), codes(x.Code, x.Enhanced))
		s.n += x.Attempts
		if x.Outcome == bounce.Hard {
			s.hard += x.Attempts
		} else {
			s.soft += x.Attempts
		}
		if x.Attempts > s.most || x.Attempts == s.most && x.Code > s.Code {
			s.Reply, s.most = *x, x.Attempts
		}
	}
	last := lastOf(recent, templateOf)
	says.failures(recent, templateOf)
	for template, s := range sums {
		x := row{name: codes(s.Code, s.Enhanced), words: template, says: says.of(template), reason: s.Reason, mark: markOf(s.Reason), last: last[template], cells: []cell{
			{n: s.n}, {n: s.soft}, {n: s.hard}, changes.cell(template), {text: s.Reason.String()},
		}}
		x.place.reply, x.place.template = true, replyKey(template)
		t.rows = append(t.rows, x)
	}
	slices.SortFunc(t.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.cells[0].n, a.cells[0].n), strings.Compare(a.words, b.words))
	})
	return t
}

// buckets are the ages of qshape(1), in minutes.
var buckets = []int{5, 10, 20, 40, 80, 160, 320, 640, 1280}

// waitsAll stands for all queued recipients.
const waitsAll = "(all)"

// queueTable returns the queue by provider and by age: qshape's table.
func queueTable(list []store.Queued, routes *report.Routes, now time.Time) tableData {
	t := tableData{name: "waits for, min", words: "last words", empty: "nothing waits, as far as the log goes", columns: []column{{name: "all", width: 6}}}
	for _, b := range buckets {
		t.columns = append(t.columns, column{name: strconv.Itoa(b), width: 4})
	}
	t.columns = append(t.columns, column{name: "1280+", width: 5})
	at, says := map[string]int{}, sayings{}
	for i := range list {
		q := &list[i]
		name := routes.WaitsFor(q)
		k, known := at[name]
		if !known {
			k = len(t.rows)
			at[name] = k
			x := row{name: name, cells: make([]cell, len(t.columns)), place: place{waits: name}}
			t.rows = append(t.rows, x)
		}
		x := &t.rows[k]
		says.add(name, q.Reason.String(), replyText(&q.Attempt))
		if x.last == nil || !q.Time.Before(x.last.Time) {
			x.setLast(&q.Attempt)
		}
		// The first bound that is not less than the age.
		bucket, _ := slices.BinarySearch(buckets, int((now.Sub(q.Since())+time.Minute-1)/time.Minute))
		x.cells[0].n++
		x.cells[1+bucket].n++
	}
	for i := range t.rows {
		t.rows[i].says = says.of(t.rows[i].name)
	}
	slices.SortFunc(t.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.cells[0].n, a.cells[0].n), strings.Compare(a.name, b.name))
	})
	if len(list) > 1 {
		all := row{name: "all", cells: make([]cell, len(t.columns)), place: place{waits: waitsAll}}
		for _, x := range t.rows {
			for i, c := range x.cells {
				all.cells[i].n += c.n
			}
		}
		t.rows = append([]row{all}, t.rows...)
	}
	return t
}

// A group is failures with something in common.
type group struct {
	n, soft, hard int64
	others        map[string]bool
	last          *store.Attempt
}

// grouped groups failures, the newest first, by a key; other distinguishes them within a group.
func grouped(list []store.Attempt, key, other func(*store.Attempt) string) (names []string, of map[string]*group) {
	of = map[string]*group{}
	for i := range list {
		a := &list[i]
		k := key(a)
		g := of[k]
		if g == nil {
			g = &group{last: a, others: map[string]bool{}}
			of[k] = g
			names = append(names, k)
		}
		g.n++
		if a.Outcome == bounce.Hard {
			g.hard++
		} else {
			g.soft++
		}
		g.others[other(a)] = true
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(of[b].n, of[a].n) })
	return names, of
}

// widen makes a column of words as wide as its words: a time may have a date.
func (t *tableData) widen(name string) {
	at := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
	for i := range t.rows {
		t.columns[at].width = max(t.columns[at].width, width(t.rows[i].cells[at].text))
	}
}

func recipientOf(a *store.Attempt) string { return a.Recipient }

func templateOf(a *store.Attempt) string { return bounce.TemplateOf(&a.Delivery).Text }

// repliesOf returns the replies of one place.
func repliesOf(list []store.Attempt, p place, now time.Time, loc *time.Location) tableData {
	t := tableData{name: "reply", words: "last words", empty: "no failure in this window", columns: []column{
		{name: "failed", width: 7}, {name: "soft", width: 6, least: 100}, {name: "hard", width: 6, least: 100}, {name: "recipients", width: 10}, {name: "reason", width: 15, words: true}, {name: "last", width: 8, words: true, least: 100},
	}}
	names, of := grouped(list, templateOf, recipientOf)
	says := sayings{}
	says.failures(list, templateOf)
	for _, name := range names {
		g := of[name]
		x := row{name: codes(g.last.Code, g.last.Enhanced), says: says.of(name), mark: markOf(g.last.Reason), place: p, cells: []cell{
			{n: g.n}, {n: g.soft}, {n: g.hard}, {n: int64(len(g.others))}, {text: g.last.Reason.String()}, {n: g.last.Time.Unix(), text: clock(g.last.Time, now, loc)},
		}}
		x.setLast(g.last)
		x.place.reply, x.place.template = true, replyKey(name)
		t.rows = append(t.rows, x)
	}
	t.widen("last")
	return t
}

// recipientsOf returns the recipients of the replies of one place.
func recipientsOf(list []store.Attempt, p place, now time.Time, loc *time.Location) tableData {
	t := tableData{name: "recipient", words: "last words", empty: "no failure in this window", nameFirst: true, columns: []column{
		{name: "failed", width: 6}, {name: "soft", width: 6, least: 100}, {name: "hard", width: 6, least: 100}, {name: "messages", width: 8, least: 100}, {name: "last", width: 8, words: true},
	}}
	names, of := grouped(list, recipientOf, func(a *store.Attempt) string { return a.Host + "\x00" + a.Instance + "\x00" + a.QueueID })
	says := sayings{}
	says.failures(list, recipientOf)
	for _, name := range names {
		g := of[name]
		x := row{name: name, says: says.of(name), place: p, cells: []cell{
			{n: g.n}, {n: g.soft}, {n: g.hard}, {n: int64(len(g.others))}, {n: g.last.Time.Unix(), text: clock(g.last.Time, now, loc)},
		}}
		x.setLast(g.last)
		x.place.host, x.place.queueID, x.place.recipient = g.last.Host, g.last.QueueID, g.last.Recipient
		t.rows = append(t.rows, x)
	}
	t.widen("last")
	return t
}

// failuresOf returns the newest failures.
func failuresOf(recent []store.Attempt) []failure {
	list := make([]failure, len(recent))
	for i := range recent {
		a := &recent[i]
		list[i] = failure{a, provider.Of(&a.Delivery), templateOf(a)}
	}
	return list
}

// folded groups failures, the newest first, that have one outcome and one answer of one provider.
func folded(recent []failure, wanted func(*failure) bool) (tail []fold) {
	type key struct {
		provider, template string
		outcome            bounce.Outcome
	}
	at := map[key]int{}
	for i := range recent {
		x := &recent[i]
		if !wanted(x) {
			continue
		}
		key := key{x.provider, x.template, x.Outcome}
		k, known := at[key]
		if !known {
			k = len(tail)
			at[key] = k
			tail = append(tail, fold{failure: x})
		}
		tail[k].n++
	}
	return tail
}
