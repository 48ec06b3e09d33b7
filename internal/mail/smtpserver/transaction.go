package smtpserver

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/smtp"
	"porcupine/internal/mail/smtpserver/spool"
)

// transaction is a message under way (RFC 5321 §3.3). The zero transaction is none.
type transaction struct {
	open       bool // MAIL was accepted
	mail       smtp.Mail
	recipients []mail.Recipient
	// answers has, for each RCPT that was accepted, the index of its recipient: LMTP owes a
	// reply for each, and an address given twice is one recipient.
	answers []int

	id       string
	body     *spool.Message // nil before the first data
	chunked  bool           // it comes by BDAT
	text     smtp.Text      // of BDAT
	header   smtp.Header
	bytes    int64 // of message, as the client sent it
	began    time.Time
	pace     pace
	time     time.Time  // in Received, and of the envelope
	failure  smtp.Reply // why the rest is only read over; "": it is kept
	received time.Duration
}

// resetTransaction drops the message under way, if there is one.
func (c *session) resetTransaction() {
	c.dropBody()
	c.tx = transaction{}
	c.chunksFailed = false
}

// dropBody gives the spooled message back, if there is one.
func (c *session) dropBody() {
	if c.tx.body == nil {
		return
	}
	if err := c.tx.body.Close(); err != nil {
		c.log(slog.LevelError, "smtp spool", slog.String("id", c.tx.id), slog.Any("err", err))
	}
	c.tx.body = nil
}

// mail begins a transaction.
func (c *session) mail(ctx context.Context, arg string) {
	switch {
	case c.hello == "":
		c.bad(replyHelloFirst)
		return
	case c.server.cfg.Role == Submission && c.user == "":
		c.bad(replyAuthNeeded)
		return
	case c.tx.open:
		c.bad(replyNested)
		return
	case c.received >= c.limits.MessagesMax:
		c.refuse(replyTooManyMail, endLimit)
		return
	}
	m, err := smtp.ParseMail(arg)
	if err != nil {
		c.badSyntax(err)
		return
	}
	if !c.server.cfg.Turns.AdmitsMessage() {
		c.refuse(replyBusy, endBusy) // BEFORE the message is sent (fault 38)
		return
	}
	if m.Size > c.limits.MessageSizeMax {
		c.say(replyTooBig)
		return
	}
	if err := c.server.spool.Admits(c.countedFor(), m.Size); err != nil {
		c.say(c.spoolFailed(err)) // BEFORE the message is sent
		return
	}
	if c.server.cfg.Role == Submission && !m.From.IsZero() {
		if reply := c.checkSender(ctx, m.From, replyNotYours); reply != "" {
			c.refuseAddress(ctx, reply)
			return
		}
	}
	c.resetTransaction()
	c.tx.open, c.tx.mail = true, m
	c.say(replySenderOK)
}

// rcpt adds a recipient.
func (c *session) rcpt(ctx context.Context, arg string) {
	switch {
	case !c.tx.open:
		c.bad(replyMailFirst)
		return
	case c.tx.chunked:
		c.bad(replyInChunks)
		return
	}
	r, err := smtp.ParseRcpt(arg, c.tx.mail.UTF8)
	if err != nil {
		c.badSyntax(err)
		return
	}
	if len(c.tx.answers) >= c.limits.RecipientsMax {
		c.say(replyTooManyRcpt)
		return
	}
	if i := slices.IndexFunc(c.tx.recipients, func(have mail.Recipient) bool { return sameMailbox(have.Address, r.To) }); i >= 0 {
		c.tx.answers = append(c.tx.answers, i)
		c.say(replyRcptOK)
		return
	}
	if c.server.cfg.Role == MX && c.server.refusals.isOver(c.client.Remote, time.Now()) {
		c.refuse(replyRationed, endLimit) // whether the address exists or not: that is the point
		return
	}
	recipient, err := c.verify(ctx, c.tx.mail.From, r.To, max(0, c.tx.mail.Size))
	if err != nil {
		reply := rcptReply(c.server.cfg.Role, err)
		c.logRefusal("smtp recipient refused", reply, err, slog.String("rcpt", r.To.String()))
		c.refuseAddress(ctx, reply)
		return
	}
	c.tx.answers = append(c.tx.answers, len(c.tx.recipients))
	c.tx.recipients = append(c.tx.recipients, recipient)
	c.say(replyRcptOK)
}

