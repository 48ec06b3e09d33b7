package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/uidledger"
)

// treeID is the object of a user's folders.
func (s *state) treeID() cluster.ObjectID {
	return cluster.ObjectID{Type: mail.TypeFolders, Owner: string(s.user)}
}

// readTree takes the tree of folders out of the entry. That a user has none is believed only if that is proven: a
// profile that is known proves nothing about it (V1, V2).
func (s *state) readTree(e *cluster.Entry) error {
	op := "read the folders of " + string(s.user)
	var contents []byte
	s.treeAt = cluster.Object{}
	o, ok := e.Find(mail.TypeFolders, "")
	switch {
	case ok && o.Object.Timestamp.Compare(s.floor) > 0:
		contents, s.treeAt = o.Contents, o.Object
	case e.Knowledge != cluster.Conclusive:
		return cluster.Errorf(cluster.KindUnavailable, op, "they may lie on a node that is away")
	}
	tree, err := folders.Parse(contents)
	if err != nil {
		return cluster.Errorf(cluster.KindCorrupt, op, "%w", err)
	}
	s.tree = tree
	return nil
}

// isFresh reports that the user has no tree yet. It is written AFTER the ledgers of all folders in it were begun. So a
// tree that is there says that the ledgers are, too, somewhere.
func (s *state) isFresh() bool { return s.treeAt.Timestamp.IsZero() }

// writeTree makes a tree durable, and takes it BEFORE anybody is told of it.
func (s *state) writeTree(ctx context.Context, tree *folders.Tree) error {
	op := "write the folders of " + string(s.user)
	if tree == s.tree && !s.isFresh() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.x.cfg.LedgerWait)
	defer cancel()
	contents := tree.Marshal()
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return err
	}
	o := cluster.Object{ID: s.treeID(), Timestamp: at, Replicas: s.profile.Replicas, Copies: s.profile.Copies,
		Size: int64(len(contents)), Sum: sha256.Sum256(contents)}
	err = s.x.cluster.Update(ctx, cluster.Update{Object: o, Previous: s.treeAt.Replicas}, bytes.NewReader(contents))
	if !mail.Holds(err) {
		s.broken = true // it may have been written all the same
		return cluster.Errorf(temporary(err), op, "%w", err)
	}
	s.tree, s.treeAt = tree, o
	return nil
}

// temporary gives the kind of a write that failed: nothing that happens while writing is for good (V1).
func temporary(err error) cluster.Kind {
	switch k := cluster.KindOf(err); k {
	case cluster.KindFull, cluster.KindLimit:
		return k
	}
	return cluster.KindUnavailable
}

// settleTree carries out what two sides of a partition have left to do: folders that were merged, and messages in
// folders that are no more.
func (s *state) settleTree(ctx context.Context) error {
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return err
	}
	tree, conflicts, err := s.tree.Settle(at)
	if err != nil {
		return cluster.Errorf(cluster.KindOf(err), "settle the folders of "+string(s.user), "%w", err)
	}
	if err := s.writeTree(ctx, tree); err != nil {
		return err
	}
	if len(s.away) > 0 { // what is moved on half the knowledge is moved for good
		return s.renewAll(ctx)
	}
	if err := s.rehome(ctx); err != nil {
		return err
	}
	for _, c := range conflicts {
		if at, err = s.stamp(ctx, s.treeAt.Timestamp); err != nil {
			return err
		}
		// AFTER its messages have been put into the other.
		if tree, err = s.tree.Absorbed(c, at); err != nil {
			return cluster.Errorf(cluster.KindOf(err), "settle the folders of "+string(s.user), "%w", err)
		}
		if err := s.writeTree(ctx, tree); err != nil {
			return err
		}
	}
	return s.renewAll(ctx)
}

// rehome moves the messages whose folder is no more to where they belong now.
func (s *state) rehome(ctx context.Context) error {
	lost := make(map[mail.FolderID][]mail.MessageID)
	for id, m := range s.messages {
		if s.tree.Home(m.home.folder) != m.home.folder {
			lost[m.home.folder] = append(lost[m.home.folder], id)
		}
	}
	for _, from := range s.folderIDs() {
		ids := lost[from]
		if len(ids) == 0 {
			continue
		}
		slices.SortFunc(ids, compareIDs)
		if err := s.move(ctx, ids, s.folder(from), s.folder(s.tree.Home(from))); err != nil {
			return err
		}
	}
	return nil
}

