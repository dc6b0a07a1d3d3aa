//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/idna"
)

// need skips a test that cannot run here. In continuous integration it fails
// instead, where nothing but the machine stands in the way.
func need(t *testing.T) {
	t.Helper()
	switch {
	case runtime.GOOS != "linux":
		t.Skip("needs Linux namespaces")
	case os.Geteuid() != 0:
		t.Skip("needs root")
	}
	if err := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "true").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("root, but no namespaces: %v", err)
		}
		t.Skipf("needs namespaces (CAP_SYS_ADMIN): %v", err)
	}
}

// until polls for something to become true.
func until(t *testing.T, limit time.Duration, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !f(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(100 * time.Millisecond) // a poll
	}
}

// labDir is the directory of the lab of a suite of Debian, or of this machine's own
// where that is empty. It goes with the tests.
func labDir(suite string) string { return filepath.Join(binaries, "lab.d"+suite) }

// unpacked has the lab unpack its Debian packages, or those named, below dir. It
// gives the root they are in, and how a program there finds its libraries.
func unpacked(t *testing.T, dir string, packages ...string) (root, libraries string) {
	t.Helper()
	output(t, program(t, "e2e/lab"), append([]string{"-dir", dir, "unpack"}, packages...)...)
	root = filepath.Join(dir, "sysroot")
	libs, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu"))
	if err != nil || len(libs) == 0 {
		t.Fatalf("no libraries below %s: %v", root, err)
	}
	return root, "LD_LIBRARY_PATH=" + libs[0]
}

// A lab is a running one.
type lab struct {
	t    *testing.T
	tool string
	dir  string
}

// startLab brings a lab up, with the MTAs of a suite of Debian or, where that is empty,
// of this machine's own; it goes down with the test.
func startLab(t *testing.T, suite string) *lab {
	l := &lab{t: t, tool: program(t, "e2e/lab"), dir: labDir(suite)}
	cmd := exec.Command(l.tool, "-dir", l.dir, "-suite", suite, "up")
	stdin, err := cmd.StdinPipe() // the lab ends when this closes, even if we are killed
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			inside, _ := os.ReadFile(filepath.Join(l.dir, "inside.log"))
			t.Errorf("lab up: %v\n%s%s", err, stderr.Bytes(), tail(inside))
		}
	})
	if err != nil || line != "ready\n" {
		t.Fatalf("the lab did not come up: %q, %v", line, err)
	}
	return l
}

// run runs one of the lab's commands to its end.
func (l *lab) run(args ...string) []byte {
	l.t.Helper()
	return output(l.t, l.tool, append([]string{"-dir", l.dir}, args...)...)
}

func (l *lab) log(name string) string { return filepath.Join(l.dir, "log", name) }

// scenario sends both phases of the scenario and waits until all of it is
// delivered or given up.
func (l *lab) scenario() {
	l.run("send", "1")
	until(l.t, 5*time.Minute, "longfail.test to have failed for long", func() bool {
		for _, name := range []string{"exim4/mainlog", "exim4-all/mainlog", "exim4-millis/mainlog"} {
			raw, err := os.ReadFile(l.log(name))
			if err != nil {
				l.t.Fatal(err)
			}
			if !regexpGaveUp.Match(raw) {
				return false
			}
		}
		return true
	})
	l.run("send", "2")
	l.run("settle")
}

// labLogs are the logs of the scenario, with the instance that wrote each.
var labLogs = []struct{ name, instance, mta string }{
	{"mail.log", "postfix", "postfix"},
	{"mail-rfc3339.log", "postfix", "postfix"},
	{"postfix-postlogd.log", "postfix-pl", "postfix"},
	{"postfix-longids.log", "postfix-long", "postfix"},
	{"exim4/mainlog", "exim-default", "exim"},
	{"exim-syslog.log", "exim-default", "exim"},
	{"exim4-all/mainlog", "exim-all", "exim"},
	{"exim4-millis/mainlog", "exim-millis", "exim"},
}

