// Package report makes the report: which mail failed, why, who has to act, and which failures are
// probably not the recipients' fault. It queries a store.Reader; package report/render prints the
// result.
package report

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
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

// A Change is a domain, a provider or a reason whose failures differ from those of the previous
// period, or a total that is many times as large.
type Change struct {
	Kind   string `json:"kind"`   // domain, provider, reason, total
	Key    string `json:"key"`    // of a total: messages, deferrals
	Change string `json:"change"` // new, worse, more, solved
	// Recipients counts the recipients of messages that failed, each once, however often it was
	// tried. For a reason it counts those to whom mail was returned for it, for a total the messages
	// or the deferred attempts. The change is derived from these numbers.
	Recipients       int64 `json:"recipients"`
	RecipientsBefore int64 `json:"recipients_before"`
	// Messages and MessagesBefore are older names of the same.
	Messages       int64         `json:"messages"`
	MessagesBefore int64         `json:"messages_before"`
	Failed         int64         `json:"failed"` // attempts, soft and hard
	Hard           int64         `json:"hard"`
	Before         int64         `json:"failed_before"`
	Attempts       int64         `json:"attempts"`        // if the kind has its own number
	Reason         bounce.Reason `json:"reason,omitzero"` // the most frequent: of this period, or of the previous one if solved
	// Mail is the sender and the recipient of most of the deferrals that are more than before.
	Mail *MailOf `json:"mail,omitempty"`
}

// A MailOf counts the attempts of the mail of one sender to one recipient.
type MailOf struct {
	Sender    string `json:"sender"`
	Recipient string `json:"recipient"`
	Attempts  int64  `json:"attempts"`
}

// A Comparison compares the period with the previous one. It uses only the hours that the logs
// cover in both: if two days of the previous week are covered, it compares these two days of each
// week.
type Comparison struct {
	Since         time.Time `json:"since"`
	Until         time.Time `json:"until"`
	PreviousSince time.Time `json:"previous_since"`
	PreviousUntil time.Time `json:"previous_until"`
	// Hours is the length of the previous period, Covered its compared part, in hours.
	Hours   int `json:"hours"`
	Covered int `json:"covered_hours"`
	// Without holds the gaps of both periods; their hours are excluded from both.
	Without []Gap  `json:"without,omitempty"`
	Counts  Counts `json:"counts"` // from Since to Until
	Before  Counts `json:"previous"`

	parts [][2]time.Duration // compared parts, as offsets from the start of each period
}

// A Gap is a stretch without a delivery attempt where many are usual.
type Gap struct {
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Expected int64     `json:"expected"`           // usual number of attempts
	Rotation []string  `json:"rotation,omitempty"` // the two logs around the gap
	Host     string    `json:"host,omitempty"`     // only of this host: others log meanwhile
}

// A Host is a mail host in a database that several hosts share: the newest line that its agent
// stored, and whether it is silent.
type Host struct {
	Name     string     `json:"host"` // name of the agent: see ingest.Options
	Newest   *time.Time `json:"newest_line,omitempty"`
	Age      float64    `json:"age_seconds,omitempty"` // age of the newest line, for logs that are still written
	Lines    int64      `json:"lines"`
	Attempts int64      `json:"attempts"`
	// Silent: no line came for longer than is usual at this time of day. Expected is the usual
	// number of attempts in that time; 0: not known.
	Silent   bool  `json:"silent,omitempty"`
	Expected int64 `json:"expected,omitempty"`
}

