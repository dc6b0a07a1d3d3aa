// Command bouncelog reads the deliveries in the logs of Postfix and Exim and reports which mail
// failed, why, and what to do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bouncelog/internal/table"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs the program and returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the default action is back: a second one ends
	// the program at once.
	context.AfterFunc(ctx, stop)

	damage := new(damaged)
	ctx = context.WithValue(ctx, damagedKey{}, damage)
	root := newRoot()
	if completes(args) {
		addCompletions(root)
	}
	root.SetArgs(args)
	root.SetIn(stdin)
	out, drain := spooled(stdout)
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if e := drain(ctx); err == nil {
		err = e
	}
	if err == nil {
		err = damage.err
	}
	if err == nil {
		return exitOK
	}
	var e *exitError
	if !errors.As(err, &e) {
		e = &exitError{status: status(err), err: err}
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		e = &exitError{status: exitInterrupted, err: errors.New("interrupted")}
	}
	if e.err != nil {
		fmt.Fprintf(stderr, "bouncelog: %s\n", table.Clean(e.err.Error()))
		if hint := e.hint; hint != "" {
			fmt.Fprintf(stderr, "hint: %s\n", table.Clean(hint))
		} else if hint := hintFor(e.err); hint != "" {
			fmt.Fprintf(stderr, "hint: %s\n", hint)
		}
	}
	return e.status
}

// extra holds the commands of builds with special tags.
var extra []*cobra.Command

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "bouncelog",
		Short: "Report which mail failed, why, and what to do",
		Long: `bouncelog reads the delivery attempts in the logs of Postfix and Exim, stores them in
one SQLite file, and reports soft (4xx, will be tried again) and hard (5xx, given up)
bounces per domain with their reasons.`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageErrorf("'bouncelog help' lists the commands"+suggestion(cmd, args[0]), "%q is not a command", args[0])
			}
			return nil
		},
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return configure(cmd) },
	}
	root.SuggestionsMinimumDistance = 2
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages", fmt.Sprintf("FlagUsagesWrapped %d", usageWidth)))
	root.SetVersionTemplate(versionLine())
	root.Flags().Bool("version", false, "print the version")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		hint := "'" + cmd.CommandPath() + " --help' lists the options"
		if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
			var names []string
			cmd.Flags().VisitAll(func(f *pflag.Flag) {
				if !f.Hidden {
					names = append(names, f.Name)
				}
			})
			if name := nearest(e.GetSpecifiedName(), names); name != "" {
				hint += "; did you mean --" + name + "?"
			}
		}
		if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			if _, ok := errors.AsType[*strconv.NumError](e); ok {
				return usageErrorf(hint, "--%s: %q is not a number that it takes", e.GetFlag().Name, e.GetValue())
			}
		}
		return usageErrorf(hint, "%w", err)
	})
	root.PersistentFlags().String("db", defaultDB(), "the database `FILE`, or $BOUNCELOG_DB")
	root.PersistentFlags().String("db-password-file", "", "a `FILE` with the password of a database server, or $"+passwordVariable+" holds it")
	_ = root.PersistentFlags().MarkHidden("db-password-file")
	root.PersistentFlags().String("config", defaultConfig, "the configuration `FILE`, or $BOUNCELOG_CONFIG")
	root.AddGroup(
		&cobra.Group{ID: "read", Title: "Read logs:"},
		&cobra.Group{ID: "ask", Title: "Reports:"},
		&cobra.Group{ID: "care", Title: "Maintenance:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("read", newImport(), newFollow(), newParse())
	add("ask", newReport(), newTrace(), newSuppress(), newExplain(), newScan(), newQuery(), newTop(), newServe(), newNotify())
	add("care", newDB(), newConfig(newRoot), newVersion())
	root.AddCommand(extra...)
	root.SetHelpCommandGroupID("care")
	root.SetCompletionCommandGroupID("care")
	return root
}

// defaultDB is the default of --db.
func defaultDB() string {
	if path := os.Getenv("BOUNCELOG_DB"); path != "" {
		return path
	}
	if os.Geteuid() == 0 {
		return "/var/lib/bouncelog/bouncelog.db"
	}
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "bouncelog.db"
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "bouncelog", "bouncelog.db")
}
