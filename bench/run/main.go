//go:build linux

// Command run measures bouncelog side by side with the programs that do parts
// of its work, and with the least that reading a log can cost: on the same
// logs, in one run, on one machine, interleaved. It writes bench/RESULTS.md.
//
// Run it from the root of the module, where "make bench" does:
//
//	go run ./bench/run [-bytes 1G] [-rounds 5] [-o bench/RESULTS.md] [-only REGEXP]
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
	"syscall"
	"time"
)

func main() {
	log.SetFlags(log.Ltime)
	size := flag.String("bytes", orElse(os.Getenv("BENCH_BYTES"), "1G"), "size of each log ($BENCH_BYTES)")
	rounds := flag.Int("rounds", 5, "rounds; each runs everything once")
	out := flag.String("o", "bench/RESULTS.md", "file to write")
	dir := flag.String("dir", "", "keep the logs and programs here, and find them here again (default: a temporary directory)")
	only := flag.String("only", "", "measure only the subjects whose name matches")
	flag.Parse()
	if err := run(*size, *rounds, *out, *dir, *only); err != nil {
		log.Fatal("bench: ", err)
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func run(size string, rounds int, out, dir, only string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "bouncelog-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	b := &bench{dir: dir, env: append(os.Environ(), "LC_ALL=C", "HOME="+dir, "TZ=UTC")}
	if err := b.prepare(size); err != nil {
		return err
	}
	var subjects []*subject
	for _, s := range b.subjects() {
		if pattern.MatchString(s.name) {
			subjects = append(subjects, s)
		}
	}
	if len(subjects) == 0 {
		return fmt.Errorf("nothing is called %q", only)
	}
	for round := range rounds {
		for _, s := range subjects {
			r, err := b.measure(s)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.runs = append(s.runs, r)
			log.Printf("round %d: %-45s %8.2f s %6d MB", round+1, s.key(), r.wall.Seconds(), r.peak>>20)
		}
	}
	return b.write(out, subjects, rounds)
}

// A bench is the place where things are measured.
type bench struct {
	dir string
	env []string

	logSize  map[string]int64 // bytes, by file name
	checks   []string         // what was found to agree with the truth
	versions []string
}

// A subject is a command that is measured.
type subject struct {
	group   string   // what it reads
	name    string   // what it is
	command string   // for sh, in the bench's directory
	input   string   // the log, for MB/s
	fresh   []string // files removed before each run
	limits  []string // the least that its work can cost: the sum of these, "group: name"

	runs []result
}

func (s *subject) key() string { return s.group + ": " + s.name }

// A result is one run. Peak is the largest resident set of one process, in
// bytes.
type result struct {
	wall, cpu time.Duration
	peak      int64
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
	for _, f := range s.fresh {
		names, err := filepath.Glob(filepath.Join(b.dir, f+"*"))
		if err != nil {
			return result{}, err
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				return result{}, err
			}
		}
	}
	cmd := b.command(s.command)
	var said strings.Builder
	cmd.Stderr = &said
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	buf := make([]byte, 1<<16)
	for {
		if _, err := pipe.Read(buf); err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		return result{}, fmt.Errorf("%w: %.500s", err, said.String())
	}
	r := result{wall: time.Since(begin), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peak = usage.Maxrss << 10
	}
	return r, nil
}
