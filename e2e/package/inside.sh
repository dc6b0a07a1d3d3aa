#!/bin/bash
# Runs as a service in a bare Debian that was booted with systemd. Installs the
# package, uses it, breaks it, and purges it. What an admin would type is written
# to /transcript with what came of it; what is only checked is not. The last line
# of /result is "ok" if all went well.
set -uE
export LC_ALL=C.UTF-8 TZ=UTC PAGER=cat SYSTEMD_PAGER=cat COLUMNS=100 SYSTEMD_COLORS=0 HOME=/root DEBIAN_FRONTEND=noninteractive
exec >/result 2>&1
trap 'echo "FAILED in line $LINENO: $BASH_COMMAND"; journalctl -u bouncelog -u bouncelog-report --no-pager | tail -40; tail -20 /var/log/exim4/*log; finish' ERR
finish() { systemctl poweroff --no-block >/dev/null 2>&1; exit; }
cd /root

# run COMMAND: one command of the transcript.
run() {
	printf '# %s\n' "$1" >>/transcript
	bash -c "$1" >>/transcript 2>&1
	local status=$?
	echo "ran: $1: $status"
	return $status
}
# until COMMAND...: again and again, for at most two minutes.
until_() {
	local deadline=$((SECONDS + 120))
	until "$@"; do
		[ $SECONDS -lt $deadline ] || { echo "not within two minutes: $*"; return 1; }
	done
}
count() { bouncelog query --format csv --no-header "select count(*) from $1"; }
counts() { [ "$(count "$1")" = "$2" ]; }
active() { [ "$(systemctl show -P ActiveState bouncelog)" = active ]; }
restarted() { [ "$(property NRestarts)" = "$1" ]; }
said() { journalctl -u bouncelog | grep -q "$1"; }
property() { systemctl show -P "$1" bouncelog; }
# What there is on the machine, but for what changes by itself.
snapshot() {
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /root -o -path /var/log -o -path /var/cache \
		-o -path /var/spool/postfix -o -path /var/lib/postfix -o -path /var/mail \
		-o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path '/var/tmp/systemd-private-*' \) -prune -o -print | grep -v '^/result$\|^/transcript$\|^/etc/.*-$' | sort
	sort /etc/passwd /etc/group | cut -d: -f1
}

echo "== nothing is started by the installation"
snapshot >/tmp/before
run 'dpkg -i bouncelog.deb'
run 'systemctl is-enabled bouncelog; systemctl is-active bouncelog' || true
[ "$(property ActiveState)" = inactive ]
[ "$(stat -c '%U %G %a' /var/lib/bouncelog)" = 'bouncelog bouncelog 750' ]

echo "== it follows the log"
install -m 640 -o root -g adm mail.log /var/log/mail.log
run 'ls -l /var/log/mail.log'
run 'systemctl enable --now bouncelog'
until_ active
run 'systemctl status bouncelog -n 4'
run 'bouncelog db info'
run 'bouncelog report -d 2026-11-23 --top 5 --section totals,domains'
attempts=$(count deliveries)
[ "$attempts" -gt 50 ]
[ "$(stat -c '%U %G %a' /var/lib/bouncelog/bouncelog.db)" = 'bouncelog bouncelog 640' ]

echo "== a member of the group asks, another user does not"
useradd --system -G bouncelog postmaster
run 'runuser -u postmaster -- bouncelog query "select outcome, count(*) from deliveries group by 1"'
useradd --system stranger
! runuser -u stranger -- bouncelog query 'select 1' || false
userdel postmaster
userdel stranger

echo "== the cell"
pid=$(property MainPID)
grep -q '^NoNewPrivs:[[:space:]]*1$' /proc/$pid/status
grep -q '^Seccomp:[[:space:]]*2$' /proc/$pid/status
grep -q '^CapEff:[[:space:]]*0*$' /proc/$pid/status
grep -q '^CapBnd:[[:space:]]*0*$' /proc/$pid/status
for ns in net mnt user ipc; do
	[ "$(readlink /proc/$pid/ns/$ns)" != "$(readlink /proc/1/ns/$ns)" ]
done
mount() { awk -v dir="$1" '$5 == dir { print $6 }' /proc/$pid/mountinfo | tail -1; }
mount / | grep -q '^ro,'
# Nothing of a disk but its own directories is writable.
writable=$(awk '$6 ~ /^rw/ && / - (ext4|xfs|btrfs|overlay) / && $5 !~ "^(/var/lib/bouncelog|/tmp|/var/tmp|/run/.*)$" { print $5 }' /proc/$pid/mountinfo)
echo "writable: ${writable:-nothing else}"
[ -z "$writable" ]
mount /var/lib/bouncelog | grep -q '^rw,'

