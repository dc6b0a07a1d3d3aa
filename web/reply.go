package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"bouncelog/bounce"
	"bouncelog/internal/table"
	"bouncelog/judge"
	"bouncelog/report"
	"bouncelog/store"
)

// replyID returns the id of a template in a URL.
func replyID(template string) string {
	sum := sha256.Sum256([]byte(template))
	return hex.EncodeToString(sum[:6])
}

// replyLists returns the replies that match a filter, the most frequent first.
func (v *screen) replyLists(ctx context.Context, r store.Reader, f store.Filter, top int, pairs ...string) error {
	replies, err := r.Replies(ctx, f)
	if err != nil {
		return err
	}
	l := v.replyList(distinct(replies), pairs...)
	if top > 0 {
		v.cut(l, top)
	} else {
		v.sorted(l, "attempts")
		v.paged(l)
	}
	v.Tables = append(v.Tables, l)
	return nil
}

func (v *screen) replyList(replies []store.Reply, pairs ...string) *list {
	l := &list{Name: "replies", Plain: true, Title: "Replies", Empty: "No failed attempt.", Columns: []table.Column{
		{Name: "attempts", Number: true}, {Name: "reply", Flex: true}, {Name: "code"}, {Name: "outcome"}, {Name: "reason"}, {Name: "scope", Minor: true}, {Name: "rule"}, {Name: "confidence", Minor: true},
	}}
	slices.SortFunc(replies, func(a, b store.Reply) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), strings.Compare(a.Template, b.Template), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Outcome, b.Outcome))
	})
	for i := range replies {
		x := &replies[i]
		code := ""
		if x.Code != 0 {
			code = table.Text(int64(x.Code))
		}
		if x.Enhanced != 0 {
			code = strings.TrimSpace(code + " " + x.Enhanced.String())
		}
		with := append(pairs[:len(pairs):len(pairs)], "reply", replyID(x.Template), "outcome", x.Outcome.String())
		if x.Reason != bounce.NoReason {
			with = append(with, "reason", x.Reason.String())
		}
		to := v.rows(with...)
		whole := reply(&store.Attempt{Delivery: bounce.Delivery{Code: x.Code, Enhanced: x.Enhanced, Response: x.Template}})
		text := cell{Value: x.Template, URL: v.url("trace", "q", table.Cut(whole, 1000))}
		if x.Template == "" { // given up at the end of the queue lifetime, without another try
			text = cell{Value: "(no reply)"}
		}
		l.Rows = append(l.Rows, row{URL: to, Cells: []cell{
			{Value: x.Attempts, URL: to},
			text,
			{Value: code},
			{Value: x.Outcome.String()},
			{Value: x.Reason.String()},
			{Value: x.Scope.String()},
			{Value: x.Rule},
			{Value: x.Confidence.String()},
		}})
	}
	return l
}

// distinct adds up replies with the same template, outcome and reason, which a page cannot
// distinguish. The other fields come from the most frequent one.
func distinct(replies []store.Reply) []store.Reply {
	type key struct {
		template string
		outcome  bounce.Outcome
		reason   bounce.Reason
	}
	at := map[key]int{}
	var list []store.Reply
	for _, x := range replies {
		k := key{x.Template, x.Outcome, x.Reason}
		i, known := at[k]
		if !known {
			at[k] = len(list)
			list = append(list, x)
			continue
		}
		n := list[i].Attempts + x.Attempts
		if x.Attempts > list[i].Attempts {
			list[i] = x
		}
		list[i].Attempts = n
	}
	return list
}

// replies lists the replies; those without a known cause are a work list.
func (v *screen) replies(ctx context.Context, r store.Reader, _ *http.Request, _ string) error {
	v.Name, v.Title, v.Phrases = "replies", "Replies", phrases("Replies and their reasons")
	v.Command = v.sel.command(v.o.Period, nil, "report", "--section", "reasons,unparsed", "--all")
	replies, err := r.Replies(ctx, v.sel.filter)
	if err != nil {
		return err
	}
	replies = distinct(replies)
	var unknown []store.Reply
	reasons, n := map[bounce.Reason]*store.Tally{}, int64(0)
	for _, x := range replies {
		if x.Reason == bounce.Unknown {
			unknown = append(unknown, x)
			n += x.Attempts
		}
		t := reasons[x.Reason]
		if t == nil {
			t = &store.Tally{}
			reasons[x.Reason] = t
		}
		t.Attempts += x.Attempts
		if x.Outcome == bounce.Hard {
			t.Hard += x.Attempts
		} else {
			t.Soft += x.Attempts
		}
	}
	v.Facts = append(v.Facts, report.Fact{Label: "Different replies", Value: len(replies)}, report.Fact{Label: "Without a known cause", Value: len(unknown), Note: "in " + table.Count(n, "attempt")})
	all := v.replyList(replies)
	all.Title = "All replies"
	v.sorted(all, "attempts")
	v.paged(all)
	by := &list{Name: "reasons", Plain: true, Title: "By reason", Empty: "No failed attempt.", Columns: []table.Column{{Name: "reason"}, {Name: "who acts"}, {Name: "soft", Number: true}, {Name: "hard", Number: true}, {Name: "meaning", Flex: true}}}
	keys := make([]bounce.Reason, 0, len(reasons))
	for k := range reasons {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b bounce.Reason) int {
		return cmp.Or(cmp.Compare(reasons[b].Attempts, reasons[a].Attempts), cmp.Compare(a, b))
	})
	for _, k := range keys {
		t := judge.ReasonText(k)
		to := v.url("replies", "reason", k.String())
		by.Rows = append(by.Rows, row{URL: to, Cells: []cell{
			{Value: k.String(), URL: to},
			{Value: t.Scope.String()},
			figure(reasons[k].Soft, v.rows("outcome", "soft", "reason", k.String())),
			figure(reasons[k].Hard, v.rows("outcome", "hard", "reason", k.String())),
			{Value: t.Meaning},
		}})
	}
	v.Tables = append(v.Tables, all)
	if v.extra.Get("page") == "" {
		v.Tables = append(v.Tables, by)
		if len(unknown) > 0 && len(v.sel.words["reason"]) == 0 {
			work := v.replyList(unknown)
			work.Name, work.Title = "unknown", "Work list: replies without a known cause"
			work.Note = "A rule of your own can name the cause: see 'bouncelog explain --rules'."
			v.cut(work, 15)
			v.Tables = append(v.Tables, work)
		}
		if v.form == formHTML { // the reasons come first
			v.Tables = append(v.Tables[1:2:2], append(v.Tables[2:len(v.Tables):len(v.Tables)], all)...)
		}
	}
	return nil
}

// reply returns the reply in one line.
func reply(a *store.Attempt) string {
	var b strings.Builder
	if code := strconv.Itoa(int(a.Code)); strings.HasPrefix(a.Response, code) {
		return a.Response
	} else if a.Code != 0 {
		b.WriteString(code + " ")
	}
	if a.Enhanced != 0 && !strings.HasPrefix(a.Response, a.Enhanced.String()) {
		b.WriteString(a.Enhanced.String() + " ")
	}
	b.WriteString(a.Response)
	return b.String()
}