// sameMailbox reports addresses that differ in case at most, so that mail is not stored twice
// for somebody who was named twice. Aliases of one user are the Delivery's to know.
func sameMailbox(a, b mail.Address) bool {
	return strings.EqualFold(a.Local, b.Local) && strings.EqualFold(a.Domain, b.Domain)
}

func (c *session) verify(ctx context.Context, from, rcpt mail.Address, size int64) (mail.Recipient, error) {
	ctx, cancel := context.WithTimeout(ctx, c.limits.VerifyTimeout)
	defer cancel()
	return c.server.cfg.Delivery.Verify(ctx, from, rcpt, size)
}

// refuseAddress says no to an address. It makes it slow, and then impossible, to find out by
// trial which addresses exist (attack 10). Only answers for good tell something, so only those
// count, and only of clients who may be guessing.
func (c *session) refuseAddress(ctx context.Context, reply smtp.Reply) {
	if reply.Code()/100 == 5 && !c.bringsMailOfMany() {
		c.refused++
		c.server.refusals.count(c.client.Remote, time.Now())
		c.tarpit(ctx, c.refused-c.limits.TarpitAfter)
	}
	c.say(reply)
	if c.refused >= c.limits.RefusedMax {
		c.refuse(replyTooBad, endLimit)
	}
}

// bringsMailOfMany reports a mail server beside or in front of this one. The addresses that it asks for were made up by
// strangers, if they do not exist: to hold it up for them would hold up the mail of all. Users who submit mail
// have addresses of their own to answer for, wherever they are.
func (c *session) bringsMailOfMany() bool {
	switch c.server.cfg.Role {
	case LMTP:
		return true
	case MX:
		return mail.IsOfThisSite(c.client.Remote)
	}
	return false
}

// tarpit waits, the longer the more addresses were refused beyond the first few.
func (c *session) tarpit(ctx context.Context, over int) {
	if over <= 0 {
		return
	}
	c.noteWrite(c.in.Flush()) // earlier answers need not wait
	delay := time.NewTimer(min(time.Duration(over)*c.limits.TarpitDelay, c.limits.TarpitDelayMax))
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-ctx.Done():
	}
}

// checkSender says whether the user may send under an address: "" if so, else the reply, which
// is not for the case that it proves not to be theirs (attack 16).
func (c *session) checkSender(ctx context.Context, a mail.Address, not smtp.Reply) smtp.Reply {
	if mail.User(a.Canonical()) == c.user {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, c.limits.VerifyTimeout)
	defer cancel()
	users, err := c.server.cfg.Delivery.Means(ctx, a)
	switch {
	case err == nil && len(users) == 1 && users[0] == c.user:
		return ""
	case err == nil, cluster.IsKind(err, cluster.KindNotFound), cluster.IsKind(err, cluster.KindDenied), cluster.IsKind(err, cluster.KindInvalid):
		c.log(slog.LevelInfo, "smtp sender refused", slog.String("user", string(c.user)), slog.String("from", a.String()))
		return not
	}
	reply := temporary(err)
	c.logRefusal("smtp sender cannot be checked", reply, err)
	return reply
}

// logRefusal logs an answer that another room's error is behind: what a client may cause at will
// quietly, what is broken loudly, but not for everybody whom it hits.
func (c *session) logRefusal(msg string, reply smtp.Reply, err error, attrs ...slog.Attr) {
	level := slog.LevelDebug
	switch {
	case reply == replyInternal:
		level = slog.LevelError
	case reply == replyOverQuota, reply == replyLimit:
	case reply.Code()/100 == 4:
		level = slog.LevelWarn
	}
	c.logLoud(level, msg, append(attrs, slog.String("reply", string(reply)), slog.Any("err", err))...)
}
