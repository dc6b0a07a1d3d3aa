package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/store"
)

// A narrow table repeats the columns that a report needs of the failures with some reasons. A row
// of failure is three times as wide, and most failures have other reasons.
type narrow struct {
	table   string
	columns string // of failure
	reasons []bounce.Reason
}

var narrows = [...]narrow{
	{"refusal", "id, at, queue, recipient, sender, route, reply, before, " + originalDomain, store.Suspect},
	{"fault", "id, at, recipient, reply, before", store.Faults},
}

// originalDomain is the domain of the original recipient of a failure a.
const originalDomain = "(SELECT x.domain FROM original AS o JOIN address AS x ON x.id = o.address WHERE o.id = a.id)"

// narrowOf returns the narrow table for failures of a kind; empty: none.
func narrowOf(kind int64) string {
	if o := outcomeOf(kind); o != bounce.Soft && o != bounce.Hard {
		return ""
	}
	for i := range narrows {
		if slices.Contains(narrows[i].reasons, reasonOf(kind)) {
			return narrows[i].table
		}
	}
	return ""
}

// narrowSQL selects the rows that the table must hold.
func (n *narrow) narrowSQL() string {
	var kinds []string
	for _, o := range [...]bounce.Outcome{bounce.Soft, bounce.Hard} {
		for _, r := range n.reasons {
			kinds = append(kinds, fmt.Sprint(kindOf(o, r)))
		}
	}
	return "SELECT " + n.columns + " FROM failure AS a WHERE reply IN (SELECT id FROM reply WHERE kind IN (" + strings.Join(kinds, ",") + "))"
}

// addNarrow adds a failure to its narrow table, if there is one.
func (t *tables) addNarrow(kind, id, at int64, queue any, recipient int64, sender any, route, reply int64, before, original any) {
	switch narrowOf(kind) {
	case "refusal":
		t.add("refusal", id, at, queue, recipient, sender, route, reply, before, original)
	case "fault":
		t.add("fault", id, at, recipient, reply, before)
	}
}

// fillNarrow rebuilds the narrow tables.
func (t *tables) fillNarrow() error {
	for i := range narrows {
		n := &narrows[i]
		if err := t.c.Exec("DELETE FROM " + n.table + "; INSERT INTO " + n.table + " " + n.narrowSQL()); err != nil {
			return err
		}
	}
	return nil
}

// covers reports whether all reasons asked for are in a list. It is false for an empty asked, which
// means all reasons.
func covers(list, asked []bounce.Reason) bool {
	return len(asked) > 0 && !slices.ContainsFunc(asked, func(r bounce.Reason) bool { return !slices.Contains(list, r) })
}
