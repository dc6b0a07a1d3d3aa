package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v2"
)

// checkCommand looks up a command line as the program would, and says what is wrong with it.
func checkCommand(t *testing.T, words []string) {
	t.Helper()
	cmd, args, err := newRoot().Find(words)
	if err == nil && cmd.HasParent() {
		err = cmd.ParseFlags(args)
	} else if err == nil {
		t.Errorf("%q is no command", words)
	}
	if err != nil {
		t.Errorf("%q: %v", words, err)
	}
}

// TestDockerfile holds that what the Dockerfile names is there: files, the make target,
// the version of Go, the command.
func TestDockerfile(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	file := read("etc/docker/Dockerfile")
	find := func(pattern string) []string {
		t.Helper()
		m := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(file)
		if m == nil {
			t.Fatalf("no line like %s", pattern)
		}
		return m
	}
	if version := find(`^FROM golang:([0-9.]+)-`)[1]; !strings.Contains(read("go.mod"), "\ngo "+version+".") {
		t.Errorf("it builds with Go %s, and go.mod wants another", version)
	}
	for _, name := range strings.Fields(find(`^COPY ((?:go\.\w+ )+)\./$`)[1]) {
		read(name)
	}
	target := find(`^RUN make (\S+) VERSION=`)[1]
	if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(target) + `:`).MatchString(read("Makefile")) {
		t.Errorf("there is no target %s", target)
	}
	if find(`^COPY --from=build /src/(\S+) /usr/bin/bouncelog$`)[1] != target {
		t.Errorf("it copies something else than %s", target)
	}
	if entry := find(`^ENTRYPOINT \["(.*)"\]$`)[1]; entry != "/usr/bin/bouncelog" {
		t.Errorf("it runs %s", entry)
	}
	checkCommand(t, strings.Split(find(`^CMD \["(.*)"\]$`)[1], `", "`))
	if variable := find(`^ENV (\w+)=(\S+)`); variable[1] != "BOUNCELOG_DB" || filepath.Dir(variable[2]) != find(`^VOLUME (\S+)`)[1] {
		t.Errorf("the database is at %s, outside of the volume", variable[2])
	}
}

// TestCompose holds that the compose file runs commands that there are, with options
// that there are, and that 'docker compose' takes it where it is installed.
func TestCompose(t *testing.T) {
	raw, err := os.ReadFile("../../etc/docker/compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image, User string
			Build       struct{ Context, Dockerfile string }
			Command     []string
			Environment map[string]string
			Volumes     []string
			ReadOnly    bool `yaml:"read_only"`
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Services) != 2 {
		t.Errorf("%d services", len(file.Services))
	}
	for name, s := range file.Services {
		checkCommand(t, s.Command)
		cmd, _, _ := newRoot().Find(s.Command)
		known := map[string]bool{}
		cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { known[variable(f.Name)] = true })
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known[variable(f.Name)] = true })
		for v := range s.Environment {
			if !known[v] {
				t.Errorf("%s: %s does not know %s", name, cmd.Name(), v)
			}
		}
		if !s.ReadOnly || s.Image != "bouncelog" || s.User == "" || !slices.Contains(s.Volumes, "data:/var/lib/bouncelog") {
			t.Errorf("%s: %+v", name, s)
		}
		if b := s.Build; b.Context != "" {
			if _, err := os.Stat(filepath.Join("../../etc/docker", b.Context, b.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if err := exec.Command("docker", "compose", "version").Run(); err != nil {
		t.Skip("needs 'docker compose' for the rest")
	}
	if said, err := exec.Command("docker", "compose", "-f", "../../etc/docker/compose.yml", "config", "-q").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}
