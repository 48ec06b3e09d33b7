package store

import (
	"context"
	"fmt"
	"sync/atomic"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store/internal/layout"
)

// Result says what an update did.
type Result struct {
	// Applied is false if the update left the copy as it was: the store had a newer or equal update
	// of the object, nothing to remove, or not the contents (Want).
	Applied bool
	// Announce says that the owner's Holding changed in a way the manager must know: a fragment
	// came or went, or a cached object changed. Send Holding(owner).
	Announce bool
	// Seq is the sequence number of the commit (see cluster.Holding).
	Seq uint64
	// Verdict says how the update stands to what the store had.
	Verdict replication.Verdict
	// Have is the timestamp of what the store has now: the update's own, or that of a newer one;
	// with Want, of what it had; zero if nothing.
	Have cluster.Timestamp
	// Want says that the update came without contents, and that the store needs them. Nothing changed.
	// Where there is no room for them the update is refused instead (KindFull).
	Want bool
	// Record is the update record that the store has of the object now, durable, if it propagates;
	// nil otherwise. It is the caller's and is never changed.
	Record *cluster.Record
	// Err says why this update alone was refused (Accept); nothing of it changed then.
	Err error
}

// Apply makes an update durable before it returns, as replication.Decide decides on it, and with it,
// in the same commit, its update record. Six things might happen:
//
//  1. The store has this or a newer update of the object (Verdict): the copy stays as it is, Applied
//     is false. What the store has, and its record (Record), is durable.
//  2. This node is in the new replica set: object and contents, or the tombstone, replace what
//     was there.
//  3. It is not (a deletion without trace, a replica that moved away): the copy is removed.
//     Without a copy only the record is kept, and Applied is false.
//  4. The contents are needed and did not come (Want): nothing changed.
//  5. The update is refused: KindInvalid (bad names, contents that do not match Size and Sum),
//     KindFull (no room; never for deletions), KindLimit (too many waiting callers, or parts of one
//     owner), KindCorrupt (what is there cannot be read). Nothing changed.
//  6. The outcome is unknown: KindUnavailable (ctx ended while the update was under way, or the
//     store failed). Sending the same update again is harmless.
//
// Contents are read with body.ReadAt before Apply returns and not kept. A nil body with Size above
// 0 keeps the contents that are stored, if they have the same Size and Sum (Want if not): for a
// change of attributes or replica set. Those of cached types must always come.
func (s *Store) Apply(ctx context.Context, u cluster.Update, body cluster.Body) (Result, error) {
	const name = "store update of object"
	if err := s.enter(name); err != nil {
		return Result{}, err
	}
	defer s.gate.exit()
	if err := s.admit(&u, body); err != nil {
		return Result{}, within(opName(name, u.Object.ID), err)
	}
	if err := s.takePlaceFor(ctx, name, &u, body); err != nil {
		return Result{}, err
	}
	p := s.newOp(name, 1)
	if err := s.stage(ctx, &p.updates[0], &u, body); err != nil {
		if !p.updates[0].adopted {
			s.leavePlace(p)
		}
		return Result{}, within(opName(name, u.Object.ID), err)
	}
	var r [1]Result
	err := s.commit(ctx, p, r[:])
	if err == nil && r[0].Err != nil {
		return Result{}, r[0].Err
	}
	return r[0], err
}

// admit says why an update cannot be stored, whatever else is stored, or not now.
func (s *Store) admit(u *cluster.Update, body cluster.Body) error {
	if err := s.check(u, body); err != nil {
		return cluster.Errorf(cluster.KindInvalid, "check", "%w", err)
	}
	o := &u.Object
	empty := o.Size == 0 && o.Sum != [32]byte{} // a notice has no sum
	brings := !o.Deleted && (body != nil || empty) && o.Replicas.Contains(s.format.Node)
	if brings && !s.space.hasRoom(o.Size) {
		s.count.refused.Add(1)
		return s.full()
	}
	return nil
}

func (s *Store) full() error {
	return cluster.Errorf(cluster.KindFull, "store", "the disk of %s is nearly full", s.cfg.Dir)
}

// Accept applies any number of updates that come without contents, in one commit: deletions,
// changes of replica sets, offers. Each stands alone, as in Apply: Result.Want where contents are
// needed, Result.Err where it is refused. Results are in their order; a later update of the same
// object sees the earlier. With an error, nothing is known of any. At most AcceptMax at once
// (KindLimit).
func (s *Store) Accept(ctx context.Context, updates []cluster.Update) ([]Result, error) {
	const name = "store update of object"
	if err := s.enter(name); err != nil {
		return nil, err
	}
	defer s.gate.exit()
	if len(updates) == 0 {
		return nil, nil
	}
	if len(updates) > AcceptMax {
		return nil, cluster.Errorf(cluster.KindLimit, "store updates", "%d updates: at most %d at once", len(updates), AcceptMax)
	}
	if err := s.takePlace(ctx, name); err != nil {
		return nil, err
	}
	p := s.newOp(name, len(updates))
	for i := range updates {
		err := s.admit(&updates[i], nil)
		if err == nil {
			err = s.stage(ctx, &p.updates[i], &updates[i], nil)
		}
		if err != nil {
			p.results[i].Err = within(opName(name, updates[i].Object.ID), err)
		}
	}
	results := make([]Result, len(updates))
	if err := s.commit(ctx, p, results); err != nil {
		return nil, err
	}
	return results, nil
}

