package judge

import (
	"bytes"
	"crypto/md5"
	"slices"
	"strings"
	"testing"

	"bouncelog/bounce"
)

// TestUnseenReplies estimates the score for replies that no rule was written from. The sources of
// the labelled replies are divided among five folds. The replies of a fold are judged without the
// literals that occur in that fold only, and by a guesser that has learned nothing like them.
func TestUnseenReplies(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("learns five times")
	}
	rows := slices.Concat(readLabelled(t, "../../shared/responses/dev.tsv"), readLabelled(t, "../../shared/responses/dev2.tsv"))
	const parts = 5
	part := func(source string) int { return int(md5.Sum([]byte("f2" + source))[0]) % parts }
	var tested []labelled
	var ruled, guessed []bounce.Verdict
	guesses, right, instead := 0, 0, 0
	for p := range parts {
		var mine, others [][]byte
		for i := range rows {
			if text := foldedText(&rows[i].delivery); part(rows[i].source) == p {
				mine = append(mine, text)
			} else {
				others = append(others, text)
			}
		}
		j := without(t, mine, others)
		s := j.scratch.New().(*scratch)
		var theirs [][]uint32
		for i := range rows {
			if part(rows[i].source) == p {
				theirs = append(theirs, j.featuresOf(s, &rows[i].delivery))
			}
		}
		list := slices.DeleteFunc(lessons(t, j), func(l lesson) bool {
			return l.weight == 1 && slices.ContainsFunc(theirs, func(f []uint32) bool { return alike(f, l.features) })
		})
		unable := without(t, mine, others)
		unable.guesser = guesser(make([]byte, guessHeader+guessReasons)) // every reason is as probable
		j.guesser = train(list)
		for i := range rows {
			if part(rows[i].source) != p {
				continue
			}
			d := rows[i].delivery
			w := unable.Verdict(&d)
			if w.Reason == bounce.Unknown && d.Code == 0 { // a server's reply; the source left out its code
				d.Code = 550
				if d.Outcome == bounce.Soft {
					d.Code = 450
				}
				w = unable.Verdict(&d)
			}
			v := j.Verdict(&d)
			if v.Confidence == bounce.Guess {
				guesses++
				if v.Reason.String() == rows[i].reason {
					right++
				}
				if w.Reason.String() == rows[i].reason {
					instead++
				}
			}
			tested, ruled, guessed = append(tested, rows[i]), append(ruled, w), append(guessed, v)
		}
	}
	m := score(tested, guessed)
	t.Logf("without guesses: %s", score(tested, ruled))
	t.Logf("with guesses:    %s", m)
	t.Logf("%d guesses, %d right; %d would be right without", guesses, right, instead)
	if m.reason < 0.85 || m.precision < 0.93 || m.recall < 0.90 {
		t.Errorf("below what is asked for: %s", m)
	}
}

func foldedText(d *bounce.Delivery) []byte {
	var f folded
	template, _ := bounce.Split(d.Response)
	f.set(template)
	return slices.Concat(f.text, f.urls)
}

// without returns a judge without the literals that occur in texts and not in others.
func without(t *testing.T, texts, others [][]byte) *Judge {
	t.Helper()
	j := newJudge(t)
	here, there := bytes.Join(texts, []byte{0}), bytes.Join(others, []byte{0})
	rest := func(list []string) (kept []string) {
		for _, l := range list {
			if b := []byte(foldLiteral(strings.Trim(l, "|"))); !bytes.Contains(here, b) || bytes.Contains(there, b) {
				kept = append(kept, l)
			}
		}
		return kept
	}
	j.rules = slices.Clone(j.rules)
	j.rules = slices.DeleteFunc(j.rules, func(r Rule) bool {
		return len(r.Any)+len(r.URL) > 0 && len(rest(r.Any))+len(rest(r.URL)) == 0
	})
	for i := range j.rules {
		j.rules[i].Any, j.rules[i].URL = rest(j.rules[i].Any), rest(j.rules[i].URL)
	}
	j.concepts = slices.Clone(j.concepts)
	for i := range j.concepts {
		j.concepts[i].Any = rest(j.concepts[i].Any)
	}
	j.hostTree()
	return j
}

// alike reports whether two texts have most of their features in common.
func alike(a, b []uint32) bool {
	both := 0
	for _, f := range a {
		if slices.Contains(b, f) {
			both++
		}
	}
	return 10*both >= 6*(len(a)+len(b)-both)
}
