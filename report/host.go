package report

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"bouncelog/internal/when"
	"bouncelog/store"
)

// agentOf returns the agent that owns a source; "" in a database of one host.
func agentOf(source string) string {
	agent, _, found := strings.Cut(source, "/")
	if !found {
		return ""
	}
	return agent
}

// hosts returns the hosts of the sources, the one with the oldest newest line first. It returns
// none for a database of one host.
func hosts(ctx context.Context, s store.Reader, o Options, sources []store.Source) ([]Host, error) {
	byName := make(map[string]*Host)
	for i := range sources {
		src := &sources[i]
		name := agentOf(src.ID)
		h := byName[name]
		if h == nil {
			h = &Host{Name: name}
			byName[name] = h
		}
		h.Lines += src.Lines
		h.Attempts += src.Attempts
		if !src.Last.IsZero() && (h.Newest == nil || src.Last.After(*h.Newest)) {
			h.Newest = optional(src.Last)
		}
	}
	delete(byName, "") // logs without an agent
	if len(byName) < 2 {
		return nil, nil
	}
	list := make([]Host, 0, len(byName))
	for _, h := range byName {
		if err := h.watch(ctx, s, o); err != nil {
			return nil, err
		}
		list = append(list, *h)
	}
	slices.SortFunc(list, func(a, b Host) int {
		return cmp.Or(given(a.Newest).Compare(given(b.Newest)), strings.Compare(a.Name, b.Name))
	})
	return list, nil
}

// watch sets the age of the newest line, and whether it is unusual: see Report.silence.
func (h *Host) watch(ctx context.Context, s store.Reader, o Options) error {
	if o.Now.IsZero() || !o.Live || h.Newest == nil {
		return nil
	}
	h.Age = max(o.Now.Sub(*h.Newest), 0).Truncate(time.Second).Seconds()
	end := o.Now
	if u := o.Filter.Until; !u.IsZero() && u.Before(end) {
		end = u
	}
	quiet := end.Sub(*h.Newest)
	if quiet < time.Hour {
		return nil
	}
	hours, err := overTime(ctx, s, store.Filter{Host: h.Name, Since: h.Newest.Add(-28 * 24 * time.Hour)}, store.ByHour)
	if err != nil {
		return err
	}
	h.Expected = usualAttempts(hours, *h.Newest, end)
	h.Silent = quiet >= silentFor || h.Expected >= gapExpected
	return nil
}

// Quiet returns the time since the newest line of the host, in words.
func (h *Host) Quiet() string { return when.Span(time.Duration(h.Age) * time.Second) }

// silentHosts returns the silent hosts if others are not silent.
func silentHosts(list []Host) (silent []Host) {
	for _, h := range list {
		if h.Silent {
			silent = append(silent, h)
		}
	}
	if len(silent) == len(list) {
		return nil // Verdict.Silence covers this
	}
	return silent
}
