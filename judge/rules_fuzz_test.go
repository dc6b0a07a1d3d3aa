package judge

import (
	"os"
	"testing"

	"bouncelog/bounce"
)

// For any file of a user's rules, reading it ends with an error or with a working judge.
func FuzzRules(f *testing.F) {
	builtin, err := os.ReadFile("rules.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(builtin[:min(len(builtin), 4000)]))
	for _, s := range []string{
		"", "[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"no entry\"]", "[[rule]]\nid = \"a\"\nreason = \"policy\"\nre = \"(a+)+$\"\nany = \"xy\"",
		"[[provider]]\nid = \"p\"\nhosts = [\"example\"]", "since = 1", "[[rule]]\nid = \"a\"\nreason = \"policy\"\ncode = [\"5xx\"]\nenhanced = \"x.7.1\"\nstage = \"rcpt\"\nhost = \"mx.example\"",
		"[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"|||\"]", "[[rule]]\nid = \"a\"\nreason = \"policy\"\nany = [\"\xff\xfe\"]", "[[rule]]\nid=\"a\"\nreason=\"policy\"\nover=\"spf\"\nany=\"abc\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		j, err := New([]byte(text))
		if err != nil {
			return
		}
		d := &bounce.Delivery{Response: "550 5.7.1 no entry " + text, Code: 550, RelayHost: "mx.example", Stage: bounce.StageRcpt, Outcome: bounce.Hard}
		if v := j.Verdict(d); v.Reason == bounce.NoReason || v.Rule == "" {
			t.Fatalf("%+v", v)
		}
	})
}
