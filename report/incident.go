package report

import "bouncelog/problem"

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
