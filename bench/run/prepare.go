//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// The logs. Their rates make them span days, so that mail expires in them.
const (
	postfixLog = "mail.log"
	postfixGz  = "mail.log.gz"
	smallLog   = "small.log" // the first tenth of mail.log
	eximLog    = "mainlog"
	bigLog     = "big.log"
)

// Every log's database stays, see check.
func checked(name string) string { return name + ".db" }

// largest is the log whose database is asked and multiplied.
func (b *bench) largest() string {
	if b.big != "" {
		return bigLog
	}
	return postfixLog
}

// prepare builds the programs, writes the logs, checks that they are understood,
// makes what the limits are measured with, and chooses what is measured.
func (b *bench) prepare(only *regexp.Regexp) error {
	dir, err := filepath.Abs(b.dir)
	if err != nil {
		return err
	}
	var rows int64
	if b.rows != "" {
		if rows, err = b.number("numfmt --from=si " + b.rows); err != nil {
			return fmt.Errorf("-rows: %w", err)
		}
	}
	for name, c := range map[string]*exec.Cmd{
		"bouncelog": exec.Command("make", "-s", "build", "BINARY="+filepath.Join(dir, "bouncelog")),
		"genlog":    exec.Command("go", "build", "-o", filepath.Join(dir, "genlog"), "bouncelog/bench/genlog"),
	} {
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", c, err, out)
		}
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if name == "bouncelog" {
			b.binary = st.Size()
		}
	}
	if err := b.generate(); err != nil {
		return err
	}
	b.logs = map[string]logFile{}
	if strings.HasPrefix(b.sqlite3(), "peers/") {
		if err := b.fetchPeers(); err != nil {
			return err
		}
	}
	for _, name := range []string{postfixLog, smallLog, eximLog, bigLog} {
		if !b.exists(name) {
			continue
		}
		if err := b.check(name); err != nil {
			return err
		}
	}
	st, err := os.Stat(filepath.Join(dir, postfixGz))
	if err != nil {
		return err
	}
	b.logs[postfixGz] = logFile{bytes: st.Size()}
	for _, name := range []string{postfixLog, eximLog} {
		if err := b.dump(name); err != nil {
			return err
		}
	}
	if rows > 0 {
		if err := b.multiply(rows); err != nil {
			return err
		}
	}
	if err := b.chooseRecipient(); err != nil {
		return err
	}
	b.sections = b.allSections()
	b.choose(only)
	if len(b.subjects) == 0 {
		return fmt.Errorf("-only: nothing is called %q", only)
	}
	for _, s := range b.subjects {
		if strings.Contains(s.command, "peers/") {
			if err := b.fetchPeers(); err != nil {
				return err
			}
		}
	}
	return b.findVersions()
}

