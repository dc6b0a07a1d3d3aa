package parser

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestAuthors checks the authors that names give.
func TestAuthors(t *testing.T) {
	for want, names := range map[author]string{
		mailServer: `postfix postfix/smtp exim4 postfix@-.service smtp-out /usr/sbin/exim4 mailcow/postfix-mailcow mailcowdockerized-postfix-mailcow-1 k8s_postfix_shop-0_prod
			mail mail-1 mail_1 shop-mail-1 mailserver docker-mailserver mailout relay-2 mx1 mta-a1b2c mail-7c9f8d4b5-xkwtz mail.info syslog.mail.info mail-relay-prod
			stack_mail.1.k3j2h1g0f9d8@node2 MAILER`,
		nobody: `5f2ab81c03de 5f2ab docker dockerd conmon containerd fluentd fluent-bit fluentbit td-agent syslog rsyslogd syslog-ng docker.5f2ab81c03de tail.0 app stdout 17 -
			kube.var.log.containers init.scope`,
		another: `sshd nginx httpd php-fpm webmail roundcube wordpress web-1 shop-web-1 mail-web-1 mailcow/php-fpm-mailcow mailcow/sogo-mailcow mailcow/rspamd-mailcow postfixadmin
			docker/web docker.web web-7c9f8d4b5-xkwtz pod/web-7c9/nginx mta-sts node /usr/bin/php user@1000.service web::chat com.example.ContactForm mailform
			stack_web.1.k3j2h1g0f9d8@node2 logger root`,
	} {
		for _, name := range strings.Fields(names) {
			if got := authorOf(name); got != want {
				t.Errorf("%s: %d, want %d", name, got, want)
			}
		}
	}
}

