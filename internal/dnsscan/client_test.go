package dnsscan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestServers asks servers that fail, lie, cut short or say nothing.
func TestServers(t *testing.T) {
	s := world(t)
	c := client(s)
	c.Timeout = time.Second
	c.heard = true // or a silent name would be taken for a silent server
	for _, test := range []struct{ name, want, err string }{
		{"good.test", "v=spf1 mx ip4:203.0.113.25 ip6:2001:db8::25 -all", ""},
		{"truncated.test", "v=spf1 ip4:203.0.113.25 -all", ""},
		{"forged.test", "v=spf1 ip4:203.0.113.25 -all", ""},
		{"noedns.test", "v=spf1 ip4:203.0.113.25 -all", ""},
		{"a.nora.test", "v=spf1 mx ip4:203.0.113.25 ip6:2001:db8::25 -all", ""},
		{"notcp.test", "", "cut short, and over TCP"},
		{"x.broken.test", "", "SERVFAIL"},
		{"refused.test", "", "REFUSED"},
		{"notimp.test", "", "NOTIMP"},
		{"silent.test", "", "no answer in time"},
		{"otherid.test", "", "no answer in time"},
		{"otherquestion.test", "", "no answer in time"},
		{"garbage.test", "", "no answer in time"},
		{"c.nora.test", "", "circle"},
		{"loop1.test", "", "circle"},
		{"chain0.test", "", "too many CNAME"},
		{strings.Repeat("a", 64) + ".test", "", "not a name"},
		{strings.Repeat("a.", 128) + "test", "", "not a name"},
		{"a..test", "", "not a name"},
		{`a\b.test`, "", "not a name"},
		{"a b.test", "", "not a name"},
		{"a\x00b.test", "", "not a name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			txts, _, err := c.txt(t.Context(), test.name)
			if test.err != "" {
				var e *lookupError
				if !errors.As(err, &e) || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(txts) == 0 || txts[0] != test.want {
				t.Errorf("got %q, want %q", txts, test.want)
			}
		})
	}
}

func TestDeadServers(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0") // takes questions and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	refusing := serve(t, ";@ refused *")
	good := world(t)
	many := make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprintf("d%d.test", i)
	}
	for _, test := range []struct {
		name    string
		servers []string
		want    string
	}{
		{"silent", []string{l.LocalAddr().String()}, "no DNS server answers: " + l.LocalAddr().String() + ": no answer in time"},
		{"down", []string{closed.LocalAddr().String()}, "no DNS server answers: "},
		{"both", []string{closed.LocalAddr().String(), l.LocalAddr().String()}, "no DNS server answers: "},
		{"refusing", []string{refusing.Addr}, refusing.Addr + " refuses to answer"},
		{"none", nil, "no DNS server answers: there is no server to ask"},
		{"the second is good", []string{closed.LocalAddr().String(), refusing.Addr, good.Addr}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &Client{Servers: test.servers, Timeout: 250 * time.Millisecond}
			start := time.Now()
			_, err := Run(t.Context(), many, nil, Options{Client: c})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			// One question, twice at each server; not twenty times that.
			if took := time.Since(start); test.want != "" && took > 5*time.Second {
				t.Errorf("it took %v to notice", took)
			}
		})
	}
	if _, err := Run(t.Context(), many, nil, Options{Client: &Client{}}); !errors.Is(err, ErrNoServer) {
		t.Errorf("got %v, want ErrNoServer", err)
	}
}

// handle starts a server of a test's own.
func handle(t *testing.T, f dns.HandlerFunc) *Client {
	t.Helper()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	s := &dns.Server{PacketConn: p, Handler: f, NotifyStartedFunc: func() { close(up) }}
	go s.ActivateAndServe()
	<-up
	t.Cleanup(func() { s.Shutdown() })
	return &Client{Servers: []string{p.LocalAddr().String()}, Timeout: 5 * time.Second}
}

// TestSecondTry holds that a lost datagram does no harm.
func TestSecondTry(t *testing.T) {
	var mu sync.Mutex
	n := 0
	c := handle(t, func(w dns.ResponseWriter, q *dns.Msg) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == 1 {
			return
		}
		w.WriteMsg(new(dns.Msg).SetReply(q))
	})
	c.Timeout = time.Second
	_, err := c.ask(t.Context(), "a.test", dns.TypeA)
	mu.Lock()
	defer mu.Unlock()
	if err != nil || n != 2 {
		t.Errorf("after %d questions: %v", n, err)
	}
}

