package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/internal/term"
	"bouncelog/judge"
	"bouncelog/parser"
)

func newExplain() *cobra.Command {
	var (
		in           input
		out          output
		form, rules  string
		relay, stage string
		reasons      bool
	)
	cmd := &cobra.Command{
		Use:   "explain CODE [ENHANCED] [TEXT] | LINE | -",
		Short: "Explain a reply and what to do",
		Long: `Explains a reply code (550), an enhanced status code (5.7.1), a reply with its
text, or a whole log line of Postfix or Exim: what happened, who has to act,
whether to try again, what to do, and what else it could be. A line that reports
no delivery attempt (a reject, an arrival, a frozen message) is explained too, and
so are the warnings of Postfix's daemons and of Exim's main log and panic log.

With -, it reads replies and log lines from standard input, one on each line, and
answers in their order; with --input ndjson, objects as 'bouncelog parse' prints them.`,
		Example: `  bouncelog explain 550
  bouncelog explain 550 5.7.26 "This mail has been blocked because the sender is unauthenticated"
  grep status=bounced /var/log/mail.log | bouncelog explain - --format ndjson`,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := out.form(table.FormatTable)
			if err != nil {
				return err
			}
			if format != table.FormatTable && format != table.FormatJSON && format != table.FormatNDJSON {
				return usageErrorf("there are table, json and ndjson", "--format %s: an explanation has no such form", format)
			}
			if form != "text" && form != "ndjson" {
				return usageErrorf("there are text and ndjson", "--input %s: no such input", form)
			}
			at, ok := parseStage(stage)
			if !ok {
				return usageErrorf("there are connect, helo, tls, auth, mail, rcpt, data and eom", "--stage %s: no such stage", stage)
			}
			// --rules alone lists; --rules=FILE, and --rules FILE, adds rules.
			list := rules == listRules
			if list && len(args) > 0 && strings.HasSuffix(args[0], ".toml") {
				rules, args, list = args[0], args[1:], len(args) == 1
			}
			if rules != listRules {
				in.rules = rules
			}
			judge, err := in.judge()
			if err != nil {
				return err
			}
			e := &explainer{judge: judge, format: format, relay: relay, stage: at}
			return out.write(cmd, func(w io.Writer) error {
				e.out = bufio.NewWriter(w)
				e.width = term.Fold(w)
				switch {
				case list:
					err = e.rules()
				case reasons:
					err = e.reasons()
				case len(args) == 0:
					return usageErrorf("as in 'bouncelog explain 550', or - for standard input", "explain: a reply code, a reply or a log line is missing")
				case len(args) == 1 && args[0] == "-" && form == "ndjson":
					err = e.objects(cmd.InOrStdin())
				case len(args) == 1 && args[0] == "-":
					err = e.lines(cmd.InOrStdin())
				default:
					err = e.one(strings.Join(args, " "))
				}
				return errors.Join(err, e.out.Flush())
			})
		},
	}
	out.flags(cmd, "table, which here is words")
	f := cmd.Flags()
	f.Lookup("format").Usage = "table (words), json or ndjson (default: table, or what the ending of -o says)"
	f.StringVar(&form, "input", "text", "what - reads: text or ndjson")
	f.StringVar(&relay, "relay", "", "the name of the `HOST` that replied: codes mean different things at different providers")
	f.StringVar(&stage, "stage", "", "SMTP stage that failed: connect, helo, tls, auth, mail, rcpt, data, eom")
	f.StringVar(&rules, "rules", "", "list all rules; with a `FILE`.toml, apply your own rules before the built-in ones")
	f.Lookup("rules").NoOptDefVal = listRules
	f.BoolVar(&reasons, "reasons", false, "list all reasons")
	return cmd
}

const listRules = "list"

// An explainer answers questions about replies.
type explainer struct {
	judge  *judge.Judge
	format table.Format
	relay  string
	stage  bounce.Stage
	width  int
	out    *bufio.Writer
	n      int
	before []string // the last lines that were warnings
}

// errNothing says that a question holds nothing to explain.
var errNothing = errors.New("nothing to explain")

// one explains one question.
func (e *explainer) one(text string) error {
	q, err := e.read(text)
	if err != nil {
		return usageErrorf("a reply code has three digits and begins with 2, 3, 4 or 5; an enhanced status code looks like 5.7.1", "explain: %w: %q", err, text)
	}
	return e.end(e.print(q))
}

