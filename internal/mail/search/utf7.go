package search

import (
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// utf7 is UTF-7 (RFC 2152), for reading alone: old mail is written in it.
type utf7 struct{}

func (utf7) NewDecoder() *encoding.Decoder { return &encoding.Decoder{Transformer: &utf7Decoder{}} }
func (utf7) NewEncoder() *encoding.Encoder { return encoding.Nop.NewEncoder() }

// utf7Decoder is in the middle of a text.
type utf7Decoder struct {
	shifted bool   // between + and the end of its run of base64
	begun   bool   // and something has come since
	bits    uint32 // what is left over, the last n bits of it
	n       uint
	high    rune // a first half of a surrogate pair, or 0
}

func (d *utf7Decoder) Reset() { *d = utf7Decoder{} }

// Transform writes at most one character for each octet read, of at most utf8.UTFMax octets.
func (d *utf7Decoder) Transform(dst, src []byte, _ bool) (nDst, nSrc int, err error) {
	for ; nSrc < len(src); nSrc++ {
		if len(dst)-nDst < 2*utf8.UTFMax {
			return nDst, nSrc, transform.ErrShortDst
		}
		c := src[nSrc]
		switch v := base64Value[c]; {
		case !d.shifted && c == '+':
			*d = utf7Decoder{shifted: true}
		case !d.shifted:
			nDst += putOctet(dst[nDst:], c)
		case v >= 0 && v < 64:
			d.begun = true
			d.bits, d.n = d.bits<<6|uint32(v), d.n+6
			if d.n >= 16 {
				d.n -= 16
				nDst += d.unit(dst[nDst:], rune(d.bits>>d.n&0xffff))
			}
		case c == '-':
			if !d.begun {
				dst[nDst] = '+'
				nDst++
			}
			d.Reset()
		default: // any other octet ends the run and stands for itself
			d.Reset()
			nDst += putOctet(dst[nDst:], c)
		}
	}
	return nDst, nSrc, nil
}

// unit takes 16 bits of UTF-16.
func (d *utf7Decoder) unit(dst []byte, u rune) int {
	switch {
	case d.high != 0:
		r := utf16.DecodeRune(d.high, u)
		d.high = 0
		return utf8.EncodeRune(dst, r)
	case 0xd800 <= u && u < 0xdc00:
		d.high = u
		return 0
	}
	return utf8.EncodeRune(dst, u)
}

// putOctet writes an octet outside base64: ASCII, or what is not UTF-7 at all.
func putOctet(dst []byte, c byte) int {
	if c < utf8.RuneSelf {
		dst[0] = c
		return 1
	}
	return utf8.EncodeRune(dst, utf8.RuneError)
}
