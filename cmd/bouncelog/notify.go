package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/wneessen/go-mail"

	"bouncelog/internal/table"
	"bouncelog/notify"
	"bouncelog/problem"
	"bouncelog/store"
)

// notifying holds the options about the recipients of notifications.
type notifying struct {
	to      []string
	headers string
	mail    mailing
}

const notifyHint = "a destination is a mail address, a local user such as root, or a URL like https://host/path"

func (n *notifying) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&n.to, "notify", nil, "notify `DEST` when an incident begins and when it ends: a mail address, a local user or an http(s) URL; repeatable")
	f.StringVar(&n.headers, "notify-headers", "", "a `FILE` with header lines for URLs, such as 'Authorization: Bearer ...'")
	n.mail.transportFlags(cmd)
}

// destinations checks the options and returns the destinations.
func (n *notifying) destinations() ([]notify.Destination, error) {
	var header map[string][]string
	if n.headers != "" {
		raw, err := os.ReadFile(n.headers)
		if err != nil {
			return nil, err
		}
		if header, err = notify.ParseHeader(string(raw)); err != nil {
			return nil, usageErrorf("each line is like 'Authorization: Bearer ...'", "%s: %w", n.headers, err)
		}
	}
	var list []notify.Destination
	var to []string // by mail
	for _, word := range n.to {
		if scheme, _, ok := strings.Cut(word, "://"); ok {
			hook, err := notify.NewWebhook(word, header, "bouncelog/"+version())
			if err != nil {
				return nil, usageErrorf(notifyHint, "--notify %s://...: %w", scheme, err)
			}
			if !slices.ContainsFunc(list, func(d notify.Destination) bool { return d.ID() == hook.ID() }) {
				list = append(list, hook)
			}
			continue
		}
		to = append(to, strings.TrimPrefix(word, "mailto:"))
	}
	n.mail.to = to
	if len(to) > 0 {
		for _, a := range to {
			if _, err := parseAddresses(a); err != nil {
				return nil, usageErrorf(notifyHint, "--notify %q: %w", a, err)
			}
		}
		if err := n.mail.check(); err != nil {
			return nil, err
		}
		list = append(list, &mailbox{&n.mail})
	}
	return list, nil
}

// A mailbox is a destination that sends one mail to all its addresses.
type mailbox struct{ *mailing }

func (b *mailbox) ID() string     { return table.Cut("mail "+strings.Join(b.to, ","), 500) }
func (b *mailbox) String() string { return table.Clean(strings.Join(b.to, ", ")) }

func (b *mailbox) Send(ctx context.Context, e *notify.Event) error {
	msg, err := b.newMessage(e.Host, e.Subject())
	if err != nil {
		return err
	}
	// The same message, whenever it is sent: who has it already may leave it out.
	msg.SetMessageIDWithValue(e.ID + "@" + e.Host)
	if e.Group != "" {
		msg.SetGenHeader("References", "<"+e.Group+"@"+e.Host+">") // a thread for each incident
	}
	msg.SetDateWithValue(e.Time)
	text := table.Clean(e.Text) + "\n"
	if e.Details != "" {
		text += "\n" + e.Details
	}
	msg.SetBodyString(mail.TypeTextPlain, text+"\n-- \nbouncelog at "+e.Host+"; bouncelog-notify(1) says what is told, and when.\n")
	return b.deliver(ctx, msg)
}

func newNotify() *cobra.Command {
	var (
		in   input
		who  notifying
		flag thresholds
		test bool
	)
	cmd := &cobra.Command{
		Use:   "notify [DEST...]",
		Short: "Notify by mail or webhook when incidents begin and end",
		Long: `Searches once for incidents that began, grew or ended since the last run, notifies each
DEST, and ends. For a timer; 'follow --notify' does the same while it follows. The
database records what was sent: an incident is notified once when it begins and once
when it ends. A notification that cannot be sent is sent by the next run.

A DEST is a mail address, a user of this machine, or an http or https URL that gets
JSON (POST).`,
		Example: `  bouncelog notify --test root
  bouncelog notify postmaster@example.com https://hooks.example.com/bouncelog`,
		RunE: func(cmd *cobra.Command, args []string) error {
			stepBack()
			if len(args) > 0 {
				who.to = args
			}
			to, err := who.destinations()
			if err != nil {
				return err
			}
			if len(to) == 0 {
				return usageErrorf(notifyHint, "no address or URL is given")
			}
			if err := flag.check(); err != nil {
				return err
			}
			loc, err := in.location()
			if err != nil {
				return err
			}
			if test {
				return sendTest(cmd, to)
			}
			db, err := openWritable(cmd)
			if err != nil {
				return err
			}
			defer db.Close()
			n, err := newNotifier(db, to, flag.options(), loc, quietLogger(cmd), nil)
			if err != nil {
				return err
			}
			if err := n.Look(cmd.Context()); err != nil {
				return err
			}
			failed, _, err := n.Deliver(cmd.Context())
			if err := errors.Join(err, db.Close()); err != nil {
				return err
			}
			if failed > 0 {
				return &exitError{status: exitFailed, err: fmt.Errorf("%d not sent", failed), hint: "they are tried again the next time, for a day; 'bouncelog notify --test' tries a destination"}
			}
			return nil
		},
	}
	who.flags(cmd)
	cmd.Flags().BoolVar(&test, "test", false, "send only a test to each DEST")
	cmd.Flags().StringVar(&in.tz, "tz", "", "time zone of the notifications (default: local)")
	flag.flags(cmd)
	groupUsage(cmd, notifyGroups)
	return cmd
}

var notifyGroups = []flagGroup{
	{title: "Options", flags: []string{"notify", "notify-headers", "test", "mail-from", "sendmail", "smtp", "db", "tz"}},
	{title: "More, explained in bouncelog-notify(1)", named: []string{
		"logs:       --config",
		"thresholds: --problem-{recipients,messages,share,chance,window,past,valid}",
	}},
}

// quietLogger returns a logger for warnings only.
func quietLogger(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// newNotifier returns a Notifier. It also feeds an Announcer, unless that is nil, with the incidents
// it finds.
func newNotifier(db store.Store, to []notify.Destination, flag problem.Thresholds, loc *time.Location, log *slog.Logger, a *problem.Announcer) (*notify.Notifier, error) {
	o := notify.Options{To: to, Problems: flag, Location: loc, Host: hostName(), Log: log}
	if a != nil {
		o.Found = a.Take
	}
	return notify.New(db, o)
}

// sendTest sends a test notification to each destination and prints the results.
func sendTest(cmd *cobra.Command, to []notify.Destination) error {
	failed := 0
	e := notify.NewTest(hostName(), time.Now())
	for _, d := range to {
		ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
		err := d.Send(ctx, e)
		cancel()
		if err != nil {
			failed++
			fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %s: %s\n", d, cleanError(err))
			continue
		}
		fmt.Fprintf(cmd.OutOrStdout(), "sent to %s\n", d)
	}
	if failed > 0 {
		return &exitError{status: exitFailed, err: fmt.Errorf("%d of %d tests were not sent", failed, len(to)), hint: "--sendmail names the program, --smtp HOST:PORT a server; a URL must answer 2xx"}
	}
	return nil
}
