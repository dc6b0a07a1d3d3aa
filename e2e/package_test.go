//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The unit of the service that runs package/inside.sh in the container.
const insideUnit = `[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /root/inside.sh
[Install]
WantedBy=multi-user.target
`

// TestPackage builds the packages, has them checked, and uses the deb in a bare
// Debian 12 that systemd boots in a container: see package/inside.sh.
func TestPackage(t *testing.T) {
	need(t)
	for _, tool := range []string{"debootstrap", "systemd-nspawn", "systemd-analyze", "make", "lintian"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing", tool)
			}
			t.Skipf("needs %s", tool)
		}
	}
	t.Parallel()
	output(t, "nice", "make", "-C", "..", "package") // the MTAs of the lab have timeouts
	debs, err := filepath.Glob("../dist/*.deb")
	if err != nil || len(debs) != 1 {
		t.Fatalf("debs: %q, %v", debs, err)
	}

	t.Run("lintian", func(t *testing.T) {
		out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", debs[0]).CombinedOutput()
		if err != nil || regexp.MustCompile(`(?m)^[EW]:`).Match(out) {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("units", func(t *testing.T) {
		dir := t.TempDir()
		output(t, "dpkg-deb", "-x", debs[0], dir)
		for unit, most := range map[string]string{"bouncelog.service": "5", "bouncelog-report.service": "65", "bouncelog-notify.service": "65", "bouncelog-web.service": "5"} {
			file := filepath.Join(dir, "lib/systemd/system", unit)
			out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+most, "--no-pager", file).CombinedOutput()
			if err != nil {
				t.Errorf("%s is exposed more than %s tenths: %v\n%s", unit, most, err, tail(out))
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			t.Log(lines[len(lines)-1])
		}
		output(t, "install", "-m", "755", "/bin/true", filepath.Join(dir, "usr/bin/kill")) // ExecReload's
		units, err := filepath.Glob(filepath.Join(dir, "lib/systemd/system/*"))
		if err != nil || len(units) != 7 {
			t.Fatalf("units: %q, %v", units, err)
		}
		cmd := exec.Command("systemd-analyze", append([]string{"verify", "--root=" + dir, "--man=no", "--recursive-errors=no"}, units...)...)
		out, err := cmd.CombinedOutput()
		// The empty root lacks the targets of a real one.
		if err != nil || strings.Contains(string(out), "nknown") {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
	})

	root := filepath.Join(t.TempDir(), "debian")
	bootstrap(t, root)
	download(t, root)
	copyTo := func(from, to string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(root, to), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copyTo(debs[0], "root/bouncelog.deb")
	copyTo("../testdata/postfix-rfc3339.log", "root/mail.log")
	copyTo("package/inside.sh", "root/inside.sh")
	if err := os.WriteFile(filepath.Join(root, "etc/systemd/system/inside.service"), []byte(insideUnit), 0o644); err != nil {
		t.Fatal(err)
	}
	output(t, "systemctl", "--root="+root, "enable", "inside.service")

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	boot := exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--hostname=mx1", "--directory="+root, "--boot")
	boot.Cancel = func() error { return boot.Process.Signal(os.Interrupt) }
	boot.WaitDelay = 20 * time.Second
	console, err := boot.CombinedOutput()
	result, readErr := os.ReadFile(filepath.Join(root, "result"))
	if readErr != nil || !strings.HasSuffix(string(result), "\nok\n") {
		t.Fatalf("%v %v\n%s\nconsole:\n%s", err, readErr, result, tail(console))
	}
	transcript, err := os.ReadFile(filepath.Join(root, "transcript"))
	if err != nil {
		t.Fatal(err)
	}
	compareTranscript(t, "../docs/install.md", string(transcript))
}

// bootstrap makes a bare Debian 12 with systemd, from where this machine gets its
// packages.
func bootstrap(t *testing.T, root string) {
	t.Helper()
	mirror, err := exec.Command("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Codename: bookworm", "Component: main").Output()
	if err != nil {
		t.Fatal(err)
	}
	site, _, _ := strings.Cut(string(mirror), "\n")
	if site == "" {
		t.Skip("apt knows no source of Debian 12")
	}
	output(t, "nice", "debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,procps,postfix", "bookworm", root, site)
}

// download puts the packages that Exim needs, beside what is in root, below root/root/exim.
func download(t *testing.T, root string) {
	t.Helper()
	archives := filepath.Join(root, "root/exim")
	if err := os.MkdirAll(filepath.Join(archives, "partial"), 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, "apt-get", "install", "-y", "--download-only", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300",
		"-o", "Dir::State::status="+filepath.Join(root, "var/lib/dpkg/status"), "-o", "Dir::Cache::archives="+archives, "exim4-daemon-light")
}

// block is the transcript in a document.
var block = regexp.MustCompile("(?s)<!-- transcript -->\n```\n(.*?)```\n")

// compareTranscript holds that the commands of the document are those that were
// run. What they print has process ids, times and versions in it: UPDATE_GOLDEN
// writes it anew.
func compareTranscript(t *testing.T, path, transcript string) {
	t.Helper()
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := block.FindSubmatchIndex(doc)
	if m == nil {
		t.Fatalf("%s has no transcript", path)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		text := fmt.Sprintf("%s%s%s", doc[:m[2]], transcript, doc[m[3]:])
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	commands := func(s string) (list []string) {
		for line := range strings.SplitSeq(s, "\n") {
			if strings.HasPrefix(line, "# ") {
				list = append(list, line)
			}
		}
		return list
	}
	want, got := commands(string(doc[m[2]:m[3]])), commands(transcript)
	if strings.Join(want, "\n") != strings.Join(got, "\n") {
		t.Errorf("%s shows other commands than were run: %q, run were %q; UPDATE_GOLDEN=1 writes it anew", path, want, got)
	}
}
