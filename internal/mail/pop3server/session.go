package pop3server

import (
	"context"
	"errors"
	"net"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/listener"
	"porcupine/internal/mail/pop3"
)

// session is one connection. It is in the AUTHORIZATION state while view is nil, then in the
// TRANSACTION state; the UPDATE state is quit (RFC 1939 §3).
type session struct {
	srv   *Server
	ctx   context.Context
	conn  *listener.Conn
	began time.Time
	ended string // why; the loop stops once it is set

	in  input
	out listener.Output
	dot pop3.DotWriter

	name string // of USER, waiting for PASS; empty: none
	user mail.User
	view *view
	// unwatch ends the goroutine that watches for the loss of the lock; watched is closed when
	// it has ended.
	unwatch, watched chan struct{}

	commands, bad, authFailures int // so far
	retrieved                   int // messages
}

func newSession(ctx context.Context, srv *Server, c *listener.Conn) *session {
	s := &session{srv: srv, ctx: ctx, conn: c, began: time.Now()}
	s.in.pool = &srv.lines
	s.out = listener.NewOutput(c, srv.cfg.WriteTimeout, &srv.writers)
	return s
}

// run is the session from the greeting to the end.
func (s *session) run() {
	defer s.close()
	s.srv.cfg.Observer.SessionStarted(s.conn.Client())
	// No <...> in the greeting: that would offer APOP (RFC 1939 §7).
	s.ok("Porcupine POP3 server ready")
	for s.ended == "" {
		if line := s.readLine(s.in.lineMax); line != nil {
			s.command(line)
		}
	}
	if s.ended != EndedReadError {
		// The client may be gone by now; there is nobody left to tell.
		_ = s.out.Flush()
	}
}

// close gives everything back, after a panic too.
func (s *session) close() {
	s.closeView()
	s.out.Drop()
	s.in.release()
	if s.ended == "" {
		s.ended = EndedPanic
	}
	took := time.Since(s.began)
	s.srv.cfg.Observer.SessionEnded(s.conn.Client(), took, s.ended)
	log := s.srv.cfg.Logger.Debug
	if s.user != "" {
		log = s.srv.cfg.Logger.Info
	}
	log("pop3 session ended", "remote", s.conn.Client().Remote, "user", string(s.user), "why", s.ended,
		"retrieved", s.retrieved, "duration", took)
}

// closeView gives the mailbox back and ends its watcher.
func (s *session) closeView() {
	if s.view == nil {
		return
	}
	close(s.unwatch)
	<-s.watched
	s.view.drop.Close()
	s.view = nil
}

// end stops the session after the present command.
func (s *session) end(why string) {
	if s.ended == "" {
		s.ended = why
	}
}

// readLine waits for a line. It gives nil when the session has ended.
func (s *session) readLine(lineMax func(loggedIn bool) int) []byte {
	var deadline time.Time
	for {
		line, err := s.in.next(lineMax(s.view != nil))
		switch {
		case err != nil:
			s.err(pop3.NoCode, err.Error())
			s.end(EndedProtocol)
			return nil
		case line != nil:
			return line
		}
		now := time.Now()
		if deadline.IsZero() {
			deadline = s.deadline(now)
		}
		if !s.fill(deadline.Sub(now)) {
			return nil
		}
	}
}

// deadline is when the next line must be there, whole: a client that sends it byte by byte gains
// no time (attack 28).
func (s *session) deadline(now time.Time) time.Time {
	if s.view == nil {
		return s.began.Add(s.srv.cfg.LoginTimeout)
	}
	return now.Add(s.srv.cfg.IdleTimeout)
}

// fill writes the answers so far and reads more; false when the session has ended.
func (s *session) fill(timeout time.Duration) bool {
	if s.out.Flush() != nil {
		s.end(EndedGone)
		return false
	}
	if err := s.conn.AwaitInput(timeout); err != nil {
		s.interrupted(err)
		return false
	}
	n, err := s.conn.Read(s.in.space())
	s.conn.Busy()
	s.in.filled(n)
	var ne net.Error
	switch {
	case n > 0 || err == nil:
		return true
	case s.conn.Interrupted():
		s.interrupted(listener.ErrInterrupted)
	case errors.As(err, &ne) && ne.Timeout():
		s.end(EndedTimeout) // without a word (RFC 1939 §3)
	default:
		s.end(EndedGone)
	}
	return false
}

// interrupted ends a session that is not to go on.
func (s *session) interrupted(err error) {
	switch {
	case !errors.Is(err, listener.ErrInterrupted):
		s.end(EndedGone)
	case s.view != nil && s.view.isLost():
		s.err(pop3.SysTemp, textLost)
		s.end(EndedLockLost)
	default:
		s.err(pop3.SysTemp, "server is shutting down; log in again")
		s.end(EndedShutdown)
	}
}

// command carries out one command line.
func (s *session) command(line []byte) {
	began := time.Now()
	c, err := pop3.Parse(line)
	ok := false
	switch {
	case c.Verb == pop3.HTTP: // ALPACA (attack 5): a browser sent here by somebody else
		s.err(pop3.NoCode, "this is a POP3 server")
		s.end(EndedProtocol)
	case err != nil:
		s.badCommand(err.Error())
	case s.view == nil:
		ok = s.authorization(c)
	default:
		ok = s.transaction(c)
	}
	s.srv.cfg.Observer.Command(c.Verb, ok, time.Since(began))
	s.commands++
	if s.bad >= s.srv.cfg.BadCommandsMax || s.authFailures >= s.srv.cfg.AuthFailuresMax ||
		s.view == nil && s.commands >= s.srv.cfg.LoginCommandsMax {
		s.end(EndedAbuse)
	}
}

// ok answers with one positive line; it gives true.
func (s *session) ok(text string) bool {
	s.out.Add(func(b []byte) []byte { return pop3.AppendOK(b, text) })
	return true
}

// err answers with one negative line; it gives false.
func (s *session) err(code pop3.Code, text string) bool {
	s.out.Add(func(b []byte) []byte { return pop3.AppendErr(b, code, text) })
	return false
}

// badCommand answers a command that is not understood or does not fit the state, and counts it.
func (s *session) badCommand(text string) bool {
	s.bad++
	return s.err(pop3.NoCode, text)
}
