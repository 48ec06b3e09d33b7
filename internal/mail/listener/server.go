package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// Server accepts the connections of one service. It is safe for concurrent use.
type Server struct {
	cfg   Config
	tls   *tls.Config // nil: no TLS
	force context.Context
	kill  context.CancelFunc // cancels force: connections end now

	sessions sync.WaitGroup // one for each connection
	crew     *crew          // their goroutines

	mu        sync.Mutex
	closing   bool // no more connections
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
}

// New makes a Server; the error says what of the config is wrong.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	cfg.Gate.addService(cfg.Service)
	s := &Server{
		cfg:       cfg,
		tls:       serverTLS(cfg),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*Conn]struct{}),
		crew:      newCrew(),
	}
	s.force, s.kill = context.WithCancel(context.Background())
	return s, nil
}

// Serve accepts connections from ln until Shutdown or Close, and then returns nil; ln is closed
// on return. When the process has no more file descriptors it slows down and tries again for
// ever; an error that cannot pass is returned.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.addListener(ln) {
		return nil
	}
	defer s.removeListener(ln)
	delay := acceptDelayMin
	for {
		raw, err := ln.Accept()
		if err == nil {
			delay = acceptDelayMin
			s.admit(raw)
			continue
		}
		if s.isClosing() {
			return nil
		}
		if !isPassing(err) {
			return fmt.Errorf("accept %s connections on %v: %w", s.cfg.Service, ln.Addr(), err)
		}
		s.cfg.Logger.Warn("cannot accept connections; trying again", "address", ln.Addr().String(), "delay", delay, "err", err)
		select {
		case <-time.After(delay):
		case <-s.force.Done():
		}
		delay = min(2*delay, acceptDelayMax)
	}
}

// isPassing reports whether an accept error will go away: the process or the system is out of
// descriptors or memory, or the client gave up before it was accepted.
func isPassing(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR, syscall.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// admit passes a new connection through the gate and starts its goroutine, or refuses it.
func (s *Server) admit(raw net.Conn) {
	if s.cfg.HasRoom != nil && !s.cfg.HasRoom() {
		s.refuse(raw, ReasonBusy)
		return
	}
	from := addrOf(raw.RemoteAddr())
	if s.cfg.Admit != nil && !s.cfg.Admit(from) {
		s.refuse(raw, ReasonRate)
		return
	}
	if why, ok := s.cfg.Gate.enter(s.cfg.Service, from); !ok {
		s.refuse(raw, why)
		return
	}
	c := &Conn{server: s, raw: raw, remote: from, opened: time.Now()}
	if !s.addConn(c) {
		s.cfg.Gate.leave(s.cfg.Service, from)
		s.refuse(raw, ReasonShutdown)
		return
	}
	s.cfg.Observer.Opened(s.cfg.Service)
	s.crew.run(c, s.serve)
}

// refuse turns a client away with one line. A fresh socket's send buffer is empty, so the write
// does not wait; the deadline is for what is not a socket.
func (s *Server) refuse(raw net.Conn, why Reason) {
	defer raw.Close()
	s.cfg.Observer.Refused(s.cfg.Service, why)
	s.cfg.Logger.Debug("connection refused", "remote", raw.RemoteAddr().String(), "reason", string(why))
	var line []byte
	switch {
	case s.cfg.ImplicitTLS:
		line = alertInternalError[:]
	case s.cfg.Refusal != nil:
		line = []byte(s.cfg.Refusal(why))
	}
	if len(line) == 0 || raw.SetWriteDeadline(time.Now().Add(refusalWriteTimeout)) != nil {
		return
	}
	// The client is sent away either way; it may be gone already.
	_, _ = raw.Write(line)
}

// serve is the life of one connection.
func (s *Server) serve(c *Conn) {
	defer s.sessions.Done()
	defer s.forget(c)
	defer func() {
		if r := recover(); r != nil {
			s.panicked(c, r)
		}
	}()
	if s.cfg.ImplicitTLS {
		if err := c.StartTLS(s.force); err != nil {
			s.cfg.Logger.Debug("TLS handshake failed", "remote", c.remote, "err", err)
			return
		}
	}
	s.cfg.Handler(s.force, c)
}

// panicked logs a panic that ends one session and no other (attack 40); the connection closes.
func (s *Server) panicked(c *Conn, r any) {
	stack := debug.Stack()
	s.cfg.Observer.Panicked(s.cfg.Service)
	s.cfg.Logger.Error("session panicked; its connection is closed, others go on",
		"remote", c.remote, "panic", fmt.Sprint(r), slog.String("stack", string(stack[:min(len(stack), panicStackMax)])))
}

// forget closes a connection and takes it out of all counts.
func (s *Server) forget(c *Conn) {
	// The session has ended: what its last write or its client did not care to hear is no news.
	_ = c.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.cfg.Gate.leave(s.cfg.Service, c.remote)
	s.cfg.Observer.Closed(s.cfg.Service, time.Since(c.opened))
}

// Shutdown stops accepting, asks every session to end before its next command, and waits for
// them. When ctx ends first, the rest is closed by force, and Shutdown returns ctx's error after
// every session's goroutine has ended.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, c := range s.stop() {
		c.Interrupt()
	}
	done := make(chan struct{})
	go func() {
		s.sessions.Wait()
		close(done)
	}()
	select {
	case <-done:
		s.crew.end()
		s.kill()
		return nil
	case <-ctx.Done():
	}
	n := s.closeAll()
	<-done
	s.crew.end()
	return fmt.Errorf("shut down %s: %d sessions closed by force: %w", s.cfg.Service, n, ctx.Err())
}

// Close stops accepting and closes every connection at once; it waits for their goroutines.
func (s *Server) Close() {
	s.stop()
	s.closeAll()
	s.sessions.Wait()
	s.crew.end()
}

// stop closes the listeners and gives the connections of this moment; no more will come.
func (s *Server) stop() []*Conn {
	s.mu.Lock()
	s.closing = true
	listeners := make([]net.Listener, 0, len(s.listeners))
	for ln := range s.listeners {
		listeners = append(listeners, ln)
	}
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, ln := range listeners {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			s.cfg.Logger.Warn("close listener", "address", ln.Addr().String(), "err", err)
		}
	}
	return conns
}

// closeAll ends every session by force. The raw connections are closed, without TLS courtesy:
// a write that is stuck would make that wait.
func (s *Server) closeAll() int {
	s.kill()
	conns := s.stop()
	for _, c := range conns {
		// An error means that it is closed already.
		_ = c.raw.Close()
	}
	return len(conns)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) addListener(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing {
		s.listeners[ln] = struct{}{}
	}
	return !s.closing
}

func (s *Server) removeListener(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, ln)
}

// addConn registers a connection unless the server is closing. The goroutine is counted under
// the same lock, so that stop sees either none of it or all.
func (s *Server) addConn(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = struct{}{}
	s.sessions.Add(1)
	return true
}

// addrOf gives the IP address of a peer; the zero Addr for what has none.
func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
