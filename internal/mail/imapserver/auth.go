package imapserver

import (
	"encoding/base64"
	"errors"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/sasl"
)

// mayLogIn gives an answer if this connection must not carry a password (attack 4), and the zero Reply
// otherwise.
func (s *session) mayLogIn() imap.Reply {
	if s.srv.cfg.Auth.Allowed(s.conn.Client()) {
		return imap.Reply{}
	}
	s.bad++
	return no(imap.CodePrivacyRequired, "no login without TLS; use STARTTLS or the TLS port")
}

// login carries out LOGIN (RFC 9051 §6.2.3).
func (s *session) login(c imap.Login) imap.Reply {
	if r := s.mayLogIn(); r.Kind != "" {
		return r
	}
	// The answer may take long on purpose; what was said before must not wait for it.
	if s.out.Flush() != nil {
		s.end(EndedGone)
		return imap.Reply{}
	}
	user, err := s.srv.cfg.Auth.Login(s.ctx, s.conn.Client(), c.User, c.Password)
	return s.loggedIn(sasl.MechanismPassword, user, err)
}

// authenticate carries out AUTHENTICATE (RFC 9051 §6.2.2).
func (s *session) authenticate(c imap.Authenticate) imap.Reply {
	if r := s.mayLogIn(); r.Kind != "" {
		return r
	}
	x, err := s.srv.cfg.Auth.Start(s.conn.Client(), c.Mechanism)
	if err != nil {
		s.bad++
		return no(imap.CodeCannot, "mechanism is not offered")
	}
	challenge, finished, err := x.Next(s.ctx, initial(c.Initial))
	for err == nil && !finished {
		// What has come already was sent before the challenge was seen: an answer to nothing, or commands of
		// a session that is not logged in (attack 8).
		if s.in.buffered() > 0 {
			s.bye(EndedProtocol, "", "AUTHENTICATE must wait for the server")
			return imap.Reply{}
		}
		s.say(imap.Continue{Text: string(challenge)})
		line, ok := s.readLine(sasl.LineLengthMax)
		if !ok {
			return imap.Reply{}
		}
		challenge, finished, err = x.Next(s.ctx, line)
	}
	return s.loggedIn(x.Mechanism(), x.User(), err)
}

// initial writes an initial response the way that package sasl reads it.
func initial(response []byte) []byte {
	switch {
	case response == nil:
		return nil
	case len(response) == 0:
		return []byte("=")
	}
	return base64.StdEncoding.AppendEncode(nil, response)
}

// loggedIn ends an attempt to log in: it opens the user's mail, or answers err.
func (s *session) loggedIn(mechanism string, user mail.User, err error) imap.Reply {
	remote := s.conn.Client().Remote
	if err != nil {
		if !errors.Is(err, sasl.ErrAborted) {
			s.srv.cfg.Logger.Info("imap login failed", "remote", remote, "mechanism", mechanism, "err", err)
		}
		switch {
		case cluster.IsKind(err, cluster.KindDenied):
			s.authFailures++
		case errors.Is(err, sasl.ErrAborted), cluster.IsKind(err, cluster.KindInvalid):
			s.bad++
		}
		return loginFailure(err)
	}
	began := time.Now()
	ctx, cancel := s.service()
	defer cancel()
	mailbox, err := s.srv.cfg.Mailboxes.Open(ctx, user, s.conn.Client())
	s.srv.cfg.Observer.LoggedIn(s.conn.Client(), time.Since(began), err)
	if err != nil {
		s.srv.cfg.Logger.Info("imap mailbox not opened", "remote", remote, "user", string(user), "err", err)
		return no(imap.CodeUnavailable, "your mail cannot be reached now; try again later")
	}
	s.user, s.mailbox = user, mailbox
	s.bad, s.authFailures = 0, 0
	s.srv.cfg.Logger.Debug("imap login", "remote", remote, "user", string(user), "mechanism", mechanism, "tls", s.conn.IsTLS())
	return imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodeCapability, Words: s.capabilities()}, Text: "you are logged in"}
}

// startTLS carries out STARTTLS (RFC 9051 §6.2.1).
func (s *session) startTLS() imap.Reply {
	if !s.conn.CanStartTLS() {
		return s.wrong("STARTTLS is not available")
	}
	// Whatever is here already was sent in clear, perhaps by somebody else (attack 3).
	if s.in.buffered() > 0 {
		s.bye(EndedProtocol, "", "STARTTLS must be the last command of a group")
		return imap.Reply{}
	}
	s.after = func() {
		if s.out.Flush() != nil {
			s.end(EndedGone)
			return
		}
		s.in.release()
		if err := s.conn.StartTLS(s.ctx); err != nil {
			s.srv.cfg.Logger.Debug("imap STARTTLS failed", "remote", s.conn.Client().Remote, "err", err)
			s.end(EndedTLS)
		}
	}
	return imap.Reply{Kind: imap.OK, Text: "begin TLS"}
}
