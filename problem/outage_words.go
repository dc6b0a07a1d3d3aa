package problem

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/store"
)

// An outageKind holds the properties and the words of outages with one cause.
type outageKind struct {
	place string // where the mail fails; {hop} stands for the hosts that the replies name
	does  string // what the receiver does, if it is at fault; in place of place
	inner bool   // the cause also concerns mail to the own mailboxes
	// unrelated: the cause may be the records of one domain, so several recipient domains or
	// recipients must be affected.
	unrelated bool
	// In firstCheck {domain} stands for the domain of a recipient.
	firstCheck, otherExplanation, disprovedBy string
}

// outageKinds has each of outageCauses and theirCauses.
var outageKinds = map[string]outageKind{
	causeResolver: {
		place:            "at the DNS look-up: the resolver does not answer",
		firstCheck:       "The resolver of this server: /etc/resolv.conf (and its copy in /var/spool/postfix/etc), whether the name server that it names answers, and whether port 53 is open.",
		otherExplanation: "The network of this server was down, and the name server is behind it.", disprovedBy: "A look-up of one of these domains from this server that answers.",
	},
	causeNetwork: {
		place:            "on the way out: no connection to any of the receivers",
		firstCheck:       "Outgoing port 25 from this server (firewall, hosting provider, router): nc -v gmail-smtp-in.l.google.com 25; then its routes and addresses, IPv6 too (Postfix: inet_protocols, smtp_bind_address; Exim: disable_ipv6, interface).",
		otherExplanation: "An outage of the network in between.", disprovedBy: "A connection to port 25 of one of these receivers from this server.",
	},
	causeRelay: {
		place:            "at the relay host {hop}",
		firstCheck:       "The relay host and its port (Postfix: relayhost, transport_maps; Exim: route_list, dc_smarthost): does the name lead where it should, is the port open from here, does the provider name another?",
		otherExplanation: "The relay host itself is down.", disprovedBy: "Mail that the relay host takes meanwhile.",
	},
	causeLogin: {
		place:            "at the login to the relay host {hop}",
		firstCheck:       "User name and password for the relay host (Postfix: smtp_sasl_auth_enable, smtp_sasl_password_maps and whether postmap was run, smtp_sasl_security_options; Exim: client authenticators, passwd.client).",
		otherExplanation: "The provider locked the account, or wants another port or a password of its own for the program.", disprovedBy: "Mail that the relay host takes meanwhile.",
	},
	causeAccount: {
		place:            "at a limit or suspension of the sending account at {hop}",
		firstCheck:       "The account's limit, suspension or verified senders (with the relay, or in the panel of this server), and what used the limit up: a stolen password, a form, a forwarder.",
		otherExplanation: "A mailing that was larger than usual.", disprovedBy: "Mail of the same senders that is taken.",
	},
	causeFilter: {
		place: "at the next hop of this server, {hop}", unrelated: true,
		firstCheck:       "The service at that address and port (content filter, proxy, relay): does it run and listen (ss -ltnp), and does it answer in time (its load, its log)? After a timeout at the end of data, a message may be delivered twice. Postfix: content_filter, transport_maps, relayhost, master.cf; Exim: route_list, hosts.",
		otherExplanation: "The domains' MX records name a private address.", disprovedBy: "Mail that passes that hop meanwhile.",
	},
	causeStore: {
		place: "at the mail store {hop}", inner: true,
		firstCheck:       "The mail store (Dovecot, Cyrus): does it run, is the socket or address there that mailbox_transport, virtual_transport or Exim's LMTP transport names, and may the mail server open it?",
		otherExplanation: "A container that was stopped or renamed.", disprovedBy: "Mail that the store takes meanwhile.",
	},
	causeHost: {
		place: "at this server itself", inner: true,
		firstCheck:       "The warning just before these lines in the mail log; then disk space, the owner and permissions of spool and mailboxes, and the service, table or command that is named (Postfix: master.cf, postfix check; Exim: paniclog, exim -bt).",
		otherExplanation: "An upgrade that changed a path, a user or a rule (AppArmor, SELinux).", disprovedBy: "Mail that takes the same way meanwhile.",
	},
	causeRoute: {
		place: "at a next hop that is not found, {hop}", unrelated: true, inner: true,
		firstCheck:       "The name of the next hop: a typing error in relayhost, transport_maps, content_filter or mailbox_transport (Exim: route_list, hosts)? Else whether the resolver of this server knows it.",
		otherExplanation: "The domains have one mail exchanger whose name is gone.", disprovedBy: "A look-up of that name from this server that answers.",
	},
	causeLoop: {
		place: "in a loop: their MX is this server, which does not know the domain as its own", unrelated: true, inner: true,
		firstCheck:       "mydestination, virtual_mailbox_domains, relay_domains and proxy_interfaces (Exim: local_domains, relay_to_domains): is the domain named there, and is its table readable?",
		otherExplanation: "The domain moved away, and its MX record still names this server.", disprovedBy: "Mail to the domain that is delivered meanwhile.",
	},
	causeQuota: {
		place: "because of the quota", inner: true,
		firstCheck:       "The size and the quota of the mailbox on this server (Dovecot: doveadm quota get -u ADDRESS; Postfix: virtual_mailbox_limit, mailbox_size_limit; Exim: quota in the appendfile transport), and what fills it. Tell its owner by another way, raise the quota or remove mail. What was returned has to be sent again.",
		otherExplanation: "A quota of the file system, or a full disk.", disprovedBy: "Mail to the mailbox that is delivered meanwhile.",
	},
	causeAddresses: {
		place:            "at the DNS look-up: the domains do not exist",
		firstCheck:       "Where these addresses come from (a form, a shop, an import, a list): what was changed there just before, and are letters cut off or added? Correct the addresses there. Do not send the returned mail again to these.",
		otherExplanation: "The resolver of this server says so of domains that exist.", disprovedBy: "dig {domain} MX on another computer, if it finds the domain.",
	},
	causeNotices: {
		place: "to reach a server, and waits", inner: true,
		firstCheck:       "What these notifications return, and why this server took it first: most are for senders that spam forged. Refuse such mail in the SMTP session (unknown recipients, spam; Postfix: reject_unlisted_recipient, smtpd_milters; Exim: verify = recipient in the RCPT ACL), and forward no spam. Then delete the notifications (these commands take all mail with the null sender): postqueue -j | jq -r 'select(.sender == \"MAILER-DAEMON\").queue_id' | postsuper -d - (Exim: exiqgrep -i -f '^<>$' | xargs exim -Mrm).",
		otherExplanation: "The hosts of the senders are all down, as after the fault of one large network.", disprovedBy: "Senders among them who wrote to this server on purpose.",
	},
	causeRouter: {
		place: "in this server's own routing, for recipients who took mail before", inner: true,
		firstCheck:       "The routers and tables of this server: exim -bt ADDRESS (a router that is missing, local_domains), postmap -q ADDRESS TABLE (virtual_mailbox_maps, virtual_alias_maps, relay_recipient_maps); of others' domains its resolver: dig {domain} MX.",
		otherExplanation: "The domain, or these mailboxes, were removed on purpose.", disprovedBy: "Mail to the domain that is delivered meanwhile.",
	},
	causeGone: {
		does:             "is not found in the DNS, though it took mail before",
		firstCheck:       "Whether the domain exists: dig {domain} MX and dig {domain} NS, here and from a resolver elsewhere, and whois {domain}. If it has expired, tell the recipients another way, do not remove the addresses, and send the mail again once the domain is back.",
		otherExplanation: "The resolver of this server does not find the domain, or a router of this server for it is missing (exim -bt ADDRESS).", disprovedBy: "A look-up elsewhere that finds the domain.",
	},
	causeTable: {
		does:             "refuses recipients who took mail before as unknown: its user table may be at fault",
		firstCheck:       "Ask the postmaster of {domain}, by another way than mail, whether the list of its mailboxes is complete. Do not remove the addresses (bouncelog suppress leaves them out), and send the mail again once the domain takes mail.",
		otherExplanation: "The mailboxes were closed on purpose, or the domain's mail moved to a server that this one does not use.", disprovedBy: "Other recipients of the domain that take mail meanwhile.",
	},
	causeHosted: {
		does:             "refuses all mail as for a domain that is not its own, though it took mail before",
		firstCheck:       "Ask the postmaster of {domain}, by another way than mail, whether the domain is among those that its server accepts mail for. Check that this server uses its present mail exchanger: dig {domain} MX, and the tables of this server (Postfix: transport_maps, relayhost; Exim: route_list). Do not remove the addresses, and send the mail again once the domain takes mail.",
		otherExplanation: "The domain's mail moved to another server, and this one still uses the old: a table of its own, or an old MX record.", disprovedBy: "Mail to the domain that this server delivers meanwhile.",
	},
	causeFull: {
		does:             "says that the mailboxes of recipients who took mail before are full, and takes no mail: its storage may be full",
		firstCheck:       "Ask the postmaster of {domain}, by another way than mail, whether the storage of the domain or a quota for all of it is full. Do not remove the addresses, and send again what was returned once the domain takes mail.",
		otherExplanation: "Several mailboxes became full at once, as by one large mailing.", disprovedBy: "Other recipients of the domain that take mail meanwhile.",
	},
	causeClosed: {
		does:             "refuses all mail, though it took mail before: {what}",
		firstCheck:       "What the reply asks for; then ask the postmaster of {domain}, by another way than mail, what was changed there. Do not remove the addresses, and send the mail again once the domain takes mail.",
		otherExplanation: "This server was changed just before: its address, its TLS settings, its route to the domain.", disprovedBy: "Mail to the domain that is taken meanwhile.",
	},
	causeTLS: {
		place: "at the TLS policy of this server", unrelated: true,
		firstCheck:       "smtp_tls_security_level and smtp_tls_policy_maps (Exim: hosts_require_tls): which level do they ask for with these destinations, and is there a proxy that strips STARTTLS?",
		otherExplanation: "The receivers do not offer TLS to this address only.", disprovedBy: "Mail to the same receivers that is taken with TLS.",
	},
}

