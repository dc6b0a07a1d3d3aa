package render

import (
	"bytes"

	"bouncelog/report"
)

// A Card is an incident as the component "incident" shows it.
type Card = card

// NewCard makes the card of an incident with its course over the time of the report.
func NewCard(r *report.Report, in *report.Incident, number int) Card {
	c := newCard(r, in, number)
	if a := newAxis(r); a != nil {
		c.Strip = a.strip(in)
	}
	return c
}

// WriteIncident writes the facts of an incident as text, in lines of width columns but
// for commands.
func WriteIncident(b *bytes.Buffer, r *report.Report, in *report.Incident, width int) {
	for _, f := range facts(r, in, true) {
		writeFact(b, f, width)
	}
}

// A Trend is attempts over time as the component "trend" shows them.
type Trend = trend

// NewTrend draws the timeline of a report; nil where there is too little of it.
func NewTrend(r *report.Report) *Trend {
	if a := newAxis(r); a != nil {
		return a.trend(r)
	}
	return nil
}

// CellText is a cell as a page shows it: clean, and counts in groups of three digits.
func CellText(cell any) string { return cellText(cell) }
