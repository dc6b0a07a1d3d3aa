package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bouncelog/internal/config"
	"bouncelog/internal/table"
)

// defaultConfig is the configuration file that is read if it exists.
const defaultConfig = "/etc/bouncelog/bouncelog.toml"

// envPrefix begins the names of environment variables: BOUNCELOG_FAIL_ON sets --fail-on.
const envPrefix = "BOUNCELOG_"

// givesWay lists, by option, the options that it overrides where it comes from a source of greater
// weight: a period on the command line replaces the period of the file, whichever options the two
// use.
var givesWay = map[string][]string{
	"day":    {"since", "until"},
	"since":  {"day", "until"},
	"until":  {"day", "since"},
	"top":    {"all"},
	"all":    {"top"},
	"format": {"output"},

	"problem-recipients": {"flag-recipients"}, "flag-recipients": {"problem-recipients"}, // old names
	"problem-messages": {"flag-messages"}, "flag-messages": {"problem-messages"},
	"problem-share": {"flag-share"}, "flag-share": {"problem-share"},
	"problem-chance": {"flag-chance"}, "flag-chance": {"problem-chance"},
	"problem-window": {"flag-window"}, "flag-window": {"problem-window"},
	"problem-past": {"flag-past"}, "flag-past": {"problem-past"},
	"problem-valid": {"flag-valid"}, "flag-valid": {"problem-valid"},
}

func newConfig(newRoot func() *cobra.Command) *cobra.Command {
	var (
		out output
		all bool
	)
	cmd := &cobra.Command{
		Use:   "config [COMMAND...]",
		Short: "Show the effective configuration and where each value comes from",
		Long: `Every option can be given on the command line (--retain 365d), in the environment
(BOUNCELOG_RETAIN=365d) and in the configuration file (retain = "365d"), under the
same name. The command line overrides the environment, which overrides the file.

The file is TOML: options at the top apply to every command that has them, options
below [follow], [report] or [db-prune] to that command. An unknown name is an error.

Prints each option that is set, and its origin; with --all or the name of a COMMAND,
the defaults too.`,
		Example: `  bouncelog config
  bouncelog config follow`,
		RunE: func(cmd *cobra.Command, args []string) error {
			form, err := out.form(table.FormatTable)
			if err != nil {
				return err
			}
			root := cmd.Root()
			var of []*cobra.Command
			if len(args) > 0 {
				c, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 || c == root {
					return usageErrorf("'bouncelog help' lists the commands"+suggestion(root, args[0]), "config %s: no such command", strings.Join(args, " "))
				}
				of, all = []*cobra.Command{c}, true
			}
			s, err := loadSettings(cmd)
			if err != nil {
				return err
			}
			for _, name := range s.strangers() {
				fmt.Fprintf(cmd.ErrOrStderr(), "bouncelog: $%s is no option of any command\n", table.Clean(name))
				if near := nearest(name, s.variables()); near != "" {
					fmt.Fprintf(cmd.ErrOrStderr(), "hint: did you mean %s?\n", near)
				}
			}
			rows, err := s.inForce(newRoot, of, all)
			if err != nil {
				return err
			}
			return out.write(cmd, func(w io.Writer) error {
				rw := table.NewRowWriter(w, form, []table.Column{{Name: "command"}, {Name: "option"}, {Name: "value", Flex: true}, {Name: "from", Flex: true}})
				for _, row := range rows {
					if err := rw.Row(row); err != nil {
						return err
					}
				}
				return rw.Close()
			})
		},
	}
	out.flags(cmd, "table")
	cmd.Flags().BoolVar(&all, "all", false, "the defaults too")
	return cmd
}

// configure sets the options of a command that are not on the command line from the environment and
// the configuration file.
func configure(cmd *cobra.Command) error {
	for c := cmd; c.HasParent(); c = c.Parent() {
		switch {
		case c.Parent().HasParent():
		case c.Hidden, c.Name() == "help", c.Name() == "completion", c.Name() == "version":
			return nil // these must work with any file
		}
	}
	s, err := loadSettings(cmd)
	if err != nil {
		return err
	}
	_, err = s.apply(cmd)
	return err
}

// A weight is the precedence of the place that a value comes from. The greatest weight wins.
type weight int

