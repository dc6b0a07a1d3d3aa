package report

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"bouncelog/problem"
)

// Incidents are all problems as they are shown, in their order.
func (r *Report) Incidents() []Incident {
	list := make([]Incident, len(r.Problems))
	for i := range r.Problems {
		list[i] = r.incidentOf(i)
	}
	return list
}

// IsBackground reports whether an incident is of the kind that there is every day.
func (in *Incident) IsBackground() bool { return in.noise || in.Level == problem.Watch }

// IncidentID names an incident: the same one has the same name later, as long as it is
// about the same senders, receivers and addresses.
func (r *Report) IncidentID(in *Incident) string {
	keys := in.Providers
	if in.Problem != nil {
		// One sender domain may be refused at two providers by faults of their own.
		keys = slices.Concat(r.Problems[*in.Problem].Keys(), keys)
	}
	keys = slices.Clone(keys)
	slices.Sort(keys)
	sum := sha256.Sum256([]byte(strings.Join(keys, "\x00")))
	return hex.EncodeToString(sum[:6])
}
