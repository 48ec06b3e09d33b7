package smtp

import (
	"errors"
	"strings"
)

// EncodeXtext writes s as xtext (RFC 3461 §4): printable ASCII but for "+" and "=" as it is, all
// else as "+" and two digits.
func EncodeXtext(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isXchar(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'+', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// DecodeXtext reads xtext. Small hexadecimal digits are taken as well.
func DecodeXtext(s string) (string, error) {
	if !strings.Contains(s, "+") {
		return s, checkXchars(s)
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case isXchar(c):
			b = append(b, c)
		case c == '+' && i+2 < len(s):
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return "", errors.New("xtext: + without two hexadecimal digits")
			}
			b = append(b, byte(hi<<4|lo))
			i += 2
		default:
			return "", errors.New("xtext: character that must be written as + and two digits")
		}
	}
	return string(b), nil
}

func checkXchars(s string) error {
	for i := range len(s) {
		if !isXchar(s[i]) {
			return errors.New("xtext: character that must be written as + and two digits")
		}
	}
	return nil
}

func isXchar(c byte) bool { return c > ' ' && c < 0x7f && c != '+' && c != '=' }

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
