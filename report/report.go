// Package report makes the report: what did not get through, why, who has to
// act, and what probably is not the recipient's fault. It asks a store.Store
// and renders the answer as text, JSON, CSV, TSV, Markdown or HTML.
package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// The sections of a report, in their order.
const (
	SectionTotals     = "totals"
	SectionProblems   = "problems"
	SectionDomains    = "domains" // or what Options.By says
	SectionReasons    = "reasons"
	SectionRecipients = "recipients"
	SectionUnparsed   = "unparsed"
)

// Sections lists all sections in their order.
func Sections() []string {
	return []string{SectionTotals, SectionProblems, SectionDomains, SectionReasons, SectionRecipients, SectionUnparsed}
}

// SortKeys lists what Options.Sort may be.
func SortKeys() []string {
	return []string{"failed", "hard", "soft", "delivered", "attempts", "pending", "expired", "recovered", "messages", "key"}
}

// Options say what to report. The zero value is everything, by domain.
type Options struct {
	Filter   store.Filter
	Location *time.Location // for days and for times in text; nil: time.Local
	By       store.By       // ""; store.ByDomain
	Sort     string         // one of SortKeys; "": failed, for days and hours key
	Top      int            // rows in a section; 0: all
	Sections []string       // "": all
	Flag     FlagOptions    // thresholds of the section problems
}

// Check says what is wrong with the options: a section or a sort key that does
// not exist.
func (o Options) Check() error {
	if o.Sort != "" && !slices.Contains(SortKeys(), o.Sort) {
		return fmt.Errorf("%q is not a sort key (there are %s)", o.Sort, strings.Join(SortKeys(), ", "))
	}
	if err := o.Flag.Check(); err != nil {
		return err
	}
	for _, section := range o.Sections {
		if !slices.Contains(Sections(), section) {
			return fmt.Errorf("%q is not a section (there are %s)", section, strings.Join(Sections(), ", "))
		}
	}
	return nil
}

// A Report is the answer. Sections that were not asked for are nil.
type Report struct {
	Period     ReportPeriod  `json:"period"`
	Sources    []SourceCount `json:"sources"`
	Totals     *Totals       `json:"totals,omitempty"`
	Problems   []Problem     `json:"problems,omitzero"`
	By         store.By      `json:"by,omitempty"`
	Domains    []Group       `json:"domains,omitzero"`
	Groups     []Group       `json:"groups,omitzero"` // instead of Domains where By is not the domain
	Reasons    []ReasonCount `json:"reasons,omitzero"`
	Recipients []Recipient   `json:"recipients,omitzero"`
	Unparsed   *Coverage     `json:"unparsed,omitempty"`

	loc           *time.Location
	moreGroups    int // groups, recipients that Top cut off
	moreRecipient int
}

