package parser

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"net/url"
)

// A line that is encoded as a whole is not read: decoding it is left to other tools. But a delivery
// in it is counted as not understood, and the encoding is named.

// Encoding returns the name of the encoding of a delivery in a line that is not understood: "gzip
// in base64", "base64" (RFC 4648, both alphabets), "quoted-printable" (RFC 2045 section 6.7) or
// "percent-encoding" (RFC 3986 section 2.1). It returns "" if the line holds no delivery, or one
// that is not encoded.
func Encoding(line []byte) string {
	switch text, name := base64Text(line); {
	case name != "" && holdsDelivery(text):
		return name
	case holdsInURL(line):
		return "percent-encoding"
	case bytes.Contains(line, []byte("=3D")) && holdsDelivery(line):
		return "quoted-printable"
	}
	return ""
}

// shortestBase64 is less than the length of an encoded line with a delivery.
const shortestBase64 = 96

// base64Text decodes the first run of base64 in a line that is long enough, and the gzip data in
// it, if any. It returns at most maxJoined bytes of text. name is "" if there is none.
func base64Text(line []byte) (text []byte, name string) {
	for i := shortestBase64 - 1; i < len(line); i += shortestBase64 { // any run of that length includes such an index
		start, end := i, i
		for start > 0 && base64Byte[line[start-1]] {
			start--
		}
		for end < len(line) && base64Byte[line[end]] {
			end++
		}
		if end-start < shortestBase64 {
			continue
		}
		run := line[start:min(end, start+maxJoined)]
		code := base64.RawStdEncoding
		if bytes.ContainsAny(run, "-_") {
			code = base64.RawURLEncoding
		}
		text = make([]byte, code.DecodedLen(len(run)))
		n, err := code.Decode(text, run[:len(run)/4*4])
		if err != nil {
			return nil, ""
		}
		if zip, err := gzip.NewReader(bytes.NewReader(text[:n])); err == nil {
			text, _ = io.ReadAll(io.LimitReader(zip, maxJoined)) // up to the first error
			return text, "gzip in base64"
		}
		return text[:n], "base64"
	}
	return nil, ""
}

var base64Byte = alnumAnd("+/-_")

// holdsInURL reports whether a line holds a delivery as part of a URL or as a form's value.
func holdsInURL(line []byte) bool {
	if bytes.IndexByte(line, '%') < 0 {
		return false
	}
	text, err := url.QueryUnescape(string(line))
	return err == nil && holdsDelivery([]byte(text))
}
