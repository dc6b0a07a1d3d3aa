package parser

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bouncelog/bounce"
)

// The lines that are wrapped: with their own header, and bare.
const (
	wrapTo     = "to=<a@b.example>, relay=mx.b.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.b.example[192.0.2.1] said: 550 5.1.1 <a@b.example>: no such user (in reply to RCPT TO command))"
	wrapBare   = "4028B460: " + wrapTo
	wrapSyslog = "Nov 23 09:47:06 mx1 postfix/smtp[7]: " + wrapBare
	wrapExim   = "2026-11-23 09:47:06 1xVUtG-0005Lh-1y ** a@b.example R=dnslookup T=remote_smtp H=mx.b.example [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<a@b.example>: 550 5.1.1 no such user"
)

// TestLabelled reads lines with a label between the header of an MTA's program and its message.
func TestLabelled(t *testing.T) {
	const h, exim = "Nov 23 09:47:06 mx1 postfix/smtp[7]: ", "Nov 23 09:47:06 mx1 exim[8]: "
	const eximBare = "1xVUtG-0005Lh-1y ** a@b.example R=dnslookup T=remote_smtp: 550 5.1.1 no such user"
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, tt := range []struct {
		line string
		want Kind
	}{
		{h + "info: " + wrapBare, Attempt},
		{h + "info " + wrapBare, Attempt},
		{h + "notice: " + wrapBare, Attempt},
		{h + "4028B461: " + wrapBare, Unparsed},
		{h + "4028B461: host mx.b.example[192.0.2.1] said: 450 " + wrapBare, Queued},
		{h + "[mail.info] " + wrapBare, Attempt},
		{h + "<info> " + wrapBare, Attempt},
		{h + "<22>" + wrapSyslog, Attempt},
		{h + "- " + wrapBare, Attempt},
		{h + "> " + wrapBare, Attempt},
		{h + wrapSyslog, Attempt},
		{h + "4028B460:  " + wrapTo, Attempt},
		{h + "word: " + wrapBare, Unparsed},
		{h + "word " + wrapBare, Unparsed},
		{h + "Subject: " + wrapSyslog, Unparsed},
		{exim + "1xVUtG-0005Lh-1y  ** a@b.example R=r T=t: 550 no", Attempt},
		{"2026-11-23 09:47:06 1xVUtG-0005Lh-1y  ** a@b.example R=r T=t: 550 no", Attempt},
		{exim + "info " + eximBare, Attempt},
		{exim + "LOG: MAIN " + eximBare, Attempt},
		{exim + "mail-1 " + wrapExim, Attempt},
		{exim + "> " + wrapExim, Attempt},
		{exim + "2026-11-23T09:47:06Z stdout F " + wrapExim, Attempt},
		{exim + `{"log":` + quote(wrapExim) + `,"time":"2026-11-23T09:47:06Z"}`, Attempt},
		{exim + "Subject: " + wrapExim, Unparsed},
		{h + "\u00a0" + strings.ReplaceAll(wrapBare, " ", "\u00a0"), Unparsed},
		// Text that they quote from strangers is not a delivery.
		{h + "warning: " + wrapBare, Skipped},
		{h + "error: " + wrapBare, Skipped},
		{h + "warning: header Subject: " + wrapBare, Skipped},
		{h + "warning: header Subject: " + wrapSyslog, Skipped},
		{h + "Untrusted TLS connection established to " + wrapSyslog, Skipped},
		{exim + "SMTP syntax error in \"" + wrapExim + "\" H=x [192.0.2.1] unrecognized command", Skipped},
		{exim + "no host name found for IP address 192.0.2.1 " + wrapExim, Skipped},
	} {
		kind, r := parseLines(t, tt.line)
		if kind != tt.want {
			t.Errorf("%s: %v, want %v", tt.line, kind, tt.want)
		} else if kind == Attempt && (r.Deliveries[0].Recipient != "a@b.example" || !r.Deliveries[0].Time.Equal(time.Date(2026, 11, 23, 9, 47, 6, 0, time.UTC))) {
			t.Errorf("%s: %+v", tt.line, r.Deliveries[0])
		}
	}
}

