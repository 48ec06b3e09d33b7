package imapserver

import (
	"context"

	"porcupine/internal/mail/imap"
)

// append carries out APPEND (RFC 9051 §6.3.12) of one or more messages (RFC 3502). They are in the spool
// already.
func (s *session) append(c imap.Append) imap.Reply {
	messages := make([]Append, 0, len(c.Messages))
	for _, m := range c.Messages {
		a, r := s.uploaded(m)
		if r.Kind != "" {
			return r
		}
		messages = append(messages, a)
	}
	return s.storeMessages(c.Folder, messages, imap.VerbAppend)
}

// replace carries out REPLACE and UID REPLACE (RFC 8508).
func (s *session) replace(c imap.Command) imap.Reply {
	args := c.Args.(imap.Replace)
	f := s.folder
	if f.readOnly {
		return no("", textReadOnly)
	}
	old, err := f.uids(imap.NumSet{Ranges: []imap.NumRange{{First: args.Number, Last: args.Number}}}, c.UID)
	if err != nil {
		return s.wrong(err.Error())
	}
	if len(old) == 0 {
		return no(imap.CodeExpungeIssued, "there is no such message")
	}
	a, r := s.uploaded(args.Message)
	if r.Kind != "" {
		return r
	}
	a.Replaces = old[0].First
	r = s.storeMessages(args.Folder, []Append{a}, imap.VerbReplace)
	if r.Kind == imap.OK && !r.Code.IsZero() { // BEFORE the expunge (RFC 8508 §3)
		s.note(r.Code, "message is stored")
		r.Code = imap.Code{}
	}
	return r
}

// uploaded gives a message that came with the command; or an answer that refuses it.
func (s *session) uploaded(m imap.AppendMessage) (Append, imap.Reply) {
	a := Append{Flags: m.Flags, Received: m.Received}
	switch {
	case len(m.Parts) > 0:
		return a, no(imap.CodeCannot, "CATENATE is not offered")
	case m.UTF8 && !s.enabled.utf8 && !s.enabled.rev2:
		return a, s.wrong("UTF8=ACCEPT is not enabled")
	case m.Data.Index < 0 || m.Data.Index >= len(s.upload.messages):
		return a, s.wrong("a message must be a literal")
	case m.Data.Size == 0: // RFC 3502 §3: how clients take an APPEND back
		return a, no("", "an empty message is not stored")
	}
	spooled := s.upload.messages[m.Data.Index]
	a.Body, a.Size = spooled, spooled.Size()
	return a, imap.Reply{}
}

// storeMessages stores messages and says where they went.
func (s *session) storeMessages(name string, messages []Append, verb imap.Verb) imap.Reply {
	var placed Placed
	err := s.long(verb, func(ctx context.Context) (err error) {
		placed, err = s.mailbox.Append(ctx, name, messages)
		return err
	})
	if err != nil {
		return s.notPlaced(err)
	}
	s.srv.cfg.Observer.Appended(s.upload.size)
	r := done(verb)
	r.Code = placedCode(Placed{UIDValidity: placed.UIDValidity, To: placed.To}, imap.CodeAppendUID)
	if s.folder != nil && s.folder.name == name {
		s.folder.news.Store(true) // the client sees at once what it stored (RFC 9051 §6.3.12)
	}
	return r
}
