#!/bin/sh
# Makes the pictures of README.md and docs/dashboard.md from a generated log, as that of
# 'make demo-web': docs/pictures/*.png. Needs chromium and script(1); pngquant makes
# them small.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || :; rm -rf "$dir"' EXIT INT TERM
export BOUNCELOG_CONFIG=/dev/null BOUNCELOG_DB="$dir/bouncelog.db" BOUNCELOG_TZ=UTC TZ=UTC LC_ALL=C.UTF-8
out=docs/pictures
port=${PORT:-9378}
mkdir -p "$out"

now=$(date -u +%Y-%m-%dT%H:%M:%S)
start=$(date -u -d "@$(($(date +%s) - 9 * 86400))" +%Y-%m-%dT%H:%M:%SZ)
# As in demo-web.sh: an incident that has been going on for some hours.
${GO:-go} run ./bench/genlog -bytes 12M -rate 500 -start "$start" -incident-domains 3 -incident-at 0.66 -incident-length 0.2 -timestamp rfc3339 -o "$dir/all.log"
awk -v now="$now" '$1 < now' "$dir/all.log" >"$dir/mail.log"
cd "$dir"
"$root/bouncelog" import mail.log
PATH="$root:$PATH"

# shoot NAME WIDTH HEIGHT ADDRESS
shoot() {
	timeout 90 chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1.5 --user-data-dir="$dir/profile" \
		--virtual-time-budget=5000 --window-size="$2,$3" --screenshot="$dir/$1.png" "$4" >"$dir/chromium.log" 2>&1 || { cat "$dir/chromium.log" >&2; exit 1; }
	if command -v pngquant >/dev/null; then
		pngquant --force --strip --speed 1 --output "$root/$out/$1.png" 40 "$dir/$1.png"
	else
		cp "$dir/$1.png" "$root/$out/$1.png"
	fi
	ls -l "$root/$out/$1.png"
}

# The report, of a log with fixed dates that ends while an incident goes on.
(cd "$root" && ${GO:-go} run ./bench/genlog -bytes 9M -rate 500 -start 2026-11-13T00:00:00Z -incident-domains 3 -incident-at 0.55 -incident-length 0.2 -timestamp rfc3339 -o "$dir/all.log")
mkdir fixed
awk '$1 < "2026-11-19T14"' all.log >fixed/mail.log
cd fixed
bouncelog report -o ../report.html mail.log
shoot report 1100 1170 "file://$dir/report.html"

# A terminal: what script(1) records, as HTML.
{
	cat <<'HTML'
<!DOCTYPE html><meta charset="utf-8"><style>
body { margin: 0; background: #1b2230; padding: 18px }
div { background: #0f141d; border-radius: 8px; padding: 14px 18px 18px }
i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; background: #39445a; margin-right: 6px }
pre { margin: 12px 0 0; color: #cdd6e4; font: 13px/1.42 "DejaVu Sans Mono", "Liberation Mono", monospace }
b { color: #fff }
</style><div><i></i><i></i><i></i><pre>
HTML
	echo '<b>$ bouncelog report --section verdict,totals,providers --top 5 mail.log</b>'
	script -qec "stty cols 96; bouncelog report --section verdict,totals,providers --top 5 mail.log 2>/dev/null" /dev/null </dev/null | tr -d '\r' | sed '/^all  /q' |
		sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/\x1b\[1m/<b>/g; s/\x1b\[0m/<\/b>/g'
	echo '</pre></div>'
} >../terminal.html
shoot terminal 900 970 "file://$dir/terminal.html"

cd ..

# The dashboard. A token is good once, so each picture has a server of its own.
# dashboard NAME HEIGHT PATH
dashboard() {
	bouncelog serve --period 7d --listen "127.0.0.1:$port" >serve.log 2>&1 &
	server=$!
	link=
	for _ in $(seq 100); do
		link=$(sed -n 's|.*at http://[^/]*/?\(token=.*\)|\1|p' serve.log)
		[ -n "$link" ] && break
		sleep 0.1
	done
	[ -n "$link" ] || { cat serve.log >&2; exit 1; }
	case $3 in *\?*) link="&$link" ;; *) link="?$link" ;; esac
	shoot "$1" 1180 "$2" "http://127.0.0.1:$port$3$link"
	kill "$server"
	wait "$server" || :
	server=
}
dashboard dashboard 1010 /
dashboard dashboard-provider 900 /providers/outlook.com
bouncelog serve --period 7d --listen "127.0.0.1:$port" >serve.log 2>&1 &
server=$!
for _ in $(seq 100); do
	grep -q token= serve.log && break
	sleep 0.1
done
incident=$(curl -s -L -c jar "$(sed -n 's/.* at //p' serve.log)" | grep -o '/incidents/[0-9a-f]*' | head -n 1)
kill "$server"
wait "$server" || :
server=
dashboard dashboard-incident 1010 "$incident"
