package smtpserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"mime"
	netmail "net/mail"
	"strings"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/smtp"
)

// fromHeaderMax is how much of the From header of a submitted message is looked at; one that is
// longer is refused.
const fromHeaderMax = 8 << 10

// acceptMessage decides on a message that is in whole, answers, and ends the transaction.
func (c *session) acceptMessage(ctx context.Context) {
	defer c.resetTransaction()
	if reply := c.refuseMessage(ctx); reply != "" {
		c.log(slog.LevelInfo, "smtp message refused", slog.String("id", c.tx.id), slog.String("reply", string(reply)))
		c.answerAll(reply)
		c.observeMessage(reply.Code(), 0)
		return
	}
	waited, leave, err := c.server.cfg.Turns.Enter(ctx)
	if err != nil {
		c.log(slog.LevelDebug, "smtp message put off", slog.String("id", c.tx.id), slog.Any("err", err))
		c.answerAll(replyNoTurn)
		c.observeMessage(replyNoTurn.Code(), 0)
		return
	}
	if waited && c.conn.Gone() {
		// Who has given up will send the message again: this one would be a second copy. Who has only ended its own side,
		// and still listens, is told to do so.
		leave(false)
		c.answerAll(replyNoTurn)
		c.observeMessage(replyNoTurn.Code(), 0)
		return
	}
	began := time.Now()
	errs := c.deliver(ctx, leave)
	took := time.Since(began)
	if c.server.cfg.Role == LMTP {
		c.answerEach(errs, took)
		return
	}
	reply := messageReply(errs)
	c.say(reply)
	c.settle(reply, errs, took)
}

// refuseMessage says why the message is not even handed over; "": it is.
func (c *session) refuseMessage(ctx context.Context) smtp.Reply {
	t := &c.tx
	if t.failure != "" {
		return t.failure
	}
	if t.header.Received > c.limits.ReceivedMax {
		return replyLoop
	}
	if c.server.cfg.Role == Submission {
		if reply := c.checkFrom(ctx); reply != "" {
			return reply
		}
	}
	if err := t.body.Finish(); err != nil {
		return c.spoolFailed(err)
	}
	return ""
}

// deliver hands the message over. The result has one error for each recipient, whatever the
// Delivery gave: an answer that is missing is no answer, never a yes. The turn ends with it, also
// when the Delivery panics.
func (c *session) deliver(ctx context.Context, leave func(done bool)) []error {
	defer leave(true)
	ctx, cancel := context.WithTimeout(ctx, c.limits.DeliverTimeout)
	defer cancel()
	env := mail.Envelope{From: c.tx.mail.From, Recipients: c.tx.recipients, Received: c.tx.time}
	errs := c.server.cfg.Delivery.Deliver(ctx, env, c.tx.body)
	if len(errs) == len(env.Recipients) {
		return errs
	}
	full := make([]error, len(env.Recipients))
	for i := range full {
		full[i] = fmt.Errorf("delivery gave %d results for %d recipients", len(errs), len(full))
	}
	return full
}

// answerAll gives one reply, or with LMTP the same for each RCPT (RFC 2033 §4.2).
func (c *session) answerAll(reply smtp.Reply) {
	if c.server.cfg.Role != LMTP {
		c.say(reply)
		return
	}
	for range c.tx.answers {
		c.say(reply)
	}
}

// answerEach gives LMTP's replies, one for each RCPT that was accepted, in order.
func (c *session) answerEach(errs []error, took time.Duration) {
	worst := replyStored
	for _, i := range c.tx.answers {
		reply := deliveryReply(errs[i])
		c.say(reply)
		if reply.Code() > worst.Code() {
			worst = reply
		}
	}
	c.settle(worst, errs, took)
}

// loggedRecipientsMax is how many recipients of one message are named in its log line.
const loggedRecipientsMax = 20

// settle counts and logs a message that was handed over.
func (c *session) settle(reply smtp.Reply, errs []error, took time.Duration) {
	c.observeMessage(reply.Code(), took)
	stored := 0
	var to []string
	for i, err := range errs {
		if err == nil {
			if stored++; stored <= loggedRecipientsMax {
				to = append(to, c.tx.recipients[i].Address.String())
			}
			continue
		}
		c.logRefusal("smtp delivery failed", deliveryReply(err), err,
			slog.String("id", c.tx.id), slog.String("rcpt", c.tx.recipients[i].Address.String()))
	}
	if stored == 0 {
		return
	}
	c.idle = 0
	c.stats.Messages++
	c.log(slog.LevelInfo, "smtp message stored", slog.String("id", c.tx.id), slog.String("from", c.tx.mail.From.String()),
		slog.Any("to", to), slog.Int("recipients", stored), slog.Int64("bytes", c.tx.bytes), slog.Duration("took", took))
}

func (c *session) observeMessage(code int, deliver time.Duration) {
	c.server.cfg.Observer.Message(c.client, Message{
		Code:       code,
		Recipients: len(c.tx.recipients),
		Bytes:      c.tx.bytes,
		Receive:    c.tx.received,
		Deliver:    deliver,
	})
}

// checkFrom says whether the user may send under the message's From header, "" if so: there is
// one header, and all addresses in it are theirs (attack 16). Groups count as their members.
func (c *session) checkFrom(ctx context.Context) smtp.Reply {
	h := &c.tx.header
	switch {
	case h.FromFields == 0:
		return replyFromNone
	case h.FromFields > 1:
		return replyFromMany
	case h.FromCut:
		return replyFromSyntax
	}
	unfolded := strings.ReplaceAll(string(h.From), "\r\n", "")
	parser := netmail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: anyCharset}}
	list, err := parser.ParseList(unfolded)
	if err != nil || len(list) == 0 {
		return replyFromSyntax
	}
	for _, entry := range list {
		a, err := mail.ParseAddress(entry.Address)
		if err != nil {
			return replyFromSyntax
		}
		if reply := c.checkSender(ctx, a, replyFromNot); reply != "" {
			return reply
		}
	}
	return ""
}

// anyCharset lets a display name be in any character set: it is not looked at.
func anyCharset(_ string, r io.Reader) (io.Reader, error) { return r, nil }

// tlsDetail names version and cipher for the Received header; "" without TLS.
func (c *session) tlsDetail() string {
	state, ok := c.conn.ConnectionState()
	if !ok {
		return ""
	}
	return tls.VersionName(state.Version) + " " + tls.CipherSuiteName(state.CipherSuite)
}
