package smtpserver

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"porcupine/internal/mail/smtp"
)

const (
	// chunkSizeFree is the size from which a BDAT chunk that is taken is not counted as a command:
	// it brings enough with it.
	chunkSizeFree = 4 << 10
	// overrunMax is how far over the size limit a message is read over before the connection is
	// closed. Within it the client hears 552 in its place.
	overrunMax = 64 << 20
)

// errMessageBytes says that message data held what it must not; the client has been told.
var errMessageBytes = errors.New("message data with bare CR, bare LF or NUL")

// errOverrun says that a message went far over the size limit; the client has been told.
var errOverrun = errors.New("message data far over the size limit")

// data takes a message that ends with a dot.
func (c *session) data(ctx context.Context, arg string) {
	switch {
	case arg != "":
		c.bad(smtp.ReplyNoArg)
		return
	case !c.tx.open:
		c.bad(replyMailFirst)
		return
	case c.tx.chunked:
		c.bad(replyInChunks)
		return
	case len(c.tx.recipients) == 0:
		c.bad(replyNoRcpt)
		return
	}
	c.say(replyData)
	c.beginMessage()
	if err := c.receiveDot(); err != nil {
		c.dataFailed(err)
		return
	}
	c.tx.received = time.Since(c.tx.began)
	c.acceptMessage(ctx)
}

// beginMessage opens the spool and puts the trace fields in it.
func (c *session) beginMessage() {
	t := &c.tx
	c.received++
	t.id = messageID(c.id, c.received)
	t.began = time.Now()
	t.time, t.bytes = t.began, 0
	t.pace = beginPace(t.began, c.limits)
	t.body = c.server.spool.NewMessageFrom(c.countedFor())
	if c.server.cfg.Role == Submission {
		t.header.FromMax = fromHeaderMax
	}
	var b [1024]byte
	c.store(c.appendTrace(b[:0]))
}

func (c *session) appendTrace(b []byte) []byte {
	t := &c.tx
	r := smtp.Received{
		Hello:    c.hello,
		Remote:   c.client.Remote,
		By:       c.server.cfg.Hostname,
		ID:       t.id,
		Time:     t.time,
		LMTP:     c.server.cfg.Role == LMTP,
		Extended: c.extended,
		UTF8:     t.mail.UTF8,
		TLS:      c.client.TLS,
		Auth:     c.user != "",
	}
	if len(t.recipients) == 1 {
		r.For = t.recipients[0].Address
	}
	r.TLSDetail = c.tlsDetail()
	return r.Append(smtp.AppendReturnPath(b, t.mail.From))
}

