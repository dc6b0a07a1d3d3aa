//go:build linux

package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

var (
	cutQueueID = regexp.MustCompile(`(?:\]: |^\S+ \S+ (?:\[\d+\] )?)(?:\[\d+[/\\]\d+\] )?(?:\d{4}-\S+ \S+ (?:\[\d+\] )?)?([0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4}|[0-9A-F]{6,}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,})(?:$|[ :])`)
	cutChild   = regexp.MustCompile(`: (?:sender non-delivery notification|sender delay notification|postmaster non-delivery notification): (\w+)$|\(forwarded as (\w+)\)$|queued as (\w+)\)$`)
	cutParent  = regexp.MustCompile(` <= <> R=(\S+) `)
	cutProcess = regexp.MustCompile(` (\S+\[\d+\]): `)
	cutMore    = regexp.MustCompile(` \S+\[\d+\]: \[(\d+)[/\\]\d+\] `) // Exim's long lines through syslog
	cutRun     = regexp.MustCompile(`(Start|End) queue run: pid=(\d+)`)
)

// cut writes the lines of a log that belong to messages of the scenario, from
// arrival to removal, with the notifications about them, the SMTP sessions
// that brought them, and the queue runs in which something happened to them.
func cut(w io.Writer, name string, ids []string) error {
	var lines []string
	if err := readLines(name, func(l string) error { lines = append(lines, l); return nil }); err != nil {
		return err
	}
	keep := make([]bool, len(lines))
	wanted := map[string]bool{} // queue ids
	r := read(lines)
	for msgid, qids := range r.qids {
		id, _, _ := strings.Cut(msgid, ".")
		if slices.Contains(ids, id) {
			for _, q := range qids {
				wanted[q] = true
			}
		}
	}
	qid := func(l string) string {
		if m := cutQueueID.FindStringSubmatch(l); m != nil {
			return m[1]
		}
		return ""
	}
	for range 3 { // a notification may bounce in its turn
		for _, l := range lines {
			if m := cutParent.FindStringSubmatch(l); m != nil && wanted[m[1]] {
				wanted[qid(l)] = true
			}
			if m := cutChild.FindStringSubmatch(l); m != nil && wanted[qid(l)] {
				wanted[m[1]+m[2]+m[3]] = true
			}
		}
	}
	senders := regexp.MustCompile(`<(` + strings.Join(cutSenders(ids), "|") + `)>`)
	pending := map[string][]int{} // lines of a process whose message is not yet known
	more := map[string]bool{}     // whether the last line of a process was kept
	for i, l := range lines {
		if cutRun.MatchString(l) {
			continue
		}
		q := qid(l)
		if m := cutMore.FindStringSubmatch(l); m != nil && m[1] != "1" {
			keep[i] = more[cutProcess.FindStringSubmatch(l)[1]]
			continue
		}
		about := wanted[q] || strings.Contains(l, "reject") && senders.MatchString(l)
		keep[i] = about || strings.Contains(l, "daemon started")
		m := cutProcess.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		proc := m[1]
		more[proc] = keep[i]
		switch {
		case strings.Contains(proc, "smtpd["), strings.Contains(proc, "postscreen["): // a session, from connect to disconnect
			if !strings.Contains(l, ": warning: ") {
				pending[proc] = append(pending[proc], i)
			}
			about = slices.ContainsFunc(pending[proc], func(j int) bool { return keep[j] })
			if about {
				for _, j := range pending[proc] {
					keep[j] = true
				}
			}
			if strings.Contains(l, ": disconnect from ") {
				delete(pending, proc)
			}
		case strings.Contains(proc, "smtp[") && q == "": // a connection to a remote host: the next message's
			pending[proc] = append(pending[proc], i)
		case strings.Contains(proc, "smtp["):
			for _, j := range pending[proc] {
				keep[j] = keep[j] || about
			}
			delete(pending, proc)
		}
	}
	start := map[string]int{} // queue runs
	for i, l := range lines {
		m := cutRun.FindStringSubmatch(l)
		switch {
		case m == nil:
		case m[1] == "Start":
			start[m[2]] = i
		case slices.Contains(keep[start[m[2]]:i], true):
			keep[start[m[2]]], keep[i] = true, true
		}
	}
	for i, l := range lines {
		if keep[i] {
			if _, err := fmt.Fprintln(w, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutSenders gives the envelope senders of the messages, as a regular
// expression each: a refused message has neither queue id nor message id.
func cutSenders(ids []string) []string {
	all, err := loadScenario()
	if err != nil {
		panic(err) // it is compiled in
	}
	var out []string
	for _, m := range all {
		if slices.Contains(ids, m.id) && m.rcpts[0].stage == "inbound" {
			out = append(out, regexp.QuoteMeta(m.sender))
		}
	}
	if out == nil {
		out = []string{`\z.`} // matches nothing
	}
	return out
}
