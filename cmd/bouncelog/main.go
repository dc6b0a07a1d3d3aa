// Command bouncelog reads the deliveries in the logs of Postfix and Exim and reports which mail
// failed, why, and what to do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bouncelog/internal/table"
	"bouncelog/store"
)

// Exit statuses. 2 is left to the Go runtime, which ends a panic with it.
const (
	exitOK          = 0
	exitFailed      = 1
	exitPartly      = 3 // done, but some input could not be read
	exitCondition   = 4 // --fail-on met
	exitUnknown     = 5 // --fail-on could not be judged
	exitMissing     = 10
	exitLocked      = 11
	exitForeign     = 12 // the database is newer, or not ours
	exitUsage       = 64
	exitInterrupted = 130
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

// An exitError ends the program with a given status.
type exitError struct {
	status int
	err    error // nil: everything was said already
	hint   string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageErrorf returns an error about the arguments; the status is exitUsage.
func usageErrorf(hint, format string, a ...any) error {
	return &exitError{status: exitUsage, err: fmt.Errorf(format, a...), hint: hint}
}

func status(err error) int {
	switch {
	case errors.Is(err, store.ErrMissing):
		return exitMissing
	case errors.Is(err, store.ErrLocked), errors.Is(err, store.ErrFollowed), errors.Is(err, store.ErrAway):
		return exitLocked
	case errors.Is(err, store.ErrForeign), errors.Is(err, store.ErrNewer):
		return exitForeign
	}
	return exitFailed
}

func hintFor(err error) string {
	switch {
	case errors.Is(err, store.ErrMissing):
		return "'bouncelog import FILE...' or 'bouncelog follow' makes one; --db names another place"
	case errors.Is(err, store.ErrLocked):
		return "another process is writing to it; try again, or stop that process"
	case errors.Is(err, store.ErrAway):
		return "is the server up, and a shard of its cluster not down? 'bouncelog follow' waits for it and goes on where it stopped"
	case errors.Is(err, store.ErrFollowed):
		return "stop that one ('systemctl stop bouncelog' where it is the service), or give this one a database of its own with --db; imports and reports are possible beside it"
	case errors.Is(err, store.ErrNewer):
		return "install the newer bouncelog; this one does not touch the file"
	case errors.Is(err, store.ErrForeign):
		return "the file belongs to something else and was not touched; --db names another place"
	case errors.Is(err, store.ErrDamaged):
		return "'bouncelog db check' says more; 'bouncelog db restore' puts a copy that 'bouncelog db backup' made in its place"
	case errors.Is(err, store.ErrFull), errors.Is(err, syscall.ENOSPC):
		return "make room, then run the command again: it goes on where it stopped"
	case errors.Is(err, store.ErrTooMany):
		return "start a new database: --db names it; this one can still be read"
	case errors.Is(err, syscall.EROFS):
		return "the file system is mounted for reading only; --db names another place"
	case errors.Is(err, fs.ErrPermission):
		return "run it as root or as a member of the group that owns the file (often adm)"
	}
	return ""
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
	add("care", newDB(), newConfig(), newVersion())
	root.AddCommand(extra...)
	root.SetHelpCommandGroupID("care")
	root.SetCompletionCommandGroupID("care")
	return root
}

func suggestion(cmd *cobra.Command, word string) string {
	if s := cmd.SuggestionsFor(word); len(s) > 0 {
		return "; did you mean " + strings.Join(s, " or ") + "?"
	}
	return ""
}

// needArgs returns a check of the number of arguments. Its error names the missing ones.
func needArgs(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		hint := "'" + cmd.CommandPath() + " --help' shows how to call it"
		switch {
		case len(args) < least:
			return usageErrorf(hint, "%s: %s is missing", cmd.Name(), what)
		case most >= 0 && len(args) > most:
			return usageErrorf(hint, "%s: too many arguments: %q", cmd.Name(), args[most])
		}
		return nil
	}
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
