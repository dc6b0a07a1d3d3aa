package problem

import (
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
)

// TestUnreachedWords holds that the words about a provider that takes nothing say what became of the
// mail, and who acts.
func TestUnreachedWords(t *testing.T) {
	day := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name            string
		reason          bounce.Reason
		returned        int
		expired         int64
		short, check    string
		acts            bounce.Scope
		again, tryAgain bool // what the check says
	}{
		{"deferred", bounce.SystemError, 0, 0, "big.example defers all our mail", "tries again by itself", bounce.ScopeRemote, false, true},
		{"returned with a 5xx reply", bounce.SystemError, 30, 0, "big.example refuses all our mail", "Send again", bounce.ScopeRemote, true, false},
		{"returned at the end of the queue lifetime", bounce.SystemError, 30, 30, "big.example defers all our mail", "tries again by itself", bounce.ScopeRemote, false, true},
		{"a reply that asks something of this side", bounce.TLS, 0, 0, "big.example defers all our mail", "What the reply asks for", bounce.ScopeSender, false, false},
		{"no connection", bounce.Connection, 0, 0, "big.example does not take our mail", "dig big.example MX", bounce.ScopeRemote, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := Unreached{
				Provider: "big.example", Name: "big.example", Reason: c.reason, Cause: "a cause", Since: day, Until: day.Add(25 * time.Hour), Ongoing: true, Died: true,
				Lost: 30, Tried: 30, Failed: 30, Returned: c.returned, Reasons: map[bounce.Reason]int64{c.reason: 30, bounce.Expired: c.expired},
			}
			p := u.Problem()
			if p.Short != c.short || p.WhoActs() != c.acts || !strings.Contains(p.FirstCheck, c.check) || strings.Contains(p.FirstCheck, "Send again") != c.again || strings.Contains(p.FirstCheck, "again by itself") != c.tryAgain {
				t.Errorf("%s: %v acts: %s", p.Short, p.WhoActs(), p.FirstCheck)
			}
		})
	}
}
