package parser

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEntries reads lines that are JSON documents, entry by entry.
func TestEntries(t *testing.T) {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	line := func(n int) string {
		return strings.Replace(wrapSyslog, "a@b.example", fmt.Sprintf("a%d@b.example", n), 1)
	}
	bare := func(n int) string {
		return strings.Replace(wrapBare, "a@b.example", fmt.Sprintf("a%d@b.example", n), 1)
	}
	three := func(format string, text func(int) string) string {
		var list []string
		for n := range 3 {
			list = append(list, fmt.Sprintf(format, quote(text(n))))
		}
		return strings.Join(list, ",")
	}
	for _, tt := range []struct {
		name, line                   string
		attempts, notUnderstood, all int
	}{
		{"a list of objects", "[" + three(`{"time":"2026-11-23T09:47:06Z","message":%s}`, line) + "]", 3, 0, 3},
		{"with blanks", "[ " + three(` {"message": %s } `, line) + " ]", 3, 0, 3},
		{"a list of strings", "[" + three("%s", line) + "]", 3, 0, 3},
		{"Loki", `{"status":"success","data":{"resultType":"streams","result":[{"stream":{"app":"postfix","host":"mx1"},"values":[` + three(`["1795427226000000000",%s]`, bare) + `]},{"stream":{"app":"shop"},"values":[["1795427226000000000",` + quote(bare(9)) + `]]}],"stats":{"summary":{"x":[1,2]}}}}`, 3, 1, 4},
		{"a cut reply of Loki", `{"status":"success","data":{"resultType":"streams","result":[{"stream":{"app":"postfix","host":"mx1"},"values":[` + three(`["1795427226000000000",%s]`, bare) + `]},{"stream":{"app":"postfix"},"values":[["1795427226000000000",` + quote(bare(8)) + `],["1795427226000000000",` + quote(bare(9)) + `],["17`, 3, 1, 4},
		{"Loki's push API", `{"streams":[{"stream":{"job":"x"},"values":[` + three(`["1795427226000000000",%s]`, line) + `]}]}`, 3, 0, 3},
		{"Elasticsearch", `{"took":3,"timed_out":false,"_shards":{"total":1},"hits":{"total":{"value":3},"max_score":1.0,"hits":[` + three(`{"_index":"x","_source":{"message":%s}}`, line) + `]}}`, 3, 0, 3},
		{"CloudWatch", `{"events":[` + three(`{"timestamp":1795427226123,"message":%s,"ingestionTime":1795427227123,"eventId":"1"}`, line) + `],"searchedLogStreams":[],"nextToken":"x"}`, 3, 0, 3},
		{"OpenTelemetry", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + three(`{"timeUnixNano":"1795427226123456789","body":{"stringValue":%s}}`, line) + `]}]}]}`, 3, 0, 3},
		{"one entry that is not understood", `[{"message":` + quote(line(1)) + `},{"user":` + quote(line(2)) + `},{"message":` + quote(line(3)) + `}]`, 2, 1, 3},
		{"behind the list", "[" + three(`{"message":%s}`, line) + `] {"message":` + quote(line(7)) + "}", 0, 1, 1},
		// A list in an object with another subject vouches for no author.
		{"a form", `{"form":{"fields":[` + three(`{"message":%s}`, line) + `]}}`, 0, 1, 1},
		{"a request", `{"method":"POST","events":[` + three(`{"message":%s}`, line) + `]}`, 0, 3, 3},
		{"an application's", `{"customer":"x","events":[` + three(`{"message":%s}`, line) + `]}`, 0, 3, 3},
		{"data", `{"data":[` + three(`{"message":%s}`, line) + `]}`, 0, 1, 1},
		{"values", `{"form":{"values":[` + three(`["1",%s]`, line) + `]}}`, 0, 1, 1},
		{"two lists", `{"events":[` + three(`{"message":%s}`, line) + `],"records":[{"message":"x"}]}`, 0, 1, 1},
		{"a delivery beside a short entry", `{"events":[{"log":"x"},{}],"a":{"b":{"message":` + quote(line(1)) + `}}}`, 0, 1, 2},
		{"a delivery behind an object", `{"events":[{"log":"x"}]} ` + line(1), 0, 1, 1},
		{"a list that does not end", `{"events":[` + three(`{"message":%s}`, line), 0, 1, 1},
	} {
		p := New(nil, Options{Location: time.UTC, Year: 2026})
		var r Result
		attempts, notUnderstood, all, last := 0, 0, 0, -1
		for at, entry := range entries([]byte(tt.line)) {
			if all++; at <= last || at >= len(tt.line) {
				t.Errorf("%s: at %d behind %d", tt.name, at, last)
			}
			last = at
			switch p.Parse(slices.Clone(entry), int64(at), &r) {
			case Attempt:
				attempts += len(r.Deliveries)
				if d := r.Deliveries[0]; d.Host != "mx1" || d.Time.Unix() != 1795427226 {
					t.Errorf("%s: %q at %v", tt.name, d.Host, d.Time)
				}
			case Unparsed:
				notUnderstood++
			}
		}
		if attempts != tt.attempts || notUnderstood != tt.notUnderstood || all != tt.all {
			t.Errorf("%s: %d attempts, %d not understood of %d; want %d, %d, %d", tt.name, attempts, notUnderstood, all, tt.attempts, tt.notUnderstood, tt.all)
		}
	}
}

