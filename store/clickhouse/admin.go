package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"bouncelog/store"
)

// nodes calls do with a connection to each node of the cluster, or to the only node.
func (d *DB) nodes(ctx context.Context, do func(conn driver.Conn) error) error {
	if d.layout.Cluster == "" {
		return do(d.conn)
	}
	addresses, err := d.addresses(ctx)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		o := *d.options
		o.Addr = []string{address}
		conn, err := clickhouse.Open(&o)
		if err == nil {
			err = errors.Join(do(conn), conn.Close())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
	}
	return nil
}

// Prune drops the partitions of the days (UTC) before a time, and returns the number of attempts in
// them.
func (d *DB) Prune(ctx context.Context, before time.Time) (int64, error) {
	at := before.Unix() / 86400 * 86400
	m, err := d.now(ctx)
	if err != nil {
		return 0, err
	}
	var removed uint64
	if err := d.conn.QueryRow(ctx, "SELECT count() FROM attempt FINAL WHERE "+where{m.visible(), isAttempt, fmt.Sprintf("at < %d", at)}.String()).Scan(&removed); err != nil {
		return 0, d.wrap("prune", err)
	}
	table := "attempt" + d.layout.Suffix()
	day := unix(at).Format("20060102")
	err = d.nodes(ctx, func(conn driver.Conn) error {
		days, err := texts(ctx, conn, "SELECT DISTINCT partition_id FROM system.parts WHERE active AND database = currentDatabase() AND table = "+quote(table)+" AND toUInt32OrZero(substring(partition_id, 1, 8)) < "+day)
		if err != nil {
			return err
		}
		for _, x := range days {
			if err := conn.Exec(ctx, "ALTER TABLE "+table+" DROP PARTITION ID "+quote(x)); err != nil {
				return err
			}
		}
		return conn.Exec(ctx, fmt.Sprintf("DELETE FROM message_end%s WHERE at < %d", d.layout.Suffix(), at))
	})
	return int64(removed), d.wrap("prune", err)
}

// Check looks for lagging replicas and merges. If there are none, it looks for rows that no log
// accounts for, and for impossible pairs.
func (d *DB) Check(ctx context.Context) (problems []string, err error) {
	for _, c := range []struct {
		asked bool
		sql   string
	}{
		{true, fmt.Sprintf("SELECT concat('merges lag behind: ', toString(count()), ' parts in the partition ', partition, ' of ', table) FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table, partition HAVING count() > %d", partsAtMost)},
		{d.layout.Replicated, `SELECT concat('the replica ', replica_name, ' of ', table, multiIf(is_session_expired, ' has lost its Keeper', is_readonly, ' takes no rows', concat(' is ', toString(absolute_delay), ' s behind')))
			FROM system.replicas WHERE database = currentDatabase() AND (is_readonly OR is_session_expired OR absolute_delay > 300)`},
	} {
		if !c.asked {
			continue
		}
		err := d.nodes(ctx, func(conn driver.Conn) error {
			list, err := texts(ctx, conn, c.sql)
			problems = append(problems, list...)
			return err
		})
		if err != nil {
			return problems, d.wrap("check", err)
		}
	}
	if len(problems) > 0 {
		return problems, nil // with a lagging replica the rows may be inconsistent for now
	}
	m, err := d.now(ctx)
	if err != nil {
		return problems, err
	}
	for _, c := range []struct{ what, sql string }{
		{"attempts of a log that is not known", "SELECT count() FROM attempt FINAL WHERE told_by NOT IN (SELECT id FROM source)"},
		{"ends of pairs without a first failure", "SELECT count() FROM attempt FINAL WHERE " + m.visible() + " AND outcome = 'ended' AND (" + messageColumns + ", recipient, source, offset) NOT IN (SELECT " + messageColumns + ", recipient, source, offset FROM attempt FINAL WHERE outcome = 'soft' AND pair)"},
		{"deferrals of a pair without a first failure", "SELECT count() FROM attempt FINAL WHERE " + m.visible() + " AND outcome = 'soft' AND pair_offset >= 0 AND at >= 0 AND (" + messageColumns + ", recipient, pair_source, pair_offset) NOT IN (SELECT " + messageColumns + ", recipient, source, offset FROM attempt FINAL WHERE outcome = 'soft' AND pair)"},
	} {
		var n uint64
		if err := d.conn.QueryRow(ctx, c.sql).Scan(&n); err != nil {
			return problems, d.wrap("check", err)
		}
		if n > 0 {
			problems = append(problems, fmt.Sprintf("%s: %d", c.what, n))
		}
	}
	return problems, nil
}

