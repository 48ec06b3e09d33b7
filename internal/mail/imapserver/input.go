package imapserver

import (
	"bytes"
	"errors"
	"sync"

	"porcupine/internal/mail/imap"
)

const (
	inputSmall  = 256      // most commands
	inputMedium = 16 << 10 // what is borrowed for long lines and literals
	lineEnd     = 2        // CR LF
)

var (
	errLineLong = errors.New("line too long")
	errLineEnd  = errors.New("line does not end with CR LF")
)

// input is the bytes that have come and not been taken: a small buffer of its own, a borrowed one while
// more is there, and a large one, made for the purpose, while a very long line comes in. It is pure but for the pool.
type input struct {
	pool    *sync.Pool // of *[]byte, inputMedium
	lent    *[]byte    // nil: none is borrowed
	large   []byte     // nil: none was made
	r, w    int        // taken up to r, filled up to w; 0 <= r <= w <= len(buffer)
	scanned int        // no LF before it; r <= scanned <= w
	last    int        // where what was given last begins; last <= r
	small   [inputSmall]byte
}

func (in *input) buffer() []byte {
	switch {
	case in.large != nil:
		return in.large
	case in.lent != nil:
		return *in.lent
	}
	return in.small[:]
}

// buffered gives how many bytes have come and not been taken.
func (in *input) buffered() int { return in.w - in.r }

// forget wipes what was given last: it may be a password.
func (in *input) forget() {
	clear(in.buffer()[in.last:in.r])
	in.last = in.r
	if in.r == in.w {
		in.release()
	}
}

// line takes the next line, without its CR LF, of at most lengthMax octets; nil if it is not all
// there. The line is good until the next call. After an error nothing that follows can be understood: the
// connection must close.
func (in *input) line(lengthMax int) ([]byte, error) {
	in.forget()
	b := in.buffer()
	i := bytes.IndexByte(b[in.scanned:in.w], '\n')
	if i < 0 {
		in.scanned = in.w
		if in.buffered() >= lengthMax+lineEnd {
			return nil, errLineLong
		}
		return nil, nil
	}
	end := in.scanned + i
	line := b[in.r:end]
	in.r = end + 1
	in.scanned = in.r
	switch {
	case len(line) == 0 || line[len(line)-1] != '\r':
		return nil, errLineEnd
	case len(line)-1 > lengthMax:
		return nil, errLineLong
	}
	return line[: len(line)-1 : len(line)-1], nil
}

// take takes up to n octets that are there, none if there is nothing. They are good until the next call.
func (in *input) take(n int64) []byte {
	in.forget()
	m := int(min(n, int64(in.buffered())))
	b := in.buffer()[in.r : in.r+m]
	in.r += m
	in.scanned = in.r
	return b
}

// space gives the place to read into, never empty, after line or take gave nothing.
func (in *input) space() []byte {
	if in.r > 0 {
		b := in.buffer()
		copy(b, b[in.r:in.w])
		in.w, in.scanned, in.r, in.last = in.w-in.r, in.scanned-in.r, 0, 0
	}
	switch {
	case in.w < len(in.buffer()):
	case in.lent == nil:
		in.borrow()
	default: // line ends this before it is too large
		larger := make([]byte, min(2*in.w, imap.LineLengthMax+lineEnd))
		copy(larger, in.buffer())
		in.large = larger
	}
	return in.buffer()[in.w:]
}

// borrow makes the buffer large enough for a stream of octets.
func (in *input) borrow() {
	if in.lent != nil {
		return
	}
	in.lent = in.pool.Get().(*[]byte)
	copy(*in.lent, in.small[:in.w])
	clear(in.small[:])
}

// filled says that n bytes were read into space.
func (in *input) filled(n int) { in.w += n }

// release forgets what is buffered and gives borrowed memory back, wiped.
func (in *input) release() {
	if in.lent != nil {
		clear(*in.lent)
		in.pool.Put(in.lent)
		in.lent = nil
	}
	in.large = nil
	in.r, in.w, in.scanned, in.last = 0, 0, 0, 0
}
