package problem

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// A next hop of this side (a content filter, a gateway, a mail store) refuses some messages for what they
// are, and this server itself returns those that it cannot send (lines too long, SMTPUTF8 not offered).
// Every server has a few of them. Many more than usual are an outage.

const (
	risenTimes     = 4             // times as many messages in a window as on any earlier day of the past, at least; higher: fewer outages
	risenSplit     = 3             // maximum number of divisions of a run to find further outages
	unsentLeast    = 0.25          // of the mail of its sender or sender domain that this server returns, at least; higher: fewer outages
	largeTimes     = 20            // times the usual share of messages that exceed a limit, in an outage of them, to find where it begins and ends; lower: a part of it
	largeSenders   = outageDomains // of messages that exceed a limit, at least, if they are a smaller share of the mail than thresholds ask for
	returnedPasses = 3             // times as many messages that pass as are improbable while a part is returned, before it has ended: other mail is sent at night
)

// A returner is what returns the messages of some failures.
type returner struct {
	host, address string // the next hop, in lower case; both "": this server itself
	domain        string // that of the senders of messages that are refused for it, or that this server itself cannot send; "": of all
	sender        string // the address of most of them; "": there are several
	detail        string // of the verdict
	kind          messageKind
}

// A messageKind is a kind of messages that are returned.
type messageKind uint8

const (
	infected messageKind = iota + 1 // spam and viruses, which come in waves
	large                           // larger than a limit
)

// compare orders returners.
func (x returner) compare(o returner) int {
	return cmp.Or(strings.Compare(x.host, o.host), strings.Compare(x.address, o.address), strings.Compare(x.domain, o.domain), strings.Compare(x.detail, o.detail), cmp.Compare(x.kind, o.kind))
}

// returnerOf returns the returner of a failure with the evidence filtered, unsent or unowned.
func returnerOf(x *failure) returner {
	r := returner{host: ascii.Lower(x.RelayHost), detail: x.Detail}
	switch {
	case x.evidence == unsent && x.Reason == bounce.MessageTooLarge: // of whatever sender
		r.host = ""
	case x.evidence == unsent:
		r.host, r.domain = "", ascii.Lower(x.SenderDomain)
	case x.evidence == unowned:
		r.domain = ascii.Lower(x.SenderDomain)
	case r.host == "":
		r.address = x.RelayIP
	}
	switch text := strings.ToLower(x.Template); {
	case x.Reason == bounce.MessageTooLarge:
		r.kind = large
	case x.evidence == filtered && (x.Reason == bounce.ContentSpam || slices.ContainsFunc([]string{"virus", "infected", "malware"}, func(word string) bool { return strings.Contains(text, word) })):
		r.kind = infected
	}
	return r
}

// about restricts f to the mail that a returner gets.
func (x *returner) about(f store.Filter) store.Filter {
	f.Outcomes, f.Reasons = nil, nil
	if x.host != "" {
		f.Relay = x.host
	}
	if x.address != "" {
		f.RelayIP = x.address
	}
	if f.SenderDomain = cmp.Or(x.domain, f.SenderDomain); x.sender != "" {
		f.Senders = []string{x.sender}
	}
	return f
}

// taken counts the messages of a returner's mail that passed.
func (x *returner) taken(c *store.Counts) int64 {
	if x.domain != "" || x.kind == large && x.host == "" && x.address == "" {
		return c.Delivered
	}
	return c.Delivered + c.Handoff
}

// returned returns the runs of failures in which a next hop of this side, or this server itself, returns many
// more messages than usual.
func (w *outageSearch) returned(ctx context.Context, list []failure) (runs [][]failure, err error) {
	returners := map[returner][]failure{}
	for i := range list {
		r := returnerOf(&list[i])
		returners[r] = append(returners[r], list[i])
	}
	for _, r := range slices.SortedFunc(maps.Keys(returners), returner.compare) {
		for _, run := range w.byWindow(returners[r]) {
			parts, err := w.risen(ctx, &r, run, risenSplit)
			if err != nil {
				return nil, err
			}
			runs = append(runs, parts...)
		}
	}
	return runs, nil
}

