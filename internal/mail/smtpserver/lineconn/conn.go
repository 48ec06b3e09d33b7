// Package lineconn reads lines and message data from a client's connection, and writes replies.
// Its point is what it does not hold: a connection that waits for a command has a read buffer of
// smallSize bytes and no write buffer; larger ones are borrowed while they are needed.
//
// Replies are gathered and written at once: when the connection is about to wait for the client,
// or when there are more of them than fit the buffer.
package lineconn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"porcupine/internal/mail/smtp"
)

const (
	smallSize  = 512      // read buffer of a connection that waits; the command line of RFC 5321
	mediumSize = 4 << 10  // for longer lines
	largeSize  = 32 << 10 // for message data and AUTH
	outSize    = 4 << 10  // replies that are gathered
	outSlack   = 1 << 10  // room left when they are written: more than any one reply
)

// Errors that end a connection.
var (
	ErrLineLong = errors.New("line too long")
	ErrLineEnd  = errors.New("line end other than CR LF")
)

// Source is the connection below.
type Source interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	// AwaitInput sets the read deadline to that long from now, and permits that the read be
	// interrupted, until Busy is called. It fails if the session is to end.
	AwaitInput(time.Duration) error
	Busy()
}

// Buffers lends buffers to the connections of a server. The zero Buffers is ready.
type Buffers struct {
	medium, large, out sync.Pool // of pointers to arrays
}

// Conn is used by one goroutine.
type Conn struct {
	src          Source
	pool         *Buffers
	writeTimeout time.Duration

	buf    []byte // small[:] or one of the borrowed
	r, w   int    // buf[r:w] has been read and not yet used
	medium *[mediumSize]byte
	large  *[largeSize]byte
	// few says that message data comes in little pieces: who writes slowly need not hold a large buffer.
	few bool

	out    []byte // nil: nothing to write
	lent   *[outSize]byte
	broken error // of a write: the client has lost count, nothing more is written

	small [smallSize]byte
}

// New makes a Conn on src.
func New(src Source, pool *Buffers, writeTimeout time.Duration) *Conn {
	c := &Conn{src: src, pool: pool, writeTimeout: writeTimeout}
	c.buf = c.small[:]
	return c
}

// Close gives the buffers back. It does not close the source.
func (c *Conn) Close() {
	c.r, c.w = 0, 0
	c.shrink()
	c.dropOut()
}

// Buffered gives what was read and not used: the beginning of the next command or data.
func (c *Conn) Buffered() []byte { return c.buf[c.r:c.w] }

// Consume says that n of the Buffered bytes are used.
func (c *Conn) Consume(n int) { c.r += n }

