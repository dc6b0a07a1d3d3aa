package tailer

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The names of rotated logs: logrotate's and newsyslog's mail.log.1,
// mail.log.2.gz; dateext's mail.log-20261123, mail.log-20261123.gz, with any
// dateformat that begins with a digit; logrotate's "extension .log",
// mail-20261123.log; savelog's and exicyclog's mainlog.01. When the writer was
// faster than logrotate's "create", its first lines are in
// mail.log-2026112315.backup.
const rotationPattern = `[.\-_](\d[\d.:T_\-]*|old)(?:\.backup)?`

var (
	reCompressed = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\.(gz|xz|zst|bz2)$`) })
	reRotated    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(.+?)` + rotationPattern + `$`) })
	reSuffix     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + rotationPattern + `$`) })
	reDate       = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(19|20)\d\d[.\-_]?(0[1-9]|1[0-2])[.\-_]?([0-2]\d|3[01])`)
	})
)

// splitRotated splits a file name into the name of the log and the suffix of the rotation. The
// suffix is empty for a log itself.
func splitRotated(name string) (base, suffix string) {
	plain := reCompressed().ReplaceAllString(name, "")
	if m := reRotated().FindStringSubmatch(plain); m != nil {
		return m[1], m[2]
	}
	ext := filepath.Ext(plain)
	if m := reRotated().FindStringSubmatch(strings.TrimSuffix(plain, ext)); m != nil && reDate().MatchString(m[2]) {
		return m[1] + ext, m[2] // mail-20261123.log
	}
	return plain, ""
}

// rotationOf reports whether name is a rotation of the log base, and which.
func rotationOf(base, name string) (suffix string, ok bool) {
	if !strings.HasPrefix(name, strings.TrimSuffix(base, filepath.Ext(base))) {
		return "", false // most of a directory with many logs
	}
	plain := reCompressed().ReplaceAllString(name, "")
	if rest, found := strings.CutPrefix(plain, base); found {
		if m := reSuffix().FindStringSubmatch(rest); m != nil {
			return m[1], true
		}
		return "", rest == "" && plain != name // mail.log.gz
	}
	ext := filepath.Ext(base)
	rest, found := strings.CutPrefix(plain, strings.TrimSuffix(base, ext))
	if !found || ext == "" {
		return "", false
	}
	if rest, found = strings.CutSuffix(rest, ext); found {
		if m := reSuffix().FindStringSubmatch(rest); m != nil && m[1] != "old" {
			return m[1], true
		}
	}
	return "", false
}

// A rotation is a file that may hold an older part of a log.
type rotation struct {
	path   string
	suffix string
	info   os.FileInfo
}

// siblings lists the rotations of a log in dir, oldest first.
func siblings(dir, base string) ([]rotation, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	var list []rotation
	for _, name := range names {
		suffix, ok := rotationOf(base, name)
		if !ok {
			continue
		}
		path := filepath.Join(dir, name)
		fi, err := os.Stat(path)
		if err != nil || !fi.Mode().IsRegular() {
			continue // it is gone
		}
		list = append(list, rotation{path, suffix, fi})
	}
	oldestFirst(list)
	return list, err
}

// oldestFirst sorts the rotations of one log: by number, the highest is the oldest; by date; or,
// with both, by modification time. The log itself comes last.
func oldestFirst(list []rotation) {
	dates, numbers := 0, 0
	for _, r := range list {
		switch {
		case reDate().MatchString(r.suffix):
			dates++
		case r.suffix != "":
			numbers++
		}
	}
	slices.SortStableFunc(list, func(a, b rotation) int {
		if a.suffix == "" || b.suffix == "" {
			return cmp.Compare(btoi(a.suffix == ""), btoi(b.suffix == ""))
		}
		switch {
		case dates == 0:
			if n := cmp.Compare(number(b.suffix), number(a.suffix)); n != 0 {
				return n
			}
		case numbers == 0:
			if n := cmp.Compare(digits(a.suffix), digits(b.suffix)); n != 0 {
				return n
			}
		}
		if n := modified(a).Compare(modified(b)); n != 0 {
			return n
		}
		return cmp.Compare(a.path, b.path)
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func modified(r rotation) time.Time {
	if r.info == nil {
		return time.Time{}
	}
	return r.info.ModTime()
}

// number returns the rotation's number; "old" comes before all.
func number(suffix string) int {
	n, err := strconv.Atoi(suffix)
	if err != nil {
		return 1 << 30
	}
	return n
}

// digits returns the digits of a date, so that dates can be compared.
func digits(suffix string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, suffix)
}

// inOrder sorts paths so that the rotations of each log come oldest first.
// Logs stay in the order in which they were named first.
func inOrder(paths []string) []string {
	var logs []string
	byLog := map[string][]rotation{}
	for _, path := range paths {
		base, suffix := splitRotated(filepath.Base(path))
		key := filepath.Join(filepath.Dir(path), base)
		if path == "-" {
			key = path
		}
		if byLog[key] == nil {
			logs = append(logs, key)
		}
		info, _ := os.Stat(path)
		byLog[key] = append(byLog[key], rotation{path, suffix, info})
	}
	ordered := make([]string, 0, len(paths))
	for _, key := range logs {
		oldestFirst(byLog[key])
		for _, r := range byLog[key] {
			ordered = append(ordered, r.path)
		}
	}
	return ordered
}
