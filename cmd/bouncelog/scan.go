package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncelog/internal/dnsscan"
	"bouncelog/internal/table"
	"bouncelog/internal/term"
	"bouncelog/parser"
	"bouncelog/problem"
	"bouncelog/report"
)

// scanFlags holds the options of scan.
type scanFlags struct {
	in        input
	out       output
	sel       selection
	ask       dnsAsk
	flag      thresholds
	flagged   bool
	ips       []string
	selectors []string
	failOn    string
}

func newScan() *cobra.Command {
	var x scanFlags
	lists := make([]string, 0, 4)
	for _, l := range dnsscan.Blocklists() {
		lists = append(lists, fmt.Sprintf("  %-18s %s", l.Zone, l.Terms))
	}
	cmd := &cobra.Command{
		Use:   "scan DOMAIN... | --flagged [FILE...]",
		Short: "Check SPF, DKIM, DMARC, MX, PTR and blocklists in the DNS",
		Long: `Looks up sender domains and sending addresses in the DNS as receivers do: MX, SPF,
DKIM keys, DMARC, the names of the addresses (PTR, HELO), MTA-STS, TLS-RPT, DANE and
blocklists. Each finding says why mail is refused for it, and which record to publish.

With --flagged it scans the sender domains of the confirmed and likely problems
of the report, from the database or from the log FILEs, and at the sending addresses
and DKIM selectors that the refusing replies name.

Only DNS queries are sent: no connection to a mail server is made, and no MTA-STS
policy is fetched over HTTPS. Blocklists are queried through your resolver; their terms
of use apply to you:
` + strings.Join(lists, "\n"),
		Example: `  bouncelog scan example.com --ip 192.0.2.25 --selector mail
  bouncelog scan --flagged -d yesterday
  bouncelog scan --flagged /var/log/mail.log --ip 192.0.2.25 --fail-on error`,
		RunE: x.run,
	}
	x.in.flags(cmd)
	x.out.flags(cmd, "words")
	x.sel.flags(cmd)
	x.flag.flags(cmd)
	x.ask.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&x.flagged, "flagged", false, "scan the domains and addresses of the report's confirmed and likely problems")
	f.StringSliceVar(&x.ips, "ip", nil, "a sending `ADDRESS`, as receivers see it; repeatable")
	f.StringSliceVar(&x.selectors, "selector", nil, "a DKIM `SELECTOR` in use (s= in the DKIM-Signature; default: common ones are tried)")
	f.StringVar(&x.failOn, "fail-on", "", "exit with 4 if a finding has this `LEVEL` or worse: error or warning")
	groupUsage(cmd, scanGroups)
	return cmd
}

func (x *scanFlags) run(cmd *cobra.Command, args []string) error {
	form, err := x.out.form(table.FormatTable)
	if err != nil {
		return err
	}
	inWords := form == table.FormatTable && x.out.format == ""
	if x.failOn != "" && x.failOn != string(dnsscan.Error) && x.failOn != string(dnsscan.Warning) {
		return usageErrorf("there are error and warning", "--fail-on %s: no such level", x.failOn)
	}
	if err := x.flag.check(); err != nil {
		return err
	}
	client, err := x.ask.client()
	if err != nil {
		return err
	}
	s := subjects{selectors: x.selectors}
	if err := s.addIPs(x.ips); err != nil {
		return err
	}
	unread := false
	switch {
	case x.flagged:
		if unread, err = x.findFlagged(cmd, args, &s); err != nil {
			return err
		}
	case len(args) == 0 && len(x.ips) == 0:
		return usageErrorf("as in 'bouncelog scan example.com --ip 192.0.2.25', or 'bouncelog scan --flagged'", "scan: a domain is missing")
	default:
		for _, flag := range []string{"since", "until", "day", "domain", "sender-domain", "relay", "host", "mta", "outcome", "reason"} {
			if f := cmd.Flag(flag); f != nil && onCommandLine(f) {
				return usageErrorf("add --flagged to scan what the log shows", "--%s goes with --flagged only", flag)
			}
		}
		if err := s.addDomains(args); err != nil {
			return err
		}
	}
	found, err := x.ask.findings(cmd.Context(), client, s)
	if err != nil {
		return err
	}
	err = x.out.write(cmd, func(w io.Writer) error {
		if inWords {
			return tellFindings(w, found, x.ask.blocklists())
		}
		return writeFindings(w, form, found)
	})
	if err != nil {
		return err
	}
	return verdictOf(found, x.failOn, unread)
}

