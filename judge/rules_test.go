package judge

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// example returns the attempt that a rule's example describes.
func example(r *Rule, j *Judge, text string) *bounce.Delivery {
	d := &bounce.Delivery{Response: text, Outcome: bounce.Hard}
	if bounce.ReplyCode(text) != 0 {
		n, _ := strconv.Atoi(text[:3])
		d.Code = uint16(n)
	}
	if len(r.Stage) > 0 {
		d.Stage, _ = bounce.ParseStage(r.Stage[0])
	}
	for _, fact := range r.When {
		switch fact {
		case "local":
			d.Local, d.Code = true, 0
		case "own-name":
			d.RecipientDomain = "recipient.test"
		case "their-name", "same-name":
			d.RecipientDomain = "example.org"
		case "port-465":
			d.RelayPort = 465
		case "ipv6":
			d.RelayIP = "2001:db8::1"
		case "given-up", "remote":
		default:
			panic("no example of " + fact)
		}
	}
	if len(r.Host) > 0 {
		d.RelayHost = r.Host[0]
		for _, p := range j.providers {
			if p.ID == r.Host[0] {
				d.RelayHost = "mx1." + p.Hosts[0]
			}
		}
	}
	return d
}

// claimed returns the rules that match an attempt, and the one that decides.
func claimed(j *Judge, d *bounce.Delivery) (all []int32, best int32) {
	s := j.scratch.New().(*scratch)
	template, _ := bounce.Split(d.Response)
	q := j.query(s, template, j.aboutOf(d))
	best = j.best(&q, func(r int32) { all = append(all, r) })
	return all, best
}

func TestRules(t *testing.T) {
	j, err := New()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for i := range j.rules {
		ids[j.rules[i].ID] = true
	}
	for i := range j.rules {
		r := &j.rules[i]
		for _, id := range r.Over {
			if !ids[id] {
				t.Errorf("%s: there is no rule %s for it to be over", r.ID, id)
			}
		}
		if strings.HasPrefix(r.ID, "enhanced-") || strings.HasPrefix(r.ID, "reply-") {
			continue // built from tables, not written as rules
		}
		if r.Seen == "" || r.Since == "" || len(r.Yes) == 0 || len(r.No) == 0 {
			t.Errorf("%s: where it was seen, since when, examples and near misses are needed", r.ID)
		}
		for _, text := range r.Yes {
			all, best := claimed(j, example(r, j, text))
			if !slices.Contains(all, int32(i)) {
				t.Errorf("%s does not match its example %q", r.ID, text)
				continue
			}
			if b := &j.rules[best]; b.Reason != r.Reason {
				t.Errorf("%s: %s (%s) decides on the example %q", r.ID, b.ID, b.Reason, text)
			}
			for _, k := range all {
				if o := &j.rules[k]; o.Tier == r.Tier && o.Reason != r.Reason && !tierOfLastResort(r.Tier) && !slices.Contains(r.Over, o.ID) {
					t.Errorf("%s (%s) and %s (%s) both claim %q", r.ID, r.Reason, o.ID, o.Reason, text)
				}
			}
		}
		for _, text := range r.No {
			if all, _ := claimed(j, example(r, j, text)); slices.Contains(all, int32(i)) {
				t.Errorf("%s matches its near miss %q", r.ID, text)
			}
		}
	}
}

// tierOfLastResort reports whether the rules of a tier are ranked and may match together: the
// reply's own code ranks before one that the MTA made up, general words before others.
func tierOfLastResort(t Tier) bool { return t == TierCode || t == TierGeneral || t == TierConcept }

// No list of the built-in rules and concepts holds a text twice.
func TestRulesSayThingsOnce(t *testing.T) {
	j := newJudge(t)
	once := func(id, key string, list []string) {
		seen := map[string]bool{}
		for _, s := range list {
			if seen[s] {
				t.Errorf("%s: %s has %q twice", id, key, s)
			}
			seen[s] = true
		}
	}
	for i := range j.rules {
		r := &j.rules[i]
		once(r.ID, "any", r.Any)
		once(r.ID, "all", r.All)
		once(r.ID, "not", r.Not)
		once(r.ID, "url", r.URL)
		once(r.ID, "over", r.Over)
		once(r.ID, "has", r.Has)
		once(r.ID, "lacks", r.Lacks)
	}
	for i := range j.concepts {
		once(j.concepts[i].ID, "any", j.concepts[i].Any)
	}
}
