package main

import (
	"strings"
	"testing"
	"time"

	"bouncelog/report"
)

// A newest line in the future hides any silence until then: that is a finding as soon as
// it lies further ahead than the silence that is asked for.
func TestSilenceAhead(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	conditions, err := parseConditions([]string{"silence>2h"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		age  time.Duration
		want string
	}{
		{time.Hour, ""},
		{3 * time.Hour, "old, more than"},
		{-time.Hour, ""},
		{-3 * time.Hour, "3 h 0 min in the future"},
	} {
		met, err := conditions[0].met(&report.Report{AsOf: now.Add(-c.age)}, now)
		if err != nil || (met == "") != (c.want == "") || !strings.Contains(met, c.want) {
			t.Errorf("%v: %q, %v", c.age, met, err)
		}
	}
}
