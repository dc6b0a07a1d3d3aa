// Package report makes the report: which mail failed, why, who has to act, and which failures are
// probably not the recipients' fault. It queries a store.Reader; package report/render prints the
// result.
package report

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/when"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

// The sections of a report, in their order.
const (
	SectionVerdict        = "verdict" // including the problems to act on
	SectionTotals         = "totals"
	SectionProblems       = "problems"
	SectionProviders      = "providers"
	SectionChanges        = "changes" // since the previous period
	SectionDomains        = "domains" // or the groups of Options.By
	SectionReasons        = "reasons"
	SectionRecipients     = "recipients"
	SectionPending        = "pending"
	SectionSenders        = "senders"
	SectionContradictions = "contradictions"
	SectionTimeline       = "timeline" // in text only on request
	SectionUnparsed       = "unparsed"
)

// Sections lists all sections in their order.
func Sections() []string {
	return []string{
		SectionVerdict, SectionTotals, SectionProblems, SectionProviders, SectionChanges, SectionDomains, SectionReasons, SectionRecipients,
		SectionPending, SectionSenders, SectionContradictions, SectionTimeline, SectionUnparsed,
	}
}

// SortKeys lists the valid values of Options.Sort.
func SortKeys() []string {
	return []string{"failed", "hard", "soft", "delivered", "attempts", "pending", "expired", "recovered", "messages", "key"}
}

// Options select the contents of a report. The zero value selects everything, by domain.
type Options struct {
	Filter   store.Filter
	Location *time.Location     // for days and for times in text; nil: time.Local
	By       store.Dimension    // "": store.ByDomain; ByProvider, ByRelayHost
	Sort     string             // one of SortKeys; "": failed, for days and hours key
	Top      int                // rows in a section; 0: all
	Sections []string           // "": all
	Problems problem.Thresholds // thresholds of the section problems
	// Now is the time of the report. If it is zero, the report omits the age of the logs.
	Now time.Time
	// Live: the logs are still written, so it is a finding if they end before the period or Now.
	Live bool
	// NoWarnings omits the MTA's warning before a failure: it may concern the mail of others.
	NoWarnings bool
	// Rows keeps the rows behind the figures of problems: see problem.Problem.Rows.
	Rows bool
	// Days: the timeline has a point for each day, even for a short period.
	Days bool
	// Rerun holds the arguments that select the same attempts, quoted for a shell. They end every
	// command in the report.
	Rerun []string
	// Positions is the command that prints how far each log was read; "": the logs are in no database.
	Positions string
	// RerunProblems holds the arguments for the thresholds of problems.
	RerunProblems []string
	// RerunReport holds the arguments that only a report has, such as --redact.
	RerunReport []string
}

// Check returns an error if the options name an unknown section or sort key.
func (o Options) Check() error {
	if o.Sort != "" && !slices.Contains(SortKeys(), o.Sort) {
		return fmt.Errorf("%q is not a sort key (there are %s)", o.Sort, strings.Join(SortKeys(), ", "))
	}
	if err := o.Problems.Check(); err != nil {
		return err
	}
	for _, section := range o.Sections {
		if !slices.Contains(Sections(), section) {
			return fmt.Errorf("%q is not a section (there are %s)", section, strings.Join(Sections(), ", "))
		}
	}
	return nil
}

