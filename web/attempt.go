package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/internal/provider"
	"bouncelog/internal/table"
	"bouncelog/internal/when"
	"bouncelog/judge"
	"bouncelog/report"
	"bouncelog/report/render"
	"bouncelog/store"
)

// attempt shows one attempt: its fields, its meaning and its log line.
func (v *screen) attempt(ctx context.Context, r store.Reader, text string) error {
	ref, ok := parseRef(text)
	if !ok {
		return mistakef(http.StatusNotFound, "There is no such attempt.")
	}
	found, err := r.Lookup(ctx, ref)
	if err != nil {
		return err
	}
	a := found[0] // one per requested ref; nil: not found
	if a == nil || v.scope.domain != "" && a.SenderDomain != v.scope.domain {
		return mistakef(http.StatusNotFound, "There is no such attempt, or it is no longer kept.")
	}
	v.Name, v.Title = "attempt", a.Recipient
	sentence := report.Sentence(a)
	v.Phrases = []report.Phrase{{Text: strings.ToUpper(sentence[:1]) + sentence[1:], Bad: a.Outcome == bounce.Hard}}
	v.Command = "bouncelog trace " + table.ShellWord(a.QueueID)
	v.Facts = append(v.Facts, report.Fact{Label: "Time", Value: when.Stamp(a.Time.In(v.o.Location), "2006-01-02 15:04:05 MST")}, report.Fact{Label: "Outcome", Value: a.Outcome.String()})
	if a.Reason != bounce.NoReason {
		v.Facts = append(v.Facts, report.Fact{Label: "Reason", Value: a.Reason.String()})
	}
	if err := v.line(ctx, r, a); err != nil {
		return err
	}
	v.explain(&a.Delivery, v.o.Judge.Explain(&a.Delivery))
	links := part{Title: "Go on"}
	add := func(name, url string) { links.Links = append(links.Links, anchor{name, url}) }
	if a.QueueID != "" {
		add("message "+a.QueueID, v.url("trace", "q", a.QueueID))
	}
	add("all of "+a.Recipient, v.url("trace", "q", a.Recipient))
	if a.RecipientDomain != "" {
		add("domain "+a.RecipientDomain, v.url(deep("domains", a.RecipientDomain)))
	}
	if a.RelayHost != "" {
		add("provider "+provider.OfHost(a.RelayHost), v.relayURL(a))
	}
	if a.SenderDomain != "" && v.scope.domain == "" {
		add("sender domain "+a.SenderDomain, v.url("", "sender-domain", a.SenderDomain))
	}
	v.Parts = append(v.Parts, links)
	l := &list{Name: "fields", Plain: true, Title: "Stored fields", Columns: []table.Column{{Name: "field"}, {Name: "value", Flex: true}}}
	columns, all := v.fields(a)
	for i, c := range columns {
		if all.Cells[i].Value != nil {
			l.Rows = append(l.Rows, row{Cells: []cell{{Value: c.Name}, all.Cells[i]}})
		}
	}
	v.Tables = append(v.Tables, l)
	return nil
}

// lineAtMost is the number of bytes of a log line that are shown.
const lineAtMost = 16 << 10

// line shows the attempt's log line if the log can be read, and otherwise its file and offset.
func (v *screen) line(ctx context.Context, r store.Reader, a *store.Attempt) error {
	if v.scope.domain != "" {
		return nil
	}
	read, err := r.Coverage(ctx)
	if err != nil {
		return err
	}
	for _, s := range read.Sources {
		if s.ID != a.Source {
			continue
		}
		p := part{Title: "Log line"}
		if text, ok := readLine(s.Path, a); ok {
			p.Code = text
			p.Lines = append(p.Lines, fmt.Sprintf("%s, from byte %d on", s.Path, a.Offset))
		} else {
			p.Lines = append(p.Lines, fmt.Sprintf("%s, from byte %d on (after decompression). This service cannot read it; as root:", s.Path, a.Offset))
			p.Code = fmt.Sprintf("tail -c +%d %s | head -n 1", a.Offset+1, table.ShellWord(s.Path))
			if strings.HasPrefix(s.Path, "journal:") {
				p.Lines = []string{"It came from the journal."}
				p.Code = fmt.Sprintf("journalctl --since=%s --until=%s", table.ShellWord(a.Time.Add(-time.Second).Format("2006-01-02 15:04:05 UTC")), table.ShellWord(a.Time.Add(2*time.Second).Format("2006-01-02 15:04:05 UTC")))
				if a.QueueID != "" {
					p.Code += " | grep " + table.ShellWord(a.QueueID)
				}
			}
		}
		v.Parts = append(v.Parts, p)
	}
	return nil
}

