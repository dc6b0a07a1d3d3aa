package top

import (
	"context"
	"errors"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"bouncelog/store"
)

// Intervals.
const (
	framesPerSecond = 25                     // of the terminal, at most: each costs an idle screen 0.01 % of a processor
	tickEvery       = time.Second            // the clock, and a look whether something was stored
	askEvery        = 900 * time.Millisecond // between two looks for one screen: each tick has one
	askTimes        = 10                     // and this many times the work of the last answer (Options.Work)
	incidentsEvery  = 15 * time.Second       // the same for incidents
	incidentsTimes  = 20
)

// A model is the program that bubbletea runs: it passes keys and answers to the state and the data,
// and questions to the store. All fields except those below mu are owned by bubbletea's goroutine.
// Questions are asked in other goroutines: one for the screen and one for the incidents at a time,
// so that neither waits for the other, and no key waits for either.
type model struct {
	o    *Options
	s    *state
	d    *data
	a    *asker // of the one that asks for the screen
	ctx  context.Context
	tick func(time.Duration, func(time.Time) tea.Msg) tea.Cmd

	screen, incidents turn
	view              tea.View
	drawn             bool // view is the frame of s and d
	seen              int  // the opening of the store that the screen was answered by

	mu      sync.Mutex
	version func() (int64, error) // of what is stored; nil: not open
	stop    func()
	opened  int // how often version was opened
}

// A turn is when a question is asked again.
type turn struct {
	asking bool
	next   time.Time // not before
}

type (
	tickMsg time.Time
	// told is the result of a look at the store: an answer, incidents, an error or, if nothing was
	// stored since, nothing.
	told struct {
		of        *turn
		at        stamp
		ans       *answer
		incidents *incidents
		err       error
		looked    time.Time
		took      time.Duration // see Options.Work
	}
)

// stored returns the present version of the stored data.
func (m *model) stored() stamp {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.o.Watch == nil {
		return stamp{}
	}
	if m.version == nil {
		version, stop, err := m.o.Watch(m.ctx)
		if err != nil {
			return stamp{}
		}
		m.version, m.stop = version, stop
		m.opened++
	}
	n, err := m.version()
	if err != nil { // another database has its place
		m.stop()
		m.version, m.stop = nil, nil
		return stamp{}
	}
	return stamp{m.opened, n, true}
}

func (m *model) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stop != nil {
		m.stop()
		m.version, m.stop = nil, nil
	}
}

// Init asks the first questions.
func (m *model) Init() tea.Cmd { return tea.Batch(m.look(), m.again()) }

func (m *model) again() tea.Cmd {
	return m.tick(tickEvery, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// View returns the frame. It is drawn once for each change by Update.
func (m *model) View() tea.View {
	if m.drawn {
		return m.view
	}
	how := lookAttributes
	if m.o.Colour {
		how = lookColours
	}
	m.view, m.drawn = tea.NewView(frame(m.s, m.d, how)), true
	m.view.AltScreen = true
	m.view.WindowTitle = "bouncelog top"
	return m.view
}

// Update handles a message of bubbletea.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.d.now = m.o.Now()
	reading := m.d.reading
	if m.d.look(m.o); reading && !m.d.reading { // what was found in half of the log
		m.d.incidents, m.incidents.next = nil, time.Time{}
	}
	if t, ok := msg.(told); !ok || t.ans != nil || t.incidents != nil || t.err != nil {
		m.drawn = false
	}
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.s.width, m.s.height = msg.Width, msg.Height
	case tickMsg:
		return m, tea.Batch(m.look(), m.again())
	case told:
		m.take(msg)
		return m, m.look() // the question may be another one by now
	case tea.PasteMsg:
		m.s.paste(msg.Content)
	case tea.KeyPressMsg:
		e := m.s.press(keyPress{msg.String(), msg.Text}, m.d)
		switch {
		case e.quit:
			return m, tea.Quit
		case e.copy != "":
			return m, tea.SetClipboard(e.copy)
		}
		return m, m.look()
	}
	return m, nil
}

