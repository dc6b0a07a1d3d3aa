//go:build linux

// Command run measures bouncelog side by side with the programs that do parts
// of its work, and with the least that the work can cost: on the same logs, in
// one run, on one machine, interleaved. It writes bench/RESULTS.md.
//
// Run it from the root of the module, where "make bench" does:
//
//	go run ./bench/run [-bytes 1G] [-big 8G] [-rows 100M] [-rounds 5] [-o bench/RESULTS.md] [-only REGEXP]
//
// The peers are downloaded as Debian packages and unpacked, not installed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// options say how much is measured. Sizes are decimal: 500, 100M, 1.5G.
type options struct {
	bytes  string // of each log
	big    string // of a bigger one; none if empty
	rows   string // attempts in a database that is imported into; none if empty
	rounds int
	out    string
	dir    string
	only   string
}

// String is the command with these options.
func (o options) String() string {
	s := "go run ./bench/run -bytes " + o.bytes
	for _, f := range [][2]string{{"big", o.big}, {"rows", o.rows}, {"only", o.only}} {
		if f[1] != "" {
			s += " -" + f[0] + " " + f[1]
		}
	}
	return s + fmt.Sprintf(" -rounds %d", o.rounds)
}

func main() {
	log.SetFlags(log.Ltime)
	var o options
	flag.StringVar(&o.bytes, "bytes", orElse(os.Getenv("BENCH_BYTES"), "1G"), "size of each log ($BENCH_BYTES)")
	flag.StringVar(&o.big, "big", "", "import a Postfix log of this `size` too, and put the questions to its database")
	flag.StringVar(&o.rows, "rows", "", "import into a database of this `number` of attempts too")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; each runs everything once, but what takes long runs in the first 3 only, and what takes milliseconds 20 times")
	flag.StringVar(&o.out, "o", "bench/RESULTS.md", "file to write")
	flag.StringVar(&o.dir, "dir", "", "keep the logs and programs here, and find them here again (default: a temporary directory)")
	flag.StringVar(&o.only, "only", "", "measure only the subjects whose section and name, as in \"Exim log: wc -l\", match")
	flag.Parse()
	if err := run(o); err != nil {
		log.Fatal("bench: ", err)
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func run(o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	if o.rounds < 1 {
		return errors.New("-rounds: less than one")
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "bouncelog-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	} else if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	b := &bench{options: o, env: append(os.Environ(), "LC_ALL=C", "HOME="+o.dir, "TZ=UTC")}
	if err := b.prepare(only); err != nil {
		return err
	}
	most := 0
	for _, s := range b.subjects {
		most = max(most, s.rounds)
	}
	for round := range most {
		for _, s := range b.subjects {
			if round >= s.rounds {
				continue
			}
			r, err := b.measure(s)
			if err != nil {
				return fmt.Errorf("%s: %w", s.key(), err)
			}
			s.runs = append(s.runs, r)
			log.Printf("round %d: %-45s %8.2f s %6d MB", round+1, s.key(), r.wall.Seconds(), r.peak>>20)
		}
	}
	return b.write()
}

// A bench is the place where things are measured.
type bench struct {
	options
	env []string

	binary   int64              // bytes of bouncelog
	logs     map[string]logFile // by name
	checks   []string           // what was found to agree with the truth
	many     int64              // attempts in the database that was multiplied
	copies   int64              // of the largest log's, in it
	traced   int64              // attempts of the recipient that is traced
	sections []section
	subjects []*subject // of all sections, in order
	versions []string
}

// A logFile is a log, and what bouncelog finds in it.
type logFile struct {
	bytes, lines, attempts int64
}

// A subject is a command that is measured.
type subject struct {
	section string     // where it stands
	name    string     // what it is
	rounds  int        // how often it runs
	before  string     // for sh, before each run; not measured
	command string     // for sh, in the bench's directory
	until   string     // it is done when it has said this on standard error; then it is told to stop
	readers string     // for sh: four processes run this meanwhile, from when db is there
	input   string     // the log it reads
	db      string     // where it stores the log's attempts
	limits  []*subject // the least that its work can cost: the sum of these

	runs []result
}

func (s *subject) key() string { return s.section + ": " + s.name }

// A result is one run. Peak is the largest resident set of one process, in
// bytes; size is that of the database afterwards.
type result struct {
	wall, cpu time.Duration
	peak      int64
	size      int64
	reports   int // that the readers made
}

// sh runs a command in the bench's directory and gives what it prints.
func (b *bench) sh(command string) ([]byte, error) {
	cmd := b.command(command)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w: %s", command, err, exit.Stderr)
	}
	return out, err
}

func (b *bench) command(command string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir, cmd.Env = b.dir, b.env
	return cmd
}

// measure runs a subject once. Its output goes through a pipe: grep -c stops
// at the first match where it sees /dev/null.
func (b *bench) measure(s *subject) (result, error) {
	if _, err := b.sh(s.before); err != nil {
		return result{}, err
	}
	held, err := b.held(s.db)
	if err != nil {
		return result{}, err
	}
	var r result
	cmd := b.command(s.command)
	said := &awaited{text: s.until}
	cmd.Stderr = said
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	begin := time.Now()
	said.seen = func() {
		r.wall = time.Since(begin)
		cmd.Process.Signal(syscall.SIGTERM)
	}
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	var readers *readers
	if s.readers != "" {
		readers = b.read(s.readers, s.db)
	}
	buf := make([]byte, 1<<16)
	for {
		if _, err := pipe.Read(buf); err != nil {
			break
		}
	}
	err = cmd.Wait()
	if s.until == "" {
		r.wall = time.Since(begin)
	} else if r.wall == 0 {
		err = errors.Join(err, fmt.Errorf("it did not say %q", s.until))
	}
	if err != nil {
		err = fmt.Errorf("%w: %.500s", err, said)
	}
	if readers != nil {
		var failed error
		r.reports, failed = readers.end()
		err = errors.Join(err, failed)
	}
	if err != nil {
		return result{}, err
	}
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peak = usage.Maxrss << 10
	}
	if s.db == "" {
		return r, nil
	}
	// What it took to store something else is worth nothing.
	holds, err := b.held(s.db)
	if err != nil {
		return result{}, err
	}
	if want := b.logs[s.input].attempts; holds-held != want {
		return result{}, fmt.Errorf("it stored %d attempts, and %s has %d", holds-held, s.input, want)
	}
	r.size, err = b.sizeOf(s.db)
	return r, err
}

// held counts the attempts in a database, which need not be there.
func (b *bench) held(db string) (n int64, err error) {
	if db == "" || !b.exists(db) {
		return 0, nil
	}
	return b.number("./bouncelog --db " + db + ` query --format tsv --no-header "SELECT coalesce(sum(attempts), 0) FROM sources"`)
}

// sizeOf is how many bytes a database takes, with what has not been copied from
// its write-ahead log.
func (b *bench) sizeOf(db string) (n int64, err error) {
	for _, name := range []string{db, db + "-wal"} {
		st, err := os.Stat(filepath.Join(b.dir, name))
		if err == nil {
			n += st.Size()
		} else if name == db {
			return 0, err
		}
	}
	return n, nil
}

func (b *bench) exists(name string) bool {
	_, err := os.Stat(filepath.Join(b.dir, name))
	return err == nil
}

// number runs a command that prints one.
func (b *bench) number(command string) (n int64, err error) {
	out, err := b.sh(command)
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(string(out), &n); err != nil {
		return 0, fmt.Errorf("%s: %q: %w", command, out, err)
	}
	return n, nil
}

// awaited keeps what is written, and calls seen when text is in it.
type awaited struct {
	strings.Builder
	text string
	seen func()
}

func (a *awaited) Write(p []byte) (int, error) {
	a.Builder.Write(p)
	if a.text != "" && strings.Contains(a.String(), a.text) {
		a.text = ""
		a.seen()
	}
	return len(p), nil
}

// readers are processes that read a database while it is written.
type readers struct {
	group sync.WaitGroup
	stop  chan struct{}

	mu   sync.Mutex
	made int
	err  error
}

// read has four processes run a command again and again from the moment that
// there is a database, once at least.
func (b *bench) read(command, db string) *readers {
	r := &readers{stop: make(chan struct{})}
	for range 4 {
		r.group.Go(func() {
			for stopped := false; !b.exists(db); {
				if stopped {
					return
				}
				stopped = r.stopped(time.Millisecond)
			}
			for stopped := false; !stopped; stopped = r.stopped(0) {
				_, err := b.sh(command)
				r.mu.Lock()
				r.made++
				r.err = errors.Join(r.err, err)
				r.mu.Unlock()
			}
		})
	}
	return r
}

// stopped waits for the end of the readers, and says whether it has come.
func (r *readers) stopped(wait time.Duration) bool {
	select {
	case <-r.stop:
		return true
	case <-time.After(wait):
		return false
	}
}

// end waits for the readers, and gives the number of reports and why any failed.
func (r *readers) end() (int, error) {
	close(r.stop)
	r.group.Wait()
	return r.made, r.err
}
