package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

// seedIDs makes a database whose dictionaries have one row each, with a high id.
func seedIDs(t *testing.T, id int64) string {
	t.Helper()
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{})
	must(t, d.w.c.Exec(fmt.Sprintf(`INSERT INTO name VALUES (%[1]d, 'seed.example'); INSERT INTO name_key VALUES (%[1]d);
		INSERT INTO address VALUES (%[1]d, %[1]d, 'seed', 0, 0); INSERT INTO address_key VALUES (%[1]d);
		INSERT INTO route VALUES (%[1]d, %[1]d, NULL, NULL, NULL); INSERT INTO route_key VALUES (%[1]d);
		INSERT INTO origin VALUES (%[1]d, 'seed', 'postfix', ''); INSERT INTO kind VALUES (128, 'delivered', NULL);
		INSERT INTO reply (id, origin, kind, agent, status, local, situation, template) VALUES (%[1]d, %[1]d, 128, '', '', 0, '', ''); INSERT INTO reply_key VALUES (%[1]d)`, id)))
	must(t, d.Close())
	return path
}

// newNames returns a batch whose attempts add a row to every dictionary.
func newNames() *store.Batch {
	b := &store.Batch{Sources: []store.Source{{ID: "log", Offset: 1000}}}
	for i := range 6 {
		d := bounce.Delivery{
			Source: "log", Offset: int64(i), Time: time.Date(2026, 3, 2+i/3, 1, 0, i, 0, time.UTC), Host: fmt.Sprint("mx", i), MTA: bounce.Postfix,
			QueueID: fmt.Sprint("ABCDE", i), MessageID: fmt.Sprint("m@right", i, ".example"), SenderKnown: true,
			Sender: fmt.Sprintf("a@from%d.example", i), SenderDomain: fmt.Sprintf("from%d.example", i),
			Recipient: fmt.Sprintf("b@to%d.example", i), RecipientDomain: fmt.Sprintf("to%d.example", i),
			RelayHost: fmt.Sprintf("mx.to%d.example", i), RelayIP: "192.0.2.1", RelayPort: 25,
			Outcome: bounce.Hard, Status: "bounced", Code: 550, Response: fmt.Sprintf("550 no %c", 'a'+i),
		}
		if i%2 == 1 {
			d.Outcome, d.Status, d.Code, d.Response = bounce.Delivered, "sent", 250, fmt.Sprintf("250 yes %c", 'a'+i)
		}
		b.Attempts = append(b.Attempts, store.Attempt{Delivery: d, Verdict: bounce.Verdict{Reason: bounce.Policy, Rule: "test"}})
	}
	return b
}

// TestHighIDs appends to databases whose dictionaries are nearly full. Counts and attempts must be
// the same as in a new database, just below and above each power of two that an id may have to fit
// below.
func TestHighIDs(t *testing.T) {
	type answers struct {
		Days, Senders, Domains, Hosts []store.Cell
		Refusals                      []store.Refusal
		Deliveries                    []store.History
	}
	answersOf := func(d *DB) (a answers) {
		t.Helper()
		r, err := d.Read(t.Context())
		must(t, err)
		defer r.Close()
		for _, q := range []struct {
			by store.Dimension
			to *[]store.Cell
		}{{store.ByDay, &a.Days}, {store.BySenderDomain, &a.Senders}, {store.ByDomain, &a.Domains}, {store.ByHost, &a.Hosts}} {
			for day := range 2 {
				since := time.Date(2026, 3, 2+day, 0, 0, 0, 0, time.UTC)
				groups, err := r.Count(t.Context(), store.Filter{Since: since, Until: since.AddDate(0, 0, 1)}, q.by)
				must(t, err)
				*q.to = append(*q.to, groups...)
			}
		}
		for r, err := range r.Refusals(t.Context(), store.Filter{}) {
			must(t, err)
			r.Message = 0
			a.Refusals = append(a.Refusals, *r)
		}
		a.Deliveries, err = r.Delivered(t.Context(), []store.Stream{{
			Domains: []string{"to1.example", "to3.example"}, Span: store.Span{First: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Last: time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)},
			Around: []time.Time{time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)},
		}}, 1000)
		must(t, err)
		for i := range a.Deliveries {
			for j := range a.Deliveries[i].Deliveries {
				a.Deliveries[i].Deliveries[j].Message = 0
			}
		}
		return a
	}
	plain := open(t, t.TempDir()+"/plain.db", Options{})
	storetest.Append(t, plain, newNames())
	want := answersOf(plain)
	if len(want.Refusals) != 3 || len(want.Deliveries[0].Deliveries) != 2 || len(want.Senders) != 6 {
		t.Fatalf("the question answers too little: %+v", want)
	}
	for _, id := range []int64{1<<16 - 2, 1<<24 - 4, 1<<24 + 4} {
		d := open(t, seedIDs(t, id), Options{})
		storetest.Append(t, d, newNames())
		byKey := cmpopts.SortSlices(func(a, b store.Cell) bool { return a.Keys[0] < b.Keys[0] })
		if diff := cmp.Diff(want, answersOf(d), byKey); diff != "" {
			t.Errorf("ids from %d on (-new database +this):\n%.2000s", id, diff)
		}
	}
}

