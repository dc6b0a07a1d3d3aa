//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The mailboxes that an outsider wants to harm. The first is delivered to once
// and never fails, the second fails once and is never delivered to, the third
// is of a domain that no mail is for.
const (
	livingVictim = "lise@corp.test"
	deadVictim   = "nouser-x@plain.test"
	noVictim     = "frank@bigmail.test"
)

// forgedParts are local parts that look like the rest of a log line. %s is the
// victim.
var forgedParts = []string{
	`"%s"`,
	`"%s: User unknown"`,
	`"%s: x"`,
	`"%s:"`,
	`a."%s: User unknown"`,
	`"%s".": User unknown"`,
	`"%s R=dnslookup T=remote_smtp"`,
	`"%s R=dnslookup T=remote_smtp: User unknown"`,
	`"%s R=dnslookup T=remote_smtp H=mx.corp.test [192.0.2.6]: SMTP error from remote mail server after RCPT TO:<%s>: 550 5.1.1 User unknown"`,
	`"%s R=dnslookup T=remote_smtp H=mx.corp.test [192.0.2.6] C=\"250 OK\""`,
	`"%s R=dnslookup T=remote_smtp defer (-44) H=mx.corp.test [192.0.2.6]: 450 later"`,
	`"%s <x@y.test> R=dnslookup T=remote_smtp H=mx.corp.test [192.0.2.6]"`,
	`"x <%s>: 550 5.1.1 no"`,
	`"x <%s> R=local T=local_delivery"`,
	`"|x <%s> R=local T=address_pipe"`,
	`"/x <%s>: no"`,
	`"%s (a@x.test, b@x.test) <c@x.test>: no"`,
	`"%s <\"z\"@x.test>: 550 5.1.1 no"`,
	`"\"x\" <%s>: no"`,
	`"%s, relay=mx.corp.test[192.0.2.6]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (User unknown)"`,
	`"%s>, relay=mx.corp.test[192.0.2.6]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (User unknown)"`,
	`"%s>, size=1, nrcpt=1 (queue active)"`,
	`"%s>: 550 5.1.1 User unknown"`,
}

// forgedFor are local parts with the victim's name in quoted strings and in quoted pairs.
func forgedFor(victim string) (local []string) {
	for _, part := range forgedParts {
		local = append(local, strings.ReplaceAll(part, "%s", victim))
	}
	pairs := strings.NewReplacer("@", `\@`, ".", `\.`)
	return append(local, pairs.Replace(victim), pairs.Replace(victim)+`\:\ User\ unknown`)
}

// TestForge has an outsider send mail, through real Postfix and real Exim, to
// and from addresses that imitate log lines about somebody else.
func TestForge(t *testing.T) {
	need(t)
	bouncelog := program(t, "cmd/bouncelog")
	t.Cleanup(func() { os.RemoveAll(filepath.Join(labDir(""), "log")) }) // the next lab has its own
	l := startLab(t, "")

	var pairs strings.Builder
	fmt.Fprintf(&pairs, "s@sender.test\t%s\ns@sender.test\t%s\n", livingVictim, deadVictim)
	forged := 0
	for _, victim := range []string{livingVictim, deadVictim, noVictim} {
		for _, local := range forgedFor(victim) {
			for _, domain := range []string{
				"plain.test",     // takes it
				"fallback5.test", // 550 to RCPT
				"mail553.test",   // 553 to MAIL
				"nxdomain.test",  // no such domain
				"lab.test",       // ours, no such user
			} {
				if domain == "lab.test" && !strings.Contains(local, " ") && !strings.Contains(local, ":") {
					continue // Postfix takes "user@domain"@ours for the user of that domain, and delivers to it
				}
				fmt.Fprintf(&pairs, "s@sender.test\t%s@%s\n", local, domain)
				forged++
			}
			// As the sender: the notification goes to it, and the remote's answer
			// to MAIL names it.
			fmt.Fprintf(&pairs, "%s@fallback5.test\tnouser@plain.test\n", local)
			fmt.Fprintf(&pairs, "%s@plain.test\tx@mail553.test\n", local)
			forged += 2
		}
	}
	file := filepath.Join(t.TempDir(), "pairs.tsv")
	if err := os.WriteFile(file, []byte(pairs.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	l.run("pairs", file)
	l.run("settle")

	for _, log := range labLogs {
		t.Run(log.name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "import.db")
			output(t, bouncelog, "--db", db, "import", l.log(log.name))
			rows := deliveries(t, bouncelog, db)
			of := map[string][]string{}
			for _, d := range rows {
				if d.Outcome == "delivered" || d.Outcome == "soft" || d.Outcome == "hard" {
					of[d.Recipient] = append(of[d.Recipient], d.Outcome)
				}
			}
			for victim, want := range map[string]string{livingVictim: "[delivered]", deadVictim: "[hard]", noVictim: "[]"} {
				if got := fmt.Sprint(of[victim]); got != want {
					t.Errorf("%s: attempts %s, want %s", victim, got, want)
				}
			}
			// No column but the text may name a victim: neither the original
			// recipient nor the relay nor the domain.
			for _, q := range []string{
				"select count(*) from deliveries where recipient_domain = 'bigmail.test' or relay_host like '%bigmail.test'",
				"select count(*) from deliveries where original_recipient in ('" + livingVictim + "', '" + deadVictim + "', '" + noVictim + "')",
				"select count(*) from deliveries where sender in ('" + livingVictim + "', '" + deadVictim + "', '" + noVictim + "')",
			} {
				if got := strings.Fields(string(output(t, bouncelog, "--db", db, "query", "--format", "csv", q))); len(got) != 2 || got[1] != "0" {
					t.Errorf("%s: %q, want 0", q, got)
				}
			}
			list := strings.Split(string(output(t, bouncelog, "--db", db, "suppress", "--format", "list")), "\n")
			suppressed := map[string]bool{}
			for _, address := range list {
				suppressed[address] = true
			}
			if suppressed[livingVictim] || suppressed[noVictim] || !suppressed[deadVictim] {
				t.Errorf("suppressed are %q; want %s and not %s, %s", list, deadVictim, livingVictim, noVictim)
			}
			accounted(t, bouncelog, log.mta, l.log(log.name), len(rows), forged)
		})
	}
}

// accounted holds that each line with a delivery is an attempt or counted as
// not understood, and that hardly any is the latter.
func accounted(t *testing.T, bouncelog, mta, log string, attempts, forged int) {
	t.Helper()
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m): to=<.*, status=|^.*\w{6}-\w{6,11}-\w{2,4} (?:=>|->|>>|\*\*|==) `)
	lines := len(line.FindAll(raw, -1))
	unparsed := strings.Count(string(output(t, bouncelog, "parse", "--unmatched", log)), "\n")
	if mta == "exim" && attempts+unparsed < lines {
		t.Errorf("%d attempts and %d lines not understood, of %d", attempts, unparsed, lines)
	}
	t.Logf("%d messages, %d lines with deliveries, %d not understood", forged, lines, unparsed)
	if lines < forged || unparsed > lines/4 {
		t.Errorf("%d messages, %d lines with deliveries, %d not understood", forged, lines, unparsed)
	}
}
