package judge

import (
	"strconv"

	"bouncelog/bounce"
)

// An enhancedEntry is an entry of the IANA registry "SMTP Enhanced Status Codes" (RFC 5248), in the
// words of this project.
type enhancedEntry struct {
	subject, detail int
	title           string
	meaning         string
	do              string
	reason          bounce.Reason // its meaning if nothing else is known
	vague           bool          // it names no cause: the wording of the text is better evidence
	rfc             string
}

// enhancedCodes is the registry (as of 2024-12-06).
var enhancedCodes = [...]enhancedEntry{
	{0, 0, "other or undefined status", "The only code that may be used when nothing more is known.", "Go by the text and the reply code.", bounce.NoReason, true, "RFC 3463 3.1"},

	{1, 0, "other address status", "Something is wrong with an address of the message; which one and what is not said.", "Check the sender's and the recipient's address.", bounce.NoReason, true, "RFC 3463 3.2"},
	{1, 1, "bad destination mailbox address", "There is no mailbox of this name: the part left of the @ is unknown there.", "Correct or remove the address.", bounce.UserUnknown, false, "RFC 3463 3.2"},
	{1, 2, "bad destination system address", "The recipient's domain does not exist or takes no mail: the part right of the @ is at fault.", "Look for a typing error in the domain.", bounce.DomainInvalid, false, "RFC 3463 3.2"},
	{1, 3, "bad destination mailbox address syntax", "The recipient's address is not well formed.", "Correct the address.", bounce.BadAddress, false, "RFC 3463 3.2"},
	{1, 4, "destination mailbox address ambiguous", "The address fits several recipients there.", "Use the full address.", bounce.BadAddress, false, "RFC 3463 3.2"},
	{1, 5, "destination address valid", "The address is valid; only used to report success.", "Nothing.", bounce.NoReason, true, "RFC 3463 3.2"},
	{1, 6, "mailbox moved, no forwarding address", "The mailbox was valid, but is no longer and left no new address.", "Ask for the new address; stop using the old one.", bounce.MailboxDisabled, false, "RFC 3463 3.2"},
	{1, 7, "bad sender's mailbox address syntax", "The sender's address is not well formed.", "Correct the envelope sender.", bounce.SenderRejected, false, "RFC 3463 3.2"},
	{1, 8, "bad sender's system address", "The sender's domain does not exist or cannot take a reply.", "Give the sender domain MX or address records, or use another.", bounce.SenderRejected, false, "RFC 3463 3.2"},
	{1, 9, "relayed to a mailer that sends no tracking", "The message went on to a system that does not follow these codes; what happened then is not known.", "Nothing.", bounce.NoReason, true, "RFC 3886"},
	{1, 10, "recipient address has null MX", "The recipient's domain declares that it takes no mail.", "Remove the address.", bounce.DomainInvalid, false, "RFC 7505"},

	{2, 0, "other or undefined mailbox status", "The mailbox exists, but something about it stopped the message.", "Go by the text.", bounce.NoReason, true, "RFC 3463 3.3"},
	{2, 1, "mailbox disabled, not accepting messages", "The mailbox exists and takes no messages, for a time (4.x) or for good (5.x).", "Stop mailing it if it lasts.", bounce.MailboxDisabled, false, "RFC 3463 3.3"},
	{2, 2, "mailbox full", "The recipient is over quota.", "Wait; the recipient has to make room.", bounce.MailboxFull, false, "RFC 3463 3.3"},
	{2, 3, "message length exceeds administrative limit", "The message is larger than this mailbox may take.", "Send a smaller message or a link.", bounce.MessageTooLarge, false, "RFC 3463 3.3"},
	{2, 4, "mailing list expansion problem", "The recipient is a list that could not be expanded.", "Tell the list's owner.", bounce.SystemError, false, "RFC 3463 3.3"},

	{3, 0, "other or undefined mail system status", "The receiving system exists, but something in it stopped the message.", "Wait; tell their postmaster if it lasts.", bounce.SystemError, true, "RFC 3463 3.4"},
	{3, 1, "mail system full", "The receiving system has no room left; not the mailbox.", "Wait.", bounce.SystemError, false, "RFC 3463 3.4"},
	{3, 2, "system not accepting network messages", "The host takes no messages now: shut down, overloaded or in maintenance.", "Wait.", bounce.SystemError, true, "RFC 3463 3.4"},
	{3, 3, "system not capable of selected features", "The message asks for something the receiving system cannot do.", "Send without that extension.", bounce.ProtocolError, false, "RFC 3463 3.4"},
	{3, 4, "message too big for system", "The message is larger than the system accepts.", "Send a smaller message or a link.", bounce.MessageTooLarge, false, "RFC 3463 3.4"},
	{3, 5, "system incorrectly configured", "The receiving system's set-up does not let it take the message.", "Tell their postmaster.", bounce.SystemError, false, "RFC 3463 3.4"},
	{3, 6, "requested priority was changed", "The message was taken, with another priority than asked for.", "Nothing.", bounce.NoReason, true, "RFC 6710"},

	{4, 0, "other or undefined network or routing status", "Something went wrong on the way; it is not clear what.", "Wait.", bounce.Connection, true, "RFC 3463 3.5"},
	{4, 1, "no answer from host", "The connection attempt was not answered.", "Wait; check whether other hosts answer you.", bounce.Connection, false, "RFC 3463 3.5"},
	{4, 2, "bad connection", "The connection was made, but could not finish the message.", "Wait; look for firewalls and MTU trouble if it lasts.", bounce.Connection, false, "RFC 3463 3.5"},
	{4, 3, "directory server failure", "A directory or DNS server needed for the route did not answer.", "Wait; check your resolver.", bounce.DNSRouting, false, "RFC 3463 3.5"},
	{4, 4, "unable to route", "No next hop could be found for the recipient's domain.", "Check the domain's MX and your routing.", bounce.DNSRouting, false, "RFC 3463 3.5"},
	{4, 5, "mail system congestion", "The system is overloaded for now.", "Wait; send slower.", bounce.RateLimited, true, "RFC 3463 3.5"},
	{4, 6, "routing loop detected", "The message has gone through too many hosts.", "Check MX, transport and forwarding.", bounce.DNSRouting, false, "RFC 3463 3.5"},
	{4, 7, "delivery time expired", "The message was in the queue for longer than it may be.", "Look at the last temporary failure.", bounce.Expired, false, "RFC 3463 3.5"},

	{5, 0, "other or undefined protocol status", "Something was wrong with the SMTP dialogue.", "Go by the text.", bounce.NoReason, true, "RFC 3463 3.6"},
	{5, 1, "invalid command", "A command was out of order or is not known.", "Check proxies and firewalls that change SMTP.", bounce.ProtocolError, true, "RFC 3463 3.6"},
	{5, 2, "syntax error", "A command could not be read.", "Check what was sent, and what lies between the hosts.", bounce.ProtocolError, true, "RFC 3463 3.6"},
	{5, 3, "too many recipients", "More recipients than the server takes in one message.", "Send to fewer at a time; an MTA does so by itself.", bounce.RateLimited, false, "RFC 3463 3.6"},
	{5, 4, "invalid command arguments", "A command was known, but not what it was given.", "Check the addresses and the extensions used.", bounce.ProtocolError, true, "RFC 3463 3.6"},
	{5, 5, "wrong protocol version", "The two sides speak different versions of the protocol.", "Check what answers on that port.", bounce.ProtocolError, false, "RFC 3463 3.6"},
	{5, 6, "authentication exchange line is too long", "A line of the SMTP AUTH exchange is longer than the server takes.", "Use another mechanism.", bounce.ProtocolError, false, "RFC 4954 6"},

	{6, 0, "other or undefined media error", "Something about the content stopped the message.", "Look at the message.", bounce.ContentRejected, true, "RFC 3463 3.7"},
	{6, 1, "media not supported", "The content is of a type that the receiver does not take.", "Send another type.", bounce.ContentRejected, false, "RFC 3463 3.7"},
	{6, 2, "conversion required and prohibited", "The content would have to be converted, which is not allowed.", "Send another type.", bounce.ContentRejected, false, "RFC 3463 3.7"},
	{6, 3, "conversion required but not supported", "The content would have to be converted, and the system cannot: often 8-bit content to a 7-bit host.", "Send quoted-printable.", bounce.ContentRejected, false, "RFC 3463 3.7"},
	{6, 4, "conversion with loss performed", "The content was converted and lost something.", "Nothing, or send a simpler form.", bounce.ContentRejected, false, "RFC 3463 3.7"},
	{6, 5, "conversion failed", "A conversion of the content was tried and failed.", "Send another type.", bounce.ContentRejected, false, "RFC 3463 3.7"},
	{6, 6, "message content not available", "The content could not be fetched from where the message pointed (BURL).", "Check the submission set-up.", bounce.ContentRejected, false, "RFC 4468"},
	{6, 7, "non-ASCII addresses not permitted for that sender or recipient", "An address with non-ASCII letters met a system that does not take it.", "Use an ASCII address.", bounce.ProtocolError, false, "RFC 6531"},
	{6, 8, "UTF-8 reply is required, but not permitted by the client", "The answer would need UTF-8, which the client did not allow.", "Enable SMTPUTF8.", bounce.ProtocolError, false, "RFC 6531"},
	{6, 9, "UTF-8 header message cannot be transferred", "The message has UTF-8 headers, and one of the recipients' systems cannot take them.", "Use ASCII headers (RFC 2047).", bounce.ContentRejected, false, "RFC 6531"},
	{6, 10, "UTF-8 reply is required (old number of X.6.8)", "The same as X.6.8; registered twice by mistake.", "Enable SMTPUTF8.", bounce.ProtocolError, false, "RFC 5248"},

	{7, 0, "other or undefined security status", "Refused for a reason of security or policy that is not named.", "Check SPF, DKIM and DMARC first, then the blocklists.", bounce.Policy, true, "RFC 3463 3.8"},
	{7, 1, "delivery not authorised, message refused", "The sender may not send to this recipient. In practice the code for every refusal by policy: blocklists, authentication, spam, relaying.", "Go by the text; without one check authentication and blocklists.", bounce.Unknown, true, "RFC 3463 3.8"},
	{7, 2, "mailing list expansion prohibited", "The sender may not write to this list.", "Ask the list's owner.", bounce.RecipientRestricted, false, "RFC 3463 3.8"},
	{7, 3, "security conversion required but not possible", "A change from one security protocol to another was needed and is not possible.", "Ask their postmaster.", bounce.Policy, true, "RFC 3463 3.8"},
	{7, 4, "security features not supported", "The message asks for a security feature that the server does not have.", "Check TLS and authentication settings.", bounce.TLS, false, "RFC 3463 3.8"},
	{7, 5, "cryptographic failure", "Decrypting or verifying failed for lack of a key or through an error.", "Check certificates and keys.", bounce.TLS, false, "RFC 3463 3.8"},
	{7, 6, "cryptographic algorithm not supported", "The algorithm used is not known there.", "Check protocol versions and ciphers.", bounce.TLS, false, "RFC 3463 3.8"},
	{7, 7, "message integrity failure", "The message was changed on its way, or its integrity cannot be checked.", "Look for what changes messages on the way.", bounce.Policy, true, "RFC 3463 3.8"},
	{7, 8, "authentication credentials invalid", "The login was refused: name or password is wrong.", "Check the relay host's password.", bounce.RelayDenied, false, "RFC 4954 6"},
	{7, 9, "authentication mechanism is too weak", "The login mechanism is weaker than the server allows.", "Use a stronger mechanism, over TLS.", bounce.RelayDenied, false, "RFC 4954 6"},
	{7, 10, "encryption needed", "The server wants TLS before it goes on.", "Use TLS for this host.", bounce.TLS, false, "RFC 5248"},
	{7, 11, "encryption required for requested authentication mechanism", "This login mechanism is allowed over TLS only.", "Use TLS for this host.", bounce.TLS, false, "RFC 4954 6"},
	{7, 12, "a password transition is needed", "The login needs a new password or another mechanism once.", "Set the password anew.", bounce.RelayDenied, false, "RFC 4954 6"},
	{7, 13, "user account disabled", "The account exists but is disabled: the recipient's, or yours at a relay that wants login.", "Stop mailing it; at your own relay: ask its operator.", bounce.MailboxDisabled, false, "RFC 5248"},
	{7, 14, "trust relationship required", "The server wants a trust relationship with a third party for this.", "Ask their postmaster.", bounce.RelayDenied, false, "RFC 5248"},
	{7, 15, "priority level is too low", "The message's priority is below what the server takes now.", "Wait, or raise the priority.", bounce.Policy, false, "RFC 6710"},
	{7, 16, "message is too big for the specified priority", "The message is too large for its priority.", "Send it smaller or later.", bounce.MessageTooLarge, false, "RFC 6710"},
	{7, 17, "mailbox owner has changed", "The mailbox has a new owner since the sender last confirmed the old one.", "Remove the address.", bounce.MailboxDisabled, false, "RFC 7293"},
	{7, 18, "domain owner has changed", "The domain has a new owner since the sender last confirmed the old one.", "Remove the address.", bounce.DomainInvalid, false, "RFC 7293"},
	{7, 19, "RRVS test cannot be completed", "The server cannot tell whether the mailbox has changed owners.", "Send without the RRVS test, or later.", bounce.SystemError, false, "RFC 7293"},
	{7, 20, "no passing DKIM signature found", "No DKIM signature of the message verified.", "Check the signing and the published key.", bounce.AuthFailure, false, "RFC 7372"},
	{7, 21, "no acceptable DKIM signature found", "A signature verified, but none that the server accepts.", "Sign with the domain and key size the server wants.", bounce.AuthFailure, false, "RFC 7372"},
	{7, 22, "no valid author-matched DKIM signature found", "No signature verified for the domain in the From: header.", "Sign with the From: domain.", bounce.AuthFailure, false, "RFC 7372"},
	{7, 23, "SPF validation failed", "The sending address is not authorised by the sender domain's SPF record.", "Add the address to the record, or send from one that is in it.", bounce.AuthFailure, false, "RFC 7372"},
	{7, 24, "SPF validation error", "The SPF record could not be evaluated: an error in it, or DNS.", "Check the record's syntax and its ten lookups.", bounce.AuthFailure, false, "RFC 7372"},
	{7, 25, "reverse DNS validation failed", "The sending address has no name that points back to it.", "Set the PTR record and its forward name.", bounce.RDNSHelo, false, "RFC 7372"},
	{7, 26, "multiple authentication checks failed", "More than one of SPF, DKIM and the like failed.", "Check SPF and DKIM of this stream.", bounce.AuthFailure, false, "RFC 7372"},
	{7, 27, "sender address has null MX", "The sender's domain declares that it takes no mail.", "Use a sender domain that can take replies.", bounce.SenderRejected, false, "RFC 7505"},
	{7, 28, "mail flood detected", "The message looks like part of a flood.", "Slow down; look for a compromised account.", bounce.RateLimited, false, "RFC 5248"},
	{7, 29, "ARC validation failure", "The chain of earlier authentication results did not verify.", "Look at the forwarder that broke it.", bounce.AuthFailure, false, "RFC 8617"},
	{7, 30, "REQUIRETLS support required", "The message demands TLS all the way, which cannot be had.", "Send without REQUIRETLS, or by a route with TLS.", bounce.TLS, false, "RFC 8689"},
}

