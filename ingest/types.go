package ingest

import (
	"time"

	"bouncelog/judge"
	"bouncelog/parser"
	"bouncelog/store"
)

// Options are the options of an Ingester.
type Options struct {
	Judge  *judge.Judge
	Parser parser.Options // Source, Modified, Last and Host are filled in for each source
	// Agent names this host in a store that several hosts share; empty in a store of one's
	// own. It begins the ids of the sources: two hosts may have journals, or logs with the
	// same first line, and neither may resume where the other has read to. It is also the
	// host of lines that name none.
	Agent string

	// Whole: logs are read from beginning to end without a pause, so commits may be rare.
	Whole bool
	// CommitEvery is how many attempts become visible together where Whole is set;
	// 0: 200,000. Each commit writes the pages that it shares with the next.
	CommitEvery int

	// Retry is called when a batch could not be stored and nothing else was lost with it. It may
	// wait, and reports whether to try again; nil: never. Without a retry the Ingester ends, and
	// another one resumes at the last commit.
	Retry func(error) bool
	// Stored is called with each stored batch and the time that storing took. It must not keep the
	// batch. It runs in the goroutine that stores. May be nil.
	Stored func(*store.Batch, time.Duration)
}

// An Ingester writes lines into a store. Its methods, except Failed, are for one goroutine. Close
// it.
type Ingester struct {
	o Options
	w store.Writer // of the goroutine that stores

	notes store.Noter // of the same goroutine; nil: the store keeps none

	// Owned by the goroutine that parses.
	queue       *parser.Queue
	sources     map[string]*source // of this agent, by tailer.Source.ID
	touched     []*source          // read since the last batch, in that order
	result      parser.Result
	batch       *store.Batch
	lines       int               // in batch
	skipped     map[string]*int64 // lines by program
	uncommitted int               // attempts since the last batch that ended a commit

	// A batch goes round: filled, stored, emptied.
	filled chan filled
	empty  chan *store.Batch
	done   chan error // how storing ended
}

// A source is one log that is being read.
type source struct {
	store.Source
	was     store.Source // where New found it
	touched bool         // in Ingester.touched
	parser  *parser.Parser
}

func (o *Options) agentPrefix() string {
	if o.Agent == "" {
		return ""
	}
	return o.Agent + "/"
}

// hopsKey is the key of the note with the relays that pass mail on (parser.Queue.Hops): their
// addresses, with blanks in between.
func (o *Options) hopsKey() string { return "hops/" + o.Agent }

// A filled batch is ready to be stored.
type filled struct {
	*store.Batch
	commit bool     // it and what came before become visible
	hops   []string // if there are new ones, all of them are noted after the commit
}
