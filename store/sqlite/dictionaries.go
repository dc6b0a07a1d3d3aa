package sqlite

import (
	"database/sql/driver"
	"errors"
	"math"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// dictionaries hold the ids of repeated texts, so that most attempts need no query. The methods
// name, route, origin, kind, reply, text, message, client and address return the id of a row, and
// add the row if it is missing. A row is written before the rows that refer to it, or together with
// them.
type dictionaries struct {
	tables
	secret // the keys of hashes and pseudonyms: never change

	names     dictionary[int64] // id
	routes    dictionary[int64] // id
	replies   dictionary[replyRow]
	addresses addressDictionary
	texts     dictionary[int64]   // id; 0: seen once, not yet a row. A forgotten text becomes another row
	messages  dictionary[int64]   // id of the Message-ID. A forgotten one becomes another row
	logins    dictionary[int64]   // id. A forgotten login becomes another row
	origins   map[[3]string]int64 // id by host, MTA and instance
	kinds     map[int64]bool      // the kinds in the table
}

// Sizes of the caches. Together they stay below 64 MiB.
const (
	maxAddresses = 1 << 19 * 3 / 4
	maxNames     = 1 << 17 * 3 / 4
	maxRoutes    = 1 << 18 * 3 / 4
	maxReplies   = 1 << 16 * 3 / 4
	maxTexts     = 1 << 14 * 3 / 4
	maxMessages  = 1 << 14 * 3 / 4
)

func newDictionaries(t tables) dictionaries {
	const unlimited = math.MaxInt64 // columns with these ids hold 64 bits
	return dictionaries{
		tables:    t,
		names:     dictionary[int64]{table: "name", rows: "names", most: maxID, room: maxNames},
		routes:    dictionary[int64]{table: "route", rows: "routes", most: maxID, room: maxRoutes},
		replies:   dictionary[replyRow]{table: "reply", rows: "replies", most: maxID, room: maxReplies},
		addresses: addressDictionary{dictionary: dictionary[addressRow]{table: "address", rows: "addresses", most: maxID, room: maxAddresses}},
		texts:     dictionary[int64]{table: "text", most: unlimited, room: maxTexts},
		messages:  dictionary[int64]{table: "message_id", most: unlimited, room: maxMessages},
		logins:    dictionary[int64]{table: "login", most: unlimited, room: maxMessages},
	}
}

// reset clears the dictionaries, and reads again what the database holds.
func (d *dictionaries) reset() error {
	d.origins = make(map[[3]string]int64)
	d.kinds = make(map[int64]bool)
	return errors.Join(d.names.reset(d.c), d.routes.reset(d.c), d.replies.reset(d.c), d.addresses.reset(d.c),
		d.texts.reset(d.c), d.messages.reset(d.c), d.logins.reset(d.c))
}

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
		func(v []int64, local string) (uint64, addressRow) {
			domain := name(v[1])
			return d.hash.address(join(local, domain), domain), d.addresses.stored(v, failing[v[0]])
		})
}

// keep adds a row to the cache. If the cache is full, which clears it, the new rows are written
// first, so that later calls find them in the tables.
func keep[V any](d *dictionaries, in *dictionary[V], h uint64, v V) *V {
	if in.known.full() {
		d.flush()
	}
	return in.known.put(h, v)
}

// flush writes new addresses and the keys of new rows.
func (d *dictionaries) flush() {
	d.addresses.flushNew(&d.tables)
	d.names.flushKeys(&d.tables)
	d.routes.flushKeys(&d.tables)
	d.replies.flushKeys(&d.tables)
	d.addresses.flushKeys(&d.tables)
}

// name returns the id of a domain or host name.
func (d *dictionaries) name(s string) (int64, error) {
	h := d.hash.add(0, s)
	if id := d.names.get(h); id != nil {
		return *id, nil
	}
	text := store.Clean(s, store.MaxName)
	stored := d.hash.add(0, text)
	var id int64
	if d.names.known.mayLack(text == s) {
		var err error
		id, err = d.names.lookUp(&d.tables, stored, func(id int64) (bool, error) {
			v, err := d.c.One("SELECT text FROM name WHERE id = ?", id)
			return v == text, err
		})
		if err != nil {
			return 0, err
		}
	}
	if id == 0 {
		var err error
		if id, err = d.names.newID(); err != nil {
			return 0, err
		}
		d.add("name", id, text)
		d.names.addKey(stored, id)
	}
	keep(d, &d.names, h, id)
	return id, nil
}

