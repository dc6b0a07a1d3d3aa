package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// SQLite stores no checksums of the database. A byte changed by a disk shows only if it breaks the
// structure of a page, or contradicts other data. QuickCheck looks for the first, Check for both.

// quickSize is the largest database, in bytes, that QuickCheck reads. Reading takes about 3 ms of
// CPU per megabyte.
const quickSize = 16 << 20

// QuickCheck looks for damage of the file in a database of up to 16 MiB; it does not read a larger
// one. For damage it returns store.ErrDamaged with the first finding.
func (d *DB) QuickCheck(ctx context.Context) error {
	if d.opts.Temporary {
		return nil
	}
	if st, err := os.Stat(d.path); err != nil || st.Size() > quickSize {
		return nil
	}
	c, done, err := d.readConn(ctx)
	if err != nil {
		return err
	}
	defer done()
	v, err := c.One("PRAGMA quick_check(1)")
	if s := firstFinding(str(v)); err == nil && s != "" {
		err = fmt.Errorf("%w: %s", store.ErrDamaged, s)
	}
	if err != nil && !sqlite3.FromSQLite(err) {
		return fmt.Errorf("look for damage: %s: %w", d.path, err)
	}
	return d.wrap("look for damage", err)
}

// firstFinding returns the first line of a result of quick_check that is no heading; empty if the
// result is "ok".
func firstFinding(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "ok" && !strings.HasPrefix(line, "***") {
			return line
		}
	}
	return ""
}

// checkContents compares data that is stored in more than one place: the texts of the dictionaries
// with their hashes; the attempts with the filters of their chunks; the histories of recipients
// with their attempts.
func checkContents(ctx context.Context, c *sqlite3.Conn, found func(format string, args ...any)) error {
	x := &contents{ctx: ctx, c: c, found: found}
	x.checkDictionaries()
	x.checkTexts()
	x.checkChunks()
	x.checkHistories()
	if x.err == nil {
		x.err = ctx.Err()
	}
	return x.err
}

// contents is a check of the contents. After an error its methods do nothing.
type contents struct {
	ctx   context.Context
	c     *sqlite3.Conn
	found func(format string, args ...any)
	bad   int // faults of the present kind
	err   error
}

// each calls fn for each row of a query.
func (x *contents) each(sql string, fn func(v []driver.Value) error) {
	if x.err != nil || x.ctx.Err() != nil {
		return
	}
	var s *sqlite3.Stmt
	if s, x.err = x.c.Prepare(layoutSQL(sql)); x.err != nil {
		return
	}
	defer s.Close()
	x.err = s.Each(fn)
}

// report reports the number of faults of a kind, and begins the next kind.
func (x *contents) report(what string) {
	if x.bad > 0 {
		x.found("%s: %d", what, x.bad)
	}
	x.bad = 0
}

// count reports the number that a query returns.
func (x *contents) count(what, sql string) {
	x.each(sql, func(v []driver.Value) error {
		x.bad = int(num(v[0]))
		return nil
	})
	x.report(what)
}

// checkDictionaries compares names, addresses and routes with their hashes.
func (x *contents) checkDictionaries() {
	secret, _, err := readSecret(x.c)
	if err != nil {
		x.err = err
		return
	}
	key := func(table string, h uint64, id int64) error {
		n, err := x.c.Number("SELECT count(*) FROM "+table+"_key WHERE key = ?", int64(newDictKey(h, id)))
		if n == 0 {
			x.bad++
		}
		return err
	}
	names := make(map[int64]string)
	x.each("SELECT id, text FROM name", func(v []driver.Value) error {
		names[num(v[0])] = str(v[1])
		return key("name", secret.hash.add(0, str(v[1])), num(v[0]))
	})
	x.report("names that differ from their hash")
	x.each("SELECT id, local, domain FROM address", func(v []driver.Value) error {
		return key("address", secret.folded(str(v[1]), num(v[2])), num(v[0]))
	})
	x.report("addresses that differ from their hash")
	x.each("SELECT id, domain, host, ip, port FROM route", func(v []driver.Value) error {
		domain, host, ip := names[num(v[1])], names[num(v[2])], ipText(v[3])
		for _, s := range [...]string{domain, host, ip} {
			if strings.Contains(s, "\uFFFD") || len(s) >= store.MaxWord {
				return nil // Clean changed it before it was stored
			}
		}
		return key("route", secret.hash.route(domain, host, ip, uint16(num(v[4]))), num(v[0]))
	})
	x.report("routes that differ from their hash")
}