// wrappers returns the known wrappers round lines.
func wrappers() []wrapper {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	return []wrapper{
		{"grep of several files", "/var/log/mail.log.1:" + wrapSyslog, "mx1", "smtp"},
		{"grep -n of several", "/var/log/mail.log:118:" + wrapSyslog, "mx1", "smtp"},
		{"zgrep, Exim", "mainlog.3.gz:" + wrapExim, "", "remote_smtp"},
		{"cat -n", "     6\t" + wrapSyslog, "mx1", "smtp"},
		{"quoted in a mail", "> > " + wrapSyslog, "mx1", "smtp"},
		{"byte order mark", "\xef\xbb\xbf" + wrapSyslog, "mx1", "smtp"},
		{"colours", "\x1b[32mNov 23 09:47:06\x1b[0m mx1 postfix/smtp[7]: 4028B460: \x1b[1;31m" + wrapTo + "\x1b[0m", "mx1", "smtp"},
		{"tabs", strings.Replace(wrapSyslog, " mx1 postfix/smtp[7]: ", "\tmx1\tpostfix/smtp[7]:\t", 1), "mx1", "smtp"},
		{"docker's syslog driver", "Nov 23 10:47:06 host7 5f2ab81c03de[1077]: " + wrapSyslog, "mx1", "smtp"},
		{"docker's syslog driver, Exim", "Nov 23 09:47:06 host7 mailout[991]: " + wrapExim, "host7", "remote_smtp"},
		{"docker's syslog driver, with a zone", "2026-11-23T10:47:06+01:00 host7 mail/postfix[9]: " + wrapSyslog, "mx1", "smtp"},
		{"docker's syslog driver, RFC 5424", "<30>1 2026-11-23T09:47:06Z host7 5f2ab 9 5f2ab - " + wrapSyslog, "mx1", "smtp"},
		{"docker's json-file", `{"log":` + quote(wrapSyslog+"\n") + `,"stream":"stdout","time":"2026-11-23T09:47:06.1Z"}`, "mx1", "smtp"},
		{"journalctl -o json", `{"__CURSOR":"s=1","MESSAGE":` + quote(wrapBare) + `,"SYSLOG_IDENTIFIER":"postfix/smtp","_HOSTNAME":"mx1","__REALTIME_TIMESTAMP":"1795427226123456"}`, "mx1", "smtp"},
		{"a shipper's fields within fields", `{"fields":{"host":"mx1","program":"postfix/smtp"},"message":` + quote(wrapBare) + `,"@timestamp":"2026-11-23T09:47:06Z"}`, "mx1", "smtp"},
		{"JSON after a header", `Nov 23 09:47:06 host7 fluentd[4]: {"log":` + quote(wrapSyslog) + `}`, "mx1", "smtp"},
		{"milliseconds since 1970", `{"timestamp":1795427226123,"msg":` + quote(wrapBare) + `,"host":"mx1"}`, "mx1", ""},
		{"journalctl -o short-full", "Mon 2026-11-23 09:47:06 UTC mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"journalctl -o short-full, an offset", "Mon 2026-11-23 06:47:06 -03 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"journalctl -o with-unit", "Mon 2026-11-23 09:47:06 UTC mx1 postfix@-.service[7]: " + wrapSyslog, "mx1", "smtp"},
		{"journalctl -o with-unit, the message alone", "Mon 2026-11-23 09:47:06 UTC mx1 postfix@-.service[7]: " + wrapBare, "mx1", "postfix@-.service"},
		{"multilog", "@400000006b040ba4" + "0bebc200 postfix/smtp[7]: " + wrapBare, "", "smtp"},
		{"multilog, Exim", "@400000006b040ba4" + "0bebc200 " + wrapExim, "", "remote_smtp"},
		{"svlogd", "2026-11-23_09:47:06.12345 postfix/smtp[7]: " + wrapBare, "", "smtp"},
		{"slashes in the date", "2026/11/23 09:47:06 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"RFC 5322's date", "Mon, 23 Nov 2026 10:47:06 +0100 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"a web server's date", "[23/Nov/2026:04:17:06 -0530] mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"hyphens in the date", "23-Nov-2026 09:47:06.123 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"seconds since 1970", "1795427226 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"milliseconds since 1970, without a name", "1795427226123 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"a time in brackets", "[2026-11-23 09:47:06] postfix/smtp[7]: " + wrapBare, "", "smtp"},
		{"dmesg -T", "[Mon Nov 23 09:47:06 2026] postfix/smtp[7]: " + wrapBare, "", "smtp"},
		{"Heroku", "2026-11-23T09:47:06.123456+00:00 app[worker.1]: " + wrapSyslog, "mx1", "smtp"},
		{"Fluentd's files", "2026-11-23T09:47:06+00:00\tmail.info\t" + `{"host":"mx1","ident":"postfix/smtp","message":` + quote(wrapBare) + `}`, "mx1", "smtp"},
		{"HTML, cells", "<tr><td>2026-11-23 09:47:06</td><td>mx1</td><td>postfix/smtp[7]: " + strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(wrapBare) + "</td></tr>", "mx1", "smtp"},
		{"a text as bytes", `{"time":"2026-11-23T09:47:06Z","log":` + strings.Join(strings.Fields(fmt.Sprint([]byte(wrapSyslog))), ",") + `}`, "mx1", "smtp"},
		{"asctime", "Mon Nov 23 09:47:06 2026 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"the year behind the time", "Nov 23 09:47:06 2026 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"BusyBox", "mail.info: Nov 23 09:47:06 postfix/smtp[7]: " + wrapBare, "", "smtp"},
		{"BusyBox, behind the host", "Nov 23 09:47:06 mx1 mail.info postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"a level for a host", "2026-11-23T09:47:06+00:00 WARNING postfix/smtp[7]: " + wrapBare, "", "smtp"},
		{"NethServer", "2026-11-23T09:47:06+00:00 [1:mail1:postfix/smtp] " + wrapBare, "", "smtp"},
		{"mailcow", "23-11-2026 09:47:06 | info | " + wrapBare, "", ""},
		{"mailcow, in English", "11/23/2026, 9:47:06 AM | info | " + wrapBare, "", ""},
		{"kubectl logs --prefix", "[pod/mail-0/postfix] " + wrapSyslog, "mx1", "smtp"},
		{"stern", "mail-0 postfix " + wrapSyslog, "mx1", "smtp"},
		{"logcli", `{app="mail"} ` + wrapSyslog, "mx1", "smtp"},
		{"CloudWatch", "2026-11-23T09:47:06.123Z mail/postfix/3f2a77 " + wrapSyslog, "mx1", "smtp"},
		{"compose and a driver", "relay-1  | Nov 23 09:47:06 host7 5f2ab81c03de[1077]: " + wrapSyslog, "mx1", "smtp"},
		{"a host without a digit in its name", "Nov 23 09:47:06 relay 5f2ab81c03de[1077]: " + wrapSyslog, "mx1", "smtp"},
		{"German", "Nov 23 09:47:06 host7 5f2ab81c03de[1077]: " + wrapSyslog, "mx1", "smtp"},
		{"Splunk's collector", `{"time":1795427226.5,"host":"mx1","event":` + quote(wrapSyslog) + `}`, "mx1", "smtp"},
		{"text", `{"text":` + quote(wrapSyslog) + `}`, "mx1", "smtp"},
		{"body", `{"body":{"stringValue":` + quote(wrapSyslog) + `}}`, "mx1", "smtp"},
		{"content", `{"content":` + quote(wrapSyslog) + `}`, "mx1", "smtp"},
		{"payload", `{"payload":` + quote(wrapSyslog) + `}`, "mx1", "smtp"},
		{"event.original", `{"@timestamp":"2026-11-23T09:47:06Z","event":{"module":"x","original":` + quote(wrapSyslog) + `}}`, "mx1", "smtp"},
		{"event.original, flat", `{"event.original":` + quote(wrapSyslog) + `,"message":"a delivery"}`, "mx1", "smtp"},
		{"letters of the other case", `{"Time":"2026-11-23T09:47:06Z","Message":` + quote(wrapSyslog) + `}`, "mx1", "smtp"},
		{"two texts, the worse name", `{"log":"/var/log/mail.log","message":` + quote(wrapSyslog) + `}`, "mx1", "smtp"},
		{"two texts, of the same", `{"message":` + quote(wrapBare) + `,"program":"postfix/smtp","host":"mx1","@timestamp":"2026-11-23T09:47:06Z","event":{"original":` + quote(wrapSyslog) + `}}`, "mx1", "smtp"},
		{"rsyslog's properties", `{"msg":` + quote(" "+wrapBare) + `,"syslogtag":"postfix/smtp[7]:","hostname":"mx1","timereported":"2026-11-23T09:47:06+00:00"}`, "mx1", "smtp"},
		{"logfmt", `time=2026-11-23T09:47:06Z level=info msg=` + quote(wrapSyslog), "mx1", "smtp"},
		{"logfmt, a message without a header", `ts=2026-11-23T09:47:06.1Z host=mx1 program=postfix/smtp msg=` + quote(wrapBare) + ` pid=7`, "mx1", "smtp"},
		{"logfmt behind a header", `relay-1  | time="2026-11-23T09:47:06Z" msg=` + quote(wrapSyslog), "mx1", "smtp"},
		{"octet counts", fmt.Sprintf("%d <22>1 2026-11-23T09:47:06Z mx1 postfix/smtp 7 - - %s", len(wrapBare)+49, wrapBare), "mx1", "smtp"},
		{"octet counts, RFC 3164", fmt.Sprintf("%d <22>%s", len(wrapSyslog)+4, wrapSyslog), "mx1", "smtp"},
		{"CSV", `"2026-11-23T09:47:06Z","mx1","postfix/smtp[7]: ` + wrapBare + `"`, "mx1", "smtp"},
		{"CSV, quoted where needed", `2026-11-23T09:47:06Z,mx1,"postfix/smtp[7]: ` + wrapBare + `"`, "mx1", "smtp"},
		{"CSV, a column for the program", `"2026-11-23T09:47:06.000Z";"mx1";"postfix/smtp";"` + wrapBare + `"`, "mx1", "smtp"},
		{"CSV, the line first", `"` + strings.Replace(wrapSyslog, "no such user", `no ""such"" user`, 1) + `","2026-11-23T09:47:06.000+0000",mx1,mail`, "mx1", "smtp"},
		{"CSV, Kibana's times", `"Nov 23, 2026 @ 09:47:06.000","mx1","` + wrapSyslog + `"`, "mx1", "smtp"},
		{"HTML", strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(wrapSyslog), "mx1", "smtp"},
		{"HTML, Exim", strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\"", "&quot;").Replace(strings.Replace(wrapExim, "** a@b.example", "** a@b.example <A@b.example>", 1)), "", "remote_smtp"},
		{"HTML, of numbers", strings.NewReplacer("<", "&#60;", ">", "&#x3E;", "'", "&#39;").Replace(wrapSyslog), "mx1", "smtp"},
		{"HTML within JSON", `{"message":` + quote(strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(wrapSyslog)) + `}`, "mx1", "smtp"},
		{"HTML, a table's cell", "<tr><td>" + strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(wrapSyslog) + "</td></tr>", "mx1", "smtp"},
		{"HTML, line breaks", strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(wrapSyslog) + "<br />", "mx1", "smtp"},
		{"the journal's text as bytes", `{"SYSLOG_IDENTIFIER":"postfix/smtp","_HOSTNAME":"mx1","__REALTIME_TIMESTAMP":"1795427226123456","MESSAGE":` + strings.Join(strings.Fields(fmt.Sprint([]byte(wrapBare))), ",") + `}`, "mx1", "smtp"},
		{"RFC 7464", "\x1e" + `{"log":` + quote(wrapSyslog) + `}`, "mx1", "smtp"},
		{"a list of objects", `[{"time":"2026-11-23T09:47:06Z","program":"postfix/smtp","host":"mx1","message":` + quote(wrapBare) + `}]`, "mx1", "smtp"},
		{"OpenTelemetry", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1795427226123456789","body":{"stringValue":` + quote(wrapSyslog) + `}}]}]}]}`, "mx1", "smtp"},
		{"Loki's push API", `{"streams":[{"stream":{"job":"x"},"values":[["1795427226000000000",` + quote(wrapSyslog) + `]]}]}`, "mx1", "smtp"},
		{"Loki's streams, a message alone", `{"stream":{"app":"postfix","host":"mx1"},"values":[["1795427226000000000",` + quote(wrapBare) + `]]}`, "mx1", ""},
		{"Fluent Bit's standard output", `[0] mail.0: [[1795427226.123456000, {}], {"log"=>"` + wrapSyslog + `"}]`, "mx1", "smtp"},
		{"Fluent Bit's standard output, old", `[12] mail: [1795427226.123456000, {"log"=>"` + strings.Replace(wrapSyslog, "no such user", `no "such" user`, 1) + `"}]`, "mx1", "smtp"},
		{"narrow blanks that do not break", strings.ReplaceAll(wrapSyslog, " ", "\u202f"), "mx1", "smtp"},
		{"a host in an object", `{"@timestamp":"2026-11-23T09:47:06Z","host":{"name":"mx1"},"message":` + quote("postfix/smtp[7]: "+wrapBare) + `}`, "mx1", "smtp"},
		{"a template with semicolons", "2026-11-23T09:47:06Z;mx1;postfix/smtp[7];" + wrapBare, "mx1", "smtp"},
		{"a template with commas", "2026-11-23T09:47:06Z,mx1,mail,info,postfix/smtp[7]:, " + wrapBare, "", "smtp"},
		{"underlined", regexp.MustCompile("([a-z])").ReplaceAllString(wrapSyslog, "_\b$1"), "mx1", "smtp"},
		{"struck over", regexp.MustCompile("(.)").ReplaceAllString(wrapSyslog, "$1\b$1"), "mx1", "smtp"},
		{"blanks that do not break, as cat -v shows them", strings.ReplaceAll(wrapExim, " ", "M-BM- "), "", "remote_smtp"},
		{"an indented string", "    " + quote(wrapSyslog+" \"") + ",", "mx1", "smtp"},
		{"Elasticsearch's answer", `{"_scroll_id":"x","took":5,"timed_out":false,"hits":{"total":{"value":1},"max_score":null,"hits":[{"_index":"f","_score":null,"_source":{"message":` + quote(wrapSyslog) + `},"sort":[1]}]}}`, "mx1", "smtp"},
		{"Wazuh", `{"location":"/var/log/mail.log","full_log":` + quote(wrapSyslog) + `}`, "mx1", "smtp"},
		{"syslog-ng", `{"DATE":"Nov 23 09:47:06","HOST":"mx1","PROGRAM":"postfix/smtp","MESSAGE":` + quote(wrapBare) + `}`, "mx1", "smtp"},
		{"a line of an object", `            "message": ` + quote(wrapSyslog) + `,`, "mx1", "smtp"},
		{"a string", quote(wrapSyslog) + ",", "mx1", "smtp"},
		{"a string, of single quotes", `'` + wrapSyslog + `',`, "mx1", "smtp"},
		{"code in Markdown", "`" + wrapSyslog + "`", "mx1", "smtp"},
		{"typographic quotes", "\u201c" + wrapSyslog + "\u201d", "mx1", "smtp"},
		{"blanks that do not break", strings.ReplaceAll(wrapSyslog, " ", "\u00a0"), "mx1", "smtp"},
		{"characters without width", "\u200b\ufeff" + wrapSyslog, "mx1", "smtp"},
		{"diff", "+" + wrapSyslog, "mx1", "smtp"},
		{"diff, removed", "-" + wrapSyslog, "mx1", "smtp"},
		{"CSV, Azure's times", `"11/23/2026, 9:47:06.123 AM",mx1,mail,info,postfix/smtp,"` + wrapBare + `"`, "mx1", "smtp"},
		{"a template of rsyslog's", "2026-11-23T09:47:06+00:00|mx1|mail|info|postfix/smtp[7]:| " + wrapBare, "", "smtp"},
		{"three syslog headers", "Nov 23 10:47:06 host6 docker[7]: Nov 23 10:47:06 host7 5f2ab81c03de[1077]: " + wrapSyslog, "mx1", "smtp"},
		{"Spanish", "23/11/2026 09:47:06 a. m. mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"Spanish, without blanks", "23/11/2026, 9:47:06 a.m. mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"a comment", "# " + wrapSyslog, "mx1", "smtp"},
		{"a comment without a blank", "#2026-11-23T09:47:06Z postfix/smtp[7]: " + wrapBare, "", "smtp"},
		{"a comment in C", "//" + wrapSyslog, "mx1", "smtp"},
		{"a comment in C, without a host", "// 2026-11-23T09:47:06Z postfix/smtp[7]: " + wrapBare, "", "smtp"},
		{"cat -A", wrapSyslog + "$", "mx1", "smtp"},
		{"code", wrapSyslog + "\",", "mx1", "smtp"},
		{"a table in Markdown", "| " + wrapSyslog + " |", "mx1", "smtp"},
		{"a semicolon", wrapSyslog + ";", "mx1", "smtp"},
		{"nl2br", wrapSyslog + "<br>", "mx1", "smtp"},
		{"HTML, a line break", strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(wrapSyslog) + "<BR>", "mx1", "smtp"},
		{"nl2br, Exim", wrapExim + "<br />", "", "remote_smtp"},
		{"a carriage return, as vi shows it", wrapSyslog + "^M", "mx1", "smtp"},
		{"a carriage return, as cat -A shows it", wrapExim + "^M$", "", "remote_smtp"},
		{"asctime, the zone behind the year", "Mon Nov 23 04:47:06 2026 EST mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"asctime, an offset behind the year", "Mon Nov 23 10:47:06 2026 +0100 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"date", "Mon Nov 23 10:47:06 CET 2026 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"mailcow's API", `{"time":"1795427226","priority":"info","program":"postfix\/smtp","message":` + quote(wrapBare) + `}`, "", "smtp"},
		{"Azure's containers", `{"TimeGenerated":"2026-11-23T09:47:06Z","PodName":"mail-0","LogMessage":` + quote(wrapSyslog) + `,"LogSource":"stdout"}`, "mx1", "smtp"},
		{"the tag of syslog", `{"@timestamp":"2026-11-23T10:47:06+01:00","host":"mx1","tag":"postfix/smtp[7]:","message":` + quote(" "+wrapBare) + `}`, "mx1", "smtp"},
		{"NXLog", `{"Hostname":"mx1","EventTime":"2026-11-23 09:47:06","SourceName":"postfix/smtp","ProcessID":"7","Message":` + quote(wrapBare) + `}`, "mx1", "smtp"},
		{"syslog-ng's GELF", `{"version":"1.1","host":"mx1","short_message":` + quote(wrapBare) + `,"timestamp":1795427226.5,"_program":"postfix/smtp","_pid":"7"}`, "mx1", "smtp"},
		{"Logtail", `{"dt":"2026-11-23T09:47:06Z","message":` + quote(wrapBare) + `,"syslog":{"appname":"postfix/smtp","host":"mx1"}}`, "mx1", "smtp"},
		{"rsyslog's cookie", `Nov 23 09:47:06 mx1 postfix/smtp[7]: @cee: {"msg":` + quote(wrapBare) + `}`, "mx1", "smtp"},
		{"rsyslog's cookie, Exim", `Nov 23 09:47:06 mx1 exim[7]: @cee:{"msg":` + quote(wrapExim) + `}`, "mx1", "remote_smtp"},
		{"CSV, a column for the process", `2026-11-23T10:47:06+01:00,mx1,postfix/smtp,7,"` + wrapBare + `"`, "mx1", "smtp"},
		{"CSV, columns for facility and level", `"2026-11-23T09:47:06Z","Mail","info","mx1","postfix/smtp","7","` + wrapBare + `"`, "mx1", "smtp"},
		{"CSV, Exim", `2026-11-23T09:47:06Z;mx1;exim;7;"` + wrapExim + `"`, "mx1", "remote_smtp"},
		{"CSV, the message first", `"` + wrapBare + `",postfix/smtp,mx1,2026-11-23T10:47:06+01:00`, "mx1", "smtp"},
		{"a template with commas", "2026-11-23T10:47:06+01:00,mx1,mail,info,postfix/smtp[7]:, " + wrapBare, "", "smtp"},
		{"a template with bars", "2026-11-23T10:47:06+01:00|mx1|postfix/smtp[7]:| " + wrapBare, "", "smtp"},
		{"AIX", "Nov 23 09:47:06 mx1 mail:info postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
		{"journalctl -o json-sse", `data: {"MESSAGE":` + quote(wrapBare) + `,"SYSLOG_IDENTIFIER":"postfix/smtp","_HOSTNAME":"mx1","__REALTIME_TIMESTAMP":"1795427226123456"}`, "mx1", "smtp"},
		{"docker's fluentd driver", "2026-11-23T09:47:06Z\tdocker.mail\t" + `{"container_name":"/mail","source":"stdout","log":` + quote(wrapExim) + `}`, "", "remote_smtp"},
		{"findstr", `C:\logs\mail.log:12:` + wrapSyslog, "mx1", "smtp"},
		{"findstr /s, Exim", `logs\mainlog:` + wrapExim, "", "remote_smtp"},
		{"a template with two blanks, Exim", "Nov 23 09:47:06 mx1 exim[7]:  " + wrapExim[len("2026-11-23 09:47:06 "):], "mx1", "remote_smtp"},
		{"rsyslog's RFC 5424, Exim", "<22>1 2026-11-23T09:47:06Z mx1 exim 7 - -  " + wrapExim[len("2026-11-23 09:47:06 "):], "mx1", "remote_smtp"},
		{"GELF with a facility", `{"version":"1.1","host":"mx1","short_message":` + quote(wrapSyslog) + `,"timestamp":1795427226.5,"level":6,"_facility":"mail"}`, "mx1", "smtp"},
		{"CloudWatch's Insights", `{"@timestamp":"2026-11-23 09:47:06.000","@message":` + quote(wrapSyslog) + `,"@log":"123456789012:/mail","@ptr":"CmEKJgoi"}`, "mx1", "smtp"},
		{"French", "nov. 23 09:47:06 mx1 postfix/smtp[7]: " + wrapBare, "mx1", "smtp"},
	}
}

type wrapper struct{ name, line, host, agent string }

// TestMixedWrappers reads every wrapper in one log, one line at a time and a dozen at a time: the
// state that one wrapper leaves does not harm another.
func TestMixedWrappers(t *testing.T) {
	for _, inRow := range []int{1, 12} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		for i := range 12 / inRow * 3 {
			for _, w := range wrappers() {
				if w.line[0] == ' ' {
					continue // behind lines without a blank, it continues one
				}
				for range inRow {
					if kind := p.Parse([]byte(w.line), int64(i), &r); kind != Attempt || len(r.Deliveries) != 1 || r.Deliveries[0].Recipient != "a@b.example" {
						t.Fatalf("%s, %d in a row, round %d: %v %+v", w.name, inRow, i, kind, r.Deliveries)
					}
				}
			}
		}
	}
}

// TestWrappers reads each wrapper in a log of its own.
func TestWrappers(t *testing.T) {
	for _, tt := range wrappers() {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // once with the shape of the wrapper unknown, once known
				p := New(nil, Options{Location: time.UTC, Year: 2026})
				var r Result
				for i := range 12 {
					kind := p.Parse([]byte(tt.line), int64(i), &r)
					if kind != Attempt || len(r.Deliveries) != 1 {
						t.Fatalf("%v with %d deliveries, want an attempt", kind, len(r.Deliveries))
					}
					d := r.Deliveries[0]
					if want := time.Date(2026, 11, 23, 9, 47, 6, 0, time.UTC); !d.Time.Truncate(time.Second).Equal(want) {
						t.Errorf("time %v, want %v", d.Time, want)
					}
					if strings.HasPrefix(d.Agent, "smtp") && (d.Stage != bounce.StageRcpt || !strings.HasSuffix(d.Response, "such user") && !strings.HasSuffix(d.Response, `"such" user`)) {
						t.Errorf("the reply: %v %q", d.Stage, d.Response)
					}
					if d.Recipient != "a@b.example" || d.Code != 550 || d.Enhanced.String() != "5.1.1" || d.Host != tt.host || d.Agent != tt.agent || d.Outcome != bounce.Hard {
						t.Errorf("%+v", d)
					}
				}
			}
		})
	}
}

