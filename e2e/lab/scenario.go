//go:build linux

package main

import (
	"fmt"
	"strings"
)

// An instance is one MTA of the lab.
type instance struct {
	name, kind string // kind: postfix or exim
	port       string
	sendmail   []string // how to inject without SMTP
	logs       []string // its files in the directory log
}

var instances = []instance{
	{"postfix", "postfix", "25", []string{"/usr/sbin/sendmail", "-C", "/etc/postfix"}, []string{"mail.log", "mail-rfc3339.log"}},
	{"postfix-pl", "postfix", "10125", []string{"/usr/sbin/sendmail", "-C", "/etc/postfix-pl"}, []string{"postfix-postlogd.log"}},
	{"postfix-long", "postfix", "10225", []string{"/usr/sbin/sendmail", "-C", "/etc/postfix-long"}, []string{"postfix-longids.log"}},
	{"exim-default", "exim", "10325", []string{"/usr/sbin/exim4", "-C", "/etc/exim4/exim-default.conf"}, []string{"exim4/mainlog", "exim-syslog.log"}},
	{"exim-all", "exim", "10425", []string{"/usr/sbin/exim4", "-C", "/etc/exim4/exim-all.conf"}, []string{"exim4-all/mainlog"}},
	{"exim-millis", "exim", "10525", []string{"/usr/sbin/exim4", "-C", "/etc/exim4/exim-millis.conf"}, []string{"exim4-millis/mainlog"}},
}

// Ports that only the first Postfix instance has.
var special = map[string]string{"sub": "127.0.0.1:587", "filter": "127.0.0.1:10026", "ps": "203.0.113.25:2525"}

// A message of the scenario, with what is expected for each recipient.
type message struct {
	id, phase, via, opts, sender string
	rcpts                        []recipient
}

type recipient struct {
	addr, stage, code, enh, category string
	want                             map[string]outcome // by kind of MTA
}

// An outcome is what one kind of MTA does about a recipient. Dsn is Postfix's.
type outcome struct{ first, final, dsn, text string }

func loadScenario() ([]*message, error) {
	f, err := files.Open("scenario.tsv")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []*message
	err = eachLine(f, "scenario.tsv", func(line string) error {
		if strings.HasPrefix(line, "#") || line == "" {
			return nil
		}
		c := strings.Split(line, "\t")
		if len(c) != 12 {
			return fmt.Errorf("%d columns, want 12", len(c))
		}
		if len(out) == 0 || out[len(out)-1].id != c[0] {
			m := &message{id: c[0], phase: c[1], via: c[2], opts: c[3], sender: c[4]}
			switch m.sender {
			case "-":
				m.sender = m.id + "@sender.test"
			case "<>":
				m.sender = ""
			}
			out = append(out, m)
		}
		r := recipient{addr: c[5], stage: c[6], code: c[7], enh: c[8], category: c[9], want: map[string]outcome{}}
		if w := strings.SplitN(c[10], "/", 4); len(w) >= 3 {
			r.want["postfix"] = outcome{w[0], w[1], w[2], strings.Join(w[3:], "")}
		}
		if w := strings.SplitN(c[11], "/", 3); len(w) >= 2 {
			r.want["exim"] = outcome{w[0], w[1], "-", strings.Join(w[2:], "")}
		}
		m := out[len(out)-1]
		m.rcpts = append(m.rcpts, r)
		return nil
	})
	return out, err
}

// opt gives the value of one of the message's options ("-": no value).
func (m *message) opt(name string) (string, bool) {
	for _, o := range strings.Split(m.opts, ",") {
		k, v, _ := strings.Cut(o, "=")
		if k == name {
			return v, true
		}
	}
	return "", false
}

func (m *message) messageID(in instance) string {
	return m.id + "." + in.name + "@lab.test"
}