// textColumns are the columns that hold clean texts (store.Clean), with the control characters that a
// shortened text may contain.
var textColumns = [...]struct{ table, column, marks string }{
	{"name", "text", ""},
	{"address", "local", ""},
	{"login", "user", ""},
	{"text", "text", "\x01\x02\x03\x04\x05"},
	{"message_id", "left", ""},
	{"reply", "template", ""},
	{"reply", "sample", ""},
	{"reply", "agent", ""},
	{"reply", "status", ""},
	{"reply", "enhanced", ""},
	{"reply", "stage", ""},
	{"reply", "rule", ""},
	{"reply", "detail", ""},
	{"reply", "scope", ""},
	{"reply", "confidence", ""},
	{"reply", "sample_host", ""},
	{"reply", "tls", ""},
	{"failure", "text", "\x01\x02\x03\x04\x05"},
	{"failure", "queue", ""},
	{"delivery", "queue", ""},
	{"unparsed_line", "text", ""},
	{"source", "path", ""},
	{"source", "name", ""},
	{"message_end", "event", ""},
	{"message_end", "by", ""},
	{"origin", "host", ""},
	{"origin", "instance", ""},
	{"skipped", "program", ""},
}

// checkTexts checks that the texts are clean.
func (x *contents) checkTexts() {
	for _, t := range textColumns {
		x.each(fmt.Sprintf("SELECT %[1]s FROM %[2]s WHERE typeof(%[1]s) = 'text'", t.column, t.table), func(v []driver.Value) error {
			s := str(v[0])
			if store.Clean(s, len(s)) == s {
				return nil
			}
			odd := strings.ContainsFunc(s, func(r rune) bool { return r < '\t' && !strings.ContainsRune(t.marks, r) })
			if odd || !utf8.ValidString(s) {
				x.bad++
			}
			return nil
		})
		x.report(fmt.Sprintf("texts in %s.%s that were changed after they were stored", t.table, t.column))
	}
}

// checkChunks compares the attempts of each full chunk with its filter and its times.
func (x *contents) checkChunks() {
	type fullChunk struct {
		lo, hi, since, until int64
		filter               []byte
	}
	var chunks []fullChunk
	x.each("SELECT id, last, since, until, bits FROM chunk", func(v []driver.Value) error {
		b, _ := v[4].([]byte)
		chunks = append(chunks, fullChunk{num(v[0]), num(v[1]), num(v[2]), num(v[3]), append([]byte(nil), b...)})
		return nil
	})
	for _, r := range chunks {
		x.each(fmt.Sprintf(`SELECT recipient, queue, message_hash, at FROM delivery WHERE id BETWEEN %[1]d AND %[2]d
			UNION ALL SELECT recipient, queue, message_hash, at FROM failure WHERE id BETWEEN %[1]d AND %[2]d`, r.lo, r.hi), func(v []driver.Value) error {
			if !mayHold(r.filter, recipientKey(num(v[0]))) || !mayHold(r.filter, queueKey(queueText(v[1]))) ||
				num(v[2]) != 0 && !mayHold(r.filter, messageHashKey(num(v[2]))) || num(v[3]) < r.since || num(v[3]) > r.until {
				x.bad++
			}
			return nil
		})
	}
	x.report("attempts that the filter of their chunk lacks")
}

// checkHistories compares the histories of recipients, and the tables of attempts, with the attempts.
func (x *contents) checkHistories() {
	// A pruned delivery remains the first, and remains the last if no other is left.
	x.count("addresses whose deliveries are not those of the attempts", `SELECT count(*) FROM address AS a
		JOIN (SELECT recipient, min(at) AS first, max(at) AS last FROM delivery GROUP BY recipient) AS d ON d.recipient = a.id
		WHERE a.first > d.first OR a.first < 0 OR a.last NOT BETWEEN d.last - $DAY_SECONDS AND d.last`)
	x.count("deliveries with the reply of a failure, and failures with that of a delivery", `SELECT
		(SELECT count(*) FROM delivery AS a JOIN reply AS r ON r.id = a.reply WHERE r.kind >> $REASON_BITS <> $DELIVERED) +
		(SELECT count(*) FROM failure AS a JOIN reply AS r ON r.id = a.reply WHERE r.kind >> $REASON_BITS = $DELIVERED)`)
}

