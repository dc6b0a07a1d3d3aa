package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/problem"
	"bouncelog/store"
)

// The values of Verdict.Status.
const (
	StatusIncident = "incident" // one or more incidents go on, or did at the end of a past period
	StatusSilent   = "silent"   // no incident goes on, but the log has ended
	StatusEnded    = "ended"    // no incident goes on any more
	StatusQuiet    = "quiet"    // no incident
	StatusEmpty    = "empty"    // no mail
	StatusUnknown  = "unknown"  // no verdict: see Report.NoVerdict
)

// The values of Incident.After.
const (
	AfterGoingOn = "going_on" // also at the end of the logs
	AfterEnded   = "ended"
)

const actAtMost = 5

// buildVerdict builds the verdict from the sections that were built.
func (r *Report) buildVerdict(ctx context.Context, s store.Reader, o Options) error {
	v := &Verdict{Act: []Incident{}, Ended: []Incident{}}
	if !r.AsOf.IsZero() {
		newest := r.AsOf.UTC()
		v.Newest = &newest
		if !o.Now.IsZero() && o.Live {
			v.Age = max(o.Now.Sub(newest), 0).Truncate(time.Second).Seconds()
			v.Ahead = ahead(newest, o.Now).Truncate(time.Second).Seconds()
		}
	}
	var err error
	if v.Silence, err = r.silence(o); err != nil {
		return err
	}
	gaps, err := r.gaps()
	if err != nil {
		return err
	}
	v.Gaps = gapsWithin(gaps, o.Filter.Since, o.Filter.Until)
	v.SilentHosts = silentHosts(r.Hosts)
	if hours, err := r.hours(); err != nil {
		return err
	} else if hosts, err := r.hostHours(); err == nil && len(hours) > 0 && o.Filter.Host == "" && len(r.Hosts) == 0 {
		v.HostGaps = gapsWithin(hostGaps(hosts, hours[len(hours)-1].Time), o.Filter.Since, o.Filter.Until)
	}

	noise := Background{Command: r.command}
	places := map[string]bool{}
	for i := range r.Problems {
		p := &r.Problems[i]
		in := r.incidentOf(i)
		switch {
		case in.IsBackground() && p.Unreached(): // no reply refused it
		case in.IsBackground():
			noise.Messages += p.Messages
			for _, name := range p.Providers {
				places[name] = true
			}
		case in.Ongoing:
			v.Going++
			v.Act = append(v.Act, in)
		default:
			v.Ended = append(v.Ended, in)
		}
	}
	for i := range v.Act {
		v.Over += bit(!v.Act[i].Going())
	}
	slices.SortStableFunc(v.Act, func(a, b Incident) int { return cmp.Compare(bit(b.Going()), bit(a.Going())) })
	if len(v.Act) > actAtMost {
		v.More = len(v.Act) - actAtMost
		v.Act = slices.Clip(v.Act[:actAtMost])
	}
	if noise.Messages > 0 {
		noise.Providers = len(places)
		noise.Share = part(int64(noise.Messages), r.messages)
		v.Background = &noise
	}
	if v.Going == 0 && r.judged.Total.Refused > 0 {
		span, err := s.Span(ctx, refusals(o.Filter))
		if err != nil {
			return err
		}
		v.Quiet = optional(known(span.Last))
	}
	v.EndedBefore, v.Later = r.besides(o, r.before), r.besides(o, r.later)
	r.Verdict = v
	v.say(r)
	return nil
}

