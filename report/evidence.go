package report

import (
	"context"
	"time"

	"bouncelog/bounce"
	"bouncelog/internal/ascii"
	"bouncelog/store"
)

// evidence gives access to the other mail in the store.
type evidence struct {
	ctx      context.Context
	s        store.Reader
	f        store.Filter // selects by period, host and MTA only
	took     map[string]bool
	sends    map[string]bool
	servers  map[string]map[string]bool // by domain: the relays tried, and whether they took mail
	attempts map[string]int64           // by relay
	relay    string                     // the smarthost, if there is one
	last     map[string]time.Time       // see lastTook
	before   map[int64]*store.Attempt   // see readBefore; by Unix time
	days     map[string]time.Time       // last day on which a domain took mail
	exact    int                        // number of entries of last that are exact to the second
	looked   int                        // number of searches for stretches
}

// A claim is a fault that lies with the address itself, if it is true.
type claim struct {
	*store.Recipient
	*store.Fault
	domain string // in lower case
	relay  string // the smarthost that stated it; "": the server of the domain, or unknown
}

// times returns the first and the last time of the claim; those between are not known.
func (c *claim) times() [2]time.Time { return [2]time.Time{c.FirstSince, c.Fault.Last} }

// The limits of trust in a reply about an invalid address. A single refusal may be a fact. The same
// refusal of all recipients at once mostly comes from a broken table or resolver.
const (
	refusedTogether = 3                // addresses of one domain that were refused: more than one person who left
	leftTogether    = 2                // of these, addresses that took mail before
	refusedOfMany   = 5                // times as many as were delivered: some people who left, over hours
	goneTogether    = 2                // domains that the DNS did not find while no mail was delivered
	unansweredOf    = 10               // times as many deliveries as domains without a DNS answer: the resolver works
	nearby          = 10 * time.Minute // events closer than this belong together
	refusedForDays  = 72 * time.Hour   // a broken table is repaired within this time, even over a weekend
	relayShare      = 0.5              // minimum share of the attempts of a relay that may be a smarthost
	relayDomains    = 3                // minimum of domains that a smarthost takes mail for
	relaysTried     = 4                // relays examined, those that take most
	lookedAtMost    = 2000             // stretches to look for, see stretches
	askedAtMost     = 200              // queries about single moments or domains, the newest or largest first
	askedTogether   = 40               // moments of one query
	daysAtMost      = 60               // days searched for the last mail that a domain took
	readAtMost      = 1000             // deliveries read to find one to a server of others
)

// doubts holds the reasons against the faults that ownFault attributes to addresses.
type doubts map[statement]string

// A statement is an answer about an address: a store.Fault without its counts and times.
type statement struct {
	address  string // in lower case
	code     uint16
	enhanced bounce.EnhancedCode
	local    bool
	bounce.Verdict
}

func statementOf(h *store.Recipient, x *store.Fault) statement {
	return statement{ascii.Lower(h.Address), x.Code, x.Enhanced, x.Local, x.Verdict}
}

// add records why a claim is doubted.
func (d doubts) add(c *claim, why string) { d[statementOf(c.Recipient, c.Fault)] = why }

// has reports whether a claim is doubted.
func (d doubts) has(c *claim) bool { return d.doubt(c.Recipient, c.Fault) != "" }

// doubt returns why a fault of an address is doubted, or "".
func (d doubts) doubt(h *store.Recipient, x *store.Fault) string { return d[statementOf(h, x)] }