// The words of outages whose evidence is not the usual one for their cause.
var (
	aliveKind = outageKind{
		place:            "at the DNS look-up: the resolver does not find domains that take mail",
		firstCheck:       "The resolver of this server: the name servers in /etc/resolv.conf (and its copy in /var/spool/postfix/etc): dig {domain} MX with each of them, and again: does one of them say NXDOMAIN?",
		otherExplanation: "The domains have one name server in common, which failed.", disprovedBy: "The same answer (NXDOMAIN) from a resolver elsewhere.",
	}
	deniedKind = outageKind{
		place: "at this server's own mail store{at}, which denies mailboxes that took mail before", inner: true,
		firstCheck:       "The list of mailboxes that the store looks into (Dovecot: doveadm user ADDRESS; Postfix: postmap -q ADDRESS with virtual_mailbox_maps or local_recipient_maps): is the database or file there, readable and complete, and is the volume of the mailboxes mounted?",
		otherExplanation: "These mailboxes were removed on purpose.", disprovedBy: "A look-up of one of these addresses that says that it does not exist, as it should.",
	}
	believedTableKind = outageKind{
		does:             "refuses recipients who took mail before as unknown, for more than three days: their addresses are no longer valid",
		firstCheck:       "The new addresses of these recipients: ask them or the postmaster of {domain}, by another way than mail. Correct the old ones where this mail comes from (address books, lists, forms), or suppress them (bouncelog suppress), and send the returned mail again to the new ones.",
		otherExplanation: "The list of the domain's mailboxes is still lost.", disprovedBy: "Mail to these recipients that is taken again.",
	}
	unrelayedKind = outageKind{
		place:            "at the relay host {hop}, which does not relay mail of this server",
		firstCheck:       "What the relay host wants of this server: a login (Postfix: smtp_sasl_auth_enable, smtp_sasl_password_maps and whether postmap was run; Exim: client authenticators, passwd.client), the port for that (587), or this server's address in the list that its provider keeps; and whether the name is that of the relay host (Postfix: relayhost, transport_maps; Exim: route_list, dc_smarthost).",
		otherExplanation: "The domains had one host in common, which serves them no more.", disprovedBy: "Mail to other domains that the relay host takes meanwhile.",
	}
	absentKind = outageKind{
		place: "at this server itself, which takes itself for the domain's destination and has none of these mailboxes", inner: true,
		firstCheck:       "Whether the mail of the domain belongs to this server. If not: remove the domain from mydestination, virtual_mailbox_domains and virtual_alias_domains (Exim: local_domains). If so: the table of its mailboxes (postmap -q ADDRESS TABLE; Exim: exim -bt ADDRESS).",
		otherExplanation: "A mailing to addresses that never were there.", disprovedBy: "Mail to the domain that is delivered meanwhile.",
	}
	noIPv6Kind = outageKind{
		place:            "on the way out: this server has no IPv6 route",
		firstCheck:       "ip -6 route: is there a default route, and does it answer (ping -6)? If this server shall not use IPv6: inet_protocols = ipv4 (Postfix), disable_ipv6 = true (Exim).",
		otherExplanation: "The route was gone for a short time, as when the network was started again.", disprovedBy: "A connection to port 25 of an IPv6 address from this server.",
	}
	noRouteKind = outageKind{
		place:            "on the way out: this server has no route to the receivers",
		firstCheck:       "The routes and addresses of this server: ip route, ip -6 route, ip address; a firewall on it that answers for the network.",
		otherExplanation: "A router in between that answers so.", disprovedBy: "A connection to port 25 of one of these receivers from this server.",
	}
	brokenKind = outageKind{
		place:            "while the message is sent: connections to many receivers break off after DATA",
		firstCheck:       "Whether large packets leave this server, since small messages do: the MTU of its interface, tunnel or provider (ping -M do -s 1472 HOST; ICMP has to pass the firewall), a firewall or proxy that inspects SMTP, and what was changed there just before. Then send a message of 100 kB to another provider. A message that broke off at the end of data may arrive twice.",
		otherExplanation: "A line that is overloaded or loses packets.", disprovedBy: "Large messages that the same receivers take meanwhile.",
	}
	distrustKind = outageKind{
		place:            "in the TLS session, at every receiver",
		firstCheck:       "The certificates that this server trusts (package ca-certificates; Postfix: smtp_tls_CAfile, smtp_tls_CApath, and their copy in the chroot; Exim: tls_verify_certificates), its clock (date), and the level that it asks for with all destinations (Postfix: smtp_tls_security_level; Exim: tls_verify_hosts, hosts_require_tls).",
		otherExplanation: "A proxy or firewall in between that answers in the receivers' place.", disprovedBy: "A TLS session from this server in which a receiver's certificate is trusted (openssl s_client -starttls smtp).",
	}
	unfoundTLSAKind = outageKind{
		place:            "at the DNS look-up of TLSA records (DANE)",
		firstCheck:       "The resolver of this server, since so many zones do not fail at once: dig +dnssec TLSA _25._tcp.HOST with each name server of /etc/resolv.conf (and of its copy in /var/spool/postfix/etc). Does it validate DNSSEC and answer such queries, and do UDP packets of more than 512 bytes and TCP port 53 pass the firewall? No TLS session was begun. Until it is mended, mail goes out with the level may in place of dane (Postfix: smtp_tls_security_level, smtp_tls_policy_maps; Exim: hosts_try_dane).",
		otherExplanation: "One hoster runs the name servers of all these zones.", disprovedBy: "The same failure with a resolver elsewhere.",
	}
	insecureKind = outageKind{
		place: "in the TLS session with {hop}", unrelated: true,
		firstCheck:       "What asks for TLS: a policy of this server for these destinations (Postfix: smtp_tls_security_level, smtp_tls_policy_maps; Exim: hosts_require_tls, tls_verify_hosts), or their TLSA records or MTA-STS policy? Without any of these, the mail is sent in plaintext. Then the certificate and versions of their server: posttls-finger -l secure {domain}, or openssl s_client -starttls smtp -connect HOST:25.",
		otherExplanation: "The certificate of the receiver has expired, or its server offers no version of TLS that this one accepts.", disprovedBy: "Mail to the same receivers that is taken with TLS.",
	}
	// insecureManyKind is insecureKind of many servers that have nothing to do with each other.
	insecureManyKind = outageKind{
		place: "in the TLS session with {hop}", unrelated: true,
		firstCheck:       "What was changed on this server just before: so many servers of others do not fail at once by themselves. An upgrade of its TLS library or of the system's crypto policy (old versions and ciphers are refused since), or its own settings (Postfix: smtp_tls_security_level, smtp_tls_mandatory_protocols, smtp_tls_mandatory_ciphers; Exim: tls_require_ciphers, openssl_options, hosts_require_tls). See what one of their servers offers: openssl s_client -starttls smtp -connect HOST:25. Until it is mended, allow that, or plaintext, for these domains (Postfix: smtp_tls_policy_maps with may; Exim: hosts_avoid_tls).",
		otherExplanation: "One hoster runs all these servers under several names, or one product of theirs was upgraded.", disprovedBy: "A TLS session with one of these servers from a host elsewhere that fails in the same way.",
	}
	answeringKind = outageKind{
		place: outageKinds[causeFilter].place, unrelated: true,
		firstCheck:       "What the reply says, in the log and the configuration of that host: what was changed there just before (Exchange: the receive connector and its permissions, transport rules, limits; a filter or proxy: its rules), its disk and its load. Then the way to it: Postfix: content_filter, transport_maps, relayhost; Exim: route_list, hosts. Send again what was returned.",
		otherExplanation: "The domains' MX records name a private address.", disprovedBy: "Mail that passes that hop meanwhile.",
	}
	filteredKind = outageKind{
		place:            "at this server's own content filter{at}, which refuses {part} of what it gets",
		firstCheck:       "The log and configuration of the content filter (amavis, rspamd, a proxy or milter): a rule, list or score that was added or updated just before this began, and what it says of one of these messages.",
		otherExplanation: "A flood of spam in which the good messages are few: look for an account or a form that sends it.", disprovedBy: "Ordinary messages that pass the filter meanwhile.",
	}
	refusingHopKind = outageKind{
		place:            "at the next hop of this server, {hop}, which refuses {part} of what it gets",
		firstCheck:       "The limit or rule that the reply speaks of, in the configuration of that host: was it changed just before this began (the size of messages, permitted senders or recipients; Exchange: Get-ReceiveConnector, Get-TransportConfig, transport rules; Postfix: message_size_limit)? Send again what was returned.",
		otherExplanation: "Messages of another kind than before, as from a new program.", disprovedBy: "Such messages that pass that hop meanwhile.",
	}
	unsentKind = outageKind{
		place: "at this server itself, which cannot send it", inner: true,
		otherExplanation: "The messages are wrong, and this server returned such ones before.", disprovedBy: "Such messages of the same sender that this server sends meanwhile.",
	}
)

