package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/uidledger"
)

const (
	ledgerStepsMax   = 1_000 // steps of one folder until all that is wanted is shown
	ledgerPagesMax   = 100_000
	ledgerWritesOnce = 16 // objects of one folder that are written at once
)

// ledgers are the ledger objects of one node: for each folder the head, the chunks, and what the node itself has granted.
type ledgers map[mail.FolderID]*nodeLedger

type nodeLedger struct {
	uidledger.Snapshot
	grant []byte
}

// readLedgers reads the ledgers of all folders at every node that has any and can be reached. KindUnavailable:
// there is none.
func (s *state) readLedgers(ctx context.Context, e *cluster.Entry) error {
	op := "read the ledgers of " + string(s.user)
	nodes := s.profile.Replicas
	for i := range e.Fragments {
		if f := &e.Fragments[i]; f.Type == mail.TypeLedger {
			nodes = nodes.Union(cluster.NewReplicaSet(f.Holders...))
		}
	}
	view := s.x.cluster.View()
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(id cluster.NodeID) bool { return !view.Contains(id) })
	found := make([]ledgers, len(nodes))
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, id := range nodes {
		wg.Go(func() { found[i], errs[i] = s.readLedgersAt(ctx, id) })
	}
	wg.Wait()
	var failed error
	for i, id := range nodes {
		if errs[i] != nil { // away, or what it has is damaged: another one has it
			failed = errs[i]
			continue
		}
		s.read = s.read.Union(cluster.ReplicaSet{id})
	}
	if len(s.read) == 0 {
		return cluster.Errorf(cluster.KindUnavailable, op, "no ledger replica can be reached: %w", errors.Join(failed, errNoReplica))
	}
	known := make(map[mail.FolderID]struct{})
	for i := range found {
		for f := range found[i] {
			known[f] = struct{}{}
		}
	}
	for f := range known {
		if err := s.openFolder(f, nodes, found); err != nil {
			return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
		}
	}
	return nil
}

var errNoReplica = errors.New("start one of the nodes that hold the user's profile")

// Kinds of ledger objects (uidledger.ParseID).
const (
	kindHead  = 'h'
	kindChunk = 'c'
	kindGrant = 'g'
)

// readLedgersAt reads all ledger objects of the user at one node. What a head says of the chunks is true of later
// ones only. So AFTER all were read, the chunks that have changed since are read again.
func (s *state) readLedgersAt(ctx context.Context, node cluster.NodeID) (ledgers, error) {
	ctx, cancel := context.WithTimeout(ctx, s.x.cfg.LedgerWait)
	defer cancel()
	all := make(ledgers)
	versions := make(map[string]cluster.Timestamp)
	after, more := "", true
	for range ledgerPagesMax {
		var page []cluster.Copy
		var err error
		if page, more, err = s.x.cluster.Contents(ctx, node, string(s.user), mail.TypeLedger, after); err != nil {
			return nil, err
		}
		for i := range page {
			after = page[i].Object.ID.ID
			if page[i].Err != nil {
				return nil, page[i].Err
			}
			versions[after] = page[i].Object.Timestamp
			s.takeCopy(all, node, &page[i].Object, page[i].Contents)
		}
		if !more || len(page) == 0 {
			break
		}
	}
	if more {
		return nil, cluster.Errorf(cluster.KindLimit, "read the ledgers of "+string(s.user), "node %s has more than %d pages", node, ledgerPagesMax)
	}
	objects, err := s.x.cluster.List(ctx, node, string(s.user), mail.TypeLedger)
	if err != nil {
		return nil, err
	}
	for i := range objects {
		o := &objects[i]
		if _, kind, _, err := uidledger.ParseID(o.ID.ID); err != nil || kind != kindChunk || versions[o.ID.ID] == o.Timestamp {
			continue
		}
		now, contents, err := open(ctx, s.x.cluster, node, o.ID)
		if err != nil && !cluster.IsKind(err, cluster.KindNotFound) {
			return nil, err
		}
		if err == nil {
			s.takeCopy(all, node, &now, contents)
		}
	}
	return all, nil
}

