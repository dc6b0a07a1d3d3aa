package top

import (
	"fmt"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// BenchmarkFrame draws a frame of the sample log.
func BenchmarkFrame(b *testing.B) {
	o := options(b, stored(b, sampleLog()))
	o.complete()
	s, err := o.state(80, 24)
	if err != nil {
		b.Fatal(err)
	}
	m := &model{o: &o, s: s, d: o.data(), a: &asker{o: &o}, ctx: b.Context(), tick: func(time.Duration, func(time.Time) tea.Msg) tea.Cmd { return nil }}
	settle(m, m.Init())
	for _, size := range [][2]int{{80, 24}, {200, 60}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			s.width, s.height = size[0], size[1]
			for b.Loop() {
				frame(m.s, m.d, lookColours)
			}
		})
	}
}
