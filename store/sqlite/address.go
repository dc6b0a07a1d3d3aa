package sqlite

import (
	"database/sql/driver"
	"strings"

	"bouncelog/internal/sqlite3"
)

// Senders and recipients, and what is known of a recipient: the first and the last
// delivery, and whether it has failed since.
//
//	address.first    the first delivery
//	address.last     the last delivery, or one up to a day before it: it is written once a
//	                 day, and at once where it follows a failure or is older than one known
//	failing.at       the last failure, where no delivery has followed
//	recovery.at      each delivery that was the first after a failure
//
// A new address is not written before it has been used for a while: most are used again
// soon, and a row that is written twice costs twice.

// Seconds are a time: seconds since 1970, 0 for never. Half the room counts: hundreds of
// thousands of addresses are remembered. See unixTime.
type seconds uint32

// never stands for seconds 0 in the database. It takes as much room as a time, so that the
// row need not grow: rows that grow leave pages half empty.
const never = -1 << 31

func orNever(at seconds) int64 {
	if at == 0 {
		return never
	}
	return int64(at)
}

// An address is a row of the table and, where it is a recipient, its history.
type address struct {
	id, domain  uint32  // domain is an id in the table name
	first, last seconds // deliveries
	stored      seconds // what the database has, or will be told, in place of last
	failed      seconds // last failure, where no delivery has followed
}

// A newAddress is not in the table yet.
type newAddress struct {
	address
	local string
}

// A dirtyHistory is to be written when the transaction ends: the deliveries, whether the
// recipient is in the table failing.
type dirtyHistory struct {
	address
	delivered, failing bool
}

// maxNewAddresses is how many new addresses wait, about.
const maxNewAddresses = 4096

// address gives an address its number. The pointer is good until the next
// call.
func (w *writer) address(h uint64, whole, domain string) (*address, error) {
	if a := w.addresses.get(h); a != nil {
		return a, nil
	}
	local := w.local(split(whole, domain))
	dom, err := w.name(domain)
	if err != nil {
		return nil, err
	}
	key := w.folded(local, dom)
	var a address
	if w.addresses.known.mayLack(join(local, clean(domain, maxName)) == whole) {
		if a, err = w.findAddress(key, local, dom); err != nil {
			return nil, err
		}
	}
	if a.id == 0 {
		id, err := w.addresses.newID()
		if err != nil {
			return nil, err
		}
		a = address{id: uint32(id), domain: uint32(dom)}
		w.newAddresses = append(w.newAddresses, newAddress{a, strings.Clone(local)}) // see own
		w.addresses.addKey(key, int64(a.id))
	}
	return keep(w, &w.addresses, h, a), nil
}

func (w *writer) findAddress(key uint64, local string, domain int64) (a address, err error) {
	_, err = lookUp(w, &w.addresses, key, func(id int64) (ok bool, err error) {
		err = w.c.Each(func(row []driver.Value) error {
			if ok = row[0] == local && num(row[2]) == domain; ok {
				a = w.storedAddress([]int64{num(row[1]), num(row[2]), num(row[3]), num(row[4])}, num(row[5]))
			}
			return sqlite3.ErrStop
		}, "SELECT local, "+addressColumns+", (SELECT at FROM failing WHERE id = address.id) FROM address WHERE id = ?", id)
		return ok, err
	})
	return a, err
}

// addressColumns are what storedAddress takes.
const addressColumns = "id, domain, max(first, 0), max(last, 0)"

// storedAddress is an address as the database has it, with what is to be written of
// its history still. Failed is when it failed if that goes on, or else 0.
func (w *writer) storedAddress(v []int64, failed int64) address {
	if t, ok := w.dirty[uint32(v[0])]; ok {
		return t.address
	}
	last := seconds(v[3])
	return address{id: uint32(v[0]), domain: uint32(v[1]), first: seconds(v[2]), last: last, stored: last, failed: seconds(failed)}
}

// noteAddress records what of the recipient's history has changed.
func (w *writer) noteAddress(a *address, delivered, failing bool) {
	if i := int64(a.id) - w.firstNew; i >= 0 {
		w.newAddresses[i].address = *a
		return
	}
	t := w.dirty[a.id]
	w.dirty[a.id] = dirtyHistory{*a, t.delivered || delivered, t.failing || failing}
}

// delivered brings the recipient's history up to date.
func (w *writer) delivered(rcpt *address, time int64) {
	at := seconds(time)
	note := rcpt.stored == 0 || at >= rcpt.stored+day || at < rcpt.last // a log read after a younger one
	rcpt.last = max(rcpt.last, at)
	if rcpt.first == 0 || at < rcpt.first {
		rcpt.first = at
	}
	failed := rcpt.failed
	if failed != 0 {
		w.add("recovery", int64(rcpt.id), time)
		note = true
		if at >= failed { // else of an older log
			rcpt.failed = 0
		}
	}
	if note {
		rcpt.stored = rcpt.last
		w.noteAddress(rcpt, true, rcpt.failed != failed)
	}
}

// flushAddresses stores the new addresses, with what is known of them by now.
func (w *writer) flushAddresses() {
	for i := range w.newAddresses {
		f := &w.newAddresses[i]
		w.add("address", int64(f.id), int64(f.domain), f.local, orNever(f.first), orNever(f.last))
		if f.failed != 0 {
			w.dirty[f.id] = dirtyHistory{address: f.address, failing: true}
		}
	}
	w.newAddresses = w.newAddresses[:0]
	w.firstNew = w.addresses.next
	w.bulks["address"].Flush()
}
