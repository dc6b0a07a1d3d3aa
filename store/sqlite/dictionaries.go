package sqlite

import (
	"database/sql/driver"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/sqlite3"
)

// The functions of this file return the id of a row of a dictionary, and add the row if
// there is none.

// name is for a domain or host name.
func (w *writer) name(s string) (int64, error) {
	h := w.hash.add(0, s)
	if id := w.names.get(h); id != nil {
		return *id, nil
	}
	text := clean(s, maxName)
	stored := w.hash.add(0, text)
	var id int64
	if w.names.known.mayLack(text == s) {
		var err error
		id, err = lookUp(w, &w.names, stored, func(id int64) (bool, error) {
			v, err := w.c.One("SELECT text FROM name WHERE id = ?", id)
			return v == text, err
		})
		if err != nil {
			return 0, err
		}
	}
	if id == 0 {
		var err error
		if id, err = w.names.newID(); err != nil {
			return 0, err
		}
		w.add("name", id, text)
		w.names.addKey(stored, id)
	}
	keep(w, &w.names, h, id)
	return id, nil
}

// route is for a recipient's domain and a relay. H is hasher.route of them.
func (w *writer) route(h uint64, a *bounce.Delivery) (int64, error) {
	if id := w.routes.get(h); id != nil {
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
		id, err = lookUp(w, &w.routes, h, func(id int64) (ok bool, err error) {
			err = w.c.Each(func(row []driver.Value) error {
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
		if id, err = w.routes.newID(); err != nil {
			return 0, err
		}
		w.add("route", id, domain, host, ip, port)
		w.routes.addKey(h, id)
	}
	keep(w, &w.routes, h, id)
	return id, nil
}

// origin is for who wrote the log.
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
		hosts := dictionary[int64]{table: "origin", rows: "logging hosts", most: maxID}
		if err = hosts.reset(w.c); err == nil {
			id, err = hosts.newID()
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

// kind is for an outcome and a reason.
func (w *writer) kind(o bounce.Outcome, r bounce.Reason) int64 {
	id := kindOf(o, r)
	if !w.kinds[id] {
		w.add("kind", id, o.String(), null(r.String()))
		w.bulks["kind"].Flush() // reply refers to it
		w.kinds[id] = true
	}
	return id
}

// A reply is what the writer remembers of a row of the table reply.
type reply struct {
	id, kind, origin int64
	retry            bool
}

// attempted, in place of a last try, says that an attempt was made.
const attempted = -1

// reply is for what was answered, its verdict, and who wrote it down. H is
// prepared.reply. LastTry is, of a deferral without an attempt, the reply whose verdict
// it has; 0: none.
func (w *writer) reply(h uint64, a *bounce.Delivery, v bounce.Verdict, t bounce.Template, lastTry int64) (*reply, error) {
	var try any
	if lastTry != attempted {
		h, try = w.hash.num(h, uint64(lastTry)), lastTry
	}
	if r := w.replies.get(h); r != nil {
		return r, nil
	}
	origin, err := w.origin(a.Host, a.MTA, a.Instance)
	if err != nil {
		return nil, err
	}
	template, failed := t.Text, a.Outcome != bounce.Delivered
	if !failed {
		// Replies to deliveries that begin alike share the row of the first.
		whole, _ := bounce.Split(a.Response)
		template = w.scrub(whole, w.secret.names(a))
	}
	same := func(text driver.Value) bool {
		if failed {
			return text == clean(template, maxResponse)
		}
		return bounce.Opening(str(text)) == bounce.Opening(template)
	}
	var r reply
	agent, status, text := clean(a.Agent, maxWord), clean(a.Status, maxWord), clean(template, maxResponse)
	situation, tls, disposal := clean(t.Situation, maxWord), clean(a.TLS, maxWord), string(a.Disposal)
	if w.replies.known.partial {
		_, err := lookUp(w, &w.replies, h, func(id int64) (ok bool, err error) {
			err = w.c.Each(func(row []driver.Value) error {
				ok = row[1] == origin && outcomeOf(row[0].(int64)) == a.Outcome && row[2] == agent && row[3] == status &&
					row[4] == code(a.Code) && row[5] == null(a.Enhanced.String()) && row[6] == null(a.Stage.String()) &&
					row[7] == bit(a.Local) && row[8] == situation && row[10] == null(tls) && row[11] == null(disposal) && row[12] == try && same(row[9])
				if ok {
					r = reply{id: id, kind: row[0].(int64), origin: origin}
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
			of, err := newTexts(w.reading("reply")).reply(lastTry)
			if err != nil {
				return nil, err
			}
			v = of.v
		}
		id, err := w.replies.newID()
		if err != nil {
			return nil, err
		}
		r = reply{id: id, kind: w.kind(a.Outcome, v.Reason), origin: origin}
		var sample, host any
		if failed {
			sample, host = w.scrub(clean(a.Response, maxResponse), w.secret.names(a)), null(clean(a.RelayHost, maxName))
		}
		w.add("reply", r.id, origin, r.kind, agent, status, code(a.Code), null(a.Enhanced.String()), null(a.Stage.String()), bit(a.Local), situation, text,
			sample, host, null(clean(v.Detail, maxWord)), null(v.Scope.String()), null(clean(v.Rule, maxWord)), null(v.Confidence.String()), null(tls), null(disposal), try)
		w.replies.addKey(h, r.id)
	}
	r.retry = a.Outcome == bounce.Soft && a.Code >= 500
	return keep(w, &w.replies, h, r), nil
}

// text is for a shortened response. The first time it is the text itself, to be kept in
// the row of the attempt: most come once.
func (w *writer) text(s string) any {
	h := w.hash.add(2, s)
	id := w.texts.get(h)
	switch {
	case id == nil:
		w.texts.known.put(h, 0)
		return s
	case *id == 0:
		*id, _ = w.texts.newID() // never fails: see newWriter
		w.add("text", *id, s)
	}
	return *id
}

// message is for a message id; nil for none.
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
	id, err := w.messages.newID()
	if err != nil {
		return nil, err
	}
	w.add("message_id", id, left, right)
	w.messages.known.put(h, id)
	return id, nil
}

// splitMessageID returns a message id as the table message_id has it.
func (w *writer) splitMessageID(s string) (left, right any, err error) {
	s = w.messageID(s)
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		if right, err = w.name(s[i+1:]); err != nil {
			return nil, nil, err
		}
		s = s[:i]
	}
	return packHex(s), right, nil
}

// client is for who handed in a message: the id of a login, or else an IP address: an IPv4
// address as -1 - the number, any other as text.
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
	id, _ := w.logins.newID() // never fails: see newWriter
	w.logins.known.put(h, id)
	w.add("login", id, w.login(d.SASLUser))
	return id
}
