package judge

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"bouncelog/bounce"
)

func newJudge(t testing.TB, user ...string) *Judge {
	t.Helper()
	var files [][]byte
	for _, u := range user {
		files = append(files, []byte(u))
	}
	j, err := New(files...)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// thousandRules returns a user's rules that make 1,000 rules together with the built-in ones.
func thousandRules(t testing.TB) string {
	j := newJudge(t)
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("mail box user server denied quota filter listed relay sender policy message host blocked address domain remote limit reject storage")
	var b strings.Builder
	for i := len(j.rules); i < 1000; i++ {
		fmt.Fprintf(&b, "[[rule]]\nid = \"made-%d\"\nreason = \"policy\"\nany = [", i)
		for range 4 {
			fmt.Fprintf(&b, "\"%s %s%d %s\", ", words[r.IntN(len(words))], words[r.IntN(len(words))], i, words[r.IntN(len(words))])
		}
		b.WriteString("]\n")
		if i%3 == 0 {
			fmt.Fprintf(&b, "re = \"made%d .* again\"\n", i)
		}
	}
	return b.String()
}

var benchReply = bounce.Delivery{
	Code: 550, Enhanced: bounce.Enhanced(5, 7, 26), Stage: bounce.StageEOM, Outcome: bounce.Hard, Status: "bounced", RelayHost: "gmail-smtp-in.l.google.com",
	Response: "550-5.7.26 Your email has been blocked because the sender is unauthenticated. 550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM. 550-5.7.26  Authentication results: 550-5.7.26  DKIM = did not pass 550-5.7.26  SPF [example.org] with ip: [192.0.2.1] = did not pass 550 5.7.26  https://support.google.com/mail/answer/81126#authentication a1b2c3d4e5f6a-0b1c2d3e4f5a6.123 - gsmtp",
}

// BenchmarkRemembered looks up a cached template.
func BenchmarkRemembered(b *testing.B) {
	j := newJudge(b, thousandRules(b))
	benchRemembered(b, j, &benchReply)
}

// BenchmarkRememberedShort does the same for a short reply.
func BenchmarkRememberedShort(b *testing.B) {
	j := newJudge(b, thousandRules(b))
	d := bounce.Delivery{Code: 550, Outcome: bounce.Hard, Response: "550 5.1.1 <joe@example.org>: Recipient address rejected: User unknown in local recipient table"}
	benchRemembered(b, j, &d)
}

func benchRemembered(b *testing.B, j *Judge, d *bounce.Delivery) {
	template, _ := bounce.AppendSplit(nil, nil, d.Response)
	want := j.Verdict(d)
	b.ReportAllocs()
	for b.Loop() {
		if m := j.memory.get(template, j.aboutOf(d)); m == nil || m.verdict != want {
			b.Fatal("not remembered")
		}
	}
}

// BenchmarkMemory measures the look-up alone, without the relay's class and the facts of the
// attempt.
func BenchmarkMemory(b *testing.B) {
	j := newJudge(b, thousandRules(b))
	template, _ := bounce.AppendSplit(nil, nil, benchReply.Response)
	j.Verdict(&benchReply)
	about := j.aboutOf(&benchReply)
	b.ReportAllocs()
	for b.Loop() {
		if j.memory.get(template, about) == nil {
			b.Fatal("not remembered")
		}
	}
}

// BenchmarkVerdict splits a reply and looks it up.
func BenchmarkVerdict(b *testing.B) {
	j := newJudge(b, thousandRules(b))
	b.ReportAllocs()
	for b.Loop() {
		j.Verdict(&benchReply)
	}
}

// BenchmarkNew judges a new template with 1,000 rules.
func BenchmarkNew(b *testing.B) {
	j := newJudge(b, thousandRules(b))
	s := j.scratch.New().(*scratch)
	template, _ := bounce.Split(benchReply.Response)
	a := j.aboutOf(&benchReply)
	b.ReportAllocs()
	for b.Loop() {
		j.judge(s, template, a)
	}
}

// BenchmarkNewKinds judges templates of all kinds with 1,000 rules and without the cache; the
// figures are per reply.
func BenchmarkNewKinds(b *testing.B) {
	j := newJudge(b, thousandRules(b))
	text, err := os.ReadFile("testdata/replies.tsv")
	if err != nil {
		b.Fatal(err)
	}
	var templates []string
	for _, line := range strings.Split(string(text), "\n") {
		if line != "" && line[0] != '#' {
			t, _ := bounce.Split(line[strings.LastIndexByte(line, '\t')+1:])
			templates = append(templates, t)
		}
	}
	s := j.scratch.New().(*scratch)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		j.judge(s, templates[i%len(templates)], about{code: 550})
		i++
	}
}

func BenchmarkNewJudge(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newJudge(b)
	}
}

// BenchmarkFirstVerdict makes a judge and its first judgement.
func BenchmarkFirstVerdict(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newJudge(b).Verdict(&benchReply)
	}
}

func BenchmarkProvider(b *testing.B) {
	j := newJudge(b)
	b.ReportAllocs()
	for b.Loop() {
		j.Provider("example-com.mail.protection.outlook.com")
	}
}

var hostile = flag.Int("hostile", 300_000, "how many distinct replies TestMemoryIsBounded sends")