// partialCheck is the first check of a lapse in which some mail is taken.
const partialCheck = "Each mail exchanger of {domain} (dig {domain} MX) and each address behind one name: RCPT TO of the same recipient at each. Tell the postmaster of {domain}, by another way than mail, which one refuses. Do not remove the addresses, and send again what was returned."

// The words of lapses in which some mail is taken.
var (
	partialTableKind = outageKind{
		does:       "refuses part of the mail to recipients who take mail as unknown{host}",
		firstCheck: partialCheck, otherExplanation: "The receiver refuses by another rule, and calls the recipients unknown.", disprovedBy: "One recipient of the domain that takes all mail.",
	}
	partialHostedKind = outageKind{
		does:       "refuses part of the mail as for a domain that is not its own{host}",
		firstCheck: partialCheck, otherExplanation: "A table of this server or an old MX record leads some of the mail to a former host.", disprovedBy: "One recipient of the domain that takes all mail.",
	}
)

// closedWords returns, for a domain that refuses all mail, what its replies name, and the check for it;
// check is "" if there is no better one than that of outageKinds.
func closedWords(reason bounce.Reason, detail string) (what, check string) {
	text := judge.VerdictText(bounce.Verdict{Reason: reason, Detail: detail})
	if reason == bounce.DNSRouting && detail == "loop" {
		check = "The route of this server to {domain}: an entry of its own (Postfix: transport_maps, relayhost; Exim: route_list) that leads to an old host, which sends the mail back. If there is none, tell the postmaster of {domain}, by another way than mail: its servers send the mail round. Send again what was returned."
	}
	return text.Title, check
}

