package store

import (
	"context"
	"fmt"

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
	Want bool
	// Record is the update record that the store has of the object now, durable, if it propagates;
	// nil otherwise. It is the caller's and is never changed.
	Record *cluster.Record
	// Err says why this update alone was refused (Accept); nothing of it changed then.
	Err error
}

// Apply makes an update durable before it returns. Five things might happen:
//
//  1. The store has this or a newer update of the object: nothing changes, Applied is false. What
//     it has is durable.
//  2. This node is in the new replica set: object and contents, or the tombstone, replace what
//     was there.
//  3. It is not (a deletion without trace, a replica that moved away): the copy is removed.
//     Without a copy nothing changes, Applied is false.
//  4. The update is refused: KindInvalid (bad names, contents that do not match Size and Sum),
//     KindFull (no room; never for deletions), KindLimit (too many waiting callers, or parts of one
//     owner). Nothing changed.
//  5. The outcome is unknown: KindUnavailable (ctx ended while the update was under way, or the
//     store failed). Sending the same update again is harmless.
//
// Contents are read with body.ReadAt before Apply returns and not kept. A nil body with Size above
// 0 keeps the contents that are stored, if they have the same Size and Sum (KindInvalid if not):
// for a change of attributes or replica set; not for cached types.
func (s *Store) Apply(ctx context.Context, u cluster.Update, body cluster.Body) (Result, error) {
	const name = "store update of object"
	if err := s.enter(name); err != nil {
		return Result{}, err
	}
	defer s.gate.exit()
	if err := s.check(&u, body); err != nil {
		return Result{}, cluster.Errorf(cluster.KindInvalid, opName(name, u.Object.ID), "%w", err)
	}
	if !u.Object.Deleted && u.Object.Replicas.Contains(s.format.Node) && !s.space.hasRoom(u.Object.Size) {
		s.count.refused.Add(1)
		return Result{}, cluster.Errorf(cluster.KindFull, opName(name, u.Object.ID), "the disk of %s is nearly full", s.cfg.Dir)
	}
	if err := s.takePlace(ctx, name); err != nil {
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
	return r[0], err
}

// Accept applies deletions, which have no contents, in one commit: all of them or, with an
// error, none, or with KindUnavailable perhaps all. Results are in their order. At most
// AcceptMax at once (KindLimit).
func (s *Store) Accept(ctx context.Context, updates []cluster.Update) ([]Result, error) {
	const name = "store deletions"
	if err := s.enter(name); err != nil {
		return nil, err
	}
	defer s.gate.exit()
	if len(updates) == 0 {
		return nil, nil
	}
	if len(updates) > AcceptMax {
		return nil, cluster.Errorf(cluster.KindLimit, name, "%d updates: at most %d at once", len(updates), AcceptMax)
	}
	for i := range updates {
		err := s.check(&updates[i], nil)
		if err == nil && !updates[i].Object.Deleted {
			err = fmt.Errorf("it is not a deletion")
		}
		if err != nil {
			return nil, cluster.Errorf(cluster.KindInvalid, opName(name, updates[i].Object.ID), "%w", err)
		}
	}
	if err := s.takePlace(ctx, name); err != nil {
		return nil, err
	}
	p := s.newOp(name, len(updates))
	for i := range updates {
		if err := s.stage(ctx, &p.updates[i], &updates[i], nil); err != nil {
			s.leavePlace(p)
			return nil, within(opName(name, updates[i].Object.ID), err)
		}
	}
	results := make([]Result, len(updates))
	if err := s.commit(ctx, p, results); err != nil {
		return nil, err
	}
	return results, nil
}

// PutMeta makes a small named value durable before it returns: at most MetaNameMax bytes of
// name and MetaSizeMax bytes of value. It works on a full disk too. The value is not kept.
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
	if err := s.takePlace(ctx, opName); err != nil {
		return err
	}
	p := s.newOp(opName, 0)
	p.metaKey = layout.MetaKey(name)
	p.meta = layout.AppendMeta(nil, p.metaKey, value)
	return s.commit(ctx, p, nil)
}

// takePlace waits for a writer's place. Places bound the queue and the memory for staged contents.
func (s *Store) takePlace(ctx context.Context, name string) error {
	if s.count.pending.Add(1) > waitersMax {
		s.count.pending.Add(-1)
		return cluster.Errorf(cluster.KindLimit, name, "%d updates are waiting already", waitersMax)
	}
	select {
	case s.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		s.count.pending.Add(-1)
		return cluster.Errorf(cluster.KindUnavailable, name, "the disk is busy: %w", context.Cause(ctx))
	case <-s.dead:
		s.count.pending.Add(-1)
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
