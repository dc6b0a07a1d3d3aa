package problem

import (
	"context"
	"maps"
	"slices"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
)

// The relay host, or this server itself, may refuse the mail of one sender domain, and take that of the others:
// a domain that is not verified there, or one customer's limit. It is an outage of that domain.

// withoutUnowned finds the runs of failures at a host (""; at this server itself) in which it takes next to
// nothing of a sender domain of which it took mail before, while it takes that of others. It keeps them, and
// returns the other failures.
func (w *outageSearch) withoutUnowned(ctx context.Context, host string, list []failure) (rest []failure, err error) {
	domains := map[string][]failure{}
	for i := range list {
		if x := &list[i]; !x.NullSender && x.SenderDomain != "" && (x.evidence == stated || x.Reason == bounce.SenderRejected || suspends(x.Template)) {
			domain := ascii.Lower(x.SenderDomain)
			domains[domain] = append(domains[domain], *x)
		}
	}
	taken := map[[2]uint64]bool{} // failures of the runs, by message and recipient
	f := w.f
	f.Relay = host
	if host == "" {
		f.Relay = w.f.Relay
	}
	for _, domain := range slices.Sorted(maps.Keys(domains)) {
		if !w.manyUnowned(domains[domain]) { // asks nothing of the store
			continue
		}
		f.SenderDomain = domain
		runs, err := w.untakenBy(ctx, f, domains[domain])
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			if !w.manyUnowned(run) {
				continue
			}
			during := w.during(run)
			during.Relay, during.SenderDomain = f.Relay, ""
			all, err := w.delivered(ctx, during, outageDomains+int64(len(run)))
			if err != nil {
				return nil, err
			}
			if all < outageDomains || float64(all) <= outageThrough*float64(len(run)) { // it takes nobody's
				continue
			}
			run = slices.Clone(withNear(domains[domain], run))
			for i := range run {
				run[i].evidence = unowned
				taken[run[i].pair()] = true
			}
			w.unowned = append(w.unowned, run)
			w.addFailures(causeAccount, run)
		}
	}
	return slices.DeleteFunc(list, func(x failure) bool { return taken[x.pair()] }), nil
}

// withNear returns a run with the stated failures of the list before and after it, as far as less than outageGap
// lies between them: some of the mail passed then.
func withNear(list, run []failure) []failure {
	first, last := run[0].at, lastOf(run)
	i := slices.IndexFunc(list, func(x failure) bool { return x.at >= first })
	j := i
	for j < len(list) && list[j].at <= last {
		j++
	}
	if slices.ContainsFunc(list[i:j], func(x failure) bool { return x.evidence != stated }) {
		return run
	}
	for ; i > 0 && list[i-1].evidence == stated && list[i].at.sub(list[i-1].at) < outageGap; i-- {
	}
	for ; j < len(list) && list[j].evidence == stated && list[j].at.sub(list[j-1].at) < outageGap; j++ {
	}
	return list[i:j]
}

// manyUnowned reports whether the failures of a sender domain may be an outage.
func (w *outageSearch) manyUnowned(run []failure) bool {
	return len(run) > 0 && unrelated(run) && (messagesOf(run) >= outageMany || len(newOutage(causeAccount, run).valid) >= w.o.Recipients)
}

// findUnowned finds the sender domains whose mail is refused according to failures that name the account.
func (w *outageSearch) findUnowned(ctx context.Context) error {
	hosts := map[string][]failure{}
	var rest []failure
	for _, x := range w.causes[causeAccount] {
		if x.evidence == stated {
			host := ascii.Lower(x.RelayHost)
			hosts[host] = append(hosts[host], x)
		} else {
			rest = append(rest, x)
		}
	}
	w.causes[causeAccount] = rest
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		others, err := w.withoutUnowned(ctx, host, hosts[host])
		if err != nil {
			return err
		}
		w.addFailures(causeAccount, others)
	}
	return nil
}

// pair identifies the message and the recipient of a failure.
func (x *failure) pair() [2]uint64 { return [...]uint64{x.message, x.recipient} }
