package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"bouncelog/problem"

	"github.com/spf13/cobra"
)

// flagging is the thresholds of what is likely not the recipients' fault, as flags
// of every command that looks for problems.
type flagging struct {
	recipients, messages int
	share, chance        string
	window, past, valid  string
}

func (x *flagging) flags(cmd *cobra.Command) {
	d := problem.DefaultThresholds()
	days := func(t time.Duration) string { return fmt.Sprintf("%dd", t/(24*time.Hour)) }
	f := cmd.Flags()
	f.IntVar(&x.recipients, "flag-recipients", d.Recipients, "a likely problem: so many refused recipients who took mail before")
	f.IntVar(&x.messages, "flag-messages", d.Messages, "a likely problem: so many refused messages")
	f.StringVar(&x.share, "flag-share", fmt.Sprintf("%g%%", 100*d.Share), "a likely problem: this `SHARE` of the messages tried is refused")
	f.StringVar(&x.chance, "flag-chance", fmt.Sprint(d.Chance), "a likely problem: by the past of the same sender domain and provider this is less probable than `P`")
	f.StringVar(&x.window, "flag-window", "24h", "messages are counted within this `TIME`; quiet for so long, a problem has ended")
	f.StringVar(&x.past, "flag-past", days(d.Past), "how much of the past of a sender domain and provider counts (`TIME`)")
	f.StringVar(&x.valid, "flag-valid", days(d.Valid), "a delivery this long ago (`TIME`) still proves an address")
}

// check says what is wrong with the flags.
func (x *flagging) check() error {
	_, err := x.parse()
	return err
}

// options are the thresholds. Call check before.
func (x *flagging) options() problem.Thresholds {
	o, _ := x.parse()
	return o
}

func (x *flagging) parse() (problem.Thresholds, error) {
	o := problem.Thresholds{Recipients: x.recipients, Messages: x.messages}
	if o.Recipients < 1 || o.Messages < 1 {
		return o, usageErrorf("one is the least", "--flag-recipients and --flag-messages: %d recipients in %d messages are no refusal", o.Recipients, o.Messages)
	}
	var err error
	number, percent := strings.CutSuffix(strings.TrimSpace(x.share), "%")
	if o.Share, err = strconv.ParseFloat(strings.TrimSpace(number), 64); err != nil || !(o.Share > 0) {
		return o, usageErrorf("write it like 10% or 0.1", "--flag-share %s: not a share", x.share)
	}
	if percent {
		o.Share /= 100
	}
	if o.Chance, err = strconv.ParseFloat(x.chance, 64); err != nil || !(o.Chance > 0) {
		return o, usageErrorf("write it like 0.001; 1 leaves the past out of it", "--flag-chance %s: not a probability", x.chance)
	}
	for _, t := range []struct {
		flag, word string
		to         *time.Duration
	}{{"--flag-window", x.window, &o.Window}, {"--flag-past", x.past, &o.Past}, {"--flag-valid", x.valid, &o.Valid}} {
		if *t.to, err = duration(t.word); err != nil {
			return o, usageErrorf("write it like 24h or 28d", "%s %s: not a length of time", t.flag, t.word)
		}
	}
	if err := o.Check(); err != nil {
		return o, usageErrorf("", "%w", err)
	}
	return o, nil
}

// duration reads a length of time, in days too.
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
