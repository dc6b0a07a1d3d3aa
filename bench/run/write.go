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

// write writes the results as a page of Markdown.
func (b *bench) write(name string, subjects []*subject, rounds int) error {
	var w bytes.Buffer
	fmt.Fprintf(&w, "# Measurements\n\nWritten by `make bench` (`go run ./bench/run`) on %s. Only the ratios carry over to other machines.\n\n", time.Now().UTC().Format("2006-01-02"))
	fmt.Fprintf(&w, "%s. Median of %d interleaved rounds, files in the page cache.\n\n", machine(), rounds)
	for _, v := range b.versions {
		fmt.Fprintf(&w, "- %s\n", v)
	}
	fmt.Fprintf(&w, "\nThe logs come from `bench/genlog`: %d MB of Postfix log (%d MB as .gz), %d MB of Exim log. What bouncelog reports about them is what the generator wrote, checked before the first round:\n\n",
		b.logSize[postfixLog]/1e6, b.logSize[postfixGz]/1e6, b.logSize[eximLog]/1e6)
	for _, c := range b.checks {
		fmt.Fprintf(&w, "- %s\n", c)
	}
	for i, s := range subjects {
		if i == 0 || s.group != subjects[i-1].group {
			b.writeGroup(&w, subjects, s.group)
		}
	}
	fmt.Fprintf(&w, "\nPeak is the largest resident set of one process. The limit is what the work costs at least: reading the log once (`grep -c`, `gzip -dc`) and, for an import, having the sqlite3 shell put the same rows into the same tables and indexes. The last column is how many times as long as bouncelog's import a peer takes, which stores nothing.\n\n## Commands\n\n")
	for _, s := range subjects {
		fmt.Fprintf(&w, "- %s, %s: `%s`\n", s.group, s.name, s.command)
	}
	return os.WriteFile(name, w.Bytes(), 0o644)
}

func (b *bench) writeGroup(w *bytes.Buffer, subjects []*subject, group string) {
	medians := map[string]float64{}
	for _, s := range subjects {
		medians[s.key()] = s.median()
	}
	ours := medians[group+": bouncelog import"]
	fmt.Fprintf(w, "\n## %s\n\n| | wall s | from - to | CPU s | MB/s | peak MB | of the limit | of our import |\n|---|---|---|---|---|---|---|---|\n", group)
	for _, s := range subjects {
		if s.group != group {
			continue
		}
		limit := 0.0
		for _, key := range s.limits {
			limit += medians[key]
		}
		rate, ofLimit, ofOurs := "", "", ""
		if n := b.logSize[s.input]; n > 0 {
			rate = fmt.Sprintf("%.0f", float64(n)/1e6/s.median())
		}
		if limit > 0 {
			ofLimit = fmt.Sprintf("%.1f", s.median()/limit)
		}
		if ours > 0 && len(s.limits) > 0 && !strings.HasPrefix(s.name, "bouncelog") {
			ofOurs = fmt.Sprintf("%.1f", s.median()/ours)
		}
		walls := s.walls()
		fmt.Fprintf(w, "| %s | %.2f | %.2f - %.2f | %.2f | %s | %.0f | %s | %s |\n", s.name, s.median(), walls[0], walls[len(walls)-1], s.cpu(), rate, s.peakMB(), ofLimit, ofOurs)
	}
}

// walls gives the wall times in seconds, in order.
func (s *subject) walls() []float64 {
	var v []float64
	for _, r := range s.runs {
		v = append(v, r.wall.Seconds())
	}
	slices.Sort(v)
	return v
}

func (s *subject) median() float64 {
	v := s.walls()
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// cpu is the median of user and system time.
func (s *subject) cpu() float64 {
	var v []float64
	for _, r := range s.runs {
		v = append(v, r.cpu.Seconds())
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func (s *subject) peakMB() float64 {
	var most int64
	for _, r := range s.runs {
		most = max(most, r.peak)
	}
	return float64(most) / (1 << 20)
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