echo "== new lines, rotation, reload"
line() { echo "$(date -u +%Y-%m-%dT%H:%M:%S.%6N+00:00) mx1 postfix/smtp[104]: 4A1B2C3D4$1: to=<u$1@good.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)"; }
line A >>/var/log/mail.log
until_ counts deliveries $((attempts + 1))
install -m 640 -o root -g adm /dev/null /var/log/new
line B >/var/log/new
mv /var/log/mail.log /var/log/mail.log.1
mv /var/log/new /var/log/mail.log
systemctl reload bouncelog
until_ counts deliveries $((attempts + 2))

echo "== killed, and crashed as the Go runtime does (status 2): it starts again"
systemctl kill -s KILL bouncelog
until_ restarted 1
until_ active
systemctl kill -s QUIT bouncelog
until_ restarted 2
until_ active
line C >>/var/log/mail.log
until_ counts deliveries $((attempts + 3))
bouncelog db check

echo "== a mistake in the configuration: it says so, and is not started again and again"
cp -p /etc/bouncelog/bouncelog.toml /tmp/good.toml
echo 'retian = "365d"' >>/etc/bouncelog/bouncelog.toml
! systemctl restart bouncelog || false
[ "$(property ExecMainStatus)" = 64 ]
[ "$(property ActiveState)" = failed ]
until_ said 'bouncelog.toml:[0-9]*: retian: report has no such option'
until_ said 'hint: did you mean retain?'
cp -p /tmp/good.toml /etc/bouncelog/bouncelog.toml

