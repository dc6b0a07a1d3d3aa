-- +goose Up

-- The tables are private and may change in any release. The views at the end are the public schema
-- (docs/schema.md). docs/format.md has a picture of the tables.
--
-- A dictionary is searched by hash. The table X_key holds one integer for each row of X: part of the
-- row's keyed hash in the upper bits, its id in the lower $ID_BITS. An index over the text would take
-- three times the space.
--
-- Names that begin with a dollar sign are constants of layout.go, which describes the packed
-- integers.

PRAGMA application_id = 1651401580; -- 'bncl'
PRAGMA user_version = 1;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Logs. A log is one row, under all its names and compressions.
CREATE TABLE source (
    id       INTEGER PRIMARY KEY, -- the upper bits of an attempt's id
    name     TEXT NOT NULL UNIQUE, -- derived from the log's content
    path     TEXT NOT NULL,
    position INTEGER NOT NULL, -- offset of the first byte that is not stored
    state    TEXT NOT NULL,
    first    INTEGER,
    last     INTEGER,
    lines    INTEGER NOT NULL DEFAULT 0,
    delivery INTEGER NOT NULL DEFAULT 0, -- lines about attempts
    attempts INTEGER NOT NULL DEFAULT 0,
    repeated INTEGER NOT NULL DEFAULT 0,
    queue    INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0, -- lines about mail that this server refused
    skipped  INTEGER NOT NULL DEFAULT 0,
    unparsed INTEGER NOT NULL DEFAULT 0,
    blank    INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Domains and host names.
CREATE TABLE name (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;
CREATE TABLE name_key (key INTEGER PRIMARY KEY) STRICT;

-- Senders and recipients. first and last are the times of the first and the last delivery to the
-- address. last is updated once a day, and at once when a delivery follows a failure. Before the
-- first delivery both are -1 << 31, which takes as many bytes as a time: a row that grows leaves
-- pages half empty. This table and others that grow as fast have no foreign keys: see delivery.
CREATE TABLE address (
    id     INTEGER PRIMARY KEY,
    domain INTEGER NOT NULL,
    local  TEXT NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL
) STRICT;
CREATE TABLE address_key (key INTEGER PRIMARY KEY) STRICT;

-- Recipients whose last failure was not followed by a delivery.
CREATE TABLE failing (
    id INTEGER PRIMARY KEY, -- id of the address
    at INTEGER NOT NULL -- time of the last failure
) STRICT;

-- The first delivery to a recipient after each of its failures.
CREATE TABLE recovery (
    recipient INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (recipient, at)
) STRICT, WITHOUT ROWID;

-- Recipients' domains and the relays that their mail was sent to. An IPv4 address is a number.
CREATE TABLE route (
    id     INTEGER PRIMARY KEY,
    domain INTEGER NOT NULL,
    host   INTEGER,
    ip     ANY,
    port   INTEGER
) STRICT;
CREATE TABLE route_key (key INTEGER PRIMARY KEY) STRICT;

-- Logging hosts with their MTAs and instances.
CREATE TABLE origin (
    id       INTEGER PRIMARY KEY,
    host     TEXT NOT NULL,
    mta      TEXT NOT NULL,
    instance TEXT NOT NULL,
    UNIQUE (host, mta, instance)
) STRICT;

-- The names of outcomes and reasons. id is outcome << $REASON_BITS | reason.
CREATE TABLE kind (
    id      INTEGER PRIMARY KEY,
    outcome TEXT NOT NULL,
    reason  TEXT
) STRICT;

-- Replies and their verdicts. The template is the response without its variable parts. sample is the
-- first response with this template; "db reclassify" judges it.
CREATE TABLE reply (
    id          INTEGER PRIMARY KEY,
    origin      INTEGER NOT NULL REFERENCES origin,
    kind        INTEGER NOT NULL REFERENCES kind,
    agent       TEXT NOT NULL,
    status      TEXT NOT NULL,
    code        INTEGER,
    enhanced    TEXT,
    stage       TEXT,
    local       INTEGER NOT NULL,
    situation   TEXT NOT NULL, -- the other facts that the verdict depends on: bounce.Template.Situation
    template    TEXT NOT NULL,
    sample      TEXT,
    sample_host TEXT,
    detail      TEXT,
    scope       TEXT,
    rule        TEXT,
    confidence  TEXT,
    tls         TEXT, -- the TLS result of the attempts, as logged
    disposal    TEXT, -- what a content filter did with the message
    -- For a deferral without an attempt: the reply to the last attempt, whose verdict it shares;
    -- 0 if no attempt is known.
    last_try    INTEGER
) STRICT;
CREATE TABLE reply_key (key INTEGER PRIMARY KEY) STRICT;

-- Attempts with the outcome delivered.
--
-- id           source << $OFFSET_BITS | offset
-- queue        the queue id: if hexadecimal, the integer with the digit 1 in front of its digits;
--              otherwise text
-- meta         delay << $FLAG_BITS | flags. Flags: 1 first attempt of its message, 2 first attempt of
--              its message to this domain, 4 delivered after a soft failure. Delay: 0 if not known;
--              up to $MAX_FINE hundredths of a second + 1; above that seconds + $COARSE_BASE
-- message_hash the keyed hash of the Message-ID; NULL if not known. It finds every attempt of a
--              message. The text of the Message-ID is stored for failures only
--
-- There are no foreign keys: they would add a third to the time of an import. "db check" looks for
-- references to missing rows.
CREATE TABLE delivery (
    id        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    queue     ANY NOT NULL,
    recipient INTEGER NOT NULL,
    sender    INTEGER,
    route     INTEGER NOT NULL,
    reply     INTEGER NOT NULL,
    meta      INTEGER NOT NULL,
    message_hash INTEGER
) STRICT;

-- All other attempts: soft and hard failures, hand-offs and probes. An expired message has one row
-- for each recipient, with the id of the pair - 1 << 63.
--
-- text   the response; NULL if it equals the template. After char(5), the variable parts of the
--        template, in order; otherwise the whole response. char(1) stands for the recipient, char(2)
--        for the relay's host name, char(3) for its IP address, char(4) for the sender. An integer
--        is an id of the table text
-- before time of the last delivery to the recipient before the attempt
-- line   for an expired message: source << $OFFSET_BITS | offset of the line that says so
-- client the client that submitted the message: a positive integer is an id of the table login, a
--        negative one is -1 - the IPv4 address, text is any other IP address
CREATE TABLE failure (
    id        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    queue     ANY NOT NULL,
    recipient INTEGER NOT NULL,
    sender    INTEGER,
    route     INTEGER NOT NULL,
    reply     INTEGER NOT NULL,
    meta      INTEGER NOT NULL,
    text      ANY,
    message   INTEGER,
    before    INTEGER,
    line      INTEGER,
    client    ANY,
    message_hash INTEGER
) STRICT;

-- Copies of the columns that reports read, of failures with certain reasons: refusals, which may be
-- about the sender (refusal), and faults of the recipient's address (fault). A row of failure is
-- three times as wide, and most failures have other reasons.
CREATE TABLE refusal (
    id        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    queue     ANY NOT NULL,
    recipient INTEGER NOT NULL,
    sender    INTEGER,
    route     INTEGER NOT NULL,
    reply     INTEGER NOT NULL,
    before    INTEGER,
    original  INTEGER -- domain of the original recipient: an id of the table name
) STRICT;
CREATE TABLE fault (
    id        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    reply     INTEGER NOT NULL,
    before    INTEGER
) STRICT;

-- Logins (SASL user names) that submitted messages which failed.
CREATE TABLE login (
    id   INTEGER PRIMARY KEY,
    user TEXT NOT NULL
) STRICT;

-- Responses and warnings that occurred more than once.
CREATE TABLE text (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

-- Message-IDs, split at the last "@". left is a blob if it is lower-case hexadecimal; right is an id
-- of the table name.
CREATE TABLE message_id (
    id    INTEGER PRIMARY KEY,
    left  ANY NOT NULL,
    right INTEGER
) STRICT;

-- Columns that few attempts have; id is the attempt's. The original recipient; the warning that the
-- MTA logged just before a failure, stored like failure.text; the Message-ID of a delivery, if the
-- database keeps all of them.
CREATE TABLE original (
    id      INTEGER PRIMARY KEY,
    address INTEGER NOT NULL
) STRICT;
CREATE INDEX original_address ON original (address);
CREATE TABLE warning (
    id   INTEGER PRIMARY KEY,
    text ANY NOT NULL
) STRICT;
CREATE TABLE delivery_message (
    id      INTEGER PRIMARY KEY,
    message INTEGER NOT NULL
) STRICT;

-- Pairs: a message and a recipient, from the first soft failure on. id is the id of that attempt.
-- ended is the id of the attempt, or of the line in message_end, that ended the pair.
CREATE TABLE pair (
    id    INTEGER PRIMARY KEY,
    state INTEGER NOT NULL, -- 0 pending, 1 recovered, 2 expired, 3 hard, 4 removed, 5 discarded, 6 completed
    ended INTEGER
) STRICT;

-- The pairs that have not ended. last is the id of the last soft attempt, or of the last deferral if
-- there was no attempt. arrived is the time at which the message entered the queue. This is a table
-- since SQLite prepares a statement that uses a partial index again for each run.
CREATE TABLE pending (
    queue     ANY NOT NULL,
    recipient INTEGER NOT NULL,
    pair      INTEGER NOT NULL,
    origin    INTEGER NOT NULL,
    arrived   INTEGER,
    last      INTEGER NOT NULL,
    PRIMARY KEY (queue, recipient, pair)
) STRICT, WITHOUT ROWID;

-- Events of messages as a whole, apart from their deliveries. id is source << $OFFSET_BITS | offset
-- of the line that logs the event.
CREATE TABLE message_end (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    queue  ANY NOT NULL,
    event  TEXT NOT NULL, -- completed, removed, frozen, thawed, discarded
    by     TEXT
) STRICT;
CREATE INDEX message_end_queue ON message_end (queue, origin);
CREATE INDEX message_end_discarded ON message_end (at) WHERE event = 'discarded';

-- Rollups: counts of attempts, always equal to the rows.
--
-- key      period << $PERIOD_SHIFT | id << $DIM_SHIFT | kind. The period is the hour since 1970
--          (rollup_origin) or the day. id is the route, the sender's domain or the origin
-- n        attempts
-- messages messages whose first attempt is in the cell (rollup_route: first attempt to the domain)
-- pairs    pairs that were recovered by a delivery, are pending after a soft failure, expired, or
--          were discarded by the filter that they were handed to
-- nulls    attempts with the null sender
-- retry    soft attempts with a 5xx reply, which the MTA will retry
--
-- rollup_total is rollup_route without the day: counts over all time do not take longer with each
-- day.
CREATE TABLE rollup_route (
    key      INTEGER PRIMARY KEY,
    n        INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    pairs    INTEGER NOT NULL,
    nulls    INTEGER NOT NULL,
    retry    INTEGER NOT NULL
) STRICT;
CREATE TABLE rollup_total (
    key      INTEGER PRIMARY KEY,
    n        INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    pairs    INTEGER NOT NULL,
    nulls    INTEGER NOT NULL,
    retry    INTEGER NOT NULL
) STRICT;
CREATE TABLE rollup_sender (
    key      INTEGER PRIMARY KEY,
    n        INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    pairs    INTEGER NOT NULL,
    nulls    INTEGER NOT NULL,
    retry    INTEGER NOT NULL
) STRICT;
CREATE TABLE rollup_origin (
    key      INTEGER PRIMARY KEY,
    n        INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    pairs    INTEGER NOT NULL,
    nulls    INTEGER NOT NULL,
    retry    INTEGER NOT NULL
) STRICT;

-- Chunks: runs of attempts of one source, with their times and a Bloom filter of their recipients,
-- queue ids and Message-IDs.
CREATE TABLE chunk (
    id    INTEGER PRIMARY KEY, -- id of the first attempt
    last  INTEGER NOT NULL, -- id of the last attempt
    since INTEGER NOT NULL, -- earliest time of an attempt
    until INTEGER NOT NULL, -- latest time of an attempt
    bits  BLOB NOT NULL
) STRICT;
-- Finds the chunks of a period without reading their filters, which take a page each.
CREATE INDEX chunk_time ON chunk (since, until, last);

-- Messages that were in the queue when the last batch was stored.
CREATE TABLE open_message (
    id           INTEGER PRIMARY KEY,
    host         TEXT NOT NULL,
    mta          TEXT NOT NULL,
    instance     TEXT NOT NULL,
    queue_id     TEXT NOT NULL,
    at           INTEGER NOT NULL,
    message_id   TEXT NOT NULL,
    sender       TEXT NOT NULL,
    sender_known INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    client_host  TEXT NOT NULL,
    client_ip    TEXT NOT NULL,
    sasl_user    TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX open_message_queue_id ON open_message (queue_id, instance, host, mta);

-- Skipped lines, by program.
CREATE TABLE skipped (
    program TEXT PRIMARY KEY,
    lines   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A sample of the lines that were not understood.
CREATE TABLE unparsed_line (
    id   INTEGER PRIMARY KEY, -- source << $OFFSET_BITS | offset
    at   INTEGER,
    text TEXT NOT NULL
) STRICT;

-- The views are the public schema.

CREATE VIEW deliveries AS
WITH attempt AS (
    SELECT id, at, queue, recipient, sender, route, reply, meta,
           NULL AS text, NULL AS message, NULL AS line, NULL AS client FROM delivery
    UNION ALL
    SELECT id, at, queue, recipient, sender, route, reply, meta,
           text, message, line, client FROM failure
)
SELECT
    strftime('%Y-%m-%dT%H:%M:%SZ', a.at, 'unixepoch') AS time,
    a.at AS at,
    o.host AS host,
    o.mta AS mta,
    o.instance AS instance,
    p.agent AS agent,
    CASE typeof(a.queue) WHEN 'integer' THEN substr(printf('%X', a.queue), 2) ELSE nullif(a.queue, '') END AS queue_id,
    (SELECT CASE typeof(m.left) WHEN 'blob' THEN lower(hex(m.left)) ELSE m.left END
            || coalesce('@' || (SELECT text FROM name WHERE id = m.right), '')
     FROM message_id AS m
     WHERE m.id = coalesce(a.message, (SELECT message FROM delivery_message WHERE id = a.id))) AS message_id,
    CASE WHEN s.id IS NULL THEN NULL WHEN sd.text = '' THEN s.local ELSE s.local || '@' || sd.text END AS sender,
    sd.text AS sender_domain,
    CASE WHEN d.text = '' THEN r.local ELSE r.local || '@' || d.text END AS recipient,
    d.text AS recipient_domain,
    (SELECT CASE WHEN y.text = '' THEN x.local ELSE x.local || '@' || y.text END
     FROM original AS w JOIN address AS x ON x.id = w.address JOIN name AS y ON y.id = x.domain
     WHERE w.id = a.id) AS original_recipient,
    h.text AS relay_host,
    CASE typeof(t.ip) WHEN 'integer' THEN printf('%d.%d.%d.%d', t.ip >> 24, t.ip >> 16 & 255, t.ip >> 8 & 255, t.ip & 255) ELSE t.ip END AS relay_ip,
    t.port AS relay_port,
    p.status AS status,
    k.outcome AS outcome,
    p.code AS code,
    p.enhanced AS enhanced,
    p.stage AS stage,
    CASE WHEN a.text IS NULL THEN p.template ELSE
        replace(replace(replace(replace(
            (WITH RECURSIVE
                 stored(text) AS (SELECT CASE typeof(a.text) WHEN 'integer' THEN (SELECT text FROM text WHERE id = a.text) ELSE a.text END),
                 part(done, template, parts) AS (
                     SELECT '', iif(substr(text, 1, 1) = char(5), p.template, text), substr(text, 2) FROM stored
                     UNION ALL
                     SELECT done || substr(template, 1, instr(template, '{') - 1) ||
                            iif(substr(template, instr(template, '{'), 7) = '{brace}', '{', substr(parts, 1, instr(parts || ' ', ' ') - 1)),
                            substr(template, instr(template, '{') + instr(substr(template, instr(template, '{')), '}')),
                            iif(substr(template, instr(template, '{'), 7) = '{brace}', parts, substr(parts, instr(parts || ' ', ' ') + 1))
                     FROM part WHERE instr(substr(template, instr(template || '{', '{')), '}') > 0 AND (SELECT substr(text, 1, 1) FROM stored) = char(5))
             SELECT done || template FROM part ORDER BY length(template) LIMIT 1),
            char(1), CASE WHEN d.text = '' THEN r.local ELSE r.local || '@' || d.text END),
            char(2), coalesce(h.text, '')), char(3), coalesce(CASE typeof(t.ip) WHEN 'integer' THEN printf('%d.%d.%d.%d', t.ip >> 24, t.ip >> 16 & 255, t.ip >> 8 & 255, t.ip & 255) ELSE t.ip END, '')),
            char(4), coalesce(CASE WHEN sd.text = '' THEN s.local ELSE s.local || '@' || sd.text END, ''))
    END AS response,
    k.reason AS reason,
    p.detail AS detail,
    p.scope AS scope,
    p.rule AS rule,
    CASE WHEN a.meta >> $FLAG_BITS = 0 THEN NULL WHEN a.meta >> $FLAG_BITS <= $MAX_FINE THEN ((a.meta >> $FLAG_BITS) - 1) / 100.0
         ELSE (a.meta >> $FLAG_BITS) - $COARSE_BASE.0 END AS delay,
    c.name AS source,
    coalesce(a.line, a.id) & $MAX_OFFSET AS offset,
    (SELECT user FROM login WHERE id = a.client) AS sasl_user,
    CASE WHEN typeof(a.client) = 'text' THEN a.client WHEN a.client < 0 THEN
        printf('%d.%d.%d.%d', -1 - a.client >> 24, -1 - a.client >> 16 & 255, -1 - a.client >> 8 & 255, -1 - a.client & 255) END AS client_ip,
    p.tls AS tls,
    p.disposal AS disposal,
    p.last_try IS NOT NULL AS untried,
    (SELECT CASE typeof(w.text) WHEN 'integer' THEN (SELECT text FROM text WHERE id = w.text) ELSE w.text END
     FROM warning AS w WHERE w.id = a.id) AS warning
FROM attempt AS a
JOIN reply AS p ON p.id = a.reply
JOIN origin AS o ON o.id = p.origin
JOIN kind AS k ON k.id = p.kind
JOIN route AS t ON t.id = a.route
JOIN address AS r ON r.id = a.recipient
JOIN name AS d ON d.id = r.domain
LEFT JOIN address AS s ON s.id = a.sender
LEFT JOIN name AS sd ON sd.id = s.domain
LEFT JOIN name AS h ON h.id = t.host
LEFT JOIN source AS c ON c.id = coalesce(a.line, a.id) >> $OFFSET_BITS;

CREATE VIEW bounces AS
SELECT * FROM deliveries WHERE outcome IN ('soft', 'hard');

CREATE VIEW messages AS
SELECT
    min(time) AS time,
    min(at) AS at,
    max(at) AS last_at,
    host,
    mta,
    instance,
    queue_id,
    max(message_id) AS message_id,
    sender,
    sender_domain,
    count(DISTINCT recipient) AS recipients,
    count(*) AS attempts,
    sum(outcome = 'delivered') AS delivered,
    sum(outcome = 'soft') AS soft,
    sum(outcome = 'hard') AS hard
FROM deliveries
WHERE outcome IN ('delivered', 'soft', 'hard')
GROUP BY host, mta, instance, queue_id, sender, sender_domain;

CREATE VIEW domains AS
SELECT
    d.text AS domain,
    sum(iif(k.outcome IN ('delivered', 'soft', 'hard'), c.n, 0)) AS attempts,
    sum(iif(k.outcome = 'delivered', c.n, 0)) AS delivered,
    sum(iif(k.outcome = 'soft', c.n, 0)) AS soft,
    sum(iif(k.outcome = 'hard', c.n, 0)) AS hard,
    sum(iif(k.outcome = 'delivered', c.pairs, 0)) AS recovered,
    sum(iif(k.outcome = 'soft', c.pairs, 0)) AS pending,
    sum(iif(k.outcome = 'hard', c.pairs, 0)) AS expired,
    sum(c.messages) AS messages
FROM (SELECT key >> $DIM_SHIFT AS route, key & $KIND_MASK AS kind, n, messages, pairs FROM rollup_total) AS c
JOIN route AS r ON r.id = c.route
JOIN name AS d ON d.id = r.domain
JOIN kind AS k ON k.id = c.kind
GROUP BY d.text;

CREATE VIEW recipients AS
SELECT
    CASE WHEN d.text = '' THEN a.local ELSE a.local || '@' || d.text END AS recipient,
    d.text AS recipient_domain,
    strftime('%Y-%m-%dT%H:%M:%SZ', min(f.at), 'unixepoch') AS first_failure,
    strftime('%Y-%m-%dT%H:%M:%SZ', max(f.at), 'unixepoch') AS last_failure,
    sum(k.outcome = 'soft') AS soft,
    sum(k.outcome = 'hard') AS hard,
    strftime('%Y-%m-%dT%H:%M:%SZ', max(f.before), 'unixepoch') AS delivered_before,
    (SELECT strftime('%Y-%m-%dT%H:%M:%SZ', max(at), 'unixepoch') FROM recovery WHERE recipient = f.recipient) AS delivered_after
FROM failure AS f
JOIN reply AS p ON p.id = f.reply
JOIN kind AS k ON k.id = p.kind
JOIN address AS a ON a.id = f.recipient
JOIN name AS d ON d.id = a.domain
WHERE k.outcome IN ('soft', 'hard')
GROUP BY f.recipient;

CREATE VIEW daily AS
SELECT
    date(c.day * $DAY_SECONDS, 'unixepoch') AS day,
    d.text AS domain,
    h.text AS relay_host,
    k.outcome AS outcome,
    k.reason AS reason,
    sum(c.n) AS attempts
FROM (SELECT key >> $PERIOD_SHIFT AS day, key >> $DIM_SHIFT & $MAX_ID AS route, key & $KIND_MASK AS kind, n FROM rollup_route) AS c
JOIN route AS r ON r.id = c.route
JOIN name AS d ON d.id = r.domain
LEFT JOIN name AS h ON h.id = r.host
JOIN kind AS k ON k.id = c.kind
GROUP BY 1, 2, 3, 4, 5;

CREATE VIEW problems AS
SELECT
    date(f.at, 'unixepoch') AS day,
    sd.text AS sender_domain,
    d.text AS domain,
    k.reason AS reason,
    max(p.detail) AS detail,
    count(*) AS attempts,
    count(DISTINCT f.queue) AS messages,
    count(DISTINCT f.recipient) AS recipients,
    count(DISTINCT iif(f.before IS NOT NULL OR EXISTS (SELECT 1 FROM recovery WHERE recipient = f.recipient AND at >= f.at), f.recipient, NULL)) AS valid_recipients,
    strftime('%Y-%m-%dT%H:%M:%SZ', min(f.at), 'unixepoch') AS since,
    strftime('%Y-%m-%dT%H:%M:%SZ', max(f.at), 'unixepoch') AS until,
    min(p.sample) AS response
FROM failure AS f
JOIN reply AS p ON p.id = f.reply
JOIN kind AS k ON k.id = p.kind
JOIN route AS t ON t.id = f.route
JOIN name AS d ON d.id = t.domain
LEFT JOIN address AS s ON s.id = f.sender
LEFT JOIN name AS sd ON sd.id = s.domain
WHERE k.outcome IN ('soft', 'hard')
  AND (k.reason IN ('auth_failure', 'reputation', 'blocklist', 'rdns_helo')
       OR p.code IN (550, 554) AND k.reason IN ('policy', 'content_spam', 'unknown'))
GROUP BY 1, 2, 3, 4;

CREATE VIEW sources AS
SELECT
    name AS source,
    path AS path,
    position AS offset,
    strftime('%Y-%m-%dT%H:%M:%SZ', first, 'unixepoch') AS first,
    strftime('%Y-%m-%dT%H:%M:%SZ', last, 'unixepoch') AS last,
    lines AS lines,
    delivery AS delivery,
    attempts AS attempts,
    repeated AS repeated,
    queue AS queue,
    rejected AS rejected,
    skipped AS skipped,
    unparsed AS unparsed,
    blank AS blank
FROM source;

CREATE VIEW message_ends AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%SZ', e.at, 'unixepoch') AS time,
    e.at AS at,
    o.host AS host,
    o.mta AS mta,
    o.instance AS instance,
    CASE typeof(e.queue) WHEN 'integer' THEN substr(printf('%X', e.queue), 2) ELSE nullif(e.queue, '') END AS queue_id,
    e.event AS event,
    e.by AS by,
    c.name AS source,
    e.id & $MAX_OFFSET AS offset
FROM message_end AS e
JOIN origin AS o ON o.id = e.origin
JOIN source AS c ON c.id = e.id >> $OFFSET_BITS;

CREATE VIEW unparsed AS
SELECT
    c.name AS source,
    u.id & $MAX_OFFSET AS offset,
    strftime('%Y-%m-%dT%H:%M:%SZ', u.at, 'unixepoch') AS time,
    u.text AS text
FROM unparsed_line AS u
JOIN source AS c ON c.id = u.id >> $OFFSET_BITS;

-- +goose Down