// asksTLSCheck is the first check of a lapse for asksTLS.
const asksTLSCheck = "Why this server does not use TLS with it: Postfix: smtp_tls_security_level = may (without it, no STARTTLS is sent), smtp_tls_policy_maps, smtp_discard_ehlo_keywords; Exim: hosts_avoid_tls. Then whether a proxy or firewall in between strips STARTTLS: openssl s_client -starttls smtp -connect HOST:25. Send again what was returned."

// asksTLS reports whether the replies of a lapse ask this side for TLS: they are about TLS and permanent. A
// server whose own TLS fails defers (454: RFC 3207 section 4).
func (x *outage) asksTLS() bool {
	n := 0
	for i := range x.run {
		if x.run[i].Reason == bounce.TLS && x.run[i].hard() {
			n++
		}
	}
	return x.cause == causeClosed && 2*n > len(x.run)
}

// answers reports whether the evidence of an outage is that a next hop of this side replied to most attempts.
func (x *outage) answers() bool {
	n := 0
	for i := range x.run {
		if x.run[i].Code != 0 {
			n++
		}
	}
	return x.cause == causeFilter && x.kinds[stated] && 2*n > len(x.run)
}

// ofOther returns a detail without those that only say that the replying host is of this side.
func ofOther(detail string) string {
	if judge.OwnDetail(detail) || detail == judge.DetailContentFilter {
		return ""
	}
	return detail
}