// TestConcurrency holds that no more questions are under way than allowed, and
// that as many are.
func TestConcurrency(t *testing.T) {
	const most, questions = 4, 60
	var mu sync.Mutex
	now := 0
	full, over, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	c := handle(t, func(w dns.ResponseWriter, q *dns.Msg) {
		mu.Lock()
		switch now++; now {
		case most:
			close(full)
		case most + 1:
			close(over)
		}
		mu.Unlock()
		<-release
		w.WriteMsg(new(dns.Msg).SetReply(q))
	})
	c.Concurrency = most
	var wait sync.WaitGroup
	for i := range questions {
		wait.Go(func() {
			if _, err := c.ask(t.Context(), fmt.Sprintf("n%d.test", i), dns.TypeA); err != nil {
				t.Error(err)
			}
		})
	}
	<-full
	select { // nobody was answered yet, so nobody may ask
	case <-over:
		t.Errorf("more than %d questions at once", most)
	case <-time.After(300 * time.Millisecond):
	}
	close(release)
	wait.Wait()
}

// TestSilentServer holds that a server that never answers is left alone soon.
func TestSilentServer(t *testing.T) {
	s := serve(t, ";@ silent *")
	var ips []netip.Addr
	for i := range 40 {
		ips = append(ips, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
	}
	_, err := Run(t.Context(), nil, ips, Options{Client: &Client{Servers: []string{s.Addr}, Timeout: 100 * time.Millisecond}})
	if !errors.Is(err, ErrNoServer) {
		t.Errorf("got %v, want ErrNoServer", err)
	}
	if n := len(s.Questions()); n > silentAtMost+DefaultConcurrency {
		t.Errorf("%d questions were put to it", n)
	}
}

// TestAskedOnce holds that a question is put once, however many ask it.
func TestAskedOnce(t *testing.T) {
	s := world(t)
	c := client(s)
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if txts, _, err := c.txt(t.Context(), "Good.test."); err != nil || len(txts) != 2 {
				t.Errorf("%q, %v", txts, err)
			}
		})
	}
	wait.Wait()
	if n := s.Asked("good.test. TXT"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	// A whole scan puts no question twice either.
	scan(t, Options{Client: client(s), Blocklists: []Blocklist{{Zone: "bl.test"}}}, []string{"spf-near.test", "sub.good.test"}, ours, "203.0.113.9")
	for _, q := range s.Questions() {
		if n := s.Asked(q); n > 1 && q != "good.test. TXT" {
			t.Errorf("%s was asked %d times", q, n)
		}
	}
}

// TestInterrupted holds that a scan ends when it is told to.
func TestInterrupted(t *testing.T) {
	asked := make(chan struct{}, 1000)
	c := handle(t, func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	c.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := Run(ctx, []string{"a.test"}, nil, Options{Client: c})
		done <- err
	}()
	<-asked
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
}

// hostileZone is what an attacker may put into the DNS.
func hostileZone() string {
	var z strings.Builder
	big := func(n int, text string) string {
		var b strings.Builder
		for range n {
			b.WriteString(` "` + text + `"`)
		}
		return b.String()
	}
	fmt.Fprintf(&z, "big.test. TXT%s\n", big(50, "v=spf1 "+strings.Repeat("a ", 100)))
	fmt.Fprintf(&z, "_dmarc.big.test. TXT%s\n", big(45, "v=DMARC1; "+strings.Repeat("p=x;", 50)))
	fmt.Fprintf(&z, "default._domainkey.big.test. TXT%s\n", big(45, "v=DKIM1; p="+strings.Repeat("A", 200)))
	fmt.Fprintf(&z, "_mta-sts.big.test. TXT \"v=STSv1; \"%s\n", big(1000, ";x"))
	fmt.Fprintf(&z, "_smtp._tls.big.test. TXT \"v=TLSRPTv1; rua=\"%s\n", big(1000, "x,"))
	for i := range 700 { // as many as fit into an answer
		fmt.Fprintf(&z, "many.test. TXT \"v=spf1 include:many%d.test -all\"\n", i)
		fmt.Fprintf(&z, "_dmarc.many.test. TXT \"v=DMARC1; p=none; rua=mailto:a@b%d.test\"\n", i)
		fmt.Fprintf(&z, "many.test. MX %d m%d.many.test.\n", i, i)
		fmt.Fprintf(&z, "9.113.0.203.in-addr.arpa. PTR p%d.many.test.\n", i)
	}
	// Each include doubles the tree.
	for i := range 60 {
		fmt.Fprintf(&z, "t%d.bomb.test. TXT \"v=spf1 include:t%d.bomb.test include:u%d.bomb.test -all a a a a a a\"\n", i, i+1, i+1)
		fmt.Fprintf(&z, "u%d.bomb.test. TXT \"v=spf1 include:t%d.bomb.test include:u%d.bomb.test -all a a a a a a\"\n", i, i+1, i+1)
	}
	fmt.Fprintf(&z, "bomb.test. TXT \"v=spf1 include:t0.bomb.test include:u0.bomb.test\"\n")
	fmt.Fprintf(&z, "_dmarc.bomb.test. TXT \"v=DMARC1; p=none; rua=%s\"\n", strings.Repeat("mailto:a@x.test,", 14))
	return z.String()
}

