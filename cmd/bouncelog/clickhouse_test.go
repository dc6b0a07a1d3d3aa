package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"bouncelog/internal/chnode"
	"bouncelog/store/clickhouse"
)

// TestClickHouse asks the same of a database of ClickHouse's and of one of SQLite's.
func TestClickHouse(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	server, file := clickhouse.Scheme+node.Address()+"/bouncelog", filepath.Join(t.TempDir(), "file.db")
	_, complaints := bouncelog(t, exitMissing, "report", "--db", server)
	if !strings.Contains(complaints, "no such database") {
		t.Errorf("a database that is missing: %s", complaints)
	}
	for _, db := range []string{server, file} {
		for _, log := range []string{"exim-all.log", "postfix-3.11.log", "postfix-rfc3339.log", "exim-all.log"} {
			bouncelog(t, exitOK, "import", "--agent", "mx1", "--db", db, "../../testdata/"+log)
		}
	}
	for _, command := range []string{
		"report --all --format json", "report --all --by sender-domain --format json", "report --section problems", "suppress", "suppress --format json", "trace try451@plain.test",
		"query SELECT#outcome,#count(*)#AS#n,#sum(code)#AS#c#FROM#deliveries#GROUP#BY#outcome#ORDER#BY#outcome", "db check",
	} {
		args := strings.Fields(command)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "#", " ")
		}
		want, _ := bouncelog(t, exitOK, append(args, "--db", file)...)
		got, _ := bouncelog(t, exitOK, append(args, "--db", server)...)
		got = strings.ReplaceAll(got, server, file)
		if got, want := age.ReplaceAllString(got, ""), age.ReplaceAllString(want, ""); got != want {
			t.Errorf("%s (-SQLite +ClickHouse):\n%.3000s", command, cmp.Diff(want, got))
		}
	}
	for command, hint := range map[string]string{
		"db backup x.db":                "cannot be copied",
		"db restore x.db":               "cannot be restored",
		"db reclassify":                 "keeps the verdict",
		"import --pseudonymize x.log":   "keeps no pseudonyms",
		"import --keep-message-ids log": "ids of failures only",
	} {
		var status int
		var complaints string
		status, _, complaints = says(t, append(strings.Fields(command), "--db", server)...)
		if status == exitOK || !strings.Contains(complaints, hint) {
			t.Errorf("%s: status %d, %s", command, status, complaints)
		}
	}
	// The file goes to the server too, as the logs of another host; pseudonyms do not.
	hidden := filepath.Join(t.TempDir(), "hidden.db")
	bouncelog(t, exitOK, "import", "--pseudonymize", "--db", hidden, "../../testdata/exim-all.log")
	for _, test := range []struct {
		args   string
		status int
		says   string
	}{
		{"db ship --db " + file, exitUsage, "--to is missing"},
		{"db ship --db " + file + " --to other.db", exitUsage, "clickhouse://"},
		{"db ship --db " + server + " --to " + server, exitUsage, "not a file"},
		{"db ship --db " + file + " --to " + server + " --agent a/b", exitUsage, "without blanks and slashes"},
		{"db ship --db missing.db --to " + server, exitMissing, "no such database"},
		{"db ship --db " + hidden + " --to " + server, exitFailed, "pseudonyms"},
		{"db ship --db " + file + " --agent mx2 --to " + server + "2", exitOK, "attempts copied to the server, as those of mx2"},
		{"db ship --db " + file + " --agent mx2 --to " + server + "2", exitOK, ": 0 attempts copied"},
	} {
		status, _, complaints := says(t, strings.Fields(test.args)...)
		if status != test.status || !strings.Contains(complaints, test.says) {
			t.Errorf("%s: status %d, %s", test.args, status, complaints)
		}
	}
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("not the password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, complaints := says(t, "report", "--db", server, "--db-password-file", secret)
	if status == exitOK || strings.Contains(complaints, "not the password") {
		t.Errorf("a wrong password: status %d, %s", status, complaints)
	}
}

