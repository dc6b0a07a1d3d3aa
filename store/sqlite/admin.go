package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// An info is what the tables and the file say of themselves.
type info struct {
	size          int64 // bytes, the write-ahead log included
	pragmas       map[string]string
	pseudonymized bool

	rows, addresses, replies, queued int64 // rows: of attempts, hand-offs and probes included
}

// Describe says what is in the database.
func (d *DB) Describe(ctx context.Context) ([]store.Fact, error) {
	i, err := d.info(ctx)
	if err != nil {
		return nil, d.wrap("describe", err)
	}
	r, err := d.Read(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	span, err := r.Span(ctx, store.Filter{})
	if err != nil && !errors.Is(err, store.ErrDamaged) { // the rest can be told
		return nil, err
	}
	var all store.Cell
	cells, err := r.Count(ctx, store.Filter{})
	if err != nil {
		return nil, err
	}
	for i := range cells {
		all = cells[i]
	}
	var facts []store.Fact
	fact := func(what string, value any) { facts = append(facts, store.Fact{What: what, Value: value}) }
	fact("database", d.path)
	fact("size", fmt.Sprintf("%.1f MB", float64(i.size)/1e6))
	fact("schema", fmt.Sprintf("%s (SQLite %s)", i.pragmas["user_version"], sqlite3.Version()))
	fact("attempts", all.Attempts)
	if n := all.Handoff + all.Probe; n > 0 {
		fact("hand-offs and probes", n)
	}
	fact("bytes per attempt", fmt.Sprintf("%.1f", float64(i.size)/float64(max(i.rows, 1))))
	if !span.IsZero() {
		fact("from", span.First)
		fact("to", span.Last)
	}
	fact("addresses", i.addresses)
	fact("distinct replies", i.replies)
	fact("recipients waiting", i.queued)
	if i.pseudonymized {
		fact("addresses are", "pseudonyms")
	}
	return facts, nil
}

func (d *DB) info(ctx context.Context) (*info, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	i := &info{pragmas: make(map[string]string)}
	for _, suffix := range [...]string{"", "-wal"} {
		if st, err := os.Stat(d.path + suffix); err == nil {
			i.size += st.Size()
		}
	}
	for _, name := range [...]string{"application_id", "auto_vacuum", "busy_timeout", "encoding", "foreign_keys", "freelist_count", "journal_mode", "page_count", "page_size", "synchronous", "user_version"} {
		v, err := c.One("PRAGMA " + name)
		if err != nil {
			return nil, err
		}
		i.pragmas[name] = fmt.Sprint(v)
	}
	pseudonym := int64(0)
	for _, q := range [...]struct {
		to  *int64
		sql string
	}{
		{&i.rows, "SELECT sum(n) FROM rollup_origin"},
		{&i.addresses, "SELECT count(*) FROM address"},
		{&i.replies, "SELECT count(*) FROM reply"},
		{&i.queued, "SELECT count(*) FROM pending"},
		{&pseudonym, "SELECT count(*) FROM meta WHERE key = 'pseudonym_key'"},
	} {
		if *q.to, err = c.Number(q.sql); err != nil {
			return nil, err
		}
	}
	i.pseudonymized = pseudonym > 0
	return i, nil
}

// Schema is the SQL of the tables, indexes and views.
func (d *DB) Schema(ctx context.Context) (string, error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	var b strings.Builder
	err = c.Each(func(v []driver.Value) error {
		b.WriteString(str(v[0]))
		b.WriteString(";\n")
		return nil
	}, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type = 'view', rowid")
	return b.String(), d.wrap("schema", err)
}

// Check looks for damage: in the file, between the tables, and in the rollups.
// It returns what it found, in words; nothing is well.
func (d *DB) Check(ctx context.Context) (problems []string, err error) {
	c, done, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	found := func(format string, args ...any) {
		if len(problems) < 100 {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	if err := c.Each(func(v []driver.Value) error {
		for s := range strings.Lines(str(v[0])) { // one row may hold many, below a heading
			if s = strings.TrimSpace(s); s != "ok" && !strings.HasPrefix(s, "***") {
				found("file: %s", s)
			}
		}
		return ctx.Err()
	}, "PRAGMA integrity_check"); err != nil {
		return problems, d.wrap("check", err)
	}
	if err := c.Each(func(v []driver.Value) error {
		found("%s: row %v refers to a missing row of %s", str(v[0]), v[1], str(v[2]))
		return ctx.Err()
	}, "PRAGMA foreign_key_check"); err != nil {
		return problems, d.wrap("check", err)
	}
	count := func(what, sql string) {
		if err != nil || ctx.Err() != nil {
			return
		}
		var n int64
		if n, err = c.Number(layoutSQL(sql)); n != 0 {
			found("%s: %d", what, n)
		}
	}
	for _, table := range [...]string{"delivery", "failure"} {
		for _, ref := range [...]struct{ column, table string }{
			{"recipient", "address"}, {"sender", "address"}, {"route", "route"}, {"reply", "reply"},
		} {
			count(table+" rows without "+ref.column, fmt.Sprintf(
				"SELECT count(*) FROM (SELECT DISTINCT %[2]s AS x FROM %[1]s WHERE %[2]s IS NOT NULL) WHERE x NOT IN (SELECT id FROM %[3]s)", table, ref.column, ref.table))
		}
		count(table+" rows without source", "SELECT count(*) FROM (SELECT DISTINCT coalesce("+map[string]string{"delivery": "NULL", "failure": "line"}[table]+
			", id) >> $OFFSET_BITS AS x FROM "+table+") WHERE x NOT IN (SELECT id FROM source)")
	}
	for _, table := range [...]string{"name", "address", "route", "reply"} {
		count(table+" rows that cannot be looked up", fmt.Sprintf("SELECT count(*) FROM %[1]s WHERE id NOT IN (SELECT key & $MAX_ID FROM %[1]s_key)", table))
		count(table+" keys without row", fmt.Sprintf("SELECT count(*) FROM %[1]s_key WHERE key & $MAX_ID NOT IN (SELECT id FROM %[1]s)", table))
	}
	count("addresses without domain", "SELECT count(*) FROM address WHERE domain NOT IN (SELECT id FROM name)")
	count("replies without that of the last try", "SELECT count(*) FROM reply WHERE last_try > 0 AND last_try NOT IN (SELECT id FROM reply)")
	count("routes without name", "SELECT count(*) FROM route WHERE domain NOT IN (SELECT id FROM name) OR host IS NOT NULL AND host NOT IN (SELECT id FROM name)")
	count("message ids without name", "SELECT count(*) FROM message_id WHERE right IS NOT NULL AND right NOT IN (SELECT id FROM name)")
	count("delivery rows without message id", "SELECT count(*) FROM delivery_message WHERE message NOT IN (SELECT id FROM message_id)")
	count("failing recipients without failure", "SELECT count(*) FROM failing WHERE id NOT IN (SELECT recipient FROM failure)")
	count("failure rows without login", "SELECT count(*) FROM failure WHERE typeof(client) = 'integer' AND client > 0 AND client NOT IN (SELECT id FROM login)")
	count("recoveries without recipient", "SELECT count(*) FROM recovery WHERE recipient NOT IN (SELECT id FROM address)")
	count("failure rows without text", "SELECT count(*) FROM failure WHERE typeof(text) = 'integer' AND text NOT IN (SELECT id FROM text)")
	count("failure rows without message id", "SELECT count(*) FROM failure WHERE message IS NOT NULL AND message NOT IN (SELECT id FROM message_id)")
	count("original recipients without attempt", "SELECT count(*) FROM original WHERE id NOT IN (SELECT id FROM delivery) AND id NOT IN (SELECT id FROM failure)")
	count("pairs without attempt", "SELECT count(*) FROM pair WHERE id NOT IN (SELECT id FROM failure)")
	count("pending pairs that are not", "SELECT count(*) FROM pending WHERE pair NOT IN (SELECT id FROM pair WHERE state = $STATE_PENDING)")
	count("pairs that should be pending", "SELECT count(*) FROM pair WHERE state = $STATE_PENDING AND id NOT IN (SELECT pair FROM pending)")
	count("ends of messages without source", "SELECT count(*) FROM message_end WHERE id >> $OFFSET_BITS NOT IN (SELECT id FROM source)")
	count("ends of messages without origin", "SELECT count(*) FROM message_end WHERE origin NOT IN (SELECT id FROM origin)")
	count("unparsed lines without source", "SELECT count(*) FROM unparsed_line WHERE id >> $OFFSET_BITS NOT IN (SELECT id FROM source)")
	stray := fmt.Sprintf("(at < %d OR at >= %d)", earliest, latest(time.Now()))
	count("attempts dated before 1990 or after tomorrow ('bouncelog db prune --stray-times' removes them)",
		"SELECT (SELECT count(*) FROM delivery WHERE "+stray+") + (SELECT count(*) FROM failure WHERE "+stray+")")
	// A repeated line reaches past its offset, by 1,000 at most.
	count("sources with rows past their position", `SELECT count(*) FROM source AS s WHERE
		max(coalesce((SELECT max(id) FROM delivery WHERE id BETWEEN s.id << $OFFSET_BITS AND s.id << $OFFSET_BITS | $MAX_OFFSET), 0),
		    coalesce((SELECT max(id) FROM failure WHERE id BETWEEN s.id << $OFFSET_BITS AND s.id << $OFFSET_BITS | $MAX_OFFSET), 0)) >= (s.id << $OFFSET_BITS) + s.position + 1000`)
	for _, dim := range dimensions {
		kept := "SELECT * FROM rollup_" + string(dim)
		rows := rollupSQL(dim, "1")
		count("rollup by "+string(dim)+": cells that the rows do not bear out", "SELECT count(*) FROM ("+kept+" EXCEPT "+rows+")")
		count("rollup by "+string(dim)+": cells that are missing", "SELECT count(*) FROM ("+rows+" EXCEPT "+kept+")")
	}
	for i := range narrows {
		n := &narrows[i]
		kept := "SELECT * FROM " + n.table
		count(n.table+": rows that the failures do not bear out", "SELECT count(*) FROM ("+kept+" EXCEPT "+n.narrowSQL()+")")
		count(n.table+": rows that are missing", "SELECT count(*) FROM ("+n.narrowSQL()+" EXCEPT "+kept+")")
	}
	if err == nil {
		err = checkContents(ctx, c, found)
	}
	count("rollup of the whole time: cells that the days do not bear out", "SELECT count(*) FROM (SELECT * FROM rollup_total EXCEPT "+totalSQL+")")
	count("rollup of the whole time: cells that are missing", "SELECT count(*) FROM ("+totalSQL+" EXCEPT SELECT * FROM rollup_total)")
	if err == nil {
		err = ctx.Err()
	}
	return problems, d.wrap("check", err)
}

// Rejudge judges every failed reply again, each distinct one once, in the
// situation that was stored with it (bounce.Template.Situation), and brings the
// rollups up to date. It returns how many replies have a new verdict.
func (d *DB) Rejudge(ctx context.Context, judge func(d *bounce.Delivery, situation string) bounce.Verdict) (changed int64, err error) {
	err = d.writing("judge anew", func(w *writer) error {
		changed = 0
		type verdict struct {
			id, kind int64
			v        bounce.Verdict
		}
		var news []verdict
		now := make(map[int64]bounce.Verdict) // of the replies so far
		moved := false
		err := w.c.Each(func(row []driver.Value) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			var r replyText
			r.scan(row)
			id := num(row[18])
			now[id] = r.v
			if r.d.Outcome != bounce.Soft && r.d.Outcome != bounce.Hard || r.v.Rule == expiredVerdict.Rule {
				return nil
			}
			r.d.Response = str(row[15])
			v, taken := now[r.lastTry] // which was stored before
			if !taken {
				v = judge(&r.d, str(row[17]))
			}
			now[id] = v
			if v != r.v {
				moved = moved || v.Reason != r.v.Reason
				news = append(news, verdict{id, kindOf(r.d.Outcome, v.Reason), v})
			}
			return nil
		}, selectReply+" ORDER BY r.id")
		if err != nil {
			return err
		}
		for _, n := range news {
			w.kind(outcomeOf(n.kind), n.v.Reason)
			if err := w.c.Run("UPDATE reply SET kind = ?, detail = ?, scope = ?, rule = ?, confidence = ? WHERE id = ?",
				n.kind, null(n.v.Detail), null(n.v.Scope.String()), null(n.v.Rule), null(n.v.Confidence.String()), n.id); err != nil {
				return err
			}
			changed++
		}
		if moved {
			// Only failures have a reason.
			const failed = "IN ($SOFT, $HARD)"
			for _, dim := range dimensions {
				err := w.c.Exec(layoutSQL("DELETE FROM rollup_" + string(dim) + " WHERE key >> $REASON_BITS & $OUTCOME_MASK " + failed))
				if err == nil {
					err = w.c.Exec(layoutSQL("INSERT INTO rollup_" + string(dim) + " " + rollupSQL(dim, "r.kind >> $REASON_BITS "+failed)))
				}
				if err != nil {
					return err
				}
			}
			if err := w.sumTotals(); err != nil {
				return err
			}
			if err := w.fillNarrow(); err != nil {
				return err
			}
		}
		return w.reset()
	})
	return changed, err
}

// Prune removes the attempts of the whole days (UTC) before olderThan, and what
// only they needed, and gives the space back. What is known of the sources
// stays, so that old logs are not read again. It returns the number of
// attempts removed.
func (d *DB) Prune(ctx context.Context, olderThan time.Time) (removed int64, err error) {
	return d.prune(ctx, unixTime(olderThan)/day*day, noEnd)
}

// noEnd is after every time that can be stored, and a whole day.
const noEnd = maxTime/day*day + day

// Times between which a stamp is believed. Before earliest there was no syslog worth the name;
// what is later than latest was written by a clock that was wrong.
var earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func latest(now time.Time) int64 { return unixTime(now.Add(24*time.Hour))/day*day + day }

// PruneStrayTimes removes the attempts whose time cannot be: before 1990, or on a day (UTC)
// that begins later than a day after now. It returns their number. See Prune.
func (d *DB) PruneStrayTimes(ctx context.Context, now time.Time) (removed int64, err error) {
	return d.prune(ctx, earliest, latest(now))
}

// prune removes the attempts before one time and from another on, both whole days.
func (d *DB) prune(ctx context.Context, before, from int64) (removed int64, err error) {
	err = d.writing("prune", func(w *writer) error {
		removed = 0
		if err := w.overwrite("failure", "text", outside, before, from); err != nil {
			return err
		}
		var sampled []int64 // replies whose sample may be of an attempt that goes
		err := w.c.Each(func(row []driver.Value) error {
			sampled = append(sampled, num(row[0]))
			return nil
		}, "SELECT DISTINCT reply FROM failure WHERE "+outside, before, from)
		if err != nil {
			return err
		}
		var strayed []int64 // recipients whose history is not what it seems
		if from < noEnd {
			err := w.c.Each(func(row []driver.Value) error {
				strayed = append(strayed, num(row[0]))
				return nil
			}, "SELECT recipient FROM delivery WHERE "+outside+" UNION SELECT recipient FROM failure WHERE "+outside, before, from)
			if err != nil {
				return err
			}
		}
		for _, id := range sampled { // before anything moves the rows
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
		for column, table := range map[string]string{
			"text": "unparsed_line", "message_id": "open_message", "sender": "open_message", "client_host": "open_message", "sasl_user": "open_message",
		} {
			if err := w.overwrite(table, column, outside, before, from); err != nil {
				return err
			}
		}
		for _, sql := range [...]string{
			"DELETE FROM rollup_route WHERE key < ?1 / $DAY_SECONDS << $PERIOD_SHIFT OR key >= ?2 / $DAY_SECONDS << $PERIOD_SHIFT",
			"DELETE FROM rollup_sender WHERE key < ?1 / $DAY_SECONDS << $PERIOD_SHIFT OR key >= ?2 / $DAY_SECONDS << $PERIOD_SHIFT",
			"DELETE FROM rollup_origin WHERE key < ?1 / $HOUR_SECONDS << $PERIOD_SHIFT OR key >= ?2 / $HOUR_SECONDS << $PERIOD_SHIFT",
			"DELETE FROM refusal WHERE " + outside,
			"DELETE FROM fault WHERE " + outside,
			"DELETE FROM chunk WHERE until < ?1 OR since >= ?2",
			"DELETE FROM unparsed_line WHERE " + outside,
			"DELETE FROM message_end WHERE " + outside,
			"DELETE FROM open_message WHERE " + outside,
		} {
			if err := w.c.Run(layoutSQL(sql), before, from); err != nil {
				return err
			}
		}
		if from < noEnd {
			if err := w.forgetAfter(from, strayed); err != nil {
				return err
			}
		}
		for _, sql := range [...]string{
			"DELETE FROM pair WHERE id NOT IN (SELECT id FROM failure)",
			"DELETE FROM pending WHERE pair NOT IN (SELECT id FROM failure)",
			"DELETE FROM recovery WHERE recipient NOT IN (SELECT recipient FROM failure)",
			"DELETE FROM original WHERE id NOT IN (SELECT id FROM delivery) AND id NOT IN (SELECT id FROM failure)",
			"DELETE FROM delivery_message WHERE id NOT IN (SELECT id FROM delivery)",
			"DELETE FROM login WHERE id NOT IN (SELECT client FROM failure WHERE typeof(client) = 'integer')",
			"DELETE FROM text WHERE id NOT IN (SELECT text FROM failure WHERE typeof(text) = 'integer')",
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
		} {
			if err := ctx.Err(); err != nil {
				return err
			}
			sql = layoutSQL(sql)
			if table, unused, _ := strings.Cut(strings.TrimPrefix(sql, "DELETE FROM "), " WHERE "); personal[table] != nil {
				for _, column := range personal[table] {
					if err := w.overwrite(table, column, unused); err != nil {
						return err
					}
				}
			}
			if err := w.c.Exec(sql); err != nil {
				return err
			}
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

// outside is the condition on a row that is pruned.
const outside = "(at < ?1 OR at >= ?2)"

// forgetAfter forgets what is known of times from one on, and makes the histories of
// recipients anew, where the attempts of these times are gone.
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

// idList is a list of ids as JSON.
func idList(ids []int64) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(id, 10))
	}
	return b.String() + "]"
}

// resample gives replies, as far as they are still there, the response of an attempt that
// is: it names another recipient, and does as well for judging the reply again.
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

// personal are the columns of dictionaries that may name people.
var personal = map[string][]string{
	"login": {"user"}, "text": {"text"}, "message_id": {"left"}, "address": {"local"}, "reply": {"template", "sample"}, "name": {"text"},
}

// overwrite writes nonsense of the same length over a column of rows that will be deleted.
// SQLite overwrites what it deletes (PRAGMA secure_delete); but where so many rows
// are deleted that it puts the rest of two pages together, it leaves a copy of rows that it
// has moved, and deletes that in the new place only.
func (w *writer) overwrite(table, column, condition string, args ...any) error {
	return w.c.Run(fmt.Sprintf(`UPDATE %[1]s SET %[2]s = iif(typeof(%[2]s) = 'blob', zeroblob(length(%[2]s)), printf('%%0*d', octet_length(%[2]s), 0))
		WHERE typeof(%[2]s) IN ('text', 'blob') AND octet_length(%[2]s) > 0 AND (%[3]s)`, table, column, condition), args...)
}

// Backup copies the database to a new file while it is in use.
func (d *DB) Backup(ctx context.Context, to string) error {
	if d.opts.Temporary {
		return errors.New("backup: a temporary database is not kept")
	}
	c, done, err := d.reader(ctx)
	if err != nil {
		return err
	}
	defer done()
	return d.backup(ctx, c, to)
}

// backup writes a whole copy beside its place, then puts it there.
func (d *DB) backup(ctx context.Context, c *sqlite3.Conn, to string) (err error) {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("backup: %s exists", to)
	}
	part := &DB{file: file{to + ".part"}, opts: d.opts}
	os.Remove(part.path)
	if err := part.create(); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer os.Remove(part.path)
	dst, err := sqlite3.Open(part.address("mode", "rw"))
	if err != nil {
		return part.wrap("backup", err)
	}
	defer func() {
		if e := dst.Close(); err == nil && e != nil {
			err = part.wrap("backup", e)
		}
		if err == nil {
			err = os.Rename(part.path, to)
		}
	}()
	return part.wrap("backup", dst.Backup(c))
}
