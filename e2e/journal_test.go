//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A journald of its own, for the namespace "mail", in a mount namespace: it
// needs no systemd as process 1, and leaves the machine's journal alone.
const journald = `
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/systemd/journal.mail /run/etc /var/log/journal
cp -a /etc/systemd /run/etc/
printf '[Journal]\nRateLimitIntervalSec=0\nSystemMaxUse=64M\nStorage=persistent\n' >/run/etc/systemd/journald@mail.conf
mount --bind /run/etc/systemd /etc/systemd
exec /lib/systemd/systemd-journald mail`

// startJournald starts it and returns its process, and the command that runs
// another one beside it.
func startJournald(t *testing.T) (daemon *exec.Cmd, inside []string) {
	need(t)
	for _, file := range []string{"/lib/systemd/systemd-journald", "/etc/machine-id"} {
		if st, err := os.Stat(file); err != nil || st.Size() == 0 {
			t.Skipf("needs %s, of the package systemd", file)
		}
	}
	t.Parallel()
	daemon = exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec", journald)
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	return daemon, []string{"nsenter", "--target", strconv.Itoa(daemon.Process.Pid), "--mount"}
}

// socket connects to one of journald's sockets.
func socket(t *testing.T, daemon *exec.Cmd, name string) (conn net.Conn) {
	until(t, time.Minute, "journald to listen", func() (ok bool) {
		var err error
		conn, err = net.Dial("unixgram", fmt.Sprintf("/proc/%d/root/run/systemd/journal.mail/%s", daemon.Process.Pid, name))
		return err == nil
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

// engineEnv makes this test binary an engine of containers. It holds the path of
// journald's socket.
const engineEnv = "BOUNCELOG_E2E_ENGINE"

func init() {
	if path, ok := os.LookupEnv(engineEnv); ok {
		engine(path)
		os.Exit(0)
	}
}

// engine hands what comes on standard input to journald by its own protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): an entry a line, with tabs between
// its fields. It stays as long as that lasts, since journald looks up the name of the
// process when it reads an entry.
func engine(path string) {
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if _, err := fmt.Fprintln(conn, strings.ReplaceAll(in.Text(), "\t", "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// startEngine starts an engine under a name, and returns what prints a numbered line
// for a container; without one, for the engine itself.
func startEngine(t *testing.T, socket, name string) func(container string, i int) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name) // journald's _COMM
	if err := os.Symlink(self, file); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(file)
	cmd.Env = append(os.Environ(), engineEnv+"="+socket)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	return func(container string, i int) {
		fields := "PRIORITY=6\tMESSAGE=" + string(bytes.TrimSpace(numberedLine("postfix", i)))
		if container != "" {
			fields += "\tCONTAINER_NAME=" + container + "\tCONTAINER_ID=c50a483a8a8e\tSYSLOG_IDENTIFIER=c50a483a8a8e"
		}
		if _, err := fmt.Fprintln(in, fields); err != nil {
			t.Fatal(err)
		}
	}
}

// TestJournalOfContainers has bouncelog follow what containers print, as the log
// drivers of docker and podman hand it to a real journald.
func TestJournalOfContainers(t *testing.T) {
	daemon, inside := startJournald(t)
	socket(t, daemon, "socket")
	path := fmt.Sprintf("/proc/%d/root/run/systemd/journal.mail/socket", daemon.Process.Pid)
	docker, other := startEngine(t, path, "dockerd"), startEngine(t, path, "other")
	dir := t.TempDir()
	o := &ordeal{t: t, bouncelog: program(t, "cmd/bouncelog"), dir: dir, db: filepath.Join(dir, "follow.db"), log: "journal:mail"}
	o.follow = append(inside, o.bouncelog, "--db", o.db, "follow", "--container", "mail-postfix-*", "--container", "exim", o.log)
	t.Cleanup(func() { o.stopReader(syscall.SIGKILL) })
	o.startReader()
	for i := 1; i <= 12; i += 2 {
		docker("mail-postfix-1", i)
		other("exim", i+1) // its name is given whole: of whatever engine
		docker("web-1", 1000+i)
		docker("", 2000+i)
		if i == 5 {
			o.written = 6
			o.settle(5 * time.Second)
			o.stopReader(syscall.SIGTERM)
		}
		if i == 9 {
			o.startReader()
		}
	}
	o.written = 12
	o.settle(5 * time.Second)
	o.verify(false)
	if _, n := o.stored(); n != o.written {
		t.Errorf("%d attempts, want %d: of these containers only", n, o.written)
	}
	o.stopReader(syscall.SIGTERM)
}

// TestJournal has bouncelog follow a real journal, which is rotated and
// vacuumed while bouncelog is killed.
func TestJournal(t *testing.T) {
	daemon, inside := startJournald(t)
	conn := socket(t, daemon, "dev-log")

	dir := t.TempDir()
	o := &ordeal{t: t, bouncelog: program(t, "cmd/bouncelog"), dir: dir, db: filepath.Join(dir, "follow.db"), log: "journal:mail"}
	o.follow = append(inside, o.bouncelog, "--db", o.db, "follow", o.log)
	t.Cleanup(func() { o.stopReader(syscall.SIGKILL) })
	o.startReader()

	const lines = 6000
	sent := make(chan error, 1)
	go func() {
		for i := 1; i <= lines; i++ {
			_, body, _ := strings.Cut(string(numberedLine("postfix", i)), " mx1 ")
			if _, err := fmt.Fprintf(conn, "<22>%s %s", time.Now().Format(time.Stamp), body); err != nil {
				sent <- err
				return
			}
			if i%25 == 0 {
				fmt.Fprintf(conn, "<30>%s other[7]: not about mail", time.Now().Format(time.Stamp))
				time.Sleep(25 * time.Millisecond) // the rate
			}
		}
		sent <- nil
	}()
	for done := false; !done; o.killed++ {
		select {
		case err := <-sent:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		case <-time.After(time.Duration(300+o.killed%3*150) * time.Millisecond):
		}
		daemon.Process.Signal(syscall.SIGUSR2) // rotate
		o.rotations++
		if o.killed%3 == 2 {
			if out, err := exec.Command(inside[0], append(inside[1:], "journalctl", "--namespace=mail", "--vacuum-files=60", "-q")...).CombinedOutput(); err != nil {
				t.Fatalf("vacuum: %v\n%s", err, out)
			}
		}
		sig := syscall.SIGKILL
		if o.killed%4 == 3 {
			sig = syscall.SIGTERM
		}
		o.stopReader(sig)
		o.startReader()
	}
	o.written = lines
	o.settle(5 * time.Second)
	o.verify(false)
	o.stopReader(syscall.SIGTERM)
}
