package judge

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// docs/reasons.md is generated from the texts that explain prints.
func TestReasonsDocumented(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(`# The reasons

Every failed delivery attempt has one reason. The reason says why it failed. Its scope says who has to act:

| scope | who acts |
|---|---|
| ` + "`recipient`" + ` | the recipient's side; remove or correct the address |
| ` + "`sender`" + ` | you: correct your configuration |
| ` + "`message`" + ` | you: change the message |
| ` + "`remote`" + ` | the other side |
| ` + "`none`" + ` | nobody; wait |

The reason does not say whether the attempt was soft or hard. The mail server decides that, and it is stored separately.

Only a permanent failure with the scope ` + "`recipient`" + ` is a reason to stop mailing an address. ` + "`recipient_restricted`" + ` applies only to the
sender that was refused.

This page is generated from judge/texts.go by ` + "`go generate ./judge`" + `.

| reason | in short | scope | retry |
|---|---|---|---|
`)
	for _, r := range bounce.Reasons(nil) {
		x := ReasonText(r)
		scope := x.Scope.String()
		if scope == "" {
			scope = "-"
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r, r, x.Title, scope, x.Retry)
	}
	for _, r := range bounce.Reasons(nil) {
		x := ReasonText(r)
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", r, x.Meaning)
		for _, d := range x.Do {
			fmt.Fprintf(&b, "* %s\n", d)
		}
		fmt.Fprintf(&b, "\nTry again? %s\n\nWhat else it could be: %s\n", x.Retry, x.Also)
	}
	b.WriteString(details)
	names := slices.Sorted(maps.Keys(detailTexts))
	for _, name := range names {
		x := detailTexts[name]
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, x.Meaning)
	}
	for _, name := range names {
		x := detailTexts[name]
		if len(x.Do) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s: %s\n\n", name, x.Title)
		for _, d := range x.Do {
			fmt.Fprintf(&b, "* %s\n", d)
		}
	}
	b.WriteString(sure + ownRules)
	const file = "../docs/reasons.md"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Fatalf("%s is not what the texts say; run go generate ./judge", file)
	}
}

const details = `
## Details

If the reply or the situation shows it, a detail names the mechanism, the list or the provider (` + "`spamhaus-zen`" + `, ` + "`spamcop`" + `, ` + "`barracuda`" + `,
` + "`microsoft`" + `, …), or the part of your own side that is at fault.

* Details that begin with ` + "`own-`" + ` have the scope sender, since no other side can act.
* The exceptions are ` + "`own-table`" + `, ` + "`own-mailbox`" + `, ` + "`own-quota`" + `, ` + "`own-relay`" + ` and ` + "`smarthost`" + `, which have the scope recipient. No
  server of the recipient was asked, and only your own side knows whether the mailbox should exist and has room. None of these details
  alone puts an address on the suppression list.
* ` + "`receiver-dnsbl-error`" + ` (reason ` + "`system_error`" + `, scope ` + "`remote`" + `) is no listing: a blocklist refused to answer the receiver, and the
  receiver took that for a listing.

| detail | meaning |
|---|---|
`

