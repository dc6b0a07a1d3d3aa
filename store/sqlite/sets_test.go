package sqlite

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"bouncelog/internal/sqlite3"

	"bouncelog/store"
)

func TestIDSet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, most := range []int64{1, 63, 64, 65, 5000, maxID} {
		var s idSet
		known := make(map[int64]bool)
		for range 300 {
			id := 1 + rnd.Int64N(most)
			s.add(id)
			known[id] = true
		}
		for _, none := range []int64{0, -1, -1 << 63, maxID + 1, 1 << 40} {
			s.add(none)
			if s.has(none) {
				t.Errorf("the set has %d", none)
			}
		}
		ids := sorted(known)
		if n := s.ranked(); n != len(ids) {
			t.Fatalf("%d ids, want %d", n, len(ids))
		}
		if got := slices.Collect(s.all()); !slices.Equal(got, ids) {
			t.Fatalf("ids to %d: %d of them, not those that were added", most, len(got))
		}
		for i, id := range ids {
			if s.index(id) != i {
				t.Fatalf("the index of %d is %d, want %d", id, s.index(id), i)
			}
			if next := id + 1; s.has(next) != known[next] || !known[next] && s.index(next) != -1 {
				t.Fatalf("has(%d) is %v", next, s.has(next))
			}
		}
	}
}

// TestInBatches reads the ids for json_each back, in batches.
func TestInBatches(t *testing.T) {
	for _, n := range []int{0, 1, sqlite3.Batch - 1, sqlite3.Batch, sqlite3.Batch + 1, 2*sqlite3.Batch + 7} {
		rows := make([]refusalRow, n)
		for i := range rows {
			rows[i].recipient = int32(3 * (i + 1))
		}
		people := newByID[history](runs{rows}, func(r *refusalRow) int32 { return r.recipient })
		var got []int32
		parts := 0
		must(t, inBatches(people.ids.all(), func(wanted string) error {
			var ids []int32
			must(t, json.Unmarshal([]byte(wanted), &ids))
			got = append(got, ids...)
			parts++
			return nil
		}))
		if parts != (n+sqlite3.Batch-1)/sqlite3.Batch || len(got) != n {
			t.Errorf("%d ids in %d parts, want %d", len(got), parts, n)
		}
		for i, id := range got {
			if id != rows[i].recipient {
				t.Fatalf("id %d is %d, want %d", i, id, rows[i].recipient)
			}
		}
	}
}

// TestTexts reads names back with their ids; one name is empty.
func TestTexts(t *testing.T) {
	d := open(t, "", Options{Temporary: true})
	c, done, err := d.readConn(t.Context())
	must(t, err)
	defer done()
	must(t, c.Exec("DELETE FROM name; INSERT INTO name VALUES (3, ''), (5, 'a,b'), (9, 'ä'), (200000, '')"))
	var got []string
	must(t, batches(c, "name", func(lo, hi int64) error {
		return c.Texts(2, func(v []int64, text string) error {
			got = append(got, text+"/"+strings.Repeat("x", int(v[1])))
			return nil
		}, "SELECT columns(id, id % 4), group_concat(text, char(1)) FROM name WHERE id BETWEEN ? AND ?", lo, hi)
	}))
	if want := []string{"/xxx", "a,b/x", "ä/x", "/"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	names, err := namesOf(c, []int64{3, 4, 9})
	must(t, err)
	if len(names) != 2 || names[9] != "ä" {
		t.Errorf("names %v", names)
	}
}

func TestRuns(t *testing.T) {
	for _, at := range [][]int64{{}, {1}, {1, 2, 3}, {1, 4, 6, 2, 3, 7}, {5, 6, 1, 2}, {1, 1, 2, 1, 1}, {3, 2, 1, 5}} {
		var r runs
		for i, n := range at {
			if i == 0 || n < at[i-1] {
				r = append(r, nil)
			}
			r[len(r)-1] = append(r[len(r)-1], refusalRow{id: int64(i), at: n})
		}
		var got []refusalRow
		for row := range r.all() {
			got = append(got, *row)
		}
		if len(got) != len(at) || !slices.IsSortedFunc(got, func(a, b refusalRow) int { return inOrder(&a, &b) }) {
			t.Errorf("%v comes out as %v", at, got)
		}
	}
}

// TestTextClients counts clients whose address is stored as text beside clients stored as a number.
func TestTextClients(t *testing.T) {
	d := open(t, "", Options{Temporary: true})
	c, done, err := d.readConn(t.Context())
	must(t, err)
	must(t, c.Exec(`INSERT INTO origin VALUES (1, 'h', 'postfix', '');
		INSERT INTO kind SELECT 400, 'hard', 'x' WHERE NOT EXISTS (SELECT 1 FROM kind WHERE id = 400);
		INSERT INTO reply (id, origin, kind, agent, status, local, situation, template) VALUES (1, 1, 400, '', '', 0, '', '');
		INSERT INTO login VALUES (1, 'who');
		INSERT INTO failure (id, at, queue, recipient, route, reply, meta, client) VALUES
			(11, 1, 1, 1, 1, 1, 0, '2001:db8::1'), (12, 1, 2, 1, 1, 1, 0, '2001:db8::1'), (13, 1, 3, 1, 1, 1, 0, '2001:db8::2'),
			(14, 1, 4, 1, 1, 1, 0, -1 - 3221225985), (15, 1, 5, 1, 1, 1, 0, 1), (16, 1, 6, 1, 1, 1, 0, NULL)`))
	done()
	got := make(map[string]int64)
	ask(t, d, func(r store.Reader) {
		list, err := r.Count(t.Context(), store.Filter{}, store.BySASLUser, store.ByClient)
		must(t, err)
		for _, g := range list {
			got[g.Keys[0]+g.Keys[1]] = g.Soft + g.Hard
		}
	})
	if len(got) != 5 || got["who"] != 1 || got[""] != 1 || got["2001:db8::1"] != 2 || got["2001:db8::2"] != 1 || got["192.0.2.1"] != 1 {
		t.Errorf("clients %v", got)
	}
}
