package sqlite

import (
	"fmt"

	"bouncelog/bounce"
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
		return fmt.Sprintf(`SELECT (max(a.at / %d, 0) << %d) | (%s << %d) | r.kind AS key, (a.meta & %d) / %d AS messages, %s AS pairs,
				coalesce(a.sender = (SELECT a.id FROM name AS n JOIN address AS a ON a.domain = n.id WHERE n.text = '' AND a.local = '' LIMIT 1), 0) AS nulls,
				r.kind >> 7 = %d AND coalesce(r.code, 0) >= 500 AS retry
			FROM %s AS a JOIN reply AS r ON r.id = a.reply WHERE %s`,
			dim.period(), periodShift, x, dimShift, first, first, pairs, bounce.Soft, table, condition)
	}
	return "SELECT key, count(*) AS n, sum(messages) AS messages, sum(pairs) AS pairs, sum(nulls) AS nulls, sum(retry) AS retry FROM (" +
		one("delivery", fmt.Sprintf("(a.meta & %d) / %d", flagRecovered, flagRecovered)) +
		" UNION ALL " +
		one("failure", fmt.Sprintf("CASE r.kind >> 7 WHEN %d THEN EXISTS (SELECT 1 FROM pair WHERE id = a.id AND state = 0) WHEN %d THEN r.kind & 127 = %d ELSE 0 END",
			bounce.Soft, bounce.Hard, bounce.Expired)) +
		") GROUP BY key"
}

var dimensions = [...]dimension{byRoute, bySender, byOrigin}

// period is how long a cell's period is, in seconds.
func (d dimension) period() int64 {
	if d == byOrigin {
		return hour
	}
	return day
}

// keptSQL is the cells that are kept.
func keptSQL(dim dimension) string {
	sql := "SELECT * FROM rollup_" + string(dim)
	if dim == byRoute {
		sql = "SELECT * FROM (" + sql + fmt.Sprintf(" UNION ALL SELECT (day << %d) | (route << %d) | kind, n, messages, pairs, nulls, retry FROM rollup_day)", periodShift, dimShift)
	}
	return sql
}

const addToCell = ` ON CONFLICT DO UPDATE SET n = n + excluded.n, messages = messages + excluded.messages,
	pairs = pairs + excluded.pairs, nulls = nulls + excluded.nulls, retry = retry + excluded.retry`

// addCells adds what a batch counted to the rollups.
func (w *writer) addCells() error {
	byRoute := w.routeCells.sorted()
	last := w.today
	if n := len(byRoute); n > 0 {
		last = max(last, byRoute[n-1].key>>periodShift)
	}
	if last > w.today {
		if err := w.passDays(last); err != nil {
			return err
		}
	}
	for _, c := range byRoute {
		key := c.key
		if period := key >> periodShift; period < w.today {
			w.add("rollup_day", key>>dimShift&(1<<(periodShift-dimShift)-1), key&(1<<dimShift-1), period, c.n, c.messages, c.pairs, c.nulls, c.retry)
		} else {
			w.add("rollup_route", key, c.n, c.messages, c.pairs, c.nulls, c.retry)
		}
	}
	for _, c := range w.senderCells.sorted() {
		w.add("rollup_sender", c.key, c.n, c.messages, c.pairs, c.nulls, c.retry)
	}
	for _, c := range w.originCells.sorted() {
		w.add("rollup_origin", c.key, c.n, c.messages, c.pairs, c.nulls, c.retry)
	}
	w.routeCells.empty()
	w.senderCells.empty()
	w.originCells.empty()
	return nil
}

// passDays moves the days before today from rollup_route to rollup_day.
func (w *writer) passDays(today int64) error {
	w.today = today
	err := w.c.run(fmt.Sprintf("INSERT INTO rollup_day SELECT key >> %d & %d, key & %d, key >> %d, n, messages, pairs, nulls, retry FROM rollup_route WHERE key < ? ORDER BY 1, 2, 3",
		dimShift, 1<<(periodShift-dimShift)-1, 1<<dimShift-1, periodShift)+addToCell, today<<periodShift)
	if err != nil {
		return err
	}
	return w.c.run("DELETE FROM rollup_route WHERE key < ?", today<<periodShift)
}