// TestLargeEntries reads a document with more entries, and more text round them, than fit if each
// were as short as an entry can be.
func TestLargeEntries(t *testing.T) {
	const n = 12_000
	record := `,{"body":{"stringValue":"` + wrapSyslog + `"}}`
	document := `{"resourceLogs":[{"resource":{"a":"` + strings.Repeat("x", 3000) + `"},"scopeLogs":[{"logRecords":[` + strings.Repeat(record, n)[1:] + `]}]}]}`
	if len(document) > 4<<20 {
		t.Fatal("longer than a line")
	}
	got := 0
	for range entries([]byte(document)) {
		got++
	}
	if got != n {
		t.Errorf("%d entries, want %d", got, n)
	}
}

// TestDeepEntries checks that the cost of a document is proportional to its size, for lists within
// lists and for many small entries, each of which would repeat the text round the list.
func TestDeepEntries(t *testing.T) {
	long := strings.Repeat(`,{"x":"`+strings.Repeat("y", shortestEntry)+`"}`, 100_000)
	spines := func(levels, bytes int) string {
		around := `{"x":"` + strings.Repeat("y", bytes) + `","records":[`
		return strings.Repeat(around, levels) + "{}" + long + strings.Repeat("]}", levels)
	}
	for name, line := range map[string]string{
		"long entries":          spines(1, maxSpine-100),
		"text round each level": spines(maxNested, maxSpine-100),
		"text round all levels": spines(maxNested, maxSpine/maxNested-100),

		"deep":   strings.Repeat(`{"records":[`, 20_000) + "{}" + strings.Repeat("]}", 20_000),
		"within": `{"x":"` + strings.Repeat("y", maxSpine-100) + `","records":[{"records":[{}` + strings.Repeat(",{}", 20_000) + "]}]}",
		"small":  `{"x":"` + strings.Repeat("y", maxSpine-100) + `","records":[{}` + strings.Repeat(",{}", 20_000) + "]}",
	} {
		bytes := 0
		for _, entry := range entries([]byte(line)) {
			bytes += len(entry)
		}
		if bytes > 2*maxNested*len(line)+maxCopied {
			t.Errorf("%s: %d bytes of %d", name, bytes, len(line))
		}
	}
}

// FuzzEntries checks that the entries of a line are parts of it, in order.
func FuzzEntries(f *testing.F) {
	for _, s := range []string{`[{"a":1},"b",[]]`, `{"events":[{"x":[]},{}]}`, `{"hits":{"hits":[[],{}]}}`, `["`, `[{]}`, `{"status":"success","data":{"resultType":"streams","result":[{}]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		last, n := -1, 0
		for at, entry := range entries(line) {
			if at <= last || at > len(line) || len(entry) > 2*len(line) {
				t.Fatalf("%q: %q at %d", line, entry, at)
			}
			if last, n = at, n+1; n > len(line)+1 {
				t.Fatalf("%q: %d entries", line, n)
			}
		}
		if n == 0 && len(line) > 2 && line[1] != ']' && line[1] != ' ' {
			t.Fatalf("%q: no entry", line)
		}
	})
}
