package clickhouse

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// quote returns a text as a literal with the server's own escapes. No text can end the literal
// early.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i := range len(s) {
		switch c := s[i]; c {
		case '\'', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case 0:
			b.WriteString(`\0`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// identifier returns the name of a database as an identifier.
func identifier(s string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(s) + "`"
}

// quotes returns a list of texts as a list of literals.
func quotes[S ~string](list []S) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(string(s)))
	}
	return b.String()
}

func numbers[N int | int64](list []N) string {
	var b strings.Builder
	for i, n := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(int64(n), 10))
	}
	return b.String()
}

// ceil returns the first whole second that is not before t.
func ceil(t time.Time) int64 {
	if at := t.Unix(); t.Nanosecond() == 0 {
		return at
	}
	return t.Unix() + 1
}

// messageColumns identify a message, as in store.MessageKey.
const messageColumns = "host, mta, instance, queue_id"

// messageHash is an expression that identifies the message of a row in Refusal and Delivered.
const messageHash = "sipHash64(queue_id, sender_known, sender)"

// A where is a list of conditions joined by AND.
type where []string

func (w *where) add(conditions ...string) { *w = append(*w, conditions...) }

func (w where) String() string {
	if len(w) == 0 {
		return "1"
	}
	return "(" + strings.Join(w, ") AND (") + ")"
}

// conditions returns the conditions under which a filter selects a row, including those on outcomes
// and recipients.
func conditions(f *store.Filter) where {
	var w where
	text := func(column, value string) {
		if value != "" {
			w.add(column + " = " + quote(value))
		}
	}
	if !f.Since.IsZero() {
		w.add("at >= " + strconv.FormatInt(ceil(f.Since), 10))
	}
	if !f.Until.IsZero() {
		w.add("at < " + strconv.FormatInt(ceil(f.Until), 10))
	}
	if list := slices.Clone(f.RecipientDomains()); len(list) > 0 {
		for i, name := range list {
			list[i] = ascii.Lower(name)
		}
		w.add("recipient_domain IN (" + quotes(list) + ")")
	}
	if f.SenderDomain != "" {
		w.add("sender_known AND sender_domain = " + quote(ascii.Lower(f.SenderDomain)))
	}
	if len(f.Senders) > 0 {
		list := make([]string, len(f.Senders))
		for i, a := range f.Senders {
			list[i] = ascii.Lower(a)
		}
		w.add("sender_known AND lower(sender) IN (" + quotes(list) + ")")
	}
	if len(f.Logins) > 0 {
		w.add("outcome IN ('soft', 'hard', 'ended') AND sasl_user IN (" + quotes(f.Logins) + ")")
	}
	if f.Relay != "" {
		w.add(underRelays([]string{f.Relay}))
	}
	if f.To != nil {
		domains := make([]string, len(f.To.Domains))
		for i, name := range f.To.Domains {
			domains[i] = ascii.Lower(name)
		}
		to := "0"
		if len(domains) > 0 {
			to = "relay_host = '' AND recipient_domain IN (" + quotes(domains) + ")"
		}
		if len(f.To.Relays) > 0 {
			to += " OR " + underRelays(f.To.Relays)
		}
		w.add(to)
	}
	text("relay_ip", f.RelayIP)
	text("host", f.Host)
	text("mta", string(f.MTA))
	if len(f.Outcomes) > 0 {
		w.add("outcome IN (" + quotes(words(f.Outcomes)) + ")")
	}
	if len(f.Reasons) > 0 {
		w.add("reason IN (" + quotes(words(f.Reasons)) + ")")
		if !slices.Contains(f.Reasons, bounce.NoReason) { // what was delivered has no reason, and is not read
			w.add(isUndelivered)
		}
	}
	if len(f.Recipients) > 0 {
		list, domains, whole := make([]string, len(f.Recipients)), make(map[string]bool), true
		for i, a := range f.Recipients {
			list[i] = ascii.Lower(a)
			whole = whole && len(a) < store.MaxName-utf8.UTFMax // the text was not cut
			domain := ""
			if at := strings.LastIndexByte(a, '@'); at >= 0 {
				domain = list[i][at+1:]
			}
			domains[domain] = true
		}
		w.add("lower(recipient) IN (" + quotes(list) + ")")
		if whole { // the key begins with the domain
			w.add("recipient_domain IN (" + quotes(slices.Sorted(maps.Keys(domains))) + ")")
		}
	}
	text("queue_id", f.QueueID)
	text("lower(original_recipient)", ascii.Lower(f.Original))
	if f.MessageID != "" {
		id := store.Clean(strings.TrimSuffix(strings.TrimPrefix(f.MessageID, "<"), ">"), store.MaxName)
		w.add("message_hash != 0 AND message_hash = " + strconv.FormatUint(hash(id), 10))
	}
	return w
}

// underRelays returns the condition that the relay has one of these names or is a subdomain of one
// (store.AtRelay). The server evaluates a function of a column with few distinct values once for
// each value, but OR for each row: 30 names cost 0.5 s of CPU for 10.2 million attempts, and as
// 60 comparisons 2.3 s. A name that is not clean is left out, since no stored name ends with it.
func underRelays(names []string) string {
	patterns, size := []string(nil), patternSize
	for _, name := range names {
		name = strings.TrimPrefix(ascii.Lower(name), ".")
		if store.Clean(name, store.MaxName) != name {
			continue
		}
		name = regexp.QuoteMeta(name)
		if size += len(name) + 1; size > patternSize {
			patterns, size = append(patterns, name), len(name)
			continue
		}
		patterns[len(patterns)-1] += "|" + name
	}
	list := []string{"0"}
	for _, p := range patterns {
		list = append(list, "match(lower(relay_host), "+quote(`(?:\A|\.)(?:`+p+`)\z`)+")")
	}
	return strings.Join(list, " OR ")
}

// patternSize is the size of a pattern in bytes, which the server limits: it refuses one of a
// megabyte.
const patternSize = 16 << 10

// words returns the names of outcomes or reasons.
func words[T bounce.Outcome | bounce.Reason](list []T) (out []string) {
	for _, x := range list {
		switch x := any(x).(type) {
		case bounce.Outcome:
			out = append(out, x.String())
		case bounce.Reason:
			out = append(out, x.String())
		}
	}
	return out
}
