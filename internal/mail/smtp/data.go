package smtp

import (
	"bytes"
	"errors"
)

// What message data must not hold. Programs disagree on whether a lone LF or CR ends a line, and
// a message that two programs end at different places smuggles a second one past the first
// (attack 1). So it is refused, and the connection with it.
var (
	ErrBareCR = errors.New("CR that no LF follows")
	ErrBareLF = errors.New("LF that no CR precedes")
	ErrNUL    = errors.New("NUL")
)

// Dot reads the data of a DATA command: it finds the end, CR LF "." CR LF and nothing else, and
// takes the stuffed dots off (RFC 5321 §4.5.2). The zero Dot is at the beginning of a message.
// Lines may be of any length.
type Dot struct{ state dotState }

type dotState uint8

const (
	lineStart dotState = iota
	inLine
	afterCR    // CR inside a message line
	afterDot   // a dot at the start of a line, not yet given out
	afterDotCR // and a CR after it
)

// Next looks at bytes as they came and gives the next stretch of message: span is part of src,
// n counts the bytes of src that are used up. It is called again with the rest until that is
// empty or the message is done; then the rest is the client's next commands. After an error
// the Dot is of no more use.
func (d *Dot) Next(src []byte) (span []byte, n int, done bool, err error) {
	start := 0
	for i := 0; i < len(src); {
		switch d.state {
		case lineStart:
			if src[i] == '.' {
				d.state = afterDot
				return src[start:i], i + 1, false, nil
			}
			d.state = inLine
		case inLine:
			j := bytes.IndexByte(src[i:], '\r')
			part := src[i:]
			if j >= 0 {
				part = part[:j]
			}
			if err := checkPart(part); err != nil {
				return nil, 0, false, err
			}
			if i += len(part); j >= 0 {
				i++
				d.state = afterCR
			}
		case afterCR:
			if src[i] != '\n' {
				return nil, 0, false, ErrBareCR
			}
			i++
			d.state = lineStart
		case afterDot:
			d.state = inLine
			if src[i] == '\r' {
				d.state = afterDotCR
				i++
				start = i
			}
		case afterDotCR:
			if src[i] != '\n' {
				return nil, 0, false, ErrBareCR
			}
			return nil, i + 1, true, nil
		}
	}
	return src[start:], len(src), false, nil
}

// checkPart looks at a part of a line that holds no CR.
func checkPart(p []byte) error {
	if bytes.IndexByte(p, '\n') >= 0 {
		return ErrBareLF
	}
	if bytes.IndexByte(p, 0) >= 0 {
		return ErrNUL
	}
	return nil
}

// Text watches over message data that comes with its length (BDAT): the same bytes are refused
// as in DATA, also where chunks meet. The zero Text is at the beginning of a message.
type Text struct{ state dotState }

// Check looks at the next bytes.
func (t *Text) Check(p []byte) error {
	for len(p) > 0 {
		if t.state == afterCR {
			if p[0] != '\n' {
				return ErrBareCR
			}
			t.state = lineStart
			p = p[1:]
			continue
		}
		part, after, cr := bytes.Cut(p, []byte{'\r'})
		if err := checkPart(part); err != nil {
			return err
		}
		t.state = inLine
		if cr {
			t.state = afterCR
		}
		p = after
	}
	return nil
}

// End is called after the last bytes: open reports that the last line has no line end and
// wants one, since a message is lines.
func (t *Text) End() (open bool, err error) {
	if t.state == afterCR {
		return false, ErrBareCR
	}
	return t.state == inLine, nil
}
