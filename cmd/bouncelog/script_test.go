package main

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"bouncelog/internal/dnsscan/dnstest"
)

func TestMain(m *testing.M) {
	if os.Getenv("BOUNCELOG_CONFIG") == "" {
		os.Setenv("BOUNCELOG_CONFIG", os.DevNull) // not that of this machine
	}
	testscript.Main(m, map[string]func(){"bouncelog": main})
}

// TestScripts runs the specification of the command line. Besides what
// testscript knows there are the commands below.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../../testdata/script",
		UpdateScripts:       os.Getenv("UPDATE_GOLDEN") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("BOUNCELOG_DB", env.Getenv("WORK")+"/test.db")
			env.Setenv("BOUNCELOG_CONFIG", os.DevNull) // not that of this machine
			env.Setenv("TZ", "UTC")
			docs, err := filepath.Abs("../../docs")
			if err != nil {
				return err
			}
			env.Setenv("DOCS", docs)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("COLUMNS", "100")
			env.Setenv("nl", "\n")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"gz":      gz,
			"cut":     cut,
			"append":  appendLines,
			"until":   until,
			"sigterm": sigterm,
			"percent": percent,
			"dns":     serveDNS,
			"lock":    lock,
			"unlock":  unlock,
			"damage":  damage,
		},
	})
}

// exits STATUS PROGRAM ARG... runs a program that must end with STATUS.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// gz FROM TO compresses a file.
func gz(ts *testscript.TestScript, neg bool, args []string) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(ts.ReadFile(args[0])))
	ts.Check(errors.Join(err, w.Close()))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b.Bytes(), 0o600))
}

// cut FILE BYTES cuts so many bytes off the end of a file.
func cut(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), info.Size()-int64(n)))
}

// append FROM TO appends one file to another.
func appendLines(ts *testscript.TestScript, neg bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[1]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = f.WriteString(ts.ReadFile(args[0]))
	ts.Check(errors.Join(err, f.Close()))
}

// until TEXT PROGRAM ARG... runs a program again and again until its output is
// TEXT, or 20 seconds have passed.
func until(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for range time.Tick(20 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		got := strings.TrimSpace(ts.ReadFile("stdout"))
		if err == nil && got == args[0] {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after 20 s the output is %q, want %q (%v)", got, args[0], err)
		}
	}
}

// sigterm NAME sends SIGTERM to a program in the background.
func sigterm(ts *testscript.TestScript, neg bool, args []string) {
	for _, cmd := range ts.BackgroundCmds() {
		if strings.HasSuffix(cmd.Path, args[0]) {
			ts.Check(cmd.Process.Signal(syscall.SIGTERM))
		}
	}
}

// dns FILE starts a DNS server with the zone in a file; $DNS is its address.
func serveDNS(ts *testscript.TestScript, neg bool, args []string) {
	s, err := dnstest.Start(ts.ReadFile(args[0]))
	ts.Check(err)
	ts.Defer(s.Close)
	ts.Setenv("DNS", s.Addr)
}

// locks are the databases held from outside of the program, and how to let go.
var locks sync.Map

// lock DATABASE begins to write to a database, and goes on until unlock.
func lock(ts *testscript.TestScript, neg bool, args []string) {
	db, err := sql.Open("sqlite3", "file:"+ts.MkAbs(args[0])+"?_txlock=exclusive")
	ts.Check(err)
	tx, err := db.Begin()
	ts.Check(err)
	release := sync.OnceFunc(func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			ts.Logf("unlock: %v", err)
		}
	})
	locks.Store(ts.MkAbs(args[0]), release)
	ts.Defer(release)
}

// unlock DATABASE ends what lock has begun.
func unlock(ts *testscript.TestScript, neg bool, args []string) {
	release, ok := locks.LoadAndDelete(ts.MkAbs(args[0]))
	if !ok {
		ts.Fatalf("%s is not locked", args[0])
	}
	release.(func())()
}

// damage DATABASE TABLE writes nonsense over the table's first page.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs(args[0])
	db, err := sql.Open("sqlite3", "file:"+path)
	ts.Check(err)
	var page, size int64
	ts.Check(errors.Join(
		db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = ?", args[1]).Scan(&page),
		db.QueryRow("PRAGMA page_size").Scan(&size), db.Close()))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt(bytes.Repeat([]byte{0xa5}, int(size)), (page-1)*size)
	ts.Check(errors.Join(err, f.Close()))
}

// percent FILE FORMAT writes bytes given as in "%00%ff" to a file.
func percent(ts *testscript.TestScript, neg bool, args []string) {
	var out []byte
	for _, hex := range strings.Split(args[1], "%")[1:] {
		b, err := strconv.ParseUint(hex, 16, 8)
		ts.Check(err)
		out = append(out, byte(b))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat(out, 200), 0o600))
	ts.Logf("%s", fmt.Sprintf("%d bytes", len(out)*200))
}
