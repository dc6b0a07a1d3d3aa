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

Every failed delivery attempt has one reason. It says why, and its scope says who has to act: the recipient's side
(clean the list), the sender (mend your own set-up), the message, the remote side, or nobody (wait). It does not say
whether the attempt was soft or hard: that is what the mail server did, and is kept apart.

Only a permanent failure whose scope is ` + "`recipient`" + ` is a ground to stop mailing an address, and
` + "`recipient_restricted`" + ` only for the sender it was said to.

This page is written from judge/texts.go by ` + "`go generate ./judge`" + `.

| reason | in short | scope | retry |
|---|---|---|---|
`)
	for r := bounce.UserUnknown; r <= bounce.Unknown; r++ {
		x := ReasonText(r)
		scope := x.Scope.String()
		if scope == "" {
			scope = "-"
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r, r, x.Title, scope, x.Retry)
	}
	for r := bounce.UserUnknown; r <= bounce.Unknown; r++ {
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

Where the reply or the situation says so, a detail names the mechanism, the list or the provider (` + "`spamhaus-zen` `spamcop`\n`barracuda` `microsoft`" + ` …), or the part of your own side that is at fault. Details that begin with ` + "`own-`" + ` have the scope sender: there is
no other side that could act; but ` + "`own-table`, `own-mailbox`, `own-relay` and `smarthost`" + ` leave the scope recipient: no server of the recipient's was
asked, and whether the mailbox should exist your own tables say. None of these puts an address on the suppression list by itself. ` + "`receiver-dnsbl-error`" + ` (reason ` + "`system_error`, scope `remote`" + `) is no listing: a blocklist refused to answer
the receiver, who took that for a yes.

| detail | meaning |
|---|---|
`

const sure = `
## How sure

` + "`named`: the text names the cause. `provider`: the provider documents this meaning of the code. `text`: the wording is general.\n`code`: there was only the code to go by." + `

Where the rules end at a reply code, at a vague enhanced code or at nothing, the words are weighed: ` + "`" + `guess` + "`" + ` means that no rule
knows the wording, and that the reason is the most probable one by its words (logistic regression on words, their first five
letters, concepts and codes). It is learned from the texts and examples of the rules and from judge/testdata/replies.tsv by
` + "`" + `go generate ./judge` + "`" + `, which writes judge/guess.bin (61 kB). A reason is guessed from a probability of 0.6 on, and one of
blocklist, reputation, auth_failure and rdns_helo from 0.8 on. The mail server's own words and the replies of its own filters
and stores are not guessed at.

Tables count a guess under its reason, but nothing acts on it: no address is suppressed for it, it makes no recipient invalid,
and for the search for problems the reply names no cause. The report lists such replies with the guess under "Log coverage".

How often the reason is right, and how often one of the four reasons above is:

| replies | number | reason: rules alone | with guesses | four reasons, precision: alone | with | recall: alone | with | guesses | right |
|---|---|---|---|---|---|---|---|---|---|
| labelled, by folds of their sources | 1175 | 0.795 | 0.853 | 0.973 | 0.973 | 0.899 | 0.902 | 103 | 73 |
| written down afterwards, first set | 81 | 0.790 | 0.840 | 1.000 | 1.000 | 0.727 | 0.773 | 6 | 4 |
| second set | 92 | 0.750 | 0.870 | 1.000 | 1.000 | 0.853 | 0.912 | 13 | 11 |
| third set | 93 | 0.624 | 0.763 | 0.962 | 0.966 | 0.758 | 0.848 | 19 | 13 |

The folds are those of ` + "`" + `go test ./judge -run TestUnseenReplies -v` + "`" + `: the replies of a fifth of the sources are judged without the
texts of rules and concepts that occur in no other reply, and with weights that were learned without them and without like
examples. The three sets were written down and labelled before they were judged; the design was chosen by the folds and the
first two, the third was judged once. They are not in the repository. For all labelled replies and all rules the reason is right for
0.986 of the common ones (rules alone: 0.988) and 0.959 of the rare ones (0.961): rules were written from them, few end at a guess.

`

const ownRules = `## Your own rules

A file of rules (TOML) given with ` + "`--rules`" + ` is looked at before the built-in ones:

    [[rule]]
    id = "acme-full"             # your name for it; it is shown with each verdict
    reason = "mailbox_full"
    any = ["kiste voll"]         # one of these texts, in lower case
    not = ["beinahe"]            # and none of these
    host = "mx.acme.example"     # only from relays of this name (or the name of a known provider)

Further conditions: ` + "`code`" + ` (` + "`\"550\"`, `\"4xx\"`" + `), ` + "`enhanced`" + ` (` + "`\"5.7.1\"`, `\"x.7.1\"`" + `), ` + "`stage`" + `, ` + "`all`" + ` (every one of these texts), ` + "`url`" + ` (or one of
these in a link of the text), ` + "`not_url`" + `, ` + "`re`" + ` (an RE2 expression, beside ` + "`any`" + `). ` + "`detail`" + ` and ` + "`scope`" + ` may be set; ` + "`over`" + ` names rules that
give way to this one. In texts ` + "`{addr}` `{ip}` `{host}` `{id}` `{n}`" + ` stand for an address, an IP address, a host name, an id and
a number, and ` + "`|`" + ` for the end of a word. Accents do not count. A rule with a host and a text comes before one with a host
and a code, then texts, then codes; among equals the longest text decides. ` + "`enhanced = \"5.7.606-649\"`" + ` means a range.

A rule may ask for the situation with ` + "`when`" + ` (all of these facts) and ` + "`unless`" + ` (none of them): ` + "`local`" + ` (the words are the mail
server's own), ` + "`remote`" + ` (a remote server replied), ` + "`here`" + ` (a delivery agent of this host), ` + "`router`" + ` (Exim: no transport was reached), ` + "`lmtp`" + `,
` + "`loopback`, `private`" + ` (the next hop's address, or a socket), ` + "`submission`" + ` (a port other than 25), ` + "`port-465`" + `, ` + "`ipv6`" + ` (the mail server itself about a host with a public IPv6 address); of the name that was not
found: ` + "`same-name`" + ` (the recipient's domain), ` + "`their-name`" + ` (a name below it), ` + "`own-name`" + ` (another); ` + "`given-up`, `forwarded`" + `.

Instead of texts a rule may ask for concepts that stand in one sentence: ` + "`has = [\"content\", \"forbidden\"]`" + `, and ` + "`lacks`" + ` for those that may not.
A ` + "`[[concept]]` has an `id` and its words in `any`" + `. Such rules come after texts; the first in the file decides. ` + "`bouncelog explain --rules`" + ` lists all rules.
`

func TestReasonTexts(t *testing.T) {
	for r := bounce.UserUnknown; r <= bounce.Unknown; r++ {
		x := ReasonText(r)
		if x.Title == "" || x.Meaning == "" || len(x.Do) == 0 || x.Retry == "" || x.Also == "" {
			t.Errorf("%s: something is missing: %+v", r, x)
		}
		if x.Scope == bounce.NoScope && r != bounce.Unknown {
			t.Errorf("%s has no scope", r)
		}
	}
	if ReasonText(bounce.NoReason).Meaning != "" || ReasonText(bounce.Unknown+1).Meaning != "" {
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
