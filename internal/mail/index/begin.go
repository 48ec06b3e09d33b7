package index

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"math"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/uidledger"
)

// firstSet gives the ledger replicas that a folder began with, as far as anybody knows: what a head says, else what
// a replica has granted under. Only of a folder that nobody knows it is the replicas of the profile: these move.
func (s *state) firstSet(id mail.FolderID, found []ledgers) (headed, granted uidledger.Set) {
	for i := range found {
		l := found[i][id]
		if l == nil || l.bad != nil {
			continue
		}
		if l.Head != nil {
			head, err := uidledger.ParseHead(l.Head)
			if err != nil {
				l.bad = err
				continue
			}
			s.headed[id] = true
			if head.Set.Newer(&headed) {
				headed = head.Set
			}
		}
		if l.grant != nil {
			grant, err := uidledger.ParseGrant(l.grant)
			if err != nil {
				l.bad = err
				continue
			}
			if grant.Set.Newer(&granted) {
				granted = grant.Set
			}
		}
	}
	return headed, granted
}

// ledgerOf makes the ledger of a folder, as the newest of what was found says, with nothing in it yet.
//
// Chunks of a newer UIDVALIDITY than any head wait for the head, which was written BEFORE them, and may lie on a node that is
// away. If none is away it is lost, as it is when backups were put back, heads and what was granted are not in them, and the
// cluster had begun the folder anew meanwhile. Then what the chunks say is read under their UIDVALIDITY, and goes on under
// a greater one (openAll, L12): to wait would be to wait for ever. But nothing is lost while a node has something of the folder that is
// damaged: it may be that head, which is healed yet.
func (s *state) ledgerOf(id mail.FolderID, found []ledgers, whole bool) *folder {
	headed, granted := s.firstSet(id, found)
	newest := chunkValidity(id, found)
	s.unheaded[id] = newest > headed.UIDValidity
	if s.unheaded[id] && whole && !s.isDamaged(id, found) {
		delete(s.headed, id)
		s.lost[id] = true
		if granted.UIDValidity >= newest {
			return s.newLedger(id, granted)
		}
		return s.newFolder(id, newest)
	}
	// A set that was decided and that no head says yet is taken over first, before another one is proposed.
	s.deciding[id] = granted.Newer(&headed) && headed.Version > 0
	if headed.Version > 0 {
		return s.newLedger(id, headed)
	}
	if granted.Version > 0 {
		return s.newLedger(id, granted)
	}
	return s.newFolder(id, newest)
}

// isDamaged reports that some node has something of a folder that cannot be read. It reads all chunks for it, of a folder that
// is otherwise given up as lost.
func (s *state) isDamaged(id mail.FolderID, found []ledgers) bool {
	damaged := false
	for i := range found {
		l := found[i][id]
		if l == nil {
			continue
		}
		if l.bad == nil {
			trial := s.newLedger(id, uidledger.FirstSet(s.profile.Replicas, math.MaxUint32)).ledger
			if err := trial.Read(l.Snapshot); cluster.IsKind(err, cluster.KindCorrupt) { // else it is whole, whether its head is there or not
				l.bad = err
			}
		}
		damaged = damaged || l.bad != nil
	}
	return damaged
}

// openFolder makes the ledger of a folder from what the nodes have of it. A node of which it is damaged counts as one that is away,
// for this folder. If nothing is left of it then, or what is left waits for what is damaged, the folder is closed (findAway).
func (s *state) openFolder(e *cluster.Entry, id mail.FolderID, nodes cluster.ReplicaSet, found []ledgers) error {
	f := s.ledgerOf(id, found, s.hasAllNodes(e))
	headed := false
	var waits error
	for i, node := range nodes {
		if !s.read.Contains(node) {
			continue
		}
		have := found[i][id]
		if have == nil {
			have = &nodeLedger{Snapshot: uidledger.Snapshot{Node: node, Full: true}}
		}
		if have.bad == nil {
			if have.bad = f.ledger.Read(have.Snapshot); have.bad == nil {
				headed = headed || have.Head != nil
				continue
			}
			if k := cluster.KindOf(have.bad); k != cluster.KindCorrupt {
				waits = cluster.Errorf(k, "read the ledger of folder "+id.String()+" at node "+node.String(), "%w", have.bad)
				continue
			}
		}
		s.damaged[id] = have.bad
		s.x.cfg.Logger.Error("a ledger is damaged, and what other nodes have of it counts: run 'porcupine store verify' on the node",
			"user", s.user, "folder", id, "node", node, "err", have.bad)
	}
	if bad := s.damaged[id]; bad != nil && (!headed || waits != nil) {
		return s.leaveDamaged(id, bad)
	}
	if waits != nil {
		return waits
	}
	s.folders[id] = f
	return nil
}

