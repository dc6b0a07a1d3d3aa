//go:build man

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// The build tag man adds the command man, which writes the manual pages and the shell completions
// from the help texts. 'make man' runs it. The installed binary has neither the command nor its
// dependencies.
func init() {
	extra = append(extra, &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the manual pages and the shell completions",
		Hidden: true,
		Args:   needArgs(1, 1, "the directory to write to"),
		RunE:   func(cmd *cobra.Command, args []string) error { return writeManual(args[0]) },
	})
}

// manFooter is the end of each manual page of a command.
const manFooter = `.SH EXIT STATUS
.TP
0
done
.TP
1
failed
.TP
3
done, but some input could not be read
.TP
4
a condition of \fB\-\-fail\-on\fP is met
.TP
10
there is no such database
.TP
11
the database is locked by another process
.TP
12
the database was made by a newer bouncelog, or is not bouncelog's
.TP
64
wrong usage
.TP
130
interrupted
.SH ENVIRONMENT
Each option can be set by a variable: \fBBOUNCELOG_FAIL_ON\fP is \fB\-\-fail\-on\fP. See \fBbouncelog.toml\fP(5).
.TP
\fBNO_COLOR\fP
no colour on a terminal
.TP
\fBCOLUMNS\fP
the width of tables, where it is not that of the terminal
.SH FILES
.TP
\fI/etc/bouncelog/bouncelog.toml\fP
configuration, if it is there
.TP
\fI/var/lib/bouncelog/bouncelog.db\fP
the database
`

func writeManual(dir string) error {
	if err := os.Setenv("BOUNCELOG_DB", "/var/lib/bouncelog/bouncelog.db"); err != nil {
		return err
	}
	date := time.Now()
	if s, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		date = time.Unix(s, 0)
	}
	date = date.UTC()
	root := newRoot()
	root.DisableAutoGenTag = true
	root.InitDefaultHelpFlag()
	for _, sub := range []string{"man", "completions"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	write := func(name string, text []byte) error { return os.WriteFile(filepath.Join(dir, name), text, 0o644) }

	for _, c := range configurable(root) {
		c.DisableAutoGenTag = true
		// cobra takes a help text for Markdown, where these characters would be markup.
		for _, text := range []*string{&c.Long, &c.Short} {
			*text = strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`).Replace(*text)
		}
		var page bytes.Buffer
		header := &doc.GenManHeader{Section: "1", Date: &date, Source: "bouncelog " + version(), Manual: "bouncelog"}
		if err := doc.GenMan(c, header, &page); err != nil {
			return err
		}
		if err := write(filepath.Join("man", strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"), withFooter(page.String())); err != nil {
			return err
		}
	}
	if err := write("man/bouncelog.toml.5", configPage(date)); err != nil {
		return err
	}
	for shell, generate := range map[string]func(*bytes.Buffer) error{
		"bouncelog.bash": func(b *bytes.Buffer) error { return newRoot().GenBashCompletionV2(b, true) },
		"_bouncelog":     func(b *bytes.Buffer) error { return newRoot().GenZshCompletion(b) },
		"bouncelog.fish": func(b *bytes.Buffer) error { return newRoot().GenFishCompletion(b, true) },
	} {
		var script bytes.Buffer
		if err := generate(&script); err != nil {
			return err
		}
		if err := write(filepath.Join("completions", shell), script.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// withFooter inserts the footer before SEE ALSO and adds links to that section.
func withFooter(page string) []byte {
	// cobra writes a default of options that have none, and paragraphs in place of a list.
	noDefault := regexp.MustCompile(`\\fP(?:=""|=\[\]|\[=false\]|\[=""\]|=0)` + "\n")
	option := regexp.MustCompile(`(?m)^(?:\.PP\n|(\.SH OPTIONS[^\n]*\n))(\\fB-[^\n]*)\n\t`)
	page = noDefault.ReplaceAllString(page, "\\fP\n")
	page = option.ReplaceAllString(page, "$1.TP\n$2\n")
	body, see, found := strings.Cut(page, ".SH SEE ALSO\n")
	if !found {
		body, see = page, ""
	}
	see = strings.TrimSpace(see)
	if see != "" {
		see += ", "
	}
	return []byte(strings.TrimRight(body, "\n") + "\n" + manFooter + ".SH SEE ALSO\n" + see + "\\fBbouncelog.toml(5)\\fP\n")
}

// configPage is the manual page of the configuration file.
func configPage(date time.Time) []byte {
	var b bytes.Buffer
	quote := strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'")
	fmt.Fprintf(&b, ".TH \"BOUNCELOG.TOML\" \"5\" %q %q \"bouncelog\"\n", date.Format("Jan 2006"), "bouncelog "+version())
	b.WriteString(`.SH NAME
bouncelog.toml \- configuration of bouncelog
.SH SYNOPSIS
\fI/etc/bouncelog/bouncelog.toml\fP, \fB\-\-config\fP \fIFILE\fP, \fB$BOUNCELOG_CONFIG\fP
.SH DESCRIPTION
The file is TOML. It need not be there. Options that stand first are for every command that has them; those below a table
with the name of a command are for that command, and go first. What stands in the environment goes before both, and what
stands on the command line before all. \fBbouncelog config\fP prints what is in force and where it comes from.
.PP
A name that no command knows, and a value of the wrong kind, are errors of every command (exit status 64).
.SH OPTIONS
`)
	first := regexp.MustCompile("`([^`]*)`")
	for _, c := range configurable(newRoot()) {
		list := options(c)
		if c.HasParent() {
			shared := c.Root().PersistentFlags()
			kept := list[:0]
			for _, f := range list {
				if shared.Lookup(f.Name) == nil {
					kept = append(kept, f)
				}
			}
			list = kept
		}
		if len(list) == 0 {
			continue
		}
		if name := tableOf(c); name == "" {
			b.WriteString(".SS For every command\n")
		} else {
			fmt.Fprintf(&b, ".SS [%s]\n", quote.Replace(name))
		}
		for _, f := range list {
			if f.Hidden {
				continue
			}
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fP (%s, \\fB%s\\fP)\n%s\n", quote.Replace(f.Name), wants(f, nil), variable(f.Name),
				quote.Replace(first.ReplaceAllString(f.Usage, "$1")))
		}
	}
	b.WriteString(`.SH EXAMPLE
.nf
db = "/var/lib/bouncelog/bouncelog.db"

[follow]
source = ["/var/log/mail.log", "/var/log/exim4/mainlog"]
retain = "365d"

[report]
top = 10
.fi
.SH SEE ALSO
\fBbouncelog(1)\fP, \fBbouncelog-config(1)\fP
`)
	return b.Bytes()
}