// Replies that change every time cost time but not memory. With -hostile 10000000 the test takes
// about a minute.
func TestMemoryIsBounded(t *testing.T) {
	n := *hostile
	if testing.Short() || raceEnabled {
		n = min(n, 100_000)
	}
	j := newJudge(t)
	r := rand.New(rand.NewPCG(3, 4))
	var before, after runtime.MemStats
	run := func(n int) {
		text := make([]byte, 0, 256)
		d := bounce.Delivery{Code: 550, Outcome: bounce.Hard}
		for range n {
			text = append(text[:0], "550 no "...)
			for x := r.Uint64(); x > 1; x >>= 3 {
				text = append(text, "etaoinsh"[x&7])
				if x&0x38 == 0x38 {
					text = append(text, ' ')
				}
			}
			d.Response = string(text)
			j.Verdict(&d)
		}
	}
	run(3 * memoryEntries) // fill both generations
	runtime.GC()
	runtime.ReadMemStats(&before)
	run(n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("the heap grew by %d bytes over %d distinct replies", grown, n)
	}
	if len(j.memory.young) > memoryEntries || len(j.memory.old) > memoryEntries {
		t.Errorf("generations of %d and %d verdicts, want at most %d", len(j.memory.young), len(j.memory.old), memoryEntries)
	}
	// Long replies are bounded in bytes.
	for i := range 3 * memoryBytes / memoryTemplate {
		d := bounce.Delivery{Code: 550, Outcome: bounce.Hard, Response: strings.Repeat(string(rune('a'+i%26)), memoryTemplate-20) + " " + fmt.Sprint(strings.Repeat("x", i%17))}
		j.Verdict(&d)
	}
	if j.memory.bytes > memoryBytes {
		t.Errorf("a generation of %d bytes, want at most %d", j.memory.bytes, memoryBytes)
	}
}

// A reply that occurs between floods of new replies stays cached.
func TestMemoryKeepsWhatIsUsed(t *testing.T) {
	var m memory
	want := bounce.Verdict{Reason: bounce.UserUnknown, Rule: "r"}
	m.put(about{code: 1}, &judged{template: "kept", verdict: want})
	for i := range 5 * memoryEntries {
		m.put(about{code: 1}, &judged{template: fmt.Sprint("new ", i)})
		if i%1000 == 0 {
			if got := m.get([]byte("kept"), about{code: 1}); got == nil || got.verdict != want {
				t.Fatalf("after %d others: %v", i, got)
			}
		}
	}
	if m.get([]byte("new 1"), about{code: 1}) != nil {
		t.Fatal("the first of many others is still remembered")
	}
}

func TestVerdictConcurrent(t *testing.T) {
	j := newJudge(t)
	want := j.Verdict(&benchReply)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 2000 {
				d := bounce.Delivery{Code: 451, Outcome: bounce.Soft, Response: fmt.Sprintf("451 try %c%c later", 'a'+g, 'a'+i%26)}
				j.Verdict(&d)
				if got := j.Verdict(&benchReply); got != want {
					t.Errorf("%+v, want %+v", got, want)
					return
				}
			}
		}()
	}
	wg.Wait()
}

func TestVerdictNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	j := newJudge(t)
	j.Verdict(&benchReply)
	if n := testing.AllocsPerRun(1000, func() { j.Verdict(&benchReply) }); n != 0 {
		t.Errorf("%v allocations for a remembered template", n)
	}
}

// For any text of a stranger's server, a verdict has a rule and a reason, is the same twice, and is
// equal to the verdict on its template.
func FuzzVerdict(f *testing.F) {
	j := newJudge(f)
	f.Add(benchReply.Response, benchReply.RelayHost, uint16(550), uint32(benchReply.Enhanced), uint8(bounce.StageEOM))
	f.Add("", "", uint16(0), uint32(0), uint8(0))
	f.Add("\\377\\n550-{addr} \x00 \\", "..", uint16(999), uint32(5_999_999), uint8(8))
	f.Add("550 {n} {brace} spam http:// https://{host}/{", "a.google.com", uint16(65535), uint32(1<<31), uint8(255))
	f.Fuzz(func(t *testing.T, text, host string, code uint16, enhanced uint32, stage uint8) {
		d := &bounce.Delivery{Response: text, RelayHost: host, Code: code, Enhanced: bounce.EnhancedCode(enhanced % 6_000_000), Stage: bounce.Stage(stage % 9), Outcome: bounce.Hard}
		v := j.Verdict(d)
		if v.Reason == bounce.NoReason || v.Rule == "" || v.Confidence == bounce.NoConfidence || v.Reason > bounce.Unknown {
			t.Fatalf("%q: %+v", text, v)
		}
		template, _ := bounce.Split(text)
		if got, w := j.Judge(d); w != v || got.Text != template || bounce.Join(got.Text, got.Args) != text {
			t.Fatalf("%q: %+v with the template %q, %+v with %q", text, w, got.Text, v, template)
		}
		if w := newVerdict(j, d); w != v {
			t.Fatalf("%q: %+v without memory, %+v with it", text, w, v)
		}
		j.Explain(d)
	})
}

// newVerdict judges without the cache.
func newVerdict(j *Judge, d *bounce.Delivery) bounce.Verdict {
	s := j.scratch.New().(*scratch)
	template, _ := bounce.Split(d.Response)
	return j.judge(s, template, j.aboutOf(d))
}
