//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// counts are those of one recipient domain: attempts by outcome, hand-offs and
// probes aside, and recipients of a message by their end. Hard counts the
// expired as well.
type counts struct{ delivered, soft, hard, recovered, pending, expired int }

// countLogs prints the counts of logs that are read one after the other.
func countLogs(names []string) error {
	var lines []string
	for _, name := range names {
		err := readLines(name, func(l string) error {
			lines = append(lines, l)
			return nil
		})
		if err != nil {
			return err
		}
	}
	byDomain := count(read(lines))
	fmt.Fprintln(os.Stdout, strings.Join([]string{"domain", "attempts", "delivered", "soft", "hard", "recovered", "pending", "expired"}, "\t"))
	for _, d := range slices.Sorted(maps.Keys(byDomain)) {
		c := byDomain[d]
		fmt.Fprintf(os.Stdout, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", d, c.delivered+c.soft+c.hard, c.delivered, c.soft, c.hard, c.recovered, c.pending, c.expired)
	}
	return nil
}

func count(r reading) map[string]*counts {
	byDomain := map[string]*counts{}
	of := func(domain string) *counts {
		if byDomain[domain] == nil {
			byDomain[domain] = new(counts)
		}
		return byDomain[domain]
	}
	queued := map[string]map[string]string{} // queue id, recipient: domain of those last seen deferred
	for _, e := range r.events {
		switch e.what {
		case "expired":
			for _, d := range queued[e.qid] {
				of(d).hard++
				of(d).expired++
			}
			delete(queued, e.qid)
		case "removed":
			delete(queued, e.qid)
		case "delivered", "soft", "hard":
			if e.discarded {
				continue
			}
			d, to := of(e.domain()), fold(e.rcpt+" "+e.orig)
			_, deferred := queued[e.qid][to]
			switch e.what {
			case "delivered":
				d.delivered++
				if deferred {
					d.recovered++
				}
			case "soft":
				d.soft++
				if queued[e.qid] == nil {
					queued[e.qid] = map[string]string{}
				}
				queued[e.qid][to] = e.domain()
				continue
			case "hard":
				d.hard++
				if e.gaveUp {
					d.expired++
				}
			}
			delete(queued[e.qid], to)
		}
	}
	for _, rcpts := range queued {
		for _, d := range rcpts {
			of(d).pending++
		}
	}
	return byDomain
}
