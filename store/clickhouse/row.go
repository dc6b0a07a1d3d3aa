package clickhouse

import (
	"hash/fnv"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// ended is the outcome of a row that ends a pair. Its other columns are those of the pair's first
// soft failure, so that every filter selects both or neither.
const ended = "ended"

// A row is a row of the table attempt.
type row struct {
	Recipient       string
	At              int64
	Source          string
	Offset          int64
	N               int64
	Host            string
	QueueID         string
	Outcome         string
	ToldBy          string
	Line            int64
	Precedence      uint64
	MTA             string
	Instance        string
	Agent           string
	MessageID       string
	MessageHash     uint64
	Sender          string
	SenderDomain    string
	SenderKnown     bool
	RecipientDomain string
	Original        string
	RelayHost       string
	RelayIP         string
	RelayPort       uint16
	Status          string
	Code            uint16
	Enhanced        uint32
	Stage           string
	Template        string
	Response        string
	Local           bool
	Untried         bool
	Disposal        string
	TLS             string
	Delay           float64
	ClientIP        string
	SASLUser        string
	Reason          string
	Detail          string
	Scope           string
	Rule            string
	Confidence      string
	Pair            bool
	PairSource      string
	PairOffset      int64
	First           bool
	ToDomain        bool
	Warning         string
}

// rowColumns are the columns of a row.
const rowColumns = `recipient, at, source, offset, n, host, queue_id, outcome, told_by, line, precedence, mta, instance, agent, message_id, message_hash,
	sender, sender_domain, sender_known, recipient_domain, original_recipient, relay_host, relay_ip, relay_port, status, code, enhanced, stage,
	template, response, local, untried, disposal, tls, delay, client_ip, sasl_user, reason, detail, scope, rule, confidence,
	pair, pair_source, pair_offset, first, to_domain, warning`

// targets returns pointers to the fields of a row, in the order of rowColumns.
func (r *row) targets() []any {
	return []any{
		&r.Recipient, &r.At, &r.Source, &r.Offset, &r.N, &r.Host, &r.QueueID, &r.Outcome, &r.ToldBy, &r.Line, &r.Precedence, &r.MTA, &r.Instance, &r.Agent, &r.MessageID, &r.MessageHash,
		&r.Sender, &r.SenderDomain, &r.SenderKnown, &r.RecipientDomain, &r.Original, &r.RelayHost, &r.RelayIP, &r.RelayPort, &r.Status, &r.Code, &r.Enhanced, &r.Stage,
		&r.Template, &r.Response, &r.Local, &r.Untried, &r.Disposal, &r.TLS, &r.Delay, &r.ClientIP, &r.SASLUser, &r.Reason, &r.Detail, &r.Scope, &r.Rule, &r.Confidence,
		&r.Pair, &r.PairSource, &r.PairOffset, &r.First, &r.ToDomain, &r.Warning,
	}
}

// rowOf converts an attempt to a row.
func rowOf(a *store.Attempt, line int64) *row {
	text := a.Template.Text
	switch {
	case a.Outcome == bounce.Delivered: // its Template is only the opening of the response
		text, _ = bounce.Split(a.Response)
	case text == "":
		text = bounce.TemplateOf(&a.Delivery).Text
	}
	r := &row{
		Recipient: store.Clean(a.Recipient, store.MaxName), At: a.Time.Unix(), Source: store.Clean(a.Source, store.MaxWord), Offset: a.Offset, N: a.N,
		Host: store.Clean(a.Host, store.MaxWord), QueueID: store.Clean(a.QueueID, store.MaxWord), Outcome: a.Outcome.String(), ToldBy: store.Clean(a.Source, store.MaxWord), Line: line,
		MTA: string(a.MTA), Instance: store.Clean(a.Instance, store.MaxName), Agent: store.Clean(a.Agent, store.MaxWord),
		MessageID: store.Clean(a.MessageID, store.MaxName), Sender: store.Clean(a.Sender, store.MaxName), SenderDomain: store.Clean(a.SenderDomain, store.MaxName), SenderKnown: a.SenderKnown,
		RecipientDomain: store.Clean(a.RecipientDomain, store.MaxName), Original: store.Clean(a.OriginalRecipient, store.MaxName),
		RelayHost: store.Clean(a.RelayHost, store.MaxName), RelayIP: store.Clean(a.RelayIP, store.MaxWord), RelayPort: a.RelayPort,
		Status: store.Clean(a.Status, store.MaxWord), Code: a.Code, Enhanced: uint32(a.Enhanced), Stage: a.Stage.String(),
		Template: store.Clean(text, store.MaxResponse), Response: store.Clean(a.Response, store.MaxResponse), Local: a.Local, Untried: a.Untried,
		Disposal: string(a.Disposal), TLS: store.Clean(a.TLS, store.MaxWord), Delay: store.RoundDelay(a.Delay),
		ClientIP: store.Clean(a.ClientIP, store.MaxWord), SASLUser: store.Clean(a.SASLUser, store.MaxName),
		PairOffset: -1, Warning: store.Clean(a.Warning, store.MaxName),
	}
	if r.SASLUser != "" {
		r.ClientIP = ""
	}
	if a.Time.IsZero() {
		r.At = time.Time{}.Unix()
	}
	r.setVerdict(a.Verdict)
	r.MessageHash = hash(r.MessageID)
	if a.Outcome == bounce.Delivered {
		r.MessageID, r.Response, r.ClientIP, r.SASLUser = "", "", "", ""
	}
	return r
}

func (r *row) setVerdict(v bounce.Verdict) {
	r.Reason, r.Detail, r.Scope, r.Rule, r.Confidence = v.Reason.String(), store.Clean(v.Detail, store.MaxWord), v.Scope.String(), store.Clean(v.Rule, store.MaxWord), v.Confidence.String()
}

func (r *row) verdict() bounce.Verdict {
	v := bounce.Verdict{Detail: r.Detail, Rule: r.Rule}
	v.Reason, _ = bounce.ParseReason(r.Reason)
	v.Scope, _ = bounce.ParseScope(r.Scope)
	v.Confidence, _ = bounce.ParseConfidence(r.Confidence)
	return v
}

// attempt converts a row to an attempt.
func (r *row) attempt() *store.Attempt {
	a := &store.Attempt{
		Delivery: bounce.Delivery{
			Source: r.Source, Offset: r.Offset, Time: unix(r.At), Host: r.Host, MTA: bounce.MTA(r.MTA), Instance: r.Instance, Agent: r.Agent,
			QueueID: r.QueueID, MessageID: r.MessageID, Sender: r.Sender, SenderDomain: r.SenderDomain, SenderKnown: r.SenderKnown,
			Recipient: r.Recipient, RecipientDomain: r.RecipientDomain, OriginalRecipient: r.Original,
			RelayHost: r.RelayHost, RelayIP: r.RelayIP, RelayPort: r.RelayPort, Status: r.Status, Code: r.Code, Enhanced: bounce.EnhancedCode(r.Enhanced),
			Response: r.Response, Local: r.Local, Untried: r.Untried, Disposal: bounce.Disposal(r.Disposal), TLS: r.TLS, Delay: r.Delay,
			ClientIP: r.ClientIP, SASLUser: r.SASLUser, Warning: r.Warning,
		},
		Verdict: r.verdict(),
		N:       r.N,
	}
	a.Outcome, _ = bounce.ParseOutcome(r.Outcome)
	a.Stage, _ = bounce.ParseStage(r.Stage)
	if a.Outcome == bounce.Delivered {
		a.Response = r.Template
	}
	return a
}

func unix(at int64) time.Time { return time.Unix(at, 0).UTC() }

// orZero returns a time; the zero time for nil.
func orZero(at *int64) time.Time {
	if at == nil {
		return time.Time{}
	}
	return unix(*at)
}

func orNil(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	at := t.Unix()
	return &at
}

// hash returns the hash by which a Message-ID is found; 0: there is none.
func hash(s string) uint64 {
	if s == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(s))
	return max(h.Sum64(), 1)
}
