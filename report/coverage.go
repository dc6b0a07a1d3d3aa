package report

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/store"
)

const unknownReplies = 10 // rows of replies that no rule matches, unless all are requested

func (r *Report) coverage(read *store.Coverage, o Options, gaps []Gap, replies []store.Reply) (*Coverage, error) {
	sources := read.Sources
	c := &Coverage{Programs: []ProgramCount{}, Sample: []UnparsedSample{}, Gaps: []Gap{}, Files: len(sources)}
	paths := map[string]string{}
	var first, last time.Time
	for _, src := range sources {
		paths[src.ID] = src.Path
		c.Lines += src.Lines
		c.Delivery += src.Delivery
		c.Queue += src.Queue
		c.Rejected += src.Rejected
		c.Skipped += src.Skipped
		c.Unparsed += src.Unparsed
		c.Blank += src.Blank
		c.Repeated += src.Repeated
		if !src.First.IsZero() && (first.IsZero() || src.First.Before(first)) {
			first = src.First
		}
		if src.Last.After(last) {
			last = src.Last
		}
	}
	c.First, c.Last = optional(first), optional(last)
	if sum := c.Delivery + c.Queue + c.Rejected + c.Skipped + c.Unparsed + c.Blank; sum != c.Lines {
		return nil, fmt.Errorf("the line counts do not add up: %d lines, but %d by kind", c.Lines, sum)
	}
	skipped := slices.Clone(read.Skipped)
	slices.SortFunc(skipped, func(a, b store.Skipped) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), strings.Compare(a.Program, b.Program))
	})
	for _, p := range skipped {
		c.Programs = append(c.Programs, ProgramCount{p.Program, p.Lines})
	}
	unparsed := read.Unparsed
	if o.Top > 0 {
		unparsed = unparsed[:min(len(unparsed), o.Top)]
	}
	for _, u := range unparsed {
		c.Sample = append(c.Sample, UnparsedSample{paths[u.Source], u.Offset, u.Text})
	}
	texts, guesses := map[string]int64{}, map[string]bounce.Reason{}
	for i := range replies {
		x := &replies[i]
		if x.Untried { // it has the verdict of another reply
			continue
		}
		if x.Confidence == bounce.Guess {
			guesses[x.Template] = x.Reason
		}
		if x.Reason == bounce.Unknown || x.Confidence == bounce.Guess {
			texts[x.Template] += x.Attempts
		}
	}
	shown := unknownReplies
	if o.Top == 0 {
		shown = 0
	}
	c.Reasons = topTexts(texts, shown)
	for i := range c.Reasons {
		c.Reasons[i].Guess = guesses[c.Reasons[i].Text]
	}
	r.note(o, List{Section: SectionUnparsed, Shown: len(c.Sample), Total: int(c.Unparsed), More: unmatchedCommand(sources)})
	r.note(o, List{Section: ListUnknown, Shown: len(c.Reasons), Total: len(texts), More: o.command("report", "--section", SectionUnparsed, "--all")})
	c.Rotations = len(rotations(sources))
	c.Gaps = append(c.Gaps, gaps...)
	return c, nil
}

// unmatchedCommand returns the command that prints all lines that were not understood, or "" if
// there are none.
func unmatchedCommand(sources []store.Source) string {
	words := []string{"bouncelog", "parse", "--unmatched"}
	for _, src := range sources {
		word := table.ShellWord(src.Path)
		if src.Path == "-" {
			word = "FILE" // standard input cannot be read again
		}
		if src.Unparsed > 0 && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	if len(words) == 3 {
		return ""
	}
	return strings.Join(words, " ")
}

// A turn is the end of one log of a family and the start of the next.
type turn struct{ from, to store.Source }

var rotated = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`([-.](\d+|gz|xz|zst|bz2|old))+$`) })

// rotations returns the turns from one log to the next of the same name.
func rotations(sources []store.Source) (turns []turn) {
	families := map[string][]store.Source{}
	for _, s := range sources {
		if s.Lines > 0 && !s.First.IsZero() {
			name := path.Dir(s.Path) + "/" + rotated().ReplaceAllString(path.Base(s.Path), "")
			families[name] = append(families[name], s)
		}
	}
	for _, list := range families {
		slices.SortFunc(list, func(a, b store.Source) int { return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last)) })
		for i := 1; i < len(list); i++ {
			turns = append(turns, turn{list[i-1], list[i]})
		}
	}
	slices.SortFunc(turns, func(a, b turn) int { return a.to.First.Compare(b.to.First) })
	return turns
}

