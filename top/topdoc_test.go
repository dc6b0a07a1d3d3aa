package top

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// block is a frame in docs/top.md.
var block = regexp.MustCompile(`<!-- frame ([a-z-]+) -->\n\n(?:    [^\n]*\n)+\n`)

// TestDoc holds that the frames in docs/top.md are those of the tests, without their empty
// lines, and that each key is documented.
func TestDoc(t *testing.T) {
	doc, err := os.ReadFile("../docs/top.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	held := block.ReplaceAllStringFunc(string(doc), func(old string) string {
		found++
		name := block.FindStringSubmatch(old)[1]
		frame, err := os.ReadFile(filepath.Join("testdata", name+"-80x24.txt"))
		if err != nil {
			t.Fatal(err)
		}
		text := "<!-- frame " + name + " -->\n\n"
		for l := range strings.Lines(string(frame)) {
			if strings.TrimSpace(l) != "" {
				text += "    " + l
			}
		}
		return text + "\n"
	})
	if found < 5 {
		t.Errorf("only %d frames are in docs/top.md", found)
	}
	if held != string(doc) {
		if os.Getenv("UPDATE_GOLDEN") == "" {
			t.Errorf("docs/top.md has other frames than the tests; run 'make golden' (-doc +tests):\n%s", cmp.Diff(string(doc), held))
		} else if err := os.WriteFile("../docs/top.md", []byte(held), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, keys, _ := strings.Cut(string(doc), "## Keys")
	keys, _, _ = strings.Cut(keys, "\n## ")
	foot, _ := (&state{stack: []page{{}}}).footKeys()
	for _, k := range append(foot, keyBack) {
		for part := range strings.SplitSeq(k.Help().Key, "") {
			if len(k.Help().Key) > 2 {
				part = k.Help().Key
			}
			if k.Help().Key == "↵" {
				part = "enter"
			}
			if !strings.Contains(keys, part) {
				t.Errorf("docs/top.md does not have the key %s", part)
			}
		}
	}
}
