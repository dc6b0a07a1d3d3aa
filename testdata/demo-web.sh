#!/bin/sh
# Writes a log of nine days that ends now, with an incident that has been going on for
# some hours (bench/genlog), imports it into a temporary database, and serves the dashboard
# on the loopback interface until Ctrl-C.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
export BOUNCELOG_CONFIG=/dev/null
now=$(date -u +%Y-%m-%dT%H:%M:%S)
start=$(date -u -d "@$(($(date +%s) - 9 * 86400))" +%Y-%m-%dT%H:%M:%SZ)
# 12 MB are some 13 days: the incident is at 0.66 of them. Lines after now are left out.
${GO:-go} run ./bench/genlog -bytes 12M -rate 500 -start "$start" -incident-domains 3 -incident-at 0.66 -incident-length 0.2 -timestamp rfc3339 -o "$dir/all.log"
awk -v now="$now" '$1 < now' "$dir/all.log" >"$dir/mail.log"
./bouncelog import --db "$dir/demo.db" "$dir/mail.log"
echo "Open the address below; Ctrl-C ends it."
./bouncelog serve --db "$dir/demo.db" --period 7d --listen "${1:-:9155}"
