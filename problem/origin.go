package problem

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/store"
)

// An Origin is a mail host, or an instance of its MTA, that sent mail of an incident. Several of them
// send from several addresses, of which a list may have one only. The counts are messages, as in
// Problem.Onset.
type Origin struct {
	Host     string `json:"host,omitempty"`
	Instance string `json:"instance,omitempty"`
	Address  string `json:"address,omitempty"` // its sending address, if the replies to it name one
	Refused  int    `json:"refused"`
	Tried    int    `json:"tried"` // includes Refused
}

// Share returns the share of refused messages.
func (o *Origin) Share() float64 { return float64(o.Refused) / float64(o.Tried) }

// IsRefused reports whether the origin's mail is refused, and not only some of it.
func (o *Origin) IsRefused() bool { return o.Share() >= originRefused }

// Label names the host and the instance, as far as the origins differ in them.
func (o *Origin) Label(all []Origin) string {
	var names []string
	if slices.ContainsFunc(all, func(x Origin) bool { return x.Host != o.Host }) {
		names = append(names, o.Host)
	}
	if slices.ContainsFunc(all, func(x Origin) bool { return x.Instance != o.Instance }) {
		names = append(names, o.Instance)
	}
	return strings.TrimSpace(strings.Join(names, " "))
}

const (
	originMessages = 4000 // messages of an incident whose origins are looked up, at most; 20 µs each
	originTried    = 3    // messages of an origin that count, at least
	originRefused  = 0.5  // share of refused messages of an origin that is refused, at least
	originTaken    = 0.1  // the same of one whose mail is taken, at most
)

// partial reports whether an origin's mail is refused, and another's is taken.
func (o *Origin) partial(other *Origin) bool {
	return o.Tried >= originTried && other.Tried >= originTried && o.IsRefused() && other.Share() <= originTaken
}

// findOrigins counts the mail of a partial incident by origin, if one is refused while another's mail is
// taken. Otherwise the incident is not about one of several sending addresses, as far as the log tells.
func (x *refusalSearch) findOrigins(ctx context.Context, in *incident, histories []store.History) error {
	if in.level == Watch || in.onset == nil || in.onset.Refused < originTried || in.onset.Tried-in.onset.Refused < originTried || in.onset.Tried > originMessages {
		return nil
	}
	type message struct {
		ref     store.Ref // of its first refusal, or of a delivery
		refused bool
	}
	messages := map[uint64]message{}
	for _, r := range in.compared(in.all) {
		if _, seen := messages[r.message]; !seen {
			messages[r.message] = message{r.ref(), true}
		}
	}
	for _, d := range in.deliveries(histories) {
		at := momentOf(d.Time)
		if _, seen := messages[d.Message]; !seen && at >= in.began && at <= in.until {
			messages[d.Message] = message{d.Ref(), false}
		}
	}
	refs, refused := make([]store.Ref, 0, len(messages)), map[store.Ref]bool{}
	for _, m := range messages {
		refs = append(refs, m.ref)
		refused[m.ref] = m.refused
	}
	found, err := x.s.Lookup(ctx, refs...)
	if err != nil {
		return err
	}
	type origin struct{ host, instance string }
	origins, named := map[origin]*Origin{}, map[*Origin]map[string]int{}
	for i, a := range found {
		if a == nil {
			continue
		}
		k := origin{a.Host, a.Instance}
		o := origins[k]
		if o == nil {
			o = &Origin{Host: a.Host, Instance: a.Instance}
			origins[k], named[o] = o, map[string]int{}
		}
		o.Tried++
		if !refused[refs[i]] {
			continue
		}
		o.Refused++
		template, args := bounce.Split(a.Response)
		for _, ip := range bounce.NamedAddresses(bounce.Template{Text: template, Args: args}, a.RelayIP) {
			named[o][ip.String()]++
		}
	}
	list := make([]Origin, 0, len(origins))
	for _, o := range origins {
		for ip, n := range named[o] {
			if best := named[o][o.Address]; n > best || n == best && ip < o.Address {
				o.Address = ip
			}
		}
		list = append(list, *o)
	}
	slices.SortFunc(list, func(a, b Origin) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(b.Tried, a.Tried), strings.Compare(a.Host, b.Host), strings.Compare(a.Instance, b.Instance))
	})
	for i := range list {
		if slices.ContainsFunc(list, func(o Origin) bool { return list[i].partial(&o) }) {
			in.origins = list
		}
	}
	return nil
}
