#!/bin/sh
# Runs before removal: argument "remove" of a deb, 0 of an rpm. It does nothing before an upgrade.
set -e
case "$1" in
remove | deconfigure | 0) ;;
*) exit 0 ;;
esac
if command -v systemctl >/dev/null; then
	if [ -d /run/systemd/system ]; then
		systemctl stop bouncelog-web.socket bouncelog-web.service bouncelog-notify.timer bouncelog-notify.service bouncelog-report.timer bouncelog-report.service bouncelog.service || true
	fi
	# Otherwise links to missing units would stay.
	systemctl disable --quiet bouncelog-web.socket bouncelog-notify.timer bouncelog-report.timer bouncelog.service || true
fi
exit 0
