package smtpserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/smtp"
	"porcupine/internal/mail/smtpserver/lineconn"
)

// lingerBytesMax is how much of a refused client's data is read and thrown away so that it can
// read why.
const lingerBytesMax = 4 << 20

// Why a session ended (SessionStats.End).
const (
	endQuit     = "quit"
	endClosed   = "closed"
	endTimeout  = "timeout"
	endShutdown = "shutdown"
	endProtocol = "protocol"
	endLimit    = "limit"
	endBusy     = "busy"
	endError    = "error"
)

// session is one connection. It belongs to one goroutine.
type session struct {
	server  *Server
	limits  *Limits
	conn    Conn
	in      *lineconn.Conn
	client  mail.Client
	id      string
	started time.Time

	hello    string // "" until the client has said it
	extended bool   // with EHLO or LHLO
	user     mail.User
	tx       transaction

	code         int // of the last reply
	stats        SessionStats
	idle         int // commands that count towards IdleCommandsMax
	refused      int
	authFailures int
	received     int // messages begun
	// chunksFailed: a BDAT failed, and those that the client had sent along are discarded
	// without being counted as errors, until it starts anew.
	chunksFailed bool
}

// run is the session from the greeting to its end.
func (c *session) run(ctx context.Context) {
	c.greet()
	for c.stats.End == "" {
		line, err := c.in.ReadLine(c.commandDeadline(), c.lineMax())
		if err != nil {
			c.readFailed(err)
			return
		}
		c.command(ctx, line)
	}
}

// commandDeadline is when the next command must be there.
func (c *session) commandDeadline() time.Time {
	deadline := time.Now().Add(c.limits.CommandTimeout)
	if c.stats.Commands == 0 {
		deadline = c.started.Add(c.limits.GreetingDelay + c.limits.GreetingTimeout)
	}
	if end := c.started.Add(c.limits.SessionMax); end.Before(deadline) {
		return end
	}
	return deadline
}

func (c *session) lineMax() int {
	if c.offersAuth() {
		return smtp.AuthLineMax
	}
	return smtp.LineMax
}

// greet says hello, unless the client has not waited for it (attack 8).
func (c *session) greet() {
	early := c.conn.EarlyInput()
	if delay := c.limits.GreetingDelay; delay > 0 && !early {
		if c.conn.AwaitInput(delay) == nil {
			var b [1]byte
			n, err := c.conn.Read(b[:])
			c.conn.Busy()
			early = n > 0
			if !early && !isTimeout(err) {
				c.hangUp(endClosed)
				return
			}
		}
	}
	switch {
	case early:
		c.refuse(replyEarly, endProtocol)
	case c.server.cfg.Role == LMTP:
		c.say(smtp.Reply("220 " + c.server.cfg.Hostname + " LMTP Porcupine"))
	default:
		c.say(smtp.Reply("220 " + c.server.cfg.Hostname + " ESMTP Porcupine"))
	}
}

// command carries out one line.
func (c *session) command(ctx context.Context, line []byte) {
	began := time.Now()
	c.stats.Commands++
	cmd, err := smtp.ParseCommand(line)
	switch {
	case c.stats.Commands > c.limits.CommandsMax:
		c.refuse(replyTooMuch, endLimit)
	case began.Sub(c.started) > c.limits.SessionMax:
		c.refuse(replyTooLong, endLimit)
	case err != nil:
		c.badSyntax(err)
	case cmd.Verb == smtp.HTTP:
		c.refuse(replyHTTP, endProtocol)
	case cmd.Verb.EndsGroup() && len(c.in.Buffered()) > 0:
		// After STARTTLS these bytes would be taken for what came under TLS (attack 3); after
		// DATA they would be a message that nobody has agreed to take.
		c.refuse(replySync, endProtocol)
	default:
		c.dispatch(ctx, cmd)
	}
	c.server.cfg.Observer.Command(c.client, cmd.Verb, c.code, time.Since(began))
}

func (c *session) dispatch(ctx context.Context, cmd smtp.Command) {
	switch cmd.Verb {
	case smtp.MAIL:
		c.mail(ctx, cmd.Arg)
	case smtp.RCPT:
		c.rcpt(ctx, cmd.Arg)
	case smtp.DATA:
		c.data(ctx, cmd.Arg)
	case smtp.BDAT:
		c.bdat(ctx, cmd.Arg)
	case smtp.AUTH:
		c.auth(ctx, cmd.Arg)
	case smtp.STARTTLS:
		c.startTLS(ctx, cmd.Arg)
	case smtp.QUIT:
		c.quit(cmd.Arg)
	default:
		if c.idle++; c.idle > c.limits.IdleCommandsMax {
			c.refuse(replyTooMuch, endLimit)
			return
		}
		c.idleCommand(cmd)
	}
}

