package parser

// read parses an object. It returns false if it has no text.
func (o *object) read(b []byte, p *Parser) bool {
	return o.members(b, p) && o.text != nil && o.choose(p)
}

// members reads the fields of an object in JSON or logfmt.
func (o *object) members(b []byte, p *Parser) bool {
	if b[0] == '{' || b[0] == '"' {
		return p.outline.read(o, b, p) || o.readJSON(b, p)
	}
	return o.readLogfmt(b, p)
}

// readJSON parses an object in JSON, and makes the outline for the next ones of it. Strings with
// escapes are unescaped into p.scratch.
func (o *object) readJSON(b []byte, p *Parser) bool {
	o.size = len(b)
	p.room(len(b))
	b = p.outline.begin(b)
	depth := 0
	var names [maxNested + 1][]byte  // the last name at each depth
	own := [maxNested + 1]bool{true} // the fields at each depth are the object's own
	var earlier, unused signs        // of the fields before this one; of those whose values are not used
	i := 0
scan:
	for i < len(b) {
		switch b[i] {
		case '{':
			if depth++; depth > maxNested {
				break scan
			}
			names[depth], own[depth] = nil, depth == 1 || own[depth-1] && isExporter(names[depth-1])
			i++
		case '}':
			i++
			if depth--; depth <= 0 {
				o.size = i
				o.signs |= earlier
				if p.outline.learning && i == len(b) && o.elsewhere == nil && !o.doubt {
					p.outline.next.signs = unused
					p.outline.finish()
				}
				return true
			}
		case '"':
			start, end := i+1, closingQuote(b, i+1)
			if end < 0 {
				break scan
			}
			earlier, o.signs = earlier|o.signs, 0
			key := b[start:end]
			if len(key) > len(foldable) {
				o.search(key)
			}
			for i = end + 1; i < len(b) && b[i] == ' '; i++ {
			}
			var m member
			if i < len(b) && b[i] == ':' {
				for i++; i < len(b) && b[i] == ' '; i++ {
				}
				if i == len(b) {
					break scan
				}
				names[depth] = key
				o.place = place{direct: own[depth]}
				if depth > 1 {
					o.parent = names[depth-1]
					o.direct = o.direct || own[depth-1] && isMember(o.parent, key)
				}
				switch c := b[i]; {
				case c == '"':
					if end = closingQuote(b, i+1); end < 0 {
						break scan
					}
					m = member{place: o.place, key: key, start: i + 1, end: end}
					i = end + 1
					o.valued = false
					m.used = o.field(key, b[m.start:end], p)
					m.valued = o.valued
				case c == '-' || isDigit(c):
					m = member{place: o.place, key: key, start: i, end: endOfNumber(b, i)}
					i = m.end
					o.valued = false
					m.used = o.field(key, b[m.start:i], p)
					m.valued = o.valued
				case c == '[' && i+1 < len(b) && (b[i+1] == ' ' || isDigit(b[i+1])):
					if own[depth] && b[i+1] == ' ' && !isExporter(key) {
						o.beside(key, b[i:i+1], false, p)
					}
					if v := p.bytesOf(b[i:]); v != nil {
						p.outline.learning = false
						o.field(key, v, p)
					}
				case own[depth] && !isExporter(key):
					o.beside(key, b[i:i+1], c == '{', p)
				}
			} else if string(names[depth]) == "values" && own[depth] { // a string in a list
				m = member{start: start, end: end, used: true, valued: true}
				o.value(key, p)
			} else {
				o.other(key)
			}
			if !m.used {
				unused |= o.signs
			}
			if p.outline.learning && m.end > 0 {
				p.outline.next.members = append(p.outline.next.members, m)
			}
		default:
			i++
		}
	}
	o.signs |= earlier
	o.search(b[min(i, len(b)):])
	return true
}

// isExporter reports whether an object or a list of this name is the wrapper that an export tool
// puts round each exported object: Elasticsearch, Splunk, Google Cloud, CloudWatch, Loki,
// OpenTelemetry.
func isExporter(name []byte) bool {
	switch string(name) {
	case "_source", "result", "results", "jsonPayload", "events", "entries", "logEvents", "hits", "records", "Records", "resourceLogs", "scopeLogs", "logRecords", "streams", "values":
		return true
	}
	return false
}

// bytesOf returns a list of numbers as a JSON string. The journal writes a text that is not UTF-8
// as such a list (systemd's "Journal JSON Format").
func (p *Parser) bytesOf(list []byte) []byte {
	at, n := len(p.scratch), 0
	for i, c := range list {
		switch {
		case isDigit(c) && n < 256:
			n = n*10 + int(c-'0')
		case (c == ',' || c == ']') && isDigit(list[i-1]) && n < 256:
			if n == '\\' {
				p.scratch = append(p.scratch, '\\')
			}
			p.scratch, n = append(p.scratch, byte(n)), 0
		case c != '[' && c != ' ':
			return nil // strings: the field occurred twice
		}
		if c == ']' {
			break
		}
	}
	return p.scratch[at:len(p.scratch):len(p.scratch)]
}

// readLogfmt parses a line that is nothing but names and values: NAME=VALUE and NAME="VALUE", with
// the escapes of JSON, and blanks between them.
func (o *object) readLogfmt(b []byte, p *Parser) bool {
	o.size, o.direct = len(b), true
	p.room(len(b))
	for i := 0; i < len(b); {
		start := i
		for i < len(b) && nameByte[b[i]] {
			i++
		}
		if i == start || i == len(b) || b[i] != '=' {
			return false
		}
		key := b[start:i]
		i++
		if start = i; i < len(b) && b[i] == '"' {
			end := closingQuote(b, i+1)
			if end < 0 {
				return false
			}
			start, i = i+1, end+1
			o.field(key, b[start:end], p)
		} else {
			for i < len(b) && b[i] != ' ' {
				if b[i] == '"' || b[i] == '=' {
					return false
				}
				i++
			}
			o.field(key, b[start:i], p)
		}
		if i < len(b) && b[i] != ' ' {
			return false
		}
		for i < len(b) && b[i] == ' ' {
			i++
		}
	}
	return true
}

// nameByte is the set of bytes in a logfmt name.
var nameByte = func() (t [256]bool) {
	for c := range t {
		t[c] = alnum[c] || c == '_' || c == '.' || c == '@' || c == '-'
	}
	return t
}()

// beginsLogfmt reports whether b may begin with a name and a value.
func beginsLogfmt(b []byte) bool {
	i := 0
	for i < len(b) && i < 32 && nameByte[b[i]] {
		i++
	}
	return i > 0 && i+1 < len(b) && b[i] == '=' && b[i+1] != '<' && b[i+1] != ' '
}
