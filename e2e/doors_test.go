//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDashboardDoors reaches the unix socket of the dashboard in the ways of docs/dashboard.md: with
// ssh -L, and by its recipes for nginx and Caddy, all three as Debian 12 has them.
func TestDashboardDoors(t *testing.T) {
	need(t)
	dir := t.TempDir()
	raw, err := os.ReadFile("../docs/dashboard.md")
	if err != nil {
		t.Fatal(err)
	}
	bin, db, key := program(t, "cmd/bouncelog"), filepath.Join(dir, "test.db"), filepath.Join(dir, "link.key")
	root, libraries := unpacked(t, dir, "nginx", "caddy", "openssh-server")
	name, value, _ := strings.Cut(libraries, "=")
	t.Setenv(name, value)
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("XDG_CONFIG_HOME", dir)
	output(t, bin, "import", "--config", os.DevNull, "--db", db, "../testdata/postfix-rfc3164.log")
	link := strings.TrimSpace(string(output(t, bin, "serve", "link", "--config", os.DevNull, "--link-key", key, "--sender-domain", "sender.test", "--url", "http://mail.example.com")))
	link = strings.TrimPrefix(link, "http://mail.example.com")
	socket := filepath.Join(dir, "web.sock")
	background(t, bin, "serve", "--config", os.DevNull, "--db", db, "--listen", "unix:"+socket, "--host", "mail.example.com", "--link-key", key, "--period", "all")
	until(t, time.Minute, "the socket is there", func() bool { _, err := os.Stat(socket); return err == nil })

	// recipe is an indented block of the document that begins with some text.
	recipe := func(begin string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^    ` + regexp.QuoteMeta(begin) + `(?:.*\n)(?:(?:    .*)?\n)*`).Find(raw)
		if m == nil {
			t.Fatalf("docs/dashboard.md has no recipe that begins with %q", begin)
		}
		return strings.ReplaceAll(string(m), "/run/bouncelog/web.sock", socket)
	}
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// ask gets a page of a server on a port; password "": without.
	ask := func(ctx context.Context, port, host, path, password string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%s%s", port, path), nil)
		if err != nil {
			return nil, err
		}
		r.Host = host
		if password != "" {
			r.SetBasicAuth("alice", password)
		}
		return http.DefaultTransport.RoundTrip(r)
	}
	get := func(t *testing.T, port, host, path, password string) (int, string) {
		t.Helper()
		res, err := ask(t.Context(), port, host, path, password)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(raw)
	}
	listens := func(t *testing.T, port string) {
		t.Helper()
		until(t, time.Minute, "it listens", func() bool {
			c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%s", port))
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	// live holds that an event comes through at once: the first line of the stream.
	live := func(t *testing.T, port, host, password string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // less than the stream's sign of life
		defer cancel()
		res, err := ask(ctx, port, host, "/events?since=0", password)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if lines.Text() == "event: stored" {
				return
			}
		}
		t.Error("no event came through")
	}
	proxied := func(t *testing.T, port string) {
		t.Helper()
		const host = "mail.example.com"
		listens(t, port)
		for path, want := range map[string]int{"/": 401, "/trace.json?q=x": 401, "/events": 401, link: 200, link + "queue.json": 200, link + "log": 404, "/link/x/": 403} {
			if status, body := get(t, port, host, path, ""); status != want {
				t.Errorf("%s without a password: status %d, not %d: %.200s", path, status, want, body)
			}
		}
		status, body := get(t, port, host, "/", "secret")
		if status != http.StatusOK || !strings.Contains(body, `class="verdict"`) {
			t.Fatalf("with the password: status %d, %.200s", status, body)
		}
		style := regexp.MustCompile(`/static/[^"]+\.css`).FindString(body)
		if status, _ := get(t, port, host, style, ""); status != http.StatusOK {
			t.Errorf("%s: status %d", style, status)
		}
		if status, _ := get(t, port, host, "/", "wrong"); status != 401 {
			t.Errorf("with a wrong password: status %d", status)
		}
		live(t, port, host, "secret")
	}

	t.Run("nginx", func(t *testing.T) {
		port := freePort(t)
		users := file("users", "alice:{PLAIN}secret\n")
		text := fmt.Sprintf("daemon off; user root; pid %[1]s/nginx.pid; error_log stderr;\nevents {}\nhttp {\naccess_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;\nserver {\nlisten 127.0.0.1:%[2]s;\nserver_name mail.example.com;\n%[3]s%[4]s}\n}\n",
			dir, port, strings.ReplaceAll(recipe("location / {"), "/etc/nginx/bouncelog.users", users), recipe("location ~ ^/(link|static)/ {"))
		background(t, filepath.Join(root, "usr/sbin/nginx"), "-p", dir, "-e", "stderr", "-c", file("nginx.conf", text))
		proxied(t, port)
		if status, _ := get(t, port, "evil.example", "/", "secret"); status != http.StatusMisdirectedRequest {
			t.Errorf("by another name: status %d", status)
		}
	})

	t.Run("Caddy", func(t *testing.T) {
		port := freePort(t)
		caddy := filepath.Join(root, "usr/bin/caddy")
		hash := strings.TrimSpace(string(output(t, caddy, "hash-password", "--plaintext", "secret")))
		text := strings.ReplaceAll(strings.ReplaceAll(recipe("mail.example.com {"), "$2a$14$...", hash), "mail.example.com {", fmt.Sprintf("http://mail.example.com:%s {", port))
		background(t, caddy, "run", "--adapter", "caddyfile", "--config", file("Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\n"+text))
		proxied(t, port)
	})

	t.Run("ssh", func(t *testing.T) {
		if _, err := exec.LookPath("ssh"); err != nil {
			t.Skip("ssh is missing: apt-get install openssh-client")
		}
		server, here := freePort(t), freePort(t)
		for _, name := range []string{"hostkey", "userkey"} {
			output(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, name))
		}
		conf := file("sshd_config", fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nHostKey %[2]s/hostkey\nAuthorizedKeysFile %[2]s/userkey.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n", server, dir))
		// sshd wants a directory and a user of its own: they are there for it alone.
		background(t, "unshare", "--mount", "bash", "-euc", `cd "$1"; (cat /etc/passwd; echo sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin) >passwd; mount --bind passwd /etc/passwd
			mount -t tmpfs tmpfs /run; mkdir /run/sshd; exec "$3/usr/sbin/sshd" -D -e -f "$2"`, "bash", dir, conf, root)
		listens(t, server)
		background(t, "ssh", "-F", "none", "-N", "-i", filepath.Join(dir, "userkey"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes",
			"-p", server, "-L", here+":"+socket, "root@127.0.0.1")
		listens(t, here)
		host := "localhost:" + here
		if status, body := get(t, here, host, "/", ""); status != http.StatusOK || !strings.Contains(body, `class="verdict"`) {
			t.Errorf("status %d, %.200s", status, body)
		}
		live(t, here, host, "")
	})
}

// background runs a program until the test ends, and says what it said where the test failed.
func background(t *testing.T, name string, args ...string) {
	t.Helper()
	var said strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(name), tail([]byte(said.String())))
		}
	})
}