// failsTLSA reports whether the look-up of TLSA records fails for the servers of many organisations: no host
// was contacted.
func (x *outage) failsTLSA() bool {
	n := 0
	for i := range x.run {
		if y := &x.run[i]; y.Detail == judge.DetailDANE && y.RelayHost == "" {
			n++
		}
	}
	return 2*n > len(x.run) && x.servers() >= outageMessages
}

// servers counts the organisations whose servers a run failed at.
func (x *outage) servers() int {
	names := map[string]bool{}
	for i := range x.run {
		names[cmp.Or(provider.OfHost(x.run[i].RelayHost), x.run[i].unit)] = true
	}
	return len(names)
}

// kind returns the outageKind of an outage.
func (x *outage) kind() outageKind {
	k := x.usualKind()
	if theirs(x.cause) && !slices.ContainsFunc(x.run, func(y failure) bool { return y.hard() }) {
		k.does = strings.NewReplacer("refuses recipients", "defers mail to recipients", "refuses", "defers").Replace(k.does)
		if check, _, cut := strings.Cut(k.firstCheck, " Do not remove the addresses"); cut {
			k.firstCheck = check + " Do not remove the addresses: the mail server tries again by itself, and what waits is returned when its time in the queue is over."
		}
	}
	return k
}

// usualKind returns the outageKind of an outage whose mail is returned.
func (x *outage) usualKind() outageKind {
	switch {
	case x.denial != nil:
		return x.denialKind()
	case x.partial:
		k := partialTableKind
		if x.cause == causeHosted {
			k = partialHostedKind
		}
		host := ""
		if x.refusing != "" {
			host = ": " + x.refusing + " refuses it"
		}
		k.does = strings.Replace(k.does, "{host}", host, 1)
		return k
	case x.believed:
		return believedTableKind
	case x.cause == causeClosed:
		k := outageKinds[causeClosed]
		what, check := closedWords(x.run[0].Reason, x.run[0].Detail)
		if x.asksTLS() {
			what, check = "it asks for TLS", asksTLSCheck
		}
		k.does, k.firstCheck = strings.Replace(k.does, "{what}", what, 1), cmp.Or(check, k.firstCheck)
		return k
	case x.kinds[unowned], x.kinds[relayed] && !x.kinds[stated], x.cause == causeAccount && mostSaid(x.run).Detail == "identity":
		return x.relayedKind()
	case x.answers():
		return answeringKind
	case x.kinds[stated]:
	case x.alive():
		return aliveKind
	case x.kinds[denied] && x.cause == causeStore:
		return deniedKind
	case x.kinds[filtered]:
		k, part := refusingHopKind, "part"
		switch mostSaid(x.run).Reason {
		case bounce.ContentSpam, bounce.ContentRejected, bounce.Policy:
			k = filteredKind
		}
		if int64(len(x.messages)) > x.arrived {
			part = "most"
		}
		k.place = strings.Replace(k.place, "{part}", part, 1)
		return k
	case x.kinds[unsent]:
		k, most := unsentKind, mostSaid(x.run)
		if most.Reason == bounce.MessageTooLarge {
			k.place, k.inner = "at this server itself, by a limit of its own", false
			k.otherExplanation, k.disprovedBy = "Larger messages than before, as from a new program.", "Messages of that size that this server sends meanwhile."
		}
		k.firstCheck = strings.Join(judge.DetailActions(bounce.Verdict{Reason: most.Reason, Detail: most.Detail}), " ")
		return k
	case x.cause == causeTLS && x.failsTLSA():
		return unfoundTLSAKind
	case x.cause == causeTLS && x.kinds[silent]:
		return distrustKind
	case x.kinds[insecure]:
		if x.servers() >= outageMessages {
			return insecureManyKind
		}
		return insecureKind
	case x.onlyNoRoute():
		if toIPv6(x.texts) {
			return noIPv6Kind
		}
		return noRouteKind
	case x.kinds[broken] && !x.kinds[silent] && !x.kinds[noRoute]:
		return brokenKind
	case x.kinds[unrelayed]:
		return unrelayedKind
	case x.kinds[absent] && !x.kinds[denied] && !x.kinds[notFound]:
		return absentKind
	}
	return outageKinds[x.cause]
}