// enhancedDetail is the detail that a code adds to its reason.
var enhancedDetail = map[[2]int]string{
	{7, 20}: "dkim", {7, 21}: "dkim", {7, 22}: "dkim", {7, 23}: "spf", {7, 24}: "spf", {7, 25}: "ptr", {7, 29}: "arc",
}

// A replyEntry is a basic reply code.
type replyEntry struct {
	code    int
	title   string
	meaning string
	do      []string
	also    string
	retry   string        // if it differs from the meaning of the first digit
	reason  bounce.Reason // its meaning if nothing else is known; NoReason: Unknown
	rfc     string
}

const knownValid = "If recipients that are known to be valid are refused, the cause is most likely SPF, DKIM or DMARC, or a blocklist."

// replyCodes are the reply codes of RFC 5321 section 4.2.3 and of the extensions.
var replyCodes = [...]replyEntry{
	{211, "system status", "The answer to a question about the system's state.", nil, "", "", bounce.NoReason, "RFC 5321 4.2.3"},
	{214, "help message", "Help text for a person.", nil, "", "", bounce.NoReason, "RFC 5321 4.2.3"},
	{220, "service ready", "The greeting, or the go-ahead for STARTTLS.", nil, "", "", bounce.NoReason, "RFC 5321 4.2.3"},
	{221, "closing", "The server says goodbye after QUIT.", nil, "", "", bounce.NoReason, "RFC 5321 4.2.3"},
	{235, "authentication succeeded", "The login was accepted.", nil, "", "", bounce.NoReason, "RFC 4954 6"},
	{250, "done", "The command was carried out; after the end of the message: the server has taken it over.", nil, "Taken over does not mean read: a server may still drop a message, or file it as spam.", "", bounce.NoReason, "RFC 5321 4.2.3"},
	{251, "user not local, will forward", "The server takes the message and sends it on to another address.", []string{"Update the address if a new one is named."}, "", "", bounce.NoReason, "RFC 5321 3.4"},
	{252, "cannot verify, but will take the message", "The server does not tell whether the address exists (VRFY), but will try.", nil, "", "", bounce.NoReason, "RFC 5321 3.5.3"},
	{253, "pending messages", "Messages for the node are waiting (ETRN).", nil, "", "", bounce.NoReason, "RFC 1985 5"},
	{334, "go on with authentication", "The server waits for the next line of the login.", nil, "", "", bounce.NoReason, "RFC 4954 4"},
	{354, "send the message", "The server waits for the message, ended by a lone dot.", nil, "A server that never goes on from here: look for a firewall that inspects SMTP.", "", bounce.NoReason, "RFC 5321 4.2.3"},

	{420, "timeout", "The server ran into a time limit. Not a registered code; some servers use it for trouble of their own.", []string{"Wait."}, "", "", bounce.Connection, "not registered"},
	{421, "service not available, closing", "The server ends the session: overload, maintenance, too many connections, or a refusal for now.", []string{"Wait.", "If it is one provider and goes on: fewer connections and messages at a time; then look at reputation."}, "Rate limits and reputation blocks come as 421.", "", bounce.NoReason, "RFC 5321 4.2.3"},
	{422, "mailbox over quota", "Used by some systems for a full mailbox. Not registered.", []string{"Wait."}, "", "", bounce.MailboxFull, "not registered"},
	{431, "out of memory or disk", "The server is out of resources, or the recipient is over quota. Not registered.", []string{"Wait."}, "", "", bounce.SystemError, "not registered"},
	{432, "password transition needed", "The login needs a new password (AUTH); some Exchange servers also say 432 when they are stopped.", []string{"Set the relay's password anew."}, "", "", bounce.RelayDenied, "RFC 4954 6"},
	{441, "no answer from host", "The next host did not answer. Not registered.", []string{"Wait."}, "", "", bounce.Connection, "not registered"},
	{442, "connection dropped", "The connection broke during the transmission. Not registered.", []string{"Wait."}, "", "", bounce.Connection, "not registered"},
	{446, "too many hops", "The message went in a circle. Not registered.", []string{"Check MX, transport and forwarding."}, "", "", bounce.DNSRouting, "not registered"},
	{447, "timed out", "The message waited too long. Not registered.", []string{"Look at the last temporary failure."}, "", "", bounce.Expired, "not registered"},
	{449, "routing error", "No route was found. Not registered.", []string{"Check the domain's MX."}, "", "", bounce.DNSRouting, "not registered"},
	{450, "mailbox unavailable for now", "The mailbox cannot be reached now: busy, locked, or the server delays you on purpose (greylisting), or does not like your host name or sender yet.", []string{"Wait.", "If it lasts for hours: read the text; check HELO, PTR and the sender's domain."}, "Greylisting; Postfix uses 450 for every rule it applies only for a while.", "", bounce.NoReason, "RFC 5321 4.2.3"},
	{451, "local error in processing", "Something went wrong on their side, or they delay you on purpose.", []string{"Wait.", "If it lasts: their postmaster."}, "Greylisting, a DNS answer that failed on their side, a filter that is down.", "", bounce.NoReason, "RFC 5321 4.2.3"},
	{452, "insufficient storage", "The server has no room, the mailbox is full, or there are too many recipients in one message.", []string{"Wait."}, "A full mailbox (4.2.2) and too many recipients (4.5.3) come with this code too.", "", bounce.SystemError, "RFC 5321 4.2.3"},
	{453, "no mail for you (ODMR), or too many recipients", "On-demand relay: nothing is waiting; some servers use it for too many recipients.", []string{"Wait."}, "", "", bounce.NoReason, "RFC 2645 5"},
	{454, "temporary failure of TLS or login", "TLS or authentication is not available for now; some servers say it for relaying they deny for now.", []string{"Wait.", "Check the certificate and the password if it lasts."}, "", "", bounce.TLS, "RFC 3207 4, RFC 4954 6"},
	{455, "cannot take the parameters now", "The server cannot handle the parameters of MAIL or RCPT for now.", []string{"Wait."}, "", "", bounce.ProtocolError, "RFC 5321 4.2.3"},
	{458, "cannot queue for this node", "The server could not queue the messages for the node (ETRN).", []string{"Wait."}, "", "", bounce.SystemError, "RFC 1985 5"},
	{459, "node not allowed", "The node may not ask for its messages (ETRN).", []string{"Ask the operator."}, "", "", bounce.RelayDenied, "RFC 1985 5"},
	{471, "filter trouble", "A filter on the way could not do its work. Not registered.", []string{"If the filter is yours, look at its log; else wait."}, "", "", bounce.SystemError, "not registered"},

	{500, "syntax error, command not recognised", "The server did not understand a command.", []string{"Check proxies and firewalls that change SMTP."}, "A line that is too long.", "", bounce.ProtocolError, "RFC 5321 4.2.3"},
	{501, "syntax error in parameters", "A command was understood, but not what came with it: often an address or the HELO name.", []string{"Check the addresses and the HELO name."}, "", "", bounce.ProtocolError, "RFC 5321 4.2.3"},
	{502, "command not implemented", "The server knows the command but does not offer it.", nil, "", "", bounce.ProtocolError, "RFC 5321 4.2.3"},
	{503, "bad sequence of commands", "A command came out of order, often because an earlier one was refused, or login is needed first.", []string{"Look at the earlier replies of the session."}, "", "", bounce.ProtocolError, "RFC 5321 4.2.3"},
	{504, "parameter not implemented", "The server does not know a parameter: a HELO name without a dot, a login mechanism.", []string{"Check HELO and the mechanism."}, "", "", bounce.ProtocolError, "RFC 5321 4.2.3"},
	{510, "bad address", "The recipient's address is bad. Not registered.", []string{"Correct the address."}, "", "", bounce.UserUnknown, "not registered"},
	{511, "bad address", "There is no such recipient. Not registered.", []string{"Correct the address."}, "", "", bounce.UserUnknown, "not registered"},
	{512, "no such domain", "The recipient's domain was not found. Not registered.", []string{"Look for a typing error in the domain."}, "", "", bounce.DomainInvalid, "not registered"},
	{513, "bad address type", "The address has the wrong form. Not registered.", []string{"Correct the address."}, "", "", bounce.BadAddress, "not registered"},
	{515, "address not valid", "The recipient's address is not valid. Not registered.", []string{"Correct the address."}, "", "", bounce.BadAddress, "not registered"},
	{521, "host does not accept mail", "This host never takes mail; some say it to clients that they refuse.", []string{"If others can send there: your address is refused; check blocklists.", "Else the domain takes no mail: remove the address."}, knownValid, "", bounce.NoReason, "RFC 7504 3"},
	{523, "message larger than the limit", "The message is too large for the recipient. Not registered.", []string{"Send it smaller."}, "", "", bounce.MessageTooLarge, "not registered"},
	{525, "user account disabled", "The account is disabled.", []string{"Stop mailing it."}, "At a relay that wants login: your own account there.", "", bounce.MailboxDisabled, "RFC 5248"},
	{530, "login or TLS required", "The server wants authentication (or STARTTLS) before it takes mail.", []string{"Check that you talk to the recipient's MX on port 25, and not to a submission server.", "For a relay host: set user name and password, and TLS."}, "", "", bounce.RelayDenied, "RFC 4954 6, RFC 3207 4"},
	{531, "mailbox or system full", "Used by some systems for a full disk. Not registered.", []string{"Wait."}, "", "", bounce.SystemError, "not registered"},
	{532, "password transition or account expired", "The login is not possible with this password. Not registered.", []string{"Ask the relay's operator."}, "", "", bounce.RelayDenied, "not registered"},
	{533, "remote server short of space", "Used by some systems for a full disk. Not registered.", []string{"Wait."}, "", "", bounce.SystemError, "not registered"},
	{534, "login mechanism too weak", "The server wants a stronger mechanism, or an application password.", []string{"Use the mechanism the provider documents."}, "", "", bounce.RelayDenied, "RFC 4954 6"},
	{535, "login refused", "User name or password is wrong, or the account may not log in this way.", []string{"Check the relay host's user name and password."}, "", "", bounce.RelayDenied, "RFC 4954 6"},
	{538, "encryption required for this login mechanism", "The mechanism is allowed over TLS only.", []string{"Use TLS."}, "", "", bounce.RelayDenied, "RFC 4954 6"},
	{541, "refused by the recipient's filter", "The recipient's system refused the message, as a rule by a filter. Not registered.", []string{"Check authentication and blocklists, then the content."}, knownValid, "", bounce.Policy, "not registered"},
	{542, "address refused", "The recipient's address was refused. Not registered.", nil, "", "", bounce.Policy, "not registered"},
	{543, "routing failed", "No route to the recipient's server. Not registered.", []string{"Check the domain's MX."}, "", "", bounce.DNSRouting, "not registered"},
	{546, "mail loop", "The message went in a circle. Not registered.", []string{"Check MX, transport and forwarding."}, "", "", bounce.DNSRouting, "not registered"},
	{547, "delivery time expired", "The message waited too long. Not registered.", []string{"Look at the last temporary failure."}, "", "", bounce.Expired, "not registered"},
	{
		550, "mailbox unavailable, or refused", "The server refuses the recipient, or the message by policy. As a reply to RCPT it mostly means that there is no such mailbox; at the end of the message it never does.",
		[]string{"Read the text: it names the cause in most cases.", "If the recipient is known to be valid: check SPF, DKIM and DMARC of the sender domain first, then the blocklists for your address, then PTR and HELO.", "If only this recipient is hit: correct or remove the address."},
		knownValid, "", bounce.NoReason, "RFC 5321 4.2.3",
	},
	{551, "user not local", "The recipient is not here, and the server does not forward; it may name another address.", []string{"Use the address that is named, if you trust it; else remove it."}, "Some servers say it for relaying they deny.", "", bounce.UserUnknown, "RFC 5321 3.4"},
	{552, "storage exceeded", "The mailbox is full, or the message too large, or (at some providers) its content is refused.", []string{"Read the text.", "A full mailbox: wait."}, "RFC 5321 4.5.3.1.10: older servers say 552 for too many recipients.", "A full mailbox may empty; the MTA has given up on this message.", bounce.MailboxFull, "RFC 5321 4.2.3"},
	{553, "mailbox name not allowed", "An address is not well formed or not allowed: the recipient's, or the sender's.", []string{"Check both addresses."}, "qmail says it for relaying, some for blocklists.", "", bounce.NoReason, "RFC 5321 4.2.3"},
	{
		554, "transaction failed", "The server refuses; as a greeting it takes no mail from you at all.",
		[]string{"Read the text: it names the cause in most cases.", "If recipients are known to be valid: check SPF, DKIM and DMARC of the sender domain first, then the blocklists for your address, then the content.", "As a greeting: your IP address; check blocklists, PTR and the provider's form."},
		knownValid, "", bounce.NoReason, "RFC 5321 4.2.3",
	},
	{555, "parameters not recognised", "The server does not know a parameter of MAIL FROM or RCPT TO, or cannot read the address.", []string{"Check the address, and proxies that hide extensions."}, "", "", bounce.ProtocolError, "RFC 5321 4.1.1.11"},
	{556, "domain does not accept mail", "The recipient's domain declares that it takes no mail (null MX).", []string{"Remove the address."}, "", "", bounce.DomainInvalid, "RFC 7504 4"},
	{571, "refused by policy", "Used by some systems for a refused sender: blocklists, policy, relaying. Not registered.", []string{"Check blocklists and authentication."}, knownValid, "", bounce.Policy, "not registered"},
}

