package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncelog/bounce"
	"bouncelog/internal/dnsscan"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

func newReport() *cobra.Command {
	x := new(reporting)
	cmd := &cobra.Command{
		Use:   "report [FILE...]",
		Short: "Report what is wrong, then soft and hard bounces and their reasons",
		Long: `The verdict first: which refusals are probably not the recipients' fault, since when,
and what to check. Then soft (4xx, to be retried) and hard (5xx, returned) failures by
provider, domain and reason, invalid recipients and the queue. Reads the database, or
the log FILEs without the database. Runs at a lower priority.`,
		Example: `  bouncelog report -d yesterday
  bouncelog report /var/log/mail.log
  bouncelog report --by provider --top 10 -o report.html`,
		RunE: x.run,
	}
	x.in.flags(cmd)
	x.out.flags(cmd, "table")
	x.sel.flags(cmd)
	x.flag.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&x.by, "by", "domain", "group by `KEY`: domain, sender-domain, provider, relay-host, reason, recipient, host, day, hour, sender, sasl-user, client")
	f.StringVar(&x.sort, "sort", "", "sort by `KEY`: "+strings.Join(report.SortKeys(), ", "))
	f.StringSliceVar(&x.sections, "section", nil, "only these sections: "+strings.Join(report.Sections(), ", "))
	f.IntVar(&x.top, "top", 20, "rows of a section")
	f.BoolVar(&x.all, "all", false, "all rows")
	f.BoolVar(&x.wide, "wide", false, "all columns and whole sentences")
	f.BoolVar(&x.redact, "redact", false, "replace local parts and logins with a hash; the key changes on every run")
	x.send.flags(cmd)
	f.BoolVar(&x.scan, "scan", false, "scan the DNS for the problems, like 'scan --flagged'")
	x.ask.flags(cmd)
	f.StringArrayVar(&x.failOn, "fail-on", nil, "exit with 4 on `CONDITION` (5: no verdict): problems, hard>5%, pending>100, silence>2h")
	groupUsage(cmd, reportGroups)
	return cmd
}

// A reporting is a run of the command report: its options, and those of the report.
type reporting struct {
	in       input
	out      output
	sel      selection
	send     mailing
	by, sort string
	redact   bool
	sections []string
	top      int
	all      bool
	wide     bool
	failOn   []string
	flag     thresholds
	ask      dnsAsk
	scan     bool

	form       table.Format
	conditions []condition
	client     *dnsscan.Client // nil: no DNS scan
	made       string          // the command line that makes the same report
}

func (x *reporting) run(cmd *cobra.Command, args []string) error {
	stepBack()
	o, err := x.options(cmd, args)
	if err != nil {
		return err
	}
	db, unread, err := x.in.database(cmd, args)
	if err != nil {
		return err
	}
	defer db.Close()
	// What is read in batches is garbage soon: a tenth less memory, at no cost that
	// could be measured. GOGC overrides it.
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(50))
	}
	reader, err := db.Read(cmd.Context())
	if err != nil {
		return err
	}
	defer reader.Close()
	r, err := report.Build(cmd.Context(), reader, o)
	if err != nil {
		return err
	}
	if err := tellUnmatched(cmd, reader, r); err != nil {
		return err
	}
	if err := x.write(cmd, r); err != nil {
		return err
	}
	if x.oneTable() {
		if l := r.List(o.Sections[0]); l != nil && l.Cut() {
			fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %s: %s rows\nhint: all: %s\n", l.Section, l.Words(), table.Clean(l.More))
		}
	}
	if err := errors.Join(reader.Close(), db.Close()); err != nil {
		return err
	}
	if err := x.fails(r, o.Now); err != nil {
		return err
	}
	if unread {
		return &exitError{status: exitPartly}
	}
	return nil
}

// oneTable reports whether the format has room for one section only.
func (x *reporting) oneTable() bool { return x.form == table.FormatCSV || x.form == table.FormatTSV }

