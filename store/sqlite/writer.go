package sqlite

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
)

// What is kept of hostile input, in bytes.
const (
	maxResponse = 16 << 10
	maxName     = 1 << 10 // domains, host names, local parts, message ids
	maxWord     = 255
)

// And in number: a log may be full of invented ones.
const (
	maxPrograms = 2000 // that skipped lines are counted by, "(others)" included
	maxUnparsed = 1000 // lines that were not understood
)

// Sizes of the caches: together they stay below 64 MiB.
const (
	maxAddresses = 1 << 19 * 3 / 4
	maxNames     = 1 << 17 * 3 / 4
	maxRoutes    = 1 << 18 * 3 / 4
	maxReplies   = 1 << 16 * 3 / 4
	maxTexts     = 1 << 14 * 3 / 4
	maxMessages  = 1 << 14 * 3 / 4
	seenWindow   = 1 << 17
)

// A writer holds the one connection that writes, and what it remembers of the
// dictionaries. What it remembers is forgotten when a transaction fails.
type writer struct {
	d *DB
	c *sqlite3.Conn
	q *sqlite3.Queue // of c

	secret

	open   bool  // in a transaction that more batches belong to
	ahead  bool  // the commit of the last one was not waited for
	broken error // of a temporary database: why nothing more can be stored

	insert *sqlite3.Bulk            // into delivery
	bulks  map[string]*sqlite3.Bulk // into the tables named, delivery among them

	names     dictionary
	routes    dictionary
	replies   *cache[reply]
	replyID   int64
	addresses *cache[address]
	addressID int64 // of the next
	newBase   int64 // id of fresh[0]
	fresh     []newAddress
	touched   map[uint32]touched
	origins   map[[3]string]int64
	kinds     map[int64]bool
	texts     *cache[int64] // 0: seen once
	textID    int64
	messages  *cache[int64]
	messageID int64
	logins    *cache[int64]
	loginID   int64
	keys      map[string][]dictKey // of the dictionaries, to be written in order

	sources map[string]*source
	inBatch map[string]bool
	seen    *window
	pending *bloom // of the messages of which somebody waits
	waiting map[uint64]*waitingMessage

	routeCells, senderCells, originCells, totalCells cells
	sorted                                           []keyedCell // a buffer
}

// Seconds are a time: seconds since 1970, 0 for never. Half the room counts:
// hundreds of thousands of addresses are remembered.
type seconds uint32

// An address and, where it is a recipient, its history.
type address struct {
	id, domain  uint32
	first, last seconds // deliveries
	kept        seconds // what the database has in place of last
	failed      seconds // last failure, where no delivery has followed
}

type newAddress struct {
	address
	local string
}

// A touched address's history is to be written: its deliveries, whether it is in the
// table failing.
type touched struct {
	address
	delivered, failing bool
}

// A reply is what the rest of the batch needs of a row of the table.
type reply struct {
	id, kind, origin int64
	retry            bool
}

// A cell is what one row of a rollup counts.
type cell struct{ n, messages, pairs, nulls, retry int64 }

// A dictionary gives texts numbers.
type dictionary struct {
	table string
	known *cache[int64]
	next  int64
}

func newWriter(d *DB, c *sqlite3.Conn) (*writer, error) {
	w := &writer{d: d, c: c}
	err := w.start()
	if err != nil {
		c.Close()
		return nil, d.wrap("open", err)
	}
	d.secret = w.secret
	return w, nil
}

// start reads what the database holds, and makes the keys of a new one.
func (w *writer) start() (err error) {
	if w.q, err = sqlite3.NewQueue(w.c); err != nil {
		return err
	}
	w.makeBulks()
	if err := w.c.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	w.secret, err = makeSecret(w.c, w.d.opts.Pseudonymize)
	if err == nil {
		err = w.reset()
	}
	if err == nil {
		if err = w.q.Notice(); err == sqlite3.ErrChanged { // by what was read now
			err = w.c.Exec("COMMIT")
		}
	}
	if err != nil {
		w.c.Exec("ROLLBACK")
	}
	return err
}

