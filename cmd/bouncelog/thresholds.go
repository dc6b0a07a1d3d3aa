package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"bouncelog/problem"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// thresholds holds the options about the level "likely", for every command that searches for
// problems.
type thresholds struct {
	recipients, messages int
	share, chance        string
	window, past, valid  string
}

func (x *thresholds) flags(cmd *cobra.Command) {
	d := problem.DefaultThresholds()
	days := func(t time.Duration) string { return fmt.Sprintf("%dd", t/(24*time.Hour)) }
	f := cmd.Flags()
	f.IntVar(&x.recipients, "problem-recipients", d.Recipients, "a problem is likely from this many refused recipients on who took mail before")
	f.IntVar(&x.messages, "problem-messages", d.Messages, "a problem is likely from this many refused messages on")
	f.StringVar(&x.share, "problem-share", fmt.Sprintf("%g%%", 100*d.Share), "a problem is likely where this `SHARE` of the messages is refused")
	f.StringVar(&x.chance, "problem-chance", fmt.Sprint(d.Chance), "a problem is likely where the past makes it less probable than `P`")
	f.StringVar(&x.window, "problem-window", "24h", "count messages within this `TIME`; a problem ends after two of them without a refusal")
	f.StringVar(&x.past, "problem-past", days(d.Past), "compare with this much of the past (`TIME`) of a sender domain at a provider")
	f.StringVar(&x.valid, "problem-valid", days(d.Valid), "an address is valid for this `TIME` after a delivery")
	for _, name := range thresholdNames {
		alias(cmd, "flag-"+name, "problem-"+name)
	}
}

var thresholdNames = []string{"recipients", "messages", "share", "chance", "window", "past", "valid"}

// alias keeps an old name of an option on the command line, in the environment and in the
// configuration file. The two names override each other like options that exclude one another (see
// givesWay).
func alias(cmd *cobra.Command, old, name string) {
	f := cmd.Flags().Lookup(name)
	cmd.Flags().AddFlag(&pflag.Flag{Name: old, Usage: "old name of --" + name, Value: f.Value, DefValue: f.DefValue, Hidden: true})
}

// check returns an error for impossible values.
func (x *thresholds) check() error {
	_, err := x.parse()
	return err
}

// options returns the thresholds. Call check before.
func (x *thresholds) options() problem.Thresholds {
	o, _ := x.parse()
	return o
}

func (x *thresholds) parse() (problem.Thresholds, error) {
	o := problem.Thresholds{Recipients: x.recipients, Messages: x.messages}
	if o.Recipients < 1 || o.Messages < 1 {
		return o, usageErrorf("one is the least", "--problem-recipients and --problem-messages: %d recipients in %d messages are no refusal", o.Recipients, o.Messages)
	}
	var err error
	number, percent := strings.CutSuffix(strings.TrimSpace(x.share), "%")
	if o.Share, err = strconv.ParseFloat(strings.TrimSpace(number), 64); err != nil || !(o.Share > 0) {
		return o, usageErrorf("write it like 10% or 0.1", "--problem-share %s: not a share", x.share)
	}
	if percent {
		o.Share /= 100
	}
	if o.Chance, err = strconv.ParseFloat(x.chance, 64); err != nil || !(o.Chance > 0) {
		return o, usageErrorf("write it like 0.001; 1 leaves the past out of it", "--problem-chance %s: not a probability", x.chance)
	}
	for _, t := range []struct {
		flag, word string
		to         *time.Duration
	}{{"--problem-window", x.window, &o.Window}, {"--problem-past", x.past, &o.Past}, {"--problem-valid", x.valid, &o.Valid}} {
		if *t.to, err = duration(t.word); err != nil {
			return o, usageErrorf("write it like 24h or 28d", "%s %s: not a length of time", t.flag, t.word)
		}
	}
	if err := o.Check(); err != nil {
		return o, usageErrorf("", "%w", err)
	}
	return o, nil
}

// duration reads a length of time; days ("7d") are allowed.
func duration(word string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(word, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n > 0) || n > 36500 {
			return 0, fmt.Errorf("%q is no number of days", days)
		}
		return time.Duration(n * float64(24*time.Hour)), nil
	}
	d, err := time.ParseDuration(word)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q is no length of time", word)
	}
	return d, err
}
