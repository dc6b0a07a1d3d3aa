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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wneessen/go-mail"

	"bouncelog/internal/table"
	"bouncelog/report"
	"bouncelog/report/render"
)

// mailing holds the recipients and the transport of a report that is sent by mail.
type mailing struct {
	to       []string
	from     string
	sendmail string
	smtp     string
}

func (m *mailing) flags(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&m.to, "mail-to", nil, "mail the report to this `ADDRESS` or local user, and print nothing")
	m.transportFlags(cmd)
}

// transportFlags adds the options of commands that send mail.
func (m *mailing) transportFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.from, "mail-from", "", "sender `ADDRESS` of the mail (default: this user at this host)")
	f.StringVar(&m.sendmail, "sendmail", "", "`PROGRAM` that accepts mail like sendmail (default /usr/sbin/sendmail)")
	f.StringVar(&m.smtp, "smtp", "", "send the mail to `HOST:PORT` by SMTP instead of sendmail; with STARTTLS if offered")
}

// check checks the options before any work is done.
func (m *mailing) check() error {
	if len(m.to) == 0 {
		for flag, value := range map[string]string{"--mail-from": m.from, "--sendmail": m.sendmail, "--smtp": m.smtp} {
			if value != "" {
				return usageErrorf("--mail-to says to whom", "%s: no mail is sent", flag)
			}
		}
		return nil
	}
	const hint = "an address is like postmaster@example.com, or root for a user of this machine"
	if m.from != "" {
		list, err := parseAddresses(m.from)
		if err == nil && len(list) > 1 {
			err = errors.New("more than an address")
		}
		if err != nil {
			return usageErrorf(hint, "%q is not a mail address: %w", m.from, err)
		}
	}
	for _, a := range m.to {
		list, err := parseAddresses(a)
		if err != nil {
			return usageErrorf(hint, "%q is not a mail address: %w", a, err)
		}
		if m.smtp != "" && slices.ContainsFunc(list, isLocalName) {
			return usageErrorf("with --smtp an address is like postmaster@example.com", "%q has no domain, which a server needs", a)
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

// parseAddresses reads a list of addresses in the form of a header field. A bare name is a user of
// this machine, as for sendmail(1), which completes it.
func parseAddresses(s string) (list []string, err error) {
	if strings.ContainsAny(s, "\r\n\x00") {
		return nil, errors.New("a line break in it")
	}
	parsed, err := netmail.ParseAddressList(s)
	if err != nil {
		// Bare names, perhaps among others; then no comma may be within quotes.
		parsed = nil
		for part := range strings.SplitSeq(s, ",") {
			part = strings.Trim(part, " \t")
			if isLocalName(part) {
				list = append(list, part)
				continue
			}
			one, e := netmail.ParseAddress(part)
			if e != nil {
				return nil, err
			}
			list = append(list, one.String())
		}
		return list, nil
	}
	for _, one := range parsed {
		list = append(list, one.String())
	}
	return list, nil
}

// localName reports whether s can be the name of a user or an alias. It may hold nothing that is
// special in a header or to sendmail, and at most 64 characters (RFC 5321 section 4.5.3.1.1).
var localName = regexp.MustCompile(`^[A-Za-z0-9._+][A-Za-z0-9._+-]{0,63}$`)

func isLocalName(s string) bool { return localName.MatchString(s) }

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

// sender returns the address that the mail is from.
func (m *mailing) sender(host string) string {
	name := "bouncelog"
	if isLocalName(m.from) {
		name = m.from
	} else if m.from != "" {
		return m.from
	} else if u, err := user.Current(); err == nil && u.Username != "" {
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

// send sends the report.
func (m *mailing) send(ctx context.Context, r *report.Report, wide bool, made string) error {
	host := hostName()
	msg, err := m.message(r, host, wide, made)
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

// mailWidth is the width of the text part (RFC 5322 section 2.1.1).
const mailWidth = 78

func (m *mailing) message(r *report.Report, host string, wide bool, made string) (*mail.Msg, error) {
	var text, page bytes.Buffer
	if err := render.Report(&text, r, table.FormatTable, render.Options{Width: mailWidth, Wide: wide}); err != nil {
		return nil, err
	}
	if err := render.Report(&page, r, table.FormatHTML, render.Options{Mail: true, Made: made, Host: host}); err != nil {
		return nil, err
	}
	msg, err := m.newMessage(host, "bouncelog, "+host+": "+r.Headline())
	if err != nil {
		return nil, err
	}
	msg.SetDate()
	msg.SetMessageID()
	msg.SetBodyString(mail.TypeTextPlain, text.String())
	msg.AddAlternativeString(mail.TypeTextHTML, page.String())
	return msg, nil
}

// newMessage returns a mail without body, date and Message-ID.
func (m *mailing) newMessage(host, subject string) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := msg.From(m.sender(host)); err != nil {
		return nil, err
	}
	var to []string
	for _, a := range m.to {
		list, err := parseAddresses(a)
		if err != nil {
			return nil, err
		}
		to = append(to, list...)
	}
	if slices.ContainsFunc(to, isLocalName) {
		// As it is, for sendmail -t: go-mail knows addresses with a domain only.
		msg.SetGenHeaderPreformatted("To", strings.Join(to, ",\r\n "))
	} else if err := msg.To(to...); err != nil {
		return nil, err
	}
	msg.Subject(table.Cut(table.Clean(subject), 200))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
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
	// As between mail servers (RFC 7435): encrypted if the server offers it, without a check of its
	// certificate. No password is sent.
	c, err := mail.NewClient(host, mail.WithPort(port), mail.WithTimeout(30*time.Second), mail.WithTLSPolicy(mail.TLSOpportunistic),
		mail.WithTLSConfig(&tls.Config{ServerName: host, InsecureSkipVerify: true}))
	if err != nil {
		return err
	}
	return c.DialAndSendWithContext(ctx, msg)
}