// risen returns the parts of a run of a returner that are outages: the one that stands out most, and others
// before and after it.
func (w *outageSearch) risen(ctx context.Context, r *returner, run []failure, depth int) (runs [][]failure, err error) {
	if depth == 0 || messagesOf(run) < outageMany {
		return nil, nil
	}
	if run[0].evidence == filtered && len(newOutage(causeFilter, run).valid) >= w.o.Recipients {
		most, err := w.filtersMost(ctx, run)
		if err == nil && most && r.kind == infected {
			most, err = w.ofKnownSenders(ctx, run)
		}
		if err != nil || most {
			return [][]failure{run}, err
		}
	}
	if r.kind == infected {
		return nil, nil
	}
	if r.domain != "" {
		if r.sender, err = w.senderOf(ctx, r, run); err != nil {
			return nil, err
		}
	}
	f := r.about(w.during(run))
	f.Since, f.Until = run[0].at.hour(), lastOf(run).hour().Add(time.Hour) // whole hours are counted already
	cells, err := w.s.Count(ctx, f, store.ByHour)
	if err != nil {
		return nil, err
	}
	taken := map[string]int64{}
	for i := range cells {
		taken[cells[i].Keys[0]] = r.taken(&cells[i].Counts)
	}
	now, usual := faultRate, usualRateMost
	if r.kind == large { // they are few, and evenly so
		all := float64(messagesOf(run))
		for _, n := range taken {
			all += float64(n)
		}
		now = min(now, float64(messagesOf(run))/all)
		usual = now / largeTimes
	}
	i, j := steepestHours(run, taken, now, usual)
	if many, err := w.returnsMany(ctx, r, run[i:j], taken); err != nil || !many {
		return nil, err
	}
	before, err := w.risen(ctx, r, run[:i], depth-1)
	if err != nil {
		return nil, err
	}
	after, err := w.risen(ctx, r, run[j:], depth-1)
	return slices.Concat(before, [][]failure{slices.Clip(run[i:j])}, after), err
}

// ofKnownSenders reports whether mail of the sender domains of at least half of the messages of a run passed
// before it. A wave of spam is of others. If nothing is known of the time before, it may be any mail.
func (w *outageSearch) ofKnownSenders(ctx context.Context, run []failure) (bool, error) {
	f := w.during(run)
	f.Since, f.Until = run[0].at.add(-w.o.Past).time(), run[0].at.time()
	f.Outcomes = []bounce.Outcome{bounce.Delivered, bounce.Handoff}
	cells, err := w.s.Count(ctx, f, store.BySenderDomain)
	if err != nil || len(cells) == 0 {
		return true, err
	}
	known := map[string]bool{}
	for i := range cells {
		known[cells[i].Keys[0]] = true
	}
	of := slices.DeleteFunc(slices.Clone(run), func(x failure) bool { return !known[x.SenderDomain] })
	return 2*messagesOf(of) >= messagesOf(run), nil
}

// returnedDays counts the messages that a returner returned, by day (UTC).
type returnedDays map[string]int64

// before returns those of the days before a time, and the most of them on one day.
func (d returnedDays) before(until time.Time) (all, most int64) {
	for day, returned := range d {
		if day < until.UTC().Format(time.DateOnly) {
			all, most = all+returned, max(most, returned)
		}
	}
	return all, most
}

// returnedByDay counts the messages that a returner returned in a run and in the past before it.
func (w *outageSearch) returnedByDay(ctx context.Context, r *returner, run []failure) (returnedDays, error) {
	f := r.about(w.during(run))
	f.Since, f.Outcomes = f.Since.Add(-w.o.Past).Truncate(24*time.Hour), []bounce.Outcome{bounce.Hard, bounce.Soft}
	for i := range run {
		if !slices.Contains(f.Reasons, run[i].Reason) {
			f.Reasons = append(f.Reasons, run[i].Reason)
		}
	}
	slices.Sort(f.Reasons)
	cells, err := w.s.Count(ctx, f, store.ByDay, store.ByDetail)
	days := returnedDays{}
	for i := range cells {
		if cells[i].Keys[1] == r.detail {
			days[cells[i].Keys[0]] += cells[i].Messages
		}
	}
	return days, err
}

// mostMessages returns the largest number of messages of a run that begin to fail in a window.
func mostMessages(run []failure, window time.Duration) (most int) {
	var first []moment // failures of the messages
	seen := map[uint64]bool{}
	for i := range run {
		if !seen[run[i].message] {
			seen[run[i].message] = true
			first = append(first, run[i].at)
		}
	}
	start := 0
	for i, at := range first {
		for at.sub(first[start]) >= window {
			start++
		}
		most = max(most, i-start+1)
	}
	return most
}

// hoursOf returns the hours from the first failure of a run to the last.
func hoursOf(run []failure) (hours []time.Time) {
	for hour := run[0].at.hour(); !hour.After(lastOf(run).time()); hour = hour.Add(time.Hour) {
		hours = append(hours, hour)
	}
	return hours
}

// takenIn returns the messages that were taken in the hours of a run.
func takenIn(run []failure, taken map[string]int64) (n int64) {
	for _, hour := range hoursOf(run) {
		n += taken[hourKey(hour)]
	}
	return n
}

