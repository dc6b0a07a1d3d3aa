package parser

import (
	"bytes"
	"iter"
)

// maxSpine bounds the text, in bytes, that a document repeats round each of its entries, at all
// levels together. The metadata in replies of log stores takes a few kilobytes.
const maxSpine = 16 << 10

// maxCopied bounds the text, in bytes, that the entries of one list may repeat, so that the time
// for a document grows with its length.
const maxCopied = 256 << 20

// shortestEntry is shorter than any entry that holds a line. A shorter element does not get the
// text round it, because repeating up to maxSpine bytes thousands of times is too expensive.
const shortestEntry = len(`["Nov 23 09:47:06 m exim[1]: x"]`)

// lokiAnswer begins the reply to a Loki query (its HTTP API), which has the streams under "result".
const lokiAnswer = `{"status":"success","data":{"resultType":"streams"`

// cutDocument is the length in bytes from which an unfinished list counts as a document whose end
// was cut off.
const cutDocument = 1 << 20

// Lines yields the lines of a log with their offsets, as Parse takes them. A line that is a JSON
// document is yielded entry by entry (see entries), each with the offset at which it begins, and
// valid until the next one.
func Lines(log iter.Seq2[int64, []byte]) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		for offset, line := range log {
			if !mayHoldEntries(line) {
				if !yield(offset, line) {
					return
				}
				continue
			}
			for at, entry := range entries(line) {
				if !yield(offset+int64(at), entry) {
					return
				}
			}
		}
	}
}

// mayHoldEntries is a cheap test whether entries may split a line.
func mayHoldEntries(line []byte) bool {
	return len(line) > 1 && line[0]|0x20 == '{' && holdsListIn(line)
}

// holdsListIn is mayHoldEntries for a line that begins with a bracket. Most lines do not, and the test
// for that is part of the caller.
func holdsListIn(line []byte) bool {
	return line[0] == '[' && holdsEntries(line) || line[0] == '{' && holdsList(line)
}

// holdsList is a cheap test for a list that is the value of a member.
func holdsList(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '[')
		if i < 0 || i+1 == len(b) {
			return false
		}
		if i > 0 && (b[i-1] == ':' || b[i-1] == ' ') && (b[i+1] == '{' || b[i+1] == '[' || b[i+1] == ' ') {
			return true
		}
		b = b[i+1:]
	}
}

// entries yields the entries of a line that is a JSON document, each as a separate line with its
// index in the document. The entries are the elements of a list, and of the lists at any depth in
// the output of exporters (isExporter). Any other line is yielded unchanged.
//
// An entry keeps the text round it without the other elements of the lists, so that its author is
// determined as for an object on a line of its own. It is valid until the next one is yielded.
func entries(line []byte) iter.Seq2[int, []byte] {
	list, at, loki := line, 0, false
	if hasPrefix(line, lokiAnswer) {
		const result = `"result":`
		if i := bytes.Index(line, []byte(result)); i > 0 && i+len(result) < len(line) {
			at, loki = i+len(result), true
			list = line[at:]
		}
	}
	isList := len(list) >= 2 && list[0] == '[' && holdsEntries(list) && (loki || list[len(list)-1] == ']' || len(list) >= cutDocument)
	return func(yield func(int, []byte) bool) {
		if isList {
			entriesOf(list, 0, 0, func(i int, entry []byte) bool {
				return loki && entry[0] == ']' || yield(at+i, entry) // after the streams, the reply has statistics
			})
			return
		}
		start, end, _ := listOfEntries(line)
		document(line, start, end, 0, 0, yield)
	}
}

// entriesOf calls yield with the entries of the elements of a list. Text after an element that does not
// end, or after the list, belongs to it. outer is the length in bytes of the text round the list.
// entriesOf returns false if yield did.
func entriesOf(list []byte, depth, outer int, yield func(int, []byte) bool) bool {
	i := 0
	inner := func(within int, entry []byte) bool { return yield(i+within, entry) }
	for i = 1; i < len(list); {
		if betweenElements(list[i:]) {
			i++
			continue
		}
		start, end, n := -1, 0, 0
		if list[i] == '{' && depth < maxNested { // each level reads the text again
			start, end, n = listOfEntries(list[i:])
		}
		if n == 0 {
			n = elementSize(list[i:])
		}
		element := list[i : i+n]
		if start < 0 && !inner(0, element) || start >= 0 && !document(element, start, end, depth, outer, inner) {
			return false
		}
		i += n
	}
	return true
}

