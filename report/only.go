package report

import (
	"slices"
	"strings"

	"bouncelog/internal/table"
	"bouncelog/store"
)

// only returns the Only of f, or nil if f selects all attempts of a period.
func only(f store.Filter) *Only {
	o := &Only{f.Domain, f.SenderDomain, f.Relay, f.Host, f.MTA, f.Outcomes, f.Reasons}
	if o.String() == "" {
		return nil
	}
	return o
}

// String describes the attempts that the filter selects.
func (o *Only) String() string {
	var parts []string
	add := func(words string, values ...string) {
		if values = slices.DeleteFunc(values, func(v string) bool { return v == "" }); len(values) > 0 {
			parts = append(parts, words+" "+strings.Join(values, " or "))
		}
	}
	add("recipients at", o.Domain)
	add("senders at", o.SenderDomain)
	add("relays at", o.Relay)
	add("host", o.Host)
	add("MTA", string(o.MTA))
	add("outcome", names(o.Outcomes)...)
	add("reason", names(o.Reasons)...)
	return strings.Join(parts, ", ")
}

// Judged returns f for all outcomes and reasons: the attempts for verdicts. A part of them would
// hide refusals, or the deliveries with which refusals are compared.
func Judged(f store.Filter) store.Filter {
	f.Outcomes, f.Reasons = nil, nil
	return f
}

// partly reports whether the filter excludes some of the attempts for verdicts.
func (o *Only) partly() bool { return o != nil && len(o.Outcomes)+len(o.Reasons) > 0 }

// Selects reports whether the filter excludes some mail, whatever its outcome and reason.
func (o *Only) Selects() bool {
	return o != nil && (o.Domain != "" || o.SenderDomain != "" || o.Relay != "" || o.Host != "" || o.MTA != "")
}

// narrows reports whether the filter excludes some of the mail from the same senders to these
// providers.
func (o *Only) narrows(providers []string) bool {
	if o == nil {
		return false
	}
	other := func(name string) bool { return name != "" && !slices.Equal(providers, []string{name}) }
	return o.Host != "" || o.MTA != "" || other(o.Domain) || other(o.Relay)
}

func names[T interface{ String() string }](list []T) (words []string) {
	for _, x := range list {
		words = append(words, x.String())
	}
	return words
}

// messagesWords says how many messages the attempts are of, or "" if it is not known. In a part of the logs,
// messages that were first tried before it are not counted.
func (t *Totals) messagesWords(part bool) string {
	switch {
	case t.Messages == nil:
		return ""
	case part:
		return table.Count(*t.Messages, "message") + " first tried in this period"
	}
	return "of " + table.Count(*t.Messages, "message")
}
