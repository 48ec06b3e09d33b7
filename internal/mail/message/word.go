package message

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

// DecodeHeader makes UTF-8 of a text from a header: encoded words are decoded (RFC 2047), octets that
// are not UTF-8 are taken for windows-1252, control characters become blanks. What is no encoded word stays as
// it is, also one in a charset that is not known, if its octets are no UTF-8. Words next to each
// other in one charset are converted together: some programs divide characters between them. Folded
// text must be unfolded first (texts of an Index are).
func DecodeHeader(s string) string {
	if isPlain(s) {
		return s
	}
	var out strings.Builder
	var run []byte // what the last words mean, in charset
	charset := ""
	flush := func() {
		out.WriteString(clean(convert(run, charset)))
		run = run[:0]
	}
	w := words{s: s}
	for w.pos < len(s) {
		at := strings.Index(s[w.pos:], "=?")
		if at < 0 {
			break
		}
		between := s[w.pos : w.pos+at]
		start := w.pos + at
		w.pos = start
		name, text, ok := w.word()
		if !ok {
			// Not a word: the "=?" is text, and so is what stands before it.
			flush()
			charset = ""
			out.WriteString(clean(toUTF8(s[start-at : start+2])))
			w.pos = start + 2
			continue
		}
		if charset == "" || strings.Trim(between, " \t\r\n") != "" { // blanks between words do not count
			flush()
			out.WriteString(clean(toUTF8(between)))
		} else if !strings.EqualFold(name, charset) {
			flush()
		}
		charset = name
		run = append(run, text...)
	}
	flush()
	out.WriteString(clean(toUTF8(s[w.pos:])))
	return out.String()
}

// isPlain reports whether s is printable ASCII without encoded words.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == '=' && i+1 < len(s) && s[i+1] == '?' {
			return false
		}
	}
	return true
}

// words goes over a text with encoded words.
type words struct {
	s    string
	pos  int
	ends int // where the next "?=" is, looked for at most once an octet; len(s): nowhere
}

// word reads an encoded word, which begins at pos, and goes behind it.
func (w *words) word() (charset string, text []byte, ok bool) {
	rest := w.s[w.pos+2:]
	n := strings.IndexAny(rest, "? \t")
	if n <= 0 || n > charsetNameMax || n+3 > len(rest) || rest[n] != '?' || rest[n+2] != '?' {
		return "", nil, false
	}
	charset, _, _ = strings.Cut(rest[:n], "*") // RFC 2231 §5: a language may follow
	from := w.pos + 2 + n + 3
	if w.ends < from && w.ends < len(w.s) {
		w.ends = len(w.s)
		if i := strings.Index(w.s[from:], "?="); i >= 0 {
			w.ends = from + i
		}
	}
	if w.ends >= len(w.s) || charset == "" {
		return "", nil, false
	}
	body := w.s[from:w.ends]
	if strings.Contains(body, "=?") { // that one may be a word; so no octet is decoded twice
		return "", nil, false
	}
	switch rest[n+1] {
	case 'q', 'Q':
		text = decodeQ(body)
	case 'b', 'B':
		text, ok = decodeB(body)
		if !ok {
			return "", nil, false
		}
	default:
		return "", nil, false
	}
	w.pos = w.ends + 2
	return charset, text, true
}

// decodeQ is the encoding "Q" (RFC 2047 §4.2). Blanks, which are not allowed, are forgiven.
func decodeQ(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '_':
			out = append(out, ' ')
		case '=':
			if i+2 < len(s) {
				hi, ok1 := hexValue(s[i+1])
				lo, ok2 := hexValue(s[i+2])
				if ok1 && ok2 {
					out = append(out, hi<<4|lo)
					i += 2
					continue
				}
			}
			out = append(out, c)
		default:
			out = append(out, c)
		}
	}
	return out
}

// decodeB is the encoding "B". Octets that are not of base64 are stepped over, blanks but for: they
// say that this is no word.
func decodeB(s string) ([]byte, bool) {
	digits := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] == ' ' || s[i] == '\t' {
			return nil, false
		}
		if _, ok := base64Value(s[i]); ok {
			digits = append(digits, s[i])
		}
	}
	if len(digits)%4 == 1 {
		digits = digits[:len(digits)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(digits)))
	n, err := base64.RawStdEncoding.Decode(out, digits)
	return out[:n], err == nil
}

// convert makes UTF-8 of text in a charset.
func convert(text []byte, charset string) string {
	if len(text) == 0 {
		return ""
	}
	out, _, err := transform.Bytes(charsetDecoder(charset), text)
	if err != nil { // no decoder gives one at the end of a text; if one does, the octets are guessed
		return toUTF8(string(text))
	}
	return string(bytes.ToValidUTF8(out, []byte("\uFFFD")))
}

// toUTF8 takes octets that are not UTF-8 for windows-1252.
func toUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = charmap.Windows1252.DecodeByte(s[i])
		}
		b.WriteRune(r)
		i += n
	}
	return b.String()
}

// clean makes blanks of control characters.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
