package pop3server

import (
	"bytes"
	"errors"
	"sync"

	"porcupine/internal/mail/pop3"
	"porcupine/internal/mail/sasl"
)

const (
	inputSmall       = 512                    // two of the longest command lines
	responseLineMax  = sasl.LineLengthMax + 2 // octets, with CR LF
	lineBufferMax    = responseLineMax        // what a borrowed line buffer holds
	authPrefixLength = len("AUTH ")
)

var (
	errLineLong = errors.New("line too long")
	errBareLF   = errors.New("line does not end with CR LF")
)

// input is the bytes that have come and not been taken: a small buffer of its own, and a borrowed
// large one while a long line of an authentication comes in. It is pure but for the pool.
type input struct {
	pool    *sync.Pool // of *[]byte, lineBufferMax
	big     *[]byte    // nil: small is in use
	r, w    int        // taken up to r, filled up to w; 0 <= r <= w <= len(buffer)
	scanned int        // no LF before it; r <= scanned <= w
	last    int        // where the line begins that next gave last; last <= r
	small   [inputSmall]byte
}

func (in *input) buffer() []byte {
	if in.big != nil {
		return *in.big
	}
	return in.small[:]
}

// buffered gives how many bytes have come and not been taken.
func (in *input) buffered() int { return in.w - in.r }

// next takes the next line, without its CR LF, of at most lengthMax octets with them; nil if it
// is not all there. The line is good until the next call, which wipes it: it may be a password.
// After an error nothing that follows can be understood: the connection must close.
func (in *input) next(lengthMax int) ([]byte, error) {
	clear(in.buffer()[in.last:in.r])
	in.last = in.r
	if in.r == in.w {
		in.release()
	}
	b := in.buffer()
	i := bytes.IndexByte(b[in.scanned:in.w], '\n')
	if i < 0 {
		in.scanned = in.w
		if in.buffered() >= lengthMax {
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
		return nil, errBareLF
	case len(line)+1 > lengthMax:
		return nil, errLineLong
	}
	return line[: len(line)-1 : len(line)-1], nil
}

// isAuth reports whether the line to come is an AUTH command, which may be long.
func (in *input) isAuth() bool {
	b := in.buffer()[in.r:in.w]
	return len(b) >= authPrefixLength && bytes.EqualFold(b[:authPrefixLength], []byte("AUTH "))
}

// lineMax gives the limit of the next line, for next: long lines are for authentication only.
func (in *input) lineMax(loggedIn bool) int {
	if !loggedIn && in.isAuth() {
		return pop3.AuthLengthMax
	}
	return pop3.LineLengthMax
}

// space gives the place to read into, never empty, after next gave nil.
func (in *input) space() []byte {
	if in.r > 0 {
		b := in.buffer()
		copy(b, b[in.r:in.w])
		in.w, in.scanned, in.r, in.last = in.w-in.r, in.scanned-in.r, 0, 0
	}
	if in.big == nil && in.w == inputSmall {
		in.big = in.pool.Get().(*[]byte)
		copy(*in.big, in.small[:])
	}
	return in.buffer()[in.w:]
}

// filled says that n bytes were read into space.
func (in *input) filled(n int) { in.w += n }

// release forgets what is buffered and gives a borrowed buffer back, wiped.
func (in *input) release() {
	if in.big != nil {
		clear((*in.big)[:in.w])
		in.pool.Put(in.big)
		in.big = nil
	}
	in.r, in.w, in.scanned, in.last = 0, 0, 0, 0
}
