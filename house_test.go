// Package bouncelog_test holds the conventions of the house as tests: who may
// import whom, and that every package says what it is for.
package bouncelog_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "bouncelog"

// mayImport says which packages of ours each package may import. A package
// that is not listed may import nothing of ours.
var mayImport = map[string][]string{
	"bounce":                   {},
	"judge":                    {"bounce", "internal/config", "internal/provider"},
	"parser":                   {"bounce", "internal/ascii"},
	"tailer":                   {},
	"ingest":                   {"judge", "parser", "store", "tailer"},
	"store":                    {"bounce", "internal/ascii"},
	"store/memory":             {"bounce", "store", "internal/ascii"},
	"store/storetest":          {"bounce", "store", "store/memory"},
	"store/clickhouse":         {"bounce", "store", "internal/ascii"},
	"internal/chnode":          {},
	"store/sqlite":             {"bounce", "store", "internal/ascii", "internal/redact", "internal/sqlite3"},
	"problem":                  {"bounce", "judge", "store", "internal/ascii", "internal/provider", "internal/table"},
	"report":                   {"bounce", "judge", "store", "problem", "internal/ascii", "internal/provider", "internal/redact", "internal/table", "internal/when"},
	"report/render":            {"bounce", "judge", "store", "problem", "report", "internal/ascii", "internal/provider", "internal/table", "internal/when"},
	"top":                      {"bounce", "judge", "store", "problem", "report", "report/render", "internal/provider", "internal/table", "internal/when"},
	"notify":                   {"store", "problem", "report", "report/render", "internal/table"},
	"web":                      {"bounce", "judge", "store", "problem", "report", "report/render", "internal/ascii", "internal/provider", "internal/table", "internal/when"},
	"internal/ascii":           {},
	"internal/config":          {},
	"internal/sqlite3":         {},
	"internal/hostile":         {},
	"internal/metrics":         {},
	"internal/provider":        {"bounce", "internal/ascii"},
	"internal/redact":          {},
	"internal/table":           {"internal/when"},
	"internal/term":            {},
	"internal/when":            {},
	"internal/dnsscan":         {},
	"internal/dnsscan/dnstest": {},
	"cmd/bouncelog":            {"bounce", "judge", "ingest", "parser", "tailer", "store", "store/clickhouse", "store/sqlite", "problem", "report", "report/render", "notify", "internal/ascii", "internal/config", "internal/metrics", "internal/table", "internal/term", "internal/when", "internal/dnsscan", "top", "web"},
	"bench/problem":            {},
	"bench/genlog":             {},
	"bench/run":                {},
	"e2e":                      {},
	"e2e/lab":                  {},
}

type file struct {
	path    string // slashes, from the root
	dir     string // its package's
	test    bool
	imports []string
	doc     string
}

func goFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (strings.HasPrefix(base, ".") || base == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		one := file{path: filepath.ToSlash(name), dir: path.Dir(filepath.ToSlash(name)), test: strings.HasSuffix(name, "_test.go"), doc: f.Doc.Text()}
		for _, spec := range f.Imports {
			one.imports = append(one.imports, strings.Trim(spec.Path.Value, `"`))
		}
		files = append(files, one)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found only %d Go files: the walk is broken", len(files))
	}
	return files
}

// TestImportDirection holds the pipeline: imports run one way.
func TestImportDirection(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		allowed, known := mayImport[f.dir]
		for _, imported := range f.imports {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if !ok {
				continue
			}
			if !known {
				t.Errorf("%s: package %s is not in the table of this test", f.path, f.dir)
			} else if !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s; package %s may import only %q", f.path, ours, f.dir, allowed)
			}
		}
	}
}

// layered are the packages without circles of files. store/sqlite has a test of its own, which holds the order.
var layered = []string{"cmd/bouncelog", "ingest", "internal/metrics", "internal/provider", "internal/redact", "parser", "report", "store", "top", "web"}

// recursive names, for a package, the type whose methods call each other in circles: a Parser reads the lines
// inside a line from the top. Uses of the type, its fields and its methods do not count.
var recursive = map[string]string{"parser": "Parser"}

// TestFileCircles holds that no file of a layered package uses, in however many steps, a file that
// uses it: each can be read after those that it uses.
func TestFileCircles(t *testing.T) {
	for _, dir := range layered {
		fset := token.NewFileSet()
		var parsed []*ast.File
		for _, f := range goFiles(t) {
			if f.dir != dir || f.test {
				continue
			}
			one, err := parser.ParseFile(fset, f.path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, one)
		}
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		config := types.Config{Importer: noImporter{}, Error: func(error) {}} // names of imports are unknown
		pkg, _ := config.Check(dir, fset, parsed, info)
		ignored := membersOf(pkg, recursive[dir])
		uses := map[string]map[string]string{} // by file: the files that it uses, with a name that each declares
		for id, used := range info.Uses {
			from, to := fset.Position(id.Pos()).Filename, fset.Position(used.Pos()).Filename
			if used.Pkg() != pkg || from == to || to == "" || ignored[used] {
				continue
			}
			if uses[from] == nil {
				uses[from] = map[string]string{}
			}
			uses[from][to] = used.Name()
		}
		if len(parsed) > 1 && len(uses) == 0 {
			t.Errorf("%s: no file uses another one: the test is broken", dir)
		}
		// A file whose uses are all placed is placed. Files that are left are in a circle, or use one.
		for placed := true; placed; {
			placed = false
			for from := range uses {
				maps.DeleteFunc(uses[from], func(to, _ string) bool { return uses[to] == nil })
				if len(uses[from]) == 0 {
					delete(uses, from)
					placed = true
				}
			}
		}
		for from, list := range uses {
			t.Errorf("%s is in a circle of files, or uses one; it uses %v", from, list)
		}
	}
}

