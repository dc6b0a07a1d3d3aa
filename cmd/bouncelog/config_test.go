package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestEveryOptionConfigurable holds that each option of each command, present
// and future, can be set in the environment and in the file, for all commands
// and for one, and that the stronger place wins.
func TestEveryOptionConfigurable(t *testing.T) {
	tried := 0
	for _, c := range configurable(newRoot()) {
		for _, f := range options(c) {
			tried++
			t.Run(strings.ReplaceAll(c.CommandPath(), " ", "-")+"/"+f.Name, func(t *testing.T) {
				fileValue, fileWant := `"one"`, "one"
				env, flag := "two", "three"
				switch wants(f, nil) {
				case "true or false":
					fileValue, fileWant, env, flag = "true", "true", "true", "false"
				case "a whole number", "a number":
					fileValue, fileWant, env, flag = "11", "11", "12", "13"
				case `a time in quotes, as "10s"`:
					fileValue, fileWant, env, flag = `"11s"`, "11s", "12s", "13s"
				case "a list of texts":
					fileValue, fileWant = `["a,b", "c"]`, "a,b, c"
				}
				// value is what the option is when the command is run.
				value := func(text string, args ...string) (string, string) {
					t.Helper()
					path := filepath.Join(t.TempDir(), "bouncelog.toml")
					if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
					t.Setenv("BOUNCELOG_CONFIG", path)
					cmd, flags, err := newRoot().Find(strings.Fields(c.CommandPath())[1:])
					if err != nil {
						t.Fatal(err)
					}
					if err := cmd.ParseFlags(append(flags, args...)); err != nil {
						t.Fatal(err)
					}
					s, err := loadSettings(cmd)
					if err != nil {
						t.Fatal(err)
					}
					from, err := s.apply(cmd)
					if err != nil {
						t.Fatal(err)
					}
					where, _, _ := strings.Cut(from[f.Name], ":")
					return fmt.Sprint(valueOf(cmd.Flag(f.Name))), strings.TrimPrefix(where, filepath.Dir(path)+"/")
				}
				check := func(want, wantFrom string, got, from string) {
					t.Helper()
					if got != want || from != wantFrom {
						t.Errorf("%q from %q, want %q from %q", got, from, want, wantFrom)
					}
				}
				if os.Getenv(variable(f.Name)) != "" {
					t.Setenv(variable(f.Name), "")
				}
				everywhere := f.Name + " = " + fileValue + "\n"
				got, from := value(everywhere)
				check(fileWant, "bouncelog.toml", got, from)
				if name := tableOf(c); name != "" {
					got, from = value("[" + name + "]\n" + everywhere)
					check(fileWant, "bouncelog.toml", got, from)
				}
				t.Setenv(variable(f.Name), env)
				got, from = value(everywhere)
				check(env, "$"+variable(f.Name), got, from)
				got, from = value(everywhere, "--"+f.Name+"="+flag)
				check(flag, "command line", got, from)
			})
		}
	}
	if tried < 50 {
		t.Errorf("only %d options tried: the test is broken", tried)
	}
}

// TestVariablesDiffer holds that no two options share a variable, and that no
// table has the name of an option.
func TestVariablesDiffer(t *testing.T) {
	byVariable := map[string]string{}
	kinds := map[string]string{}
	for _, c := range configurable(newRoot()) {
		for _, f := range options(c) {
			if other, ok := byVariable[variable(f.Name)]; ok && other != f.Name {
				t.Errorf("%s and %s are both %s", f.Name, other, variable(f.Name))
			}
			byVariable[variable(f.Name)] = f.Name
			kinds[f.Name] = wants(f, nil)
		}
	}
	// A table and an option of the same name cannot both be at the top of a file. These
	// options are named after other commands: they go below the table of their own.
	for _, name := range []string{"scan", "top", "notify"} {
		delete(kinds, name)
	}
	for _, c := range configurable(newRoot()) {
		if name := tableOf(c); kinds[name] != "" && len(options(c)) > len(persistent(c)) {
			t.Errorf("[%s] bars the option %s", name, name)
		}
	}
}

func persistent(c *cobra.Command) (list []*pflag.Flag) {
	c.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" {
			list = append(list, f)
		}
	})
	return list
}

// Whatever stands in the file, the answer is a list of options, or an error
// that is wrong usage.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{
		"retain = \"365d\"\n[follow]\nsource = [\"a\"]", "[db-prune]\nolder-than = \"1d\"", "retian = 1", "[folow]", "follow = {retain = \"1d\"}", "top = -9223372036854775808",
		"year = 99999999999", "[\"\"]\nx = 1", "\"follow\\u0000retain\" = 1", "fail-on = [\"\\u001b[2J\"]", "tz = \"\\u001b]0;x\\u0007\"",
	} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(dir, "c.toml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("BOUNCELOG_CONFIG", path)
		s, err := loadSettings(newRoot())
		if err == nil {
			_, err = s.inForce(newRoot, nil, true)
		}
		var e *exitError
		if err != nil && (!errors.As(err, &e) || e.status != exitUsage) {
			t.Fatalf("%v", err)
		}
	})
}