// generate writes the logs, where those that are there were not made so.
func (b *bench) generate() error {
	const genlog = "./genlog -rate 200000 -truth %[1]s.json -o %[1]s -bytes %[2]s"
	made := map[string]string{
		postfixLog: fmt.Sprintf(genlog, postfixLog, b.bytes) + " && gzip -kf " + postfixLog +
			" && head -c $(($(stat -c %s " + postfixLog + ") / 10)) " + postfixLog + " | sed '$d' >" + smallLog,
		eximLog: fmt.Sprintf(genlog, eximLog, b.bytes) + " -mta exim",
	}
	if b.big != "" {
		// The same server, weeks before.
		made[bigLog] = fmt.Sprintf(genlog, bigLog, b.big) + " -start 2026-01-01T00:00:00Z"
	} else if err := os.RemoveAll(filepath.Join(b.dir, bigLog)); err != nil {
		return err
	}
	for name, command := range made {
		stamp := filepath.Join(b.dir, name+".made")
		if old, _ := os.ReadFile(stamp); string(old) == command && b.exists(name) {
			continue
		}
		log.Printf("writing %s", name)
		if _, err := b.sh(command); err != nil {
			return err
		}
		if err := os.WriteFile(stamp, []byte(command), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// fetchPeers unpacks the peers' Debian packages below peers/.
func (b *bench) fetchPeers() error {
	if _, err := os.Stat(filepath.Join(b.dir, "peers/usr/sbin/pflogsumm")); err == nil {
		return nil
	}
	packages := "pflogsumm libdate-calc-perl libcarp-clan-perl libbit-vector-perl exim4-base logwatch"
	if _, err := exec.LookPath("sqlite3"); err != nil {
		packages += " sqlite3"
	}
	log.Printf("fetching %s", packages)
	download := "mkdir -p debs && cd debs && apt-get download -q " + packages
	if _, err := b.sh(download); err != nil { // apt may have no lists, or old ones
		if _, err := b.sh("apt-get update -qq && " + download); err != nil {
			return err
		}
	}
	_, err := b.sh("for d in debs/*.deb; do dpkg -x $d peers || exit 1; done")
	return err
}

// check imports a log and compares the report with what the generator wrote:
// the time that a wrong result took is worth nothing.
func (b *bench) check(name string) error {
	log.Printf("checking %s", name)
	db := checked(name)
	if _, err := b.sh("rm -f " + db + "* && ./bouncelog --db " + db + " import " + name + " >/dev/null"); err != nil {
		return err
	}
	var f logFile
	st, err := os.Stat(filepath.Join(b.dir, name))
	if err != nil {
		return err
	}
	f.bytes = st.Size()
	if f.lines, err = b.number("wc -l <" + name); err != nil {
		return err
	}
	if f.attempts, err = b.held(db); err != nil {
		return err
	}
	b.logs[name] = f
	line := fmt.Sprintf("%s: %d lines, %d attempts", name, f.lines, f.attempts)
	if name == smallLog {
		b.checks = append(b.checks, line+": the first of "+postfixLog)
		return nil
	}
	said, err := b.compare(name)
	b.checks = append(b.checks, line+"; "+said)
	return err
}

// compare says what the report on a log's database counts, and fails where the
// generator wrote something else.
func (b *bench) compare(name string) (string, error) {
	var truth struct {
		Lines  int64            `json:"lines"`
		Status map[string]int64 `json:"by_status"`
	}
	raw, err := os.ReadFile(filepath.Join(b.dir, name+".json"))
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(raw, &truth); err != nil {
		return "", err
	}
	raw, err = b.sh("./bouncelog --db " + checked(name) + " report --all --section domains --format json")
	if err != nil {
		return "", err
	}
	var report struct {
		Domains []struct{ Delivered, Soft, Hard, Expired int64 }
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		return "", err
	}
	var delivered, soft, hard, expired int64
	for _, d := range report.Domains {
		delivered, soft, hard, expired = delivered+d.Delivered, soft+d.Soft, hard+d.Hard, expired+d.Expired
	}
	said := fmt.Sprintf("delivered %d, soft %d, hard %d, of these expired %d", delivered, soft, hard, expired)
	s := truth.Status
	if truth.Lines != b.logs[name].lines || delivered != s["sent"] || soft != s["deferred"] || hard != s["bounced"]+s["expired"] || expired != s["expired"] {
		return "", fmt.Errorf("the report on %s is wrong: %s; the generator wrote %d, %d, %d + %d in %d lines", name, said, s["sent"], s["deferred"], s["bounced"], s["expired"], truth.Lines)
	}
	return said, nil
}

// dump writes each table of a log's database to a file, and a script that has
// the sqlite3 shell read them into the same tables with the same indexes.
func (b *bench) dump(name string) error {
	shell := b.sqlite3() + " -batch -bail " + checked(name)
	// STRICT would refuse the text that .import makes of each value, and
	// NULLs come as empty text.
	schema, err := b.sh(shell + ` "SELECT replace(replace(sql, ') STRICT, ', ') '), ') STRICT', ')') || ';' FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('table', 'index') AND name NOT LIKE 'sqlite%' ORDER BY type DESC"`)
	if err != nil {
		return err
	}
	// A blob would not survive as text; its digits do.
	tables, err := b.sh(shell + ` "SELECT t.name, group_concat(printf('CASE typeof(\"%w\") WHEN ''blob'' THEN hex(\"%w\") ELSE \"%w\" END', c.name, c.name, c.name))
		FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' GROUP BY t.name"`)
	if err != nil {
		return err
	}
	load := "PRAGMA journal_mode = WAL;\nPRAGMA synchronous = NORMAL;\n" + string(schema)
	dump := ""
	for row := range strings.Lines(string(tables)) {
		table, columns, _ := strings.Cut(strings.TrimSpace(row), "|")
		file := "rows-" + name + "-" + table
		dump += fmt.Sprintf(".once %s\nSELECT %s FROM \"%s\";\n", file, columns, table)
		load += fmt.Sprintf(".import --ascii %s %s\n", file, table)
	}
	for file, script := range map[string]string{"dump.sql": dump, "load-" + name + ".sql": load} {
		if err := os.WriteFile(filepath.Join(b.dir, file), []byte(script), 0o644); err != nil {
			return err
		}
	}
	_, err = b.sh(shell + " -ascii <dump.sql")
	return err
}

// The database with many attempts: those of the largest log again and again, each
// time so many days earlier as it spans, from another source. What does not grow
// with each attempt is as that log left it.
const (
	manyDB     = "many.db"
	multiplied = `
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
ATTACH '%[1]s' AS base;
CREATE TEMP TABLE again AS
	WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k + 1 < %[2]d)
	SELECT k, k << 40 AS ids, k * ((last - first) / 86400 + 1) * 86400 AS time FROM n, base.source WHERE k < %[2]d;
BEGIN;
INSERT INTO source SELECT id + k, name || '-' || k, path, position, state, first - time, last - time,
		lines, delivery, attempts, repeated, queue, rejected, skipped, unparsed, blank
	FROM again CROSS JOIN base.source;
INSERT INTO delivery SELECT id + ids, at - time, queue, recipient, sender, route, reply, meta, message_hash
	FROM again CROSS JOIN base.delivery;
INSERT INTO failure SELECT id + ids, at - time, queue, recipient, sender, route, reply, meta, text, message, before - time, line + ids, client, message_hash
	FROM again CROSS JOIN base.failure;
INSERT INTO refusal SELECT id + ids, at - time, queue, recipient, sender, route, reply, before - time, original
	FROM again CROSS JOIN base.refusal;
INSERT INTO fault SELECT id + ids, at - time, recipient, reply, before - time
	FROM again CROSS JOIN base.fault;
INSERT INTO chunk SELECT id + ids, last + ids, since - time, until - time, bits
	FROM again CROSS JOIN base.chunk;
COMMIT;
PRAGMA journal_mode = WAL;
`
)

// multiply makes the database with so many attempts, or a few more.
func (b *bench) multiply(rows int64) error {
	of := b.logs[b.largest()].attempts
	b.copies = (rows + of - 1) / of
	log.Printf("making a database of %d attempts", b.copies*of)
	script := fmt.Sprintf(multiplied, checked(b.largest()), b.copies)
	if err := os.WriteFile(filepath.Join(b.dir, "many.sql"), []byte(script), 0o644); err != nil {
		return err
	}
	_, err := b.sh("rm -f " + manyDB + "* && cp " + checked(b.largest()) + " " + manyDB + " && " + b.sqlite3() + " -batch -bail " + manyDB + " <many.sql")
	if err != nil {
		return err
	}
	b.many, err = b.held(manyDB)
	return err
}

// chooseRecipient writes down whose attempts are looked for, and counts them.
func (b *bench) chooseRecipient() error {
	db := checked(b.largest())
	_, err := b.sh(b.sqlite3() + " -batch -readonly " + db + ` "SELECT a.local || '@' || n.text FROM address AS a JOIN name AS n ON n.id = a.domain
		WHERE a.id = (SELECT recipient FROM delivery WHERE id >= (SELECT (min(id) + max(id)) / 2 FROM delivery) ORDER BY id LIMIT 1)" >recipient`)
	if err != nil {
		return err
	}
	b.traced, err = b.number("./bouncelog --db " + db + ` trace --format ndjson "$(cat recipient)" | wc -l`)
	return err
}

func (b *bench) sqlite3() string {
	if _, err := exec.LookPath("sqlite3"); err != nil {
		return "peers/usr/bin/sqlite3"
	}
	return "sqlite3"
}

func (b *bench) findVersions() error {
	for _, c := range []string{
		"./bouncelog version | head -n 1",
		"go version",
		b.sqlite3() + " --version | cut -d' ' -f1 | sed 's/^/sqlite3 /'",
		"grep --version | head -n 1",
		"gzip --version | head -n 1",
		`test ! -d peers || perl -e 'print "perl $^V\n"'`,
		`for d in debs/*.deb; do case $d in *pflogsumm* | *exim4-base* | *logwatch*) dpkg-deb -f $d Package Version | sed 's/^.*: //' | paste -sd' ';; esac; done`,
	} {
		out, err := b.sh(c)
		if err != nil {
			return err
		}
		b.versions = append(b.versions, strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })...)
	}
	return nil
}
