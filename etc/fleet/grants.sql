-- Users and rights for the database of a fleet. Run this file as an administrator. The owner's first
-- import then creates the tables. On a cluster, add ON CLUSTER to each statement.

-- The owner creates and migrates the tables, and prunes.
CREATE USER IF NOT EXISTS bouncelog_owner IDENTIFIED WITH sha256_password BY 'change-me';
GRANT ALL ON bouncelog.* TO bouncelog_owner;
GRANT SELECT ON system.parts TO bouncelog_owner;
GRANT SELECT ON system.merges TO bouncelog_owner;
GRANT SELECT ON system.clusters TO bouncelog_owner;
GRANT SELECT ON system.replicas TO bouncelog_owner;
GRANT TABLE ENGINE ON MergeTree TO bouncelog_owner;
GRANT TABLE ENGINE ON ReplacingMergeTree TO bouncelog_owner;
-- On a cluster; with replicas, the Replicated engines replace those above:
GRANT TABLE ENGINE ON Distributed TO bouncelog_owner;
GRANT TABLE ENGINE ON ReplicatedMergeTree TO bouncelog_owner;
GRANT TABLE ENGINE ON ReplicatedReplacingMergeTree TO bouncelog_owner;
GRANT REMOTE ON *.* TO bouncelog_owner;

-- An agent stores the log of its host. To resume, it reads positions and the earlier attempts of the
-- messages in its batches. It can neither change nor delete a row.
CREATE ROLE IF NOT EXISTS bouncelog_agent;
GRANT SELECT, INSERT ON bouncelog.* TO bouncelog_agent;
CREATE USER IF NOT EXISTS mx1 IDENTIFIED WITH sha256_password BY 'change-me' HOST NAME 'mx1.example.net' DEFAULT ROLE bouncelog_agent;

-- A reader runs report, trace, query, serve and top. These send settings with their queries, which
-- readonly = 2 allows and readonly = 1 does not.
CREATE ROLE IF NOT EXISTS bouncelog_reader SETTINGS readonly = 2, max_execution_time = 600, max_memory_usage = 8000000000;
GRANT SELECT ON bouncelog.* TO bouncelog_reader;
GRANT SELECT ON system.parts TO bouncelog_reader;
GRANT SELECT ON system.merges TO bouncelog_reader;
GRANT SELECT ON system.clusters TO bouncelog_reader;
GRANT SELECT ON system.replicas TO bouncelog_reader;
CREATE USER IF NOT EXISTS reader IDENTIFIED WITH sha256_password BY 'change-me' DEFAULT ROLE bouncelog_reader;
