package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

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

// can returns db as an optional interface, or an error that names the operation.
func can[Capability any](db store.Store, what string) (Capability, error) {
	c, ok := db.(Capability)
	if !ok {
		return c, &exitError{status: exitFailed, err: fmt.Errorf("this database cannot %s", what)}
	}
	return c, nil
}

// damaged is the error that ends a command with status 1 after it has printed its answer.
type damaged struct{ err error }

type damagedKey struct{}

// openForReading opens the existing database of --db. Damage that a cheap check finds is an error.
func openForReading(cmd *cobra.Command) (store.Store, error) {
	db, err := openAnyway(cmd)
	if err != nil {
		return nil, err
	}
	if err := quickCheck(cmd, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openToSave is openForReading for commands that can help to save the data of a damaged database:
// they answer, and end with status 1.
func openToSave(cmd *cobra.Command) (store.Store, error) {
	db, err := openAnyway(cmd)
	if err != nil {
		return nil, err
	}
	if err := quickCheck(cmd, db); err != nil {
		if d, ok := cmd.Context().Value(damagedKey{}).(*damaged); ok {
			d.err = err
		}
	}
	return db, nil
}

func quickCheck(cmd *cobra.Command, db store.Store) error {
	checker, ok := db.(store.QuickChecker)
	if !ok {
		return nil
	}
	return checker.QuickCheck(cmd.Context())
}

// openAnyway opens the existing database of --db without the check for damage.
func openAnyway(cmd *cobra.Command) (store.Store, error) {
	path, err := cmd.Flags().GetString("db")
	if err != nil {
		return nil, err
	}
	if s, ok := cmd.OutOrStdout().(*spool); ok {
		s.hold()
	}
	stepBack()
	return openDatabase(cmd, path, sqlite.Options{ReadOnly: true, GiveWay: 15 * time.Second})
}

// lockPatience is how long an import waits for a database that another process has locked: long
// enough for a backup or a long query, short enough that cron's imports do not pile up.
var lockPatience = 10 * time.Minute

// waitForLock returns a retry function: it says once that the database is locked or does not
// answer, and retries for lockPatience. (Each try waits for the lock itself.)
func waitForLock(ctx context.Context, stderr io.Writer) func(error) bool {
	var since, last time.Time
	said := false
	return func(err error) bool {
		if !errors.Is(err, store.ErrLocked) && !errors.Is(err, store.ErrAway) || ctx.Err() != nil {
			return false
		}
		now := time.Now()
		if now.Sub(last) > time.Minute { // it was free meanwhile
			since = now
		}
		last = now
		if !said {
			said = true
			fmt.Fprintf(stderr, "bouncelog: %s; waiting for it\n", cleanError(err))
		}
		if errors.Is(err, store.ErrAway) { // a refused connection takes no time
			select {
			case <-ctx.Done():
				return false
			case <-time.After(time.Second):
			}
		}
		return now.Sub(since) < lockPatience
	}
}

// makeDirectory creates the directory of a database.
func makeDirectory(path string) error {
	if path == "" {
		return usageErrorf("name a file", "--db is empty")
	}
	if dir := filepath.Dir(path); !strings.HasPrefix(path, ":") {
		if _, _, err := followLinks(path); errors.Is(err, fs.ErrPermission) { // a link of another user; see writeFile
			return err
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return &exitError{status: exitFailed, err: fmt.Errorf("cannot make the directory of the database: %w", err), hint: "--db or $BOUNCELOG_DB names another place"}
		}
	}
	return nil
}

// counted returns the number of stored attempts as the report counts them: without hand-offs, with
// the recipients of expired messages.
func counted(ctx context.Context, db store.Store) (n int64, err error) {
	r, err := db.Read(ctx)
	if err != nil {
		return 0, err
	}
	all, err := store.CountAll(ctx, r, store.Filter{})
	return all.Attempts, errors.Join(err, r.Close())
}

// ownedLikeDirectory gives a database that root has just created to the owner of its directory,
// because the daemon, which is not root, must be able to write to it. SQLite gives later -wal and
// -shm files the same owner.
func ownedLikeDirectory(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	st, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	uid, gid, ok := owner(st)
	if !ok || uid == 0 {
		return nil
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Lchown(path+suffix, uid, gid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// owner returns the user and group that own a file.
func owner(st fs.FileInfo) (uid, gid int, ok bool) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(s.Uid), int(s.Gid), true
}

// agentName returns the name of this host in a database on a server: the option, else the host
// name.
func agentName(name string) (string, error) {
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("this host has no name; give it one with --agent: %w", err)
		}
		return host, nil
	}
	if strings.ContainsAny(name, "/ \t\n") {
		return "", usageErrorf("a host name will do", "--agent: a name without blanks and slashes is wanted")
	}
	return name, nil
}