// options checks the command line and returns the options of the report.
func (x *reporting) options(cmd *cobra.Command, args []string) (o report.Options, err error) {
	if x.form, err = x.out.form(table.FormatTable); err != nil {
		return o, err
	}
	if err := x.send.check(); err != nil {
		return o, err
	}
	if x.conditions, err = parseConditions(x.failOn); err != nil {
		return o, err
	}
	if err := x.flag.check(); err != nil {
		return o, err
	}
	filter, loc, err := x.sel.filter(&x.in)
	if err != nil {
		return o, err
	}
	o = report.Options{Filter: filter, Location: loc, By: store.Dimension(x.by), Sort: x.sort, Top: x.top, Sections: x.sections, Problems: x.flag.options()}
	o.Now = time.Now().In(loc)
	o.Live = len(args) == 0 || x.sel.since != "" || x.sel.until != "" || x.sel.day != ""
	o.Rerun = rerun(cmd, filter, loc, args)
	if len(args) == 0 {
		o.Positions = strings.Join(append([]string{"bouncelog", "db", "info"}, changed(cmd, []string{"db"})...), " ")
	}
	o.RerunProblems = changed(cmd, problemOptions())
	o.RerunReport = changed(cmd, []string{"redact"})
	x.made = strings.Join(append([]string{"bouncelog", "report"}, append(changed(cmd, formOptions), o.Rerun...)...), " ")
	if x.all {
		o.Top = 0
	}
	if err := checkReportOptions(o); err != nil {
		return o, err
	}
	if x.oneTable() {
		if len(o.Sections) == 0 {
			o.Sections = []string{report.SectionDomains}
		} else if len(o.Sections) > 1 {
			return o, usageErrorf("ask for one, as in --section domains", "%s has room for one section", x.form)
		} else if o.Sections[0] == report.SectionVerdict {
			return o, usageErrorf("--section problems has one; --format json has the verdict", "the section %s has no table", o.Sections[0])
		}
	}
	if x.scan {
		if x.form != table.FormatTable && x.form != table.FormatJSON || len(x.send.to) > 0 {
			return o, usageErrorf("'bouncelog scan --flagged' has every format", "--scan goes with the formats table and json, and not with --mail-to")
		}
		if len(o.Sections) > 0 && !slices.Contains(o.Sections, report.SectionProblems) {
			return o, usageErrorf("add it to --section", "--scan needs the section problems")
		}
		if x.client, err = x.ask.client(); err != nil {
			return o, err
		}
	}
	return o, nil
}

// write scans the DNS if that was requested, and prints or mails the report.
func (x *reporting) write(cmd *cobra.Command, r *report.Report) (err error) {
	var found []dnsscan.Finding
	if x.scan {
		var s subjects
		s.addFlagged(cmd, r.Problems)
		if found, err = x.ask.findings(cmd.Context(), x.client, s); err != nil {
			return err
		}
		r.Scan = append([]dnsscan.Finding{}, found...)
	}
	if x.redact {
		if err := r.Redact(); err != nil {
			return err
		}
	}
	if len(x.send.to) > 0 {
		if err := x.send.send(cmd.Context(), r, x.wide, x.made); err != nil {
			return err
		}
		if x.out.file == "" {
			return nil
		}
	}
	return x.out.write(cmd, func(w io.Writer) error {
		how := look(w)
		how.Wide, how.Made, how.Host = x.wide, x.made, hostName()
		if err := render.Report(w, r, x.form, how); err != nil || len(found) == 0 || x.form != table.FormatTable {
			return err
		}
		fmt.Fprintln(w, "\nFindings of the DNS scan")
		return tellFindings(w, found, x.ask.blocklists())
	})
}

// fails returns an error if the report meets a condition of --fail-on, or if it has no verdict on
// one.
func (x *reporting) fails(r *report.Report, now time.Time) error {
	for _, c := range x.conditions {
		met, err := c.met(r, now)
		if err != nil {
			return err
		}
		if met != "" {
			return &exitError{status: exitCondition, err: errors.New(met)}
		}
	}
	if r.NoVerdict != "" && slices.ContainsFunc(x.conditions, func(c condition) bool { return c.what != "silence" }) {
		return &exitError{status: exitUnknown, err: errors.New("--fail-on cannot be judged: " + r.NoVerdict), hint: "check the filter and the period; 'bouncelog report --section unparsed' says what the logs cover"}
	}
	return nil
}

