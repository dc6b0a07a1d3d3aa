package judge

import (
	"strings"

	"bouncelog/bounce"
)

// An Explanation describes in words the meaning of a reply and the right reaction. None of its
// strings is a remote server's text.
type Explanation struct {
	Code     uint16
	Enhanced bounce.EnhancedCode
	Provider Provider // of the relay, if known
	Title    string   // one line
	Meaning  string
	Outcome  bounce.Outcome // the attempt's own; else Soft, Hard or Delivered according to the code's first digit
	Verdict  bounce.Verdict // zero if there is nothing to judge
	Turn     string         // who acts, in words
	Retry    string         // whether to retry
	Do       []string       // the actions, most important first
	Also     string         // other possible causes
	Links    []string       // the pages of the provider or the list
	RFC      string         // the definitions of the codes
	Sure     string         // confidence of the judgement, in words
}

// Explain returns the meaning of a reply and the right reaction. d may hold only a code, a code and
// an enhanced code, or a text that begins with them.
func (j *Judge) Explain(d *bounce.Delivery) Explanation {
	d2 := *d
	if d2.Code == 0 && !d2.Local && bounce.ReplyCode(d2.Response) != 0 {
		d2.Code = bounce.ReplyCode(d2.Response)
	}
	if d2.Enhanced == 0 {
		rest := d2.Response
		if bounce.ReplyCode(rest) != 0 {
			rest = strings.TrimLeft(rest[3:], "- ")
		}
		if e, n := leadingEnhanced(rest); n > 0 {
			d2.Enhanced = e
		}
	}
	x := Explanation{Code: d2.Code, Enhanced: d2.Enhanced, Outcome: d2.Outcome}
	x.Provider = j.providerOf(d)
	class := int(d2.Code / 100)
	if class == 0 {
		class = d2.Enhanced.Class()
	}
	if x.Outcome == bounce.NoOutcome {
		switch class {
		case 2:
			x.Outcome = bounce.Delivered
		case 4:
			x.Outcome = bounce.Soft
		case 5:
			x.Outcome = bounce.Hard
		}
	}
	code, hasCode := replyText(d2.Code)
	enhanced, hasEnhanced := enhancedText(d2.Enhanced)
	var rfc []string
	if hasCode {
		rfc = append(rfc, code.rfc)
	}
	if hasEnhanced {
		rfc = append(rfc, enhanced.rfc)
	}
	x.RFC = strings.Join(rfc, ", ")

	d2.Outcome = x.Outcome
	if class != 2 && class != 3 && d2.Failed() {
		x.Verdict = explained(j.Verdict(&d2), d)
	}
	t := AttemptText(&d2, x.Verdict)
	x.Title, x.Meaning, x.Do, x.Retry, x.Also = t.Title, t.Meaning, t.Do, t.Retry, t.Also
	if x.Title == "" {
		x.Title = "delivered"
	}
	x.Retry = retryText(x.Outcome, d.Outcome != bounce.NoOutcome, x.Retry, class)
	switch {
	case x.Verdict.Reason == bounce.Unknown && len(strings.Trim(d.Response, "0123456789. -")) == 0:
		x.Turn = "Not known from the code alone: the text after it says who has to act."
	case x.Verdict.Reason != bounce.NoReason:
		x.Turn = Turn(&d2, x.Verdict)
		if x.Verdict.Detail == detailCertificate {
			x.Meaning, _ = checkedBy(d2.TLS, x.Meaning, "")
		}
	case class == 2 || x.Outcome == bounce.Delivered:
		x.Turn = "Nobody: it worked."
	case class == 3:
		x.Turn = "The sending server's: it goes on with the dialogue."
	}
	x.Sure = sureText(x.Verdict.Confidence)
	if x.Verdict.Reason != bounce.NoReason {
		x.Links = append(x.Links, j.pagesOf(x.Verdict)...)
	}
	for _, p := range x.Provider.Pages {
		x.Links = appendNew(x.Links, p)
	}
	return x
}

// AttemptText returns the texts for an attempt and its verdict: those of the verdict or, if only the
// codes are known, those of the codes.
func AttemptText(d *bounce.Delivery, v bounce.Verdict) Text {
	t := VerdictText(v)
	code, hasCode := replyText(d.Code)
	enhanced, hasEnhanced := enhancedText(d.Enhanced)
	class := int(d.Code / 100)
	if class == 0 {
		class = d.Enhanced.Class()
	}
	switch {
	case v.Reason != bounce.NoReason && v.Confidence != bounce.CodeOnly || OwnDetail(v.Detail):
	case hasEnhanced && d.Enhanced.Subject() != 0 && class != 2: // the subject of a success has no meaning
		t.Title, t.Meaning, t.Do = enhanced.title, enhanced.meaning, []string{enhanced.do}
		if hasCode && enhanced.vague {
			t.Do, t.Also = code.do, code.also
		}
	case hasCode:
		t.Title, t.Meaning, t.Do, t.Also, t.Retry = code.title, code.meaning, code.do, code.also, code.retry
	case class == 2:
		return Text{}
	case hasEnhanced:
		t.Title, t.Meaning, t.Do, t.Retry, t.Also = enhanced.title, enhanced.meaning, []string{enhanced.do}, "", ""
	}
	return t
}

