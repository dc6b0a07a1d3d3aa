package bouncelog_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestPictures holds that each picture that a document shows is there, small, and says
// in words what it shows.
func TestPictures(t *testing.T) {
	const most = 150_000 // bytes
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, doc := range append(docs, "README.md") {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`!\[([^\]]*)\]\(([^)]*)\)`).FindAllStringSubmatch(string(text), -1) {
			path := filepath.Join(filepath.Dir(doc), m[2])
			shown[path] = true
			if st, err := os.Stat(path); err != nil || st.Size() > most {
				t.Errorf("%s: %s: %v", doc, m[2], err)
			}
			if len(m[1]) < 20 {
				t.Errorf("%s: %s has no description", doc, m[2])
			}
		}
	}
	there, err := filepath.Glob("docs/pictures/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if !shown[path] {
			t.Errorf("%s is shown nowhere", path)
		}
	}
	if len(shown) < 5 {
		t.Errorf("found only %d pictures: the test is broken", len(shown))
	}
}
