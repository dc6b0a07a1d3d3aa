package clickhouse

import (
	"context"
	"iter"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Recipients yields the recipients with permanent failures. Deliveries to the same address,
// ignoring case, are joined to each; 0 means none.
func (r *reader) Recipients(ctx context.Context, f store.Filter, limit int) iter.Seq2[*store.Recipient, error] {
	const answer = "outcome, code, enhanced, local, reason, detail, scope, rule, confidence"
	w := append(conditions(&f), "outcome = 'hard' OR outcome = 'soft' AND code >= 500")
	failures := "SELECT recipient, recipient_domain, at, offset, n, " + rank("source") + " AS rank, response, " + answer + r.from(w)
	lastDelivered := "SELECT lower(recipient) AS folded, max(at) AS last_delivered" +
		r.from(where{"outcome = 'delivered'", "lower(recipient) IN (SELECT lower(recipient) FROM attempt WHERE " + w.String() + ")"}) + " GROUP BY folded" // may include some recipients that are not needed
	undelivered := ""
	if f.Undelivered {
		undelivered = " WHERE at > last_delivered"
	}
	order := "recipient, place"
	if limit > 0 {
		order = "attempts DESC, latest DESC, recipient, place"
	}
	sql := `SELECT * EXCEPT (place), sum(faults) OVER (PARTITION BY recipient) AS attempts, max(last_at) OVER (PARTITION BY recipient) AS latest FROM (
		SELECT recipient, any(recipient_domain), any(last_delivered), ` + answer + `, count() AS faults, countIf(at > last_delivered) AS since,
			min(at) AS first_at, max(at) AS last_at, minIf(at, at > last_delivered) AS first_since, argMax(response, (at, rank, offset, n)),
			min((at, rank, offset, n)) AS place
		FROM (` + failures + `) AS x GLOBAL LEFT JOIN (` + lastDelivered + `) AS y ON lower(x.recipient) = y.folded` + undelivered + `
		GROUP BY recipient, ` + answer + `
	) ORDER BY ` + order
	return func(yield func(*store.Recipient, error) bool) {
		var one *store.Recipient
		n := 0
		type fault struct {
			address, domain string
			last            int64
			store.Fault
		}
		rows := each(ctx, r, "recipients", sql, func(scan func(to ...any) error) (*fault, error) {
			var x fault
			var y row
			var n, since, attempts uint64
			var first, last, firstSince, latest int64
			if err := scan(&x.address, &x.domain, &x.last, &y.Outcome, &y.Code, &y.Enhanced, &y.Local, &y.Reason, &y.Detail, &y.Scope, &y.Rule, &y.Confidence,
				&n, &since, &first, &last, &firstSince, &x.Response, &attempts, &latest); err != nil {
				return nil, err
			}
			a := y.attempt()
			x.Fault = store.Fault{
				Outcome: a.Outcome, Code: a.Code, Enhanced: bounce.EnhancedCode(y.Enhanced), Local: a.Local, Verdict: a.Verdict,
				Attempts: int64(n), Since: int64(since), First: unix(first), Last: unix(last), Response: x.Response,
			}
			if since > 0 {
				x.FirstSince = unix(firstSince)
			}
			return &x, nil
		})
		for x, err := range rows {
			if err != nil {
				yield(nil, err)
				return
			}
			if one == nil || one.Address != x.address {
				if one != nil {
					if n++; !yield(one, nil) || n == limit {
						return
					}
				}
				one = &store.Recipient{Address: x.address, Domain: x.domain}
				if x.last != 0 {
					one.LastDelivered = unix(x.last)
				}
			}
			one.Faults = append(one.Faults, x.Fault)
		}
		if one != nil {
			yield(one, nil)
		}
	}
}
