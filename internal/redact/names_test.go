package redact

import (
	"strings"
	"testing"
)

// TestName spells names in every way that a reply may contain.
func TestName(t *testing.T) {
	const is = "<NAME>"
	for name, texts := range map[string]string{
		"zanna.zqq": `zanna.zqq ZANNA.ZQQ Zanna_Zqq zanna-zqq zanna+zqq zannazqq zanna..zqq zanna%2Ezqq zanna%2ezqq %7Aanna.zqq zanna=2Ezqq zanna%252Ezqq zanna%25252Ezqq zanna=3D2Ezqq
			zanna&#46;zqq zanna&period;zqq &#122;anna.zqq &#x7a;anna.zqq zanna&amp;#46;zqq \u007aanna.zqq \x7aanna.zqq \172anna.zqq zanna\.zqq ＺＡＮＮＡ.zqq zánná.zqq za\u0301nna.zqq
			emFubmEuenFx XZANNA.ZQQ zanna.zqq1 1zanna.zqq zanna.zqq_1 x-zanna.zqq-x 𝐳anna.zqq`,
		"zannaq":   `zannaq ZANNAQ 'zannaq' <zannaq> zannaq=40b.example zannaq&#64;b.example zannaq%2540b.example %3Dzannaq zannaq1 x=zannaq /zannaq/ emFubmFx`,
		"özlemq":   `özlemq ÖZLEMQ ozlemq o` + "\u0308" + `zlemq %C3%B6zlemq %25C3%25B6zlemq =C3=96ZLEMQ =F6zlemq \303\266zlemq \xc3\xb6zlemq &ouml;zlemq &#246;zlemq`,
		"straßeq":  `straßeq STRASSEQ`,
		"ilkerq":   `ilkerq İLKERQ ılkerq`,
		"żannaq":   `ŻANNAQ zannaq`,
		"σωκρατης": `ΣΩΚΡΑΤΗΣ`,
		"анна":     `АННА`,
		"ab":       `ab AB <ab>`,
	} {
		for _, text := range strings.Fields(texts) {
			for _, around := range [][2]string{{"550 ", " denied"}, {"550 user ", ""}, {"", ": no"}, {"550 (", ")"}} {
				got := Name(around[0]+text+around[1], name, is)
				if !strings.Contains(got, is) || strings.Contains(foldText(got), strings.Trim(foldText(name), " ")) {
					t.Errorf("%s in %q: %q", name, around[0]+text+around[1], got)
				}
			}
		}
	}
	for _, kept := range []struct{ text, name string }{
		{"550 5.1.1 User unknown", "user"},
		{"550 the info is here", "info"},
		{"550 abc", "ab"},
		{"550 a-b c", "abc"},
		{"550 deadbeef", "adbe"},
		{"550 table {ab}", "ab"},
		{"550 ab.c@x.example", "ab"},
		{"550 mail12 x", "mail"},
	} {
		if got := Name(kept.text, kept.name, is); got != kept.text {
			t.Errorf("%q: %q", kept.text, got)
		}
	}
}

// TestAt checks where a domain follows a local part.
func TestAt(t *testing.T) {
	for _, at := range []string{"@", "%40", "=40", "%2540", "=3D40", "&#64;", "&#x40;", "&commat;", "&amp;#64;", "\uff20", "(at)", "(at) ", "[AT]", `\u0040`, `\x40`, `\@`} {
		if got := At(at + "b.example x"); got != len(at) {
			t.Errorf("%s: %d", at, got)
		}
	}
	for _, text := range []string{"=40 x", "%40", "=405 no", "(at) b", "&amp;b.example", "a@b", "", "&#64;b"} {
		if got := At(text); got != 0 {
			t.Errorf("%q: %d", text, got)
		}
	}
}

// TestReplaceAnnounced checks places in which names are expected, and places with ordinary words.
func TestAnnounced(t *testing.T) {
	for _, text := range []string{
		"550 user zannaq denied", "550 for zannaq", "550 mailbox of zannaq", "552 mailbox for zannaq is full", "550 unknown user: zannaq", `550 user "zannaq" unknown`, "550 recipient zannaq, no",
		"550 the account zannaq has been closed", "550 mailbox zannaq: full", "550 login zannaq.", "550 quota of zannaq exceeded", "550 alias zanna.zqq", "550 no delivery for Zanna-Zqq!", "550 user=zannaq;",
	} {
		got := Announced(text, func(name string) string { return "<" + strings.Repeat("x", len(name)) + ">" })
		if strings.Contains(strings.ToLower(got), "zanna") || strings.Contains(got, "zqq") {
			t.Errorf("%q: %q", text, got)
		}
	}
	for _, text := range []string{
		"550 5.1.1 User unknown in virtual mailbox table", "550 user doesn't exist", "452 4.2.2 mailbox is over quota", "550 for policy reasons", "550 see mail.example.com for details",
		"450 try again, for more information see https://x.example/", "550 rejected because of 203.0.113.2", "550 recipient-address-does-not-exist", "550 number of recipients per message",
		"554 blocked for abuse", "550 no mailbox here", "550 Mailbox unavailable or access denied", "451 user lookup failed", "550 user account disabled", "550 for domain shop.example", "550 for user {name}",
		"550 Recipient unknown (in reply to RCPT TO command)", "450 out of memory", "550 no such user yet", "432 recipient thread limit exceeded", "550 The user or domain that you are sending to (or from) has a policy",
	} {
		if got := Announced(text, func(string) string { return "" }); got != text {
			t.Errorf("%q: %q", text, got)
		}
	}
}