// TestLab has real Postfix and real Exim deliver the lab's scenario. What
// bouncelog makes of each log, read once and followed while it was written,
// must be the outcomes laid down in advance.
func TestLab(t *testing.T) {
	need(t)
	t.Parallel() // it waits for retries, most of the time
	bouncelog := program(t, "cmd/bouncelog")
	begin := time.Now()
	stage := func(name string) {
		t.Logf("%-28s %5.1f s", name, time.Since(begin).Seconds())
		begin = time.Now()
	}
	l := startLab(t, "")
	stage("the lab is up")

	var followers []*follower
	for _, name := range []string{"mail.log", "exim4/mainlog", "postfix-longids.log"} {
		followers = append(followers, follow(t, bouncelog, l.log(name)))
	}
	l.scenario()
	stage("scenario sent and settled")
	l.check()
	t.Run("Import", l.testImport)
	stage("imports compared")

	for _, f := range followers {
		t.Run("Follow/"+filepath.Base(filepath.Dir(f.log))+"/"+filepath.Base(f.log), func(t *testing.T) { f.compare(t, f.log) })
	}
	stage("followers compared")

	t.Run("Rotate", func(t *testing.T) {
		const messages = 90
		done := make(chan error, 1)
		flow := exec.Command(l.tool, "-dir", l.dir, "flow", fmt.Sprint(messages))
		flow.Stderr = os.Stderr
		go func() { done <- flow.Run() }()
		waitFor := func(id string) {
			until(t, 5*time.Minute, "message "+id, func() bool {
				raw, _ := os.ReadFile(l.log("exim-syslog.log"))
				return bytes.Contains(raw, []byte("id="+id+"."))
			})
		}
		waitFor("flow-25")
		l.run("exec", "logrotate", "-f", "-s", "/run/logrotate.1", "/etc/lab/logrotate-create.conf")
		waitFor("flow-50")
		l.run("exec", "logrotate", "-f", "-s", "/run/logrotate.2", "/etc/lab/logrotate-copytruncate.conf")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l.run("settle")
		for _, f := range followers {
			rotated, err := filepath.Glob(f.log + ".*")
			if err != nil || len(rotated) != 1 {
				t.Fatalf("rotated: %v, %v", rotated, err)
			}
			f.compare(t, rotated[0], f.log)
			flows := map[string]int{}
			for _, d := range deliveries(t, bouncelog, f.db) {
				flows[d.Sender]++
			}
			for i := range messages {
				if n := flows[fmt.Sprintf("flow-%d@sender.test", i)]; n != 1 {
					t.Errorf("%s: message flow-%d is there %d times", f.log, i, n)
				}
			}
		}
	})
	stage("rotation compared")
	t.Run("Recipes", l.testRecipes)
	stage("recipes tried")
	for _, f := range followers {
		f.end()
	}
}

// TestLabSuites does the same, following aside, with the Postfix and the Exim of other
// suites of Debian, those that the environment variable LAB_SUITES names: all of a
// suite's root is fetched, some 100 MB.
func TestLabSuites(t *testing.T) {
	need(t)
	suites := strings.Fields(os.Getenv("LAB_SUITES"))
	if len(suites) == 0 {
		t.Skip("set LAB_SUITES, say to \"trixie sid\"")
	}
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			l := startLab(t, suite)
			for _, program := range [][]string{{"postconf", "mail_version"}, {"exim4", "-C", "/etc/exim4/exim-default.conf", "-bV"}} {
				version, _, _ := strings.Cut(string(l.run(append([]string{"exec"}, program...)...)), "\n")
				t.Log(version)
			}
			l.scenario()
			l.check()
			t.Run("Import", l.testImport)
		})
	}
}

// check fails the test where the MTAs did not do what the scenario lays down.
func (l *lab) check() {
	l.t.Helper()
	if out, err := exec.Command(l.tool, "-dir", l.dir, "check").CombinedOutput(); err != nil {
		l.t.Errorf("the MTAs did not do what the scenario expects: %s", out)
	}
}

