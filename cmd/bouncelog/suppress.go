package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"bouncelog/internal/table"
	"bouncelog/report"
	"bouncelog/report/render"
)

func newSuppress() *cobra.Command {
	var (
		in     input
		out    output
		sel    selection
		least  int64
		whyNot bool
	)
	cmd := &cobra.Command{
		Use:   "suppress [FILE...]",
		Short: "List the addresses to suppress, and why",
		Long: `Lists the addresses whose mail was returned for a permanent fault of the address (no
such mailbox, a closed mailbox, an invalid address or domain) and that have accepted no
mail since: since when, how often, and when they last accepted mail. These never put an
address on the list: policy, a blocklist, reputation, failing SPF, DKIM or DMARC, a full
mailbox, the content, a 5xx that leaves the mail queued, and replies that this server,
its mail store or its smarthost makes itself. Nor does a possible fault of the resolver
or of a user table: many addresses or domains at once while nothing is delivered.
--why-not shows the addresses with such failures, and why they are not on the list.

The forms list, postfix (an access map for check_recipient_access) and exim (a file for
an lsearch lookup) leave out addresses that are not plain ASCII or contain characters
with a meaning in such a file (wildcards, signs of patterns), and print their number.`,
		Example: `  bouncelog suppress --since 90d --min 2
  bouncelog suppress --format postfix -o /etc/postfix/suppress && postmap /etc/postfix/suppress
  bouncelog suppress --why-not`,
		RunE: func(cmd *cobra.Command, args []string) error {
			form := table.Format(out.format)
			switch form {
			case render.FormatList, render.FormatPostfix, render.FormatExim:
			default:
				var err error
				if form, err = out.form(table.FormatTable); err != nil {
					return err
				}
			}
			if least < 1 {
				return usageErrorf("1 is enough of a fault that is permanent", "--min %d: not a number of failures", least)
			}
			if whyNot && (form == render.FormatPostfix || form == render.FormatExim) {
				return usageErrorf("--format list has the addresses alone", "--why-not: a map of addresses that are not to be suppressed")
			}
			filter, loc, err := sel.filter(&in)
			if err != nil {
				return err
			}
			db, unread, err := in.database(cmd, args)
			if err != nil {
				return err
			}
			defer db.Close()
			r, err := db.Read(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			list, err := report.Suppressions(cmd.Context(), r, filter, least)
			if err != nil {
				return err
			}
			_, err = os.Stat(out.file)
			fresh := out.file != "" && errors.Is(err, fs.ErrNotExist)
			var left int
			err = out.write(cmd, func(w io.Writer) (err error) {
				o := render.SuppressOptions{Options: look(w), WhyNot: whyNot, Spared: 20, Location: loc, NoHeader: out.noHeader}
				left, err = render.Suppressions(w, list, form, o)
				return err
			})
			if err != nil {
				return err
			}
			if fresh && form == render.FormatExim {
				fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %s is new, with mode %04o: Exim puts off all mail unless its user can read it\n"+
					"hint: as root, 'chgrp Debian-exim' (or exim) on it; owner and mode stay from then on\n", table.Clean(out.file), newFileMode)
			}
			if left > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %d addresses left out: they hold characters that could mean more, or another address, in this form\nhint: --format json has them all\n", left)
			}
			if err := errors.Join(r.Close(), db.Close()); err != nil {
				return err
			}
			if unread {
				return &exitError{status: exitPartly}
			}
			return nil
		},
	}
	in.flags(cmd)
	out.flags(cmd, "table")
	sel.flags(cmd)
	f := cmd.Flags()
	f.Lookup("format").Usage = "table, json, ndjson, csv, tsv, markdown, html, list, postfix or exim (default: table, or what the ending of -o says)"
	f.BoolVar(&out.noHeader, "no-header", false, "no header line and no comment")
	f.Int64Var(&least, "min", 1, "least number of failures since the last delivery")
	f.BoolVar(&whyNot, "why-not", false, "the addresses with a 5xx that are not to be suppressed, and why")
	groupUsage(cmd, suppressGroups)
	return cmd
}

var suppressGroups = []flagGroup{
	{title: "Logs", flags: []string{"db", "year", "tz"}},
	{title: "Selection", flags: []string{"min", "why-not", "day", "since", "until", "domain", "sender-domain", "relay", "host", "mta", "outcome", "reason"}},
	{title: "Output", flags: []string{"format", "output", "no-header"}},
	{title: "More, explained in bouncelog-suppress(1)", named: []string{"logs:       --rules, --config"}},
}
