package judge

import (
	"strings"

	"bouncelog/bounce"
)

// VerdictText returns the texts for a verdict: those of its reason, extended or replaced by those
// of its detail.
func VerdictText(v bounce.Verdict) Text {
	t := ReasonText(v.Reason)
	if v.Reason == bounce.NoReason {
		return t
	}
	d := textsOf(v)
	if d.Title != "" {
		t.Title = d.Title
	}
	if d.Meaning != "" {
		t.Meaning += " " + d.Meaning
	}
	if d.instead {
		t.Meaning = d.Meaning
	}
	if d.Do != nil {
		t.Do = d.Do
	}
	if d.Retry != "" {
		t.Retry = d.Retry
	}
	if d.Also != "" {
		t.Also = d.Also
	}
	t.Scope = v.Scope
	return t
}

// DetailActions returns the actions for a verdict that its detail knows better than its reason, the most
// important first; nil if the detail has none of its own.
func DetailActions(v bounce.Verdict) []string { return textsOf(v).Do }

// textsOf returns the texts that the detail of a verdict adds to its reason.
func textsOf(v bounce.Verdict) detailWords {
	d := detailText(v.Detail)
	if d.only != bounce.NoReason && d.only != v.Reason {
		return detailWords{}
	}
	return d
}

// detailText returns the texts that a detail adds to its reason; empty for details that need no
// explanation.
func detailText(detail string) detailWords {
	if t, ok := detailTexts[detail]; ok {
		return t
	}
	if listOf(detail) == "spamhaus" {
		return detailTexts["spamhaus"]
	}
	return detailWords{}
}

// OwnDetail reports whether a detail means that this server's own side is at fault.
func OwnDetail(detail string) bool { return strings.HasPrefix(detail, "own-") }

// listOf returns the list's operator: spamhaus for spamhaus-zen.
func listOf(detail string) string {
	list, _, _ := strings.Cut(detail, "-")
	return list
}

// detailWords are the texts for a detail. Fields that are set replace the reason's; the meaning
// follows the reason's, or replaces it.
type detailWords struct {
	Text
	instead bool
	turn    string        // who acts, in words; replaces the text of the scope
	only    bounce.Reason // the one reason that the texts are for; NoReason: any
}

const turnOwn = "You: your own server says so. Check its tables before you remove the address."

func adds(meaning string) detailWords { return detailWords{Text: Text{Meaning: meaning}} }

// endUserActions are for a sending address that counts as that of an end user.
var endUserActions = []string{
	"Send through a smarthost: the SMTP relay of your provider (relayhost; Exim: dc_smarthost, route_list).",
	"With a fixed address: set a PTR record that looks like a mail server's, and have the address taken off the PBL.",
}

