package render

import (
	"bytes"

	"bouncelog/report"
)

// A Card is an incident for the component "incident".
type Card = card

// NewCard returns the card of an incident, with its course over the time of the report.
func NewCard(r *report.Report, in *report.Incident, number int) Card {
	c := newCard(r, in, number)
	if a := newAxis(r); a != nil {
		c.Strip = a.strip(in)
	}
	return c
}

// WriteIncident writes the facts of an incident as text, in lines of width columns; commands are
// not folded.
func WriteIncident(b *bytes.Buffer, r *report.Report, in *report.Incident, width int) {
	for _, f := range facts(r, in, true) {
		writeFact(b, f, width)
	}
}

// A Trend holds attempts over time for the component "trend".
type Trend = trend

// NewTrend draws the timeline of a report; nil if it is too short.
func NewTrend(r *report.Report) *Trend {
	if a := newAxis(r); a != nil {
		return a.trend(r)
	}
	return nil
}

// CellText returns a cell as text for a page: clean, with counts in groups of three digits.
func CellText(cell any) string { return cellText(cell) }