// TestTwoTexts reads an object with several texts: no delivery in any of them vanishes, and a text
// beside the message, or about another delivery, is not taken for a line.
func TestTwoTexts(t *testing.T) {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, keys := range [][2]string{{"message", "log"}, {"log", "message"}, {"text", "body"}, {"message", "message"}, {"_raw", "short_message"}} {
		for _, tt := range []struct {
			name, one, other string
			recipients       string // of the attempts, or "": not understood
		}{
			{"two deliveries", wrapSyslog, wrapOther, ""},
			{"one delivery twice", wrapSyslog, wrapSyslog, "a@b.example"},
			{"its message alone", wrapBare, wrapSyslog, "a@b.example"},
			{"its beginning cut off", wrapSyslog, wrapSyslog[10:], "a@b.example"},
			{"no delivery", "contact form", wrapSyslog, ""},
			{"a message's arrival", "Nov 23 09:47:06 mx1 postfix/qmgr[7]: 4028B460: from=<s@x.example>, size=9, nrcpt=1 (queue active)", wrapSyslog, ""},
			{"one that is not understood", "x = " + strings.Replace(wrapOther, "4028B461", "4A", 1), wrapSyslog, ""},
		} {
			for nested, line := range []string{
				fmt.Sprintf(`{%q:%s,%q:%s}`, keys[0], quote(tt.one), keys[1], quote(tt.other)), fmt.Sprintf(`{"fields":{%q:%s},%q:%s}`, keys[1], quote(tt.other), keys[0], quote(tt.one)),
			} {
				if nested == 1 && (keys[0] == "text" || tt.one == wrapBare) {
					tt.recipients = "" // the object is about something else, or nothing names a mail server
				}
				kind, r := parseLines(t, line)
				var got []string
				for _, d := range r.Deliveries {
					got = append(got, d.Recipient)
				}
				slices.Sort(got)
				if want := strings.Fields(tt.recipients); (kind == Attempt) != (len(want) > 0) || kind != Attempt && kind != Unparsed || !slices.Equal(got, want) {
					t.Errorf("%s: %s: %v %q", tt.name, line, kind, got)
				}
			}
		}
	}
	// Of a web server or another program that is not an MTA.
	for _, line := range []string{
		`{"level":"info","msg":"request","method":"POST","body":%s}`, `{"time":"2026-11-23T09:47:06Z","method":"POST","uri":"/","body":%s}`,
		`{"msg":"request","request":{"text":%s}}`, `{"msg":"request","request":{"original":%s}}`, `level=info msg=request body=%s`, `level=info method=GET body=%s`,
		`{"program":"nginx","message":"GET /","http":{"request":{"body":{"content":%s}}}}`, `{"SYSLOG_IDENTIFIER":"nginx","MESSAGE":%s}`,
		`{"log":` + quote(wrapOther+" ") + `,"log":%s}`, `{"message":` + quote(wrapOther) + `,"reply":{"text":%s}}`,
	} {
		for _, x := range []string{wrapSyslog, wrapBare, wrapExim} {
			if kind, r := parseLines(t, fmt.Sprintf(line, quote(x))); kind != Unparsed {
				t.Errorf("%s: %s: %v %+v", line, x, kind, r.Deliveries)
			}
		}
		indented := bytes.Buffer{}
		if line[0] != '{' || json.Indent(&indented, fmt.Appendf(nil, line, quote(wrapSyslog)), "", "  ") != nil {
			continue
		}
		if kind, r := parseLines(t, strings.Split(indented.String(), "\n")...); kind != Unparsed {
			t.Errorf("%s: indented: %v %+v", line, kind, r.Deliveries)
		}
	}
	for _, outer := range []string{`"SYSLOG_IDENTIFIER":"5f2ab81c03de"`, `"program":"docker"`, `"program":"mailcow/postfix-mailcow"`, `"SYSLOG_IDENTIFIER":"relay-1","CONTAINER_NAME":"relay-1"`} {
		if kind, _ := parseLines(t, fmt.Sprintf(`{%s,"MESSAGE":%s}`, outer, quote(wrapSyslog))); kind != Attempt {
			t.Errorf("%s: %v", outer, kind)
		}
	}
	// Far more texts than real objects have, all different.
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, `{"message":%s},`, quote(strings.Replace(wrapSyslog, "4028B460", fmt.Sprintf("4028B%03d", i), 1)))
	}
	if kind, r := parseLines(t, `[`+b.String()+`]`); kind != Unparsed && len(r.Deliveries) != 40 {
		t.Errorf("a list: %v, %d attempts", kind, len(r.Deliveries))
	}
}

