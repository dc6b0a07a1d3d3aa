package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A flagGroup is a group of options under one heading of a help text. The lines of named list more
// options by name only: the manual page explains them.
type flagGroup struct {
	title string
	flags []string
	named []string // lines
}

// groupUsage makes a command print its options in groups. Every option must be in one of them
// (TestUsageGroups).
func groupUsage(cmd *cobra.Command, groups []flagGroup) {
	cmd.SetUsageFunc(func(c *cobra.Command) error {
		if c != cmd { // a command below it, which has options of its own
			return c.Root().UsageFunc()(c)
		}
		out := c.OutOrStderr()
		fmt.Fprintf(out, "Usage:\n  %s\nExamples:\n%s\n", c.UseLine(), c.Example)
		for _, g := range groups {
			fmt.Fprintf(out, "%s:\n", g.title)
			for _, name := range g.flags {
				writeFlag(out, c.Flag(name))
			}
			for _, line := range g.named {
				fmt.Fprintf(out, "  %s\n", line)
			}
		}
		return nil
	})
}

// usageWidth is the greatest width of a help text.
const usageWidth = 100

// writeFlag writes an option with its meaning.
func writeFlag(out io.Writer, f *pflag.Flag) {
	value, usage := pflag.UnquoteUsage(f)
	left := "  --" + f.Name
	if f.Shorthand != "" {
		left = "  -" + f.Shorthand + ", --" + f.Name
	}
	switch value {
	case "string":
		value = "WORD"
	case "strings":
		value = "WORDS"
	case "int":
		value = "N"
	}
	left = strings.TrimRight(left+" "+value, " ")
	if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" && !strings.Contains(usage, "(default") {
		usage += " (default " + d + ")"
	}
	column := 0
	fmt.Fprintf(out, "%-23s", left)
	for word := range strings.FieldsSeq(usage) {
		if column > 0 && 23+column+1+len(word) > usageWidth {
			fmt.Fprintf(out, "\n%23s", "")
			column = 0
		}
		fmt.Fprintf(out, " %s", word)
		column += 1 + len(word)
	}
	fmt.Fprintln(out)
}
