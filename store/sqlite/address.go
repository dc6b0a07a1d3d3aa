package sqlite

import (
	"strings"

	"bouncelog/internal/sqlite3"
)

// Senders and recipients, and the history of each recipient: its first and last delivery, and
// whether a failure followed.
//
//	address.first    the first delivery
//	address.last     the last delivery, or one up to a day before it: it is written once a
//	                 day, and at once after a failure, before a failure read later, or if it is
//	                 older than a known one
//	failing.at       the last failure, if no delivery followed
//	recovery.at      each delivery that was the first after a failure
//
// A new address is written only after a while: most are used again soon, and writing a row
// twice costs twice as much.

// seconds is a time: seconds since 1970, 0 for never. It is 32 bits long, since hundreds of
// thousands of addresses are kept in memory. See unixTime.
type seconds uint32

// never is stored in the database for 0 seconds. It is as long as a time, so that the row never
// grows: growing rows leave pages half empty.
const never = -1 << 31

func orNever(at seconds) int64 {
	if at == 0 {
		return never
	}
	return int64(at)
}

// An addressRow is a row of the table and, for a recipient, its history.
type addressRow struct {
	id, domain  uint32  // domain is an id in the table name
	first, last seconds // deliveries
	stored      seconds // the value of last in the database, or about to be written
	failed      seconds // last failure, if no delivery followed
}

// A newAddress is not in the table yet.
type newAddress struct {
	addressRow
	local string
}

// A dirtyHistory is a history to be written at the end of the transaction. delivered: the
// deliveries have changed. failing: the row in the table failing has changed.
type dirtyHistory struct {
	addressRow
	delivered, failing bool
}

// maxNewAddresses is about how many new addresses wait to be written.
const maxNewAddresses = 4096

// An addressDictionary is the dictionary of addresses, with their histories.
type addressDictionary struct {
	dictionary[addressRow]
	added    []newAddress            // not in the table yet, in the order of their ids
	firstNew int64                   // id of added[0]
	dirty    map[uint32]dirtyHistory // by the address's id; without those in added
}

// reset clears the dictionary, and reads again what the database holds.
func (d *addressDictionary) reset(c *sqlite3.Conn) error {
	err := d.dictionary.reset(c)
	d.added, d.firstNew = d.added[:0], d.next
	d.dirty = make(map[uint32]dirtyHistory)
	return err
}

// addNew gives an id to an address that is not in the table.
func (d *addressDictionary) addNew(key uint64, local string, domain int64) (addressRow, error) {
	id, err := d.newID()
	if err != nil {
		return addressRow{}, err
	}
	a := addressRow{id: uint32(id), domain: uint32(domain)}
	d.added = append(d.added, newAddress{a, strings.Clone(local)}) // see own
	d.addKey(key, id)
	return a, nil
}

// waiting returns the address with this id if it is not in the table yet; otherwise nil.
func (d *addressDictionary) waiting(id int64) *newAddress {
	if i := id - d.firstNew; i >= 0 {
		return &d.added[i]
	}
	return nil
}

// addressColumns are the columns that stored reads.
const addressColumns = "id, domain, max(first, 0), max(last, 0)"

// stored returns an address from its row, with the changes of its history that are not written yet.
// failed is the time of its last failure if no delivery followed, otherwise 0.
func (d *addressDictionary) stored(v []int64, failed int64) addressRow {
	if t, ok := d.dirty[uint32(v[0])]; ok {
		return t.addressRow
	}
	last := seconds(v[3])
	return addressRow{id: uint32(v[0]), domain: uint32(v[1]), first: seconds(v[2]), last: last, stored: last, failed: seconds(failed)}
}

// note records a change of the recipient's history until it is written.
func (d *addressDictionary) note(a *addressRow, delivered, failing bool) {
	if n := d.waiting(int64(a.id)); n != nil {
		n.addressRow = *a
		return
	}
	t := d.dirty[a.id]
	d.dirty[a.id] = dirtyHistory{*a, t.delivered || delivered, t.failing || failing}
}

// delivered updates the recipient's history after a delivery.
func (d *addressDictionary) delivered(t *tables, rcpt *addressRow, time int64) {
	at := seconds(time)
	note := rcpt.stored == 0 || at >= rcpt.stored+day || at < rcpt.last // a log read after a more recent one
	rcpt.last = max(rcpt.last, at)
	if rcpt.first == 0 || at < rcpt.first {
		rcpt.first = at
	}
	failed := rcpt.failed
	if failed != 0 {
		t.add("recovery", int64(rcpt.id), time)
		note = true
		if at >= failed { // otherwise from an older log
			rcpt.failed = 0
		}
	}
	if note {
		rcpt.stored = rcpt.last
		d.note(rcpt, true, rcpt.failed != failed)
	}
}

// failedAt updates the recipient's history after a failure. The last delivery is written if it is
// not before the failure, which is from an older log or another host's.
func (d *addressDictionary) failedAt(rcpt *addressRow, time int64) {
	failed := rcpt.failed
	rcpt.failed = max(failed, seconds(time))
	late := rcpt.last >= seconds(time) && rcpt.last != rcpt.stored
	if late {
		rcpt.stored = rcpt.last
	}
	if late || failed == 0 {
		d.note(rcpt, late, failed == 0)
	}
}

// lastBefore returns the last delivery up to a time, as a column of a failure; nil: none.
func (a *addressRow) lastBefore(time int64) any {
	if a.last == 0 || a.last > seconds(time) {
		return nil
	}
	return int64(a.last)
}

// flushNew writes the new addresses with their histories.
func (d *addressDictionary) flushNew(t *tables) {
	for i := range d.added {
		f := &d.added[i]
		t.add("address", int64(f.id), int64(f.domain), f.local, orNever(f.first), orNever(f.last))
		if f.failed != 0 {
			d.dirty[f.id] = dirtyHistory{addressRow: f.addressRow, failing: true}
		}
	}
	d.added, d.firstNew = d.added[:0], d.next
	t.bulks["address"].Flush()
}

// flushHistories writes the changes of histories.
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
