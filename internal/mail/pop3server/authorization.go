package pop3server

import (
	"context"
	"errors"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/pop3"
	"porcupine/internal/mail/sasl"
)

// authorization carries out a command before the login; it reports whether it was answered
// with +OK.
func (s *session) authorization(c pop3.Command) bool {
	name := s.name
	s.name = "" // PASS is valid directly after USER only (RFC 1939 §7)
	switch c.Verb {
	case pop3.User:
		if !s.mayLogIn() {
			return false
		}
		// Every name is welcome here: the answer must not tell who exists (attack 10).
		s.name = string(c.Text)
		return s.ok("send PASS")
	case pop3.Pass:
		if name == "" {
			return s.badCommand("send USER first")
		}
		user, err := s.srv.cfg.Auth.Login(s.ctx, s.conn.Client(), name, string(c.Text))
		return s.loggedIn(sasl.MechanismPassword, user, err)
	case pop3.Auth:
		return s.auth(c)
	case pop3.Capa:
		return s.capa()
	case pop3.Stls:
		return s.stls()
	case pop3.Quit:
		s.end(EndedQuit)
		return s.ok("bye")
	}
	return s.badCommand(textNotHere)
}

// mayLogIn answers and gives false if this connection must not carry a password (attack 4).
func (s *session) mayLogIn() bool {
	if s.srv.cfg.Auth.Allowed(s.conn.Client()) {
		return true
	}
	return s.badCommand("no login without TLS; use STLS or the TLS port")
}

// auth carries out AUTH (RFC 5034).
func (s *session) auth(c pop3.Command) bool {
	if !s.mayLogIn() {
		return false
	}
	if len(c.Text) == 0 {
		return s.badCommand("AUTH needs a mechanism; see CAPA")
	}
	// What follows AUTH is an answer to a challenge that the client has not seen, or commands of
	// a session that is not yet logged in (attack 8).
	if s.in.buffered() > 0 {
		s.end(EndedProtocol)
		return s.err(pop3.NoCode, "AUTH must be the last command of a group")
	}
	x, err := s.srv.cfg.Auth.Start(s.conn.Client(), string(c.Text))
	if err != nil {
		return s.badCommand("mechanism is not offered")
	}
	challenge, done, err := x.Next(s.ctx, c.Initial)
	for err == nil && !done {
		s.out.Add(func(b []byte) []byte { return pop3.AppendChallenge(b, challenge) })
		line := s.readLine(func(bool) int { return responseLineMax })
		if line == nil {
			return false
		}
		challenge, done, err = x.Next(s.ctx, line)
	}
	return s.loggedIn(x.Mechanism(), x.User(), err)
}

// loggedIn ends an attempt to log in: it opens the user's mailbox, or answers err.
func (s *session) loggedIn(mechanism string, user mail.User, err error) bool {
	remote := s.conn.Client().Remote
	if err != nil {
		if !errors.Is(err, sasl.ErrAborted) {
			s.srv.cfg.Logger.Info("pop3 login failed", "remote", remote, "mechanism", mechanism, "err", err)
		}
		switch {
		case cluster.IsKind(err, cluster.KindDenied):
			s.authFailures++
		case errors.Is(err, sasl.ErrAborted), cluster.IsKind(err, cluster.KindInvalid):
			s.bad++
		}
		return s.err(loginReply(err))
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(s.ctx, s.srv.cfg.ServiceTimeout)
	defer cancel()
	drop, err := s.srv.cfg.Maildrops.Open(ctx, user, s.conn.Client())
	s.srv.cfg.Observer.LoggedIn(s.conn.Client(), time.Since(began), err)
	if err != nil {
		s.srv.cfg.Logger.Info("pop3 mailbox not opened", "remote", remote, "user", string(user), "err", err)
		return s.err(openReply(err))
	}
	s.user, s.view = user, newView(drop)
	s.watch(drop)
	s.srv.cfg.Logger.Debug("pop3 login", "remote", remote, "user", string(user), "mechanism", mechanism, "tls", s.conn.IsTLS())
	return s.ok("mailbox open")
}

// watch interrupts the session when the mailbox's lock is lost.
func (s *session) watch(drop Maildrop) {
	s.unwatch, s.watched = make(chan struct{}), make(chan struct{})
	conn, unwatch, watched := s.conn, s.unwatch, s.watched
	go func() {
		defer close(watched)
		select {
		case <-drop.Lost():
			conn.Interrupt()
		case <-unwatch:
		}
	}()
}

// stls carries out STLS (RFC 2595 §4).
func (s *session) stls() bool {
	if !s.conn.CanStartTLS() {
		return s.badCommand("STLS is not available")
	}
	// Whatever is here already was sent in clear, perhaps by somebody else (attack 3).
	if s.in.buffered() > 0 {
		s.end(EndedProtocol)
		return s.err(pop3.NoCode, "STLS must be the last command of a group")
	}
	s.ok("begin TLS")
	if s.out.Flush() != nil {
		s.end(EndedGone)
		return false
	}
	if err := s.conn.StartTLS(s.ctx); err != nil {
		s.srv.cfg.Logger.Debug("pop3 STLS failed", "remote", s.conn.Client().Remote, "err", err)
		s.end(EndedTLS)
		return false
	}
	return true
}

// capa lists what is offered, as of now (RFC 2449 §5, §6).
func (s *session) capa() bool {
	lines := []string{"TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER"}
	if mechanisms := s.srv.cfg.Auth.Mechanisms(s.conn.Client()); len(mechanisms) > 0 {
		lines = append(lines, "USER", "SASL "+strings.Join(mechanisms, " "))
	}
	if s.view == nil && s.conn.CanStartTLS() {
		lines = append(lines, "STLS")
	}
	lines = append(lines, "IMPLEMENTATION Porcupine")
	s.ok("capabilities follow")
	s.out.Add(func(b []byte) []byte {
		for _, l := range lines {
			b = append(b, l...)
			b = append(b, '\r', '\n')
		}
		return append(b, pop3.Terminator...)
	})
	return true
}