// reportGroups are the options of report in its help text.
var reportGroups = []flagGroup{
	{title: "Logs", flags: []string{"db", "year", "tz"}},
	{title: "Selection", flags: []string{"day", "since", "until", "domain", "sender-domain", "relay", "host", "mta", "outcome", "reason"}},
	{title: "Content", flags: []string{"by", "sort", "section", "top", "all", "wide", "redact", "scan"}},
	{title: "Output", flags: []string{"format", "output", "mail-to", "fail-on"}},
	{title: "More, explained in bouncelog-report(1)", named: []string{
		"logs:       --rules, --config",
		"mail:       --mail-from, --sendmail, --smtp",
		"DNS:        --resolver, --timeout, --helo, --blocklist, --domain-blocklist, --no-blocklists",
		"thresholds: --problem-{recipients,messages,share,chance,window,past,valid}",
	}},
}

func checkReportOptions(o report.Options) error {
	if o.By != store.ByRelay && !slices.Contains(groupings(), string(o.By)) { // its old name
		return usageErrorf("valid values: domain, sender-domain, provider, relay-host, reason, recipient, host, day, hour, and of failures sender, sasl-user, client", "--by: unknown grouping %q", o.By)
	}
	if o.Top < 0 {
		return usageErrorf("--all shows all", "--top %d: not a number of rows", o.Top)
	}
	if err := o.Check(); err != nil {
		return usageErrorf("", "%w", err)
	}
	return nil
}

