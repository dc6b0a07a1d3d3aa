package top

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDoc holds that the frames in docs/top.md are those of the tests, without their empty
// lines, and that each key is documented.
func TestDoc(t *testing.T) {
	doc, err := os.ReadFile("../docs/top.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"providers", "incident", "open-recipients", "open-message", "explain"} {
		frame, err := os.ReadFile(filepath.Join("testdata", name+"-80x24.txt"))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for l := range strings.Lines(string(frame)) {
			if strings.TrimSpace(l) != "" {
				b.WriteString("    " + l)
			}
		}
		if !strings.Contains(string(doc), b.String()) {
			t.Errorf("docs/top.md has not the frame of %s:\n%s", name, b.String())
		}
	}
	_, keys, _ := strings.Cut(string(doc), "## Keys")
	keys, _, _ = strings.Cut(keys, "\n## ")
	for _, k := range append((&state{stack: []page{{}}}).footKeys(), keyBack) {
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
