package judge

import "bouncelog/bounce"

// A Text explains a reason to people.
type Text struct {
	Title   string // a few words
	Meaning string
	Do      []string     // the actions, most important first
	Retry   string       // whether a retry helps
	Also    string       // other possible causes
	Scope   bounce.Scope // who has to act, unless the rule says otherwise
}

// ReasonText returns the text for a reason; the zero Text for NoReason.
func ReasonText(r bounce.Reason) Text {
	if int(r) < len(reasonTexts) {
		return reasonTexts[r]
	}
	return Text{}
}

// WhoActs returns who has to act in a word.
func WhoActs(s bounce.Scope) string {
	switch s {
	case bounce.ScopeRecipient:
		return "recipient"
	case bounce.ScopeSender, bounce.ScopeMessage:
		return "you"
	case bounce.ScopeRemote:
		return "receiver"
	case bounce.NobodyActs:
		return "nobody"
	}
	return "unknown"
}

// TurnText returns in words who has to act.
func TurnText(s bounce.Scope) string {
	switch s {
	case bounce.ScopeRecipient:
		return "The recipient: correct or remove the address, or ask the recipient. Your side works."
	case bounce.ScopeSender:
		return "You: fix your server, your domain or your sending."
	case bounce.ScopeMessage:
		return "You: change this message; others may pass."
	case bounce.ScopeRemote:
		return "The receiving side or the network between: wait, and tell their postmaster if it lasts."
	case bounce.NobodyActs:
		return "Nobody: the mail server retries by itself."
	}
	return "Unknown: the reply names no cause."
}

