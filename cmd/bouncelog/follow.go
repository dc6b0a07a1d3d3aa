package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bouncelog/ingest"
	"bouncelog/internal/metrics"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/judge"
	"bouncelog/notify"
	"bouncelog/parser"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/tailer"
)

// defaultLogs are tried in this order if no source is named.
var defaultLogs = []string{
	"/var/log/mail.log", "/var/log/maillog", "/var/log/exim4/mainlog", "/var/log/exim/main.log",
	"/var/log/exim/mainlog", "/var/log/exim_mainlog",
}

func newFollow() *cobra.Command {
	var (
		in      input
		flag    thresholds
		who     notifying
		sources []string
		retain  string
		show    string // where to show metrics
		o       tailer.FollowOptions
	)
	cmd := &cobra.Command{
		Use:   "follow [SOURCE...]",
		Short: "Catch up, then follow logs until stopped",
		Long: `Reads the lines written since the last run, then follows the logs until SIGTERM or
SIGINT. A SOURCE is a file (it need not exist yet), a glob in quotes, journal: (or
journal:NAMESPACE) or - for standard input. Without one, it looks for
/var/log/mail.log, /var/log/maillog, Exim's mainlog and the journal. A log that the mail
server does not write to any more is left out, with a warning.

Every line is counted once, through rotation, compression, restarts and crashes.
SIGHUP reopens the logs. A new problem that is probably not the recipients' fault is
logged as a warning, once.`,
		Example: `  bouncelog follow
  bouncelog follow /var/log/mail.log '/var/log/exim4/mainlog'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = sources
			}
			err := follow(cmd, args, &in, &flag, &who, retain, show, o)
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // stopped, perhaps before it had begun
			}
			return err
		},
	}
	in.flags(cmd)
	in.keepFlags(cmd)
	flag.flags(cmd)
	who.flags(cmd)
	cmd.Flags().StringArrayVar(&sources, "source", nil, "a `SOURCE` to follow where none is named; for the configuration file")
	cmd.Flags().StringVar(&retain, "retain", "", "once a day, remove attempts older than this (365d)")
	cmd.Flags().StringVar(&show, "metrics", "", "serve metrics for Prometheus at `ADDRESS`/metrics; :9154 is the loopback interface only")
	cmd.Flags().BoolVar(&o.Native, "native", false, "follow without the tail library: faster, and safest if logs are rotated by copytruncate")
	cmd.Flags().BoolVar(&o.NoHistory, "no-history", false, "ignore rotated files that exist when a log is followed for the first time")
	cmd.Flags().StringArrayVar(&o.Containers, "container", nil, "with journal:, also read the output of the container `NAME` (log driver journald of docker or podman); a pattern such as 'mail-*' is allowed; repeatable")
	cmd.Flags().StringSliceVar(&o.OldDirs, "olddir", nil, "a further `DIRECTORY` that rotated files are moved to (logrotate's olddir)")
	groupUsage(cmd, followGroups)
	return cmd
}

var followGroups = []flagGroup{
	{title: "Logs", flags: []string{"container", "olddir", "no-history", "native", "year", "tz"}},
	{title: "Database", flags: []string{"db", "retain", "keep-message-ids", "pseudonymize", "agent"}},
	{title: "Alarms", flags: []string{"notify", "metrics"}},
	{title: "More, explained in bouncelog-follow(1)", named: []string{
		"logs:       --source, --rules, --config",
		"mail:       --notify-headers, --mail-from, --sendmail, --smtp",
		"thresholds: --problem-{recipients,messages,share,chance,window,past,valid}",
	}},
}

// leastUnreadable is the number of lines with deliveries from which on follow warns that most lines of
// a log are not understood.
const leastUnreadable = 20

// notifyEvery is the shortest time between two searches for incidents to announce. It is a variable
// for tests.
var notifyEvery = time.Minute

func follow(cmd *cobra.Command, sources []string, in *input, flag *thresholds, who *notifying, retain, show string, o tailer.FollowOptions) error {
	ctx, stderr := cmd.Context(), cmd.ErrOrStderr()
	if retain != "" {
		if _, err := when.ParseTime(retain, time.Now()); err != nil {
			return usageErrorf("as in --retain 365d", "--retain: %w", err)
		}
	}
	if err := flag.check(); err != nil {
		return err
	}
	to, err := who.destinations()
	if err != nil {
		return err
	}
	limitHeap()
	log := newLogger(stderr)
	if len(sources) == 0 && len(o.Containers) > 0 {
		sources = []string{"journal:"}
	}
	if len(o.Containers) > 0 && !slices.ContainsFunc(sources, func(s string) bool { return strings.HasPrefix(s, "journal:") }) {
		return usageErrorf("name it: bouncelog follow --container NAME journal:", "--container: no journal is followed")
	}
	var passed []staleLog
	if len(sources) == 0 {
		found, stale, err := findLog(ctx)
		if err != nil {
			return err
		}
		passed = stale
		for _, s := range stale {
			log.Warn(s.path+" is not written any more, while "+s.beside+" is", "last_written", s.written.UTC().Format(time.RFC3339))
		}
		log.Info("no source named, following " + found)
		sources = []string{found}
	} else {
		warnStale(ctx, log, sources)
	}
	opts, err := in.parserOptions()
	if err != nil {
		return err
	}
	opts.MailServers = o.Containers
	judge, err := in.judge()
	if err != nil {
		return err
	}
	path, _ := cmd.Flags().GetString("db")
	f := &followed{
		cmd: cmd, sources: sources, in: in, flag: flag, retain: retain, tell: to, passed: passed, o: o,
		log: log, judge: judge, parser: opts, unit: newUnit(log),
		metrics: func() (*metrics.Metrics, error) { return serveMetrics(ctx, show, path, log) },
	}
	release, err := claim(path, log)
	if err != nil {
		return err
	}
	defer release()
	for {
		err := f.follow()
		if !errors.Is(err, store.ErrReplaced) || ctx.Err() != nil {
			return err
		}
		log.Error(cleanError(err))
		if slices.Contains(sources, "-") {
			return &exitError{status: exitFailed, err: errors.New("what was read from standard input cannot be read again"), hint: "start it again"}
		}
		if err := settled(ctx, path); err != nil {
			return err
		}
		log.Info("going on with what is there now", "database", cleanPath(path))
	}
}

// claim prevents a second daemon on the database at path. Two daemons would count correctly, but
// would read every log twice and wait for each other's locks.
func claim(path string, log *slog.Logger) (release func() error, err error) {
	if onServer(path) {
		return func() error { return nil }, nil // many follow into it, and what two read counts once
	}
	if err := makeDirectory(path); err != nil {
		return nil, err
	}
	if strings.HasPrefix(path, ":") {
		return func() error { return nil }, nil // no file
	}
	c, err := sqlite.TakeClaim(path)
	if errors.Is(err, errors.ErrUnsupported) {
		log.Warn("a second daemon would not be noticed", "error", cleanError(err))
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	return c.Release, ownedLikeDirectory(c.Name())
}

// A followed holds what follow needs for each database, if the database is replaced while follow
// runs.
type followed struct {
	cmd     *cobra.Command
	sources []string
	in      *input
	flag    *thresholds
	retain  string
	tell    []notify.Destination
	passed  []staleLog // logs that are not followed
	o       tailer.FollowOptions

	log     *slog.Logger
	judge   *judge.Judge
	parser  parser.Options
	unit    *unit
	metrics func() (*metrics.Metrics, error) // starts to show them, the first time
	shown   *metrics.Metrics
}

// settleTime is how long the file at path must keep its inode, size and time before it counts as
// the new database. An admin who replaces a database by hand removes the old file first and then
// copies the new one.
const settleTime = 5 * time.Second

// settled waits until the file at path has not changed for settleTime.
func settled(ctx context.Context, path string) error {
	look := func() (s string) {
		if st, err := os.Stat(path); err == nil {
			s = fmt.Sprint(st.Size(), st.ModTime(), st.Sys().(*syscall.Stat_t).Ino)
		}
		return s
	}
	tick := time.NewTicker(settleTime / 10)
	defer tick.Stop()
	was, since := look(), time.Now()
	for time.Since(since) < settleTime {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if is := look(); is != was {
			was, since = is, time.Now()
		}
	}
	return nil
}

// follow writes to one database until the command is stopped or the database is replaced
// (store.ErrReplaced).
func (f *followed) follow() error {
	cmd, ctx, in, flag, log, unit, o := f.cmd, f.cmd.Context(), f.in, f.flag, f.log, f.unit, f.o
	wait := &waiting{ctx: ctx, log: log, unit: unit}
	db, err := in.openForWriting(cmd, f.judge, wait.retry)
	if err != nil {
		return err
	}
	defer db.Close()
	health := newHealth(log, db)
	// A database that replaces a pseudonymized one is pseudonymized too.
	in.pseudonymize = in.pseudonymize || health.pseudonymized()
	if f.shown == nil {
		if f.shown, err = f.metrics(); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	m := f.shown
	health.metrics = m
	stored, err := storedCounter(ctx, m, db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	g, err := ingest.New(ctx, db, ingest.Options{
		Judge: f.judge, Parser: f.parser, Agent: in.agent, Retry: wait.retry,
		Stored: func(b *store.Batch, took time.Duration) {
			wait.over()
			stored(b, took)
		},
	})
	if err != nil {
		return err
	}
	wait.over()

	reopen, stop := onHangup()
	defer stop()
	old := &retention{keep: f.retain, log: log}
	if f.retain != "" {
		if old.pruner, err = can[store.Pruner](db, "forget"); err != nil {
			return errors.Join(g.Close(err), db.Close())
		}
	}
	problems := newAnnouncer(log, db, flag.options(), m)
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	var notifying sync.WaitGroup
	defer notifying.Wait()
	var lags atomic.Bool
	lags.Store(true)
	if len(f.tell) > 0 {
		n, err := newNotifier(db, f.tell, flag.options(), f.parser.Location, log, problems)
		if err != nil {
			return errors.Join(g.Close(err), db.Close())
		}
		notifying.Go(func() { n.Run(watching, notifyEvery, func() bool { return !lags.Load() }) })
	}
	for _, s := range f.passed {
		if slices.ContainsFunc(g.Positions(), func(p tailer.Position) bool { return strings.HasPrefix(p.Path, s.path) }) && s.written.After(o.JournalSince) {
			o.JournalSince = s.written // lines in both were counted already
		}
	}
	warned := map[string]bool{} // paths of logs that are not understood
	o.Stdin, o.Reopen = cmd.InOrStdin(), reopen
	o.Event = func(e tailer.Event) { logEvent(log, e) }
	o.Idle = func(behind int64) error {
		unit.behind(behind)
		unit.alive()
		m.Behind(behind)
		m.Alive()
		lags.Store(behind >= lagging)
		for _, s := range g.Unreadable(leastUnreadable) {
			if !warned[s.Path] {
				warned[s.Path] = true
				log.Warn(fmt.Sprintf("%s: %d of %d lines with deliveries are not understood; 'bouncelog parse --unmatched' prints them", table.Clean(s.Path), s.NotUnderstood, s.Deliveries), "event", "not-understood")
			}
		}
		if behind < lagging && len(f.tell) == 0 { // catching up comes first; the Notifier searches for the Announcer too
			problems.Look(watching)
		}
		old.prune(ctx)
		if err := health.check(); err != nil {
			return err
		}
		return errors.Join(g.Flush(), g.Failed())
	}
	err = tailer.Follow(ctx, f.sources, g.Positions(), o, g.Chunk)
	unit.stopping()
	stopWatching()
	problems.Wait() // it reads the database
	notifying.Wait()
	return errors.Join(g.Close(err), db.Close())
}

// onHangup returns a channel that yields after a SIGHUP, until stop is called.
func onHangup() (reopen <-chan struct{}, stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	c := make(chan struct{}, 1)
	go func() {
		for range hup {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}()
	return c, func() {
		signal.Stop(hup)
		close(hup)
	}
}

// A retention removes old attempts once a day.
type retention struct {
	keep   string // the age, as in --retain; "": attempts are never removed
	pruner store.Pruner
	next   time.Time
	log    *slog.Logger
}

// prune removes the old attempts if it is time. It logs an error and tries again in an hour, since
// new attempts matter more than old ones.
func (x *retention) prune(ctx context.Context) {
	if x.keep == "" || time.Now().Before(x.next) {
		return
	}
	x.next = time.Now().Add(24 * time.Hour)
	before, err := when.ParseTime(x.keep, time.Now())
	if err == nil {
		var n int64
		if n, err = x.pruner.Prune(ctx, before); n > 0 {
			x.log.Info("old attempts removed", "attempts", n)
		}
	}
	if err != nil && ctx.Err() == nil {
		x.next = time.Now().Add(time.Hour)
		x.log.Error("cannot remove old attempts, trying again in an hour", "error", cleanError(err))
	}
}

// waiting is the state of the daemon while the database is locked or does not answer, or the disk
// is full. What was read is kept, nothing more is read, and each error is logged once.
type waiting struct {
	ctx   context.Context
	log   *slog.Logger
	unit  *unit
	since time.Time
	said  string
}

// retry waits a second and reports whether to try again.
func (w *waiting) retry(err error) bool {
	if !errors.Is(err, store.ErrLocked) && !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrAway) {
		return false
	}
	if w.since.IsZero() {
		w.since = time.Now()
	}
	if said := err.Error(); w.said != said {
		w.said = said
		w.log.Error("cannot store, trying again", "error", table.Clean(said))
	}
	w.unit.waiting()
	select {
	case <-w.ctx.Done():
		return false
	case <-time.After(time.Second):
		return true
	}
}

// over logs that storing works again.
func (w *waiting) over() {
	if !w.since.IsZero() {
		w.log.Info("storing again", "after", time.Since(w.since).Round(time.Second))
		w.since, w.said = time.Time{}, ""
	}
}

// logEvent logs an event of a followed log.
func logEvent(log *slog.Logger, e tailer.Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case tailer.EventLost, tailer.EventDenied, tailer.EventDiffers:
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, table.Clean(e.String()), "event", string(e.Kind))
}

// A staleLog is a log that the mail server no longer writes to.
type staleLog struct {
	path    string
	written time.Time // last
	beside  string    // where it logs
}

// staleAfter is how much newer another log must be for a log to count as stale.
const staleAfter = 24 * time.Hour

// journalDir exists where the journal is stored. It is a variable for tests.
var journalDir = "/run/systemd/journal"

// journalWritten returns when the mail server last logged to the journal; zero: never.
func journalWritten(ctx context.Context) time.Time {
	if _, err := os.Stat(journalDir); err != nil {
		return time.Time{}
	}
	t, err := tailer.NewestJournalEntry(ctx)
	if err != nil {
		return time.Time{}
	}
	return t
}

// findLog returns the log of this machine: the first of the usual paths that is still written to.
// It also returns the stale logs that were passed over.
func findLog(ctx context.Context) (found string, stale []staleLog, err error) {
	type place struct {
		path    string
		written time.Time
	}
	var list []place
	for _, path := range defaultLogs {
		if st, err := os.Stat(path); err == nil {
			list = append(list, place{path, st.ModTime()})
		}
	}
	if len(list) == 0 {
		if _, err := os.Stat(journalDir); err == nil {
			return "journal:", nil, nil
		}
		return "", nil, &exitError{
			status: exitFailed, err: fmt.Errorf("no mail log found: none of %v, and no journal", defaultLogs),
			hint: "name it: bouncelog follow FILE",
		}
	}
	if t := journalWritten(ctx); !t.IsZero() {
		list = append(list, place{"journal:", t})
	}
	newest := list[0]
	for _, p := range list {
		if p.written.After(newest.written) {
			newest = p
		}
	}
	for _, p := range list {
		if newest.written.Sub(p.written) < staleAfter {
			return p.path, stale, nil
		}
		stale = append(stale, staleLog{p.path, p.written, newest.path})
	}
	return newest.path, stale, nil
}

// warnStale warns about a source that is no longer written to while the mail server logs to the
// journal.
func warnStale(ctx context.Context, log *slog.Logger, sources []string) {
	if slices.ContainsFunc(sources, func(s string) bool { return strings.HasPrefix(s, "journal:") }) {
		return
	}
	var journal time.Time
	for _, path := range sources {
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() || time.Since(st.ModTime()) < staleAfter {
			continue
		}
		if journal.IsZero() {
			if journal = journalWritten(ctx); journal.IsZero() {
				return
			}
		}
		if journal.Sub(st.ModTime()) >= staleAfter {
			log.Warn(cleanPath(path)+" is not written any more, while the mail server logs to the journal: bouncelog follow journal:", "last_written", st.ModTime().UTC().Format(time.RFC3339))
		}
	}
}

// newLogger returns the daemon's logger. It prints no time stamp under systemd, which adds its own.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && os.Getenv("JOURNAL_STREAM") != "" {
				return slog.Attr{}
			}
			return a
		},
	}))
}
