package web

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/report"
	"bouncelog/store"
)

// tlsLooked is the maximum number of attempts that are read: stores do not count by encryption yet.
const tlsLooked = 5_000

// tls shows how mail was encrypted in transit, and the failures because of TLS.
func (v *screen) tls(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	v.Name, v.Title, v.Phrases = "tls", "TLS", phrases("Transport encryption")
	v.Command = queryCommand("SELECT relay_host, tls, count(*) AS attempts FROM deliveries", &v.sel.filter, "GROUP BY 1, 2 ORDER BY 3 DESC")
	v.More = v.sel.command(v.o.Period, []string{"reason"}, "report", "--reason", bounce.TLS.String(), "--by", "relay")
	counts, all := map[string]*[kinds]int64{}, [kinds]int64{}
	n := 0
	for a, err := range v.backwards(ctx, r, v.sel.filter, store.Page{Limit: tlsLooked}) {
		if err != nil {
			return err
		}
		if n++; n > tlsLooked {
			break
		}
		if a.RelayHost == "" || a.Outcome == bounce.Handoff || a.Outcome == bounce.Probe {
			continue
		}
		name := provider.OfHost(a.RelayHost)
		if counts[name] == nil {
			counts[name] = &[kinds]int64{}
		}
		kind := encryptionOf(a.TLS)
		counts[name][kind]++
		all[kind]++
	}
	said := all[inClear] + all[encrypted] + all[verified] + all[notKept]
	l := &list{Name: "encryption", Title: "Encryption by provider", Empty: "The log does not say how mail was encrypted. Postfix says so from version 3.11 on (tls= in each line of a delivery), Exim by X= and CV= (log_selector +tls_cipher +tls_certificate_verified).", Columns: []table.Column{
		{Name: "provider", Flex: true}, {Name: "in the clear", Number: true}, {Name: "encrypted", Number: true}, {Name: "verified", Number: true}, {Name: "policy not kept", Number: true}, {Name: "not said", Number: true},
	}}
	if said > 0 {
		v.Facts = append(v.Facts, report.Fact{Label: "Encrypted", Value: table.Share(float64(all[encrypted]+all[verified]) / float64(said)), Note: "of " + table.Count(said, "attempt")},
			report.Fact{Label: "In the clear", Value: all[inClear]}, report.Fact{Label: "Policy not kept", Value: all[notKept]})
		names := make([]string, 0, len(counts))
		for name := range counts {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int {
			x, y := counts[a], counts[b]
			for _, kind := range []encryption{notKept, inClear, encrypted, verified, notSaid} {
				if x[kind] != y[kind] {
					return int(y[kind] - x[kind])
				}
			}
			return strings.Compare(a, b)
		})
		for _, name := range names {
			to := v.url(deep("providers", name))
			x := row{URL: to, Cells: []cell{{Value: name, URL: to}}}
			for _, kind := range []encryption{inClear, encrypted, verified, notKept, notSaid} {
				x.Cells = append(x.Cells, figure(counts[name][kind], v.rows("provider", name, "tls", kind.String())))
			}
			l.Rows = append(l.Rows, x)
		}
		if n > tlsLooked {
			l.Note = fmt.Sprintf("The newest %d attempts of the period.", tlsLooked)
		}
	}
	v.sorted(l, "")
	v.paged(l)
	v.Tables = append(v.Tables, l)
	return v.tlsFailures(ctx, r)
}

// tlsFailures returns the attempts that failed because of TLS.
func (v *screen) tlsFailures(ctx context.Context, r store.Reader) error {
	f, ok := v.sel.filter.Restrict([]bounce.Reason{bounce.TLS})
	l := &list{Name: "providers", Title: "TLS failures by provider", Empty: "None in this period.", Columns: []table.Column{{Name: "provider", Flex: true}, {Name: "soft", Number: true}, {Name: "hard", Number: true}, {Name: "waiting", Number: true}}}
	if ok {
		cells, err := r.Count(ctx, f, store.ByDomain, store.ByRelay)
		if err != nil {
			return err
		}
		routes := report.RoutesOf(cells)
		if slices.ContainsFunc(cells, func(c store.Cell) bool { return c.Keys[1] == "" }) { // rare, and it costs as much as the rest
			if routes, _, err = v.routes(ctx, r); err != nil {
				return err
			}
		}
		names, of := merge(cells, func(c *store.Cell) string { return routes.Provider(c.Keys[0], c.Keys[1]) })
		for _, n := range names {
			to := v.url(deep("providers", n))
			l.Rows = append(l.Rows, row{URL: to, Cells: []cell{
				{Value: n, URL: to},
				figure(of[n].Soft, v.rows("provider", n, "reason", bounce.TLS.String(), "outcome", "soft")),
				figure(of[n].Hard, v.rows("provider", n, "reason", bounce.TLS.String(), "outcome", "hard")),
				v.waiting(of[n].Pending, "provider", n, "reason", bounce.TLS.String()),
			}})
		}
	}
	v.cut(l, 50)
	v.Tables = append(v.Tables, l)
	return nil
}
