package sqlite

import (
	"cmp"
	"database/sql/driver"
)

// A record is a row of delivery or failure.
type record struct {
	id, at                   int64
	queue                    driver.Value
	recipient, sender, route int64 // sender 0: not known
	reply, meta              int64
	text                     driver.Value
	message, line            int64 // line 0: the id tells the line
	client                   driver.Value
	words                    words // set if the row was read with them
}

// words are the texts of a failure that hardly repeat. They are read with the row; to read them one
// by one takes three times as long.
type words struct {
	ok          bool
	rcpt        addressText
	sender      addressText
	left, right driver.Value // of the Message-ID
	text        driver.Value
	original    int64
	warning     string
}

const (
	wordColumns = ", rl.local, rd.text, sl.local, sd.text, ml.left, mr.text, tx.text, og.address, " + warningText
	wordTables  = ` LEFT JOIN address AS rl ON rl.id = a.recipient LEFT JOIN name AS rd ON rd.id = rl.domain
		LEFT JOIN address AS sl ON sl.id = a.sender LEFT JOIN name AS sd ON sd.id = sl.domain
		LEFT JOIN message_id AS ml ON ml.id = a.message LEFT JOIN name AS mr ON mr.id = ml.right
		LEFT JOIN text AS tx ON tx.id = iif(typeof(a.text) = 'integer', a.text, NULL) LEFT JOIN original AS og ON og.id = a.id LEFT JOIN warning AS wn ON wn.id = a.id`
	warningText = "CASE typeof(wn.text) WHEN 'integer' THEN (SELECT text FROM text WHERE id = wn.text) ELSE wn.text END"

	deliveryColumns = "a.id, a.at, a.queue, a.recipient, a.sender, a.route, a.reply, a.meta"
	failureColumns  = deliveryColumns + ", a.text, a.message, a.line, a.client"

	recordWidth = 12 // of failureColumns
)

func (r *record) scan(v []driver.Value) {
	*r = record{id: num(v[0]), at: num(v[1]), queue: v[2], recipient: num(v[3]), sender: num(v[4]), route: num(v[5]), reply: num(v[6]), meta: num(v[7])}
	if len(v) >= recordWidth {
		r.text, r.message, r.line, r.client = v[8], num(v[9]), num(v[10]), v[11]
	}
	if v := v[min(len(v), recordWidth):]; len(v) == 9 {
		r.words = words{ok: true, rcpt: makeAddress(v), sender: makeAddress(v[2:]), left: v[4], right: v[5], text: v[6], original: num(v[7]), warning: str(v[8])}
	}
}

// key orders rows of the same second: by the byte at which the line begins, and rows of one line by
// id.
func (r *record) key() int64 {
	if r.line != 0 {
		return r.line
	}
	return r.id
}

func compareRecords(a, b *record) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key(), b.key()), cmp.Compare(a.id, b.id))
}

// n tells apart the attempts of one line: see store.Ref.
func (r *record) n() int64 {
	if r.line == 0 {
		return 0
	}
	return nOf(attemptID(r.id))
}

// nOf returns store.Ref.N of the failure of an expired pair.
func nOf(id attemptID) int64 { return 1 + attemptID(int64(id)-expiries.lo).offset() }

type addressText struct {
	whole, domain string
	last          int64 // time of a delivery; 0: none, or not read
}

// makeAddress makes an address of local part and domain.
func makeAddress(row []driver.Value) addressText {
	local, domain := str(row[0]), str(row[1])
	return addressText{whole: join(local, domain), domain: domain}
}
