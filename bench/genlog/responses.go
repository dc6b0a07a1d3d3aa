package main

import "strings"

// Categories name the generator's intent for a delivery attempt. They are
// written to the truth file, so that a classifier can be checked against them.
const (
	catSent = iota
	catUserUnknown
	catDisabled
	catMailboxFull
	catPolicy
	catAuth
	catGreylist
	catRateLimit
	catTempOther
	catDNS
	catConnect
	catSize
	nCat
)

var catNames = [nCat]string{
	"sent", "user_unknown", "mailbox_disabled", "mailbox_full", "policy",
	"auth", "greylist", "rate_limit", "temporary_other", "dns", "connect", "size",
}

// A reply is one remote SMTP response, precompiled into literal and variable parts.
type reply struct {
	cat   uint8
	soft  bool
	dsn   string // the delivery status code the MTA logs
	phase string // the SMTP command that was answered ("" for the greeting)
	segs  []seg
}

type seg struct {
	lit string
	op  byte
}

// compile turns "%R"-style marks into segments. Marks: %R recipient, %L its local
// part, %D its domain, %S sender, %H 12 hex digits, %B 16 letters and digits,
// %T unix time, %N 8 digits, %O the sending server's IP, %M relay host, %I relay IP.
// A line break inside a reply is '\n' here; each MTA writes it in its own way.
func compile(s string) []seg {
	var out []seg
	for {
		i := strings.IndexAny(s, "%\n")
		if i < 0 {
			break
		}
		if i > 0 {
			out = append(out, seg{lit: s[:i]})
		}
		if s[i] == '\n' {
			out = append(out, seg{op: '\n'})
			s = s[i+1:]
			continue
		}
		out = append(out, seg{op: s[i+1]})
		s = s[i+2:]
	}
	if s != "" {
		out = append(out, seg{lit: s})
	}
	return out
}

// A family is a kind of receiving system with its own wording.
type family struct {
	name  string
	sent  []reply
	by    [nCat][]reply
	retry []string // relay host patterns: %d domain, %D domain with dots as dashes
	ip    string   // first octets of its addresses
}

const (
	phR = "RCPT TO"
	phM = "MAIL FROM"
	phD = "end of DATA"
)

func mk(cat uint8, phase, text string) reply {
	dsn := dsnOf(text)
	return reply{cat, dsn[0] == '4', dsn, phase, compile(text)}
}

// dsnOf does what Postfix does: take the enhanced code that follows the reply
// code, or make one up from the first digit.
func dsnOf(text string) string {
	if len(text) > 9 && text[5] == '.' && text[4] == text[0] {
		if i := strings.IndexByte(text[4:], ' '); i >= 5 {
			return text[4 : 4+i]
		}
	}
	return text[:1] + ".0.0"
}

func fam(name, ip string, relays []string, sent []string, rs ...reply) *family {
	f := &family{name: name, ip: ip, retry: relays}
	for _, s := range sent {
		f.sent = append(f.sent, mk(catSent, "", s))
	}
	for _, r := range rs {
		f.by[r.cat] = append(f.by[r.cat], r)
	}
	return f
}

