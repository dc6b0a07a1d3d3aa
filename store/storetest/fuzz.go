package storetest

import (
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/memory"
)

// Fuzz stores the same traffic in memory and in another engine, runs the same queries on both, and
// compares the answers. Each byte of how determines a part of the traffic or of the filter. seeds
// is the number of traffics in a plain test; open is as in Run.
func Fuzz(f *testing.F, seeds byte, open func(t *testing.T) store.Store) {
	for i := range seeds {
		f.Add(uint64(i), []byte{i, i * 7, i * 13, i, i * 31, i * 5, i * 3, i * 11, i * 17})
	}
	f.Fuzz(func(t *testing.T, seed uint64, how []byte) {
		next := func(n int) int {
			if len(how) == 0 {
				return 0
			}
			b := how[0]
			how = how[1:]
			return int(b) % n
		}
		tr := NewTraffic(seed % 1000)
		tr.Hosts, tr.PerSecond = 1+next(3), []float64{5, 0.5, 0.02, 0.001}[next(4)]
		want, got := store.Store(memory.Open()), open(t)
		var all []store.Attempt
		for range 1 + next(3) {
			b := tr.Batch(50 + 50*next(4))
			for _, s := range []store.Store{want, got} {
				Append(t, s, b)
			}
			all = append(all, b.Attempts...)
		}
		one := &all[(next(256)*256+next(256))%len(all)]
		filter := store.Filter{}
		for range 1 + next(3) {
			switch next(11) {
			case 0:
				filter.Since = one.Time.Add(-time.Duration(next(256)) * time.Minute)
			case 1:
				filter.Until = one.Time.Add(time.Duration(next(256)) * time.Minute)
			case 2:
				filter.Domain = one.RecipientDomain
			case 3:
				filter.SenderDomain = one.SenderDomain
			case 4:
				filter.Relay = one.RelayHost
			case 5:
				filter.Host = one.Host
			case 6:
				filter.Outcomes = append(filter.Outcomes, bounce.Outcome(1+next(5)))
			case 7:
				filter.Reasons = append(filter.Reasons, store.Suspect[next(len(store.Suspect))], bounce.UserUnknown, bounce.Greylisted)
			case 8:
				filter.Recipients = append(filter.Recipients, one.Recipient)
			case 9:
				filter.QueueID = one.QueueID
			case 10:
				filter.Senders = append(filter.Senders, one.Sender)
			}
		}
		w, err := want.Read(t.Context())
		must(t, err)
		defer w.Close()
		g, err := got.Read(t.Context())
		must(t, err)
		defer g.Close()
		Same(t, w, g, filter)
	})
}
