//go:build linux

package main

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
)

// A section is a table of the page.
type section struct {
	title    string
	about    string     // a paragraph
	flag     string     // what it takes, where it has no subjects without
	subjects []*subject // in order; the first section that one stands in is its own
	columns  []column
}

// allSections is all that can be measured with the options given.
func (b *bench) allSections() []section {
	few, many := min(b.rounds, 3), max(b.rounds, 20)
	perl := "PERL5LIB=peers/usr/share/perl5:$(ls -d peers/usr/lib/*/perl5/* | head -n 1) perl "
	large, largeDB := b.logs[b.largest()], checked(b.largest())

	sameRows := func(log string) *subject {
		return &subject{name: "sqlite3 .import of the same rows", rounds: b.rounds, before: "rm -f limit.db*", command: b.sqlite3() + " -batch -bail limit.db <load-" + log + ".sql", input: log}
	}
	importOf := func(name string, rounds int, file, log string, limits ...*subject) *subject {
		return &subject{name: name, rounds: rounds, before: "rm -f new.db*", command: "./bouncelog --db new.db import " + file, input: log, db: "new.db", limits: limits}
	}
	grepPostfix := &subject{name: "grep -c", rounds: b.rounds, command: "grep -c 'status=' " + postfixLog, input: postfixLog}
	rowsPostfix := sameRows(postfixLog)
	importPostfix := importOf("bouncelog import", b.rounds, postfixLog, postfixLog, grepPostfix, rowsPostfix)
	gunzip := &subject{name: "gzip -dc", rounds: b.rounds, command: "gzip -dc " + postfixGz, input: postfixLog}
	grepExim := &subject{name: "grep -cE", rounds: b.rounds, command: "grep -cE ' (=>|->|==|[*][*]) ' " + eximLog, input: eximLog}
	rowsExim := sameRows(eximLog)
	importExim := importOf("bouncelog import", b.rounds, eximLog, eximLog, grepExim, rowsExim)
	// other reads what there is and stores nothing.
	other := func(name, command, log string, limits ...*subject) *subject {
		return &subject{name: name, rounds: b.rounds, command: command, input: log, limits: limits}
	}

	sizes := []*subject{importOf("bouncelog import, "+megabytes(b.logs[smallLog].bytes), b.rounds, smallLog, smallLog), importPostfix, importExim}
	if b.big != "" {
		sizes = append(sizes, importOf("bouncelog import, "+megabytes(large.bytes), few, bigLog, bigLog))
	}
	full := section{
		title: "Import into a full database", flag: "-rows",
		columns: slices.Concat(wall, []column{cpu, perMillion, lineRate, peak, than("of that into an empty one", importPostfix), rounds}),
	}
	if b.rows != "" {
		full.about = fmt.Sprintf("It holds %d attempts, those of %s %d times: each time from another source and as many days earlier as the log spans. The rows of delivery, failure, refusal, fault, chunk and source were multiplied; the dictionaries (addresses, hosts, replies), the rollups and the messages that wait are as the log left them. Each run gets a new copy of it, written to disk before.",
			b.many, b.largest(), b.copies)
		full.subjects = []*subject{importPostfix, {
			name: "bouncelog import, into " + manyDB, rounds: few, before: "rm -f full.db* && cp " + manyDB + " full.db && sync full.db",
			command: "./bouncelog --db full.db import " + postfixLog, input: postfixLog, db: "full.db",
		}}
	}
	raw := other("sqlite3 SELECT sum(meta) FROM delivery", b.sqlite3()+" -batch -readonly "+largeDB+" 'SELECT sum(meta) FROM delivery'", "")
	ask := func(name, question string) *subject {
		return other(name, "./bouncelog --db "+largeDB+" "+question, "")
	}

	return []section{
		{
			title: "Postfix log", columns: compared,
			subjects: []*subject{
				other("wc -l", "wc -l "+postfixLog, postfixLog),
				grepPostfix, rowsPostfix, importPostfix,
				other("bouncelog report FILE", "./bouncelog report "+postfixLog, postfixLog, grepPostfix),
				other("bouncelog parse", "./bouncelog parse "+postfixLog, postfixLog, grepPostfix),
				other("pflogsumm", perl+"peers/usr/sbin/pflogsumm "+postfixLog, postfixLog, grepPostfix),
				other("logwatch postfix", perl+"peers/usr/share/logwatch/scripts/services/postfix -f peers/usr/share/logwatch/default.conf/services/postfix.conf "+postfixLog, postfixLog, grepPostfix),
			},
		},
		{
			title: "Postfix log, .gz", columns: compared,
			subjects: []*subject{gunzip, importOf("bouncelog import", b.rounds, postfixGz, postfixLog, gunzip, rowsPostfix)},
		},
		{
			title: "Exim log", columns: compared,
			subjects: []*subject{
				other("wc -l", "wc -l "+eximLog, eximLog),
				grepExim, rowsExim, importExim,
				other("bouncelog report FILE", "./bouncelog report "+eximLog, eximLog, grepExim),
				other("bouncelog parse", "./bouncelog parse "+eximLog, eximLog, grepExim),
				other("eximstats", "perl peers/usr/sbin/eximstats "+eximLog, eximLog, grepExim),
			},
		},
		{
			title: "Cost per line by size", columns: slices.Concat(wall, []column{cpu, perMillion, lineRate, peak, perAttempt, rounds}),
			about:    "The smallest log is the first tenth of the Postfix log. One larger than all is measured with `-big`. Bytes per attempt is the size of the database after the import, divided by the attempts in it.",
			subjects: sizes,
		},
		{
			title: "Follow", columns: slices.Concat(wall, []column{cpu, perMillion, lineRate, peak, perAttempt, than("of the import", importPostfix), rounds}),
			about: "The wall time of `follow` is that until it says that it has caught up, which may be 0.2 s late; then it is told to stop. The CPU time is that of the whole run.",
			subjects: []*subject{
				importPostfix,
				{
					name: "bouncelog follow", rounds: few, before: "rm -f new.db*", command: "exec ./bouncelog --db new.db follow --no-history " + postfixLog,
					until: "caught up, following", input: postfixLog, db: "new.db",
				},
			},
		},
		{
			title: "Import while others read", columns: slices.Concat(wall, []column{cpu, perMillion, peak, than("of the import alone", importPostfix), reports, rounds}),
			about: fmt.Sprintf("Four processes run a report on the database again and again, without a pause, from when it is there until the import has ended: they all share %d cores. Had one of them failed, this page would not have been written. CPU time and peak are those of the import.", runtime.NumCPU()),
			subjects: []*subject{
				importPostfix,
				{
					name: "bouncelog import, four readers", rounds: b.rounds, before: "rm -f new.db*", command: "./bouncelog --db new.db import " + postfixLog,
					readers: "./bouncelog --db new.db report || test $? = 11", input: postfixLog, db: "new.db",
				},
			},
		},
		full,
		{
			title: "Questions", columns: slices.Concat(wall, []column{cpu, peak, than("of the SELECT", raw), rounds}),
			about: fmt.Sprintf("To the database of %s, which holds %d attempts. The SELECT reads each delivery once. The trace is that of the recipient in the middle of the table (attempts: %d). With `-big`, it is the database of the larger log.", b.largest(), large.attempts, b.traced),
			subjects: []*subject{
				raw,
				ask("bouncelog report", "report"),
				ask("bouncelog report --section problems", "report --section problems"),
				ask("bouncelog trace", `trace "$(cat recipient)"`),
				ask("bouncelog import, nothing new", "import "+b.largest()),
			},
		},
		{
			title: "Start-up", columns: slices.Concat(milliseconds, []column{peak, rounds}),
			about: fmt.Sprintf("The binary, as `make build` makes it, has %s (%d bytes). The report is that on the database of %s.", megabytes(b.binary), b.binary, postfixLog),
			subjects: []*subject{
				{name: "bouncelog version", rounds: many, command: "./bouncelog version"},
				{name: "bouncelog report --section totals", rounds: many, command: "./bouncelog --db " + checked(postfixLog) + " report --section totals"},
			},
		},
	}
}

// choose takes the subjects whose key matches, each once.
func (b *bench) choose(only *regexp.Regexp) {
	for _, sec := range b.sections {
		for _, s := range sec.subjects {
			if s.section != "" {
				continue
			}
			s.section = sec.title
			if only.MatchString(s.key()) {
				b.subjects = append(b.subjects, s)
			}
		}
	}
}
