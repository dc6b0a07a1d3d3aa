#!/bin/sh
# Writes a log of some nine days that ends about now, with an incident in its last day
# (bench/genlog), imports it into a database that is gone afterwards, and serves the
# dashboard on the loopback interface until it is told to stop.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
export BOUNCELOG_CONFIG=/dev/null
start=$(date -u -d "@$(($(date +%s) - 9 * 86400))" +%Y-%m-%dT%H:%M:%SZ)
${GO:-go} run ./bench/genlog -bytes 9M -rate 500 -start "$start" -incident-domains 3 -incident-at 0.9 -incident-length 0.1 -timestamp rfc3339 -o "$dir/mail.log"
./bouncelog import --db "$dir/demo.db" "$dir/mail.log"
echo "Open the address below; Ctrl-C ends it."
./bouncelog serve --db "$dir/demo.db" --period 7d --listen "${1:-:9155}"
