package parser

import (
	"fmt"
	"strings"
	"testing"
)

// TestNamedRows reads tables whose columns have names.
func TestNamedRows(t *testing.T) {
	const wrapRow = "4028B460: to=<a@b.example>, relay=none, delay=1, dsn=5.1.1, status=bounced (host said \"no\")"
	quoted := `"` + strings.ReplaceAll(wrapRow, `"`, `""`) + `"`
	line := `"` + wrapSyslog + `"`
	for _, tt := range []struct {
		names, row string
		want       Kind
	}{
		{"Time,Host,Program,Message", "2026-11-23T09:47:06Z,mx1,postfix/smtp," + quoted, Attempt},
		{"Time;Host;Program;Message", "2026-11-23T09:47:06Z;mx1;postfix/smtp;" + wrapRow, Attempt},
		{"message\tprogram\thost\ttimestamp", strings.Replace(wrapRow, "(host said \"no\")", "(no)", 1) + "\tpostfix/smtp\tmx1\t2026-11-23T09:47:06Z", Attempt},
		{"time,host,severity,program,pid,message", `"2026-11-23T09:47:06Z","mx1","info","postfix/smtp","7",` + quoted, Attempt},
		{"_serial,_time,source,sourcetype,host,index,_raw", `"0","2026-11-23T09:47:06.1+0000","/var/log/mail.log","syslog","mx1","main",` + line, Attempt},
		{"timestamp,message", "1795427226123," + line, Attempt},
		{"Zeit;Server;Programm;Meldung", "2026-11-23T09:47:06Z;mx1;postfix/smtp;" + quoted, Attempt},
		// The columns give the author of a row.
		{"time,user,comment", "2026-11-23T09:47:06Z,postfix/smtp," + quoted, Unparsed},
		{"time,host,user,comment", "2026-11-23T09:47:06Z,mx1,postfix/smtp," + quoted, Unparsed},
		{"time,app,message", "2026-11-23T09:47:06Z,shop," + line, Unparsed},
		{"time,user,message", "2026-11-23T09:47:06Z,mx1," + line, Unparsed},
		{"time,customer,message", "2026-11-23T09:47:06Z;mallory;" + wrapRow, Unparsed},
		{"time,host,message", "2026-11-23T09:47:06Z,web1," + quoted, Unparsed},
		{"time,comment", "2026-11-23T09:47:06Z," + line, Unparsed},
	} {
		kind, r := parseLines(t, tt.names, tt.row)
		if kind != tt.want || kind == Attempt && (r.Deliveries[0].Recipient != "a@b.example" || r.Deliveries[0].Host != "mx1" && tt.names != "timestamp,message" || r.Deliveries[0].Time.Unix() != 1795427226) {
			t.Errorf("%s: %s: %v %+v", tt.names, tt.row, kind, r.Deliveries)
		}
	}
}

// TestLinesBehindColumns checks that plain lines are read after a line that names columns, because
// any line may look like one.
func TestLinesBehindColumns(t *testing.T) {
	for _, names := range []string{"time,message", "message,time", "level,time,message", "time;message", "date\tlog", "host,ts,pid,severity,message"} {
		for _, line := range []string{wrapSyslog, wrapExim, wrapOther, strings.Replace(wrapSyslog, "no such user", "no, such; user", 1)} {
			if kind, r := parseLines(t, names, line); kind != Attempt || r.Deliveries[0].Recipient != "a@b.example" && line != wrapOther {
				t.Errorf("%s: %s: %v %+v", names, line, kind, r.Deliveries)
			}
		}
	}
}

// TestMailServers checks that the given names count as mail servers.
func TestMailServers(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  Kind
	}{{nil, Unparsed}, {[]string{"correo"}, Attempt}, {[]string{"cor*"}, Attempt}, {[]string{"shop", "[x"}, Unparsed}} {
		for _, line := range []string{"Nov 23 09:47:06 node1 correo[7]: " + wrapSyslog, fmt.Sprintf(`{"container_name":"correo","log":%q}`, wrapSyslog)} {
			var r Result
			if kind := New(nil, Options{MailServers: tt.names, Year: 2026}).Parse([]byte(line), 0, &r); kind != tt.want {
				t.Errorf("%q: %s: %v, want %v", tt.names, line, kind, tt.want)
			}
		}
	}
	for _, name := range []string{"dms", "email", "postal", "mailserver", "mta", "mailu"} {
		if authorOf(name) != mailServer {
			t.Error(name)
		}
	}
}
