-- The tables of a database for many mail hosts. On a cluster they have other names and engines: see
-- migrate.go.

-- +goose NO TRANSACTION
-- +goose Up
-- Each statement can be run again, since a transaction cannot hold several statements.

-- Logs: positions and counts of lines. A row of another table counts as stored if its line is below
-- the position of its log (attempt.line, attempt.told_by). The position is written last. It makes
-- visible all rows that were written before it, even if they were written several times. Of each log
-- the row with the highest position holds. Merges keep one such row for each day, since queries read
-- the positions of earlier days from here (moment.go).
CREATE TABLE IF NOT EXISTS source{{.Suffix}} (
    id String,
    position Int64,
    seq UInt64 COMMENT 'time of writing: milliseconds since 1970 by the server''s clock << 22, plus a number',
    first_seen UInt64 COMMENT 'seq of its first row: the order of the logs',
    path String,
    state String,
    first Nullable(Int64),
    last Nullable(Int64),
    counts Array(Int64) COMMENT 'lines, delivery, attempts, repeated, queue, rejected, skipped, unparsed, blank',
    skipped Map(String, Int64) COMMENT 'skipped lines so far, by program'
) ENGINE = {{engine "source" "ReplacingMergeTree" "position"}} ORDER BY (id, intDiv(seq, 362387865600000));

