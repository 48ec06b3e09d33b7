package imapserver

import (
	"context"
	"errors"
	"net"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/listener"
)

// session is one connection. It is not authenticated while mailbox is nil, authenticated while folder
// is nil, then selected (RFC 9051 §3).
type session struct {
	srv   *Server
	ctx   context.Context
	conn  *listener.Conn
	began time.Time

	// turn has the right to speak for the session: to use everything below. Its reader holds it except while
	// it waits inside IDLE; then a worker may take it.
	turn  chan struct{}
	ended string // why; the loop stops once it is set
	in    input
	read  reader // where input comes from; nil: the connection
	out   listener.Output
	scan  *imap.Scanner // of the command that comes in; nil: none does
	line  time.Time     // when the command that comes in must be there

	after   func()      // what comes after the answer to the present command
	told    mail.ModSeq // the highest that it told of a message
	upload  upload      // the messages that it brought
	enabled enabled
	user    mail.User
	mailbox Mailbox
	folder  *folder // the selected one; nil: none
	idle    idle

	commands, bad, authFailures int // so far
	fetched                     int64
}

// enabled is what the client has asked for with ENABLE, or by using it.
type enabled struct {
	rev2      bool // IMAP4rev2: no RECENT, ESEARCH instead of SEARCH
	utf8      bool // UTF8=ACCEPT
	condstore bool // modification sequences are told with flags (RFC 7162 §3.1)
	qresync   bool // VANISHED instead of EXPUNGE (RFC 7162 §3.2)
}

// reader is what decompresses input.
type reader interface {
	Read(p []byte) (int, error)
}

func newSession(ctx context.Context, srv *Server, c *listener.Conn) *session {
	s := &session{srv: srv, ctx: ctx, conn: c, began: time.Now(), turn: make(chan struct{}, 1)}
	s.in.pool = &srv.lines
	s.out = listener.NewOutput(c, srv.cfg.WriteTimeout, &srv.writers)
	s.turn <- struct{}{}
	return s
}

// run is the session from the greeting to the end.
func (s *session) run() {
	defer s.close()
	s.srv.cfg.Observer.SessionStarted(s.conn.Client())
	s.say(imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodeCapability, Words: s.capabilities()}, Text: "Porcupine IMAP server ready"})
	for s.ended == "" {
		if c, ok := s.command(); ok {
			s.carryOut(c)
		}
	}
	if s.ended != EndedReadError {
		// The client may be gone by now; there is nobody left to tell.
		_ = s.out.Flush()
	}
}

// close gives everything back, after a panic too.
func (s *session) close() {
	s.closeFolder()
	s.closeMailbox()
	s.upload.close()
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
	log("imap session ended", "remote", s.conn.Client().Remote, "user", string(s.user), "why", s.ended,
		"commands", s.commands, "fetched", s.fetched, "duration", took)
}

// closeMailbox gives the user's mail back.
func (s *session) closeMailbox() {
	if s.mailbox == nil {
		return
	}
	if err := s.mailbox.Close(); err != nil {
		s.srv.cfg.Logger.Warn("imap mailbox not closed", "user", string(s.user), "err", err)
	}
	s.mailbox = nil
}

// end stops the session after the present command.
func (s *session) end(why string) {
	if s.ended == "" {
		s.ended = why
	}
}

// bye says why the session ends, and ends it.
func (s *session) bye(why string, code imap.CodeName, text string) {
	if s.ended == "" {
		s.say(imap.Reply{Kind: imap.BYE, Code: imap.Code{Name: code}, Text: text})
		s.end(why)
	}
}

// deadline is when the next command must be there, whole: a client that sends it byte by byte gains
// no time (attack 28).
func (s *session) deadline() time.Time {
	if s.mailbox == nil {
		return s.began.Add(s.srv.cfg.LoginTimeout)
	}
	return time.Now().Add(s.srv.cfg.IdleTimeout)
}

// fill writes the answers so far and reads more; false when the session has ended.
func (s *session) fill(deadline time.Time) bool {
	if s.out.Flush() != nil {
		s.end(EndedGone)
		return false
	}
	if err := s.conn.AwaitInput(time.Until(deadline)); err != nil {
		s.interrupted(err)
		return false
	}
	n, err := s.receive()
	s.conn.Busy()
	return s.received(n, err)
}

// receive reads what comes next into the input buffer.
func (s *session) receive() (int, error) {
	if s.read != nil {
		return s.read.Read(s.in.space())
	}
	return s.conn.Read(s.in.space())
}

// received takes note of what was read; false when the session has ended.
func (s *session) received(n int, err error) bool {
	s.in.filled(n)
	switch {
	case n > 0 || err == nil:
		return true
	case s.conn.Interrupted():
		s.interrupted(listener.ErrInterrupted)
	case isTimeout(err):
		s.bye(EndedTimeout, "", "you have been silent for too long")
	default:
		s.end(EndedGone)
	}
	return false
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// interrupted ends a session that is not to go on.
func (s *session) interrupted(err error) {
	if !errors.Is(err, listener.ErrInterrupted) {
		s.end(EndedGone)
		return
	}
	s.bye(EndedShutdown, imap.CodeUnavailable, "server is shutting down; connect again")
}

// service gives a context for calls for mail that belong together: a large folder is told page by page, and many folders one by
// one. It ends when none of them has got on for ServiceTimeout. The caller calls the function.
func (s *session) service() (context.Context, context.CancelFunc) {
	w := s.watch()
	return backend.WithProgress(w.ctx, w.progress), w.end
}