const sure = `
## Confidence

| confidence | evidence |
|---|---|
| ` + "`named`" + ` | the text names the cause |
| ` + "`provider`" + ` | the provider documents this meaning of the code |
| ` + "`text`" + ` | the wording is general |
| ` + "`code`" + ` | only the code |
| ` + "`guess`" + ` | no rule knows the wording; the reason is the most probable one for its words |

A guess is made if the rules end at a reply code, at a vague enhanced status code or at nothing. It is a logistic regression on
words, their first five letters, concepts and codes. ` + "`go generate ./judge`" + ` trains it on the texts and examples of the rules and on
judge/testdata/replies.tsv, and writes judge/guess.bin (61 kB). A guess needs a probability of at least 0.6; for blocklist,
reputation, auth_failure and rdns_helo, 0.8. The mail server's own words, and the replies of its own filters and mail stores, are not
guessed.

Tables count a guess under its reason, but nothing acts on it: it suppresses no address, it makes no recipient invalid, and in the
search for problems the reply names no cause. The report lists such replies with their guess under "Log coverage".

The table shows how often the reason is right (accuracy), and precision and recall for the four reasons above:

| replies | number | reason: rules alone | with guesses | four reasons, precision: alone | with | recall: alone | with | guesses | right |
|---|---|---|---|---|---|---|---|---|---|
| labelled, by folds of their sources | 1175 | 0.796 | 0.852 | 0.973 | 0.969 | 0.899 | 0.902 | 101 | 71 |
| written down afterwards, first set | 81 | 0.790 | 0.840 | 1.000 | 1.000 | 0.727 | 0.773 | 6 | 4 |
| second set | 92 | 0.750 | 0.870 | 1.000 | 1.000 | 0.853 | 0.912 | 13 | 11 |
| third set | 93 | 0.624 | 0.763 | 0.962 | 0.966 | 0.758 | 0.848 | 19 | 13 |
| fourth set, from filters and from providers of many countries | 171 | 0.649 | 0.690 | 0.917 | 0.917 | 0.805 | 0.805 | 15 | 8 |
| fifth set, from other filters and relays | 82 | 0.707 | 0.793 | 1.000 | 1.000 | 0.750 | 0.800 | 11 | 7 |

The folds are those of ` + "`go test ./judge -run TestUnseenReplies -v`" + `. For each fold, a fifth of the sources, the replies are judged
without the texts of rules and concepts that occur in no other reply, and with weights that were trained without them and without
similar examples. The five sets were collected and labelled before they were judged. The design was chosen by the folds and the first
two sets. The figures of the other sets are those of the first time; concepts were changed after the third and the fourth set, and none
after the fifth. The sets are not in the repository.

With all rules, the reason is right for these shares of the labelled replies. Most rules were written from them, so few replies end at a
guess:

| labelled replies | rules alone | with guesses |
|---|---|---|
| common | 0.988 | 0.986 |
| rare | 0.961 | 0.959 |

`

const ownRules = `## Your own rules

` + "`--rules`" + ` names a file of rules (TOML). Its rules are examined before the built-in ones:

    [[rule]]
    id = "acme-full"             # your name for it; it is shown with each verdict
    reason = "mailbox_full"
    any = ["kiste voll"]         # one of these texts, in lower case
    not = ["beinahe"]            # and none of these
    host = "mx.acme.example"     # only from relays of this name (or the name of a known provider)

The fields of a rule:

| field | meaning |
|---|---|
| ` + "`any`" + ` | one of these texts |
| ` + "`all`" + ` | every one of these texts |
| ` + "`not`" + ` | none of these texts |
| ` + "`re`" + ` | an RE2 expression, beside ` + "`any`" + ` |
| ` + "`url`" + `, ` + "`not_url`" + ` | one of these, or none of these, in a link of the text |
| ` + "`code`" + ` | reply code: ` + "`\"550\"`" + `, ` + "`\"4xx\"`" + ` |
| ` + "`enhanced`" + ` | enhanced status code: ` + "`\"5.7.1\"`" + `, ` + "`\"x.7.1\"`" + `; a range: ` + "`\"5.7.606-649\"`" + ` |
| ` + "`stage`" + ` | the command that failed |
| ` + "`host`" + ` | name of the relay, or of a known provider |
| ` + "`when`" + `, ` + "`unless`" + ` | all of these facts, or none of them; see below |
| ` + "`has`" + `, ` + "`lacks`" + ` | concepts, see below |
| ` + "`detail`" + `, ` + "`scope`" + ` | detail and scope of the verdict |
| ` + "`over`" + ` | rules that this rule replaces when both match |

In texts, ` + "`{addr}`" + ` ` + "`{ip}`" + ` ` + "`{host}`" + ` ` + "`{id}`" + ` ` + "`{n}`" + ` stand for an address, an IP address, a host name, an id and a number, and ` + "`|`" + ` stands
for the end of a word. Accents do not count. Rules have this order: rules with a host and a text, rules with a host and a code,
rules with a text, rules with a code. Among equals, the longest text decides.

` + "`when`" + ` and ` + "`unless`" + ` use these facts about an attempt:

| fact | meaning |
|---|---|
| ` + "`local`" + ` | the words are the mail server's own |
| ` + "`remote`" + ` | a remote server replied |
| ` + "`here`" + ` | a delivery agent of this host |
| ` + "`router`" + ` | Exim: no transport was reached |
| ` + "`lmtp`" + ` | delivery by LMTP |
| ` + "`loopback`" + `, ` + "`private`" + ` | the address of the next hop, or a socket |
| ` + "`submission`" + ` | a port other than 25 |
| ` + "`port-465`" + ` | port 465 |
| ` + "`ipv6`" + ` | the mail server itself, about a host with a public IPv6 address |
| ` + "`same-name`" + `, ` + "`their-name`" + `, ` + "`own-name`" + ` | the name that was not found is the recipient's domain, a name below it, another name |
| ` + "`given-up`" + ` | the message was given up |
| ` + "`forwarded`" + ` | the mail was for an address in another domain and was forwarded |

A rule can also ask for concepts that occur in one sentence: ` + "`has = [\"content\", \"forbidden\"]`" + `; ` + "`lacks`" + ` names concepts that must not
occur. A ` + "`[[concept]]`" + ` has an ` + "`id`" + ` and its words in ` + "`any`" + `. Such rules come after texts; the first in the file decides.
` + "`bouncelog explain --rules`" + ` lists all rules.
`

