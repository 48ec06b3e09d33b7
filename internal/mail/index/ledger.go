package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
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
	grant  []byte
	pieces []piece
	bad    error // what of it cannot be read; nil: nothing
}

// piece is one ledger object as a node has it.
type piece struct {
	id   string
	at   cluster.Timestamp
	node cluster.NodeID
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
			failed, s.unread = errs[i], true
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
		if _, ok := s.tree.Folder(f); !ok { // see removeOld
			for i := range found {
				if l := found[i][f]; l != nil {
					s.ledgers[f] = append(s.ledgers[f], l.pieces...)
				}
			}
		}
		if err := s.openFolder(e, f, nodes, found); err != nil {
			return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
		}
	}
	s.findAway(e)
	if err := s.closed(mail.Inbox); err != nil { // what has no stay may be there, or anywhere: all folders wait
		return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
	}
	if len(s.away) > 0 && s.unread && s.patient {
		return cluster.Errorf(cluster.KindUnavailable, op, "a member with ledgers does not answer: %w", failed)
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
	all := make(ledgers)
	versions := make(map[string]cluster.Timestamp)
	after, more := "", true
	for range ledgerPagesMax {
		var page []cluster.Copy
		var err error
		if page, more, err = s.ledgerPage(ctx, node, after); err != nil {
			return nil, err
		}
		for i := range page {
			after = page[i].Object.ID.ID
			if err := page[i].Err; err != nil {
				if err = all.spoil(after, err); err != nil {
					return nil, err
				}
				continue
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
	objects, err := s.ledgerObjects(ctx, node)
	if err != nil {
		return nil, err
	}
	for i := range objects {
		o := &objects[i]
		if _, kind, _, err := uidledger.ParseID(o.ID.ID); err != nil || kind != kindChunk || versions[o.ID.ID] == o.Timestamp {
			continue
		}
		now, contents, err := s.openLedger(ctx, node, o.ID)
		switch {
		case err == nil:
			s.takeCopy(all, node, &now, contents)
		case !cluster.IsKind(err, cluster.KindNotFound):
			if err = all.spoil(o.ID.ID, err); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// ledgerPage reads a page of ledger objects: a large mailbox has hundreds, so the wait is for each.
func (s *state) ledgerPage(ctx context.Context, node cluster.NodeID, after string) ([]cluster.Copy, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.x.cfg.LedgerWait)
	defer cancel()
	return s.x.cluster.Contents(ctx, node, string(s.user), mail.TypeLedger, after)
}

func (s *state) ledgerObjects(ctx context.Context, node cluster.NodeID) ([]cluster.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, s.x.cfg.LedgerWait)
	defer cancel()
	return s.x.cluster.List(ctx, node, string(s.user), mail.TypeLedger)
}

func (s *state) openLedger(ctx context.Context, node cluster.NodeID, id cluster.ObjectID) (cluster.Object, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.x.cfg.LedgerWait)
	defer cancel()
	return open(ctx, s.x.cluster, node, id)
}

// of gives what a node has of a folder's ledger.
func (all ledgers) of(f mail.FolderID) *nodeLedger {
	l := all[f]
	if l == nil {
		l = &nodeLedger{Snapshot: uidledger.Snapshot{Full: true, Chunks: make(map[uint32][]byte)}}
		all[f] = l
	}
	return l
}

// spoil notes that an object is damaged, which spoils its folder's ledger at this node and no other. Any other error it gives back.
func (all ledgers) spoil(object string, err error) error {
	f, _, _, bad := uidledger.ParseID(object)
	if bad != nil || !cluster.IsKind(err, cluster.KindCorrupt) {
		return err
	}
	all.of(f).bad = err
	return nil
}

// takeCopy puts one object where it belongs, if it is the user's and no former user's of that name.
func (s *state) takeCopy(all ledgers, node cluster.NodeID, o *cluster.Object, contents []byte) {
	f, kind, n, err := uidledger.ParseID(o.ID.ID)
	if err != nil || o.Timestamp.Compare(s.floor) <= 0 {
		return
	}
	l := all.of(f)
	l.Node = node
	l.pieces = append(l.pieces, piece{o.ID.ID, o.Timestamp, node})
	switch kind {
	case kindHead:
		l.Head = contents
	case kindChunk:
		l.Chunks[uint32(n)] = contents
	case kindGrant:
		l.grant = contents
	}
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
	if err := s.closed(f.id); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	defer func() { s.x.unused.keep(s.leftover(f.id), f.ledger.Unused()) }() // AFTER the last number was given
	for range ledgerStepsMax {
		step, ok := f.ledger.Next()
		if !ok {
			if err := f.ledger.Waiting(); err != nil {
				if cluster.IsKind(err, cluster.KindUnavailable) && s.isStranded(ctx, f) {
					if err := s.beginAnew(ctx, f.id); err != nil {
						return err
					}
					continue
				}
				return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
			}
			delete(s.unsaid, f.id)
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
