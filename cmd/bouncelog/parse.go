package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/parser"
	"bouncelog/report/render"
	"bouncelog/store"
	"bouncelog/tailer"
)

func newParse() *cobra.Command {
	var (
		in        input
		out       output
		unmatched bool
	)
	cmd := &cobra.Command{
		Use:   "parse FILE...",
		Short: "Print delivery attempts as NDJSON, without a database",
		Long: `Prints every delivery attempt as one JSON object a line, with its source, line
number and the judgement on it. The keys are documented in docs/json.md; what a line
does not say is left out. A message's expiry (Postfix: status=expired) comes as an
object without a recipient.`,
		Example: `  bouncelog parse /var/log/mail.log | jq 'select(.outcome == "hard")'
  bouncelog parse --unmatched /var/log/mail.log`,
		Args: needArgs(1, -1, "a log file (or - for standard input)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			none := out.format == "none"
			if none {
				out.format = ""
			}
			form, err := out.form(table.FormatNDJSON)
			if err != nil {
				return err
			}
			// What is parsed is printed and gone: with so small a heap the
			// collector would run all the time.
			defer debug.SetGCPercent(debug.SetGCPercent(400))
			var unread bool
			err = out.write(cmd, func(w io.Writer) error {
				p := &parsing{unmatched: unmatched}
				columns := attemptColumns()
				if unmatched {
					columns = append(columns[:3], table.Column{Name: "text"})
				}
				if !none {
					p.rows = table.NewRowWriter(w, form, columns)
					p.rows.OmitNil = true
				}
				if unread, err = p.read(cmd, in, args); err != nil {
					return err
				}
				if p.rows != nil {
					if err := p.rows.Close(); err != nil {
						return err
					}
				}
				if none {
					fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %d lines read: %d delivery attempts, %d lines not understood\n", p.lines, p.attempts, p.notUnderstood)
				}
				return nil
			})
			if err == nil && unread {
				return &exitError{status: exitPartly}
			}
			return err
		},
	}
	in.flags(cmd)
	out.flags(cmd, "ndjson")
	cmd.Flags().Lookup("format").Usage = "ndjson, json, csv, tsv, table, markdown, html, or none to only count (default: ndjson, or what the ending of -o says)"
	cmd.Flags().BoolVar(&unmatched, "unmatched", false, "print the lines that look like a delivery and are not understood instead")
	return cmd
}

// attemptColumns are where an attempt stands, and what it is.
func attemptColumns() []table.Column {
	where := []table.Column{{Name: "source"}, {Name: "line", Number: true}, {Name: "offset", Number: true}}
	return append(where, render.AttemptColumns()...)
}

// A parsing prints what it reads.
type parsing struct {
	unmatched bool
	rows      *table.RowWriter // nil: only count

	lines, attempts, notUnderstood int64
}

func (p *parsing) read(cmd *cobra.Command, in input, paths []string) (unread bool, err error) {
	opts, err := in.parserOptions()
	if err != nil {
		return false, err
	}
	judge, err := in.judge()
	if err != nil {
		return false, err
	}
	queue := parser.NewQueue(0)
	queue.Untracked() // nobody stores what changes
	var (
		log    *parser.Parser
		source string
		number int64
		r      parser.Result
	)
	progress := newProgress(cmd.ErrOrStderr())
	err = tailer.Read(cmd.Context(), paths, nil, tailer.ReadOptions{Stdin: cmd.InOrStdin(), Progress: progress.update}, func(c *tailer.Chunk) error {
		if log == nil || c.Source.ID != source {
			source, number = c.Source.ID, 0
			o := opts
			o.Source, o.Modified = c.Source.ID, c.Source.Modified
			log = parser.New(queue, o)
		}
		for offset, line := range c.Lines() {
			number++
			p.lines++
			kind := log.Parse(line, offset, &r)
			switch kind {
			case parser.Attempt:
				p.attempts += int64(len(r.Deliveries))
			case parser.Unparsed:
				p.notUnderstood++
			}
			if p.rows == nil || kind != parser.Attempt && kind != parser.Expiry && kind != parser.Unparsed {
				continue
			}
			if err := p.print(kind, c.Source.Path, number, offset, line, &r, judge); err != nil {
				return err
			}
		}
		return nil
	})
	progress.end()
	bad, err := pathErrors(err)
	for _, e := range bad {
		complain(cmd.ErrOrStderr(), e)
	}
	return len(bad) > 0, err
}

func (p *parsing) print(kind parser.Kind, path string, number, offset int64, line []byte, r *parser.Result, judge *judge.Judge) error {
	where := []any{path, number, offset}
	if p.unmatched {
		if kind != parser.Unparsed {
			return nil
		}
		return p.rows.Row(append(where, string(bytes.ToValidUTF8(line, []byte("\ufffd")))))
	}
	switch kind {
	case parser.Attempt:
		for i := range r.Deliveries {
			d := &r.Deliveries[i]
			a := store.Attempt{Delivery: *d, Verdict: judge.Verdict(d)}
			if err := p.rows.Row(append(where[:3:3], render.AttemptCells(&a)...)); err != nil {
				return err
			}
		}
	case parser.Expiry:
		return p.rows.Row(append(where, render.AttemptCells(expired(&r.Expiry))...))
	}
	return nil
}

// expired is an expiry as an attempt without a recipient.
func expired(e *bounce.Expiry) *store.Attempt {
	a := &store.Attempt{
		Delivery: bounce.Delivery{
			Time: e.Time, Host: e.Host, MTA: e.MTA, Instance: e.Instance, Agent: e.Agent, QueueID: e.QueueID,
			Status: e.Status, Outcome: bounce.Hard, Delay: -1,
		},
		Verdict: bounce.Verdict{Reason: bounce.Expired, Scope: judge.ReasonText(bounce.Expired).Scope},
	}
	if m := e.Message; m != nil {
		a.MessageID, a.Sender, a.SenderKnown, a.Size = m.MessageID, m.Sender, m.SenderKnown, m.Size
		a.ClientHost, a.ClientIP, a.SASLUser = m.ClientHost, m.ClientIP, m.SASLUser
	}
	return a
}
