// Package top shows in a terminal what the mail does right now: rates, incidents, who refuses, why,
// and the way down to one message.
//
// It only reads. A screen asks its store one question ([question]) and gets one value ([answer],
// window.go); the keys make a [state] (keys.go); both together make a frame (screen.go). None of
// these three has access to a terminal, a clock or a database: model.go passes those in, so a test
// draws the same frame as a terminal.
//
// Nothing is asked while nothing is stored: the store is asked for its version once a second
// (store.Watcher). While much is stored, a question is asked again after ten times the CPU time
// that it took, and keys never wait for an answer.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"bouncelog/bounce"
	"bouncelog/judge"
	"bouncelog/problem"
	"bouncelog/store"
)

// Options say what is shown and where it comes from.
type Options struct {
	// Read and Watch are those of a store.Store and a store.Watcher.
	Read  func(context.Context) (store.Reader, error)
	Watch func(context.Context) (version func() (int64, error), stop func(), err error)
	// Behind returns the number of unread bytes of a followed log; nil: a database.
	Behind func() int64
	// News returns the last event of a followed log while it is new, and whether something is wrong
	// with the log; nil: a database.
	News func() (text string, bad bool)
	// Left returns when lines that were read disappeared from a followed log, because it was
	// rotated or truncated; zero: never. nil: a database.
	Left    func() time.Time
	Explain func(*bounce.Delivery) judge.Explanation
	Now     func() time.Time // nil: time.Now
	// Work returns the CPU time of this process, which measures the cost of a question; nil: the
	// store works elsewhere, and the time until an answer counts.
	Work func() time.Duration

	Location   *time.Location
	Filter     store.Filter // without a period
	Thresholds problem.Thresholds
	Name       string // of the followed log; "": a database

	Commands CommandWords

	View   string        // one of Views; "": providers
	Window time.Duration // one of Windows; 0: an hour
	// Since and Until are a period instead of the window up to now; zero: none.
	Since, Until time.Time
	Open         []string // what is opened at first, one upon another, as provider=NAME: see Opens
	Only         string   // the filter of the page that is opened
	Sort         string   // the heading of the column that sorts its rows; "": the worst first
	All          bool     // of Once: all rows of the table and nothing else
	Colour       bool
}

// onlyWords returns what a filter selects, in words.
func onlyWords(f *store.Filter) string {
	var words []string
	for _, x := range [...]struct{ what, value string }{
		{"to ", f.Domain}, {"from ", f.SenderDomain}, {"at ", f.Relay}, {"on ", f.Host}, {"", string(f.MTA)},
	} {
		if x.value != "" {
			words = append(words, x.what+x.value)
		}
	}
	return strings.Join(words, ", ")
}

// Views returns the names of the tables, in the order of their keys.
func Views() []string { return viewNames[:] }

// Windows returns the lengths of time that can be shown, in the words of the options.
func Windows() (words []string) {
	for _, w := range windows {
		words = append(words, spanShort(w))
	}
	return words
}

// state returns the first state.
func (o *Options) state(width, height int) (*state, error) {
	s := &state{
		width: width, height: height, stack: []page{{kind: pageTable}}, window: 2,
		explain: o.Explain, command: o.Commands, fixed: !o.Until.IsZero(),
	}
	if o.View != "" {
		i := slices.Index(viewNames[:], o.View)
		if i < 0 {
			return nil, fmt.Errorf("there is no table %q", o.View)
		}
		s.view = view(i)
	}
	if o.Window != 0 {
		if s.window = slices.Index(windows, o.Window); s.window < 0 {
			return nil, fmt.Errorf("a window is not %s long", o.Window)
		}
	}
	pages, ok := openedBy(o.Open)
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrOpen, strings.Join(o.Open, ", "))
	}
	s.stack = append(s.stack, pages...)
	s.page().filter, s.page().sort = o.Only, o.Sort
	return s, nil
}

// ErrSort means that Options.Sort is no column of the page that is shown.
var ErrSort = errors.New("unknown column")

// ErrOpen means that Options.Open names something that cannot be opened there.
var ErrOpen = errors.New("cannot be opened")

// Check returns an error for impossible options: ErrOpen.
func (o *Options) Check() error {
	_, err := o.state(80, 24)
	return err
}

func (o *Options) complete() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Work == nil {
		began := time.Now()
		o.Work = func() time.Duration { return time.Since(began) }
	}
	if o.Location == nil {
		o.Location = time.Local
	}
}

func (o *Options) data() *data {
	d := &data{reading: o.Behind != nil, now: o.Now(), location: o.Location, name: o.Name, only: onlyWords(&o.Filter), since: o.Since, until: o.Until}
	d.look(o)
	return d
}

// look reads the present state of a followed log.
func (d *data) look(o *Options) {
	if o.Behind != nil {
		d.behind = o.Behind()
		d.reading = d.reading && d.behind >= behindShown
	}
	if o.News != nil {
		d.news, d.badNews = o.News()
	}
	if o.Left != nil {
		d.left = o.Left()
	}
}

// Once writes one frame. Its errors are those of the store, and ErrSort.
func Once(ctx context.Context, w io.Writer, o Options, width, height int) error {
	o.complete()
	s, err := o.state(width, height)
	if err != nil {
		return err
	}
	r, err := o.Read(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	d := o.data()
	a := &asker{o: &o}
	q, _ := s.question()
	ans, err := a.ask(ctx, r, q, d.now)
	if err != nil {
		return err
	}
	s.answered(ans)
	if s.page().sort != o.Sort {
		return fmt.Errorf("%w: %s", ErrSort, s.said)
	}
	how := lookText
	if o.Colour {
		how = lookColours
	}
	if o.All && len(s.stack) > 1 { // no incident has a say there
		_, err = fmt.Fprintln(w, listing(s, d, how))
		return errors.Join(err, r.Close())
	}
	if d.incidents, err = a.incidents(ctx, r, windows[s.window], d.now); err != nil {
		return err
	}
	s.page().cursor = 0
	draw := frame
	if o.All {
		draw = listing
	}
	_, err = fmt.Fprintln(w, draw(s, d, how))
	return errors.Join(err, r.Close())
}

// Run shows the screen until q, or until ctx ends. Its errors are those of the terminal;
// those of the store are shown.
func Run(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	return run(ctx, in, out, o, tea.Tick)
}

func run(ctx context.Context, in io.Reader, out io.Writer, o Options, tick func(time.Duration, func(time.Time) tea.Msg) tea.Cmd, options ...tea.ProgramOption) error {
	o.complete()
	s, err := o.state(80, 24)
	if err != nil {
		return err
	}
	m := &model{o: &o, s: s, d: o.data(), a: &asker{o: &o}, ctx: ctx, tick: tick}
	defer m.close()
	options = append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithFPS(framesPerSecond)}, options...)
	_, err = tea.NewProgram(m, options...).Run()
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
