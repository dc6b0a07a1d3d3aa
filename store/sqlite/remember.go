package sqlite

// rowsALookUp is the part of a dictionary, one row in so many, that is looked up by
// itself. One takes as long as twenty or so that are read in order; but where a
// thousand or two have been looked up many more will follow.
const rowsALookUp = 100

// due reports that it is time to read a dictionary of so many rows as a whole.
func due[V any](c *cache[V], rows int64) bool {
	return c.partial && int64(c.lookUps)*rowsALookUp >= rows && fits(c, rows)
}

// fits reports that there is room for what so many rows may still become.
func fits[V any](c *cache[V], rows int64) bool { return rows <= int64(c.max)/4*3 }

// remember reads the dictionaries for which that is due, and with them the names, which
// are put into the other two here: a join takes several times as long.
func (w *writer) remember() error {
	names, routes := due(w.names.known, w.names.next), due(w.routes.known, w.routes.next)
	addresses := due(w.addresses, w.addressID) && w.pseudonym == nil // of a pseudonym nobody knows whose it is
	if !names && !routes && !addresses || !fits(w.names.known, w.names.next) {
		return nil
	}
	w.flushTables("name", "route", "address")
	texts := make([]string, w.names.next)
	name := func(id int64) string {
		if id < 0 || id >= int64(len(texts)) { // damaged
			return ""
		}
		return texts[id]
	}
	err := readAll(w, w.names.known, "name", w.names.next, 1, "columns(id), group_concat(text, char(1))",
		func(v []int64, text string) (uint64, int64) {
			texts[v[0]] = text
			return w.hash.add(0, text), v[0]
		})
	if err == nil && routes {
		err = readAll(w, w.routes.known, "route", w.routes.next, 5,
			"columns(id, domain, host, port, iif(typeof(ip) = 'integer', ip, -1)), group_concat(iif(typeof(ip) = 'text', ip, ''), char(1))",
			func(v []int64, ip string) (uint64, int64) {
				if v[4] >= 0 {
					ip = ipText(v[4])
				}
				return w.hash.route(name(v[1]), name(v[2]), ip, uint16(v[3])), v[0]
			})
	}
	if err != nil || !addresses {
		return err
	}
	failing := make(map[int64]int64)
	err = batches(w.c, "failing", func(lo, hi int64) error {
		return w.c.Columns(2, func(v []int64) error {
			failing[v[0]] = v[1]
			return nil
		}, "SELECT columns(id, at) FROM failing WHERE id BETWEEN ? AND ?", lo, hi)
	})
	if err != nil {
		return err
	}
	return readAll(w, w.addresses, "address", w.addressID, 4, "columns("+addressColumns+"), group_concat(local, char(1))",
		func(v []int64, local string) (uint64, address) {
			domain := name(v[1])
			return w.hash.address(join(local, domain), domain), w.storedAddress(v, failing[v[0]])
		})
}

// readAll reads a dictionary of so many rows. The columns are a blob of the function
// ints, of so many numbers, and a text for each row; row makes of these what is
// remembered, and under which hash.
func readAll[V any](w *writer, c *cache[V], table string, rows int64, numbers int, columns string, row func(v []int64, text string) (uint64, V)) error {
	c.partial, c.lookUps, c.asStored = false, 0, true
	c.grow(int(rows))
	return batches(w.c, table, func(lo, hi int64) error {
		return w.c.Texts(numbers, func(v []int64, text string) error {
			if h, val := row(v, text); c.get(h) == nil {
				c.put(h, val)
			}
			return nil
		}, "SELECT "+columns+" FROM "+table+" WHERE id BETWEEN ? AND ?", lo, hi)
	})
}
