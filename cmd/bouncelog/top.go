package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bouncelog/ingest"
	"bouncelog/internal/table"
	"bouncelog/internal/term"
	"bouncelog/internal/when"
	"bouncelog/judge"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/tailer"
	"bouncelog/top"
)

// topFlags holds the options of top.
type topFlags struct {
	in         input
	sel        selection
	flag       thresholds
	once, all  bool
	view       string
	window     string
	size       string
	open       []string
	only, sort string
}

func newTop() *cobra.Command {
	var x topFlags
	cmd := &cobra.Command{
		Use:   "top [FILE]",
		Short: "Show deliveries live in a terminal",
		Long: `Shows deliveries live: rates, incidents, and who refuses, by provider, domain, reason,
sender and reply, with the queue by age; enter leads from a provider to its replies, their
recipients and one message. ? lists the keys.

Reads the database while 'bouncelog follow' writes it, also for several admins at once,
and sends no query while no attempt is stored. With a FILE it follows that log by itself into
a temporary database.`,
		Example: `  bouncelog top
  bouncelog top --window 15m /var/log/mail.log
  bouncelog top --once --view queue --size 200x60`,
		Args: needArgs(0, 1, "a log file"),
		RunE: x.run,
	}
	x.in.flags(cmd)
	x.sel.placeFlags(cmd)
	x.flag.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&x.once, "once", false, "print one frame and end")
	f.StringVar(&x.view, "view", "providers", "begin with the table `NAME`: "+strings.Join(top.Views(), ", "))
	f.StringVar(&x.window, "window", "1h", "begin with this `TIME` up to now: "+strings.Join(top.Windows(), ", "))
	f.StringVar(&x.sel.since, "since", "", "with --until: show what is from this `TIME` on, instead of a window up to now")
	f.StringVar(&x.sel.until, "until", "", "and before this `TIME`")
	f.StringArrayVar(&x.open, "open", nil, "open what enter would: `KIND=NAME` with provider, domain, sender, reason, queue, and reply (repeatable)")
	f.StringVar(&x.only, "filter", "", "show only rows with a `WORD`; !WORD leaves them out")
	f.StringVar(&x.sort, "sort", "", "sort the rows by the `COLUMN` with this heading (default: the worst first)")
	f.BoolVar(&x.all, "all", false, "with --once: print all rows of the table, and nothing else")
	f.StringVar(&x.size, "size", "", "with --once: `SIZE` of the frame, as in 80x24 (default: the terminal's, else 80x24)")
	groupUsage(cmd, topGroups)
	return cmd
}

func (x *topFlags) run(cmd *cobra.Command, args []string) error {
	o, err := x.options(cmd)
	if err != nil {
		return err
	}
	width, height, err := x.frame(cmd)
	if err != nil {
		return err
	}
	rules, err := x.in.judge()
	if err != nil {
		return err
	}
	o.Explain = rules.Explain
	for _, path := range args {
		if err := openable(path); err != nil { // an error is printed before a frame is drawn
			return err
		}
		o.Commands.DB, o.Commands.Files = nil, append(o.Commands.Files, table.ShellWord(path))
	}
	switch {
	case x.once:
		stepBack()
		return topOnce(cmd, &x.in, o, args, width, height)
	case len(args) > 0:
		return topFile(cmd, &x.in, rules, o, args[0])
	}
	return topDatabase(cmd, o)
}

// frame returns the size of the screen or of the printed frame. Its error says that there is no
// place for one.
func (x *topFlags) frame(cmd *cobra.Command) (width, height int, err error) {
	width, height, err = screenSize(cmd, x.size)
	switch {
	case err != nil:
		return 0, 0, err
	case x.once && !x.all && (width < top.LeastWidth || height < top.LeastHeight):
		return 0, 0, usageErrorf(fmt.Sprintf("say --size %dx%d or more, or --all", top.LeastWidth, top.LeastHeight), "a frame of %dx%d is too small", width, height)
	case !x.once && !(term.Is(cmd.OutOrStdout()) && term.IsInput(cmd.InOrStdin())):
		return 0, 0, &exitError{status: exitUsage, err: errors.New("top: standard input and output are not a terminal"), hint: "'bouncelog top --once' prints one frame"}
	case !x.once && os.Getenv("TERM") == "dumb":
		return 0, 0, &exitError{status: exitUsage, err: errors.New("top: this terminal cannot move its cursor (TERM=dumb)"), hint: "'bouncelog top --once' prints one frame"}
	}
	return width, height, nil
}