// TestNearestTime checks that the nearest time before a line counts. If it has no zone, it is in
// the wrapper's zone or in UTC if it is then about the same moment, else local.
func TestNearestTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	at := func(stamp string) string { return stamp + " mx1 postfix/smtp[7]: " + wrapBare }
	for _, tt := range []struct{ name, line, want string }{
		{"another day", "2026-11-28T20:00:00+01:00 host7 5f2ab81c03de[1077]: " + at("Nov 23 09:47:06"), "2026-11-23T08:47:06Z"},
		{"in the zone of the wrapper", "2026-11-23T04:47:07-05:00 host7 5f2ab81c03de[1077]: " + at("Nov 23 04:47:06"), "2026-11-23T09:47:06Z"},
		{"in UTC, as containers are", "2026-11-23T10:47:07+01:00 host7 5f2ab81c03de[1077]: " + at("Nov 23 09:47:06"), "2026-11-23T09:47:06Z"},
		{"local, the wrapper in UTC", "2026-11-23T08:47:07Z host7 5f2ab81c03de[1077]: " + at("Nov 23 09:47:06"), "2026-11-23T08:47:06Z"},
		{"with a zone of its own", "2026-11-23T10:47:07+01:00 host7 5f2ab81c03de[1077]: " + at("2026-11-23T11:47:06+05:00"), "2026-11-23T06:47:06Z"},
		{"another year", `{"time":"2024-11-23T08:47:07Z","log":"` + at("Nov 23 09:47:06") + `"}`, "2024-11-23T08:47:06Z"},
		{"the turn of the year", `{"time":"2026-01-01T00:00:07Z","log":"` + at("Dec 31 23:59:59") + `"}`, "2025-12-31T23:59:59Z"},
		{"collected later", `{"@timestamp":"2026-11-28T00:00:00Z","message":"` + at("Nov 23 09:47:06") + `"}`, "2026-11-23T08:47:06Z"},
		{"a runtime's stamp", "2026-11-27T10:47:06.1Z stdout F " + at("Nov 23 09:47:06"), "2026-11-23T08:47:06Z"},
		{"a runtime's stamp, in UTC", "2026-11-23T09:47:06.5Z stdout F " + at("Nov 23 09:47:06"), "2026-11-23T09:47:06Z"},
		{"a blank for the T", "2026-11-27T10:47:06Z mail " + at("2026-11-23 09:47:06"), "2026-11-23T08:47:06Z"},
		{"Exim", "2026-11-27T10:47:06Z mail " + wrapExim, "2026-11-23T08:47:06Z"},
		{"two wrappers", `{"time":"2026-11-28T08:47:07Z","log":"2026-11-23T10:47:07+01:00 host7 x[1]: ` + at("Nov 23 09:47:06") + `"}`, "2026-11-23T09:47:06Z"},
		{"a line without one", `{"time":"2026-11-23T08:47:07Z","log":"postfix/smtp[7]: ` + wrapBare + `"}`, "2026-11-23T08:47:07Z"},
	} {
		p := New(nil, Options{Location: berlin, Modified: time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)})
		var r Result
		for n := range 2 {
			kind := p.Parse([]byte(tt.line), 0, &r)
			if kind != Attempt {
				t.Errorf("%s (%d): %v", tt.name, n, kind)
			} else if got := r.Deliveries[0].Time.Truncate(time.Second).Format(time.RFC3339); got != tt.want {
				t.Errorf("%s (%d): %s, want %s", tt.name, n, got, tt.want)
			}
		}
	}
}

