package imapserver

import (
	"bytes"
	"errors"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/smtpserver/spool"
)

// upload is the messages that the present command brings, in the order of its literals.
type upload struct {
	messages []*spool.Message
	size     int64 // of all of them
	checked  bool  // the command may store messages, as far as can be known before they come
	quota    Quota
	// refusal is the answer to a command whose literals came unasked: they are thrown away.
	refusal imap.Reply
}

// close gives the memory and the files back.
func (u *upload) close() {
	for _, m := range u.messages {
		// A temporary file without a name: what was not written is of no interest to anybody.
		_ = m.Close()
	}
	*u = upload{}
}

// uploadUnchecked is how many octets one command may bring before folder and quota are looked at.
const uploadUnchecked = 64 << 10

// messageLiteral brings in a message, or refuses the command; then it gives false. Size and quota are
// looked at BEFORE the client is asked for the octets (attack 24).
func (s *session) messageLiteral(next imap.Next) bool {
	c, err := s.scan.Partial(s.dialect())
	switch {
	case err != nil && !next.NonSync:
		s.syntax(err)
		return false
	case s.upload.refusal.Kind != "":
	case err != nil: // the octets come all the same, and are few: the next command is found behind them
		_, _, _, s.upload.refusal = s.misunderstood(err)
	default:
		s.upload.refusal = s.mayUpload(*c, next)
	}
	if s.upload.refusal.Kind != "" && !next.NonSync {
		s.refused(*c)
		return false
	}
	if !next.NonSync {
		s.say(imap.Continue{Text: "OK"})
	}
	if !s.receiveMessage(next) {
		s.upload.close()
		return false
	}
	if err := s.scan.Streamed(); err != nil {
		s.syntax(err)
		return false
	}
	return true
}

// refused answers a command that was refused before all of it had come.
func (s *session) refused(c imap.Command) {
	r := s.upload.refusal
	s.upload.close()
	s.reply(c, r)
	s.srv.cfg.Observer.Command(c.Verb, string(r.Kind), 0)
	s.count()
	s.limits()
}

// receiveMessage streams a literal to the spool, or to nowhere after a refusal.
func (s *session) receiveMessage(next imap.Next) bool {
	if s.upload.refusal.Kind != "" {
		return s.octets(next.Size, func([]byte) {})
	}
	m := s.srv.cfg.Spool.NewMessageFrom(s.conn.Client().Remote)
	s.upload.messages = append(s.upload.messages, m)
	s.upload.size += next.Size
	var failed error
	hasNUL := false
	if !s.octets(next.Size, func(b []byte) {
		hasNUL = hasNUL || bytes.IndexByte(b, 0) >= 0
		if failed == nil {
			_, failed = m.Write(b)
		}
	}) {
		return false
	}
	if hasNUL && !next.Binary { // RFC 9051 §4.3
		s.upload.refusal = s.wrong("a message with NUL must be a literal8")
	}
	if failed == nil {
		failed = m.Finish()
	}
	if failed != nil { // the rest of the command is read and answered
		s.srv.cfg.Logger.Warn("imap message not spooled", "user", string(s.user), "err", failed)
		s.upload.refusal = s.failure(failed, onAppend)
	}
	return true
}

// mayUpload says what is against a message that is about to come; the zero Reply: nothing.
func (s *session) mayUpload(c imap.Command, next imap.Next) imap.Reply {
	if s.mailbox == nil {
		return s.wrong(textNotHere)
	}
	if next.Size > s.srv.cfg.AppendLimit {
		return no(imap.CodeTooBig, "message is larger than the server takes")
	}
	// A small message is looked at when it is there: that is one question less to the manager.
	if s.upload.size+next.Size <= uploadUnchecked {
		return imap.Reply{}
	}
	if !s.upload.checked {
		ctx, cancel := s.service()
		defer cancel()
		if err := s.knowsTarget(c); err != nil {
			return s.failure(err, onAppend)
		}
		q, err := s.mailbox.Quota(ctx)
		if err != nil {
			return s.failure(err, onAppend)
		}
		s.upload.checked, s.upload.quota = true, q
	}
	q := s.upload.quota
	if q.BytesMax > 0 && q.Bytes+s.upload.size+next.Size > q.BytesMax ||
		q.MessagesMax > 0 && q.Messages+int64(len(s.upload.messages))+1 > q.MessagesMax {
		return no(imap.CodeOverQuota, mail.ErrOverQuota.Error())
	}
	return imap.Reply{}
}

// errNotSelected is for REPLACE, which needs a selected folder.
var errNotSelected = errors.New("no folder is selected")

// knowsTarget finds out, before messages come, whether the command names a folder that is there.
func (s *session) knowsTarget(c imap.Command) error {
	var name string
	switch args := c.Args.(type) {
	case imap.Append:
		name = args.Folder
	case imap.Replace:
		if s.folder == nil {
			return cluster.Errorf(cluster.KindInvalid, "replace", "%w", errNotSelected)
		}
		name = args.Folder
	}
	ctx, cancel := s.service()
	defer cancel()
	_, err := s.mailbox.Status(ctx, name)
	return err
}