// TestHostile holds that answers made to do harm cost little, and make no
// finding long.
func TestHostile(t *testing.T) {
	s := serve(t, hostileZone())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	c := client(s)
	found := scan(t, Options{Client: c}, []string{"big.test", "many.test", "bomb.test"}, "203.0.113.9")
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if c.kept > cacheAtMost {
		t.Errorf("%d bytes are kept", c.kept)
	}
	if n := len(s.Questions()); n > 600 {
		t.Errorf("it put %d questions", n)
	}
	if len(found) > 300 {
		t.Errorf("%d findings", len(found))
	}
	checks := map[string]int{}
	for _, f := range found {
		checks[f.Domain+" "+string(f.Check)]++
		if n := len(f.What) + len(f.Why) + len(f.Do) + len(f.Record); n > 3000 {
			t.Errorf("a finding of %d bytes: %s", n, f.Rule)
		}
	}
	for check, n := range checks {
		if n > foundAtMost {
			t.Errorf("%d findings of %s", n, check)
		}
	}
	t.Logf("%v, %d questions, %d findings, %d MB allocated", took, len(s.Questions()), len(found), (after.TotalAlloc-before.TotalAlloc)>>20)
}

func TestUnescape(t *testing.T) {
	c := client(serve(t, `a.test. TXT "\027[31m \"q\" \\ \226\128\147 \;"`))
	txts, _, err := c.txt(t.Context(), "a.test")
	if want := "\x1b[31m \"q\" \\ \u2013 ;"; err != nil || len(txts) != 1 || txts[0] != want {
		t.Errorf("got %q, %v; want %q", txts, err, want)
	}
	if got := unescape(`a\`); got != `a\` {
		t.Errorf("got %q", got)
	}
}

func TestTXTRecord(t *testing.T) {
	for in, want := range map[string]string{
		`v="x\y"`: `a.test. TXT "v=\"x\\y\""`,
		"":        `a.test. TXT ""`,
		"a\nb":    "",
		"é":       "",
	} {
		if got := txtRecord("a.test", in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	long := strings.Repeat("x", 600)
	rr, err := dns.NewRR(txtRecord("a.test", long))
	if err != nil || strings.Join(rr.(*dns.TXT).Txt, "") != long || len(rr.(*dns.TXT).Txt) != 3 {
		t.Errorf("a long record: %v, %v", rr, err)
	}
}

func TestReverse(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1":          "1.2.0.192.in-addr.arpa",
		"::ffff:192.0.2.1":   "1.2.0.192.in-addr.arpa",
		"2001:db8::567:89ab": "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		ip := netip.MustParseAddr(in)
		if got := reverse(ip) + arpa(ip); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestParseServer(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5353": "192.0.2.1:5353", "2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]": "[2001:db8::1]:53",
		"[2001:db8::1]:5353": "[2001:db8::1]:5353", "": "", "dns.example.com": "", "192.0.2.1:0": "", "192.0.2.1:x": "", "192.0.2.1:99999": "",
	} {
		got, err := ParseServer(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ParseServer(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestSystemServers(t *testing.T) {
	servers, err := SystemServers("testdata/resolv.conf")
	if err != nil || strings.Join(servers, " ") != "192.0.2.53:53 [2001:db8::53]:53" {
		t.Errorf("%q, %v", servers, err)
	}
	for _, path := range []string{"testdata/nothing", "testdata/empty.conf"} {
		if servers, err := SystemServers(path); err == nil {
			t.Errorf("%s: %q", path, servers)
		}
	}
}