// TestAnotherAuthor lets an application log a visitor's text that is exactly an MTA's line.
func TestAnotherAuthor(t *testing.T) {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	reply := strings.TrimSuffix(wrapOther, ")") + ": no) a"
	for _, x := range []string{wrapSyslog, wrapExim, "<22>" + wrapSyslog, "\n" + wrapSyslog, `{"log":` + quote(wrapSyslog) + `}`} {
		for _, line := range []string{
			// Two texts.
			`{"msg":"contact form","message":%s}`, `{"level":"info","event":"feedback","text":%s}`, `{"level":"info","event":"chat","content":%s}`, `{"msg":"hi","log":%s}`,
			`{"@t":"2026-11-23T09:47:06Z","@mt":"Form {message}","message":%s}`, `ts=1 level=info msg=feedback message=%s`, `{"log":"x\n","log":%s}`,
			// Within another object.
			`{"request":{"message":%s}}`, `{"comment":{"body":%s}}`, `{"fields":{"message":%s},"target":"web"}`, `{"message":{"from":{"id":1},"text":%s}}`, `{"msg":"x","form":{"message":%s}}`,
			`{"data":{"log":%s}}`, `{"body":{"message":%s}}`, `{"attributes":[{"key":"body","value":{"stringValue":%s}}],"body":{"stringValue":"x"}}`,
			// Under a name that is also one of form fields, with other fields beside it.
			`{"type":"chat","text":%s,"from":"bob"}`, `{"Timestamp":"2026-11-23T09:47:06Z","Body":%s,"Attributes":{"http.method":"POST"}}`,
			// A name gives the author.
			`{"program":"php-fpm","message":%s}`, `{"SYSLOG_IDENTIFIER":"webmail","MESSAGE":%s}`, `{"SYSLOG_IDENTIFIER":"5f2ab81c03de","CONTAINER_NAME":"nginx","MESSAGE":%s}`,
			`{"CONTAINER_NAME":"web","MESSAGE":%s}`, `{"_COMM":"node","MESSAGE":%s}`, `{"_EXE":"/usr/bin/php","MESSAGE":%s}`, `{"_SYSTEMD_UNIT":"nginx.service","MESSAGE":%s}`,
			`{"kubernetes":{"container":{"name":"nginx"},"pod":{"name":"web-1"}},"message":%s}`, `{"kubernetes":{"container_name":"web"},"log":%s}`, `{"labels":{"app":"shop"},"line":%s}`,
			`{"service":{"name":"shop"},"message":%s}`, `{"logger":"http","message":%s}`, `{"app":"shop","log":%s}`, `{"attrs":{"tag":"nginx"},"log":%s}`, `{"name":"shop","level":30,"msg":%s}`,
			`{"short_message":"login failed","full_message":%s,"_app":"shop"}`, `{"message":%s,"remote_addr":"192.0.2.9","request_method":"POST"}`,
			`docker.web: {"log":%s}`, `2026-11-23T09:47:06Z docker.web {"log":%s}`, `web-1  | {"log":%s}`, `{app="shop"} {"line":%s}`, `Nov 23 09:47:06 mx1 node[3]: {"msg":%s}`,
			// After text that a reply may hold, if the writer of the object does not escape quotes.
			`{"m":"` + reply + `","message":%s}`, `{"host":"` + reply + `","message":%s}`, `{"message":"` + reply + `"}{"message":%s}`, `[{"message":"` + reply + `"},{"message":%s}]`,
			`msg="` + reply + `" time=2026-11-23T09:47:06Z msg=%s`,
		} {
			if kind, r := parseLines(t, strings.Replace(line, "%s", quote(x), 1)); kind != Unparsed {
				t.Errorf("%s: %s: %v %+v", line, x, kind, r.Deliveries)
			}
		}
		if x[0] == '\n' || x[0] == '{' {
			continue
		}
		for _, before := range []string{
			"Nov 23 09:47:06 mx1 sshd[3]: ", "Nov 23 09:47:06 mx1 docker/web[3]: ", "Nov 23 09:47:06 mx1 mailcow/php-fpm-mailcow[3]: ", "<14>1 2026-11-23T09:47:06Z mx1 web 12 - - ",
			"[web] ", "[web] relay ", "web-1  | ", "web-1  | mail | ", "[pod/web-7c9/nginx] ", "web-7c9-abcde nginx ", `{app="shop",pod="shop-0"} `, "sshd[3]: ", "hi ", "web-1  | 2026-11-23T09:47:06Z stdout F ",
			// A logger.
			"[2026-11-23 09:47:06] production.INFO: ", "[2026-11-23T09:47:06.123456+00:00] local.ERROR: ", "2026-11-23 09:47:06,123 INFO shop.forms ", "2026-11-23 09:47:06 WARNING shop.forms ",
			"2026-11-23T09:47:06Z debug shop.forms ", "INFO:shop.forms:", "INFO:shop.forms: ", "WARNING:root:", "2026-11-23T09:47:06Z stdout F [shop] ", "2026-11-23T09:47:06Z stdout F local.INFO: ",
		} {
			for range 2 {
				if kind, r := parseLines(t, before+x); kind != Unparsed {
					t.Errorf("%s%s: %v %+v", before, x, kind, r.Deliveries)
				}
			}
		}
	}
	bare := wrapExim[len("2026-11-23 09:47:06 "):]
	for _, before := range []string{"2026-11-23T09:47:06Z stdout F [shop] ", "[2026-11-23 09:47:06] production.INFO: ", "2026-11-23 09:47:06,123 INFO shop.forms ", "[23/Nov/2026:09:47:06 +0000] ", "23/Nov/2026:09:47:06 192.0.2.9 ", "Nov 23 09:47:06 mx1 docker/web[3]: "} {
		for _, x := range []string{bare, wrapBare} {
			if kind, r := parseLines(t, before+x, before+x); kind != Unparsed {
				t.Errorf("%s%s: %v %+v", before, x, kind, r.Deliveries)
			}
		}
	}
}

