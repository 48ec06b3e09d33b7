package message

import (
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/transform"
)

// utf7 converts UTF-7 (RFC 2152): runs of base64 between "+" and the first octet that is not of base64, which
// goes too if it is "-"; they are UTF-16. Old mail is written in it.
type utf7 struct {
	shifted bool
	fresh   bool   // nothing has followed the "+" yet
	bits    uint32 // not yet made into a unit
	count   int    // of them
	high    rune   // the first half of a surrogate pair; 0: none
}

// Reset is as transform.Transformer says.
func (u *utf7) Reset() { *u = utf7{} }

// utf7Room is the most that one octet of the source can give: U+FFFD for a broken pair, and a character.
const utf7Room = 2 * utf8.UTFMax

// Transform is as transform.Transformer says. It never asks for more source.
func (u *utf7) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		if len(dst)-nDst < utf7Room {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += u.octet(dst[nDst:], src[nSrc])
		nSrc++
	}
	if atEOF && u.high != 0 {
		if len(dst)-nDst < utf7Room {
			return nDst, nSrc, transform.ErrShortDst
		}
		u.high = 0
		nDst += utf8.EncodeRune(dst[nDst:], utf8.RuneError)
	}
	return nDst, nSrc, nil
}

// octet converts one octet and gives how many it wrote.
func (u *utf7) octet(dst []byte, c byte) int {
	switch v, ok := base64Value(c); {
	case !u.shifted && c == '+':
		u.shifted, u.fresh, u.bits, u.count = true, true, 0, 0
		return 0
	case u.shifted && ok:
		u.fresh = false
		u.bits = u.bits<<6 | uint32(v)
		if u.count += 6; u.count < 16 {
			return 0
		}
		u.count -= 16
		return u.unit(dst, rune(u.bits>>u.count&0xffff))
	case u.shifted && c == '-':
		n := u.unshift(dst)
		if u.fresh {
			n += utf8.EncodeRune(dst[n:], '+')
		}
		return n
	}
	n := u.unshift(dst)
	r := rune(c)
	if c >= utf8.RuneSelf {
		r = utf8.RuneError
	}
	return n + utf8.EncodeRune(dst[n:], r)
}

// unit converts a unit of UTF-16.
func (u *utf7) unit(dst []byte, r rune) int {
	high := u.high
	u.high = 0
	switch {
	case high != 0 && utf16.IsSurrogate(r) && r >= 0xdc00:
		return utf8.EncodeRune(dst, utf16.DecodeRune(high, r))
	case high != 0:
		n := utf8.EncodeRune(dst, utf8.RuneError)
		return n + u.unit(dst[n:], r)
	case r >= 0xd800 && r < 0xdc00:
		u.high = r
		return 0
	default:
		return utf8.EncodeRune(dst, r) // half of a pair alone is written as U+FFFD
	}
}

// unshift ends a run of base64.
func (u *utf7) unshift(dst []byte) int {
	u.shifted = false
	if u.high == 0 {
		return 0
	}
	u.high = 0
	return utf8.EncodeRune(dst, utf8.RuneError)
}

func base64Value(c byte) (byte, bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A', true
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26, true
	case c >= '0' && c <= '9':
		return c - '0' + 52, true
	case c == '+':
		return 62, true
	case c == '/':
		return 63, true
	default:
		return 0, false
	}
}
