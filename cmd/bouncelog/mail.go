package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wneessen/go-mail"

	"bouncelog/internal/table"
	"bouncelog/report"
	"bouncelog/report/render"
)

// mailing is how and to whom a report is sent.
type mailing struct {
	to       []string
	from     string
	sendmail string
	smtp     string
}

func (m *mailing) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&m.to, "mail-to", nil, "send the report to this `ADDRESS`, as text and as a page, and print nothing")
	f.StringVar(&m.from, "mail-from", "", "sender `ADDRESS` of the mail (default: this user at this host)")
	f.StringVar(&m.sendmail, "sendmail", "", "`PROGRAM` that takes the mail as sendmail does (default /usr/sbin/sendmail)")
	f.StringVar(&m.smtp, "smtp", "", "hand the mail to this `HOST:PORT` by SMTP instead of sendmail; STARTTLS where offered")
}

// check looks at what was asked for before any work is done.
func (m *mailing) check() error {
	if len(m.to) == 0 {
		for flag, value := range map[string]string{"--mail-from": m.from, "--sendmail": m.sendmail, "--smtp": m.smtp} {
			if value != "" {
				return usageErrorf("--mail-to says to whom", "%s: no mail is sent", flag)
			}
		}
		return nil
	}
	for _, a := range append([]string{m.from}, m.to...) {
		if a == "" {
			continue
		}
		list, err := netmail.ParseAddressList(a)
		if err == nil && (strings.ContainsAny(a, "\r\n\x00") || a == m.from && len(list) > 1) {
			err = errors.New("more than an address")
		}
		if err != nil {
			return usageErrorf("an address is like postmaster@example.com", "%q is not a mail address: %w", a, err)
		}
	}
	if m.smtp != "" {
		if m.sendmail != "" {
			return usageErrorf("say either the one or the other", "--smtp goes with no --sendmail")
		}
		if _, _, err := m.server(); err != nil {
			return err
		}
	}
	return nil
}

func (m *mailing) server() (host string, port int, err error) {
	host, word, err := net.SplitHostPort(m.smtp)
	if err == nil {
		port, err = strconv.Atoi(word)
	}
	if err != nil || host == "" || port < 1 || port > 65535 {
		return "", 0, usageErrorf("a server is like localhost:25 or [2001:db8::1]:587", "--smtp %s: not a host and a port", m.smtp)
	}
	return host, port, nil
}

// sender is who the mail is from.
func (m *mailing) sender(host string) string {
	if m.from != "" {
		return m.from
	}
	name := "bouncelog"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	return name + "@" + host
}

func hostName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "localhost"
	}
	return host
}

// send mails the report.
func (m *mailing) send(ctx context.Context, r *report.Report, wide bool) error {
	host := hostName()
	msg, err := m.message(r, host, wide)
	if err == nil {
		err = m.deliver(ctx, msg)
	}
	if err != nil {
		return &exitError{
			status: exitFailed, err: fmt.Errorf("the report was not sent: %w", err),
			hint: "--sendmail names the program, --smtp HOST:PORT a server; without --mail-to the report is printed",
		}
	}
	return nil
}

// mailWidth is that of the text part, RFC 5322 2.1.1.
const mailWidth = 78

func (m *mailing) message(r *report.Report, host string, wide bool) (*mail.Msg, error) {
	var text, page bytes.Buffer
	if err := render.Report(&text, r, table.FormatTable, render.Options{Width: mailWidth, Wide: wide}); err != nil {
		return nil, err
	}
	if err := render.Report(&page, r, table.FormatHTML, render.Options{}); err != nil {
		return nil, err
	}
	msg := mail.NewMsg()
	if err := msg.From(m.sender(host)); err != nil {
		return nil, err
	}
	var to []string
	for _, a := range m.to {
		list, err := netmail.ParseAddressList(a)
		if err != nil {
			return nil, err
		}
		for _, one := range list {
			to = append(to, one.String())
		}
	}
	if err := msg.To(to...); err != nil {
		return nil, err
	}
	// Nothing that a log holds stands in a header.
	msg.Subject(table.Cut(table.Clean("bouncelog, "+host+": "+render.Headline(r)), 200))
	msg.SetDate()
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	msg.SetBodyString(mail.TypeTextPlain, text.String())
	msg.AddAlternativeString(mail.TypeTextHTML, page.String())
	return msg, nil
}

func (m *mailing) deliver(ctx context.Context, msg *mail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if m.smtp == "" {
		program := m.sendmail
		if program == "" {
			program = mail.SendmailPath
		}
		return msg.WriteToSendmailWithContext(ctx, program) // with -oi and -t
	}
	host, port, err := m.server()
	if err != nil {
		return err
	}
	// As between mail servers (RFC 7435): encrypted where offered, to whoever
	// answers. No password is sent.
	c, err := mail.NewClient(host, mail.WithPort(port), mail.WithTimeout(30*time.Second), mail.WithTLSPolicy(mail.TLSOpportunistic),
		mail.WithTLSConfig(&tls.Config{ServerName: host, InsecureSkipVerify: true}))
	if err != nil {
		return err
	}
	return c.DialAndSendWithContext(ctx, msg)
}
