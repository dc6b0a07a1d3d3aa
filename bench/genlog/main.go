// Command genlog writes a synthetic Postfix or Exim log together with the truth
// about it, so that a log analyser can be checked as well as timed. The same
// options and seed give the same bytes.
//
//	genlog -bytes 1G -rate 500000 -o mail.log -truth truth.json
//	genlog -mta exim -bytes 100M -rate 300000 -o mainlog -truth truth.json
//	genlog -lines 100000 -timestamp rfc3339 -queue-ids long | gzip > mail.log.gz
//
// Messages run through a calendar queue, so their lines interleave as in a
// real log. A message has one to six recipients. Each attempt ends as the
// recipient and its domain make it end: unknown, disabled, full, refused by
// policy, vanishing half-way through the log; greylisting, rate limits, dead or
// missing mail hosts. Temporary failures are tried again with Postfix's
// back-off until they are delivered or expire; the log must span more than
// -lifetime to show the latter. The wording is that of ten kinds of receiving
// systems (responses.go). Use of senders, recipients and domains is skewed
// (Zipf). Addresses at the large providers are invented; all other names are
// reserved ones (RFC 2606).
//
// # The truth
//
// by_status counts the delivery lines sent, deferred and bounced; its expired
// counts recipients, as Postfix writes one status=expired line a message and
// Exim one "retry timeout exceeded" line a recipient. Expired ones are not in
// bounced. by_domain is the same by recipient domain (soft: deferred, hard:
// bounced lines), by_category says why the generator let the attempt end so.
//
// auth_incident.flagged lists the recipients that got a permanent 5.7.x after
// an earlier delivery in this log (an earlier line; it may bear the same
// second). Nothing else in the log does: there are 5.7.x to recipients never
// delivered to (lines_without_earlier_delivery, and the category policy),
// 4.7.x, and 5.1.1 after deliveries as counter-examples. imitation_lines are
// lines whose quoted subject imitates a delivery line; no other count has them.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
)

// domainTruth is what was written of one recipient domain.
type domainTruth struct {
	Domain   string `json:"domain"`
	Sent     int64  `json:"sent"`
	Deferred int64  `json:"soft"`
	Bounced  int64  `json:"hard"`
	Expired  int64  `json:"expired,omitempty"`
}

// truth is the summary that -truth writes.
type truth struct {
	MTA        string           `json:"mta"`
	Seed       int64            `json:"seed"`
	Lines      int64            `json:"lines"`
	Bytes      int64            `json:"bytes"`
	First      string           `json:"first_line"`
	Last       string           `json:"last_line"`
	Messages   int64            `json:"messages"`
	Deliveries int64            `json:"delivery_lines"`
	Status     map[string]int64 `json:"by_status"`
	Agents     map[string]int64 `json:"by_agent"`
	DSN        map[string]int64 `json:"by_dsn"`
	Category   map[string]int64 `json:"by_category"`
	Recipients int64            `json:"distinct_recipients"`
	Rejects    int64            `json:"smtpd_rejects"`
	Traps      int64            `json:"imitation_lines"`
	Auth       struct {
		Domains []string  `json:"domains"`
		From    string    `json:"from"`
		To      string    `json:"to"`
		Lines   int64     `json:"lines"`
		Cold    int64     `json:"lines_without_earlier_delivery"`
		Flagged []flagged `json:"flagged"`
	} `json:"auth_incident"`
	Domains []domainTruth `json:"by_domain"`
}

// size reads a number of bytes: 500, 100M, 1.5G (decimal multiples).
func size(s string) (int64, error) {
	mul := int64(1)
	t := strings.ToUpper(strings.TrimSpace(s))
	t = strings.TrimSuffix(t, "B")
	for suf, m := range map[string]int64{"K": 1e3, "M": 1e6, "G": 1e9} {
		if strings.HasSuffix(t, suf) {
			mul, t = m, strings.TrimSuffix(t, suf)
			break
		}
	}
	v, err := strconv.ParseFloat(t, 64)
	return int64(v * float64(mul)), err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "genlog:", err)
		os.Exit(1)
	}
}

