package imapserver

import (
	"context"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/imapserver/view"
)

// numbers gives sequence numbers as ranges, "*" being the largest one.
func numbers(set imap.NumSet, largest uint32) []view.SeqRange {
	ranges := make([]view.SeqRange, 0, len(set.Ranges))
	for _, r := range set.Ranges {
		if r.First == imap.Star {
			r.First = largest
		}
		if r.Last == imap.Star {
			r.Last = largest
		}
		ranges = append(ranges, view.SeqRange{First: min(r.First, r.Last), Last: max(r.First, r.Last)})
	}
	return ranges
}

// store carries out STORE and UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
func (s *session) store(c imap.Command) imap.Reply {
	args := c.Args.(imap.Store)
	f := s.folder
	if f.readOnly {
		return no("", textReadOnly)
	}
	if args.Conditional {
		s.useCondStore()
	}
	uids, err := f.uids(args.Set, c.UID)
	if err != nil {
		return s.wrong(err.Error())
	}
	if args.Conditional && args.UnchangedSince == 0 { // every message has a modification sequence above 0
		return s.modified(c, uids, len(uids) > 0)
	}
	if len(uids) == 0 {
		return done(c.Verb)
	}
	change := FlagChange{Op: [...]FlagOp{imap.StoreReplace: FlagsReplace, imap.StoreAdd: FlagsAdd, imap.StoreRemove: FlagsRemove}[args.Op], Flags: args.Flags}
	var stored []mail.Summary
	var modified mail.UIDSet
	err = s.long(c.Verb, func(ctx context.Context) (err error) {
		stored, modified, err = f.selected.Store(ctx, uids, change, args.UnchangedSince)
		return err
	})
	if err != nil {
		if cluster.IsKind(err, cluster.KindLimit) { // RFC 9051 §7.1: without "\*"
			s.sayPermanentFlags(f, f.selected.Status().Keywords, false)
		}
		return s.failure(err, onOther)
	}
	for i := range stored {
		f.view.Own(stored[i].UID, stored[i].ModSeq)
		switch {
		case !args.Silent:
			s.sayFlags(f, &stored[i], c.UID)
		case s.enabled.condstore: // RFC 7162 §3.1.3: the new modification sequence is told all the same
			s.sayModSeq(f, &stored[i], c.UID)
		}
	}
	r := s.modified(c, modified, len(modified) > 0)
	if !c.UID && len(stored)+modified.Len() < uids.Len() { // RFC 2180 §4.2.1
		r.Kind, r.Text = imap.NO, "some of the messages are gone"
		if r.Code.IsZero() { // MODIFIED must be told if there is one (RFC 7162 §3.1.3)
			r.Code.Name = imap.CodeExpungeIssued
		}
	}
	return r
}

// modified is the answer to a STORE that left messages as they were, because they had been changed.
func (s *session) modified(c imap.Command, uids mail.UIDSet, some bool) imap.Reply {
	r := done(c.Verb)
	if !some {
		return r
	}
	r.Code = imap.Code{Name: imap.CodeModified, Set: imap.SetOf(uids)}
	if !c.UID {
		r.Code.Set = imap.NumSet{}
		for _, x := range s.folder.view.Seqs(uids) {
			r.Code.Set.Ranges = append(r.Code.Set.Ranges, imap.NumRange{First: x.First, Last: x.Last})
		}
	}
	return r
}

// sayModSeq tells a modification sequence alone.
func (s *session) sayModSeq(f *folder, sum *mail.Summary, uid bool) {
	seq, ok := f.view.Seq(sum.UID)
	if !ok {
		return
	}
	values := make([]imap.FetchValue, 0, 2)
	if uid || s.enabled.condstore { // RFC 7162 §3.2.4
		values = append(values, imap.FetchValue{Item: imap.FetchItem{Kind: imap.FetchUID}, Number: uint64(sum.UID)})
	}
	values = append(values, imap.FetchValue{Item: imap.FetchItem{Kind: imap.FetchModSeq}, Number: uint64(sum.ModSeq)})
	s.toldModSeq(sum.ModSeq)
	s.say(imap.FetchData{Number: seq, Values: values})
}
