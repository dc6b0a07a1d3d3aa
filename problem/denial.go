package problem

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/store"
)

// If an operator of mailboxes loses its user table or a part of it, it calls recipients unknown at all its
// domains. A sender that writes to each recipient once knows none of them to be valid. The operator's usual
// mail is then the evidence: it took nearly all of it, and other operators take theirs meanwhile.

// The thresholds of a denial. A higher value means fewer denials, unless stated otherwise.
const (
	denialLeast  = 10     // recipients called unknown
	denialShare  = 0.25   // of the messages of the same time
	denialUsual  = 0.1    // most of the other messages: an operator with more is not known well enough; higher: more denials
	denialSent   = 50     // other messages, at least
	denialChance = 1e-6   // most: probability of so many at the usual share
	denialAlone  = 1e-2   // the same, of so many unknown recipients at one operator among those of all, times the operators and hours to pick from
	denialTimes  = 3      // the same: the odds of being one operator's are as many times the usual ones
	denialOthers = 20     // messages to other operators that tell whether the list of recipients is at fault, unless nothing is taken
	denialWhole  = 0.05   // most: share of messages that is taken by an operator that refuses all
	denialFloor  = 0.01   // minimum of a usual share: a few messages tell no smaller one
	denialRate   = 0.5    // assumed share of refused messages in a denial, to find where it begins and ends; lower: longer
	denialPast   = 7 * 24 // hours before the first candidate for which mail is counted
	denialAfter  = 48     // the same after the last
	denialRounds = 3      // to find the hours of a candidate
	denialsMost  = 4      // denials of one operator
	denialRead   = 10_000 // most deliveries read to find the bounds of a denial; of more, they are whole hours
)

// denialReasons are the reasons of refusals that a lost user table causes.
var denialReasons = bounce.Reasons(func(r bounce.Reason) bool { return lapseCauses[r] == causeTable })

// A Denial is a time in which an operator calls many more recipients unknown than usual, and others do not.
type Denial struct {
	Operator     string // see operatorOf
	Since, Until time.Time
	Providers    []string // of the operator, that call recipients unknown
	Relays       []string // of these
	Refused      int64    // recipients called unknown
	Taken        int64    // messages taken by these relays
	Elsewhere    int64    // messages taken by other relays of the operator, in the whole hours between
	// UsualRefused and UsualTaken are the same for all times without a denial of the mail that was counted,
	// since Counted.
	UsualRefused, UsualTaken int64
	Counted                  time.Time

	others, usually tally  // of the other operators, in these hours and in the others
	seconds         hourly // the operator's mail in these hours and in the ones beside them, by second; nil: not read
}

// Whole reports whether the operator takes next to no mail.
func (d *Denial) Whole() bool { return d.nearlyAll(d.Taken + d.Elsewhere) }

// someHosts reports whether the operator takes next to no mail for the domains of some of its hosts, and
// takes that of others.
func (d *Denial) someHosts() bool { return d.nearlyAll(d.Taken) && !d.Whole() }

func (d *Denial) nearlyAll(taken int64) bool {
	return float64(taken) <= denialWhole*float64(taken+d.Refused)
}

// operatorOf names who runs a provider, several of which may have one operator; else the provider.
func operatorOf(name string) string { return cmp.Or(provider.Operator(name), name) }

// Unknowns count the recipients called unknown by operator and hour.
type Unknowns map[string]map[int64]int

// Add counts a recipient whom a relay of a provider called unknown. Those of all small providers, and of
// filters, count together, under "".
func (u Unknowns) Add(relays string, at time.Time) {
	name := ""
	if provider.Page(relays) != "" && !provider.IsFilter(relays) {
		name = operatorOf(relays)
	}
	if u[name] == nil {
		u[name] = map[int64]int{}
	}
	u[name][hourOf(at)]++
}

// A tally counts the messages of an hour that are refused, and others.
type tally struct{ refused, others int64 }

// hourly are tallies by hour.
type hourly map[int64]tally

func (h hourly) sum(from, to int64) (all tally) {
	for hour, t := range h {
		if hour >= from && hour <= to {
			all.refused += t.refused
			all.others += t.others
		}
	}
	return all
}

