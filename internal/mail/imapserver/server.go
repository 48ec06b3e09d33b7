package imapserver

import (
	"context"
	"sync"

	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/listener"
)

// Sizes of the buffers that sessions borrow.
const (
	copyBufferSize = 32 << 10
)

// Server serves IMAP connections. It is safe for concurrent use.
type Server struct {
	cfg      Config
	writers  listener.Buffers
	copies   sync.Pool // of *[]byte, copyBufferSize
	lines    sync.Pool // of *[]byte, inputMedium
	encoders sync.Pool // of *imap.Encoder
	scanners sync.Pool // of *imap.Scanner, reset
	workers  workers
}

// New makes a Server; the error says what of the config is wrong. Close ends it.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg}
	s.copies.New = func() any { b := make([]byte, copyBufferSize); return &b }
	s.lines.New = func() any { b := make([]byte, inputMedium); return &b }
	s.encoders.New = func() any { return new(imap.Encoder) }
	s.scanners.New = func() any { return imap.NewScanner(imap.Limits{}) }
	s.workers.most = cfg.Workers
	return s, nil
}

// Serve is a listener.Handler: it speaks IMAP until the session ends.
func (s *Server) Serve(ctx context.Context, c *listener.Conn) {
	newSession(ctx, s, c).run()
}

// scanner borrows a scanner for the next command.
func (s *Server) scanner(loggedIn bool) *imap.Scanner {
	limits := imap.UnauthLimits()
	if loggedIn {
		limits = imap.Limits{}
	}
	sc := s.scanners.Get().(*imap.Scanner)
	sc.SetLimits(limits)
	return sc
}

// Close waits for the workers. It is called AFTER the listener's Shutdown or Close, when all sessions
// have ended.
func (s *Server) Close() { s.workers.wait() }
