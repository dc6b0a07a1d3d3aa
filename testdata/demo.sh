#!/bin/sh
# Writes a log of nine days with an incident that begins and ends (bench/genlog: the
# same bytes each time), imports it into demo.db, and prints the report of its last six
# days, which is also written as a page to demo.html.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
rm -f demo.db demo.db-wal demo.db-shm
export BOUNCELOG_CONFIG=/dev/null
${GO:-go} run ./bench/genlog -bytes 9M -rate 500 -start 2026-11-13T00:00:00Z -incident-domains 3 -incident-at 0.55 -incident-length 0.2 -o "$dir/mail.log"
set -x
./bouncelog import --db demo.db --tz UTC --year 2026 "$dir/mail.log"
./bouncelog report --db demo.db --tz UTC -d '2026-11-16 to 2026-11-21'
./bouncelog report --db demo.db --tz UTC -d '2026-11-16 to 2026-11-21' -o demo.html
