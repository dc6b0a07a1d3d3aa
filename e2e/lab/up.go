//go:build linux

package main

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What the lab needs inside; it is unpacked into the lab's directory.
//
//go:embed inside.sh etc world scenario.tsv
var files embed.FS

// packages are unpacked beside each other, not installed: so Postfix and Exim,
// which conflict as packages, can live side by side, no package script starts
// anything, and nothing on this machine is changed.
var packages = [][]string{
	{"postfix", "rsyslog", "logrotate", "netbase", "iproute2"},
	{"exim4-daemon-heavy", "exim4-base", "exim4-config"},
}

// What a suite's root needs below that, which else is this machine's.
var base = []string{
	"base-files", "bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep", "hostname", "libc-bin", "mawk",
	"perl-base", "procps", "sed", "util-linux", "postfix-lmdb",
}

// up sets the lab up in dir, says "ready" on standard output, and runs it
// until standard input ends or a signal comes. All of it lives in one PID
// namespace: when its first process ends, however that comes, the kernel ends
// the rest.
//
// The root is this machine's, with the packages of its Debian laid over it; or, where
// suite is not empty, one of packages of that suite alone ("sid").
func up(dir, suite string) error {
	if os.Geteuid() != 0 {
		return errors.New("must be root")
	}
	if err := install(dir, suite); err != nil {
		return err
	}
	ctl := make(chan os.Signal, 1)
	signal.Notify(ctl, syscall.SIGINT, syscall.SIGTERM)
	if err := os.Remove(filepath.Join(dir, "ready")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.Create(filepath.Join(dir, "inside.log"))
	if err != nil {
		return err
	}
	defer out.Close()
	runtime.LockOSThread() // Pdeathsig is sent when the thread ends that started the process
	init := exec.Command("bash", filepath.Join(dir, "inside.sh"))
	init.Env = append(os.Environ(), "LAB="+dir, "SUITE="+suite)
	init.Stdout, init.Stderr = out, out
	init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := init.Start(); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- init.Wait() }()
	defer os.Remove(filepath.Join(dir, "pid"))
	if err := os.WriteFile(filepath.Join(dir, "pid"), fmt.Appendln(nil, init.Process.Pid), 0o644); err != nil {
		return err
	}
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) { // a poll
		if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
			break
		}
		select {
		case err := <-ended:
			return fmt.Errorf("did not start: %v; see %s", err, out.Name())
		case <-ctl:
			return init.Process.Kill()
		default:
		}
		if time.Since(start) > time.Minute {
			init.Process.Kill()
			return fmt.Errorf("not ready after a minute; see %s", out.Name())
		}
	}
	fmt.Println("ready")

	stdin := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(stdin)
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("ended by itself: %v; see %s", err, out.Name())
	case <-ctl:
	case <-stdin:
	}
	init.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		init.Process.Kill()
		<-ended
	}
	return nil
}

// install unpacks the lab's own files and the Debian packages into dir.
func install(dir, suite string) error {
	for _, d := range []string{"log", "ns"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := unpackFiles(dir); err != nil {
		return err
	}
	if suite == "" {
		return unpack(dir, "", packages)
	}
	return unpack(dir, suite, append([][]string{base}, packages...))
}

// unpack fetches packages of a suite, or of this machine's Debian, and unpacks
// them into dir/sysroot, unless that was done before.
func unpack(dir, suite string, packages [][]string) error {
	root := filepath.Join(dir, "sysroot")
	if _, err := os.Stat(filepath.Join(dir, "unpacked")); err == nil {
		return nil
	}
	if err := fetch(dir, suite, packages); err != nil {
		return err
	}
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} { // as a merged /usr has it
		if err := os.MkdirAll(filepath.Join(root, "usr", d), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+d, filepath.Join(root, d)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	debs, err := filepath.Glob(filepath.Join(dir, "debs", "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		c := exec.Command("sh", "-c", `dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink -C "$1"`, deb, root)
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", filepath.Base(deb), err, out)
		}
	}
	return os.WriteFile(filepath.Join(dir, "unpacked"), nil, 0o644)
}

func unpackFiles(dir string) error {
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		return os.WriteFile(to, data, mode)
	})
	if err != nil {
		return err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "lab.new")
	if err := os.WriteFile(tmp, self, 0o755); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "lab"))
}

