package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bouncelog/store"
	"bouncelog/store/clickhouse"
	"bouncelog/store/sqlite"
)

// passwordVariable is the environment variable with the password of a database server.
const passwordVariable = "BOUNCELOG_DB_PASSWORD"

// onServer reports whether --db is the URL of a database server and not a file.
func onServer(db string) bool { return strings.HasPrefix(db, clickhouse.Scheme) }

// openDatabase opens the database of --db: an SQLite file or a ClickHouse URL. No other function
// knows which engines exist.
func openDatabase(cmd *cobra.Command, db string, o sqlite.Options) (store.Store, error) {
	return openDatabaseUnder(cmd.Context(), cmd, db, o)
}

// openDatabaseUnder is openDatabase with a context that the open database uses for all its work.
func openDatabaseUnder(ctx context.Context, cmd *cobra.Command, db string, o sqlite.Options) (store.Store, error) {
	if !onServer(db) {
		return openSQLite(ctx, db, o)
	}
	switch {
	case o.Pseudonymize:
		return nil, usageErrorf("keep the addresses in a file of SQLite's, or leave the option out", "--pseudonymize: ClickHouse keeps no pseudonyms")
	case o.KeepMessageIDs:
		return nil, usageErrorf("leave the option out: 'bouncelog trace' finds every message by its id all the same", "--keep-message-ids: ClickHouse keeps the ids of failures only")
	}
	password, err := databasePassword(cmd)
	if err != nil {
		return nil, err
	}
	d, err := clickhouse.Open(ctx, db, clickhouse.Options{ReadOnly: o.ReadOnly, Password: password})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// databasePassword returns the password for a server from the password file, else from the
// environment. The password is never on a command line or in a log.
func databasePassword(cmd *cobra.Command) (string, error) {
	name, err := cmd.Flags().GetString("db-password-file")
	if err != nil || name == "" {
		return os.Getenv(passwordVariable), err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("cannot read the password of the database: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// onFile returns an error for an operation that only a database file supports.
func onFile(db, what string) error {
	if onServer(db) {
		return &exitError{status: exitFailed, err: errors.New("ClickHouse's databases cannot " + what), hint: "use ClickHouse's own BACKUP and RESTORE"}
	}
	return nil
}

// openSQLite opens a database file; the database is nil with an error.
func openSQLite(ctx context.Context, path string, o sqlite.Options) (store.Store, error) {
	db, err := sqlite.Open(ctx, path, o)
	if err != nil {
		return nil, err
	}
	return db, nil
}