// findFlagged adds the domains and addresses of the confirmed and likely problems of the database, or
// of the logs. unread: some log was not read completely.
func (x *scanFlags) findFlagged(cmd *cobra.Command, paths []string, s *subjects) (unread bool, err error) {
	filter, _, err := x.sel.filter(&x.in)
	if err != nil {
		return false, err
	}
	db, unread, err := x.in.database(cmd, paths)
	if err != nil {
		return false, err
	}
	defer db.Close()
	r, err := db.Read(cmd.Context())
	if err != nil {
		return false, err
	}
	defer r.Close()
	problems, err := problem.Find(cmd.Context(), r, report.Judged(filter), x.flag.options())
	if err != nil {
		return false, err
	}
	s.addFlagged(cmd, problems)
	if err := errors.Join(r.Close(), db.Close()); err != nil {
		return false, err
	}
	alarms := slices.ContainsFunc(problems, func(p problem.Problem) bool { return p.Level != problem.Watch })
	switch {
	case len(s.domains) > 0 || len(s.ips) > 0:
	case alarms:
		fmt.Fprintln(cmd.ErrOrStderr(), "bouncelog: the problems name no sender domain and no sending address; the DNS was not asked\nhint: name them, as in 'bouncelog scan example.com --ip 192.0.2.25'")
	default:
		fmt.Fprintln(cmd.ErrOrStderr(), "bouncelog: no problem is flagged, and the DNS was not asked")
	}
	return unread, nil
}

var scanGroups = []flagGroup{
	{title: "Scanned", flags: []string{"ip", "selector", "helo", "flagged"}},
	{title: "DNS", flags: []string{"resolver", "timeout", "blocklist", "domain-blocklist", "no-blocklists"}},
	{title: "Output", flags: []string{"format", "output", "fail-on"}},
	{title: "More, explained in bouncelog-scan(1)", named: []string{
		"of --flagged: --day, --since, --until, --domain, --sender-domain, --relay, --host, --mta,",
		"            --outcome, --reason, --year, --tz, --rules, --db, --config",
		"thresholds: --problem-{recipients,messages,share,chance,window,past,valid}",
	}},
}

// dnsAsk holds the options about DNS queries.
type dnsAsk struct {
	resolvers        []string
	timeout          time.Duration
	helo             string
	lists, nameLists []string
	noLists          bool
}

func (q *dnsAsk) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&q.resolvers, "resolver", nil, "ask this DNS server, `ADDRESS` or ADDRESS:PORT (default: those of /etc/resolv.conf)")
	f.DurationVar(&q.timeout, "timeout", dnsscan.DefaultTimeout, "timeout of one query; each is sent twice at most")
	f.StringVar(&q.helo, "helo", "", "the HELO `NAME` of the sending server")
	f.StringArrayVar(&q.lists, "blocklist", nil, "use this address blocklist `ZONE` instead of the built-in lists")
	f.StringArrayVar(&q.nameLists, "domain-blocklist", nil, "use this domain blocklist `ZONE` instead of the built-in lists")
	f.BoolVar(&q.noLists, "no-blocklists", false, "use no blocklist")
}

// client checks the options and returns a DNS client.
func (q *dnsAsk) client() (*dnsscan.Client, error) {
	if q.timeout < 10*time.Millisecond || q.timeout > 5*time.Minute {
		return nil, usageErrorf("write it like 500ms or 5s", "--timeout %v: not a time to wait", q.timeout)
	}
	if q.noLists && len(q.lists)+len(q.nameLists) > 0 {
		return nil, usageErrorf("say either the one or the other", "--no-blocklists goes with neither --blocklist nor --domain-blocklist")
	}
	for flag, zones := range map[string][]string{"--blocklist": q.lists, "--domain-blocklist": q.nameLists} {
		for _, zone := range zones {
			if _, err := dnsscan.ParseDomain(zone); err != nil {
				return nil, usageErrorf("a zone looks like zen.spamhaus.org", "%s: %w", flag, err)
			}
		}
	}
	client := &dnsscan.Client{Timeout: q.timeout}
	for _, word := range q.resolvers {
		server, err := dnsscan.ParseServer(word)
		if err != nil {
			return nil, usageErrorf("write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53", "--resolver: %w", err)
		}
		client.Servers = append(client.Servers, server)
	}
	if len(client.Servers) == 0 {
		servers, err := dnsscan.SystemServers("/etc/resolv.conf")
		if err != nil {
			return nil, &exitError{status: exitFailed, err: fmt.Errorf("no DNS server is known: %w", err), hint: "--resolver ADDRESS names one"}
		}
		client.Servers = servers
	}
	return client, nil
}