// fetch downloads the packages, and what they need that the root has not, into
// dir/debs. Only where that fails are apt's lists fetched anew.
func fetch(dir, suite string, packages [][]string) error {
	debs := filepath.Join(dir, "debs")
	if err := os.MkdirAll(filepath.Join(debs, "partial"), 0o755); err != nil {
		return err
	}
	options := []string{"-o", "DPkg::Lock::Timeout=300", "-o", "Dir::Cache::archives=" + debs}
	if suite != "" {
		more, err := ofSuite(dir, suite)
		if err != nil {
			return err
		}
		options = append(options, more...)
	}
	apt := func(args ...string) error {
		if out, err := exec.Command("apt-get", append(slices.Clone(options), args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
		return nil
	}
	get := func() error {
		for _, names := range packages {
			if err := apt(append([]string{"install", "-y", "--reinstall", "--download-only", "--no-install-recommends"}, names...)...); err != nil {
				return err
			}
		}
		return nil
	}
	if get() == nil {
		return nil
	}
	if err := apt("update", "-qq"); err != nil {
		return err
	}
	return get()
}

// ofSuite are apt's options for another suite of Debian than this machine's, from
// the same mirror: its lists are in dir/apt, and nothing of it counts as installed.
func ofSuite(dir, suite string) ([]string, error) {
	out, err := exec.Command("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Label: Debian").Output()
	if err != nil {
		return nil, fmt.Errorf("apt-get indextargets: %w", err)
	}
	mirror, _, ok := strings.Cut(string(out), "\n")
	if !ok {
		return nil, errors.New("apt knows no mirror of Debian")
	}
	state := filepath.Join(dir, "apt")
	if err := os.MkdirAll(filepath.Join(state, "lists/partial"), 0o755); err != nil {
		return nil, err
	}
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", mirror, suite)
	for name, text := range map[string]string{"status": "", "sources.list": source} {
		if err := os.WriteFile(filepath.Join(state, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return []string{
		"-o", "Dir::State=" + state, "-o", "Dir::State::status=" + filepath.Join(state, "status"), "-o", "Dir::Cache=" + state,
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(state, "sources.list"),
		"-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Dir::Etc::preferencesparts=/dev/null", "-o", "APT::Sandbox::User=root",
	}, nil
}

// inside runs a command in the lab's namespaces, with this one's streams.
func inside(dir string, args ...string) error {
	c, err := insideCommand(dir, args...)
	if err != nil {
		return err
	}
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c.Run()
}

func insideCommand(dir string, args ...string) (*exec.Cmd, error) {
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return nil, errors.New("the lab is not up")
	}
	p := strings.TrimSpace(string(pid))
	return exec.Command("nsenter", append([]string{
		"--target", p, "--mount", "--net", "--uts", "--ipc", "--pid", "--root", "--wd=/proc/" + p + "/root/lab",
	}, args...)...), nil
}

// settle waits until no message waits for a delivery any more, frozen and
// held ones aside.
func settle(dir string) error {
	const limit = 2 * time.Minute
	for start := time.Now(); ; time.Sleep(500 * time.Millisecond) { // a poll
		c, err := insideCommand(dir, "/lab/inside.sh", "left")
		if err != nil {
			return err
		}
		out, err := c.Output()
		if err != nil {
			return fmt.Errorf("queues: %w", err)
		}
		left, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			return fmt.Errorf("queues: %w", err)
		}
		switch {
		case left == 0:
			log.Printf("queues are empty after %.0f s", time.Since(start).Seconds())
			return nil
		case time.Since(start) > limit:
			return fmt.Errorf("still %d messages in the queues after %v", left, limit)
		}
	}
}

// readLines calls f for each line of a file.
func readLines(name string, f func(line string) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return eachLine(file, filepath.Base(name), f)
}

func eachLine(r io.Reader, name string, f func(line string) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		if err := f(sc.Text()); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	return sc.Err()
}
