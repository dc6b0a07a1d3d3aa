package report

import (
	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// A served is the mail to some providers.
type served struct {
	cells  map[string][]store.Cell  // by provider
	shared map[string]*sharedDomain // by domain, in lower case
}

// A sharedDomain is a domain whose mail several providers receive. A question about the domain alone counts the
// mail to all of them.
type sharedDomain struct {
	most  string // the provider of most attempts
	cells []*store.Cell
}

// served returns the mail to the providers in rows.
func (x *Routes) served(rows []ProviderRow) *served {
	s := &served{map[string][]store.Cell{}, map[string]*sharedDomain{}}
	for i := range rows {
		s.cells[rows[i].Provider] = []store.Cell{}
	}
	first := map[string]string{} // provider, by domain
	for i := range x.cells {
		name, domain := x.usual.provider(&x.cells[i]), ascii.Lower(x.cells[i].Keys[0])
		list, ok := s.cells[name]
		if !ok {
			continue
		}
		s.cells[name] = append(list, x.cells[i])
		if is, ok := first[domain]; !ok {
			first[domain] = name
		} else if is != name {
			s.shared[domain] = &sharedDomain{}
		}
	}
	attempts := map[string]map[string]int64{} // of a shared domain, by provider
	for i := range x.cells {
		c := &x.cells[i]
		domain := ascii.Lower(c.Keys[0])
		d := s.shared[domain]
		if d == nil {
			continue
		}
		d.cells = append(d.cells, c)
		if attempts[domain] == nil {
			attempts[domain] = map[string]int64{}
		}
		name := x.usual.provider(c)
		attempts[domain][name] += c.Attempts
		if d.most == "" || attempts[domain][name] > attempts[domain][d.most] {
			d.most = name
		}
	}
	return s
}
