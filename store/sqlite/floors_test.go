package sqlite

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// besides imports an empty package in place of each import. The names of the import are then
// unknown, but the declarations of this package are resolved.
type besides struct{}

func (besides) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}

// TestFloors checks the order of files in the package comment: each uses only declarations of files
// named before it, and reading and writing do not use each other.
func TestFloors(t *testing.T) {
	names, err := filepath.Glob("*.go")
	must(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	doc := ""
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		must(t, err)
		files = append(files, f)
		doc += f.Doc.Text()
	}
	var order []string
	floors, floor := make(map[string]string), ""
	for line := range strings.Lines(doc) {
		if line[0] != '\t' {
			continue
		}
		for _, word := range strings.Fields(line) {
			if name, is := strings.CutSuffix(word, ":"); is {
				floor = name
				continue
			}
			order = append(order, word+".go")
			floors[word+".go"] = floor
		}
	}
	for _, f := range files {
		if name := fset.Position(f.Pos()).Filename; !slices.Contains(order, name) {
			t.Errorf("the package comment puts %s on no floor", name)
		}
	}
	for _, name := range order {
		if !slices.Contains(names, name) {
			t.Errorf("the package comment names %s, which is not there", name)
		}
	}

	uses := 0
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	config := types.Config{Importer: besides{}, Error: func(error) {}} // names of imports are unknown
	pkg, _ := config.Check("sqlite", fset, files, info)
	for id, used := range info.Uses {
		if used.Pkg() != pkg || !used.Pos().IsValid() {
			continue
		}
		from, to := fset.Position(id.Pos()), fset.Position(used.Pos())
		if from.Filename == to.Filename {
			continue
		}
		uses++
		if slices.Index(order, to.Filename) > slices.Index(order, from.Filename) {
			t.Errorf("%s uses %s, which %s declares, a file further up", from, used.Name(), to.Filename)
		}
		if floors[from.Filename] == "reading" && floors[to.Filename] == "writing" {
			t.Errorf("%s, on the floor for reading, uses %s of the one for writing", from, used.Name())
		}
	}
	if uses < 2000 {
		t.Errorf("found only %d uses between files: the test is broken", uses)
	}
}
