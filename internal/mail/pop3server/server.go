package pop3server

import (
	"context"
	"sync"

	"porcupine/internal/mail/listener"
)

// Sizes of the buffers that sessions borrow.
const (
	copyBufferSize = 32 << 10
)

// Server serves POP3 connections. It is immutable and safe for concurrent use.
type Server struct {
	cfg     Config
	writers listener.Buffers
	copies  sync.Pool // of *[]byte, copyBufferSize
	lines   sync.Pool // of *[]byte, pop3.AuthLengthMax
}

// New makes a Server; the error says what of the config is wrong.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg}
	s.copies.New = func() any { b := make([]byte, copyBufferSize); return &b }
	s.lines.New = func() any { b := make([]byte, lineBufferMax); return &b }
	return s, nil
}

// Serve is a listener.Handler: it speaks POP3 until the session ends.
func (s *Server) Serve(ctx context.Context, c *listener.Conn) {
	newSession(ctx, s, c).run()
}