// take handles the result of a look.
func (m *model) take(t told) {
	t.of.asking = false
	every, times := askEvery, askTimes
	if t.of == &m.incidents {
		times = incidentsTimes
		if t.incidents != nil && !t.incidents.empty {
			every = incidentsEvery
		}
	}
	if t.of == &m.screen && t.at.known && t.at.opened != m.seen { // the incidents of another opening do not wait for their turn
		m.seen, m.incidents.next = t.at.opened, time.Time{}
	}
	t.of.next = m.d.now.Add(max(every, time.Duration(times)*t.took))
	if t.err != nil {
		if m.ctx.Err() == nil {
			m.d.err = t.err.Error()
		}
		return
	}
	for i := range m.s.stack { // nothing was stored since these were asked for
		if ans := m.s.stack[i].ans; ans != nil && t.at.known && ans.stamp == t.at {
			ans.held = t.looked
		}
	}
	if t.ans != nil {
		m.d.err = ""
		m.s.answered(t.ans)
	}
	if t.incidents != nil {
		m.d.incidents = t.incidents
		if p := &m.s.stack[0]; p.cursor < 0 {
			p.cursor = max(p.cursor, -len(t.incidents.list))
		}
	}
}

// look asks for the screen and for the incidents, each if it is needed: at once if there is none
// yet, else in its turn and if something was stored since.
func (m *model) look() tea.Cmd {
	q, ok := m.s.question()
	page := m.s.page()
	if !ok { // a text: the head is that of the table below it
		page = &m.s.stack[0]
		q = question{kind: pageTable, view: m.s.view, window: windows[m.s.window]}
	}
	// A paused screen shows one moment, whatever is asked. Its answers have no stamp, because they
	// are not those of now.
	clock, ends, paused := m.o.Now, time.Time{}, m.s.paused
	if paused {
		at := m.s.pausedAt
		clock, ends = func() time.Time { return at }, m.s.pausedEnd
	}
	var had *stamp // of the answer that is there
	if page.ans != nil && page.ans.question == q {
		had = &page.ans.stamp
	}
	screen := m.turn(&m.screen, had, func(r store.Reader, t *told, at stamp) {
		m.a.ends = ends
		if m.a.opened != at.opened { // what is known of past steps is of another database
			m.a.opened, m.a.steps = at.opened, nil
		}
		if t.ans, t.err = m.a.ask(m.ctx, r, q, clock()); t.err == nil && !paused {
			t.ans.stamp = at
		}
	})
	had = nil
	if in := m.d.incidents; in != nil && in.period == max(q.window, incidentPeriod) {
		had = &in.stamp
	}
	return tea.Batch(screen, m.turn(&m.incidents, had, func(r store.Reader, t *told, at stamp) {
		a := asker{o: m.o, ends: ends}
		if t.incidents, t.err = a.incidents(m.ctx, r, q.window, clock()); t.err == nil && !paused {
			t.incidents.stamp = at
		}
	}))
}

// turn returns a command that asks a store; nil: not now. had is the stamp of the present answer;
// nil: there is none, and it is asked for at once.
func (m *model) turn(of *turn, had *stamp, ask func(store.Reader, *told, stamp)) tea.Cmd {
	wait := m.d.now.Before(of.next)
	if of.asking || wait && (had != nil || m.d.err != "") || m.s.paused && had != nil {
		return nil
	}
	of.asking = true
	broken := m.d.err != "" // it is asked until it answers
	return func() tea.Msg {
		t := told{of: of, looked: m.o.Now()}
		// The version is read before the store is asked: an answer that is newer does no harm.
		at := m.stored()
		if t.at = at; had != nil && at.known && at == *had && !broken {
			return t
		}
		began, work := time.Now(), m.o.Work()
		r, err := m.o.Read(m.ctx)
		if err != nil {
			t.err = err
			return t
		}
		ask(r, &t, at)
		t.err = errors.Join(t.err, r.Close())
		t.took = min(time.Since(began), m.o.Work()-work)
		return t
	}
}
