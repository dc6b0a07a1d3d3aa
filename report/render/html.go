package render

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"
	"time"

	"bouncelog/internal/table"
	"bouncelog/problem"
	"bouncelog/report"
)

// The page is one file without script, images or anything fetched, and is also
// sent as mail. So its charts are cells with a background, not SVG: mail
// programs strip SVG, a drawing of fixed width does not reflow on a telephone,
// and the colours come from the style sheet, light or dark.
const htmlHead = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>bouncelog report</title>
<style>
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --dim: #59636e; --line: #d5dae0; --panel: #f4f6f8; --good: #1a7f37; --soft: #b86e00; --hard: #c62828 }
@media (prefers-color-scheme: dark) { :root { --ground: #14171b; --text: #e4e7eb; --dim: #9aa4af; --line: #343a42; --panel: #1d2127; --good: #4cc06b; --soft: #e8a33d; --hard: #f2675f } }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif; background: var(--ground); color: var(--text); margin: 0 auto; max-width: 72em; padding: 1.2em 1.2em 3em }
h1 { font-size: 1.5em; margin: 0 0 .2em } h2 { font-size: 1.15em; margin: 2.2em 0 .5em; padding-bottom: .25em; border-bottom: 1px solid var(--line) } h3 { font-size: 1em; margin: 1.6em 0 .4em }
p { margin: .5em 0; overflow-wrap: anywhere } .about, .note, .axis { color: var(--dim) } .note { font-size: .9em; max-width: 60em }
.tiles span { display: inline-block; background: var(--panel); border-radius: .4em; padding: .5em .9em; margin: .3em .4em .3em 0 } .tiles b { display: block; font-size: 1.45em; line-height: 1.2; font-variant-numeric: tabular-nums }
.good { color: var(--good) } .soft { color: var(--soft) } .hard { color: var(--hard) }
.case { background: var(--panel); border-left: .3em solid var(--line); border-radius: .2em; padding: .6em .9em; margin: .6em 0 } .confirmed { border-color: var(--hard) } .likely { border-color: var(--soft) }
.scroll { overflow-x: auto }
table { border-collapse: collapse } .data { font-size: .93em }
.data th, .data td { text-align: left; padding: .28em 1em .28em 0; border-bottom: 1px solid var(--line); vertical-align: top } .data th { color: var(--dim); font-weight: 600; white-space: nowrap } .data td { overflow-wrap: anywhere; min-width: 4em }
.data .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; min-width: 0 } .data .t { white-space: nowrap } .data .w { min-width: 13em }
p.axis { margin-top: 1.4em } .key { white-space: nowrap } .key i { display: inline-block; width: .8em; height: .8em; border-radius: .15em; margin: 0 .35em 0 1em } i.soft, div.soft { background: var(--soft) } i.hard, div.hard { background: var(--hard) }
.time { width: 100%; table-layout: fixed; border-bottom: 1px solid var(--dim) } .time td { height: 120px; padding: 0 1px; vertical-align: bottom } .time div { min-height: 1px } .axis { width: 100%; font-size: .85em } .axis td:last-child { text-align: right }
.bars { width: 100%; font-size: .93em; margin-bottom: 1em } .bars td { padding: .18em .7em .18em 0; vertical-align: middle } .bars .what { width: 28%; max-width: 16em; overflow-wrap: anywhere } .bars .n { width: 8em; padding-left: .7em; white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--dim) } .bars div { display: inline-block; height: .95em; vertical-align: middle } .bars .room { white-space: nowrap; font-size: 0 } .bars .room div { font-size: 15px }
@media (max-width: 500px) { body { padding: .8em .8em 2em; font-size: 14px } .tiles span { padding: .35em .6em } .bars .what { width: 40% } .bars .n { width: 6em } .data th, .data td { padding-right: .7em } }
</style></head><body>
`

func escape(s string) string { return html.EscapeString(table.Clean(s)) }

func (v *view) writeHTML(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(htmlHead + "<h1>bouncelog report</h1>\n<p class=\"about\">")
	for i, line := range v.header() {
		if i > 0 {
			b.WriteString("<br>")
		}
		b.WriteString(escape(line))
	}
	b.WriteString("</p>\n")
	if t := v.Totals; t != nil {
		b.WriteString(`<p class="tiles">`)
		tile := func(class string, n int64, what string) {
			fmt.Fprintf(&b, `<span class="%s"><b>%s</b>%s</span>`, class, thousands(n), what)
		}
		tile("good", t.Delivered, "delivered, "+percent(t.DeliveredRate))
		tile("soft", t.Soft, "soft, "+percent(t.SoftRate))
		tile("hard", t.Hard, "hard, "+percent(t.HardRate))
		tile("", t.Pending, "pending")
		b.WriteString("</p>\n")
	}
	for _, s := range v.sections() {
		fmt.Fprintf(&b, "<h2>%s</h2>\n", escape(s.title))
		writeParagraphs(&b, s)
		switch s.name {
		case report.SectionDomains:
			if rows := v.Domains; len(rows) > 0 {
				v.writeBars(&b, "Failed attempts", groupBars(rows))
			} else if len(v.Groups) > 0 {
				v.writeBars(&b, "Failed attempts", groupBars(v.Groups))
			}
		case report.SectionReasons:
			var bars []bar
			for _, x := range v.Reasons {
				bars = append(bars, bar{x.Reason.String(), x.Soft, x.Hard})
			}
			v.writeBars(&b, "Failed attempts", bars)
		case report.SectionTimeline:
			v.writeTimeline(&b)
		}
		if s.table != nil {
			b.WriteString(`<div class="scroll">`)
			if err := s.table.WriteHTML(&b); err != nil {
				return err
			}
			b.WriteString("</div>\n")
		}
		for _, line := range s.notes {
			fmt.Fprintf(&b, "<p class=\"note\">%s</p>\n", escape(line))
		}
		// The chart over time belongs to the totals.
		if s.name == report.SectionTotals && !v.Named {
			v.writeTimeline(&b)
		}
	}
	b.WriteString("</body></html>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// writeParagraphs writes what stands before a section's table. A problem is
// some lines that an empty one ends.
func writeParagraphs(b *bytes.Buffer, s section) {
	if s.name != report.SectionProblems {
		for _, line := range s.lead {
			if line != "" {
				fmt.Fprintf(b, "<p>%s</p>\n", escape(line))
			}
		}
		return
	}
	var lines []string
	flush := func() {
		if len(lines) == 0 {
			return
		}
		class := "case"
		if level, _, ok := strings.Cut(lines[0], ":"); ok && (level == strings.ToUpper(problem.Confirmed) || level == strings.ToUpper(problem.Likely)) {
			class += " " + strings.ToLower(level)
		}
		fmt.Fprintf(b, "<p class=\"%s\"><b>%s</b>", class, escape(lines[0]))
		for _, line := range lines[1:] {
			b.WriteString("<br>" + escape(line))
		}
		b.WriteString("</p>\n")
		lines = nil
	}
	for _, line := range s.lead {
		if line == "" {
			flush()
			continue
		}
		lines = append(lines, line)
	}
	flush()
}

// A bar is a line of a chart of soft and hard failures.
type bar struct {
	what       string
	soft, hard int64
}

const barsShown = 10

func groupBars(groups []report.Group) (bars []bar) {
	for _, g := range groups {
		key := g.Key
		if key == "" {
			key = "(none)"
		}
		bars = append(bars, bar{key, g.Soft, g.Hard})
	}
	return bars
}

const chartKey = `<span class="key"><i class="soft"></i>soft<i class="hard"></i>hard</span>`

// writeBars draws lying bars, the widest as long as there is room.
func (v *view) writeBars(b *bytes.Buffer, title string, bars []bar) {
	bars = bars[:min(len(bars), barsShown)]
	var most int64
	for _, x := range bars {
		most = max(most, x.soft+x.hard)
	}
	if most == 0 || len(bars) < 2 { // nothing to compare
		return
	}
	fmt.Fprintf(b, "<p class=\"axis\">%s %s</p>\n<table class=\"bars\" role=\"presentation\">\n", title, chartKey)
	for _, x := range bars {
		fmt.Fprintf(b, `<tr><td class="what">%s</td><td class="room">`, escape(table.Cut(x.what, 60)))
		for _, part := range []struct {
			class string
			n     int64
		}{{"soft", x.soft}, {"hard", x.hard}} {
			if part.n > 0 {
				fmt.Fprintf(b, `<div class="%s" style="width:%s%%" title="%d %s"></div>`, part.class, width(part.n, most), part.n, part.class)
			}
		}
		fmt.Fprintf(b, "</td><td class=\"n\">%s + %s</td></tr>\n", thousands(x.soft), thousands(x.hard))
	}
	b.WriteString("</table>\n")
}

// width is n of most in percent.
func width(n, most int64) string {
	return strconv.FormatFloat(max(100*float64(n)/float64(most), 0.2), 'f', 1, 64)
}

const timelineColumns = 60

// writeTimeline draws soft and hard failures over time.
func (v *view) writeTimeline(b *bytes.Buffer) {
	points := v.evenPoints()
	var most int64
	for _, p := range points {
		most = max(most, p.Soft+p.Hard)
	}
	if most == 0 || len(points) < 2 {
		return
	}
	const height = 120 // pixels
	each := points[0].step
	fmt.Fprintf(b, "<p class=\"axis\">Failed attempts over time, per %s; the highest %s %s</p>\n", stepWords(each), thousands(most), chartKey)
	b.WriteString("<table class=\"time\" role=\"presentation\"><tr>")
	for _, p := range points {
		fmt.Fprintf(b, `<td title="%s: %d soft, %d hard">`, escape(v.pointTime(p.Point)), p.Soft, p.Hard)
		if p.Hard > 0 {
			fmt.Fprintf(b, `<div class="hard" style="height:%dpx"></div>`, p.Hard*height/most)
		}
		if p.Soft > 0 {
			fmt.Fprintf(b, `<div class="soft" style="height:%dpx"></div>`, p.Soft*height/most)
		}
		b.WriteString("</td>")
	}
	fmt.Fprintf(b, "</tr></table>\n<table class=\"axis\" role=\"presentation\"><tr><td>%s</td><td>%s</td></tr></table>\n",
		escape(v.pointTime(points[0].Point)), escape(v.pointTime(points[len(points)-1].Point)))
}

type evenPoint struct {
	report.Point
	step time.Duration
}

// evenPoints are the timeline without holes, in at most timelineColumns steps.
func (v *view) evenPoints() []evenPoint {
	if len(v.Timeline) == 0 {
		return nil
	}
	step := time.Hour
	if v.ByDay {
		step = 24 * time.Hour
	}
	start, end := v.Timeline[0].Time, v.Timeline[len(v.Timeline)-1].Time
	n := int(end.Sub(start)/step) + 1
	wide := (n + timelineColumns - 1) / timelineColumns
	step *= time.Duration(wide)
	points := make([]evenPoint, (n+wide-1)/wide)
	for i := range points {
		points[i].Time = start.Add(time.Duration(i) * step)
		points[i].step = step
	}
	for _, p := range v.Timeline {
		x := &points[p.Time.Sub(start)/step]
		x.Delivered += p.Delivered
		x.Soft += p.Soft
		x.Hard += p.Hard
	}
	return points
}

func stepWords(step time.Duration) string {
	switch n := step / (24 * time.Hour); {
	case n == 1:
		return "day"
	case n > 1 && step%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", n)
	}
	if step == time.Hour {
		return "hour"
	}
	return fmt.Sprintf("%d hours", step/time.Hour)
}

// thousands writes a count in groups of three digits, with a narrow blank
// between them.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}