const (
	fromDefault weight = iota
	fromFile
	fromEnvironment
	fromCommandLine
)

// settings are the values of the environment and of the configuration file.
type settings struct {
	root *cobra.Command
	path string // of the file
	from string // where its name comes from
	none bool   // there is none, and none was named
	file map[string]config.Setting
}

// fileKey is the key of a setting in settings.file.
func fileKey(table, option string) string { return table + "\x00" + option }

// tableOf returns the name of a command's table in the file. It is "db-prune" and not "db.prune",
// so that a table [db] does not conflict with the option db.
func tableOf(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	if up := tableOf(cmd.Parent()); up != "" {
		return up + "-" + cmd.Name()
	}
	return cmd.Name()
}

// options returns the options of a command that can be configured.
func options(cmd *cobra.Command) []*pflag.Flag {
	var list []*pflag.Flag
	add := func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "config" && f.Name != "version" {
			list = append(list, f)
		}
	}
	cmd.InheritedFlags().VisitAll(add)
	cmd.LocalFlags().VisitAll(add)
	return list
}

func variable(option string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}

// configurable returns the commands that have options, the root first.
func configurable(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for i := 0; i < len(list); i++ {
		for _, c := range list[i].Commands() {
			if !c.Hidden && c.Name() != "help" && c.Name() != "completion" {
				list = append(list, c)
			}
		}
	}
	return list
}

