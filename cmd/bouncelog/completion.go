package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/top"
)

// completes reports whether the arguments are a request for completions from a shell's completion
// script.
func completes(args []string) bool {
	return len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
}

// periods are the named periods (when.ParsePeriod); spans are lengths of time before now.
var (
	periods = []string{"today", "yesterday", "this_week", "last_week", "last_7_days", "this_month", "last_month"}
	spans   = []string{"1h", "24h", "7d", "30d"}
)

// optionValues returns the values to complete, by option. The key "COMMAND OPTION" applies to one
// command.
func optionValues() map[string][]string {
	var reasons []string
	for _, r := range bounce.Reasons(func(bounce.Reason) bool { return true }) {
		reasons = append(reasons, r.String())
	}
	formats := table.Formats()
	return map[string][]string{
		"format":          formats,
		"explain format":  {"table", "json", "ndjson"},
		"parse format":    append(slices.Clone(formats), "none"),
		"suppress format": append(slices.Clone(formats), string(render.FormatList), string(render.FormatPostfix), string(render.FormatExim)),
		"by":              groupings(),
		"sort":            report.SortKeys(),
		"section":         report.Sections(),
		"mta":             {"postfix", "exim"},
		"outcome":         {"delivered", "soft", "hard", "handoff", "probe"},
		"reason":          reasons,
		"day":             periods,
		"since":           spans,
		"until":           spans,
		"fail-on":         {"problems", "hard>5%", "pending>100", "silence>2h"},
		"stage":           {"connect", "helo", "tls", "auth", "mail", "rcpt", "data", "eom"},
		"scan fail-on":    {"error", "warning"},
		"serve period":    append(slices.Clone(spans), append([]string{"all"}, periods...)...),
		"follow retain":   {"30d", "90d", "365d"},
		"top view":        top.Views(),
		"top window":      top.Windows(),
	}
}

// addCompletions registers the values of options for shell completion. Call it only in a process
// that answers a completion request: cobra never releases what is registered.
func addCompletions(root *cobra.Command) {
	values := optionValues()
	for _, cmd := range configurable(root) {
		for _, f := range options(cmd) {
			list, ok := values[cmd.Name()+" "+f.Name]
			if !ok {
				list, ok = values[f.Name]
			}
			if !ok || f.Hidden {
				continue // a file, or whatever the shell makes of it
			}
			several := strings.HasSuffix(f.Value.Type(), "Slice") || f.Value.Type() == "strings"
			cmd.RegisterFlagCompletionFunc(f.Name, func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
				return complete(list, word, several), cobra.ShellCompDirectiveNoFileComp
			})
		}
	}
}

// complete returns the values of a list that begin with word. Where several values are allowed,
// only the text after the last comma is completed.
func complete(list []string, word string, several bool) (out []string) {
	before := ""
	if i := strings.LastIndexByte(word, ','); several && i >= 0 {
		before, word = word[:i+1], word[i+1:]
	}
	for _, v := range list {
		if strings.HasPrefix(v, word) && !slices.Contains(strings.Split(before, ","), v) {
			out = append(out, before+v)
		}
	}
	return out
}
