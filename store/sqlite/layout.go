package sqlite

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
)

// This file defines every integer of the database that packs several numbers, with the limits that
// follow from its bits. SQL uses the same constants by name: see layoutSQL. Each limit that a value
// can reach is checked; the error is store.ErrTooMany or names the value that is out of range.
//
// SQLite stores an integer in as many bytes as it needs, and a rowid as a varint with 7 bits a byte,
// so a number that is mostly small belongs in the upper bits.
//
//	attemptID, rowid of delivery and failure, and of all tables about single attempts
//	  63    62              40                                      0
//	   +-----+---------------+---------------------------------------+
//	   |  0  |  source (22)  |  offset of the line (40)              |
//	   +-----+---------------+---------------------------------------+
//	   |  1  |  attemptID of the pair that expired (62)              |   one failure for each recipient
//	   +-----+-------------------------------------------------------+   of an expired message
//
//	dictKey, rowid of name_key, address_key, route_key and reply_key
//	          49                      28                             0
//	           +-----------------------+-----------------------------+
//	           | part of the hash (21) | id of the row (28)          |   49 bits: a varint of 7 bytes
//	           +-----------------------+-----------------------------+
//
//	cellKey, rowid of the rollups
//	    63                    38                        10           0
//	     +---------------------+-------------------------+-----------+
//	     | hour or day (25)    | id of the dimension (28)| kind (10) |   rollup_total: hour or day 0
//	     +---------------------+-------------------------+-----------+
//
//	kind, id of the table kind                 meta, of delivery and failure
//	     10         7            0              63                   3            0
//	      +---------+------------+               +-------------------+------------+
//	      | outcome | reason (7) |               | delay (see below) | flags (3)  |
//	      +---------+------------+               +-------------------+------------+

// attemptID.
const (
	offsetBits = 40
	maxOffset  = 1<<offsetBits - 1 // a log of 1 TiB, uncompressed
	maxSources = 1<<22 - 1         // with the offset 62 bits: the sign says that a message expired
)

// An attemptID identifies an attempt: its source, and the byte at which its line begins. The
// attempts of a line that stands for several take consecutive ids from there.
type attemptID int64

func newAttemptID(source, offset int64) attemptID { return attemptID(source<<offsetBits | offset) }

func (id attemptID) source() int64 { return int64(id >> offsetBits) }
func (id attemptID) offset() int64 { return int64(id & maxOffset) }

// expiry returns the id of the failure added when the pair with this id expires. The row holds the
// id of the line that logged the expiry.
func (id attemptID) expiry() attemptID { return math.MinInt64 + id }

// expired reports whether id was made by expiry.
func (id attemptID) expired() bool { return id < 0 }

// attemptsOf returns the range of the ids of a source's attempts.
func attemptsOf(source int64) span {
	return span{int64(newAttemptID(source, 0)), int64(newAttemptID(source, maxOffset))}
}

// expiries is the range of the ids made by expiry.
var expiries = span{math.MinInt64, -1}

// Ids of dictionary rows. Two ids, or an id and a time, fit in 64 bits.
const (
	idBits = 28
	maxID  = 1<<idBits - 1
)

// A dictKey finds a row of a dictionary by the hash of its contents. Rows with the same 21 bits of
// the hash have consecutive keys. One key in 2^21 belongs to another row, so with the largest
// dictionary (2^28 rows) each look-up compares 128 rows. A hostile sender must not be able to
// choose these bits (see hasher).
type dictKey int64

const dictHashBits = 21

// dictKeys returns the first and the last key that a row with this hash may have.
func dictKeys(h uint64) (lo, hi dictKey) {
	lo = dictKey(h>>(64-dictHashBits)) << idBits
	return lo, lo | maxID
}

func newDictKey(h uint64, id int64) dictKey {
	lo, _ := dictKeys(h)
	return lo | dictKey(id)
}

// Limits of the times of attempts, in seconds since 1970. 0 means never. Histories of recipients
// store times in 32 bits. A clock may be wrong, and a log may contain any time, so a time beyond a
// limit is replaced by that limit.
const (
	minTime = 1
	maxTime = 1<<32 - 1 // 2106-02-07
)

func unixTime(t time.Time) int64 { return min(max(t.Unix(), minTime), maxTime) }

// Periods in seconds.
const (
	hour = 60 * 60
	day  = 24 * hour
)

// A cellKey identifies a cell of a rollup.
type cellKey int64

const (
	dimensionShift = kindBits
	periodShift    = dimensionShift + idBits
	maxPeriod      = maxTime / hour // in hours
)

// newCellKey returns the key of the cell for a period (hours or days since 1970), a row of the
// dimension's dictionary and a kind.
func newCellKey(period, id, kind int64) cellKey {
	return cellKey(period<<periodShift | id<<dimensionShift | kind)
}