// partsAtMost is the largest number of parts of a partition while merges keep up. It is far below
// the number at which the server delays inserts (parts_to_delay_insert, 1000).
const partsAtMost = 300

// Describe returns properties of the database.
func (d *DB) Describe(ctx context.Context) ([]store.Fact, error) {
	r, err := d.Read(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var all store.Cell
	cells, err := r.Count(ctx, store.Filter{})
	if err != nil {
		return nil, err
	}
	for i := range cells {
		all = cells[i]
	}
	span, err := r.Span(ctx, store.Filter{})
	if err != nil {
		return nil, err
	}
	var own, system, rows, parts, merges uint64
	var version string
	err = d.nodes(ctx, func(conn driver.Conn) error {
		var a, b, n, p, m uint64
		err := conn.QueryRow(ctx, `SELECT sumIf(bytes_on_disk, database = currentDatabase()), sumIf(bytes_on_disk, database = 'system'), sumIf(rows, database = currentDatabase() AND table = `+
			quote("attempt"+d.layout.Suffix())+"), countIf(database = currentDatabase()), (SELECT count() FROM system.merges WHERE database = currentDatabase()), version() FROM system.parts WHERE active").Scan(&a, &b, &n, &p, &m, &version)
		own, system, rows, parts, merges = own+a, system+b, rows+n, parts+p, merges+m
		return err
	})
	if err != nil {
		return nil, d.wrap("describe", err)
	}
	var facts []store.Fact
	fact := func(what string, value any) { facts = append(facts, store.Fact{What: what, Value: value}) }
	fact("database", d.name)
	fact("size", fmt.Sprintf("%.1f MB", float64(own)/1e6))
	fact("size of the server's own logs", fmt.Sprintf("%.1f MB", float64(system)/1e6))
	fact("parts", fmt.Sprintf("%d, %d merges running", parts, merges))
	fact("schema", fmt.Sprintf("%d (ClickHouse %s)", schemaVersion, version))
	if d.layout.Cluster != "" {
		addresses, err := d.addresses(ctx)
		if err != nil {
			return nil, d.wrap("describe", err)
		}
		fact("nodes", strings.Join(addresses, " "))
	}
	fact("attempts", all.Attempts)
	if n := all.Handoff + all.Probe; n > 0 {
		fact("hand-offs and probes", n)
	}
	fact("bytes per attempt", fmt.Sprintf("%.1f", float64(own)/float64(max(rows, 1))))
	if !span.IsZero() {
		fact("from", span.First)
		fact("to", span.Last)
	}
	fact("recipients waiting", all.Pending)
	sources, err := r.(*reader).sources(ctx)
	if err != nil {
		return nil, err
	}
	newest := make(map[string]time.Time)
	for i := range sources {
		agent, _, _ := strings.Cut(sources[i].ID, "/")
		if t := sources[i].Last; t.After(newest[agent]) {
			newest[agent] = t
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(newest)) {
		fact("host "+agent, "newest line of "+newest[agent].Format(time.RFC3339))
	}
	return facts, nil
}

// Watch returns a number derived from the positions that moved recently.
func (d *DB) Watch(ctx context.Context) (version func() (int64, error), stop func(), err error) {
	return func() (int64, error) {
		var n int64
		err := d.conn.QueryRow(ctx, "SELECT reinterpretAsInt64(sum(cityHash64(id, p, s))) FROM (SELECT id, max(position) AS p, max(seq) AS s FROM source WHERE seq >= toUInt64(toStartOfDay(now() - 3600, 'UTC')) * 4194304000 GROUP BY id)").Scan(&n)
		return n, d.wrap("read", err)
	}, func() {}, nil
}
