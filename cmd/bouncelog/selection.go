package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/store"
	"bouncelog/store/sqlite"
)

// selection is which attempts a question is about.
type selection struct {
	since, until, day                 string
	domain, senderDomain, relay, host string
	mta                               string
	outcomes, reasons                 []string

	cmd *cobra.Command // whose flags they are; nil: of none
}

func (s *selection) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.since, "since", "", "from this `TIME` on: 2026-11-22, \"2026-11-22 14:05\", 24h, 7d")
	f.StringVar(&s.until, "until", "", "before this `TIME`")
	f.StringVarP(&s.day, "day", "d", "", "`PERIOD`: yesterday, monday, last_week, 2026-11, 2026-11-22, \"A to B\"")
	s.placeFlags(cmd)
	f.StringSliceVar(&s.outcomes, "outcome", nil, "only these outcomes: delivered, soft, hard, handoff, probe")
	f.StringSliceVar(&s.reasons, "reason", nil, "only these reasons (see 'bouncelog explain --reasons')")
}

// placeFlags select by where mail came from and went, and not by time or outcome.
func (s *selection) placeFlags(cmd *cobra.Command) {
	s.cmd = cmd
	f := cmd.Flags()
	f.StringVar(&s.domain, "domain", "", "only recipients in this domain")
	f.StringVar(&s.senderDomain, "sender-domain", "", "only senders in this domain")
	f.StringVar(&s.relay, "relay", "", "only relays whose name is or ends with this")
	f.StringVar(&s.host, "host", "", "only this logging host")
	f.StringVar(&s.mta, "mta", "", "only postfix or exim")
}

// filter is what it selects, and the time zone that its times are in.
func (s *selection) filter(in *input) (store.Filter, *time.Location, error) {
	loc, err := in.location()
	if err != nil {
		return store.Filter{}, nil, err
	}
	f, err := s.filterAt(time.Now().In(loc))
	return f, loc, err
}

func (s *selection) filterAt(now time.Time) (store.Filter, error) {
	f := store.Filter{
		Domain: ascii.Lower(s.domain), SenderDomain: ascii.Lower(s.senderDomain),
		Relay: ascii.Lower(s.relay), Host: s.host, MTA: bounce.MTA(s.mta),
	}
	for _, name := range placeOptions {
		if s.cmd == nil {
			break
		}
		if flag := s.cmd.Flag(name); onCommandLine(flag) && flag.Value.String() == "" {
			return f, usageErrorf("leave the option out to select all", "--%s is empty", name)
		}
	}
	if s.day != "" {
		if s.since != "" || s.until != "" {
			return f, usageErrorf("say either the one or the other", "--day goes with neither --since nor --until")
		}
		p, err := when.ParsePeriod(s.day, now)
		if err != nil {
			return f, usageErrorf("a period is today, yesterday, monday, last_week, last_7_days, 2026-W47, 2026-11, 2026-11-22 or \"2026-11-01 to 2026-11-15\"", "--day: %w", err)
		}
		f.Since, f.Until = p.Since, p.Until
	}
	for _, end := range []struct {
		flag, word string
		t          *time.Time
	}{{"--since", s.since, &f.Since}, {"--until", s.until, &f.Until}} {
		if end.word == "" {
			continue
		}
		t, err := when.ParseTime(end.word, now)
		if err != nil {
			return f, usageErrorf("a time is 2026-11-22, yesterday, \"2026-11-22 14:05\", 2026-11-22T14:05:00+01:00, or 24h or 7d for as long ago", "%s: %w", end.flag, err)
		}
		*end.t = t
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f, usageErrorf("", "the period ends before it begins")
	}
	switch f.MTA {
	case "", bounce.Postfix, bounce.Exim:
	default:
		return f, usageErrorf("there are postfix and exim", "--mta %s: no such MTA", s.mta)
	}
	for _, word := range s.outcomes {
		o, ok := bounce.ParseOutcome(word)
		if !ok || o == bounce.NoOutcome {
			return f, usageErrorf("there are delivered, soft, hard, handoff and probe", "--outcome %s: no such outcome", word)
		}
		f.Outcomes = append(f.Outcomes, o)
	}
	for _, word := range s.reasons {
		r, ok := bounce.ParseReason(word)
		if !ok || r == bounce.NoReason {
			return f, usageErrorf("'bouncelog explain --reasons' lists them", "--reason %s: no such reason", word)
		}
		f.Reasons = append(f.Reasons, r)
	}
	return f, nil
}

// placeOptions are those of placeFlags.
var placeOptions = []string{"domain", "sender-domain", "relay", "host", "mta"}

// database is what a question is put to: the logs that were named, read into a
// database that is gone afterwards, or else the database of --db.
func (in *input) database(cmd *cobra.Command, paths []string) (db store.Store, unread bool, err error) {
	if len(paths) == 0 {
		db, err = openForReading(cmd)
		return db, false, err
	}
	if onCommandLine(cmd.Flag("db")) {
		fmt.Fprintln(cmd.ErrOrStderr(), "bouncelog: --db is not used: the logs that are named are read by themselves\nhint: 'bouncelog import FILE' adds them to the database")
	}
	judge, err := in.judge()
	if err != nil {
		return nil, false, err
	}
	temporary, err := sqlite.Open(cmd.Context(), "", sqlite.Options{Temporary: true})
	if err != nil {
		return nil, false, err
	}
	lift := limitHeap()
	n, unread, err := in.read(cmd, temporary, judge, paths)
	lift() // a report may hold more, and would do little but collect garbage
	if err == nil && unread && n.Attempts == 0 && n.Lines == 0 {
		err = &exitError{status: exitPartly} // nothing could be read, and why has been said
	}
	if err != nil {
		return nil, false, errors.Join(err, temporary.Close())
	}
	return temporary, unread, nil
}

// selectOptions say which attempts a question is about, but for the period.
var selectOptions = slices.Concat([]string{"config", "tz", "year", "rules"}, placeOptions, []string{"outcome", "reason"})

// problemOptions are the thresholds, under both of their names: report and scan have
// them.
func problemOptions() (names []string) {
	for _, name := range thresholdNames {
		names = append(names, "problem-"+name, "flag-"+name)
	}
	return names
}

// changed are the options of a list that the command line has, as its words.
func changed(cmd *cobra.Command, names []string) (words []string) {
	for _, name := range names {
		f := cmd.Flag(name)
		if f == nil || !onCommandLine(f) {
			continue
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = []string{strings.Join(list.GetSlice(), ",")}
		}
		for _, v := range values {
			if f.Value.Type() == "bool" {
				words = append(words, "--"+name)
				continue
			}
			words = append(words, "--"+name, table.ShellWord(v))
		}
	}
	return words
}

// groupings are what --by may be.
func groupings() (list []string) {
	for _, d := range []store.Dimension{
		store.ByDomain, store.BySenderDomain, report.ByProvider, report.ByRelayHost, store.ByReason, store.ByRecipient, store.ByHost, store.ByDay, store.ByHour,
		store.BySender, store.BySASLUser, store.ByClient,
	} {
		list = append(list, string(d))
	}
	return list
}
