package index

import (
	"context"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// answerStore changes flags. The stamps are newer than those of the flags as they were, whatever the clocks say.
func (s *state) answerStore(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	f, err := s.reopen(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := checkFlags(q.Flags); err != nil {
		return nil, err
	}
	v := f.ledger.View()
	a := &talk.Answer{}
	var wanted mail.UIDSet
	var flaggings []uidledger.Flagging
	at, err := s.stamp(ctx, cluster.Timestamp{})
	if err != nil {
		return nil, err
	}
	var p page
	each(v, below(q.UIDs, q.Mark.Next), func(e *uidledger.Entry) bool {
		if !p.takes(e.Flags, besides(q.Flags, e.Flags)) { // as many as it may have then, and no fewer when it is asked again
			a.More = true
			return false
		}
		a.Next = e.UID
		if q.ModSeq > 0 && e.ModSeq > q.ModSeq {
			if storedBy(q, v.Registers(e.UID)) { // what others have changed since stands
				wanted.Append(e.UID)
			} else {
				a.Modified.Append(e.UID)
			}
			return true
		}
		wanted.Append(e.UID)
		flaggings = append(flaggings, flag(e, q, v.Registers(e.UID), at)...)
		return true
	})
	if err := f.ledger.SetFlags(flaggings...); err != nil {
		return nil, cluster.Errorf(cluster.KindOf(err), "store flags of "+string(s.user), "%w", err)
	}
	if err := s.revealChange(ctx, f); err != nil {
		return nil, err
	}
	each(f.ledger.View(), wanted, func(e *uidledger.Entry) bool {
		a.Summaries = append(a.Summaries, s.summary(e))
		return true
	})
	return a, nil
}

// besides gives the flags that are not among others.
func besides(flags, others []mail.Flag) []mail.Flag {
	return slices.DeleteFunc(slices.Clone(flags), func(f mail.Flag) bool { return slices.Contains(others, f) })
}

// checkFlags wants flags that the grammar lets through.
func checkFlags(flags []mail.Flag) error {
	for _, f := range flags {
		if f == "" || len(f) > uidledger.KeywordLenMax {
			return cluster.Errorf(cluster.KindLimit, "store flags", "a flag of %d octets, at most %d allowed", len(f), uidledger.KeywordLenMax)
		}
	}
	return nil
}

// flag gives the flags of one message that are to change.
func flag(e *uidledger.Entry, q *talk.Question, before []uidledger.Register, at cluster.Timestamp) (changes []uidledger.Flagging) {
	for _, r := range before {
		if r.Stamp.Compare(at) >= 0 {
			at.Time = r.Stamp.Time + 1
		}
	}
	at = signed(at, q)
	set := func(fl mail.Flag, on bool) {
		if slices.Contains(e.Flags, fl) != on {
			changes = append(changes, uidledger.Flagging{UID: e.UID, Register: uidledger.Register{Flag: fl, On: on, Stamp: at}})
		}
	}
	for _, fl := range q.Flags {
		set(fl, q.FlagOp != backend.FlagsRemove)
	}
	if q.FlagOp == backend.FlagsReplace {
		for _, fl := range e.Flags {
			if !slices.Contains(q.Flags, fl) {
				set(fl, false)
			}
		}
	}
	return changes
}

// revealChange shows a change that a client wants, and tells those who watch. If it fails it may stand or not: the
// ledgers say it.
func (s *state) revealChange(ctx context.Context, f *folder) error {
	if err := s.reveal(ctx, f); err != nil {
		s.broken = true
		return err
	}
	s.b.notify(f.id)
	return nil
}

// answerMove moves messages of a page of UIDs.
func (s *state) answerMove(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	to, err := s.tree.Find(q.To)
	if err != nil {
		return nil, err
	}
	from, err := s.reopen(ctx, q)
	if err != nil {
		return nil, err
	}
	a := &talk.Answer{}
	var ids []mail.MessageID
	var uids []mail.UID
	away := 0
	each(from.ledger.View(), below(q.UIDs, q.Mark.Next), func(e *uidledger.Entry) bool {
		if len(ids) == talk.PageMax {
			a.More = true
			return false
		}
		a.Next = e.UID
		if _, ok := s.homeOf(e.ID); !ok {
			away++
			return true
		}
		ids, uids = append(ids, e.ID), append(uids, e.UID)
		return true
	})
	if away > 0 { // all or none of a page, and never less than the client is told
		return nil, cluster.Errorf(cluster.KindUnavailable, "move mail of "+string(s.user), "%d messages cannot be found now", away)
	}
	if len(ids) == 0 || to.ID == from.id {
		return a, nil
	}
	target, err := s.shown(ctx, to.ID)
	if err != nil {
		return nil, err
	}
	if err := s.move(ctx, ids, from, target); err != nil {
		return nil, err
	}
	a.Placed = s.placed(target, ids, uids)
	s.b.notify(from.id, target.id)
	return a, nil
}

// placed says which UIDs messages have got.
func (s *state) placed(f *folder, ids []mail.MessageID, from []mail.UID) backend.Placed {
	v := f.ledger.View()
	p := backend.Placed{UIDValidity: v.UIDValidity()}
	for i, id := range ids {
		uid, ok := v.UID(id)
		if !ok {
			continue
		}
		p.To = append(p.To, uid)
		if from != nil {
			p.From = append(p.From, from[i])
		}
	}
	return p
}

// answerExpunge deletes what has \Deleted, a page of it.
func (s *state) answerExpunge(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	f, err := s.reopen(ctx, q)
	if err != nil {
		return nil, err
	}
	v := f.ledger.View()
	among := mail.UIDSet{{First: 1, Last: max(q.Mark.Next, 2) - 1}}
	if q.On {
		among = below(q.UIDs, q.Mark.Next)
	}
	a := &talk.Answer{}
	var ids []mail.MessageID
	each(v, among, func(e *uidledger.Entry) bool {
		if !slices.Contains(e.Flags, mail.FlagDeleted) {
			return true
		}
		if len(ids) == talk.PageMax {
			a.More = true
			return false
		}
		a.Next = e.UID
		ids = append(ids, e.ID)
		return true
	})
	return a, s.expunge(ctx, f, ids)
}

// expunge deletes messages: BEFORE the ledger says so, the objects are gone. Of a message that lies where nobody can be
// asked now the ledger says it first, and that is durable: it is deleted when it is listed again (condemn, found).
func (s *state) expunge(ctx context.Context, f *folder, ids []mail.MessageID) error {
	if len(ids) == 0 {
		return nil
	}
	updates := make([]cluster.Update, 0, len(ids))
	var known, unknown []mail.MessageID
	for _, id := range ids {
		m := s.messages[id]
		if m == nil {
			unknown = append(unknown, id)
			continue
		}
		known = append(known, id)
		updates = append(updates, s.deletion(id, m.place.nodes))
	}
	at, condemned, err := s.condemn(ctx, f, unknown)
	if err != nil {
		return err
	}
	var failed error
	for i, err := range s.x.cluster.UpdateAll(context.WithoutCancel(ctx), updates) {
		if !mail.Holds(err) && !cluster.IsKind(err, cluster.KindNotFound) {
			failed = err
			continue
		}
		s.bury(known[i])
	}
	if err := s.revealChange(ctx, f); err != nil {
		return err
	}
	s.condemned(at, condemned)
	if left := len(unknown) - len(condemned); failed == nil && left > 0 {
		failed = cluster.Errorf(cluster.KindUnavailable, "find messages", "%d cannot be found now", left)
	}
	if failed != nil {
		return cluster.Errorf(temporary(failed), "expunge mail of "+string(s.user), "not all are gone: %w", failed)
	}
	return nil
}

// answerPlaced gives messages that were stored for a folder their numbers, with the flags that they come with.
func (s *state) answerPlaced(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	if _, ok := s.tree.Folder(q.Folder); !ok {
		return nil, cluster.Errorf(cluster.KindNotFound, "store mail of "+string(s.user), "there is no such folder any more")
	}
	if err := s.closed(q.Folder); err != nil {
		return nil, err
	}
	f := s.folder(q.Folder)
	ids, arrivals, err := s.arrivalsOf(ctx, q)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		s.adopt(id, &q.Items[i].Object, home{folder: f.id, stay: arrivals[i].Stay})
	}
	f.ledger.Arrive(slices.DeleteFunc(arrivals, func(a uidledger.Arrival) bool { return s.messages[a.ID].home.folder != f.id })...)
	shown, err := s.shown(ctx, q.Folder)
	if err != nil {
		return nil, err
	}
	s.b.notify(f.id)
	s.tellLeftOut(shown, arrivals)
	a := &talk.Answer{Placed: s.placed(shown, ids, nil)}
	if len(q.UIDs) > 0 { // REPLACE: AFTER the new one is there
		return a, s.replace(ctx, q)
	}
	return a, nil
}

// tellLeftOut tells the administrator of keywords that messages came with, and a folder that has as many as it can did not take:
// a full folder does not keep a message out, and the answer has no place for it.
func (s *state) tellLeftOut(f *folder, arrivals []uidledger.Arrival) {
	poorer := 0
	var left mail.Flag // one of them
	for i := range arrivals {
		if _, there := f.ledger.View().UID(arrivals[i].ID); !there {
			continue
		}
		have := f.ledger.RegistersOf(arrivals[i].ID)
		missing := slices.IndexFunc(arrivals[i].Flags, func(came uidledger.Register) bool {
			return !slices.ContainsFunc(have, func(r uidledger.Register) bool { return r.Flag == came.Flag })
		})
		if missing >= 0 {
			poorer++
			left = arrivals[i].Flags[missing].Flag
		}
	}
	if poorer > 0 {
		s.x.cfg.Logger.Warn("keywords of new messages are left out: their folder has as many different ones as it can have",
			"user", s.user, "folder", f.id, "messages", poorer, "keyword", left, "most", uidledger.KeywordsMax)
	}
}

// arrivalsOf reads what was stored for a folder. It changes nothing: all of it is taken in, or none.
func (s *state) arrivalsOf(ctx context.Context, q *talk.Question) (ids []mail.MessageID, arrivals []uidledger.Arrival, err error) {
	op := "store mail of " + string(s.user)
	for i := range q.Items {
		o := &q.Items[i].Object
		o.ID.Owner = string(s.user)
		id, err := mail.ParseMessageID(o.ID.ID)
		if err == nil {
			err = checkFlags(q.Items[i].Flags)
		}
		if err != nil {
			return nil, nil, cluster.Errorf(cluster.KindInvalid, op, "%w", err)
		}
		if _, dead := s.dead[id]; dead {
			return nil, nil, cluster.Errorf(cluster.KindUnavailable, op, "message %s was taken back", id)
		}
		at, err := s.stamp(ctx, cluster.Timestamp{Time: s.stayOf(id)})
		if err != nil {
			return nil, nil, err
		}
		a := uidledger.Arrival{ID: id, Stay: at}
		if h, ok := s.homeOf(id); ok && h.folder == q.Folder {
			a.Stay = h.stay // the feed was quicker, or the question comes again: it keeps the UID that it may have
		}
		for _, fl := range q.Items[i].Flags {
			a.Flags = append(a.Flags, uidledger.Register{Flag: fl, On: true, Stamp: at})
		}
		ids, arrivals = append(ids, id), append(arrivals, a)
	}
	return ids, arrivals, nil
}

func (s *state) stayOf(id mail.MessageID) int64 {
	h, _ := s.homeOf(id)
	return h.stay.Time
}

// adopt takes in a message that was just stored, with its home. One that was shown before and moved since stays where it is.
func (s *state) adopt(id mail.MessageID, o *cluster.Object, h home) {
	m := s.messages[id]
	if m == nil {
		m = s.newMessage(id, o)
		m.version, m.place = o.Timestamp, s.placeOf(nil, o.Replicas)
		s.messages[id] = m
		m.home = h
		if was, away := s.absent[id]; away {
			m.home = was
			delete(s.absent, id)
		}
	} else if m.isTwin(o) {
		m.version, m.place = latest(m.version, o.Timestamp), s.placeOf(m.withTwin(o, nil, o.Replicas))
	}
	s.touch(h.folder)
}

// replace expunges what new messages take the place of (RFC 8508).
func (s *state) replace(ctx context.Context, q *talk.Question) error {
	old := *q
	old.Folder = q.From
	f, err := s.reopen(ctx, &old)
	if err != nil {
		return err
	}
	var ids []mail.MessageID
	each(f.ledger.View(), below(q.UIDs, q.Mark.Next), func(e *uidledger.Entry) bool {
		ids = append(ids, e.ID)
		return len(ids) < talk.PageMax
	})
	return s.expunge(ctx, f, ids)
}