// testImport imports each log of the scenario and compares the report, and what
// is stored, with what was expected.
func (l *lab) testImport(t *testing.T) {
	bouncelog := program(t, "cmd/bouncelog")
	expected := loadExpected(t, filepath.Join(l.dir, "expected.tsv"))
	used := map[string]bool{} // known differences
	for _, log := range labLogs {
		t.Run(log.name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "import.db")
			output(t, bouncelog, "--db", db, "import", l.log(log.name))
			got := reported(t, output(t, bouncelog, "--db", db, "report", "--all", "--format", "json"))
			want := counted(t, output(t, l.tool, "count", l.log(log.name)))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("per domain: -counted by hand +reported\n%s", diff)
			}
			c := comparison{t: t, mta: log.mta, qids: queueIDs(t, l.log(log.name)), rows: deliveries(t, bouncelog, db), used: used}
			c.compare(expected[log.instance])
		})
	}
	for d := range knownDifferences {
		if !used[d] {
			t.Errorf("known difference %q is no longer one: take it out", d)
		}
	}
}

var regexpGaveUp = regexp.MustCompile(` x@longfail\.test: retry timeout exceeded`)

// A delivery is a row of the view deliveries.
type delivery struct {
	QueueID           string `json:"queue_id"`
	MessageID         string `json:"message_id"`
	Sender            string `json:"sender"`
	Recipient         string `json:"recipient"`
	OriginalRecipient string `json:"original_recipient"`
	Status            string `json:"status"`
	Outcome           string `json:"outcome"`
	Code              int    `json:"code"`
	Enhanced          string `json:"enhanced"`
	Stage             string `json:"stage"`
	Reason            string `json:"reason"`
}

// deliveries gives the attempts of a database in the order of the log.
func deliveries(t *testing.T, bouncelog, db string) (rows []delivery) {
	t.Helper()
	out := output(t, bouncelog, "--db", db, "query", "--format", "ndjson",
		"select queue_id, message_id, sender, recipient, original_recipient, status, outcome, code, enhanced, stage, reason from deliveries order by at, offset")
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var d delivery
		switch err := dec.Decode(&d); err {
		case nil:
			rows = append(rows, d)
		case io.EOF:
			return rows
		default:
			t.Fatalf("deliveries: %v", err)
		}
	}
}

// An expectation is a row of expected.tsv, which the head of scenario.tsv
// explains.
type expectation struct {
	messageID, id, rcpt, first, final, stage, code, enhanced, dsn, category string
}

// loadExpected gives the expectations by instance.
func loadExpected(t *testing.T, file string) map[string][]expectation {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	byInstance := map[string][]expectation{}
	for _, line := range strings.Split(strings.TrimRight(string(raw), "\n"), "\n")[1:] {
		c := strings.Split(line, "\t")
		if len(c) != 13 {
			t.Fatalf("%s: %q", file, line)
		}
		byInstance[c[0]] = append(byInstance[c[0]], expectation{c[1], c[2], c[4], c[5], c[6], c[7], c[8], c[9], c[10], c[11]})
	}
	return byInstance
}

// reasonsFor says which reasons may be given for a category of the scenario.
// Categories that are not listed are judged by nobody but the rules' own tests.
var reasonsFor = map[string][]string{
	"unknown-user":     {"user_unknown"},
	"mailbox-full":     {"mailbox_full"},
	"mailbox-disabled": {"mailbox_disabled"},
	"greylist":         {"greylisted"},
	"blocklist":        {"blocklist"},
	"spf-dkim":         {"auth_failure"},
	"dmarc":            {"auth_failure"},
	"ptr":              {"rdns_helo"},
	"reputation":       {"reputation"},
	"rate-limit":       {"rate_limited", "reputation"}, // limits are often for those who are complained about
	"size":             {"message_too_large"},
	"content":          {"content_spam", "content_rejected"},
	"dns":              {"dns_routing", "domain_invalid"},
	"network":          {"connection", "protocol_error"},
	"tls":              {"tls"},
	"bad-address":      {"bad_address"},
	"protocol":         {"protocol_error"},
	"ok":               {""},
}

// knownDifferences are those between the program and expected.tsv that are
// right as they are, each with its reason. The key is the log's MTA, the id of
// the message and what differs.
var knownDifferences = map[string]string{
	"exim long8k code":         "Exim calls a reply of more than 4,096 bytes malformed and takes no code from it",
	"exim long8k enhanced":     "the same",
	"exim garbage reason":      "judged by the garbage itself, which says nothing",
	"postfix banner300 reason": "a greeting of 300 means nothing, and its text says nothing",
	"exim size code":           "the table has Postfix's, which reads the limit in the reply to EHLO and does not ask; Exim is answered 552 5.3.4",
	"exim size enhanced":       "the same",
}