func TestReasonTexts(t *testing.T) {
	for _, r := range bounce.Reasons(nil) {
		x := ReasonText(r)
		if x.Title == "" || x.Meaning == "" || len(x.Do) == 0 || x.Retry == "" || x.Also == "" {
			t.Errorf("%s: something is missing: %+v", r, x)
		}
		if x.Scope == bounce.NoScope && r != bounce.Unknown {
			t.Errorf("%s has no scope", r)
		}
	}
	if ReasonText(bounce.NoReason).Meaning != "" || ReasonText(bounce.Reason(bounce.NumReasons)).Meaning != "" {
		t.Error("words for what is no reason")
	}
	for s := bounce.NoScope; s <= bounce.NobodyActs; s++ {
		if TurnText(s) == "" {
			t.Errorf("%s: nobody's turn", s)
		}
	}
}

// Every code of the tables has texts, and the codes of the standards are present.
func TestCodeTables(t *testing.T) {
	for _, code := range []int{
		211, 214, 220, 221, 250, 251, 252, 354, 421, 432, 450, 451, 452, 454, 455, 500, 501, 502, 503, 504,
		521, 523, 525, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555, 556,
	} {
		found := false
		for _, e := range replyCodes {
			if e.code != code {
				continue
			}
			found = true
			if e.title == "" || e.meaning == "" || e.rfc == "" || code >= 400 && len(e.do) == 0 && code != 502 {
				t.Errorf("%d: something is missing: %+v", code, e)
			}
		}
		if !found {
			t.Errorf("%d is not in the table", code)
		}
	}
	// The number of details of each subject in the registry.
	last := map[int]int{0: 0, 1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}
	seen := map[string]bool{}
	for _, e := range enhancedCodes {
		code := fmt.Sprintf("%d.%d", e.subject, e.detail)
		if seen[code] {
			t.Errorf("x.%s twice", code)
		}
		seen[code] = true
		if e.title == "" || e.meaning == "" || e.do == "" || !strings.HasPrefix(e.rfc, "RFC ") {
			t.Errorf("x.%s: something is missing: %+v", code, e)
		}
	}
	n := 0
	for subject, details := range last {
		for d := range details + 1 {
			n++
			if !seen[fmt.Sprintf("%d.%d", subject, d)] {
				t.Errorf("x.%d.%d is not in the table", subject, d)
			}
		}
	}
	if n != len(enhancedCodes) {
		t.Errorf("%d codes in the table, %d in the registry", len(enhancedCodes), n)
	}
}