// problem describes an outage as a Problem; outageSearch.measure adds its course.
func (x *outage) problem() *Problem {
	kind := x.kind()
	onset, domains, shown := &x.run[0], domainsOf(x.run), x
	inPeriod := domains
	if len(x.period) < len(x.run) {
		inPeriod, shown = domainsOf(x.period), newOutage(x.cause, x.period)
	}
	for i := range x.expired {
		x.returned[x.expired[i].message], shown.returned[x.expired[i].message] = true, true
	}
	first, last := &x.period[0], &x.period[len(x.period)-1]
	p := &Problem{
		Level: x.level(), Reason: onset.Reason, Detail: onset.Detail, Cause: x.cause, Effect: EffectNotDelivered,
		SenderDomains: []string{}, Providers: []string{}, Addresses: []string{}, ValidRecipients: []string{}, ValidBefore: []string{},
		Evidence: evidenceOf(x.shown), Hours: []Hour{}, Domains: inPeriod,
		Since: first.at.time(), Until: last.at.time(), Attempts: int64(len(x.period)), Messages: len(shown.messages), Recipients: len(shown.recipients), Returned: len(shown.returned), Expired: len(x.expired),
		FirstCheck: kind.firstCheck, OtherExplanation: kind.otherExplanation, DisprovedBy: kind.disprovedBy, Why: x.why(),
		Scan:    "bouncelog report --reason " + onset.Reason.String(),
		Reasons: map[bounce.Reason]int64{}, keys: []key{{what: outageOf, detail: x.cause}}, failedTo: map[domainReason]int64{},
	}
	p.believed = x.believed
	if x.kinds[unowned] && x.returner != nil {
		p.keys[0].sender = x.returner.domain
	}
	if x.kinds[relayed] {
		p.relay = ascii.Lower(onset.RelayHost)
	}
	if x.cause == causeAccount {
		p.Detail = cmp.Or(p.Detail, "account-limit")
		if onset.Code != 0 && onset.RelayHost != "" {
			p.refusedAt = &store.Destination{Relays: []string{onset.RelayHost}}
		}
	}
	if onset.at < first.at {
		p.FirstHeard = onset.at.time()
		p.Older = len(newOutage(x.cause, x.run[:len(x.run)-len(x.period)]).messages) + len(shown.messages) - len(x.messages)
	}
	p.ValidRecipients, p.ValidBefore = x.validAddresses()
	for i := range x.period {
		p.Hours = countHour(p.Hours, x.period[i].at)
		p.Reasons[x.period[i].Reason]++
		p.failedTo[domainReason{ascii.Lower(x.period[i].RecipientDomain), x.period[i].Reason}]++
	}
	to, named := table.Count(int64(len(domains)), "domain"), "many domains" // a name has no figures: they would differ each day
	if len(domains) <= namesShown {
		named = nameSome(domains, "", "")
	}
	if len(x.mailboxes) > 0 {
		named = x.namedMailboxes()
	}
	if one := returnerOf(onset); x.returns() && plain(one.host) && one.host != "" {
		p.Scan += " --relay " + one.host
	} else if x.returner != nil && plain(one.domain) {
		p.Scan += " --sender-domain " + one.domain
	}
	if len(domains) == 1 {
		to = domains[0]
		if plain(to) {
			p.Scan += " --domain " + to
		}
	}
	domain := "DOMAIN"
	if len(p.Domains) > 0 && plain(p.Domains[0]) {
		domain = p.Domains[0]
	}
	p.FirstCheck = strings.ReplaceAll(p.FirstCheck, "{domain}", domain)
	place := x.place()
	at, _, _ := hops(x.shown)
	for _, h := range at {
		p.hops = append(p.hops, provider.OfHost(h.host))
	}
	host, sent := "", "" // by which host, if not all mail fails
	if x.host != "" {
		host = " from " + x.host
	}
	if !x.nothing {
		sent = host
	}
	sent += x.senders()
	p.Summary = fmt.Sprintf("%d of %s%s to %s fail %s", len(x.messages), table.Count(x.tried, "message"), sent, to, place)
	p.Title, p.homemade = fmt.Sprintf("mail%s to %s fails %s", sent, named, place), true
	if kind.does != "" {
		p.Summary = fmt.Sprintf("%d of %s to %s fail: it %s", len(x.messages), table.Count(x.tried, "message"), to, kind.does)
		p.Title, p.homemade, p.Providers, p.Effect = named+" "+kind.does, false, domains, EffectReturned
		if len(x.returned) == 0 {
			p.Effect = EffectDeferred
		}
		p.keys[0].provider, p.asked = domains[0], x.asksTLS()
		if x.denial != nil {
			x.denial.name(p, len(x.messages), x.tried, kind.does)
		}
	}
	if x.kinds[unreturned] {
		p.Summary = fmt.Sprintf("%s of this server to %s reach no server, and wait", table.Count(int64(len(x.messages)), "notification"), to)
		p.Title = "notifications of this server to senders that are not reached fill its queue"
	}
	if x.cause == causeAddresses {
		words := "in domains that do not exist and never took mail: the addresses are corrupted before they reach this server"
		p.Summary = fmt.Sprintf("%s to addresses %s", table.Count(int64(len(x.messages)), "message"), strings.Replace(words, "domains", table.Count(int64(len(p.Domains)), "domain"), 1))
		p.Title, p.Effect = "recipients "+words, EffectReturned
		p.Short = p.Title
		return p
	}
	begin := "Nothing goes out" + host + ": "
	if kind.inner {
		begin = "Nothing is delivered: "
	}
	if x.isAll() {
		p.Summary = begin + p.Summary
	}
	if x.nothing {
		p.Title = begin + p.Title
	}
	p.Short = p.Title
	return p
}

// addresses returns the recipients of a run who took mail before or afterwards, in the order of their first
// failures.
func (x *outage) addresses() (list []string) {
	seen := map[uint64]bool{}
	for i := range x.run {
		if a := &x.run[i]; a.address != "" && !seen[a.recipient] {
			seen[a.recipient] = true
			list = append(list, a.address)
		}
	}
	return list
}