// TestTooMany appends to databases whose dictionaries are full.
func TestTooMany(t *testing.T) {
	b := newNames()
	b.Attempts = b.Attempts[:1]
	for _, table := range []string{"name", "route", "reply", "address", "origin"} {
		path := seedIDs(t, 1<<28-1)
		d := open(t, path, Options{})
		for _, other := range []string{"name", "route", "reply", "address", "origin"} {
			if other != table {
				must(t, d.w.c.Exec("PRAGMA foreign_keys = OFF; DELETE FROM "+other))
			}
		}
		must(t, d.Close())
		d = open(t, path, Options{})
		err := storetest.Put(t.Context(), d, b)
		if !errors.Is(err, store.ErrTooMany) {
			t.Errorf("%s: error %v, want ErrTooMany", table, err)
		}
		for _, cells := range []string{"rollup_route", "rollup_sender", "rollup_origin", "rollup_total", "failure"} {
			if n, err := d.w.c.Number("SELECT count(*) FROM " + cells); n != 0 || err != nil {
				t.Errorf("%s: %s has %d rows, %v", table, cells, n, err)
			}
		}
	}
}

// TestLayout splits integers again, at the limits of their parts.
func TestLayout(t *testing.T) {
	for _, source := range []int64{1, 77, maxSources} {
		for _, offset := range []int64{0, 1, maxOffset} {
			id := newAttemptID(source, offset)
			if id.source() != source || id.offset() != offset || id.expired() || id <= 0 {
				t.Errorf("attempt %d of source %d: %d of %d", offset, source, id.offset(), id.source())
			}
			if e := id.expiry(); !e.expired() || int64(e) < expiries.lo || int64(e) > expiries.hi {
				t.Errorf("the expiry of attempt %d is %d", id, e)
			}
			if s := attemptsOf(source); int64(id) < s.lo || int64(id) > s.hi {
				t.Errorf("attempt %d is not one of source %d", id, source)
			}
		}
	}
	for _, h := range []uint64{0, 1, 1 << 63, math.MaxUint64} {
		lo, hi := dictKeys(h)
		for _, id := range []int64{1, maxID} {
			if k := newDictKey(h, id); k < lo || k > hi || int64(k)&maxID != id || k < 0 || k >= 1<<49 {
				t.Errorf("key of %d with hash %x is %d, not from %d to %d", id, h, k, lo, hi)
			}
		}
	}
	for _, period := range []int64{0, 1, maxPeriod} {
		for _, id := range []int64{0, 1, maxID} {
			for _, kind := range []int64{0, 1, maxKind} {
				k := newCellKey(period, id, kind)
				if k.period() != period || k.id() != id || k.kind() != kind || k < 0 || k.total() != newCellKey(0, id, kind) {
					t.Errorf("cell %d, %d, %d: %d, %d, %d", period, id, kind, k.period(), k.id(), k.kind())
				}
			}
		}
	}
	// One more bit than there is room for: every reason and outcome of package bounce must fit.
	for n := range 2 << reasonBits {
		r := bounce.Reason(n)
		if got, ok := bounce.ParseReason(r.String()); ok && got == r && n > maxReason {
			t.Errorf("reason %v (%d) has no room", r, n)
		}
	}
	for n := range 2 * (maxKind>>reasonBits + 1) {
		o := bounce.Outcome(n)
		if got, ok := bounce.ParseOutcome(o.String()); !ok || got != o {
			continue
		}
		k := kindOf(o, maxReason)
		if outcomeOf(k) != o || reasonOf(k) != maxReason || k > maxKind {
			t.Errorf("%v and %d are %v and %d", o, maxReason, outcomeOf(k), reasonOf(k))
		}
		if counted := o <= bounce.Hard; counted != (k < uncounted) {
			t.Errorf("%v: kind %d", o, k)
		}
	}
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(5, 999), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		if n := unixTime(at); n < minTime || n > maxTime || at.Unix() == 5 && n != 5 {
			t.Errorf("%v is stored as %d", at, n)
		}
	}
}

// TestLayoutNames checks that each name in SQL stands for one constant, and that every name in the
// schema is known.
func TestLayoutNames(t *testing.T) {
	for a := range layoutNames {
		for b := range layoutNames {
			if a != b && strings.HasPrefix(a, b) {
				t.Errorf("%s begins with %s", a, b)
			}
		}
	}
	text, err := fs.ReadFile(layoutFS{migrations}, "migrations/00001_first.sql")
	must(t, err)
	if i := bytes.IndexByte(text, '$'); i >= 0 {
		t.Errorf("a name that is no constant: %.30s", text[i:])
	}
}

// TestOddTimes stores attempts with clocks wrong by thousands of years. They must be counted, and
// the stored data must be consistent.
func TestOddTimes(t *testing.T) {
	d := open(t, t.TempDir()+"/log.db", Options{})
	b := newNames()
	for i, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1e9, 0), time.Date(2107, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(3100, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		b.Attempts[i].Time = at
	}
	storetest.Append(t, d, b)
	if problems, err := d.Check(t.Context()); err != nil || len(problems) != 1 || !strings.Contains(problems[0], "before 1990") {
		t.Errorf("Check: %q, %v", problems, err)
	}
	if got := totals(t, d); got.Attempts != 6 || got.Hard != 3 || got.Messages != 6 {
		t.Errorf("Totals = %+v", got)
	}
	var days []string
	for _, g := range countBy(t, d, store.ByDay) {
		days = append(days, fmt.Sprint(g.Keys[0], " ", g.Attempts))
	}
	slices.Sort(days)
	if want := []string{"1970-01-01 3", "2106-02-07 3"}; !slices.Equal(days, want) {
		t.Errorf("days %q, want %q", days, want)
	}
	n := 0
	ask(t, d, func(r store.Reader) {
		for x, err := range r.Refusals(t.Context(), store.Filter{}) {
			must(t, err)
			if y := x.Time.Year(); y != 1970 && y != 2106 {
				t.Errorf("a refusal of %v", x.Time)
			}
			n++
		}
	})
	if n != 3 {
		t.Errorf("%d refusals, want 3", n)
	}
}