// lines explains one question a line, in order.
func (e *explainer) lines(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		q, err := e.read(lines.Text())
		if err == nil {
			e.remember(q)
		}
		if err != nil {
			q = &question{attempt: &bounce.Delivery{Response: lines.Text(), Delay: -1}}
		}
		if err := e.print(q); err != nil {
			return err
		}
	}
	return e.end(lines.Err())
}

// remember keeps a warning for the attempts after it, and gives an attempt the one before it, if
// the parser says that they belong together.
func (e *explainer) remember(q *question) {
	switch {
	case q.warns:
		e.before = append(e.before, q.text[:min(len(q.text), 4<<10)])
		e.before = e.before[max(0, len(e.before)-warningsKept):]
	case len(e.before) > 0 && q.attempt != nil:
		var r parser.Result
		log := parser.New(nil, parser.Options{Location: time.UTC})
		for _, line := range append(e.before[:len(e.before):len(e.before)], q.text) {
			log.Parse([]byte(line), 0, &r)
		}
		if len(r.Deliveries) > 0 {
			q.attempt.Warning = r.Deliveries[0].Warning
		}
	}
}

// warningsKept is how many warnings explain remembers.
const warningsKept = 16

// objects explains delivery attempts as parse prints them.
func (e *explainer) objects(r io.Reader) error {
	bounded := &bounded{r: r}
	in := json.NewDecoder(bounded)
	for {
		bounded.left = maxObject
		var o struct {
			MTA       bounce.MTA `json:"mta"`
			Agent     string     `json:"agent"`
			Recipient string     `json:"recipient"`
			Domain    string     `json:"recipient_domain"`
			Original  string     `json:"original_recipient"`
			RelayHost string     `json:"relay_host"`
			RelayIP   string     `json:"relay_ip"`
			RelayPort uint16     `json:"relay_port"`
			Status    string     `json:"status"`
			Outcome   string     `json:"outcome"`
			Code      uint16     `json:"code"`
			Enhanced  string     `json:"enhanced"`
			Stage     string     `json:"stage"`
			Response  string     `json:"response"`
			Warning   string     `json:"warning"`
		}
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return e.end(nil)
		} else if err != nil {
			return fmt.Errorf("standard input, object %d: %w", e.n+1, err)
		}
		code, enhanced, response := bounce.ParseReply(o.Response)
		d := &bounce.Delivery{
			MTA: o.MTA, Agent: o.Agent, Recipient: o.Recipient, RecipientDomain: o.Domain, OriginalRecipient: o.Original,
			RelayHost: o.RelayHost, RelayIP: o.RelayIP, RelayPort: o.RelayPort, Status: o.Status,
			Code: o.Code, Enhanced: enhanced, Response: response, Warning: o.Warning, Delay: -1,
		}
		if d.Code == 0 && o.MTA == "" {
			d.Code = code
		}
		d.Local = d.Code == 0 && o.MTA != ""
		if x, ok := bounce.ParseEnhanced(o.Enhanced); ok {
			d.Enhanced = x
		}
		d.Outcome, _ = bounce.ParseOutcome(o.Outcome)
		d.Stage, _ = parseStage(o.Stage)
		if err := e.print(&question{attempt: claimed(d)}); err != nil {
			return err
		}
	}
}

// parseStage reads a stage in any letter case, also by the other names of the
// field: CONN, EHLO, EOD.
func parseStage(word string) (bounce.Stage, bool) {
	word = strings.ToLower(word)
	switch word {
	case "conn":
		return bounce.StageConnect, true
	case "ehlo":
		return bounce.StageHelo, true
	case "eod":
		return bounce.StageEOM, true
	}
	return bounce.ParseStage(word)
}

// maxObject bounds one object on standard input, in bytes.
const maxObject = 4 << 20

// bounded is a reader that returns an error after left bytes.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("longer than %d bytes", maxObject)
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// end closes a list of answers.
func (e *explainer) end(err error) error {
	if e.format == table.FormatJSON {
		if e.n == 0 {
			e.out.WriteString("[")
		}
		e.out.WriteString("]\n")
	}
	return err
}

// A question is the input of explain: an attempt, or a line that reports none.
type question struct {
	attempt *bounce.Delivery
	line    judge.Line
	interim bool // the attempt was at one of several hosts; the MTA tries the next
	warns   bool // the line may be a warning before a delivery
	text    string
}