// A Verdict is the report in one sentence, with the problems to act on.
type Verdict struct {
	Status   string `json:"status"`
	Sentence string `json:"sentence"`
	// Phrases are the parts of the sentence; a rendering emphasises the worst.
	Phrases []Phrase `json:"-"`

	Going int `json:"going_on"`              // incidents that go on at the end of the period
	Over  int `json:"ended_since,omitempty"` // those of Going that ended after the period
	// Act holds at most five ongoing incidents and other problems to examine. Order: ongoing before
	// ended, ours before others', then by mail returned or waiting a day and by recipients known to be
	// valid.
	Act   []Incident `json:"act"`
	More  int        `json:"more,omitempty"` // ongoing incidents that are not in Act
	Ended []Incident `json:"ended"`          // in the order of Act
	// Later holds the incidents that are none of the period and go on at the end of the logs, if that is
	// at most a day later.
	Later []Incident `json:"later,omitempty"`
	// EndedBefore holds the incidents that went on according to the report of the period before, have
	// ended, and have no refusal in the period.
	EndedBefore []Incident `json:"ended_before,omitempty"`
	// Quiet is the time of the last attempt that the section providers counts as refused, if no
	// incident goes on.
	Quiet *time.Time `json:"quiet_since,omitempty"`
	// Background holds the refusals that are no incident.
	Background *Background `json:"background,omitempty"`

	// Newest is the time of the newest line of the logs. Age is its age at the time of the report,
	// for logs that are still written.
	Newest *time.Time `json:"newest_line,omitempty"`
	Age    float64    `json:"age_seconds,omitempty"`
	// Ahead is how far the newest line lies in the future, at least a minute; 0: not at all.
	// Otherwise a clock or a time zone is wrong, and a silence of the log cannot be detected.
	Ahead float64 `json:"ahead_seconds,omitempty"`
	// Silence: the logs end before the period, by more than is usual at this time of day.
	Silence *Silence `json:"silence,omitempty"`
	// Gaps are the stretches of the period without a log.
	Gaps []Gap `json:"gaps,omitempty"`
	// HostGaps are gaps of single hosts, while others log.
	HostGaps []Gap `json:"host_gaps,omitempty"`
	// SilentHosts are the silent ones of several mail hosts, while others log.
	SilentHosts []Host `json:"silent_hosts,omitempty"`
}

// A Phrase is a part of a sentence.
type Phrase struct {
	Text string
	Bad  bool
}

// A Silence is a time without log lines at the end of the period.
type Silence struct {
	Since    time.Time `json:"since"`
	Seconds  float64   `json:"seconds"`
	Expected int64     `json:"expected"` // usual number of attempts that the filter selects; 0: not known
	Command  string    `json:"command"`
}

// Background holds the refusals of every day: few, and a small part of the mail to the same
// providers.
type Background struct {
	Messages  int         `json:"messages"`
	Providers int         `json:"providers"`
	Share     table.Share `json:"share"` // of all messages
	Command   string      `json:"command"`
}

