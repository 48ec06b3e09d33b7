package imap

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7Alphabet is base64 with "," for "/" (RFC 3501 §5.1.3).
const utf7Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

var utf7Base64 = base64.NewEncoding(utf7Alphabet).WithPadding(base64.NoPadding)

var errUTF7 = errors.New("this is not modified UTF-7")

// EncodeUTF7 writes UTF-8 as modified UTF-7 (RFC 3501 §5.1.3). Octets that are not UTF-8 become U+FFFD.
func EncodeUTF7(s string) string {
	plain := func(c byte) bool { return c >= 0x20 && c <= 0x7e && c != '&' }
	if every(s, plain) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '&':
			b.WriteString("&-")
			i++
		case plain(c):
			b.WriteByte(c)
			i++
		default:
			end := i
			for end < len(s) && !plain(s[end]) && s[end] != '&' {
				end++
			}
			b.WriteByte('&')
			b.WriteString(utf7Run(s[i:end]))
			b.WriteByte('-')
			i = end
		}
	}
	return b.String()
}

// utf7Run is a run of characters as UTF-16, most significant octet first, in base64.
func utf7Run(s string) string {
	units := utf16.Encode([]rune(s))
	octets := make([]byte, 0, 2*len(units))
	for _, u := range units {
		octets = append(octets, byte(u>>8), byte(u))
	}
	return utf7Base64.EncodeToString(octets)
}

// DecodeUTF7 reads modified UTF-7 (RFC 3501 §5.1.3), strictly: what EncodeUTF7 would have written otherwise is an
// error, so that no name has two forms on the wire.
func DecodeUTF7(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		if c < 0x20 || c > 0x7e {
			return "", errUTF7
		}
		i++
		if c != '&' {
			b.WriteByte(c)
			continue
		}
		n := strings.IndexByte(s[i:], '-')
		if n < 0 {
			return "", errUTF7
		}
		run := s[i : i+n]
		i += n + 1
		if run == "" {
			b.WriteByte('&')
			continue
		}
		text, err := utf7Text(run)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
		if i < len(s) && s[i] == '&' && (i+1 >= len(s) || s[i+1] != '-') {
			return "", errUTF7 // two runs where one would do
		}
	}
	return b.String(), nil
}

// utf7Text reads one run of base64.
func utf7Text(run string) (string, error) {
	octets, err := utf7Base64.Strict().DecodeString(run)
	// base64 passes over line ends.
	if err != nil || len(octets)%2 != 0 || len(octets) == 0 || strings.ContainsAny(run, "\r\n") {
		return "", errUTF7
	}
	var b strings.Builder
	for i := 0; i < len(octets); i += 2 {
		r := rune(octets[i])<<8 | rune(octets[i+1])
		if utf16.IsSurrogate(r) {
			if i+4 > len(octets) {
				return "", errUTF7
			}
			i += 2
			r = utf16.DecodeRune(r, rune(octets[i])<<8|rune(octets[i+1]))
			if r == utf8.RuneError {
				return "", errUTF7
			}
		}
		if r >= 0x20 && r <= 0x7e { // stands for itself
			return "", errUTF7
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}
