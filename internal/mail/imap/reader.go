package imap

import (
	"strings"
	"unicode/utf8"
)

// reader walks over the parts of a command or response. Its first error stays, and takes it to the end, so that
// callers may read on and look at err once; loops end since nothing is there any more.
type reader struct {
	parts    []part
	at       int // index of the part
	pos      int // octet in its line
	dialect  Dialect
	partial  bool // the last literal is only announced: stop when it is met
	stopped  bool // it was met
	err      error
	tooLarge bool
	text     []byte // what the last quoted string was put together in
	given    string // the last name of a folder as it was given, if that was not NFC; else ""
}

// problem is an error of the grammar, to be shown to the client.
type problem string

func (p problem) Error() string { return string(p) }

func (r *reader) fail(text string) {
	if r.err == nil {
		r.err = problem(text)
	}
	r.at, r.pos = len(r.parts), 0
}

// limit fails because a limit was reached.
func (r *reader) limit(text string) {
	r.tooLarge = r.tooLarge || r.err == nil
	r.fail(text)
}

// atMost fails when there are more than a limit.
func (r *reader) atMost(n, limit int, what string) {
	if n > limit {
		r.limit("too many " + what)
	}
}

func (r *reader) line() []byte {
	if r.at >= len(r.parts) {
		return nil
	}
	return r.parts[r.at].line
}

// peek is the next octet; 0 at the end of a line. Lines have no NUL.
func (r *reader) peek() byte {
	if line := r.line(); r.pos < len(line) {
		return line[r.pos]
	}
	return 0
}

// literal gives the literal that comes next, if one does.
func (r *reader) literal() *part {
	if r.at < len(r.parts) && r.pos == len(r.parts[r.at].line) && r.parts[r.at].literal {
		return &r.parts[r.at]
	}
	return nil
}

// next goes behind the literal.
func (r *reader) next() {
	r.at++
	r.pos = 0
}

// take goes over an octet if it is the next one.
func (r *reader) take(c byte) bool {
	if r.peek() != c || c == 0 {
		return false
	}
	r.pos++
	return true
}

// want is take, or an error.
func (r *reader) want(c byte) {
	if !r.take(c) && r.err == nil {
		r.fail("expected " + string(rune(c)) + r.seen())
	}
}

// seen says what is there instead of what was expected.
func (r *reader) seen() string {
	switch c := r.peek(); {
	case r.literal() != nil:
		return ", not a literal"
	case c == 0:
		return ", not the end of the line"
	case c < 0x20 || c >= 0x7f:
		return ", not this octet"
	default:
		return ", not " + string(rune(c))
	}
}

func (r *reader) sp() {
	if !r.take(' ') && r.err == nil {
		r.fail("expected a blank and an argument" + r.seen())
	}
}

// end wants the end of the command. Blanks before it are forgiven.
func (r *reader) end() {
	for r.take(' ') {
	}
	if r.err != nil || r.stopped {
		return
	}
	if r.at < len(r.parts)-1 || r.peek() != 0 || r.literal() != nil {
		r.fail("unexpected argument")
	}
}

// more reports whether a blank comes next that is not at the end of the command.
func (r *reader) more() bool {
	line := r.line()
	if r.peek() != ' ' {
		return false
	}
	for i := r.pos; i < len(line); i++ {
		if line[i] != ' ' {
			return true
		}
	}
	return r.parts[r.at].literal
}

// run takes all octets of a kind.
func (r *reader) run(is func(byte) bool) []byte {
	line := r.line()
	start := r.pos
	for r.pos < len(line) && is(line[r.pos]) {
		r.pos++
	}
	return line[start:r.pos]
}

// word reads an atom and puts it into capitals.
func (r *reader) word(what string) string { return upper(r.atom(what)) }

// atom reads an atom.
func (r *reader) atom(what string) string {
	a := r.run(isAtomChar)
	if len(a) == 0 && r.err == nil {
		r.fail("expected " + what + r.seen())
	}
	return string(a)
}

// isWord takes a word if it comes next, whatever its case, and nothing of a word follows it.
func (r *reader) isWord(w string) bool {
	line := r.line()
	end := r.pos + len(w)
	if r.at >= len(r.parts) || end > len(line) || !equalFold(string(line[r.pos:end]), w) || end < len(line) && isAtomChar(line[end]) {
		return false
	}
	r.pos = end
	return true
}

