#!/bin/sh
# Imports the sample logs into a database that is gone afterwards, and prints
# the report.
set -eu
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
set -x
./bouncelog import --db "$dir/demo.db" --tz UTC --year 2026 testdata/postfix-rfc3164.log testdata/exim-mainlog.log
./bouncelog report --db "$dir/demo.db" --tz UTC
