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
	count := 0
	each(v, below(q.UIDs, q.Mark.Next), func(e *uidledger.Entry) bool {
		if count++; count > talk.PageMax {
			a.More = true
			return false
		}
		a.Next = e.UID
		if q.ModSeq > 0 && e.ModSeq > q.ModSeq {
			a.Modified.Append(e.UID)
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
		if s.messages[e.ID] == nil {
			away++
			return true
		}
		ids, uids = append(ids, e.ID), append(uids, e.UID)
		return true
	})
	if away > 0 { // all or none of a page, and never less than the client is told
		return nil, cluster.Errorf(cluster.KindUnavailable, "move mail of "+string(s.user), "%d messages lie on nodes that are away", away)
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
// asked now the ledger says it first: its nodes hear of it when it is listed again.
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
		updates = append(updates, s.deletion(id, m))
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
	if failed == nil && len(unknown) > 0 {
		failed = cluster.Errorf(cluster.KindUnavailable, "find messages", "%d lie on nodes that are away", len(unknown))
	}
	if failed != nil {
		return cluster.Errorf(temporary(failed), "expunge mail of "+string(s.user), "not all are gone: %w", failed)
	}
	return nil
}

// deletion is the update that deletes a message wherever it may lie. This node takes part: it keeps the record, so the
// deletion stands though none of the others can be reached.
func (s *state) deletion(id mail.MessageID, m *message) cluster.Update {
	nodes := m.place.nodes[:min(len(m.place.nodes), cluster.ReplicaSetMax)]
	if len(nodes) < cluster.ReplicaSetMax {
		nodes = nodes.Union(cluster.ReplicaSet{s.x.cluster.ID()})
	}
	return cluster.Update{Object: cluster.Object{ID: id.Object(s.user), Deleted: true}, Previous: nodes}
}

// answerPlaced gives messages that were stored for a folder their numbers, with the flags that they come with.
func (s *state) answerPlaced(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	if _, ok := s.tree.Folder(q.Folder); !ok {
		return nil, cluster.Errorf(cluster.KindNotFound, "store mail of "+string(s.user), "there is no such folder any more")
	}
	f := s.folder(q.Folder)
	ids := make([]mail.MessageID, 0, len(q.Items))
	arrivals := make([]uidledger.Arrival, 0, len(q.Items))
	for i := range q.Items {
		o := q.Items[i].Object
		o.ID.Owner = string(s.user)
		id, err := mail.ParseMessageID(o.ID.ID)
		if err == nil {
			err = checkFlags(q.Items[i].Flags)
		}
		if err != nil {
			return nil, cluster.Errorf(cluster.KindInvalid, "store mail of "+string(s.user), "%w", err)
		}
		at, err := s.stamp(ctx, cluster.Timestamp{Time: s.stayOf(id)})
		if err != nil {
			return nil, err
		}
		if _, dead := s.dead[id]; dead {
			return nil, cluster.Errorf(cluster.KindUnavailable, "store mail of "+string(s.user), "message %s was taken back", id)
		}
		a := uidledger.Arrival{ID: id, Stay: at}
		if m := s.messages[id]; m != nil && m.home.folder == f.id {
			a.Stay = m.home.stay // the feed was quicker, or the question comes again: it keeps the UID that it may have
		}
		for _, fl := range q.Items[i].Flags {
			a.Flags = append(a.Flags, uidledger.Register{Flag: fl, On: true, Stamp: at})
		}
		ids, arrivals = append(ids, id), append(arrivals, a)
		s.adopt(id, &o, home{folder: f.id, stay: a.Stay})
	}
	f.ledger.Arrive(arrivals...)
	shown, err := s.shown(ctx, q.Folder)
	if err != nil {
		return nil, err
	}
	s.b.notify(f.id)
	a := &talk.Answer{Placed: s.placed(shown, ids, nil)}
	if len(q.UIDs) > 0 { // REPLACE: AFTER the new one is there
		return a, s.replace(ctx, q)
	}
	return a, nil
}

func (s *state) stayOf(id mail.MessageID) int64 {
	if m := s.messages[id]; m != nil {
		return m.home.stay.Time
	}
	return 0
}

// adopt takes in a message that was just stored, with its home.
func (s *state) adopt(id mail.MessageID, o *cluster.Object, h home) {
	m := s.messages[id]
	if m == nil {
		m = s.newMessage(id, o)
		m.version, m.place = o.Timestamp, s.placeOf(nil, o.Replicas)
		s.messages[id] = m
		delete(s.absent, id)
	}
	m.home = h
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
