package listener

import (
	"bufio"
	"io"
	"net"
	"sync"
	"time"
)

// outputSize is the size of an Output's buffer: the payload of one TLS record.
const outputSize = 16 << 10

// Buffers are what the sessions of a front end collect answers in. A session has one only while it has something to say: most of
// the time it waits. The zero value is ready.
type Buffers struct{ pool sync.Pool } // of *bufio.Writer, outputSize

func (b *Buffers) get() *bufio.Writer {
	if w, ok := b.pool.Get().(*bufio.Writer); ok {
		return w
	}
	return bufio.NewWriterSize(nil, outputSize)
}

// Layer is a writer between an Output's buffer and its connection, which holds back octets until it is flushed: compression.
type Layer interface {
	io.Writer
	Flush() error
}

// Output collects a session's answers in a borrowed buffer and writes them, each write with a deadline of its own: a client that
// does not take its answers is let go (attack 28). It belongs to one goroutine at a time.
type Output struct {
	conn    net.Conn
	timeout time.Duration
	buffers *Buffers
	w       *bufio.Writer // nil: nothing to write
	layer   Layer         // nil: there is none
	err     error         // of the first write that failed
}

// NewOutput makes the output of a connection. The client must take outputSize octets within the timeout.
func NewOutput(c net.Conn, timeout time.Duration, b *Buffers) Output {
	return Output{conn: c, timeout: timeout, buffers: b}
}

// SetLayer puts a layer between buffer and connection. Precondition: nothing is collected.
func (o *Output) SetLayer(l Layer) { o.layer = l }

// Write writes to the connection at once; the layer, or the buffer, calls it.
func (o *Output) Write(p []byte) (int, error) {
	if err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
		return 0, err
	}
	return o.conn.Write(p)
}

// Buffer gives the buffer, borrowing one if need be; valid until Flush or Drop. It keeps its write errors for Flush.
func (o *Output) Buffer() *bufio.Writer {
	if o.w == nil {
		o.w = o.buffers.get()
		if o.layer != nil {
			o.w.Reset(o.layer)
		} else {
			o.w.Reset(o)
		}
	}
	return o.w
}

// Add appends a piece that is built in the buffer's free space. An error comes out at Flush.
func (o *Output) Add(build func(free []byte) []byte) {
	w := o.Buffer()
	_, _ = w.Write(build(w.AvailableBuffer()))
}

// Flush writes what is collected and gives the buffer back. An error, once there, stays.
func (o *Output) Flush() error {
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
	o.Drop()
	return o.err
}

// Drop forgets what is collected and gives the buffer back.
func (o *Output) Drop() {
	if o.w == nil {
		return
	}
	o.w.Reset(nil)
	o.buffers.pool.Put(o.w)
	o.w = nil
}

// Failed reports whether writing has failed: nobody hears what is said.
func (o *Output) Failed() bool {
	if o.w != nil && o.err == nil {
		// A bufio.Writer keeps its error and gives it for an empty write too.
		_, o.err = o.w.Write(nil)
	}
	return o.err != nil
}
