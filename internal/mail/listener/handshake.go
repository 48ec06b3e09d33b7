package listener

import (
	"context"
	"fmt"
	"net"
	"time"
)

// recordHeaderSize is how much of the first TLS record is waited for before anything is made for a handshake.
const recordHeaderSize = 5

// handshakeConn is a connection under a TLS handshake, and beneath TLS from then on. The handshake has a slot of the gate while
// it computes, and none while it waits for the client: clients which connect, or begin, and then stay silent keep nobody out
// (attack 30). It belongs to the goroutine of the handshake until that has ended.
type handshakeConn struct {
	net.Conn
	begin func() (end func(), err error) // takes a slot

	first []byte // of the first record, read already
	end   func() // gives the slot back; nil: there is none
	over  bool   // the handshake has ended
}

// awaitHello waits for the first bytes of a client, with nothing made for it yet.
func (h *handshakeConn) awaitHello(ctx context.Context) error {
	deadline, _ := ctx.Deadline() // without one: never
	if err := h.SetReadDeadline(deadline); err != nil {
		return err
	}
	b := make([]byte, recordHeaderSize)
	n, err := h.Conn.Read(b)
	if n == 0 {
		return fmt.Errorf("wait for a client hello: %w", err)
	}
	h.first = b[:n] // an error comes again
	return h.SetReadDeadline(time.Time{})
}

// Read gives the slot back while it waits for the client.
func (h *handshakeConn) Read(p []byte) (n int, err error) {
	if h.over {
		return h.Conn.Read(p)
	}
	if len(h.first) > 0 {
		n = copy(p, h.first)
		h.first = h.first[n:]
	} else {
		h.giveBack()
		if n, err = h.Conn.Read(p); err != nil {
			return n, err
		}
	}
	return n, h.take()
}

func (h *handshakeConn) take() (err error) {
	if h.end == nil {
		h.end, err = h.begin()
	}
	return err
}

func (h *handshakeConn) giveBack() {
	if h.end != nil {
		h.end()
		h.end = nil
	}
}

// finish ends it AFTER the goroutine of the handshake. What it needed is not kept for as long as the session lasts.
func (h *handshakeConn) finish() {
	h.giveBack()
	h.over, h.begin, h.first = true, nil, nil
}