// membersOf returns a struct type with its fields and its methods. Without a name it returns nothing.
func membersOf(pkg *types.Package, name string) map[types.Object]bool {
	members := map[types.Object]bool{}
	if name == "" {
		return members
	}
	declared := pkg.Scope().Lookup(name)
	members[declared] = true
	named := declared.Type().(*types.Named)
	for method := range named.Methods() {
		members[method] = true
	}
	for field := range named.Underlying().(*types.Struct).Fields() {
		members[field] = true
	}
	return members
}

// noImporter imports an empty package in place of each import.
type noImporter struct{}

func (noImporter) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}

// TestOneImporter holds that each third-party module is imported by one
// package of ours, tests aside: it can be replaced there.
func TestOneImporter(t *testing.T) {
	importers := map[string]map[string]bool{}
	for _, f := range goFiles(t) {
		if f.test || strings.HasSuffix(f.dir, "test") || strings.HasPrefix(f.dir, "e2e") || strings.HasPrefix(f.dir, "bench") {
			continue
		}
		for _, imported := range f.imports {
			first, _, _ := strings.Cut(imported, "/")
			if first == module || !strings.Contains(first, ".") {
				continue
			}
			m := moduleOf(imported)
			if importers[m] == nil {
				importers[m] = map[string]bool{}
			}
			dir := f.dir
			if path.Dir(dir) == "store" {
				dir = "store/*" // the engines, which migrate their schemas by the same library
			}
			importers[m][dir] = true
		}
	}
	if len(importers) == 0 {
		t.Fatal("found no third-party module at all: the test is broken")
	}
	for m, dirs := range importers {
		if len(dirs) > 1 {
			t.Errorf("%s is imported by %q; one of them should do it for all", m, slices.Sorted(maps.Keys(dirs)))
		}
	}
}

// moduleOf is near enough to the module's path: host, owner and name. The packages of
// golang.org/x have no more in common than those of the standard library.
func moduleOf(imported string) string {
	if strings.HasPrefix(imported, "golang.org/x/") {
		return imported
	}
	parts := strings.Split(imported, "/")
	n := 3
	if strings.HasPrefix(imported, "gopkg.in/") {
		n = 2
	}
	return strings.Join(parts[:min(n, len(parts))], "/")
}

// TestPackageDoc holds that each package says what it is for.
func TestPackageDoc(t *testing.T) {
	docs := map[string]string{}
	for _, f := range goFiles(t) {
		docs[f.dir] += f.doc
	}
	for dir, doc := range docs {
		if len(doc) < 40 {
			t.Errorf("package %s has no package comment to speak of: %q", dir, doc)
		}
	}
}

// TestPackagesDocumented holds that docs/ARCHITECTURE.md describes each package: by its path, or by
// its name in the row of the directory above.
func TestPackagesDocumented(t *testing.T) {
	doc, err := os.ReadFile("docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, packages, _ := strings.Cut(string(doc), "\n## Packages\n")
	packages, _, _ = strings.Cut(packages, "\n## ")
	rows := map[string]string{}
	for row := range strings.Lines(packages) {
		if name, found := strings.CutPrefix(row, "| `"); found {
			name, rest, _ := strings.Cut(name, "`")
			rows[name] = rest
		}
	}
	for name := range mayImport {
		if _, found := rows[name]; !found && !strings.Contains(rows[path.Dir(name)], "`"+path.Base(name)+"`") {
			t.Errorf("docs/ARCHITECTURE.md does not describe %s", name)
		}
	}
	for name := range rows {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("docs/ARCHITECTURE.md describes %s: %v", name, err)
		}
	}
}

// TestWalks holds that the hops of docs/ARCHITECTURE.md are there: each names a file and
// a function or type in it.
func TestWalks(t *testing.T) {
	doc, err := os.ReadFile("docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	hops := regexp.MustCompile("(?m)^\\| [0-9]+ \\| `([a-z0-9/_]+\\.go)` `([A-Za-z]+)` \\|").FindAllSubmatch(doc, -1)
	if len(hops) < 20 {
		t.Fatalf("found only %d hops: the pattern is broken", len(hops))
	}
	for _, hop := range hops {
		code, err := os.ReadFile(string(hop[1]))
		if err != nil {
			t.Error(err)
			continue
		}
		declared := regexp.MustCompile("(?m)^(func (\\([^)]*\\) )?|type )" + string(hop[2]) + "\\b")
		if !declared.Match(code) {
			t.Errorf("docs/ARCHITECTURE.md: %s declares no %s", hop[1], hop[2])
		}
	}
}

// TestNamedTests holds that the tests that the documents and the Makefile name are there.
func TestNamedTests(t *testing.T) {
	tests := map[string]bool{}
	for _, f := range goFiles(t) {
		if !f.test {
			continue
		}
		text, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)`).FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
	}
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(docs, "Makefile") {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?:-run '?|-fuzz |`|\\^)((?:Test|Fuzz)[A-Z]\\w+)").FindAllSubmatch(text, -1) {
			name := string(m[1])
			if !slices.ContainsFunc(slices.Collect(maps.Keys(tests)), func(test string) bool { return strings.HasPrefix(test, name) }) {
				t.Errorf("%s names %s", doc, name)
			}
		}
	}
}
