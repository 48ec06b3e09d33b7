package pop3server

import (
	"bufio"
	"sync"
	"time"

	"porcupine/internal/mail/listener"
)

// output collects answers in a borrowed buffer and writes them, each write with a deadline of its
// own: a client that does not take its answers is let go (attack 28).
type output struct {
	conn    *listener.Conn
	timeout time.Duration
	pool    *sync.Pool    // of *bufio.Writer
	w       *bufio.Writer // nil: nothing to write
	err     error         // of the first write that failed
}

// Write writes to the connection; bufio calls it.
func (o *output) Write(p []byte) (int, error) {
	if err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return 0, err
	}
	return o.conn.Write(p)
}

// buffer gives the buffer, borrowing one if need be. Its write errors are kept for flush.
func (o *output) buffer() *bufio.Writer {
	if o.w == nil {
		o.w = o.pool.Get().(*bufio.Writer)
		o.w.Reset(o)
	}
	return o.w
}

// flush writes what is collected and gives the buffer back. The error, once there, stays.
func (o *output) flush() error {
	if o.w == nil {
		return o.err
	}
	if err := o.w.Flush(); err != nil && o.err == nil {
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

// add appends a piece that was built in the buffer's free space. A write error is kept by the
// buffer and comes out at flush.
func (o *output) add(build func(free []byte) []byte) {
	w := o.buffer()
	_, _ = w.Write(build(w.AvailableBuffer()))
}
