package parser

import (
	"bytes"
	"strings"

	"bouncelog/bounce"
)

// Lines come out of programs, wikis and word processors with quotes round them and with blanks
// that do not break.

// closing is the quote that ends what an opening one begins.
var closing = map[string]string{"\"": "\"", "'": "'", "`": "`", "\u201c": "\u201d", "\u201e": "\u201c", "\u2018": "\u2019", "\u00ab": "\u00bb"}

// mayBeQuoted is a cheap look for what unquote, typewritten and misread take off.
func mayBeQuoted(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	c := line[0]
	return c >= 0x80 || c == '"' || c == '\'' || c == '`' || bytes.IndexByte(line[:min(len(line), headerWidth)], 0xc2) >= 0
}

// endsCopied reports two bytes that may end what trimCopied cuts off.
func endsCopied(a, b byte) bool {
	return b == '>' && (a|0x20 == 'r' || a == '/') || b == 'M' && a == '^' || b == '$' && a == 'M'
}

// trimCopied cuts off what a copy leaves behind a line: the line break of HTML, and a carriage
// return as editors and cat -A show it.
func trimCopied(line []byte) []byte {
	for {
		n := len(line)
		for _, end := range [...]string{"^M", "^M$", "<br>", "<br/>", "<br />"} {
			if at := len(line) - len(end); at > 0 && strings.EqualFold(string(line[at:]), end) {
				line = trimBreaks(line[:at])
			}
		}
		if len(line) == n {
			return line
		}
	}
}

// headerWidth is about how long the times at the beginning of a line are.
const headerWidth = len("2026-11-23T09:47:06.123456+01:00  ")

// unquote is what stands between the quotes at both ends of a line, behind which a comma
// may stand. Of a string of JSON the escapes are undone.
func (p *Parser) unquote(line []byte) (text []byte, ok bool) {
	line = bytes.TrimSuffix(line, []byte(","))
	for _, n := range [...]int{1, 2, 3} {
		if len(line) <= 2*n {
			break
		}
		end, known := closing[string(line[:n])]
		if !known || !bytes.HasSuffix(line, []byte(end)) {
			continue
		}
		if n == 1 && line[0] == '"' && closingQuote(line, 1) == len(line)-1 {
			p.plainer = p.plainer[:0]
			if cap(p.plainer) < len(line) {
				p.plainer = make([]byte, 0, len(line))
			}
			text, lost := p.oneLine(trimSpace(unescapeJSON(line[1:len(line)-1], &p.plainer)))
			return text, !lost
		}
		return trimSpace(line[n : len(line)-len(end)]), true
	}
	return nil, false
}

// invisible are characters without a width that stand at the beginning of a copied text.
var invisible = []string{"\ufeff", "\u200b", "\u200e", "\u200f", "\u2060", "\u202a", "\u202c"}

// typewritten is a line with blanks for those that do not break, and without invisible
// characters before it. It reports false where its header has neither: what stands behind
// that may be a stranger's.
func (p *Parser) typewritten(line []byte) (text []byte, ok bool) {
	text = line
	for i := 0; i < len(invisible); i++ {
		if rest, found := bytes.CutPrefix(text, []byte(invisible[i])); found {
			text, i = rest, -1
		}
	}
	if nbsp := []byte("\u00a0"); bytes.Contains(text[:min(len(text), headerWidth)], nbsp) {
		p.plainer = append(p.plainer[:0], bytes.ReplaceAll(text, nbsp, []byte(" "))...)
		return trimSpace(p.plainer), true
	}
	return text, len(text) < len(line)
}

// showsMarkup reports a recipient that holds a terminal sequence as cat -v and less show it,
// the colour of a match, most likely, or the link that a mail program made of the address.
func showsMarkup(ds []bounce.Delivery) bool {
	for i := range ds {
		to := ds[i].Recipient
		if at := strings.IndexByte(to, '['); at >= 2 && (to[at-1] == '^' || to[at-2:at] == "^[" || at >= 3 && strings.EqualFold(to[at-3:at], "esc")) {
			return true
		}
		if i := strings.IndexByte(to, ':'); i > 0 {
			if i = strings.Index(to, "mailto:"); i > 0 && (to[i-1] == '<' || to[i-1] == '(') {
				return true
			}
		}
	}
	return false
}
