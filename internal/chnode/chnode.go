// Package chnode runs real ClickHouse nodes on the loopback interface for tests. The engine
// is the library libchdb.so of the npm package @chdb/lib-linux-x64-gnu, which "make chdb"
// installs. A node ends with the test, and with the test's process.
package chnode

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Variable is the environment variable with the path of libchdb.so.
const Variable = "BOUNCELOG_LIBCHDB"

// Cluster is the name of the cluster that Start makes of several nodes, one shard each.
const Cluster = "fleet"

// A Node is a ClickHouse server.
type Node struct {
	TCP, HTTP int // ports

	dir    string
	lib    string
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bytes.Buffer
	ended  chan struct{} // closed when it has
}

// Address is the address of the native protocol.
func (n *Node) Address() string { return fmt.Sprintf("127.0.0.1:%d", n.TCP) }

// A User is one of a node's, without a password. The user "default" may do all.
type User struct {
	Name     string
	Grants   []string // "GRANT SELECT ON bouncelog.*": nobody is named
	ReadOnly int      // the setting readonly
}

// Start starts count nodes that know each other as Cluster. Where the library is missing
// the test is skipped, but under CI=true it fails.
func Start(t testing.TB, count int, users ...User) []*Node {
	t.Helper()
	lib := library(t)
	nodes := make([]*Node, count)
	for i := range nodes {
		nodes[i] = &Node{TCP: freePort(t), HTTP: freePort(t), dir: t.TempDir(), lib: lib}
	}
	for i, n := range nodes {
		write(t, filepath.Join(n.dir, "config.xml"), config(nodes, i))
		write(t, filepath.Join(n.dir, "users.xml"), usersConfig(users))
		n.Run(t)
		t.Cleanup(func() {
			if n.cmd == nil {
				return
			}
			select {
			case <-n.ended:
				t.Errorf("a ClickHouse node ended by itself: %v\n%s", n.cmd.ProcessState, n.stderr)
			default:
			}
			n.Stop()
		})
	}
	return nodes
}

// Run starts a stopped node with the data that it had, and waits until it answers.
func (n *Node) Run(t testing.TB) {
	t.Helper()
	n.cmd = exec.Command(launcher(t), "--config-file="+filepath.Join(n.dir, "config.xml"), "--path="+filepath.Join(n.dir, "data"),
		"--listen_host=127.0.0.1", fmt.Sprintf("--tcp_port=%d", n.TCP), fmt.Sprintf("--http_port=%d", n.HTTP))
	n.cmd.Env = append(os.Environ(), "LIBCHDB="+n.lib)
	n.cmd.Dir = n.dir
	n.stderr = new(bytes.Buffer)
	n.cmd.Stdout, n.cmd.Stderr = n.stderr, n.stderr
	stdin, err := n.cmd.StdinPipe()
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	n.stdin = stdin
	ended := make(chan struct{})
	n.ended = ended
	go func(c *exec.Cmd) {
		c.Wait()
		close(ended)
	}(n.cmd)
	for deadline := time.Now().Add(time.Minute); ; {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/ping", n.HTTP))
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ended:
			t.Fatalf("the ClickHouse node ended:\n%s", n.stderr)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the ClickHouse node does not answer")
		}
	}
}

// Stop kills a node; what it had stored stays. Run starts it again.
func (n *Node) Stop() {
	if n.cmd == nil {
		return
	}
	n.cmd.Process.Kill()
	n.stdin.Close()
	<-n.ended
	n.cmd = nil
}

func library(t testing.TB) string {
	t.Helper()
	lib := os.Getenv(Variable)
	if lib == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			lib = filepath.Join(cache, "bouncelog-chdb/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so")
		}
	}
	if _, err := os.Stat(lib); err == nil {
		return lib
	}
	message := "there is no ClickHouse library: run 'make chdb', or set " + Variable
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

//go:embed launch/launch.c
var source string

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "chnode")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "launch")
	c := exec.Command("cc", "-Wall", "-pthread", "-o", binary, "-x", "c", "-", "-ldl")
	c.Stdin = strings.NewReader(source)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

// launcher builds the program that loads the library, once for all tests of a process.
func launcher(t testing.TB) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// config is the server's configuration: the cluster, and little memory.
func config(nodes []*Node, i int) string {
	n := nodes[i]
	var shards strings.Builder
	for _, s := range nodes {
		fmt.Fprintf(&shards, "<shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>%d</port></replica></shard>", s.TCP)
	}
	return fmt.Sprintf(`<clickhouse>
<path>%[1]s/data/</path><tmp_path>%[1]s/tmp/</tmp_path><user_files_path>%[1]s/files/</user_files_path>
<users_config>%[1]s/users.xml</users_config>
<listen_host>127.0.0.1</listen_host><tcp_port>%[2]d</tcp_port><http_port>%[3]d</http_port>
<timezone>UTC</timezone><logger><level>warning</level><console>1</console></logger>
<mark_cache_size>67108864</mark_cache_size>
<macros><shard>%[4]d</shard><replica>1</replica></macros>
<remote_servers><%[5]s>%[6]s</%[5]s></remote_servers>
</clickhouse>
`, n.dir, n.TCP, n.HTTP, i+1, Cluster, shards.String())
}

// usersConfig has the users in a file: the library refuses CREATE USER.
func usersConfig(users []User) string {
	var profiles, list strings.Builder
	for _, u := range append([]User{{Name: "default"}}, users...) {
		fmt.Fprintf(&profiles, "<%s><readonly>%d</readonly></%[1]s>", u.Name, u.ReadOnly)
		fmt.Fprintf(&list, "<%s><password></password><networks><ip>127.0.0.1</ip></networks><profile>%[1]s</profile><quota>default</quota>", u.Name)
		if u.Grants != nil {
			fmt.Fprintf(&list, "<grants><query>%s</query></grants>", strings.Join(u.Grants, "</query><query>"))
		}
		fmt.Fprintf(&list, "</%s>", u.Name)
	}
	return fmt.Sprintf("<clickhouse><profiles>%s</profiles><users>%s</users><quotas><default></default></quotas></clickhouse>\n", profiles.String(), list.String())
}
