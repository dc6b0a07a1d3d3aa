package report

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"bouncelog/internal/table"
	"bouncelog/store"
)

// The marks of a provider with enough mail for a verdict.
const (
	MarkRefuses = "refuses" // refuses most of our mail, for a reason on our side or an unnamed one
	MarkFails   = "fails"   // most messages are not delivered for another reason
	MarkPartly  = "partly"  // takes our mail, except that of an ongoing incident
	MarkTakes   = "takes"   // takes our mail
)

const (
	markLeast = 20  // messages
	markShare = 0.5 // of the messages
)

// lost returns the messages of the period not delivered, or not yet, once for each recipient.
func (p *ProviderRow) lost() int64 { return p.pending + p.Hard }

// DeliveredShare returns the share of delivered attempts.
func (p *ProviderRow) DeliveredShare() table.Share {
	return table.Share(float64(p.Delivered) / float64(max(p.Attempts, 1)))
}

func (p *ProviderRow) add(o *ProviderRow) {
	p.Providers += o.Providers
	p.Attempts += o.Attempts
	p.Delivered += o.Delivered
	p.Soft += o.Soft
	p.Waiting += o.Waiting
	p.pending += o.pending
	p.Hard += o.Hard
	p.Messages += o.Messages
	p.Recipients += o.Recipients
	p.Failed += o.Failed
	p.Refused += o.Refused
	p.RefusedBefore += o.RefusedBefore
}

// Relayed reports whether the provider has relays under another name than the
// recipients' domain: its mail is selected by the relay, else by the domain.
func (p *ProviderRow) Relayed() bool { return p.relay }

// Places returns the rows of all providers or, with store.ByDomain, of all recipient domains, the
// worst first. routes and before are counted by domain and relay; before is of the previous period,
// nil: not known.
func Places(routes, before []store.Cell, by store.Dimension) []ProviderRow {
	if by != store.ByDomain {
		if before != nil {
			before = providers(before)
		}
		groups, relays := byProviders(routes)
		return providerTable(groups, relays, before, 0, nil, nil).Rows
	}
	domain := func(r *store.Cell) string { return r.Keys[0] }
	if before != nil {
		before = merged(before, domain)
	}
	return providerTable(merged(routes, domain), nil, before, 0, nil, nil).Rows
}

// providerTable builds the table from the groups by provider of the period and of the previous one
// (nil: not known). top is the number of providers with a row of their own (0: all). marks are
// their verdicts (nil: from the groups). waits is the mail that waits (nil: not known; then only that of
// the groups).
func providerTable(groups []store.Cell, relays map[string]bool, then []store.Cell, top int, marks map[string]string, waits map[string]int64) *ProviderTable {
	t := &ProviderTable{Rows: []ProviderRow{}, Compared: then != nil}
	before := map[string]int64{}
	for _, g := range then {
		before[g.Keys[0]] = refused(g.Reasons)
	}
	if waits != nil {
		only := maps.Clone(waits) // providers without an attempt in the period
		for i := range groups {
			delete(only, groups[i].Keys[0])
		}
		groups = slices.Clip(groups)
		for _, name := range slices.Sorted(maps.Keys(only)) {
			groups = append(groups, store.Cell{Keys: [store.MaxDimensions]string{name}})
		}
	}
	var rows []ProviderRow
	for i := range groups {
		g := &groups[i]
		waiting := g.Pending
		if waits != nil {
			waiting = waits[g.Keys[0]]
		}
		was := before[g.Keys[0]]
		delete(before, g.Keys[0])
		if g.Attempts+g.Pending+waiting == 0 && was == 0 {
			continue // only hand-offs and probes
		}
		p := ProviderRow{
			Provider: g.Keys[0], Providers: 1, Attempts: g.Attempts, Delivered: g.Delivered, Soft: g.Soft, Waiting: waiting, pending: g.Pending, Hard: g.Hard,
			Messages: g.Messages, Recipients: Recipients(&g.Counts), Failed: failedRecipients(&g.Counts), Refused: refused(g.Reasons), RefusedBefore: was, Reason: mainReason(g.Reasons), relay: relays[g.Keys[0]],
		}
		switch {
		case marks != nil:
			p.Mark = marks[p.Provider]
		case p.Messages >= markLeast:
			switch {
			case p.blocks():
				p.Mark = MarkRefuses
			case float64(p.lost()) >= markShare*float64(p.Delivered+p.lost()):
				p.Mark = MarkFails
			default:
				p.Mark = MarkTakes
			}
		}
		rows = append(rows, p)
		t.Total.add(&p)
	}
	gone := ProviderRow{}
	for _, n := range before { // no mail in this period
		if n > 0 {
			gone.Providers++
			gone.RefusedBefore += n
		}
	}
	t.Total.add(&gone)
	rank := map[string]int{MarkRefuses: 0, MarkFails: 1}
	slices.SortFunc(rows, func(a, b ProviderRow) int {
		x, bad := rank[a.Mark]
		y, worse := rank[b.Mark]
		if !bad {
			x = 2
		}
		if !worse {
			y = 2
		}
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(b.Refused, a.Refused), cmp.Compare(b.Soft+b.Hard, a.Soft+a.Hard),
			cmp.Compare(b.Attempts, a.Attempts), strings.Compare(a.Provider, b.Provider))
	})
	t.Rows = append(t.Rows, rows...)
	if gone.Providers > 0 {
		t.Rest = &gone
	}
	if top > 0 {
		return t.First(top)
	}
	return t
}

