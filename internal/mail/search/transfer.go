package search

import (
	"errors"
	"io"
	"strings"
)

// base64Value gives the value of each octet of base64 (RFC 4648 §4); -1 for others, 64 for padding.
var base64Value = [256]int8{
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, 64, -1, -1,
	-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1,
	-1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
}

// unbase64 decodes base64 as it comes: what is not of its alphabet is skipped (RFC 2045 §6.8), padding ends a
// group and may be followed by more.
type unbase64 struct {
	bits uint32
	n    uint // bits that are left over
}

// append decodes src onto dst.
func (d *unbase64) append(dst, src []byte) []byte {
	bits, n := d.bits, d.n
	for i := 0; i < len(src); {
		// Four octets at once while all are of the alphabet.
		for n == 0 && i+4 <= len(src) {
			a, b, c, e := base64Value[src[i]], base64Value[src[i+1]], base64Value[src[i+2]], base64Value[src[i+3]]
			if a|b|c|e < 0 || (a|b|c|e)&64 != 0 {
				break
			}
			w := uint32(a)<<18 | uint32(b)<<12 | uint32(c)<<6 | uint32(e)
			dst = append(dst, byte(w>>16), byte(w>>8), byte(w))
			i += 4
		}
		if i == len(src) {
			break
		}
		v := base64Value[src[i]]
		i++
		switch {
		case v < 0:
		case v == 64:
			bits, n = 0, 0
		default:
			bits, n = bits<<6|uint32(v), n+6
			if n >= 8 {
				n -= 8
				dst = append(dst, byte(bits>>n))
			}
		}
	}
	d.bits, d.n = bits, n
	return dst
}

// unquote decodes quoted-printable as it comes (RFC 2045 §6.7): what is no escape stands for itself.
type unquote struct {
	held  []byte // an escape that has begun, or blanks that the end of the line takes away; shared by nobody
	start byte   // '=' or ' ': which of them; 0: neither
}

// heldMax bounds the blanks that are held back: more are taken for text.
const heldMax = 1024

// append decodes src onto dst.
func (q *unquote) append(dst, src []byte) []byte {
	for _, c := range src {
		switch q.start {
		case '=':
			dst = q.escape(dst, c)
			continue
		case ' ':
			switch {
			case (c == ' ' || c == '\t') && len(q.held) < heldMax:
				q.held = append(q.held, c)
				continue
			case c != '\n' && c != '\r':
				dst = append(dst, q.held...)
			}
			q.held, q.start = q.held[:0], 0
		}
		dst = q.plain(dst, c)
	}
	return dst
}

// plain takes an octet outside an escape.
func (q *unquote) plain(dst []byte, c byte) []byte {
	switch c {
	case '=', ' ', '\t':
		q.start = c
		if c == '\t' {
			q.start = ' '
		}
		q.held = append(q.held[:0], c)
		return dst
	}
	return append(dst, c)
}

// escape takes an octet after '='. A line that ends in it goes on; blanks before its end do not count.
func (q *unquote) escape(dst []byte, c byte) []byte {
	last := q.held[len(q.held)-1]
	switch {
	case c == '\n':
		q.held, q.start = q.held[:0], 0
		return dst
	case (c == ' ' || c == '\t' || c == '\r') && (last == '=' || last == ' ' || last == '\t') && len(q.held) < heldMax:
		q.held = append(q.held, c)
		return dst
	case last == '=' && hexValue(c) >= 0:
		q.held = append(q.held, c)
		return dst
	case len(q.held) == 2 && hexValue(last) >= 0 && hexValue(c) >= 0:
		q.held, q.start = q.held[:0], 0
		return append(dst, byte(hexValue(last)<<4|hexValue(c)))
	}
	// It was none.
	dst = append(dst, q.held...)
	q.held, q.start = q.held[:0], 0
	return q.plain(dst, c)
}

// end gives what is still held at the end of the text.
func (q *unquote) end(dst []byte) []byte {
	if q.start == '=' && len(q.held) > 1 && hexValue(q.held[1]) >= 0 {
		dst = append(dst, q.held...)
	}
	return dst
}

func hexValue(c byte) int {
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

// decoding is a reader that undoes a transfer encoding.
type decoding struct {
	from io.Reader
	raw  []byte // what is read at once; the owner's
	out  []byte // decoded and not yet given
	buf  []byte // of out
	b64  *unbase64
	qp   *unquote
	err  error
}

func (d *decoding) Read(b []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		n, err := d.from.Read(d.raw)
		switch {
		case d.b64 != nil:
			d.buf = d.b64.append(d.buf[:0], d.raw[:n])
		default:
			d.buf = d.qp.append(d.buf[:0], d.raw[:n])
			if errors.Is(err, io.EOF) {
				d.buf = d.qp.end(d.buf)
			}
		}
		d.out, d.err = d.buf, err
	}
	n := copy(b, d.out)
	d.out = d.out[n:]
	return n, nil
}

// transferOf gives a reader that undoes a transfer encoding; of those that are none, or that nobody knows
// (RFC 2045 §6.4: such a part is only octets), from itself.
func (r *Reader) transferOf(encoding string, from io.Reader) io.Reader {
	d := &r.decoding
	d.from, d.out, d.err, d.b64, d.qp = from, nil, nil, nil, nil
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		d.b64 = &unbase64{}
	case "quoted-printable":
		d.qp = &unquote{}
	default:
		return from
	}
	return d
}