// reset forgets everything that is not in the database.
func (w *writer) reset() error {
	filled := func(table string) (next int64, partial bool, err error) {
		next, err = w.c.Number("SELECT max(id) FROM " + table)
		return next + 1, next > 0, err
	}
	var partial bool
	var err error
	for _, t := range []*dictionary{&w.names, &w.routes} {
		t.table = "name"
		max := maxNames
		if t == &w.routes {
			t.table, max = "route", maxRoutes
		}
		if t.next, partial, err = filled(t.table); err != nil {
			return err
		}
		t.known = newCache[int64](max, partial)
	}
	if w.addressID, partial, err = filled("address"); err != nil {
		return err
	}
	w.addresses = newCache[address](maxAddresses, partial)
	if w.replyID, partial, err = filled("reply"); err != nil {
		return err
	}
	w.replies = newCache[reply](maxReplies, partial)
	if w.textID, _, err = filled("text"); err != nil {
		return err
	}
	w.texts = newCache[int64](maxTexts, true)
	if w.messageID, _, err = filled("message_id"); err != nil {
		return err
	}
	w.messages = newCache[int64](maxMessages, true)
	if w.loginID, _, err = filled("login"); err != nil {
		return err
	}
	w.logins = newCache[int64](maxMessages, true)

	w.sources = make(map[string]*source)
	w.seen = newWindow(seenWindow)
	w.origins = make(map[[3]string]int64)
	w.kinds = make(map[int64]bool)
	w.waiting = make(map[uint64]*waitingMessage)
	if err := w.loadPending(); err != nil {
		return err
	}
	w.inBatch = make(map[string]bool)
	w.fresh, w.keys = w.fresh[:0], make(map[string][]dictKey)
	w.newBase = w.addressID
	w.touched = make(map[uint32]touched)
	w.routeCells = newCells()
	w.senderCells = newCells()
	w.originCells = newCells()
	w.totalCells = newCells()
	for _, b := range w.bulks {
		b.Discard()
	}
	return nil
}

// makeBulks makes what writes to each table.
func (w *writer) makeBulks() {
	w.bulks = make(map[string]*sqlite3.Bulk)
	for table, columns := range insertTables {
		w.bulks[table] = w.q.NewInsert(table, columns, "")
	}
	for _, rollup := range [...]string{"rollup_route", "rollup_sender", "rollup_origin", "rollup_total"} {
		w.bulks[rollup] = w.q.NewInsert(rollup, 6, addToCell)
	}
	for name, sql := range laterSQL {
		w.bulks[name] = w.q.NewBulk(sql, strings.Count(sql, "?"))
	}
	w.insert = w.bulks["delivery"]
}

// insertTables are the tables whose new rows are gathered, with their number of
// columns.
var insertTables = map[string]int{
	"delivery": 8, "failure": 13, "refusal": 9, "fault": 5, "delivery_message": 2, "original": 2, "pair": 3, "pending": 6, "login": 2, "text": 2,
	"name": 2, "name_key": 1, "route": 5, "route_key": 1, "reply": 17, "reply_key": 1, "message_id": 3, "address": 5, "address_key": 1,
}

