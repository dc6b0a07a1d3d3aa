// Package top shows in a terminal what the mail does right now: rates, incidents, who refuses, why,
// and the way down to one message.
//
// It only reads. A screen asks its store one question (window.go) and gets one value (answer.go);
// the keys (keys.go) change a [state] (state.go); both together make a frame (screen.go). None of
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
)

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

// Check returns an error for impossible options: ErrOpen.
func (o *Options) Check() error {
	_, err := o.state(80, 24)
	return err
}

func (o *Options) data() *data {
	d := &data{reading: o.Behind != nil, now: o.Now(), location: o.Location, name: o.Name, only: onlyWords(&o.Filter), since: o.Since, until: o.Until}
	d.look(o)
	return d
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