// replyClasses are the texts for codes that are not in the table.
var replyClasses = map[int]replyEntry{
	2: {2, "success", "The command was carried out.", nil, "", "", bounce.NoReason, "RFC 5321 4.2.1"},
	3: {3, "go on", "The server waits for more.", nil, "", "", bounce.NoReason, "RFC 5321 4.2.1"},
	4: {4, "failed for now", "The command was not carried out, and the same command may succeed later.", []string{"Wait: the queue tries again.", "If it lasts for hours, read the text."}, "Greylisting, a rate limit, a reputation block.", "", bounce.NoReason, "RFC 5321 4.2.1"},
	5: {5, "failed for good", "The command was not carried out, and the same command will fail again.", []string{"Read the text: it names the cause in most cases."}, knownValid, "", bounce.NoReason, "RFC 5321 4.2.1"},
}

// codeRules returns the rules of last resort, built from the tables. Two reply codes have different
// meanings at different places of the dialogue (RFC 5321 section 4.2.4.2).
func codeRules() []Rule {
	rules := make([]Rule, 0, len(enhancedCodes)+len(replyCodes)+8)
	for i := range enhancedCodes {
		e := &enhancedCodes[i]
		if e.reason == bounce.NoReason {
			continue
		}
		code := "x." + strconv.Itoa(e.subject) + "." + strconv.Itoa(e.detail)
		tier := TierEnhanced
		if e.vague {
			tier = TierCode
		}
		rules = append(rules, Rule{
			ID: "enhanced-" + code, Reason: e.reason, Detail: enhancedDetail[[2]int{e.subject, e.detail}],
			Scope: ReasonText(e.reason).Scope, Tier: tier, Enhanced: []string{code}, Seen: e.rfc,
		})
	}
	for i := range replyCodes {
		e := &replyCodes[i]
		if e.code < 400 || e.reason == bounce.NoReason {
			continue
		}
		code := strconv.Itoa(e.code)
		rules = append(rules, Rule{
			ID: "reply-" + code, Reason: e.reason, Scope: ReasonText(e.reason).Scope, Tier: TierCode, Code: []string{code}, Seen: e.rfc,
		})
	}
	return rules
}

func replyText(code uint16) (replyEntry, bool) {
	for i := range replyCodes {
		if replyCodes[i].code == int(code) {
			return replyCodes[i], true
		}
	}
	e, ok := replyClasses[int(code/100)]
	return e, ok
}

func enhancedText(e bounce.EnhancedCode) (enhancedEntry, bool) {
	if e == 0 {
		return enhancedEntry{}, false
	}
	for i := range enhancedCodes {
		if c := &enhancedCodes[i]; c.subject == e.Subject() && c.detail == e.Detail() {
			return *c, true
		}
	}
	return enhancedEntry{}, false
}