// laterSQL are statements that may run in a while, as those of insertTables do.
var laterSQL = map[string]string{
	"kind":         "INSERT OR IGNORE INTO kind VALUES (?, ?, ?)",
	"chunk":        "INSERT INTO chunk VALUES (?, ?, ?, ?, ?)",
	"pair_end":     "UPDATE pair SET state = ?, ended = ? WHERE id = ?",
	"pending_last": "UPDATE pending SET last = ? WHERE queue = ? AND recipient = ? AND pair = ?",
	"pending_end":  "DELETE FROM pending WHERE queue = ? AND recipient = ? AND pair = ?",
	"recovery":     "INSERT OR IGNORE INTO recovery VALUES (?, ?)",
	"delivered":    "UPDATE address SET first = ?, last = ? WHERE id = ?",
	"failing":      "INSERT OR REPLACE INTO failing VALUES (?, ?)",
	"failing_end":  "DELETE FROM failing WHERE id = ?",
	"source": `UPDATE source SET path = ?, position = ?, state = ?, first = ?, last = ?, lines = ?, delivery = ?,
		attempts = ?, repeated = ?, queue = ?, rejected = ?, skipped = ?, unparsed = ?, blank = ? WHERE id = ?`,
	"skipped": `WITH s (program, lines, most) AS (VALUES (?, ?, ?)) INSERT INTO skipped
		SELECT iif(EXISTS (SELECT 1 FROM skipped AS k WHERE k.program = s.program) OR (SELECT count(*) FROM skipped) < s.most, s.program, '(others)'), s.lines
		FROM s WHERE true ON CONFLICT DO UPDATE SET lines = lines + excluded.lines`,
	"unparsed": "INSERT OR IGNORE INTO unparsed_line SELECT ?, ?, ? WHERE (SELECT count(*) FROM unparsed_line) < ?",
	"opened":   "INSERT OR REPLACE INTO open_message VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	"closed":   "DELETE FROM open_message WHERE host = ? AND mta = ? AND instance = ? AND queue_id = ?",
}

// add adds a row to a table, or runs one of laterSQL, in a while; flush before the
// table is read.
func (w *writer) add(table string, values ...any) { w.bulks[table].Add(values...) }

func (w *writer) flushTables(tables ...string) {
	for _, t := range tables {
		w.bulks[t].Flush()
	}
}

// addKey adds the key of a new row, in a while: see remembered.
func (w *writer) addKey(table string, h uint64, id int64) {
	w.keys[table] = append(w.keys[table], newDictKey(h, id))
}

// putInto adds to a dictionary's cache. What that forgets must be found.
func putInto[V any](w *writer, c *cache[V], h uint64, v V) *V {
	if c.full() {
		w.flushAddresses()
		w.flushKeys()
	}
	return c.put(h, v)
}

// find looks a row up: fn is called with the ids of those with this hash, until
// it says that one is it.
func find[V any](w *writer, c *cache[V], table string, h uint64, fn func(id int64) (bool, error)) (found int64, err error) {
	c.lookUps++
	if b := w.bulks[table]; b != nil && table != "address" {
		b.Flush()
	}
	lo, hi := dictKeys(h)
	err = w.c.Each(func(row []driver.Value) error {
		id := row[0].(int64) & maxID
		ok, err := fn(id)
		if ok {
			found = id
			return sqlite3.Stop
		}
		return err
	}, "SELECT key FROM "+table+"_key WHERE key BETWEEN ? AND ?", int64(lo), int64(hi))
	return found, err
}

// name gives a domain or host name its number.
func (w *writer) name(s string) (int64, error) {
	h := w.hash.add(0, s)
	if id := w.names.known.get(h); id != nil {
		return *id, nil
	}
	text := clean(s, maxName)
	stored := w.hash.add(0, text)
	var id int64
	if w.names.known.mayLack(text == s) {
		var err error
		id, err = find(w, w.names.known, "name", stored, func(id int64) (bool, error) {
			v, err := w.c.One("SELECT text FROM name WHERE id = ?", id)
			return v == text, err
		})
		if err != nil {
			return 0, err
		}
	}
	if id == 0 {
		var err error
		if id, err = nextID(&w.names.next, "names"); err != nil {
			return 0, err
		}
		w.add("name", id, text)
		w.addKey("name", stored, id)
	}
	putInto(w, w.names.known, h, id)
	return id, nil
}

