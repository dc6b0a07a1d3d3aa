package problem

import (
	"context"
	"math"
	"slices"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/store"
)

// Connections that break off while the message is sent, after DATA, are a fault of one receiver mostly. At
// many receivers at once they are one of the network of this side, which lets no large packets pass (MTU, a
// firewall). Small messages pass meanwhile.

// brokenOff returns the runs of failures in which connections to many receivers break off while the message is
// sent, many more than usual.
func (w *outageSearch) brokenOff(ctx context.Context, list []failure) (runs [][]failure, err error) {
	list = slices.DeleteFunc(list, func(x failure) bool { return x.passed() })
	for _, run := range w.byWindow(list) {
		if !w.atMany(run) {
			continue
		}
		n := messagesOf(run)
		most := float64(n)/outageKnown - float64(n) // messages that may have arrived
		if float64(w.reached.least(run)) > most {
			continue
		}
		taken, err := w.takenByHour(ctx, run)
		if err != nil {
			return nil, err
		}
		i, j := steepestHours(run, taken, faultRate, usualRateMost)
		// An even share of the mail of a day has no steepest part: all that was tried without a pause counts.
		from, to := i, max(j, i+1)
		for from > 0 && run[from].at.sub(run[from-1].at) < waitingTried {
			from--
		}
		for to < len(run) && run[to].at.sub(run[to-1].at) < waitingTried {
			to++
		}
		for _, part := range [][]failure{slices.Clip(run[i:j]), slices.Clip(run[from:to])} {
			if !w.atMany(part) || w.usualBefore(list, part) {
				continue
			}
			if n := float64(messagesOf(part)); n >= outageKnown*(n+float64(takenIn(part, taken))) {
				runs = append(runs, part)
				break
			}
		}
	}
	return runs, nil
}

// atMany reports whether the failures of a run are of many messages, at many receivers.
func (w *outageSearch) atMany(run []failure) bool {
	at := map[string]bool{}
	for i := range run {
		at[provider.OfHost(run[i].RelayHost)] = true
	}
	return len(at) >= outageDomains && messagesOf(run) >= outageMany && unrelated(run)
}

// usualBefore reports whether a window before a part of a list had nearly as many failing messages.
func (w *outageSearch) usualBefore(list, part []failure) bool {
	n, _ := slices.BinarySearchFunc(list, part[0], byRef)
	return mostMessages(part, w.o.Window) < risenTimes*mostMessages(list[:n], w.o.Window)
}

// takenByHour counts the mail that servers of others took in the hours of a run.
func (w *outageSearch) takenByHour(ctx context.Context, run []failure) (map[string]int64, error) {
	f := w.during(run)
	f.Outcomes = []bounce.Outcome{bounce.Delivered}
	hours := hoursOf(run)
	f.Since, f.Until = hours[0], hours[len(hours)-1].Add(time.Hour) // whole hours are counted already
	cells, err := w.s.Count(ctx, f, store.ByHour, store.ByRelay)
	if err != nil {
		return nil, err
	}
	others, err := w.mostTakenByOthers(ctx, f, cells, 1, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	taken := map[string]int64{}
	for i := range cells {
		if others[cells[i].Keys[1]] {
			taken[cells[i].Keys[0]] += cells[i].Delivered
		}
	}
	return taken, nil
}
