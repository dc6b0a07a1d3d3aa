package sqlite

import (
	"slices"
	"strings"

	"bouncelog/internal/ascii"
	"bouncelog/internal/sqlite3"
	"bouncelog/store"
)

// A finder looks up addresses.
type finder struct {
	c       *sqlite3.Conn
	secret  secret
	domains map[string]int64 // ids; 0: not stored
}

func newFinder(c *sqlite3.Conn) (*finder, error) {
	secret, _, err := readSecret(c)
	return &finder{c: c, secret: secret, domains: make(map[string]int64)}, err
}

// parts returns the local parts with which a may be stored, and the id of its domain; 0: not
// stored.
func (f *finder) parts(a string) (locals []string, domain int64, err error) {
	a = store.Clean(a, 2*store.MaxName)
	local, name := a, ""
	if i := strings.LastIndexByte(a, '@'); i >= 0 {
		local, name = a[:i], ascii.Lower(a[i+1:])
	}
	locals = []string{local}
	if f.secret.pseudonym != nil { // either the address or its pseudonym
		locals = append(locals, f.secret.local(local))
	}
	domain, known := f.domains[name]
	if !known {
		if domain, err = f.name(name); err != nil {
			return nil, 0, err
		}
		remember(f.domains, name, domain)
	}
	return locals, domain, nil
}

// name returns the id of a domain, or of a host as it was logged; 0: not stored.
func (f *finder) name(s string) (int64, error) {
	lo, hi := dictKeys(f.secret.hash.add(0, s))
	return f.c.Number(layoutSQL("SELECT n.id FROM name_key AS k JOIN name AS n ON n.id = k.key & $MAX_ID WHERE k.key BETWEEN ? AND ? AND n.text = ?"), int64(lo), int64(hi), s)
}

// findRecipients returns the sorted ids of the addresses that equal some others, ignoring case.
func findRecipients(c *sqlite3.Conn, addresses []string) (ids []int64, err error) {
	f, err := newFinder(c)
	if err != nil {
		return nil, err
	}
	type wanted struct {
		local  string
		domain int64
	}
	var keys []int64
	byKey := make(map[int64][]wanted, len(addresses))
	for _, a := range addresses {
		locals, domain, err := f.parts(a)
		if err != nil {
			return nil, err
		}
		for _, local := range locals {
			lo, _ := dictKeys(f.secret.folded(local, domain))
			if domain == 0 {
				continue
			}
			if byKey[int64(lo)] == nil {
				keys = append(keys, int64(lo))
			}
			byKey[int64(lo)] = append(byKey[int64(lo)], wanted{local, domain})
		}
	}
	slices.Sort(keys)
	err = inBatches(slices.Values(keys), func(list string) error {
		return c.Texts(3, func(v []int64, local string) error {
			if slices.ContainsFunc(byKey[v[2]], func(w wanted) bool { return w.domain == v[1] && ascii.Lower(w.local) == ascii.Lower(local) }) {
				ids = append(ids, v[0])
			}
			return nil
		}, layoutSQL(`SELECT columns(a.id, a.domain, w.value), group_concat(a.local, char(1)) FROM json_each(?) AS w
			CROSS JOIN address_key AS k ON k.key BETWEEN w.value AND w.value | $MAX_ID CROSS JOIN address AS a ON a.id = k.key & $MAX_ID`), list)
	})
	slices.Sort(ids)
	return slices.Compact(ids), err
}