// PutMeta makes a small named value durable before it returns: at most MetaNameMax bytes of
// name and MetaSizeMax bytes of value. It works on a full disk too, and however many updates wait: it comes behind those alone that
// have a writer's place. The value is not kept.
func (s *Store) PutMeta(ctx context.Context, name string, value []byte) error {
	opName := "store meta value " + name
	if err := s.enter(opName); err != nil {
		return err
	}
	defer s.gate.exit()
	if name == "" || len(name) > MetaNameMax || len(value) > MetaSizeMax {
		return cluster.Errorf(cluster.KindInvalid, opName, "name of %d bytes and value of %d: want 1 to %d, and at most %d",
			len(name), len(value), MetaNameMax, MetaSizeMax)
	}
	if err := s.takeOf(ctx, opName, s.values, &s.count.values); err != nil {
		return err
	}
	p := s.newOp(opName, 0)
	p.metaKey = layout.MetaKey(name)
	p.meta = layout.AppendMeta(nil, p.metaKey, value)
	return s.commit(ctx, p, nil)
}

// isLarge reports whether the contents of an update are written here, in chunks.
func (s *Store) isLarge(u *cluster.Update, body cluster.Body) bool {
	o, t := &u.Object, s.types[u.Object.ID.Type]
	return body != nil && o.Size > layout.ChunkSize && !t.HasInline() && o.Replicas.Contains(s.format.Node)
}

// takePlaceFor is takePlace for an update. One whose contents are large takes a large writer's place BEFORE the other: whoever waits
// for one, for as long as peers take to send theirs, leaves the writers' places to small updates. writeChunks gives it back.
func (s *Store) takePlaceFor(ctx context.Context, name string, u *cluster.Update, body cluster.Body) error {
	if !s.isLarge(u, body) {
		return s.takePlace(ctx, name)
	}
	if s.count.pending.Add(1) > waitersMax {
		s.count.pending.Add(-1)
		return cluster.Errorf(cluster.KindLimit, name, "%d updates are waiting already", waitersMax)
	}
	defer s.count.pending.Add(-1) // takePlace counts it
	select {
	case s.chunked <- struct{}{}:
	case <-ctx.Done():
		return cluster.Errorf(cluster.KindUnavailable, name, "the disk is busy: %w", context.Cause(ctx))
	case <-s.dead:
		return s.failure(name)
	}
	err := s.takePlace(ctx, name)
	if err != nil {
		<-s.chunked
	}
	return err
}

// takePlace waits for a writer's place. Places bound the queue and the memory for staged contents.
func (s *Store) takePlace(ctx context.Context, name string) error {
	return s.takeOf(ctx, name, s.places, &s.count.pending)
}

// takeOf waits for one of these places; waiting counts who has one, or waits for it.
func (s *Store) takeOf(ctx context.Context, name string, places chan struct{}, waiting *atomic.Int64) error {
	if waiting.Add(1) > waitersMax {
		waiting.Add(-1)
		return cluster.Errorf(cluster.KindLimit, name, "%d are waiting already", waitersMax)
	}
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		waiting.Add(-1)
		return cluster.Errorf(cluster.KindUnavailable, name, "the disk is busy: %w", context.Cause(ctx))
	case <-s.dead:
		waiting.Add(-1)
		return s.failure(name)
	}
}

// leavePlace ends an op that was never queued.
func (s *Store) leavePlace(p *op) {
	s.freeStaged(p)
	s.freeOp(p)
	<-s.places
	s.count.pending.Add(-1)
}

// commit queues a staged op, waits for the committer and copies the results.
func (s *Store) commit(ctx context.Context, p *op, results []Result) error {
	name := p.name
	s.queue <- p // never blocks: there are as many places in the queue as places to take
	select {
	case <-p.done:
	case <-ctx.Done():
		return cluster.Errorf(cluster.KindUnavailable, name, "the outcome is unknown: %w", context.Cause(ctx))
	case <-s.dead:
		return s.failure(name)
	}
	copy(results, p.results)
	err := p.err
	s.freeOp(p)
	return err
}

func opName(name string, id cluster.ObjectID) string {
	return fmt.Sprintf("%s %s %q of %s", name, id.Type, id.ID, id.Owner)
}
