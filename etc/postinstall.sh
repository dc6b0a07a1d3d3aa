#!/bin/sh
# After installation, of the deb ("configure" and the version before, if any) and
# of the rpm (how many are installed now). It makes the user and its directory, and
# starts nothing that was not running.
set -e
case "$1" in
configure | 1 | 2) ;;
*) exit 0 ;;
esac

if ! getent passwd bouncelog >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/bouncelog --no-create-home --shell /usr/sbin/nologin \
		--comment "bouncelog" bouncelog
fi
if [ ! -d /var/lib/bouncelog ]; then
	mkdir -m 0750 /var/lib/bouncelog
	chown bouncelog:bouncelog /var/lib/bouncelog
fi

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	# An upgrade: the new one goes on where the old one stops.
	if [ -n "$2" ] || [ "$1" = 2 ]; then
		systemctl try-restart bouncelog.service || true
	fi
fi
exit 0
