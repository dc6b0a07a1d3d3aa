package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// Prune removes the attempts of the whole days (UTC) before olderThan and all data that only they
// needed, and shrinks the file. The positions and counts of sources are kept, so that old logs are
// not read again. It returns the number of attempts removed.
func (d *DB) Prune(ctx context.Context, olderThan time.Time) (removed int64, err error) {
	return d.prune(ctx, unixTime(olderThan)/day*day, noEnd)
}

// noEnd is a whole day after every time that can be stored, in Unix seconds.
const noEnd = maxTime/day*day + day

// PruneStrayTimes removes the attempts with an impossible time: none, before 1990, or on a day
// (UTC) that begins more than a day after now. It returns their number. See Prune.
func (d *DB) PruneStrayTimes(ctx context.Context, now time.Time) (removed int64, err error) {
	return d.prune(ctx, earliest, latest(now))
}

// prune removes the attempts before one time and those at or after another. Both times are the
// start of a day.
func (d *DB) prune(ctx context.Context, before, from int64) (removed int64, err error) {
	err = d.writing("prune", func(w *writer) error {
		removed = 0
		if err := w.overwrite("failure", "text", outside, before, from); err != nil {
			return err
		}
		var sampled []int64 // replies whose sample may come from a removed attempt
		err := w.c.Each(func(row []driver.Value) error {
			sampled = append(sampled, num(row[0]))
			return nil
		}, "SELECT DISTINCT reply FROM failure WHERE "+outside, before, from)
		if err != nil {
			return err
		}
		var strayed []int64 // recipients whose history may be wrong
		if from < noEnd {
			err := w.c.Each(func(row []driver.Value) error {
				strayed = append(strayed, num(row[0]))
				return nil
			}, "SELECT recipient FROM delivery WHERE "+outside+" UNION SELECT recipient FROM failure WHERE "+outside, before, from)
			if err != nil {
				return err
			}
		}
		for _, id := range sampled { // before rows are moved
			if err := w.overwrite("reply", "sample", "id = ?", id); err != nil {
				return err
			}
		}
		for _, table := range [...]string{"delivery", "failure"} {
			if err := w.c.Run("DELETE FROM "+table+" WHERE "+outside, before, from); err != nil {
				return err
			}
			n, err := w.c.Number("SELECT changes()")
			if err != nil {
				return err
			}
			removed += n
		}
		if removed == 0 {
			return nil
		}
		for _, table := range [...]string{"unparsed_line", "open_message"} {
			if err := w.rewrite(table, outside, before, from); err != nil {
				return err
			}
		}
		for _, sql := range removeOutside {
			if err := w.c.Run(layoutSQL(sql), before, from); err != nil {
				return err
			}
		}
		if from < noEnd {
			if err := w.forgetAfter(from, strayed); err != nil {
				return err
			}
		}
		if err := w.removeUnused(ctx); err != nil {
			return err
		}
		if err := w.resample(sampled); err != nil {
			return err
		}
		if err := w.sumTotals(); err != nil {
			return err
		}
		return w.reset()
	})
	if err != nil || removed == 0 || d.opts.Temporary {
		return removed, err
	}
	d.write.Lock()
	defer d.write.Unlock()
	if d.w == nil {
		return removed, errClosed
	}
	// Each step of this statement frees a page.
	err = d.w.c.Each(func([]driver.Value) error { return ctx.Err() }, "PRAGMA incremental_vacuum")
	if err == nil {
		d.w.q.Cut(d.opts.BusyTimeout)
	}
	return removed, d.wrap("prune", err)
}

// outside is the condition on rows to be pruned.
const outside = "(at < ?1 OR at >= ?2)"

// removeOutside are the statements that remove rows by their times, of tables whose rows are derived
// from attempts.
var removeOutside = [...]string{
	"DELETE FROM rollup_route WHERE key < ?1 / $DAY_SECONDS << $PERIOD_SHIFT OR key >= ?2 / $DAY_SECONDS << $PERIOD_SHIFT",
	"DELETE FROM rollup_sender WHERE key < ?1 / $DAY_SECONDS << $PERIOD_SHIFT OR key >= ?2 / $DAY_SECONDS << $PERIOD_SHIFT",
	"DELETE FROM rollup_origin WHERE key < ?1 / $HOUR_SECONDS << $PERIOD_SHIFT OR key >= ?2 / $HOUR_SECONDS << $PERIOD_SHIFT",
	"DELETE FROM refusal WHERE " + outside,
	"DELETE FROM fault WHERE " + outside,
	"DELETE FROM chunk WHERE until < ?1 OR since >= ?2",
	"DELETE FROM message_end WHERE " + outside,
}

