package sqlite

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"bouncelog/store"
	"bouncelog/store/storetest"
)

func TestPseudonyms(t *testing.T) {
	path := t.TempDir() + "/log.db"
	d := open(t, path, Options{Pseudonymize: true})
	tr := storetest.NewTraffic(1)
	var bs []*store.Batch
	for range 3 {
		bs = append(bs, tr.Batch(500))
		storetest.Append(t, d, bs[len(bs)-1])
	}
	d.Close()
	// Pseudonymize was set when the database was created, and still applies.
	d = open(t, path, Options{})
	bs = append(bs, tr.Batch(500))
	storetest.Append(t, d, bs[3])
	n := make(map[string]int) // attempts by recipient
	for _, b := range bs {
		for _, a := range b.Attempts {
			n[a.Recipient]++
		}
	}
	for r, want := range n {
		if want < 5 {
			continue
		}
		names := make(map[string]bool)
		got := 0
		for _, a := range attempts(t, d, store.Filter{Recipients: []string{r}}) {
			if a.Status != "expired" {
				got++
			}
			names[a.Recipient] = true
			if strings.Contains(a.Response, r) {
				t.Errorf("%s stands in %q", r, a.Response)
			}
		}
		if got != want || len(names) != 1 || names[r] {
			t.Errorf("%s: %d attempts as %v, want %d", r, got, names, want)
		}
		for name := range names {
			if c := storetest.Totals(t, d, store.Filter{Recipients: []string{name}}); c.Attempts == 0 {
				t.Errorf("%s cannot be asked for: %+v", name, c)
			}
		}
	}
	sound(t, d)
	d.Close()
	content, err := os.ReadFile(path)
	must(t, err)
	if i := bytes.Index(content, []byte("rcpt.")); i >= 0 {
		t.Errorf("a local part stands in the file: %q", content[max(i-20, 0):i+20])
	}
}