// checkedBy adds to the texts meaning and turn who required the check of a certificate, if the log
// has the wanted TLS level (see bounce.Delivery.TLS).
func checkedBy(tls, meaning, turn string) (string, string) {
	level, _, _ := strings.Cut(strings.TrimRight(tls, "!?"), ":")
	switch level {
	case "dane", "dane-only":
		return meaning + " The TLS level was " + level + ": the receiver publishes TLSA records, which ask for it.", TurnText(bounce.ScopeRemote)
	case "verify", "secure", "fingerprint":
		return meaning + " The TLS level was " + level + ": your own policy asks for it (or a table that answers for MTA-STS).", turn
	}
	return meaning, turn
}

// explained returns the verdict for the explanation of one attempt, or of a text alone, whose
// author is not known.
func explained(v bounce.Verdict, d *bounce.Delivery) bounce.Verdict {
	switch {
	case (v.Detail == DetailOwnTable || v.Detail == DetailOwnQuota) && d.MTA == "" && !d.Local:
		v.Detail = ""
	case v.Detail == detailNotTried: // the result of the last real attempt is not known
		v.Reason, v.Confidence = bounce.Unknown, bounce.NoConfidence
	}
	return v
}

// Turn returns in words who acts on a failed attempt with this verdict. A reply of this server's own
// side about a mailbox does not prove that its own side works.
func Turn(d *bounce.Delivery, v bounce.Verdict) string {
	if t := detailText(v.Detail).turn; t != "" {
		if v.Detail == detailCertificate {
			_, t = checkedBy(d.TLS, "", t)
		}
		return t
	}
	if f := factsOf(d); v.Scope == bounce.ScopeRecipient && f&ownHop != 0 && f&factPassedOn == 0 {
		return turnOwnStore
	}
	if v.Scope == bounce.NobodyActs && d.Outcome == bounce.Hard {
		return "You: send the message again, for it was given up."
	}
	return TurnText(v.Scope)
}

const turnOwnStore = "You, with the recipient: it is your own server or mail store that says so."

// providerOf returns the provider of the relay or, if the relay has none (a smarthost's log), the
// one whose pages the text refers to.
func (j *Judge) providerOf(d *bounce.Delivery) Provider {
	if p, ok := j.ProviderInfo(d.RelayHost); ok {
		return p
	}
	rest := d.Response[:min(len(d.Response), maxFold)]
	for {
		_, after, ok := strings.Cut(rest, "://")
		if !ok {
			return Provider{}
		}
		end := strings.IndexFunc(after, func(r rune) bool {
			return r >= 0x80 || !inHost(byte(r))
		})
		if end < 0 {
			end = len(after)
		}
		if p, ok := j.ProviderInfo(after[:end]); ok {
			return p
		}
		rest = after
	}
}

// pagesOf returns the pages for a verdict: the documentation of the rule, and the page of the list
// that it names.
func (j *Judge) pagesOf(v bounce.Verdict) (pages []string) {
	for i := range j.rules {
		if j.rules[i].ID != v.Rule {
			continue
		}
		if strings.HasPrefix(j.rules[i].Seen, "https://") {
			page, _, _ := strings.Cut(j.rules[i].Seen, ",")
			pages = appendNew(pages, page)
		}
		for _, h := range j.rules[i].Host {
			for _, p := range j.providers {
				if p.ID == h && len(p.Pages) > 0 {
					pages = appendNew(pages, p.Pages[0])
				}
			}
		}
	}
	if p, ok := detailPages[listOf(v.Detail)]; ok {
		pages = appendNew(pages, p)
	}
	return pages
}

func appendNew(list []string, s string) []string {
	for _, t := range list {
		if t == s {
			return list
		}
	}
	return append(list, s)
}

// retryText returns whether to retry. logged reports whether the mail server logged o; else o only
// follows from the code's first digit.
func retryText(o bounce.Outcome, logged bool, byReason string, class int) string {
	var first string
	switch {
	case o == bounce.Soft && logged:
		first = "The mail server keeps the message and tries again."
	case o == bounce.Hard && logged:
		first = "The mail server has given up and returned the message."
	case o == bounce.Soft:
		first = "Soft: a mail server that gets this keeps the message and tries again."
	case o == bounce.Hard:
		first = "Hard: a mail server that gets this gives up and returns the message."
	default:
		return ""
	}
	if byReason != "" {
		byReason = "Try again? " + byReason
	} else {
		switch class {
		case 4:
			byReason = "It may pass with time."
		case 5:
			byReason = "Without a change the same message fails again; full mailboxes and rate limits, which some report as 5xx, may pass."
		}
	}
	return strings.TrimSpace(first + " " + byReason)
}

func sureText(c bounce.Confidence) string {
	switch c {
	case bounce.NamedCause:
		return "The text names the cause."
	case bounce.ProviderCode:
		return "The provider documents this meaning of the code."
	case bounce.GeneralText:
		return "The wording is general; the cause is likely, not named."
	case bounce.CodeOnly:
		return "Only the code says so."
	case bounce.Guess:
		return "A guess: no rule knows this wording, its words suggest the cause."
	}
	return ""
}

// detailPages are the look-up pages of the list operators.
var detailPages = map[string]string{
	"spamhaus":    "https://check.spamhaus.org/",
	"spamcop":     "https://www.spamcop.net/bl.shtml",
	"barracuda":   "https://www.barracudacentral.org/lookups",
	"uceprotect":  "https://www.uceprotect.net/en/rblcheck.php",
	"uribl":       "https://lookup.uribl.com/",
	"surbl":       "https://surbl.org/surbl-analysis",
	"invaluement": "https://www.invaluement.com/lookup/",
	"microsoft":   "https://sender.office.com/",
	"talos":       "https://talosintelligence.com/reputation_center",
	"proofpoint":  "https://ipcheck.proofpoint.com/",
	"cloudmark":   "https://csi.cloudmark.com/en/reset/",
}