// leaveDamaged leaves a folder of which no node has a ledger that can be read without one, and so closed. A user without a tree
// waits whole: the folder would be begun anew, and the same UIDs mean other messages.
func (s *state) leaveDamaged(id mail.FolderID, bad error) error {
	for _, of := range []map[mail.FolderID]bool{s.headed, s.lost, s.unheaded, s.deciding} {
		delete(of, id)
	}
	if s.isFresh() {
		return cluster.Errorf(cluster.KindCorrupt, "read the ledger of folder "+id.String(), "%w", bad)
	}
	return nil
}

// isStranded reports that so many of a folder's ledger replicas were removed for good that no vote can ever be held: they are no
// members, and no node is away. The others go on alone, until they may give no more numbers (L9).
func (s *state) isStranded(ctx context.Context, f *folder) bool {
	if e, ok := s.x.cluster.LocalEntry(ctx, string(s.user)); !ok || !s.hasAllLedgers(&e) {
		return false
	}
	set := f.ledger.Set()
	nodes := set.Nodes()
	view, there := s.x.cluster.View(), 0
	for _, id := range nodes {
		if view.Contains(id) {
			there++
		}
	}
	return 2*there <= len(nodes)
}

// beginAnew begins a ledger that is lost, or its replicas are, under a greater UIDVALIDITY: with all that was found of it.
func (s *state) beginAnew(ctx context.Context, id mail.FolderID) error {
	s.x.cfg.Logger.Error("a ledger is lost: the folder gets another UIDVALIDITY", "user", s.user, "folder", id)
	f, validity := s.folder(id), uint32(0)
	if known, ok := s.tree.Folder(id); ok {
		known, err := s.bump(ctx, id, known.UIDValidity)
		if err != nil {
			return err
		}
		validity = s.greater(f, &known)
	} else { // nobody is shown it, but messages in it are put into others
		set := f.ledger.Set()
		validity = set.UIDValidity + 1
	}
	if !s.isStranded(ctx, f) {
		f.renew(validity)
		return nil
	}
	if err := f.ledger.Restart(firstNodes(s.profile.Replicas), validity); err != nil {
		return cluster.Errorf(cluster.KindOf(err), "begin a ledger of "+string(s.user)+" anew", "%w", err)
	}
	return nil
}

// chunkValidity is the greatest UIDVALIDITY of a folder's chunks: of one that has nothing else, since it comes from a
// backup. What they say of flags is read under it.
func chunkValidity(id mail.FolderID, found []ledgers) (validity uint32) {
	for i := range found {
		if l := found[i][id]; l != nil {
			for _, c := range l.Chunks { // of a damaged one it is 0
				validity = max(validity, uidledger.ChunkValidity(c))
			}
		}
	}
	return validity
}

// newFolder gives the ledger of a folder of which no head is known. chunks is the UIDVALIDITY of what there is of it, which is
// read under it; 0: nothing.
func (s *state) newFolder(id mail.FolderID, chunks uint32) *folder {
	validity := uint32(1) // of a folder that is no more: nobody is shown it
	if chunks > 0 {
		validity = chunks
	} else if known, ok := s.tree.Folder(id); ok {
		if validity = s.validity(&known); s.isFresh() {
			validity += s.mark()
		}
	}
	return s.newLedger(id, uidledger.FirstSet(s.profile.Replicas, validity))
}

// validity is a folder's UIDVALIDITY: that of the tree, but for a name that was somebody else's before, as large as
// the time when that one went. What clients have of a former user's INBOX means nothing in this one's (U1).
func (s *state) validity(f *folders.Folder) uint32 {
	seconds := max(s.floor.Time, 0) / int64(time.Second)
	return max(f.UIDValidity, uint32(min(seconds, math.MaxUint32-1)))
}

// Marks of the first ledger replicas: below them in a new name, and in one that was somebody else's, where UIDVALIDITY
// must not run ahead of the time.
const (
	marksNew    = 1 << 24
	marksReused = 1 << 10
	defaultsMax = 1 << 8 // what the tree gives default folders is below it
)

// mark is what the first ledger replicas of a user's default folders add to their UIDVALIDITY. Each manager that finds no
// ledger begins with the replicas of the profile. The head that it writes, BEFORE anybody is shown anything, says
// which these are, and the next manager takes them over. But a profile moves, and a manager that has been cut off and does not
// know it yet may begin too, elsewhere: the same UID could mean two messages. With the mark they are of two
// UIDVALIDITYs, so it does not (U1). When they meet the greater one stands, everywhere, as after L12. A folder
// that somebody makes has an id that no other manager knows before its head is written, and needs no mark.
func (s *state) mark() uint32 {
	h := fnv.New64a()
	for _, id := range firstNodes(s.profile.Replicas) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(id))) // never fails
	}
	sum := h.Sum64() ^ h.Sum64()>>32
	return uint32(sum % uint64(s.marks()))
}

func (s *state) marks() uint32 {
	if s.floor.IsZero() {
		return marksNew
	}
	return marksReused
}

// markedMax is above all UIDVALIDITYs that a default folder may have begun with.
func (s *state) markedMax() uint32 {
	return s.validity(&folders.Folder{UIDValidity: defaultsMax}) + s.marks()
}
