package pop3server

import (
	"context"
	"io"
	"time"

	"porcupine/internal/mail/pop3"
)

// transaction carries out a command on the open mailbox; it reports whether it was answered
// with +OK.
func (s *session) transaction(c pop3.Command) bool {
	v := s.view
	switch c.Verb {
	case pop3.Stat:
		s.out.Add(func(b []byte) []byte { return pop3.AppendDrop(b, v.count, v.size) })
		return true
	case pop3.List:
		return s.list(c.Number, func(b []byte, i int) []byte { return pop3.AppendScan(b, i+1, v.messages[i].Size) })
	case pop3.Uidl:
		return s.list(c.Number, func(b []byte, i int) []byte { return pop3.AppendUnique(b, i+1, v.messages[i].ID) })
	case pop3.Retr:
		return s.retrieve(c.Number, -1)
	case pop3.Top:
		return s.retrieve(c.Number, c.Lines)
	case pop3.Dele:
		i, ok := v.find(c.Number)
		if !ok {
			return s.err(pop3.NoCode, textNoSuch)
		}
		v.mark(i)
		return s.ok("marked for deletion")
	case pop3.Noop:
		return s.ok("")
	case pop3.Rset:
		v.reset()
		return s.ok("no message is marked")
	case pop3.Capa:
		return s.capa()
	case pop3.Quit:
		return s.quit()
	}
	return s.badCommand(textNotHere)
}

// list answers LIST or UIDL: for one message its line after +OK, for number 0 all lines.
func (s *session) list(number int, line func(b []byte, i int) []byte) bool {
	if number != 0 {
		i, ok := s.view.find(number)
		if !ok {
			return s.err(pop3.NoCode, textNoSuch)
		}
		s.out.Add(func(b []byte) []byte { return line(append(b, "+OK "...), i) })
		return true
	}
	s.ok("list follows")
	w := s.out.Buffer()
	for i := range s.view.messages {
		if s.view.isMarked(i) {
			continue
		}
		if _, err := w.Write(line(w.AvailableBuffer(), i)); err != nil {
			return true // the client is gone; flush finds the error again
		}
	}
	s.out.Add(func(b []byte) []byte { return append(b, pop3.Terminator...) })
	return true
}

// retrieve answers RETR, and TOP if lines >= 0.
//
// The text is read up to the buffer's size BEFORE the +OK, so that a message which is small, as
// most are, has passed its checksum by then, and what cannot be read is answered -ERR. When a
// larger one fails under way, the connection closes without the terminator (D5).
func (s *session) retrieve(number, lines int) bool {
	began := time.Now()
	i, ok := s.view.find(number)
	if !ok {
		return s.err(pop3.NoCode, textNoSuch)
	}
	// The watchdog cuts off a read that stands still; it is reset for every piece.
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	watchdog := time.AfterFunc(s.srv.cfg.ServiceTimeout, cancel)
	defer watchdog.Stop()
	body, err := s.view.drop.Read(ctx, i)
	if err != nil {
		return s.unreadable(number, err)
	}
	defer body.Close()
	lent := s.srv.copies.Get().(*[]byte)
	defer s.srv.copies.Put(lent)
	n, whole, err := readFirst(body, *lent)
	if err != nil {
		return s.unreadable(number, err)
	}
	s.ok("message follows")
	watchdog.Stop()
	octets, err := s.copyText(&watched{body, watchdog, s.srv.cfg.ServiceTimeout}, *lent, n, whole, lines)
	if err != nil {
		s.srv.cfg.Logger.Error("pop3 message failed while it was sent; connection closed", "user", string(s.user), "number", number, "err", err)
		s.end(EndedReadError)
		return false
	}
	s.retrieved++
	s.srv.cfg.Observer.Retrieved(octets, time.Since(began))
	return true
}

// watched is a reader under a watchdog, which runs during reads only: the time that the client
// takes is another matter.
type watched struct {
	r        io.Reader
	watchdog *time.Timer
	timeout  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	w.watchdog.Reset(w.timeout)
	defer w.watchdog.Stop()
	return w.r.Read(p)
}

// copyText writes the text, of which the first n bytes are in buf already, as a multi-line reply.
// The error is of reading only: an error of writing comes out at the next flush.
func (s *session) copyText(body io.Reader, buf []byte, n int, whole bool, lines int) (octets int64, err error) {
	s.dot.Reset(s.out.Buffer())
	var to io.Writer = &s.dot
	var head *pop3.HeadWriter
	if lines >= 0 {
		head = pop3.NewHeadWriter(&s.dot, lines)
		to = head
	}
	for {
		if _, werr := to.Write(buf[:n]); werr != nil {
			return octets, nil //nolint:nilerr // it comes out at the next flush
		}
		octets += int64(n)
		if whole || head != nil && head.Full() {
			break
		}
		if n, err = body.Read(buf); err != nil {
			if err != io.EOF { // by identity, as in readFirst
				return octets, err
			}
			whole = true
		}
	}
	// An error of writing is the buffer's, see above.
	_ = s.dot.Close()
	return octets, nil
}

// unreadable answers a message that cannot be read.
func (s *session) unreadable(number int, err error) bool {
	s.srv.cfg.Logger.Warn("pop3 message cannot be read", "user", string(s.user), "number", number, "err", err)
	return s.err(readReply(err))
}

// readFirst fills buf as far as the text goes; whole says that it has ended well. io.ReadFull
// will not do: its ErrUnexpectedEOF is also what a broken stream may give.
func readFirst(r io.Reader, buf []byte) (n int, whole bool, err error) {
	for n < len(buf) {
		m, err := r.Read(buf[n:])
		n += m
		if err == io.EOF { // by identity: a fault may wrap the EOF of something else
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// quit is the UPDATE state: it deletes what is marked, gives the lock back, and only then
// answers, so that a client which logs in again at once finds the mailbox free.
func (s *session) quit() bool {
	s.end(EndedQuit)
	v := s.view
	marked := v.marked()
	if v.isLost() {
		s.closeView()
		return s.err(pop3.SysTemp, textLost)
	}
	var err error
	if len(marked) > 0 {
		ctx, cancel := context.WithTimeout(s.ctx, s.srv.cfg.ServiceTimeout)
		defer cancel()
		err = v.drop.Delete(ctx, marked)
	}
	s.closeView()
	if err != nil {
		s.srv.cfg.Logger.Warn("pop3 deletions are not durable", "user", string(s.user), "messages", len(marked), "err", err)
		return s.err(pop3.SysTemp, "some deleted messages were not removed")
	}
	return s.ok("bye")
}