// say gathers a reply.
func (c *session) say(r smtp.Reply) {
	c.code = r.Code()
	c.noteWrite(c.in.Reply(r))
}

// noteWrite ends the session if a write failed.
func (c *session) noteWrite(err error) {
	switch {
	case err == nil:
	case isTimeout(err):
		c.hangUp(endTimeout)
	default:
		c.hangUp(endClosed)
	}
}

// bad says no to a command for its syntax or its place, and counts that.
func (c *session) bad(r smtp.Reply) {
	c.say(r)
	if c.stats.Bad++; c.stats.Bad >= c.limits.BadCommandsMax {
		c.refuse(replyTooBad, endLimit)
	}
}

func (c *session) badSyntax(err error) {
	c.log(slog.LevelDebug, "smtp command refused", slog.Any("err", err))
	var syntax *smtp.SyntaxError
	if !errors.As(err, &syntax) {
		c.bad(smtp.ReplySyntax)
		return
	}
	c.bad(syntax.Reply)
}

// refuse says why and ends the session.
func (c *session) refuse(r smtp.Reply, end string) {
	c.say(r)
	c.hangUp(end)
	c.log(slog.LevelInfo, "smtp session ended by us", slog.String("reply", string(r)))
}

// hangUp ends the session; the first reason stays.
func (c *session) hangUp(end string) {
	if c.stats.End == "" {
		c.stats.End = end
	}
}

// readFailed ends the session when no more commands can be read.
func (c *session) readFailed(err error) {
	switch {
	case errors.Is(err, lineconn.ErrLineLong):
		c.refuse(smtp.ReplyLineLong, endProtocol)
	case errors.Is(err, lineconn.ErrLineEnd):
		c.refuse(smtp.ReplyLineEnd, endProtocol)
	case c.conn.Interrupted():
		c.refuse(replyShutdown, endShutdown)
	case isTimeout(err) && time.Since(c.started) >= c.limits.SessionMax:
		c.refuse(replyTooLong, endLimit)
	case isTimeout(err):
		c.refuse(replyTimeout, endTimeout)
	default:
		c.hangUp(endClosed)
	}
}

// close writes what is left to say and gives everything back.
func (c *session) close() {
	c.resetTransaction()
	c.hangUp(endError) // only if a panic brought us here
	switch c.stats.End {
	case endClosed, endError:
	default:
		cutOff := c.stats.End == endProtocol || c.stats.End == endLimit || c.stats.End == endBusy && len(c.in.Buffered()) > 0
		if c.in.Flush() == nil && cutOff {
			c.in.Linger(time.Now().Add(c.limits.LingerMax), lingerBytesMax)
		}
	}
	c.in.Close()
	c.stats.Duration = time.Since(c.started)
	c.server.cfg.Observer.SessionEnded(c.client, c.stats)
	c.log(slog.LevelDebug, "smtp session ended", slog.String("end", c.stats.End),
		slog.Duration("duration", c.stats.Duration), slog.Int("messages", c.stats.Messages), slog.Int("commands", c.stats.Commands))
}

// log writes a log line that says whose session it is. No secret ever gets here: AUTH lines are
// handed to package sasl and nowhere else.
func (c *session) log(level slog.Level, msg string, attrs ...slog.Attr) {
	logger := c.server.cfg.Logger
	if !logger.Enabled(context.Background(), level) {
		return
	}
	attrs = append(attrs, slog.String("session", c.id), slog.String("service", c.client.Service),
		slog.String("remote", c.client.Remote.String()))
	logger.LogAttrs(context.Background(), level, msg, attrs...)
}

// logLoud is log for lines of warning and above that one fault may cause in every session: beyond
// the pace of the server's logGate they are for debugging only.
func (c *session) logLoud(level slog.Level, msg string, attrs ...slog.Attr) {
	if level >= slog.LevelWarn {
		ok, keptBack := c.server.loud.pass(time.Now())
		switch {
		case !ok:
			level = slog.LevelDebug
		case keptBack > 0:
			attrs = append(attrs, slog.Int("not_logged", keptBack))
		}
	}
	c.log(level, msg, attrs...)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