// A Report is the result. Sections that were not requested are nil.
type Report struct {
	Verdict   *Verdict          `json:"verdict,omitempty"`
	Period    ReportPeriod      `json:"period"`
	Filter    *Only             `json:"filter,omitempty"` // nil: all attempts of the period
	Sources   []SourceCount     `json:"sources"`
	Totals    *Totals           `json:"totals,omitempty"`
	Problems  []problem.Problem `json:"problems,omitzero"`
	Changes   []Change          `json:"changes,omitzero"` // also nil if there is no previous period
	By        store.Dimension   `json:"by,omitempty"`
	Domains   []Group           `json:"domains,omitzero"`
	Groups    []Group           `json:"groups,omitzero"` // in place of Domains if By is not the domain
	Providers []Group           `json:"providers,omitzero"`
	// ProviderTable holds Providers in rows that add up.
	ProviderTable *ProviderTable `json:"provider_table,omitempty"`
	Reasons       []ReasonCount  `json:"reasons,omitzero"`
	Recipients    []Recipient    `json:"recipients,omitzero"`
	Pending       []Pending      `json:"pending,omitzero"`
	Senders       *Senders       `json:"senders,omitempty"`

	Contradictions []Contradiction `json:"contradictions,omitzero"`
	Timeline       []Point         `json:"timeline,omitzero"`
	// TimelineBefore is the timeline of the previous period, at its own times.
	TimelineBefore []Point     `json:"timeline_previous,omitempty"`
	Comparison     *Comparison `json:"comparison,omitempty"`
	Lists          []List      `json:"lists,omitempty"` // size of each section's list
	Unparsed       *Coverage   `json:"unparsed,omitempty"`

	// Scan is the result of a DNS scan of the names in the problems, if there was one. It is copied
	// into JSON.
	Scan any `json:"scan,omitempty"`

	// A rendering needs these beside the data.
	Location   *time.Location `json:"-"` // of days and of times in text
	Named      bool           `json:"-"` // Options.Sections names the sections: empty ones are shown too
	NoPrevious bool           `json:"-"` // changes were requested, but the previous period is unknown
	ByDay      bool           `json:"-"` // Timeline has a point for each day, not for each hour
	AsOf       time.Time      `json:"-"` // time of the last line of the logs
	// Hosts are the mail hosts, if several fill the database and the filter selects no single one.
	Hosts    []Host `json:"hosts,omitempty"`
	Live     bool   `json:"-"` // Options.Live
	Timeless bool   `json:"-"` // some attempts have no time
	// NoVerdict says why no verdict is possible, as a part of a sentence; "": there are verdicts.
	NoVerdict string    `json:"-"`
	Now       time.Time `json:"-"` // Options.Now

	asked          []string                     // Options.Sections
	command        string                       // command that lists the problems
	bySender       func([]bounce.Reason) string // command that lists the sender domains with some reasons
	messages       int64                        // all messages of the period, regardless of the filter
	handled        int64                        // the same per recipient: delivered, returned or waiting
	after          map[int]afterwards           // by index in Problems
	before         []problem.Problem            // see Verdict.EndedBefore
	later          []problem.Problem            // see Verdict.Later
	unreachedAfter map[string]afterwards        // by Problem.ID
	routes         *Routes                      // of the mail in judged
	waits          *queue                       // of the mail in judged
	judged         *ProviderTable               // all providers, for the verdicts: see Judged
	listsMu        sync.Mutex
	hours          func() ([]Point, error)            // all attempts of the database, by hour
	hostHours      func() (map[string][]Point, error) // the same by logging host
	selected       func() ([]Point, error)            // those of hours that the filter selects, whatever the outcome
	gaps           func() ([]Gap, error)              // gaps of the whole database; see allGaps
}

// A Point holds the attempts of an hour or a day.
type Point struct {
	Time      time.Time `json:"time"`
	Delivered int64     `json:"delivered"`
	Soft      int64     `json:"soft"`
	Hard      int64     `json:"hard"`
}

// settled counts the attempts that are usual at a time: a queue of deferred mail is retried at any time
// of the day, as long as it lasts.
func (p *Point) settled() int64 { return p.Delivered + p.Hard }

// A ReportPeriod is the requested period, with its first and its last attempt.
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

// Counts are the numbers in every section; see store.Counts.
type Counts struct {
	Attempts  int64 `json:"attempts"`
	Delivered int64 `json:"delivered"`
	Soft      int64 `json:"soft"`
	Hard      int64 `json:"hard"`
	Recovered int64 `json:"recovered"`
	Pending   int64 `json:"pending"`
	Expired   int64 `json:"expired"`
	// Messages is nil if it is not known: see ofMessages.
	Messages *int64 `json:"messages,omitempty"`
}

// Recipients counts each recipient of each message once, however often it was tried: the message
// was delivered, was returned or is still queued.
func Recipients(t *store.Counts) int64 { return t.Delivered + t.Hard + t.Pending }

// Totals are the counts of the whole report.
type Totals struct {
	Counts
	// Shares of the attempts that count, 0 to 1.
	DeliveredRate float64 `json:"delivered_rate"`
	SoftRate      float64 `json:"soft_rate"`
	HardRate      float64 `json:"hard_rate"`
	// NotificationSoft and NotificationHard count failures of our own notifications (null sender).
	// Soft and Hard include them.
	NotificationSoft int64 `json:"notification_soft"`
	NotificationHard int64 `json:"notification_hard"`
	// Handoff and Probe count attempts that no other count includes.
	Handoff int64 `json:"handoff"`
	Probe   int64 `json:"probe"`
	// Discarded counts mail discarded on our side: hand-offs that a content filter, an alias or a
	// transport discarded (Handoff includes them), and messages discarded as a whole.
	Discarded int64 `json:"discarded"`
	// Soft5xx counts soft failures with a 5xx reply: a greeting that Postfix defers.
	Soft5xx int64 `json:"soft_5xx"`
	// Waiting counts the recipients whose mail is queued at the end of the period, whenever it was
	// deferred first. Pending counts those of the period, as of the logs' end. Absent with a filter by
	// outcome or reason, and of a past period if too much would have to be read.
	Waiting *int64 `json:"waiting,omitempty"`
	// Previous holds the counts of the preceding period of equal length, if there is one.
	Previous *Counts `json:"previous,omitempty"`
}