// options checks the options and returns those of package top, without the database and the rules.
func (x *topFlags) options(cmd *cobra.Command) (o top.Options, err error) {
	if err := x.flag.check(); err != nil {
		return o, err
	}
	filter, loc, err := x.sel.filter(&x.in)
	if err != nil {
		return o, err
	}
	period := when.Period{Since: filter.Since, Until: filter.Until}
	filter.Since, filter.Until = time.Time{}, time.Time{}
	switch {
	case period.Since.IsZero() != period.Until.IsZero():
		return o, usageErrorf("or --window alone, which ends now", "--since and --until go together")
	case !period.Since.IsZero() && cmd.Flags().Changed("window"):
		return o, usageErrorf("say either the one or the other", "--window does not go with --since and --until")
	case x.all && !x.once:
		return o, usageErrorf("'bouncelog top --once --all' prints all rows", "--all goes with --once")
	case !slices.Contains(top.Views(), x.view):
		return o, usageErrorf("valid values: "+strings.Join(top.Views(), ", "), "--view: unknown table %q", x.view)
	}
	length, err := duration(x.window)
	if err != nil || !slices.Contains(top.Windows(), strings.TrimSpace(x.window)) {
		return o, usageErrorf("valid values: "+strings.Join(top.Windows(), ", "), "--window: not a window: %q", x.window)
	}
	o = top.Options{
		Location: loc, Filter: filter, Thresholds: x.flag.options(), View: x.view, Window: length, Colour: term.Colour(cmd.OutOrStdout()),
		Work: processorTime, Since: period.Since, Until: period.Until, Open: x.open, Only: x.only, Sort: x.sort, All: x.all,
		Commands: top.CommandWords{
			DB: changed(cmd, []string{"db", "db-password-file"}), Rerun: changed(cmd, selectOptions), Zone: changed(cmd, []string{"config", "tz"}),
			Rules: changed(cmd, []string{"rules"}), Thresholds: changed(cmd, problemOptions()),
		},
	}
	if err := o.Check(); err != nil {
		return o, usageErrorf("one of "+strings.Join(top.Opens(), "=, ")+"=, and reply= upon one of the others but queue=", "--open: %w", err)
	}
	return o, nil
}

// topGroups are the groups of options in top's help text.
var topGroups = []flagGroup{
	{title: "Logs", flags: []string{"db", "year", "tz"}},
	{title: "Selection", flags: []string{"domain", "sender-domain", "relay", "host", "mta"}},
	{title: "Screen", flags: []string{"view", "window", "since", "until", "open", "filter", "sort", "once", "all", "size"}},
	{title: "More, explained in bouncelog-top(1)", named: []string{
		"logs:       --rules, --config",
		"thresholds: --problem-{recipients,messages,share,chance,window,past,valid}",
	}},
}

// screenSize returns the size of a printed frame.
func screenSize(cmd *cobra.Command, size string) (width, height int, err error) {
	if size == "" {
		width, height = term.Size(cmd.OutOrStdout())
		return width, height, nil
	}
	w, h, _ := strings.Cut(size, "x")
	width, err = strconv.Atoi(w)
	if err == nil {
		height, err = strconv.Atoi(h)
	}
	if err != nil || width < 1 || height < 1 || width > 1000 || height > 1000 {
		return 0, 0, usageErrorf("as in --size 80x24; 1000x1000 at most", "--size %s: not a size", size)
	}
	return width, height, nil
}

// processorTime returns the CPU time of this process, all threads together.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// terminalOf returns standard output if it is a terminal. top uses it directly, without the spool:
// it asks for the size and changes the mode.
func terminalOf(cmd *cobra.Command) io.Writer {
	if s, ok := cmd.OutOrStdout().(*spool); ok {
		return s.to
	}
	return cmd.OutOrStdout()
}

// openable returns an error if the file at path cannot be opened. Standard input and journals are
// not checked.
func openable(path string) error {
	if path == "-" || strings.HasPrefix(path, "journal:") {
		return nil
	}
	f, err := os.Open(path)
	if err == nil {
		var st os.FileInfo
		if st, err = f.Stat(); err == nil && st.IsDir() {
			err = &tailer.PathError{Path: path, Err: tailer.ErrDirectory}
		}
		err = errors.Join(err, f.Close())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &exitError{status: exitPartly, err: err, hint: "check the name; 'ls /var/log/mail* /var/log/exim4' shows the usual ones"}
	}
	return &exitError{status: exitPartly, err: err}
}

// topOnce prints one frame of the database, or of a log that is read once.
func topOnce(cmd *cobra.Command, in *input, o top.Options, paths []string, width, height int) error {
	db, unread, err := in.database(cmd, paths)
	if err != nil {
		return err
	}
	defer db.Close()
	o.Read = db.Read
	if err := top.Once(cmd.Context(), cmd.OutOrStdout(), o, width, height); errors.Is(err, top.ErrSort) {
		return usageErrorf("a column has the name of its heading on the screen", "--sort: %w", err)
	} else if err != nil {
		return err
	}
	if unread {
		return &exitError{status: exitPartly}
	}
	return db.Close()
}

// topDatabase shows the database of --db.
func topDatabase(cmd *cobra.Command, o top.Options) error {
	path, _ := cmd.Flags().GetString("db")
	db := &readable{path: path, open: func(ctx context.Context) (store.Store, error) {
		return openDatabaseUnder(ctx, cmd, path, sqlite.Options{ReadOnly: true})
	}}
	defer db.close()
	r, err := db.read(cmd.Context()) // an error is printed before the screen is taken
	if err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	o.Read, o.Watch = db.read, db.watch
	if onServer(path) { // the work is the server's
		o.Work = nil
	}
	return top.Run(cmd.Context(), cmd.InOrStdin(), terminalOf(cmd), o)
}

