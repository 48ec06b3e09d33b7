package imapserver

import (
	"context"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// copy carries out COPY, MOVE and their UID forms (RFC 9051 §6.4.7 to §6.4.9).
func (s *session) copy(c imap.Command) imap.Reply {
	args := c.Args.(imap.Copy)
	f := s.folder
	move := c.Verb == imap.VerbMove
	if move && f.readOnly {
		return no("", textReadOnly)
	}
	uids, err := f.uids(args.Set, c.UID)
	if err != nil {
		return s.wrong(err.Error())
	}
	if len(uids) == 0 {
		return done(c.Verb)
	}
	bring := f.selected.Copy
	if move {
		bring = f.selected.Move
	}
	var placed Placed
	err = s.long(c.Verb, func(ctx context.Context) (err error) {
		placed, err = bring(ctx, uids, args.Folder)
		return err
	})
	if err != nil {
		return s.notPlaced(err)
	}
	code := placedCode(placed, imap.CodeCopyUID)
	r := done(c.Verb)
	switch {
	case move && !code.IsZero(): // BEFORE the expunges (RFC 6851 §3.3)
		s.note(code, "messages are moved")
	case !move:
		r.Code = code
	}
	return r
}

// placedCode says where messages went; none if that is not known yet.
func placedCode(p Placed, name imap.CodeName) imap.Code {
	if len(p.To) == 0 {
		return imap.Code{}
	}
	return imap.Code{Name: name, Number: uint64(p.UIDValidity), From: p.From, To: p.To}
}

// expunge carries out EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9).
func (s *session) expunge(c imap.Command) imap.Reply {
	f := s.folder
	if f.readOnly {
		return no("", textReadOnly)
	}
	var uids mail.UIDSet // nil: all
	if args, ok := c.Args.(imap.Expunge); ok {
		var err error
		if uids, err = f.uids(args.Set, true); err != nil {
			return s.wrong(err.Error())
		}
		if len(uids) == 0 {
			return done(c.Verb)
		}
	}
	if err := s.long(c.Verb, func(ctx context.Context) error { return f.selected.Expunge(ctx, uids) }); err != nil {
		return s.failure(err, onOther)
	}
	return done(c.Verb)
}