var detailTexts = map[string]detailWords{
	"t-online": {Text: Text{
		Title:   "address not known to T-Online",
		Meaning: "T-Online refuses the sending address.",
		Do: []string{
			"Write to tosa@rx.t-online.de (to tobr@rx.t-online.de if the reply names that), and name the sending address: T-Online takes mail only from addresses that it knows.",
			"Before that: the address needs a PTR record whose name leads back to it and shows its owner, and the web page of that domain needs an imprint.",
		},
		Retry: "After the answer of T-Online.",
	}},
	"microsoft": {only: bounce.Blocklist, Text: Text{
		Title:   "on Microsoft's own blocklist",
		Meaning: "Here it is Microsoft's own list.",
		Do: []string{
			"Ask Microsoft to remove the sending address: https://sender.office.com/ if the reply has 5.7.511 or 5.7.606 to 5.7.649, https://olcsupport.office.com/ if it has S3140 or S3150.",
			"Find out why it was listed: volume, complaints and bounces of the days before, a stolen password, a form, an address inherited with the listing.",
		},
	}},
	"spf":                  adds("Here it is SPF: the sending address is not allowed by the envelope sender's domain (or HELO), or the record is broken."),
	"dkim":                 adds("Here it is DKIM: no signature, or none that verifies."),
	"dmarc":                adds("Here it is DMARC: neither SPF nor DKIM passed for the domain in From:, and that domain asks receivers to refuse such mail."),
	"arc":                  adds("Here it is ARC: the chain of results that forwarders add does not verify."),
	"alignment":            adds("Here it is alignment: SPF or DKIM passed for another domain than that in From:."),
	"spf-dkim":             adds("Here both SPF and DKIM are missing or failed."),
	"ptr":                  adds("Here it is the PTR record: the sending address has no name, or the name does not lead back to it."),
	"helo":                 adds("Here it is HELO: the name the server greets with does not exist or does not fit."),
	"receiver-dnsbl-error": adds("The list refused the receiver's query (open resolver, query limit) and the receiver took that for a listing: their set-up is broken, you are not listed."),
	"spamhaus":             adds("The list is one of Spamhaus's: ZEN joins SBL (sources of spam), CSS (low reputation), XBL (compromised hosts), PBL (addresses that should not send directly); DBL lists domains."),
	"spamhaus-pbl":         {Text: Text{Title: "on Spamhaus's PBL", Meaning: "The PBL lists addresses of end users and hosts that should not send mail directly.", Do: endUserActions}},
	"spamhaus-xbl":         adds("The XBL lists addresses of compromised machines: look for malware or an open proxy before asking for removal."),
	"spamhaus-dbl":         adds("The DBL lists domains: that of the sender, HELO, or a link."),

	detailOwnHost: {instead: true, Text: Text{
		Title:   "fault on this server",
		Meaning: "The mail server speaks of itself: a disk, permissions, a program, a table or a parameter of your own server is at fault.",
		Do: []string{
			"Read the warning or error that stands just before this line in the mail log of your server: it names the file, the table or the program.",
			"Postfix: check master.cf (is the service there, does its command exist?), main.cf (postconf -n, postfix check) and the tables that they name.",
			"Exim: check the router and transport that the line names (R=, T=) with exim -bt ADDRESS, and the paniclog.",
			"Check free disk space, and the owner and permissions of spool, mailboxes and commands.",
		},
		Retry: "Yes, once it is mended.",
		Also:  "A package upgrade that changed a path, a user or a rule (AppArmor, SELinux).",
	}},
	detailOwnHop: {instead: true, Text: Text{
		Title:   "next hop of your own",
		Meaning: "The next hop is on this host or in its own network: a content filter, a mail store or a relay of your own does not take the mail.",
		Do: []string{
			"See whether the service at that address and port runs and listens (ss -ltnp), and read its log.",
			"Postfix: content_filter, relayhost, transport_maps, mailbox_transport or a service of master.cf names that hop; Exim: the router's route_list or the transport's hosts.",
			"A TLS level of your own (smtp_tls_security_level) applies to such a hop too: exempt it in smtp_tls_policy_maps.",
		},
		Retry: "Yes, once the service runs.",
		Also:  "A domain whose MX names a private address: then it is theirs.",
	}},
	detailOwnStore: {instead: true, Text: Text{
		Title:   "mail store of your own",
		Meaning: "Your own mail store (the LMTP server or socket) does not take the mail.",
		Do: []string{
			"See whether the store (Dovecot, Cyrus) runs, and read its log (doveadm service status; the warning that stands just before this line in the mail log).",
			"Postfix: check that the socket or address that mailbox_transport, virtual_transport or transport_maps names is there (postconf mailbox_transport virtual_transport), and that user postfix may open it; a path without a leading / is below the queue directory.",
			"Exim: check socket or hosts and port of the lmtp or smtp transport that the line names (T=), and that the Exim user may open the socket.",
		},
		Retry: "Yes, once the store runs.",
		Also:  "A container that was stopped or renamed.",
	}},
	detailOwnRoute: {instead: true, Text: Text{
		Title:   "next hop not found",
		Meaning: "The host that your own configuration names as the next hop was not found in the DNS. It is not the recipient's domain, and the address is not at fault.",
		Do: []string{
			"Look for a typing error in relayhost, transport_maps, content_filter or mailbox_transport (Exim: route_list, hosts).",
			"If the name is right: check your resolver (/etc/resolv.conf, smtp_host_lookup), and that a container or host of this name runs.",
		},
		Retry: "Only after it is mended; mail that came back has to be sent again.",
		Also:  "A mail exchanger of the recipient's domain whose name no longer exists.",
	}},
	DetailOwnTable: {instead: true, turn: turnOwn, Text: Text{
		Title:   "no such mailbox on this server",
		Meaning: "Your own server says that it has no such mailbox. It takes itself for the final destination of the domain; no other server was asked.",
		Do: []string{
			"If the domain's mail belongs elsewhere: remove the domain from mydestination, virtual_mailbox_domains or virtual_alias_domains (Postfix: postconf -n shows them), or from local_domains (Exim).",
			"If the mailbox should exist: check the tables that name it. Postfix: local_recipient_maps, alias_maps, virtual_mailbox_maps, virtual_alias_maps (postmap -q ADDRESS TABLE). Exim: exim -bt ADDRESS names the router and its data.",
			"If it should not exist: correct the address or the alias that leads to it.",
		},
		Retry: "Only after a table is mended; mail that came back has to be sent again.",
		Also:  "A user database (SQL, LDAP, passwd) that was empty or not readable for a while.",
	}},
	DetailOwnRelay: {instead: true, turn: turnOwn, Text: Text{
		Title:   "refused by your own relay",
		Meaning: "Your own content filter, gateway or relay (on this host or in its network) says that there is no such address; it does not pass on an answer of the recipient's own server.",
		Do: []string{
			"Read the log of that host: it names the table or the server that it asked.",
			"If the domain is yours: check the user table that it looks in, and the mail store behind it.",
			"If the domain is not yours: the host takes itself for the domain's final destination (mydestination, virtual_mailbox_domains, relay_domains; Exim: local_domains), or the mail takes the wrong way (Postfix: content_filter, relayhost, transport_maps; Exim: route_list).",
		},
		Retry: "Only after that host is mended; mail that came back has to be sent again.",
		Also:  "An internal server that was restored, moved or upgraded without its users.",
	}},
	DetailOwnMailbox: {instead: true, turn: turnOwn, Text: Text{
		Title:   "no such mailbox in your own mail store",
		Meaning: "Your own mail store says that there is no such mailbox; no other server was asked. If the mailbox should exist, the user table there is at fault and not the address.",
		Do: []string{
			"If the mailbox should exist: check the store's user database and its log (Dovecot: doveadm user ADDRESS, and the userdb setting; Cyrus: cyradm).",
			"If many mailboxes are refused at once, or one that took mail before: the store lost its user table or cannot read it (SQL, LDAP, a file that is not mounted).",
			"If it is the wrong store: check virtual_transport, mailbox_transport or transport_maps (Postfix), the router's route_list and the transport's hosts or socket (Exim).",
			"If the mailbox should not exist: refuse the address in the SMTP session (Postfix: virtual_mailbox_maps, reject_unverified_recipient; Exim: verify = recipient), so that no notification has to be sent.",
		},
		Retry: "Only after the store is mended; mail that came back has to be sent again.",
		Also:  "A store that was restored, moved or upgraded without its users.",
	}},
	DetailOwnQuota: {instead: true, turn: turnOwnStore, Text: Text{
		Title:   "mailbox on this server full",
		Meaning: "A mailbox of your own server has reached its quota; no other server was asked.",
		Do: []string{
			"Look at its size and quota (Dovecot: doveadm quota get -u ADDRESS; Postfix: virtual_mailbox_limit, mailbox_size_limit; Exim: quota in the appendfile transport), and at what fills it.",
			"Tell its owner, to whom the returned mail says nothing; raise the quota, or remove mail.",
			"What was returned has to be sent again.",
		},
		Retry: "Once the mailbox has room.",
		Also:  "A quota of the file system, or a disk that is full.",
	}},
	DetailSmarthost: {instead: true, turn: "You: ask who runs the smarthost before you remove the address.", Text: Text{
		Title:   "refused by your smarthost",
		Meaning: "The smarthost that takes your mail says this of the address; it does not pass on an answer of the recipient's own server.",
		Do: []string{
			"If it says so of addresses in many domains: the smarthost has lost a table, or takes these domains for its own. Remove no address; ask who runs it.",
			"If it is one address: see whether the smarthost takes other mail for the domain, and ask the recipient by another way.",
			"The smarthost is named by relayhost, sender_dependent_relayhost_maps or transport_maps (Postfix), by the smarthost router's route_list (Exim; Debian: dc_smarthost).",
		},
		Retry: "Only after the address is corrected or the smarthost is mended.",
		Also:  "A domain whose mail the operator of the smarthost hosts.",
	}},
	detailOwnLoop: {instead: true, Text: Text{
		Title:   "loop at your own server",
		Meaning: "The DNS sends mail for this domain to your own server, which does not know the domain as its own: the mail would come back.",
		Do: []string{
			"Postfix: name the domain in mydestination, virtual_mailbox_domains or relay_domains, or the address of a proxy in front of the server in proxy_interfaces.",
			"Exim: name it in local_domains or relay_to_domains.",
			"Or correct the domain's MX record, if the mail belongs elsewhere.",
		},
		Retry: "Not before the route is mended.",
		Also:  "A split DNS, or a backup MX without the domain in relay_domains.",
	}},
	detailLoop: {instead: true, Text: Text{
		Title:   "mail loop",
		Meaning: "The mail goes round between servers: it has passed more of them than a message may (RFC 5321 section 6.3). Often one of them is your own.",
		Do: []string{
			"Read the Received: headers of a returned message: the hosts that repeat are the loop. If this server is one of them: is the domain named in mydestination, virtual_mailbox_domains or relay_domains (Exim: local_domains), does its MX point back to this server, or does a transport map (transport_maps, relayhost; Exim: route_list) send the mail to a host that returns it?",
			"If it is a forwarding: two addresses that forward to each other; take one out.",
		},
		Retry: "Not before the loop is broken.",
		Also:  "A message with very many Received: headers and no loop: raise hopcount_limit (Exim: received_headers_max).",
	}},
	detailUnrouteable: {instead: true, turn: "You first: your own server found no way to the address. Ask it why before you remove the address.", Text: Text{
		Title:   "no router took the address",
		Meaning: "None of Exim's routers took the address: no other server was asked. Its domain does not exist in the DNS, or is one of your own that has no such user.",
		Do: []string{
			"Run exim -bt ADDRESS: it shows which router declines, and why.",
			"If the domain is your own: the local user, alias or mailbox is missing, or the domain is not in local_domains.",
			"If the domain is another's: look for a typing error, and ask the DNS (dig MX, dig A). If it is not there, remove the address.",
		},
		Retry: "Only after the address, the user or the router is corrected.",
		Also:  "A resolver that failed, where other domains were refused at the same time.",
	}},
	DetailContentFilter: adds("Your own next hop (a content filter, a gateway, a mail store) says so, not the receiver: its log names the rule, the score or the limit."),
	"line-length": {instead: true, turn: "You, if one of your programs wrote the message; otherwise its sender.", Text: Text{
		Title:   "lines too long",
		Meaning: "The message has lines that are longer than 998 characters, the limit of RFC 5322 section 2.1.1.",
		Do: []string{
			"Find the program that wrote the message: it has to break its lines, or encode the text (quoted-printable, base64).",
			"Exim says so itself before it sends: until the program is mended, raise message_linelength_limit of the transport (or of the ACL). Postfix breaks such lines itself (smtp_line_length_limit).",
			"Send again what was returned.",
		},
		Retry: "Only after the program or the limit is changed.",
		Also:  "HTML in one line, as many newsletters and ERP systems write it.",
	}},
	"transport-limit": {instead: true, turn: "You, if the limit is too small; otherwise the sender.", Text: Text{
		Title:   "message larger than an own limit",
		Meaning: "The message is larger than a transport of your own Exim sends. No other server was asked.",
		Do: []string{
			"Compare the limit that the line names with message_size_limit of that transport (exim -bP transport NAME) and with the main option of the same name, which limits what the server accepts: was one of them changed?",
			"If the limit is right: refuse such messages when they are handed in, by the main option, so that their senders know at once.",
			"Send again what was returned, or a link.",
		},
		Retry: "Only after the limit is raised, or the message is smaller.",
		Also:  "An attachment of a usual size: it grows by a third in transit.",
	}},
	"own-address": {instead: true, Text: Text{
		Title:   "source address not on this host",
		Meaning: "The mail server shall send from an address that this host does not have.",
		Do: []string{
			"Compare smtp_bind_address (Postfix), or interface and the file it reads, such as /etc/mailips (Exim), with the addresses of the host (ip address).",
			"Configure the local address, or remove it from the setting.",
		},
		Retry: "Yes, once it is mended.",
		Also:  "An interface that comes up after the mail server.",
	}},
	"wrapper-mode": {instead: true, Text: Text{
		Title:   "no TLS on port 465",
		Meaning: "The relay waits for TLS: on port 465 it comes before the greeting, and your server waits for a greeting in clear.",
		Do:      []string{"Postfix: set smtp_tls_wrappermode = yes and smtp_tls_security_level = encrypt for this relay, or use port 587.", "Exim: set protocol = smtps in the transport."},
		Retry:   "Only after it is mended.",
		Also:    "A firewall that lets the connection through and drops it.",
	}},
	"own-tls-policy": {Text: Text{
		Title:   "TLS policy of your own",
		Meaning: "It is your own TLS policy that asks for it (Postfix: smtp_tls_security_level, smtp_tls_policy_maps; Exim: hosts_require_tls, hosts_require_dane), and the destination does not fulfil it.",
		Do: []string{
			"Check the level that main.cf (smtp_tls_security_level) or the policy table (smtp_tls_policy_maps) asks for with this destination; dane-only needs DNSSEC and TLSA records.",
			"Exim: check hosts_require_tls, hosts_require_dane, tls_verify_hosts and tls_verify_certificates of the transport that the line names (T=).",
			"A large provider that does not offer TLS to you while it does to others usually has something against your address: look at blocklists and reputation.",
		},
		Also: "A middlebox that strips STARTTLS.",
	}},
	"own-network": {instead: true, Text: Text{
		Title:   "no IPv6 route",
		Meaning: "This host has no route to the receiver's IPv6 address (network is unreachable): mostly it has no IPv6 at all. The line names the host that was tried last; what the others of the domain said stands in the lines before it.",
		Do: []string{
			"See whether the host has an IPv6 address and a route (ip -6 addr, ip -6 route).",
			"If the host is not meant to use IPv6: switch it off in the mail server. Postfix: inet_protocols = ipv4 in main.cf. Exim: disable_ipv6 = true.",
			"If it is: repair the route. Until then Postfix takes IPv4 first with smtp_address_preference = ipv4.",
			"If the message is still not delivered after that, look at what the domain's IPv4 hosts answered.",
		},
		Retry: "Yes.",
		Also:  "A router on the way that has no route to the receiver: then other IPv6 hosts are reached.",
	}},
	detailCertificate: {instead: true, turn: "The certificate is theirs; the check is yours, unless they ask for it themselves by DANE or MTA-STS.", Text: Text{
		Title:   "certificate not accepted",
		Meaning: "The receiver's certificate did not pass the check of this server: it has expired, is for another name, or its issuer is not known here. Without a policy that asks for it no certificate is checked.",
		Do: []string{
			"See who asks for the check. Your own policy: the levels verify, secure and fingerprint (Postfix: smtp_tls_security_level, smtp_tls_policy_maps; Exim: tls_verify_hosts). Theirs: TLSA records (the level dane; Exim: hosts_try_dane), or an MTA-STS policy (a table that a program such as postfix-mta-sts-resolver answers).",
			"Look at the certificate: posttls-finger -l secure DOMAIN, or openssl s_client -starttls smtp -connect HOST:25.",
			"It is expired or for another name: tell their postmaster. If it cannot wait, and the check is yours, give that domain the level encrypt in smtp_tls_policy_maps.",
			"It fails at every receiver: the issuers are missing on this server (Postfix: smtp_tls_CAfile, which has no default; Exim: tls_verify_certificates; the package ca-certificates).",
		},
		Retry: "Yes, once the certificate or the policy is corrected.",
		Also:  "A middlebox or an antivirus that puts its own certificate in between.",
	}},
	DetailDANE: {instead: true, Text: Text{
		Title:   "DANE: TLSA records not usable",
		Meaning: "The receiver publishes TLSA records (DANE) or signs its zone with DNSSEC, and their look-up failed or the host does not fit them. The mail is held back rather than sent to a wrong server.",
		Do: []string{
			"Look it up: dig +dnssec TLSA _25._tcp.HOST. SERVFAIL here and an answer with dig +cd: their DNSSEC is broken; tell their postmaster.",
			"If it fails for several domains: your own resolver is at fault. It has to validate, and to answer TLSA queries.",
			"If the mail cannot wait: give that domain the level encrypt in smtp_tls_policy_maps (Exim: except it from hosts_try_dane).",
		},
		Retry: "Yes, once the records are corrected.",
		Also:  "A name server or firewall of theirs that does not answer TLSA queries.",
	}},
	"mta-sts": {instead: true, Text: Text{
		Title:   "MTA-STS policy not fulfilled",
		Meaning: "The receiver's domain publishes an MTA-STS policy, and its mail exchanger does not fulfil it: it offers no TLS, its certificate does not fit, or it is not in the policy's list.",
		Do: []string{
			"Read the policy: https://mta-sts.DOMAIN/.well-known/mta-sts.txt, and compare its mx lines with dig MX DOMAIN.",
			"If the domain is another's: tell their postmaster. If it is your own: correct the policy or the certificate, and change id in the _mta-sts record.",
		},
		Retry: "Yes, once the policy or the host is corrected.",
		Also:  "A policy that was fetched long ago, from before their last move.",
	}},
	"temperror": {turn: "Mostly nobody: the receiver could not ask the DNS for now. You, if several receivers say so.", instead: true, Text: Text{
		Title:   "authentication could not be looked up",
		Meaning: "The receiver could not look up the SPF, DKIM or DMARC record of the sender domain for now: it says neither that the record is wrong nor that it is missing.",
		Do: []string{
			"One receiver only: wait, its resolver is at fault.",
			"Several receivers: see whether all name servers of the sender domain answer, over TCP too (dig +nssearch DOMAIN; dig +tcp TXT DOMAIN), and whether DNSSEC validates.",
		},
		Retry: "Yes.",
		Also:  "An include: or a DKIM selector in a zone of a provider whose name servers fail.",
	}},
	"own-account": {instead: true, Text: Text{
		Title:   "sender suspended by your own server",
		Meaning: "Your own server has suspended or holds the outgoing mail of this sender's account or domain.",
		Do:      []string{"Ask why the hosting account was suspended (cPanel/WHM: account and mail settings): a compromised password is the usual reason.", "Lift the suspension once the cause is removed."},
		Retry:   "After the suspension is lifted; what was discarded has to be sent again.",
		Also:    "A limit that your provider set.",
	}},
	"own-limit": {instead: true, Text: Text{
		Title:   "limit of your own server",
		Meaning: "Your own server limits how much this domain may send in an hour, or how much of it may fail.",
		Do:      []string{"Find out what used the limit up: bounces of a list with bad addresses, a forwarder of spam, a compromised account or form.", "Only then raise the limit (WHM: Tweak Settings, Mail)."},
		Retry:   "After the hour; what was discarded has to be sent again.",
		Also:    "A limit that your hosting provider set.",
	}},
	"account-limit": {instead: true, Text: Text{
		Title:   "limit of your account at the relay",
		Meaning: "The relay counts what your account sends, and the account has reached its limit or has no credits left.",
		Do:      []string{"Look at the account's limit and bill with the relay.", "Find out what used it up: a compromised login or form, a mailing."},
		Retry:   "After the limit is reset or raised.",
		Also:    "A trial account.",
	}},
	"account-locked": {instead: true, Text: Text{
		Title:   "your account at the relay is locked",
		Meaning: "The relay has locked or suspended your account, and sends no mail of it.",
		Do:      []string{"Ask the support of the relay why: an unpaid bill, spam, a stolen password.", "Leave the settings of your server as they are: the login works."},
		Retry:   "After the account is unlocked.",
		Also:    "A sender address of another account at the same relay.",
	}},
	"cancelled": {instead: true, Text: Text{
		Title: "cancelled by hand", Meaning: "An administrator of your own server cancelled the delivery.", Do: []string{"Nothing."}, Retry: "No.", Also: "A frozen message whose time ran out.",
	}},
	detailNotTried: {instead: true, Text: Text{
		Title:   "not tried yet",
		Meaning: "No host was contacted: the time for the next try had not come. The reason is that of the last real try.",
		Do:      []string{"Look at the last real try of this message or of another to the same host."},
		Retry:   "Yes, when its time comes.",
		Also:    "exim -M ID tries at once; exim -qff the whole queue.",
	}},
	"login": {Text: Text{
		Title:   "login refused or missing",
		Meaning: "The server wants a login, or did not accept it.",
		Do:      []string{"Check the relay host's user name and password, and that they are sent (smtp_sasl_auth_enable, smtp_sasl_password_maps; Exim: client authenticators).", "If it is the recipient's MX and no relay of yours: use port 25, without a login."},
	}},
	"sasl-mechanism": {Text: Text{
		Title:   "no login mechanism",
		Meaning: "Your server and the relay have no login mechanism in common.",
		Do:      []string{"Install the SASL plug-ins (libsasl2-modules, cyrus-sasl-plain).", "Check smtp_sasl_security_options (noplaintext forbids PLAIN and LOGIN without TLS) and smtp_sasl_mechanism_filter.", "Exim: check the client authenticators (client_send, client_name) and their client_condition; PLAIN and LOGIN are mostly offered after STARTTLS only (hosts_require_tls)."},
	}},
	"identity": {Text: Text{
		Title:   "sender identity not verified",
		Meaning: "The relay sends only for identities that belong to the account, or are verified with it, in this region.",
		Do:      []string{"Add the sender's address or domain to the account at the relay, or verify it there, in the region that the reply names.", "An account in the sandbox needs verified recipients too: ask for production access.", "Forwarded mail has other people's senders: rewrite the envelope sender and From:."},
	}},
	DetailOutboundSpam: {instead: true, Text: Text{
		Title:   "sender blocked for outgoing spam",
		Meaning: "The relay has blocked this sender, one of its own accounts, since it sent spam.",
		Do: []string{
			"Find out who sent it: change the password of the account, end its sessions, and remove rules that forward its mail.",
			"Only then lift the block (Microsoft 365: Defender portal, Restricted entities).",
			"Do not send the returned mail again unseen: it may be that spam.",
		},
		Retry: "After the block is lifted.",
		Also:  "A form or a newsletter that sends with this account.",
	}},
	"callout": {Text: Text{
		Title:   "sender not verified",
		Meaning: "The receiver asks your server (the sender domain's MX) whether the sender's address takes mail, and got no yes.",
		Do:      []string{"See that the sender domain's MX answers on port 25 from outside, and accepts MAIL FROM:<> for this address: bounces are sent so.", "Use a sender address that exists."},
	}},
	"dynamic": {Text: Text{
		Title:   "address of an end user's line",
		Meaning: "The sending address counts as dynamic or as that of an end user.",
		Do:      endUserActions,
		Retry:   "Not directly from this address.",
	}},
	"smtputf8": {Text: Text{
		Title:   "SMTPUTF8 not offered",
		Meaning: "An address or header needs SMTPUTF8 (non-ASCII letters, RFC 6531), and the next server does not offer it.",
		Do: []string{
			"Use an ASCII address for the recipient and the sender, or tell the recipient that their server does not take non-ASCII addresses.",
			"If it is all mail of one program: it asks for SMTPUTF8, or writes names with unencoded letters into headers, since this server offers SMTPUTF8 (Postfix: smtputf8_enable = no, smtputf8_autodetect_classes; Exim: smtputf8_advertise_hosts, utf8_downconvert).",
		},
	}},
}