// route gives (recipient's domain, relay) its number.
func (w *writer) route(h uint64, a *bounce.Delivery) (int64, error) {
	if id := w.routes.known.get(h); id != nil {
		return *id, nil
	}
	domain, err := w.name(a.RecipientDomain)
	if err != nil {
		return 0, err
	}
	var host, port any
	if a.RelayHost != "" {
		if host, err = w.name(a.RelayHost); err != nil {
			return 0, err
		}
	}
	ip := ipValue(a.RelayIP)
	if a.RelayPort != 0 {
		port = int64(a.RelayPort)
	}
	var id int64
	exact := clean(a.RecipientDomain, maxName) == a.RecipientDomain && clean(a.RelayHost, maxName) == a.RelayHost && clean(a.RelayIP, maxWord) == a.RelayIP
	if w.routes.known.mayLack(exact) {
		id, err = find(w, w.routes.known, "route", h, func(id int64) (ok bool, err error) {
			err = w.c.Each(func(row []driver.Value) error {
				ok = row[0] == domain && row[1] == host && row[2] == ip && row[3] == port
				return sqlite3.Stop
			}, "SELECT domain, host, ip, port FROM route WHERE id = ?", id)
			return ok, err
		})
		if err != nil {
			return 0, err
		}
	}
	if id == 0 {
		if id, err = nextID(&w.routes.next, "routes"); err != nil {
			return 0, err
		}
		w.add("route", id, domain, host, ip, port)
		w.addKey("route", h, id)
	}
	putInto(w, w.routes.known, h, id)
	return id, nil
}

// ipValue makes a number of an IPv4 address, which halves it.
func ipValue(s string) any {
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		b := a.As4()
		return int64(binary.BigEndian.Uint32(b[:]))
	}
	return null(clean(s, maxWord))
}

// ipText is the inverse of ipValue.
func ipText(v driver.Value) string {
	if n, ok := v.(int64); ok {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b).String()
	}
	return str(v)
}

func (w *writer) origin(host string, mta bounce.MTA, instance string) (int64, error) {
	key := [3]string{host, string(mta), instance}
	if id, ok := w.origins[key]; ok {
		return id, nil
	}
	if len(w.origins) > 1000 {
		clear(w.origins)
	}
	h, m, i := clean(host, maxName), clean(string(mta), maxWord), clean(instance, maxWord)
	const find = "SELECT id FROM origin WHERE host = ? AND mta = ? AND instance = ?"
	id, err := w.c.Number(find, h, m, i)
	if err == nil && id == 0 {
		var next int64
		if next, err = w.c.Number("SELECT max(id) + 1 FROM origin"); err == nil {
			next = max(next, 1)
			id, err = nextID(&next, "logging hosts")
		}
		if err == nil {
			err = w.c.Run("INSERT INTO origin (id, host, mta, instance) VALUES (?, ?, ?, ?)", id, h, m, i)
		}
	}
	if err != nil {
		return 0, err
	}
	w.origins[key] = id
	return id, nil
}

func (w *writer) kind(o bounce.Outcome, r bounce.Reason) int64 {
	id := kindOf(o, r)
	if !w.kinds[id] {
		w.add("kind", id, o.String(), null(r.String()))
		w.flushTables("kind") // reply refers to it
		w.kinds[id] = true
	}
	return id
}