// renewAll gives folders whose UIDs mean nothing any more others, under a greater UIDVALIDITY (L12).
func (s *state) renewAll(ctx context.Context) error {
	for _, id := range s.folderIDs() {
		known, ok := s.tree.Folder(id)
		if !ok || s.away[id] {
			continue
		}
		f := s.folders[id]
		if f.ledger.Torn() {
			s.x.cfg.Logger.Error("a UID was found to mean two messages: the folder gets another UIDVALIDITY", "user", s.user, "folder", id)
			renewed, err := s.bump(ctx, id, known.UIDValidity)
			if err != nil {
				return err
			}
			f.renew(s.greater(f, &renewed))
			known = renewed
		}
		f.renew(s.validity(&known))
		if err := s.follow(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// follow has the ledger replicas be those of the profile (L9), if a majority of the present ones can be reached, which
// decides it, and all new ones. Else, and if it fails, a later index that is built does it: the folder must not wait for it.
func (s *state) follow(ctx context.Context, f *folder) error {
	known := f.ledger.Set()
	present, wanted := known.Nodes(), firstNodes(s.profile.Replicas)
	reached := len(present) - len(present.Without(s.read))
	if s.again || present.Equal(wanted) || s.deciding[f.id] || 2*reached <= len(present) || !s.read.ContainsAll(wanted) {
		return nil
	}
	if err := f.ledger.Propose(wanted); err != nil {
		return cluster.Errorf(cluster.KindOf(err), "change the ledger replicas of "+string(s.user), "%w", err)
	}
	if err := s.reveal(ctx, f); err != nil {
		return cluster.Errorf(cluster.KindUnavailable, "change the ledger replicas of "+string(s.user), "%w", err)
	}
	return nil
}

// firstNodes are those that can be ledger replicas, of the profile's.
func firstNodes(nodes cluster.ReplicaSet) cluster.ReplicaSet {
	return nodes[:min(len(nodes), uidledger.LanesMax)]
}

// bump writes a greater UIDVALIDITY for a folder that has this one.
func (s *state) bump(ctx context.Context, id mail.FolderID, than uint32) (folders.Folder, error) {
	known, ok := s.tree.Folder(id)
	if ok && known.UIDValidity > than {
		return known, nil
	}
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return known, err
	}
	tree, known, err := s.tree.Bump(id, at)
	if err != nil {
		return known, cluster.Errorf(cluster.KindOf(err), "give another UIDVALIDITY to folder "+id.String(), "%w", err)
	}
	return known, s.writeTree(ctx, tree)
}

// greater is a UIDVALIDITY that the folder has not had: that of the tree, which has just grown, or a greater one. The
// ledger's may be ahead of the tree's, and so may that of one that is lost: see mark.
func (s *state) greater(f *folder, known *folders.Folder) uint32 {
	return max(s.validity(known), f.ledger.Set().UIDValidity+1, s.markedMax())
}

// renew wants the UIDVALIDITY of the tree, if it is greater.
func (f *folder) renew(validity uint32) {
	if set := f.ledger.Set(); validity > set.UIDValidity {
		f.ledger.Renew(validity)
	}
}

// move puts messages into another folder, those too that lie where nobody can be asked now: BEFORE the old one's ledger retires them, the new one's has them, with
// their flags and a newer stay. So whoever breaks it off leaves them in both for a while, never in neither.
func (s *state) move(ctx context.Context, ids []mail.MessageID, from, to *folder) error {
	arrivals := make([]uidledger.Arrival, 0, len(ids))
	departures := make([]uidledger.Departure, 0, len(ids))
	var newest cluster.Timestamp
	for _, id := range ids {
		if h, ok := s.homeOf(id); ok && newest.Compare(h.stay) < 0 {
			newest = h.stay
		}
	}
	stay, err := s.stamp(ctx, newest)
	if err != nil {
		return err
	}
	for _, id := range ids {
		arrivals = append(arrivals, uidledger.Arrival{ID: id, Stay: stay, Flags: from.ledger.RegistersOf(id)})
		departures = append(departures, uidledger.Departure{ID: id, Stay: stay}) // should it come back meanwhile, that is later
	}
	to.ledger.Arrive(arrivals...)
	if err := s.reveal(ctx, to); err != nil {
		s.broken = true // they may be in both now: the ledgers say it
		return err
	}
	for _, id := range ids {
		s.settle(id, home{folder: to.id, stay: stay})
	}
	from.ledger.Depart(departures...)
	s.touch(from.id)
	s.touch(to.id)
	if err := s.reveal(ctx, from); err != nil {
		s.broken = true
		return err
	}
	return nil
}