// An Incident is a problem as a report shows it: with one window of time, and the same figures
// everywhere.
type Incident struct {
	ID      string       `json:"id"`                // problem.Problem.ID
	Problem *int         `json:"problem,omitempty"` // index in the problems, from 0; nil: from no report
	Level   string       `json:"level"`
	Title   string       `json:"title"`
	Short   string       `json:"short"` // the title without the cause
	Ours    bool         `json:"ours"`
	Scope   bounce.Scope `json:"scope,omitzero"` // who has to act
	Ongoing bool         `json:"ongoing"`        // at the end of the period
	// EndUnknown as in problem.Problem.
	EndUnknown bool `json:"end_unknown,omitempty"`

	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"` // the last refusal
	Ended   string    `json:"ended,omitempty"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	// EndedAfter is the last refusal, if no log was read of a time between it and the end: the incident
	// ended between the two.
	EndedAfter time.Time `json:"ended_after,omitzero"`
	// Earlier: Since lies before the period. All figures are for the period.
	Earlier bool `json:"began_before_period,omitempty"`
	// After tells how an incident continued that went on at the end of the period; "": not known.
	// AfterEnded is its end.
	After      string    `json:"after_period,omitempty"`
	AfterEnded time.Time `json:"after_period_ended_at,omitzero"`

	// Refused of Tried messages since Since; Before of BeforeTried earlier. A Tried of 0 is not
	// known.
	Refused     int         `json:"refused"`
	Tried       int         `json:"tried,omitempty"`
	Before      int         `json:"before,omitempty"`
	BeforeTried int         `json:"before_tried,omitempty"`
	Share       table.Share `json:"share"`  // of all messages of the period
	Effect      string      `json:"effect"` // see problem.Problem
	Lost        int         `json:"lost"`   // messages returned to their senders
	LostPerDay  float64     `json:"lost_per_day"`
	Waiting     int         `json:"waiting"` // messages that may still be returned: see problem.Problem
	Recipients  int         `json:"recipients"`
	Valid       int         `json:"valid"` // those known to be valid

	SenderDomains []string         `json:"sender_domains,omitempty"`
	Providers     []string         `json:"providers,omitempty"`
	ProviderNames []string         `json:"provider_names,omitempty"` // common names of Providers; nil if they are the same
	Addresses     []string         `json:"addresses,omitempty"`
	Origins       []problem.Origin `json:"origins,omitempty"` // see problem.Problem
	Sender        *problem.Mostly  `json:"sender,omitempty"`  // see problem.Problem
	Hours         []problem.Hour   `json:"-"`
	Reply         string           `json:"reply,omitempty"`
	Warning       string           `json:"warning,omitempty"` // the MTA's warning just before such a failure
	Why           string           `json:"why,omitempty"`
	Check         string           `json:"check"`
	Otherwise     string           `json:"other_explanation,omitempty"`
	Disproved     string           `json:"disproved_by,omitempty"`
	Command       string           `json:"command"`
	ListSenders   string           `json:"list_senders,omitempty"` // command that lists many SenderDomains

	// Stuck: the provider takes no mail for a reason of its own. Refused counts the mail that is
	// not delivered.
	Stuck bool           `json:"stuck,omitempty"`
	Queue *problem.Queue `json:"queue,omitempty"` // see problem.Problem
	Sent  *problem.Sent  `json:"sent,omitempty"`  // see problem.Problem
	// Remains: see problem.Problem.Remains.
	Remains bool `json:"-"`
	// SendAgain: see problem.Problem.SendAgain.
	SendAgain bool `json:"-"`

	noise   bool
	expired bool // some of the returned messages expired
}

// A ProviderTable has the most important providers, and the sums of the others, so that each column
// adds up to its total.
type ProviderTable struct {
	Rows  []ProviderRow `json:"rows"`
	Small *ProviderRow  `json:"small,omitempty"`  // providers with too few messages for a verdict
	Rest  *ProviderRow  `json:"others,omitempty"` // all other providers
	Total ProviderRow   `json:"total"`
	// Compared reports whether RefusedBefore is known.
	Compared bool `json:"compared"`
}

// A ProviderRow holds the counts of a provider, or the sums of several.
type ProviderRow struct {
	Provider  string `json:"provider,omitempty"`
	Providers int    `json:"providers"` // number of providers in the row
	Attempts  int64  `json:"attempts"`
	Delivered int64  `json:"delivered"`
	Soft      int64  `json:"soft"`
	// Waiting counts the mail that waits at the end of the period, whenever it was deferred first, once
	// for each recipient. See Totals.
	Waiting int64 `json:"waiting"`
	Hard    int64 `json:"hard"`
	// Messages counts a message for each domain of its recipients; 0: not known.
	Messages   int64 `json:"messages,omitempty"`
	Recipients int64 `json:"recipients"`      // recipients of messages, each once, however often it was tried
	Failed     int64 `json:"failed_messages"` // messages that failed at least once
	// Refused and RefusedBefore count failures for a reason on our side or an unnamed one, in the
	// period and in the previous one.
	Refused       int64         `json:"refused"`
	RefusedBefore int64         `json:"refused_before"`
	Reason        bounce.Reason `json:"reason,omitzero"`
	Mark          string        `json:"verdict,omitempty"`

	pending int64 // the part of Waiting that was first deferred in the period
	relay   bool  // it has relays of its own
}

// An afterwards is the course of an incident after the period; see Incident.After.
type afterwards struct {
	state string
	ended time.Time
	last  time.Time // the last refusal before it; zero: that of the period
}

// Only is the filter of a report without its period.
type Only struct {
	Domain       string           `json:"domain,omitempty"` // of the recipient
	SenderDomain string           `json:"sender_domain,omitempty"`
	Relay        string           `json:"relay,omitempty"`
	Host         string           `json:"host,omitempty"` // the host that logged
	MTA          bounce.MTA       `json:"mta,omitempty"`
	Outcomes     []bounce.Outcome `json:"outcomes,omitempty"` // any of them
	Reasons      []bounce.Reason  `json:"reasons,omitempty"`  // any of them
}

// Routes map attempts to providers, as the tables of a report count them.
type Routes struct {
	usual *usual
	cells []store.Cell
}

// usual maps a domain to the provider that receives most of its mail. If an attempt reached no
// relay, it counts with that provider. A hop of one's own, such as a content filter, does not
// count, unless all mail leaves through it.
type usual struct {
	most map[string]*store.Cell // by domain
	of   map[string]string      // provider by relay
}

// A List tells how much of a section's list the report holds.
type List struct {
	Section string `json:"section"` // or ListUnknown
	Shown   int    `json:"shown"`
	Total   int    `json:"total"`
	// Least: there are more than Total; the count stopped there.
	Least bool   `json:"at_least,omitempty"`
	More  string `json:"more,omitempty"` // command that shows the whole list
	// LeftOut is the number of candidates that are not of the list, and WhyNot the command that says why
	// each is not.
	LeftOut int    `json:"left_out,omitempty"`
	WhyNot  string `json:"why_not,omitempty"`
}

// A queue is the mail that waits at the end of the period, whenever it was deferred first: by
// recipients of messages.
type queue struct {
	known    bool
	total    int64
	provider map[string]int64
	list     []*Wait // of a past period, the oldest first
	// pending is the part that was first deferred within a past period.
	pending map[string]int64
}

// A Contradiction is a kind of replies whose parts contradict each other, or whose code contradicts
// the MTA's decision.
type Contradiction struct {
	Kind     string               `json:"kind"`
	Meaning  string               `json:"meaning"`
	Attempts int64                `json:"attempts"`
	Replies  []ContradictoryReply `json:"replies"` // the most frequent
}

// A ContradictoryReply is an example with its count.
type ContradictoryReply struct {
	Text     string `json:"text"`
	Attempts int64  `json:"attempts"`
}

// Pending is a recipient of a message that is still queued, with the reason.
type Pending struct {
	Recipient string        `json:"recipient"`
	Sender    *string       `json:"sender,omitempty"` // "": the null sender; absent: not known
	QueueID   string        `json:"queue_id"`
	Host      string        `json:"host,omitempty"`
	Arrived   *time.Time    `json:"arrived,omitempty"`
	FirstSoft time.Time     `json:"first_soft"`
	LastTry   time.Time     `json:"last_try"`
	Relay     string        `json:"relay,omitempty"`
	Reason    bounce.Reason `json:"reason"`
	Code      uint16        `json:"code,omitempty"`
	Response  string        `json:"response"`
	Frozen    bool          `json:"frozen,omitempty"` // held until somebody acts; not retried
}

// Senders holds the failed attempts by sender, login and client: a stolen account or an abused form
// stands out.
type Senders struct {
	// Since is the start of the counts if they do not cover the whole period: with very many
	// failures only the last day is counted.
	Since     *time.Time    `json:"since,omitempty"`
	Senders   []SenderCount `json:"senders"`    // by envelope sender
	SASLUsers []SenderCount `json:"sasl_users"` // by login
	Clients   []SenderCount `json:"clients"`    // by the address that submitted the mail
}

// A SenderCount holds the failed attempts of one sender, login or client.
type SenderCount struct {
	Key    string        `json:"key"`
	Failed int64         `json:"failed"`
	Soft   int64         `json:"soft"`
	Hard   int64         `json:"hard"`
	Share  float64       `json:"share"` // of all hard failures, 0 to 1
	Reason bounce.Reason `json:"reason"`
}
