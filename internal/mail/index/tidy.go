package index

import (
	"cmp"
	"context"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/uidledger"
)

// removeOnce is how many objects of ledgers of deleted folders are deleted when an index is built, about.
const removeOnce = 1_024

// tidy gets rid of what nobody can ask for any more. Only when all nodes that there are are here and were asked: who is
// away may know less, and must find it.
func (s *state) tidy(ctx context.Context, e *cluster.Entry) error {
	if s.again || len(s.away) > 0 || !s.isWhole(e) || !s.hasAllLedgers(e) {
		return nil
	}
	for _, id := range s.folderIDs() {
		if _, ok := s.tree.Folder(id); !ok {
			continue
		}
		if err := s.forgetOld(ctx, e, s.folders[id]); err != nil {
			return err
		}
	}
	now, err := s.stamp(ctx, cluster.Timestamp{})
	if err != nil {
		return err
	}
	return s.removeOld(ctx, e, now.Time-int64(s.x.cfg.RemoveAfter))
}

// allGone reports that none of the messages lies on any disk, and that all nodes there are have said so.
func (s *state) allGone(ctx context.Context, e *cluster.Entry, ids []mail.MessageID) (bool, error) {
	slices.SortFunc(ids, compareIDs)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return true, nil
	}
	gone, err := s.gone(ctx, e, slices.Clone(ids), func(mail.MessageID, cluster.ReplicaSet) bool { return true })
	return err == nil && len(gone) == len(ids) && s.isWhole(e), err
}

// expungedOf gives the messages that a folder's ledger says are expunged.
func expungedOf(f *folder) (ids []mail.MessageID) {
	f.ledger.Stays(func(st uidledger.Stay) {
		if st.Expunged {
			ids = append(ids, st.ID)
		}
	})
	return ids
}

// forgetOld has a ledger forget the oldest of the expunged messages, once they are many: of each entry that is kept a manager's
// memory has a hundred bytes for ever. Of a user who moves mail to Trash and expunges it there the entries in the other folders
// are retired; these count too, and are marked as expunged first.
//
// It is safe if none of the messages lies on any disk, which all nodes are asked twice for: what is forgotten does not
// hide anything any more. See uidledger.Manager.Forget for the rest.
func (s *state) forgetOld(ctx context.Context, e *cluster.Entry, f *folder) error {
	var retired []uidledger.Departure
	f.ledger.Stays(func(st uidledger.Stay) {
		if _, dead := s.dead[st.ID]; dead && !st.Live && !st.Expunged {
			retired = append(retired, uidledger.Departure{ID: st.ID, Deleted: true})
		}
	})
	keep := s.x.cfg.EndsKept
	if _, ended := f.ledger.Old(0); ended+len(retired) < 2*keep {
		return nil
	}
	f.ledger.Depart(retired...)
	if err := s.reveal(ctx, f); err != nil {
		return err
	}
	if ok, err := s.allGone(ctx, e, expungedOf(f)); !ok {
		return err // something of it lies somewhere: its mark hides it
	}
	upTo, _ := f.ledger.Old(keep)
	f.ledger.Forget(upTo)
	return s.reveal(ctx, f)
}

// removeOld deletes the ledgers of folders that are no more, heads, chunks and grants, if nothing of them was written for
// RemoveAfter, and what was expunged in them lies nowhere. A folder that is made has a ledger BEFORE it is in the tree, but not for
// so long. Default folders keep theirs: they can be there again.
//
// A deletion of a folder can be undone by what the other side of a partition writes later. If that comes after all, from a node
// that stood still for three months, the folder is there without a ledger: it is lost then, and the folder begins anew under a
// greater UIDVALIDITY (openAll, L12). Its messages are in INBOX already.
func (s *state) removeOld(ctx context.Context, e *cluster.Entry, before int64) error {
	var updates []cluster.Update
	for _, id := range s.folderIDs() {
		pieces := s.ledgers[id]
		if len(pieces) == 0 || folders.IsDefault(id) || s.isHome(id) || slices.ContainsFunc(pieces, func(p piece) bool { return p.at.Time >= before }) {
			continue
		}
		if _, ok := s.tree.Folder(id); ok {
			continue
		}
		slices.SortFunc(pieces, func(a, b piece) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.node, b.node)) })
		if len(updates) > 0 && len(updates)+len(pieces) > removeOnce {
			break // the next index that is built goes on
		}
		if ok, err := s.allGone(ctx, e, expungedOf(s.folders[id])); err != nil {
			return err
		} else if !ok {
			continue
		}
		updates = append(updates, s.removals(pieces)...)
		delete(s.folders, id)
	}
	for i, err := range s.x.cluster.UpdateAll(context.WithoutCancel(ctx), updates) {
		if !mail.Holds(err) && !cluster.IsKind(err, cluster.KindNotFound) {
			s.x.cfg.Logger.Warn("a ledger of a folder that is no more is not deleted yet", "user", s.user, "object", updates[i].Object.ID.ID, "err", err)
		}
	}
	return nil
}

// removals are the updates that delete objects wherever they lie. The pieces are in order.
func (s *state) removals(pieces []piece) (updates []cluster.Update) {
	for len(pieces) > 0 {
		var on cluster.ReplicaSet
		id := pieces[0].id
		for len(pieces) > 0 && pieces[0].id == id {
			if len(on) < cluster.ReplicaSetMax {
				on = on.Union(cluster.ReplicaSet{pieces[0].node})
			}
			pieces = pieces[1:]
		}
		updates = append(updates, cluster.Update{Previous: on,
			Object: cluster.Object{ID: cluster.ObjectID{Type: mail.TypeLedger, Owner: string(s.user), ID: id}, Deleted: true}})
	}
	return updates
}

// isHome reports whether any message is in a folder, by its newest stay.
func (s *state) isHome(id mail.FolderID) bool {
	for _, m := range s.messages {
		if m.home.folder == id {
			return true
		}
	}
	for _, h := range s.absent {
		if h.folder == id {
			return true
		}
	}
	return false
}
