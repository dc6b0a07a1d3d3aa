package problem

// These limits bound the memory and the time of the search. Neither a flood of refusals nor
// invented names can fill the memory, and a report does not slow down with history. Data beyond a
// limit is left out; the comments name the effect.
const (
	setSize          = 100_000 // members of any set of names or addresses
	samplesKept      = 64      // log lines of one stream, for its words
	streamsWeighed   = 50      // streams compared with their history, those that stand out most first
	hostsAsked       = 100     // recipient domains whose usual provider is looked up; others are their own provider
	historyProviders = 200     // providers of one history, those with the most refusals: they decide for all; a silent stream at more is not compared
	faultsPerStream  = 4       // maximum number of divisions of a timeline to find further faults
	addressesAsked   = 500     // own addresses looked up among the relays; others are not named
	endsRead         = 20      // incidents whose later deliveries are read by themselves, those with the most refusals in the period; of others it is not known whether they go on
	endRead          = 2_000   // deliveries of one of these, the newest, 40 ms; earlier ones count as far as the histories hold them
	firstRead        = 200     // deliveries after the last refusal of which the first of an incident is searched for, if more than endRead were taken since
	textsRead        = 20      // incidents without a sample (see unsampled) whose first reply is looked up
)

// These limit what a problem shows.
const (
	evidenceShown  = 3 // log lines
	addressesShown = 8 // own addresses or selectors
	// SendersNamed is the number of sender domains and providers that a problem names. More are counted.
	SendersNamed = 3
)

// These are variables for tests.
var (
	// refusalsKept is the number of refusals kept in one search, 80 bytes each: the newest. In a
	// longer period the beginning is ignored, so a reported onset may be too late.
	refusalsKept = 500_000
	// deliveriesRead is the number of deliveries read for all histories together, the nearest to the
	// onsets first.
	deliveriesRead = 80_000
	// traitsKept is the number of distinct traits kept, up to 1 kB each. For refusals with others,
	// the recipient's domain and the wording are lost; of as many again, also the provider.
	traitsKept = 50_000
	// streamsKept is the number of streams of one search. Of more, those with the fewest refusals
	// are left out: what a flood of invented sender domains is told of is part of it.
	streamsKept = 10_000
)
