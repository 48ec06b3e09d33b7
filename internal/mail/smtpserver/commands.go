package smtpserver

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"porcupine/internal/mail/smtp"
)

// idleCommand carries out the commands that bring no message nearer.
func (c *session) idleCommand(cmd smtp.Command) {
	switch cmd.Verb {
	case smtp.EHLO, smtp.HELO, smtp.LHLO:
		c.helloCommand(cmd)
	case smtp.RSET:
		if cmd.Arg != "" {
			c.bad(smtp.ReplyNoArg)
			return
		}
		c.resetTransaction()
		c.say(replyOK)
	case smtp.NOOP:
		c.say(replyOK)
	case smtp.VRFY:
		c.say(replyVerify) // RFC 5321 §3.5.3: that an address exists is nobody's business (attack 10)
	case smtp.HELP:
		c.say(replyHelp)
	case smtp.EXPN:
		c.bad(replyNotOffered)
	default:
		c.bad(replyNotKnown)
	}
}

func (c *session) quit(arg string) {
	if arg != "" {
		c.bad(smtp.ReplyNoArg)
		return
	}
	c.say(replyBye)
	c.hangUp(endQuit)
}

// helloCommand greets the client and starts anew (RFC 5321 §4.1.4).
func (c *session) helloCommand(cmd smtp.Command) {
	if (cmd.Verb == smtp.LHLO) != (c.server.cfg.Role == LMTP) {
		c.bad(replyNotKnown) // RFC 2033 §4.1
		return
	}
	name, err := smtp.ParseHello(cmd.Arg)
	if err != nil {
		c.badSyntax(err)
		return
	}
	c.resetTransaction()
	c.hello, c.extended = name, cmd.Verb != smtp.HELO
	if !c.extended {
		c.say(smtp.Reply("250 " + c.server.cfg.Hostname))
		return
	}
	c.code = 250
	var b [512]byte
	c.noteWrite(c.in.Lines(smtp.AppendLines(b[:0], c.code, c.extensions()...)))
}

// extensions lists what EHLO offers on this connection as it is now. DSN is not among them: its
// parameters are understood, but delivery reports are not sent yet, and a client that is not
// offered DSN makes them itself (RFC 3461 §5.2.3).
func (c *session) extensions() []string {
	l := c.limits
	list := make([]string, 0, 12)
	list = append(list, c.server.cfg.Hostname,
		"PIPELINING",
		"SIZE "+strconv.FormatInt(l.MessageSizeMax, 10),
		"8BITMIME",
		"SMTPUTF8",
		"CHUNKING",
		"ENHANCEDSTATUSCODES")
	if c.conn.CanStartTLS() {
		list = append(list, "STARTTLS")
	}
	if c.offersAuth() {
		list = append(list, "AUTH "+strings.Join(c.server.cfg.Auth.Mechanisms(c.client), " "))
	}
	// RFC 9422.
	return append(list, "LIMITS MAILMAX="+strconv.Itoa(l.MessagesMax)+" RCPTMAX="+strconv.Itoa(l.RecipientsMax))
}

// startTLS puts TLS on (RFC 3207). That nothing follows the command has been checked.
func (c *session) startTLS(ctx context.Context, arg string) {
	switch {
	case arg != "":
		c.bad(smtp.ReplyNoArg)
		return
	case c.client.TLS:
		c.bad(replyInTLS)
		return
	case !c.conn.CanStartTLS():
		c.bad(replyNotOffered)
		return
	}
	c.say(replyGoTLS)
	if c.noteWrite(c.in.Flush()); c.stats.End != "" {
		return
	}
	// RFC 3207 §4.2: forget what was said in clear. That is also who the client is: it may have been
	// somebody in between who logged in.
	c.resetTransaction()
	c.hello, c.extended, c.user = "", false, ""
	if err := c.conn.StartTLS(ctx); err != nil {
		c.log(slog.LevelInfo, "smtp starttls failed", slog.Any("err", err))
		c.hangUp(endClosed)
		return
	}
	c.client = c.conn.Client()
}
