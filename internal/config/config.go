// Package config reads the configuration file: TOML, as a list of settings that
// each know their line. What a setting means is left to the caller.
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
	Path  []string // the tables it stands in, and its key
	Value any      // string, int64, float64, bool, []string; nil: anything else
	Line  int      // from 1
}

// Key is the setting's own name.
func (s *Setting) Key() string { return s.Path[len(s.Path)-1] }

// Tables are the names of the tables that the setting stands in.
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

// Parse reads the text of a file, in the order in which it was written. A table
// without a key yields a setting with an empty key, so that a name that nobody
// knows is found.
func Parse(text []byte) ([]Setting, error) {
	if len(text) > MaxFile {
		return nil, &Error{Err: fmt.Errorf("longer than %d bytes", MaxFile)}
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
	var (
		p     unstable.Parser
		table []string
		list  []Setting
	)
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		path, line := keyOf(&p, e)
		switch e.Kind {
		case unstable.ArrayTable:
			return nil, &Error{Line: line, Err: fmt.Errorf("[[%s]]: a table is written with single brackets", strings.Join(path, "."))}
		case unstable.Table:
			table = path
			list = append(list, Setting{Path: append(path[:len(path):len(path)], ""), Line: line})
		case unstable.KeyValue:
			list = settings(list, &p, table, e, values)
		}
	}
	if err := p.Error(); err != nil {
		return nil, &Error{Err: err}
	}
	return list, nil
}

// keyOf is the key of an expression and the line that it begins in.
func keyOf(p *unstable.Parser, e *unstable.Node) (path []string, line int) {
	for key := e.Key(); key.Next(); {
		n := key.Node()
		if line == 0 {
			line = p.Shape(n.Raw).Start.Line
		}
		path = append(path, string(n.Data))
	}
	return path, line
}

// settings appends what a key says: one setting, or those of an inline table.
func settings(list []Setting, p *unstable.Parser, table []string, e *unstable.Node, values map[string]any) []Setting {
	key, line := keyOf(p, e)
	path := append(table[:len(table):len(table)], key...)
	if v := e.Value(); v.Kind == unstable.InlineTable {
		list = append(list, Setting{Path: append(path[:len(path):len(path)], ""), Line: line})
		for child := v.Children(); child.Next(); {
			list = settings(list, p, path, child.Node(), values)
		}
		return list
	}
	return append(list, Setting{Path: path, Value: valueAt(values, path), Line: line})
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