// A comparison is that of a log's rows with what was expected.
type comparison struct {
	t    *testing.T
	mta  string
	qids map[string][]string // by message id
	rows []delivery
	used map[string]bool // known differences that were met
}

// differ fails the test, but for known differences.
func (c *comparison) differ(e expectation, what, format string, a ...any) {
	c.t.Helper()
	key := c.mta + " " + e.id + " " + what
	if _, ok := knownDifferences[key]; ok {
		c.used[key] = true
		return
	}
	c.t.Errorf("%s: %s: %s", key, e.rcpt, fmt.Sprintf(format, a...))
}

// compare compares each (message, recipient) of the scenario with what is
// stored of it.
func (c *comparison) compare(expected []expectation) {
	c.t.Helper()
	compared := 0
	for _, e := range expected {
		if e.stage == "inbound" { // refused at the door: no delivery
			continue
		}
		compared++
		discarded := e.id == "route-discard" // by our own side: a hand-off to nobody
		var tries []delivery
		for _, d := range c.rows {
			if slices.Contains(c.qids[e.messageID], d.QueueID) && (fold(d.Recipient) == fold(e.rcpt) || fold(d.OriginalRecipient) == fold(e.rcpt)) &&
				(d.Outcome == "handoff") == discarded && d.Outcome != "probe" {
				tries = append(tries, d)
			}
		}
		if len(tries) == 0 {
			c.differ(e, "deliveries", "none")
			continue
		}
		if discarded {
			continue
		}
		c.attempts(e, tries[0], tries[len(tries)-1])
	}
	if compared < 100 {
		c.t.Errorf("only %d recipients compared", compared)
	}
}

// attempts compares the first and the last attempt to reach a recipient.
func (c *comparison) attempts(e expectation, first, last delivery) {
	c.t.Helper()
	if !slices.Contains(strings.Split(e.first, "|"), first.Outcome) {
		c.differ(e, "first", "%s, want %s", first.Outcome, e.first)
	}
	switch e.final {
	case "frozen": // Exim leaves the message where it is
	case "expired":
		if last.Outcome != "hard" || c.mta == "postfix" && last.Status != "expired" {
			c.differ(e, "final", "%s, %s, want hard, expired", last.Outcome, last.Status)
		}
	default:
		if last.Outcome != e.final {
			c.differ(e, "final", "%s, want %s", last.Outcome, e.final)
		}
	}
	if first.MessageID != "" && first.MessageID != e.messageID {
		c.differ(e, "message id", "%q, want %q", first.MessageID, e.messageID)
	}
	if e.first == "delivered" || strings.Contains(e.first, "|") {
		return
	}
	if code := number(e.code); first.Code != code {
		c.differ(e, "code", "%d, want %d", first.Code, code)
	}
	enhanced := e.dsn
	if c.mta == "exim" {
		enhanced = e.enhanced
	}
	if want := strings.TrimPrefix(enhanced, "-"); first.Enhanced != want {
		c.differ(e, "enhanced", "%q, want %q", first.Enhanced, want)
	}
	if want := reasonsFor[e.category]; want != nil && !slices.Contains(want, first.Reason) {
		c.differ(e, "reason", "%q, want one of %q", first.Reason, want)
	}
}

// queueIDs gives the queue ids of each message id in a log. A message has
// several after an alias or a filter.
func queueIDs(t *testing.T, log string) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	qids := map[string][]string{}
	for _, re := range []*regexp.Regexp{
		regexp.MustCompile(`(?m) (\w+): message-id=<(.*)>$`),
		regexp.MustCompile(`(?m) (\w{6}-\w{6,11}-\w{2,4}) <= .* id=(\S+)`),
	} {
		for _, m := range re.FindAllSubmatch(raw, -1) {
			qids[string(m[2])] = append(qids[string(m[2])], string(m[1]))
		}
	}
	return qids
}