// Columns returns the columns of the table; the last one holds RefusedBefore, if it is known.
func (t *ProviderTable) Columns() []table.Column {
	columns := []table.Column{
		{Name: "provider", Flex: true},
		{Name: "attempts", Number: true},
		{Name: "delivered", Number: true},
		{Name: "soft", Number: true},
		{Name: "waiting", Number: true},
		{Name: "hard", Number: true},
		{Name: "refused", Number: true},
	}
	if t.Compared {
		columns = append(columns, table.Column{Name: "before", Number: true})
	}
	return columns
}

// Lines yields all rows, each with the name of its provider or of its sum. The last one is Total.
func (t *ProviderTable) Lines() iter.Seq2[string, *ProviderRow] {
	return func(yield func(string, *ProviderRow) bool) {
		for i := range t.Rows {
			if !yield(t.Rows[i].Provider, &t.Rows[i]) {
				return
			}
		}
		if t.Small != nil && !yield(fmt.Sprintf("%d below %d messages", t.Small.Providers, markLeast), t.Small) {
			return
		}
		if t.Rest != nil && !yield(table.Count(int64(t.Rest.Providers), "other"), t.Rest) {
			return
		}
		yield("all", &t.Total)
	}
}

// First returns the table with at most n rows; the other providers are summed up.
func (t *ProviderTable) First(n int) *ProviderTable {
	n = min(n, len(t.Rows))
	cut := &ProviderTable{Rows: t.Rows[:n:n], Total: t.Total, Compared: t.Compared}
	var small, rest ProviderRow
	if t.Small != nil {
		small = *t.Small
	}
	if t.Rest != nil {
		rest = *t.Rest
	}
	for i := range t.Rows[n:] {
		if p := &t.Rows[n+i]; p.Mark == "" {
			small.add(p)
		} else {
			rest.add(p)
		}
	}
	if small.Providers > 0 {
		cut.Small = &small
	}
	if rest.Providers > 0 {
		cut.Rest = &rest
	}
	return cut
}

// marks returns the marks of all providers, by name.
func (t *ProviderTable) marks() map[string]string {
	marks := make(map[string]string, len(t.Rows))
	for i := range t.Rows {
		marks[t.Rows[i].Provider] = t.Rows[i].Mark
	}
	return marks
}

// blocking returns the providers that block us.
func (t *ProviderTable) blocking() map[string]bool {
	names := map[string]bool{}
	for i := range t.Rows {
		if p := &t.Rows[i]; p.blocks() {
			names[p.Provider] = true
		}
	}
	return names
}

// dropMessages clears the numbers of messages if they are not known.
func (t *ProviderTable) dropMessages() {
	for i := range t.Rows {
		t.Rows[i].Messages = 0
	}
	for _, p := range []*ProviderRow{t.Small, t.Rest, &t.Total} {
		if p != nil {
			p.Messages = 0
		}
	}
}

// blocks reports whether a provider refuses most of our mail: most attempts, and most mail, which is not
// delivered. Retries of mail that was delivered in the end are attempts only.
func (p *ProviderRow) blocks() bool {
	return p.Refused >= blocksLeast && float64(p.Refused) >= blocksShare*float64(p.Attempts) && float64(p.lost()) >= blocksShare*float64(p.Delivered+p.lost())
}
