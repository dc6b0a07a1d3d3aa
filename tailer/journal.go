package tailer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// journalPrefix begins the name of a journal, as a source and as an ID.
const journalPrefix = "journal:"

// journalMatch selects what mail servers log: the facility mail (2, RFC 5424
// section 6.2.1), and Exim under any facility.
var journalMatch = []string{"SYSLOG_FACILITY=2", "+", "SYSLOG_IDENTIFIER=exim", "+", "SYSLOG_IDENTIFIER=exim4"}

// engineMatch selects what the engines of containers log for them, by the program:
// dockerd with docker's log driver journald, and podman's conmon. They give no
// facility, and their names cannot be matched by a pattern.
var engineMatch = []string{"_COMM=dockerd", "+", "_COMM=conmon"}

// journalFields are the fields of an entry that are read, besides the cursor and the time.
// CONTAINER_NAME is set by the log drivers of docker and podman.
const journalFields = "MESSAGE,_HOSTNAME,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_COMM,CONTAINER_NAME"

// entryMax is the greatest length of an entry as journalctl prints it, in bytes. A byte
// of the message may take five.
const entryMax = 24 << 20

// A journalFeed follows systemd's journal through journalctl: reading it in
// this process would need cgo and be exposed to damaged journal files.
//
// The position is the cursor of the last entry. journalctl is asked to begin
// with it (--cursor), and that entry is left out: with --after-cursor the next
// one is lost where the cursor's entry was vacuumed (systemd issue 30288).
type journalFeed struct {
	f      *follower
	src    *Source
	entry  *entry
	args   []string
	batch  chan journalBatch
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// A journalBatch is a number of entries, or an event.
type journalBatch struct {
	data   []byte // a line each
	n      int64
	cursor string // of the last
	event  *Event
}

func newJournalFeed(f *follower, source string) (*journalFeed, error) {
	journalctl, err := exec.LookPath("journalctl")
	if err != nil {
		return nil, err
	}
	e := f.sources.journals[source]
	if e == nil {
		e = &entry{id: source}
		f.sources.journals[source] = e
	}
	e.path = source
	match, pattern := slices.Clone(journalMatch), false
	for _, c := range f.o.Containers {
		if strings.ContainsAny(c, `*?[\`) {
			pattern = true
			if _, err := path.Match(c, ""); err != nil {
				return nil, fmt.Errorf("container %q: %w", c, err)
			}
			continue
		}
		match = append(match, "+", "CONTAINER_NAME="+c)
	}
	if pattern {
		match = append(append(match, "+"), engineMatch...)
	}
	args := []string{journalctl, "--output=json", "--output-fields=" + journalFields, "--all", "--follow", "--lines=all", "--quiet", "--no-pager"}
	if ns := strings.TrimPrefix(source, journalPrefix); ns != "" {
		args = append(args, "--namespace="+ns)
	}
	ctx, cancel := context.WithCancel(context.Background())
	j := &journalFeed{
		f: f, entry: e, cancel: cancel, args: append(args, match...),
		src:   &Source{ID: source, Path: source, Kind: KindJournal},
		batch: make(chan journalBatch, 4),
	}
	j.wg.Go(func() { j.run(ctx, e.cursor) })
	return j, nil
}

// deliveryPrograms are the programs of Postfix and Exim that log whenever there is mail. Other
// programs log with the facility mail as well, for example Dovecot.
var deliveryPrograms = []string{
	"postfix/qmgr", "postfix/smtp", "postfix/cleanup", "postfix/lmtp", "postfix/local", "postfix/virtual", "postfix/pipe", "postfix/error", "exim", "exim4",
}

// NewestJournalEntry returns when Postfix or Exim last logged to the journal of this machine; zero:
// never, or this user may not read it.
func NewestJournalEntry(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	args := []string{"--output=json", "--output-fields=MESSAGE", "--lines=1", "--quiet", "--no-pager"}
	for _, name := range deliveryPrograms {
		args = append(args, "SYSLOG_IDENTIFIER="+name)
	}
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	cmd.SysProcAttr = dieWithParent()
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return time.Time{}, err
	}
	if err := cmd.Start(); err != nil {
		return time.Time{}, err
	}
	text, _ := readEntry(bufio.NewReader(out))
	cmd.Process.Kill() // there is no more to come
	cmd.Wait()
	if len(text) == 0 {
		return time.Time{}, nil
	}
	var e struct {
		Time string `json:"__REALTIME_TIMESTAMP"` // microseconds
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return time.Time{}, fmt.Errorf("journalctl: %w", err)
	}
	us, err := strconv.ParseInt(e.Time, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("journalctl: %w", err)
	}
	return time.UnixMicro(us), nil
}

func (j *journalFeed) step() (busy bool, err error) {
	for range 8 {
		select {
		case b := <-j.batch:
			if b.event != nil {
				j.f.event(*b.event)
				continue
			}
			from := j.entry.offset
			j.entry.offset += b.n
			j.entry.cursor = b.cursor
			j.f.emitted++
			c := &Chunk{Source: j.src, Offset: from, Data: b.data, Position: j.entry.position(), Behind: -1}
			if err := j.f.emit(c); err != nil {
				return true, err
			}
		default:
			return false, nil
		}
	}
	return true, nil
}

func (j *journalFeed) done() bool { return false }

func (j *journalFeed) close() {
	j.cancel()
	j.wg.Wait()
}

// run runs journalctl from the entry after cursor on, and restarts it when it ends.
//
// The child gets a signal when the thread that started it ends, since it would notice the end of
// its reader only at the next line.
func (j *journalFeed) run(ctx context.Context, cursor string) {
	// The child gets a signal when the thread that started it ends, since it
	// would notice the end of its reader only when it next prints something.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pause := 100 * time.Millisecond
	for {
		start := time.Now()
		var err error
		cursor, err = j.read(ctx, cursor)
		if ctx.Err() != nil {
			return
		}
		if time.Since(start) > 10*time.Second {
			pause = 100 * time.Millisecond
		}
		j.send(ctx, journalBatch{event: &Event{
			Kind: EventJournal, Path: j.src.Path, ID: j.src.ID, Err: err,
			Text: fmt.Sprintf("journalctl ended, starting it again in %v", pause),
		}})
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, 10*time.Second)
	}
}

func (j *journalFeed) send(ctx context.Context, b journalBatch) bool {
	select {
	case j.batch <- b:
		j.f.wakeUp()
		return true
	case <-ctx.Done():
		return false
	}
}

// read runs journalctl until it ends, and returns the last cursor.
func (j *journalFeed) read(ctx context.Context, cursor string) (string, error) {
	args := j.args[1:]
	if cursor != "" {
		args = append([]string{"--cursor=" + cursor}, args...)
	} else if since := j.f.o.JournalSince; !since.IsZero() {
		args = append([]string{fmt.Sprintf("--since=@%d", since.Unix())}, args...)
	}
	cmd := exec.CommandContext(ctx, j.args[0], args...)
	cmd.SysProcAttr = dieWithParent()
	var complaint limited
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return cursor, err
	}
	if err := cmd.Start(); err != nil {
		return cursor, err
	}
	cursor, err = j.entries(ctx, out, cursor)
	if err != nil { // not to be waited for otherwise
		cmd.Process.Kill()
	}
	if werr := cmd.Wait(); err == nil || err == io.EOF {
		err = werr
	}
	if len(complaint) > 0 {
		err = errors.Join(err, errors.New(strings.TrimSpace(string(complaint))))
	}
	return cursor, err
}

// limited keeps the first bytes that are written to it.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	*l = append(*l, p[:min(len(p), 1000-len(*l))]...)
	return len(p), nil
}

// entries makes batches of journalctl's output. It passes a batch on when nothing more is waiting,
// or when the batch is large enough.
func (j *journalFeed) entries(ctx context.Context, out io.Reader, cursor string) (string, error) {
	in := bufio.NewReaderSize(out, 64<<10)
	var b journalBatch
	first := cursor
	for {
		text, err := readEntry(in)
		if err != nil {
			return cursor, err
		}
		if len(text) > 0 {
			e, err := parseEntry(text)
			switch {
			case err != nil:
				j.send(ctx, journalBatch{event: &Event{Kind: EventJournal, Path: j.src.Path, ID: j.src.ID, Text: "an entry could not be read", Err: err}})
			case e.cursor == first && first != "":
				first = ""
			default:
				if first != "" {
					j.send(ctx, journalBatch{event: &Event{
						Kind: EventLost, Path: j.src.Path, ID: j.src.ID,
						Text: "the journal no longer has the entry that was read last; what was removed with it is lost",
					}})
				}
				first = ""
				if !e.of(j.f.o.Containers) {
					break
				}
				b.data = append(append(b.data, e.line...), '\n')
				b.n++
				b.cursor = e.cursor
			}
		}
		if b.n > 0 && (in.Buffered() == 0 || len(b.data) >= blockSize) {
			cursor = b.cursor
			if !j.send(ctx, b) {
				return cursor, ctx.Err()
			}
			b = journalBatch{}
		}
	}
}

// readEntry reads a line. A line that is too long is left out.
func readEntry(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for long := false; ; {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > entryMax {
			long, line = true, nil
		}
		if !long {
			line = append(line, part...)
		}
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// A journalEntry holds the fields of an entry that become a line.
type journalEntry struct {
	line      []byte // of syslog's form, with an RFC 3339 time
	cursor    string
	engine    bool   // an engine of containers has logged it
	container string // the name of the container that has printed it
}

// of reports whether an entry is wanted if these containers are followed: it is not if the engine
// logged it for another container, or for itself.
func (e *journalEntry) of(containers []string) bool {
	return !e.engine || len(containers) == 0 || e.container != "" && slices.ContainsFunc(containers, func(c string) bool {
		is, _ := path.Match(c, e.container)
		return is
	})
}

// parseEntry reads an entry as journalctl prints it (systemd.journal-fields(7),
// journalctl(1) on --output=json).
func parseEntry(text []byte) (journalEntry, error) {
	var e struct {
		Cursor    string       `json:"__CURSOR"`
		Realtime  string       `json:"__REALTIME_TIMESTAMP"` // microseconds
		Host      journalField `json:"_HOSTNAME"`
		Ident     journalField `json:"SYSLOG_IDENTIFIER"`
		Comm      journalField `json:"_COMM"`
		SyslogID  journalField `json:"SYSLOG_PID"`
		PID       journalField `json:"_PID"`
		Container journalField `json:"CONTAINER_NAME"`
		Message   journalField `json:"MESSAGE"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return journalEntry{}, err
	}
	us, err := strconv.ParseInt(e.Realtime, 10, 64)
	if err != nil || e.Cursor == "" {
		return journalEntry{}, errors.New("entry without time or cursor")
	}
	line := time.UnixMicro(us).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000000-07:00")
	line = append(line, ' ')
	line = append(line, word(e.Host, []byte("localhost"))...)
	line = append(line, ' ')
	line = append(line, word(e.Ident, word(e.Comm, []byte("unknown")))...)
	if pid := word(e.SyslogID, word(e.PID, nil)); len(pid) > 0 {
		line = append(append(append(line, '['), pid...), ']')
	}
	line = append(line, ": "...)
	line = append(line, bytes.ReplaceAll(bytes.TrimRight(e.Message, "\n"), []byte("\n"), []byte(" "))...)
	return journalEntry{
		line: line, cursor: e.Cursor,
		engine: slices.Contains(engineMatch, "_COMM="+string(e.Comm)), container: string(e.Container),
	}, nil
}

// word returns f if it can be a word of a syslog header, else instead.
func word(f journalField, instead []byte) []byte {
	if len(f) == 0 || len(f) > 255 || bytes.ContainsFunc(f, func(r rune) bool { return r <= ' ' || r == '[' || r == ']' || r == 0x7f }) {
		return instead
	}
	return f
}

// A journalField is a field's value: a string; numbers, the bytes of what is
// not UTF-8 or holds control characters; null, where it was too long; or an
// array of those, where the entry has the field several times: the first counts.
type journalField []byte

func (f *journalField) UnmarshalJSON(text []byte) error {
	*f = nil
	switch {
	case len(text) == 0 || text[0] == 'n':
		return nil
	case text[0] == '"':
		var s string
		err := json.Unmarshal(text, &s)
		*f = []byte(s)
		return err
	}
	var numbers []uint16
	if err := json.Unmarshal(text, &numbers); err == nil {
		b := make([]byte, len(numbers))
		for i, n := range numbers {
			b[i] = byte(n)
		}
		*f = b
		return nil
	}
	var several []json.RawMessage
	if err := json.Unmarshal(text, &several); err != nil {
		return err
	}
	if len(several) == 0 || several[0][0] == '[' && bytes.HasPrefix(several[0], []byte("[[")) {
		return nil
	}
	return f.UnmarshalJSON(several[0])
}