// topKeeps is the age at which attempts of a log that top follows by itself are removed: a refusal
// is compared with that much of the past. The rows are in SQLite's temporary database: in memory up
// to the size of its cache (16 MB), otherwise in an unnamed file.
const (
	topKeeps  = 29 * 24 * time.Hour
	topPrunes = time.Hour
	// topPolls is the interval between two looks at the log while lines come. The screen changes
	// once a second, so a shorter one is of no use; 20 looks a second took a quarter of an idle
	// top's CPU time.
	topPolls = 200 * time.Millisecond
)

// topFile follows a log without a database.
func topFile(cmd *cobra.Command, in *input, rules *judge.Judge, o top.Options, path string) error {
	if path == "-" || strings.HasPrefix(path, "journal:") {
		return usageErrorf("'bouncelog follow "+path+"' into a database, and top beside it", "top: %s cannot be followed on a screen", path)
	}
	opts, err := in.parserOptions()
	if err != nil {
		return err
	}
	limitHeap()
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	db, err := sqlite.Open(ctx, "", sqlite.Options{Temporary: true})
	if err != nil {
		return err
	}
	defer db.Close()
	var stored, behind atomic.Int64
	if st, err := os.Stat(path); err == nil {
		behind.Store(st.Size())
	}
	g, err := ingest.New(ctx, db, ingest.Options{Judge: rules, Parser: opts, Stored: func(*store.Batch, time.Duration) { stored.Add(1) }})
	if err != nil {
		return err
	}
	var failed atomic.Pointer[error]
	o.Read = func(ctx context.Context) (store.Reader, error) {
		if err := failed.Load(); err != nil {
			return nil, *err
		}
		return db.Read(ctx)
	}
	o.Watch = func(context.Context) (func() (int64, error), func(), error) {
		return func() (int64, error) { return stored.Load(), nil }, func() {}, nil
	}
	news := &logNews{}
	o.Behind, o.Name, o.News, o.Left = behind.Load, filepath.Base(path), news.say, news.left
	next := time.Now().Add(topPrunes)
	follow := tailer.FollowOptions{Native: true, NoHistory: true, Poll: topPolls, Event: news.take, Idle: func(n int64) error {
		behind.Store(n)
		if now := time.Now(); now.After(next) {
			next = now.Add(topPrunes)
			if _, err := db.Prune(ctx, now.Add(-topKeeps)); err != nil {
				return err
			}
		}
		return errors.Join(g.Flush(), g.Failed())
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := tailer.Follow(ctx, []string{path}, g.Positions(), follow, g.Chunk)
		if err = g.Close(err); err != nil && ctx.Err() == nil {
			err = fmt.Errorf("follow %s: %w", path, err)
			failed.Store(&err)
			stored.Add(1)
		}
	}()
	err = top.Run(ctx, cmd.InOrStdin(), terminalOf(cmd), o)
	stop()
	<-done
	return errors.Join(err, db.Close())
}

// logNews holds events of the followed log for the head of the screen.
type logNews struct {
	mu    sync.Mutex
	text  string
	bad   bool
	until time.Time // when it is no news any more; zero: as long as it holds
	moved time.Time // when lines that were read left the log the last time
}

// How long the head of the screen shows an event.
const (
	newsShown = time.Minute
	lossShown = 10 * time.Minute
)

// take records an event.
func (n *logNews) take(e tailer.Event) {
	text := filepath.Base(e.Path) + " " + e.Text
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	switch e.Kind {
	case tailer.EventRotated, tailer.EventTruncated, tailer.EventDiffers, tailer.EventLost:
		n.moved = now
	}
	if loss := n.bad && now.Before(n.until); loss && e.Kind != tailer.EventLost && e.Kind != tailer.EventMissing && e.Kind != tailer.EventDenied {
		return // that matters longer
	}
	switch e.Kind {
	case tailer.EventMissing, tailer.EventDenied:
		n.text, n.bad, n.until = text, true, time.Time{}
	case tailer.EventLost, tailer.EventDiffers:
		n.text, n.bad, n.until = text, true, now.Add(lossShown)
	case tailer.EventRegained:
		if n.bad || !now.Before(n.until) { // else it is said why it was away
			n.text, n.bad, n.until = text, false, now.Add(newsShown)
		}
	case tailer.EventRotated, tailer.EventTruncated:
		n.text, n.bad, n.until = text, false, now.Add(newsShown)
	}
}

// left returns when lines that were already read last disappeared from the log; zero: never.
func (n *logNews) left() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.moved
}

// say returns the text to show now. Bad means that something is wrong with the log.
func (n *logNews) say() (text string, bad bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.until.IsZero() && !time.Now().Before(n.until) {
		return "", false
	}
	return n.text, n.bad
}
