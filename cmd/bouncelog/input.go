package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"bouncelog/ingest"
	"bouncelog/internal/table"
	"bouncelog/internal/term"
	"bouncelog/judge"
	"bouncelog/parser"
	"bouncelog/store"
	"bouncelog/store/sqlite"
	"bouncelog/tailer"
)

// input holds the options for reading logs that import, follow, parse and report share.
type input struct {
	year  int
	tz    string
	rules string

	commitEvery    int // see ingest.Options; for tests
	keepMessageIDs bool
	pseudonymize   bool
	agent          string // see ingest.Options
}

func (in *input) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&in.year, "year", 0, "year of the first line, if its time has none (default: the file's)")
	f.StringVar(&in.tz, "tz", "", "time zone of log times without one, and of the report (default: local)")
	in.rulesFlag(cmd)
}

// keepFlags adds the options of commands that write to the database.
func (in *input) keepFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&in.keepMessageIDs, "keep-message-ids", false, "store the Message-ID of every attempt, not only of failed ones (about 25 bytes each)")
	f.BoolVar(&in.pseudonymize, "pseudonymize", false, "when the database is created: store a keyed hash instead of each local part, permanently")
	f.StringVar(&in.agent, "agent", "", "`NAME` of this host in a database on a server (default: the host name)")
}

func (in *input) rulesFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&in.rules, "rules", "", "a `FILE` with your own rules, which precede the built-in ones")
}

func (in *input) location() (*time.Location, error) {
	if in.tz == "" {
		return time.Local, nil
	}
	loc, err := time.LoadLocation(in.tz)
	if err != nil {
		return nil, usageErrorf("names are like Europe/Berlin or UTC", "--tz %s: no such time zone", in.tz)
	}
	return loc, nil
}

func (in *input) parserOptions() (parser.Options, error) {
	loc, err := in.location()
	if err != nil {
		return parser.Options{}, err
	}
	if in.year != 0 && (in.year < 1982 || in.year > 9999) {
		return parser.Options{}, usageErrorf("", "--year %d: not a year that mail was logged in", in.year)
	}
	return parser.Options{Year: in.year, Location: loc}, nil
}

func (in *input) judge() (*judge.Judge, error) {
	if in.rules == "" {
		return judge.New()
	}
	f, err := os.Open(in.rules)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// bounce takes a megabyte, and says so.
	raw, err := io.ReadAll(io.LimitReader(f, 2<<20))
	if err != nil {
		return nil, err
	}
	j, err := judge.New(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.rules, err)
	}
	return j, nil
}

// serverCommit is the number of attempts in one insert into a server. Larger inserts make fewer
// parts to merge: 138,000 attempts took 3.2 s of the server's CPU in inserts of 10,000 and 1.7 s in
// inserts of 50,000.
const serverCommit = 50_000

// read reads the files into db and returns the counts of this run. Files that cannot be read
// completely are named on standard error, and unread is true.
func (in *input) read(cmd *cobra.Command, db store.Store, judge *judge.Judge, paths []string) (n store.Source, unread bool, err error) {
	opts, err := in.parserOptions()
	if err != nil {
		return n, false, err
	}
	wait := waitForLock(cmd.Context(), cmd.ErrOrStderr())
	progress := newProgress(cmd.ErrOrStderr())
	var before store.Source
	again := !slices.Contains(paths, "-") // standard input cannot be read twice
	every := in.commitEvery
	if path, err := cmd.Flags().GetString("db"); err == nil && onServer(path) && every == 0 {
		every = serverCommit
	}
	for first := true; ; first = false {
		g, err := ingest.New(cmd.Context(), db, ingest.Options{
			Judge: judge, Parser: opts, Agent: in.agent, Whole: true, CommitEvery: every, Retry: wait,
		})
		if err != nil {
			return n, false, err
		}
		if first {
			before = g.Totals()
		}
		bad, err := in.readOnce(cmd, g, progress, paths)
		if again && wait(err) {
			continue
		}
		after := g.Totals()
		n = store.Source{
			Lines: after.Lines - before.Lines, Attempts: after.Attempts - before.Attempts, Unparsed: after.Unparsed - before.Unparsed,
		}
		return n, bad, err
	}
}