// escapeAll writes the punctuation between the words as JSON may escape it.
func escapeAll(s string) string {
	return strings.NewReplacer("=", `\u003d`, "<", `\u003c`, ">", `\u003E`, "*", `\u002A`, "-", `\u002d`, "status", `st\u0061tus`).Replace(s)
}

// TestCounted checks that a line that holds a delivery and is not understood is counted.
func TestCounted(t *testing.T) {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	escaped := strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(wrapSyslog)
	for _, line := range []string{
		strings.Replace(wrapSyslog, "4028B460", "4A", 1), strings.Replace(wrapSyslog, "4028B460", "4", 1),
		strings.Replace(wrapSyslog, "4028B460", "4028B460-2", 1), strings.Replace(wrapBare, "4028B460", "4A", 1),
		"<td class=x>" + escaped + "</td>", strings.ReplaceAll(wrapSyslog, "b.example", "^[[01;31m^[[Kb.example^[[m^[[K"), strings.ReplaceAll(wrapExim, "b.example", "ESC[01;31mESC[Kb.exampleESC[mESC[K"),
		url.QueryEscape(wrapSyslog), url.PathEscape(wrapExim), `{"host":"mx1","program":"postfix/smtp","message":` + quote(wrapExim) + `}`, `{"user":` + quote(wrapSyslog) + `}`, `{"log":"GET /","url":` + quote(wrapSyslog) + `}`,
		`{"log":` + quote(`{"x":`+quote(`{"y":`+quote(wrapSyslog)+`}`)+`}`) + `}`,
		`x=` + quote(wrapSyslog), "to=%3Ca%40b.example%3E, relay=none, status=bounced (x)",
		`{"x":"1xVUtG-0005Lh-1y =\u003e a@b.example R=r T=t"}`,
		escapeAll(wrapSyslog), escapeAll(wrapExim), `{"user":"` + escapeAll(wrapSyslog) + `"}`, `{"user":` + quote(`{"x":"`+escapeAll(wrapExim)+`"}`) + `}`, escapeAll(wrapBare),
		strings.NewReplacer("<", `\<`, ">", `\>`, "=", `\=`).Replace(wrapSyslog), strings.NewReplacer("*", `\*`, "=", `\=`).Replace(wrapExim),
	} {
		if kind, r := parseLines(t, line); kind != Unparsed {
			t.Errorf("%s: %v %+v", line, kind, r.Deliveries)
		}
	}
	// A line that holds none is not counted.
	for _, line := range []string{
		"Nov 23 09:47:06 mx1 postfix/smtp[7]: warning: host mx[192.0.2.1] said: to=<x>", "Nov 23 09:47:06 mx1 postfix/smtp[7]: 4A: host mx[192.0.2.1] said: 450 later",
		`{"log":"GET /?to=%3Cx"}`, "x &lt; y", "2026-11-23 09:47:06 1xVUtG-0005Lh-1y SMTP error &gt;",
	} {
		if kind, _ := parseLines(t, line); kind == Unparsed || kind == Attempt {
			t.Errorf("%s: %v", line, kind)
		}
	}
}

// TestRefusedBehindPrefix reads two logfmt lines after the same mark, the first of which is not
// believed.
func TestRefusedBehindPrefix(t *testing.T) {
	if kind, _ := parseLines(t, `> a=b user=m msg="hi there" x="`+wrapSyslog+`"`, "> a=b y"); kind != Skipped {
		t.Error(kind)
	}
}

// TestMarkup checks that an address with a program's representation of its characters is not
// understood, unless it is an address as it stands: then nobody knows of another one.
func TestMarkup(t *testing.T) {
	line := func(to string) string { return strings.ReplaceAll(wrapSyslog, "to=<a@b.example>", "to=<"+to+">") }
	for _, tt := range []struct{ to, want string }{
		{"a@bM-CM-<cher.example", ""},
		{`a@b\303\274cher.example`, ""},
		{`a\303\274@b.example`, ""},
		{"anM-bM-^BM-,a@b.example", ""},
		{"bob@mM-CM-6bel.example", "bob@mm-cm-6bel.example"}, // cat -v shows another domain so: this one exists
		{"jM-CM-6rg@b.example", "jM-CM-6rg@b.example"},
		{`"m\303\274ller"@b.example`, `"m\303\274ller"@b.example`},
		{"a\u200b@b.example", ""},
		{"a@b\u00ad.example", ""},
		{"**a@b.example**", ""},
		{"`a@b.example`", ""},
		{"[a@b.example](mailto:a@b.example)", ""},
		{"jim-am-rhein@b.example", "jim-am-rhein@b.example"},
		{"*@b.example", "*@b.example"},
		{"a@[192.0.2.1]", "a@[192.0.2.1]"},
		{`a\b@b.example`, `a\b@b.example`},
	} {
		for _, tail := range []string{"", "$", "^M$"} {
			kind, r := parseLines(t, line(tt.to)+tail)
			if (kind == Attempt) != (tt.want != "") || kind == Attempt && r.Deliveries[0].Recipient != tt.want || kind != Attempt && kind != Unparsed {
				t.Errorf("%s%s: %v %+v, want %q", tt.to, tail, kind, r.Deliveries, tt.want)
			}
		}
	}
	for _, arrow := range []string{"\u21d2", "=%3E", "= >", `=\x3e`, "=\u00bb", "->>"} {
		if kind, r := parseLines(t, strings.Replace(wrapExim, "**", arrow, 1)); kind != Unparsed {
			t.Errorf("%s: %v %+v", arrow, kind, r.Deliveries)
		}
	}
	for _, to := range []string{"TO=<", "to: <", "to =<"} {
		if kind, r := parseLines(t, strings.Replace(wrapSyslog, "to=<", to, 1)); kind != Unparsed {
			t.Errorf("%s: %v %+v", to, kind, r.Deliveries)
		}
	}
}

// TestEncodings counts deliveries in lines that are encoded as a whole, and names the encoding.
func TestEncodings(t *testing.T) {
	coded, coded2 := base64.StdEncoding.EncodeToString, base64.URLEncoding.EncodeToString
	zip := func(s string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(s))
		w.Close()
		return b.Bytes()
	}
	printable := func(s string) string { return strings.ReplaceAll(s, "=", "=3D") }
	for _, within := range []string{wrapSyslog, wrapExim, strings.Replace(wrapExim, "**", "=>", 1), strings.Replace(wrapExim, "**", "==", 1)} {
		for _, tt := range []struct{ line, want string }{
			{coded([]byte(within)), "base64"},
			{coded2([]byte("\xff\xfe" + within)), "base64"},
			{`{"data":"` + coded([]byte(within)) + `","id":"1"}`, "base64"},
			{coded(zip(within)), "gzip in base64"},
			{`{"awslogs":{"data":"` + coded(zip(`{"logEvents":[{"message":"`+within+`"}]}`)) + `"}}`, "gzip in base64"},
			{printable(within), "quoted-printable"},
			{printable(within)[:strings.Index(printable(within), "example")+4] + "=", "quoted-printable"},
			{"GET /?q=" + url.QueryEscape(within), "percent-encoding"},
		} {
			if kind, r := parseLines(t, tt.line); kind != Unparsed || Encoding([]byte(tt.line)) != tt.want && !strings.HasSuffix(tt.line, "** a@b.exam=") {
				t.Errorf("%s: %v %+v, %q", tt.line, kind, r.Deliveries, Encoding([]byte(tt.line)))
			}
		}
		if got := Encoding([]byte(within)); got != "" {
			t.Errorf("%s: %q", within, got)
		}
	}
	for _, line := range []string{coded([]byte(strings.Repeat("no delivery ", 40))), coded(zip(strings.Repeat("x", 1<<20))), coded(zip(wrapSyslog)[:80]), strings.Repeat("A", 500)} {
		if kind, _ := parseLines(t, line); kind != Skipped || Encoding([]byte(line)) != "" {
			t.Errorf("%s: %v", line, kind)
		}
	}
}

