package top

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/store"
)

// CommandWords are the words of the command line that copied commands repeat, quoted for a shell.
type CommandWords struct {
	DB         []string // select the database, where it is not the usual one
	Rerun      []string // select the same attempts
	Zone       []string // say how times are written, and where the configuration is
	Rules      []string // name rules of one's own
	Thresholds []string // are those of problems
	Files      []string // are logs instead of a database
}

// command returns a command line, quoted for a shell. The words of more are quoted already.
func command(words []string, more ...[]string) string {
	line := []string{"bouncelog"}
	for _, w := range words {
		line = append(line, table.ShellWord(clean(w)))
	}
	return strings.Join(append(line, slices.Concat(more...)...), " ")
}

// of returns a command line about what is shown in a period. It counts the same whenever it runs.
func (c *CommandWords) of(p period, words ...string) string {
	words = append(words, "--since="+p.since.Format(time.RFC3339), "--until="+p.until.Format(time.RFC3339))
	return command(words, c.DB, c.Rerun, c.Files)
}

// explain returns the command that explains a reply as the screen does.
func (c *CommandWords) explain(a *store.Attempt) string {
	words := []string{"explain"}
	if a.RelayHost != "" {
		words = append(words, "--relay="+a.RelayHost)
	}
	if stage := a.Stage.String(); stage != "" {
		words = append(words, "--stage="+stage)
	}
	return command(words, c.Rules, []string{"--", table.ShellWord(table.Clean(table.Cut(replyText(a), 500)))})
}

// trace returns the command that traces a message.
func (c *CommandWords) trace(host, queueID string) string {
	if len(c.Files) > 0 { // trace reads a database
		return "grep -F -- " + table.ShellWord(table.Clean(queueID)) + " " + c.Files[0]
	}
	words := []string{"trace"}
	if host != "" {
		words = append(words, "--host="+host)
	}
	return command(words, c.DB, c.Zone, []string{"--", table.ShellWord(table.Clean(queueID))})
}

// replyKeyAtMost is how much of a reply identifies it, in characters.
const replyKeyAtMost = 500

// replyKey identifies a reply by its template, in a place and on a command line.
func replyKey(template string) string { return table.Cut(table.Clean(template), replyKeyAtMost) }

// The things that can be opened on the command line, and their filters.
const (
	openProvider = "provider"
	openDomain   = "domain"
	openSender   = "sender"
	openReason   = "reason"
	openReply    = "reply"
	openQueue    = "queue"
)

// Opens returns the names of what can be opened.
func Opens() []string {
	return []string{openProvider, openDomain, openSender, openReason, openReply, openQueue}
}