// receiveDot reads the data of DATA into the spool. An error other than errMessageBytes and
// errOverrun is that of the connection.
func (c *session) receiveDot() error {
	var dot smtp.Dot
	for {
		for buf := c.in.Buffered(); len(buf) > 0; buf = c.in.Buffered() {
			span, n, done, err := dot.Next(buf)
			if err != nil {
				return c.refuseBytes(err)
			}
			if err := c.keep(span); err != nil {
				return err
			}
			c.in.Consume(n)
			if done {
				return nil
			}
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill reads more of the message.
func (c *session) fill() error {
	return c.in.Fill(c.tx.pace.deadline(time.Now(), c.limits))
}

// keep takes a stretch of the message, unless it has failed already.
func (c *session) keep(p []byte) error {
	t := &c.tx
	t.bytes += int64(len(p))
	t.pace.earn(len(p), time.Now(), c.limits)
	if t.bytes > c.limits.MessageSizeMax {
		c.failMessage(replyTooBig)
		if t.bytes > c.limits.MessageSizeMax+overrunMax {
			c.refuse(replyTooBig, endLimit)
			return errOverrun
		}
	}
	if t.failure == "" {
		t.header.Write(p)
		c.store(p)
	}
	return nil
}

// store writes to the spool. A failure, such as a full disk, is temporary for the client.
func (c *session) store(p []byte) {
	if _, err := c.tx.body.Write(p); err != nil {
		c.failMessage(c.spoolFailed(err))
	}
}

// spoolFailed logs why a message cannot be spooled, and gives the answer.
func (c *session) spoolFailed(err error) smtp.Reply {
	reply, level := temporary(err), slog.LevelError
	if reply == replyFull || reply == replyLimit {
		level = slog.LevelWarn
	}
	c.logLoud(level, "smtp spool", slog.String("id", c.tx.id), slog.String("reply", string(reply)), slog.Any("err", err))
	return reply
}

// countedFor is the address whose network's share of the spool a message takes; the zero address for those who bring the mail of many.
func (c *session) countedFor() netip.Addr {
	if c.bringsMailOfMany() {
		return netip.Addr{}
	}
	return c.client.Remote
}

// failMessage decides that the message will be refused at its end; the first reason stays. The
// client has to be read out before it listens, but what was kept of the message goes at once.
func (c *session) failMessage(r smtp.Reply) {
	if c.tx.failure == "" {
		c.tx.failure = r
		c.dropBody()
	}
}

// refuseBytes ends the session for bytes that two programs could read in two ways (attack 1).
func (c *session) refuseBytes(err error) error {
	c.log(slog.LevelDebug, "smtp message refused", slog.Any("err", err))
	c.refuse(replyBytes, endProtocol)
	return errMessageBytes
}

// dataFailed ends the session inside a message. After an error of the connection nothing is
// said: what the client still sends would be taken for commands if it went on.
func (c *session) dataFailed(err error) {
	switch {
	case errors.Is(err, errMessageBytes), errors.Is(err, errOverrun):
	case isTimeout(err):
		c.hangUp(endTimeout)
	default:
		c.hangUp(endClosed)
	}
}

// bdat takes a chunk of a message (RFC 3030).
func (c *session) bdat(ctx context.Context, arg string) {
	size, last, err := smtp.ParseBDAT(arg)
	if err != nil {
		// Where the chunk ends is not known, so nothing after it can be understood.
		c.refuse(smtp.ReplyArgument, endProtocol)
		return
	}
	refusal := c.refuseChunk()
	if size >= chunkSizeFree && refusal == "" {
		c.stats.Commands--
	}
	if refusal == "" && !c.tx.chunked {
		c.beginMessage()
		c.tx.chunked = true
	}
	if err := c.receiveChunk(size, refusal == ""); err != nil {
		c.dataFailed(err)
		return
	}
	switch {
	case refusal != "" && c.chunksFailed:
		c.say(refusal)
	case refusal != "":
		c.bad(refusal)
	case last:
		c.lastChunk(ctx)
	case c.tx.failure != "":
		c.failChunks()
	default:
		c.say(replyChunkOK)
		c.tx.pace.pause(time.Now())
	}
	if last {
		c.chunksFailed = false
	}
}

// refuseChunk says why a chunk is not taken but only read over; "": it is taken.
func (c *session) refuseChunk() smtp.Reply {
	switch {
	case !c.tx.open && c.chunksFailed:
		return replyNoChunks
	case !c.tx.open:
		return replyMailFirst
	case len(c.tx.recipients) == 0:
		return replyNoRcpt
	}
	return ""
}

// receiveChunk reads a chunk into the spool, or reads it over.
func (c *session) receiveChunk(size int64, keep bool) error {
	if size > c.limits.MessageSizeMax+overrunMax {
		c.refuse(replyTooBig, endLimit)
		return errOverrun
	}
	if !keep {
		c.tx.pace = beginPace(time.Now(), c.limits)
	}
	c.tx.pace.resume(time.Now())
	for size > 0 {
		p := c.in.Buffered()
		if len(p) == 0 {
			if err := c.fill(); err != nil {
				return err
			}
			continue
		}
		p = p[:min(int64(len(p)), size)]
		if err := c.takeChunk(p, keep); err != nil {
			return err
		}
		c.in.Consume(len(p))
		size -= int64(len(p))
	}
	return nil
}

func (c *session) takeChunk(p []byte, keep bool) error {
	if !keep {
		c.tx.pace.earn(len(p), time.Now(), c.limits)
		return nil
	}
	if err := c.tx.text.Check(p); err != nil {
		return c.refuseBytes(err)
	}
	return c.keep(p)
}

// lastChunk ends a message of chunks. A last line without a line end gets one, as it would have
// had to have with DATA.
func (c *session) lastChunk(ctx context.Context) {
	open, err := c.tx.text.End()
	if err != nil {
		c.dataFailed(c.refuseBytes(err))
		return
	}
	if open && c.tx.failure == "" {
		c.store([]byte("\r\n"))
	}
	c.tx.received = time.Since(c.tx.began)
	c.acceptMessage(ctx)
}

// failChunks refuses a message before its last chunk (RFC 3030 §2: the transaction is over).
func (c *session) failChunks() {
	c.say(c.tx.failure)
	c.observeMessage(c.tx.failure.Code(), 0)
	c.resetTransaction()
	c.chunksFailed = true
}
