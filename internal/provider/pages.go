package provider

// pages are what large providers publish for those who send to them, by the name
// that Of gives (docs/providers.md has the same addresses).
var pages = map[string]string{
	"163.com":               "http://mail.163.com/help/help_spam_16.htm",
	"comcast.net":           "https://postmaster.comcast.net/",
	"free.fr":               "https://postmaster.free.fr/",
	"gmx.net":               "https://postmaster.gmx.net/en/error-messages",
	"google.com":            "https://support.google.com/mail/answer/81126",
	"icloud.com":            "https://support.apple.com/en-us/102322",
	"iphmx.com":             "https://talosintelligence.com/reputation_center",
	"mail.ru":               "https://postmaster.mail.ru/",
	"messagingengine.com":   "https://www.fastmail.help/",
	"netease.com":           "http://mail.163.com/help/help_spam_16.htm",
	"orange.fr":             "https://postmaster.orange.fr/",
	"outlook.com":           "https://sendersupport.olc.protection.outlook.com/pm/",
	"pphosted.com":          "https://ipcheck.proofpoint.com/",
	"qq.com":                "https://service.mail.qq.com/",
	"secureserver.net":      "https://www.godaddy.com/help/fix-rejected-email-with-a-bounce-error-40685",
	"t-online.de":           "https://postmaster.t-online.de/index.en.html",
	"yahoodns.net":          "https://senders.yahooinc.com/smtp-error-codes/",
	"yandex.ru":             "https://yandex.com/support/mail/",
	"zoho.com":              "https://www.zoho.com/mail/help/",
	"barracudanetworks.com": "https://www.barracudacentral.org/rbl",
}

// Page is what a provider publishes for those who send to it; "" where none is known.
func Page(provider string) string { return pages[provider] }
