package imap

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"porcupine/internal/mail"
)

// Encoder appends responses to memory. Its user takes what has come together with Bytes, sends it, and goes on
// with Reset: before that becomes much. The zero value writes for a client that has enabled nothing.
//
// What is long is not held: Literal says that so many octets follow, and the user sends them himself, after
// Bytes, and exactly as many.
type Encoder struct {
	Dialect Dialect
	buf     []byte
	items   bool // of FETCH: an item has been written
}

// Bytes is what was written since Reset. It is valid until the next call of another method.
func (e *Encoder) Bytes() []byte { return e.buf }

// Len is the number of octets that Bytes has.
func (e *Encoder) Len() int { return len(e.buf) }

// Reset forgets what was written, and keeps the memory for what comes, unless it is more than an ordinary
// session needs.
func (e *Encoder) Reset() {
	if cap(e.buf) > encoderKeeps {
		e.buf = nil
	}
	e.buf = e.buf[:0]
}

// encoderKeeps is the memory in octets that Reset keeps.
const encoderKeeps = 4 << 10

// Raw appends text as it is.
func (e *Encoder) Raw(s string) *Encoder {
	e.buf = append(e.buf, s...)
	return e
}

// CRLF ends a line.
func (e *Encoder) CRLF() *Encoder { return e.Raw("\r\n") }

// Number appends a number.
func (e *Encoder) Number(n uint64) *Encoder {
	e.buf = strconv.AppendUint(e.buf, n, 10)
	return e
}

// Literal says that a literal of so many octets follows, which the caller sends. The octets must not have NUL
// (RFC 9051 §4.3); use Literal8 for those that may.
func (e *Encoder) Literal(octets int64) *Encoder {
	e.buf = append(e.buf, '{')
	e.buf = strconv.AppendInt(e.buf, octets, 10)
	return e.Raw("}\r\n")
}

// Literal8 is Literal for octets of all kinds: of BINARY (RFC 3516 §4.4).
func (e *Encoder) Literal8(octets int64) *Encoder {
	e.buf = append(e.buf, '~')
	return e.Literal(octets)
}

// String appends a string: quoted if it can be, otherwise as a literal. A NUL, which no string can have
// (RFC 9051 §4.3), becomes a blank.
func (e *Encoder) String(s []byte) *Encoder {
	e.buf = appendString(e.buf, s, e.Dialect, literalSync)
	return e
}

// NString appends a string, or NIL for nil (RFC 9051 §4.5).
func (e *Encoder) NString(s []byte) *Encoder {
	if s == nil {
		return e.Raw("NIL")
	}
	return e.String(s)
}

// AString appends an astring: an atom if it can be (RFC 9051 §9, astring).
func (e *Encoder) AString(s string) *Encoder {
	e.buf = appendAString(e.buf, s, e.Dialect, literalSync)
	return e
}

// Folder appends a folder's name, in modified UTF-7 or UTF-8, as the dialect has it.
func (e *Encoder) Folder(name string) *Encoder {
	e.buf = appendFolder(e.buf, name, e.Dialect, literalSync)
	return e
}

// Flags appends flags in parentheses.
func (e *Encoder) Flags(flags []mail.Flag) *Encoder {
	e.buf = appendFlags(e.buf, flags)
	return e
}

// Set appends a sequence set.
func (e *Encoder) Set(s NumSet) *Encoder {
	e.buf = s.appendTo(e.buf)
	return e
}

// DateTime appends a date-time with its quotes (RFC 9051 §9).
func (e *Encoder) DateTime(t time.Time) *Encoder {
	e.buf = appendDateTime(e.buf, t)
	return e
}

// literalForm says how a literal is announced.
type literalForm uint8

const (
	literalSync    literalForm = iota // {n}
	literalNonSync                    // {n+}
)

func appendLiteral(dst, s []byte, form literalForm) []byte {
	dst = append(dst, '{')
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	if form == literalNonSync {
		dst = append(dst, '+')
	}
	dst = append(dst, "}\r\n"...)
	return append(dst, s...)
}

// quotedMax is the length in octets up to which strings are quoted: longer ones are literals, which a client
// need not search for their end.
const quotedMax = 1024

// quotable reports whether octets can stand between quotes: no CR, LF, NUL, and UTF-8 only where the client
// expects it (RFC 9051 §9, QUOTED-CHAR; RFC 6855 §3).
func quotable(s []byte, d Dialect) bool {
	if len(s) > quotedMax {
		return false
	}
	ascii := true
	for _, c := range s {
		if c == 0 || c == '\r' || c == '\n' {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || d.UTF8 && utf8.Valid(s)
}

func appendString(dst, s []byte, d Dialect, form literalForm) []byte {
	if quotable(s, d) {
		dst = append(dst, '"')
		for _, c := range s {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		return append(dst, '"')
	}
	dst = appendLiteral(dst, s, form)
	for i := len(dst) - len(s); i < len(dst); i++ {
		if dst[i] == 0 {
			dst[i] = ' '
		}
	}
	return dst
}

func appendAString(dst []byte, s string, d Dialect, form literalForm) []byte {
	if s != "" && !isNil(s) && every(s, isAStringChar) {
		return append(dst, s...)
	}
	return appendString(dst, []byte(s), d, form)
}

func appendFolder(dst []byte, name string, d Dialect, form literalForm) []byte {
	if !d.UTF8 {
		name = EncodeUTF7(name)
	}
	return appendAString(dst, name, d, form)
}

// appendFlags writes flags in parentheses. What is no flag, and would be taken for something else by the client,
// is left out: a fault of what is stored must not become one of the protocol.
func appendFlags(dst []byte, flags []mail.Flag) []byte {
	dst = append(dst, '(')
	begin := len(dst)
	for _, f := range flags {
		name := Presented(f)
		if !isFlag(name) {
			continue
		}
		if len(dst) > begin {
			dst = append(dst, ' ')
		}
		dst = append(dst, name...)
	}
	return append(dst, ')')
}

// isFlag reports whether a text can stand among flags (RFC 9051 §9, flag-perm).
func isFlag(s string) bool { return s == FlagAnyKeyword || isAtom(strings.TrimPrefix(s, `\`)) }