// TestStrangersBeside reads a form, a ticket or an application's own log, as JSON and in logfmt,
// whose text is an MTA's line and in which no name gives the author.
func TestStrangersBeside(t *testing.T) {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	exim := wrapExim[len("2026-11-23 09:47:06 "):]
	for _, x := range []string{wrapSyslog, wrapExim, wrapBare, exim} {
		for _, beside := range []string{
			`"from":"eve@x.example","subject":"hi"`, `"created":"2026-11-23T09:47:06Z","email":"eve@x.example"`, `"user":"eve"`, `"username":"eve"`, `"customer":7`, `"ticket":17`, `"path":"/contact"`,
			`"route":"/contact"`, `"remote_addr":"192.0.2.9"`, `"status":200`, `"caller":"shop/form.go:17"`, `"httpRequest":{"status":200}`, `"level":30,"pid":7,"hostname":"web1"`,
			`"level":200,"channel":"app","extra":[]`, `"channel":"app"`, `"logger":"main"`, `"name":"postfix"`, `"form":{"a":1}`, `"tagsOfForm":["a"]`, `"read":false`, `"Email":"eve@x.example"`, `"_user":"eve"`,
			`"body":{"email":"eve@x.example"}`, `"url":"/contact"`, `"url":"{"`, `"userAgent":"{"`, `"operation":"{"`, `"headers":"a: b"`,
		} {
			for _, line := range []string{`{"time":"2026-11-23T09:47:06Z",` + beside + `,"message":` + quote(x) + `}`, `{"message":` + quote(x) + `,` + beside + `}`, `{"log":` + quote(`{"message":`+quote(x)+`,`+beside+`}`) + `}`} {
				if kind, r := parseLines(t, line); kind != Unparsed {
					t.Errorf("%s: %v %+v", line, kind, r.Deliveries)
				}
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, []byte(`[{`+beside+`,"message":`+quote(x)+`}]`), "", "  "); err != nil {
				t.Fatal(err)
			}
			p := New(nil, Options{Location: time.UTC, Year: 2026})
			var r Result
			told := 0
			for i, line := range strings.Split(pretty.String(), "\n") {
				switch p.Parse([]byte(line), int64(i), &r) {
				case Attempt:
					t.Errorf("%s: %+v", pretty.String(), r.Deliveries)
				case Unparsed:
					told++
				}
			}
			if told != 1 {
				t.Errorf("%s: %d not understood", pretty.String(), told)
			}
		}
		for _, before := range []string{"level=info path=/contact remote_ip=192.0.2.9 msg=", "user=eve msg=", "level=info caller=form.go:3 msg="} {
			if kind, r := parseLines(t, before+quote(x)); kind != Unparsed {
				t.Errorf("%s%s: %v %+v", before, x, kind, r.Deliveries)
			}
		}
	}
	for _, line := range []string{`{"raw":%s,"email":"eve@x.example"}`, `{"original":%s,"email":"eve@x.example"}`, `{"result":{"message":%s,"email":"eve@x.example"}}`, `{"events":[{"message":%s,"user":"eve"}]}`} {
		if kind, r := parseLines(t, strings.Replace(line, "%s", quote(wrapSyslog), 1)); kind != Unparsed {
			t.Errorf("%s: %v %+v", line, kind, r.Deliveries)
		}
	}
	// A message without a header needs a mail server's name.
	for _, x := range []string{wrapBare, exim, "[info] " + wrapBare} {
		for line, want := range map[string]Kind{
			`{"time":"2026-11-23T09:47:06Z","message":%s}`: Unparsed, `{"time":"2026-11-23T09:47:06Z","host":"web1","level":"info","msg":%s}`: Unparsed, "level=info msg=%s": Unparsed,
			`{"log":"{\"message\":%q}"}`:                            Unparsed,
			`{"time":"2026-11-23T09:47:06Z","host":"mx1","msg":%s}`: Attempt, `{"time":"2026-11-23T09:47:06Z","container_name":"mail","log":%s}`: Attempt,
			`{"time":"2026-11-23T09:47:06Z","message":%s,"log":{"file":{"path":"/var/log/mail.log"}}}`: Attempt, `{"time":"2026-11-23T09:47:06Z","filename":"/var/log/maillog","line":%s}`: Attempt,
			`mail-1  | {"time":"2026-11-23T09:47:06Z","log":%s}`: Attempt,
		} {
			text := quote(x)
			line = strings.NewReplacer("%s", text, "%q", strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, `\"`)).Replace(line)
			if kind, r := parseLines(t, line); kind != want {
				t.Errorf("%s: %v, want %v %+v", line, kind, want, r.Deliveries)
			}
		}
	}
}

