package message

import (
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Text gives a part's text as valid UTF-8: its transfer encoding undone, if it is known, and its charset
// converted. Octets that mean nothing become U+FFFD. A charset that is missing or not known is
// taken for UTF-8 where it is valid, and for windows-1252 where it is not. Markup stays as it is. body are
// the octets of p.Body; reading fails only when body does.
func (p *Part) Text(body io.Reader) io.Reader {
	if decoded, err := p.Decode(body); err == nil {
		body = decoded // else: the octets as they are, better than nothing
	}
	return transform.NewReader(body, charsetDecoder(p.Charset()))
}

// charsetNameMax is the length of the longest name of a charset that is looked for (RFC 2978 §2.3: 40).
const charsetNameMax = 64

// charsetDecoder gives what converts a charset to UTF-8. Names mean what browsers mean by them, as
// mail programs do: iso-8859-1 is windows-1252.
func charsetDecoder(name string) transform.Transformer {
	name = strings.ToLower(strings.TrimSpace(name))
	switch name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "unknown-8bit", "x-unknown", "8bit", "7bit", "binary":
		return &guess{}
	case "utf-8", "utf8":
		return unicode.UTF8.NewDecoder()
	case "utf-7", "unicode-1-1-utf-7", "csunicode11utf7":
		return &utf7{}
	case "utf-16": // RFC 2781 §4.3: big-endian if nothing says otherwise
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder()
	}
	if e := lookupCharset(name); e != nil {
		return e.NewDecoder()
	}
	return &guess{}
}

func lookupCharset(name string) encoding.Encoding {
	if len(name) > charsetNameMax {
		return nil
	}
	if e, err := htmlindex.Get(name); err == nil && e != encoding.Replacement {
		return e
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return e
	}
	return nil
}

// guess converts UTF-8 to itself, and each octet that is none from windows-1252.
type guess struct{ transform.NopResetter }

// Transform is as transform.Transformer says.
func (*guess) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		r, n := rune(src[nSrc]), 1
		if r >= utf8.RuneSelf {
			if !atEOF && !utf8.FullRune(src[nSrc:]) {
				return nDst, nSrc, transform.ErrShortSrc
			}
			if r, n = utf8.DecodeRune(src[nSrc:]); n == 1 {
				r = charmap.Windows1252.DecodeByte(src[nSrc])
			}
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += n
	}
	return nDst, nSrc, nil
}