// densest returns the hours in which refusals stand out most: the greatest sum of log-likelihood ratios of
// the share now against the usual one.
func (h hourly) densest(usual, now float64) (from, to int64, found bool) {
	up, down := math.Log(now/usual), math.Log((1-now)/(1-usual))
	hours := slices.Sorted(maps.Keys(h))
	var most heaviest
	for k, hour := range hours {
		most.add(k, k+1, up*float64(h[hour].refused)+down*float64(h[hour].others))
	}
	if most.to == 0 {
		return 0, 0, false
	}
	return hours[most.from], hours[most.to-1], true
}

// candidates returns the hours in which the recipients called unknown by an operator stand out from those of
// all operators. It asks the store nothing.
func (u Unknowns) candidates() map[string][2]int64 {
	list, every := map[string][2]int64{}, hourly{}
	for _, hours := range u {
		for hour, n := range hours {
			every[hour] = tally{others: every[hour].others + int64(n)}
		}
	}
	for name, hours := range u {
		h := maps.Clone(every)
		for hour, n := range hours {
			h[hour] = tally{int64(n), every[hour].others - int64(n)}
		}
		all := h.sum(math.MinInt64, math.MaxInt64)
		if all.refused < denialLeast || name == "" {
			continue
		}
		usual := float64(all.refused) / float64(all.refused+all.others+1)
		for range denialRounds { // the usual share is that of the other hours
			from, to, found := h.densest(usual, denialTimes*usual/(1+(denialTimes-1)*usual))
			if !found {
				break
			}
			now := h.sum(from, to)
			usual = (float64(all.refused-now.refused) + 1) / (float64(all.refused+all.others-now.refused-now.others) + 2)
			tries := float64(len(u)) * float64(len(h)) / float64(to-from+1)
			more := float64(now.refused)*(1-usual) >= denialTimes*usual*float64(now.others)
			if more && now.refused >= denialLeast && hourTime(to).Sub(hourTime(from)) < tableLasts && tries*tail(int(now.refused), int(now.refused+now.others), usual) < denialAlone {
				list[name] = [...]int64{from, to}
				break
			}
		}
	}
	return list
}

// Denials finds the denials among the recipients called unknown. f selects the mail by host and MTA and,
// after the end of the period, by time. It counts the mail of all operators by hour, if that of one stands
// out.
func (u Unknowns) Denials(ctx context.Context, s store.Reader, f store.Filter) ([]Denial, error) {
	candidates := u.candidates()
	if len(candidates) == 0 {
		return nil, nil
	}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, hours := range candidates {
		first, last = min(first, hours[0]), max(last, hours[1])
	}
	f.Since = hourTime(first - denialPast)
	if until := hourTime(last + 1 + denialAfter); f.Until.IsZero() || until.Before(f.Until) {
		f.Until = until
	}
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Hard}, denialReasons
	refused, err := s.Count(ctx, f, store.ByHour, store.ByRelay)
	if err != nil {
		return nil, err
	}
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Delivered}, nil
	taken, err := s.Count(ctx, f, store.ByHour, store.ByRelay)
	if err != nil {
		return nil, err
	}
	mail, all := map[string]hourly{}, hourly{}
	var relays []denialRelay
	for _, c := range slices.Concat(refused, taken) {
		at, err := time.Parse(hourLayout, c.Keys[0])
		relay := ascii.Lower(c.Keys[1])
		if err != nil || relay == "" || judge.OwnRelay(relay) {
			continue
		}
		name, hour := operatorOf(provider.OfHost(relay)), hourOf(at)
		if mail[name] == nil {
			mail[name] = hourly{}
		}
		for _, h := range [...]hourly{mail[name], all} {
			t := h[hour]
			h[hour] = tally{t.refused + c.Hard, t.others + c.Delivered}
		}
		if _, asked := candidates[name]; asked {
			relays = append(relays, denialRelay{name, relay, hour, c.Hard > 0, c.Delivered})
		}
	}
	var found []Denial
	for _, name := range slices.Sorted(maps.Keys(candidates)) {
		list := denialsOf(mail[name], all)
		for i := range list {
			d := &list[i]
			d.Operator, d.Counted = name, f.Since
			d.addRelays(relays)
			if err := d.read(ctx, s, f); err != nil {
				return nil, err
			}
			d.narrow()
		}
		list = joinDenials(list)
		usual := mail[name].sum(math.MinInt64, math.MaxInt64)
		for _, d := range list {
			usual.refused, usual.others = usual.refused-d.Refused, usual.others-d.Taken
		}
		for _, d := range list {
			d.UsualRefused, d.UsualTaken = usual.refused, usual.others
			for _, r := range relays {
				if r.operator == name && r.hour > hourOf(d.Since) && r.hour < hourOf(d.Until) && !slices.Contains(d.Relays, r.relay) {
					d.Elsewhere += r.taken
				}
			}
			if d.stands() && d.alone() {
				found = append(found, d)
			}
		}
	}
	return found, nil
}

