package transport

import (
	"errors"
	"fmt"
	"io"
)

// chunkReader reads a body of a known size that comes in frames. One goroutine at a time.
type chunkReader struct {
	size int64
	got  int64           // bytes that have come
	recv func(any) error // the next frame; io.EOF: there is none
	cur  frame           // what rest is part of
	rest []byte          // has come, but is not read yet
	err  error           // the end of it all
}

func (c *chunkReader) Read(b []byte) (int, error) {
	if len(c.rest) == 0 && c.err == nil {
		c.next()
	}
	if len(c.rest) == 0 {
		return 0, c.err
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// WriteTo writes what is left of the body, chunk by chunk as it came.
func (c *chunkReader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if len(c.rest) == 0 && c.err == nil {
			c.next()
		}
		if len(c.rest) == 0 {
			if errors.Is(c.err, io.EOF) {
				return total, nil
			}
			return total, c.err
		}
		n, err := w.Write(c.rest)
		total += int64(n)
		c.rest = c.rest[n:]
		if err != nil {
			return total, err
		}
	}
}

// next takes the next frame, or sets err.
func (c *chunkReader) next() {
	c.free()
	if c.got == c.size {
		c.err = io.EOF
		return
	}
	if err := c.recv(&c.cur); err != nil {
		c.err = bodyErr(c.got, c.size, err)
		return
	}
	n := int64(len(c.cur.body))
	if n == 0 || n > c.size-c.got {
		c.err = fmt.Errorf("part of %d bytes after %d of %d", n, c.got, c.size)
		return
	}
	c.got += n
	c.rest = c.cur.body
}

// free gives the current frame back.
func (c *chunkReader) free() {
	c.rest = nil
	c.cur.free()
}