// noVerdict says why no verdict is possible, or returns "". A period without mail gets a verdict if
// the logs cover a part of it and hold mail that the filter selects.
func (r *Report) noVerdict(ctx context.Context, s store.Reader, o Options, sources []store.Source) (string, error) {
	f := Judged(o.Filter)
	f.Outcomes = []bounce.Outcome{bounce.Delivered, bounce.Soft, bounce.Hard}
	if span, err := s.Span(ctx, f); err != nil || !span.IsZero() {
		return "", err
	}
	f.Since, f.Until = time.Time{}, time.Time{}
	span, err := s.Span(ctx, f)
	some := r.Period.First != nil || r.Timeless
	switch {
	case err != nil:
		return "", err
	case r.AsOf.IsZero() && span.IsZero():
		return "no log line was ever read", nil
	case span.IsZero() && some && r.Filter != nil:
		return "the filter selects hand-offs and probes only, in this period and any other", nil
	case span.IsZero() && r.Filter != nil:
		return "no delivery attempts match the filter, in this period or another", nil
	case span.IsZero():
		return "the logs hold no delivery attempts", nil
	case some:
		return "", nil
	}
	silence, err := r.silence(o)
	if err != nil {
		return "", err
	}
	begin, end := r.AsOf, r.AsOf
	for i := range r.Sources {
		if first := r.Sources[i].First; first != nil && first.Before(begin) {
			begin = *first
		}
	}
	if o.Live && o.Now.After(end) && silence == nil {
		end = o.Now // everything logged was read
	}
	since, until := o.Filter.Since, o.Filter.Until
	gaps, err := r.gaps()
	if err != nil {
		return "", err
	}
	missing := slices.ContainsFunc(gaps, func(g Gap) bool {
		return !since.IsZero() && !until.IsZero() && !g.From.After(since) && !g.To.Before(until)
	})
	switch {
	case !o.Now.IsZero() && since.After(o.Now):
		return "the period has not begun", nil
	case !until.IsZero() && !begin.Before(until):
		return "the logs begin at " + r.Clock(begin) + ", after this period", nil
	case !since.IsZero() && !end.After(since):
		return "the logs end at " + r.Clock(end) + ", before this period", nil
	case missing:
		return "no logs of this period were read", nil
	}
	return "", nil
}

// orderProblems sorts the worst first: ongoing before ended, ended before background, ours before
// others', then by mail returned or waiting a day, by recipients known to be valid and by refused mail.
func (r *Report) orderProblems() {
	rank := func(in *Incident) int {
		switch {
		case in.Level == problem.Watch:
			return 3
		case in.noise:
			return 2
		case !in.Ongoing:
			return 1
		}
		return 0
	}
	ranks := make([]int, len(r.Problems))
	order := make([]int, len(r.Problems))
	for i := range r.Problems {
		in := r.incident(&r.Problems[i])
		ranks[i], order[i] = rank(&in), i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &r.Problems[i], &r.Problems[j]
		return cmp.Or(cmp.Compare(ranks[i], ranks[j]), cmp.Compare(bit(ours(b)), bit(ours(a))), cmp.Compare(harmPerDay(b), harmPerDay(a)),
			cmp.Compare(b.Valid(), a.Valid()), cmp.Compare(b.Messages, a.Messages))
	})
	sorted, after := make([]problem.Problem, len(order)), make(map[int]afterwards, len(r.after))
	for i, from := range order {
		sorted[i] = r.Problems[from]
		if a, ok := r.after[from]; ok {
			after[i] = a
		}
	}
	copy(r.Problems, sorted)
	r.after = after
}

// ours reports whether the sending side is at fault.
func ours(p *problem.Problem) bool { return !p.Unreached() && p.WhoActs() == bounce.ScopeSender }

// lostPerDay returns the messages returned per day, for at least one day.
func lostPerDay(p *problem.Problem) float64 { return perDay(p, p.Returned) }

// harmPerDay returns the messages returned or waiting per day: what waits may be returned.
func harmPerDay(p *problem.Problem) float64 { return perDay(p, p.Returned+p.Waiting) }

func perDay(p *problem.Problem, n int) float64 {
	return float64(n) / max(p.Until.Sub(p.Since).Hours()/24, 1)
}

// incidentOf returns one of the problems as an Incident, with its course after the period.
func (r *Report) incidentOf(i int) Incident {
	in := r.incident(&r.Problems[i])
	in.Problem = &i
	if a, ok := r.after[i]; ok && in.Ongoing {
		in.After, in.AfterEnded = a.state, a.ended
		if a.state == AfterEnded {
			in.EndedAfter = r.unlogged(cmp.Or(a.last, in.Until), a.ended)
		}
	}
	return in
}

// besides returns problems of a time beside the period as incidents. They have no share: the mail of
// the period is other mail. Their command is for a report of their time.
func (r *Report) besides(o Options, list []problem.Problem) (incidents []Incident) {
	for i := range list {
		in := r.incident(&list[i])
		in.Share, in.Command = 0, o.from(in.Since).command("report")
		incidents = append(incidents, in)
	}
	return incidents
}

