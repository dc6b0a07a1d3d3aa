package render

import (
	"fmt"
	"time"

	"bouncelog/internal/table"
	"bouncelog/store"
)

// AttemptColumns returns the fields of a delivery attempt, with the names and in the order of the
// view deliveries. It omits the warning: later fields come last, after the columns specific to each
// output.
func AttemptColumns() []table.Column {
	var columns []table.Column
	for _, name := range []string{
		"time", "host", "mta", "instance", "agent", "queue_id", "message_id", "sender", "sender_domain",
		"recipient", "recipient_domain", "original_recipient", "relay_host", "relay_ip", "relay_port",
		"status", "outcome", "code", "enhanced", "stage", "response", "reason", "detail", "scope", "rule", "confidence",
		"delay", "delays", "size", "client_host", "client_ip", "sasl_user",
	} {
		c := table.Column{Name: name}
		switch name {
		case "relay_port", "code", "delay", "size":
			c.Number = true
		case "response", "recipient", "sender", "relay_host":
			c.Flex = true
		}
		columns = append(columns, c)
	}
	return columns
}

// AttemptCells returns the values of AttemptColumns. An unknown value is nil; the null sender is an
// empty string.
func AttemptCells(a *store.Attempt) []any {
	cell := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	number := func(n int64) any {
		if n == 0 {
			return nil
		}
		return n
	}
	var at, sender, delay, delays any
	if !a.Time.IsZero() {
		at = a.Time.UTC().Format(time.RFC3339Nano)
	}
	if a.SenderKnown {
		sender = a.Sender
	}
	if a.Delay >= 0 {
		delay = a.Delay
	}
	if a.HasDelays {
		delays = fmt.Sprintf("%g/%g/%g/%g", a.Delays[0], a.Delays[1], a.Delays[2], a.Delays[3])
	}
	return []any{
		at, cell(a.Host), string(a.MTA), cell(a.Instance), cell(a.Agent),
		cell(a.QueueID), cell(a.MessageID), sender, cell(a.SenderDomain),
		cell(a.Recipient), cell(a.RecipientDomain), cell(a.OriginalRecipient),
		cell(a.RelayHost), cell(a.RelayIP), number(int64(a.RelayPort)),
		a.Status, cell(a.Outcome.String()), number(int64(a.Code)), cell(a.Enhanced.String()), cell(a.Stage.String()),
		cell(a.Response), cell(a.Reason.String()), cell(a.Verdict.Detail), cell(a.Scope.String()), cell(a.Rule), cell(a.Confidence.String()),
		delay, delays, number(a.Size), cell(a.ClientHost), cell(a.ClientIP), cell(a.SASLUser),
	}
}