// readLine reads the line at which an attempt begins. The line must contain the queue id and the
// recipient's domain, since the log may have been rotated.
func readLine(path string, a *store.Attempt) (string, bool) {
	st, err := os.Lstat(path)
	if err != nil || !st.Mode().IsRegular() || a.QueueID == "" {
		return "", false
	}
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if _, err := f.Seek(a.Offset, io.SeekStart); err != nil {
		return "", false
	}
	raw, err := bufio.NewReaderSize(io.LimitReader(f, lineAtMost), 4096).ReadBytes('\n')
	if err != nil && len(raw) == 0 {
		return "", false
	}
	raw = bytes.TrimRight(raw, "\r\n")
	if !bytes.Contains(raw, []byte(a.QueueID)) || !bytes.Contains(bytes.ToLower(raw), []byte(ascii.Lower(a.RecipientDomain))) {
		return "", false
	}
	return string(raw), true
}

// explain shows the meaning of a reply.
func (v *screen) explain(d *bounce.Delivery, x judge.Explanation) {
	p := part{Title: "Explanation"}
	if d.Response != "" {
		p.Code = strings.TrimSpace(reply(&store.Attempt{Delivery: *d}))
	}
	say := func(label, text string) {
		switch {
		case text == "":
		case label == "":
			p.Lines = append(p.Lines, text)
		default:
			p.Facts = append(p.Facts, report.Fact{Label: label, Value: text})
		}
	}
	if x.Title != "" {
		say("", strings.ToUpper(x.Title[:1])+x.Title[1:]+".")
	}
	say("", x.Meaning)
	say("Who acts", x.Turn)
	say("Retry", x.Retry)
	for i, step := range x.Do {
		say([]string{"To do", "Then"}[min(i, 1)], step)
	}
	say("Could also be", x.Also)
	say("Judgement", x.Sure)
	say("Reference", x.RFC)
	for _, link := range x.Links {
		if strings.HasPrefix(link, "https://") {
			p.Links = append(p.Links, anchor{link, link})
		}
	}
	v.Parts = append(v.Parts, p)
}

// fields returns all fields of an attempt. For the holder of a link it omits those that name the
// submitter of the message or hold the server's own warnings.
func (v *screen) fields(a *store.Attempt) (columns []table.Column, r row) {
	cells := render.AttemptCells(a)
	for i, c := range render.AttemptColumns() {
		if v.scope.domain == "" || c.Name != "client_host" && c.Name != "client_ip" && c.Name != "sasl_user" {
			columns, r.Cells = append(columns, c), append(r.Cells, cell{Value: cells[i]})
		}
	}
	if v.scope.domain == "" {
		columns, r.Cells = append(columns, table.Column{Name: "warning"}), append(r.Cells, cell{Value: table.Optional(a.Warning)})
	}
	return columns, r
}

func parseRef(s string) (r store.Ref, ok bool) {
	parts := strings.SplitN(s, ".", 4)
	if len(parts) != 4 {
		return r, false
	}
	for i, to := range []*int64{&r.Time, &r.Offset, &r.N} {
		n, err := strconv.ParseInt(parts[i], 10, 64)
		if err != nil {
			return r, false
		}
		*to = n
	}
	r.Source = parts[3]
	return r, r.Source != ""
}

// refText formats a ref for a URL, so that the order of time is kept.
func refText(r store.Ref) string { return fmt.Sprintf("%d.%d.%d.%s", r.Time, r.Offset, r.N, r.Source) }

// attemptURL returns the URL of the page of one attempt.
func (v *screen) attemptURL(r store.Ref) string { return v.url(deep("attempts", refText(r))) }

func (v *screen) relayURL(a *store.Attempt) string {
	if a.RelayHost == "" {
		return ""
	}
	return v.url(deep("providers", provider.OfHost(a.RelayHost)))
}

func outcomeClass(a *store.Attempt) string {
	switch a.Outcome {
	case bounce.Delivered:
		return "mark-takes"
	case bounce.Soft:
		return "mark-fails"
	case bounce.Hard:
		return "mark-refuses"
	}
	return ""
}