// A ReportPeriod is what a report covers: what was asked for, and the first
// and the last attempt there is in it.
type ReportPeriod struct {
	Since *time.Time `json:"since,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	First *time.Time `json:"first,omitempty"`
	Last  *time.Time `json:"last,omitempty"`
}

// A SourceCount is one log that was read.
type SourceCount struct {
	Path     string     `json:"path"`
	Source   string     `json:"source"`
	First    *time.Time `json:"first,omitempty"`
	Last     *time.Time `json:"last,omitempty"`
	Lines    int64      `json:"lines"`
	Attempts int64      `json:"attempts"`
}

// Counts are the numbers every section gives; see store.Counts.
type Counts struct {
	Attempts  int64 `json:"attempts"`
	Delivered int64 `json:"delivered"`
	Soft      int64 `json:"soft"`
	Hard      int64 `json:"hard"`
	Recovered int64 `json:"recovered"`
	Pending   int64 `json:"pending"`
	Expired   int64 `json:"expired"`
	Messages  int64 `json:"messages"`
}

// Totals are the counts of the whole report.
type Totals struct {
	Counts
	// Shares of the attempts that count, 0 to 1.
	SoftRate float64 `json:"soft_rate"`
	HardRate float64 `json:"hard_rate"`
	// Failures of our own notifications (null sender), in Soft and Hard.
	NotificationSoft int64 `json:"notification_soft"`
	NotificationHard int64 `json:"notification_hard"`
	// Attempts that are in no other count.
	Handoff int64 `json:"handoff"`
	Probe   int64 `json:"probe"`
	// Soft although the reply was 5xx: a greeting that Postfix defers.
	Soft5xx int64 `json:"soft_5xx"`
	// The same for the period of equal length before, where there is one.
	Previous *Counts `json:"previous,omitempty"`
}

// A Group is the counts of one domain, relay, sender domain, …
type Group struct {
	Key    string `json:"key"`
	Domain string `json:"domain,omitempty"` // the key, where it is a domain
	Counts
	Reason  bounce.Reason    `json:"reason,omitzero"` // the commonest of the failures
	Reasons map[string]int64 `json:"reasons,omitempty"`
}

// A ReasonCount says how often attempts failed for a reason.
type ReasonCount struct {
	Reason  bounce.Reason `json:"reason"`
	Scope   bounce.Scope  `json:"scope,omitzero"`
	Soft    int64         `json:"soft"`
	Hard    int64         `json:"hard"`
	Meaning string        `json:"meaning"`
	Do      []string      `json:"do"` // first things first
}

// A Recipient is an address whose mail was returned for a fault of its own.
type Recipient struct {
	Recipient string        `json:"recipient"`
	Hard      int64         `json:"hard"`
	Reason    bounce.Reason `json:"reason"`
}

// Coverage says what of the logs was understood. The numbers add up: Lines is
// the sum of Delivery, Queue, Rejected, Skipped, Unparsed and Blank.
type Coverage struct {
	Lines    int64              `json:"lines"`
	Delivery int64              `json:"delivery"` // lines with delivery attempts
	Queue    int64              `json:"queue"`    // about messages in the queue
	Rejected int64              `json:"rejected"` // about mail that this server refused
	Skipped  int64              `json:"skipped"`  // not about deliveries
	Unparsed int64              `json:"unparsed"` // looked like a delivery, not understood
	Blank    int64              `json:"blank"`
	Repeated int64              `json:"repeated"` // attempts that stood in "message repeated n times"
	Programs []ProgramCount     `json:"programs"`
	Sample   []UnparsedSample   `json:"sample"`
	Reasons  []UnknownReplyText `json:"unknown_replies"`
}

// A ProgramCount says how many lines of a program were not about deliveries.
type ProgramCount struct {
	Program string `json:"program"`
	Lines   int64  `json:"lines"`
}

// An UnparsedSample is a line that looked like a delivery and was not
// understood.
type UnparsedSample struct {
	Source string `json:"source"` // path
	Offset int64  `json:"offset"`
	Text   string `json:"text"`
}

// An UnknownReplyText is a reply whose cause no rule names.
type UnknownReplyText struct {
	Text     string `json:"text"`
	Attempts int64  `json:"attempts"`
}

// Build asks s. Its errors are those of s, but for a section or a sort key
// that does not exist.
func Build(ctx context.Context, s store.Store, o Options) (*Report, error) {
	if o.By == "" {
		o.By = store.ByDomain
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Sort == "" {
		o.Sort = "failed"
		if o.By == store.ByDay || o.By == store.ByHour {
			o.Sort = "key"
		}
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	wanted := func(section string) bool {
		return len(o.Sections) == 0 || slices.Contains(o.Sections, section)
	}

	r := &Report{loc: o.Location, By: o.By}
	sources, err := s.Sources(ctx)
	if err != nil {
		return nil, err
	}
	r.Sources = make([]SourceCount, 0, len(sources))
	for _, src := range sources {
		r.Sources = append(r.Sources, SourceCount{
			Path: src.Path, Source: src.ID, First: when(src.First), Last: when(src.Last),
			Lines: src.Lines, Attempts: src.Attempts,
		})
	}
	first, last, err := s.Span(ctx, o.Filter)
	if err != nil {
		return nil, err
	}
	r.Period = ReportPeriod{Since: when(o.Filter.Since), Until: when(o.Filter.Until), First: when(first), Last: when(last)}

	if wanted(SectionTotals) {
		if r.Totals, err = totals(ctx, s, o.Filter); err != nil {
			return nil, err
		}
	}
	if wanted(SectionProblems) {
		if r.Problems, err = problems(ctx, s, o.Filter, o.Flag); err != nil {
			return nil, err
		}
	}
	if wanted(SectionDomains) {
		groups, err := s.Groups(ctx, o.Filter, o.By)
		if err != nil {
			return nil, err
		}
		rows, more := sortedGroups(groups, o)
		r.moreGroups = more
		if o.By == store.ByDomain {
			r.Domains = rows
		} else {
			r.Groups = rows
		}
	}
	if wanted(SectionReasons) {
		if r.Reasons, err = reasons(ctx, s, o.Filter); err != nil {
			return nil, err
		}
	}
	if wanted(SectionRecipients) {
		if err := r.recipients(ctx, s, o); err != nil {
			return nil, err
		}
	}
	if wanted(SectionUnparsed) {
		if r.Unparsed, err = coverage(ctx, s, o, sources); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func counts(c store.Counts) Counts {
	return Counts{c.Attempts, c.Delivered, c.Soft, c.Hard, c.Recovered, c.Pending, c.Expired, c.Messages}
}

func totals(ctx context.Context, s store.Store, f store.Filter) (*Totals, error) {
	c, err := s.Totals(ctx, f)
	if err != nil {
		return nil, err
	}
	t := &Totals{
		Counts:           counts(c),
		NotificationSoft: c.NullSoft,
		NotificationHard: c.NullHard,
		Handoff:          c.Handoff,
		Probe:            c.Probe,
		Soft5xx:          c.Soft5xx,
	}
	if c.Attempts > 0 {
		t.SoftRate = float64(c.Soft) / float64(c.Attempts)
		t.HardRate = float64(c.Hard) / float64(c.Attempts)
	}
	if !f.Since.IsZero() && !f.Until.IsZero() {
		f.Since, f.Until = f.Since.Add(-f.Until.Sub(f.Since)), f.Since
		before, err := s.Totals(ctx, f)
		if err != nil {
			return nil, err
		}
		if before.Attempts > 0 {
			p := counts(before)
			t.Previous = &p
		}
	}
	return t, nil
}

// sortedGroups are the groups that count, in their order; more says how many of
// them Top leaves out.
func sortedGroups(groups []store.Group, o Options) (rows []Group, more int) {
	rows = make([]Group, 0, len(groups))
	for _, g := range groups {
		if g.Attempts+g.Pending == 0 {
			continue // nothing but hand-offs and probes
		}
		row := Group{Key: g.Key, Counts: counts(g.Counts)}
		if o.By == store.ByDomain {
			row.Domain = g.Key
		}
		var most int64
		for reason, n := range g.Reasons {
			if n > most || n == most && reason < row.Reason {
				most, row.Reason = n, reason
			}
			if row.Reasons == nil {
				row.Reasons = make(map[string]int64, len(g.Reasons))
			}
			row.Reasons[reason.String()] = n
		}
		rows = append(rows, row)
	}
	key := func(g Group) int64 {
		switch o.Sort {
		case "hard":
			return g.Hard
		case "soft":
			return g.Soft
		case "delivered":
			return g.Delivered
		case "attempts":
			return g.Attempts
		case "pending":
			return g.Pending
		case "expired":
			return g.Expired
		case "recovered":
			return g.Recovered
		case "messages":
			return g.Messages
		}
		return g.Hard + g.Soft
	}
	slices.SortFunc(rows, func(a, b Group) int {
		if o.Sort == "key" {
			return strings.Compare(a.Key, b.Key)
		}
		return cmp.Or(cmp.Compare(key(b), key(a)), cmp.Compare(b.Hard, a.Hard),
			cmp.Compare(b.Attempts, a.Attempts), strings.Compare(a.Key, b.Key))
	})
	if o.Top > 0 && len(rows) > o.Top {
		more = len(rows) - o.Top
		if o.By == store.ByDay || o.By == store.ByHour {
			return rows[more:], more // the newest
		}
		rows = rows[:o.Top]
	}
	return rows, more
}

func reasons(ctx context.Context, s store.Store, f store.Filter) ([]ReasonCount, error) {
	groups, err := s.Groups(ctx, f, store.ByReason)
	if err != nil {
		return nil, err
	}
	rows := []ReasonCount{}
	for _, g := range groups {
		if g.Soft+g.Hard == 0 {
			continue
		}
		reason, ok := bounce.ParseReason(g.Key)
		if !ok {
			return nil, fmt.Errorf("the store knows a reason %q that this program does not", g.Key)
		}
		t := bounce.ReasonText(reason)
		rows = append(rows, ReasonCount{reason, t.Scope, g.Soft, g.Hard, t.Meaning, t.Do})
	}
	slices.SortFunc(rows, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Soft+b.Hard, a.Soft+a.Hard), cmp.Compare(b.Hard, a.Hard), cmp.Compare(a.Reason, b.Reason))
	})
	return rows, nil
}

// recipientFaults are the reasons for which an address should not be mailed
// again as it is.
var recipientFaults = []bounce.Reason{bounce.UserUnknown, bounce.MailboxDisabled, bounce.BadAddress, bounce.DomainInvalid}

func (r *Report) recipients(ctx context.Context, s store.Store, o Options) error {
	f := o.Filter
	f.Outcomes = []bounce.Outcome{bounce.Hard}
	f.Reasons = both(f.Reasons, recipientFaults)
	r.Recipients = []Recipient{}
	if len(f.Reasons) == 0 || len(o.Filter.Outcomes) > 0 && !slices.Contains(o.Filter.Outcomes, bounce.Hard) {
		return nil
	}
	groups, err := s.Groups(ctx, f, store.ByRecipient)
	if err != nil {
		return err
	}
	for _, g := range groups {
		row := Recipient{Recipient: g.Key, Hard: g.Hard}
		var most int64
		for reason, n := range g.Reasons {
			if n > most || n == most && reason < row.Reason {
				most, row.Reason = n, reason
			}
		}
		r.Recipients = append(r.Recipients, row)
	}
	slices.SortFunc(r.Recipients, func(a, b Recipient) int {
		return cmp.Or(cmp.Compare(b.Hard, a.Hard), strings.Compare(a.Recipient, b.Recipient))
	})
	if o.Top > 0 && len(r.Recipients) > o.Top {
		r.moreRecipient = len(r.Recipients) - o.Top
		r.Recipients = r.Recipients[:o.Top]
	}
	return nil
}

const unknownReplies = 10 // shown of the replies whose cause no rule names

func coverage(ctx context.Context, s store.Store, o Options, sources []store.Source) (*Coverage, error) {
	c := &Coverage{Programs: []ProgramCount{}, Sample: []UnparsedSample{}, Reasons: []UnknownReplyText{}}
	paths := map[string]string{}
	for _, src := range sources {
		paths[src.ID] = src.Path
		c.Lines += src.Lines
		c.Delivery += src.Delivery
		c.Queue += src.Queue
		c.Rejected += src.Rejected
		c.Skipped += src.Skipped
		c.Unparsed += src.Unparsed
		c.Blank += src.Blank
		c.Repeated += src.Repeated
	}
	if sum := c.Delivery + c.Queue + c.Rejected + c.Skipped + c.Unparsed + c.Blank; sum != c.Lines {
		return nil, fmt.Errorf("the line counts do not add up: %d lines, but %d by kind", c.Lines, sum)
	}
	skipped, err := s.Skipped(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(skipped, func(a, b store.Skipped) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), strings.Compare(a.Program, b.Program))
	})
	for _, p := range skipped {
		c.Programs = append(c.Programs, ProgramCount{p.Program, p.Lines})
	}
	unparsed, err := s.Unparsed(ctx)
	if err != nil {
		return nil, err
	}
	if o.Top > 0 {
		unparsed = unparsed[:min(len(unparsed), o.Top)]
	}
	for _, u := range unparsed {
		c.Sample = append(c.Sample, UnparsedSample{paths[u.Source], u.Offset, u.Text})
	}

	f := o.Filter
	f.Reasons = []bounce.Reason{bounce.Unknown}
	texts := map[string]int64{}
	for a, err := range s.Attempts(ctx, f) {
		if err != nil {
			return nil, err
		}
		template, _ := bounce.Split(a.Response)
		if texts[template] == 0 && len(texts) >= 10_000 {
			continue // a flood of distinct texts must not fill the memory
		}
		texts[template]++
	}
	for text, n := range texts {
		c.Reasons = append(c.Reasons, UnknownReplyText{text, n})
	}
	slices.SortFunc(c.Reasons, func(a, b UnknownReplyText) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), strings.Compare(a.Text, b.Text))
	})
	if len(c.Reasons) > unknownReplies {
		c.Reasons = c.Reasons[:unknownReplies]
	}
	return c, nil
}

// ErrFormat says that there is no such output format.
var ErrFormat = errors.New("no such format")
