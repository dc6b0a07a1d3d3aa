package problem

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bouncelog/problem"
)

// A truth is what genlog says of the log it wrote.
type truth struct {
	Auth struct {
		Domains []string  `json:"domains"`
		From    time.Time `json:"from"`
		Lines   int64     `json:"lines"`
		Flagged []struct {
			Recipient string `json:"recipient"`
		} `json:"flagged"`
	} `json:"auth_incident"`
}

func (x *truth) flagged() []string {
	var list []string
	for _, f := range x.Auth.Flagged {
		list = append(list, strings.ToLower(f.Recipient))
	}
	slices.Sort(list)
	return list
}

// tools builds bouncelog and genlog.
func tools(t *testing.T) (bouncelog, genlog string) {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-o", dir, "bouncelog/cmd/bouncelog", "bouncelog/bench/genlog").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "bouncelog"), filepath.Join(dir, "genlog")
}

func generate(t *testing.T, genlog, dir, mta, size, rate string, seed int, more ...string) (log string, x *truth) {
	t.Helper()
	log = filepath.Join(dir, "mail.log")
	args := append([]string{"-mta", mta, "-bytes", size, "-rate", rate, "-seed", fmt.Sprint(seed), "-o", log, "-truth", log + ".json"}, more...)
	if out, err := exec.Command(genlog, args...).CombinedOutput(); err != nil {
		t.Fatalf("genlog: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(log + ".json")
	if err != nil {
		t.Fatal(err)
	}
	x = new(truth)
	if err := json.Unmarshal(raw, x); err != nil {
		t.Fatal(err)
	}
	return log, x
}

// problems are those that bouncelog reports of a log.
func problems(t *testing.T, bouncelog, log string) []problem.Problem {
	t.Helper()
	cmd := exec.Command(bouncelog, "report", "--year", "2026", "--tz", "UTC", "--format", "json", "--section", "problems", log)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var r struct{ Problems []found }
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	list := make([]problem.Problem, 0, len(r.Problems))
	for _, p := range r.Problems {
		list = append(list, problem.Problem{
			Level: p.Level, Cause: p.Cause, Since: p.Since, Until: p.Until, Messages: p.Messages, Attempts: p.Attempts, Summary: p.Summary,
			ValidRecipients: p.Valid, ValidBefore: p.Before, Evidence: p.Evidence, Providers: p.Providers, SenderDomains: p.Senders,
		})
	}
	return list
}

// A problem is what of the JSON is looked at.
type found struct {
	Level     string             `json:"level"`
	Cause     string             `json:"cause"`
	Summary   string             `json:"summary"`
	Since     time.Time          `json:"since"`
	Until     time.Time          `json:"until"`
	Messages  int                `json:"messages"`
	Attempts  int64              `json:"attempts"`
	Valid     []string           `json:"valid_recipients"`
	Before    []string           `json:"valid_before"`
	Providers []string           `json:"providers"`
	Senders   []string           `json:"sender_domains"`
	Evidence  []problem.Evidence `json:"evidence"`
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// TestTruth generates logs with an authentication incident and holds the problems
// against the truth: one incident, and exactly the recipients that were refused after a
// delivery. FLAG_BYTES, FLAG_RATE and FLAG_SEEDS make the logs larger and more.
func TestTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("generates logs")
	}
	bouncelog, genlog := tools(t)
	size, rate := env("FLAG_BYTES", "12M"), env("FLAG_RATE", "8000")
	seeds, err := strconv.Atoi(env("FLAG_SEEDS", "1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mta := range []string{"postfix", "exim"} {
		for seed := 1; seed <= seeds; seed++ {
			t.Run(fmt.Sprintf("%s-%d", mta, seed), func(t *testing.T) {
				log, x := generate(t, genlog, t.TempDir(), mta, size, rate, seed)
				if len(x.Auth.Flagged) == 0 {
					t.Fatal("nothing is flagged in the truth: the log is too small")
				}
				var auth []problem.Problem
				for _, p := range problems(t, bouncelog, log) {
					if p.Cause == "authentication" && p.Level != problem.Watch {
						auth = append(auth, p)
					}
				}
				compare(t, auth, x)
				// In a small log two sender domains may meet at no provider.
				if n := len(auth); n != 1 && (n == 0 || len(x.Auth.Flagged) >= manyFlagged) {
					t.Errorf("%d problems of authentication, want one", n)
				}
				soon(t, bouncelog, log, auth, x)
			})
			t.Run(fmt.Sprintf("%s-%d-no-incident", mta, seed), func(t *testing.T) {
				log, x := generate(t, genlog, t.TempDir(), mta, size, rate, seed, "-incident-domains", "0")
				if x.Auth.Lines != 0 {
					t.Fatal("there is an incident")
				}
				for _, p := range problems(t, bouncelog, log) {
					if p.Cause == "authentication" || p.Level == problem.Likely {
						t.Errorf("%s: %s", p.Level, p.Summary)
					}
				}
			})
		}
	}
}

// compare holds the recipients of problems against the truth.
func compare(t *testing.T, ps []problem.Problem, x *truth) {
	t.Helper()
	var got []string
	since := 0
	for _, p := range ps {
		for _, r := range p.ValidBefore {
			got = append(got, strings.ToLower(r))
		}
		since += len(p.ValidRecipients) - len(p.ValidBefore)
	}
	slices.Sort(got)
	got = slices.Compact(got)
	want := x.flagged()
	missing, extra := minus(want, got), minus(got, want)
	t.Logf("%d recipients refused after a delivery, %d in the truth: %d missing, %d more; %d more took mail since", len(got), len(want), len(missing), len(extra), since)
	if len(missing)+len(extra) > 0 {
		t.Errorf("missing %v, more %v", missing[:min(5, len(missing))], extra[:min(5, len(extra))])
	}
}

func minus(a, b []string) (list []string) {
	for _, s := range a {
		if _, found := slices.BinarySearch(b, s); !found {
			list = append(list, s)
		}
	}
	return list
}

// soon replays the log up to its first line about the incident: it must be reported then, and
// not a line before.
func soon(t *testing.T, bouncelog, log string, auth []problem.Problem, x *truth) {
	t.Helper()
	if len(auth) == 0 {
		return
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	start := auth[0].Evidence[0].Offset
	end := start + int64(bytes.IndexByte(raw[start:], '\n')) + 1
	found := func(until int64) bool {
		part := log + ".part"
		if err := os.WriteFile(part, raw[:until], 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(part)
		return slices.ContainsFunc(problems(t, bouncelog, part), func(p problem.Problem) bool { return p.Cause == "authentication" })
	}
	if found(start) || !found(end) {
		t.Errorf("not found with its first line, or before it")
	}
	t.Logf("named: found with its first refused message, %v after the incident began", auth[0].Evidence[0].Time.Sub(x.Auth.From))
}

var (
	authText    = regexp.MustCompile(`unauthenticated|5\.7\.515|5\.7\.509|authentication (of \S+ )?failed|DMARC|SPF|permissions to send as|DKIM`)
	postfixSaid = regexp.MustCompile(` said: .* \(in reply to end of DATA command\)| said: .* \(in reply to RCPT TO command\)`)
	eximSaid    = regexp.MustCompile(`(SMTP error from remote mail server after [^:]*(?::<[^>]*>)?): .*`)
)

// silence takes the named cause from the lines about the incident.
func silence(line []byte) []byte {
	if bytes.Contains(line, []byte("dsn=5.7.")) && bytes.Contains(line, []byte("status=bounced")) && authText.Match(line) {
		return postfixSaid.ReplaceAll(line, []byte(" said: 550 5.7.1 Message refused (in reply to end of DATA command)"))
	}
	if bytes.Contains(line, []byte(" ** ")) && authText.Match(line) {
		return eximSaid.ReplaceAll(line, []byte("$1: 550 5.7.1 Message refused"))
	}
	return line
}

// TestSilent takes the cause from the replies of an incident, so that only the flag can
// find it, and says how soon it does.
func TestSilent(t *testing.T) {
	if testing.Short() {
		t.Skip("generates logs")
	}
	bouncelog, genlog := tools(t)
	size, rate := env("FLAG_BYTES", "12M"), env("FLAG_RATE", "8000")
	seeds, err := strconv.Atoi(env("FLAG_SEEDS", "1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mta := range []string{"postfix", "exim"} {
		for seed := 1; seed <= seeds; seed++ {
			t.Run(fmt.Sprintf("%s-%d", mta, seed), func(t *testing.T) {
				log, x := generate(t, genlog, t.TempDir(), mta, size, rate, seed, "-traps=false")
				raw, err := os.ReadFile(log)
				if err != nil {
					t.Fatal(err)
				}
				var quiet bytes.Buffer
				for line := range bytes.Lines(raw) {
					quiet.Write(silence(line))
				}
				raw = quiet.Bytes()
				if err := os.WriteFile(log, raw, 0o600); err != nil {
					t.Fatal(err)
				}
				var likely []problem.Problem
				got := map[string]bool{}
				for _, p := range problems(t, bouncelog, log) {
					if p.Level == problem.Likely {
						likely = append(likely, p)
						for _, r := range p.ValidBefore {
							got[strings.ToLower(r)] = true
						}
					} else if p.Cause == "authentication" {
						t.Errorf("the cause is still named: %s", p.Summary)
					}
				}
				want := x.flagged()
				hit := 0
				for _, r := range want {
					if got[r] {
						hit++
					}
				}
				t.Logf("silent: %d likely problems; %d of the %d recipients in the truth, %d others", len(likely), hit, len(want), len(got)-hit)
				for _, p := range likely {
					t.Logf("  %s to %s: %s", p.Since.Format(time.TimeOnly), p.Until.Format(time.TimeOnly), p.Summary)
				}
				if hit == 0 || len(want) >= manyFlagged && hit*10 < len(want)*8 {
					t.Errorf("found %d of %d", hit, len(want))
				}
				for _, n := range []int{2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128} {
					end, at := refusals(raw, mta, n)
					part := log + ".part"
					if err := os.WriteFile(part, raw[:end], 0o600); err != nil {
						t.Fatal(err)
					}
					if slices.ContainsFunc(problems(t, bouncelog, part), func(p problem.Problem) bool { return p.Level == problem.Likely }) {
						t.Logf("silent: found with %d refused lines, %v after the incident began", n, at.Sub(x.Auth.From))
						return
					}
				}
				t.Error("not found with 128 refused lines")
			})
		}
	}
}

// manyFlagged is from how many recipients on a log is large enough for shares.
const manyFlagged = 100

// refusals is where the n-th line of the silent incident ends, or the log, and when that
// was.
func refusals(raw []byte, mta string, n int) (end int, at time.Time) {
	for line := range bytes.Lines(raw) {
		end += len(line)
		if !bytes.Contains(line, []byte("550 5.7.1 Message refused")) {
			continue
		}
		if mta == "exim" {
			at, _ = time.Parse(time.DateTime, string(line[:min(len(line), 19)]))
		} else {
			at, _ = time.Parse("2006 Jan _2 15:04:05", "2026 "+string(line[:min(len(line), 15)]))
		}
		if n--; n == 0 {
			break
		}
	}
	return end, at
}