// TestMonths checks that no line of a year is lost in any language. A name that means two months
// stands for the one nearer to the previous line.
func TestMonths(t *testing.T) {
	for name, months := range monthNames {
		for _, want := range months {
			for _, name := range []string{name, strings.ToUpper(name[:1]) + name[1:], name + "."} {
				if want == 0 || !utf8.ValidString(name) {
					continue
				}
				before := fmt.Sprintf("2026-%02d-10T03:58:22+00:00 mx1 postfix/qmgr[7]: 4028B460: removed", want)
				kind, r := parseLines(t, before, before, name+" 11 03:58:22 mx1 postfix/smtp[7]: "+wrapBare)
				if kind != Attempt || int(r.Deliveries[0].Time.Month()) != want || r.Deliveries[0].Host != "mx1" {
					t.Errorf("%q: %v %+v, want month %d", name, kind, r.Deliveries, want)
				}
			}
		}
	}
	// A year, one line a month, of each language whose names mean other months elsewhere.
	for _, year := range []string{"sty lut mar kwi maj cze lip sie wrz paź lis gru", "sij velj ožu tra svi lip srp kol ruj lis stu pro", "led úno bře dub kvě čen čec srp zář říj lis pro"} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		for i, name := range strings.Fields(year) {
			if kind := p.Parse([]byte(name+" 11 03:58:22 mx1 postfix/smtp[7]: "+wrapBare), int64(i), &r); kind != Attempt || int(r.Time.Month()) != i+1 {
				t.Errorf("%s: %v %v, want month %d", name, kind, r.Time, i+1)
			}
		}
	}
	for stamp, want := range map[string]string{"lip 11": "2026-07-11", "lis. 21.": "2026-11-21", "lis 24": "2026-10-24"} {
		p := New(nil, Options{Location: time.UTC, Modified: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)})
		var r Result
		if kind := p.Parse([]byte(stamp+" 03:58:22 mx1 postfix/smtp[7]: "+wrapBare), 0, &r); kind != Attempt || r.Time.Format(time.DateOnly) != want {
			t.Errorf("%s: %v %v, want %s", stamp, kind, r.Time, want)
		}
	}
}

// TestNotWrapped lets programs other than the MTA log an MTA's line at a stranger's request.
func TestNotWrapped(t *testing.T) {
	forged := strings.ReplaceAll(wrapSyslog, "a@b.example", "victim@b.example")
	exim := strings.ReplaceAll(wrapExim, "a@b.example", "victim@b.example")
	for _, within := range []string{forged, exim, forged[len("Nov 23 09:47:06 "):], forged[strings.Index(forged, "4028B460"):]} {
		quoted, _ := json.Marshal(within)
		for _, before := range []string{
			`203.0.113.5 - - [23/Nov/2026:09:47:06 +0000] "GET /?q=`,
			`203.0.113.5 - - [23/Nov/2026:09:47:06 +0000] GET /`,
			`Nov 23 09:47:06 mx1 sshd[9]: Invalid user `,
			`Nov 23 09:47:06 mx1 sshd[9]: Invalid user x `,
			`Nov 23 09:47:06 mx1 opendkim[7]: 4028B461: header was "`,
			`Nov 23 09:47:06 mx1 postfix/cleanup[7]: 4028B461: warning: header Subject: `,
			`Nov 23 09:47:06 mx1 postfix/smtpd[7]: warning: `,
			`Nov 23 09:47:06 mx1 dovecot: lda(u): msgid=<`,
			`Nov 23 09:47:06 mx1 spamd[9]: spamd: result: Y 9 - subject="`,
			`2026-11-23 09:47:06 1xVUtG-0005Lh-1y <= x@y.example H=x [192.0.2.9] P=esmtp S=9 T="`,
			`2026-11-23 09:47:06 H=(`,
			`2026-11-23 09:47:06 SMTP command timeout on connection from (`,
			`Nov 23 09:47:06 mx1 app[7]: {"user":"`,
			`Nov 23 09:47:06 mx1 x[7]: Nov 23 09:47:06 mx1 sshd[9]: Invalid user `,
		} {
			line := before + within
			kind, r := parseLines(t, line)
			if kind == Attempt {
				t.Errorf("%s:\n%+v", line, r.Deliveries)
			}
		}
		for _, before := range []string{`{"user":`, `{"log":"GET /?q=","url":`} {
			if kind, r := parseLines(t, before+string(quoted)+"}"); kind == Attempt {
				t.Errorf("%s%s: %+v", before, quoted, r.Deliveries)
			}
		}
	}
}

// TestParts joins the lines into which Exim splits a long one for syslog.
func TestParts(t *testing.T) {
	const head = "Nov 23 09:47:06 mx1 exim[%d]: [%d/%d] %s"
	text := wrapExim[len("2026-11-23 09:47:06 "):]
	cut := strings.Index(text, "550 ")
	first, second := text[:cut-1], text[cut-1:]
	for _, tt := range []struct {
		name  string
		lines []string
		kind  Kind
		code  uint16
	}{
		{"two", []string{fmt.Sprintf(head, 7, 1, 2, first), fmt.Sprintf(head, 7, 2, 2, second)}, Attempt, 550},
		{"cut behind a blank", []string{fmt.Sprintf(head, 7, 1, 2, first+" "), fmt.Sprintf(head, 7, 2, 2, second[1:])}, Attempt, 550},
		{"three", []string{fmt.Sprintf(head, 7, 1, 3, first[:40]), fmt.Sprintf(head, 7, 2, 3, first[40:]), fmt.Sprintf(head, 7, 3, 3, second)}, Attempt, 550},
		{"another process between", []string{fmt.Sprintf(head, 7, 1, 2, first), fmt.Sprintf(head, 8, 1, 2, first), fmt.Sprintf(head, 7, 2, 2, second)}, Attempt, 550},
		{"the first alone", []string{fmt.Sprintf(head, 7, 1, 2, first)}, Queued, 0},
		{"the first alone, and another", []string{fmt.Sprintf(head, 7, 1, 2, first), fmt.Sprintf(head, 7, 1, 2, first)}, Unparsed, 0},
		{"the second alone", []string{fmt.Sprintf(head, 7, 2, 2, second)}, Queued, 0},
		{"out of order", []string{fmt.Sprintf(head, 7, 1, 3, first), fmt.Sprintf(head, 7, 3, 3, second)}, Queued, 0},
		{
			"an address cut in two", []string{
				fmt.Sprintf(head, 7, 1, 2, `1xVUtG-0005Lh-1y ** victim@b.example: User unknown@evil.test <"victim@b.example: Us`),
				fmt.Sprintf(head, 7, 2, 2, `er unknown"@evil.test>: 550 no`),
			}, Attempt, 0,
		},
	} {
		kind, r := parseLines(t, tt.lines...)
		if kind != tt.kind {
			t.Errorf("%s: %v, want %v", tt.name, kind, tt.kind)
			continue
		}
		if kind == Attempt && (r.Deliveries[0].Code != tt.code || r.Deliveries[0].Recipient == "victim@b.example") {
			t.Errorf("%s: %+v", tt.name, r.Deliveries[0])
		}
	}
}