// removeUnused removes the rows that no remaining row refers to.
func (w *writer) removeUnused(ctx context.Context) error {
	for _, sql := range unused {
		if err := ctx.Err(); err != nil {
			return err
		}
		sql = layoutSQL(sql)
		if table, condition, _ := strings.Cut(strings.TrimPrefix(sql, "DELETE FROM "), " WHERE "); personal[table] != nil {
			for _, column := range personal[table] {
				if err := w.overwrite(table, column, condition); err != nil {
					return err
				}
			}
		}
		if err := w.c.Exec(sql); err != nil {
			return err
		}
	}
	return nil
}

// unused are the statements of removeUnused: each table after those that refer to it.
var unused = [...]string{
	"DELETE FROM pair WHERE id NOT IN (SELECT id FROM failure)",
	"DELETE FROM pending WHERE pair NOT IN (SELECT id FROM failure)",
	"DELETE FROM recovery WHERE recipient NOT IN (SELECT recipient FROM failure)",
	"DELETE FROM original WHERE id NOT IN (SELECT id FROM delivery) AND id NOT IN (SELECT id FROM failure)",
	"DELETE FROM warning WHERE id NOT IN (SELECT id FROM failure)",
	"DELETE FROM delivery_message WHERE id NOT IN (SELECT id FROM delivery)",
	"DELETE FROM login WHERE id NOT IN (SELECT client FROM failure WHERE typeof(client) = 'integer')",
	"DELETE FROM text WHERE id NOT IN (SELECT text FROM failure WHERE typeof(text) = 'integer' UNION SELECT text FROM warning WHERE typeof(text) = 'integer')",
	"DELETE FROM message_id WHERE id NOT IN (SELECT message FROM failure WHERE message IS NOT NULL UNION SELECT message FROM delivery_message)",
	"DELETE FROM failing WHERE id NOT IN (SELECT recipient FROM failure)",
	`DELETE FROM address WHERE id NOT IN (SELECT recipient FROM delivery UNION SELECT sender FROM delivery WHERE sender IS NOT NULL
		UNION SELECT recipient FROM failure UNION SELECT sender FROM failure WHERE sender IS NOT NULL UNION SELECT address FROM original)`,
	"DELETE FROM route WHERE id NOT IN (SELECT route FROM delivery UNION SELECT route FROM failure)",
	"DELETE FROM reply WHERE id NOT IN (SELECT reply FROM delivery UNION SELECT reply FROM failure UNION SELECT last_try FROM reply WHERE last_try > 0 AND id IN (SELECT reply FROM failure))",
	`DELETE FROM name WHERE id NOT IN (SELECT domain FROM address UNION SELECT domain FROM route
		UNION SELECT host FROM route WHERE host IS NOT NULL UNION SELECT right FROM message_id WHERE right IS NOT NULL)`,
	"DELETE FROM address_key WHERE key & $MAX_ID NOT IN (SELECT id FROM address)",
	"DELETE FROM route_key WHERE key & $MAX_ID NOT IN (SELECT id FROM route)",
	"DELETE FROM reply_key WHERE key & $MAX_ID NOT IN (SELECT id FROM reply)",
	"DELETE FROM name_key WHERE key & $MAX_ID NOT IN (SELECT id FROM name)",
}