// document calls yield with the entries of a text whose list of entries is from start to end, and with
// a text without a list unchanged. It returns false if yield did.
func document(b []byte, start, end, depth, outer int, yield func(int, []byte) bool) bool {
	spine := outer + start + len(b) - end
	if start < 0 || spine > maxSpine || spine*longElements(b[start:end], maxCopied/spine) > maxCopied {
		return yield(0, b)
	}
	var entry []byte
	return entriesOf(b[start:end], depth+1, spine, func(i int, inner []byte) bool {
		if len(inner) >= shortestEntry || entry == nil { // the text round the list is yielded at least once
			entry = append(append(append(entry[:0], b[:start+1]...), inner...), b[end-1:]...)
			inner = entry
		}
		return yield(start+i, inner)
	})
}

// longElements returns the number of elements of a list that get the text round them. It counts them
// only if the list is long enough for more than limit.
func longElements(list []byte, limit int) (n int) {
	if len(list)/shortestEntry <= limit {
		return 0
	}
	for element := range elements(list) {
		if len(element) >= shortestEntry {
			n++
		}
	}
	return n
}

// listOfEntries returns the start and the end of the only list of objects or lists under an
// exporter's name in the object at the start of b, and the size of the object. start is -1 if there is
// no such list or a second one. size is 0 if the object has a second one or does not end.
func listOfEntries(b []byte) (start, end, size int) {
	if len(b) == 0 || b[0] != '{' {
		return -1, 0, 0
	}
	start = -1
	for i, depth := 0, 0; i < len(b); {
		if b[i] != '"' {
			switch b[i] {
			case '{':
				depth++
			case '}':
				if depth--; depth == 0 {
					return start, end, i + 1
				}
			}
			i++
			continue
		}
		n := valueSize(b[i:])
		key := b[i : i+n]
		for i += n; n > 0 && i < len(b) && (b[i] == ' ' || b[i] == ':'); i++ {
		}
		if n == 0 || i == len(b) {
			return -1, 0, 0
		}
		key = bytes.Trim(key, `"`)
		if b[i] == '{' && isExporter(key) && depth < maxNested {
			continue // its members are examined
		}
		if n = valueSize(b[i:]); n == 0 {
			return -1, 0, 0
		}
		if b[i] == '[' && isExporter(key) && holdsContainers(b[i:i+n]) {
			if start >= 0 {
				return -1, 0, 0
			}
			start, end = i, i+n
		}
		i += n
	}
	return -1, 0, 0
}

// holdsEntries reports whether the first element of a list is an object, a list or a string.
func holdsEntries(list []byte) bool { return list[1] == '"' || holdsContainers(list) }

// holdsContainers reports whether the first element of a list is an object or a list.
func holdsContainers(list []byte) bool {
	first := bytes.TrimLeft(list[1:], " ")
	return len(first) > 0 && (first[0] == '{' || first[0] == '[')
}

// elements yields the elements of a list. Text after an element that does not end, or after the
// list, is yielded with it.
func elements(list []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := 1; i < len(list); {
			if betweenElements(list[i:]) {
				i++
				continue
			}
			n := elementSize(list[i:])
			if !yield(list[i : i+n]) {
				return
			}
			i += n
		}
	}
}

// betweenElements reports whether b begins with text between the elements of a list or at its end.
func betweenElements(b []byte) bool {
	return b[0] == ' ' || b[0] == ',' || b[0] == ']' && len(bytes.Trim(b, " ,;]")) == 0
}

// elementSize is valueSize, or the length of b if the value does not end.
func elementSize(b []byte) int {
	if n := valueSize(b); n > 0 {
		return n
	}
	return len(b)
}
