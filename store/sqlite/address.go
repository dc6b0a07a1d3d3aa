package sqlite

import (
	"strings"

	"bouncelog/internal/sqlite3"
)

// Senders and recipients, and a recipient's history: the first and the last delivery, and
// whether it has failed since.
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

// An addressDictionary is the dictionary of addresses, with their histories.
type addressDictionary struct {
	dictionary[address]
	added    []newAddress            // not in the table yet, in the order of their ids
	firstNew int64                   // id of added[0]
	dirty    map[uint32]dirtyHistory // by the address's id; none of added
}

// reset forgets everything that is not in the database.
func (d *addressDictionary) reset(c *sqlite3.Conn) error {
	err := d.dictionary.reset(c)
	d.added, d.firstNew = d.added[:0], d.next
	d.dirty = make(map[uint32]dirtyHistory)
	return err
}

// addNew gives an address that is not in the table an id.
func (d *addressDictionary) addNew(key uint64, local string, domain int64) (address, error) {
	id, err := d.newID()
	if err != nil {
		return address{}, err
	}
	a := address{id: uint32(id), domain: uint32(domain)}
	d.added = append(d.added, newAddress{a, strings.Clone(local)}) // see own
	d.addKey(key, id)
	return a, nil
}

// waiting returns the address with this id where it is not in the table yet; otherwise nil.
func (d *addressDictionary) waiting(id int64) *newAddress {
	if i := id - d.firstNew; i >= 0 {
		return &d.added[i]
	}
	return nil
}

// addressColumns are what stored takes.
const addressColumns = "id, domain, max(first, 0), max(last, 0)"

// stored is an address as the database has it, with the changes of its history that are not
// written yet. Failed is the time of its last failure if no delivery followed, or else 0.
func (d *addressDictionary) stored(v []int64, failed int64) address {
	if t, ok := d.dirty[uint32(v[0])]; ok {
		return t.address
	}
	last := seconds(v[3])
	return address{id: uint32(v[0]), domain: uint32(v[1]), first: seconds(v[2]), last: last, stored: last, failed: seconds(failed)}
}

// note remembers a change of the recipient's history until it is written.
func (d *addressDictionary) note(a *address, delivered, failing bool) {
	if n := d.waiting(int64(a.id)); n != nil {
		n.address = *a
		return
	}
	t := d.dirty[a.id]
	d.dirty[a.id] = dirtyHistory{*a, t.delivered || delivered, t.failing || failing}
}

// delivered brings the recipient's history up to date.
func (d *addressDictionary) delivered(t *tables, rcpt *address, time int64) {
	at := seconds(time)
	note := rcpt.stored == 0 || at >= rcpt.stored+day || at < rcpt.last // a log read after a younger one
	rcpt.last = max(rcpt.last, at)
	if rcpt.first == 0 || at < rcpt.first {
		rcpt.first = at
	}
	failed := rcpt.failed
	if failed != 0 {
		t.add("recovery", int64(rcpt.id), time)
		note = true
		if at >= failed { // else of an older log
			rcpt.failed = 0
		}
	}
	if note {
		rcpt.stored = rcpt.last
		d.note(rcpt, true, rcpt.failed != failed)
	}
}

// failedAt brings the recipient's history up to date.
func (d *addressDictionary) failedAt(rcpt *address, time int64) {
	failed := rcpt.failed
	if rcpt.failed = max(failed, seconds(time)); failed == 0 {
		d.note(rcpt, false, true)
	}
}

// lastBefore is the last delivery until a time, as a column of a failure; nil: there is none.
func (a *address) lastBefore(time int64) any {
	if a.last == 0 || a.last > seconds(time) {
		return nil
	}
	return int64(a.last)
}

// flushNew stores the new addresses with their histories.
func (d *addressDictionary) flushNew(t *tables) {
	for i := range d.added {
		f := &d.added[i]
		t.add("address", int64(f.id), int64(f.domain), f.local, orNever(f.first), orNever(f.last))
		if f.failed != 0 {
			d.dirty[f.id] = dirtyHistory{address: f.address, failing: true}
		}
	}
	d.added, d.firstNew = d.added[:0], d.next
	t.bulks["address"].Flush()
}

// flushHistories stores the changes of histories.
func (d *addressDictionary) flushHistories(t *tables) {
	for _, id := range sorted(d.dirty) {
		h := d.dirty[id]
		if h.delivered {
			t.add("address history", orNever(h.first), orNever(h.stored), int64(id))
		}
		switch {
		case h.failing && h.failed != 0:
			t.add("failing", int64(id), int64(h.failed))
		case h.failing:
			t.add("failing end", int64(id))
		}
	}
	clear(d.dirty)
}