// read takes a question for a log line, else for a reply as a log, a queue
// listing or a notification shows it, else for text.
func (e *explainer) read(text string) (*question, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errNothing
	}
	q := &question{text: text}
	if rest, ok := consoleLine(text); ok {
		text = "2026-01-01 00:00:00 1aAaAa-000000-00 " + rest
	}
	var r parser.Result
	line := parser.New(nil, parser.Options{Location: time.UTC})
	kind := line.Parse([]byte(text), 0, &r)
	if kind == parser.Queued || kind == parser.Skipped || kind == parser.Unparsed {
		line, said, warns := warned(text)
		q.warns = true
		if q.attempt, q.line = said, line; said != nil || warns && line != judge.LineWarning {
			return q, nil
		}
		if d := oneHost(text); d != nil {
			q.attempt, q.interim = d, true
			return q, nil
		}
		if warns {
			return q, nil
		}
	}
	switch kind {
	case parser.Attempt:
		q.attempt = &r.Deliveries[0]
		return q, nil
	case parser.Expiry:
		q.attempt = &bounce.Delivery{MTA: r.Expiry.MTA, Status: r.Expiry.Status, Outcome: bounce.Hard, Local: true, Delay: -1}
		return q, nil
	case parser.Reject:
		q.line = judge.LineInbound
		if strings.Contains(text, "sasl_username=") || strings.Contains(text, " A=") {
			q.line = judge.LineSubmitted
		}
		return q, nil
	case parser.Queued:
		if d := replyIn(afterHost(text)); d != nil && d.Code >= 400 {
			q.attempt, q.interim = d, true
			d.Outcome = bounce.Soft
			return q, nil
		}
		q.line = judge.EndLine(r.End.Event)
		if q.line == judge.LineQueued {
			q.line = queueLine(text)
		}
		return q, nil
	case parser.Skipped, parser.Unparsed:
		if r.Program != "" || !r.Time.IsZero() {
			q.line = queueLine(text)
			return q, nil
		}
	}
	if rest := strings.TrimLeft(text, " "); strings.HasPrefix(rest, "NOQUEUE: ") || strings.Contains(rest, ": milter-reject: ") {
		q.line = judge.LineInbound
		return q, nil
	}

	d := &bounce.Delivery{Delay: -1}
	reply, stage := cutCommand(text)
	d.Stage = stage
	d.Code, d.Enhanced, d.Response = bounce.ParseReply(reply)
	if d.Code == 0 {
		first, rest, _ := strings.Cut(d.Response, " ")
		if x, ok := bounce.ParseEnhanced(first); ok {
			d.Enhanced, d.Response = x, rest
		} else if framed := replyIn(text); framed != nil {
			d = framed
		} else if _, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
			return nil, fmt.Errorf("%w: not a reply code", errNothing)
		}
	}
	d.RelayHost = cmp.Or(d.RelayHost, e.relay)
	if e.stage != bounce.NoStage {
		d.Stage = e.stage
	}
	q.attempt = claimed(d)
	return q, nil
}

// cutCommand cuts off the command that Postfix puts behind a reply, "(in reply to RCPT TO command)".
func cutCommand(text string) (reply string, stage bounce.Stage) {
	if i := strings.LastIndex(text, " (in reply to "); i >= 0 {
		if d := replyIn("host mx.example[192.0.2.1] said: 550 x" + text[i:]); d != nil && d.Stage != bounce.NoStage {
			return text[:i], d.Stage
		}
	}
	return text, bounce.NoStage
}

// claimed is an attempt of which only the reply is known. What the mail server makes of
// it is not known, unless it worked.
func claimed(d *bounce.Delivery) *bounce.Delivery {
	if d.Outcome == bounce.NoOutcome && outcomeOf(d) == bounce.Delivered {
		d.Outcome = bounce.Delivered
	}
	return d
}

