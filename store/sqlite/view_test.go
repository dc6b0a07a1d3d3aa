package sqlite

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

// The view of problems must select the reasons that package bounce lists as being about the sender.
func TestViewOfProblems(t *testing.T) {
	text, err := migrations.ReadFile("migrations/00001_first.sql")
	must(t, err)
	_, view, ok := strings.Cut(string(text), "CREATE VIEW problems AS")
	if !ok {
		t.Fatal("there is no view problems")
	}
	view, _, _ = strings.Cut(view, ";")
	lists := regexp.MustCompile(`k\.reason IN \(([^)]*)\)`).FindAllStringSubmatch(view, -1)
	if len(lists) != 2 {
		t.Fatalf("%d lists of reasons in the view, want 2", len(lists))
	}
	for i, is := range []func(bounce.Reason) bool{bounce.Reason.NamesCause, bounce.Reason.HidesCause} {
		var got, want []string
		for name := range strings.SplitSeq(lists[i][1], ",") {
			got = append(got, strings.Trim(name, " '\n"))
		}
		for _, r := range bounce.Reasons(is) {
			want = append(want, r.String())
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the view asks for %q, package bounce says %q", got, want)
		}
	}
}

// TestCutTemplate selects from the view a row whose template ends within a token, as stored by an
// earlier bouncelog. The query must terminate.
func TestCutTemplate(t *testing.T) {
	d := open(t, "", Options{Temporary: true})
	at := time.Unix(1772409600, 0)
	storetest.Append(t, d, &store.Batch{
		Attempts: []store.Attempt{{Delivery: bounce.Delivery{Source: "log", Offset: 1, Time: at, QueueID: "1", Outcome: bounce.Hard, Response: "a 77"}}},
		Sources:  []store.Source{{ID: "log", Offset: 2}},
	})
	must(t, d.w.c.Exec("UPDATE reply SET template = 'a {n'; UPDATE failure SET text = char(5) || '77'"))
	rows, err := d.Query(t.Context(), "SELECT response FROM deliveries")
	must(t, err)
	defer rows.Close()
	if row, err := rows.Next(); err != nil || row[0] != "a {n" {
		t.Errorf("%q, %v", row, err)
	}
}
