package top

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bouncelog/internal/table"
	"bouncelog/store"
)

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