// joinDenials joins the denials of one operator, in the order of time, that are one: between them it takes no
// more mail than in them.
func joinDenials(list []Denial) (joined []Denial) {
	for _, d := range list {
		if len(joined) > 0 && d.seconds != nil {
			last := &joined[len(joined)-1]
			if both := last.with(&d); last.seconds != nil && !both.Since.After(last.Since) && !both.Until.Before(d.Until) {
				*last = both
				continue
			}
		}
		joined = append(joined, d)
	}
	return joined
}

// with returns the denial that stands out in the mail of d and of a later one, o.
func (d *Denial) with(o *Denial) Denial {
	both := *d
	both.Relays, both.Providers = union(d.Relays, o.Relays), union(d.Providers, o.Providers)
	both.seconds = maps.Clone(d.seconds)
	for second, t := range o.seconds {
		both.seconds[second] = tally{max(t.refused, both.seconds[second].refused), max(t.others, both.seconds[second].others)}
	}
	both.others = tally{d.others.refused + o.others.refused, d.others.others + o.others.others}
	both.usually = tally{d.usually.refused - o.others.refused, d.usually.others - o.others.others}
	both.narrow()
	return both
}

// union returns the strings of two lists, sorted.
func union(a, b []string) []string {
	list := slices.Concat(a, b)
	slices.Sort(list)
	return slices.Compact(list)
}

// addRelays sets the relays and the providers of a denial in whole hours. A relay that called recipients unknown
// in an hour beside them, and took nothing, belongs to it as well if it is of one of its providers.
func (d *Denial) addRelays(relays []denialRelay) {
	for _, beside := range [...]bool{false, true} {
		for _, r := range relays {
			if !r.refuses || r.operator != d.Operator || beside && r.taken > 0 {
				continue
			}
			within := time.Duration(0)
			if beside {
				within = time.Hour
			}
			if hour := hourTime(r.hour); hour.Before(d.Since.Add(-within)) || hour.After(d.Until.Add(within)) || slices.Contains(d.Relays, r.relay) {
				continue
			}
			p := provider.OfHost(r.relay)
			switch known := slices.Contains(d.Providers, p); {
			case beside && !known:
				continue
			case !known:
				d.Providers = append(d.Providers, p)
			}
			d.Relays = append(d.Relays, r.relay)
		}
	}
	slices.Sort(d.Relays)
	slices.Sort(d.Providers)
}

// A denialRelay is a relay that called recipients unknown, or took mail, in an hour.
type denialRelay struct {
	operator, relay string
	hour            int64
	refuses         bool
	taken           int64
}

// Filter restricts f to the recipients called unknown in a denial.
func (d *Denial) Filter(f store.Filter) store.Filter {
	f.Outcomes, f.Reasons = []bounce.Outcome{bounce.Hard}, denialReasons
	f.To, f.Since, f.Until = &store.Destination{Relays: d.Relays}, d.Since, d.Until.Add(time.Second)
	return f
}

