// Package config reads TOML, the configuration file and files of rules, as a list
// of settings that each know their line. What a setting means is left to the
// caller.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// MaxFile bounds a configuration file, in bytes.
const MaxFile = 256 << 10

// A Setting is one key of the file.
type Setting struct {
	Path  []string // its tables, from the outermost, and its key
	Value any      // string, int64, float64, bool, []string; nil: anything else
	Line  int      // from 1
	Item  int      // number of its element in an array of tables, from 1; 0: none
}

// Key is the setting's own name.
func (s *Setting) Key() string { return s.Path[len(s.Path)-1] }

// Tables returns the names of the setting's tables.
func (s *Setting) Tables() []string { return s.Path[:len(s.Path)-1] }

// An Error is a mistake in the file.
type Error struct {
	Line int // from 1; 0: the whole file
	Err  error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("line %d: %v", e.Line, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Read reads the file at path. What is wrong with its text is an *Error;
// anything else is of the file system.
func Read(path string) ([]Setting, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse returns the settings of a file in their order. A table without a key yields a setting with an
// empty key, so that the caller can reject the name of an unknown table. Arrays of tables are an
// error.
func Parse(text []byte) ([]Setting, error) {
	return parse(text, MaxFile, false)
}

// ParseArrays is Parse for a file of at most that many bytes in which the top
// level may hold arrays of tables ("[[rule]]"). Each of their elements begins
// with a setting with an empty key.
func ParseArrays(text []byte, most int) ([]Setting, error) {
	return parse(text, most, true)
}

func parse(text []byte, most int, arrays bool) ([]Setting, error) {
	if len(text) > most {
		return nil, &Error{Err: fmt.Errorf("longer than %d bytes", most)}
	}
	// The decoder checks what the parser below does not: keys set twice,
	// tables that are none.
	values := map[string]any{}
	if err := toml.Unmarshal(text, &values); err != nil {
		var e *toml.DecodeError
		if errors.As(err, &e) {
			line, _ := e.Position()
			return nil, &Error{Line: line, Err: errors.New(strings.TrimPrefix(e.Error(), "toml: "))}
		}
		return nil, &Error{Err: err}
	}
	r := reader{values: values}
	items := map[string]int{}
	p := &r.p
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		path, line := r.keyOf(e)
		switch e.Kind {
		case unstable.ArrayTable:
			if !arrays || len(path) != 1 {
				return nil, &Error{Line: line, Err: fmt.Errorf("[[%s]]: a table is written with single brackets", strings.Join(path, "."))}
			}
			elements, ok := values[path[0]].([]any)
			if n := items[path[0]]; ok && n < len(elements) {
				r.values, _ = elements[n].(map[string]any)
			}
			items[path[0]]++
			r.table, r.item, r.from = path, items[path[0]], 1
			r.list = append(r.list, Setting{Path: append(path[:1:1], ""), Item: r.item, Line: line})
		case unstable.Table:
			r.table = path
			if items[path[0]] == 0 { // else a table below the element of an array
				r.values, r.item, r.from = values, 0, 0
			}
			r.list = append(r.list, Setting{Path: append(path[:len(path):len(path)], ""), Item: r.item, Line: line})
		case unstable.KeyValue:
			r.settings(r.table, e)
		}
	}
	if err := p.Error(); err != nil {
		return nil, &Error{Err: err}
	}
	return r.list, nil
}

// A reader makes settings of the expressions of a file.
type reader struct {
	p      unstable.Parser
	list   []Setting
	table  []string       // that is being read
	item   int            // see Setting
	values map[string]any // of the file, or of the element of an array
	from   int            // how many names of a path lead to values
}

// keyOf is the key of an expression and the line that it begins in.
func (r *reader) keyOf(e *unstable.Node) (path []string, line int) {
	for key := e.Key(); key.Next(); {
		n := key.Node()
		if line == 0 {
			line = r.p.Shape(n.Raw).Start.Line
		}
		path = append(path, string(n.Data))
	}
	return path, line
}

// settings appends what a key says: one setting, or those of an inline table.
func (r *reader) settings(table []string, e *unstable.Node) {
	key, line := r.keyOf(e)
	path := append(table[:len(table):len(table)], key...)
	if v := e.Value(); v.Kind == unstable.InlineTable {
		r.list = append(r.list, Setting{Path: append(path[:len(path):len(path)], ""), Item: r.item, Line: line})
		for child := v.Children(); child.Next(); {
			r.settings(path, child.Node())
		}
		return
	}
	r.list = append(r.list, Setting{Path: path, Item: r.item, Value: valueAt(r.values, path[r.from:]), Line: line})
}

// valueAt finds a value by its path.
func valueAt(values map[string]any, path []string) any {
	for _, name := range path[:len(path)-1] {
		inner, ok := values[name].(map[string]any)
		if !ok {
			return nil
		}
		values = inner
	}
	switch v := values[path[len(path)-1]].(type) {
	case string, int64, float64, bool:
		return v
	case []any:
		texts := make([]string, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil
			}
			texts[i] = s
		}
		return texts
	}
	return nil
}
