package report

import (
	"iter"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/store"
)

// A Section is one part of the report in the form common to all renderings: facts, sentences, and
// one table of typed cells.
type Section struct {
	Name  string // as in Options.Sections
	Title string // a noun
	Lead  []string
	Facts []Fact
	// Cards are incidents with all their facts; the sections verdict and problems
	// have them.
	Cards []Incident
	Over  []Incident // ended incidents, in short
	// Table has the same columns whether or not it has rows. It is nil if the section has no table.
	Table *table.Table
	// Data is the table for CSV and TSV, if it differs from Table.
	Data  *table.Table
	Empty string // text in place of a table without rows
	Notes []Note
}

// A Fact is a figure with its label.
type Fact struct {
	Label string
	Value any // a cell; see table.Table
	Note  string
}

// A Note is a sentence, with the command at its end, if any. A command gets a line of its own and
// is not folded, so that it can be copied.
type Note struct{ Text, Command string }

// ListUnknown is the list of replies that no rule matches, in the section unparsed.
const ListUnknown = "unknown_replies"

// Cut reports whether the list is incomplete.
func (l *List) Cut() bool { return l.Total > l.Shown || l.Least }

// note adds the size of a list.
func (r *Report) note(o Options, l List) {
	switch {
	case !l.Cut():
		l.More = ""
	case l.More == "":
		words := []string{"report", "--section", l.Section, "--all"}
		if l.Section == SectionDomains && o.By != store.ByDomain {
			words = append(words, "--by", string(o.By))
		}
		if l.Section == SectionDomains && o.Sort != "failed" && o.Sort != "key" {
			words = append(words, "--sort", o.Sort)
		}
		l.More = o.command(words...)
	}
	r.listsMu.Lock()
	defer r.listsMu.Unlock()
	r.Lists = append(r.Lists, l)
}

// cut keeps the first top entries of a list (0: all) and notes the full number.
func cut[T any](r *Report, o Options, section string, top int, list []T) []T {
	l := List{Section: section, Total: len(list), Shown: len(list)}
	if top > 0 && len(list) > top {
		list, l.Shown = slices.Clip(list[:top]), top
	}
	r.note(o, l)
	return list
}

// List returns the size of the list of a section, or nil if there is none.
func (r *Report) List(section string) *List {
	for i := range r.Lists {
		if r.Lists[i].Section == section {
			return &r.Lists[i]
		}
	}
	return nil
}

// command returns a command for the same attempts. It appends those options of Options.Rerun that
// words does not contain.
func (o Options) command(words ...string) string {
	words = append([]string{"bouncelog"}, words...)
	if words[1] == "report" {
		words = append(words, o.RerunReport...)
	}
	given := words
	for i := 0; i < len(o.Rerun); i++ {
		if strings.HasPrefix(o.Rerun[i], "--") && slices.Contains(given, o.Rerun[i]) {
			i++ // its value
			continue
		}
		words = append(words, o.Rerun[i])
	}
	return strings.Join(words, " ")
}

// from returns options whose commands are about the time from the day of a time to the end of the logs.
func (o Options) from(at time.Time) Options {
	rest := []string{"--since", at.In(o.Location).Format(time.DateOnly)}
	for i := 0; i < len(o.Rerun); i++ {
		switch o.Rerun[i] {
		case "-d", "--since", "--until":
			i++ // its value
		default:
			rest = append(rest, o.Rerun[i])
		}
	}
	o.Rerun = rest
	return o
}

// problemsCommand returns the command that lists all problems with their facts.
func (o Options) problemsCommand() string {
	return o.command(append([]string{"report", "--section", SectionProblems}, o.RerunProblems...)...)
}

// bySender returns the command that lists the sender domains whose mail failed for one of some reasons.
func (o Options) bySender(reasons []bounce.Reason) string {
	words := make([]string, len(reasons))
	for i, r := range reasons {
		words[i] = r.String()
	}
	return o.command("report", "--section", SectionDomains, "--by", string(store.BySenderDomain), "--reason", strings.Join(words, ","), "--all")
}

// Entries yields the entries of the sections, each with the name of its section: the lines of
// NDJSON.
func (r *Report) Entries() iter.Seq2[string, any] {
	groups := string(r.By)
	return func(yield func(string, any) bool) {
		for _, part := range []struct {
			section string
			entries []any
		}{
			{SectionVerdict, one(r.Verdict)},
			{SectionTotals, one(r.Totals)},
			{SectionProblems, many(r.Problems)},
			{SectionChanges, many(r.Changes)},
			{SectionDomains, many(r.Domains)},
			{groups, many(r.Groups)},
			{SectionProviders, many(r.Providers)},
			{"provider_table", one(r.ProviderTable)},
			{SectionReasons, many(r.Reasons)},
			{SectionRecipients, many(r.Recipients)},
			{SectionPending, many(r.Pending)},
			{SectionSenders, one(r.Senders)},
			{SectionContradictions, many(r.Contradictions)},
			{SectionTimeline, many(r.Timeline)},
			{SectionUnparsed, one(r.Unparsed)},
			{"lists", lists(r.Lists)},
		} {
			for _, entry := range part.entries {
				if !yield(part.section, entry) {
					return
				}
			}
		}
	}
}

func one[T any](v *T) []any {
	if v == nil {
		return nil
	}
	return []any{v}
}

func many[T any](list []T) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// lists returns the entries of the section lists under another key, since "section" names the line.
func lists(all []List) []any {
	out := make([]any, len(all))
	for i, l := range all {
		out[i] = struct {
			Of    string `json:"of"`
			Shown int    `json:"shown"`
			Total int    `json:"total"`
			Least bool   `json:"at_least,omitempty"`
			More  string `json:"more,omitempty"`

			LeftOut int    `json:"left_out,omitempty"`
			WhyNot  string `json:"why_not,omitempty"`
		}{l.Section, l.Shown, l.Total, l.Least, l.More, l.LeftOut, l.WhyNot}
	}
	return out
}
