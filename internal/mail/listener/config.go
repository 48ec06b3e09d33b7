package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// Defaults of Config. A zero field means the default, never "no limit" (attack 26).
const (
	HandshakeTimeoutDefault = 15 * time.Second
	refusalWriteTimeout     = 100 * time.Millisecond
	acceptDelayMin          = 5 * time.Millisecond
	acceptDelayMax          = time.Second
	panicStackMax           = 8 << 10 // bytes of a panic's stack that are logged
)

// Handler serves one connection and returns when the session is over; the Server then closes
// the connection. ctx is cancelled when the connection is to end by force (Server.Close, or the
// end of Shutdown's patience), not when a graceful Shutdown begins: see Conn.AwaitInput.
type Handler func(ctx context.Context, c *Conn)

// Reason says why a connection was refused at the door.
type Reason string

const (
	ReasonTotal    Reason = "too many connections"
	ReasonAddress  Reason = "too many connections from your network"
	ReasonRate     Reason = "connecting too fast"
	ReasonShutdown Reason = "shutting down"
	ReasonBusy     Reason = "too busy"
)

// Observer counts what happens at the door. Its methods are called from many goroutines and
// must not block.
type Observer interface {
	// Opened: a connection passed the gate.
	Opened(service string)
	// Refused: a connection was turned away.
	Refused(service string, why Reason)
	// Closed: a connection that had been Opened is gone, after that long.
	Closed(service string, lasted time.Duration)
	// Handshake: a TLS handshake ended; err is nil if it succeeded.
	Handshake(service string, took time.Duration, err error)
	// Panicked: a handler panicked; only its connection was lost.
	Panicked(service string)
}

// Config describes the door of one service. Handler and Service are required.
type Config struct {
	// Service names the service in logs, in mail.Client and to the Observer: "smtp", "lmtp",
	// "submission", "pop3".
	Service string
	Handler Handler

	// Certificate picks the server's certificate for a client hello; it is called from many
	// goroutines. Nil: no TLS on this listener, StartTLS fails.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ALPN is the one application protocol of this service (IANA names: "pop3", "imap"; "smtp"
	// by analogy). Required with Certificate. A client that offers no ALPN at all is welcome.
	ALPN string
	// ImplicitTLS starts TLS before the first byte of the service (RFC 8314 §3).
	ImplicitTLS bool
	// HandshakeTimeout bounds a TLS handshake, waiting for a handshake slot included.
	HandshakeTimeout time.Duration

	// Gate bounds connections and handshakes. Nil: a gate of its own with default limits.
	// Servers may share one.
	Gate *Gate
	// Refusal makes the one line, with its line end, that is written to a client turned away,
	// for example "421 4.3.2 too many connections\r\n". It is written before any TLS, and not
	// at all to an ImplicitTLS client, which gets a TLS alert. Nil: no line.
	Refusal func(Reason) string
	// Admit, if not nil, is asked for every connection after the gate: the hook for rate
	// limits. It is called from the accept loop and must not block.
	Admit func(netip.Addr) bool

	// HasRoom, if not nil, is asked for every connection first of all: false when the service has more
	// to do than it can. It is called from the accept loop and must not block.
	HasRoom func() bool

	Logger   *slog.Logger // nil: no logs
	Observer Observer     // nil: nothing is counted
}

// withDefaults checks the config and fills what was left zero.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Service == "":
		return c, errors.New("listener config: Service is empty; name the service")
	case c.Handler == nil:
		return c, fmt.Errorf("listener config %s: Handler is nil", c.Service)
	case c.ImplicitTLS && c.Certificate == nil:
		return c, fmt.Errorf("listener config %s: ImplicitTLS needs a Certificate", c.Service)
	case c.Certificate != nil && c.ALPN == "":
		return c, fmt.Errorf("listener config %s: TLS needs the service's ALPN name", c.Service)
	case c.HandshakeTimeout < 0:
		return c, fmt.Errorf("listener config %s: HandshakeTimeout %v is negative", c.Service, c.HandshakeTimeout)
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = HandshakeTimeoutDefault
	}
	if c.Gate == nil {
		g, err := NewGate(GateConfig{})
		if err != nil {
			return c, err
		}
		c.Gate = g
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = c.Logger.With("service", c.Service)
	if c.Observer == nil {
		c.Observer = noObserver{}
	}
	return c, nil
}

type noObserver struct{}

func (noObserver) Opened(string)                          {}
func (noObserver) Refused(string, Reason)                 {}
func (noObserver) Closed(string, time.Duration)           {}
func (noObserver) Handshake(string, time.Duration, error) {}
func (noObserver) Panicked(string)                        {}
