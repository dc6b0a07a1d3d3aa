package report

// Incidents returns all problems as Incidents, in their order.
func (r *Report) Incidents() []Incident {
	list := make([]Incident, len(r.Problems))
	for i := range r.Problems {
		list[i] = r.incidentOf(i)
	}
	return list
}
