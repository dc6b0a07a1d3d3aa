//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A column is a figure of each subject.
type column struct {
	head string
	cell func(*bench, *subject) string
}

var (
	wall = []column{
		{"wall s", func(_ *bench, s *subject) string { return fmt.Sprintf("%.2f", s.median()) }},
		{"from - to", func(_ *bench, s *subject) string { return s.fromTo(2, 1) }},
	}
	milliseconds = []column{
		{"wall ms", func(_ *bench, s *subject) string { return fmt.Sprintf("%.1f", 1e3*s.median()) }},
		{"from - to", func(_ *bench, s *subject) string { return s.fromTo(1, 1e3) }},
	}
	cpu    = column{"CPU s", func(_ *bench, s *subject) string { return fmt.Sprintf("%.2f", s.cpu()) }}
	peak   = column{"peak MB", func(_ *bench, s *subject) string { return fmt.Sprintf("%.0f", s.peakMB()) }}
	rounds = column{"rounds", func(_ *bench, s *subject) string { return fmt.Sprint(len(s.runs)) }}
	speed  = column{"MB/s", func(b *bench, s *subject) string {
		return fmt.Sprintf("%.0f", float64(b.logs[s.input].bytes)/1e6/s.median())
	}}
	lineRate = column{"lines/s", func(b *bench, s *subject) string {
		return fmt.Sprintf("%.0f", float64(b.logs[s.input].lines)/s.median())
	}}
	perMillion = column{"CPU s per million lines", func(b *bench, s *subject) string {
		return fmt.Sprintf("%.2f", s.cpu()/float64(b.logs[s.input].lines)*1e6)
	}}
	perAttempt = column{"bytes per attempt", func(b *bench, s *subject) string {
		return fmt.Sprintf("%.1f", float64(s.runs[len(s.runs)-1].size)/float64(b.logs[s.input].attempts))
	}}
	reports = column{"reports", func(_ *bench, s *subject) string {
		if s.readers == "" {
			return ""
		}
		return fmt.Sprintf("%.0f", median(s.each(func(r result) float64 { return float64(r.reports) })))
	}}
	ofOurs = column{"of our import", func(b *bench, s *subject) string {
		for _, ours := range b.subjects {
			if ours.section == s.section && ours.name == "bouncelog import" && len(s.limits) > 0 && !strings.HasPrefix(s.name, "bouncelog") {
				return s.times(ours)
			}
		}
		return ""
	}}
	ofLimit  = column{"of the limit", func(_ *bench, s *subject) string { return s.times(s.limits...) }}
	compared = slices.Concat(wall, []column{cpu, speed, peak, ofLimit, ofOurs, rounds})
)

// than is how many times as long as another each subject takes.
func than(head string, other *subject) column {
	return column{head, func(_ *bench, s *subject) string {
		if s == other {
			return ""
		}
		return s.times(other)
	}}
}

// times says how many times as long as others, one after another, s takes.
func (s *subject) times(others ...*subject) string {
	limit := 0.0
	for _, other := range others {
		if len(other.runs) == 0 { // it was not chosen
			return ""
		}
		limit += other.median()
	}
	if limit == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", s.median()/limit)
}

// write writes the results as a page of Markdown.
func (b *bench) write() error {
	var w bytes.Buffer
	fmt.Fprintf(&w, "# Measurements\n\nWritten by `make bench` (`%s`) on %s. Only the ratios carry over to other machines.\n\n", b.options, time.Now().UTC().Format("2006-01-02"))
	fmt.Fprintf(&w, "%s. Medians of interleaved rounds, files in the page cache.\n\n", machine())
	for _, v := range b.versions {
		fmt.Fprintf(&w, "- %s\n", v)
	}
	fmt.Fprintf(&w, "\nThe logs come from `bench/genlog`. The Postfix log has %s (%s as .gz), the Exim log %s. What bouncelog reports about them is what the generator wrote, checked before the first round:\n\n",
		megabytes(b.logs[postfixLog].bytes), megabytes(b.logs[postfixGz].bytes), megabytes(b.logs[eximLog].bytes))
	for _, c := range b.checks {
		fmt.Fprintf(&w, "- %s\n", c)
	}
	fmt.Fprintf(&w, "\nPeak is the largest resident set of one process. The limit is what the work costs at least: reading the log once (`grep -c`, `gzip -dc`) and, for an import, having the sqlite3 shell put the same rows into the same tables and indexes. \"Of our import\" is how many times as long as bouncelog's import a peer takes, which stores nothing.\n")
	for _, sec := range b.sections {
		b.writeSection(&w, sec)
	}
	fmt.Fprintf(&w, "\n## Commands\n\n")
	for _, s := range b.subjects {
		fmt.Fprintf(&w, "- %s: `%s`\n", s.key(), s.command)
	}
	return os.WriteFile(b.out, w.Bytes(), 0o644)
}

func (b *bench) writeSection(w *bytes.Buffer, sec section) {
	if len(sec.subjects) == 0 {
		fmt.Fprintf(w, "\n## %s\n\nNot measured: it takes `%s`.\n", sec.title, sec.flag)
		return
	}
	measured := slices.DeleteFunc(slices.Clone(sec.subjects), func(s *subject) bool { return len(s.runs) == 0 })
	if len(measured) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## %s\n\n", sec.title)
	if sec.about != "" {
		fmt.Fprintf(w, "%s\n\n", sec.about)
	}
	fmt.Fprint(w, "| |")
	for _, c := range sec.columns {
		fmt.Fprintf(w, " %s |", c.head)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(sec.columns)))
	for _, s := range measured {
		name := s.name
		if s.section != sec.title {
			name = s.key()
		}
		fmt.Fprintf(w, "| %s |", name)
		for _, c := range sec.columns {
			fmt.Fprintf(w, " %s |", c.cell(b, s))
		}
		fmt.Fprintln(w)
	}
}

func megabytes(n int64) string { return fmt.Sprintf("%.0f MB", float64(n)/1e6) }

// each gives a figure of each run, in order of size.
func (s *subject) each(figure func(result) float64) []float64 {
	var v []float64
	for _, r := range s.runs {
		v = append(v, figure(r))
	}
	slices.Sort(v)
	return v
}

func (s *subject) walls() []float64 {
	return s.each(func(r result) float64 { return r.wall.Seconds() })
}

func (s *subject) median() float64 { return median(s.walls()) }

// fromTo is the least and the most wall time, with so many digits and in parts
// of a second.
func (s *subject) fromTo(digits int, parts float64) string {
	v := s.walls()
	return fmt.Sprintf("%.*f - %.*f", digits, parts*v[0], digits, parts*v[len(v)-1])
}

// cpu is the median of user and system time, in seconds.
func (s *subject) cpu() float64 {
	return median(s.each(func(r result) float64 { return r.cpu.Seconds() }))
}

func (s *subject) peakMB() float64 {
	v := s.each(func(r result) float64 { return float64(r.peak) / (1 << 20) })
	return v[len(v)-1]
}

// median is that of figures in order.
func median(v []float64) float64 {
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// machine describes the machine.
func machine() string {
	model := "unknown processor"
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			if k, v, ok := strings.Cut(sc.Text(), ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	var info syscall.Sysinfo_t
	memory := "unknown memory"
	if syscall.Sysinfo(&info) == nil {
		memory = fmt.Sprintf("%d GB of memory", uint64(info.Totalram)*uint64(info.Unit)>>30)
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%s, %d cores, %s, Linux %s", model, runtime.NumCPU(), memory, strings.TrimSpace(string(kernel)))
}