// namedMailboxes names full mailboxes of this server. Addresses are in angle brackets, by which report
// --redact finds them.
func (x *outage) namedMailboxes() string {
	var names []string
	for _, address := range x.mailboxes {
		names = append(names, "<"+address+">")
	}
	if len(names) == 1 {
		return "the own mailbox " + names[0]
	}
	return "the own mailboxes " + nameSome(names, "", "others")
}

// place returns where the mail fails, and with which error.
func (x *outage) place() string {
	place := x.kind().place
	at, _, _ := hops(x.texts)
	if names := nameHops(at); names != "" {
		place = strings.NewReplacer("{hop}", names, "{at}", " "+names).Replace(place)
	} else {
		place = strings.NewReplacer(", {hop}", "", " with {hop}", "", " at {hop}", "", " {hop}", "", "{at}", "").Replace(place)
	}
	word := errorWord(x.texts)
	if most := mostSaid(x.run); word == "" && (x.answers() || x.kinds[filtered] || x.kinds[unsent] || most.Detail == "identity") && most.Reason != bounce.Unknown {
		word = judge.VerdictText(bounce.Verdict{Reason: most.Reason, Detail: ofOther(most.Detail)}).Title
	}
	if word != "" {
		place += " (" + word + ")"
	}
	return place
}

// why returns the grounds of the level and of the cause.
func (x *outage) why() string {
	switch {
	case theirs(x.cause):
		return x.whyTheirs()
	case x.kinds[denied] && !x.kinds[stated]:
		return fmt.Sprintf("%s took mail before, and this server itself gives up their mail now.", table.Count(int64(len(x.valid)), "recipient"))
	case x.kinds[absent] && !x.kinds[stated] && !x.kinds[notFound]:
		return fmt.Sprintf("This server itself gives up the mail to %s, and no delivery to their domain is on record.", table.Count(int64(len(x.recipients)), "recipient"))
	case x.cause == causeAddresses:
		return fmt.Sprintf("The DNS says of %s that they do not exist, and none of them ever took mail. Domains that take mail are found before and afterwards.", table.Count(int64(len(x.units)), "domain"))
	case x.kinds[unreturned]:
		return fmt.Sprintf("They have the null sender and %s, and other mail goes out meanwhile.", table.Count(int64(len(x.recipients)), "recipient"))
	case x.kinds[overQuota]:
		return "This server or its mail store says so itself, of mailboxes that took mail before; no other server was asked."
	case x.onlyNoRoute():
		return fmt.Sprintf("The operating system of this server says so (ENETUNREACH) of addresses of the hosts that receive the mail of %s.", table.Count(int64(len(x.units)), "domain"))
	case x.kinds[filtered] && !x.kinds[stated]:
		return fmt.Sprintf("The refusals are those of a next hop of this server. It refuses %d messages of %d, much more than before.", len(x.messages), x.tried)
	case x.kinds[unsent] && !x.kinds[stated]:
		return "This server says so itself, before it sends the messages, and returned far fewer before."
	case x.kinds[unowned]:
		return fmt.Sprintf("The reply is about the sender, to %d domains that have nothing to do with each other: none of them was asked. Mail of this sender domain was taken before, and that of others is taken meanwhile.", len(x.units))
	case x.kinds[unrelayed] && !x.kinds[stated]:
		return fmt.Sprintf("One host refuses to relay the mail to %d domains that have nothing to do with each other, and took next to none meanwhile.", len(x.units))
	case x.cause == causeTLS && !x.kinds[stated] && x.failsTLSA():
		return fmt.Sprintf("The look-up failed for %d domains that have nothing to do with each other, and no mail to them was delivered meanwhile. No server was contacted.", len(x.units))
	case x.kinds[insecure] && !x.kinds[stated] && !x.kinds[silent]:
		return "No TLS session that this server accepts was set up, and no mail to them was delivered meanwhile: a policy asks for TLS."
	case x.alive():
		return fmt.Sprintf("%d domains that have nothing to do with each other are not found, though they took mail before or since.", x.knownDomains)
	case x.kinds[relayed] && !x.kinds[stated]:
		return fmt.Sprintf("The relay host, which took the mail before, takes %s meanwhile, to %d domains that have nothing to do with each other. Its reply is its own: none of them was asked.", x.taken(), len(x.units))
	case x.domain() != "":
		return "The mail server says so itself, of this domain alone: its next hop, its loop or its TLS policy is in your configuration, unless the domain's own records name a wrong host."
	case x.kinds[stated]:
		return "The mail server, or the relay host that it logs in to, says so itself: no receiver was at fault."
	}
	if x.kinds[broken] && !x.kinds[silent] && !x.kinds[noRoute] {
		return fmt.Sprintf("Connections to %d domains that have nothing to do with each other break off in the same phase of SMTP, many more than before. Other mail passes, %s.", len(x.units), table.Count(x.arrived, "message"))
	}
	return fmt.Sprintf("%d domains that have nothing to do with each other fail in the same way, and this server delivered %s to others in that time.", len(x.units), x.taken())
}

// taken is the delivered mail of the time of an outage in words.
func (x *outage) taken() string {
	if x.arrived > 0 {
		return "only " + table.Count(x.arrived, "message")
	}
	return "nothing"
}

// provesAddresses reports whether a delivery proves an address: one to a relay host does not.
func (x *outage) provesAddresses() bool {
	return x.cause != causeRelay && x.cause != causeLogin && x.cause != causeAccount
}