// takeCopy puts one object where it belongs, if it is the user's and no former user's of that name.
func (s *state) takeCopy(all ledgers, node cluster.NodeID, o *cluster.Object, contents []byte) {
	f, kind, n, err := uidledger.ParseID(o.ID.ID)
	if err != nil || o.Timestamp.Compare(s.floor) <= 0 {
		return
	}
	l := all[f]
	if l == nil {
		l = &nodeLedger{Snapshot: uidledger.Snapshot{Node: node, Full: true, Chunks: make(map[uint32][]byte)}}
		all[f] = l
	}
	switch kind {
	case kindHead:
		l.Head = contents
	case kindChunk:
		l.Chunks[uint32(n)] = contents
	case kindGrant:
		l.grant = contents
	}
}

// firstSet gives the ledger replicas that a folder began with, as far as anybody knows: what a head says, else what
// a replica has granted under. Only of a folder that nobody knows it is the replicas of the profile: these move.
func (s *state) firstSet(id mail.FolderID, found []ledgers) (first uidledger.Set, known bool, err error) {
	var granted uidledger.Set
	for i := range found {
		l := found[i][id]
		if l == nil {
			continue
		}
		if l.Head != nil {
			head, err := uidledger.ParseHead(l.Head)
			if err != nil {
				return first, false, err
			}
			s.headed[id] = true
			if head.Set.Newer(&first) {
				first = head.Set
			}
		}
		if l.grant != nil {
			grant, err := uidledger.ParseGrant(l.grant)
			if err != nil {
				return first, false, err
			}
			if grant.Set.Newer(&granted) {
				granted = grant.Set
			}
		}
	}
	// A set that was decided and that no head says yet is taken over first, before another one is proposed.
	s.deciding[id] = granted.Newer(&first) && first.Version > 0
	if first.Version == 0 {
		first = granted
	}
	return first, first.Version > 0, nil
}

// openFolder makes the ledger of a folder from what the nodes have of it.
func (s *state) openFolder(id mail.FolderID, nodes cluster.ReplicaSet, found []ledgers) error {
	first, known, err := s.firstSet(id, found)
	if err != nil {
		return cluster.Errorf(cluster.KindCorrupt, "read the ledger of folder "+id.String(), "%w", err)
	}
	var f *folder
	if known {
		f = s.newLedger(id, first)
	} else {
		f = s.newFolder(id, chunkValidity(id, found))
	}
	for i, node := range nodes {
		if !s.read.Contains(node) {
			continue
		}
		snap := uidledger.Snapshot{Node: node, Full: true}
		if have := found[i][id]; have != nil {
			snap = have.Snapshot
		}
		if err := f.ledger.Read(snap); err != nil {
			return cluster.Errorf(cluster.KindOf(err), "read the ledger of folder "+id.String()+" at node "+node.String(), "%w", err)
		}
	}
	s.folders[id] = f
	return nil
}

// chunkValidity is the greatest UIDVALIDITY of a folder's chunks: of one that has nothing else, since it comes from a
// backup. What they say of flags is read under it.
func chunkValidity(id mail.FolderID, found []ledgers) (validity uint32) {
	for i := range found {
		if l := found[i][id]; l != nil {
			for _, c := range l.Chunks {
				validity = max(validity, uidledger.ChunkValidity(c))
			}
		}
	}
	return validity
}

// newFolder gives the ledger of a folder of which no head is known. atLeast is the UIDVALIDITY of what there is of it; 0: nothing.
func (s *state) newFolder(id mail.FolderID, atLeast uint32) *folder {
	validity := uint32(1) // of a folder that is no more: nobody is shown it
	if known, ok := s.tree.Folder(id); ok {
		if validity = s.validity(&known); s.isFresh() {
			validity += s.mark()
		}
	}
	return s.newLedger(id, uidledger.FirstSet(s.profile.Replicas, max(validity, atLeast)))
}