// route returns the id of a recipient's domain and a relay. h is their hasher.route.
func (d *dictionaries) route(h uint64, a *bounce.Delivery) (int64, error) {
	if id := d.routes.get(h); id != nil {
		return *id, nil
	}
	domain, err := d.name(a.RecipientDomain)
	if err != nil {
		return 0, err
	}
	var host, port any
	if a.RelayHost != "" {
		if host, err = d.name(a.RelayHost); err != nil {
			return 0, err
		}
	}
	ip := ipValue(a.RelayIP)
	if a.RelayPort != 0 {
		port = int64(a.RelayPort)
	}
	var id int64
	exact := store.Clean(a.RecipientDomain, store.MaxName) == a.RecipientDomain && store.Clean(a.RelayHost, store.MaxName) == a.RelayHost && store.Clean(a.RelayIP, store.MaxWord) == a.RelayIP
	if d.routes.known.mayLack(exact) {
		id, err = d.routes.lookUp(&d.tables, h, func(id int64) (ok bool, err error) {
			err = d.c.Each(func(row []driver.Value) error {
				ok = row[0] == domain && row[1] == host && row[2] == ip && row[3] == port
				return sqlite3.ErrStop
			}, "SELECT domain, host, ip, port FROM route WHERE id = ?", id)
			return ok, err
		})
		if err != nil {
			return 0, err
		}
	}
	if id == 0 {
		if id, err = d.routes.newID(); err != nil {
			return 0, err
		}
		d.add("route", id, domain, host, ip, port)
		d.routes.addKey(h, id)
	}
	keep(d, &d.routes, h, id)
	return id, nil
}

// origin returns the id of a logging host, MTA and instance.
func (d *dictionaries) origin(host string, mta bounce.MTA, instance string) (int64, error) {
	key := [3]string{host, string(mta), instance}
	if id, ok := d.origins[key]; ok {
		return id, nil
	}
	if len(d.origins) > 1000 {
		clear(d.origins)
	}
	h, m, i := store.Clean(host, store.MaxName), store.Clean(string(mta), store.MaxWord), store.Clean(instance, store.MaxWord)
	const find = "SELECT id FROM origin WHERE host = ? AND mta = ? AND instance = ?"
	id, err := d.c.Number(find, h, m, i)
	if err == nil && id == 0 {
		hosts := dictionary[int64]{table: "origin", rows: "logging hosts", most: maxID}
		if err = hosts.reset(d.c); err == nil {
			id, err = hosts.newID()
		}
		if err == nil {
			err = d.c.Run("INSERT INTO origin (id, host, mta, instance) VALUES (?, ?, ?, ?)", id, h, m, i)
		}
	}
	if err != nil {
		return 0, err
	}
	d.origins[key] = id
	return id, nil
}

// kind returns the id of an outcome and a reason.
func (d *dictionaries) kind(o bounce.Outcome, r bounce.Reason) int64 {
	id := kindOf(o, r)
	if !d.kinds[id] {
		d.add("kind", id, o.String(), null(r.String()))
		d.bulks["kind"].Flush() // reply refers to it
		d.kinds[id] = true
	}
	return id
}

// A replyRow is the cached part of a row of the table reply.
type replyRow struct {
	id, kind, origin int64
	retry            bool
}

// attempted, in place of a last try, means that an attempt was made.
const attempted = -1

// reply finds or adds a reply with its verdict and origin. h is prepared.reply. lastTry, for a
// deferral without an attempt, is the reply that it takes its verdict from; 0: none.
func (d *dictionaries) reply(h uint64, a *bounce.Delivery, v bounce.Verdict, t bounce.Template, lastTry int64) (*replyRow, error) {
	var try any
	if lastTry != attempted {
		h, try = d.hash.num(h, uint64(lastTry)), lastTry
	}
	if r := d.replies.get(h); r != nil {
		return r, nil
	}
	origin, err := d.origin(a.Host, a.MTA, a.Instance)
	if err != nil {
		return nil, err
	}
	template, failed := t.Text, a.Outcome != bounce.Delivered
	if !failed {
		// Delivered replies with the same beginning share the row of the first one.
		template, _ = bounce.Split(d.scrub(a.Response, d.secret.names(a)))
	}
	same := func(text driver.Value) bool {
		if failed {
			return text == store.Clean(template, store.MaxResponse)
		}
		return bounce.Opening(str(text)) == bounce.Opening(template)
	}
	var r replyRow
	agent, status, text := store.Clean(a.Agent, store.MaxWord), store.Clean(a.Status, store.MaxWord), store.Clean(template, store.MaxResponse)
	situation, tls, disposal := store.Clean(t.Situation, store.MaxWord), store.Clean(a.TLS, store.MaxWord), string(a.Disposal)
	if d.replies.known.partial {
		_, err := d.replies.lookUp(&d.tables, h, func(id int64) (ok bool, err error) {
			err = d.c.Each(func(row []driver.Value) error {
				ok = row[1] == origin && outcomeOf(row[0].(int64)) == a.Outcome && row[2] == agent && row[3] == status &&
					row[4] == codeValue(a.Code) && row[5] == null(a.Enhanced.String()) && row[6] == null(a.Stage.String()) &&
					row[7] == bit(a.Local) && row[8] == situation && row[10] == null(tls) && row[11] == null(disposal) && row[12] == try && same(row[9])
				if ok {
					r = replyRow{id: id, kind: row[0].(int64), origin: origin}
				}
				return sqlite3.ErrStop
			}, "SELECT kind, origin, agent, status, code, enhanced, stage, local, situation, template, tls, disposal, last_try FROM reply WHERE id = ?", id)
			return ok, err
		})
		if err != nil {
			return nil, err
		}
	}
	if r.id == 0 {
		switch {
		case !failed:
			v = bounce.Verdict{}
		case lastTry > 0:
			of, err := newTexts(d.reading("reply")).reply(lastTry)
			if err != nil {
				return nil, err
			}
			v = of.v
		}
		id, err := d.replies.newID()
		if err != nil {
			return nil, err
		}
		r = replyRow{id: id, kind: d.kind(a.Outcome, v.Reason), origin: origin}
		var sample, host any
		if failed {
			sample, host = d.scrub(store.Clean(a.Response, store.MaxResponse), d.secret.names(a)), null(store.Clean(a.RelayHost, store.MaxName))
		}
		d.add("reply", r.id, origin, r.kind, agent, status, codeValue(a.Code), null(a.Enhanced.String()), null(a.Stage.String()), bit(a.Local), situation, text,
			sample, host, null(store.Clean(v.Detail, store.MaxWord)), null(v.Scope.String()), null(store.Clean(v.Rule, store.MaxWord)), null(v.Confidence.String()), null(tls), null(disposal), try)
		d.replies.addKey(h, r.id)
	}
	r.retry = a.Outcome == bounce.Soft && a.Code >= 500
	return keep(d, &d.replies, h, r), nil
}

