package metrics

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func TestPages(t *testing.T) {
	m := New("1.2.3", func() float64 { return 4096 })
	h := m.Handler()
	if code, _ := get(t, h, "/-/ready"); code != 503 {
		t.Errorf("ready before the logs are caught up with: %d", code)
	}
	m.Behind(10)
	if code, _ := get(t, h, "/-/ready"); code != 503 {
		t.Errorf("ready while it is behind: %d", code)
	}
	m.Behind(0)
	m.Behind(10)
	if code, _ := get(t, h, "/-/ready"); code != 200 {
		t.Errorf("not ready after the logs were caught up with once: %d", code)
	}
	if code, _ := get(t, h, "/-/healthy"); code != 200 {
		t.Errorf("not healthy: %d", code)
	}
	m.lastSign.Store(time.Now().Add(-unwell - time.Second).UnixNano())
	if code, _ := get(t, h, "/-/healthy"); code != 503 {
		t.Errorf("healthy without a sign of life: %d", code)
	}

	m.Attempts(Key{"postfix", "hard", "policy"}, 3)
	m.Failure("gmail.com", "hard")
	m.Lines("unparsed", 2)
	m.Problems("confirmed", 1)
	m.Expired(1)
	m.Trouble(true)
	m.Batch(30 * time.Millisecond)
	_, page := get(t, h, "/metrics")
	for _, line := range []string{
		`bouncelog_attempts_total{mta="postfix",outcome="hard",reason="policy"} 3`,
		`bouncelog_failures_total{domain="gmail.com",outcome="hard"} 1`,
		`bouncelog_failures_total{domain="other",outcome="hard"} 0`,
		`bouncelog_lines_total{kind="unparsed"} 2`,
		`bouncelog_problems{level="confirmed"} 1`,
		`bouncelog_expired_messages_total 1`,
		`bouncelog_database_trouble 1`,
		`bouncelog_behind_bytes 10`,
		`bouncelog_ready 1`,
		`bouncelog_database_bytes 4096`,
		`bouncelog_batch_duration_seconds_bucket{le="0.05"} 1`,
		fmt.Sprintf(`bouncelog_build_info{goversion=%q,version="1.2.3"} 1`, runtime.Version()),
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("no line %s in\n%s", line, page)
		}
	}
	if code, _ := get(t, h, "/"); code != 404 {
		t.Errorf("/: %d", code)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/metrics", strings.NewReader("x")))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestLint holds that the names are as Prometheus wants them ('promtool check
// metrics' asks the same).
func TestLint(t *testing.T) {
	m := New("1", func() float64 { return 0 })
	m.Attempts(Key{"postfix", "hard", "policy"}, 1)
	m.Problems("watch", 0)
	_, page := get(t, m.Handler(), "/metrics")
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestNil(t *testing.T) {
	var m *Metrics
	m.Attempts(Key{}, 1)
	m.Failure("a", "hard")
	m.Lines("blank", 1)
	m.Expired(1)
	m.Trouble(true)
	m.Batch(1)
	m.Behind(0)
	m.Problems("watch", 1)
	m.Alive()
}

func TestAddress(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{":9154", "127.0.0.1:9154"},
		{"localhost:9154", "localhost:9154"},
		{"0.0.0.0:9154", "0.0.0.0:9154"},
		{"[::]:9154", "[::]:9154"},
		{"127.0.0.1:0", "127.0.0.1:0"},
		{"9154", ""},
		{":", ""},
		{":no-such-port", ""},
		{":99999", ""},
		{"::1:9154", ""},
	} {
		got, err := Address(c.addr)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, %v; want %q", c.addr, got, err, c.want)
		}
	}
}

