#!/bin/bash
# The part of the lab that runs inside its namespaces; up.go starts it.
#   LAB=DIR SUITE=[NAME] inside.sh   build the root directory, then become the lab's init
#   inside.sh init      (in that root) start everything, stop it on SIGTERM
#   inside.sh left      print how many messages still wait for a delivery
set -euo pipefail

PF=(/etc/postfix /etc/postfix-pl /etc/postfix-long)
EXIM=(exim-default exim-all exim-millis)

# A throw-away copy-on-write view of this machine with the unpacked packages
# laid over it. Writes go to a tmpfs that dies with the namespace; only
# /var/log is the directory log outside, and /lab the lab's own.
build_root() {
	local ns=$LAB/ns
	mount --make-rprivate /
	mount -t tmpfs lab "$ns"
	mkdir "$ns"/{up,work,root}
	local lower=/
	if [ -n "$SUITE" ]; then # the packages are all there is
		lower=$LAB/sysroot
		mkdir -p "$ns/up/etc/ssl/certs"
		cp /etc/ssl/certs/ca-certificates.crt "$ns/up/etc/ssl/certs/" # what package scripts would make
		mkdir -p "$ns/up/usr/bin"
		ln -s mawk "$ns/up/usr/bin/awk"
	else
		cp -a "$LAB/sysroot/." "$ns/up/"
	fi
	mount -t overlay -o "lowerdir=$lower,upperdir=$ns/up,workdir=$ns/work" overlay "$ns/root"
	cd "$ns/root"
	mkdir -p lab
	mount --bind "$LAB" lab
	mount -t proc proc proc
	mount -t tmpfs -o mode=755 dev dev
	mknod -m 666 dev/null c 1 3
	mknod -m 666 dev/zero c 1 5
	mknod -m 666 dev/random c 1 8
	mknod -m 666 dev/urandom c 1 9
	ln -s /proc/self/fd dev/fd
	mount -t tmpfs -o mode=755 run run
	mount -t tmpfs -o mode=1777 tmp tmp
	mkdir -p run/lock dev/shm
	mount --bind "$LAB/log" var/log
	exec chroot . /lab/inside.sh init
}

# until_there FILE - waits for a file to appear
until_there() {
	local i
	for i in $(seq 200); do
		[ -e "$1" ] && return
		sleep 0.05
	done
	echo "no $1" >&2
	return 1
}

# database - the type of a table that postalias makes: Debian's Postfix of 2026 has no hash any more
database() { postconf -m | grep -x hash || echo lmdb; }

# postfix_instance DIR PORT SETTING... - writes one instance's configuration
postfix_instance() {
	local dir=$1 port=$2 name=${1#/etc/}
	shift 2
	mkdir -p "$dir" "/var/spool/$name" "/var/lib/$name"
	chown postfix:postfix "/var/lib/$name"
	{
		sed "s/ hash:/ $(database):/" /lab/etc/postfix/main.cf
		echo "queue_directory = /var/spool/$name"
		echo "data_directory = /var/lib/$name"
		echo "smtp_helo_name = $name.lab.test" # the sinks tell the instances apart by it
		echo "lmtp_lhlo_name = $name.lab.test"
		printf '%s\n' "$@"
	} >"$dir/main.cf"
	sed "s/:PORT /:$port /" /lab/etc/postfix/master.cf >"$dir/master.cf"
}

init() {
	hostname mx1
	ip link set lo up
	ip addr add 203.0.113.25/32 dev lo # this side's address
	local net
	for net in 192.0.2.0/24 198.51.100.0/24 203.0.113.0/24; do # everybody else's
		ip route add local "$net" dev lo src 203.0.113.25
	done
	echo 20000 >/proc/sys/kernel/ns_last_pid # process ids as long as in real life
	rm -f /etc/resolv.conf
	cp /lab/etc/{passwd,group,hosts,resolv.conf} /etc/
	echo mx1.lab.test >/etc/mailname
	mkdir -p /etc/lab
	cp /lab/etc/logrotate-*.conf /etc/lab/ # logrotate insists on the owner and mode
	chmod 644 /etc/lab/*
	chown root:root /etc/lab/*
	rm -rf /var/mail /var/spool/exim4*
	mkdir -p -m 2775 /var/mail
	chgrp mail /var/mail
	install -o labuser -g mail -m 660 /dev/null /var/mail/labuser

	cd /lab
	./lab world world /run/world &
	rsyslogd -f /lab/etc/rsyslog.conf -i /run/rsyslogd.pid
	until_there /run/world
	until_there /dev/log

	cp /usr/share/postfix/dynamicmaps.cf /etc/postfix/ 2>/dev/null || touch /etc/postfix/dynamicmaps.cf
	cp etc/postfix/{aliases,transport,header_checks} /etc/postfix/
	install -d -o labuser -g labuser /var/vmail
	chgrp postdrop /usr/sbin/postdrop /usr/sbin/postqueue
	chmod 2755 /usr/sbin/postdrop /usr/sbin/postqueue
	postfix_instance /etc/postfix 25 \
		"multi_instance_directories = /etc/postfix-pl /etc/postfix-long" \
		"enable_long_queue_ids = no" "delay_warning_time = 15s"
	sed 's/^#.*//' etc/postfix/master.extra >>/etc/postfix/master.cf
	postfix_instance /etc/postfix-pl 10125 "maillog_file = /var/log/postfix-postlogd.log"
	postfix_instance /etc/postfix-long 10225 "enable_long_queue_ids = yes" \
		"multi_instance_name = postfix-long"
	postalias "$(database):/etc/postfix/aliases"
	local c
	for c in "${PF[@]}"; do
		[ "$c" = /etc/postfix ] || cp /etc/postfix/{dynamicmaps.cf,postfix-files,postfix-script,post-install} "$c"/ 2>/dev/null || true
		postfix -c "$c" start
	done

	rm -rf /etc/exim4
	cp -r etc/exim /etc/exim4
	chown -R root:root /etc/exim4
	chmod -R go-w /etc/exim4
	for c in "${EXIM[@]}"; do
		echo "/etc/exim4/$c.conf" >>/etc/exim4/trusted_configs
	done
	for c in exim4 exim4-all exim4-millis; do
		install -d -o Debian-exim -g Debian-exim -m 750 "/var/spool/$c" "/var/log/$c"
	done
	for c in "${EXIM[@]}"; do # in a shell of its own: a child of init would stay in the foreground
		bash -c 'exim4 -C "$0" -bd -q10s; :' "/etc/exim4/$c.conf"
	done
	touch ready
	trap stop TERM
	while :; do # the shell reaps what is orphaned to it
		sleep 1 &
		wait $! || true
	done
}

stop() {
	local c
	for c in "${PF[@]}"; do postfix -c "$c" stop || true; done
	for c in exim4 exim4-all exim4-millis; do kill "$(cat "/run/$c.pid")" || true; done
	kill "$(cat /run/rsyslogd.pid)" || true
	exit 0 # and the kernel ends whatever is left in the namespace
}

left() {
	local n=0 c
	for c in "${PF[@]}"; do
		n=$((n + $(postqueue -c "$c" -j | grep -vc '"queue_name": "hold"' || true)))
	done
	for c in "${EXIM[@]}"; do
		n=$((n + $(exim4 -C "/etc/exim4/$c.conf" -bp | grep '^ *[0-9]*[smhd] ' | grep -vc frozen || true)))
	done
	echo $n
}

case ${1:-} in
"") build_root ;;
init | left) "$1" ;;
esac