// A Group holds the counts of one domain, relay, sender domain, …
type Group struct {
	Key    string `json:"key"`
	Domain string `json:"domain,omitempty"` // the key, if it is a domain
	Counts
	Recipients int64 `json:"recipients"` // recipients of messages, each once, however often it was tried
	// Refused counts failures for a reason on our side (blocklist, reputation, authentication,
	// policy, …) or without a named reason.
	Refused int64 `json:"refused"`
	Blocks  bool  `json:"blocks,omitempty"` // by relay: most mail to it is refused
	// Waiting, by provider, counts the mail that waits at the end of the period, whenever it was
	// deferred first; nil: not known. See Totals.
	Waiting *int64           `json:"waiting,omitempty"`
	Reason  bounce.Reason    `json:"reason,omitzero"` // the most frequent reason of the failures
	Reasons map[string]int64 `json:"reasons,omitempty"`
}

// A ReasonCount is the number of failed attempts with a reason.
type ReasonCount struct {
	Reason  bounce.Reason `json:"reason"`
	Scope   bounce.Scope  `json:"scope,omitzero"`
	Soft    int64         `json:"soft"`
	Hard    int64         `json:"hard"`
	Meaning string        `json:"meaning"`
	Do      []string      `json:"do"` // actions, the first one first
	// Last counts the reasons of the last temporary failure of recipients given up at the end of
	// the queue lifetime. It is absent if too much would have to be read.
	Last map[string]int64 `json:"last_temporary,omitempty"`
}

// A Recipient is an address whose mail was returned for a fault of the address, and that took no
// mail since.
type Recipient struct {
	Recipient     string        `json:"recipient"`
	Hard          int64         `json:"hard"`
	Reason        bounce.Reason `json:"reason"`
	Since         time.Time     `json:"since"`
	Last          time.Time     `json:"last"`
	LastDelivered *time.Time    `json:"last_delivered,omitempty"`
	Response      string        `json:"response,omitempty"`
}

// Coverage counts the lines of the logs by kind. The numbers are for the whole logs, regardless of
// the period, and add up: Lines is the sum of Delivery, Queue, Rejected, Skipped, Unparsed and
// Blank.
type Coverage struct {
	Files     int                `json:"files"`
	First     *time.Time         `json:"first,omitempty"`
	Last      *time.Time         `json:"last,omitempty"`
	Rotations int                `json:"rotations"` // logs that continue another
	Gaps      []Gap              `json:"gaps"`      // of the period
	Lines     int64              `json:"lines"`
	Delivery  int64              `json:"delivery"` // lines with delivery attempts
	Queue     int64              `json:"queue"`    // about messages in the queue
	Rejected  int64              `json:"rejected"` // about mail that this server refused
	Skipped   int64              `json:"skipped"`  // not about deliveries
	Unparsed  int64              `json:"unparsed"` // looked like a delivery, but was not understood
	Blank     int64              `json:"blank"`
	Repeated  int64              `json:"repeated"` // attempts that stood in "message repeated n times"
	Programs  []ProgramCount     `json:"programs"`
	Sample    []UnparsedSample   `json:"sample"`
	Reasons   []UnknownReplyText `json:"unknown_replies"`
}

// A ProgramCount is the number of lines of a program that are not about deliveries.
type ProgramCount struct {
	Program string `json:"program"`
	Lines   int64  `json:"lines"`
}

// An UnparsedSample is a line that looked like a delivery but was not understood.
type UnparsedSample struct {
	Source string `json:"source"` // path
	Offset int64  `json:"offset"`
	Text   string `json:"text"`
}

// An UnknownReplyText is a reply that no rule matches.
type UnknownReplyText struct {
	Text     string        `json:"text"`
	Attempts int64         `json:"attempts"`
	Guess    bounce.Reason `json:"guess,omitzero"` // the reason that its words suggest
}