// incident returns a problem as an Incident, with its share of all messages.
func (r *Report) incident(p *problem.Problem) Incident {
	in := Incident{
		ID: p.ID, Level: p.Level, Title: p.Title, Short: p.Short, Ours: ours(p), Ongoing: p.Ongoing, EndUnknown: p.EndUnknown, Since: p.Began(), Until: p.Until, Ended: p.Ended, EndedAt: p.EndedAt, Earlier: !p.FirstHeard.IsZero(),
		Refused: p.Messages, Lost: p.Returned, Waiting: p.Waiting, LostPerDay: lostPerDay(p), Recipients: p.Recipients, Valid: p.Valid(),
		SenderDomains: p.SenderDomains, Providers: p.Providers, ProviderNames: otherNames(p.Providers), Addresses: p.Addresses, Origins: p.Origins, Hours: p.Hours, Why: p.Why, Check: p.FirstCheck,
		Otherwise: p.OtherExplanation, Disproved: p.DisprovedBy, Command: p.Scan, Stuck: p.Unreached(), Effect: p.Effect, Queue: p.Queue, Sent: p.Sent, Remains: p.Remains(), SendAgain: p.SendAgain(),
	}
	if len(p.Evidence) > 0 {
		in.Reply = p.Evidence[0].Text
	}
	for _, e := range p.Evidence {
		in.Warning = cmp.Or(in.Warning, e.Warning)
	}
	// Deliveries are read in part. "Of" appears only if they cover the refusals.
	if t := p.Onset; t != nil && t.Refused == p.Messages && (p.Homemade() || p.Unreached() || !r.Filter.narrows(p.Providers)) {
		// With one or two refusals there is always little other mail: "all" would mean nothing.
		if t.Refused < t.Tried || p.Messages >= problem.IncidentLeast {
			in.Tried = t.Tried
		}
		if b := p.Before; b != nil {
			in.Before, in.BeforeTried = b.Refused, b.Tried
		}
	}
	in.Share = part(int64(p.Messages), r.messages+int64(p.Older))
	if p.Unreached() { // its messages count once for each recipient, and expired ones came earlier
		in.Share = part(int64(p.Messages), r.handled+int64(p.Older))
	}
	if p.Sender != nil {
		sender := *p.Sender
		in.Sender = &sender
	}
	if !p.Ongoing {
		in.EndedAfter = r.unlogged(p.Until, in.End())
	}
	in.noise, in.expired = p.Background, p.Expired > 0
	if len(p.SenderDomains) > problem.SendersNamed && p.Reason != bounce.NoReason {
		in.ListSenders = r.bySender(p.NamedReasons())
	}
	in.Scope = p.WhoActs()
	return in
}

// unlogged returns the last refusal of an incident if no log was read of a time between it and the end,
// else zero.
func (r *Report) unlogged(last, end time.Time) time.Time {
	if r.gaps == nil {
		return time.Time{}
	}
	gaps, err := r.gaps() // buildVerdict reports the error
	if err == nil && slices.ContainsFunc(gaps, func(g Gap) bool { return !g.From.Before(last) && !g.To.After(end) }) {
		return last
	}
	return time.Time{}
}

// EndWords tells when an incident ended.
func (r *Report) EndWords(in *Incident) string {
	if in.EndedAfter.IsZero() {
		return r.Clock(in.End())
	}
	return "between " + r.Clock(in.EndedAfter) + " and " + r.Clock(in.End()) + " (no log)"
}

// part returns the share of messages in a whole; 0: not known.
func part(messages, whole int64) table.Share {
	if whole == 0 {
		return 0
	}
	return table.Share(min(float64(messages)/float64(whole), 1))
}

// otherNames returns the common names of some providers, or nil if all are named by their domain.
func otherNames(providers []string) []string {
	if names := provider.Names(providers); !slices.Equal(names, providers) {
		return names
	}
	return nil
}

// Going reports whether an incident goes on at the end of the period and is not known to
// have ended since.
func (in *Incident) Going() bool { return in.Ongoing && in.After != AfterEnded }

// labels are the labels of the figures of an incident, by its effect.
var labels = map[string]string{
	problem.EffectRefused: "Refused", problem.EffectDeferred: "Deferred", problem.EffectReturned: "Returned",
	problem.EffectNotDelivered: "Not delivered", problem.EffectDelayed: "Delayed",
}

// Label returns the label of an incident's figures.
func (in *Incident) Label() string { return labels[in.Effect] }

const originsShown = 4

