package clickhouse

import (
	"context"
	"iter"

	"bouncelog/bounce"
	"bouncelog/store"
)

// Refusals yields the failed attempts that match f. The times of a recipient are sorted, and within a
// second what was delivered comes first. The delivery before a failure is the last one above it. The
// delivery after it is the same one if it is of the same second, otherwise the first one below.
func (r *reader) Refusals(ctx context.Context, f store.Filter) iter.Seq2[*store.Refusal, error] {
	w := append(conditions(&f), isFailed)
	if f.Own {
		w.add("code = 0 OR detail != '' OR reason IN (" + quote(bounce.RelayDenied.String()) + ", " + quote(bounce.RateLimited.String()) + ")") // store.MayBeOwn
	}
	if f.Guesses {
		w.add("confidence = " + quote(bounce.Guess.String()))
	}
	// The recipients whose deliveries are read. An outdated row may add a recipient, which changes
	// nothing. The key begins with the domain, so the hint lets a query with few failures read few
	// rows. As a condition it costs 1.1 s of 9.1 s of CPU for 212,000 refusals.
	of := func(column string) string {
		return column + " IN (SELECT " + column + " FROM attempt WHERE " + w.String() + ")"
	}
	const columns = `source, sender, sender_domain, sender_known, recipient_domain, original_recipient, relay_host, relay_ip, relay_port, outcome, code, stage, untried,
		template, reason, detail, scope, rule, confidence, offset, n, at, recipient`
	sql := "SELECT " + columns + ", " + messageHash + ", NULL::Nullable(Int64), NULL::Nullable(Int64)" + r.from(w)
	if !f.NoHistory {
		// The times of each recipient are sorted as one array of numbers: the time, and a last bit that is 0 for a
		// delivery. For 212,000 refusals among 10.2 million attempts this takes 2.4 s of CPU; an array of pairs took
		// 3.5 s, a window function over all rows 5.6 s. arrayFill puts the last delivery in the place of each failure
		// below it, and leaves a failure where there is none.
		sql = `SELECT ` + columns + `, message, before, if(before = at, before, after)
	FROM (SELECT ` + columns + `, ` + messageHash + ` AS message` + r.from(w) + `) AS failure
	ANY LEFT JOIN (SELECT recipient, bitShiftRight(x.1, 1) AS at, if(bitTest(x.2, 0), NULL, bitShiftRight(x.2, 1)) AS before, if(bitTest(x.3, 0), NULL, bitShiftRight(x.3, 1)) AS after FROM (
		SELECT recipient, arraySort(groupArray(bitOr(bitShiftLeft(at, 1), outcome != 'delivered'))) AS times
		` + r.from(where{of("recipient"), "indexHint(" + of("recipient_domain") + ")", "outcome = 'delivered' OR " + w.String()}) + `
		GROUP BY recipient
	) ARRAY JOIN arrayFilter(x -> bitTest(x.1, 0), arrayZip(times, arrayFill(x -> NOT bitTest(x, 0), times), arrayReverseFill(x -> NOT bitTest(x, 0), times))) AS x) AS history USING (recipient, at)`
	}
	sql += " ORDER BY at, " + rank("source") + ", offset, n"
	known := make(map[store.Traits]*store.Traits)
	var x store.Refusal
	list := each(ctx, r, "refusals", sql, func(scan func(to ...any) error) (*store.Refusal, error) {
		var y row
		var before, after *int64
		x = store.Refusal{}
		if err := scan(&y.Source, &y.Sender, &y.SenderDomain, &y.SenderKnown, &y.RecipientDomain, &y.Original, &y.RelayHost, &y.RelayIP, &y.RelayPort, &y.Outcome, &y.Code, &y.Stage, &y.Untried,
			&y.Template, &y.Reason, &y.Detail, &y.Scope, &y.Rule, &y.Confidence, &x.Offset, &x.N, &y.At, &x.Recipient, &x.Message, &before, &after); err != nil {
			return nil, err
		}
		a := y.attempt()
		t := store.Traits{
			Source: a.Source, SenderDomain: a.SenderDomain, NullSender: a.SenderKnown && a.Sender == "", RecipientDomain: a.RecipientDomain,
			Forwarded: store.Forwarded(&a.Delivery),
			RelayHost: a.RelayHost, RelayIP: a.RelayIP, RelayPort: a.RelayPort,
			Outcome: a.Outcome, Code: a.Code, Stage: a.Stage, Untried: a.Untried, Template: y.Template, Verdict: a.Verdict,
		}
		if known[t] == nil {
			known[t] = &t
		}
		x.Traits, x.Time = known[t], a.Time
		x.DeliveredBefore, x.DeliveredAfter = orZero(before), orZero(after)
		return &x, nil
	})
	if f.NoHistory {
		return list
	}
	return func(yield func(*store.Refusal, error) bool) {
		// A query with histories reads the failures three times, which takes 0.3 s of CPU if none of
		// 1.5 million matches. This query takes 0.01 s, and ends at the first match.
		one, err := r.d.texts(ctx, "SELECT '' FROM attempt WHERE "+w.String()+" LIMIT 1")
		if err != nil {
			yield(nil, r.d.wrap("refusals", err))
			return
		}
		if len(one) > 0 {
			list(yield)
		}
	}
}
