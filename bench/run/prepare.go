//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The logs. Their rates make them span days, so that mail expires in them.
const (
	postfixLog = "mail.log"
	postfixGz  = "mail.log.gz"
	eximLog    = "mainlog"
)

// prepare builds the programs, writes the logs, fetches the peers and makes
// what the limits are measured with.
func (b *bench) prepare(size string) error {
	for pkg, name := range map[string]string{"cmd/bouncelog": "bouncelog", "bench/genlog": "genlog"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(b.dir, name), "bouncelog/"+pkg).CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
		}
	}
	stamp := filepath.Join(b.dir, "size")
	if old, _ := os.ReadFile(stamp); string(old) != size {
		log.Printf("writing logs of %s", size)
		for _, c := range []string{
			"./genlog -bytes " + size + " -rate 200000 -o " + postfixLog + " -truth postfix.json",
			"./genlog -mta exim -bytes " + size + " -rate 200000 -o " + eximLog + " -truth exim.json",
			"gzip -kf " + postfixLog,
		} {
			if _, err := b.sh(c); err != nil {
				return err
			}
		}
		if err := os.WriteFile(stamp, []byte(size), 0o644); err != nil {
			return err
		}
	}
	b.logSize = map[string]int64{}
	for _, name := range []string{postfixLog, postfixGz, eximLog} {
		st, err := os.Stat(filepath.Join(b.dir, name))
		if err != nil {
			return err
		}
		b.logSize[name] = st.Size()
	}
	if err := b.fetchPeers(); err != nil {
		return err
	}
	for mta, name := range map[string]string{"postfix": postfixLog, "exim": eximLog} {
		if err := b.check(mta, name); err != nil {
			return err
		}
	}
	for _, mta := range []string{"postfix", "exim"} {
		if err := b.dump(mta); err != nil {
			return err
		}
	}
	return b.findVersions()
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
func (b *bench) check(mta, name string) error {
	var truth struct {
		Lines  int64            `json:"lines"`
		Status map[string]int64 `json:"by_status"`
	}
	raw, err := os.ReadFile(filepath.Join(b.dir, mta+".json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &truth); err != nil {
		return err
	}
	raw, err = b.sh("rm -f check-" + mta + ".db* && ./bouncelog --db check-" + mta + ".db import " + name +
		" >/dev/null && ./bouncelog --db check-" + mta + ".db report --all --section domains --format json")
	if err != nil {
		return err
	}
	var report struct {
		Domains []struct{ Delivered, Soft, Hard, Expired int64 }
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		return err
	}
	var delivered, soft, hard, expired int64
	for _, d := range report.Domains {
		delivered, soft, hard, expired = delivered+d.Delivered, soft+d.Soft, hard+d.Hard, expired+d.Expired
	}
	s := truth.Status
	agree := delivered == s["sent"] && soft == s["deferred"] && hard == s["bounced"]+s["expired"] && expired == s["expired"]
	line := fmt.Sprintf("%s: %d lines; delivered %d, soft %d, hard %d, of these expired %d", name, truth.Lines, delivered, soft, hard, expired)
	if !agree {
		return fmt.Errorf("the report is wrong: %s; the generator wrote %d, %d, %d + %d", line, s["sent"], s["deferred"], s["bounced"], s["expired"])
	}
	b.checks = append(b.checks, line)
	return nil
}

// dump writes each table of a log's database to a file, and a script that has
// the sqlite3 shell read them into the same tables with the same indexes.
func (b *bench) dump(mta string) error {
	db := "check-" + mta + ".db"
	out, err := b.sh(b.sqlite3() + " -batch " + db + ` "PRAGMA wal_checkpoint; SELECT name FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL AND name NOT LIKE 'sqlite%' AND sql NOT LIKE 'CREATE VIRTUAL%'"`)
	if err != nil {
		return err
	}
	var load strings.Builder
	load.WriteString("PRAGMA journal_mode = WAL;\nPRAGMA synchronous = NORMAL;\n")
	// STRICT would refuse the text that .import makes of each value, and
	// NULLs come as empty text.
	schema, err := b.sh(b.sqlite3() + " -batch " + db + ` "SELECT replace(replace(sql, ') STRICT', ')'), ', STRICT', '') || ';' FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('table', 'index') AND name NOT LIKE 'sqlite%' ORDER BY type DESC"`)
	if err != nil {
		return err
	}
	load.Write(schema)
	for _, table := range strings.Fields(string(out)) {
		if strings.ContainsAny(table, "|") || table == "0" { // the answer to the pragma
			continue
		}
		// A blob would not survive as text; its digits do.
		columns, err := b.sh(fmt.Sprintf(`%s -batch %s "SELECT group_concat(printf('CASE typeof(\"%%w\") WHEN ''blob'' THEN hex(\"%%w\") ELSE \"%%w\" END', name, name, name)) FROM pragma_table_info('%s')"`, b.sqlite3(), db, table))
		if err != nil {
			return err
		}
		file := "rows-" + mta + "-" + table
		query := fmt.Sprintf(`SELECT %s FROM "%s";`, bytes.TrimSpace(columns), table)
		if err := os.WriteFile(filepath.Join(b.dir, "dump.sql"), []byte(query), 0o644); err != nil {
			return err
		}
		if _, err := b.sh(fmt.Sprintf("%s -batch -ascii %s <dump.sql >%s", b.sqlite3(), db, file)); err != nil {
			return err
		}
		fmt.Fprintf(&load, ".import --ascii %s %s\n", file, table)
	}
	return os.WriteFile(filepath.Join(b.dir, "load-"+mta+".sql"), []byte(load.String()), 0o644)
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
		`perl -e 'print "perl $^V\n"'`,
		`for d in debs/*.deb; do case $d in *pflogsumm* | *exim4-base* | *logwatch*) dpkg-deb -f $d Package Version | sed 's/^.*: //' | paste -sd' ';; esac; done`,
	} {
		out, err := b.sh(c)
		if err != nil {
			return err
		}
		b.versions = append(b.versions, strings.Split(strings.TrimSpace(string(out)), "\n")...)
	}
	return nil
}

