package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// secretName is how every name of personLog looks: a mark, and a number.
var secretName = regexp.MustCompile(`(?i)zqn(?:\d+|\{\w+\})q`)

// replies are ways in which servers name a recipient; %[1]s is the address, %[2]s the local
// part, %[3]s the same coded as in URLs, %[4]s in upper case, %[6]s to
// %[9]s coded as in URLs, in quoted-printable, in base64 and twice.
var namingReplies = []string{
	`550 5.1.1 <%[1]s>: Recipient address rejected: User unknown in virtual mailbox table`,
	`550 5.1.1 user %[2]s unknown`,
	`550 5.1.1 %[2]s: no such user`,
	`550 unknown user: "%[2]s"`,
	`550-5.1.1 The email account %[2]s does not exist. See https://support.example/?to=%[3]s&p=NoSuchUser`,
	`552 5.2.2 mailbox of %[4]s is full, see https://help.example/%[3]s%%40else.example`,
	`550 5.1.1 \"%[2]s\"@else.example unknown`,
	`550 5.7.1 mail to %[2]s=40else.example and <%[2]s> refused`,
	`550 No mailbox here by that name: %[2]s.`,
	`553 sorry, '%[2]s' (%[2]s) [%[2]s] is not %[2]s+tag or x-%[2]s_y`,
	`550 5.1.1 the alias is gone: unknown user: zqn%[5]dq`,
	`550 5.1.1 user zqn%[5]dq unknown here`,
	`550 5.1.1 mailbox %[3]s unknown`,
	`550 5.1.1 the mailbox of %[6]s is gone`,
	`550 5.1.1 the mailbox of =?utf-8?Q?%[7]s?= is gone`,
	`550 5.1.1 the mailbox of =?utf-8?B?%[8]s?= is gone`,
	`550 5.1.1 cannot run /usr/lib/%[2]s as wanted`,
	`550 5.2.0 cannot open /home/zqn%[5]dq.ten/mbox: permission denied`,
	`550 5.1.1 %[4]s: no such person`,
	`550 5.7.1 user zqn%[5]dq denied, zqn%[5]dq%%2540else.example blocked`,
	`550 5.7.1 no delivery for zqn%[5]dq, zqn%[5]dq=3D40else.example`,
	`552 5.2.2 mailbox of zqn%[5]dq full, zqn%[5]dq&#64;else.example and zqn%[5]dq&commat;else.example`,
	`550 5.7.1 %[9]s is denied`,
	`550 5.7.1 denied: zqn%[5]dq (at) else.example`,
}

var dots = strings.NewReplacer(".", "%2E", " ", "%20")

