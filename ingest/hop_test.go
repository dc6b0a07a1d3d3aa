package ingest_test

import (
	"strings"
	"testing"
	"time"

	"bouncelog/ingest"
	"bouncelog/judge"
	"bouncelog/parser"
	"bouncelog/store/memory"
)

// TestHopsAreNoted holds that the next process knows which relays pass mail on to another host of the
// log, before a message proves it again.
func TestHopsAreNoted(t *testing.T) {
	rules, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	// The lines of the next host come after the delivery to it.
	const message = `2026-11-23T10:00:00+00:00 sub1 postfix/cleanup[2]: C7EE1C2A90C: message-id=<one@sender.test>
2026-11-23T10:00:00+00:00 sub1 postfix/qmgr[3]: C7EE1C2A90C: from=<lise@sender.test>, size=100, nrcpt=1 (queue active)
2026-11-23T10:00:01+00:00 sub1 postfix/smtp[7]: C7EE1C2A90C: to=<anna@plain.test>, relay=out2.sender.test[10.9.0.12]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as AA2C1523E00)
2026-11-23T10:00:01+00:00 out2 postfix/cleanup[5]: AA2C1523E00: message-id=<one@sender.test>
`
	again := strings.NewReplacer("C7EE1C2A90C", "4A5B6C7D8E9", "AA2C1523E00", "BB3D1523E00", "<one@", "<two@").Replace
	db, text := memory.Open(), ""
	for i, want := range []int64{0, 1} { // hand-offs: the first message proves the relay only after its delivery
		from := len(text)
		text += []string{"2026-11-23T09:59:00+00:00 out2 postfix/cleanup[5]: 0E2C1523E01: message-id=<zero@sender.test>\n" + message, again(message)}[i]
		g, err := ingest.New(t.Context(), db, ingest.Options{Judge: rules, Parser: parser.Options{Location: time.UTC}})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Close(g.Chunk(chunk("log", text, int64(from)))); err != nil {
			t.Fatal(err)
		}
		if n := counted(t, db).Handoff; n != want {
			t.Errorf("%d hand-offs after %d messages, want %d", n, i+1, want)
		}
	}
}