// astring reads an astring: an atom, which may have "]", or a string (RFC 9051 §9).
func (r *reader) astring(what string) string {
	if a := r.run(isAStringChar); len(a) > 0 {
		return string(a)
	}
	return string(r.str(what))
}

// str reads a string: quoted or a literal. It shares memory with the parts, or with the next string.
func (r *reader) str(what string) []byte {
	if r.peek() == '"' {
		return r.quoted()
	}
	if l := r.literal(); l != nil && !l.binary && l.index < 0 && !l.pending {
		r.next()
		return l.octets
	}
	if r.err == nil {
		r.fail("expected " + what + r.seen())
	}
	return nil
}

// quoted reads a quoted string (RFC 9051 §9). Octets over 127 must be UTF-8.
func (r *reader) quoted() []byte {
	r.want('"')
	line := r.line()
	r.text = r.text[:0]
	for r.pos < len(line) {
		c := line[r.pos]
		r.pos++
		switch c {
		case '"':
			if !utf8.Valid(r.text) {
				r.fail("a quoted string is not UTF-8")
			}
			return r.text
		case '\\':
			if c = r.peek(); c != '"' && c != '\\' {
				r.fail(`in a quoted string only " and \ may follow \`)
				return nil
			}
			r.pos++
		}
		r.text = append(r.text, c)
	}
	r.fail("a quoted string does not end")
	return nil
}

// nstring reads a string or NIL; nil is NIL.
func (r *reader) nstring(what string) []byte {
	if r.isWord("NIL") {
		return nil
	}
	s := r.str(what)
	if r.err != nil {
		return nil
	}
	return append([]byte{}, s...)
}

// number reads a number of at most limit (RFC 9051 §9, number): leading zeros are allowed.
func (r *reader) number(limit uint64) uint64 {
	digits := r.run(isDigit)
	if len(digits) == 0 {
		if r.err == nil {
			r.fail("expected a number" + r.seen())
		}
		return 0
	}
	n := uint64(0)
	for _, c := range digits {
		d := uint64(c - '0')
		if n > (limit-d)/10 {
			r.fail("a number is too large")
			return 0
		}
		n = n*10 + d
	}
	return n
}

// nzNumber reads a number that is neither 0 nor begins with it (RFC 9051 §9, nz-number).
func (r *reader) nzNumber(limit uint64) uint64 {
	if r.peek() == '0' {
		r.fail("a number is 0, or begins with 0, where that is not allowed")
		return 0
	}
	return r.number(limit)
}

// list reads a list in parentheses of one element or more, which each reads.
func (r *reader) list(limit int, what string, each func()) {
	r.want('(')
	for n := 1; r.err == nil; n++ {
		r.atMost(n, limit, what)
		each()
		if r.stopped || r.take(')') {
			return
		}
		r.sp()
	}
}

// optionalList is list for lists that may be empty.
func (r *reader) optionalList(limit int, what string, each func()) {
	if line := r.line(); r.peek() == '(' && r.pos+1 < len(line) && line[r.pos+1] == ')' {
		r.pos += 2
		return
	}
	r.list(limit, what, each)
}

// short is an astring with a limit on its length.
func (r *reader) short(limit int, what string) string {
	s := r.astring(what)
	if len(s) > limit {
		r.limit(what + " is too long")
		return ""
	}
	return s
}

// folder reads the name of a folder. A delimiter at its end means nothing (RFC 9051 §6.3.4): who made "a/" calls it so afterwards too.
func (r *reader) folder() string {
	name := trimDelimiter(r.folderAsIs())
	r.given = trimDelimiter(r.given)
	return name
}

// folderAsIs reads the name of a folder, of another server perhaps, or what names begin with.
func (r *reader) folderAsIs() string {
	s := r.astring("the name of a folder")
	if r.err != nil {
		return ""
	}
	if len(s) > encodedNameMax {
		r.limit("the name of a folder is too long")
		return ""
	}
	text, err := nameText(s, r.dialect)
	if err != nil {
		r.fail(err.Error())
		return ""
	}
	name := CanonicalName(text)
	if len(name) > NameLengthMax {
		r.limit("the name of a folder is too long")
		return ""
	}
	r.given = denormalized(text)
	return name
}

// oneLine makes a text that can stand in a response line.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}
