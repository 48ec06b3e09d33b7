package search

import (
	"bytes"
	"strings"
)

// wordMax is the longest encoded word that is decoded, twenty times what RFC 2047 §2 allows; a longer one stands for itself.
const wordMax = 1500

// decodeWords decodes the encoded words of a field (RFC 2047) onto dst. Words stand anywhere, as bad programs put
// them; blanks between two of them do not count (§6.2). The octets of neighbours in the same charset are
// decoded together, as some programs split characters. What is no such word, or in a charset that nobody
// knows, is taken as it is.
func decodeWords(dst, text []byte) []byte {
	if !bytes.Contains(text, []byte("=?")) {
		return append(dst, text...)
	}
	var held []byte // octets of the words before, not yet decoded
	var charset string
	flush := func() {
		dst = decodeCharset(dst, charset, held)
		held, charset = held[:0], ""
	}
	after := false // the last thing was an encoded word
	for len(text) > 0 {
		start := bytes.Index(text, []byte("=?"))
		if start < 0 {
			break
		}
		word, ok := cutWord(text[start:])
		if !ok {
			flush()
			dst, text, after = append(dst, text[:start+2]...), text[start+2:], false
			continue
		}
		if between := text[:start]; !after || len(bytes.Trim(between, " \t\r\n")) > 0 {
			flush()
			dst = append(dst, between...)
		}
		if !strings.EqualFold(word.charset, charset) {
			flush()
			charset = word.charset
		}
		held = word.octets(held)
		text, after = text[start+word.length:], true
	}
	flush()
	return append(dst, text...)
}

// encodedWord is one word, taken apart.
type encodedWord struct {
	charset string
	base64  bool
	text    []byte
	length  int
}

// cutWord reads the encoded word that text begins with. It looks at no more than wordMax octets, so that
// a field of beginnings costs no more than linear time.
func cutWord(text []byte) (w encodedWord, ok bool) {
	text = text[:min(len(text), wordMax)]
	rest := text[2:]
	charset, rest, ok := bytes.Cut(rest, []byte("?"))
	if !ok || len(charset) == 0 || len(charset) > charsetMax || bytes.ContainsAny(charset, " \t\r\n") || len(rest) < 3 || rest[1] != '?' {
		return w, false
	}
	switch rest[0] {
	case 'B', 'b':
		w.base64 = true
	case 'Q', 'q':
	default:
		return w, false
	}
	end := bytes.Index(rest[2:], []byte("?="))
	if end < 0 {
		return w, false
	}
	w.text = rest[2 : 2+end]
	charset, _, _ = bytes.Cut(charset, []byte("*")) // a language may follow (RFC 2231 §5)
	w.charset = string(charset)
	w.length = len(text) - len(rest) + 2 + end + 2
	return w, true
}

// octets undoes a word's encoding (RFC 2047 §4).
func (w *encodedWord) octets(dst []byte) []byte {
	if w.base64 {
		return new(unbase64).append(dst, w.text)
	}
	for i := 0; i < len(w.text); i++ {
		switch c := w.text[i]; {
		case c == '_':
			dst = append(dst, ' ')
		case c == '=' && i+2 < len(w.text) && hexValue(w.text[i+1]) >= 0 && hexValue(w.text[i+2]) >= 0:
			dst = append(dst, byte(hexValue(w.text[i+1])<<4|hexValue(w.text[i+2])))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// decodeCharset turns octets of a charset into UTF-8; those of one that nobody knows stay as they are.
func decodeCharset(dst []byte, charset string, octets []byte) []byte {
	if len(octets) == 0 {
		return dst
	}
	enc, _ := charsetOf(charset)
	if enc == nil {
		return append(dst, octets...)
	}
	text, err := enc.NewDecoder().Bytes(octets)
	if err != nil {
		return append(dst, octets...)
	}
	return append(dst, text...)
}