// readOnce reads the files, each from the position that the database has stored.
func (in *input) readOnce(cmd *cobra.Command, g *ingest.Ingester, progress *progress, paths []string) (unread bool, err error) {
	stderr := cmd.ErrOrStderr()
	check := ingest.NewInputCheck(g)
	var edited []tailer.Event
	o := tailer.ReadOptions{Stdin: cmd.InOrStdin(), Progress: progress.update, Event: func(e tailer.Event) {
		if e.Kind == tailer.EventDiffers || e.Kind == tailer.EventCopy || e.Kind == tailer.EventCut {
			edited = append(edited, e)
		}
	}}
	err = tailer.Read(cmd.Context(), paths, g.Positions(), o, func(c *tailer.Chunk) error {
		check.See(c)
		return g.Chunk(c)
	})
	progress.end()
	// What could be read is kept, whatever else went wrong.
	bad, err := pathErrors(err)
	err = g.Close(err)
	if errors.Is(err, store.ErrLocked) || errors.Is(err, store.ErrAway) {
		return false, err // it may be read again
	}
	for _, e := range edited {
		unread = tellOf(stderr, e) || unread
	}
	for _, e := range bad {
		unread = true
		complain(stderr, e)
	}
	if err != nil {
		return unread, err
	}
	for _, s := range check.Strange() {
		unread = true
		if s.Binary {
			fmt.Fprintf(stderr, "bouncelog: %s: not a log: binary data\nhint: compressed logs are read as they are (gzip, xz, zstd, bzip2); anything else must be text\n", cleanPath(s.Path))
			continue
		}
		what, hint := fmt.Sprintf("no line of Postfix or Exim in it (%d lines)", s.Lines), "is this the mail log? It is often /var/log/mail.log, /var/log/maillog or /var/log/exim4/mainlog"
		if s.NotUnderstood > 0 {
			what, hint = fmt.Sprintf("%d of %d lines with deliveries are not understood", s.NotUnderstood, s.Deliveries), "'bouncelog parse --unmatched' prints them"
		}
		if s.Encoding != "" {
			hint = hintEncoded(s.Encoding)
		}
		fmt.Fprintf(stderr, "bouncelog: %s: %s\nhint: %s\n", cleanPath(s.Path), what, hint)
	}
	return unread, nil
}

// tellOf prints an event of reading to standard error, and reports whether something was not read.
func tellOf(stderr io.Writer, e tailer.Event) (unread bool) {
	fmt.Fprintf(stderr, "bouncelog: %s\n", table.Clean(e.String()))
	if e.Kind != tailer.EventCut {
		return false
	}
	fmt.Fprintln(stderr, "hint: break it into lines first: 'jq -c .[]' does that with a list in JSON, 'tr' where another character stands for the line feed")
	return true
}

// pathErrors separates errors about single files, which do not stop the run, from all others.
func pathErrors(err error) (bad []*tailer.PathError, other error) {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, err := range list {
		var e *tailer.PathError
		if errors.As(err, &e) {
			bad = append(bad, e)
		} else {
			other = errors.Join(other, err)
		}
	}
	return bad, other
}

// complain prints an error about one of several inputs to standard error.
func complain(stderr io.Writer, err error) {
	fmt.Fprintf(stderr, "bouncelog: %s\n", cleanError(err))
	hint := hintFor(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "check the name; 'ls /var/log/mail* /var/log/exim4' shows the usual ones"
	case errors.Is(err, tailer.ErrDirectory):
		hint = "name the files in it, as in DIRECTORY/mail.log*"
	case errors.Is(err, tailer.ErrTruncated):
		hint = "the compressed file was cut short; what could be read is kept"
	}
	if hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
}

// progress shows a progress bar if standard error is a terminal.
type progress struct {
	bar *progressbar.ProgressBar
	out io.Writer
}

func newProgress(stderr io.Writer) *progress {
	if !term.Is(stderr) {
		return &progress{}
	}
	return &progress{out: stderr}
}

func (p *progress) update(read, total int64) {
	if p.out == nil {
		return
	}
	if p.bar == nil {
		if total <= 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.out), progressbar.OptionShowBytes(true), progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	p.bar.Set64(read)
}

func (p *progress) end() {
	if p.bar != nil {
		p.bar.Finish()
	}
}

// hintEncoded is what to do with lines in an encoding (parser.Encoding).
func hintEncoded(encoding string) string {
	return "the lines are in " + encoding + ": decode them, then read them"
}

// openForWriting opens the database of --db. A missing database and its directory are created. On
// an error retry decides whether to try again.
func (in *input) openForWriting(cmd *cobra.Command, judge *judge.Judge, retry func(error) bool) (store.Store, error) {
	path, err := cmd.Flags().GetString("db")
	if err != nil {
		return nil, err
	}
	made := false
	if onServer(path) || in.agent != "" {
		if in.agent, err = agentName(in.agent); err != nil {
			return nil, err
		}
	}
	if !onServer(path) {
		if err := makeDirectory(path); err != nil {
			return nil, err
		}
		_, err = os.Stat(path)
		made = errors.Is(err, fs.ErrNotExist)
	}
	var db store.Store
	for {
		db, err = openDatabase(cmd, path, sqlite.Options{
			KeepMessageIDs: in.keepMessageIDs, Pseudonymize: in.pseudonymize,
		})
		if err == nil || !retry(err) {
			break
		}
	}
	if stopped := cmd.Context().Err(); err != nil && stopped != nil {
		return nil, stopped
	}
	if err == nil && made {
		err = ownedLikeDirectory(path)
	}
	if err != nil {
		if db != nil {
			db.Close()
		}
		return nil, err
	}
	return db, nil
}

// openWritable opens the existing database of --db for changes.
func openWritable(cmd *cobra.Command) (store.Store, error) {
	path, err := cmd.Flags().GetString("db")
	if err != nil {
		return nil, err
	}
	if onServer(path) {
		there, err := openForReading(cmd)
		if err != nil {
			return nil, err
		}
		there.Close()
	} else if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w", path, store.ErrMissing)
	}
	judge, err := judge.New()
	if err != nil {
		return nil, err
	}
	return new(input).openForWriting(cmd, judge, func(error) bool { return false })
}