func (s *state) newLedger(id mail.FolderID, first uidledger.Set) *folder {
	return &folder{id: id, ledger: uidledger.New(uidledger.Config{Self: s.x.cluster.ID(), Folder: id, First: first})}
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

// folder gives a folder's ledger. No node that was read has any of it, if it is not there yet.
func (s *state) folder(id mail.FolderID) *folder {
	if f := s.folders[id]; f != nil {
		return f
	}
	return s.begin(s.newFolder(id, 0))
}

// beginFolder gives the ledger of a folder that is not in the tree yet.
func (s *state) beginFolder(id mail.FolderID, validity uint32) *folder {
	return s.begin(s.newLedger(id, uidledger.FirstSet(s.profile.Replicas, validity)))
}

func (s *state) begin(f *folder) *folder {
	for _, node := range s.read {
		// There is nothing in it that could be damaged.
		if err := f.ledger.Read(uidledger.Snapshot{Node: node, Full: true}); err != nil {
			s.x.cfg.Logger.Error("an empty ledger cannot be read", "user", s.user, "folder", f.id, "err", err)
			s.broken = true
		}
	}
	s.folders[f.id] = f
	return f
}

// folderIDs gives the folders that have a ledger, ascending.
func (s *state) folderIDs() []mail.FolderID {
	ids := make([]mail.FolderID, 0, len(s.folders))
	for id := range s.folders {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b mail.FolderID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

// touch says that a folder has to be counted again.
func (s *state) touch(id mail.FolderID) {
	if f := s.folders[id]; f != nil {
		f.status = nil
	}
}

// reveal makes everything that is wanted of a folder durable, and shows it (L4). What it has begun it
// finishes, if the client goes or not.
func (s *state) reveal(ctx context.Context, f *folder) error {
	op := "write the ledger of " + string(s.user)
	ctx = context.WithoutCancel(ctx)
	for range ledgerStepsMax {
		step, ok := f.ledger.Next()
		if !ok {
			if err := f.ledger.Waiting(); err != nil {
				return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
			}
			return nil
		}
		f.status = nil
		if len(step.Ask) > 0 {
			f.ledger.Answered(s.ask(ctx, f.id, step.Ask))
		} else {
			f.ledger.Written(s.write(ctx, f, step.Write, step.On))
		}
	}
	s.broken = true
	return cluster.Errorf(cluster.KindInternal, op, "folder %s is not done after %d steps", f.id, ledgerStepsMax)
}

// ask puts requests to ledger replicas, all at once.
func (s *state) ask(ctx context.Context, f mail.FolderID, asks []uidledger.Ask) []uidledger.Answer {
	ctx, cancel := context.WithTimeout(ctx, s.x.cfg.LedgerWait)
	defer cancel()
	answers := make([]uidledger.Answer, len(asks))
	var wg sync.WaitGroup
	for i := range asks {
		wg.Go(func() {
			a := &answers[i]
			a.Node = asks[i].Node
			var reply []byte
			if reply, a.Err = s.x.cluster.Tell(ctx, a.Node, methodGrant, marshalGrant(s.user, f, &asks[i].Request)); a.Err == nil {
				a.Reply, a.Err = uidledger.ParseReply(reply)
			}
		})
	}
	wg.Wait()
	return answers
}

// write writes objects on the nodes given, and on the other ledger replicas when they can be reached. It
// gives the nodes on which all of them are durable.
func (s *state) write(ctx context.Context, f *folder, objects []uidledger.Object, on cluster.ReplicaSet) cluster.ReplicaSet {
	ctx, cancel := context.WithTimeout(ctx, s.x.cfg.LedgerWait)
	defer cancel()
	known := f.ledger.Set()
	all := replicas(on, known.Nodes())
	durable := make([]cluster.ReplicaSet, len(objects))
	slots := make(chan struct{}, ledgerWritesOnce)
	var wg sync.WaitGroup
	for i := range objects {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			durable[i] = s.writeOne(ctx, &objects[i], all)
		})
	}
	wg.Wait()
	on = slices.Clone(on)
	for _, d := range durable {
		on = slices.DeleteFunc(on, func(id cluster.NodeID) bool { return !d.Contains(id) })
	}
	return on
}

func (s *state) writeOne(ctx context.Context, o *uidledger.Object, replicas cluster.ReplicaSet) cluster.ReplicaSet {
	id := cluster.ObjectID{Type: mail.TypeLedger, Owner: string(s.user), ID: o.ID}
	u := cluster.Update{Object: cluster.Object{ID: id, Replicas: replicas, Copies: len(replicas),
		Size: int64(len(o.Contents)), Sum: sha256.Sum256(o.Contents)}}
	err := s.x.cluster.Update(ctx, u, bytes.NewReader(o.Contents))
	var short *cluster.Shortfall
	switch {
	case err == nil:
		return replicas
	case errors.As(err, &short):
		return short.Durable
	}
	s.x.cfg.Logger.Warn("a ledger is not written", "user", s.user, "object", o.ID, "nodes", replicas.String(), "err", err)
	return nil
}

// replicas gives the replicas of a ledger object: those that must have it now, and all ledger replicas.
func replicas(on, set cluster.ReplicaSet) cluster.ReplicaSet {
	for _, id := range set {
		if len(on) < cluster.ReplicaSetMax {
			on = on.Union(cluster.ReplicaSet{id})
		}
	}
	return on
}
