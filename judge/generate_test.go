package judge

import (
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"os"
	"reflect"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files anew")

// The rules are read from TOML at build time and not at start-up: parsing them would take longer
// than all other work of a short command.
func TestRulesGenerated(t *testing.T) {
	text, err := os.ReadFile("rules.toml")
	if err != nil {
		t.Fatal(err)
	}
	file, err := parseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	want := generate(t, file)
	const out = "rules_gen.go"
	if *update {
		if err := os.WriteFile(out, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s is not what rules.toml says; run go generate ./judge", out)
	}
}

func generate(t *testing.T, file *ruleFile) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("// Code generated from rules.toml by go generate. DO NOT EDIT.\n\npackage judge\n\nvar builtinRules = []Rule{\n")
	for _, r := range file.rules {
		literal(&b, reflect.ValueOf(r))
	}
	b.WriteString("}\n\nvar builtinConcepts = []Concept{\n")
	for _, c := range file.concepts {
		literal(&b, reflect.ValueOf(c))
	}
	b.WriteString("}\n")
	out, err := format.Source(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// literal writes a struct of strings, lists of strings and small numbers.
func literal(b *bytes.Buffer, v reflect.Value) {
	b.WriteString("{")
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsZero() {
			continue
		}
		fmt.Fprintf(b, "%s: ", v.Type().Field(i).Name)
		switch f.Kind() {
		case reflect.String:
			fmt.Fprintf(b, "%q", f.String())
		case reflect.Slice:
			b.WriteString("[]string{")
			for k := range f.Len() {
				fmt.Fprintf(b, "%q, ", f.Index(k).String())
			}
			b.WriteString("}")
		default:
			fmt.Fprint(b, f.Uint())
		}
		b.WriteString(", ")
	}
	b.WriteString("},\n")
}
