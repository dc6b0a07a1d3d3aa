package sqlite

import "bouncelog/internal/sqlite3"

// rowsALookUp is the number of rows per look-up at which a dictionary is read completely. One
// look-up takes as long as reading some twenty rows in order.
const rowsALookUp = 100

// due reports whether a dictionary should be read completely.
func due[V any](d *dictionary[V]) bool {
	return d.known.partial && int64(d.known.lookUps)*rowsALookUp >= d.next && fits(d)
}

// fits reports whether the cache has room for the dictionary as it grows.
func fits[V any](d *dictionary[V]) bool { return d.next <= int64(d.known.max)/4*3 }

// preload reads the dictionaries that are due. It also reads the names and joins them to the routes
// and addresses here: a join in SQL takes several times as long.
func (d *dictionaries) preload() error {
	names, routes := due(&d.names), due(&d.routes)
	addresses := due(&d.addresses.dictionary) && d.pseudonym == nil // a pseudonym does not give the hash of its address
	if !names && !routes && !addresses || !fits(&d.names) {
		return nil
	}
	c := d.reading("name", "route", "address")
	texts := make([]string, d.names.next)
	name := func(id int64) string {
		if id < 0 || id >= int64(len(texts)) { // damaged
			return ""
		}
		return texts[id]
	}
	err := readAll(c, &d.names, 1, "columns(id), group_concat(text, char(1))",
		func(v []int64, text string) (uint64, int64) {
			texts[v[0]] = text
			return d.hash.add(0, text), v[0]
		})
	if err == nil && routes {
		err = readAll(c, &d.routes, 5,
			"columns(id, domain, host, port, iif(typeof(ip) = 'integer', ip, -1)), group_concat(iif(typeof(ip) = 'text', ip, ''), char(1))",
			func(v []int64, ip string) (uint64, int64) {
				if v[4] >= 0 {
					ip = ipText(v[4])
				}
				return d.hash.route(name(v[1]), name(v[2]), ip, uint16(v[3])), v[0]
			})
	}
	if err != nil || !addresses {
		return err
	}
	failing := make(map[int64]int64)
	err = batches(c, "failing", func(lo, hi int64) error {
		return c.Columns(2, func(v []int64) error {
			failing[v[0]] = v[1]
			return nil
		}, "SELECT columns(id, at) FROM failing WHERE id BETWEEN ? AND ?", lo, hi)
	})
	if err != nil {
		return err
	}
	return readAll(c, &d.addresses.dictionary, 4, "columns("+addressColumns+"), group_concat(local, char(1))",
		func(v []int64, local string) (uint64, address) {
			domain := name(v[1])
			return d.hash.address(join(local, domain), domain), d.addresses.stored(v, failing[v[0]])
		})
}

// readAll reads a dictionary. columns are those of Conn.Texts: as many integers as numbers says, and
// a text. row returns the hash and the cached value of a row.
func readAll[V any](c *sqlite3.Conn, d *dictionary[V], numbers int, columns string, row func(v []int64, text string) (uint64, V)) error {
	d.known.partial, d.known.lookUps, d.known.asStored = false, 0, true
	d.known.grow(int(d.next))
	return batches(c, d.table, func(lo, hi int64) error {
		return c.Texts(numbers, func(v []int64, text string) error {
			if h, val := row(v, text); d.known.get(h) == nil {
				d.known.put(h, val)
			}
			return nil
		}, "SELECT "+columns+" FROM "+d.table+" WHERE id BETWEEN ? AND ?", lo, hi)
	})
}
