package ingest_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"bouncelog/ingest"
	"bouncelog/judge"
	"bouncelog/parser"
	"bouncelog/store"
	"bouncelog/store/memory"
	"bouncelog/tailer"
)

const agentLog = `2026-11-23T10:00:00+00:00 mx postfix/smtp[1]: 4F2C9: to=<a@dest.example>, relay=mx.dest.example[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok)
2026-11-23T10:00:01+00:00 mx postfix/smtp[1]: 4F2CA: to=<b@dest.example>, relay=mx.dest.example[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.dest.example[192.0.2.9] said: 550 5.1.1 no such user (in reply to RCPT TO command))
`

// TestAgents reads logs with the same content, which have the same identity, as several
// hosts and as one host twice.
func TestAgents(t *testing.T) {
	rules, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	db := memory.Open()
	// read reads from where the agent resumes, and returns where that was.
	read := func(agent string) int64 {
		t.Helper()
		g, err := ingest.New(t.Context(), db, ingest.Options{Judge: rules, Agent: agent, Parser: parser.Options{Location: time.UTC}, Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		at := int64(0)
		for _, p := range g.Positions() {
			if p.ID != "journal:" {
				t.Errorf("agent %q resumes source %q", agent, p.ID)
			}
			at = p.Offset
		}
		if err := g.Close(g.Chunk(chunk("journal:", agentLog, at))); err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, step := range []struct {
		agent    string
		resumes  int64
		attempts int64
	}{
		{"mx1", 0, 2},
		{"mx2", 0, 4},
		{"mx1", int64(len(agentLog)), 4},
		{"mx", 0, 6}, // a name that others begin with
		{"mx2", int64(len(agentLog)), 6},
	} {
		if at := read(step.agent); at != step.resumes {
			t.Errorf("agent %q resumes at %d, want %d", step.agent, at, step.resumes)
		}
		if n := attempts(t, db); n != step.attempts {
			t.Errorf("%d attempts after agent %q, want %d", n, step.agent, step.attempts)
		}
	}
}

// TestAgentIsHost holds that lines without a host, such as those of Exim's own log, are
// of the agent, and others of the host that they name.
func TestAgentIsHost(t *testing.T) {
	rules, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	db := memory.Open()
	g, err := ingest.New(t.Context(), db, ingest.Options{Judge: rules, Agent: "mx7", Parser: parser.Options{Location: time.UTC}, Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	text := "2026-11-23 10:00:00 1vZ101-00000000101-1aZ1 => c@dest.example R=dnslookup T=remote_smtp H=mx.dest.example [192.0.2.9] C=\"250 OK\"\n" + agentLog
	if err := g.Close(g.Chunk(chunk("mixed", text, 0))); err != nil {
		t.Fatal(err)
	}
	r, err := db.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cells, err := r.Count(t.Context(), store.Filter{}, store.ByHost)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, x := range cells {
		got[x.Keys[0]] += x.Attempts
	}
	if want := map[string]int64{"mx7": 1, "mx": 2}; !maps.Equal(got, want) {
		t.Errorf("attempts by host: %v, want %v", got, want)
	}
}

// TestEnd holds that what waits for a line that does not come is counted once, where a log is
// read whole.
func TestEnd(t *testing.T) {
	rules, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text string
		want store.Source
	}{
		{
			"__CURSOR=a\n__REALTIME_TIMESTAMP=1795427226123456\nSYSLOG_IDENTIFIER=postfix/smtp\n_HOSTNAME=mx\nMESSAGE=4028B460: to=<a@b.example>, relay=none, delay=1, dsn=5.1.1, status=bounced (no)\n",
			store.Source{Lines: 5, Delivery: 1, Attempts: 1, Skipped: 4},
		},
		{"Nov 23 09:47:06 mx exim[7]: [1/2] 1xVUtG-0005Lh-1y ** a@b.example R=r T=t: 550\n", store.Source{Lines: 1, Unparsed: 1}},
	} {
		db := memory.Open()
		g, err := ingest.New(t.Context(), db, ingest.Options{Judge: rules, Parser: parser.Options{Location: time.UTC}, Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		// Before the end, everything is stored.
		if err := g.Close(errors.Join(g.Chunk(chunk("a", tt.text, 0)), g.Flush())); err != nil {
			t.Fatal(err)
		}
		s := g.Totals()
		s.First, s.Last = time.Time{}, time.Time{}
		if s != tt.want {
			t.Errorf("%+v, want %+v", s, tt.want)
		}
		if n := attempts(t, db); n != tt.want.Attempts {
			t.Errorf("%d attempts are stored, want %d", n, tt.want.Attempts)
		}
	}
}

// chunk returns the text of a log from an offset on, to its end.
func chunk(id, text string, from int64) *tailer.Chunk {
	c := &tailer.Chunk{Source: &tailer.Source{ID: id, Path: id, Kind: tailer.KindFile}, Offset: from, Data: []byte(text)[from:]}
	c.Position = tailer.Position{ID: id, Path: id, Offset: int64(len(text))}
	return c
}

func attempts(t *testing.T, db store.Store) int64 {
	t.Helper()
	return counted(t, db).Attempts
}

// counted counts all that is stored.
func counted(t *testing.T, db store.Store) store.Tally {
	t.Helper()
	r, err := db.Read(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := store.CountAll(t.Context(), r, store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