// OriginWords says which hosts and instances are refused, and whose mail is taken; "" if it is not only
// some.
func (in *Incident) OriginWords() string {
	var list []string
	for i := range in.Origins {
		if i == originsShown {
			list = append(list, fmt.Sprintf("%d more", len(in.Origins)-i))
			break
		}
		o := &in.Origins[i]
		name := o.Address
		if label := o.Label(in.Origins); name == "" {
			name = label
		} else if label != "" {
			name += " (" + label + ")"
		}
		if o.IsRefused() {
			list = append(list, fmt.Sprintf("%s is %s, %d of %d", name, in.Effect, o.Refused, o.Tried))
		} else {
			list = append(list, fmt.Sprintf("%s delivers, %d of %d", name, o.Tried-o.Refused, o.Tried))
		}
	}
	return strings.Join(list, "; ")
}

// sentBy names, for the sentence of the verdict, the one host or instance that sent all refused messages of
// several that send mail to these receivers.
func (in *Incident) sentBy() string {
	refused := slices.DeleteFunc(slices.Clone(in.Origins), func(o problem.Origin) bool { return o.Refused == 0 })
	if len(in.Origins) < 2 || len(refused) != 1 {
		return ""
	}
	return ", all sent by " + table.Cut(table.Clean(refused[0].Label(in.Origins)), 64)
}

// SenderWords names the sender of most messages; "": none.
func (in *Incident) SenderWords() string {
	m := in.Sender
	if m == nil {
		return ""
	}
	count := fmt.Sprintf("%d of %d messages", m.Messages, m.Of)
	if m.Messages == m.Of {
		count = fmt.Sprintf("all %d messages", m.Of)
	}
	kind := "sender"
	switch {
	case m.Login != "":
		kind = "login"
	case m.Client != "":
		kind = "client"
	}
	return count + " of one " + kind + ", " + table.Cut(table.Clean(cmp.Or(m.Login, m.Client, m.Address)), 64)
}

// Figures returns the numbers of refused and tried messages, in words, with that of the recipients if a message has
// many.
func (in *Incident) Figures() string {
	to := ""
	if in.Recipients >= manyRecipients*in.Refused && in.Refused > 0 {
		to = fmt.Sprintf(" to %d recipients", in.Recipients)
	}
	switch {
	case in.Earlier:
		return table.Count(int64(in.Refused), "message") + to + " in this period"
	case in.Tried == 0:
		return table.Count(int64(in.Refused), "message") + to
	case in.Refused == in.Tried:
		return fmt.Sprintf("all %d messages", in.Tried) + to
	}
	return fmt.Sprintf("%d of %d messages", in.Refused, in.Tried) + to
}

// manyRecipients is the minimum number of recipients of each message, on average, for which their number is named.
const manyRecipients = 10

// harm returns the figures for the sentence of the verdict: with the number of returned messages if
// some expired. Then the title says that the mail was deferred or failed, not that it was returned.
func (in *Incident) harm() string {
	if !in.expired {
		return in.Figures()
	}
	return fmt.Sprintf("%s, %d returned", in.Figures(), in.Lost)
}

// Clock formats a point in time for the report, without the date on the day of the report.
func (r *Report) Clock(t time.Time) string {
	t = t.In(r.Location)
	if !r.Now.IsZero() && t.Format(time.DateOnly) == r.Now.In(r.Location).Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return when.Stamp(t, "2006-01-02 15:04")
}

