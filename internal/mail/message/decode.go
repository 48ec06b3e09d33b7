package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrEncoding is in the chain of Part.Decode's error for a Content-Transfer-Encoding that is not
// known: NO [UNKNOWN-CTE] (RFC 9051 §7.1).
var ErrEncoding = errors.New("unknown content transfer encoding")

// Decode undoes the part's transfer encoding, of body, which are the octets of p.Body. What is broken is
// stepped over: reading fails only when body does. The error has ErrEncoding in its chain.
func (p *Part) Decode(body io.Reader) (io.Reader, error) {
	switch {
	case isIdentity(p.Encoding) || p.IsMultipart() || p.IsMessage():
		return body, nil
	case p.Encoding == "base64":
		return newBase64(body), nil
	case p.Encoding == "quoted-printable":
		return &quotedPrintable{r: bufio.NewReaderSize(&stickyReader{r: body}, decodeBuffer)}, nil
	default:
		return nil, fmt.Errorf("decode a part: %w %q", ErrEncoding, p.Encoding)
	}
}

const decodeBuffer = 4096

// base64Alphabet is RFC 2045's table 1.
const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Reader decodes as RFC 2045 §6.8 demands: what is not in the alphabet is stepped over. Padding
// ends a group, not the data: some programs encode a text piece by piece.
type base64Reader struct {
	r      io.Reader
	values [256]byte // 0: not in the alphabet; else the value and 1
	in     [decodeBuffer]byte
	buf    [decodeBuffer]byte
	out    []byte // of buf, not yet given out
	group  uint32 // bits that came
	count  int    // octets they came in
	err    error
}

func newBase64(r io.Reader) *base64Reader {
	b := &base64Reader{r: r}
	for i := range len(base64Alphabet) {
		b.values[base64Alphabet[i]] = byte(i + 1)
	}
	return b
}

func (b *base64Reader) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		var n int
		n, b.err = b.r.Read(b.in[:])
		b.out = b.decode(b.buf[:0], b.in[:n])
		if b.err != nil {
			b.out = b.flush(b.out)
		}
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// decode writes after out what in means: never more than three octets for four, and what was left.
func (b *base64Reader) decode(out, in []byte) []byte {
	for _, c := range in {
		v := b.values[c]
		if v == 0 {
			if c == '=' {
				out = b.flush(out)
			}
			continue
		}
		b.group = b.group<<6 | uint32(v-1)
		if b.count++; b.count == 4 {
			out = append(out, byte(b.group>>16), byte(b.group>>8), byte(b.group))
			b.group, b.count = 0, 0
		}
	}
	return out
}

// flush ends a group that is not full.
func (b *base64Reader) flush(out []byte) []byte {
	switch b.count {
	case 2:
		out = append(out, byte(b.group>>4))
	case 3:
		out = append(out, byte(b.group>>10), byte(b.group>>2))
	}
	b.group, b.count = 0, 0
	return out
}

// quotedPrintable decodes RFC 2045 §6.7. An "=" that means nothing stays; blanks at the end of a line
// go, up to blanksMax of them.
type quotedPrintable struct {
	r   *bufio.Reader
	out []byte // decoded, not yet given out; lies in buf or in r's memory
	buf [decodeBuffer]byte
	err error
}

// stickyReader gives an error again and again. bufio.Reader gives the one that Peek met only to Peek.
type stickyReader struct {
	r   io.Reader
	err error
}

func (s *stickyReader) Read(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	n, s.err = s.r.Read(p)
	return n, s.err
}

// blanksMax is how many blanks before a line end are looked over.
const blanksMax = 256

func (q *quotedPrintable) Read(p []byte) (int, error) {
	for len(q.out) == 0 {
		if q.err != nil {
			return 0, q.err
		}
		q.out = q.buf[:0]
		for len(q.out) < len(q.buf)-blanksMax && q.err == nil {
			q.plain()
		}
	}
	n := copy(p, q.out)
	q.out = q.out[n:]
	return n, nil
}

// plain decodes what r has at hand, up to what needs a look at more than the next octets: next does that.
func (q *quotedPrintable) plain() {
	in, err := q.r.Peek(max(q.r.Buffered(), 1))
	if len(in) == 0 {
		q.err = err
		return
	}
	in = in[:min(len(in), len(q.buf)-blanksMax-len(q.out))]
	i, out := 0, q.out
	for i < len(in) {
		c := in[i]
		if c == '=' {
			if i+2 >= len(in) {
				break
			}
			hi, ok1 := hexValue(in[i+1])
			lo, ok2 := hexValue(in[i+2])
			if !ok1 || !ok2 {
				break
			}
			c = hi<<4 | lo
			i += 2
		} else if (c == ' ' || c == '\t') && (i+1 == len(in) || strings.IndexByte(" \t\r\n", in[i+1]) >= 0) {
			break
		}
		out = append(out, c)
		i++
	}
	q.out = out
	q.discard(i)
	if i < len(in) {
		q.next()
	}
}

// next decodes one octet, or what belongs together: at most blanksMax octets.
func (q *quotedPrintable) next() {
	c, err := q.r.ReadByte()
	switch {
	case err != nil:
		q.err = err
	case c == '=':
		q.escape()
	case c == ' ' || c == '\t':
		q.blanks(c)
	default:
		q.out = append(q.out, c)
	}
}

// escape reads what follows "=".
func (q *quotedPrintable) escape() {
	next, err := q.r.Peek(2)
	if len(next) == 2 {
		hi, ok1 := hexValue(next[0])
		lo, ok2 := hexValue(next[1])
		if ok1 && ok2 {
			q.out = append(q.out, hi<<4|lo)
			q.discard(2)
			return
		}
	}
	if len(next) == 0 && err != nil {
		return // a soft line break before the end
	}
	if n, end, ok := q.lineEnd(0); ok {
		q.discard(n + end) // a soft line break
		return
	}
	q.out = append(q.out, '=')
}

// blanks reads blanks, of which c is the first. They count unless the line ends with them.
func (q *quotedPrintable) blanks(c byte) {
	n, _, ok := q.lineEnd(1)
	if ok {
		q.discard(n)
		return
	}
	q.out = append(q.out, c)
	for range n { // they are in q.r's buffer
		if c, q.err = q.r.ReadByte(); q.err == nil {
			q.out = append(q.out, c)
		}
	}
}

// lineEnd counts the blanks that follow, of which already were seen, and the octets of the line end
// after them. It is false if no line end follows; the end of the text is one of no octets.
func (q *quotedPrintable) lineEnd(already int) (blanks, end int, ok bool) {
	next, err := q.r.Peek(blanksMax - already + 2)
	for blanks < len(next) && blanks < blanksMax-already && (next[blanks] == ' ' || next[blanks] == '\t') {
		blanks++
	}
	switch rest := next[blanks:]; {
	case len(rest) == 0:
		return blanks, 0, err != nil
	case rest[0] == '\n':
		return blanks, 1, true
	case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
		return blanks, 2, true
	default:
		return blanks, 0, false
	}
}

// discard goes over octets that peek gave.
func (q *quotedPrintable) discard(n int) {
	if _, err := q.r.Discard(n); err != nil {
		q.err = err
	}
}

func hexValue(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	default:
		return 0, false
	}
}