// read reads the mail of a denial in its whole hours and in the ones beside them.
func (d *Denial) read(ctx context.Context, s store.Reader, f store.Filter) error {
	if d.Taken > denialRead {
		return nil
	}
	last := f.Until
	f = d.Filter(f)
	f.Since, f.Until = f.Since.Add(-time.Hour), f.Until.Add(time.Hour)
	if f.Until.After(last) && !last.IsZero() {
		f.Until = last
	}
	f.NoHistory = true
	seconds := hourly{}
	for r, err := range s.Refusals(ctx, f) {
		if err != nil {
			return err
		}
		t := seconds[r.Time.Unix()]
		seconds[r.Time.Unix()] = tally{t.refused + 1, t.others}
	}
	f.Outcomes, f.Reasons, f.NoHistory = []bounce.Outcome{bounce.Delivered}, nil, false
	n := 0
	for a, err := range s.Attempts(ctx, f, store.Page{Limit: 3*denialRead + 1, Times: true}) {
		if err != nil {
			return err
		}
		t := seconds[a.Time.Unix()]
		seconds[a.Time.Unix()] = tally{t.refused, t.others + 1}
		n++
	}
	if n <= 3*denialRead {
		d.seconds = seconds
	}
	return nil
}

// narrow sets the bounds of a denial to the first and the last refusal, and counts what was refused and
// taken in between.
func (d *Denial) narrow() {
	sent := d.UsualRefused + d.UsualTaken
	usual := min(max(float64(d.UsualRefused)/float64(sent+1), denialFloor), denialUsual)
	seconds := d.seconds
	from, to, found := seconds.densest(usual, denialRate)
	if found && (from > d.Until.Unix() || to < d.Since.Unix()) { // another denial, in an hour beside
		seconds = maps.Clone(seconds)
		maps.DeleteFunc(seconds, func(second int64, _ tally) bool { return second < d.Since.Unix() || second > d.Until.Unix() })
		from, to, found = seconds.densest(usual, denialRate)
	}
	if !found {
		return
	}
	now := seconds.sum(from, to)
	if a, b, found := seconds.densest(usual, 1-denialWhole); found { // a stray beside a time without a delivery is none of it
		if whole := seconds.sum(a, b); 2*whole.refused > now.refused && float64(whole.others) <= denialWhole*float64(whole.refused+whole.others) {
			from, to, now = a, b, whole
		}
	}
	d.Refused, d.Taken, d.Since, d.Until = now.refused, now.others, time.Unix(from, 0).UTC(), time.Unix(to, 0).UTC()
}

// denialsOf returns the possible denials among the mail of one operator, in whole hours. all is the mail of
// all operators.
func denialsOf(mail, all hourly) (found []Denial) {
	rest := maps.Clone(mail)
	for range denialsMost {
		whole := rest.sum(math.MinInt64, math.MaxInt64)
		if whole.refused < denialLeast {
			break
		}
		usual := min(max(float64(whole.refused)/float64(whole.refused+whole.others+1), denialFloor), denialUsual)
		from, to, ok := rest.densest(usual, denialRate)
		if !ok {
			break
		}
		now := rest.sum(from, to)
		d := Denial{Since: hourTime(from), Until: hourTime(to + 1).Add(-time.Second), Refused: now.refused, Taken: now.others, UsualRefused: whole.refused - now.refused, UsualTaken: whole.others - now.others}
		maps.DeleteFunc(rest, func(hour int64, _ tally) bool { return hour >= from && hour <= to })
		d.others = all.sum(from, to)
		d.others = tally{d.others.refused - now.refused, d.others.others - now.others}
		d.usually = all.sum(math.MinInt64, math.MaxInt64)
		d.usually = tally{d.usually.refused - whole.refused - d.others.refused, d.usually.others - whole.others - d.others.others}
		if d.stands() {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b Denial) int { return cmp.Or(a.Since.Compare(b.Since), a.Until.Compare(b.Until)) })
	return found
}

// stands reports whether an operator refuses far more than it usually does.
func (d *Denial) stands() bool {
	sent, n := d.UsualRefused+d.UsualTaken, d.Refused+d.Taken
	return d.Refused >= denialLeast && sent >= denialSent && float64(d.UsualRefused) <= denialUsual*float64(sent) && float64(d.Refused) >= denialShare*float64(n) &&
		d.Until.Sub(d.Since) < tableLasts && tail(int(d.Refused), int(n), usualShare(d.UsualRefused, sent)) < denialChance
}

