package imapserver

import (
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// create carries out CREATE (RFC 9051 §6.3.4), with a special use (RFC 6154 §3) and the folder's id
// (RFC 8474 §4.1).
func (s *session) create(c imap.Create) imap.Reply {
	use := ""
	switch {
	case len(c.Use) > 1:
		return no(imap.CodeUseAttr, "a folder has one special use at most")
	case len(c.Use) == 1:
		switch use = c.Use[0]; use {
		case imap.UseArchive, imap.UseDrafts, imap.UseJunk, imap.UseSent, imap.UseTrash:
		default:
			return no(imap.CodeUseAttr, "this special use is not kept")
		}
	}
	ctx, cancel := s.service()
	defer cancel()
	id, err := s.mailbox.Create(ctx, c.Folder, use)
	if err != nil {
		return s.failure(err, onFolder)
	}
	if c.Given != "" && s.enabled.rev2 { // RFC 9051 §6.3.4
		s.say(imap.ListData{Folder: c.Folder, OldName: c.Given})
	}
	r := done(imap.VerbCreate)
	r.Code = imap.Code{Name: imap.CodeMailboxID, Words: []string{id.String()}}
	return r
}

// deleteFolder carries out DELETE (RFC 9051 §6.3.5).
func (s *session) deleteFolder(name string) imap.Reply {
	ctx, cancel := s.service()
	defer cancel()
	if err := s.mailbox.Delete(ctx, name); err != nil {
		r := s.failure(err, onFolder)
		if cluster.IsKind(err, cluster.KindDenied) && name != inbox {
			r = no(imap.CodeHasChildren, "delete the folders below it first")
		}
		return r
	}
	if s.folder != nil && s.folder.name == name {
		s.closeFolder()
		s.note(imap.Code{Name: imap.CodeClosed}, "the selected folder is deleted")
	}
	return done(imap.VerbDelete)
}

// inbox is the name of the folder that every user has.
const inbox = "INBOX"

// rename carries out RENAME (RFC 9051 §6.3.6).
func (s *session) rename(c imap.Rename) imap.Reply {
	ctx, cancel := s.service()
	defer cancel()
	if err := s.mailbox.Rename(ctx, c.From, c.To); err != nil {
		return s.failure(err, onFolder)
	}
	return done(imap.VerbRename)
}

// subscribe carries out SUBSCRIBE and UNSUBSCRIBE (RFC 9051 §6.3.7, §6.3.8).
func (s *session) subscribe(verb imap.Verb, name string) imap.Reply {
	ctx, cancel := s.service()
	defer cancel()
	if err := s.mailbox.Subscribe(ctx, name, verb == imap.VerbSubscribe); err != nil {
		return s.failure(err, onFolder)
	}
	return done(verb)
}

// status carries out STATUS (RFC 9051 §6.3.11).
func (s *session) status(c imap.Status) imap.Reply {
	if slices.Contains(c.Items, imap.StatusDeletedStorage) {
		return no(imap.CodeCannot, "DELETED-STORAGE is not kept")
	}
	ctx, cancel := s.service()
	defer cancel()
	st, err := s.mailbox.Status(ctx, c.Folder)
	if err != nil {
		return s.failure(err, onFolder)
	}
	s.sayStatus(c.Folder, c.Items, st)
	return done(imap.VerbStatus)
}

// sayStatus tells what was asked of a folder's state.
func (s *session) sayStatus(name string, items []imap.StatusItem, st Status) {
	values := make([]imap.StatusValue, 0, len(items))
	for _, item := range items {
		v := imap.StatusValue{Item: item}
		switch item {
		case imap.StatusMessages:
			v.Number = uint64(st.Messages)
		case imap.StatusRecent:
		case imap.StatusUIDNext:
			v.Number = uint64(st.UIDNext)
		case imap.StatusUIDValidity:
			v.Number = uint64(st.UIDValidity)
		case imap.StatusUnseen:
			v.Number = uint64(st.Unseen)
		case imap.StatusDeleted:
			v.Number = uint64(st.Deleted)
		case imap.StatusSize:
			v.Number = uint64(st.Size)
		case imap.StatusHighestModSeq:
			v.Number = uint64(st.HighestModSeq)
			s.useCondStore() // RFC 7162 §3.1.7
		case imap.StatusAppendLimit:
			v.Number = uint64(s.srv.cfg.AppendLimit)
		case imap.StatusMailboxID:
			v.ID = st.ID.String()
		default:
			continue
		}
		values = append(values, v)
	}
	s.say(imap.StatusData{Folder: name, Values: values})
}

// uids gives the messages of the view that a set names. A sequence number that no message has is a mistake of the
// client's (RFC 9051 §6.4.9), a UID that no message has is not.
func (f *folder) uids(set imap.NumSet, uid bool) (mail.UIDSet, error) {
	if uid {
		return set.UIDs(f.view.UIDs(), f.saved), nil
	}
	found, all := f.view.BySeq(numbers(set, uint32(f.view.Len())))
	if !all {
		return nil, imap.ErrBeyond
	}
	if set.Saved {
		found = found.Union(f.saved.Intersect(f.view.UIDs()))
	}
	return found, nil
}