// reply gives what was answered, and who wrote it down, its number.
func (w *writer) reply(h uint64, a *bounce.Delivery, v bounce.Verdict, t bounce.Template) (*reply, error) {
	if r := w.replies.get(h); r != nil {
		return r, nil
	}
	origin, err := w.origin(a.Host, a.MTA, a.Instance)
	if err != nil {
		return nil, err
	}
	template, failed := t.Text, a.Outcome != bounce.Delivered
	if !failed {
		// The first that begins like this stands for all.
		whole, _ := bounce.Split(a.Response)
		template = w.scrub(whole)
	}
	same := func(text driver.Value) bool {
		if failed {
			return text == clean(template, maxResponse)
		}
		return bounce.Opening(str(text)) == bounce.Opening(template)
	}
	var r reply
	agent, status, text := clean(a.Agent, maxWord), clean(a.Status, maxWord), clean(template, maxResponse)
	situation := clean(t.Situation, maxWord)
	if w.replies.partial {
		_, err := find(w, w.replies, "reply", h, func(id int64) (ok bool, err error) {
			err = w.c.Each(func(row []driver.Value) error {
				ok = row[1] == origin && outcomeOf(row[0].(int64)) == a.Outcome && row[2] == agent && row[3] == status &&
					row[4] == code(a.Code) && row[5] == null(a.Enhanced.String()) && row[6] == null(a.Stage.String()) &&
					row[7] == bit(a.Local) && row[8] == situation && same(row[9])
				if ok {
					r = reply{id: id, kind: row[0].(int64), origin: origin}
				}
				return sqlite3.Stop
			}, "SELECT kind, origin, agent, status, code, enhanced, stage, local, provider, template FROM reply WHERE id = ?", id)
			return ok, err
		})
		if err != nil {
			return nil, err
		}
	}
	if r.id == 0 {
		if !failed {
			v = bounce.Verdict{}
		}
		id, err := nextID(&w.replyID, "replies")
		if err != nil {
			return nil, err
		}
		r = reply{id: id, kind: w.kind(a.Outcome, v.Reason), origin: origin}
		var sample, host any
		if failed {
			sample, host = w.scrub(clean(a.Response, maxResponse)), null(clean(a.RelayHost, maxName))
		}
		w.add("reply", r.id, origin, r.kind, agent, status, code(a.Code), null(a.Enhanced.String()), null(a.Stage.String()), bit(a.Local), situation, text,
			sample, host, null(clean(v.Detail, maxWord)), null(v.Scope.String()), null(clean(v.Rule, maxWord)), null(v.Confidence.String()))
		w.addKey("reply", h, r.id)
	}
	r.retry = a.Outcome == bounce.Soft && a.Code >= 500
	return putInto(w, w.replies, h, r), nil
}

func code(n uint16) any {
	if n == 0 {
		return nil
	}
	return int64(n)
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// split parts an address into its local part and its domain.
func split(a, domain string) (local string) {
	if domain == "" {
		return a
	}
	if n := len(a) - len(domain); n > 0 && a[n-1] == '@' && a[n:] == domain {
		return a[:n-1]
	}
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		return a[:i]
	}
	return a
}

// join is the inverse of split.
func join(local, domain string) string {
	if domain == "" {
		return local
	}
	return local + "@" + domain
}

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
	if w.addresses.mayLack(join(local, clean(domain, maxName)) == whole) {
		if a, err = w.findAddress(key, local, dom); err != nil {
			return nil, err
		}
	}
	if a.id == 0 {
		id, err := nextID(&w.addressID, "addresses")
		if err != nil {
			return nil, err
		}
		a = address{id: uint32(id), domain: uint32(dom)}
		w.fresh = append(w.fresh, newAddress{a, strings.Clone(local)}) // see own
		w.addKey("address", key, int64(a.id))
	}
	return putInto(w, w.addresses, h, a), nil
}