// subjects is what is measured.
func (b *bench) subjects() []*subject {
	const (
		postfix = "Postfix log"
		gz      = "Postfix log, .gz"
		exim    = "Exim log"
		db      = "database of the Postfix log"
	)
	perl := "PERL5LIB=peers/usr/share/perl5:$(ls -d peers/usr/lib/*/perl5/* | head -n 1) perl "
	rows := b.sqlite3() + " -batch limit.db <load-"
	const rowsName = "sqlite3 .import of the same rows"
	readPostfix, readGz, readExim := postfix+": grep -c", gz+": gzip -dc", exim+": grep -cE"
	storePostfix, storeExim := postfix+": "+rowsName, exim+": "+rowsName
	return []*subject{
		{group: postfix, name: "wc -l", command: "wc -l " + postfixLog, input: postfixLog},
		{group: postfix, name: "grep -c", command: "grep -c 'status=' " + postfixLog, input: postfixLog},
		{group: postfix, name: rowsName, command: rows + "postfix.sql", input: postfixLog, fresh: []string{"limit.db"}},
		{group: postfix, name: "bouncelog import", command: "./bouncelog --db new.db import " + postfixLog, input: postfixLog, fresh: []string{"new.db"}, limits: []string{readPostfix, storePostfix}},
		{group: postfix, name: "bouncelog report FILE", command: "./bouncelog report " + postfixLog, input: postfixLog, limits: []string{readPostfix}},
		{group: postfix, name: "bouncelog parse", command: "./bouncelog parse " + postfixLog, input: postfixLog, limits: []string{readPostfix}},
		{group: postfix, name: "pflogsumm", command: perl + "peers/usr/sbin/pflogsumm " + postfixLog, input: postfixLog, limits: []string{readPostfix}},
		{group: postfix, name: "logwatch postfix", command: perl + "peers/usr/share/logwatch/scripts/services/postfix -f peers/usr/share/logwatch/default.conf/services/postfix.conf " + postfixLog, input: postfixLog, limits: []string{readPostfix}},

		{group: gz, name: "gzip -dc", command: "gzip -dc " + postfixGz, input: postfixLog},
		{group: gz, name: "bouncelog import", command: "./bouncelog --db gz.db import " + postfixGz, input: postfixLog, fresh: []string{"gz.db"}, limits: []string{readGz, storePostfix}},

		{group: exim, name: "wc -l", command: "wc -l " + eximLog, input: eximLog},
		{group: exim, name: "grep -cE", command: "grep -cE ' (=>|->|==|[*][*]) ' " + eximLog, input: eximLog},
		{group: exim, name: rowsName, command: rows + "exim.sql", input: eximLog, fresh: []string{"limit.db"}},
		{group: exim, name: "bouncelog import", command: "./bouncelog --db exim.db import " + eximLog, input: eximLog, fresh: []string{"exim.db"}, limits: []string{readExim, storeExim}},
		{group: exim, name: "bouncelog report FILE", command: "./bouncelog report " + eximLog, input: eximLog, limits: []string{readExim}},
		{group: exim, name: "bouncelog parse", command: "./bouncelog parse " + eximLog, input: eximLog, limits: []string{readExim}},
		{group: exim, name: "eximstats", command: "perl peers/usr/sbin/eximstats " + eximLog, input: eximLog, limits: []string{readExim}},

		{group: db, name: "bouncelog report", command: "./bouncelog --db check-postfix.db report"},
		{group: db, name: "bouncelog import, nothing new", command: "./bouncelog --db check-postfix.db import " + postfixLog},
	}
}