// blocklists returns the blocklists to query.
func (q *dnsAsk) blocklists() []dnsscan.Blocklist {
	switch {
	case q.noLists:
		return nil
	case len(q.lists)+len(q.nameLists) == 0:
		return dnsscan.Blocklists()
	}
	var list []dnsscan.Blocklist
	for _, zone := range q.lists {
		list = append(list, dnsscan.Blocklist{Zone: strings.TrimSuffix(zone, ".")})
	}
	for _, zone := range q.nameLists {
		list = append(list, dnsscan.Blocklist{Zone: strings.TrimSuffix(zone, "."), Domains: true})
	}
	return list
}

// findings queries the DNS about the subjects.
func (q *dnsAsk) findings(ctx context.Context, client *dnsscan.Client, s subjects) ([]dnsscan.Finding, error) {
	if len(s.domains) == 0 && len(s.ips) == 0 {
		return nil, nil
	}
	found, err := dnsscan.Run(ctx, s.domains, s.ips, dnsscan.Options{
		Client: client, Selectors: s.selectors, HELO: q.helo, Blocklists: q.blocklists(),
	})
	if err != nil && ctx.Err() == nil {
		return nil, &exitError{status: exitFailed, err: fmt.Errorf("scan: %w", err), hint: "--resolver ADDRESS asks another DNS server; --timeout waits longer"}
	}
	return found, err
}

// subjects returns the domains and addresses to scan.
type subjects struct {
	domains   []string // that send mail, lower case, A-labels
	ips       []netip.Addr
	selectors []string // of DKIM keys; none: common ones
}

func (s *subjects) addDomains(words []string) error {
	for _, word := range words {
		domain, err := dnsscan.ParseDomain(parser.NormalDomain(word))
		if err != nil {
			hint := "a domain looks like example.com"
			if _, after, ok := strings.Cut(word, "@"); ok {
				hint = "give the part after the @: " + after
			} else if _, err := netip.ParseAddr(word); err == nil {
				hint = "--ip " + word + " scans an address"
			}
			return usageErrorf(hint, "scan: %w", err)
		}
		if !slices.Contains(s.domains, domain) {
			s.domains = append(s.domains, domain)
		}
	}
	if len(s.domains) > dnsscan.DomainsAtMost {
		return usageErrorf("scan them in several goes", "scan: %d domains are too many; %d at once", len(s.domains), dnsscan.DomainsAtMost)
	}
	return nil
}

func (s *subjects) addIPs(words []string) error {
	for _, word := range words {
		ip, err := netip.ParseAddr(strings.Trim(word, "[]"))
		if err != nil {
			return usageErrorf("an address looks like 192.0.2.25 or 2001:db8::25", "--ip: %q is not an IP address", word)
		}
		if ip = ip.Unmap().WithZone(""); !slices.Contains(s.ips, ip) {
			s.ips = append(s.ips, ip)
		}
	}
	if len(s.ips) > dnsscan.IPsAtMost {
		return usageErrorf("scan them in several goes", "--ip: %d addresses are too many; %d at once", len(s.ips), dnsscan.IPsAtMost)
	}
	for _, selector := range s.selectors {
		if _, err := dnsscan.ParseDomain(selector + "._domainkey.example.com"); err != nil {
			return usageErrorf("it is the value of s= in the DKIM-Signature of a message", "--selector: %q is not a selector", selector)
		}
	}
	return nil
}

// The most that --flagged takes from the log, so that a flood of refusals does not cause a flood of
// queries.
const (
	flaggedDomains   = 50
	flaggedIPs       = 10
	flaggedSelectors = 10
)

// addFlagged adds the domains, addresses and keys that the problems name.
func (s *subjects) addFlagged(cmd *cobra.Command, problems []problem.Problem) {
	flagged := map[string]bool{}
	more := 0
	var ips, selectors []string
	for _, p := range problems {
		if p.Level != problem.Confirmed && p.Level != problem.Likely {
			continue
		}
		ips, selectors = append(ips, p.Addresses...), append(selectors, p.Selectors()...)
		for _, domain := range p.SenderDomains {
			domain, err := dnsscan.ParseDomain(domain)
			if err != nil || flagged[domain] {
				continue
			}
			if flagged[domain] = true; len(s.domains) < flaggedDomains {
				s.domains = append(s.domains, domain)
			} else {
				more++
			}
		}
	}
	if more > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: %d more sender domains are flagged; the first %d are scanned\n", more, flaggedDomains)
	}
	// Who sends, and with which key, is in the refusals.
	if len(s.ips) == 0 {
		for _, word := range ips {
			ip, err := netip.ParseAddr(word)
			if err == nil && dnsscan.Public(ip) && !slices.Contains(s.ips, ip) && len(s.ips) < flaggedIPs {
				s.ips = append(s.ips, ip)
			}
		}
	}
	if len(s.selectors) == 0 {
		for _, selector := range selectors {
			if !slices.Contains(s.selectors, selector) && len(s.selectors) < flaggedSelectors {
				s.selectors = append(s.selectors, selector)
			}
		}
	}
}

