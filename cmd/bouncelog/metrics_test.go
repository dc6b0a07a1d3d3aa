package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// TestFollowMetrics has follow show what it stored of a log, half of which was
// there before it was started for the second time.
func TestFollowMetrics(t *testing.T) {
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "test.db")
	hard := strings.NewReplacer("dsn=2.0.0", "dsn=5.1.1", "status=sent (250 2.0.0 Ok)", "status=bounced (host mx.good.example[192.0.2.20] said: 550 5.1.1 no such user (in reply to RCPT TO command))").Replace(deliveryLine)
	var lines []byte
	lines = fmt.Appendf(lines, deliveryLine, 1, 1)
	lines = fmt.Appendf(lines, hard, 2, 2)
	lines = append(lines, "Nov 23 10:00:03 mx1 dovecot: not about mail\n"...)
	lines = append(lines, "Nov 23 10:00:03 mx1 postfix/smtp[104]: 4A1B2C3D4E: to=<u3@good.example>, status=\n"...)
	if err := os.WriteFile(log, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	if status := run(t.Context(), []string{"import", "--db", db, "--year", "2026", log}, nil, io.Discard, io.Discard); status != 0 {
		t.Fatalf("import: exit status %d", status)
	}
	lines = fmt.Appendf(lines, hard, 4, 4)
	lines = fmt.Appendf(lines, hard, 5, 5)
	lines = append(lines, "Nov 23 10:00:06 mx1 postfix/smtp[104]: 4A1B2C3D4E: to=<u3@good.example>, status=\n"...)
	if err := os.WriteFile(log, lines, 0o600); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var out lockedBuffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"follow", "--db", db, "--year", "2026", "--metrics", "127.0.0.1:0", log}, strings.NewReader(""), &out, &out)
	}()
	defer func() {
		cancel()
		if status := <-done; status != 0 {
			t.Errorf("exit status %d\n%s", status, &out)
		}
	}()
	address := regexp.MustCompile(`address=(127\.0\.0\.1:\d+)`)
	eventually(t, "listening", func() bool { return address.MatchString(out.String()) })
	base := "http://" + address.FindStringSubmatch(out.String())[1]
	get := func(path string) (int, string) {
		r, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	eventually(t, "ready", func() bool { code, _ := get("/-/ready"); return code == 200 })
	var page string
	// What was stored before is not counted again.
	eventually(t, "shows the last line", func() bool {
		_, page = get("/metrics")
		return strings.Contains(page, `bouncelog_lines_total{kind="unparsed"} 1`)
	})
	_, page = get("/metrics") // a page is no snapshot; by now all is counted
	for _, line := range []string{
		`bouncelog_attempts_total{mta="postfix",outcome="hard",reason="user_unknown"} 2`,
		`bouncelog_failures_total{domain="good.example",outcome="hard"} 2`,
		`bouncelog_lines_total{kind="delivery"} 2`,
		`bouncelog_lines_total{kind="unparsed"} 1`,
		`bouncelog_lines_total{kind="skipped"} 0`,
		`bouncelog_behind_bytes 0`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("no line %s in\n%s", line, page)
		}
	}
	if m := regexp.MustCompile(`bouncelog_database_bytes (\S+)`).FindStringSubmatch(page); m == nil || m[1] == "0" {
		t.Errorf("size of the database: %q", m)
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		cmd := exec.Command(promtool, "check", "metrics")
		cmd.Stdin = strings.NewReader(page)
		if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("promtool check metrics: %v\n%s", err, said)
		}
	}
	// A second one cannot have the same address, and says so.
	var stderr bytes.Buffer
	if status := run(t.Context(), []string{"follow", "--db", filepath.Join(dir, "other.db"), "--metrics", strings.TrimPrefix(base, "http://"), log}, nil, &stderr, &stderr); status != exitFailed || !strings.Contains(stderr.String(), "hint: ") {
		t.Errorf("exit status %d, %s", status, &stderr)
	}
}

// TestAlerts holds that the alerting rules ask for reasons that there are, and
// runs their tests where promtool is installed.
func TestAlerts(t *testing.T) {
	rules, err := os.ReadFile("../../etc/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`reason=~?"([^"]*)"`).FindAllStringSubmatch(string(rules), -1)
	if len(asked) == 0 {
		t.Error("found no reason in the rules: the test is broken")
	}
	for _, m := range asked {
		for word := range strings.SplitSeq(m[1], "|") {
			if r, ok := bounce.ParseReason(word); !ok || r == bounce.NoReason {
				t.Errorf("%q is no reason", word)
			}
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool for the rest")
	}
	cmd := exec.Command(promtool, "test", "rules", "alerts_test.yml")
	cmd.Dir = "../../etc/prometheus"
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// TestGrafana holds that the dashboard for Grafana asks for metrics, labels and reasons
// that there are, and that promtool takes its queries where it is installed.
func TestGrafana(t *testing.T) {
	raw, err := os.ReadFile("../../etc/grafana/bouncelog.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{} // of each metric
	for _, m := range regexp.MustCompile("(?m)^\\| `(bouncelog_\\w+)` \\| ([^|]*)\\|").FindAllStringSubmatch(string(doc), -1) {
		labels[m[1]] = m[2] + "`instance` `le`"
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	queries := 0
	for _, p := range board.Panels {
		if p.Title == "" || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 {
			t.Errorf("panel %q: %+v", p.Title, p)
		}
		for _, target := range p.Targets {
			queries++
			expr := strings.NewReplacer("$__rate_interval", "5m", "$__range", "24h", "$instance", ".*").Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: a variable that is not known in %s", p.Title, target.Expr)
			}
			fmt.Fprintf(&rules, "  - record: panel%d\n    expr: %q\n", queries, expr)
			metrics := regexp.MustCompile(`(bouncelog_\w+)\{([^}]*)\}`).FindAllStringSubmatch(expr, -1)
			if len(metrics) == 0 {
				t.Errorf("%s asks for nothing: %s", p.Title, expr)
			}
			for _, m := range metrics {
				have, ok := labels[strings.TrimSuffix(m[1], "_bucket")]
				if !ok {
					t.Errorf("%s: there is no metric %s", p.Title, m[1])
				}
				wanted := regexp.MustCompile(`(\w+)(?:!=|=~|!~|=)"`).FindAllStringSubmatch(m[2], -1)
				for _, by := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
					for name := range strings.SplitSeq(by[1], ", ") {
						wanted = append(wanted, []string{"", name})
					}
				}
				for _, label := range wanted {
					if !strings.Contains(have, "`"+label[1]+"`") {
						t.Errorf("%s: %s has no label %s", p.Title, m[1], label[1])
					}
				}
			}
			for _, m := range regexp.MustCompile(`reason=~?"([^"]*)"`).FindAllStringSubmatch(expr, -1) {
				for word := range strings.SplitSeq(m[1], "|") {
					if r, ok := bounce.ParseReason(word); !ok || r == bounce.NoReason {
						t.Errorf("%s: %q is no reason", p.Title, word)
					}
				}
			}
		}
	}
	if queries < 10 {
		t.Errorf("found only %d queries: the test is broken", queries)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool for the rest")
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}