func number(s string) int {
	n := 0
	fmt.Sscan(s, &n)
	return n
}

// fold makes addresses comparable: each MTA has its own way to write some.
func fold(addr string) string {
	addr = strings.ToLower(strings.NewReplacer(`\`, "", `"`, "").Replace(addr))
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		if d, err := idna.ToASCII(addr[i+1:]); err == nil {
			addr = addr[:i+1] + d
		}
	}
	return addr
}

// A follower is a bouncelog that follows a log and is killed again and again
// while it does, by SIGTERM and SIGKILL in turn.
type follower struct {
	t         *testing.T
	bouncelog string
	log, db   string
	stop      chan struct{}
	ended     chan struct{}
	kills     int
}

func follow(t *testing.T, bouncelog, log string) *follower {
	f := &follower{
		t: t, bouncelog: bouncelog, log: log, db: filepath.Join(t.TempDir(), "follow.db"),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go f.run()
	t.Cleanup(f.end)
	return f
}

// run starts the program, kills it whenever the log has grown by a good deal,
// and starts it again, until it is told to stop.
func (f *follower) run() {
	defer close(f.ended)
	for {
		r, err := startReader(f.bouncelog, "--db", f.db, "follow", f.log)
		if err != nil {
			f.t.Error(err)
			return
		}
		last := false
		for grown := size(f.log) + 20_000; !last && size(f.log) < grown && size(f.log) > grown-40_000; {
			select {
			case <-f.stop:
				last = true
			case <-r.gone:
				f.t.Errorf("follow %s ended by itself: %v\n%s", f.log, r.err, r.words())
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
		signal := syscall.SIGTERM
		if f.kills%2 == 1 && !last {
			signal = syscall.SIGKILL
		}
		if err := r.end(signal); err != nil {
			f.t.Error(err)
		}
		if last {
			return
		}
		f.kills++
	}
}

func (f *follower) end() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	<-f.ended
}

func size(file string) int64 {
	st, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return st.Size()
}

// compare compares what is stored so far with the finished logs imported
// afresh: nothing may be missing, nothing be there twice.
func (f *follower) compare(t *testing.T, logs ...string) {
	t.Helper()
	db := filepath.Join(t.TempDir(), "import.db")
	output(t, f.bouncelog, append([]string{"--db", db, "import"}, logs...)...)
	want := rows(t, f.bouncelog, db)
	var got map[string]int
	until(t, time.Minute, "the follower to have stored the last attempt of "+f.log, func() bool {
		got = rows(t, f.bouncelog, f.db)
		return sum(got) >= sum(want)
	})
	if f.kills < 2 {
		t.Errorf("killed %d times only", f.kills)
	}
	if diff := difference(want, got); diff != "" {
		t.Errorf("%d attempts, want %d, after %d kills: -imported +followed\n%s", sum(got), sum(want), f.kills, diff)
	}
	t.Logf("%d attempts of %s after %d kills", sum(got), filepath.Base(f.log), f.kills)
}

// rows gives the attempts of a database, each with how often it is there.
// Where they were read from is left aside: a rotated file has another name.
func rows(t *testing.T, bouncelog, db string) map[string]int {
	t.Helper()
	out := output(t, bouncelog, "--db", db, "query", "--format", "ndjson", `
		select time, host, mta, instance, agent, queue_id, message_id, sender, recipient, original_recipient,
			relay_host, relay_ip, relay_port, status, outcome, code, enhanced, stage, response, reason, detail, delay
		from deliveries`)
	n := map[string]int{}
	for _, row := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		n[row]++
	}
	return n
}

// difference lists the rows that are not in both as often, the first few.
func difference(want, got map[string]int) string {
	var lines []string
	for row, n := range want {
		if n > got[row] {
			lines = append(lines, fmt.Sprintf("%s -%d", row, n-got[row]))
		}
	}
	for row, n := range got {
		if n > want[row] {
			lines = append(lines, fmt.Sprintf("%s +%d", row, n-want[row]))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines[:min(len(lines), 20)], "\n")
}

func sum(n map[string]int) (s int) {
	for v := range maps.Values(n) {
		s += v
	}
	return s
}
