package provider

// A Known is an entry of Table: a provider or a hosted filter.
type Known struct {
	// ID is its name in rules; "" if no rule names it. Name is its name in reports.
	ID, Name string
	// Filter: it is a hosted filter. Each of its customers decides what is refused to the
	// customer's recipients.
	Filter bool
	// Domains are the registered domains of its relays. The domains of one list are one
	// provider in reports, with the name of the first.
	Domains [][]string
	// Also are suffixes of other relays that give the same replies: parts of Domains that
	// rules distinguish, and hosts that reports do not count as this provider.
	Also []string
	// Pages are the addresses of its pages for senders, the most useful first
	// (docs/providers.md has the same).
	Pages []string
}

// Hosts returns all suffixes of its relays' names.
func (k *Known) Hosts() (hosts []string) {
	for _, list := range k.Domains {
		hosts = append(hosts, list...)
	}
	return append(hosts, k.Also...)
}

// Table lists the known providers and filters.
var Table = []Known{
	{
		ID: "google", Name: "Google (Gmail, Workspace)",
		Domains: [][]string{{"google.com", "gmail.com", "googlemail.com"}},
		Pages:   []string{"https://support.google.com/mail/answer/81126", "https://support.google.com/a/answer/3726730", "https://postmaster.google.com/"},
	},
	{
		ID: "microsoft", Name: "Microsoft (Outlook.com, Exchange Online)",
		Domains: [][]string{{"outlook.com", "hotmail.com", "mx.microsoft", "office365.us"}},
		Also:    []string{"protection.outlook.com", "olc.protection.outlook.com", "mail.protection.outlook.com"},
		Pages:   []string{"https://sendersupport.olc.protection.outlook.com/pm/", "https://learn.microsoft.com/en-us/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online/non-delivery-reports-in-exchange-online", "https://sender.office.com/"},
	},
	{
		ID: "yahoo", Name: "Yahoo (AOL, and domains hosted there)",
		Domains: [][]string{{"yahoodns.net", "aol.com", "yahoo.com"}},
		Also:    []string{"yahoo.co.jp"},
		Pages:   []string{"https://senders.yahooinc.com/smtp-error-codes/", "https://senders.yahooinc.com/best-practices/"},
	},
	{
		ID: "apple", Name: "Apple (iCloud Mail)",
		Domains: [][]string{{"icloud.com", "mac.com", "me.com"}},
		Also:    []string{"apple.com"},
		Pages:   []string{"https://support.apple.com/en-us/102322"},
	},
	{
		ID: "gmx", Name: "GMX, web.de, mail.com (1&1, IONOS)",
		Domains: [][]string{{"gmx.net", "gmx.com", "gmx.de"}, {"web.de"}},
		Also:    []string{"mail.com", "kundenserver.de", "1and1.com", "ionos.com", "perfora.net"},
		Pages:   []string{"https://postmaster.gmx.net/en/error-messages", "https://postmaster.web.de/en/error-messages"},
	},
	{
		ID: "t-online", Name: "T-Online (Deutsche Telekom)",
		Domains: [][]string{{"t-online.de"}},
		Also:    []string{"telekom.de"},
		Pages:   []string{"https://postmaster.t-online.de/index.en.html"},
	},
	{
		ID: "orange", Name: "Orange (Wanadoo), La Poste",
		Domains: [][]string{{"orange.fr"}},
		Also:    []string{"wanadoo.fr", "laposte.net", "orange.net"},
		Pages:   []string{"https://postmaster.orange.fr/"},
	},
	{
		ID: "free", Name: "Free (Proxad)",
		Domains: [][]string{{"free.fr"}},
		Also:    []string{"proxad.net"},
		Pages:   []string{"https://postmaster.free.fr/"},
	},
	{
		ID: "comcast", Name: "Comcast (Xfinity)",
		Domains: [][]string{{"comcast.net"}},
		Pages:   []string{"https://postmaster.comcast.net/"},
	},
	{
		ID: "proofpoint", Name: "Proofpoint (filter)", Filter: true,
		Domains: [][]string{{"pphosted.com", "gpphosted.com", "ppe-hosted.com"}},
		Also:    []string{"proofpoint.com"},
		Pages:   []string{"https://ipcheck.proofpoint.com/"},
	},
	{
		ID: "mimecast", Name: "Mimecast (filter)", Filter: true,
		Domains: [][]string{{"mimecast.com", "mimecast-offshore.com", "mimecast.co.za"}},
		Pages:   []string{"https://community.mimecast.com/"},
	},
	{
		ID: "barracuda", Name: "Barracuda (filter)", Filter: true,
		Domains: [][]string{{"barracudanetworks.com", "cudaops.com"}},
		Also:    []string{"ess.barracudanetworks.com"},
		Pages:   []string{"https://www.barracudacentral.org/rbl", "https://www.barracudacentral.org/lookups"},
	},
	{
		ID: "cisco", Name: "Cisco Secure Email (IronPort)", Filter: true,
		Domains: [][]string{{"iphmx.com"}},
		Also:    []string{"ironport.com", "cisco.com"},
		Pages:   []string{"https://talosintelligence.com/reputation_center"},
	},
	{
		ID: "messagelabs", Name: "Broadcom Email Security.cloud (MessageLabs)", Filter: true,
		Domains: [][]string{{"messagelabs.com", "symanteccloud.com"}},
	},
	{
		ID: "trendmicro", Name: "Trend Micro Email Security", Filter: true,
		Domains: [][]string{{"trendmicro.com", "trendmicro.eu"}},
		Also:    []string{"in.tmes.trendmicro.com"},
		Pages:   []string{"https://servicecentral.trendmicro.com/en-us/ers/ip-lookup/"},
	},
	{
		ID: "tencent", Name: "Tencent (QQ Mail, Exmail)",
		Domains: [][]string{{"qq.com"}},
		Also:    []string{"exmail.qq.com", "foxmail.com"},
		Pages:   []string{"https://service.mail.qq.com/"},
	},
	{
		ID: "netease", Name: "NetEase (163, 126, yeah.net)",
		Domains: [][]string{{"netease.com", "126.com", "163.com", "yeah.net"}},
		Also:    []string{"163mx00.mxmail.netease.com"},
		Pages:   []string{"http://mail.163.com/help/help_spam_16.htm"},
	},
	{
		ID: "yandex", Name: "Yandex",
		Domains: [][]string{{"yandex.ru", "yandex.com", "yandex.net"}},
		Pages:   []string{"https://yandex.com/support/mail/"},
	},
	{
		ID: "mailru", Name: "VK (mail.ru)",
		Domains: [][]string{{"mail.ru"}},
		Pages:   []string{"https://postmaster.mail.ru/"},
	},
	{
		ID: "zoho", Name: "Zoho Mail",
		Domains: [][]string{{"zoho.com", "zoho.com.au", "zoho.com.cn", "zoho.eu", "zoho.in", "zoho.jp", "zohomail.com"}},
		Pages:   []string{"https://www.zoho.com/mail/help/"},
	},
	{
		ID: "fastmail", Name: "Fastmail",
		Domains: [][]string{{"messagingengine.com"}},
		Also:    []string{"fastmail.com"},
		Pages:   []string{"https://www.fastmail.help/"},
	},
	{
		ID: "amazon", Name: "Amazon SES, WorkMail",
		Domains: [][]string{{"amazonaws.com"}},
		Also:    []string{"amazonses.com"},
		Pages:   []string{"https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-smtp.html"},
	},
	{
		ID: "godaddy", Name: "GoDaddy (Workspace Email)",
		Domains: [][]string{{"secureserver.net"}},
		Pages:   []string{"https://www.godaddy.com/help/fix-rejected-email-with-a-bounce-error-40685"},
	},
	{
		ID: "titan", Name: "Titan",
		Domains: [][]string{{"titan.email"}},
	},
	{
		ID: "seznam", Name: "Seznam.cz",
		Domains: [][]string{{"seznam.cz"}},
	},
	{
		ID: "libero", Name: "Libero, Virgilio (Italiaonline)",
		Domains: [][]string{{"libero.it"}},
		Also:    []string{"virgilio.it", "iol.it"},
	},
	{Filter: true, Domains: [][]string{{"antispamcloud.com", "spamexperts.com", "spamexperts.eu"}}},
	{Filter: true, Domains: [][]string{{"fireeyecloud.com"}}},
	{Filter: true, Domains: [][]string{{"hornetsecurity.com"}}},
	{Filter: true, Domains: [][]string{{"mailcontrol.com"}}},
	{Filter: true, Domains: [][]string{{"mxlogic.net"}}},
	{Filter: true, Domains: [][]string{{"retarus.com"}}},
	{Filter: true, Domains: [][]string{{"sophos.com"}}},
}