// warned reads a warning of Postfix. The words of a login that failed are an attempt, for
// they are judged as those of the delivery after it are.
func warned(line string) (l judge.Line, d *bounce.Delivery, ok bool) {
	head, text, _ := strings.Cut(line, "]: ")
	_, program, _ := cutLast(head, " ")
	name, _, hasPID := strings.Cut(program, "[")
	if !hasPID || !strings.HasPrefix(name, "postfix") {
		return 0, nil, false
	}
	_, daemon, _ := cutLast(name, "/")
	if id, rest, ok := strings.Cut(text, ": "); ok && !strings.Contains(id, " ") && isSeverity(rest) {
		text = rest // after the queue id
	}
	delivers := daemon == "smtp" || daemon == "lmtp"
	switch _, said, _ := strings.Cut(text, ": "); {
	case delivers && strings.HasPrefix(said, "SASL authentication failure: "):
		return 0, &bounce.Delivery{MTA: bounce.Postfix, Agent: daemon, Stage: bounce.StageAuth, Local: true, Response: said, Delay: -1}, true
	case strings.HasPrefix(text, "warning: "):
		return judge.WarningLine(daemon, said), nil, true
	case isSeverity(text): // it is not about a client, whoever was spoken to
		return judge.WarningLine("", said), nil, true
	case delivers && (strings.HasPrefix(text, "certificate verification failed for ") || strings.HasPrefix(text, "Untrusted TLS connection ")):
		return judge.LineCertificate, nil, true
	}
	return 0, nil, false
}

