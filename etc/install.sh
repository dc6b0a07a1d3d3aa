#!/bin/sh
# install.sh DESTDIR PREFIX UNITDIR DOCDIR installs manual pages, completions, units, documents and
# examples. 'make install' and package.sh call it. It needs dist/man and dist/completions.
set -eu
cd "$(dirname "$0")/.."
destdir=$1 prefix=$2 unitdir=$3 docdir=$4

for page in dist/man/*; do
	section=man${page##*.}
	install -d "$destdir$prefix/share/man/$section"
	gzip -9nc "$page" >"$destdir$prefix/share/man/$section/${page##*/}.gz"
	chmod 644 "$destdir$prefix/share/man/$section/${page##*/}.gz"
done

# On Debian, zsh reads vendor-completions.
zsh=$prefix/share/zsh/site-functions
[ "$prefix" = /usr ] && [ "${PACKAGER:-}" = deb ] && zsh=/usr/share/zsh/vendor-completions
install -D -m 644 dist/completions/bouncelog.bash "$destdir$prefix/share/bash-completion/completions/bouncelog"
install -D -m 644 dist/completions/_bouncelog "$destdir$zsh/_bouncelog"
install -D -m 644 dist/completions/bouncelog.fish "$destdir$prefix/share/fish/vendor_completions.d/bouncelog.fish"

install -d "$destdir$unitdir"
for unit in bouncelog.service bouncelog-report.service bouncelog-report.timer bouncelog-notify.service bouncelog-notify.timer bouncelog-web.service bouncelog-web.socket; do
	sed "s|/usr/bin/bouncelog|$prefix/bin/bouncelog|" "etc/$unit" >"$destdir$unitdir/$unit"
	chmod 644 "$destdir$unitdir/$unit"
done

install -d "$destdir$docdir/examples/prometheus"
install -m 644 docs/*.md README.md "$destdir$docdir/"
install -m 644 etc/bouncelog.toml etc/metrics.conf etc/datasette.json "$destdir$docdir/examples/"
install -d "$destdir$docdir/examples/grafana"
install -m 644 etc/grafana/*.json "$destdir$docdir/examples/grafana/"
if [ -d etc/prometheus ]; then
	install -m 644 etc/prometheus/*.yml "$destdir$docdir/examples/prometheus/"
fi