func (w *writer) findAddress(key uint64, local string, domain int64) (a address, err error) {
	_, err = find(w, w.addresses, "address", key, func(id int64) (ok bool, err error) {
		err = w.c.Each(func(row []driver.Value) error {
			if ok = row[0] == local && num(row[2]) == domain; ok {
				a = w.storedAddress([]int64{num(row[1]), num(row[2]), num(row[3]), num(row[4])}, num(row[5]))
			}
			return sqlite3.Stop
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
	if t, ok := w.touched[uint32(v[0])]; ok {
		return t.address
	}
	last := seconds(v[3])
	return address{id: uint32(v[0]), domain: uint32(v[1]), first: seconds(v[2]), last: last, kept: last, failed: seconds(failed)}
}

// noteAddress records what of the recipient's history has changed.
func (w *writer) noteAddress(a *address, delivered, failing bool) {
	if i := int64(a.id) - w.newBase; i >= 0 {
		w.fresh[i].address = *a
		return
	}
	t := w.touched[a.id]
	w.touched[a.id] = touched{*a, t.delivered || delivered, t.failing || failing}
}

// text stores a response's text, with what the row knows taken out. The first
// time it stands in the row, from the second on it has a number.
func (w *writer) text(s string) any {
	h := w.hash.add(2, s)
	id := w.texts.get(h)
	switch {
	case id == nil:
		w.texts.put(h, 0)
		return s
	case *id == 0:
		w.add("text", w.textID, s)
		*id = w.textID
		w.textID++
	}
	return *id
}

// message gives a message id its number.
func (w *writer) message(s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	h := w.hash.add(3, s)
	if id := w.messages.get(h); id != nil {
		return *id, nil
	}
	left, right, err := w.splitMessageID(s)
	if err != nil {
		return nil, err
	}
	id := w.messageID
	w.messageID++
	w.add("message_id", id, left, right)
	w.messages.put(h, id)
	return id, nil
}

// client is who handed in a message: the number of a login, or else an address.
func (w *writer) client(d *bounce.Delivery) any {
	if d.SASLUser == "" {
		v := ipValue(d.ClientIP)
		if n, ok := v.(int64); ok {
			v = -1 - n
		}
		return v
	}
	h := w.hash.add(4, d.SASLUser)
	if id := w.logins.get(h); id != nil {
		return *id
	}
	id := w.loginID
	w.loginID++
	user := clean(d.SASLUser, maxName)
	if w.pseudonym != nil {
		local, domain, isAddress := strings.Cut(user, "@")
		user = w.local(local)
		if isAddress {
			user += "@" + domain
		}
	}
	w.logins.put(h, id)
	w.add("login", id, user)
	return id
}

func (w *writer) splitMessageID(s string) (left, right any, err error) {
	s = clean(s, maxName)
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		if right, err = w.name(s[i+1:]); err != nil {
			return nil, nil, err
		}
		s = s[:i]
	}
	return packHex(s), right, nil
}

// packHex makes a blob of lower-case hexadecimal.
func packHex(s string) any {
	if len(s) >= 8 && !strings.ContainsFunc(s, func(r rune) bool { return !('0' <= r && r <= '9' || 'a' <= r && r <= 'f') }) {
		if b, err := hex.DecodeString(s); err == nil {
			return b
		}
	}
	return s
}

// queueValue makes a number of a hexadecimal queue id, which halves it.
func queueValue(s string) any {
	if n, ok := queueNumber(s); ok {
		return n
	}
	return clean(s, maxWord)
}

func queueNumber(s string) (n int64, ok bool) {
	if len(s) < 5 || len(s) > 14 {
		return 0, false
	}
	n = 1
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'A' <= c && c <= 'F':
			n = n<<4 | int64(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// queueText is the inverse of queueValue.
func queueText(v driver.Value) string {
	switch v := v.(type) {
	case int64:
		return strings.ToUpper(strconv.FormatInt(v, 16))[1:]
	case string:
		return v
	}
	return ""
}

// clean makes text fit for any reader of the database: valid UTF-8, no NUL, none
// of the marks that stand for something in a stored response, at most max
// bytes.
func clean(s string, max int) string {
	if len(s) <= max && plain(s) {
		return s
	}
	if len(s) > max {
		s = s[:max]
		for i := 1; i < utf8.UTFMax && i <= len(s); i++ {
			if c := s[len(s)-i]; utf8.RuneStart(c) {
				if !utf8.FullRuneInString(s[len(s)-i:]) {
					s = s[:len(s)-i]
				}
				break
			}
		}
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Map(func(r rune) rune {
		if r < '\t' {
			return utf8.RuneError
		}
		return r
	}, s)
}

// plain tells whether s holds no more than ASCII from tab to DEL, eight bytes at a
// time.
func plain(s string) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		w := word(s)
		if (w|(w-9*each))&top != 0 { // the first byte that lacks 9 borrows from what is above it
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i]-9 >= 0x80-9 {
			return false
		}
	}
	return true
}