// steepestHours returns the run[i:j] that begins with the whole hours in which the messages that begin to fail
// stand out most from those that were taken, by hour (see steepest), and ends with their last failure. now is the
// assumed share of failing messages in it, usual that outside it, at most.
func steepestHours(run []failure, taken map[string]int64, now, usual float64) (i, j int) {
	all := int64(0)
	for _, n := range taken {
		all += n
	}
	n := messagesOf(run)
	usual = min(float64(n)/float64(int64(n)+all+1), usual)
	up, down := math.Log(now/usual), math.Log((1-now)/(1-usual))
	seen := map[uint64]bool{}
	var h heaviest
	var next time.Time // the hour after that of the last failures
	for k := 0; k < len(run); {
		hour := run[k].at.hour()
		for ; k > 0 && next.Before(hour); next = next.Add(time.Hour) {
			h.sum += down * float64(taken[hourKey(next)])
		}
		weight := down * float64(taken[hourKey(hour)])
		end := k
		for ; end < len(run) && run[end].at.hour().Equal(hour); end++ {
			if !seen[run[end].message] {
				seen[run[end].message] = true
				weight += up
			}
		}
		h.add(k, end, weight)
		k, next = end, hour.Add(time.Hour)
	}
	i, j = h.from, h.to
	clear(seen)
	for k := i; k < j; k++ {
		seen[run[k].message] = true
	}
	for k := j; k < len(run); k++ {
		if seen[run[k].message] {
			j = k + 1
		}
	}
	return i, j
}

// returnsMany reports whether a returner returns much of its mail in a part of a run, and much more than
// before.
func (w *outageSearch) returnsMany(ctx context.Context, r *returner, part []failure, taken map[string]int64) (bool, error) {
	n := messagesOf(part)
	if n < outageMany {
		return false, nil
	}
	days, err := w.returnedByDay(ctx, r, part)
	if err != nil {
		return false, err
	}
	before, most := days.before(part[0].at.time())
	if float64(mostMessages(part, w.o.Window)) < risenTimes*float64(most) {
		return false, nil
	}
	f := r.about(w.during(part))
	f.Since, f.Until = part[0].at.add(-w.o.Past).hour(), part[0].at.hour()
	c, err := w.total(ctx, f)
	if err != nil {
		return false, err
	}
	passed, all := r.taken(&c), n+int(takenIn(part, taken))
	switch {
	case before+passed < outageMany: // the log begins with the run: then almost nothing may pass
		return float64(n) >= outageOneSource*float64(all), nil
	case tail(n, all, (float64(before)+priorMessages)/float64(before+passed+1)) >= w.o.Chance:
		return false, nil
	}
	least := w.o.Share
	if r.domain != "" {
		least = unsentLeast
	}
	if float64(n) < least*float64(all) && r.kind == large { // few messages are large
		return w.ofSeveral(ctx, r, part)
	}
	return float64(n) >= least*float64(all), nil
}

// ofSeveral reports whether the messages of a run are those of several senders, rather than the same one sent
// again and again or to many recipients.
func (w *outageSearch) ofSeveral(ctx context.Context, r *returner, run []failure) (bool, error) {
	senders, all, err := w.sendersOf(ctx, r, run)
	_, n := most(senders)
	return len(senders) >= largeSenders && 2*n <= all, err
}

// senderOf returns the one sender of most messages of a run that this server cannot send, or "".
func (w *outageSearch) senderOf(ctx context.Context, r *returner, run []failure) (string, error) {
	senders, all, err := w.sendersOf(ctx, &returner{domain: r.domain, detail: r.detail}, run)
	if name, n := most(senders); float64(n) >= mostlyShare*float64(all) {
		return name, err
	}
	return "", err
}

// sendersOf counts the messages of a run by their senders.
func (w *outageSearch) sendersOf(ctx context.Context, r *returner, run []failure) (senders map[string]int, all int, err error) {
	f := r.about(w.during(run))
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Hard}, []bounce.Reason{run[0].Reason}
	cells, err := w.s.Count(ctx, f, store.BySender, store.ByDetail)
	senders = map[string]int{}
	for i := range cells {
		if c := &cells[i]; c.Keys[1] == r.detail {
			senders[c.Keys[0]] += int(c.Messages)
			all += int(c.Messages)
		}
	}
	return senders, all, err
}

// returns reports whether the evidence of an outage is that messages are returned for what they are.
func (x *outage) returns() bool { return (x.kinds[filtered] || x.kinds[unsent]) && !x.kinds[stated] }

// findSenders finds the one sender, or the domain of the senders, of an outage in which this server cannot
// send messages.
func (w *outageSearch) findSenders(ctx context.Context, x *outage) (err error) {
	one := returnerOf(&x.run[0])
	if one.domain == "" || slices.ContainsFunc(x.run, func(y failure) bool { return returnerOf(&y).domain != one.domain }) {
		return nil
	}
	one.sender, err = w.senderOf(ctx, &one, x.run)
	x.returner = &one
	return err
}

// senders names the senders of an outage in which this server cannot send messages, or "". An address is in
// angle brackets, by which report --redact finds it.
func (x *outage) senders() string {
	switch {
	case x.returner == nil:
		return ""
	case x.returner.sender != "":
		return " of <" + x.returner.sender + ">"
	}
	return " of " + x.returner.domain
}
