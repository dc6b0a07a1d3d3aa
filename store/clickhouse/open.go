// Package clickhouse keeps the delivery attempts of many mail hosts in ClickHouse.
//
// An attempt is a row whose key is its identity: log, byte and recipient. Rows are inserted first
// and the position of their log last, since ClickHouse has no transactions over several tables. A
// row is visible if its line is below the position of its log. So uncommitted rows are invisible, a
// row written twice counts once, and the moment of a Reader is the set of positions at its start
// (moment.go).
//
// The state that an attempt gives its message (recovered, expired, the first of its message)
// depends only on the lines before it and is stored with it (ledger.go). A Writer queries the
// earlier attempts of the messages in a batch. A later change, namely that a pair is no longer
// pending, is a row of its own. The deliveries to a recipient before and after a failure are
// computed in each query.
package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"bouncelog/store"
)

// Scheme is the scheme of the URLs for Open.
const Scheme = "clickhouse://"

// Options say how a database is opened.
type Options struct {
	ReadOnly bool   // nothing is created or migrated
	Password string // for the user of the URL
}

// A DB is a database on a server or a cluster. It implements store.Store.
type DB struct {
	name    string // without the password
	opts    Options
	options *clickhouse.Options
	layout  layout
	conn    driver.Conn
	closed  atomic.Bool

	lastNumber atomic.Uint64 // see number

	beforePositions func() error // for tests: an agent is killed at this point
}

var _ interface {
	store.Store
	store.Swapper
	store.Pruner
	store.Checker
	store.Describer
	store.SQL
	store.Watcher
	store.Receiver
} = (*DB)(nil)

var errClosed = errors.New("the store is closed")

// Open opens the database at an address:
//
//	clickhouse://user@host:port/database?secure=true&cluster=name&replicated=true
//
// Several hosts, separated by commas, are tried in turn. TLS is used unless all hosts are loopback
// addresses or secure is false. With skip_verify any certificate is accepted.
func Open(ctx context.Context, address string, opts Options) (*DB, error) {
	d, err := parse(address, opts)
	if err != nil {
		return nil, err
	}
	if err = d.present(ctx); err == nil {
		d.conn, err = clickhouse.Open(d.options)
	}
	if err == nil {
		err = d.ready(ctx)
	}
	if err != nil {
		if d.conn != nil {
			d.conn.Close()
		}
		return nil, d.wrap("open", err)
	}
	return d, nil
}

// present creates the database if it is missing; in read-only mode it returns an error. It uses a
// connection that names no database, since a server refuses one that names a missing database.
func (d *DB) present(ctx context.Context) error {
	o := *d.options
	o.Auth.Database = ""
	conn, err := clickhouse.Open(&o)
	if err != nil {
		return err
	}
	defer conn.Close()
	name := d.options.Auth.Database
	var n uint64
	err = conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = "+quote(name)).Scan(&n)
	switch {
	case err != nil || n > 0:
		return err
	case d.opts.ReadOnly:
		return store.ErrMissing
	}
	// This is skipped if the database exists, since the user may lack the right to create one.
	return conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+identifier(name))
}

