package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/store"
	"bouncelog/store/sqlite"
)

func newDB() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Manage the database",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageErrorf("'bouncelog db --help' lists the commands"+suggestion(cmd, args[0]), "db %s: no such command", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(newDBInfo(), newDBCheck(), newDBBackup(), newDBRestore(), newDBShip(), newDBPrune(), newDBReclassify(), newDBSchema())
	return cmd
}

func newDBInfo() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Show the contents of the database and the position in each log",
		Args:  needArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			form, err := out.form(table.FormatTable)
			if err != nil {
				return err
			}
			db, err := openToSave(cmd)
			if err != nil {
				return err
			}
			defer db.Close()
			t, err := dbInfo(cmd.Context(), db)
			if err != nil {
				return err
			}
			return out.write(cmd, func(w io.Writer) error {
				rw := table.NewRowWriter(w, form, t.Columns)
				rw.NoHeader = form == table.FormatTable
				for _, row := range t.Rows {
					if err := rw.Row(row); err != nil {
						return err
					}
				}
				return rw.Close()
			})
		},
	}
	out.flags(cmd, "table")
	return cmd
}

func dbInfo(ctx context.Context, db store.Store) (*table.Table, error) {
	t := &table.Table{Columns: []table.Column{{Name: "what"}, {Name: "value"}}}
	row := func(what string, value any) { t.Rows = append(t.Rows, []any{what, value}) }
	if d, ok := db.(store.Describer); ok {
		facts, err := d.Describe(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range facts {
			row(f.What, f.Value)
		}
	}
	r, err := db.Read(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	read, err := r.Coverage(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range read.Sources {
		read := fmt.Sprintf("%s: %s up to byte %d", s.Path, table.Count(s.Lines, "line"), s.Offset)
		if !s.Last.IsZero() {
			read += ", the last of " + s.Last.Format(time.RFC3339)
		}
		if n := unread(s); n > 0 {
			read += fmt.Sprintf(", %s behind", table.Count(n, "byte"))
		}
		row("source "+s.ID, read)
	}
	return t, nil
}

// unread returns how many bytes of a source's file are not stored yet, from its size; 0 if the file
// is compressed or rotated away.
func unread(s store.Source) int64 {
	st, err := os.Stat(s.Path)
	if err != nil || !st.Mode().IsRegular() || st.ModTime().Before(s.Last) {
		return 0
	}
	return st.Size() - s.Offset
}

func newDBCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the database for damage",
		Long: `Checks the file, the references between its tables, and the rollups against the rows
that they sum up. Exits with 1 if it finds damage.`,
		Args: needArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := openAnyway(cmd)
			if err != nil {
				return err
			}
			defer db.Close()
			checker, err := can[store.Checker](db, "be checked")
			if err != nil {
				return err
			}
			problems, err := checker.Check(cmd.Context())
			if errors.Is(err, store.ErrDamaged) {
				// So much that not all of it could be looked at.
				problems, err = append(problems, err.Error()), nil
			}
			if err != nil {
				return err
			}
			for _, p := range problems {
				fmt.Fprintln(cmd.OutOrStdout(), table.Clean(p))
			}
			if len(problems) > 0 {
				hint := "'bouncelog db restore' puts a copy that 'bouncelog db backup' made in its place; importing the logs again makes a new one"
				if path, _ := cmd.Flags().GetString("db"); onServer(path) {
					hint = "see docs/fleet.md, Operation; the server's log and system.replicas, system.merges say more"
				}
				return &exitError{status: exitFailed, err: fmt.Errorf("the database has %s", table.Count(int64(len(problems)), "fault")), hint: hint}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "the database is sound")
			return nil
		},
	}
}

func newDBBackup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the database, also while the daemon writes to it",
		Args:  needArgs(1, 1, "the file to copy to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, err := followLinks(args[0]); err != nil { // of another user; see writeFile
				return err
			}
			db, err := openAnyway(cmd)
			if err != nil {
				return err
			}
			backuper, err := can[store.Backuper](db, "be copied")
			if err == nil {
				err = backuper.Backup(cmd.Context(), args[0])
			}
			return errors.Join(err, db.Close())
		},
	}
}

func newDBRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore COPY",
		Short: "Put a copy of the database in its place",
		Long: `Checks a copy that 'bouncelog db backup' made, puts it in the place of the database
and keeps the old file, with its write-ahead log, beside it. No other process may use
the database: stop the daemon and the dashboard first. Afterwards the daemon reads
the lines on disk that were written since the copy was made. Do not copy by hand ('cp'):
beside the write-ahead log of another database (-wal) the copy is damaged.`,
		Example: `  systemctl stop bouncelog
  bouncelog db restore /srv/backup/bouncelog.db
  systemctl start bouncelog`,
		Args: needArgs(1, 1, "the copy"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := cmd.Flags().GetString("db")
			if err != nil {
				return err
			}
			if err := onFile(path, "be restored from a copy of SQLite's"); err != nil {
				return err
			}
			kept, err := sqlite.Restore(cmd.Context(), path, args[0])
			switch {
			case errors.Is(err, store.ErrLocked):
				return &exitError{status: exitLocked, err: err, hint: "stop it, as in 'systemctl stop bouncelog bouncelog-web.socket bouncelog-web', and start it again afterwards"}
			case errors.Is(err, store.ErrDamaged):
				return &exitError{status: exitFailed, err: err, hint: "nothing was changed; 'bouncelog db check --db COPY' says more"}
			case err != nil:
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %s is restored\n", cleanPath(path))
			if kept != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: the former database is kept as %s; remove it when you need it no more\n", cleanPath(kept))
			}
			return nil
		},
	}
}

func newDBPrune() *cobra.Command {
	var (
		olderThan string
		stray     bool
	)
	cmd := &cobra.Command{
		Use:     "prune --older-than TIME",
		Short:   "Remove old attempts and give the space back",
		Example: `  bouncelog db prune --older-than 365d`,
		Args:    needArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if olderThan == "" && !stray {
				return usageErrorf("as in --older-than 365d", "prune: --older-than is missing")
			}
			var t time.Time
			if olderThan != "" {
				var err error
				if t, err = when.ParseTime(olderThan, time.Now()); err != nil {
					return usageErrorf("a time is 2026-11-22, or 365d for as long ago", "--older-than: %w", err)
				}
			}
			db, err := openWritable(cmd)
			if err != nil {
				return err
			}
			var n, strays int64
			if stray {
				var pruner store.StrayTimePruner
				if pruner, err = can[store.StrayTimePruner](db, "forget"); err == nil {
					strays, err = pruner.PruneStrayTimes(cmd.Context(), time.Now())
				}
			}
			if err == nil && olderThan != "" {
				var pruner store.Pruner
				if pruner, err = can[store.Pruner](db, "forget"); err == nil {
					n, err = pruner.Prune(cmd.Context(), t)
				}
			}
			n += strays
			if err := errors.Join(err, db.Close()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %s removed\n", table.Count(n, "attempt"))
			return nil
		},
	}
	cmd.Flags().BoolVar(&stray, "stray-times", false, "remove attempts without a time, and those dated before 1990 or later than tomorrow, which are due to a wrong clock; check the clock of this machine first")
	cmd.Flags().StringVar(&olderThan, "older-than", "", "remove attempts before this `TIME`, or older than this (365d)")
	return cmd
}

func newDBReclassify() *cobra.Command {
	var in input
	cmd := &cobra.Command{
		Use:   "reclassify",
		Short: "Re-apply the current rules to stored replies",
		Long: `Applies the rules of this version, and those of --rules, to the stored replies. Each
distinct reply is judged once. A ClickHouse database keeps its judgements: reclassify
the file before 'bouncelog db ship', or import the logs again.`,
		Args: needArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			judge, err := in.judge()
			if err != nil {
				return err
			}
			path, err := cmd.Flags().GetString("db")
			if err != nil {
				return err
			}
			if onServer(path) {
				return &exitError{
					status: exitFailed, err: errors.New("a ClickHouse database keeps the verdict that an attempt had when it was stored: it is in each row, and agents may not change rows"),
					hint: "import the logs into a new database, or run 'bouncelog db reclassify' on the hosts' files before 'bouncelog db ship'",
				}
			}
			db, err := openWritable(cmd)
			if err != nil {
				return err
			}
			var n int64
			rejudger, err := can[store.Rejudger](db, "judge again")
			if err == nil {
				n, err = rejudger.Rejudge(cmd.Context(), judge.Again)
			}
			if err := errors.Join(err, db.Close()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: replies with a new verdict: %d\n", n)
			return nil
		},
	}
	in.rulesFlag(cmd)
	return cmd
}

func newDBSchema() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the views, which are the public schema",
		Args:  needArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := openAnyway(cmd)
			if err != nil {
				return err
			}
			defer db.Close()
			sql, err := can[store.SQL](db, "be asked in SQL")
			if err != nil {
				return err
			}
			schema, err := sql.Schema(cmd.Context())
			if err != nil {
				return err
			}
			// The text is the program's own: there is nothing of a log in it.
			for statement := range strings.SplitSeq(schema, ";\n") {
				if statement != "" && all || strings.HasPrefix(statement, "CREATE VIEW") {
					fmt.Fprintln(cmd.OutOrStdout(), statement+";")
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "tables", false, "print the tables and indexes too; they may change")
	return cmd
}
