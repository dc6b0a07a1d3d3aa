package tailer

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRotationNames(t *testing.T) {
	for _, test := range []struct {
		base, name string
		rotation   string
		ok         bool
	}{
		{"mail.log", "mail.log.1", "1", true},
		{"mail.log", "mail.log.2.gz", "2", true},
		{"mail.log", "mail.log.12.xz", "12", true},
		{"mail.log", "mail.log-20261123", "20261123", true},
		{"mail.log", "mail.log-20261123.zst", "20261123", true},
		{"mail.log", "mail.log-20261123-1763884800.gz", "20261123-1763884800", true},
		{"mail.log", "mail.log-2026-11-23", "2026-11-23", true},
		{"mail.log", "mail.log.2026-11-23T10:00:00", "2026-11-23T10:00:00", true},
		{"mail.log", "mail-20261123.log", "20261123", true},
		{"mail.log", "mail-20261123.log.gz", "20261123", true},
		{"mail.log", "mail.1.log", "1", true},
		{"mail.log", "mail.log.old", "old", true},
		{"mail.log", "mail.log-2026112315.backup", "2026112315", true},
		{"mail.log", "mail.log.gz", "", true},
		{"mainlog", "mainlog.01", "01", true},
		{"mainlog", "mainlog-20261123", "20261123", true},
		{"maillog", "maillog.0.bz2", "0", true},
		{"mail", "mail.1", "1", true},
		{"mail.log", "mail.log", "", false},
		{"mail.log", "mail.err", "", false},
		{"mail.log", "mail.log.bak", "", false},
		{"mail.log", "mail.log.swp", "", false},
		{"mail", "mail.log.1", "", false},
		{"mail", "mail.log", "", false},
		{"mail.log", "mail.logs.1", "", false},
		{"mail.log", "mailx.log", "", false},
	} {
		rotation, ok := rotationOf(test.base, test.name)
		if rotation != test.rotation || ok != test.ok {
			t.Errorf("rotationOf(%q, %q) = %q, %v, want %q, %v", test.base, test.name, rotation, ok, test.rotation, test.ok)
		}
	}
}

func TestSplitRotated(t *testing.T) {
	for name, want := range map[string][2]string{
		"mail.log":                   {"mail.log", ""},
		"mail.log.1":                 {"mail.log", "1"},
		"mail.log.2.gz":              {"mail.log", "2"},
		"mail.log.gz":                {"mail.log", ""},
		"mail.log-20261123":          {"mail.log", "20261123"},
		"mail-20261123.log":          {"mail.log", "20261123"},
		"mainlog-20261123":           {"mainlog", "20261123"},
		"mainlog":                    {"mainlog", ""},
		"mail.log-2026112315.backup": {"mail.log", "2026112315"},
		"mail.log-2026-11-23.gz":     {"mail.log", "2026-11-23"},
	} {
		base, rotation := splitRotated(name)
		if got := [2]string{base, rotation}; got != want {
			t.Errorf("splitRotated(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestInOrder(t *testing.T) {
	for _, test := range []struct {
		name        string
		paths, want []string
	}{
		{
			"numbers",
			[]string{"mail.log", "mail.log.1", "mail.log.10.gz", "mail.log.2.gz"},
			[]string{"mail.log.10.gz", "mail.log.2.gz", "mail.log.1", "mail.log"},
		},
		{
			"dates",
			[]string{"mail.log", "mail.log-20261123", "mail.log-20251231.gz", "mail.log-20261101.gz"},
			[]string{"mail.log-20251231.gz", "mail.log-20261101.gz", "mail.log-20261123", "mail.log"},
		},
		{
			"two logs",
			[]string{"mail.log", "mainlog.1", "mail.log.1", "mainlog", "-"},
			[]string{"mail.log.1", "mail.log", "mainlog.1", "mainlog", "-"},
		},
		{"same name in two directories", []string{"a/mail.log", "b/mail.log.1"}, []string{"a/mail.log", "b/mail.log.1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, inOrder(test.paths)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSiblings(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"mail.log", "mail.log.1", "mail.log.2.gz", "mail.err", "mail.err.1", "mail.log.3.gz"} {
		appendTo(t, filepath.Join(dir, name), "x\n")
	}
	if err := os.Mkdir(filepath.Join(dir, "mail.log.4"), 0o755); err != nil {
		t.Fatal(err)
	}
	list, err := siblings(dir, "mail.log")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range list {
		got = append(got, filepath.Base(r.path))
	}
	if diff := cmp.Diff([]string{"mail.log.3.gz", "mail.log.2.gz", "mail.log.1"}, got); diff != "" {
		t.Error(diff)
	}
}