// verdictOf returns the exit status for the findings.
func verdictOf(found []dnsscan.Finding, failOn string, unread bool) error {
	counts := map[dnsscan.Level]int{}
	for _, f := range found {
		counts[f.Level]++
		unread = unread || f.Unanswered && f.Level == dnsscan.Warning
	}
	if n := counts[dnsscan.Error]; failOn != "" && n > 0 {
		return &exitError{status: exitCondition, err: fmt.Errorf("the scan found errors: %d", n)}
	}
	if n := counts[dnsscan.Warning]; failOn == string(dnsscan.Warning) && n > 0 {
		return &exitError{status: exitCondition, err: fmt.Errorf("the scan found warnings: %d", n)}
	}
	if unread {
		return &exitError{status: exitPartly}
	}
	return nil
}

// writeFindings prints the findings as rows.
func writeFindings(w io.Writer, form table.Format, found []dnsscan.Finding) error {
	columns := []table.Column{
		{Name: "level"},
		{Name: "check"},
		{Name: "rule"},
		{Name: "domain"},
		{Name: "ip"},
		{Name: "what", Flex: true},
		{Name: "why", Flex: true},
		{Name: "do", Flex: true},
		{Name: "record", Flex: true},
		{Name: "reference"},
		{Name: "unanswered"},
	}
	if form == table.FormatTable {
		columns = columns[:6]
	}
	rw := table.NewRowWriter(w, form, columns)
	rw.OmitNil = true
	if term.Is(w) {
		rw.Width = term.Width(w)
	}
	for _, f := range found {
		cells := []any{
			string(f.Level), string(f.Check), f.Rule, table.Optional(f.Domain), table.Optional(f.IP),
			f.What, table.Optional(f.Why), table.Optional(f.Do), table.Optional(f.Record), table.Optional(f.Reference), nil,
		}
		if f.Unanswered {
			cells[10] = true
		}
		if err := rw.Row(cells[:len(columns)]); err != nil {
			return err
		}
	}
	return rw.Close()
}

// tellFindings prints the findings as text.
func tellFindings(w io.Writer, found []dnsscan.Finding, lists []dnsscan.Blocklist) error {
	const indent = 10
	out := bufio.NewWriter(w)
	width := term.Fold(w)
	subject := ""
	for _, f := range found {
		if s := cmp.Or(f.Domain, f.IP); s != subject {
			if subject != "" {
				out.WriteByte('\n')
			}
			subject = s
			labelled(out, width, 0, "", subject)
		}
		label := "  " + string(f.Level)
		if f.Level == dnsscan.Error || f.Level == dnsscan.Warning {
			label = strings.ToUpper(label)
		}
		labelled(out, width, indent+2, label, f.What)
		if f.Level == dnsscan.OK {
			continue
		}
		labelled(out, width, indent+2, "    why", f.Why)
		labelled(out, width, indent+2, "    do", f.Do)
		// One line a record, not folded, so that it can be copied.
		for record := range strings.SplitSeq(f.Record, "\n") {
			if record != "" {
				fmt.Fprintf(out, "%-*s%s\n", indent+2, "    record", table.Clean(record))
			}
		}
		labelled(out, width, indent+2, "    see", f.Reference)
	}
	counts := map[dnsscan.Level]int{}
	for _, f := range found {
		counts[f.Level]++
	}
	if len(found) > 0 {
		out.WriteByte('\n')
		for _, l := range lists {
			if l.Terms != "" {
				labelled(out, width, 0, "", "Terms of "+l.Zone+": "+l.Terms+".")
			}
		}
	}
	fmt.Fprintf(out, "errors: %d, warnings: %d, in order: %d\n", counts[dnsscan.Error], counts[dnsscan.Warning], counts[dnsscan.OK])
	return out.Flush()
}