// loadSettings reads the configuration file: that of --config, else that of the environment, else
// defaultConfig.
func loadSettings(cmd *cobra.Command) (*settings, error) {
	s := &settings{root: cmd.Root(), path: defaultConfig, from: "default"}
	named := true
	if f := cmd.Flag("config"); f != nil && f.Changed {
		s.path, s.from = f.Value.String(), "command line"
	} else if path := os.Getenv(variable("config")); path != "" {
		s.path, s.from = path, "$"+variable("config")
	} else {
		named = false
	}
	list, err := config.Read(s.path)
	switch e := (*config.Error)(nil); {
	case err == nil:
		return s, s.take(list)
	case errors.Is(err, fs.ErrNotExist) && !named:
		s.none = true
		return s, nil
	case errors.As(err, &e):
		hint := ""
		if e.Line > 0 {
			hint = "it is TOML: option = \"value\", a table in [brackets], a comment behind #"
		}
		return nil, s.errorf(e.Line, hint, "%w", e.Err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, &exitError{status: exitUsage, err: fmt.Errorf("configuration: %w", err), hint: "--config and $" + variable("config") + " name the file; without them " + defaultConfig + " is read if it is there"}
	default:
		return nil, fmt.Errorf("configuration: %w", err)
	}
}

// errorf returns an error about the configuration file.
func (s *settings) errorf(line int, hint, format string, a ...any) error {
	where := s.path
	if line > 0 {
		where += ":" + strconv.Itoa(line)
	}
	return usageErrorf(hint, "%s: %w", where, fmt.Errorf(format, a...))
}

// take checks every setting of the file, also those of other commands.
func (s *settings) take(list []config.Setting) error {
	s.file = map[string]config.Setting{}
	commands := map[string]*cobra.Command{}
	all := map[string][]*pflag.Flag{} // the options of any command
	for _, c := range configurable(s.root) {
		commands[tableOf(c)] = c
		for _, f := range options(c) {
			all[f.Name] = append(all[f.Name], f)
		}
	}
	for _, set := range list {
		name := strings.Join(set.Tables(), ".")
		cmd := commands[name]
		if cmd == nil {
			hint := "there are " + strings.Join(sortedKeys(commands)[1:], ", ")
			if near := nearest(name, sortedKeys(commands)[1:]); near != "" {
				hint = "did you mean [" + near + "]?"
			}
			return s.errorf(set.Line, hint, "[%s]: no such command", name)
		}
		if set.Key() == "" {
			continue
		}
		known := all
		if name != "" {
			known = map[string][]*pflag.Flag{}
			for _, f := range options(cmd) {
				known[f.Name] = []*pflag.Flag{f}
			}
		}
		of := known[set.Key()]
		if of == nil {
			return s.unknown(set, name, sortedKeys(known), commands)
		}
		// A setting outside a table applies to the commands whose option takes such a value.
		if !slices.ContainsFunc(of, func(f *pflag.Flag) bool { return wants(f, set.Value) == "" }) {
			return s.errorf(set.Line, "write it like "+example(of[0]), "%s: %s is wanted", set.Key(), wants(of[0], set.Value))
		}
		s.file[fileKey(name, set.Key())] = set
	}
	return nil
}

// unknown returns the error about a setting that is no option.
func (s *settings) unknown(set config.Setting, table string, known []string, commands map[string]*cobra.Command) error {
	if commands[set.Key()] != nil {
		return s.errorf(set.Line, "the options of a command are below ["+set.Key()+"]", "%s: the name of a command, not of an option", set.Key())
	}
	have := map[string][]string{} // which commands have an option
	for name, c := range commands {
		for _, f := range options(c) {
			if name != "" {
				have[f.Name] = append(have[f.Name], name)
				slices.Sort(have[f.Name])
			}
		}
	}
	hint := "'bouncelog config --all' lists the options"
	if of := have[set.Key()]; of != nil {
		hint = "it is an option of " + strings.Join(of, ", ")
	} else if near := nearest(set.Key(), known); near != "" {
		hint = "did you mean " + near + "?"
	} else if near := nearest(set.Key(), sortedKeys(have)); near != "" {
		hint = "did you mean " + near + "? It is an option of " + strings.Join(have[near], ", ")
	}
	what := "no such option"
	if table != "" {
		what = table + " has no such option"
	}
	return s.errorf(set.Line, hint, "%s: %s", set.Key(), what)
}

// wants returns the type that an option expects, in words; "" if v has it.
func wants(f *pflag.Flag, v any) string {
	var ok bool
	what := "a text in quotes"
	switch f.Value.Type() {
	case "bool":
		_, ok = v.(bool)
		what = "true or false"
	case "int", "int64", "uint", "uint16", "uint64", "count":
		_, ok = v.(int64)
		what = "a whole number"
	case "float64":
		_, whole := v.(int64)
		_, ok = v.(float64)
		ok = ok || whole
		what = "a number"
	case "duration":
		_, ok = v.(string)
		what = `a time in quotes, as "10s"`
	default:
		_, ok = v.(string)
		if _, list := f.Value.(pflag.SliceValue); list && !ok {
			_, ok = v.([]string)
			what = "a list of texts"
		}
	}
	if ok {
		return ""
	}
	return what
}

// example returns an option as it is written in the file.
func example(f *pflag.Flag) string {
	switch wants(f, nil) {
	case "true or false":
		return f.Name + " = true"
	case "a whole number", "a number":
		return f.Name + " = 10"
	case "a list of texts":
		return f.Name + ` = ["one", "another"]`
	case `a time in quotes, as "10s"`:
		return f.Name + ` = "10s"`
	}
	return f.Name + ` = "text"`
}

// find returns the value of an option from the environment or the file, and where it comes from.
func (s *settings) find(cmd *cobra.Command, f *pflag.Flag) (weight, string, any) {
	if v := os.Getenv(variable(f.Name)); v != "" {
		return fromEnvironment, "$" + variable(f.Name), v
	}
	for _, name := range []string{tableOf(cmd), ""} {
		if set, ok := s.file[fileKey(name, f.Name)]; ok && wants(f, set.Value) == "" {
			return fromFile, fmt.Sprintf("%s:%d", s.path, set.Line), set.Value
		}
	}
	return fromDefault, "default", nil
}

// apply sets the options of a command and returns the source of each value, by option.
func (s *settings) apply(cmd *cobra.Command) (map[string]string, error) {
	type source struct {
		weight
		where string
		value any
	}
	from := map[string]source{}
	list := options(cmd)
	for _, f := range list {
		if onCommandLine(f) {
			from[f.Name] = source{fromCommandLine, "command line", nil}
			continue
		}
		o, where, v := s.find(cmd, f)
		from[f.Name] = source{o, where, v}
	}
	where := map[string]string{}
	for _, f := range list {
		src := from[f.Name]
		where[f.Name] = src.where
		if src.weight == fromDefault || src.weight == fromCommandLine {
			continue
		}
		if slices.ContainsFunc(givesWay[f.Name], func(other string) bool { return from[other].weight > src.weight }) {
			where[f.Name] = "default"
			continue
		}
		if err := setOption(f, src.value); err != nil {
			return nil, usageErrorf("write it like "+inSource(f, src.weight), "%s: %s: %w", src.where, f.Name, err)
		}
		f.Changed = true
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[annotation] = []string{src.where}
	}
	return where, nil
}

// annotation marks the options that apply has set.
const annotation = "bouncelog_from"

func onCommandLine(f *pflag.Flag) bool { return f.Changed && f.Annotations[annotation] == nil }

// inSource returns an option's name as it is written in its source.
func inSource(f *pflag.Flag, o weight) string {
	if o == fromFile {
		return example(f)
	}
	_, v, _ := strings.Cut(example(f), " = ")
	return variable(f.Name) + "=" + strings.Trim(v, `"[]`)
}

// setOption sets an option to a value of the environment (always a string) or of the file.
func setOption(f *pflag.Flag, v any) error {
	if list, ok := v.([]string); ok {
		return f.Value.(pflag.SliceValue).Replace(list)
	}
	text := fmt.Sprint(v)
	if err := f.Value.Set(text); err != nil {
		return fmt.Errorf("%q: %s is wanted", text, wants(f, nil))
	}
	return nil
}

// inForce lists options with their values and sources: those of the named commands, or of all.
func (s *settings) inForce(newRoot func() *cobra.Command, of []*cobra.Command, all bool) ([][]any, error) {
	where := s.from
	if s.none {
		where = "default; there is no such file"
	}
	rows := [][]any{{"every", "config", s.path, where}}
	if of == nil {
		of = configurable(s.root)
	} else {
		of = append([]*cobra.Command{s.root}, of...)
	}
	shared := map[string]string{}
	for _, c := range of {
		// An option may be shared, and set for one command only: each command
		// is looked at by itself.
		fresh := newRoot()
		s.root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
			if g := fresh.PersistentFlags().Lookup(f.Name); onCommandLine(f) && g.Value.Set(f.Value.String()) == nil {
				g.Changed = true
			}
		})
		c, _, err := fresh.Find(strings.Fields(c.CommandPath())[1:])
		if err != nil {
			return nil, err
		}
		from, err := s.apply(c)
		if err != nil {
			return nil, err
		}
		for _, f := range options(c) {
			name := strings.TrimPrefix(c.CommandPath(), fresh.Name()+" ")
			switch {
			case !c.HasParent():
				name, shared[f.Name] = "every", from[f.Name]
				if f.Hidden && from[f.Name] == "default" {
					continue
				}
			case shared[f.Name] != "":
				if shared[f.Name] == from[f.Name] {
					continue
				}
			case (!all || f.Hidden) && from[f.Name] == "default":
				continue
			}
			rows = append(rows, []any{name, f.Name, valueOf(f), from[f.Name]})
		}
	}
	return rows, nil
}

