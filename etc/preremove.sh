#!/bin/sh
# Before removal: "remove" of the deb, 0 of the rpm. An upgrade is none.
set -e
case "$1" in
remove | deconfigure | 0) ;;
*) exit 0 ;;
esac
if command -v systemctl >/dev/null; then
	if [ -d /run/systemd/system ]; then
		systemctl stop bouncelog-web.socket bouncelog-web.service bouncelog-notify.timer bouncelog-notify.service bouncelog-report.timer bouncelog-report.service bouncelog.service || true
	fi
	# Else their links would lead nowhere.
	systemctl disable --quiet bouncelog-web.socket bouncelog-notify.timer bouncelog-report.timer bouncelog.service || true
fi
exit 0