// personLog writes lines of every kind about people, from the n-th message on.
func personLog(b *bytes.Buffer, from, to int) {
	const pf, ex = "2006-01-02T15:04:05.000000Z07:00", "2006-01-02 15:04:05"
	for n := from; n < to; n++ {
		t := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
		at, xt := t.Format(pf), t.Format(ex)
		who := 0
		person := func() string { who++; return fmt.Sprintf("zqn%d%dq", n, who) }
		sender, login := person(), person()
		rcpt := person()
		switch n % 5 {
		case 1:
			rcpt += "+news"
		case 2:
			rcpt = fmt.Sprintf(`"%s %s"`, rcpt, person())
		case 3:
			rcpt = person() + "." + rcpt
		case 4:
			rcpt = "é" + rcpt + "ö"
		}
		bare := strings.Trim(rcpt, `"`)
		reply := func() string {
			return fmt.Sprintf(namingReplies[n%len(namingReplies)]+"%.0[1]s%.0[2]s%.0[3]s%.0[4]s%.0[5]d%.0[6]s%.0[7]s%.0[8]s%.0[9]s", rcpt+"@else.example", bare, url.PathEscape(bare), strings.ToUpper(bare), n*10+9,
				dots.Replace(bare), strings.ReplaceAll(dots.Replace(bare), "%", "="), base64.StdEncoding.EncodeToString([]byte(bare)), strings.ReplaceAll(dots.Replace(bare), "%", "%25"))
		}
		id := fmt.Sprintf("%012X", 0x4A0000000000+n)
		pl := func(format string, a ...any) { fmt.Fprintf(b, at+" mx1 postfix/"+format+"\n", a...) }
		pl("smtpd[101]: %s: client=pc.own.example[192.0.2.9], sasl_method=PLAIN, sasl_username=%s", id, []string{login, login + "@own.example"}[n%2])
		pl("cleanup[102]: %s: message-id=<%s.%d@own.example>", id, person(), n)
		pl("qmgr[103]: %s: from=<%s@own.example>, size=1200, nrcpt=2 (queue active)", id, sender)
		pl("smtp[104]: %s: to=<%s@good.example>, orig_to=<%s>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 <%s@good.example> Ok: queued)", id, rcpt, person(), person())
		pl("smtp[105]: %s: to=<%s@else.example>, relay=mx.else.example[192.0.2.21]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.else.example[192.0.2.21] said: %s (in reply to RCPT TO command))", id, rcpt, reply())
		pl("smtp[105]: %s: to=<%s@slow.example>, relay=mx.slow.example[192.0.2.22]:25, delay=1, delays=0/0/0/1, dsn=4.2.2, status=deferred (host mx.slow.example[192.0.2.22] said: 4%s (in reply to RCPT TO command))", id, rcpt, reply()[1:])
		if n%2 == 0 {
			pl(`local[106]: %s: to=<%s@own.example>, relay=local, delay=0, delays=0/0/0/0, dsn=5.1.1, status=bounced (unknown user: "%s")`, id, bare, bare)
		}
		pl("local[107]: warning: maildir access problem for %s and %s@own.example: create maildir file /home/%s/Maildir/tmp/1.mx1: Permission denied", bare, person(), person())
		pl(`local[107]: %s: to=<%s@own.example>, relay=local, delay=0, delays=0/0/0/0, dsn=4.2.0, status=deferred (maildir delivery failed)`, id, bare)
		if n%3 == 0 {
			pl("smtp[104]: %s: to=<%s@odd.example> relay=strange, %s status=odd words of %s", id, rcpt, person(), person())
			pl("smtpd[101]: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.1.1 <%s@own.example>: Recipient address rejected: User unknown; from=<%s@x.example> to=<%s@own.example> proto=ESMTP helo=<x>", person(), person(), person())
		}
		switch n % 4 {
		case 0:
			pl("qmgr[103]: %s: from=<%s@own.example>, status=expired, returned to sender", id, sender)
			pl("qmgr[103]: %s: removed", id)
		case 1:
			pl("postsuper[103]: %s: removed", id)
		case 2:
			pl("qmgr[103]: %s: removed", id)
		}
		xid := fmt.Sprintf("1tA%03d-%06d-0z", n%1000, n)
		xl := func(format string, a ...any) { fmt.Fprintf(b, xt+" "+xid+" "+format+"\n", a...) }
		xl("<= %s@own.example H=pc.own.example (x) [192.0.2.9] P=esmtpsa A=plain_login:%s S=900 id=%s@own.example", sender, login, person())
		xl("=> %s@good.example <%s@own.example> R=dnslookup T=remote_smtp H=mx.good.example [192.0.2.20] C=\"250 OK %s@good.example\"", bare, person(), person())
		xl("** %s@else.example <%s@own.example> R=dnslookup T=remote_smtp H=mx.else.example [192.0.2.21]: SMTP error from remote mail server after RCPT TO:<%s@else.example>: %s", strings.ReplaceAll(bare, " ", "-"), person(), rcpt, strings.ReplaceAll(reply(), `\"`, `"`))
		xl("== %s@slow.example R=dnslookup T=remote_smtp defer (-44) H=mx.slow.example [192.0.2.22]: SMTP error from remote mail server after RCPT TO:<%s@slow.example>: 450 4.7.1 <%s@slow.example>: greylisted", bare, bare, bare)
		xl("** %s@: Unrouteable address", person())
		switch n % 3 {
		case 0:
			xl("Completed")
		case 1:
			xl("removed by %s", login)
		}
	}
}

// clearNames are the names that stand in the files of a database.
func clearNames(t *testing.T, db string) (names []string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		raw, err := os.ReadFile(db + suffix)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range secretName.FindAllIndex(raw, -1) {
			names = append(names, fmt.Sprintf("%s %d: %q", suffix, at[0], raw[max(at[0]-60, 0):min(at[1]+40, len(raw))]))
		}
	}
	return names
}

func fewNames(t *testing.T, when, db string) {
	t.Helper()
	if names := clearNames(t, db); len(names) > 0 {
		t.Errorf("%s: %d names in the clear, as\n%s", when, len(names), strings.Join(names[:min(len(names), 12)], "\n"))
	}
}

