//go:build linux

// Command lab runs real Postfix and real Exim against a made-up internet, in
// namespaces of its own, so that their logs are genuine and the outcome of
// each delivery is known before any log is written. See README.md.
//
//	lab -dir DIR up                 set up and run until standard input ends;
//	                                with -suite SUITE, of that suite of Debian ("sid")
//	lab -dir DIR unpack [PACKAGE...]  fetch and unpack the packages only, or others
//	lab -dir DIR send PHASE         send phase 1 or 2 of the scenario
//	lab -dir DIR flow N             send N numbered messages to each MTA
//	lab -dir DIR pairs FILE         send a message to each MTA for each line: sender, tab, recipient
//	lab -dir DIR settle             wait until the queues are empty
//	lab -dir DIR exec COMMAND...    run a command inside
//	lab -dir DIR check              compare the logs with expected.tsv
//	lab count LOG...                count the outcomes in logs, per domain
//	lab cut LOG ID...               the lines of a log that are about messages of the scenario
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("lab: ")
	dir := flag.String("dir", filepath.Join(os.TempDir(), "bouncelog-lab"), "directory of the lab")
	suite := flag.String("suite", "", "suite of Debian whose packages are used (default: this machine's)")
	flag.Parse()
	err := run(*dir, *suite, flag.Args())
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(dir, suite string, args []string) error {
	if len(args) == 0 {
		return errors.New("what? up, unpack, send, flow, pairs, settle, exec, check, count or cut")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	switch cmd, args := args[0], args[1:]; cmd {
	case "up":
		return up(dir, suite)
	case "unpack":
		if len(args) > 0 {
			return unpack(dir, suite, [][]string{args})
		}
		return install(dir, suite)
	case "send":
		if len(args) != 1 {
			return errors.New("send: which phase?")
		}
		return inside(dir, "/lab/lab", "inject", args[0])
	case "flow":
		if len(args) != 1 {
			return errors.New("flow: how many messages?")
		}
		return inside(dir, "/lab/lab", "injectflow", args[0])
	case "pairs":
		if len(args) != 1 {
			return errors.New("pairs: which file?")
		}
		pairs, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "pairs.tsv"), pairs, 0o644); err != nil {
			return err
		}
		return inside(dir, "/lab/lab", "injectpairs", "/lab/pairs.tsv")
	case "settle":
		return settle(dir)
	case "exec":
		return inside(dir, args...)
	case "check":
		return check(dir)
	case "count":
		return countLogs(args)
	case "cut":
		if len(args) < 2 {
			return errors.New("cut: which log, which messages?")
		}
		return cut(os.Stdout, args[0], args[1:])
	case "world": // inside only, as the next three
		return world(args[0], args[1])
	case "inject":
		return inject(args[0], "/lab/expected.tsv")
	case "injectflow":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return injectFlow(n)
	case "injectpairs":
		return injectPairs(args[0])
	default:
		return fmt.Errorf("no command %q", cmd)
	}
}
