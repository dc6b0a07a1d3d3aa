package web

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/report"
)

// writeCSV writes the list with a name; "": the first.
func (v *screen) writeCSV(w io.Writer, name string) error {
	for _, l := range v.Tables {
		if name == "" || l.Name == name {
			rw := table.NewRowWriter(w, table.FormatCSV, l.Columns)
			for _, r := range l.Rows {
				if err := rw.Row(r.values()); err != nil {
					return err
				}
			}
			return rw.Close()
		}
	}
	if name == "" {
		return nil
	}
	names := make([]string, len(v.Tables))
	for i, l := range v.Tables {
		names[i] = l.Name
	}
	return mistakef(http.StatusNotFound, "There is no such table; there are %s.", strings.Join(names, ", "))
}

func (r *row) values() []any {
	out := make([]any, len(r.Cells))
	for i := range r.Cells {
		out[i] = r.Cells[i].Value
	}
	return out
}

// An object is a JSON object that keeps the order of its keys.
type object []struct {
	key   string
	value any
}

func (o *object) add(key string, value any) {
	*o = append(*o, struct {
		key   string
		value any
	}{key, value})
}

// MarshalJSON encodes the object.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, e := range o {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := table.MarshalJSON(e.key)
		if err != nil {
			return nil, err
		}
		value, err := table.MarshalJSON(e.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), value...)
	}
	return append(b, '}'), nil
}

// key converts the name of a column or a fact into a JSON key.
func key(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "_") }

// jsonValue returns a cell's value for JSON; a point in time becomes a timestamp.
func jsonValue(value any) any {
	switch x := value.(type) {
	case table.Minute:
		if x.IsZero() {
			return nil
		}
		return x.UTC()
	case []byte:
		return string(x)
	case string:
		return strings.ToValidUTF8(x, "\ufffd")
	}
	return value
}

func facts(list []report.Fact) (o object) {
	for _, f := range list {
		if f.Note == "" {
			o.add(key(f.Label), jsonValue(f.Value))
			continue
		}
		o.add(key(f.Label), object{{"value", jsonValue(f.Value)}, {"note", f.Note}})
	}
	return o
}

// writeJSON writes the whole screen.
func (v *screen) writeJSON(w io.Writer) error {
	var o object
	o.add("screen", v.Name)
	o.add("title", sentence(v.Phrases))
	if v.scope.domain == "" { // commands are not for the holder of a link
		o.add("command", v.Command)
	}
	o.add("as_of", v.sel.now.UTC())
	period := object{}
	for _, end := range []struct {
		key string
		t   time.Time
	}{{"since", v.sel.filter.Since}, {"until", v.sel.filter.Until}} {
		if !end.t.IsZero() {
			period.add(end.key, end.t.UTC())
		}
	}
	o.add("period", period)
	if v.Verdict != nil {
		o.add("verdict", v.Verdict)
	} else if v.Incidents != nil {
		o.add("incidents", v.Incidents)
	}
	list := slices.Clone(v.Facts)
	for _, n := range v.Figures {
		list = append(list, n.Fact)
	}
	if len(list) > 0 {
		o.add("facts", facts(list))
	}
	for _, p := range v.Parts {
		var one object
		if p.Code != "" {
			one.add("text", strings.ToValidUTF8(p.Code, "\ufffd"))
		}
		if len(p.Lines) > 0 {
			one.add("words", p.Lines)
		}
		one = append(one, facts(p.Facts)...)
		for _, a := range p.Links {
			one.add(key(a.Name), a.URL)
		}
		o.add(key(p.Title), one)
	}
	tables := object{}
	for _, l := range v.Tables {
		rows := make([]object, 0, len(l.Rows))
		for _, r := range l.Rows {
			var one object
			for i := range r.Cells {
				if value := jsonValue(r.Cells[i].Value); value != nil {
					one.add(key(l.Columns[i].Name), value)
				}
			}
			if r.URL != "" {
				one.add("url", r.URL)
			}
			rows = append(rows, one)
		}
		tables.add(l.Name, rows)
		if l.Next != nil {
			o.add("next_"+l.Name, l.Next.URL)
		}
	}
	o.add("tables", tables)
	if len(v.Notes) > 0 {
		o.add("notes", v.Notes)
	}
	raw, err := table.MarshalIndent(o, "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

func sentence(list []report.Phrase) string {
	var b strings.Builder
	for _, p := range list {
		b.WriteString(p.Text)
	}
	return b.String()
}
