#!/bin/sh
# Builds tarballs and packages from dist/bouncelog, dist/man and dist/completions:
#
#	package.sh tarball VERSION ARCH
#	package.sh packages VERSION ARCH      # with $NFPM
#	package.sh reproducible VERSION
#
# Every file has the time $SOURCE_DATE_EPOCH and belongs to root. Their order does not depend on the
# file system.
set -eu
umask 022
cd "$(dirname "$0")/.."
export LC_ALL=C TZ=UTC

# plain prints a version for a tarball's name, without a tilde.
plain() { echo "$1" | tr '~' '-'; }

# modules lists the linked modules: path, version and directory.
modules() {
	go list -deps -tags netgo,osusergo,timetzdata,sqlite_omit_load_extension \
		-f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/bouncelog | sort -u
}

# licences prints the licences and notices of the modules.
licences() {
	printf 'The Go standard library\n%s\n\n' "----------------------------------------"
	cat "$(go env GOROOT)/LICENSE"
	modules | while read -r path version dir; do
		printf '\n\n%s %s\n%s\n\n' "$path" "$version" "----------------------------------------"
		found=
		for file in "$dir"/LICENSE* "$dir"/LICENCE* "$dir"/COPYING* "$dir"/NOTICE*; do
			[ -f "$file" ] || continue
			found=1
			cat "$file"
		done
		[ -n "$found" ] || { echo "$path has no licence file" >&2; exit 1; }
	done
}

# copyright prints the copyright page.
copyright() {
	cat LICENSE
	printf '\nThe binary holds these modules, the Go standard library (BSD) and the GNU C library\n'
	printf '(LGPL 2.1 or later; the source of bouncelog is all that it takes to link it with\nanother). Their licences are in third-party.gz; the LGPL is\n/usr/share/common-licenses/LGPL-2.1 on Debian.\n\n'
	modules | sed 's/ [^ ]*$//; s/^/  /'
}

stamp() { find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +; }

tarball() {
	name=bouncelog-$(plain "$1")-linux-$2
	rm -rf "dist/stage/$name"
	mkdir -p "dist/stage/$name"
	install -D -m 755 dist/bouncelog "dist/stage/$name/bin/bouncelog"
	PACKAGER=tar etc/install.sh "dist/stage/$name" "" /lib/systemd/system /share/doc/bouncelog
	# A tarball is unpacked in /usr/local.
	sed -i 's|=/bin/bouncelog|=/usr/local/bin/bouncelog|; s| /bin/bouncelog| /usr/local/bin/bouncelog|' "dist/stage/$name"/lib/systemd/system/*
	copyright >"dist/stage/$name/share/doc/bouncelog/copyright"
	licences | gzip -9n >"dist/stage/$name/share/doc/bouncelog/third-party.gz"
	stamp "dist/stage/$name"
	tar --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -C dist/stage -cf - "$name" | gzip -9n >"dist/$name.tar.gz"
	rm -rf dist/stage
	ls -l "dist/$name.tar.gz"
}

packages() {
	for packager in deb rpm; do
		root=dist/stage/$packager
		rm -rf "$root"
		install -D -m 755 dist/bouncelog "$root/usr/bin/bouncelog"
		unitdir=/usr/lib/systemd/system
		[ $packager = deb ] && unitdir=/lib/systemd/system
		PACKAGER=$packager etc/install.sh "$root" /usr $unitdir /usr/share/doc/bouncelog
		doc=$root/usr/share/doc/bouncelog
		rm "$doc/examples/bouncelog.toml" # it is installed as the configuration
		gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
		if [ $packager = deb ]; then
			printf 'bouncelog (%s-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' "$1" "$MAINTAINER" \
				"$(date -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.Debian.gz"
			install -D -m 644 etc/deb/lintian-overrides "$root/usr/share/lintian/overrides/bouncelog"
		fi
		copyright >"$doc/copyright"
		licences | gzip -9n >"$doc/third-party.gz"
		install -D -m 644 etc/bouncelog.toml "$root/etc/bouncelog/bouncelog.toml"
		find "$root" -type f ! -perm -u+x -exec chmod 644 {} +
		stamp "$root"
		sed "s|@VERSION@|$1|; s|@ARCH@|$2|; s|@PACKAGER@|$packager|; s|@MAINTAINER@|$MAINTAINER|; s|@MTIME@|$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)|" etc/nfpm.yaml |
			if [ $packager = deb ]; then sed '/^license:/d'; else cat; fi >dist/stage/nfpm-$packager.yaml
		rm -f dist/bouncelog*."$packager"
		# nfpm needs no C compiler.
		CGO_ENABLED=0 $NFPM package --config dist/stage/nfpm-$packager.yaml --packager $packager --target dist/
	done
	rm -rf dist/stage
	ls -l dist/*.deb dist/*.rpm
}

# reproducible builds the commit in two directories, with two caches and two
# umasks, and compares.
reproducible() {
	here=$(pwd)
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	for n in one two/deeper; do
		mkdir -p "$dir/$n"
		git -C "$here" archive HEAD | tar -x -C "$dir/$n"
		(
			[ $n = one ] || umask 077
			cd "$dir/$n"
			# The files have other inodes, another order and other times than those of the first build.
			GOCACHE="$dir/$n-cache" make -s dist package VERSION="$1" SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
			cd dist && sha256sum bouncelog *.tar.gz *.deb *.rpm
		) >"$dir/sums-${n%%/*}"
		rm -rf "$dir/$n-cache"
	done
	cat "$dir/sums-one"
	cmp "$dir/sums-one" "$dir/sums-two" && echo "both builds are the same, byte for byte"
}

MAINTAINER='The bouncelog developers <bouncelog@packages.invalid>'
case $1 in
tarball) tarball "$2" "$3" ;;
packages) packages "$2" "$3" ;;
reproducible) reproducible "$2" ;;
*) echo "package.sh: $1: there are tarball, packages and reproducible" >&2 && exit 64 ;;
esac