// parse parses an address.
func parse(address string, opts Options) (*DB, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the address of the database is not a URL") // that error would quote a password
	}
	if _, set := u.User.Password(); set {
		return nil, errors.New("a password does not belong in the address of a database, where others can read it: use the environment or a file")
	}
	d := &DB{opts: opts, name: u.String()}
	o := &clickhouse.Options{
		Auth:        clickhouse.Auth{Database: strings.Trim(u.Path, "/"), Username: u.User.Username(), Password: opts.Password},
		DialTimeout: 5 * time.Second, ReadTimeout: 10 * time.Minute, MaxOpenConns: 64, MaxIdleConns: 16,
		Compression: &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
		Settings: clickhouse.Settings{
			// The server acknowledges an insert once all shards have stored it.
			"distributed_foreground_insert": 1,
			// If a shard does not answer, a query fails instead of returning fewer rows.
			"skip_unavailable_shards": 0,
			// The day is a part of the key, so copies of a row are in one partition.
			"do_not_merge_across_partitions_select_final": 1,
			// A condition on the key is checked before the other columns are read: a query that finds
			// 1,100 attempts by their keys among 10.2 million takes 1.2 s of CPU instead of 4.4 s. With
			// FINAL this is off, although all copies of a row have the same key.
			"optimize_move_to_prewhere_if_final": 1,
			// An import covers as many days as its logs.
			"max_partitions_per_insert_block": 0,
			// Copies of a row are merged later. Merging them in each insert costs the server 61 ms
			// of CPU for 20,000 rows instead of 38 ms.
			"optimize_on_insert": 0,
			// Texts with few distinct values are sent as texts, since the client makes dictionaries
			// slowly, with reflection and a map of interfaces.
			"low_cardinality_allow_in_native_format": 0,
			// A query lists recipients and positions.
			"max_query_size":            256 << 20,
			"distributed_product_mode":  "global",
			"max_ast_elements":          10_000_000,
			"max_expanded_ast_elements": 10_000_000,
		},
	}
	local := true
	for _, host := range strings.Split(u.Host, ",") {
		name, port, err := net.SplitHostPort(host)
		if err != nil {
			name, port = strings.Trim(host, "[]"), ""
		}
		if name == "" {
			return nil, errors.New("the address of the database names no host")
		}
		ip, err := netip.ParseAddr(name)
		local = local && (name == "localhost" || err == nil && ip.IsLoopback())
		o.Addr = append(o.Addr, net.JoinHostPort(name, port))
	}
	if o.Auth.Database == "" {
		o.Auth.Database = "bouncelog"
	}
	secure, verify := !local, true
	for key, values := range u.Query() {
		value := values[len(values)-1]
		on, err := strconv.ParseBool(value)
		if key == "cluster" {
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s=%s in the address of the database: not true or false", key, value)
		}
		switch key {
		case "secure":
			secure = on
		case "skip_verify":
			verify = !on
		case "cluster":
			d.layout.Cluster = value
		case "replicated":
			d.layout.Replicated = on
		default:
			return nil, fmt.Errorf("the address of the database: unknown option %q (known: secure, skip_verify, cluster, replicated)", key)
		}
	}
	port := "9000"
	if secure {
		port = "9440"
		o.TLS = &tls.Config{InsecureSkipVerify: !verify, MinVersion: tls.VersionTLS12}
	}
	for i, a := range o.Addr {
		if name, ok := strings.CutSuffix(a, ":"); ok {
			o.Addr[i] = name + ":" + port
		}
	}
	if d.layout.Replicated {
		// No replica shows a position before the rows written earlier.
		o.Settings["insert_quorum"] = "auto"
		o.Settings["insert_quorum_parallel"] = 0
		o.Settings["select_sequential_consistency"] = 1
	}
	d.options = o
	return d, nil
}

// passing are temporary errors of a server: it shuts down or is overloaded, or a node that it needs
// does not answer. A retry may succeed.
var passing = map[int32]bool{
	159: true, // TIMEOUT_EXCEEDED
	202: true, // TOO_MANY_SIMULTANEOUS_QUERIES
	209: true, // SOCKET_TIMEOUT
	210: true, // NETWORK_ERROR
	236: true, // ABORTED: it is shutting down
	241: true, // MEMORY_LIMIT_EXCEEDED
	242: true, // TABLE_IS_READ_ONLY: a replica without its Keeper
	252: true, // TOO_MANY_PARTS: merges lag
	279: true, // ALL_CONNECTION_TRIES_FAILED: a shard is down
	285: true, // TOO_FEW_LIVE_REPLICAS
	286: true, // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
	289: true, // REPLICA_IS_NOT_IN_QUORUM: it lags
	319: true, // UNKNOWN_STATUS_OF_INSERT
	394: true, // QUERY_WAS_CANCELLED
	999: true, // KEEPER_EXCEPTION
}

const notEnoughSpace = 243

// wrap adds the operation and the database to an error, and ErrAway if the engine does not answer.
func (d *DB) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, clickhouse.ErrAcquireConnTimeout) {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", store.ErrAway, err)
		}
	}
	var refused *clickhouse.Exception
	if errors.As(err, &refused) { // an error passed on from another server contains that server's stack
		refused.Message, _, _ = strings.Cut(refused.Message, " Stack trace:")
	}
	switch {
	case refused == nil:
	case passing[refused.Code]:
		err = fmt.Errorf("%w: %w", store.ErrAway, err)
	case refused.Code == notEnoughSpace:
		err = fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("%s %s: %w", what, d.name, err)
}

// scan calls do for each row of a result.
func (d *DB) scan(ctx context.Context, sql string, do func(scan func(to ...any) error) error) error {
	rows, err := d.conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// texts returns the values of a column.
func (d *DB) texts(ctx context.Context, sql string) (list []string, err error) {
	return texts(ctx, d.conn, sql)
}

func texts(ctx context.Context, conn driver.Conn, sql string) (list []string, err error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// Close closes the database.
func (d *DB) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return d.conn.Close()
}
