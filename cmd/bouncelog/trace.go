package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/judge"
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
		Short: "Everything that happened to a recipient or a message, in order",
		Long: `Prints every delivery attempt of a recipient's address, of a queue id or of a
Message-ID (with or without its angle brackets), in order, in words, and how it
ended for each recipient.`,
		Example: `  bouncelog trace lise@example.com --since 7d
  bouncelog trace 4XyZ1k2m3nz4Q`,
		Args: needArgs(1, 1, "an address, a queue id or a Message-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(bareID(args[0])) == "" {
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
			db, err := openForReading(cmd)
			if err != nil {
				return err
			}
			defer db.Close()
			r, err := db.Read(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			attempts, err := find(cmd, r, filter, args[0])
			if err != nil {
				return err
			}
			if len(attempts) == 0 {
				return &exitError{
					status: exitFailed, err: fmt.Errorf("nothing is known of %s", args[0]),
					hint: "the address as the MTA logged it, a queue id, or a Message-ID; 'bouncelog db info' says which period is covered",
				}
			}
			return out.write(cmd, func(w io.Writer) error {
				if form == table.FormatTable {
					return tell(w, attempts, loc)
				}
				columns := append(render.AttemptColumns(), table.Column{Name: "words", Flex: true}, table.Column{Name: "end"})
				rw := table.NewRowWriter(w, form, columns)
				rw.OmitNil = true
				ends := endings(attempts)
				for i := range attempts {
					var end any
					if e := ends[i]; e != nil {
						end = e.state
					}
					cells := append(render.AttemptCells(&attempts[i]), sentence(&attempts[i]), end)
					if err := rw.Row(cells); err != nil {
						return err
					}
				}
				return rw.Close()
			})
		},
	}
	out.flags(cmd, "words")
	sel.flags(cmd)
	cmd.Flags().StringVar(&tz.tz, "tz", "", "time zone to print times in (default: this machine's)")
	return cmd
}

// traceAtMost bounds what is printed of an address that gets all the mail.
const traceAtMost = 10_000

// find takes what was asked for as what it looks like, and then as the others.
func find(cmd *cobra.Command, r store.Reader, f store.Filter, word string) ([]store.Attempt, error) {
	id := bareID(word)
	tries := []store.Filter{f, f, f}
	tries[0].QueueID, tries[1].Recipients, tries[2].MessageID = word, []string{id}, id
	for i, try := range tries {
		if i == 0 && strings.Contains(word, "@") {
			continue
		}
		list, err := attempts(cmd, r, try)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			continue
		}
		if try.MessageID != "" {
			// The id may be known of some attempts only: take the whole message.
			f.QueueID, f.Host = list[0].QueueID, list[0].Host
			if list, err = attempts(cmd, r, f); err != nil {
				return nil, err
			}
		}
		shareMessageIDs(list)
		return list, nil
	}
	return nil, nil
}

// bareID is an address or a Message-ID without its angle brackets.
func bareID(word string) string { return strings.TrimSuffix(strings.TrimPrefix(word, "<"), ">") }

func attempts(cmd *cobra.Command, r store.Reader, f store.Filter) (list []store.Attempt, err error) {
	for a, err := range r.Attempts(cmd.Context(), f, store.Page{Limit: traceAtMost}) {
		if err != nil {
			return nil, err
		}
		list = append(list, *a)
	}
	return list, nil
}

// shareMessageIDs gives each attempt the Message-ID that is known of another
// attempt of its message: the store keeps it with the failures only.
func shareMessageIDs(list []store.Attempt) {
	type message struct{ host, instance, queueID string }
	ids := map[message]string{}
	for _, a := range list {
		if a.MessageID != "" {
			ids[message{a.Host, a.Instance, a.QueueID}] = a.MessageID
		}
	}
	for i := range list {
		if a := &list[i]; a.MessageID == "" {
			a.MessageID = ids[message{a.Host, a.Instance, a.QueueID}]
		}
	}
}

// An ending is what became of one recipient of a message.
type ending struct {
	state string // delivered, returned, expired, queued, handed_on, probed
	words string
}

// endings gives each attempt that is the last of its message and recipient how
// it ended; nil for the others.
func endings(attempts []store.Attempt) []*ending {
	type pair struct{ host, instance, queueID, recipient string }
	places := map[pair][]int{}
	for i := range attempts {
		a := &attempts[i]
		k := pair{a.Host, a.Instance, a.QueueID, ascii.Lower(a.Recipient)}
		places[k] = append(places[k], i)
	}
	out := make([]*ending, len(attempts))
	for _, list := range places {
		last := list[len(list)-1]
		out[last] = endingOf(attempts, list)
	}
	return out
}

