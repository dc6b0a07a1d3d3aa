package sqlite

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// The view of problems asks for the reasons that package bounce says are about the
// sender.
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