// Build builds a report from s; all of it is of the moment of s. Errors are those of s, or name an
// unknown section or sort key.
func Build(ctx context.Context, s store.Reader, o Options) (*Report, error) {
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

	r := &Report{Location: o.Location, By: o.By, Filter: only(o.Filter), Named: len(o.Sections) > 0, Live: o.Live, Now: o.Now, asked: o.Sections, command: o.problemsCommand(), bySender: o.bySender}
	read, err := s.Coverage(ctx)
	if err != nil {
		return nil, err
	}
	sources := read.Sources
	r.Sources = make([]SourceCount, 0, len(sources))
	for _, src := range sources {
		r.Sources = append(r.Sources, SourceCount{
			Path: src.Path, Source: src.ID, First: optional(src.First), Last: optional(src.Last),
			Lines: src.Lines, Attempts: src.Attempts,
		})
	}
	slices.SortStableFunc(r.Sources, func(a, b SourceCount) int {
		var x, y time.Time
		if a.First != nil {
			x = *a.First
		}
		if b.First != nil {
			y = *b.First
		}
		return cmp.Or(x.Compare(y), strings.Compare(a.Path, b.Path))
	})
	// If one host is selected, the logs end with those of its agent.
	own := func(src store.Source) bool { return o.Filter.Host != "" && agentOf(src.ID) == o.Filter.Host }
	several := slices.ContainsFunc(sources, own)
	for _, src := range sources {
		if src.Last.After(r.AsOf) && (!several || own(src)) {
			r.AsOf = src.Last
		}
	}
	if o.Filter.Host == "" {
		if r.Hosts, err = hosts(ctx, s, o, sources); err != nil {
			return nil, err
		}
	}
	span, err := s.Span(ctx, o.Filter)
	if err != nil {
		return nil, err
	}
	r.Period = ReportPeriod{Since: optional(o.Filter.Since), Until: optional(o.Filter.Until), First: optional(known(span.First)), Last: optional(known(span.Last))}
	r.Timeless = !span.First.IsZero() && known(span.First).IsZero()
	r.hostHours = sync.OnceValues(func() (map[string][]Point, error) { return hostsOverTime(ctx, s) })
	r.hours = sync.OnceValues(func() ([]Point, error) { return ofAllHosts(r.hostHours()) })
	r.selected = r.hours
	if r.Filter != nil {
		f := Judged(o.Filter)
		f.Since, f.Until = time.Time{}, time.Time{}
		r.selected = sync.OnceValues(func() ([]Point, error) { return overTime(ctx, s, f, store.ByHour) })
	}
	r.gaps = sync.OnceValues(func() ([]Gap, error) { return r.allGaps(o.Filter, sources) })

	if r.NoVerdict, err = r.noVerdict(ctx, s, o, sources); err != nil {
		return nil, err
	}
	if err := r.build(ctx, s, o, read, wanted); err != nil {
		return nil, err
	}
	return r, nil
}

