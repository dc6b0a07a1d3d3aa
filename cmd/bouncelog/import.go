package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bouncelog/internal/table"
)

func newImport() *cobra.Command {
	var in input
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Read logs once into the database",
		Long: `Reads each log once and stores every delivery attempt in the database. Files may
be plain or compressed (.gz, .xz, .zst, .bz2); - is standard input. Rotated files
are read oldest first. Each line counts once, even if its file is renamed, rotated or
compressed and read again. A file that has grown is continued, and an interrupted
import continues where it stopped.`,
		Example: `  bouncelog import /var/log/mail.log*
  zcat old.gz | bouncelog import --year 2024 -`,
		Args: needArgs(1, -1, "a log file (or - for standard input)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			limitHeap()
			judge, err := in.judge()
			if err != nil {
				return err
			}
			db, err := in.openForWriting(cmd, judge, waitForLock(ctx, cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer db.Close()
			before, err := counted(ctx, db)
			if err != nil {
				return err
			}
			n, unread, err := in.read(cmd, db, judge, args)
			if err != nil {
				return errors.Join(err, db.Close())
			}
			after, err := counted(ctx, db)
			if err != nil {
				return errors.Join(err, db.Close())
			}
			if err := db.Close(); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %s read: %s, %s not understood\n",
				table.Count(n.Lines, "line"), table.Count(after-before, "delivery attempt"), table.Count(n.Unparsed, "line"))
			if unread {
				return &exitError{status: exitPartly}
			}
			return ctx.Err()
		},
	}
	in.flags(cmd)
	in.keepFlags(cmd)
	return cmd
}