var reasonTexts = [...]Text{
	bounce.UserUnknown: {
		Title: "no such mailbox", Scope: bounce.ScopeRecipient,
		Meaning: "The receiving system says that this mailbox does not exist.",
		Do: []string{
			"Correct the address, or take it off the list.",
			"If many addresses of one domain fail on one day, suspect their directory or the source of your list before you remove them.",
		},
		Retry: "No. A 4xx that says so may be a directory that is being rebuilt: the queue will find out.",
		Also:  "Some systems say \"unknown user\" to senders that they do not want. If the address took mail lately, look at authentication and blocklists.",
	},
	bounce.MailboxDisabled: {
		Title: "mailbox closed", Scope: bounce.ScopeRecipient,
		Meaning: "The mailbox existed, but is closed, suspended, inactive or moved.",
		Do:      []string{"Stop mailing it.", "Ask the person for a new address by another way."},
		Retry:   "No, unless the reply is a 4xx: some mailboxes are closed for an hour only.",
		Also:    "An unpaid or overlooked account may come back; an abandoned address may become a spam trap.",
	},
	bounce.MailboxFull: {
		Title: "mailbox full", Scope: bounce.ScopeRecipient,
		Meaning: "The recipient is over quota: the mailbox has no room for this message.",
		Do:      []string{"Let the queue retry.", "If it lasts for weeks, treat the address as abandoned."},
		Retry:   "Yes, over days; also where the reply is a 5xx, which here means only that this message came back.",
		Also:    "If every mailbox of a domain is full at once, their disk is full, not the mailboxes.",
	},
	bounce.RecipientRestricted: {
		Title: "recipient does not accept this sender", Scope: bounce.ScopeRecipient,
		Meaning: "The recipient, the list or their administrator does not accept mail from this sender.",
		Do:      []string{"Ask the recipient to allow you, or to subscribe you to the list.", "Stop this mailing to this recipient; leave the address on other lists."},
		Retry:   "No.",
		Also:    "It is one person's or one list's choice, not a fault of your authentication. If many recipients of one domain refuse, their administrator has blocked you.",
	},
	bounce.BadAddress: {
		Title: "malformed address", Scope: bounce.ScopeRecipient,
		Meaning: "The recipient's address is not syntactically valid.",
		Do:      []string{"Correct the address where it was entered.", "Check the form or the export that let it through."},
		Retry:   "No.",
		Also:    "Quoting, blanks or non-ASCII letters (SMTPUTF8) that the other server cannot take.",
	},
	bounce.DomainInvalid: {
		Title: "no such domain", Scope: bounce.ScopeRecipient,
		Meaning: "The recipient's domain does not exist, or declares that it takes no mail.",
		Do:      []string{"Look for a typing error in the domain.", "If it is spelt right, the domain is gone or takes no mail: remove the address."},
		Retry:   "No.",
		Also:    "Your resolver: ask another one (dig MX) before you remove many addresses.",
	},
	bounce.DNSRouting: {
		Title: "DNS or routing trouble", Scope: bounce.ScopeRemote,
		Meaning: "A DNS answer failed for now, or mail goes in a circle between hosts.",
		Do: []string{
			"A lookup that failed: check that your resolver answers (dig MX for the domain), then wait.",
			"A loop: check MX records, transport maps, virtual aliases and forwarding on both sides.",
		},
		Retry: "A failed lookup: yes. A loop: not before the route is mended.",
		Also:  "DNSSEC that fails to validate looks like a server failure.",
	},
	bounce.Connection: {
		Title: "no connection", Scope: bounce.ScopeRemote,
		Meaning: "No usable SMTP session: the connection was refused, timed out or was lost.",
		Do: []string{
			"If only this host fails: wait, the mail server tries again.",
			"If it is every host: check your outgoing port 25, firewall, IPv6 route and the provider's port block.",
		},
		Retry: "Yes.",
		Also:  "A host that drops only your connections may block your address: try from another network, and look at blocklists.",
	},
	bounce.Expired: {
		Title: "gave up", Scope: bounce.ScopeRemote,
		Meaning: "The message stayed in the queue until its lifetime ended.",
		Do:      []string{"Look at the last temporary failure of this message: that is the real reason.", "Send it again once that is mended."},
		Retry:   "Only as a new message.",
		Also:    "A short queue lifetime, or a queue that stood still.",
	},
	bounce.Greylisted: {
		Title: "greylisted", Scope: bounce.NobodyActs,
		Meaning: "The server delays the first contact with an unknown sender on purpose.",
		Do:      []string{"Nothing, as long as a later try passes.", "If none does, check that retries come from the same IP address, and from one with a name in DNS."},
		Retry:   "Yes, within minutes.",
		Also:    "A temporary refusal in the words of greylisting may hide a reputation block: it then lasts for days.",
	},
	bounce.RateLimited: {
		Title: "too much, too fast", Scope: bounce.ScopeSender,
		Meaning: "Too many messages, connections or recipients in a given time.",
		Do:      []string{"Lower the concurrency and the rate for this provider.", "Spread a large mailing over hours; warm a new IP address up slowly."},
		Retry:   "Yes, slower; also where the reply is a 5xx.",
		Also:    "Limits shrink with a bad reputation: look at complaints. A recipient who is flooded from elsewhere also answers so.",
	},
	bounce.SystemError: {
		Title: "server trouble", Scope: bounce.ScopeRemote,
		Meaning: "Something broke at one end: a disk, a database, a filter, a configuration.",
		Do:      []string{"A 4xx of theirs: wait.", "Repeated at your own host: check disk space, permissions, the content filter and the mail log."},
		Retry:   "4xx: yes. 5xx: once it is mended.",
		Also:    "\"Try again later\" without a cause is also what greylisting and rate limits say.",
	},
	bounce.MessageTooLarge: {
		Title: "message too large", Scope: bounce.ScopeMessage,
		Meaning: "The message is larger than the receiver accepts.",
		Do:      []string{"Send a link, or a smaller message; attachments grow by a third in transit."},
		Retry:   "No.",
		Also:    "The limit may be that of the mailbox, the server, or a filter between.",
	},
	bounce.ContentSpam: {
		Title: "judged spam", Scope: bounce.ScopeMessage,
		Meaning: "The content of the message, or a link in it, was judged spam.",
		Do:      []string{"Look at the message and its links; look the linked domains up on the URL blocklists.", "If several unlike messages are hit, look at reputation and authentication."},
		Retry:   "No; a changed message may pass.",
		Also:    "Filters weigh the sender too: a bad reputation makes harmless content look like spam.",
	},
	bounce.ContentRejected: {
		Title: "content refused", Scope: bounce.ScopeMessage,
		Meaning: "A virus, a forbidden attachment, or a malformed message.",
		Do:      []string{"Mend the program that writes the message (headers, MIME), or leave the attachment out.", "If a virus was found, look for its source on your side."},
		Retry:   "No.",
		Also:    "A false alarm of their scanner.",
	},
	bounce.Blocklist: {
		Title: "on a blocklist", Scope: bounce.ScopeSender,
		Meaning: "Your IP address or domain is on a blocklist, a public one or the provider's own.",
		Do:      []string{"Find the cause first: a compromised account or form, bad list hygiene, an address inherited with the listing.", "Then ask that list to delist you."},
		Retry:   "After delisting.",
		Also:    "If the list answers everyone (its resolver is refused), the receiver's set-up is broken, not yours.",
	},
	bounce.Reputation: {
		Title: "bad reputation", Scope: bounce.ScopeSender,
		Meaning: "The provider distrusts your IP address or domain: complaints, spam traps, unknown users, too little history.",
		Do:      []string{"Slow down, and mail those first who read you.", "Check complaints, bounces and authentication.", "Then use the provider's form."},
		Retry:   "Slowly: reputation comes back over days of good mail.",
		Also:    "A neighbour in the same network, or a dynamic address range.",
	},
	bounce.AuthFailure: {
		Title: "authentication failed", Scope: bounce.ScopeSender,
		Meaning: "SPF, DKIM, DMARC or their alignment with the From: domain did not pass.",
		Do:      []string{"Check the SPF record against the sending address, the DKIM key and signature of this mail stream, and the DMARC policy.", "See whether only forwarded mail is hit.", "bouncelog scan DOMAIN looks these records up."},
		Retry:   "After the records or the signing are mended.",
		Also:    "Forwarding breaks SPF, mailing lists break DKIM. A DNS failure on their side looks the same for a while.",
	},
	bounce.RDNSHelo: {
		Title: "host name of the sender", Scope: bounce.ScopeSender,
		Meaning: "The sending address has no reverse name, or the name and HELO do not match it.",
		Do:      []string{"Set the PTR record at the hosting provider; let the name resolve back to the address.", "Make HELO (myhostname, primary_hostname) the same name.", "Do so for IPv6 too, or send by IPv4 only."},
		Retry:   "After the names are set.",
		Also:    "A DNS failure on their side for a while.",
	},
	bounce.SenderRejected: {
		Title: "sender address refused", Scope: bounce.ScopeSender,
		Meaning: "The sender's address or its domain cannot be used: it does not exist, cannot be verified, or is not allowed.",
		Do:      []string{"Use a sender domain that exists, with MX or address records, and a mailbox that answers.", "Check who may send with this address (sending permissions, sender maps)."},
		Retry:   "After it is mended.",
		Also:    "Their verification asks your server back and meets your greylisting or your firewall.",
	},
	bounce.RelayDenied: {
		Title: "relaying denied", Scope: bounce.ScopeSender,
		Meaning: "That host does not take mail for this recipient from you, or wants you to log in.",
		Do:      []string{"Check the transport, the relay host and its password.", "If it is the recipient's MX: it does not know its own domain; tell their postmaster."},
		Retry:   "After it is mended.",
		Also:    "A domain that moved and left its old MX behind.",
	},
	bounce.TLS: {
		Title: "no acceptable TLS", Scope: bounce.ScopeSender,
		Meaning: "The two servers found no TLS session that both accept.",
		Do:      []string{"Check the TLS policy for this domain, certificates, DANE and MTA-STS, and the protocol versions.", "See whether the certificate or the policy is theirs to mend."},
		Retry:   "Yes, it may pass through another host; else after it is mended.",
		Also:    "A middlebox that strips STARTTLS.",
	},
	bounce.Policy: {
		Title: "refused by policy", Scope: bounce.ScopeSender,
		Meaning: "The receiver refuses by a rule of its own and does not say which.",
		Do:      []string{"If the recipients are known to be valid: check SPF, DKIM and DMARC first, then the blocklists, then the content.", "Ask their postmaster, with the whole reply."},
		Retry:   "No.",
		Also:    "One recipient only: their own filter. All of a provider: authentication or reputation.",
	},
	bounce.ProtocolError: {
		Title: "protocol error", Scope: bounce.ScopeSender,
		Meaning: "A command, its order or an extension was not understood.",
		Do:      []string{"Check proxies and firewalls that change SMTP, pipelining, SMTPUTF8 and 8BITMIME.", "Compare with a session by hand."},
		Retry:   "4xx: yes. 5xx: no.",
		Also:    "The other server answers so to clients that it wants to be rid of.",
	},
	bounce.Unknown: {
		Title: "cause not named", Scope: bounce.NoScope,
		Meaning: "The reply carries no cause.",
		Do:      []string{"Read the line and its neighbours.", "If the recipient is known to be valid: check authentication and blocklists.", "Once you know, add a rule for it."},
		Retry:   "4xx: yes. 5xx: no.",
		Also:    "Greetings without a reason often come from reputation.",
	},
}
