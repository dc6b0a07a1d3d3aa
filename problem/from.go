package problem

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/store"
)

// DMARC (RFC 7489) is about the domain in the From: header, which no log has: a log has the sender's.
// They differ in mail that a list or a forwarder sends on with the From: of its author. Receivers refuse
// it by the policy of the author's domain, whatever the records of the sender domain are. Most replies
// name the domain that does not pass.

// fromShare is the minimum share of the replies with such a domain that name another than the sender
// domain; lower: the sender domain is named less often.
const fromShare = 0.75

// readFroms reads the From: domains of refused mail in some replies of an incident's first day, which
// gives it its name, the most often named first.
func (in *incident) readFroms(ctx context.Context, s store.Reader, firstDay moment) error {
	if !in.named() || in.forwarded || in.keys[0].reason != bounce.AuthFailure {
		return nil
	}
	list := slices.DeleteFunc(slices.Clone(between(in.all, in.began, firstDay)), func(r *refusal) bool {
		return r.Reason != bounce.AuthFailure || r.Detail != "dmarc" && r.Detail != "alignment"
	})
	refs := make([]store.Ref, 0, failureTexts)
	for _, i := range some(len(list)) {
		refs = append(refs, list[i].ref())
	}
	texts, err := s.Lookup(ctx, refs...)
	if err != nil {
		return err
	}
	n, own, others := map[string]int{}, 0, 0
	for _, a := range texts {
		if a == nil {
			continue
		}
		switch name, isOwn := fromOf(a); {
		case isOwn:
			own++
		case name != "":
			others++
			n[name]++
		}
	}
	if others > 0 && float64(others) >= fromShare*float64(own+others) {
		in.froms = slices.SortedFunc(maps.Keys(n), func(a, b string) int { return cmp.Or(cmp.Compare(n[b], n[a]), strings.Compare(a, b)) })
	}
	return nil
}

// fromOf returns the one domain of others that a reply about DMARC names, or "". own: it names the
// sender domain or this server, or a domain of the same owner. A remote server chose the name, so it is
// only shown.
func fromOf(a *store.Attempt) (name string, own bool) {
	template, args := bounce.Split(a.Response)
	ours := []string{provider.OfHost(a.SenderDomain), provider.OfHost(a.Host)}
	theirs := []string{provider.OfHost(a.RelayHost), provider.OfHost(a.RecipientDomain)}
	for _, d := range bounce.NamedDomains(bounce.Template{Text: template, Args: args}) {
		switch of := provider.OfHost(d); {
		case slices.Contains(ours, of):
			return "", true
		case slices.Contains(theirs, of) || !plain(d):
		case name != "" && name != d:
			return "", false
		default:
			name = d
		}
	}
	return name, false
}

// withFrom names mail with the From: of others and its sender domains.
func (in *incident) withFrom(senders string) string {
	return "mail with a From: of " + nameSome(in.froms, "", "others") + ", sent on by " + senders
}

// namesFrom reports whether a reply names one of the From: domains.
func (in *incident) namesFrom(reply string) bool {
	reply = strings.ToLower(reply)
	return slices.ContainsFunc(in.froms, func(d string) bool { return strings.Contains(reply, d) })
}