// TestServe holds that it answers on a real socket, and stops with its context.
func TestServe(t *testing.T) {
	m := New("1", func() float64 { return 0 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	addr, err := m.Serve(ctx, "127.0.0.1:0", func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Serve(ctx, addr.String(), nil); err == nil {
		t.Error("listens twice on one address")
	}
	r, err := http.Get("http://" + addr.String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil || r.StatusCode != 200 || !strings.Contains(string(body), "bouncelog_ready") {
		t.Fatalf("%d %v\n%s", r.StatusCode, err, body)
	}
	cancel()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if r, err := http.Get("http://" + addr.String() + "/-/ready"); err != nil {
			break
		} else {
			r.Body.Close()
		}
		if time.Now().After(deadline) {
			t.Fatal("it goes on after its context has ended")
		}
	}
}

// TestRankingBounded floods the ranking with a million domains, as a hostile
// log could: those that fail often stay, and nothing grows.
func TestRankingBounded(t *testing.T) {
	m := New("1", func() float64 { return 0 })
	r := rand.New(rand.NewPCG(1, 2))
	floods, often := 1_000_000, 20
	if testing.Short() {
		floods /= 10
	}
	want := map[string]int{}
	for i := range floods {
		m.Failure(fmt.Sprintf("x%d.flood.example", i), "hard")
		if i%10 == 0 {
			domain := fmt.Sprintf("often%d.example", r.IntN(often))
			want[domain]++
			m.Failure(domain, "soft")
		}
	}
	if n := len(m.domains.byName); n > Domains*candidates {
		t.Errorf("%d domains are kept in mind", n)
	}
	if n := testutil.CollectAndCount(m.failures); n > 2*(Domains+1) {
		t.Errorf("%d series", n)
	}
	for domain, n := range want {
		got := testutil.ToFloat64(m.failures.WithLabelValues(domain, "soft"))
		// It may have come among the first a little late.
		if got < 0.95*float64(n) || got > float64(n) {
			t.Errorf("%s: %v failures, want about %d", domain, got, n)
		}
	}
	_, page := get(t, m.Handler(), "/metrics")
	if len(page) > 64<<10 {
		t.Errorf("the page has %d bytes", len(page))
	}
}

// TestRankingGrows holds that a series never goes down while it is there.
func TestRankingGrows(t *testing.T) {
	m := New("1", func() float64 { return 0 })
	r := rand.New(rand.NewPCG(3, 4))
	last := map[string]float64{}
	for i := range 20_000 {
		m.Failure(fmt.Sprintf("d%d.example", int(float64(3*Domains)*r.ExpFloat64()/3)), "hard")
		if i%500 != 0 {
			continue
		}
		families, err := m.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		now := map[string]float64{}
		for _, f := range families {
			if f.GetName() != "bouncelog_failures_total" {
				continue
			}
			for _, series := range f.Metric {
				name := series.Label[0].GetValue() + series.Label[1].GetValue()
				now[name] = series.Counter.GetValue()
			}
		}
		if now["otherhard"] < last["otherhard"] {
			t.Fatalf("other went from %v to %v", last["otherhard"], now["otherhard"])
		}
		last = now
	}
	if len(last) != Domains+2 {
		t.Errorf("%d series, want %d and two for the others", len(last), Domains)
	}
}

// TestRankingAges holds that what failed long ago gives way to what fails now.
func TestRankingAges(t *testing.T) {
	m := New("1", func() float64 { return 0 })
	for i := range Domains {
		for range 100 {
			m.Failure(fmt.Sprintf("old%d.example", i), "hard")
		}
	}
	for range 10 {
		m.domains.aged = time.Now().Add(-25 * time.Hour)
		m.Failure("new.example", "hard")
	}
	if m.domains.first["new.example"] == nil {
		t.Error("what fails now is not among the first after ten days")
	}
}

// TestLabels holds that nothing of a log makes the page invalid.
func TestLabels(t *testing.T) {
	m := New("1", func() float64 { return 0 })
	for _, domain := range []string{"", "other", "a\nb", "\xff\xfe", "\x1b[2J", strings.Repeat("a", 300), `"} 1`, "[192.0.2.1]", "[ipv6:2001:db8::1]", "xn--bcher-kva.example", "bücher.example"} {
		m.Failure(domain, "hard")
	}
	code, page := get(t, m.Handler(), "/metrics")
	if code != 200 {
		t.Fatalf("%d\n%s", code, page)
	}
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(line, "bouncelog_failures_total") && !strings.HasPrefix(line, `bouncelog_failures_total{domain="`) {
			t.Errorf("%q", line)
		}
	}
	if got := testutil.ToFloat64(m.failures.WithLabelValues("(invalid)", "hard")); got != 7 {
		t.Errorf("%v invalid names, want 7", got)
	}
	if got := testutil.ToFloat64(m.failures.WithLabelValues("[ipv6:2001:db8::1]", "hard")); got != 1 {
		t.Errorf("an address literal was counted %v times", got)
	}
}
