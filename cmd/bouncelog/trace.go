package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

func newTrace() *cobra.Command {
	var (
		out output
		sel selection
		tz  input
	)
	cmd := &cobra.Command{
		Use:   "trace ADDRESS|QUEUE-ID|MESSAGE-ID",
		Short: "Trace a recipient or a message, attempt by attempt",
		Long: `Prints every delivery attempt of a recipient, a queue id or a Message-ID (with or
without its angle brackets) in order, in words, and the result for each recipient. For
a queue id without an attempt, it prints how the message ended.`,
		Example: `  bouncelog trace lise@example.com --since 7d
  bouncelog trace 4XyZ1k2m3nz4Q`,
		Args: needArgs(1, 1, "an address, a queue id or a Message-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(report.BareID(args[0])) == "" {
				return needArgs(1, 1, "an address, a queue id or a Message-ID")(cmd, nil)
			}
			form, err := out.form(table.FormatTable)
			if err != nil {
				return err
			}
			filter, loc, err := sel.filter(&tz)
			if err != nil {
				return err
			}
			db, err := openToSave(cmd)
			if err != nil {
				return err
			}
			defer db.Close()
			r, err := db.Read(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			attempts, err := report.Trace(cmd.Context(), r, filter, args[0], 0)
			if err != nil {
				return err
			}
			ends, err := report.Ends(cmd.Context(), r, attempts)
			if len(attempts) == 0 { // it may have been discarded before it was tried
				ends, err = r.Ends(cmd.Context(), store.MessageKey{QueueID: args[0]})
				ends = slices.DeleteFunc(ends, func(e bounce.End) bool {
					return e.Time.Before(filter.Since) || !filter.Until.IsZero() && !e.Time.Before(filter.Until) || filter.Host != "" && e.Host != filter.Host
				})
			}
			if err != nil {
				return err
			}
			if len(attempts) == 0 && len(ends) == 0 {
				span, err := r.Span(cmd.Context(), store.Filter{})
				if err != nil {
					return err
				}
				covered := "the database holds no attempt"
				if !span.IsZero() {
					const minute = "2006-01-02 15:04"
					covered = "the database covers " + span.First.In(loc).Format(minute) + " to " + span.Last.In(loc).Format(minute)
				}
				return &exitError{
					status: exitFailed, err: fmt.Errorf("nothing is known of %s; %s", args[0], covered),
					hint: "name the address as the MTA logged it, a queue id, or a Message-ID",
				}
			}
			return out.write(cmd, func(w io.Writer) error {
				if form == table.FormatTable {
					_, err := io.WriteString(w, render.Trace(attempts, ends, loc))
					return err
				}
				return traceRows(w, form, attempts, ends)
			})
		},
	}
	out.flags(cmd, "words")
	sel.flags(cmd)
	cmd.Flags().StringVar(&tz.tz, "tz", "", "time zone to print times in (default: this machine's)")
	return cmd
}

// traceRows writes a row for each attempt; if there is none, for each end.
func traceRows(w io.Writer, form table.Format, attempts []store.Attempt, ends []bounce.End) error {
	columns := append(render.AttemptColumns(), table.Column{Name: "words", Flex: true}, table.Column{Name: "end"}, table.Column{Name: "warning"}, table.Column{Name: "turn", Flex: true})
	rw := table.NewRowWriter(w, form, columns)
	rw.OmitNil = true
	endings := report.Endings(attempts, ends)
	for i := range attempts {
		var end any
		if e := endings[i]; e != nil {
			end = e.State
		}
		a := &attempts[i]
		turn := ""
		if a.Reason != bounce.NoReason {
			turn = judge.Turn(&a.Delivery, a.Verdict)
		}
		cells := append(render.AttemptCells(a), report.Sentence(a), end, table.Optional(a.Warning), table.Optional(turn))
		if err := rw.Row(cells); err != nil {
			return err
		}
	}
	if len(attempts) == 0 {
		for i := range ends {
			e := &ends[i]
			if err := rw.Row(append(render.AttemptCells(ended(e)), judge.ExplainLine(judge.EndLine(e.Event)).Title, string(e.Event), nil, nil)); err != nil {
				return err
			}
		}
	}
	return rw.Close()
}
