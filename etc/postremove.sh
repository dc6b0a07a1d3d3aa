#!/bin/sh
# Runs after removal. The database and the configuration stay until the deb is purged. An rpm has no
# purge.
set -e
case "$1" in
remove | purge | 0)
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload || true
	fi
	;;
esac
if [ "$1" = purge ]; then
	rm -rf /var/lib/bouncelog
	rmdir --ignore-fail-on-non-empty /etc/bouncelog 2>/dev/null || true
	if getent passwd bouncelog >/dev/null; then
		userdel bouncelog || true
	fi
	if getent group bouncelog >/dev/null; then
		groupdel bouncelog || true
	fi
fi
exit 0
