//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scanZone is served by a real NSD and asked through a real Unbound, which
// validates it.
const scanZone = `$ORIGIN test.
$TTL 60
@                         SOA ns.test. hostmaster.test. 1 3600 600 86400 60
@                         NS  ns.test.
ns                        A   127.0.0.1
good                      MX  10 mail.good
good                      TXT "v=spf1 mx include:_spf.good.test -all"
_spf.good                 TXT "v=spf1 ip4:198.18.0.25 -all"
mail.good                 A   198.18.0.24
mail._domainkey.good      CNAME key.service
key.service               TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
_dmarc.good               TXT "v=DMARC1; p=reject; rua=mailto:dmarc@good.test"
_25._tcp.mail.good        TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000001
long                      TXT "v=spf1 ip4:198.18.0.25 -all"
long                      TXT "LONG" "LONG" "LONG" "LONG" "LONG" "LONG" "LONG" "LONG"
bogus                     TXT "v=spf1 -all"
2.0.0.127.bl              A   127.0.0.2
25.0.18.198.bl            A   127.0.0.4
25.0.18.198.bl            TXT "see https://bl.test/"
`

// TestScan runs the scan against name servers that others wrote: NSD serves a
// zone that was signed with ldns-signzone, Unbound resolves and validates.
func TestScan(t *testing.T) {
	need(t)
	t.Parallel()
	dir := t.TempDir()
	root, libraries := unpacked(t, dir, "nsd", "unbound", "ldnsutils")
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(root, name), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), libraries)
		return cmd
	}
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, tail(out))
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	write("test.zone", strings.ReplaceAll(scanZone, "LONG", strings.Repeat("x", 250)))
	key := lastLine(run("usr/bin/ldns-keygen", "-a", "ECDSAP256SHA256", "-k", "test"))
	run("usr/bin/ldns-signzone", "test.zone", key)
	signed, err := os.ReadFile(filepath.Join(dir, "test.zone.signed"))
	if err != nil {
		t.Fatal(err)
	}
	// Whoever changes a record without signing it makes the answer bogus.
	record := regexp.MustCompile(`(?m)^(bogus\.test\.\s.*TXT\s+)"v=spf1 -all"`)
	if !record.Match(signed) {
		t.Fatalf("the signed zone has no record to forge:\n%s", tail(signed))
	}
	write("test.zone.signed", string(record.ReplaceAll(signed, []byte(`${1}"v=spf1 +all"`))))
	write("reverse.zone", `$ORIGIN 18.198.in-addr.arpa.
$TTL 60
@ SOA ns.test. hostmaster.test. 1 3600 600 86400 60
@ NS ns.test.
25.0 PTR mail.good.test.
24.0 PTR mail.good.test.
`)

	nsd, unbound := freePort(t), freePort(t)
	write("nsd.conf", fmt.Sprintf(`server:
	ip-address: 127.0.0.1@%s
	username: ""
	chroot: ""
	pidfile: "nsd.pid"
	zonelistfile: "zone.list"
	xfrdfile: "xfrd.state"
	database: ""
	zonesdir: "%s"
remote-control:
	control-enable: no
zone:
	name: "test."
	zonefile: "test.zone.signed"
zone:
	name: "18.198.in-addr.arpa."
	zonefile: "reverse.zone"
`, nsd, dir))
	write("unbound.conf", fmt.Sprintf(`server:
	interface: 127.0.0.1@%s
	username: ""
	chroot: ""
	pidfile: "unbound.pid"
	directory: "%s"
	use-syslog: no
	do-not-query-localhost: no
	local-zone: "test." nodefault
	local-zone: "18.198.in-addr.arpa." nodefault
	module-config: "validator iterator"
	trust-anchor-file: "%s.key"
	target-fetch-policy: "0 0 0 0 0"
remote-control:
	control-enable: no
stub-zone:
	name: "test."
	stub-addr: 127.0.0.1@%s
stub-zone:
	name: "18.198.in-addr.arpa."
	stub-addr: 127.0.0.1@%s
`, unbound, dir, key, nsd, nsd))
	for _, args := range [][]string{{"usr/sbin/nsd", "-d", "-c", "nsd.conf"}, {"usr/sbin/unbound", "-d", "-c", "unbound.conf"}} {
		var log bytes.Buffer
		cmd := command(args[0], args[1:]...)
		cmd.Stdout, cmd.Stderr = &log, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); t.Failed() {
				t.Logf("%s: %v\n%s", args[0], err, tail(log.Bytes()))
			}
		})
	}

	// scan gives the rules that came up for a domain or an address.
	bouncelog := program(t, "cmd/bouncelog")
	scan := func(port string, args ...string) (string, string) {
		out, err := exec.Command(bouncelog, append([]string{"scan", "--format", "json", "--resolver", "127.0.0.1:" + port, "--timeout", "5s"}, args...)...).Output()
		if err != nil && len(out) == 0 {
			return "", err.Error()
		}
		var found []struct{ Rule, What string }
		if err := json.Unmarshal(out, &found); err != nil {
			t.Fatalf("%v in %.500s", err, out)
		}
		list := " "
		for _, f := range found {
			list += f.Rule + " "
		}
		return list, string(out)
	}
	for _, port := range []string{nsd, unbound} {
		until(t, time.Minute, "the name server to answer", func() bool {
			list, _ := scan(port, "good.test", "--no-blocklists")
			return strings.Contains(list, " mx-ok ")
		})
	}
	good := []string{"good.test", "--ip", "198.18.0.25", "--selector", "mail", "--no-blocklists"}
	for _, test := range []struct {
		name, port string
		args       []string
		want       []string
		never      []string
	}{
		{"resolved", unbound, good, []string{"mx-ok", "spf-ok", "spf-pass", "dkim-ed25519", "dmarc-ok", "dane-ok", "ptr-not-confirmed"}, []string{"spf-missing", "dane-unsigned", "dane-not-validated"}},
		{"from the name server itself", nsd, good, []string{"mx-ok", "spf-ok", "spf-pass", "dkim-ed25519", "dmarc-ok", "dane-not-validated"}, []string{"dane-ok"}},
		{"confirmed", unbound, []string{"--ip", "198.18.0.24", "--helo", "mail.good.test", "--no-blocklists"}, []string{"ptr-ok", "helo-ok"}, nil},
		{"over TCP", unbound, []string{"long.test", "--no-blocklists", "--ip", "198.18.0.25"}, []string{"spf-pass"}, nil},
		{"bogus", unbound, []string{"bogus.test", "--no-blocklists"}, []string{"spf-unanswered"}, []string{"spf-open", "spf-ok"}},
		{"bogus, and nobody validates", nsd, []string{"bogus.test", "--no-blocklists"}, []string{"spf-open"}, nil},
		{"missing", unbound, []string{"nothing.test", "--no-blocklists"}, []string{"domain-missing"}, nil},
		{"listed", unbound, []string{"--ip", "198.18.0.25", "--ip", "198.18.0.24", "--blocklist", "bl.test"}, []string{"blocklist-listed", "blocklist-clear"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, out := scan(test.port, test.args...)
			for _, rule := range test.want {
				if !strings.Contains(list, " "+rule+" ") {
					t.Errorf("%s did not come up:\n%s", rule, out)
				}
			}
			for _, rule := range test.never {
				if strings.Contains(list, " "+rule+" ") {
					t.Errorf("%s came up:\n%s", rule, out)
				}
			}
		})
	}
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

// freePort is a port of loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
