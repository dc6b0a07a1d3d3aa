package clickhouse

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"
	"text/template"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"

	"bouncelog/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

const schemaVersion = 1

// layout holds the differences between one node and a cluster.
type layout struct {
	Cluster    string // "": one node
	Replicated bool
}

// Suffix returns the suffix of the tables that store rows. Queries use the tables without it.
func (l layout) Suffix() string {
	if l.Cluster != "" {
		return "_local"
	}
	return ""
}

// engine returns a table engine with its version column.
func (l layout) engine(table, name, version string) string {
	var args []string
	if l.Replicated {
		name = "Replicated" + name
		args = append(args, "'/clickhouse/tables/{database}/{shard}/"+table+"'", "'{replica}'")
	}
	if version != "" {
		args = append(args, version)
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

// rendered returns the migrations for a layout.
func (l layout) rendered() (fs.FS, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	out := fstest.MapFS{}
	for _, name := range files {
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		t, err := template.New(name).Funcs(template.FuncMap{"engine": l.engine}).Parse(string(text))
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		if err := t.Execute(&b, l); err != nil {
			return nil, err
		}
		out[strings.TrimPrefix(name, "migrations/")] = &fstest.MapFile{Data: []byte(b.String())}
	}
	return out, nil
}

// version returns the version of the schema; 0: there is none.
func (d *DB) version(ctx context.Context) (int64, error) {
	tables, err := d.texts(ctx, "SELECT name FROM system.tables WHERE database = currentDatabase()")
	if err != nil {
		return 0, err
	}
	ours, goose := false, false
	for _, name := range tables {
		ours = ours || name == "attempt"
		goose = goose || name == "goose_db_version"
	}
	if !goose && len(tables) > 0 {
		return 0, store.ErrForeign
	}
	if !ours || !goose {
		return 0, nil
	}
	var version int64
	err = d.conn.QueryRow(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied = 1").Scan(&version)
	return version, err
}

// ready updates the schema; in read-only mode it checks that the schema is up to date.
func (d *DB) ready(ctx context.Context) error {
	version, err := d.version(ctx)
	switch {
	case err != nil:
		return err
	case version > schemaVersion:
		return fmt.Errorf("%w: it has schema %d, this one knows %d", store.ErrNewer, version, schemaVersion)
	case version == schemaVersion:
		return nil
	case d.opts.ReadOnly && version == 0:
		return store.ErrMissing
	case d.opts.ReadOnly:
		return fmt.Errorf("the database has schema %d and this bouncelog reads %d: open it once for writing", version, schemaVersion)
	}
	return d.migrate(ctx)
}

// migrate creates the tables on each node of the cluster over a connection to that node. So it
// needs neither ON CLUSTER nor a Keeper, and goose keeps a version for each node.
func (d *DB) migrate(ctx context.Context) error {
	files, err := d.layout.rendered()
	if err != nil {
		return err
	}
	addresses := []string{""}
	if d.layout.Cluster != "" {
		if addresses, err = d.addresses(ctx); err != nil {
			return err
		}
	}
	for _, address := range addresses {
		o := *d.options
		if address != "" {
			o.Addr = []string{address}
		}
		if err := migrateNode(ctx, &o, files); err != nil {
			return fmt.Errorf("migrate %s: %w", strings.Join(o.Addr, ","), err)
		}
	}
	return nil
}

// addresses returns the addresses of the cluster's nodes, as the server knows them.
func (d *DB) addresses(ctx context.Context) ([]string, error) {
	list, err := d.texts(ctx, "SELECT concat(if(position(host_address, ':') > 0, concat('[', host_address, ']'), host_address), ':', toString(port)) FROM system.clusters WHERE cluster = "+quote(d.layout.Cluster))
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("the server knows no cluster %q (system.clusters)", d.layout.Cluster)
	}
	return list, err
}

func migrateNode(ctx context.Context, o *clickhouse.Options, files fs.FS) (err error) {
	name := o.Auth.Database
	o.Auth.Database = ""
	conn, err := clickhouse.Open(o)
	if err != nil {
		return err
	}
	err = conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+identifier(name))
	if err = errors.Join(err, conn.Close()); err != nil {
		return err
	}
	o.Auth.Database = name
	var db *sql.DB = clickhouse.OpenDB(o)
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := goose.NewProvider(goose.DialectClickHouse, db, files)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}
