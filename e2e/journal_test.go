//go:build e2e

package e2e

import (
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

// TestJournal has bouncelog follow a real journal, which is rotated and
// vacuumed while bouncelog is killed.
func TestJournal(t *testing.T) {
	need(t)
	for _, file := range []string{"/lib/systemd/systemd-journald", "/etc/machine-id"} {
		if st, err := os.Stat(file); err != nil || st.Size() == 0 {
			t.Skipf("needs %s, of the package systemd", file)
		}
	}
	t.Parallel()
	var said bytes.Buffer
	daemon := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec", journald)
	daemon.Stderr = &said
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	pid := strconv.Itoa(daemon.Process.Pid)
	var conn net.Conn
	until(t, time.Minute, "journald to listen", func() (ok bool) {
		var err error
		conn, err = net.Dial("unixgram", "/proc/"+pid+"/root/run/systemd/journal.mail/dev-log")
		return err == nil
	})
	defer conn.Close()

	dir := t.TempDir()
	inside := []string{"nsenter", "--target", pid, "--mount"}
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
				time.Sleep(25 * time.Millisecond)
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