// TestNothingInTheClear writes thousands of names through every kind of line into a database
// with pseudonyms, and looks for them in the bytes of its files: while the daemon runs, after
// kill -9, after a stop, after reading on, and after pruning.
func TestNothingInTheClear(t *testing.T) {
	dir := t.TempDir()
	log, xlog, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "mainlog"), filepath.Join(dir, "p.db")
	write := func(from, to int) {
		var b bytes.Buffer
		personLog(&b, from, to)
		var pf, ex bytes.Buffer
		for line := range bytes.Lines(b.Bytes()) {
			if bytes.Contains(line, []byte(" mx1 postfix/")) {
				pf.Write(line)
			} else {
				ex.Write(line)
			}
		}
		for path, content := range map[string][]byte{log: pf.Bytes(), xlog: ex.Bytes()} {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			f.Write(content)
			f.Close()
		}
	}
	write(0, 1500)
	p := start(t, "follow", "--pseudonymize", "--db", db, log, xlog)
	eventually(t, "stored", func() bool { return strings.Contains(p.said(), "caught up") && count(t, db) > 1500*6 })
	fewNames(t, "while it runs", db)
	write(1500, 2000)
	n := count(t, db)
	eventually(t, "stored more", func() bool { return count(t, db) > n })
	p.Process.Kill()
	<-p.ended
	fewNames(t, "after kill -9", db)
	p = start(t, "follow", "--db", db, log, xlog)
	write(2000, 2100)
	n = count(t, db)
	eventually(t, "stored the rest", func() bool { return count(t, db) >= n+100 })
	p.Process.Signal(syscall.SIGTERM)
	p.end(t)
	fewNames(t, "after a restart", db)
	out, _ := bouncelog(t, exitOK, "query", "--db", db, "--format", "csv", "select status, outcome, reason, count(*), count(distinct recipient), count(sasl_user), count(message_id), min(response) from deliveries group by 1, 2, 3")
	t.Logf("%s", out)
	out, _ = bouncelog(t, exitOK, "query", "--db", db, "--format", "csv", "select count(*), min(text) from unparsed")
	if strings.HasPrefix(out, "0,") {
		t.Error("no line was not understood: nothing is shown")
	}
	t.Logf("%s", out)
	bouncelog(t, exitOK, "db", "check", "--db", db)
	bouncelog(t, exitOK, "db", "prune", "--db", db, "--older-than", "2026-11-22")
	fewNames(t, "after pruning", db)
}

// TestPruneLeavesNothing prunes a database without pseudonyms: no name that only the
// pruned attempts held stands in its files any more, free pages and free room included.
func TestPruneLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "p.db")
	var b bytes.Buffer
	personLog(&b, 0, 3000) // within an hour
	var pf bytes.Buffer
	for line := range bytes.Lines(b.Bytes()) {
		if bytes.Contains(line, []byte(" mx1 postfix/")) {
			pf.Write(line)
		}
	}
	later := bytes.ReplaceAll(pf.Bytes(), []byte("2026-11-20T"), []byte("2026-11-24T"))
	later = regexp.MustCompile(`zqn(\d+)q`).ReplaceAll(later, []byte("stays$1"))
	later = regexp.MustCompile(`ZQN(\d+)Q`).ReplaceAll(later, []byte("STAYS$1"))
	later = regexp.MustCompile(`: 4A0`).ReplaceAll(later, []byte(": 5A0"))
	p := start(t, "follow", "--db", db, dir+"/mail*.log")
	// Two logs that grow side by side.
	var logs [2]bytes.Buffer
	n := 0
	for line := range bytes.Lines(append(pf.Bytes(), later...)) {
		id := bytes.Fields(line)[3]
		logs[int(id[len(id)-2])%2].Write(line)
		if n++; n%3000 > 0 {
			continue
		}
		was := count(t, db) // before the lines are there: they may be stored at once
		for i := range logs {
			f, err := os.OpenFile(fmt.Sprintf("%s/mail%d.log", dir, i), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			logs[i].WriteTo(f)
			f.Close()
		}
		eventually(t, "read on", func() bool { return count(t, db) > was })
	}
	eventually(t, "stored", func() bool { return strings.Contains(p.said(), "caught up") && count(t, db) > 3000*3 })
	p.Process.Signal(syscall.SIGTERM)
	p.end(t)
	if n := len(clearNames(t, db)); n < 10_000 {
		t.Fatalf("%d names to begin with", n)
	}
	bouncelog(t, exitOK, "db", "prune", "--db", db, "--older-than", "2026-11-23")
	fewNames(t, "after pruning", db)
	if count(t, db) == 0 {
		t.Error("nothing is left")
	}
	bouncelog(t, exitOK, "db", "check", "--db", db)
}
