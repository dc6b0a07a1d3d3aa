package sqlite

import (
	"database/sql/driver"
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
		return fmt.Sprintf(`SELECT (max(a.at / 3600, 0) << %d) | (%s << %d) | r.kind AS key, (a.meta & %d) / %d AS messages, %s AS pairs,
				coalesce(a.sender = (SELECT a.id FROM name AS n JOIN address AS a ON a.domain = n.id WHERE n.text = '' AND a.local = '' LIMIT 1), 0) AS nulls,
				r.kind >> 7 = %d AND coalesce(r.code, 0) >= 500 AS retry
			FROM %s AS a JOIN reply AS r ON r.id = a.reply WHERE %s`,
			hourShift, x, dimShift, first, first, pairs, bounce.Soft, table, condition)
	}
	return "SELECT key, count(*) AS n, sum(messages) AS messages, sum(pairs) AS pairs, sum(nulls) AS nulls, sum(retry) AS retry FROM (" +
		one("delivery", fmt.Sprintf("(a.meta & %d) / %d", flagRecovered, flagRecovered)) +
		" UNION ALL " +
		one("failure", fmt.Sprintf("CASE r.kind >> 7 WHEN %d THEN EXISTS (SELECT 1 FROM pair WHERE id = a.id AND state = 0) WHEN %d THEN r.kind & 127 = %d ELSE 0 END",
			bounce.Soft, bounce.Hard, bounce.Expired)) +
		") GROUP BY key"
}

var dimensions = [...]dimension{byRoute, bySender, byOrigin}

// rollupDaySQL computes rollup_day for the days in rolled.
var rollupDaySQL = fmt.Sprintf(`SELECT key >> %[2]d & %[3]d AS route, key & %[4]d AS kind, (key >> %[1]d) / 24 AS day,
		sum(n) AS n, sum(messages) AS messages, sum(pairs) AS pairs, sum(nulls) AS nulls, sum(retry) AS retry
	FROM rollup_route WHERE (key >> %[1]d) / 24 IN (SELECT day FROM rolled) GROUP BY 1, 2, 3`,
	hourShift, dimShift, 1<<(hourShift-dimShift)-1, 1<<dimShift-1)

// rollDays adds what a batch changed to the days that have been rolled up, and
// rolls up those that have passed.
func (w *writer) rollDays() error {
	add, err := w.c.stmt(`INSERT INTO rollup_day VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
		n = n + excluded.n, messages = messages + excluded.messages, pairs = pairs + excluded.pairs,
		nulls = nulls + excluded.nulls, retry = retry + excluded.retry`)
	if err != nil {
		return err
	}
	rolled := make(map[int64]bool)
	for _, key := range sorted(w.routeCells) {
		day := key >> hourShift / 24
		is, known := rolled[day]
		if !known {
			n, err := w.c.number("SELECT count(*) FROM rolled WHERE day = ?", day)
			if err != nil {
				return err
			}
			is = n > 0
			rolled[day] = is
		}
		if !is {
			continue
		}
		c := w.routeCells[key]
		if err := add.run(key>>dimShift&(1<<(hourShift-dimShift)-1), key&(1<<dimShift-1), day, c.n, c.messages, c.pairs, c.nulls, c.retry); err != nil {
			return err
		}
	}
	last, err := w.c.number("SELECT max(key) FROM rollup_origin")
	if err != nil {
		return err
	}
	for _, day := range sorted(rolled) {
		if rolled[day] || day >= last>>hourShift/24 {
			continue
		}
		if err := w.rollDay(day); err != nil {
			return err
		}
	}
	return w.rollPassed(last >> hourShift / 24)
}

// rollPassed rolls up the last day of the batches before, once it has passed.
func (w *writer) rollPassed(today int64) error {
	if w.today == 0 {
		// After a start: whichever days are not rolled up.
		var days []int64
		err := w.c.each(func(row []driver.Value) error {
			days = append(days, row[0].(int64))
			return nil
		}, fmt.Sprintf("SELECT DISTINCT (key >> %d) / 24 FROM rollup_origin WHERE (key >> %d) / 24 NOT IN (SELECT day FROM rolled)", hourShift, hourShift))
		if err != nil {
			return err
		}
		for _, day := range days {
			if day < today {
				if err := w.rollDay(day); err != nil {
					return err
				}
			}
		}
	} else if w.today < today {
		if err := w.rollDay(w.today); err != nil {
			return err
		}
	}
	w.today = today
	return nil
}

func (w *writer) rollDay(day int64) error {
	n, err := w.c.number("SELECT count(*) FROM rolled WHERE day = ?", day)
	if err != nil || n > 0 {
		return err
	}
	err = w.c.run("INSERT INTO rolled VALUES (?)", day)
	if err != nil {
		return err
	}
	return w.c.run(fmt.Sprintf(`INSERT INTO rollup_day SELECT key >> %[2]d & %[3]d, key & %[4]d, ?1, sum(n), sum(messages), sum(pairs), sum(nulls), sum(retry)
		FROM rollup_route WHERE key >= ?2 AND key < ?3 GROUP BY 1, 2`, hourShift, dimShift, 1<<(hourShift-dimShift)-1, 1<<dimShift-1),
		day, day*24<<hourShift, (day+1)*24<<hourShift)
}

// remakeDays makes rollup_day anew from the hours.
func (w *writer) remakeDays() error {
	if err := w.c.exec("DELETE FROM rollup_day"); err != nil {
		return err
	}
	return w.c.exec("INSERT INTO rollup_day " + rollupDaySQL)
}