// AtEnd names the end of the period: the end of its last day, or its time.
func (r *Report) AtEnd() string {
	end := r.End().In(r.Location)
	if end.Hour()+end.Minute()+end.Second() == 0 {
		return "at the end of " + end.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return "at " + end.Format("2006-01-02 15:04")
}

// remainsWords says what remains of an ended incident; see Remains.
func (in *Incident) remainsWords() string {
	if in.Waiting > 0 || in.Sent != nil && in.Sent.Waiting > 0 {
		return "mail of it waits in the queue"
	}
	return "the cause may remain"
}

// Course says whether an incident goes on, or when and how it ended.
func (r *Report) Course(in *Incident) string {
	switch {
	case in.Ongoing && in.After == AfterEnded:
		return "ended " + r.EndWords(in) + ", after the period"
	case in.Ongoing && in.EndUnknown && in.After == "":
		return "not known whether it goes on"
	case in.Ongoing && in.After == "" && r.Past():
		return "going on " + r.AtEnd()
	case in.Ongoing:
		return "going on"
	case in.Ended != "":
		return "ended " + r.EndWords(in) + ": " + in.Ended
	}
	return "ended " + r.EndWords(in)
}

// refusals returns f limited to refusals.
func refusals(f store.Filter) store.Filter {
	f, _ = f.Restrict(bounce.Reasons(bounce.Reason.RefusesSender))
	f.Outcomes = []bounce.Outcome{bounce.Soft, bounce.Hard}
	return f
}

// lastAt says when the last refusal was, or "" if it has no time. It gives no age, which would
// change while the sentence is on a screen.
func (r *Report) lastAt(last *time.Time) string {
	if last == nil {
		return ""
	}
	return ", the last at " + r.Clock(*last)
}

// oursFirst reports whether an incident of ours goes on. It comes before a silence of the log.
func (v *Verdict) oursFirst() bool { return len(v.Act) > 0 && v.Act[0].Ours && v.Act[0].Going() }

// oursEnded returns the worst ended incident of ours if the incidents named before it are others',
// else nil. Mail lost by a fault of ours is worse than mail that others do not take.
func (v *Verdict) oursEnded() *Incident {
	i := slices.IndexFunc(v.Ended, func(in Incident) bool { return in.Ours })
	if i < 0 || len(v.Act) == 0 || v.Act[0].Ours {
		return nil
	}
	return &v.Ended[i]
}

const unknownEnd = "not known to have ended"

// laterWords says why an incident is one of Later: it had its first refusal after the period, or none in it,
// or too few to prove it.
func (r *Report) laterWords(in *Incident) string {
	since := r.Period.Since
	switch {
	case since != nil && in.Until.Before(*since):
		return unknownEnd
	case in.Since.Before(r.End()):
		return "proven after the period"
	}
	return "after the period"
}

// laterFirst reports whether the verdict begins with the first of Later: it goes on at the end of the logs, and no
// incident did at the end of the period.
func (v *Verdict) laterFirst(r *Report) bool {
	return v.Going == v.Over && len(v.Later) > 0 && !v.cameBack() && r.laterWords(&v.Later[0]) != unknownEnd
}

// cameBack reports whether the first of Later is the ended incident that the verdict names.
func (v *Verdict) cameBack() bool {
	named := v.NamedEnded()
	return named != nil && len(v.Later) > 0 && named.ID == v.Later[0].ID
}

// NamedEnded returns the ended incident that the sentence of the verdict names, or nil.
func (v *Verdict) NamedEnded() *Incident {
	if len(v.Act) == 0 && len(v.Ended) > 0 {
		return &v.Ended[0]
	}
	return v.oursEnded()
}

// say builds the sentence of the verdict.
func (v *Verdict) say(r *Report) {
	good := func(format string, a ...any) { v.Phrases = append(v.Phrases, Phrase{fmt.Sprintf(format, a...), false}) }
	bad := func(format string, a ...any) { v.Phrases = append(v.Phrases, Phrase{fmt.Sprintf(format, a...), true}) }
	worst := func() {
		in := &v.Act[0]
		bad("%s", in.Title)
		since := r.Clock(in.Since)
		if when.Known(in.Since) {
			since = "since " + since
		}
		good(", %s, %s%s", since, in.harm(), in.sentBy())
		if in.After == AfterEnded {
			good("; ended %s", r.EndWords(in))
		}
		good(".")
	}
	// The incidents go on, or did at the end of the period.
	known := !slices.ContainsFunc(v.Act, func(in Incident) bool { return in.After == "" }) || !r.Past()
	going := func(is, were string) string {
		switch {
		case known && v.Over == 0:
			return is + " going on"
		case v.Over > 0 && v.Going > v.Over:
			return fmt.Sprintf("%s going on %s, of which %d ended since", were, r.AtEnd(), v.Over)
		}
		return were + " going on " + r.AtEnd()
	}
	more := func(list []Incident) string {
		if n := len(list) - 1; n > 0 {
			return fmt.Sprintf(", and %d more", n)
		}
		return ""
	}
	later := func() {
		in := &v.Later[0]
		words := r.laterWords(in)
		good("%s: ", strings.ToUpper(words[:1])+words[1:])
		bad("%s", in.Title)
		good(", since %s", r.Clock(in.Since))
		if p := r.Period.Since; p != nil && in.Until.Before(*p) {
			good(", last seen %s", r.Clock(in.Until))
		}
		if !in.Earlier { // the figures are for the time of the search
			good(", %s", in.harm())
		}
		good("%s.", more(v.Later))
	}
	none, which, several := "No incident", "No incident is going on. The last", "No incident is going on. %d ended. The worst"
	laterFirst := v.laterFirst(r)
	if laterFirst {
		later()
		good(" ")
		none, which, several = "No incident in the period", "Ended in the period", "Ended in the period: %d. The worst"
	}
	over := func() {
		if in := v.oursEnded(); in != nil {
			good(" Ended %s: %s, %s.", r.EndWords(in), in.Title, in.harm())
		}
	}
	switch {
	case r.NoVerdict != "":
		v.Status = StatusUnknown
		good("No verdict: %s.", r.NoVerdict)
	case r.judged.Total.Attempts == 0:
		v.Status = StatusEmpty
		matching := ""
		if r.Filter != nil {
			matching = " match the filter"
		}
		good("No delivery attempts%s in this period.", matching)
	case len(v.Act) > 0 && len(v.Act)+v.More == 1:
		v.Status = StatusIncident
		good("1 incident %s: ", going("is", "was"))
		worst()
		over()
	case len(v.Act) > 0:
		v.Status = StatusIncident
		good("%d incidents %s. The worst: ", len(v.Act)+v.More, going("are", "were"))
		worst()
		over()
	case len(v.Ended) > 0:
		v.Status = StatusEnded
		in, n := &v.Ended[0], len(v.Ended)
		switch {
		case in.Remains && n == 1:
			which = "1 incident has ended, but " + in.remainsWords()
		case in.Remains:
			which = fmt.Sprintf("%d incidents have ended. The worst (%s)", n, in.remainsWords())
		case n > 1:
			which = fmt.Sprintf(several, n)
		}
		good("%s: %s, %s%s, ended %s.", which, in.Title, in.Figures(), in.sentBy(), r.EndWords(in))
	case r.judged.Total.Refused > 0:
		v.Status = StatusQuiet
		good("%s. Refused on our account: %s%s.", none, table.Count(r.judged.Total.Refused, "attempt"), r.lastAt(v.Quiet))
	default:
		v.Status = StatusQuiet
		good("%s. Nothing was refused on our account.", none)
	}
	if v.Going > 0 && v.Going == v.Over {
		v.Status = StatusEnded
	}
	if len(v.EndedBefore) > 0 {
		in := &v.EndedBefore[0]
		good(" Ended since the last report: %s, %s%s.", in.Title, r.EndWords(in), more(v.EndedBefore))
	}
	switch {
	case v.cameBack():
		bad(" It came back after the period")
		good(", last seen %s%s.", r.Clock(v.Later[0].Until), more(v.Later))
	case len(v.Later) > 0 && !laterFirst:
		good(" ")
		later()
	}
	if len(v.Gaps) > 0 && r.judged.Total.Attempts > 0 {
		bad(" No log for at least %s", when.Span(v.missing()))
		good(".")
	}
	phrases := v.Phrases
	v.Phrases = nil
	if n := len(v.SilentHosts); n > 0 {
		h := &v.SilentHosts[0]
		bad("%s has sent nothing for %s", table.Cut(table.Clean(h.Name), 64), h.Quiet())
		if n > 1 {
			bad(", and %s are silent too", table.Count(int64(n-1), "other host"))
		}
		good(".")
	}
	if s := v.Silence; s != nil {
		if len(v.Phrases) > 0 {
			good(" ")
		}
		bad("The log is silent")
		good(" since %s (%s).", s.Since.In(r.Location).Format("2006-01-02 15:04"), when.Span(time.Duration(s.Seconds)*time.Second))
	}
	if silent := v.Phrases; len(silent) > 0 {
		if v.Status != StatusIncident {
			v.Status = StatusSilent
		}
		if v.oursFirst() {
			phrases, silent = silent, phrases
		}
		v.Phrases = slices.Concat(silent, []Phrase{{Text: " "}}, phrases)
	} else {
		v.Phrases = phrases
	}
	for _, p := range v.Phrases {
		v.Sentence += p.Text
	}
}

// missing returns for how long there is no log of the period.
func (v *Verdict) missing() (sum time.Duration) {
	for _, g := range v.Gaps {
		sum += g.To.Sub(g.From)
	}
	return sum
}

// IsBackground reports whether every server has such an incident every day.
func (in *Incident) IsBackground() bool { return in.noise || in.Level == problem.Watch }

// End returns when an incident ended, as far as the log shows.
func (in *Incident) End() time.Time {
	switch {
	case !in.AfterEnded.IsZero():
		return in.AfterEnded
	case !in.EndedAt.IsZero():
		return in.EndedAt
	}
	return in.Until
}