echo "== the report of yesterday comes by mail, through a sendmail that is set-group-ID (Postfix)"
yesterday() { date -u -d yesterday +%Y-%m-%dT10:00:00+00:00; }
bounce="$(yesterday) mx1 postfix/smtp[104]: 4A1B2C3D4D: to=<gone@yesterday.example>, relay=mx.yesterday.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.yesterday.example[192.0.2.20] said: 550 5.1.1 no such user (in reply to RCPT TO command))"
# The mailboxes. A lock may stand beside one at any time, and be gone the next moment.
mails() { find /var/mail -type f ! -name '*.lock' -exec cat {} +; }
# While a lock stands beside the mailbox, it is still being written.
came() { ! ls /var/mail/*.lock >/dev/null 2>&1 && mails | grep -c '^Subject: bouncelog, ' >/dev/null; }
# What came is the report, for root, from the service's user, with what was logged.
read_mail() {
	mails | grep '^From:\|^To:\|^Subject:'
	mails | grep -c '^To: root' >/dev/null
	mails | grep -c '^From: <bouncelog@' >/dev/null
	mails | grep -c '^Subject: bouncelog, .*1 hard' >/dev/null
	mails | grep -c 'multipart/alternative' >/dev/null
	mails | grep -c 'yesterday\.example' >/dev/null
	[ "$(mails | grep -c '^From ')" = 1 ] # and no notification
	rm -f /var/mail/*
}
systemctl restart bouncelog
until_ active
echo "$bounce" >>/var/log/mail.log
until_ counts "deliveries where recipient = 'gone@yesterday.example'" 1
systemctl is-active postfix
run 'systemctl start bouncelog-report; systemctl show -P Result,ExecMainStatus bouncelog-report'
until_ came
read_mail
[ "$(systemctl show -P TimersCalendar bouncelog-report.timer | wc -l)" -ge 1 ]

echo "== an incident that begins is told to root, once"
for n in 1 2 3 4 5; do
	echo "$(LC_ALL=C date '+%b %e %T') mx1 postfix/smtp[104]: 4A1B2C3E4$n: to=<u$n@listing.example>, relay=mx.listing.example[192.0.2.30]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host mx.listing.example[192.0.2.30] said: 554 5.7.1 Service unavailable; Client host [203.0.113.25] blocked using zen.spamhaus.org (in reply to RCPT TO command))" >>/var/log/mail.log
done
until_ counts "deliveries where recipient like '%@listing.example'" 5
systemctl start bouncelog-notify
told() { ! ls /var/mail/*.lock >/dev/null 2>&1 && mails | grep -c '^Subject: bouncelog, .*: Incident begun:' >/dev/null; }
until_ told
mails | sed -n '/^Subject: .*Incident begun/,/^Run:/p'
mails | grep -c '^Incident begun: listing.example refuses' >/dev/null
systemctl start bouncelog-notify
[ "$(mails | grep -c 'Subject: bouncelog, .*: Incident begun:')" = 1 ]
[ "$(systemctl show -P Result bouncelog-notify)" = success ]
rm -f /var/mail/*

echo "== the dashboard: on a socket that systemd makes, in a cell without a network, also while nothing is followed"
page() { # page PATH [USER]: what the dashboard answers
	runuser -u "${2:-bouncelog}" -- perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$!\n"; print $s "GET $ARGV[1] HTTP/1.0\r\nHost: localhost\r\n\r\n"; print while <$s>' /run/bouncelog/web.sock "$1"
}
systemctl enable --now bouncelog-web.socket
[ "$(stat -c '%U %G %a' /run/bouncelog/web.sock)" = 'bouncelog bouncelog 660' ]
page / >/tmp/page
grep -q '^HTTP/1.0 200 ' /tmp/page
grep -q 'class="verdict"' /tmp/page
page '/trace.json?q=gone@yesterday.example' >/tmp/page
grep -q '550 5.1.1 no such user' /tmp/page
web=$(systemctl show -P MainPID bouncelog-web)
[ "$(readlink /proc/$web/ns/net)" != "$(readlink /proc/1/ns/net)" ]
[ "$(tail -n +3 /proc/$web/net/dev | cut -d: -f1 | tr -d ' ')" = lo ]
grep -q '^CapEff:[[:space:]]*0*$' /proc/$web/status
useradd --system stranger
! page / stranger >/tmp/page || false
userdel stranger
systemctl stop bouncelog
page / >/tmp/page
grep -q '^HTTP/1.0 200 ' /tmp/page
systemctl start bouncelog
systemctl kill -s KILL bouncelog-web # the socket stays, and the next visitor starts it again
until_ sh -c '[ "$(systemctl show -P MainPID bouncelog-web)" != '"$web"' ]'
page '/domains.csv?since=7d' >/tmp/page
grep -q 'yesterday.example' /tmp/page
systemctl disable --now bouncelog-web.socket bouncelog-web.service
until_ active

echo "== metrics, on the loopback interface only"
mkdir -p /etc/systemd/system/bouncelog.service.d
cp /usr/share/doc/bouncelog/examples/metrics.conf /etc/systemd/system/bouncelog.service.d/
sed -i 's/^#metrics/metrics/' /etc/bouncelog/bouncelog.toml
systemctl daemon-reload
systemctl restart bouncelog
ask() { exec 3<>/dev/tcp/127.0.0.1/9154 && printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3 && cat <&3; }
until_ sh -c 'bash -c "exec 3<>/dev/tcp/127.0.0.1/9154" 2>/dev/null'
ask /metrics >/tmp/metrics
grep -q '^bouncelog_ready 1' /tmp/metrics
cp -p /tmp/good.toml /etc/bouncelog/bouncelog.toml
rm -r /etc/systemd/system/bouncelog.service.d
systemctl daemon-reload

echo "== the journal, by way of journalctl in the same cell"
# systemd-nspawn lays another boot id over the machine's in /proc; the service, with
# a /proc of its own (ProtectProc=), would take the journal for that of another boot.
umount /proc/sys/kernel/random/boot_id
systemctl restart systemd-journald
sed -i 's/^#source = .*/source = ["journal:"]/' /etc/bouncelog/bouncelog.toml
systemctl restart bouncelog
until_ active
logger -p mail.info -t 'postfix/smtp[104]' '4A1B2C3D4F: to=<journal@good.example>, relay=mx.good.example[192.0.2.20]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)'
until_ counts "deliveries where recipient = 'journal@good.example'" 1

echo "== the service was denied nothing that it wanted"
! journalctl -u bouncelog | grep -i 'not permitted\|read-only\|permission denied' || false

echo "== an upgrade restarts it and keeps the configuration; removal stops it and keeps the data"
before=$(property MainPID)
dpkg -i bouncelog.deb
until_ active
[ "$(property MainPID)" != "$before" ]
grep -q '^source = \["journal:"\]' /etc/bouncelog/bouncelog.toml
run 'dpkg -r bouncelog'
! pgrep -x bouncelog || false
run 'ls -l /var/lib/bouncelog /etc/bouncelog'
run 'dpkg -P bouncelog'
run 'ls -d /var/lib/bouncelog /etc/bouncelog; getent passwd bouncelog' || true
snapshot >/tmp/after
diff /tmp/before /tmp/after

echo "== the same through a sendmail that is set-user-ID and delivers at once (Exim)"
dpkg -P postfix
dpkg -i exim/*.deb
! dpkg -s postfix 2>/dev/null | grep '^Status: .* installed' || false
dpkg -i bouncelog.deb
echo "$bounce" >/root/yesterday.log
cp /root/yesterday.log /var/log/yesterday.log
chown bouncelog /var/log/yesterday.log
runuser -u bouncelog -- bouncelog import /var/log/yesterday.log
systemctl start bouncelog-report
until_ came
# It is delivered to its end, and will not come again.
until_ grep -q ' Completed$' /var/log/exim4/mainlog
[ -z "$(exim4 -bp)" ]
read_mail
echo ok
finish
