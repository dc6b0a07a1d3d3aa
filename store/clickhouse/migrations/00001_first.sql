-- The tables of a database of many mail hosts. Their names and engines differ on a cluster:
-- see migrate.go.

-- +goose NO TRANSACTION
-- +goose Up
-- Each statement may be run again: there are no transactions over statements.

-- What was read of each log. A row of another table is stored where its line is below the
-- position of the log that says so (attempt.line, attempt.told_by): so a position, which is
-- written last, makes all visible that was written before it, however often that was
-- written. The highest position counts, and with it the counts of lines so far; merges keep
-- that of each day, since a question takes the positions of earlier days from here (moment.go).
CREATE TABLE IF NOT EXISTS source{{.Suffix}} (
    id String,
    position Int64,
    seq UInt64 COMMENT 'when it was written: milliseconds since 1970 by the server << 22, and a number',
    first_seen UInt64 COMMENT 'seq of its first row: the order of the logs',
    path String,
    state String,
    first Nullable(Int64),
    last Nullable(Int64),
    counts Array(Int64) COMMENT 'lines, delivery, attempts, repeated, queue, rejected, skipped, unparsed, blank',
    skipped Map(String, Int64) COMMENT 'skipped lines so far, by program'
) ENGINE = {{engine "source" "ReplacingMergeTree" "position"}} ORDER BY (id, intDiv(seq, 362387865600000));

-- An attempt, or with the outcome 'ended' the word that the pair (message, recipient) which
-- the attempt of the same key began is pending no longer. The key is the identity: the log,
-- the byte and the recipient in it. Of rows with the same key the first that was written counts
-- (precedence is the highest number less seq).
CREATE TABLE IF NOT EXISTS attempt{{.Suffix}} (
    recipient String,
    at Int64 CODEC(Delta, ZSTD),
    source LowCardinality(String),
    offset Int64 CODEC(Delta, ZSTD),
    n Int64 CODEC(ZSTD),
    host LowCardinality(String),
    queue_id String CODEC(ZSTD),
    outcome LowCardinality(String),
    told_by LowCardinality(String) COMMENT 'the log that says so: of an end another line than the attempt''s',
    line Int64 COMMENT 'its byte there; below the position that was written with it' CODEC(Delta, ZSTD),
    precedence UInt64 CODEC(Delta, ZSTD),
    mta LowCardinality(String),
    instance LowCardinality(String),
    agent LowCardinality(String),
    message_id String COMMENT 'not of what was delivered' CODEC(ZSTD),
    message_hash UInt64 COMMENT 'of the message id; 0: not known' CODEC(ZSTD),
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
    response String COMMENT 'not of what was delivered' CODEC(ZSTD),
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
    first Bool COMMENT 'of its message',
    to_domain Bool COMMENT 'of its message to the domain',
    warning LowCardinality(String) COMMENT 'of the MTA, just before a failure',
    INDEX queue_ids queue_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX message_hashes message_hash TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX originals lower(original_recipient) TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = {{engine "attempt" "ReplacingMergeTree" "precedence"}}
PARTITION BY toYYYYMMDD(toDateTime(greatest(least(at, 4102444800), 0), 'UTC'))
PRIMARY KEY (recipient_domain, lower(recipient), at)
ORDER BY (recipient_domain, lower(recipient), at, source, offset, n, host, queue_id, recipient, outcome)
SETTINGS index_granularity = 1024, auto_statistics_types = '',
    -- A day to which nothing was added for an hour becomes one part: in it FINAL has nothing to merge.
    min_age_to_force_merge_seconds = 3600, min_age_to_force_merge_on_partition_only = 1;

-- What became of messages as a whole.
CREATE TABLE IF NOT EXISTS message_end{{.Suffix}} (
    host String, mta String, instance String, queue_id String,
    source String, offset Int64, at Int64, event String, by String
) ENGINE = {{engine "message_end" "ReplacingMergeTree" ""}} ORDER BY (host, mta, instance, queue_id, source, offset, event);

CREATE TABLE IF NOT EXISTS unparsed_line{{.Suffix}} (
    source String, offset Int64, at Nullable(Int64), text String, seq UInt64
) ENGINE = {{engine "unparsed_line" "ReplacingMergeTree" "seq"}} ORDER BY (source, offset);

-- The queue as the logs told of it: of each message the last row counts that is below the
-- position of its log. A position never lies between two rows of one commit.
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

-- Notes that several processes change: a row for each version, the first that was written. An
-- insert with the token of an earlier one is dropped: see note.go.
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
-- The public schema: as in SQLite, a row for each attempt.
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
