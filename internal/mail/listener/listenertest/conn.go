// Package listenertest is a network in memory for the tests of front ends: connections that
// buffer like sockets, have deadlines, and work with testing/synctest, where real sockets and
// the unbuffered net.Pipe do not.
package listenertest

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// BufferMax is how many bytes one direction holds before a write waits, as a socket's buffers do.
const BufferMax = 64 << 10

// Pipe gives the two ends of a connection. The addresses are what each end calls itself.
func Pipe(client, server netip.AddrPort) (c, s *Conn) {
	up, down := newHalf(), newHalf()
	c = &Conn{in: down, out: up, local: net.TCPAddrFromAddrPort(client), remote: net.TCPAddrFromAddrPort(server)}
	s = &Conn{in: up, out: down, local: c.remote, remote: c.local}
	return c, s
}

// Conn is one end. It is safe for concurrent use, like any net.Conn.
type Conn struct {
	in, out       *half
	local, remote net.Addr
	writes        atomic.Int64
}

var _ net.Conn = (*Conn)(nil)

// Read reads what the other end wrote.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write writes to the other end.
func (c *Conn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.out.write(p)
}

// Writes counts the calls of Write on this end.
func (c *Conn) Writes() int { return int(c.writes.Load()) }

// InputPending reports whether a Read would give bytes now.
func (c *Conn) InputPending() bool { return c.in.pending() }

// Gone reports whether the other end will send no more.
func (c *Conn) Gone() bool { return c.in.isEnded() }

// Close closes both directions: the other end reads what is there and then EOF, and cannot write.
func (c *Conn) Close() error {
	c.in.close(true)
	c.out.close(false)
	return nil
}

// CloseWrite ends one direction, like shutdown(2).
func (c *Conn) CloseWrite() error {
	c.out.close(false)
	return nil
}

// LocalAddr gives this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr gives the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

// SetReadDeadline sets the deadline of reads, the waiting ones included.
func (c *Conn) SetReadDeadline(t time.Time) error { c.in.setReadDeadline(t); return nil }

// SetWriteDeadline sets the deadline of writes, the waiting ones included.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.out.setWriteDeadline(t); return nil }

// half is one direction.
type half struct {
	mu            sync.Mutex
	changed       chan struct{} // closed and made anew at every change
	data          []byte
	ended         bool // the writer is done
	broken        bool // the reader is gone
	reset         bool // the writer has been told so
	readDeadline  time.Time
	writeDeadline time.Time
}

func newHalf() *half { return &half{changed: make(chan struct{})} }

func (h *half) changedLocked() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *half) read(p []byte) (int, error) {
	for {
		h.mu.Lock()
		changed, deadline := h.changed, h.readDeadline
		switch {
		case h.broken:
			h.mu.Unlock()
			return 0, net.ErrClosed
		case expired(deadline):
			h.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(h.data) > 0:
			n := copy(p, h.data)
			h.data = h.data[n:]
			h.changedLocked()
			h.mu.Unlock()
			return n, nil
		case h.ended:
			h.mu.Unlock()
			return 0, io.EOF
		}
		h.mu.Unlock()
		wait(changed, deadline)
	}
}

func (h *half) write(p []byte) (n int, err error) {
	for {
		h.mu.Lock()
		changed, deadline := h.changed, h.writeDeadline
		switch {
		case h.ended:
			h.mu.Unlock()
			return n, net.ErrClosed
		case h.broken && h.reset:
			h.mu.Unlock()
			return n, io.ErrClosedPipe
		case h.broken: // as with TCP, the first write into the void succeeds
			h.reset = true
			h.mu.Unlock()
			return len(p), nil
		case expired(deadline):
			h.mu.Unlock()
			return n, os.ErrDeadlineExceeded
		}
		if free := min(BufferMax-len(h.data), len(p)-n); free > 0 {
			h.data = append(h.data, p[n:n+free]...)
			n += free
			h.changedLocked()
		}
		h.mu.Unlock()
		if n == len(p) {
			return n, nil
		}
		wait(changed, deadline)
	}
}

func (h *half) pending() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.data) > 0
}

func (h *half) isEnded() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ended
}

func (h *half) close(byReader bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if byReader {
		h.broken = true
	} else {
		h.ended = true
	}
	h.changedLocked()
}

func (h *half) setReadDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.readDeadline = t
	h.changedLocked()
}

func (h *half) setWriteDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writeDeadline = t
	h.changedLocked()
}

func expired(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

// wait waits for a change or the deadline.
func wait(changed <-chan struct{}, deadline time.Time) {
	if deadline.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}
