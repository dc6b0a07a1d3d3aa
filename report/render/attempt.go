package render

import (
	"fmt"
	"time"

	"bouncelog/internal/table"
	"bouncelog/store"
)

// AttemptColumns returns the fields of a delivery attempt, with the names of the view deliveries and
// about in its order. A field that was added later, such as the warning, is not among them: each output
// has it after its own columns.
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
		at, table.Optional(a.Host), string(a.MTA), table.Optional(a.Instance), table.Optional(a.Agent),
		table.Optional(a.QueueID), table.Optional(a.MessageID), sender, table.Optional(a.SenderDomain),
		table.Optional(a.Recipient), table.Optional(a.RecipientDomain), table.Optional(a.OriginalRecipient),
		table.Optional(a.RelayHost), table.Optional(a.RelayIP), number(int64(a.RelayPort)),
		a.Status, table.Optional(a.Outcome.String()), number(int64(a.Code)), table.Optional(a.Enhanced.String()), table.Optional(a.Stage.String()),
		table.Optional(a.Response), table.Optional(a.Reason.String()), table.Optional(a.Verdict.Detail), table.Optional(a.Scope.String()), table.Optional(a.Rule), table.Optional(a.Confidence.String()),
		delay, delays, number(a.Size), table.Optional(a.ClientHost), table.Optional(a.ClientIP), table.Optional(a.SASLUser),
	}
}