func endingOf(attempts []store.Attempt, list []int) *ending {
	first, last := &attempts[list[0]], &attempts[list[len(list)-1]]
	soft := 0
	var reasons []string
	for _, i := range list {
		if a := &attempts[i]; a.Outcome == bounce.Soft {
			soft++
			if r := a.Reason.String(); r != "" && !slices.Contains(reasons, r) {
				reasons = append(reasons, r)
			}
		}
	}
	before := ""
	switch {
	case soft > 0 && len(reasons) == 1 && reasons[0] == bounce.Greylisted.String():
		before = "greylisted"
	case soft > 0:
		before = "deferred"
		if len(reasons) > 0 {
			before += " (" + strings.Join(reasons, ", ") + ")"
		}
	}
	if soft > 1 {
		before += fmt.Sprintf(" %d times", soft)
	}
	// Since when: the delay counts from the message's arrival.
	took := last.Time.Sub(first.Time)
	if arrived := last.Arrived(); !arrived.IsZero() {
		took = last.Time.Sub(arrived)
	}
	after := " after " + when.Span(took)
	e := &ending{}
	switch last.Outcome {
	case bounce.Delivered:
		e.state, e.words = "delivered", "delivered"+after
	case bounce.Hard:
		e.state, e.words = "returned", "returned to the sender"+after
		if last.Reason == bounce.Expired {
			e.state, e.words = "expired", "given up when the time in the queue had run out, "+when.Span(last.Time.Sub(first.Time))+" after the first try"
		}
	case bounce.Soft:
		e.state, e.words = "queued", before+"; still queued as far as the log goes"
		if last.Status == "SOFTBOUNCE" {
			e.words = "refused for good, kept in the queue by soft_bounce; still queued as far as the log goes"
		}
		return e
	case bounce.Handoff:
		e.state, e.words = "handed_on", "handed on; what became of it stands under another queue id"
		return e
	case bounce.Probe:
		e.state, e.words = "probed", "only the address was verified, no mail was sent"
		return e
	}
	if before != "" {
		e.words = before + ", then " + e.words
	}
	return e
}

// tell prints attempts in words, and at the end of a message what became of
// each recipient.
func tell(w io.Writer, attempts []store.Attempt, loc *time.Location) error {
	var b strings.Builder
	say := func(parts ...string) { b.WriteString(table.Clean(strings.Join(parts, "")) + "\n") }
	ends := endings(attempts)
	message, explained := "", map[bounce.Reason]bool{}
	for i := range attempts {
		a := &attempts[i]
		if key := a.Host + " " + a.Instance + " " + a.QueueID; key != message {
			message = key
			say("message ", a.QueueID, origin(a))
		}
		say("  ", a.Time.In(loc).Format("2006-01-02 15:04:05"), "  ", sentence(a))
		if a.Outcome != bounce.Delivered && a.Response != "" {
			say("      ", a.Response)
		}
		if a.Reason != bounce.NoReason && !explained[a.Reason] {
			explained[a.Reason] = true // once is enough
			t := judge.ReasonText(a.Reason)
			say("      ", a.Reason.String(), ": ", t.Meaning, " ", strings.Join(t.Do, " "))
		}
		if e := ends[i]; e != nil {
			say("  in the end: <", a.Recipient, "> ", e.words)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sentence says what happened in one attempt.
func sentence(a *store.Attempt) string {
	s := destination(a) + ": " + inWords(a)
	if a.Code >= 500 && a.Outcome == bounce.Soft {
		s += ", though the reply is a 5xx"
	}
	return s
}

// origin says where a message came from, as far as that is known.
func origin(a *store.Attempt) string {
	s := ""
	switch {
	case a.SenderKnown && a.Sender == "":
		s = " from the null sender (a notification)"
	case a.SenderKnown:
		s = " from <" + a.Sender + ">"
	}
	if a.MessageID != "" {
		s += ", Message-ID <" + a.MessageID + ">"
	}
	if a.Host != "" {
		s += ", on " + a.Host
	}
	return s
}

// destination says whom an attempt was for, and who was spoken to.
func destination(a *store.Attempt) string {
	s := "to <" + a.Recipient + ">"
	if a.OriginalRecipient != "" {
		s += " (for <" + a.OriginalRecipient + ">)"
	}
	switch {
	case a.RelayHost != "" && a.RelayIP != "":
		s += " at " + a.RelayHost + " [" + a.RelayIP + "]"
	case a.RelayHost != "":
		s += " at " + a.RelayHost
	case a.Agent != "":
		s += " by " + a.Agent
	}
	return s
}

func inWords(a *store.Attempt) string {
	switch a.Outcome {
	case bounce.Delivered:
		return "delivered"
	case bounce.Soft:
		return "deferred, will be tried again"
	case bounce.Hard:
		if a.Reason == bounce.Expired {
			return "given up: the time in the queue ran out"
		}
		return "returned to the sender"
	case bounce.Handoff:
		return "handed on (" + a.Status + ")"
	case bounce.Probe:
		return "address verification: " + a.Status
	}
	return a.Status
}
