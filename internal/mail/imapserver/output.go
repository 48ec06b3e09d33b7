package imapserver

import (
	"bufio"
	"io"
	"sync"
	"time"

	"porcupine/internal/mail/listener"
)

// output collects answers in a borrowed buffer and writes them, each write with a deadline of its
// own: a client that does not take its answers is let go (attack 28). It belongs to who has the session's
// turn.
type output struct {
	conn    *listener.Conn
	timeout time.Duration
	pool    *sync.Pool    // of *bufio.Writer
	w       *bufio.Writer // nil: nothing to write
	// layer compresses what is written (RFC 4978); nil: nothing does.
	layer layer
	err   error // of the first write that failed
	total int64 // octets written
}

// layer is a writer that holds back octets until it is flushed.
type layer interface {
	io.Writer
	Flush() error
}

// Write writes to the connection; the layer, or bufio, calls it.
func (o *output) Write(p []byte) (int, error) {
	if err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return 0, err
	}
	n, err := o.conn.Write(p)
	o.total += int64(n)
	return n, err
}

// buffer gives the buffer, borrowing one if need be. Its write errors are kept for flush.
func (o *output) buffer() *bufio.Writer {
	if o.w == nil {
		o.w = o.pool.Get().(*bufio.Writer)
		if o.layer != nil {
			o.w.Reset(o.layer)
		} else {
			o.w.Reset(o)
		}
	}
	return o.w
}

// flush writes what is collected and gives the buffer back. The error, once there, stays.
func (o *output) flush() error {
	if o.w == nil {
		return o.err
	}
	err := o.w.Flush()
	if err == nil && o.layer != nil {
		err = o.layer.Flush()
	}
	if err != nil && o.err == nil {
		o.err = err
	}
	o.drop()
	return o.err
}

// drop forgets what is collected and gives the buffer back.
func (o *output) drop() {
	if o.w == nil {
		return
	}
	o.w.Reset(nil)
	o.pool.Put(o.w)
	o.w = nil
}

// failed reports whether writing has failed: nobody hears what is said.
func (o *output) failed() bool {
	if o.w != nil && o.err == nil {
		// A bufio.Writer keeps its error and gives it for an empty write too.
		_, o.err = o.w.Write(nil)
	}
	return o.err != nil
}
