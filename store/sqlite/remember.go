package sqlite

import "strings"

// rowsALookUp is the part of a dictionary, one row in so many, that is looked up by
// itself. One takes as long as ten or so that are read in order; but where a few
// thousand have been looked up many more will follow.
const rowsALookUp = 40

// remember reads a dictionary as a whole once that part of it has been looked up, if
// there is room for what it may still become.
func (w *writer) remember() error {
	err := readAll(w, w.names.known, "name", w.names.next, 1, "SELECT ints(a.id), group_concat(a.text, char(1)) FROM name AS a",
		func(v []int64, text string) (uint64, int64) { return w.hash.add(0, text), v[0] })
	if err != nil {
		return err
	}
	err = readAll(w, w.routes.known, "route", w.routes.next, 3,
		`SELECT ints(a.id, a.port, iif(typeof(a.ip) = 'integer', a.ip, -1)),
			group_concat(d.text || char(2) || coalesce(h.text, '') || char(2) || iif(typeof(a.ip) = 'text', a.ip, ''), char(1))
			FROM route AS a JOIN name AS d ON d.id = a.domain LEFT JOIN name AS h ON h.id = a.host`,
		func(v []int64, text string) (uint64, int64) {
			domain, rest, _ := strings.Cut(text, "\x02")
			host, ip, _ := strings.Cut(rest, "\x02")
			if v[2] >= 0 {
				ip = ipText(v[2])
			}
			return w.hash.route(domain, host, ip, uint16(v[1])), v[0]
		})
	if err != nil || w.pseudonym != nil { // of a pseudonym nobody knows whose it is
		return err
	}
	return readAll(w, w.addresses, "address", w.addressID, 5,
		`SELECT ints(`+addressColumns+`), group_concat(a.local || char(2) || d.text, char(1))
			FROM address AS a LEFT JOIN failing AS f ON f.id = a.id JOIN name AS d ON d.id = a.domain`,
		func(v []int64, text string) (uint64, address) {
			local, domain, _ := strings.Cut(text, "\x02")
			return w.hash.address(join(local, domain), domain), w.storedAddress(v)
		})
}

// readAll reads a dictionary of so many rows, if it is time to. The statement returns
// a blob of the function ints, of so many columns, and a text for each row; row makes
// of these what is remembered, and under which hash.
func readAll[V any](w *writer, c *cache[V], table string, rows int64, columns int, sql string, row func(v []int64, text string) (uint64, V)) error {
	if !c.partial || int64(c.lookUps)*rowsALookUp < rows || rows > int64(c.max)/4*3 {
		return nil
	}
	w.flushTables(table, "name")
	c.partial, c.lookUps, c.asStored = false, 0, true
	c.grow(int(rows))
	return w.c.batches(table, func(lo, hi int64) error {
		return w.c.texts(columns, func(v []int64, text string) error {
			if h, val := row(v, text); c.get(h) == nil {
				c.put(h, val)
			}
			return nil
		}, sql+" WHERE a.id BETWEEN ? AND ?", lo, hi)
	})
}
