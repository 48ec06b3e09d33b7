package message

import "strings"

// The fields of MIME, as mail programs write them and not only as RFC 2045 §5.1 has them. Each of these
// functions goes over its text once.

// parseType reads a Content-Type. Without a type that can be read typ is "".
func parseType(s string) (typ, subtype string, params []Param) {
	l := lexer{s: s}
	l.skip()
	typ = strings.ToLower(l.token())
	l.skip()
	if l.next('/') {
		l.skip()
		subtype = strings.ToLower(l.token())
	}
	if subtype == "" {
		switch typ { // "text" and "multipart" alone are common enough
		case "text":
			subtype = "plain"
		case "multipart":
			subtype = "mixed"
		default:
			typ = ""
		}
	}
	if len(typ) > TokenMax || len(subtype) > TokenMax {
		typ, subtype = "application", "octet-stream"
	}
	return typ, subtype, l.params()
}

// parseDisposition reads a Content-Disposition.
func parseDisposition(s string) (typ string, params []Param) {
	l := lexer{s: s}
	l.skip()
	typ = strings.ToLower(l.token())
	if len(typ) > TokenMax {
		typ = typ[:TokenMax]
	}
	return typ, l.params()
}

// parseToken reads a Content-Transfer-Encoding, with or without quotes.
func parseToken(s string) string {
	l := lexer{s: s}
	l.skip()
	l.next('"')
	t := strings.ToLower(l.token())
	return t[:min(len(t), TokenMax)]
}

// parseLanguages reads a Content-Language (RFC 3282 §2).
func parseLanguages(s string) (tags []string) {
	l := lexer{s: s}
	for l.pos < len(s) && len(tags) < LanguagesMax {
		l.skip()
		if tag := l.token(); tag != "" && len(tag) <= TokenMax {
			tags = append(tags, tag)
		} else if tag == "" {
			l.pos++
		}
	}
	return tags
}

// lexer goes over the value of a field.
type lexer struct {
	s          string
	pos        int
	noComment  bool // no comment that began here or later has an end
	noQuoteEnd bool
}

func (l *lexer) next(c byte) bool {
	if l.pos < len(l.s) && l.s[l.pos] == c {
		l.pos++
		return true
	}
	return false
}

// skip goes over blanks and comments (RFC 5322 §3.2.2).
func (l *lexer) skip() {
	for l.pos < len(l.s) {
		switch c := l.s[l.pos]; {
		case c == ' ' || c == '\t':
			l.pos++
		case c == '(':
			l.comment()
		default:
			return
		}
	}
}

// comment goes over a comment and gives what is in it. A parenthesis that is never closed is
// stepped over alone.
func (l *lexer) comment() string {
	start, depth := l.pos+1, 0
	if l.noComment {
		l.pos++
		return ""
	}
	for i := l.pos; i < len(l.s); i++ {
		switch l.s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				l.pos = i + 1
				return unescape(l.s[start:i])
			}
		}
	}
	l.noComment = true
	l.pos++
	return ""
}

// quoted goes over a quoted string and gives what it means. If it has no end, only the quote is
// stepped over and ok is false.
func (l *lexer) quoted() (text string, ok bool) {
	start := l.pos + 1
	l.pos++
	if l.noQuoteEnd {
		return "", false
	}
	for i := start; i < len(l.s); i++ {
		switch l.s[i] {
		case '\\':
			i++
		case '"':
			l.pos = i + 1
			return unescape(l.s[start:i]), true
		}
	}
	l.noQuoteEnd = true
	return "", false
}

// unescape takes the backslashes of quoted pairs away.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// isToken reports an octet of a token (RFC 2045 §5.1).
func isToken(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// token goes over a token; it is empty if there is none.
func (l *lexer) token() string {
	start := l.pos
	for l.pos < len(l.s) && isToken(l.s[l.pos]) {
		l.pos++
	}
	return l.s[start:l.pos]
}

// params reads the rest as parameters. What is none is stepped over to the next semicolon.
func (l *lexer) params() (params []Param) {
	for len(params) < ParamsMax {
		l.skip()
		for l.next(';') {
			l.skip()
		}
		if l.pos >= len(l.s) {
			break
		}
		name := strings.ToLower(l.token())
		l.skip()
		if name == "" || !l.next('=') {
			l.toSemicolon()
			continue
		}
		l.skip()
		value := l.value()
		if len(name) <= TokenMax {
			params = append(params, Param{name, value[:min(len(value), ParamLengthMax)]})
		}
	}
	return params
}

// value reads a parameter's value. One without quotes goes on to the semicolon: names of files with
// blanks and parentheses are common there. A comment after a blank is not part of it.
func (l *lexer) value() string {
	if l.pos < len(l.s) && l.s[l.pos] == '"' {
		if text, ok := l.quoted(); ok {
			return text
		}
	}
	start := l.pos
	end := strings.IndexByte(l.s[start:], ';')
	if end < 0 {
		end = len(l.s) - start
	}
	l.pos = start + end
	text := l.s[start:l.pos]
	if i := strings.Index(text, " ("); i >= 0 && strings.HasSuffix(strings.TrimRight(text, " \t"), ")") {
		text = text[:i]
	}
	return strings.TrimRight(text, " \t")
}

// toSemicolon goes to the next semicolon outside quotes, at least one octet if that can be.
func (l *lexer) toSemicolon() {
	for l.pos < len(l.s) && l.s[l.pos] != ';' {
		if l.s[l.pos] == '"' {
			l.quoted()
			continue
		}
		l.pos++
	}
}