// openedBy returns the pages that words such as provider=NAME open, one upon another. ok is false
// for a word that opens nothing there.
func openedBy(words []string) (pages []page, ok bool) {
	var at page
	for _, w := range words {
		key, value, named := strings.Cut(w, "=")
		p := page{kind: pageReplies, place: at.place, title: value}
		if key == openReply && value == "" {
			p.title = codes(0, 0)
		}
		switch first := len(pages) == 0; {
		case !named || value == "" && key != openReply: // what was never answered has an empty template
			return nil, false
		case key == openReply && (first || at.kind == pageReplies):
			p.kind, p.place.reply, p.place.template = pageRecipients, true, value
		case !first:
			return nil, false
		case key == openProvider:
			p.place.provider = value
		case key == openDomain:
			p.place.domain = value
		case key == openSender:
			p.place.sender = value
		case key == openReason:
			if p.place.reason, ok = bounce.ParseReason(value); !ok || p.place.reason == bounce.NoReason {
				return nil, false
			}
		case key == openQueue:
			p.kind, p.place.waits = pageRecipients, value
		default:
			return nil, false
		}
		p.place.escaped = p.place.escaped || strings.Contains(value, `\`)
		at = p
		pages = append(pages, p)
	}
	return pages, true
}

// opens returns the words that open a place.
func (p *place) opens() (words []string) {
	for _, x := range [...]struct{ key, value string }{
		{openProvider, p.provider}, {openDomain, p.domain}, {openSender, p.sender}, {openQueue, p.waits}, {openReply, p.template},
	} {
		if x.value != "" || x.key == openReply && p.reply {
			words = append(words, "--open="+x.key+"="+x.value)
		}
		if x.key == openSender && p.reason != bounce.NoReason {
			words = append(words, "--open="+openReason+"="+p.reason.String())
		}
	}
	return words
}

// commandOf returns the command that prints what the page shows, with the same numbers; "" if the
// page shows nothing yet.
func (s *state) commandOf(d *data) string {
	p := s.page()
	switch {
	case p.kind == pageText:
		return p.command
	case p.kind == pageMessage:
		return s.command.trace(p.place.host, p.place.queueID)
	case p.kind == pageTable && p.cursor < 0:
		if incidentAt(p, d) >= 0 {
			return d.incidents.command(&s.command)
		}
	}
	if p.ans == nil {
		return ""
	}
	words := []string{"top", "--once", "--all", "--view=" + viewNames[s.view]}
	if p.kind != pageTable {
		words = append(words, p.place.opens()...)
	}
	if p.filter != "" {
		words = append(words, "--filter="+p.filter)
	}
	if p.sort != "" {
		words = append(words, "--sort="+p.sort)
	}
	return s.command.of(p.ans.period, words...)
}

// lacks reports whether the command of the page would read a followed log that no longer has all
// lines that the page counts.
func (s *state) lacks(d *data) bool {
	p := s.page()
	if d.left.IsZero() || len(s.command.Files) == 0 || p.kind == pageText && p.title != "incident" {
		return false
	}
	since := time.Time{} // of a message and of incidents: any
	if p.ans != nil && p.kind != pageMessage && p.cursor >= 0 {
		since = p.ans.period.since
	}
	return !since.After(d.left)
}

// command returns the command that reports the incidents.
func (in *incidents) command(c *CommandWords) string {
	line := []string{"report", "--section=verdict,problems", "--all"}
	return c.withThresholds().of(in.of, line...)
}

// withThresholds adds the thresholds of problems to the words that select the attempts.
func (c *CommandWords) withThresholds() *CommandWords {
	x := *c
	x.Rerun = slices.Concat(c.Rerun, c.Thresholds)
	return &x
}

// shellLines folds a command line into lines of at most n columns that a shell reads as the
// same command when they are copied from the screen together: each but the last ends with
// a backslash, outside of quotes. The command is one of command: words parted by blanks,
// quoted as table.ShellWord does.
func shellLines(command string, n int) (lines []string) {
	n = max(n, 8) // there is no room for less than a letter in quotes and a backslash
	line, quoted := "", false
	flush := func() {
		if quoted {
			line += "'"
		}
		lines = append(lines, line+`\`)
		if line = ""; quoted {
			line = "'"
		}
	}
	for _, w := range shellWords(command) {
		if line != "" && width(line)+1+width(w)+2 > n && width(w)+2 <= n || width(line)+8 > n {
			line += " "
			flush()
		} else if line != "" {
			line += " "
		}
		for w != "" {
			part := w[:1]
			switch {
			case !quoted && strings.HasPrefix(w, `\'`):
				part = `\'`
			case w[0] != '\'':
				_, size := utf8.DecodeRuneInString(w)
				part = w[:size]
			}
			if width(line)+width(part)+2 > n { // the end of the quotes and a backslash have to fit
				flush()
			}
			line += part
			if part == "'" {
				quoted = !quoted
			}
			w = w[len(part):]
		}
	}
	return append(lines, line)
}

// shellWords splits a command line at the blanks outside quotes.
func shellWords(command string) (words []string) {
	quoted, begin := false, 0
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case c == '\\' && !quoted:
			i++
		case c == '\'':
			quoted = !quoted
		case c == ' ' && !quoted:
			words = append(words, command[begin:i])
			begin = i + 1
		}
	}
	return append(words, command[begin:])
}
