package top

import (
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/table"
)

// commandWords is what commands that are copied end with, quoted for a shell.
type commandWords struct {
	db    []string // selects the database, where it is not the usual one
	rerun []string // selects the same attempts
	files []string // logs instead of a database
}

// command is a command line, quoted for a shell; the words of more are.
func command(words []string, more ...string) string {
	line := []string{"bouncelog"}
	for _, w := range words {
		line = append(line, table.ShellWord(table.Clean(w)))
	}
	return strings.Join(append(line, more...), " ")
}

// report is a command line of a report about what is shown.
func (c commandWords) report(words ...string) string {
	return command(append([]string{"report"}, words...), slices.Concat(c.db, c.rerun, c.files)...)
}

func explainCommand(reply string) string {
	return command([]string{"explain", "--", table.Cut(reply, 500)})
}

func (c commandWords) trace(queueID string) string {
	if len(c.files) > 0 { // trace reads a database
		return "grep -F -- " + table.ShellWord(table.Clean(queueID)) + " " + c.files[0]
	}
	return command([]string{"trace"}, append(slices.Clone(c.db), "--", table.ShellWord(table.Clean(queueID)))...)
}

// commandOf is the command that says what the page shows.
func (s *state) commandOf(d *data) string {
	p := s.page()
	since := "--since=" + spanShort(windows[s.window])
	switch p.kind {
	case pageText:
		return p.command
	case pageMessage:
		return s.command.trace(p.place.queueID)
	case pageTable:
		if n := incidentsShown(s, d); p.cursor < 0 && p.cursor >= -n {
			return d.incidents.list[n+p.cursor].Command
		}
		switch s.view {
		case viewDomains:
			return s.command.report("--section=domains", "--all", since)
		case viewReasons, viewReplies:
			return s.command.report("--section=reasons", "--all", since)
		case viewSenders:
			return s.command.report("--by=sender", "--section=domains", "--all", since)
		case viewQueue:
			return s.command.report("--section=pending", "--all")
		}
		return s.command.report("--section=providers", "--all", since)
	}
	var words []string
	switch x := p.place; {
	case x.waits != "":
		return s.command.report("--section=pending", "--all")
	case x.provider != "":
		words = append(words, "--domain="+x.provider)
	case x.domain != "":
		words = append(words, "--domain="+x.domain)
	case x.reason != bounce.NoReason:
		words = append(words, "--reason="+x.reason.String())
	case strings.Contains(x.sender, "@"):
		words = append(words, "--sender-domain="+x.sender[strings.LastIndexByte(x.sender, '@')+1:])
	}
	words = append(words, since)
	if p.kind == pageRecipients {
		words = append(words, "--by=recipient", "--section=domains", "--outcome=soft,hard")
	}
	return s.command.report(words...)
}