// Check looks for damage in the file, in the references between tables, and in the rollups. It
// returns the problems as text; none if the database is sound.
func (d *DB) Check(ctx context.Context) (problems []string, err error) {
	c, done, err := d.readConn(ctx)
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
		for s := range strings.Lines(str(v[0])) { // one row may hold several lines, after a heading
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
	count("warnings without attempt or text", "SELECT count(*) FROM warning WHERE id NOT IN (SELECT id FROM failure) OR typeof(text) = 'integer' AND text NOT IN (SELECT id FROM text)")
	count("pairs without attempt", "SELECT count(*) FROM pair WHERE id NOT IN (SELECT id FROM failure)")
	count("pending pairs that are not", "SELECT count(*) FROM pending WHERE pair NOT IN (SELECT id FROM pair WHERE state = $STATE_PENDING)")
	count("pairs that should be pending", "SELECT count(*) FROM pair WHERE state = $STATE_PENDING AND id NOT IN (SELECT pair FROM pending)")
	count("ends of messages without source", "SELECT count(*) FROM message_end WHERE id >> $OFFSET_BITS NOT IN (SELECT id FROM source)")
	count("ends of messages without origin", "SELECT count(*) FROM message_end WHERE origin NOT IN (SELECT id FROM origin)")
	count("unparsed lines without source", "SELECT count(*) FROM unparsed_line WHERE id >> $OFFSET_BITS NOT IN (SELECT id FROM source)")
	// A line without a time is stored at minTime, which is no damage.
	stray := fmt.Sprintf("(at < %d AND at <> %d OR at >= %d)", earliest, minTime, latest(time.Now()))
	count("attempts dated before 1990 or after tomorrow ('bouncelog db prune --stray-times' removes them)",
		"SELECT (SELECT count(*) FROM delivery WHERE "+stray+") + (SELECT count(*) FROM failure WHERE "+stray+")")
	// A repeated line reaches past its offset, by 1,000 at most.
	count("sources with rows past their position", `SELECT count(*) FROM source AS s WHERE
		max(coalesce((SELECT max(id) FROM delivery WHERE id BETWEEN s.id << $OFFSET_BITS AND s.id << $OFFSET_BITS | $MAX_OFFSET), 0),
		    coalesce((SELECT max(id) FROM failure WHERE id BETWEEN s.id << $OFFSET_BITS AND s.id << $OFFSET_BITS | $MAX_OFFSET), 0)) >= (s.id << $OFFSET_BITS) + s.position + 1000`)
	for _, dim := range dimensions {
		kept := "SELECT * FROM rollup_" + string(dim)
		rows := rollupSQL(dim, "1")
		count("rollup by "+string(dim)+": cells that differ from the rows", "SELECT count(*) FROM ("+kept+" EXCEPT "+rows+")")
		count("rollup by "+string(dim)+": cells that are missing", "SELECT count(*) FROM ("+rows+" EXCEPT "+kept+")")
	}
	for i := range narrows {
		n := &narrows[i]
		kept := "SELECT * FROM " + n.table
		count(n.table+": rows that differ from the failures", "SELECT count(*) FROM ("+kept+" EXCEPT "+n.narrowSQL()+")")
		count(n.table+": rows that are missing", "SELECT count(*) FROM ("+n.narrowSQL()+" EXCEPT "+kept+")")
	}
	if err == nil {
		err = checkContents(ctx, c, found)
	}
	count("rollup of the whole time: cells that differ from the days", "SELECT count(*) FROM (SELECT * FROM rollup_total EXCEPT "+totalSQL+")")
	count("rollup of the whole time: cells that are missing", "SELECT count(*) FROM ("+totalSQL+" EXCEPT SELECT * FROM rollup_total)")
	if err == nil {
		err = ctx.Err()
	}
	return problems, d.wrap("check", err)
}
