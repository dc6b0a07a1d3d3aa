package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bouncelog/internal/table"
	"bouncelog/store"
	"bouncelog/store/sqlite"
)

func newDBShip() *cobra.Command {
	var to, agent string
	cmd := &cobra.Command{
		Use:   "ship --to clickhouse://…",
		Short: "Copy an SQLite database to a ClickHouse server",
		Long: `Copies the attempts, the queue and the positions in the logs of the database that
--db names to a database on a ClickHouse server, which is created if it does not exist.
Afterwards 'bouncelog follow --db clickhouse://…' with the same --agent continues at
the same position in each log. The daemon may go on writing to the SQLite database: a
second run copies the new attempts. An interrupted run is not visible on the server; the
next run continues it.

Not copied are pruned deliveries, and the Message-IDs of delivered messages unless they
were stored with --keep-message-ids.`,
		Example: `  bouncelog db ship --to clickhouse://mx1@ch.example.net/bouncelog
  bouncelog follow --db clickhouse://mx1@ch.example.net/bouncelog`,
		Args: needArgs(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			path, err := cmd.Flags().GetString("db")
			switch {
			case err != nil:
				return err
			case to == "":
				return usageErrorf("as in --to clickhouse://mx1@ch.example.net/bouncelog", "ship: --to is missing")
			case !onServer(to):
				return usageErrorf("'bouncelog db backup' copies to a file", "--to: an address clickhouse://… is wanted")
			case onServer(path):
				return usageErrorf("--db names the file, and --to the server", "ship: --db is not a file of SQLite's")
			}
			if agent, err = agentName(agent); err != nil {
				return err
			}
			db, err := openForReading(cmd)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			server, err := openDatabase(cmd, to, sqlite.Options{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, server.Close()) }()
			receiver, err := can[store.Receiver](server, "take over another one")
			if err != nil {
				return err
			}
			r, err := db.Read(cmd.Context())
			if err != nil {
				return err
			}
			defer r.Close()
			exporter, ok := r.(store.Exporter)
			if !ok {
				return &exitError{status: exitFailed, err: errors.New("this database cannot be copied to a server")}
			}
			n, err := receiver.Receive(cmd.Context(), exporter, agent)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %s copied to the server, as those of %s\n", table.Count(n, "attempt"), agent)
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "`ADDRESS` of the database on the server")
	cmd.Flags().StringVar(&agent, "agent", "", "`NAME` of the host that wrote the logs (default: the host name)")
	return cmd
}
