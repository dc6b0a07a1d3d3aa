package web

import (
	"context"
	"time"

	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/report"
	"bouncelog/store"
)

// hostList lists the mail hosts of a shared database, with the delay and the attempts of each. It
// returns nil if there is only one.
func (v *screen) hostList(ctx context.Context, r store.Reader, rep *report.Report) (*list, error) {
	cells, err := r.Count(ctx, v.options(0).Filter, store.ByHost)
	if err != nil {
		return nil, err
	}
	known := make(map[string]*report.Host)
	var names []string
	for i := range rep.Hosts {
		known[rep.Hosts[i].Name] = &rep.Hosts[i]
		names = append(names, rep.Hosts[i].Name)
	}
	counts := make(map[string]*store.Tally)
	for i := range cells {
		name := cells[i].Keys[0]
		counts[name] = &cells[i].Tally
		if known[name] == nil {
			names = append(names, name)
		}
	}
	if len(names) < 2 {
		return nil, nil
	}
	columns := groupColumns("host")
	columns = append(columns[:1:1], append([]table.Column{{Name: "last line"}, {Name: "age"}, {Name: "state"}}, columns[1:]...)...)
	l := &list{Name: "hosts", Title: "Hosts", Columns: columns, Empty: "None."}
	for _, name := range names {
		t := counts[name]
		if t == nil {
			t = new(store.Tally)
		}
		x := v.groupRow(name, v.url("", "host", name), t, "host", name)
		if name == "" {
			x = v.groupRow("not named", "", t, "none", "host")
		}
		late := make([]cell, 3)
		if h := known[name]; h != nil && h.Newest != nil {
			late[0].Value, late[1].Value, late[2].Value = v.time(*h.Newest), when.Span(max(v.sel.now.Sub(*h.Newest), 0).Truncate(time.Second)), "logs"
			if h.Silent {
				late[2].Value = "silent"
			}
		}
		x.Cells = append(x.Cells[:1:1], append(late, x.Cells[1:]...)...)
		l.Rows = append(l.Rows, x)
	}
	v.cut(l, 100)
	return l, nil
}
