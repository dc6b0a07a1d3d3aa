#!/bin/sh
# Runs after installation. Arguments of a deb: "configure" and the previous version, if any; of an
# rpm: the number of installed versions. It creates the user and its directory, and restarts only
# services that were running.
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
	# After an upgrade, the new version resumes where the old one stopped.
	if [ -n "$2" ] || [ "$1" = 2 ]; then
		systemctl try-restart bouncelog.service || true
	fi
fi
exit 0