// TestTickets reads a table of visitors' texts whose first line names its columns.
func TestTickets(t *testing.T) {
	const stamp = "2026-11-23T09:47:06Z"
	cell := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	for _, tt := range []struct {
		columns, row string
		want         Kind
	}{
		{"id,created,customer,comment", "17," + stamp + ",eve,%s", Unparsed},
		{"created,comment", stamp + ",%s", Unparsed},
		{"\ufeff\"created\";\"email\";\"message\"", `"` + stamp + `";"eve";%s`, Unparsed},
		{"time,user,message", stamp + ",eve,%s", Unparsed},
		{"time,user,comment", stamp + ",postfix/smtp,%s", Unparsed}, // a visitor's name
		{"time,user,comment", stamp + ",bob,postfix/smtp[7]: " + wrapBare, Unparsed},
		{"time;user;comment", stamp + ";bob;postfix/smtp[7]: " + wrapBare, Unparsed},
		{"time\tuser\tcomment", stamp + "\tbob\tpostfix/smtp[7]: " + wrapBare, Unparsed},
		{"time\tuser\tcomment", stamp + "\tbob\t" + wrapSyslog, Unparsed},
		{"user,time,comment", "bob," + stamp + ",postfix/smtp[7]: " + wrapBare, Unparsed},
		{"id,time,user,comment", "7," + stamp + ",bob@b.example,postfix/smtp[7]: " + wrapBare, Unparsed},
		{"time,user,comment", wrapSyslog, Attempt}, // a line of its own, whatever stood before
		{"time,message", stamp + ",%s", Attempt},
		{`"@timestamp","host.name","message"`, `"` + stamp + `","mx1",%s`, Attempt},
		{"TimeGenerated,Computer,SyslogMessage", stamp + ",mx1,%s", Attempt},
	} {
		for _, x := range []string{cell(wrapSyslog), cell(wrapExim), wrapSyslog, wrapExim} {
			row := strings.Replace(tt.row, "%s", x, 1)
			if kind, r := parseLines(t, tt.columns, row, row); kind != tt.want && (x[0] == '"' || tt.want == Unparsed) {
				t.Errorf("%s: %s: %v, want %v %+v", tt.columns, row, kind, tt.want, r.Deliveries)
			}
		}
	}
}

// TestShippers reads objects with the fields that shippers put beside a mail server's lines.
func TestShippers(t *testing.T) {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	for _, line := range []string{
		`{"message":%s,"http":{"method":"POST","request":{"mime_type":"text/plain"}},"url":{"path":"/"},"user_agent":{"original":"curl"}}`, // Logstash's http input
		`{"message":%s,"headers":{"request_method":"POST","http_host":"x","request_path":"/"}}`, `{"message":%s,"path":"/","source_type":"http_server"}`,
		`{"message":%s,"log":{"file":{"path":"/var/log/mail.log"},"offset":3},"host":{"name":"mx1"},"agent":{"type":"filebeat"},"input":{"type":"log"}}`,
		`{"log":%s,"kubernetes":{"container_name":"postfix","pod_name":"shop-0","labels":{"app":"shop"}}}`, `{"kubernetes":{"pod_name":"mail-7c9f8d4b5-xkwtz"},"log":%s}`,
		`{"CONTAINER_NAME":"shop-mail-1","SYSLOG_IDENTIFIER":"shop","_COMM":"dockerd","_SYSTEMD_UNIT":"docker.service","MESSAGE":%s}`,
		`{"Body":%s,"Timestamp":"1795427226","Resource":{"service.name":"postfix"}}`, `{"_source":{"message":%s,"@timestamp":"2026-11-23T09:47:06Z"}}`,
		`{"result":{"_raw":%s}}`, `{"jsonPayload":{"message":%s}}`, `{"events":[{"message":%s}]}`, `{"message":%s,"event":{"original":%s}}`,
		`{"short_message":` + quote(wrapSyslog[:60]) + `,"full_message":%s}`, `{"stream":"stdout","level":"info","source":"mx1","text":%s}`,
		`{"message":%s,"site":"berlin","role":"relay","team":"mail","topic":"logs","partition":3}`,
	} {
		if kind, r := parseLines(t, strings.ReplaceAll(line, "%s", quote(wrapSyslog))); kind != Attempt || r.Deliveries[0].Recipient != "a@b.example" {
			t.Errorf("%s: %v", line, kind)
		}
	}
	for _, line := range []string{
		`{"msg":` + quote(" "+wrapBare) + `,"syslogtag":"postfix/smtp[7]:","programname":"postfix","timereported":"2026-11-23T09:47:06Z"}`,
		`time=2026-11-23T09:47:06Z program=postfix/smtp msg=` + quote("postfix/smtp[7]: "+wrapBare), "<30>Nov 23 09:47:06 host7 docker/mail[1077]: " + wrapSyslog,
		"stack_mail.1.k3j2h1g0f9d8@node2    | " + wrapSyslog, "mail.info: " + wrapSyslog, "local0.info: " + wrapSyslog, "[2026-11-23 09:47:06] INFO: " + wrapSyslog,
		`{container="relay-1"} ` + wrapSyslog,
	} {
		if kind, r := parseLines(t, line); kind != Attempt || r.Deliveries[0].Agent != "smtp" {
			t.Errorf("%s: %v", line, kind)
		}
	}
}

