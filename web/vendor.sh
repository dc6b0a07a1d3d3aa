#!/bin/sh
# Fetches what static/VENDOR lists from npm, checks it and puts it in its place.
set -eu
cd "$(dirname "$0")/static"
here=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
grep -v '^#' VENDOR | while IFS="$(printf '\t')" read -r file package version licence path sum; do
	(cd "$dir" && npm pack --silent "$package@$version" >/dev/null && tar xzf "$package-$version.tgz")
	echo "$sum  $dir/package/$path" | sha256sum --check --quiet
	cp "$dir/package/$path" "$here/$file"
	cp "$dir/package/LICENSE" "$here/${package%.org}.LICENSE"
	rm -rf "$dir/package"
	echo "$file: $package $version ($licence)"
done
