package render

import (
	"bufio"
	"fmt"
	"io"

	"bouncelog/internal/table"
	"bouncelog/report"
)

// writeNDJSON writes one object per entry, each with the name of its section.
func writeNDJSON(w io.Writer, r *report.Report) error {
	b := bufio.NewWriter(w)
	for section, entry := range r.Entries() {
		raw, err := table.MarshalJSON(entry)
		if err != nil {
			return err
		}
		fmt.Fprintf(b, `{"section":%q,%s`+"\n", section, raw[1:])
	}
	return b.Flush()
}
