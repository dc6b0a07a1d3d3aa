package render

import (
	"fmt"
	"io"

	"bouncelog/internal/table"
	"bouncelog/report"
)

// writeSeparated writes one section as CSV or TSV.
func writeSeparated(w io.Writer, r *report.Report, f table.Format) error {
	sections := r.Parts(true)
	var one *report.Section
	for i := range sections {
		if len(sections) == 1 || sections[i].Name == report.SectionDomains {
			one = &sections[i]
		}
	}
	if one == nil {
		return fmt.Errorf("%w: %s has room for one section, and %d were asked for", ErrNoTable, f, len(sections))
	}
	t := one.Data
	if t == nil {
		t = one.Table
	}
	if t == nil && one.Facts != nil {
		t = factsTable(one.Facts)
	}
	if t == nil {
		return fmt.Errorf("the section %s has %w", one.Name, ErrNoTable)
	}
	rw := table.NewRowWriter(w, f, t.Columns)
	for _, row := range t.Rows {
		if err := rw.Row(row); err != nil {
			return err
		}
	}
	return rw.Close()
}