func run() error {
	cfg := &config{}
	var bytes, start, outName, truthName, lifetime string
	flag.StringVar(&cfg.mta, "mta", "postfix", "postfix or exim")
	flag.Int64Var(&cfg.lines, "lines", 0, "stop after this many lines")
	flag.StringVar(&bytes, "bytes", "", "stop after this many bytes (100M, 1G)")
	flag.Int64Var(&cfg.seed, "seed", 1, "seed: the same options and seed give the same bytes")
	flag.StringVar(&start, "start", "2026-03-02T00:00:00Z", "time of the first line (RFC 3339)")
	flag.Float64Var(&cfg.rate, "rate", 1e6, "messages per day")
	flag.StringVar(&cfg.stamp, "timestamp", "default", "rfc3164, rfc3339, or default (Postfix: rfc3164, Exim: its own)")
	flag.Float64Var(&cfg.bounceRate, "bounce-rate", 0.04, "share of recipients that permanently fail")
	flag.IntVar(&cfg.senders, "senders", 3000, "local senders")
	flag.IntVar(&cfg.recipients, "recipients", 200000, "remote recipients")
	flag.IntVar(&cfg.domains, "domains", 20000, "remote domains")
	flag.Float64Var(&cfg.inbound, "inbound", 0.2, "share of messages for local mailboxes")
	flag.Float64Var(&cfg.noise, "noise", 1.0, "unrelated events per message")
	flag.StringVar(&cfg.host, "host", "mx1", "this server's name")
	flag.StringVar(&cfg.queueIDs, "queue-ids", "short", "short or long (Postfix long ids; Exim 4.97 ids)")
	flag.StringVar(&lifetime, "lifetime", "8h", "how long a message stays queued")
	flag.IntVar(&cfg.incDomains, "incident-domains", 4, "domains the authentication incident hits (at most 8; 0: none)")
	flag.Float64Var(&cfg.incAt, "incident-at", 0.6, "where the incident starts, as a share of the expected time span")
	flag.Float64Var(&cfg.incLen, "incident-length", 0.08, "how long it lasts, as a share of the expected time span")
	flag.BoolVar(&cfg.traps, "traps", true, "a few lines whose text imitates a delivery line")
	flag.StringVar(&outName, "o", "-", "log file (- is standard output)")
	flag.StringVar(&truthName, "truth", "", "write the truth summary here")
	flag.Parse()

	var err error
	if bytes != "" {
		if cfg.bytes, err = size(bytes); err != nil {
			return fmt.Errorf("-bytes: %w", err)
		}
	}
	if cfg.bytes <= 0 && cfg.lines <= 0 {
		cfg.lines = 100000
	}
	if cfg.start, err = time.Parse(time.RFC3339, start); err != nil {
		return fmt.Errorf("-start: %w", err)
	}
	if cfg.mta != "postfix" && cfg.mta != "exim" {
		return fmt.Errorf("-mta: %q is neither postfix nor exim", cfg.mta)
	}
	if cfg.stamp == "default" && cfg.mta == "postfix" {
		cfg.stamp = "rfc3164"
	}
	lt, err := time.ParseDuration(lifetime)
	if err != nil {
		return fmt.Errorf("-lifetime: %w", err)
	}
	if cfg.rate <= 0 || cfg.senders < 1 || cfg.recipients < 1 || cfg.domains < 1 {
		return fmt.Errorf("-rate, -senders, -recipients and -domains must be positive")
	}
	cfg.lifetime = int64(lt / time.Second)
	// When is which share of the log written? From the mean volume of one
	// message follows how many messages to expect; the daily curve does the rest.
	perMsg, perLine := 1860.0, 166.0
	if cfg.mta == "exim" {
		perMsg, perLine = 865, 205
	}
	want := float64(cfg.bytes)
	if cfg.bytes <= 0 {
		want = float64(cfg.lines) * perLine
	}
	when := func(share float64) int64 {
		t, left := cfg.start.Unix(), share*want/perMsg
		for left > 0 {
			left -= cfg.rate / 86400 * 60 * diurnal(t)
			t += 60
		}
		return t
	}
	cfg.incFrom = when(cfg.incAt)
	cfg.incTo = when(cfg.incAt + cfg.incLen)
	cfg.vanishAt = when(0.5)

	var out io.Writer = os.Stdout
	var file *os.File
	if outName != "-" {
		if file, err = os.Create(outName); err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	s := newSim(cfg, out)
	if err := s.run(); err != nil {
		return err
	}
	if file != nil {
		if err := file.Close(); err != nil {
			return err
		}
	}
	if truthName == "" {
		return nil
	}
	return writeTruth(s, truthName)
}

func writeTruth(s *sim, name string) error {
	t := s.truth()
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	enc.SetIndent("", " ")
	if err := enc.Encode(t); err != nil {
		return err
	}
	return f.Close()
}

func (s *sim) truth() *truth {
	stamp := func(t int64) string { return time.Unix(t, 0).UTC().Format(time.RFC3339) }
	t := truth{
		MTA: s.cfg.mta, Seed: s.cfg.seed, Lines: s.lines, Bytes: s.total, First: stamp(s.firstLine), Last: stamp(s.lastLine),
		Messages: s.messages, Agents: s.byAgent, DSN: s.dsn, Recipients: s.distinct, Rejects: s.rejects, Traps: s.trapLines,
		Status: map[string]int64{"sent": s.status[0], "deferred": s.status[1], "bounced": s.status[2], "expired": s.status[3]}, Category: map[string]int64{},
	}
	t.Deliveries = s.status[0] + s.status[1] + s.status[2]
	for i, n := range s.cats {
		t.Category[catNames[i]] = n
	}
	for i := range s.w.dom {
		d := &s.w.dom[i]
		if d.incident {
			t.Auth.Domains = append(t.Auth.Domains, d.name)
		}
		if d.sent+d.deferred+d.bounced+d.expired > 0 {
			t.Domains = append(t.Domains, domainTruth{d.name, d.sent, d.deferred, d.bounced, d.expired})
		}
	}
	sort.Slice(t.Domains, func(i, j int) bool { return t.Domains[i].Domain < t.Domains[j].Domain })
	sort.Slice(s.flags, func(i, j int) bool { return s.flags[i].Recipient < s.flags[j].Recipient })
	t.Auth.From, t.Auth.To = stamp(s.cfg.incFrom), stamp(s.cfg.incTo)
	t.Auth.Lines, t.Auth.Cold, t.Auth.Flagged = s.authHits, s.authCold, s.flags
	return &t
}