// tellUnmatched warns of a filter that matches nothing, and names what there is.
func tellUnmatched(cmd *cobra.Command, s store.Reader, r *report.Report) error {
	if r.Filter == nil || r.Period.First != nil || r.Timeless {
		return nil
	}
	ctx, hint := cmd.Context(), ""
	if r.Filter.Host != "" {
		cells, err := s.Count(ctx, store.Filter{}, store.ByHost)
		if err != nil {
			return err
		}
		var names []string
		for i := range cells {
			names = append(names, table.Clean(table.Cut(cells[i].Keys[0], 64)))
		}
		slices.Sort(names)
		if !slices.Contains(names, r.Filter.Host) {
			hint = "hosts in the logs: " + strings.Join(names[:min(len(names), hintNames)], ", ")
			if more := len(names) - hintNames; more > 0 {
				hint += fmt.Sprintf(" and %d more", more)
			}
		}
	}
	if r.Filter.MTA != "" {
		other := bounce.Postfix
		if r.Filter.MTA == other {
			other = bounce.Exim
		}
		if span, err := s.Span(ctx, store.Filter{MTA: other}); err != nil {
			return err
		} else if !span.First.IsZero() {
			hint = cmp.Or(hint, fmt.Sprintf("there are attempts of %s", other))
		}
	}
	for _, domain := range []string{r.Filter.Domain, r.Filter.SenderDomain} {
		if _, domain, found := strings.Cut(domain, "@"); found {
			hint = cmp.Or(hint, "a domain is the part behind the @: "+table.Clean(table.Cut(domain, 255)))
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: no attempts match the filter: %s\nhint: %s\n", table.Clean(table.Cut(r.Filter.String(), 500)),
		cmp.Or(hint, "run the report without the filter to see the names that there are"))
	return nil
}

const hintNames = 10 // named in a hint

// A condition makes the report end with a status of its own, for monitoring.
type condition struct {
	word  string
	what  string // problems, silence, or one of the counts
	limit float64
	share bool          // limit is a percentage of the attempts
	age   time.Duration // of silence
}

func parseConditions(words []string) ([]condition, error) {
	const hint = "write problems, or like hard>5%, pending>100 or silence>2h"
	var list []condition
	for _, word := range words {
		c := condition{word: word, what: word}
		what, limit, compared := strings.Cut(word, ">")
		c.what, limit = strings.TrimSpace(what), strings.TrimSpace(limit)
		var err error
		switch {
		case !compared && c.what == "problems":
		case !compared:
			return nil, usageErrorf(hint, "--fail-on %s: not a condition", word)
		case c.what == "silence":
			if c.age, err = duration(limit); err != nil {
				return nil, usageErrorf("write it like silence>2h or silence>1d", "--fail-on %s: %q is not a length of time", word, limit)
			}
		default:
			limit, c.share = strings.CutSuffix(limit, "%")
			if c.limit, err = strconv.ParseFloat(strings.TrimSpace(limit), 64); err != nil || !(c.limit >= 0) {
				return nil, usageErrorf(hint, "--fail-on %s: %q is not a number", word, limit)
			}
		}
		if _, ok := c.count(report.Counts{}); !ok && c.what != "problems" && c.what != "silence" {
			return nil, usageErrorf("valid values: problems, silence, soft, hard, pending, expired, recovered, delivered, attempts", "--fail-on %s: nothing called %q is counted", word, c.what)
		}
		list = append(list, c)
	}
	return list, nil
}

func (c condition) count(n report.Counts) (int64, bool) {
	switch c.what {
	case "soft":
		return n.Soft, true
	case "hard":
		return n.Hard, true
	case "pending":
		return n.Pending, true
	case "expired":
		return n.Expired, true
	case "recovered":
		return n.Recovered, true
	case "delivered":
		return n.Delivered, true
	case "attempts":
		return n.Attempts, true
	}
	return 0, false
}

// met returns the finding that meets the condition, in words; "": none does.
func (c condition) met(r *report.Report, now time.Time) (string, error) {
	switch c.what {
	case "silence":
		if r.AsOf.IsZero() {
			return "nothing was ever logged", nil
		}
		if ahead := r.AsOf.Sub(now); ahead > c.age {
			return fmt.Sprintf("the newest log line lies %s in the future, so that silence cannot be judged: a clock or the time zone (--tz) is wrong", when.Span(ahead)), nil
		}
		if age := now.Sub(r.AsOf); age > c.age {
			return fmt.Sprintf("the newest log line is %s old, more than %s", when.Span(age), when.Span(c.age)), nil
		}
		for _, h := range r.Hosts { // none where one host is asked for
			if h.Newest != nil && now.Sub(*h.Newest) > c.age {
				return fmt.Sprintf("the newest log line of %s is %s old, more than %s", h.Name, when.Span(now.Sub(*h.Newest)), when.Span(c.age)), nil
			}
		}
		return "", nil
	case "problems":
		if r.Problems == nil {
			return "", usageErrorf("add it to --section", "--fail-on %s needs the section problems", c.word)
		}
		if n := r.Alarms(); float64(n) > c.limit {
			return table.Count(int64(n), "problem") + " on the sending side", nil
		}
		return "", nil
	}
	if r.Totals == nil {
		return "", usageErrorf("add it to --section", "--fail-on %s needs the section totals", c.word)
	}
	n, _ := c.count(r.Totals.Counts)
	if c.share {
		if r.Totals.Attempts == 0 {
			return "", nil
		}
		if share := 100 * float64(n) / float64(r.Totals.Attempts); share > c.limit {
			return fmt.Sprintf("%s is %.1f %% of the attempts, more than %g %%", c.what, share, c.limit), nil
		}
		return "", nil
	}
	if float64(n) > c.limit {
		return fmt.Sprintf("%s is %d, more than %g", c.what, n, c.limit), nil
	}
	return "", nil
}

// formOptions shape a report, but select nothing.
var formOptions = []string{"by", "sort", "section", "top", "all", "redact"}

// rerun returns the words of a command line that selects the same attempts later: the period as
// points in time instead of words such as "yesterday", and the logs.
func rerun(cmd *cobra.Command, f store.Filter, loc *time.Location, logs []string) []string {
	words := changed(cmd, selectOptions)
	if len(logs) == 0 {
		words = append(changed(cmd, []string{"db"}), words...)
	}
	stamp := func(t time.Time) string {
		t = t.In(loc)
		switch {
		case t.Hour()+t.Minute()+t.Second() == 0:
			return t.Format(time.DateOnly)
		case t.Second() == 0:
			return t.Format("2006-01-02T15:04")
		}
		return t.Format("2006-01-02T15:04:05")
	}
	since, until := stamp(f.Since), stamp(f.Until)
	switch last := stamp(f.Until.In(loc).AddDate(0, 0, -1)); {
	case f.Since.IsZero() || f.Until.IsZero() || len(since) != len(time.DateOnly) || len(until) != len(time.DateOnly):
		if !f.Since.IsZero() {
			words = append(words, "--since", since)
		}
		if !f.Until.IsZero() {
			words = append(words, "--until", until)
		}
	case since == last:
		words = append(words, "-d", since)
	default:
		words = append(words, "-d", table.ShellWord(since+" to "+last))
	}
	for _, log := range logs {
		if log == "-" {
			log = "FILE" // what standard input held is gone
		}
		words = append(words, table.ShellWord(log))
	}
	return words
}
