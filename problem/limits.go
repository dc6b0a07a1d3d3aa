package problem

// These limits bound the search in memory and time, so that neither a flood of refusals
// nor of invented names can fill the memory, and a report does not slow down with history.
// What is beyond a limit is left out; the comment says what that costs.
const (
	streamsKept      = 10_000  // streams of one search; a refusal that needs another is left out
	setSize          = 100_000 // members of any set of names or addresses
	samplesKept      = 64      // log lines of one stream, for its words
	streamsWeighed   = 50      // streams compared with their history, those that stand out most first
	deliveriesRead   = 80_000  // deliveries read for all histories together, nearest to the onsets first
	hostsAsked       = 100     // recipient domains whose usual provider is asked for; others are their own
	historyProviders = 24      // providers of one history; an incident at more is not compared
	faultsPerStream  = 4       // how often a timeline is divided to find further faults
	addressesAsked   = 500     // own addresses that are looked for among the relays; more are not named
	textsRead        = 20      // incidents without a sample whose first reply is looked up
)

// These limit what a problem shows.
const (
	evidenceShown  = 3 // log lines
	addressesShown = 8 // own addresses or selectors
	sendersNamed   = 3 // sender domains and providers; more are counted, not named
)

// Variables are for tests.
var (
	// refusalsKept is the number of refusals of one search that are kept, 80 bytes each: the
	// newest. Of a longer period the beginning is not looked at, so an onset may be told
	// too late.
	refusalsKept = 500_000
	// traitsKept is the number of different traits that are told apart, up to 1 kB each. Of
	// refusals with others, the provider, the recipient's domain and the wording are not told.
	traitsKept = 50_000
)