// TestForgedRecords reads pieces of a line in objects.
func TestForgedRecords(t *testing.T) {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	const fluent = `{"time":"2026-11-23T09:47:06Z","stream":"%s","container_id":"%c","%t","log":%s}`
	record := func(form, container, mark, text string) string {
		return strings.NewReplacer("%c", container, "%t", mark, "%s", quote(text), `"stream":"%s"`, `"stream":"stdout"`).Replace(form)
	}
	journal := strings.NewReplacer(`"stream":"%s"`, `"PRIORITY":"6"`, "container_id", "CONTAINER_ID", "log", "MESSAGE").Replace(fluent)
	for _, tt := range []struct{ name, form, part, last string }{
		{"Fluent Bit", fluent, `logtag":"P`, `logtag":"F`},
		{"Fluent Bit's parser", fluent, `_p":"P`, `_p":"F`},
		{"docker's fluentd driver", fluent, `partial_message":"true`, `partial_message":"true","partial_last":"true`},
		{"docker's journald driver", journal, `CONTAINER_PARTIAL_MESSAGE":"true`, `PRIORITY":"6`},
	} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		for i, step := range []struct {
			container, mark, text string
			want                  Kind
		}{
			{"1", tt.part, "user said ", Skipped},
			{"2", tt.part, wrapSyslog[:80], Skipped},
			{"1", tt.part, "hi ", Skipped},
			{"1", tt.last, wrapSyslog, Unparsed},
			{"2", tt.last, wrapSyslog[80:], Attempt},
			{"1", tt.last, wrapSyslog, Attempt},
			{"1", tt.part, wrapSyslog[:80], Skipped},
		} {
			if kind := p.Parse([]byte(record(tt.form, step.container, step.mark, step.text)), int64(i), &r); kind != step.want {
				t.Errorf("%s, record %d: %v, want %v", tt.name, i, kind, step.want)
			}
		}
	}
	cri := func(tag, text string) string {
		return `{"message":` + quote("2026-11-23T09:47:06.1Z stdout "+tag+" "+text) + `}`
	}
	if kind, r := parseLines(t, cri("P", "user said "), cri("F", wrapSyslog)); kind != Unparsed {
		t.Errorf("Kubernetes' form in an object: %v %+v", kind, r.Deliveries)
	}
	if kind, _ := parseLines(t, cri("P", wrapSyslog[:80]), cri("F", wrapSyslog[80:])); kind != Attempt {
		t.Errorf("Kubernetes' form in an object: %v", kind)
	}
	// More streams than there is room for: no delivery vanishes.
	p := New(nil, Options{Location: time.UTC, Year: 2026})
	var r Result
	lost := 0
	for i := range 2 * maxBegun {
		if p.Parse([]byte(record(fluent, string(rune('A'+i)), `logtag":"P`, wrapSyslog)), int64(i), &r) == Unparsed {
			lost++
		}
	}
	if kind, _, ok := p.End(0, &r); lost != maxBegun || !ok || kind != Unparsed {
		t.Errorf("%d of %d are not understood; the end: %v", lost, 2*maxBegun, kind)
	}
}

// TestRefusedAgain reads successive logfmt lines after a prefix that names another program, or with
// an application's field. The reason for refusing the first line also applies to the second.
func TestRefusedAgain(t *testing.T) {
	for _, before := range []string{"", "/var/log/mail.log:" + wrapSyslog} {
		for _, head := range []string{
			"frontend level=info ", "[frontend] level=info ", "web_form  level=info ", "/var/log/shop.log: level=info ", "Nov 23 09:47:06 h7 shop[1077]: level=info ",
			"a1: app=shop ", "-- customer=7 ", "Nov 23 09:47:06 h7 5f2ab81c03de[1077]: app=shop ",
		} {
			line := head + `msg="` + wrapSyslog + `"`
			p := New(nil, Options{Location: time.UTC, Year: 2026})
			var r Result
			if before != "" {
				p.Parse([]byte(before), 0, &r)
			}
			for n := range 3 {
				if kind := p.Parse([]byte(line), 0, &r); kind != Unparsed {
					t.Errorf("%s (%d): %v, want %v", line, n, kind, Unparsed)
				}
			}
		}
	}
}
