package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"porcupine/internal/mail"
)

// ErrInterrupted is returned by AwaitInput, and is the reason of a read's time-out, when the
// session is to say goodbye and end: the server is shutting down, or Interrupt was called.
var ErrInterrupted = errors.New("session interrupted")

// past is a deadline that has always passed.
var past = time.Unix(1, 0)

// Conn is one client's connection: a net.Conn whose TLS layer can be put on under way. Read,
// Write, StartTLS and AwaitInput are for the Handler's goroutine alone, except that another one may
// Write while it is in Read; the other methods are safe for concurrent use.
type Conn struct {
	server *Server
	raw    net.Conn  // the TCP connection
	tls    *tls.Conn // nil while in clear
	remote netip.Addr
	opened time.Time
	// exporter is the TLS connection's channel binding (RFC 9266 §4); empty: it has none.
	exporter string

	mu          sync.Mutex
	idle        bool // in AwaitInput .. Busy: the read may be interrupted
	interrupted bool
}

var _ net.Conn = (*Conn)(nil)

// Client tells who is at the other end, as of now (TLS changes with StartTLS).
func (c *Conn) Client() mail.Client {
	return mail.Client{Service: c.server.cfg.Service, Remote: c.remote, TLS: c.tls != nil, Exporter: c.exporter}
}

// IsTLS reports whether TLS is on.
func (c *Conn) IsTLS() bool { return c.tls != nil }

// CanStartTLS reports whether StartTLS may be offered: a certificate is there and TLS is not on.
func (c *Conn) CanStartTLS() bool { return c.tls == nil && c.server.tls != nil }

// ConnectionState tells about the TLS layer; ok is false in clear.
func (c *Conn) ConnectionState() (state tls.ConnectionState, ok bool) {
	if c.tls == nil {
		return state, false
	}
	return c.tls.ConnectionState(), true
}

// StartTLS puts TLS on, as the server. The caller has written and flushed its go-ahead, and has
// nothing buffered of what the client sent (see the package comment). The handshake waits for a
// slot and has a deadline; on any error the connection is of no more use and must be closed.
func (c *Conn) StartTLS(ctx context.Context) error {
	if !c.CanStartTLS() {
		return fmt.Errorf("start TLS with %v: no certificate, or TLS is on already", c.remote)
	}
	began := time.Now()
	err := c.handshake(ctx)
	c.server.cfg.Observer.Handshake(c.server.cfg.Service, time.Since(began), err)
	if err != nil {
		return fmt.Errorf("TLS handshake with %v: %w", c.remote, err)
	}
	return nil
}

func (c *Conn) handshake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.server.cfg.HandshakeTimeout)
	defer cancel()
	h := &handshakeConn{Conn: c.raw, begin: func() (func(), error) { return c.server.cfg.Gate.beginHandshake(ctx, c.remote) }}
	defer h.finish()
	if err := h.awaitHello(ctx); err != nil {
		return err
	}
	t := tls.Server(h, c.server.tls)
	// A handshake needs a deep stack, and a goroutine's stack stays grown. On a goroutine of its
	// own that memory goes back as soon as the handshake is over, not when the session is.
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("panic: %v", r)
			}
		}()
		done <- t.HandshakeContext(ctx)
	}()
	if err := <-done; err != nil {
		return err
	}
	c.tls = t
	state := t.ConnectionState()
	// TLS 1.2 without extended master secrets has none: the login is then not bound (RFC 9266 §3).
	if binding, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err == nil && state.Version >= tls.VersionTLS13 {
		c.exporter = string(binding)
	}
	return nil
}

// AwaitInput prepares for a read that waits for the client's next command: it sets the read
// deadline to timeout from now and lets the door interrupt the read from here until Busy. It
// gives ErrInterrupted if the session is to end now.
func (c *Conn) AwaitInput(timeout time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupted {
		return ErrInterrupted
	}
	c.idle = true
	return c.raw.SetReadDeadline(time.Now().Add(timeout))
}

// Busy says that input came and a command is being worked on: an interruption waits until the
// next AwaitInput. The read deadline stays as AwaitInput set it.
func (c *Conn) Busy() {
	c.mu.Lock()
	c.idle = false
	c.mu.Unlock()
}

// Interrupt asks the session to end before its next command. A read between AwaitInput and
// Busy fails at once with a time-out.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	if c.idle {
		// An error means that the connection is closed, and then the read has ended anyway.
		_ = c.raw.SetReadDeadline(past)
	}
}

// Interrupted reports whether the session is to end.
func (c *Conn) Interrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupted
}

// EarlyInput reports whether the client has already sent bytes. Asked in clear before the
// greeting, true means a client that does not wait its turn (attack 8). It never blocks; where
// the platform cannot tell, and under TLS, the answer is false.
func (c *Conn) EarlyInput() bool {
	if c.tls != nil {
		return false
	}
	return inputPending(c.raw)
}

// Gone reports, without waiting, that the client has closed its end of the connection, or that it is
// broken, whether or not bytes are left to read. Where the platform cannot tell the answer is false.
func (c *Conn) Gone() bool {
	if g, ok := c.raw.(goner); ok {
		return g.Gone()
	}
	return isGone(c.raw)
}

// goner is a connection that knows itself whether its other end is closed; test connections are.
type goner interface{ Gone() bool }

// layer is the connection to read and write: TLS if it is on.
func (c *Conn) layer() net.Conn {
	if c.tls != nil {
		return c.tls
	}
	return c.raw
}

// Read reads from the client.
func (c *Conn) Read(p []byte) (int, error) { return c.layer().Read(p) }

// Write writes to the client.
func (c *Conn) Write(p []byte) (int, error) { return c.layer().Write(p) }

// Close closes the connection; with TLS on it tries to say so to the client. The Server does it
// when the Handler returns.
func (c *Conn) Close() error { return c.layer().Close() }

// LocalAddr gives this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr gives the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline sets both deadlines. A session that awaits input uses AwaitInput instead.
func (c *Conn) SetDeadline(t time.Time) error { return c.raw.SetDeadline(t) }

// SetReadDeadline sets the read deadline. A session that awaits a command uses AwaitInput.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

// SetWriteDeadline sets the write deadline. Under TLS a write that timed out spoils the
// connection for good.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }
