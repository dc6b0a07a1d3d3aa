package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

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