// validAddresses returns the recipients known to be valid, and those who took mail before the
// outage.
func (x *outage) validAddresses() (valid, before []string) {
	valid, before = []string{}, []string{}
	if !x.provesAddresses() {
		return valid, before
	}
	seen := map[uint64]bool{}
	for i := range x.period {
		a := &x.period[i]
		if a.address == "" || seen[a.recipient] {
			continue
		}
		seen[a.recipient] = true
		valid = append(valid, a.address)
		if a.before != 0 {
			before = append(before, a.address)
		}
	}
	slices.Sort(valid)
	slices.Sort(before)
	return valid, before
}

// domainsOf returns the domains of the recipients, in order, at most setSize.
func domainsOf(run []failure) []string {
	set := map[string]bool{}
	list := []string{}
	for i := range run {
		if d := run[i].RecipientDomain; d != "" && !set[d] && len(set) < setSize {
			set[d] = true
			list = append(list, d)
		}
	}
	slices.Sort(list)
	return list
}

// evidenceOf returns one log line of each wording: the first with a warning, otherwise the first.
func evidenceOf(texts []*store.Attempt) []Evidence {
	list := []Evidence{}
	at := map[string]int{} // index in the list, by template
	for _, a := range texts {
		if a == nil {
			continue
		}
		e := Evidence{a.Source, a.Offset, a.Time, a.Response, a.Warning}
		template, _ := bounce.Split(a.Response)
		i, known := at[template]
		switch {
		case known && list[i].Warning == "" && e.Warning != "":
			list[i] = e
		case !known && len(list) < evidenceShown:
			at[template] = len(list)
			list = append(list, e)
		}
	}
	return list
}

// hopOf matches the host, address or socket, and port in the MTA's own words.
var hopOf = regexp.MustCompile(`\b(?:connect to |with |host |name=)"?([A-Za-z0-9][A-Za-z0-9._:-]{0,254})(?:\[([A-Za-z0-9._:/-]{1,255})\])?(?::(\d{1,5}))?`)

// A hop is a host or a socket with its port; port is "" if it is not known.
type hop struct{ host, port string }

func (h hop) String() string {
	if h.port != "" && h.port != "25" {
		return h.host + ":" + h.port
	}
	return h.host
}

// hops returns the hosts in the texts of failures, the most often named first; the number of
// replies that name each host; and the number that name any.
func hops(texts []*store.Attempt) (list []hop, n map[hop]int, named int) {
	n = map[hop]int{}
	for _, a := range texts {
		if a == nil {
			continue
		}
		h := hop{host: a.RelayHost}
		if a.RelayPort != 0 {
			h.port = fmt.Sprint(a.RelayPort)
		}
		if m := hopOf.FindStringSubmatch(a.Response); m != nil && (h.host == "" || a.Code == 0 && strings.HasPrefix(a.Response, "connect to ")) {
			h = hop{strings.TrimRight(m[1], ".:"), m[3]}
			if strings.HasPrefix(m[2], "/") {
				h = hop{host: m[2]}
			}
		}
		if h.host == "" {
			continue
		}
		named++
		n[h]++
	}
	for h := range n {
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b hop) int {
		return cmp.Or(cmp.Compare(n[b], n[a]), strings.Compare(a.host, b.host), strings.Compare(a.port, b.port))
	})
	return list, n, named
}

// inBrackets matches an address in the MTA's own words.
var inBrackets = regexp.MustCompile(`\[([0-9A-Fa-f.:]{2,45})\]`)

// toIPv6 reports whether all addresses in the texts of failures are IPv6 addresses.
func toIPv6(texts []*store.Attempt) bool {
	n := 0
	for _, a := range texts {
		if a == nil {
			continue
		}
		address := a.RelayIP
		if m := inBrackets.FindStringSubmatch(a.Response); address == "" && m != nil {
			address = m[1]
		}
		switch {
		case address == "":
		case !strings.Contains(address, ":"):
			return false
		default:
			n++
		}
	}
	return n > 0
}

// errorWords are the operating system's and the MTA's words for errors. A summary takes only these
// words from a reply, since others may have written the reply.
var errorWords = []string{
	"connection refused", "connection timed out", "operation timed out", "no route to host", "network is unreachable", "host is unreachable",
	"no such file or directory", "permission denied", "no space left on device", "disk quota exceeded", "read-only file system", "cannot assign requested address",
	"host not found, try again", "host not found", "unrouteable address", "mail transport unavailable", "unknown mail transport error", "mail system configuration error",
	"loops back to myself", "authentication failed", "connection reset by peer",
	"certificate not trusted", "certificate verification failed", "certificate verify failed", "unsupported protocol", "handshake failure", "cannot start tls",
	"did not offer tls support", "relay access denied", "relaying denied", "relay not permitted",
}

// errorWord returns the most frequent of errorWords in some replies, or "".
func errorWord(texts []*store.Attempt) string {
	n := map[string]int{}
	most := ""
	for _, a := range texts {
		if a == nil {
			continue
		}
		lower := strings.ToLower(a.Response)
		for _, word := range errorWords {
			if strings.Contains(lower, word) {
				if n[word]++; n[word] > n[most] {
					most = word
				}
				break
			}
		}
	}
	return most
}

// nameHops names up to two hosts.
func nameHops(list []hop) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0].String()
	case 2:
		return list[0].String() + " and " + list[1].String()
	}
	return fmt.Sprintf("%s and %d others", list[0], len(list)-1)
}