// build fills in the sections, several in parallel.
func (r *Report) build(ctx context.Context, s store.Reader, o Options, read *store.Coverage, wanted func(string) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The verdicts on providers need the problems too.
	problems := wanted(SectionProblems) || wanted(SectionVerdict) || wanted(SectionProviders)
	var wg sync.WaitGroup
	for _, part := range []func(context.Context, store.Reader, Options, func(string) bool) error{
		func(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) error {
			return r.buildCounts(ctx, s, o, read.Sources, wanted)
		},
		func(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) (err error) {
			if problems {
				find := problem.Find
				if o.Rows {
					find = problem.FindRows
				}
				r.Problems, err = find(ctx, s, Judged(o.Filter), o.Problems)
				for i := range r.Problems {
					p := &r.Problems[i]
					for j := range p.Evidence {
						if o.NoWarnings {
							p.Evidence[j].Warning = ""
						}
					}
					if p.Scan == problem.ScanFlagged {
						p.Scan = o.command(append([]string{"scan", "--flagged"}, o.RerunProblems...)...)
					} else if words, ok := strings.CutPrefix(p.Scan, "bouncelog report "); ok {
						p.Scan = o.command(append([]string{"report"}, strings.Fields(words)...)...)
					}
				}
			}
			return err
		},
		r.buildStanding,
		func(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) (err error) {
			if wanted(SectionSenders) {
				r.Senders, err = r.senders(ctx, s, o)
			}
			return err
		},
		func(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) error {
			return r.buildCoverage(ctx, s, o, read, wanted)
		},
	} {
		wg.Go(func() {
			if err := part(ctx, s, o, wanted); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if wanted(SectionPending) {
		var err error
		if r.Pending, err = r.pending(ctx, s, o); err != nil {
			return err
		}
	}
	order := append(Sections(), ListUnknown)
	slices.SortStableFunc(r.Lists, func(a, b List) int {
		return cmp.Compare(slices.Index(order, a.Section), slices.Index(order, b.Section))
	})
	if !problems {
		return nil
	}
	o.Filter = Judged(o.Filter)
	r.unreachedAfter = map[string]afterwards{}
	if err := r.addUnreached(ctx, s, o, r.judged.Rows); err != nil {
		return err
	}
	shown := wanted(SectionVerdict) || wanted(SectionProblems)
	if shown {
		if err := r.lookAround(ctx, s, o); err != nil {
			return err
		}
	}
	r.orderProblems()
	r.markPartly()
	if !shown {
		r.Problems = nil
	}
	if !wanted(SectionVerdict) {
		return nil
	}
	return r.buildVerdict(ctx, s, o)
}

// buildCounts fills in the sections that come from the counts by route.
func (r *Report) buildCounts(ctx context.Context, s store.Reader, o Options, sources []store.Source, wanted func(string) bool) (err error) {
	f := o.Filter
	if wanted(SectionTotals) || wanted(SectionVerdict) || wanted(SectionProblems) || wanted(SectionProviders) {
		t, err := totals(ctx, s, f)
		if err != nil {
			return err
		}
		all := t
		if r.Filter != nil {
			if all, err = totals(ctx, s, store.Filter{Since: f.Since, Until: f.Until}); err != nil {
				return err
			}
		}
		r.messages, r.handled = *all.Messages, all.Delivered+all.Hard+all.Pending
		if wanted(SectionTotals) || wanted(SectionVerdict) {
			r.Totals = t
		}
	}
	byProvider := wanted(SectionProviders) || wanted(SectionVerdict)
	judged := byProvider || wanted(SectionProblems) || wanted(SectionDomains) && IsProvider(o.By) // a verdict on each provider is needed
	var routes []store.Cell                                                                       // by domain and relay
	if judged || wanted(SectionChanges) {
		if routes, err = s.Count(ctx, f, store.ByDomain, store.ByRelay); err != nil {
			return err
		}
	}
	if judged || wanted(SectionTotals) || wanted(SectionPending) {
		if r.waits, err = r.queue(ctx, s, Judged(f), routes); err != nil {
			return err
		}
	}
	if r.Totals != nil && r.waits.known && !r.Filter.partly() {
		r.Totals.Waiting = &r.waits.total
	}
	stated := routes
	if judged {
		if stated, err = Stated(ctx, s, f, routes); err != nil {
			return err
		}
	}
	groups, relays := byProviders(stated)
	if judged {
		if err := r.judge(ctx, s, f, stated, groups, relays); err != nil {
			return err
		}
	}
	var then []store.Cell
	if wanted(SectionTotals) || wanted(SectionChanges) || byProvider {
		if then, err = r.compare(ctx, s, o, sources, routes, wanted); err != nil {
			return err
		}
	}
	if wanted(SectionDomains) {
		counted := routes
		if IsProvider(o.By) {
			counted = stated
		}
		byKey, err := r.groups(ctx, s, o, counted)
		if err != nil {
			return err
		}
		rows, more := r.sortedGroups(byKey, o)
		r.note(o, List{Section: SectionDomains, Shown: len(rows), Total: len(rows) + more})
		if o.By == store.ByDomain {
			r.Domains = rows
		} else {
			r.Groups = rows
		}
	}
	if byProvider {
		p := o
		p.By, p.Sort, p.Top = ByProvider, "failed", lesser(o.Top)
		rows, more := r.sortedGroups(groups, p)
		if r.Comparison == nil || !r.Comparison.Whole() {
			then = nil // it has another length
		}
		if then != nil {
			past := f
			past.Since, past.Until = r.Comparison.PreviousSince, r.Comparison.PreviousUntil
			if then, err = Stated(ctx, s, past, then); err != nil {
				return err
			}
			then = providers(then)
		}
		var waits map[string]int64
		if r.waits.known && !r.Filter.partly() {
			waits = r.waits.provider
		}
		r.ProviderTable = providerTable(groups, relays, then, p.Top, r.judged.marks(), waits)
		if !ofMessages(f) {
			r.ProviderTable.dropMessages()
		}
		if wanted(SectionProviders) {
			if waits != nil {
				for i := range rows {
					n := waits[rows[i].Key]
					rows[i].Waiting = &n
				}
			}
			r.Providers = rows
			r.note(o, List{Section: SectionProviders, Shown: len(rows), Total: len(rows) + more})
		}
	}
	return nil
}

// judge fills in the subjects of verdicts, as they were at the end of the period, regardless of a
// filter by outcome or reason. routes, groups and relays are of the mail that f selects.
func (r *Report) judge(ctx context.Context, s store.Reader, f store.Filter, routes, groups []store.Cell, relays map[string]bool) (err error) {
	if r.Filter.partly() {
		if routes, err = s.Count(ctx, Judged(f), store.ByDomain, store.ByRelay); err != nil {
			return err
		}
		if routes, err = Stated(ctx, s, Judged(f), routes); err != nil {
			return err
		}
		groups, relays = byProviders(routes)
	}
	r.routes = RoutesOf(routes)
	if groups, err = r.pendingThen(ctx, s, Judged(f), routes, groups); err != nil {
		return err
	}
	r.judged = providerTable(groups, relays, nil, 0, nil, nil)
	return nil
}

// buildStanding fills in the reasons and the recipients.
func (r *Report) buildStanding(ctx context.Context, s store.Reader, o Options, wanted func(string) bool) (err error) {
	if wanted(SectionReasons) {
		if r.Reasons, err = reasons(ctx, s, o.Filter); err != nil {
			return err
		}
		if err := lastTemporary(ctx, s, o.Filter, r.Reasons); err != nil {
			return err
		}
	}
	if wanted(SectionRecipients) {
		if err := r.recipients(ctx, s, o); err != nil {
			return err
		}
	}
	return nil
}

// buildCoverage fills in the coverage and the contradictory replies.
func (r *Report) buildCoverage(ctx context.Context, s store.Reader, o Options, read *store.Coverage, wanted func(string) bool) (err error) {
	f := o.Filter
	var replies []store.Reply
	if wanted(SectionContradictions) || wanted(SectionUnparsed) {
		if replies, err = s.Replies(ctx, f); err != nil {
			return err
		}
	}
	if wanted(SectionContradictions) {
		r.Contradictions = r.contradictions(o, replies)
	}
	if wanted(SectionTimeline) {
		if r.Timeline, err = r.timeline(ctx, s, f, o.Days); err != nil {
			return err
		}
		if _, past, _, ok := r.comparable(f, read.Sources, nil); ok {
			by := store.ByHour
			if r.ByDay {
				by = store.ByDay
			}
			if r.TimelineBefore, err = overTime(ctx, s, past, by); err != nil {
				return err
			}
		}
	}
	if wanted(SectionUnparsed) {
		gaps, err := r.gaps()
		if err != nil {
			return err
		}
		r.Unparsed, err = r.coverage(read, o, gapsWithin(gaps, f.Since, f.Until), replies)
		return err
	}
	return nil
}

// lesser returns the number of rows of the sections after the domains.
func lesser(top int) int {
	if top > 20 || top == 0 {
		return top
	}
	return min(top, 10)
}

func (r *Report) groups(ctx context.Context, s store.Reader, o Options, routes []store.Cell) ([]store.Cell, error) {
	switch o.By {
	case store.ByRelay, ByProvider:
		return providers(routes), nil
	case ByRelayHost:
		return s.Count(ctx, o.Filter, store.ByRelay)
	case store.ByDomain:
		if routes != nil { // counted already
			return merged(routes, func(r *store.Cell) string { return r.Keys[0] }), nil
		}
	case store.BySender, store.BySASLUser, store.ByClient:
		groups, err := s.Count(ctx, o.Filter, o.By)
		groups = slices.DeleteFunc(groups, func(c store.Cell) bool { return c.Keys[0] == "" })
		for i := range groups {
			if groups[i].Keys[0] == nullSender {
				groups[i].Keys[0] = ""
			}
		}
		return groups, err
	}
	return s.Count(ctx, o.Filter, o.By)
}

// nullSender is the null sender in the keys of store.BySender; the report shows it as "".
const nullSender = "<>"

const hourly = 8 * 24 * time.Hour // maximum length of a timeline by the hour

func (r *Report) timeline(ctx context.Context, s store.Reader, f store.Filter, days bool) ([]Point, error) {
	if r.Period.Last == nil {
		return []Point{}, nil
	}
	r.ByDay = days || r.Period.First == nil || r.Period.Last.Sub(*r.Period.First) > hourly
	if r.ByDay {
		return overTime(ctx, s, f, store.ByDay)
	}
	return overTime(ctx, s, f, store.ByHour)
}

// hourLayout is the layout of the keys of store.ByHour.
const hourLayout = "2006-01-02T15:04Z"

// overTime counts by hour or by day (UTC), in order.
func overTime(ctx context.Context, s store.Reader, f store.Filter, by store.Dimension) ([]Point, error) {
	groups, err := s.Count(ctx, f, by)
	if err != nil {
		return nil, err
	}
	return points(groups, by), nil
}

// hostsOverTime counts all attempts by logging host and hour.
func hostsOverTime(ctx context.Context, s store.Reader) (map[string][]Point, error) {
	cells, err := s.Count(ctx, store.Filter{}, store.ByHour, store.ByHost)
	if err != nil {
		return nil, err
	}
	groups, hosts := map[string][]store.Cell{}, map[string][]Point{}
	for i := range cells {
		groups[cells[i].Keys[1]] = append(groups[cells[i].Keys[1]], cells[i])
	}
	for host, cells := range groups {
		if list := points(cells, store.ByHour); len(list) > 0 {
			hosts[host] = list
		}
	}
	return hosts, nil
}

// ofAllHosts adds up the attempts of all hosts by hour, in order.
func ofAllHosts(hosts map[string][]Point, err error) ([]Point, error) {
	all := map[time.Time]Point{}
	for _, list := range hosts {
		for _, p := range list {
			was := all[p.Time]
			all[p.Time] = Point{p.Time, was.Delivered + p.Delivered, was.Soft + p.Soft, was.Hard + p.Hard}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b Point) int { return a.Time.Compare(b.Time) }), err
}

// points returns the counts of groups by hour or day, in order.
func points(groups []store.Cell, by store.Dimension) []Point {
	layout := hourLayout
	if by == store.ByDay {
		layout = time.DateOnly
	}
	points := make([]Point, 0, len(groups))
	for _, g := range groups {
		t, err := time.Parse(layout, g.Keys[0])
		if err != nil {
			continue // a five-digit year is a wrong timestamp: it is on no axis, but in the totals
		}
		if known(t).IsZero() {
			continue
		}
		points = append(points, Point{t, g.Delivered, g.Soft, g.Hard})
	}
	slices.SortFunc(points, func(a, b Point) int { return a.Time.Compare(b.Time) })
	return points
}

// known returns t, or zero if no line has that time.
func known(t time.Time) time.Time {
	if !when.Known(t) {
		return time.Time{}
	}
	return t
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// counts returns the counts of c; if messages is set, with the number of messages.
func counts(c *store.Tally, messages bool) Counts {
	n := Counts{c.Attempts, c.Delivered, c.Soft, c.Hard, c.Recovered, c.Pending, c.Expired, nil}
	if messages {
		n.Messages = &c.Messages
	}
	return n
}

func totals(ctx context.Context, s store.Reader, f store.Filter) (*Totals, error) {
	c, err := store.CountAll(ctx, s, f)
	if err != nil {
		return nil, err
	}
	whole, err := s.Discarded(ctx, f)
	if err != nil {
		return nil, err
	}
	t := &Totals{
		Counts:           counts(&c, ofMessages(f)),
		NotificationSoft: c.NullSoft,
		NotificationHard: c.NullHard,
		Handoff:          c.Handoff,
		Discarded:        c.Discarded + whole,
		Probe:            c.Probe,
		Soft5xx:          c.Soft5xx,
	}
	if c.Attempts > 0 {
		t.DeliveredRate = float64(c.Delivered) / float64(c.Attempts)
		t.SoftRate = float64(c.Soft) / float64(c.Attempts)
		t.HardRate = float64(c.Hard) / float64(c.Attempts)
	}
	return t, nil
}

// sortedGroups returns the groups with attempts, in order. more is the number of groups that Top
// omits.
func (r *Report) sortedGroups(groups []store.Cell, o Options) (rows []Group, more int) {
	// Omitted groups need no texts.
	list := make([]*store.Cell, 0, len(groups))
	for i := range groups {
		if g := &groups[i]; g.Attempts+g.Pending > 0 { // others have only hand-offs and probes
			list = append(list, g)
		}
	}
	key := func(g *store.Cell) int64 {
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
			if o.By == store.ByRecipient {
				return Recipients(&g.Counts)
			}
			return g.Messages
		}
		return g.Hard + g.Soft
	}
	order := func(a, b *store.Cell) int {
		if o.Sort == "key" {
			return strings.Compare(a.Keys[0], b.Keys[0])
		}
		return cmp.Or(cmp.Compare(key(b), key(a)), cmp.Compare(b.Hard, a.Hard),
			cmp.Compare(b.Attempts, a.Attempts), strings.Compare(a.Keys[0], b.Keys[0]))
	}
	var blocking map[string]bool
	if IsProvider(o.By) {
		blocking = r.judged.blocking()
	}
	if byFailed := order; blocking != nil && o.Sort == "failed" { // providers that block us
		order = func(a, b *store.Cell) int {
			return cmp.Or(cmp.Compare(bit(blocking[b.Keys[0]]), bit(blocking[a.Keys[0]])), byFailed(a, b))
		}
	}
	slices.SortFunc(list, order)
	if o.Top > 0 && len(list) > o.Top {
		more = len(list) - o.Top
		if o.By == store.ByDay || o.By == store.ByHour {
			list = list[more:] // keep the newest
		} else {
			list = list[:o.Top]
		}
	}
	messages := ofMessages(o.Filter) && o.By != store.ByReason // a message has a reason for some of its recipients only
	rows = make([]Group, 0, len(list))
	for _, g := range list {
		row := Group{Key: g.Keys[0], Counts: counts(&g.Tally, messages), Recipients: Recipients(&g.Counts)}
		if o.By == store.ByRecipient && messages {
			row.Messages = &row.Recipients // the store counts a message with its first recipient
		}
		if o.By == store.ByDomain {
			row.Domain = row.Key
		}
		row.Reason, row.Refused = mainReason(g.Reasons), refused(g.Reasons)
		row.Blocks = blocking[row.Key]
		for reason, n := range g.Reasons {
			if row.Reasons == nil {
				row.Reasons = make(map[string]int64, len(g.Reasons))
			}
			row.Reasons[reason.String()] = n
		}
		rows = append(rows, row)
	}
	return rows, more
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func reasons(ctx context.Context, s store.Reader, f store.Filter) ([]ReasonCount, error) {
	groups, err := s.Count(ctx, f, store.ByReason)
	if err != nil {
		return nil, err
	}
	rows := []ReasonCount{}
	for _, g := range groups {
		if g.Soft+g.Hard == 0 {
			continue
		}
		reason, ok := bounce.ParseReason(g.Keys[0])
		if !ok {
			return nil, fmt.Errorf("the store knows a reason %q that this program does not", g.Keys[0])
		}
		t := judge.ReasonText(reason)
		rows = append(rows, ReasonCount{Reason: reason, Scope: t.Scope, Soft: g.Soft, Hard: g.Hard, Meaning: t.Meaning, Do: slices.Clone(t.Do)})
	}
	slices.SortFunc(rows, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Soft+b.Hard, a.Soft+a.Hard), cmp.Compare(b.Hard, a.Hard), cmp.Compare(a.Reason, b.Reason))
	})
	return rows, nil
}

func (r *Report) recipients(ctx context.Context, s store.Reader, o Options) error {
	f, ok := o.Filter.Restrict(store.Faults)
	f.Outcomes = []bounce.Outcome{bounce.Hard}
	r.Recipients = []Recipient{}
	if !ok || len(o.Filter.Outcomes) > 0 && !slices.Contains(o.Filter.Outcomes, bounce.Hard) {
		return nil
	}
	f.Undelivered = true
	n := 0
	if o.Top > 0 && !r.Named { // among other sections all rows would cost more than the others together
		n = 3*o.Top + 20 // a rule may show that some are not about the address
	}
	var all []store.Recipient
	for h, err := range s.Recipients(ctx, f, n) {
		if err != nil {
			return err
		}
		all = append(all, *h)
	}
	d, err := doubtsOf(ctx, s, f, all)
	if err != nil {
		return err
	}
	seen := len(all)
	for i := range all {
		if x, ok := suppression(&all[i], 1, d); ok {
			r.Recipients = append(r.Recipients, Recipient{x.Recipient, x.Failures, x.Reason, x.Since, x.Last, x.LastDelivered, x.Response})
		}
	}
	slices.SortFunc(r.Recipients, func(a, b Recipient) int {
		return cmp.Or(cmp.Compare(b.Hard, a.Hard), b.Last.Compare(a.Last), strings.Compare(a.Recipient, b.Recipient))
	})
	l := List{Section: SectionRecipients, Total: len(r.Recipients), Least: n > 0 && seen == n}
	if l.LeftOut = seen - l.Total; l.LeftOut > 0 {
		l.WhyNot = o.command("suppress", "--why-not")
	}
	if o.Top > 0 && len(r.Recipients) > o.Top {
		r.Recipients = r.Recipients[:o.Top]
	}
	l.Shown = len(r.Recipients)
	r.note(o, l)
	return nil
}
