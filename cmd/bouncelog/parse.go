package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"

	"github.com/spf13/cobra"

	"bouncelog/bounce"
	"bouncelog/ingest"
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
number and verdict. The keys are documented in docs/json.md; keys without a value are
left out. The expiry of a message (Postfix: status=expired) is an object without a
recipient, and so is a message that was removed, frozen, thawed or discarded. Standard
error has the numbers of attempts, of lines that are not understood, and of other lines.
The exit status is 3 if most deliveries of a log are not understood.`,
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
			p := &parsing{unmatched: unmatched}
			err = out.write(cmd, func(w io.Writer) error {
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
				return nil
			})
			if err == nil {
				p.summary(cmd.ErrOrStderr())
				unread = p.foreign(cmd.ErrOrStderr()) || unread
			}
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

// attemptColumns are the columns of an attempt with its position in the log.
func attemptColumns() []table.Column {
	where := []table.Column{{Name: "source"}, {Name: "line", Number: true}, {Name: "offset", Number: true}}
	where = append(where, render.AttemptColumns()...)
	return append(where, table.Column{Name: "tls"}, table.Column{Name: "disposal"}, table.Column{Name: "untried"}, table.Column{Name: "by"}, table.Column{Name: "warning"})
}

// attemptCells returns the values of attemptColumns.
func attemptCells(where []any, a *store.Attempt, by string) []any {
	var untried any
	if a.Untried {
		untried = true
	}
	cells := append(where[:3:3], render.AttemptCells(a)...)
	return append(cells, table.Optional(a.TLS), table.Optional(string(a.Disposal)), untried, table.Optional(by), table.Optional(a.Warning))
}

// A parsing prints what is parsed.
type parsing struct {
	unmatched bool
	rows      *table.RowWriter // nil: only count

	lines, attempts, notUnderstood, left int64

	untimed, doubted int64    // attempts without a time; lines whose time is not believed
	files            []parsed // in which most deliveries are not understood
}

// A parsed holds the counts of one log.
type parsed struct {
	path                    string
	attempts, notUnderstood int64
	sample                  string // the beginning of the first line that was not understood
	hint                    string // what that line is in
}

// sampleSize is how much of a line that is not understood is shown, in bytes.
const sampleSize = 60

// summary returns a sentence with the numbers of lines, attempts and lines not understood.
func (p *parsing) summary(stderr io.Writer) {
	fmt.Fprintf(stderr, "bouncelog: %s read: %s, %s not understood, %d not about deliveries\n",
		table.Count(p.lines, "line"), table.Count(p.attempts, "delivery attempt"), table.Count(p.notUnderstood, "line"), p.left)
	if p.untimed > 0 {
		fmt.Fprintf(stderr, "bouncelog: %d of the attempts have no time: their lines have none, nor have those before them\n", p.untimed)
	}
	if p.doubted > 0 {
		fmt.Fprintf(stderr, "bouncelog: the time of %s lies in the future or before 1990, and was not believed\n", table.Count(p.doubted, "line"))
	}
}

// foreign names the logs of which most deliveries are not understood, with their wrappers.
func (p *parsing) foreign(stderr io.Writer) (any bool) {
	for _, f := range p.files {
		if !ingest.Unreadable(f.attempts, f.notUnderstood) {
			continue
		}
		any = true
		fmt.Fprintf(stderr, "bouncelog: %s: %d of %d lines with deliveries are not understood; one begins %s\nhint: %s\n",
			cleanPath(f.path), f.notUnderstood, f.attempts+f.notUnderstood, f.sample, f.hint)
	}
	return any
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
	var last struct {
		path, text string
		offset     int64
	}
	// end counts the messages that still waited for a line at the end of the log.
	end := func() error {
		if log == nil {
			return nil
		}
		for {
			kind, _, ok := log.End(last.offset, &r)
			if !ok {
				return nil
			}
			p.left--
			if err := p.take(kind, last.path, number, last.offset, []byte(last.text), &r, judge); err != nil {
				return err
			}
		}
	}
	progress := newProgress(cmd.ErrOrStderr())
	var cut bool
	err = tailer.Read(cmd.Context(), paths, nil, tailer.ReadOptions{Stdin: cmd.InOrStdin(), Progress: progress.update, Event: func(e tailer.Event) {
		if e.Kind == tailer.EventCopy || e.Kind == tailer.EventCut {
			cut = tellOf(cmd.ErrOrStderr(), e) || cut
		}
	}}, func(c *tailer.Chunk) error {
		if log == nil || c.Source.ID != source {
			if err := end(); err != nil {
				return err
			}
			source, number = c.Source.ID, 0
			p.files = append(p.files, parsed{path: c.Source.Path})
			o := opts
			o.Source, o.Modified = c.Source.ID, c.Source.Modified
			log = parser.New(queue, o)
		}
		var tail []byte
		numbered := func(yield func(int64, []byte) bool) {
			for offset, line := range c.Lines() {
				number++
				if tail = line; !yield(offset, line) {
					return
				}
			}
		}
		for offset, line := range parser.Lines(numbered) {
			p.lines++
			last.path, last.offset = c.Source.Path, offset
			if err := p.take(log.Parse(line, offset, &r), c.Source.Path, number, offset, line, &r, judge); err != nil {
				return err
			}
		}
		last.text = string(tail[:min(len(tail), sampleSize)])
		return nil
	})
	if err == nil {
		err = end()
	}
	progress.end()
	bad, err := pathErrors(err)
	for _, e := range bad {
		complain(cmd.ErrOrStderr(), e)
	}
	return len(bad) > 0 || cut, err
}

// take counts an event and prints it if asked to.
func (p *parsing) take(kind parser.Kind, path string, number, offset int64, line []byte, r *parser.Result, judge *judge.Judge) error {
	if r.Doubted {
		p.doubted++
	}
	file := &p.files[len(p.files)-1]
	if r.Text != nil {
		line = r.Text
	}
	switch kind {
	case parser.Attempt:
		p.attempts += int64(len(r.Deliveries))
		file.attempts += int64(len(r.Deliveries))
		if r.Time.IsZero() {
			p.untimed += int64(len(r.Deliveries))
		}
	case parser.Unparsed:
		p.notUnderstood++
		if file.notUnderstood++; file.sample == "" {
			file.sample = strconv.Quote(table.Clean(string(line[:min(len(line), sampleSize)])))
			file.hint = "'bouncelog parse --unmatched' prints them"
			if encoding := parser.Encoding(line); encoding != "" {
				file.hint = hintEncoded(encoding)
			} else if zone := parser.AmbiguousZone(line); zone != "" {
				file.hint = zone + " is the name of several time zones: say which with --tz (names are like Asia/Kolkata)"
			} else if bytes.HasPrefix(line, []byte("    MESSAGE=")) {
				file.hint = "the log is of 'journalctl -o verbose'; what '-o short-iso-precise', '-o json' or '-o export' print is read"
			}
		}
	default:
		p.left++
	}
	if p.rows == nil || kind != parser.Attempt && kind != parser.Expiry && kind != parser.Unparsed && !printsEnd(&r.End) {
		return nil
	}
	return p.print(kind, path, number, offset, line, r, judge)
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
			if err := p.rows.Row(attemptCells(where, &a, "")); err != nil {
				return err
			}
		}
	case parser.Expiry:
		if err := p.rows.Row(attemptCells(where, expired(&r.Expiry), "")); err != nil {
			return err
		}
	}
	if printsEnd(&r.End) {
		return p.rows.Row(attemptCells(where, ended(&r.End), r.End.By))
	}
	return nil
}

// printsEnd reports whether the end of a message is printed as an object. The end of a complete
// message is not: its attempts say the same.
func printsEnd(e *bounce.End) bool { return e.Event != "" && e.Event != bounce.MessageCompleted }

// ended returns the end of a message as an attempt without recipient and outcome.
func ended(e *bounce.End) *store.Attempt {
	return &store.Attempt{Delivery: bounce.Delivery{
		Time: e.Time, Host: e.Host, MTA: e.MTA, Instance: e.Instance, QueueID: e.QueueID, Status: string(e.Event), Delay: -1,
	}}
}

// expired returns an expiry as an attempt without a recipient.
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