// gaps finds the silent hours in which attempts are usual: see profile.usual. points are the hours with
// attempts, in order. of are the hours with attempts of the selection for Gap.Expected, if that is not
// all mail.
func gaps(points, of []Point, turns []turn) []Gap {
	found := []Gap{}
	if len(points) < 2 {
		return found
	}
	const hour = time.Hour
	start, end := points[0].Time, points[len(points)-1].Time
	silent := make([]bool, int(end.Sub(start)/hour)+1)
	for i := range silent {
		silent[i] = true
	}
	for _, p := range points {
		silent[p.Time.Sub(start)/hour] = p.Delivered+p.Soft+p.Hard == 0
	}
	// The first and the last hour are incomplete.
	all, selected := newProfile(points, start.Add(hour), end), newProfile(of, start.Add(hour), end)
	at := func(i int) time.Time { return start.Add(time.Duration(i) * hour) }
	for i := 1; i < len(silent); i++ {
		if !silent[i] {
			continue
		}
		j, missing, expected := i, int64(0), int64(0)
		for j < len(silent) && silent[j] {
			j++
		}
		for k := i; k < j; k++ {
			missing += all.usual(at(k), at(i), at(j))
			expected += selected.usual(at(k), at(i), at(j))
		}
		if missing >= gapExpected {
			g := Gap{From: at(i), To: at(j), Expected: expected}
			for _, t := range turns {
				// The end of one log and the start of the next are known to the second.
				if t.from.Last.Before(g.To) && t.to.First.After(g.From) && t.to.First.Sub(t.from.Last) >= hour {
					g.Rotation = []string{t.from.Path, t.to.Path}
					g.From, g.To = t.from.Last.UTC(), t.to.First.UTC()
				}
			}
			found = append(found, g)
		}
		i = j
	}
	return found
}

// allGaps returns the gaps of the whole database, in order, with the usual number of attempts that
// f selects. So a gap has the same number in every period.
func (r *Report) allGaps(f store.Filter, sources []store.Source) ([]Gap, error) {
	hours, err := r.hours()
	if err != nil {
		return nil, err
	}
	if len(hours) == 0 {
		return nil, nil
	}
	// In a database of many years, the time around the end of the period defines what is usual.
	end := hours[len(hours)-1].Time
	if later := f.Until.Add(gapDays * 24 * time.Hour / 2); !f.Until.IsZero() && later.Before(end) {
		end = later
	}
	around := func(hours []Point) []Point {
		return slices.DeleteFunc(slices.Clone(hours), func(p Point) bool {
			return p.Time.After(end) || end.Sub(p.Time) > gapDays*24*time.Hour
		})
	}
	selected, err := r.selected()
	if err != nil {
		return nil, err
	}
	return gaps(around(hours), around(selected), rotations(sources)), nil
}

// hostGaps returns the silences of single hosts while others log, by the hours with attempts of each
// host. end is the last hour of all.
func hostGaps(hosts map[string][]Point, end time.Time) (found []Gap) {
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		points := hosts[host]
		if host == "" || len(hosts) < 2 {
			continue
		}
		if last := points[len(points)-1].Time; last.Before(end) {
			points = append(slices.Clip(points), Point{Time: end}) // the silence lasts
		}
		longest, second := time.Duration(0), time.Duration(0)
		for i := 1; i < len(points); i++ {
			silence := points[i].Time.Sub(points[i-1].Time)
			longest, second = max(longest, silence), max(second, min(longest, silence))
		}
		for _, g := range gaps(points, points, nil) {
			length := g.To.Sub(g.From)
			others := func(h string) bool { return h != host && sum(hosts[h], g.From, g.To, (*Point).settled) >= gapExpected }
			if length < hostGap || length < longest-time.Hour || length < hostGapTimes*second || g.From.Sub(points[0].Time) < hostGapKnown || !slices.ContainsFunc(slices.Collect(maps.Keys(hosts)), others) {
				continue
			}
			g.Host = host
			found = append(found, g)
		}
	}
	return found
}

// gapsWithin returns the gaps of a period (zero: open) in which the selection has mail, in order;
// if there are many, the longest.
func gapsWithin(all []Gap, since, until time.Time) (found []Gap) {
	for _, g := range all {
		if g.Expected > 0 && (since.IsZero() || g.To.After(since)) && (until.IsZero() || g.From.Before(until)) {
			found = append(found, g)
		}
	}
	slices.SortStableFunc(found, func(a, b Gap) int { return cmp.Compare(b.Expected, a.Expected) })
	found = found[:min(len(found), gapsShown)]
	slices.SortFunc(found, func(a, b Gap) int { return a.From.Compare(b.From) })
	return found
}