var families = []*family{
	fam("google", "142.250", []string{"gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com", "alt2.gmail-smtp-in.l.google.com"},
		[]string{"250 2.0.0 OK  %T %H-%H.%N - gsmtp"},
		mk(catUserUnknown, phR, "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the recipient's email address for typos or\n550-5.1.1 unnecessary spaces. For more information, go to\n550 5.1.1  https://support.google.com/mail/?p=NoSuchUser %H-%H.%N - gsmtp"),
		mk(catDisabled, phR, "550-5.2.1 The email account that you tried to reach is disabled. For more\n550-5.2.1 information, go to\n550 5.2.1  https://support.google.com/mail/?p=DisabledUser %H-%H.%N - gsmtp"),
		mk(catMailboxFull, phR, "452-4.2.2 The recipient's inbox is out of storage space. Please direct the\n452-4.2.2 recipient to\n452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp %H-%H.%N - gsmtp"),
		mk(catRateLimit, phD, "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating\n421-4.7.28 from your IP address. To protect our users from spam, mail sent from\n421-4.7.28 your IP address has been temporarily rate limited. For more\n421 4.7.28 information, go to https://support.google.com/mail/?p=UnsolicitedRateLimitError %H-%H.%N - gsmtp"),
		mk(catTempOther, phR, "451 4.3.0 Mail server temporarily rejected message. %H-%H.%N - gsmtp"),
		mk(catPolicy, phD, "550-5.7.1 [%O      12] Our system has detected that this message is\n550-5.7.1 likely unsolicited mail. To reduce the amount of spam sent to Gmail,\n550-5.7.1 this message has been blocked. Please visit\n550 5.7.1  https://support.google.com/mail/?p=UnsolicitedMessageError %H-%H.%N - gsmtp"),
		mk(catAuth, phD, "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\n550-5.7.26  Authentication results:\n550-5.7.26  DKIM = did not pass\n550-5.7.26  SPF [%D] with ip: [%O] = did not pass\n550 5.7.26  https://support.google.com/mail/answer/81126#authentication %H-%H.%N - gsmtp"),
		mk(catSize, phM, "552-5.3.4 Your message exceeded Google's message size limits. Please visit\n552 5.3.4  https://support.google.com/mail/?p=MaxSizeError %H-%H.%N - gsmtp"),
	),
	fam("microsoft", "52.101", []string{"%D.mail.protection.outlook.com", "%D.olc.protection.outlook.com"},
		[]string{"250 2.6.0 <%H%H.%N@mail.example.net> [InternalId=%N%N, Hostname=AM0PR0%N.eurprd03.prod.outlook.com] 23711 bytes in 0.214, 108.026 KB/sec Queued mail for delivery -> 250 2.1.5"},
		mk(catUserUnknown, phR, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [%B.eurprd03.prod.outlook.com 2026-11-23T09:18:38.%NZ 08DE%H]"),
		mk(catUserUnknown, phR, "550 5.4.1 Recipient address rejected: Access denied. For more information see https://aka.ms/EXOSmtpErrors [%B.eurprd04.prod.outlook.com 2026-11-23T09:18:38.%NZ 08DE%H]"),
		mk(catUserUnknown, phR, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient %R not found by SMTP address lookup"),
		mk(catDisabled, phD, "550 5.2.1 Mailbox cannot be accessed [%B.eurprd04.prod.outlook.com]"),
		mk(catMailboxFull, phR, "452 4.2.2 The email account that you tried to reach is over quota and inactive. [%B.eurprd03.prod.outlook.com]"),
		mk(catMailboxFull, phD, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded; Failed to process message due to a permanent exception [Stage: CreateMessage]"),
		mk(catRateLimit, phM, "451 4.7.650 The mail server [%O] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775) [%B.eurprd03.prod.outlook.com]"),
		mk(catTempOther, phR, "451 4.7.500 Server busy. Please try again later from [%O]. (S77714) [%B.eurprd03.prod.outlook.com]"),
		mk(catTempOther, phR, "451 4.3.2 Temporary server error. Please try again later ATTR5 [%B.eurprd03.prod.outlook.com]"),
		mk(catPolicy, phM, "550 5.7.1 Unfortunately, messages from [%O] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140). You can also refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors. [%B.eurprd03.prod.outlook.com]"),
		mk(catAuth, phD, "550 5.7.515 Access denied, sending domain %D does not meet the required authentication level. The sender's domain in the 5322.From address does not meet the authentication requirements defined for the sender. [%B.eurprd03.prod.outlook.com]"),
		mk(catAuth, phD, "550 5.7.509 Access denied, sending domain %D does not pass DMARC verification and has a DMARC policy of reject. [%B.eurprd04.prod.outlook.com 2026-11-23T09:18:38.%NZ 08DE%H]"),
		mk(catSize, phD, "552 5.3.4 Message size exceeds fixed maximum message size"),
	),
	fam("yahoo", "67.195", []string{"mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net", "mta7.am0.yahoodns.net"},
		[]string{"250 ok dirdel"},
		mk(catUserUnknown, phD, "554 delivery error: dd This user doesn't have a yahoo.com account (%R) [0] - mta4%N.mail.bf1.yahoo.com"),
		mk(catUserUnknown, phR, "552 1 Requested mail action aborted, mailbox not found"),
		mk(catDisabled, phD, "554 30 Sorry, your message to %R cannot be delivered. This mailbox is disabled (554.30)."),
		mk(catMailboxFull, phD, "452 4.2.2 Mailbox full (%R)"),
		mk(catRateLimit, phM, "421 4.7.0 [TSS04] Messages from %O temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"),
		mk(catTempOther, phD, "451 4.3.2 Internal error reading data"),
		mk(catPolicy, phD, "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes"),
		mk(catAuth, phD, "550 5.7.9 This mail has been blocked because the sender is unauthenticated. Yahoo requires all senders to authenticate with either SPF or DKIM. See https://senders.yahooinc.com/smtp-error-codes#authentication-failures"),
		mk(catSize, phM, "552 5.3.4 Message size exceeds fixed limit"),
	),
	fam("gmx", "212.227", []string{"mx00.emig.gmx.net", "mx01.emig.gmx.net"},
		[]string{"250 Requested mail action okay, completed: id=1M%B-0%B"},
		mk(catUserUnknown, phR, "550 Requested action not taken: mailbox unavailable\n550 For explanation visit https://postmaster.gmx.net/en/case?c=r0601&i=ip&v=%O&r=1M%B"),
		mk(catDisabled, phR, "550 Requested action not taken: mailbox disabled"),
		mk(catMailboxFull, phR, "552-Requested mail action aborted: exceeded storage allocation\n552-Quota exceeded. The recipient mailbox is full.\n552 For explanation visit https://postmaster.gmx.net/en/case?c=r0602&i=ip&v=%O"),
		mk(catGreylist, phR, "450 Requested mail action not taken: mailbox unavailable\n450 Mail server needs to retry (greylisted)\n450 For explanation visit https://postmaster.gmx.net/en/error-messages?ip=%O&c=grl"),
		mk(catRateLimit, phM, "421-gmx.net (mxgmx1%N) Nemesis ESMTP Service not available\n421-Service not available\n421 For explanation visit https://postmaster.gmx.net/en/case?c=r0103&i=ip&v=%O"),
		mk(catTempOther, phD, "451 Requested action aborted: local error in processing"),
		mk(catPolicy, phD, "554-5.7.1 Transaction failed\n554-5.7.1 Reject due to policy restrictions.\n554 5.7.1 For explanation visit https://postmaster.gmx.net/en/case?c=hi&i=ip&v=%O&r=1M%B"),
		mk(catAuth, phD, "550-5.7.1 Requested action not taken: sender domain authentication failed (SPF, DKIM)\n550 For explanation visit https://postmaster.gmx.net/en/case?c=r0801&i=ip&v=%O"),
		mk(catSize, phM, "552 5.3.4 Requested mail action aborted: message too big"),
	),
	fam("icloud", "17.57", []string{"mx01.mail.icloud.com", "mx02.mail.icloud.com"},
		[]string{"250 2.0.0 Ok: queued as %H"},
		mk(catUserUnknown, phR, "550 5.1.1 <%R>: user does not exist"),
		mk(catDisabled, phR, "550 5.1.6 recipient no longer on server: %R"),
		mk(catMailboxFull, phR, "552 5.2.2 <%R>: user is over quota"),
		mk(catRateLimit, phD, "450 4.7.0 [CS01] Message rejected due to temporary local policy. Please visit https://support.apple.com/en-us/HT204137"),
		mk(catTempOther, phR, "450 4.2.0 <%R>: Recipient address rejected: try again later"),
		mk(catPolicy, phD, "554 5.7.1 [HM08] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137"),
		mk(catAuth, phD, "550 5.7.1 [CS01] Message rejected: sender domain fails DMARC alignment. Please visit https://support.apple.com/en-us/HT204137"),
	),
	fam("postfix", "93.184", []string{"mx1.%d", "mail.%d", "mx2.%d"},
		[]string{"250 2.0.0 Ok: queued as %H", "250 2.0.0 Ok: queued as 4%B", "250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as %H"},
		mk(catUserUnknown, phR, "550 5.1.1 <%R>: Recipient address rejected: User unknown in virtual mailbox table"),
		mk(catUserUnknown, phR, "550 5.1.1 <%R>: Recipient address rejected: User unknown in local recipient table"),
		mk(catDisabled, phR, "550 5.2.1 <%R>: Recipient address rejected: this mailbox has been disabled"),
		mk(catMailboxFull, phR, "452 4.2.2 <%R>: Recipient address rejected: Mailbox is full / Blocks limit exceeded / Inode limit exceeded"),
		mk(catMailboxFull, phR, "552 5.2.2 <%R>: Recipient address rejected: Quota exceeded (mailbox for user is full)"),
		mk(catGreylist, phR, "450 4.2.0 <%R>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/%D.html"),
		mk(catGreylist, phR, "451 4.7.1 Greylisting in action, please come back later"),
		mk(catRateLimit, phR, "450 4.7.1 <%O>: Client host rejected: too many connections, slow down"),
		mk(catTempOther, phD, "451 4.3.0 Error: queue file write error"),
		mk(catTempOther, phR, "451 4.3.5 <%R>: Recipient address rejected: Server configuration problem"),
		mk(catPolicy, phR, "554 5.7.1 Service unavailable; Client host [%O] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/%O"),
		mk(catPolicy, phD, "554 5.7.1 Spam message rejected"),
		mk(catAuth, phR, "550 5.7.23 <%R>: Recipient address rejected: Message rejected due to: SPF fail - not authorized. Please see http://www.openspf.net/Why?s=mfrom;id=%S;ip=%O;r=%R"),
		mk(catAuth, phD, "550 5.7.1 rejected by DMARC policy for %D"),
		mk(catSize, phM, "552 5.3.4 Message size exceeds fixed limit"),
	),
	fam("exim", "81.169", []string{"%d", "mail.%d"},
		[]string{"250 OK id=1t%B-0000000%N-1Q2x", "250 OK id=1t%B-2C"},
		mk(catUserUnknown, phR, "550 No Such User Here"),
		mk(catUserUnknown, phR, "550-Callout verification failed:\n550 550 5.1.1 <%R> User unknown"),
		mk(catDisabled, phR, "550 Account %R is suspended"),
		mk(catMailboxFull, phR, "552 Mailbox quota exceeded for %R"),
		mk(catMailboxFull, phR, "452 <%R> Mailbox is full"),
		mk(catGreylist, phR, "451 Temporary local problem - please try later"),
		mk(catGreylist, phR, "451-%O is not yet authorized to deliver mail from\n451 <%S> to <%R>. Please try later."),
		mk(catRateLimit, phM, "421 Too many concurrent SMTP connections; please try again later."),
		mk(catTempOther, phD, "451 Temporary local problem - please try later"),
		mk(catPolicy, phD, "550 5.7.1 This message was classified as SPAM and may not be delivered"),
		mk(catAuth, phR, "550 5.7.1 SPF: %O is not allowed to send mail from %D"),
		mk(catSize, phM, "552 Message size exceeds maximum permitted"),
	),
	fam("exchange", "194.25", []string{"mail.%d", "owa.%d"},
		[]string{"250 2.6.0 <%H%H@mail.example.net> [InternalId=%N%N, Hostname=EX01.corp.local] Queued mail for delivery"},
		mk(catUserUnknown, phR, "550 5.1.1 User unknown"),
		mk(catUserUnknown, phR, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
		mk(catDisabled, phR, "550 5.2.1 Mailbox disabled"),
		mk(catMailboxFull, phD, "554 5.2.2 mailbox full"),
		mk(catMailboxFull, phR, "452 4.2.2 Mailbox full"),
		mk(catTempOther, phM, "452 4.3.1 Insufficient system resources (UsedDiskSpace[C:\\Program Files\\Microsoft\\Exchange Server])"),
		mk(catRateLimit, "", "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel"),
		mk(catPolicy, phD, "550 5.7.1 Message rejected as spam by Content Filtering."),
		mk(catAuth, phD, "550 5.7.1 Client does not have permissions to send as this sender: authentication of %D failed"),
		mk(catSize, phM, "552 5.3.4 Message size exceeds fixed maximum message size"),
	),
	fam("mimecast", "195.130", []string{"eu-smtp-inbound-1.mimecast.com", "eu-smtp-inbound-2.mimecast.com"},
		[]string{"250 SmtpThread-%N-%T%N@uk-mta-%N.uk.mimecast.lan Received OK [%B.uk%N]"},
		mk(catUserUnknown, phR, "550 Recipient %R is unknown - https://community.mimecast.com/docs/DOC-1369#550 [%B.uk%N]"),
		mk(catUserUnknown, phR, "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [%B.uk%N]"),
		mk(catGreylist, phR, "451 Internal resources are temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451 [%B.uk%N]"),
		mk(catTempOther, phR, "451 Account service is temporarily unavailable. [%B.uk%N]"),
		mk(catPolicy, phD, "554 5.7.1 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554 [%B.uk%N]"),
		mk(catAuth, phD, "550 5.7.1 SPF Sender Invalid - envelope rejected - https://community.mimecast.com/docs/DOC-1369#550 [%B.uk%N]"),
	),
	fam("proofpoint", "148.163", []string{"mx0a-00%D.pphosted.com", "mx0b-00%D.pphosted.com"},
		[]string{"250 2.0.0 4b%B-1 Message accepted for delivery"},
		mk(catUserUnknown, phR, "550 5.1.1 User Unknown"),
		mk(catDisabled, phR, "550 5.1.1 <%R>... account disabled"),
		mk(catRateLimit, phM, "451 4.7.1 Access denied by DCC - try again later"),
		mk(catTempOther, phD, "451 4.3.0 Message held, try again later"),
		mk(catPolicy, phM, "554 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=%O"),
		mk(catAuth, phD, "550 5.7.1 Message rejected due to DMARC policy of sending domain"),
	),
}

// famDefault supplies wording a family has none of its own for.
var famDefault = families[5]

func (f *family) reply(r *rng, cat int, soft, wantKind bool) *reply {
	rs := f.by[cat]
	if len(rs) == 0 {
		rs = famDefault.by[cat]
	}
	k := r.n(len(rs))
	if wantKind { // the caller needs a temporary (or a permanent) one
		for i := range rs {
			if rr := &rs[(k+i)%len(rs)]; rr.soft == soft {
				return rr
			}
		}
		rs = famDefault.by[cat]
		for i := range rs {
			if rs[i].soft == soft {
				return &rs[i]
			}
		}
	}
	return &rs[k]
}