// text returns the id of a shortened response. The first time it returns the text itself, to be
// stored in the attempt's row, since most responses occur once.
func (d *dictionaries) text(s string) any {
	h := d.hash.add(2, s)
	id := d.texts.get(h)
	switch {
	case id == nil:
		d.texts.known.put(h, 0)
		return s
	case *id == 0:
		*id, _ = d.texts.newID() // never fails: see newDictionaries
		d.add("text", *id, s)
	}
	return *id
}

// message returns the id of a Message-ID; nil: the message has none.
func (d *dictionaries) message(s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	h := d.hash.add(3, s)
	if id := d.messages.get(h); id != nil {
		return *id, nil
	}
	left, right, err := d.splitMessageID(s)
	if err != nil {
		return nil, err
	}
	id, err := d.messages.newID()
	if err != nil {
		return nil, err
	}
	d.add("message_id", id, left, right)
	d.messages.known.put(h, id)
	return id, nil
}

// splitMessageID returns the columns of a Message-ID in the table message_id.
func (d *dictionaries) splitMessageID(s string) (left, right any, err error) {
	s = d.messageID(s)
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		if right, err = d.name(s[i+1:]); err != nil {
			return nil, nil, err
		}
		s = s[:i]
	}
	return packHex(s), right, nil
}

// client returns the client that handed in a message: the id of a login, or else an IP address. An
// IPv4 address is -1 minus its number, any other address is text.
func (d *dictionaries) client(a *bounce.Delivery) any {
	if a.SASLUser == "" {
		v := ipValue(a.ClientIP)
		if n, ok := v.(int64); ok {
			v = -1 - n
		}
		return v
	}
	h := d.hash.add(4, a.SASLUser)
	if id := d.logins.get(h); id != nil {
		return *id
	}
	id, _ := d.logins.newID() // never fails: see newDictionaries
	d.logins.known.put(h, id)
	d.add("login", id, d.login(a.SASLUser))
	return id
}

// address finds or adds an address. The pointer is valid until the next call.
func (d *dictionaries) address(h uint64, whole, domain string) (*addressRow, error) {
	if a := d.addresses.get(h); a != nil {
		return a, nil
	}
	local := d.local(split(whole, domain))
	dom, err := d.name(domain)
	if err != nil {
		return nil, err
	}
	key := d.folded(local, dom)
	var a addressRow
	if d.addresses.known.mayLack(join(local, store.Clean(domain, store.MaxName)) == whole) {
		if a, err = d.findAddress(key, local, dom); err != nil {
			return nil, err
		}
	}
	if a.id == 0 {
		if a, err = d.addresses.addNew(key, local, dom); err != nil {
			return nil, err
		}
	}
	return keep(d, &d.addresses.dictionary, h, a), nil
}

func (d *dictionaries) findAddress(key uint64, local string, domain int64) (a addressRow, err error) {
	_, err = d.addresses.lookUp(&d.tables, key, func(id int64) (ok bool, err error) {
		err = d.c.Each(func(row []driver.Value) error {
			if ok = row[0] == local && num(row[2]) == domain; ok {
				a = d.addresses.stored([]int64{num(row[1]), num(row[2]), num(row[3]), num(row[4])}, num(row[5]))
			}
			return sqlite3.ErrStop
		}, "SELECT local, "+addressColumns+", (SELECT at FROM failing WHERE id = address.id) FROM address WHERE id = ?", id)
		return ok, err
	})
	return a, err
}
