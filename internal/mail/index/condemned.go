package index

import (
	"context"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

// condemn expunges messages that lie where nobody can be asked now: the ledger says it first, and the objects are deleted
// when somebody lists them again (found). It gives when; what cannot be found anywhere in the index is left out.
func (s *state) condemn(ctx context.Context, f *folder, ids []mail.MessageID) (at cluster.Timestamp, condemned []mail.MessageID, err error) {
	var uids mail.UIDSet
	v := f.ledger.View()
	for _, id := range ids {
		if _, away := s.absent[id]; !away {
			continue
		}
		if uid, ok := v.UID(id); ok {
			condemned = append(condemned, id)
			uids = uids.Union(mail.NewUIDSet(uid))
		}
	}
	if len(condemned) == 0 {
		return at, nil, nil
	}
	if at, err = s.stamp(ctx, cluster.Timestamp{}); err == nil {
		f.ledger.Condemn(at, uids)
	}
	return at, condemned, err
}

// condemned notes what has been condemned, AFTER the ledger has it on disks.
func (s *state) condemned(at cluster.Timestamp, ids []mail.MessageID) {
	for _, id := range ids {
		delete(s.absent, id)
		s.dead[id] = at
	}
}

// found is called with a message that is dead and was listed all the same. It is deleted if its expunge says so, and if it is older
// than that. What is newer was put back from a backup, or written anew while it was moved from node to node: it stays
// where it is, and is not shown. The mark was read from a ledger replica's disk, or written there, and never
// goes away: so it does not matter who deletes, or whether that one is still the manager.
//
// POP3 asks the index too, of a user who has folders; and nobody has a condemned message without having folders.
func (s *state) found(id mail.MessageID, o *cluster.Object, nodes cluster.ReplicaSet) {
	at := s.dead[id]
	switch {
	case at.IsZero():
	case o.Timestamp.Compare(at) >= 0:
		s.dead[id] = cluster.Timestamp{}
		delete(s.doomed, id)
	default:
		s.doomed[id] = s.doomed[id].Union(nodes)
	}
}

// execute deletes what was found, as many at a time as one question may delete. What cannot be deleted now is tried again with
// the next question.
func (s *state) execute(ctx context.Context) {
	if len(s.doomed) == 0 {
		return
	}
	ids := make([]mail.MessageID, 0, len(s.doomed))
	for id := range s.doomed {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, compareIDs)
	ids = ids[:min(len(ids), talk.PageMax)]
	updates := make([]cluster.Update, 0, len(ids))
	for _, id := range ids {
		updates = append(updates, s.deletion(id, s.doomed[id]))
	}
	for i, err := range s.x.cluster.UpdateAll(context.WithoutCancel(ctx), updates) {
		if mail.Holds(err) || cluster.IsKind(err, cluster.KindNotFound) {
			delete(s.doomed, ids[i])
			continue
		}
		s.x.cfg.Logger.Warn("a message that was expunged while its nodes were away is not deleted yet", "user", s.user, "message", ids[i], "err", err)
	}
}

// deletion is the update that deletes a message wherever it may lie. This node takes part: it keeps the record, so the
// deletion stands though none of the others can be reached.
func (s *state) deletion(id mail.MessageID, on cluster.ReplicaSet) cluster.Update {
	nodes := on[:min(len(on), cluster.ReplicaSetMax)]
	if len(nodes) < cluster.ReplicaSetMax {
		nodes = nodes.Union(cluster.ReplicaSet{s.x.cluster.ID()})
	}
	return cluster.Update{Object: cluster.Object{ID: id.Object(s.user), Deleted: true}, Previous: nodes}
}

// homeOf gives where a message is, also of one that lies where nobody can be asked now. nil: nobody knows of it.
func (s *state) homeOf(id mail.MessageID) (home, bool) {
	if m := s.messages[id]; m != nil {
		return m.home, true
	}
	h, ok := s.absent[id]
	return h, ok
}

// settle puts a message into a folder, for the index.
func (s *state) settle(id mail.MessageID, h home) {
	if m := s.messages[id]; m != nil {
		m.home = h
		return
	}
	h.hasUID = true
	s.absent[id] = h
}

// takeDead notes what a ledger says of a message that was expunged.
func (s *state) takeDead(st *uidledger.Stay) {
	if at, ok := s.dead[st.ID]; !ok || at.Compare(st.Condemned) < 0 {
		s.dead[st.ID] = st.Condemned
	}
}