// forgetAfter removes times at or after from, and impossible ones, from the stored histories. It
// recomputes the histories of these recipients from the remaining attempts.
func (w *writer) forgetAfter(from int64, recipients []int64) error {
	some := "SELECT value FROM json_each('" + idList(recipients) + "')"
	for _, sql := range [...]string{
		fmt.Sprintf("UPDATE chunk SET since = min(since, %[1]d - 1), until = %[1]d - 1 WHERE until >= %[1]d", from),
		fmt.Sprintf("UPDATE failure SET before = NULL WHERE before >= %d OR before < %d", from, earliest),
		fmt.Sprintf("UPDATE refusal SET before = NULL WHERE before >= %d OR before < %d", from, earliest),
		fmt.Sprintf("UPDATE fault SET before = NULL WHERE before >= %d OR before < %d", from, earliest),
		fmt.Sprintf(`UPDATE source SET first = iif(source.first < %[2]d OR source.first >= %[1]d, s.first, source.first),
				last = iif(source.last < %[2]d OR source.last >= %[1]d, s.last, source.last)
			FROM (SELECT id >> $OFFSET_BITS AS id, min(at) AS first, max(at) AS last FROM
				(SELECT id, at FROM delivery UNION ALL SELECT coalesce(line, id), at FROM failure) GROUP BY 1) AS s
			WHERE s.id = source.id`, from, earliest),
		fmt.Sprintf("UPDATE source SET first = NULL WHERE first < %[2]d OR first >= %[1]d", from, earliest),
		fmt.Sprintf("UPDATE source SET last = NULL WHERE last < %[2]d OR last >= %[1]d", from, earliest),
		fmt.Sprintf(`UPDATE address SET first = coalesce(d.first, %[1]d), last = coalesce(d.last, %[1]d)
			FROM (SELECT a.id, min(d.at) AS first, max(d.at) AS last FROM address AS a LEFT JOIN delivery AS d ON d.recipient = a.id GROUP BY a.id) AS d
			WHERE address.id = d.id AND d.id IN (%[2]s)`, never, some),
		"DELETE FROM failing WHERE id IN (" + some + ")",
		`INSERT INTO failing SELECT a.recipient, max(a.at) FROM failure AS a JOIN reply AS r ON r.id = a.reply
			WHERE r.kind < $UNCOUNTED AND a.recipient IN (` + some + `) GROUP BY a.recipient
			HAVING max(a.at) > (SELECT last FROM address WHERE id = a.recipient)`,
		"DELETE FROM recovery WHERE recipient IN (" + some + ")",
		`INSERT OR IGNORE INTO recovery SELECT recipient, at FROM (
				SELECT recipient, at, taken, lag(taken) OVER (PARTITION BY recipient ORDER BY at, id) AS before FROM (
					SELECT id, recipient, at, 1 AS taken FROM delivery
					UNION ALL SELECT a.id, a.recipient, a.at, 0 FROM failure AS a JOIN reply AS r ON r.id = a.reply WHERE r.kind < $UNCOUNTED)
				WHERE recipient IN (` + some + `))
			WHERE taken AND before = 0`,
	} {
		if err := w.c.Exec(layoutSQL(sql)); err != nil {
			return err
		}
	}
	return nil
}

// resample replaces the sample of the remaining replies by the response of a remaining attempt.
// That response names another recipient, and is equally good for judging the reply again.
func (w *writer) resample(replies []int64) error {
	slices.Sort(replies)
	last := make(map[int64]int64) // attempt by reply
	err := w.c.Each(func(row []driver.Value) error {
		if _, is := slices.BinarySearch(replies, num(row[0])); is {
			last[num(row[0])] = num(row[1])
		}
		return nil
	}, "SELECT reply, max(id) FROM failure GROUP BY reply")
	if err != nil {
		return err
	}
	t := newTexts(w.c)
	for _, reply := range sorted(last) {
		var r record
		err := w.c.Each(func(row []driver.Value) error {
			r.scan(row)
			return sqlite3.ErrStop
		}, selectFailure, last[reply])
		var a store.Attempt
		if err == nil {
			err = t.fill(&r, &a)
		}
		if err == nil {
			err = w.c.Run("UPDATE reply SET sample = ?, sample_host = ? WHERE id = ? AND sample IS NOT NULL", a.Response, null(a.RelayHost), reply)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// personal holds the columns of dictionaries that may name people.
var personal = map[string][]string{
	"login": {"user"}, "text": {"text"}, "warning": {"text"}, "message_id": {"left"}, "address": {"local"}, "reply": {"template", "sample"}, "name": {"text"},
}

// overwrite fills a column of rows that will be deleted with other text of the same length. SQLite
// overwrites deleted data (PRAGMA secure_delete). But when it merges two pages after many
// deletions, it leaves a copy of the rows that it moved, and later overwrites only the moved rows.
func (w *writer) overwrite(table, column, condition string, args ...any) error {
	return w.c.Run(fmt.Sprintf(`UPDATE %[1]s SET %[2]s = iif(typeof(%[2]s) = 'blob', zeroblob(length(%[2]s)), printf('%%0*d', octet_length(%[2]s), 0))
		WHERE typeof(%[2]s) IN ('text', 'blob') AND octet_length(%[2]s) > 0 AND (%[3]s)`, table, column, condition), args...)
}

// rewrite deletes rows of a small table and writes the others again. Rows that were inserted
// between others, or removed between them, have left copies of their neighbours in the free space
// of pages, which [writer.overwrite] does not reach. Emptying the table removes all copies.
func (w *writer) rewrite(table, condition string, args ...any) error {
	var kept [][]any
	err := w.c.Each(func(row []driver.Value) error {
		values := make([]any, len(row))
		for i, v := range row {
			values[i] = v
		}
		kept = append(kept, values)
		return nil
	}, fmt.Sprintf("SELECT * FROM %s WHERE (%s) IS NOT TRUE ORDER BY id", table, condition), args...)
	if err == nil {
		err = w.c.Exec("DELETE FROM " + table)
	}
	for _, values := range kept {
		if err == nil {
			err = w.c.Run("INSERT INTO "+table+" VALUES (?"+strings.Repeat(", ?", len(values)-1)+")", values...)
		}
	}
	return err
}