// TestClickHouseCommands holds that each command works with a database on a server, or says
// that it does not; a new command has to say which.
func TestClickHouseCommands(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	server := clickhouse.Scheme + node.Address() + "/bouncelog"
	bouncelog(t, exitOK, "import", "--agent", "mx1", "--db", server, "../../testdata/exim-all.log")
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer hook.Close()
	tests := map[string]struct {
		args, says string
		refused    bool
	}{
		"import":        {args: "../../testdata/postfix-rfc3339.log", says: "98 delivery attempts"},
		"report":        {args: "--all", says: "delivery attempts"},
		"trace":         {args: "try451@plain.test", says: "try451"},
		"query":         {args: "SELECT(1)", says: "1"},
		"suppress":      {says: "recipient"},
		"notify":        {args: hook.URL},
		"db info":       {says: "bytes per attempt"},
		"db check":      {says: "is sound"},
		"db schema":     {says: "CREATE VIEW"},
		"db prune":      {args: "--older-than 3650d", says: "attempts removed"},
		"db backup":     {args: "x.db", says: "cannot be copied", refused: true},
		"db restore":    {args: "x.db", says: "BACKUP and RESTORE", refused: true},
		"db reclassify": {says: "reclassify' on the hosts' files", refused: true},
		"db ship":       {args: "--to " + server, says: "not a file", refused: true},
	}
	elsewhere := map[string]string{
		"follow": "TestFollowAway", "serve": "below", "top": "a terminal: the Reader of the dashboard",
		"scan": "asks the DNS", "parse": "no database", "explain": "no database", "version": "no database", "config": "no database",
		"completion bash": "no database", "completion zsh": "no database", "completion fish": "no database", "completion powershell": "no database",
		"serve link": "no database", "help": "no database",
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), "bouncelog"), " ")
		if c.Hidden || name == "" || c.HasSubCommands() && elsewhere[name] == "" {
			return
		}
		test, known := tests[name]
		if !known && elsewhere[name] == "" {
			t.Errorf("%s: whether it works with a server is not said", name)
		}
		if !known {
			return
		}
		status, out, complaints := says(t, append(strings.Fields(name+" "+test.args), "--db", server)...)
		if (status != exitOK) != test.refused || !strings.Contains(out+complaints, test.says) {
			t.Errorf("%s: status %d, %s%s", name, status, out, complaints)
		}
	}
	walk(newRoot())
	base, client, _ := served(t, "--db", server, "--listen", "127.0.0.1:0")
	for _, page := range []string{"/", "/log", "/queue"} {
		if status, body := fetch(t, client, base+page); status >= 500 {
			t.Errorf("%s: %d, %.300s", page, status, body)
		}
	}
}

// age is how old the newest line is: it grows between one command and the next.
var age = regexp.MustCompile(`"(age_)?seconds": \d+`)

// TestNotifyClickHouse tells of an incident once, whoever asks.
func TestNotifyClickHouse(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	server := clickhouse.Scheme + node.Address() + "/bouncelog"
	var told atomic.Int64
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { told.Add(1) }))
	defer hook.Close()
	var log strings.Builder
	for i := range 5 {
		fmt.Fprintf(&log, "%s mx1 postfix/smtp[104]: 4A1B2C3D%d: to=<u%d@good.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx.good.example[192.0.2.20] said: 554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using zen.spamhaus.org (in reply to RCPT TO command))\n",
			time.Now().UTC().Format(time.RFC3339), i, i)
	}
	path := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(path, []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	bouncelog(t, exitOK, "import", "--agent", "mx1", "--db", server, path)
	for range 2 {
		bouncelog(t, exitOK, "notify", "--db", server, hook.URL)
		if n := told.Load(); n != 1 {
			t.Errorf("told %d times", n)
		}
	}
}

// TestFollowAway follows a log into an engine that goes away and comes back while the
// daemon is killed and started again: it says that it waits, and every line counts once.
func TestFollowAway(t *testing.T) {
	node := chnode.Start(t, 1)[0]
	db := clickhouse.Scheme + node.Address() + "/bouncelog"
	log := filepath.Join(t.TempDir(), "mail.log")
	writeLog(t, log, 0, 500)
	p := start(t, "follow", "--db", db, log)
	eventually(t, "all is stored", func() bool { return count(t, db) == 2*500 })
	node.Stop()
	writeLog(t, log, 500, 1000)
	eventually(t, "it says that it waits", func() bool { return strings.Contains(p.said(), "does not answer") })
	node.Run(t)
	eventually(t, "it has caught up", func() bool { return count(t, db) == 2*1000 })
	p.Process.Kill()
	p.end(t)
	writeLog(t, log, 1000, 1500)
	one := start(t, "follow", "--db", db, log)
	other := start(t, "follow", "--db", db, log) // by mistake
	defer func() {
		if t.Failed() {
			t.Logf("%d attempts; one: %s; other: %s", count(t, db), one.said(), other.said())
		}
	}()
	eventually(t, "all is stored again", func() bool { return count(t, db) == 2*1500 })
	writeLog(t, log, 1500, 2000)
	other.Process.Kill()
	eventually(t, "all is stored to the end", func() bool { return count(t, db) == 2*2000 })
}

// says runs a command whose status is not known before.
func says(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	status = run(t.Context(), args, strings.NewReader(""), &out, &complaints)
	return status, out.String(), complaints.String()
}
