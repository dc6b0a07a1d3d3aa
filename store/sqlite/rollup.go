package sqlite

import (
	"fmt"
)

// rollupSQL computes a rollup from the rows: what is kept must equal it. It is
// what "db check" compares, and makes the rollups anew after a pruning or new
// judgement.
func rollupSQL(dim dimension, condition string) string {
	x := map[dimension]string{
		byRoute:  "a.route",
		bySender: "coalesce((SELECT domain FROM address WHERE id = a.sender), 0)",
		byOrigin: "r.origin",
	}[dim]
	first := flagFirst
	if dim == byRoute {
		first = flagFirstToDomain
	}
	one := func(table, pairs string) string {
		return fmt.Sprintf(`SELECT (a.at / %d << $PERIOD_SHIFT) | (%s << $DIM_SHIFT) | r.kind AS key, (a.meta & %d) / %d AS messages, %s AS pairs,
				coalesce(a.sender = (SELECT a.id FROM name AS n JOIN address AS a ON a.domain = n.id WHERE n.text = '' AND a.local = '' LIMIT 1), 0) AS nulls,
				r.kind >> $REASON_BITS = $SOFT AND coalesce(r.code, 0) >= 500 AS retry
			FROM %s AS a JOIN reply AS r ON r.id = a.reply WHERE %s`,
			dim.period(), x, first, first, pairs, table, condition)
	}
	return layoutSQL("SELECT key, count(*) AS n, sum(messages) AS messages, sum(pairs) AS pairs, sum(nulls) AS nulls, sum(retry) AS retry FROM (" +
		one("delivery", fmt.Sprintf("(a.meta & %d) / %d", flagRecovered, flagRecovered)) +
		" UNION ALL " +
		one("failure", "CASE r.kind >> $REASON_BITS WHEN $SOFT THEN EXISTS (SELECT 1 FROM pair WHERE id = a.id AND state = $STATE_PENDING) WHEN $HARD THEN r.kind & $REASON_MASK = $EXPIRED ELSE 0 END") +
		") GROUP BY key")
}

var dimensions = [...]dimension{byRoute, bySender, byOrigin}

// period is how long a cell's period is, in seconds.
func (d dimension) period() int64 {
	if d == byOrigin {
		return hour
	}
	return day
}

// totalSQL adds up rollup_route over all days.
var totalSQL = layoutSQL("SELECT key & $TOTAL_MASK AS key, sum(n) AS n, sum(messages) AS messages, sum(pairs) AS pairs, sum(nulls) AS nulls, sum(retry) AS retry FROM rollup_route GROUP BY 1")

// sumTotals makes rollup_total anew.
func (w *writer) sumTotals() error {
	return w.c.Exec("DELETE FROM rollup_total; INSERT INTO rollup_total " + totalSQL)
}

const addToCell = `ON CONFLICT DO UPDATE SET n = n + excluded.n, messages = messages + excluded.messages,
	pairs = pairs + excluded.pairs, nulls = nulls + excluded.nulls, retry = retry + excluded.retry`

// addCells adds what was counted to the rollups.
func (w *writer) addCells() {
	for _, r := range [...]struct {
		table string
		cells cells
	}{{"rollup_route", w.routeCells}, {"rollup_sender", w.senderCells}, {"rollup_origin", w.originCells}, {"rollup_total", w.totalCells}} {
		w.sorted = r.cells.appendSorted(w.sorted[:0])
		for _, c := range w.sorted {
			w.add(r.table, int64(c.key), c.n, c.messages, c.pairs, c.nulls, c.retry)
			if r.table == "rollup_route" {
				w.totalCells.add(c.key.total(), c.cell)
			}
		}
		r.cells.empty()
	}
}
