package sqlite

import (
	"cmp"
	"database/sql/driver"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
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
	words                    rowTexts // set if the row was read with them
}

// rowTexts are the texts of a failure that are rarely repeated. They are read with the row; to read
// them one by one takes three times as long.
type rowTexts struct {
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
		r.words = rowTexts{ok: true, rcpt: makeAddress(v), sender: makeAddress(v[2:]), left: v[4], right: v[5], text: v[6], original: num(v[7]), warning: str(v[8])}
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

// texts converts the ids of a row to text. Its caches are bounded.
type texts struct {
	c         *sqlite3.Conn
	addresses map[int64]addressText
	routes    map[int64]routeText
	replies   map[int64]replyText
	logins    map[int64]string
	sources   map[int64]string
}

type routeText struct {
	host, ip string
	port     uint16
}

type replyText struct {
	d       bounce.Delivery
	v       bounce.Verdict
	lastTry int64 // if d.Untried: the reply that the verdict comes from; 0: none
}

func newTexts(c *sqlite3.Conn) *texts {
	return &texts{
		c:         c,
		addresses: make(map[int64]addressText),
		routes:    make(map[int64]routeText),
		replies:   make(map[int64]replyText),
		logins:    make(map[int64]string),
		sources:   make(map[int64]string),
	}
}

const remembered = 10000

func remember[K comparable, V any](m map[K]V, id K, v V) V {
	if len(m) >= remembered {
		clear(m)
	}
	m[id] = v
	return v
}

func (t *texts) address(id int64) (addressText, error) {
	if a, ok := t.addresses[id]; ok {
		return a, nil
	}
	var a addressText
	found := false
	err := t.c.Each(func(row []driver.Value) error {
		found = true
		a = makeAddress(row)
		return sqlite3.ErrStop
	}, "SELECT a.local, n.text FROM address AS a JOIN name AS n ON n.id = a.domain WHERE a.id = ?", id)
	if err == nil && !found {
		err = errMissingRow("address", id)
	}
	return remember(t.addresses, id, a), err
}

func (t *texts) route(id int64) (routeText, error) {
	if r, ok := t.routes[id]; ok {
		return r, nil
	}
	var r routeText
	found := false
	err := t.c.Each(func(row []driver.Value) error {
		found = true
		r = routeText{str(row[0]), ipText(row[1]), uint16(num(row[2]))}
		return sqlite3.ErrStop
	}, "SELECT h.text, r.ip, r.port FROM route AS r LEFT JOIN name AS h ON h.id = r.host WHERE r.id = ?", id)
	if err == nil && !found {
		err = errMissingRow("route", id)
	}
	return remember(t.routes, id, r), err
}

// client returns the login that handed in a message, or if there was none, the IP address.
func (t *texts) client(v driver.Value) (user, ip string, err error) {
	id, ok := v.(int64)
	switch {
	case !ok:
		return "", str(v), nil
	case id < 0:
		return "", ipText(-1 - id), nil
	case id == 0:
		return "", "", nil
	}
	if user, ok := t.logins[id]; ok {
		return user, "", nil
	}
	u, err := t.c.One("SELECT user FROM login WHERE id = ?", id)
	return remember(t.logins, id, str(u)), "", err
}

const selectReply = `SELECT o.host, o.mta, o.instance, r.agent, r.status, r.kind, r.code, r.enhanced, r.stage, r.local, r.template,
	r.detail, r.scope, r.rule, r.confidence, r.sample, r.sample_host, r.situation, r.id, r.tls, r.disposal, r.last_try FROM reply AS r JOIN origin AS o ON o.id = r.origin`

func (r *replyText) scan(row []driver.Value) {
	d, v := &r.d, &r.v
	d.Host, d.MTA, d.Instance = str(row[0]), bounce.MTA(str(row[1])), str(row[2])
	d.Agent, d.Status = str(row[3]), str(row[4])
	d.Outcome, v.Reason = outcomeOf(num(row[5])), reasonOf(num(row[5]))
	d.Code = uint16(num(row[6]))
	d.Enhanced, _ = bounce.ParseEnhanced(str(row[7]))
	d.Stage, _ = bounce.ParseStage(str(row[8]))
	d.Local = num(row[9]) != 0
	d.Response = str(row[10])
	v.Detail = str(row[11])
	v.Scope, _ = bounce.ParseScope(str(row[12]))
	v.Rule = str(row[13])
	v.Confidence, _ = bounce.ParseConfidence(str(row[14]))
	d.TLS = str(row[19])
	d.Disposal = bounce.Disposal(str(row[20]))
	r.lastTry, d.Untried = row[21].(int64)
}

func (t *texts) reply(id int64) (replyText, error) {
	if r, ok := t.replies[id]; ok {
		return r, nil
	}
	var r replyText
	found := false
	err := t.c.Each(func(row []driver.Value) error {
		found = true
		r.scan(row)
		return sqlite3.ErrStop
	}, selectReply+" WHERE r.id = ?", id)
	if err == nil && !found {
		err = errMissingRow("reply", id)
	}
	return remember(t.replies, id, r), err
}

func (t *texts) source(num int64) (string, error) {
	if s, ok := t.sources[num]; ok {
		return s, nil
	}
	s, err := t.c.One("SELECT name FROM source WHERE id = ?", num)
	return remember(t.sources, num, str(s)), err
}

func messageText(left, right driver.Value) string {
	s := str(left)
	if b, ok := left.([]byte); ok {
		s = hex.EncodeToString(b)
	}
	if r, ok := right.(string); ok {
		s += "@" + r
	}
	return s
}

// fill converts a row to an attempt.
func (t *texts) fill(r *record, x *store.Attempt) error {
	reply, err := t.reply(r.reply)
	if err != nil {
		return err
	}
	route, err := t.route(r.route)
	if err != nil {
		return err
	}
	rcpt := r.words.rcpt
	if !r.words.ok {
		if rcpt, err = t.address(r.recipient); err != nil {
			return err
		}
	}
	d := &x.Delivery
	*d, x.Verdict = reply.d, reply.v
	line := attemptID(r.key())
	d.Offset, x.N = line.offset(), r.n()
	if d.Source, err = t.source(line.source()); err != nil {
		return err
	}
	d.Time = time.Unix(r.at, 0).UTC()
	d.QueueID = queueText(r.queue)
	d.Recipient, d.RecipientDomain = rcpt.whole, rcpt.domain
	if r.sender != 0 {
		s := r.words.sender
		if !r.words.ok {
			if s, err = t.address(r.sender); err != nil {
				return err
			}
		}
		d.Sender, d.SenderDomain, d.SenderKnown = s.whole, s.domain, true
	}
	d.RelayHost, d.RelayIP, d.RelayPort = route.host, route.ip, route.port
	d.Delay = delayOf(r.meta >> flagBits)
	if d.SASLUser, d.ClientIP, err = t.client(r.client); err != nil {
		return err
	}
	message := r.message
	if d.Outcome == bounce.Delivered {
		if message, err = t.c.Number("SELECT message FROM delivery_message WHERE id = ?", r.id); err != nil {
			return err
		}
	}
	switch {
	case r.words.ok:
		if r.message != 0 {
			d.MessageID = messageText(r.words.left, r.words.right)
		}
	case message != 0:
		err = t.c.Each(func(row []driver.Value) error {
			d.MessageID = messageText(row[0], row[1])
			return sqlite3.ErrStop
		}, "SELECT m.left, n.text FROM message_id AS m LEFT JOIN name AS n ON n.id = m.right WHERE m.id = ?", message)
		if err != nil {
			return err
		}
	}
	original := r.words.original
	if !r.words.ok {
		if original, err = t.c.Number("SELECT address FROM original WHERE id = ?", r.id); err != nil {
			return err
		}
	}
	if original != 0 {
		o, err := t.address(original)
		if err != nil {
			return err
		}
		d.OriginalRecipient = o.whole
	}
	if d.Warning = r.words.warning; !r.words.ok && d.Outcome != bounce.Delivered {
		v, err := t.c.One("SELECT "+warningText+" FROM warning AS wn WHERE id = ?", r.id)
		if err != nil {
			return err
		}
		d.Warning = str(v)
	}
	text := str(r.text)
	if id, ok := r.text.(int64); ok && r.words.ok {
		text = str(r.words.text)
	} else if ok {
		v, err := t.c.One("SELECT text FROM text WHERE id = ?", id)
		if err != nil {
			return err
		}
		text = str(v)
	}
	if r.text != nil {
		if parts, ok := strings.CutPrefix(text, "\x05"); ok {
			text = bounce.Join(d.Response, parts)
		}
		d.Response = lengthen(text, d)
	}
	return nil
}

// namesOf reads the names with these ids, which are sorted.
func namesOf(c *sqlite3.Conn, ids []int64) (map[int64]string, error) {
	return textsOf(c, ids, "SELECT columns(n.id), group_concat(n.text, char(1)) FROM json_each(?) AS w CROSS JOIN name AS n ON n.id = w.value")
}

// addressesOf reads the addresses with these ids.
func addressesOf[N int64 | uint64](c *sqlite3.Conn, ids []N) (map[N]string, error) {
	return textsOf(c, ids, `SELECT columns(a.id), group_concat(iif(n.text = '', a.local, a.local || '@' || n.text), char(1)) FROM json_each(?) AS w
		CROSS JOIN address AS a ON a.id = w.value JOIN name AS n ON n.id = a.domain`)
}

func textsOf[N int64 | uint64](c *sqlite3.Conn, ids []N, sql string) (map[N]string, error) {
	all := make(map[N]string, len(ids))
	return all, inBatches(slices.Values(ids), func(wanted string) error {
		return c.Texts(1, func(v []int64, text string) error {
			all[N(v[0])] = text
			return nil
		}, sql, wanted)
	})
}
