package top

import (
	"slices"

	"charm.land/bubbles/v2/key"
)

// The keys. The foot of the screen and the page of ? explain them.
var (
	keyFilter  = key.NewBinding(key.WithKeys("/"), key.WithHelp("/", "filter"))
	keyOpen    = key.NewBinding(key.WithKeys("enter", "right", "l"), key.WithHelp("↵", "open"))
	keyLeads   = key.NewBinding(key.WithHelp("↵", "replies"))
	keyBack    = key.NewBinding(key.WithKeys("esc", "left", "backspace", "h"), key.WithHelp("esc", "back"))
	keyExplain = key.NewBinding(key.WithKeys("e"), key.WithHelp("e", "explain"))
	keyTrace   = key.NewBinding(key.WithKeys("t"), key.WithHelp("t", "trace"))
	keyCopy    = key.NewBinding(key.WithKeys("c"), key.WithHelp("c", "copy"))
	keySort    = key.NewBinding(key.WithKeys("s"), key.WithHelp("s", "sort"))
	keyWider   = key.NewBinding(key.WithKeys("+", "="), key.WithHelp("+-", "window"))
	keyCloser  = key.NewBinding(key.WithKeys("-", "_"))
	keyPause   = key.NewBinding(key.WithKeys("p"), key.WithHelp("p", "pause"))
	keyHelp    = key.NewBinding(key.WithKeys("?", "f1"), key.WithHelp("?", "help"))
	keyQuit    = key.NewBinding(key.WithKeys("q", "ctrl+c"), key.WithHelp("q", "quit"))
	keyUp      = key.NewBinding(key.WithKeys("up", "k"))
	keyDown    = key.NewBinding(key.WithKeys("down", "j"))
	keyPageUp  = key.NewBinding(key.WithKeys("pgup", "ctrl+b"))
	keyPageDn  = key.NewBinding(key.WithKeys("pgdown", "space", "ctrl+f"))
	keyHome    = key.NewBinding(key.WithKeys("home", "g"))
	keyScroll  = key.NewBinding(key.WithHelp("↑↓", "scroll"))
	keyEnd     = key.NewBinding(key.WithKeys("end", "G"))
	keyNext    = key.NewBinding(key.WithKeys("tab"))
)

// footKeys are the keys of the foot in their order, with the order in which they are left out if
// there is no room for all. Help and quit always stay: help explains the others.
func (s *state) footKeys() (keys, goes []key.Binding) {
	p := s.page()
	sort := keySort
	if p.sortedBy() >= 0 {
		sort = key.NewBinding(key.WithHelp("s", "sort: "+p.sort))
	}
	if p.kind == pageText || p.kind == pageMessage {
		keys, goes = []key.Binding{keyBack, keyScroll, keyCopy, keyPause, keyHelp, keyQuit}, []key.Binding{keyPause, keyCopy, keyScroll, keyBack}
		if p.incident != nil {
			keys, goes = slices.Insert(keys, 1, keyLeads), append(goes, keyLeads)
		}
		return keys, goes
	}
	keys = []key.Binding{keyOpen, keyFilter, keyExplain, keyTrace, keyCopy, sort, keyWider, keyPause, keyHelp, keyQuit}
	goes = []key.Binding{keyPause, keyTrace, keyCopy, keyWider, keySort, keyExplain, keyFilter, keyOpen}
	if s.fixed {
		keys = slices.DeleteFunc(keys, func(k key.Binding) bool { return k.Help().Key == keyWider.Help().Key })
	}
	if len(s.stack) > 1 {
		keys, goes = slices.Insert(keys, 0, keyBack), append(goes, keyBack)
	}
	return keys, goes
}

// helpText is the page of ?.
var helpText = []string{
	"Tables",
	"  1 2 3 4 5 6   providers, domains, reasons, senders, queue, replies; tab: next",
	"  s             sort by the next column, which ▼ marks; else the worst come first",
	"  /             show only rows and failures with a word; !word leaves them out",
	"  + -           a longer or shorter window: 5m 15m 1h 4h 24h 7d",
	"",
	"Rows",
	"  ↑ ↓ k j       move, also pgup pgdn home end; the incidents are above the first",
	"  enter         open: a provider, its replies, their recipients, one message",
	"  e             explain the last reply: its meaning, and what to do",
	"  t             trace the message that got it",
	"  esc           back; drop the filter",
	"",
	"Screen",
	"  c             send the command for what is shown to the clipboard, and show it",
	"  p             pause, and go on",
	"  q             quit",
	"",
	"Marks of a provider or domain; below 20 messages there is none",
	"  ✖  refuses most of our mail, for a reason that is ours or not named",
	"  ▲  does not take most messages, for another reason",
	"  ●  takes what we send",
	"  ◐  takes other mail: an incident is going on there",
	"Marks of a reason, a reply or a failure",
	"  ✖  is about us",
	"  ▲  is not",
	"",
	"Columns",
	"  deliv.        share of the attempts that delivered",
	"  wait          still queued; the queue has ages in minutes, as qshape(1)",
	"  refused       failures for a reason that is ours or not named",
	"  change        against the window before; – where the logs do not cover it",
	"  last words    the last reply; in brackets the reason, where it is older",
	"",
	"Rates",
	"  The mean of the last twelfth of the window, a minute at least, and of the step",
	"  that runs; – where the logs have no line of that time or less than a minute.",
}
