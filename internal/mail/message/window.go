package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	windowSize = 64 << 10
	// lineProbe is how much of a line is looked at to see whether it is a boundary: the longest line of
	// RFC 5322 §2.1.1, and more. A longer line is none.
	lineProbe = 1024
)

// window goes once through a message, from the first octet to the last. It counts lines, and knows
// what the line end just behind it was.
type window struct {
	r     io.ReaderAt
	size  int64
	store []byte
	rest  []byte // read, and not yet passed; part of store
	pos   int64  // of rest[0] in the message
	feeds int64  // line feeds before pos
	last  byte   // the octet before pos
	end   int64  // octets before pos that are a line end: 0, 1 or 2
}

func newWindow(r io.ReaderAt, size int64) *window {
	return &window{r: r, size: size, store: make([]byte, min(size, windowSize))}
}

// fill makes rest at least n octets long, n <= lineProbe, or as long as the message is.
func (w *window) fill(n int) error {
	if len(w.rest) >= n || w.pos+int64(len(w.rest)) == w.size {
		return nil
	}
	have := copy(w.store, w.rest)
	from := w.pos + int64(have)
	want := int(min(int64(len(w.store)-have), w.size-from))
	got, err := w.r.ReadAt(w.store[have:have+want], from)
	if got < want {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read the message at octet %d of %d: %w", from+int64(got), w.size, err)
	}
	w.rest = w.store[:have+want]
	return nil
}

// pass goes over the next n octets.
func (w *window) pass(n int) {
	if n == 0 {
		return
	}
	gone := w.rest[:n]
	w.feeds += int64(bytes.Count(gone, []byte{'\n'}))
	before := w.last
	if n > 1 {
		before = gone[n-2]
	}
	w.last = gone[n-1]
	switch {
	case w.last != '\n':
		w.end = 0
	case before == '\r':
		w.end = 2
	default:
		w.end = 1
	}
	w.rest = w.rest[n:]
	w.pos += int64(n)
}

// line gives the next line with its end, or the beginning of it if it is longer than what was read.
// It is empty at the end of the message.
func (w *window) line() ([]byte, error) {
	if err := w.fill(lineProbe); err != nil {
		return nil, err
	}
	if i := bytes.IndexByte(w.rest, '\n'); i >= 0 {
		return w.rest[:i+1], nil
	}
	return w.rest, nil
}
