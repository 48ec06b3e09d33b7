package smtp

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Limits of command lines in octets, CR LF included.
const (
	// LineMax is for all commands but AUTH: the 512 octets of RFC 5321 §4.5.3.1.4 and what the
	// extensions add to MAIL and RCPT (SIZE 26, BODY 18, SMTPUTF8 10 and longer paths, AUTH 500,
	// DSN 636), rounded up.
	LineMax = 2048
	// AuthLineMax is for AUTH and the responses that follow (RFC 4954 §4.5).
	AuthLineMax = 12288
	// HelloMax is the longest name a client may give itself.
	HelloMax = 255
)

// Verb is a command's name.
type Verb uint8

// The verbs. Unknown is every other word; HTTP is a word that begins a request of a web browser
// (attack 5).
const (
	Unknown Verb = iota
	HTTP
	HELO
	EHLO
	LHLO
	STARTTLS
	AUTH
	MAIL
	RCPT
	DATA
	BDAT
	RSET
	NOOP
	QUIT
	VRFY
	EXPN
	HELP
	verbCount
)

// Verbs lists all verbs, for those who count by verb.
func Verbs() []Verb {
	list := make([]Verb, verbCount)
	for i := range list {
		list[i] = Verb(i)
	}
	return list
}

// String gives the verb as RFC 5321 writes it, "unknown" or "http" for what is none.
func (v Verb) String() string {
	if v >= verbCount {
		v = Unknown
	}
	return [...]string{"unknown", "http", "HELO", "EHLO", "LHLO", "STARTTLS", "AUTH", "MAIL", "RCPT",
		"DATA", "BDAT", "RSET", "NOOP", "QUIT", "VRFY", "EXPN", "HELP"}[v]
}

// EndsGroup reports whether a client must wait for the answer to this command before it sends
// anything more (RFC 2920 §3.1, RFC 3207 §4, RFC 4954 §4). VRFY, NOOP and QUIT, which RFC 2920
// lists too, are not in doubt when something follows them.
func (v Verb) EndsGroup() bool {
	switch v {
	case EHLO, LHLO, DATA, STARTTLS, AUTH:
		return true
	}
	return false
}

// Command is a command line taken apart.
type Command struct {
	Verb Verb
	Arg  string // what follows the verb, without spaces at its ends
}

// ParseCommand takes a line apart, given without its CR LF. Verbs are known in any case. A line
// with a control character or with bytes that are not UTF-8 is a SyntaxError.
func ParseCommand(line []byte) (Command, error) {
	for _, c := range line {
		if c < ' ' || c == 0x7f {
			return Command{}, syntaxError(ReplyControl, "control character 0x%02x in a command", c)
		}
	}
	if !utf8.Valid(line) {
		return Command{}, syntaxError(ReplySyntax, "command is not UTF-8")
	}
	word, rest := line, []byte(nil)
	if i := bytes.IndexByte(line, ' '); i >= 0 {
		word, rest = line[:i], bytes.Trim(line[i+1:], " ")
	}
	verb := parseVerb(word)
	if verb == Unknown || verb == HTTP {
		return Command{Verb: verb}, nil
	}
	return Command{Verb: verb, Arg: string(rest)}, nil
}

// parseVerb does not allocate: the conversion in the switch is free.
func parseVerb(word []byte) Verb {
	var upper [11]byte
	if len(word) > len(upper) {
		return Unknown
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	switch string(upper[:len(word)]) {
	case "HELO":
		return HELO
	case "EHLO":
		return EHLO
	case "LHLO":
		return LHLO
	case "STARTTLS":
		return STARTTLS
	case "AUTH":
		return AUTH
	case "MAIL":
		return MAIL
	case "RCPT":
		return RCPT
	case "DATA":
		return DATA
	case "BDAT":
		return BDAT
	case "RSET":
		return RSET
	case "NOOP":
		return NOOP
	case "QUIT":
		return QUIT
	case "VRFY":
		return VRFY
	case "EXPN":
		return EXPN
	case "HELP":
		return HELP
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI",
		"HOST:", "USER-AGENT:":
		return HTTP
	}
	return Unknown
}

// ParseHello checks the name that a client gives itself in HELO, EHLO or LHLO. RFC 5321 §4.1.4
// wants a domain or an address literal and forbids refusing a name that does not match the
// address. Names in use are looser; refused is only what could not stand in a Received header
// (attack 19).
func ParseHello(arg string) (string, error) {
	if arg == "" {
		return "", syntaxError(ReplyHelloName, "no name given")
	}
	if len(arg) > HelloMax {
		return "", syntaxError(ReplyHelloName, "name of %d octets", len(arg))
	}
	for i := range len(arg) {
		if !isHelloChar(arg[i]) {
			return "", syntaxError(ReplyHelloName, "character 0x%02x in the name", arg[i])
		}
	}
	return arg, nil
}

func isHelloChar(c byte) bool {
	return isAlnum(c) || strings.IndexByte("-._:[]", c) >= 0
}

// ParseBDAT reads the arguments of BDAT (RFC 3030 §2).
func ParseBDAT(arg string) (size int64, last bool, err error) {
	digits, rest, _ := strings.Cut(arg, " ")
	if rest = strings.TrimLeft(rest, " "); rest != "" {
		if !strings.EqualFold(rest, "LAST") {
			return 0, false, syntaxError(ReplyArgument, "BDAT with something other than LAST")
		}
		last = true
	}
	size, ok := parseSize(digits)
	if !ok {
		return 0, false, syntaxError(ReplyArgument, "BDAT without a size")
	}
	return size, last, nil
}

// ParseAuth reads the arguments of AUTH (RFC 4954 §4): the mechanism in upper case, and the
// initial response, still encoded. hasInitial tells "none" from "".
func ParseAuth(arg string) (mechanism, initial string, hasInitial bool, err error) {
	mechanism, initial, hasInitial = strings.Cut(arg, " ")
	if len(mechanism) == 0 || len(mechanism) > 20 { // RFC 4422 §3.1
		return "", "", false, syntaxError(ReplyArgument, "AUTH without a mechanism")
	}
	for i := range len(mechanism) {
		if c := mechanism[i]; !isAlnum(c) && c != '-' && c != '_' {
			return "", "", false, syntaxError(ReplyArgument, "mechanism with character 0x%02x", c)
		}
	}
	if strings.Contains(initial, " ") {
		return "", "", false, syntaxError(ReplyArgument, "AUTH with three arguments")
	}
	return strings.ToUpper(mechanism), initial, hasInitial, nil
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// parseSize reads up to 20 digits (RFC 1870 §3). A number too big for an int64 gives the biggest.
func parseSize(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	const most = 1<<63 - 1
	n := int64(0)
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if d := int64(c - '0'); n > (most-d)/10 {
			n = most
		} else {
			n = n*10 + d
		}
	}
	return n, true
}