func valueOf(f *pflag.Flag) any {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return strings.Join(list.GetSlice(), ", ")
	}
	switch f.Value.Type() {
	case "bool":
		return f.Value.String() == "true"
	case "int", "int64":
		if n, err := strconv.ParseInt(f.Value.String(), 10, 64); err == nil {
			return n
		}
	}
	return f.Value.String()
}

// variables returns the names of all environment variables that are read.
func (s *settings) variables() []string {
	set := map[string]bool{variable("config"): true, passwordVariable: true}
	for _, c := range configurable(s.root) {
		for _, f := range options(c) {
			set[variable(f.Name)] = true
		}
	}
	return sortedKeys(set)
}

// strangers returns the environment variables that have our prefix and are not read.
func (s *settings) strangers() []string {
	known := s.variables()
	var list []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if _, found := slices.BinarySearch(known, name); !found && strings.HasPrefix(name, envPrefix) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func sortedKeys[T any](m map[string]T) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// nearest returns the name that was probably meant by a misspelt word; "" if none is near.
func nearest(word string, names []string) string {
	if len(word) > 100 {
		return ""
	}
	best, least := "", max(2, len(word)/3)+1
	for _, name := range names {
		if d := edits(strings.ToLower(word), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// edits returns the Levenshtein distance between two words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
