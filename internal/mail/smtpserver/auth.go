package smtpserver

import (
	"context"
	"errors"
	"log/slog"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtp"
)

// offersAuth reports whether the client may log in on its connection as it is.
func (c *session) offersAuth() bool {
	return c.server.cfg.Role == Submission && c.user == "" && c.server.cfg.Auth.Allowed(c.client)
}

// auth logs a user in (RFC 4954).
func (c *session) auth(ctx context.Context, arg string) {
	switch {
	case c.server.cfg.Role != Submission:
		c.bad(replyNotOffered)
		return
	case c.hello == "":
		c.bad(replyHelloFirst)
		return
	case c.user != "":
		c.bad(replyAuthAgain)
		return
	case c.tx.open:
		c.bad(replyAuthInMail)
		return
	case !c.offersAuth():
		c.bad(replyTLSNeeded)
		return
	}
	mechanism, initial, hasInitial, err := smtp.ParseAuth(arg)
	if err != nil {
		c.badSyntax(err)
		return
	}
	exchange, err := c.server.cfg.Auth.Start(c.client, mechanism)
	if err != nil {
		c.bad(replyMechanism)
		return
	}
	var response []byte
	if hasInitial {
		response = []byte(initial)
	}
	c.exchange(ctx, exchange, response)
}

// exchange goes back and forth until the mechanism has decided.
func (c *session) exchange(ctx context.Context, x *sasl.Exchange, response []byte) {
	for {
		// The answer may take long on purpose; what was said before must not wait for it.
		if c.noteWrite(c.in.Flush()); c.stats.End != "" {
			return
		}
		challenge, done, err := x.Next(ctx, response)
		switch {
		case err != nil:
			c.authFailed(err)
			return
		case done:
			c.user = x.User()
			c.log(slog.LevelInfo, "smtp login", slog.String("user", string(c.user)), slog.String("mechanism", x.Mechanism()))
			c.say(replyLoggedIn)
			return
		}
		c.say(smtp.Reply("334 " + string(challenge)))
		if response, err = c.in.ReadLine(c.commandDeadline(), smtp.AuthLineMax); err != nil {
			c.readFailed(err)
			return
		}
		if len(c.in.Buffered()) > 0 {
			c.refuse(replySync, endProtocol)
			return
		}
	}
}

// authFailed answers a failed login. Guesses are counted; what is no verdict on the password is
// not held against the client.
func (c *session) authFailed(err error) {
	reply := replyAuthLater
	switch {
	case errors.Is(err, sasl.ErrAborted):
		reply = replyAuthAborted
	case cluster.IsKind(err, cluster.KindInvalid):
		reply = replyAuthSyntax
	case cluster.IsKind(err, cluster.KindDenied):
		reply = replyAuthWrong
	}
	c.log(slog.LevelInfo, "smtp login failed", slog.Any("err", err))
	c.say(reply)
	if reply == replyAuthLater {
		return
	}
	if c.authFailures++; c.authFailures >= c.limits.AuthFailuresMax {
		c.refuse(replyTooBad, endLimit)
	}
}