// alone reports whether the other operators call no more recipients unknown than usual at the same time: else
// the list of recipients is at fault.
func (d *Denial) alone() bool {
	n := d.others.refused + d.others.others
	if n < denialOthers {
		return d.Whole()
	}
	share := usualShare(d.usually.refused, d.usually.refused+d.usually.others)
	return tail(int(d.others.refused), int(n), share) >= usualChance || d.Whole() && float64(d.others.refused) < denialShare*float64(n)
}

// usualShare is a share of messages that a few messages do not make too small.
func usualShare(refused, sent int64) float64 {
	return max(float64(refused+1)/float64(sent+1), denialFloor)
}

// denies reports whether a refusal is that of an operator that calls the recipient unknown.
func denies(r *store.Refusal) bool {
	return r.Outcome == bounce.Hard && lapseCauses[r.Reason] == causeTable && r.RelayHost != "" && !provider.Submits(r.RelayPort) && disowns(r)
}

// findDenials finds the denials among the recipients called unknown. It removes the refusals of a denial from
// those of recipients who took mail before.
func (w *outageSearch) findDenials(ctx context.Context, f store.Filter, unknown Unknowns, valid map[string][]validRefusal) error {
	denials, err := unknown.Denials(ctx, w.s, w.f)
	if err != nil {
		return err
	}
	for i := range denials {
		d := &denials[i]
		var run []failure
		refused := map[store.Ref]bool{}
		for r, err := range w.s.Refusals(ctx, d.Filter(f)) {
			if err != nil {
				return err
			}
			if denies(r) {
				run = append(run, w.failureOf(r, disowned, provider.OfHost(r.RecipientDomain)))
				refused[r.Ref()] = true
			}
		}
		if len(run) < denialLeast {
			continue
		}
		w.theirs[causeTable] = append(w.theirs[causeTable], lapse{run: run, partial: !d.Whole(), denial: d})
		for domain, list := range valid {
			valid[domain] = slices.DeleteFunc(list, func(r validRefusal) bool { return refused[r.failure.ref] })
		}
	}
	w.dropFew(valid)
	return nil
}

// name names a problem after the operator of a denial.
func (d *Denial) name(p *Problem, refused int, tried int64, does string) {
	names := provider.Names(d.Providers)
	slices.Sort(names)
	named := nameSome(names, "", "others")
	p.Title = named + " " + does
	p.Summary = fmt.Sprintf("%d of %s to %s are returned: it %s", refused, table.Count(tried, "message"), named, does)
	if len(names) > 1 {
		p.Title = named + " " + inPlural.Replace(does)
		p.Summary = fmt.Sprintf("%d of %s to %s are returned: they %s", refused, table.Count(tried, "message"), named, inPlural.Replace(does))
	}
	p.Providers, p.keys[0].provider = d.Providers, d.Operator
	if len(d.Providers) == 1 && len(p.Domains) > 1 && plain(d.Providers[0]) {
		p.Scan += " --relay " + d.Providers[0]
	}
}

// inPlural makes the words of a denialKind those of several providers.
var inPlural = strings.NewReplacer("calls", "call", "its", "their", "table", "tables")

// denialKind returns the words of a denial.
func (x *outage) denialKind() outageKind {
	k := outageKind{
		does:             "calls all recipients unknown: its user table may be at fault",
		firstCheck:       "Do not remove the addresses (bouncelog suppress leaves them out). Whether others see the same: the provider's status page, lists of postmasters. Send again what was returned once it takes mail.",
		otherExplanation: "It refuses this sender, and calls the recipients unknown.", disprovedBy: "These recipients, if they are called unknown again days later.",
	}
	if x.partial {
		k.does = "calls many more recipients unknown than usual: its user table may be at fault"
		if x.denial.someHosts() {
			k.does = "calls all recipients of some of its domains unknown: its user table may be at fault"
		}
		k.otherExplanation = "A list of recipients with many old addresses of this provider alone."
	}
	return k
}

// why returns the grounds of a denial.
func (d *Denial) why() string {
	sent := d.UsualRefused + d.UsualTaken
	return fmt.Sprintf("At other times since %s it called %d of %d recipients unknown, and other providers call no more unknown than usual meanwhile.", d.Counted.Format(time.DateOnly), d.UsualRefused, sent)
}
