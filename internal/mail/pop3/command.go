package pop3

import (
	"bytes"
	"errors"
	"fmt"
)

// Limits of command lines, in octets with CR LF.
const (
	LineLengthMax = 255      // RFC 2449 §4
	AuthLengthMax = 12 << 10 // an AUTH command with an initial response, or a response line (RFC 5034 §4)
)

// NumberMax is the largest message number and line count that is read as itself; larger ones are
// errors for numbers of messages and mean "all" for TOP's lines.
const NumberMax = 1<<31 - 1

// Verb is a POP3 command.
type Verb uint8

const (
	Unknown Verb = iota
	User
	Pass
	Auth
	Capa
	Stls
	Stat
	List
	Retr
	Dele
	Noop
	Rset
	Top
	Uidl
	Quit
	HTTP // not POP3: the first line of an HTTP request, or its Host header
)

var verbNames = [...]string{"UNKNOWN", "USER", "PASS", "AUTH", "CAPA", "STLS", "STAT", "LIST", "RETR", "DELE", "NOOP", "RSET", "TOP", "UIDL", "QUIT", "HTTP"}

// String gives the command's name in capitals.
func (v Verb) String() string {
	if int(v) < len(verbNames) {
		return verbNames[v]
	}
	return fmt.Sprintf("verb %d", uint8(v))
}

// Command is one command line.
type Command struct {
	Verb Verb
	// Text is the argument of USER and PASS, all of it, blanks included; for AUTH the
	// mechanism's name, empty if there was none. It shares memory with the line.
	Text []byte
	// Initial is AUTH's initial response as sent, in base64; nil if there was none.
	Initial []byte
	// Number is the message number of LIST, RETR, DELE, TOP and UIDL; 0: none was given, which
	// only LIST and UIDL allow.
	Number int
	// Lines is TOP's count of body lines.
	Lines int
}

// The errors of Parse. The text is for the client.
var (
	ErrUnknown   = errors.New("unknown command")
	ErrSyntax    = errors.New("wrong arguments")
	ErrCharacter = errors.New("character not allowed in a command")
	ErrLong      = errors.New("command line too long")
)

// Parse reads a command line, without its CR LF. On an error the Command tells the verb, as far
// as it was understood. Keywords are taken without regard to case; arguments are separated by
// single blanks; blanks at the end are forgiven but for USER and PASS (RFC 1939 §3, RFC 2449 §4).
func Parse(line []byte) (Command, error) {
	word, rest, hasRest := cut(line)
	c := Command{Verb: verbOf(word)}
	switch {
	case c.Verb == HTTP:
		return c, ErrUnknown
	case !clean(line):
		return c, ErrCharacter
	case c.Verb == Unknown:
		return c, ErrUnknown
	case c.Verb != Auth && len(line) > LineLengthMax-2, len(line) > AuthLengthMax-2:
		return c, ErrLong
	}
	if c.Verb == User || c.Verb == Pass {
		// A password may begin and end with a blank (RFC 1939 §7).
		if c.Text = rest; len(rest) == 0 {
			return c, ErrSyntax
		}
		return c, nil
	}
	rest = trimRight(rest)
	if hasRest && len(rest) == 0 {
		hasRest = false
	}
	return parseArguments(c, rest, hasRest)
}

// parseArguments reads the arguments of all verbs but USER and PASS.
func parseArguments(c Command, rest []byte, hasRest bool) (Command, error) {
	ok := false
	switch c.Verb {
	case Auth:
		c.Text, c.Initial, ok = authArguments(rest)
	case List, Uidl:
		if ok = !hasRest; !ok {
			c.Number, ok = number(rest)
		}
	case Retr, Dele:
		c.Number, ok = number(rest)
	case Top:
		first, second, has := cut(rest)
		var okLines bool
		c.Number, ok = number(first)
		c.Lines, okLines = count(second)
		ok = ok && has && okLines
	default: // no arguments
		ok = !hasRest
	}
	if !ok {
		return c, ErrSyntax
	}
	return c, nil
}

// authArguments reads AUTH's mechanism and initial response, both of them optional.
func authArguments(rest []byte) (mechanism, initial []byte, ok bool) {
	mechanism, initial, has := cut(rest)
	if has && (len(initial) == 0 || bytes.IndexByte(initial, ' ') >= 0) {
		return mechanism, nil, false
	}
	if !has {
		initial = nil
	}
	return mechanism, initial, true
}

// cut splits at the first blank.
func cut(b []byte) (before, after []byte, found bool) {
	for i, ch := range b {
		if ch == ' ' {
			return b[:i:i], b[i+1:], true
		}
	}
	return b, nil, false
}

func trimRight(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// clean reports whether there are no control characters. Octets over 127 pass: they may occur in
// names and passwords (RFC 6856), whose reader checks them.
func clean(b []byte) bool {
	for _, ch := range b {
		if ch < 0x20 || ch == 0x7f {
			return false
		}
	}
	return true
}

// number reads a message number: 1 to NumberMax.
func number(b []byte) (int, bool) {
	n, ok := count(b)
	return n, ok && n > 0 && n < NumberMax
}

// count reads decimal digits; everything from NumberMax up is NumberMax.
func count(b []byte) (int, bool) {
	if len(b) == 0 {
		return 0, false
	}
	n := int64(0)
	for _, ch := range b {
		if ch < '0' || ch > '9' {
			return 0, false
		}
		if n = n*10 + int64(ch-'0'); n > NumberMax {
			n = NumberMax
		}
	}
	return int(n), true
}

// verbOf finds the command of a keyword.
func verbOf(word []byte) Verb {
	var upper [8]byte
	if len(word) > len(upper) {
		return Unknown
	}
	for i, ch := range word {
		if 'a' <= ch && ch <= 'z' {
			ch -= 'a' - 'A'
		}
		upper[i] = ch
	}
	switch string(upper[:len(word)]) {
	case "USER":
		return User
	case "PASS":
		return Pass
	case "AUTH":
		return Auth
	case "CAPA":
		return Capa
	case "STLS":
		return Stls
	case "STAT":
		return Stat
	case "LIST":
		return List
	case "RETR":
		return Retr
	case "DELE":
		return Dele
	case "NOOP":
		return Noop
	case "RSET":
		return Rset
	case "TOP":
		return Top
	case "UIDL":
		return Uidl
	case "QUIT":
		return Quit
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI", "HOST:":
		return HTTP
	}
	return Unknown
}