// ReadLine reads a line and gives it without its CR LF; it is valid until the next call. The
// whole line must be there by the deadline, however it dribbles in. Gathered replies are written
// before the Conn waits. A line that is longer than most octets, or that ends or is
// interspersed with a bare CR or LF, is an error; then the Conn is of no more use for reading.
func (c *Conn) ReadLine(deadline time.Time, most int) ([]byte, error) {
	seen := 0
	c.few = false
	for {
		fresh := c.buf[c.r+seen : c.w]
		if i := bytes.IndexByte(fresh, '\n'); i >= 0 {
			line := c.buf[c.r : c.r+seen+i+1]
			c.r += len(line)
			return cutLineEnd(line, most)
		}
		seen += len(fresh)
		if seen >= most {
			return nil, ErrLineLong
		}
		if err := c.Flush(); err != nil {
			return nil, err
		}
		c.prepare(seen)
		if err := c.src.AwaitInput(time.Until(deadline)); err != nil {
			return nil, err
		}
		n, err := c.src.Read(c.buf[c.w:])
		c.src.Busy()
		c.w += n
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

func cutLineEnd(line []byte, most int) ([]byte, error) {
	if len(line) > most {
		return nil, ErrLineLong
	}
	body, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.IndexByte(body, '\r') >= 0 {
		return nil, ErrLineEnd
	}
	return body, nil
}

// prepare makes room for a read behind the held bytes, in the smallest buffer that has some.
func (c *Conn) prepare(held int) {
	switch {
	case held == 0:
		c.r, c.w = 0, 0
		c.shrink()
	case held < len(c.buf):
		copy(c.buf, c.buf[c.r:c.w])
		c.r, c.w = 0, held
	case held < mediumSize:
		c.medium = borrow[[mediumSize]byte](&c.pool.medium)
		c.move(c.medium[:])
	default:
		c.growLarge()
	}
}

// move continues in another buffer, larger than what is held.
func (c *Conn) move(to []byte) {
	n := copy(to, c.buf[c.r:c.w])
	c.buf, c.r, c.w = to, 0, n
}

func (c *Conn) growLarge() {
	if c.large == nil {
		c.large = borrow[[largeSize]byte](&c.pool.large)
		c.move(c.large[:])
		c.drop(&c.medium, nil)
	}
}

// shrink goes back to the small buffer; nothing is held.
func (c *Conn) shrink() {
	c.buf = c.small[:]
	c.drop(&c.medium, &c.large)
}

func (c *Conn) drop(medium **[mediumSize]byte, large **[largeSize]byte) {
	if medium != nil && *medium != nil {
		c.pool.medium.Put(*medium)
		*medium = nil
	}
	if large != nil && *large != nil {
		c.pool.large.Put(*large)
		*large = nil
	}
}

// Fill reads message data: at least one more byte, behind what is Buffered. Gathered replies are
// written first. The read cannot be interrupted by a graceful end.
func (c *Conn) Fill(deadline time.Time) error {
	if err := c.Flush(); err != nil {
		return err
	}
	if c.few && c.r == c.w {
		c.r, c.w = 0, 0
		c.shrink()
	} else {
		c.growLarge()
	}
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w == len(c.buf) && c.r == 0:
		return errors.New("read message data: the buffer is full")
	case c.w == len(c.buf):
		c.move(c.buf)
	}
	if err := c.src.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("set read deadline: %w", err)
	}
	n, err := c.src.Read(c.buf[c.w:])
	c.w += n
	c.few = n < smallSize
	if n > 0 {
		return nil // an error will be there again
	}
	return err
}

// Reply gathers a reply.
func (c *Conn) Reply(r smtp.Reply) error {
	c.takeOut()
	c.out = r.Append(c.out)
	return c.flushFull()
}

// Lines gathers a reply that is written out already, with its line ends.
func (c *Conn) Lines(b []byte) error {
	c.takeOut()
	c.out = append(c.out, b...)
	return c.flushFull()
}

func (c *Conn) takeOut() {
	if c.lent == nil {
		c.lent = borrow[[outSize]byte](&c.pool.out)
		c.out = c.lent[:0]
	}
}

func (c *Conn) flushFull() error {
	if len(c.out) > outSize-outSlack {
		return c.Flush()
	}
	return nil
}

// Flush writes the gathered replies, in one write, within the write timeout. After a failed
// write it gives the same error again and writes no more.
func (c *Conn) Flush() error {
	if len(c.out) == 0 || c.broken != nil {
		c.dropOut()
		return c.broken
	}
	defer c.dropOut()
	if err := c.src.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	_, c.broken = c.src.Write(c.out)
	return c.broken
}

func (c *Conn) dropOut() {
	if c.lent != nil {
		c.pool.out.Put(c.lent)
		c.lent, c.out = nil, nil
	}
}

// Linger reads and forgets what the client still sends, until it closes, the deadline passes or
// most bytes came. A connection that is closed with unread bytes is reset, and the client might
// lose the last reply with it.
func (c *Conn) Linger(deadline time.Time, most int64) {
	if c.src.SetReadDeadline(deadline) != nil {
		return
	}
	c.r, c.w = 0, 0
	c.growLarge()
	for most > 0 {
		n, err := c.src.Read(c.buf)
		if err != nil {
			return
		}
		most -= int64(n)
	}
}

// borrow takes an array from a pool, or makes one.
func borrow[T any](p *sync.Pool) *T {
	if v, ok := p.Get().(*T); ok {
		return v
	}
	return new(T)
}