func (k cellKey) period() int64 { return int64(k >> periodShift) }
func (k cellKey) id() int64     { return int64(k >> dimensionShift & maxID) }
func (k cellKey) kind() int64   { return int64(k & maxKind) }

// total returns the key without the period, as in rollup_total.
func (k cellKey) total() cellKey { return k & (1<<periodShift - 1) }

// A kind is an outcome and a reason.
const (
	kindBits   = reasonBits + 3
	maxKind    = 1<<kindBits - 1
	reasonBits = 7
	maxReason  = 1<<reasonBits - 1
	// uncounted is the first kind of hand-offs and probes, which do not count as attempts.
	uncounted = int64(bounce.Handoff) << reasonBits
)

func kindOf(o bounce.Outcome, r bounce.Reason) int64 { return int64(o)<<reasonBits | int64(r) }

func outcomeOf(kind int64) bounce.Outcome { return bounce.Outcome(kind >> reasonBits & 7) }
func reasonOf(kind int64) bounce.Reason   { return bounce.Reason(kind & maxReason) }

// Flags in the lower bits of meta.
const (
	flagFirst         = 1 << iota // first attempt of its message
	flagFirstToDomain             // first attempt of its message to this domain
	flagRecovered                 // delivered after a soft failure

	flagBits = iota
)

// The code of a delay as store.RoundDelay rounds it: 0 is not known; up to maxFine it is hundredths
// of a second plus 1; above that, seconds plus coarseBase.
const (
	maxFine    = 10000             // 99.99 s
	coarseBase = maxFine + 1 - 100 // the code of 100 s follows that of 99.99 s
)

func delayCode(d float64) int64 {
	switch d = store.RoundDelay(d); {
	case d < 0:
		return 0
	case d < maxFine/100:
		return int64(math.Round(d*100)) + 1
	default:
		return int64(d) + coarseBase
	}
}

func delayOf(code int64) float64 {
	switch {
	case code == 0:
		return -1
	case code <= maxFine:
		return float64(code-1) / 100
	default:
		return float64(code - coarseBase)
	}
}

// layoutNames are the constants by their names in SQL. No name is a prefix of another.
var layoutNames = map[string]int64{
	"$OFFSET_BITS":   offsetBits,
	"$MAX_OFFSET":    maxOffset,
	"$ID_BITS":       idBits,
	"$MAX_ID":        maxID,
	"$PERIOD_SHIFT":  periodShift,
	"$DIM_SHIFT":     dimensionShift,
	"$TOTAL_MASK":    1<<periodShift - 1,
	"$KIND_MASK":     maxKind,
	"$REASON_BITS":   reasonBits,
	"$REASON_MASK":   maxReason,
	"$OUTCOME_MASK":  maxKind >> reasonBits,
	"$UNCOUNTED":     uncounted,
	"$SOFT":          int64(bounce.Soft),
	"$DELIVERED":     int64(bounce.Delivered),
	"$HARD":          int64(bounce.Hard),
	"$EXPIRED":       int64(bounce.Expired),
	"$HANDOFF":       int64(bounce.Handoff),
	"$FLAG_BITS":     flagBits,
	"$MAX_FINE":      maxFine,
	"$COARSE_BASE":   coarseBase,
	"$HOUR_SECONDS":  hour,
	"$DAY_SECONDS":   day,
	"$STATE_PENDING": pending,
}

var layoutReplacer = func() *strings.Replacer {
	var list []string
	for name, n := range layoutNames {
		list = append(list, name, strconv.FormatInt(n, 10))
	}
	return strings.NewReplacer(list...)
}()

// layoutSQL replaces the names of constants in SQL by their values.
func layoutSQL(sql string) string { return layoutReplacer.Replace(sql) }

// A layoutFS is a file system whose SQL files have their constants replaced.
type layoutFS struct{ fs.FS }

// Open opens a file; in a file ending in ".sql" constants are replaced.
func (f layoutFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return file, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return layoutFile{file, bytes.NewReader([]byte(layoutSQL(string(text))))}, nil
}

type layoutFile struct {
	fs.File
	text *bytes.Reader
}

func (f layoutFile) Read(p []byte) (int, error) { return f.text.Read(p) }

// A span is a range of ids, both ends included.
type span struct{ lo, hi int64 }

// States of a pair, as the table pair has them.
const (
	pending = iota
	recovered
	expired
	hard
	removed   // somebody deleted the message from the queue
	discarded // a filter of this server discarded the message
	completed // the message left the queue, and no attempt logged how
)

// Limits of credible times. There was no usable syslog before earliest. A time from latest on was
// written by a wrong clock.
var earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

func latest(now time.Time) int64 { return unixTime(now.Add(24*time.Hour))/day*day + day }