-- Attempts. A row with the outcome 'ended' says that the pair (message and recipient) that began with
-- the attempt of the same key is no longer pending. The key is the attempt's identity: log, offset
-- and recipient. Of several rows with the same key, the first one written holds (precedence is the
-- highest UInt64 minus seq).
CREATE TABLE IF NOT EXISTS attempt{{.Suffix}} (
    recipient String,
    at Int64 CODEC(Delta, ZSTD),
    source LowCardinality(String),
    offset Int64 CODEC(Delta, ZSTD),
    n Int64 CODEC(ZSTD),
    host LowCardinality(String),
    queue_id String CODEC(ZSTD),
    outcome LowCardinality(String),
    told_by LowCardinality(String) COMMENT 'the log that the row was read from; an end stands on another line than its attempt',
    line Int64 COMMENT 'offset of the line in told_by; below the position that was written with the row' CODEC(Delta, ZSTD),
    precedence UInt64 CODEC(Delta, ZSTD),
    mta LowCardinality(String),
    instance LowCardinality(String),
    agent LowCardinality(String),
    message_id String COMMENT 'empty if delivered' CODEC(ZSTD),
    message_hash UInt64 COMMENT 'of the Message-ID; 0: not known' CODEC(ZSTD),
    sender String CODEC(ZSTD),
    sender_domain String CODEC(ZSTD),
    sender_known Bool,
    recipient_domain String CODEC(ZSTD),
    original_recipient String CODEC(ZSTD),
    relay_host LowCardinality(String),
    relay_ip LowCardinality(String),
    relay_port UInt16 CODEC(ZSTD),
    status LowCardinality(String),
    code UInt16 CODEC(ZSTD),
    enhanced UInt32 CODEC(ZSTD),
    stage LowCardinality(String),
    template LowCardinality(String),
    response String COMMENT 'empty if delivered' CODEC(ZSTD),
    local Bool,
    untried Bool,
    disposal LowCardinality(String),
    tls LowCardinality(String),
    delay Float64 CODEC(ZSTD),
    client_ip String CODEC(ZSTD),
    sasl_user String CODEC(ZSTD),
    reason LowCardinality(String),
    detail LowCardinality(String),
    scope LowCardinality(String),
    rule LowCardinality(String),
    confidence LowCardinality(String),
    pair Bool COMMENT 'delivered: recovered; soft: the first of its pair; hard: expired',
    pair_source LowCardinality(String) COMMENT 'the first soft failure of the pair',
    pair_offset Int64 COMMENT '-1: none' CODEC(ZSTD),
    first Bool COMMENT 'first attempt of its message',
    to_domain Bool COMMENT 'first attempt of its message to the domain',
    warning LowCardinality(String) COMMENT 'logged by the MTA just before a failure',
    INDEX queue_ids queue_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX message_hashes message_hash TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX originals lower(original_recipient) TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = {{engine "attempt" "ReplacingMergeTree" "precedence"}}
-- Deliveries are apart: most questions of a report are about the failures, of which there are few.
PARTITION BY (toYYYYMMDD(toDateTime(greatest(least(at, 4102444800), 0), 'UTC')), outcome = 'delivered')
PRIMARY KEY (recipient_domain, lower(recipient), at)
ORDER BY (recipient_domain, lower(recipient), at, source, offset, n, host, queue_id, recipient, outcome)
SETTINGS index_granularity = 1024, auto_statistics_types = '',
    -- A day without new rows for an hour is merged into one part, in which FINAL has nothing to do.
    min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

-- Events of messages as a whole.
CREATE TABLE IF NOT EXISTS message_end{{.Suffix}} (
    host String, mta String, instance String, queue_id String,
    source String, offset Int64, at Int64, event String, by String
) ENGINE = {{engine "message_end" "ReplacingMergeTree" ""}} ORDER BY (host, mta, instance, queue_id, source, offset, event);

CREATE TABLE IF NOT EXISTS unparsed_line{{.Suffix}} (
    source String, offset Int64, at Nullable(Int64), text String, seq UInt64
) ENGINE = {{engine "unparsed_line" "ReplacingMergeTree" "seq"}} ORDER BY (source, offset);

-- The queue according to the logs. Of each message, the last row below the position of its log
-- holds. A position never lies between two rows of one commit.
CREATE TABLE IF NOT EXISTS queued_message{{.Suffix}} (
    host String, mta String, instance String, queue_id String,
    source String, position Int64, seq UInt64,
    closed Bool, at Nullable(Int64), message_id String, sender String, sender_known Bool,
    size Int64, frozen Bool, client_host String, client_ip String, sasl_user String
) ENGINE = {{engine "queued_message" "ReplacingMergeTree" "seq"}} ORDER BY (host, mta, instance, queue_id, source, position)
TTL toDateTime(intDiv(seq, 4194304000)) + INTERVAL 60 DAY;

CREATE TABLE IF NOT EXISTS note{{.Suffix}} (
    key String, value String, seq UInt64
) ENGINE = {{engine "note" "ReplacingMergeTree" "seq"}} ORDER BY key;

-- Notes that several processes change. Each version of a note is one row, the first one written:
-- ClickHouse drops an insert with the deduplication token of an earlier one (note.go).
CREATE TABLE IF NOT EXISTS shared_note{{.Suffix}} (
    key String, version UInt64, value String, writer String
) ENGINE = {{engine "shared_note" "MergeTree" ""}} ORDER BY (key, version){{if not .Replicated}} SETTINGS non_replicated_deduplication_window = 10000{{end}};
{{if .Cluster}}
CREATE TABLE IF NOT EXISTS shared_note AS shared_note_local ENGINE = Distributed('{{.Cluster}}', currentDatabase(), 'shared_note_local', cityHash64(key));

CREATE TABLE IF NOT EXISTS source AS source_local ENGINE = Distributed('{{.Cluster}}', currentDatabase(), 'source_local', cityHash64(seq));

CREATE TABLE IF NOT EXISTS attempt AS attempt_local ENGINE = Distributed('{{.Cluster}}', currentDatabase(), 'attempt_local', cityHash64(lower(recipient)));

CREATE TABLE IF NOT EXISTS message_end AS message_end_local ENGINE = Distributed('{{.Cluster}}', currentDatabase(), 'message_end_local', cityHash64(queue_id));

CREATE TABLE IF NOT EXISTS unparsed_line AS unparsed_line_local ENGINE = Distributed('{{.Cluster}}', currentDatabase(), 'unparsed_line_local', cityHash64(source));

CREATE TABLE IF NOT EXISTS queued_message AS queued_message_local ENGINE = Distributed('{{.Cluster}}', currentDatabase(), 'queued_message_local', cityHash64(queue_id));

CREATE TABLE IF NOT EXISTS note AS note_local ENGINE = Distributed('{{.Cluster}}', currentDatabase(), 'note_local', cityHash64(key));
{{end}}
-- The public schema, as in SQLite: one row for each attempt.
CREATE VIEW IF NOT EXISTS deliveries AS
SELECT
    formatDateTime(toDateTime64(a.at, 0, 'UTC'), '%Y-%m-%dT%H:%i:%SZ') AS time,
    a.at AS at, a.host AS host, a.mta AS mta, a.instance AS instance, a.agent AS agent, a.queue_id AS queue_id,
    nullIf(a.message_id, '') AS message_id,
    if(a.sender_known, a.sender, NULL) AS sender,
    if(a.sender_known, a.sender_domain, NULL) AS sender_domain,
    a.recipient AS recipient, a.recipient_domain AS recipient_domain, nullIf(a.original_recipient, '') AS original_recipient,
    nullIf(a.relay_host, '') AS relay_host, nullIf(a.relay_ip, '') AS relay_ip, nullIf(a.relay_port, 0) AS relay_port,
    a.status AS status, nullIf(a.outcome, '') AS outcome, nullIf(a.code, 0) AS code,
    if(a.enhanced = 0, NULL, concat(toString(intDiv(a.enhanced, 1000000)), '.', toString(intDiv(a.enhanced, 1000) % 1000), '.', toString(a.enhanced % 1000))) AS enhanced,
    nullIf(a.stage, '') AS stage, if(a.response = '', a.template, a.response) AS response,
    nullIf(a.reason, '') AS reason, nullIf(a.detail, '') AS detail, nullIf(a.scope, '') AS scope, nullIf(a.rule, '') AS rule,
    if(a.delay < 0, NULL, a.delay) AS delay, a.source AS source, a.offset AS offset,
    nullIf(a.sasl_user, '') AS sasl_user, nullIf(a.client_ip, '') AS client_ip, nullIf(a.tls, '') AS tls, nullIf(a.warning, '') AS warning
FROM attempt AS a FINAL
{{if .Cluster}}GLOBAL {{end}}INNER JOIN (SELECT id, max(position) AS position FROM source GROUP BY id) AS s ON s.id = a.told_by
WHERE a.line < s.position AND a.outcome != 'ended'
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS bounces AS
SELECT * FROM deliveries WHERE outcome IN ('soft', 'hard');