// TestEnd reads the entries that are unfinished at the end of a source.
func TestEnd(t *testing.T) {
	const part = "Nov 23 09:47:06 mx1 exim[%d]: [1/2] 1xVUtG-0005Lh-1y ** a@b.example R=r T=t H=mx.b.example [192.0.2.1]: SMTP"
	entry := strings.Split(strings.TrimSuffix(exportEntry(1, "postfix/smtp", "MESSAGE="+wrapBare), "\n\n"), "\n")
	pretty := []string{"{", `        "SYSLOG_IDENTIFIER" : "postfix/smtp",`, `        "MESSAGE" : "` + wrapBare + `",`, `        "__REALTIME_TIMESTAMP" : "1795427227123456"`}
	for _, tt := range []struct {
		name  string
		lines []string
		want  []Kind // the kinds, and the kinds that the lines were counted as
	}{
		{"nothing", []string{wrapSyslog}, nil},
		{"a part", []string{fmt.Sprintf(part, 7)}, []Kind{Unparsed, Queued}},
		{"two", []string{fmt.Sprintf(part, 7), fmt.Sprintf(part, 8)}, []Kind{Unparsed, Queued, Unparsed, Queued}},
		{"a part in JSON", []string{`{"log":"` + fmt.Sprintf(part, 7) + `"}`}, []Kind{Unparsed, Queued}},
		{"a part of no delivery", []string{"Nov 23 09:47:06 mx1 exim[7]: [1/2] 1xVUtG-0005Lh-1y <= s@x.example"}, nil},
		{"an entry of the journal", entry, []Kind{Attempt, Skipped}},
		{"its beginning", entry[:2], nil},
		{"an object", pretty, []Kind{Attempt, Skipped}},
		{"a whole object", append(pretty, "}"), nil},
	} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		for i, line := range tt.lines {
			p.Parse([]byte(line), int64(i), &r)
		}
		var got []Kind
		for range 9 {
			kind, was, ok := p.End(int64(len(tt.lines)), &r)
			if !ok {
				break
			}
			if got = append(got, kind, was); kind == Attempt && (r.Deliveries[0].Time.Second() != 7 || r.Deliveries[0].Agent != "smtp") {
				t.Errorf("%s: %+v", tt.name, r.Deliveries)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestConsole reads the output of an Exim in the foreground.
func TestConsole(t *testing.T) {
	const delivery = "  277   == a@b.example R=r defer (-1): host lookup did not complete"
	for _, before := range []string{"", "smtp_1  | ", "2026-11-23T09:47:06.1Z "} {
		kind, r := parseLines(t, before+"  277 LOG: MAIN", before+delivery)
		if kind != Attempt || r.Deliveries[0].Recipient != "a@b.example" || r.Deliveries[0].Host != "" {
			t.Errorf("%q: %v %+v", before, kind, r.Deliveries)
		}
	}
	if kind, _ := parseLines(t, delivery); kind == Attempt {
		t.Error("taken without LOG: MAIN before it")
	}
	for _, before := range []string{"", "smtp_1  | ", "2026-11-23T09:47:06.1Z ", "Nov 23 09:47:06 "} {
		if kind, _ := parseLines(t, before+"LOG: MAIN", before+delivery[len("  277 "):]); kind != Unparsed {
			t.Errorf("%q, without a process id: %v", before, kind)
		}
		if kind, _ := parseLines(t, before+"LOG: MAIN", before+"  <= s@x.example U=root P=local S=9"); kind != Queued {
			t.Errorf("%q, an arrival: %v", before, kind)
		}
	}
}

// TestProgramBefore checks that the program that a wrapper names counts for every line, not only
// for the first.
func TestProgramBefore(t *testing.T) {
	line := "[1:mail1:postfix/lmtp] " + wrapBare
	if kind, r := parseLines(t, line, line); kind != Attempt || r.Deliveries[0].Agent != "lmtp" {
		t.Errorf("%v %+v", kind, r.Deliveries)
	}
}

// TestForeignWords checks that another program's message is not an MTA's line if a stranger may
// have chosen parts of it: sshd logs user names.
func TestForeignWords(t *testing.T) {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	journal := func(message string) string {
		return `{"SYSLOG_IDENTIFIER":"sshd","_HOSTNAME":"mx1","__REALTIME_TIMESTAMP":"1795427226123456","MESSAGE":` + quote(message) + `}`
	}
	for _, said := range []string{wrapBare, "postfix/smtp[7]: " + wrapBare, wrapSyslog, wrapExim, wrapExim[len("2026-11-23 09:47:06 "):]} {
		said = "Invalid user " + said + " from 192.0.2.9 port 22"
		for _, line := range []string{
			journal(said), `{"kubernetes":{},"log":` + journal(said) + `}`, "Nov 23 09:47:06 mx1 sshd[1]: " + said,
			"/var/log/all.log:Nov 23 09:47:06 mx1 sshd[1]: " + said, "<38>1 2026-11-23T09:47:06Z mx1 sshd 1 - - " + said,
		} {
			if kind, r := parseLines(t, line); kind != Unparsed {
				t.Errorf("%s: %v %+v", line, kind, r.Deliveries)
			}
		}
	}
	for _, before := range []string{"2026-11-23T09:47:06Z|mx1|app[7]:| ", "2026-11-23T09:47:06Z|mx1|app[7]:|", "2026-11-23T09:47:06Z,mx1,mail.info,app[7]:,", "Nov 23 09:47:06 mx1 app[7]:, ", "Nov 23 09:47:06 mx1 app[7]: "} {
		if kind, r := parseLines(t, before+wrapBare); kind != Unparsed {
			t.Errorf("%q: %v %+v", before, kind, r.Deliveries)
		}
	}
	if kind, r := parseLines(t, journal(wrapBare)); kind != Unparsed {
		t.Errorf("at the beginning: %v %+v", kind, r.Deliveries)
	}
	if kind, r := parseLines(t, "Invalid user "+wrapBare+" from 192.0.2.9 port 22"); kind != Unparsed {
		t.Errorf("journalctl -o cat: %v %+v", kind, r.Deliveries)
	}
}

// TestImpossibleTime checks that an attempt at an impossible time is counted as not understood.
func TestImpossibleTime(t *testing.T) {
	for _, stamp := range []string{"Nov 28 25:00:00", "Nov 31 09:47:06", "Feb 30 09:47:06", "2026-02-30T09:47:06Z", "2026-11-28T25:00:00Z", "Nov 28 09:60:00", "Nov 28 09:47:61"} {
		if kind, r := parseLines(t, stamp+" mx1 postfix/smtp[7]: "+wrapBare); kind != Unparsed {
			t.Errorf("%s: %v %+v", stamp, kind, r.Deliveries)
		}
	}
	if kind, _ := parseLines(t, "2026-02-30 09:47:06 "+wrapExim[len("2026-11-23 09:47:06 "):]); kind != Unparsed {
		t.Errorf("Exim's own log: %v", kind)
	}
}

// wraps are wrappers to nest at random.
var wraps = []func(string) string{
	func(s string) string { return "/var/log/mail.log.1:" + s },
	func(s string) string { return "212:" + s },
	func(s string) string { return "> " + s },
	func(s string) string { return "name-1  | " + s },
	func(s string) string { return "2026-11-23T09:47:06.746288+01:00 " + s },
	func(s string) string { return "2026-11-23T09:47:06Z stdout F " + s },
	func(s string) string { return "Nov 23 09:47:06 host7 5f2ab81c03de[1077]: " + s },
	func(s string) string { return "<22>1 2026-11-23T09:47:06Z host7 app 9 - - " + s },
	func(s string) string { return "[pod/a/b] " + s },
	func(s string) string { return "\x1b[31m" + s + "\x1b[0m" },
	func(s string) string { return "\xef\xbb\xbf" + s },
	func(s string) string { return "Mon " + s },
	func(s string) string { return strings.ReplaceAll(s, " ", "\t") },
	func(s string) string { return `"` + s + `",,,` },
	func(s string) string { return "MESSAGE=" + s },
	func(s string) string {
		b, _ := json.Marshal(s + "\n")
		return `{"log":` + string(b) + `,"stream":"stdout"}`
	},
	func(s string) string { b, _ := json.Marshal(s); return `{"a":[1,{"message":` + string(b) + `}]}` },
	func(s string) string {
		b, _ := json.Marshal(s)
		return `{"__REALTIME_TIMESTAMP":"1795427226123456","_HOSTNAME":"host7","SYSLOG_IDENTIFIER":"5f2ab81c03de","MESSAGE":` + string(b) + `}`
	},
	func(s string) string {
		b, _ := json.Marshal(s)
		return `{"labels":{"job":"mail","path":"/a \"b\""},"line":` + string(b) + `,"timestamp":"2026-11-23T09:47:06.5Z"}`
	},
	func(s string) string { return "[  123.456789] host7 " + s },
	func(s string) string { return "Mon 2026-11-23 09:47:06 UTC host7 " + s },
	func(s string) string { return "Mär 23 09:47:06 host7 " + s },
	func(s string) string { return "mail-7f9c8d/postfix " + s },
	func(s string) string { return "[1:host7:app] " + s },
	func(s string) string { return "\t    " + s },
	func(s string) string { return "\x1b[35m\x1b[Kmail.log\x1b[m\x1b[K\x1b[36m\x1b[K:\x1b[m\x1b[K" + s },
	func(s string) string { return colour(s, "b.example") },
	func(s string) string { return html.EscapeString(s) },
	func(s string) string { return "<td>" + html.EscapeString(s) + "</td>" },
	func(s string) string {
		b, _ := json.Marshal(s)
		return `time="2026-11-23T09:47:06Z" level=info msg=` + string(b)
	},
	func(s string) string {
		return `"2026-11-23T09:47:06Z","mx1","` + strings.ReplaceAll(s, `"`, `""`) + `"`
	},
	func(s string) string { return fmt.Sprintf("%d %s", len(s), s) },
	func(s string) string { return fmt.Sprintf("%d <22>%s", len(s)+4, s) },
	func(s string) string {
		b, _ := json.Marshal(s)
		return `{"event":{"original":` + string(b) + `},"text":"a b"}`
	},
	func(s string) string {
		b, _ := json.Marshal(s)
		return `[{"message":` + string(b) + `,"body":` + string(b) + `}]`
	},
	func(s string) string { b, _ := json.Marshal(s); return string(b) },
	func(s string) string {
		if strings.IndexFunc(s, func(c rune) bool { return c > 0xff }) >= 0 {
			return s
		}
		return wide(s, 2, false)
	},
	func(s string) string { return "\r" + s + "\r" },
	func(s string) string { return "'" + s + "'," },
	func(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") },
}

// FuzzWrap puts lines with deliveries into known and unknown wrappers: each is the right attempt,
// or is counted as not understood.
func FuzzWrap(f *testing.F) {
	for i := range wraps {
		f.Add(byte(i), uint64(i), "", "")
		f.Add(byte(i+1), uint64(i|(i+1)%len(wraps)<<6), "", "")
		f.Add(byte(i), uint64(i*61+i<<8), "", "")
		f.Add(byte(i), uint64(i), "x y ", "")
	}
	f.Add(byte(0), uint64(0), "prefix without end: ", " trailing")
	f.Add(byte(1), uint64(0), "ts=1 msg=\"", "\"")
	f.Fuzz(func(t *testing.T, which byte, how uint64, before, after string) {
		lines := []string{wrapSyslog, wrapExim, "postfix/smtp[7]: " + wrapBare, wrapBare}
		line := lines[int(which)%len(lines)]
		if strings.ContainsAny(before+after, "\n\r\x00\x1b") || strings.ContainsAny(before, "0123456789-") && holdsDelivery([]byte(before+"x")) {
			return
		}
		line = before + line + after
		for n := 0; how > 0 && n < 10; how >>= 6 {
			line = wraps[int(how&63)%len(wraps)](line)
			n++
		}
		// A program that is known to write no deliveries, or a line of Exim that is none, may quote
		// one. Only the text before it decides.
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		for n := range 2 { // the second time, it is known how the line is wrapped
			kind := p.Parse([]byte(line), 0, &r)
			switch kind {
			case Attempt:
				if d := r.Deliveries[0]; before == "" && (d.Recipient != "a@b.example" || d.Outcome != bounce.Hard || d.RelayHost != "mx.b.example") {
					t.Errorf("%q (%d): %+v", line, n, d)
				}
			case Unparsed:
			default:
				if before == "" {
					t.Errorf("%q (%d): %v", line, n, kind)
				}
			}
		}
		// The line does not affect the next ones.
		for _, next := range []string{wrapSyslog, wrapExim} {
			if kind := p.Parse([]byte(next), 0, &r); kind != Attempt || r.Deliveries[0].Recipient != "a@b.example" || r.Deliveries[0].Outcome != bounce.Hard {
				t.Errorf("%v %+v behind %q", kind, r.Deliveries, line)
			}
		}
	})
}

// TestConsoleInJSON reads docker's log of an Exim in the foreground: the time is docker's.
func TestConsoleInJSON(t *testing.T) {
	log := func(text, time string) string {
		return `{"log":"` + text + `\n","stream":"stderr","time":"` + time + `"}`
	}
	lines := []string{
		log("277 LOG: MAIN", "2026-11-20T10:00:00.5Z"), log("277   == a@b.example R=r T=t defer (-45): 450 later", "2026-11-20T10:00:01.5Z"),
		log("278 LOG: MAIN", "2026-11-20T10:00:01.6Z"), log("278   ** a@b.example R=r T=t: 550 no", "2026-11-20T10:00:02.5Z"),
	}
	p := New(nil, Options{Location: time.UTC})
	var r Result
	for i, want := range []string{"", "10:00:01", "", "10:00:02", "", "10:00:01", "", "10:00:02"} {
		kind := p.Parse([]byte(lines[i%4]), int64(i), &r)
		if (kind == Attempt) != (want != "") {
			t.Errorf("line %d: %v", i, kind)
		} else if want != "" && r.Deliveries[0].Time.Format(time.TimeOnly) != want {
			t.Errorf("line %d: %v, want %s", i, r.Deliveries[0].Time, want)
		}
	}
	// The time of the enclosing object also counts for an inner object.
	inner, _ := json.Marshal(`{"log":"postfix/smtp[7]: ` + wrapBare + `"}`)
	if kind, r := parseLines(t, `{"time":"2026-11-20T10:00:01Z","log":`+string(inner)+`}`); kind != Attempt || r.Deliveries[0].Time.Format(time.TimeOnly) != "10:00:01" {
		t.Errorf("an object within: %v %+v", kind, r.Deliveries)
	}
}

// TestNothingVanishes counts deliveries in forms that no MTA writes.
func TestNothingVanishes(t *testing.T) {
	const exim, other = "2026-11-23 09:47:06 ", " ** a@b.example R=r T=t: 550 no such user"
	const syslog = "Nov 23 09:47:06 mx1 exim[8]: "
	for _, line := range []string{
		strings.Replace(wrapSyslog, "<a@b.example>", "<a@b.example<mailto:a@b.example>>", 1), strings.Replace(wrapBare, "<a@b.example>", "<[a@b.example](mailto:a@b.example)>", 1),
		exim + "1xVUtG-0005Lh-1y:" + other, exim + "[1xVUtG-0005Lh-1y]" + other, exim + "(1xVUtG-0005Lh-1y)" + other,
		syslog + "1xVUtG-0005Lh-1y:" + other, syslog + "[1xVUtG-0005Lh-1y]" + other, "mail-1 " + exim + "[1xVUtG-0005Lh-1y]" + other,
		// Split at its blanks by a spreadsheet.
		strings.ReplaceAll(wrapExim, " ", ","), strings.ReplaceAll(wrapExim, " ", ";"),
		strings.ReplaceAll(exim, " ", ",") + `1xVUtG-0005Lh-1y,->,a@b.example,R=r,T=t,H=mx,[192.0.2.1],"C=""250","OK"""`,
		// Two lines in one.
		wrapSyslog + wrapOther, wrapSyslog + strings.Replace(wrapOther, "Nov 23 09:47:06", "2026-11-23T09:47:06Z", 1),
		wrapExim + wrapExim, exim + "1xVUtG-0005Lh-1y => a@b.example R=r T=t H=mx [192.0.2.1] C=\"250 ok\"" + wrapExim,
		exim + "1xVUtG-0005Lh-1y Completed" + wrapExim, syslog + "1xVUtG-0005Lh-1y" + other + syslog + "1xVUtG-0005Lh-2y" + other,
		"Nov 23 09:47:06 mx1 postfix/qmgr[7]: 4028B460: from=<s@x.example>, size=9, nrcpt=1 (queue active)" + wrapSyslog,
		wrapSyslog + " " + wrapOther, wrapSyslog + "\t" + wrapOther, wrapSyslog + ", " + wrapOther, wrapSyslog + " | " + wrapOther,
		wrapSyslog + "\u2028" + wrapOther, wrapSyslog + "\u0085" + wrapOther, wrapExim + " " + wrapExim, wrapExim + "\t" + wrapExim,
		exim + "1xVUtG-0005Lh-1y => a@b.example R=r T=t H=mx [192.0.2.1] C=\"250 ok\" " + wrapExim,
		exim + "1xVUtG-0005Lh-1y Completed " + wrapExim,
		"Nov 23 09:47:06 mx1 postfix/qmgr[7]: 4028B460: removed " + wrapSyslog,
		"Nov 23 09:47:06 mx1 postfix/smtpd[7]: connect from x.example[192.0.2.3]" + wrapSyslog,
	} {
		if kind, r := parseLines(t, line); kind != Unparsed {
			t.Errorf("%s: %v %+v", line, kind, r.Deliveries)
		}
	}
	// A server's reply is not a line, except where the reply may have ended.
	reply := func(text string) string {
		return strings.Replace(wrapSyslog, "no such user", text, 1)
	}
	for text, want := range map[string]Kind{"see " + wrapOther: Attempt, "see \"" + wrapOther + "\"": Attempt, "as in Nov 23 09:47:06 mx1 postfix/smtp[1]:": Attempt, "ok) " + wrapOther: Unparsed} {
		if kind, r := parseLines(t, reply(text)); kind != want || len(r.Deliveries) > 1 {
			t.Errorf("%s: %v %+v", reply(text), kind, r.Deliveries)
		}
	}
}

// TestUptime reads the kernel log's time, which is not a time of day, before a program.
func TestUptime(t *testing.T) {
	for _, line := range []string{"[12345.678901] postfix/smtp[7]: " + wrapBare, "[   45.678901] postfix/smtp[7]: " + wrapBare} {
		if kind, r := parseLines(t, line); kind != Attempt || r.Deliveries[0].Host != "" || !r.Time.IsZero() {
			t.Errorf("%s: %v %+v", line, kind, r.Deliveries)
		}
	}
}

// TestQuotedLine reads lines that a reply quotes: they are part of the reply.
func TestQuotedLine(t *testing.T) {
	for _, quote := range []string{" ", "(", "[", "<", "\"", `{"log":"`, "log=", "see:", " \""} {
		for _, line := range []string{
			strings.Replace(wrapSyslog, "no such user", "no "+quote+wrapOther, 1), strings.Replace(wrapExim, "no such user", "no "+quote+wrapExim, 1),
		} {
			want := Attempt
			if quote == " " && strings.HasPrefix(line, wrapExim[:40]) {
				want = Unparsed // no sign ends Exim's line: it may be two in one
			}
			if kind, r := parseLines(t, line); kind != want || want == Attempt && (len(r.Deliveries) != 1 || r.Deliveries[0].Recipient != "a@b.example") {
				t.Errorf("%s: %v %+v", line, kind, r.Deliveries)
			}
		}
	}
}

// TestUnannounced counts deliveries of an Exim in the foreground without a LOG: MAIN before them.
func TestUnannounced(t *testing.T) {
	const delivery = "   == a@b.example R=r T=t defer (-45): 450 later"
	for _, lines := range [][]string{
		{"277" + delivery},
		{"exim-1  | 277" + delivery},
		{"2026-11-20T10:00:00Z stderr F 277" + delivery},
		{`{"log":"277` + delivery + `\n","time":"2026-11-20T10:00:01Z"}`},
		{"277 LOG: MAIN", "278 LOG: MAIN", "277" + delivery},
	} {
		if kind, _ := parseLines(t, lines...); kind != Unparsed {
			t.Errorf("%q: %v", lines, kind)
		}
	}
	for _, line := range []string{
		"277   <= a@b.example", "277   == ", "Nov 20 10:00:00 mx1 httpd[7]: 277" + delivery, "x = 277" + delivery, "the user said 277" + delivery,
	} {
		if kind, _ := parseLines(t, line); kind == Unparsed || kind == Attempt {
			t.Errorf("%q: %v", line, kind)
		}
	}
}
