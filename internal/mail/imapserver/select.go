package imapserver

import (
	"context"
	"slices"
	"sync/atomic"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/imapserver/view"
)

// folder is the selected folder of a session.
type folder struct {
	name     string
	readOnly bool
	selected Selected
	view     *view.View
	// news is set when Sync may have something to tell.
	news atomic.Bool
	// heldBack says that the client was told modification sequences that are beyond what it knows (see holdBack).
	heldBack bool
	// saved is the result of the last search that was to be kept: "$" (RFC 5182).
	saved mail.UIDSet
}

// selectFolder carries out SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3).
func (s *session) selectFolder(c imap.Select, readOnly bool) imap.Reply {
	if c.CondStore || c.QResync != nil && s.enabled.qresync {
		s.enabled.condstore = true
	}
	if c.QResync != nil && !s.enabled.qresync {
		return s.wrong("QRESYNC is not enabled") // RFC 7162 §3.2.5
	}
	if s.folder != nil {
		s.closeFolder()
		s.say(imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodeClosed}, Text: "the folder before is closed"})
	}
	f, err := s.openFolder(c.Folder, readOnly)
	if err != nil {
		return s.failure(err, onFolder)
	}
	var missed Changes
	if q := c.QResync; q != nil && q.UIDValidity == f.view.Mark().UIDValidity {
		// L13: when the client has seen a newer state than can be reached, it hears that, BEFORE anything
		// about the folder, and never that messages have vanished which are only not here.
		if missed, err = s.missed(f, q); err != nil {
			f.selected.Watch(nil)
			s.closeSelected(f.selected)
			return s.failure(err, onOther)
		}
	}
	s.folder = f
	s.describe(f, f.selected.Status())
	if s.enabled.rev2 {
		// RFC 9051 §6.3.2: a name that was not NFC is told with the one that it stands for.
		s.say(imap.ListData{Folder: f.name, OldName: c.Given})
	}
	s.resynchronize(f, missed)
	r := done(imap.VerbSelect)
	r.Code.Name = imap.CodeReadWrite
	if readOnly {
		r = done(imap.VerbExamine)
		r.Code.Name = imap.CodeReadOnly
	}
	return r
}

// openFolder opens a folder and takes the first view of it.
func (s *session) openFolder(name string, readOnly bool) (*folder, error) {
	ctx, cancel := s.service()
	defer cancel()
	sel, err := s.mailbox.Select(ctx, name, readOnly)
	if err != nil {
		return nil, err
	}
	uids, err := sel.UIDs(ctx)
	if err != nil {
		s.closeSelected(sel)
		return nil, err
	}
	st := sel.Status()
	f := &folder{name: name, readOnly: readOnly, selected: sel}
	f.view = view.New(uids, markOf(st))
	sel.Watch(s.notice(f))
	f.news.Store(true) // AFTER it: what has happened since the folder was opened was told to nobody
	return f, nil
}

// markOf is what a client is told of a state.
func markOf(st Status) view.Mark {
	return view.Mark{UIDValidity: st.UIDValidity, UIDNext: st.UIDNext, HighestModSeq: st.HighestModSeq}
}

// describe tells what SELECT tells.
func (s *session) describe(f *folder, st Status) {
	s.say(imap.FlagsData{Flags: append(imap.SystemFlags(), st.Keywords...)})
	s.sayPermanentFlags(f, st.Keywords, true)
	s.say(imap.ExistsData{Count: uint32(f.view.Len())})
	if !s.enabled.rev2 {
		s.say(imap.RecentData{})
		if seq, ok := f.view.Seq(st.FirstUnseen); ok {
			s.note(imap.Code{Name: imap.CodeUnseen, Number: uint64(seq)}, "first message that is not seen")
		}
	}
	s.note(imap.Code{Name: imap.CodeUIDValidity, Number: uint64(st.UIDValidity)}, "UIDs are valid")
	s.note(imap.Code{Name: imap.CodeUIDNext, Number: uint64(st.UIDNext)}, "next UID, or less")
	s.note(imap.Code{Name: imap.CodeHighestModSeq, Number: uint64(st.HighestModSeq)}, "modification sequences are kept")
	s.note(imap.Code{Name: imap.CodeMailboxID, Words: []string{st.ID.String()}}, "id of the folder")
}

// sayPermanentFlags tells which flags the client can change, and whether it can invent new ones.
func (s *session) sayPermanentFlags(f *folder, keywords []mail.Flag, more bool) {
	permanent := make([]string, 0, len(keywords)+8)
	if !f.readOnly {
		for _, x := range append(imap.SystemFlags(), keywords...) {
			permanent = append(permanent, imap.Presented(x))
		}
		if more {
			permanent = append(permanent, imap.FlagAnyKeyword)
		}
	}
	s.note(imap.Code{Name: imap.CodePermanentFlags, Words: permanent}, "flags that are kept")
}

// note is an untagged OK with a code.
func (s *session) note(c imap.Code, text string) {
	s.say(imap.Reply{Kind: imap.OK, Code: c, Text: text})
}

// missed asks what a client that comes back has missed (RFC 7162 §3.2.5). The sequence numbers that it
// remembers are not needed: the server knows what vanished.
func (s *session) missed(f *folder, q *imap.QResync) (Changes, error) {
	ctx, cancel := s.service()
	defer cancel()
	var known mail.UIDSet
	if !q.Known.Empty() {
		known = q.Known.Resolve(uint32(f.view.Max()))
	}
	missed, err := f.selected.Since(ctx, q.ModSeq, known)
	if err == nil && known != nil {
		missed.Changed = slices.DeleteFunc(missed.Changed, func(sum mail.Summary) bool { return !known.Contains(sum.UID) })
	}
	return missed, err
}

// resynchronize tells a client what it missed (RFC 7162 §3.2.5.2).
func (s *session) resynchronize(f *folder, missed Changes) {
	s.sayEarlier(f, missed.Vanished)
	for i := range missed.Changed {
		s.sayFlags(f, &missed.Changed[i], true)
	}
}

// sayEarlier tells what vanished before the view began. What is in the view is told when it leaves it.
func (s *session) sayEarlier(f *folder, vanished mail.UIDSet) {
	s.sayVanished(true, vanished.Without(f.view.UIDs()))
}

// closeCommand carries out CLOSE (RFC 9051 §6.4.1): it expunges without a word about it. That may take long.
func (s *session) closeCommand() imap.Reply {
	if !s.folder.readOnly {
		selected := s.folder.selected
		if err := s.long(imap.VerbClose, func(ctx context.Context) error { return selected.Expunge(ctx, nil) }); err != nil {
			return s.failure(err, onOther)
		}
	}
	s.closeFolder()
	return done(imap.VerbClose)
}

// closeFolder gives the selected folder back.
func (s *session) closeFolder() {
	if s.folder == nil {
		return
	}
	s.folder.selected.Watch(nil)
	s.closeSelected(s.folder.selected)
	s.folder = nil
}

func (s *session) closeSelected(sel Selected) {
	if err := sel.Close(); err != nil {
		s.srv.cfg.Logger.Warn("imap folder not closed", "user", string(s.user), "err", err)
	}
}
