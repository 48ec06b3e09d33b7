package imap

import "strings"

// isAtomChar reports whether an octet may stand in an atom: printable ASCII without atom-specials
// (RFC 9051 §9, ATOM-CHAR).
func isAtomChar(c byte) bool {
	switch c {
	case '(', ')', '{', ' ', '%', '*', '"', '\\', ']':
		return false
	}
	return c > 0x20 && c < 0x7f
}

// isAStringChar: "]" may also be there (RFC 9051 §9, ASTRING-CHAR).
func isAStringChar(c byte) bool { return c == ']' || isAtomChar(c) }

// isListChar: and the wildcards (RFC 9051 §9, list-char).
func isListChar(c byte) bool { return c == '%' || c == '*' || isAStringChar(c) }

// isTagChar: all of ASTRING-CHAR but "+" (RFC 9051 §9, tag).
func isTagChar(c byte) bool { return c != '+' && isAStringChar(c) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isObjectIDChar: what an EMAILID, THREADID or MAILBOXID has (RFC 8474 §4).
func isObjectIDChar(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '-'
}

// isAtom reports whether s is an atom.
func isAtom(s string) bool { return s != "" && every(s, isAtomChar) }

func every(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

// isNil reports whether s reads as NIL, which as an atom would not be the string.
func isNil(s string) bool { return equalFold(s, "NIL") }

// upper, lower and equalFold change the case of ASCII letters alone: Unicode's rules would take "ſ" for "S".
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - ('a' - 'A')
		}
		return r
	}, s)
}

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

func equalFold(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range len(s) {
		a, b := s[i], t[i]
		if a != b && (a|0x20 != b|0x20 || a|0x20 < 'a' || a|0x20 > 'z') {
			return false
		}
	}
	return true
}
