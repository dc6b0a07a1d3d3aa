package report

import "bouncelog/problem"

// Incidents returns all problems as Incidents, in their order.
func (r *Report) Incidents() []Incident {
	list := make([]Incident, len(r.Problems))
	for i := range r.Problems {
		list[i] = r.incidentOf(i)
	}
	return list
}

// IsBackground reports whether every server has such an incident every day.
func (in *Incident) IsBackground() bool { return in.noise || in.Level == problem.Watch }