// isSeverity reports whether a text of Postfix begins with a severity (see msg(3) there).
func isSeverity(text string) bool {
	switch s, _, _ := strings.Cut(text, ": "); s {
	case "warning", "error", "fatal", "panic":
		return true
	}
	return false
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// oneHost reads a line of Postfix's smtp(8) or lmtp(8) about one host of several: it
// refused, or was not reached. It is nil for any other line.
func oneHost(line string) *bounce.Delivery {
	agent := "smtp"
	_, text, ok := strings.Cut(line, "/smtp[")
	if !ok {
		agent = "lmtp"
		_, text, ok = strings.Cut(line, "/lmtp[")
	}
	if ok {
		_, text, ok = strings.Cut(text, "]: ")
	}
	if !ok {
		return nil
	}
	if id, rest, ok := strings.Cut(text, ": "); ok && len(id) >= 5 && strings.Trim(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == "" && id != "warning" {
		text = rest
	}
	text = strings.TrimPrefix(text, "warning: ")
	for _, begins := range [...]string{"host ", "connect to ", "lost connection with ", "conversation with ", "Cannot start TLS", "TLS is required", "Server certificate not", "SASL authentication failed"} {
		if !strings.HasPrefix(text, begins) {
			continue
		}
		if d := replyIn(text); d != nil {
			d.MTA, d.Agent, d.Outcome = bounce.Postfix, agent, bounce.Soft
			if name, rest, ok := strings.Cut(strings.TrimPrefix(text, "host "), "["); ok && !d.Local {
				address, _, _ := strings.Cut(rest, "]")
				d.RelayHost, d.RelayIP = name, address
			}
			return d
		}
	}
	return nil
}

// replyIn reads a reply with the words that an MTA puts around it ("host mx said:
// 450 …", "SMTP error from remote mail server after RCPT TO:<…>: 451 …"), or an
// MTA's own words, by the parser: the text is put where a log line has it. It is
// nil where nothing was made of it.
func replyIn(text string) *bounce.Delivery {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "(") && strings.HasSuffix(text, ")") { // as mailq shows it
		text = text[1 : len(text)-1]
	}
	if text == "" || strings.ContainsAny(text, "\n\r") {
		return nil
	}
	var own *bounce.Delivery
	for _, form := range [...]string{
		"Jan  1 00:00:00 h postfix/smtp[1]: 0A0A0A0A0A: to=<a@a.invalid>, relay=none, delay=0, delays=0/0/0/0, dsn=4.0.0, status=deferred (%s)",
		"2026-01-01 00:00:00 1aAaAa-000000-00 == a@a.invalid R=r T=remote_smtp defer (-1): %s",
		"2026-01-01 00:00:00 1aAaAa-000000-00 == a@a.invalid R=r T=remote_smtp defer (-1) %s",
		"2026-01-01 00:00:00 1aAaAa-000000-00 == a@a.invalid R=r T=remote_smtp defer (-44): SMTP error from remote mail server after RCPT TO:<a@a.invalid>: %s",
	} {
		if strings.Contains(form, "RCPT") && !strings.HasPrefix(text, "host ") { // Exim before 4.88
			continue
		}
		var r parser.Result
		p := parser.New(nil, parser.Options{Location: time.UTC, Year: 2026})
		if p.Parse([]byte(fmt.Sprintf(form, text)), 0, &r) != parser.Attempt {
			continue
		}
		d := r.Deliveries[0]
		if d.Enhanced.Subject() == 0 && d.Enhanced.Detail() == 0 { // that of the form
			d.Enhanced = bounce.ReplyEnhanced(d.Response)
		}
		d = bounce.Delivery{
			RelayHost: d.RelayHost, RelayIP: d.RelayIP, RelayPort: d.RelayPort, Code: d.Code, Enhanced: d.Enhanced, Stage: d.Stage,
			Response: d.Response, Local: d.Local, Delay: -1,
		}
		if d.Code != 0 {
			return &d
		}
		if own == nil && d.Stage != bounce.NoStage {
			own = &d
		}
	}
	return own
}

// consoleLine returns the event of a line that Exim prints in the foreground (exim -v), with a process
// id in place of time and message id: "  277   == joe@example.org …".
func consoleLine(text string) (event string, ok bool) {
	event = strings.TrimLeft(strings.TrimLeft(text, " 0123456789"), " ")
	event = strings.TrimLeft(strings.TrimPrefix(event, "LOG: MAIN"), " ")
	for _, arrow := range [...]string{"== ", "** ", "=> ", "-> "} {
		if strings.HasPrefix(event, arrow) {
			return event, true
		}
	}
	return "", false
}

// afterHost is Exim's line for one of several hosts, from the host on.
func afterHost(line string) string {
	_, after, ok := strings.Cut(line, " H=")
	if !ok {
		return ""
	}
	return "H=" + after
}

// queueLine returns the kind of a line about the queue for which the parser has no event.
func queueLine(text string) judge.Line {
	switch {
	case strings.Contains(text, " Frozen"), strings.Contains(text, "Message is frozen"):
		return judge.LineFrozen
	case strings.HasSuffix(text, " Completed"):
		return judge.LineCompleted
	case strings.Contains(text, " <= "), strings.Contains(text, ": client="), strings.Contains(text, ": message-id="), strings.Contains(text, ": from=<"):
		return judge.LineArrived
	case strings.Contains(text, "rejected "), strings.Contains(text, ": reject: "):
		return judge.LineInbound
	}
	if m := eximLog.FindStringSubmatch(text); m != nil {
		return judge.EximLine(m[1])
	}
	return judge.LineOther
}

// eximLog finds the message in a line of Exim's logs: behind its stamp, process id and
// message id.
var eximLog = regexp.MustCompile(`(?:^|exim[0-9]?(?:\[[0-9]+\])?: )[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.]{8,15}(?: [+-][0-9]{4})?(?: \[[0-9]+\])?(?: [0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4})? ([^ ].*)`)

// outcomeOf is what a reply's digit makes of an attempt, where no MTA has
// decided. Without a digit nothing is claimed.
func outcomeOf(d *bounce.Delivery) bounce.Outcome {
	class := int(d.Code) / 100
	if class == 0 {
		class = d.Enhanced.Class()
	}
	switch class {
	case 2, 3:
		return bounce.Delivered
	case 4:
		return bounce.Soft
	case 5:
		return bounce.Hard
	}
	return bounce.NoOutcome
}

// An answer is an explanation as JSON.
type answer struct {
	Code       uint16              `json:"code,omitempty"`
	Enhanced   bounce.EnhancedCode `json:"enhanced,omitzero"`
	Recipient  string              `json:"recipient,omitempty"`
	Response   string              `json:"response,omitempty"`
	Warning    string              `json:"warning,omitempty"` // logged just before
	Title      string              `json:"title"`
	Meaning    string              `json:"meaning"`
	Outcome    bounce.Outcome      `json:"outcome"`
	Reason     bounce.Reason       `json:"reason,omitzero"`
	Detail     string              `json:"detail,omitempty"`
	Scope      bounce.Scope        `json:"scope,omitzero"`
	Turn       string              `json:"turn"`
	Retry      string              `json:"retry"`
	Do         []string            `json:"do"`
	Also       string              `json:"also,omitempty"`
	Rule       string              `json:"rule,omitempty"`
	Confidence bounce.Confidence   `json:"confidence,omitzero"`
	Sure       string              `json:"sure,omitempty"`
	Links      []string            `json:"links,omitempty"`
	Reference  string              `json:"reference,omitempty"`
}

// explain says what a question is about and what it means.
func (e *explainer) explain(q *question) (d *bounce.Delivery, x judge.Explanation) {
	if d = q.attempt; d == nil {
		d, x = &bounce.Delivery{Response: q.text}, judge.ExplainLine(q.line)
	} else {
		x = e.judge.Explain(d)
	}
	if q.interim {
		x.Meaning += " This host was one of several: the mail server goes on with the next, or tries again later."
	}
	return d, x
}

func (e *explainer) print(q *question) error {
	d, x := e.explain(q)
	e.n++
	a := answer{
		Code: x.Code, Enhanced: x.Enhanced, Recipient: d.Recipient, Response: d.Response, Warning: d.Warning, Title: x.Title, Meaning: x.Meaning,
		Outcome: x.Outcome, Reason: x.Verdict.Reason, Detail: x.Verdict.Detail, Scope: x.Verdict.Scope, Turn: x.Turn,
		Retry: x.Retry, Do: x.Do, Also: x.Also, Rule: x.Verdict.Rule, Confidence: x.Verdict.Confidence, Sure: x.Sure,
		Links: x.Links, Reference: x.RFC,
	}
	if e.format == table.FormatTable {
		return e.words(&a)
	}
	raw, err := table.MarshalJSON(a)
	if err != nil {
		return err
	}
	if e.format == table.FormatJSON {
		e.out.WriteString([]string{"[", ",\n"}[min(e.n-1, 1)])
		_, err = e.out.Write(raw)
		return err
	}
	_, err = e.out.Write(append(raw, '\n'))
	return err
}

// words prints an answer for a person.
func (e *explainer) words(a *answer) error {
	if e.n > 1 {
		e.out.WriteByte('\n')
	}
	head := []string{}
	if a.Code != 0 {
		head = append(head, strconv.Itoa(int(a.Code)))
	}
	if a.Enhanced != 0 {
		head = append(head, a.Enhanced.String())
	}
	e.line("", strings.TrimSpace(strings.Join(head, " ")+"  "+a.Title))
	if a.Recipient != "" {
		e.line("Recipient", a.Recipient)
	}
	if strings.Contains(a.Response, " ") {
		e.line("Reply", a.Response)
	}
	e.line("Just before", a.Warning)
	e.line("Meaning", a.Meaning)
	switch a.Outcome {
	case bounce.Soft:
		e.line("Outcome", "soft: the MTA keeps the message and tries again")
	case bounce.Hard:
		e.line("Outcome", "hard: the MTA gives up and returns the message")
	case bounce.Delivered:
		e.line("Outcome", "delivered, or going on")
	}
	if a.Reason != bounce.NoReason {
		reason := a.Reason.String()
		if a.Detail != "" {
			reason += " (" + a.Detail + ")"
		}
		if a.Sure != "" {
			reason += ". " + a.Sure
		}
		e.line("Reason", reason)
	}
	e.line("Who acts", a.Turn)
	e.line("Retry", a.Retry)
	for i, step := range a.Do {
		e.line([]string{"What to do", ""}[min(i, 1)], "- "+step)
	}
	e.line("Could also be", a.Also)
	for i, link := range a.Links {
		e.line([]string{"See", ""}[min(i, 1)], link)
	}
	e.line("Reference", a.Reference)
	return nil
}

const labelWidth = 15

// line prints one labelled line, folded to the width.
func (e *explainer) line(label, text string) {
	indent := labelWidth
	if label == "" && !strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "http") {
		indent = 0
	}
	labelled(e.out, e.width, indent, label, text)
}

// rules lists the rules in the order of their tiers.
func (e *explainer) rules() error {
	columns := []table.Column{{Name: "rule"}, {Name: "tier"}, {Name: "reason"}, {Name: "detail"}, {Name: "scope"}, {Name: "documented", Flex: true}}
	rw := table.NewRowWriter(e.out, e.format, columns)
	for r := range e.judge.Rules() {
		if err := rw.Row([]any{r.ID, r.Tier.String(), r.Reason.String(), r.Detail, r.Scope.String(), r.Seen}); err != nil {
			return err
		}
	}
	return rw.Close()
}

// reasons lists the reasons with their words.
func (e *explainer) reasons() error {
	columns := []table.Column{{Name: "reason"}, {Name: "scope"}, {Name: "meaning", Flex: true}, {Name: "what to do", Flex: true}}
	rw := table.NewRowWriter(e.out, e.format, columns)
	for _, r := range bounce.Reasons(nil) {
		t := judge.ReasonText(r)
		if err := rw.Row([]any{r.String(), t.Scope.String(), t.Meaning, strings.Join(t.Do, " ")}); err != nil {
			return err
		}
	}
	return rw.Close()
}
