package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// Update makes an update durable on all nodes of its new replica set, and removes the object from
// the nodes that are in its old one only. A zero Timestamp is filled in. body is nil for a deletion,
// and for a change that keeps the contents that the replicas have.
//
// It returns nil when all of that is done and the owner's manager has been told. If the manager
// does not answer within RegisterWait, then it is nil for objects of which the manager knows only
// where they lie (the reporter goes on until the manager knows), and KindUnavailable for cached
// objects: who relies on one must find it (V1).
//
// After an error it may have been applied on some of the nodes or on all. KindFull: a node has no
// room or is stopping. KindUnavailable: a node did not answer, or not all did the same.
// KindInvalid, KindLimit, KindDenied and so on: all nodes said so, and nothing has changed. Trying
// again with the same timestamp is harmless.
func (n *Node) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	if err := n.prepare(ctx, &u); err != nil {
		return err
	}
	targets := u.Targets()
	if len(targets) == 1 {
		return n.applyAt(ctx, targets[0], u, body)
	}
	return outcome(fanOut(targets, func(id cluster.NodeID) error { return n.applyAt(ctx, id, u, body) }))
}

// prepare checks an update and gives it its timestamp.
func (n *Node) prepare(ctx context.Context, u *cluster.Update) (err error) {
	op := "update " + u.Object.ID.Owner
	if n.failed.Load() {
		return cluster.Errorf(cluster.KindUnavailable, op, "this node has failed and must be started again")
	}
	if k := len(u.Targets()); k == 0 || k > cluster.ReplicaSetMax {
		return cluster.Errorf(cluster.KindInvalid, op, "%d target nodes, want 1 to %d", k, cluster.ReplicaSetMax)
	}
	if u.Object.Timestamp.IsZero() {
		u.Object.Timestamp, err = n.timestamp(ctx)
	}
	return err
}

// UpdateAll applies deletions, grouped by node. The errors are in the order of the updates, each
// as of Update; an update that fails does not stop the others.
func (n *Node) UpdateAll(ctx context.Context, updates []cluster.Update) []error {
	updates = slices.Clone(updates) // timestamps are filled in
	results := make([][]error, len(updates))
	groups := map[cluster.NodeID][]int{}
	for i := range updates {
		u := &updates[i]
		err := n.prepare(ctx, u)
		if err == nil && !u.Object.Deleted {
			err = cluster.Errorf(cluster.KindInvalid, "update "+u.Object.ID.Owner, "not a deletion: its contents are missing")
		}
		if err != nil {
			results[i] = []error{err}
			continue
		}
		for _, id := range u.Targets() {
			groups[id] = append(groups[id], i)
		}
	}
	var mu sync.Mutex // guards results
	ids := slices.Sorted(maps.Keys(groups))
	inParallel(len(ids), func(k int) {
		indexes := groups[ids[k]]
		batch := make([]cluster.Update, len(indexes))
		for j, i := range indexes {
			batch[j] = updates[i]
		}
		errs := n.applyEach(ctx, ids[k], batch)
		mu.Lock()
		defer mu.Unlock()
		for j, i := range indexes {
			results[i] = append(results[i], errs[j])
		}
	})
	errs := make([]error, len(updates))
	for i := range errs {
		errs[i] = outcome(results[i])
	}
	return errs
}

// applyEach applies deletions at one node, as many at once as a call can take.
func (n *Node) applyEach(ctx context.Context, id cluster.NodeID, batch []cluster.Update) []error {
	errs := make([]error, len(batch))
	for first := 0; first < len(batch); {
		k, size := 0, 0
		for ; first+k < len(batch) && k < call.UpdatesMax; k++ {
			o := &batch[first+k].Object
			size += len(o.Attr) + len(o.ID.Owner) + len(o.ID.ID) + objectOverhead
			if size > listPageBytes && k > 0 {
				break
			}
		}
		n.applySome(ctx, id, batch[first:first+k], errs[first:first+k])
		first += k
	}
	return errs
}

// applySome applies deletions in one call. A store takes all or none of them; if it cannot take
// one, each half is tried by itself, so that one bad update does not stop the others.
func (n *Node) applySome(ctx context.Context, id cluster.NodeID, batch []cluster.Update, errs []error) {
	err := n.applyAllAt(ctx, id, batch)
	switch cluster.KindOf(err) {
	case cluster.KindInvalid, cluster.KindCorrupt:
		if half := len(batch) / 2; half > 0 {
			n.applySome(ctx, id, batch[:half], errs[:half])
			n.applySome(ctx, id, batch[half:], errs[half:])
			return
		}
	}
	for i := range errs {
		errs[i] = err
	}
}

// outcome makes one error of those of an update's targets, nil entries included. What all say
// stands. If they differ, some may have applied it and nothing is final.
func outcome(errs []error) error {
	err := firstOf(errs)
	if err == nil {
		return nil
	}
	kind := cluster.KindOf(err)
	for _, e := range errs {
		switch {
		case cluster.IsKind(e, cluster.KindFull):
			return e // the caller chooses other nodes
		case e == nil || cluster.KindOf(e) != kind:
			kind = cluster.KindUnavailable
		}
	}
	if kind == cluster.KindOf(err) {
		return err
	}
	return cluster.Errorf(kind, "update at several nodes", "not all took it: %w", err)
}

// inParallel runs f for 0 to count-1 at once and waits for all.
func inParallel(count int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// fanOut runs f for each node at once and waits for all. The errors are in order.
func fanOut(ids []cluster.NodeID, f func(cluster.NodeID) error) []error {
	errs := make([]error, len(ids))
	inParallel(len(ids), func(i int) { errs[i] = f(ids[i]) })
	return errs
}

// firstOf gives the first error, nil if there is none.
func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) applyAt(ctx context.Context, id cluster.NodeID, u cluster.Update, body cluster.Body) error {
	if id == n.cfg.Self.ID {
		return n.apply(ctx, u, body)
	}
	return n.sendApply(ctx, "update "+u.Object.ID.Owner, id, []cluster.Update{u}, body)
}

func (n *Node) applyAllAt(ctx context.Context, id cluster.NodeID, batch []cluster.Update) error {
	if id == n.cfg.Self.ID {
		return n.applyAll(ctx, batch)
	}
	return n.sendApply(ctx, fmt.Sprintf("%d deletions", len(batch)), id, batch, nil)
}

func (n *Node) sendApply(ctx context.Context, op string, id cluster.NodeID, updates []cluster.Update, body cluster.Body) error {
	req := &transport.Request{Method: call.MethodApply, Payload: (&call.ApplyRequest{Updates: updates}).Marshal(), Body: body}
	return n.to(ctx, op, id, func(ctx context.Context, to cluster.Member) error {
		_, err := n.call(ctx, to, req)
		return err
	})
}

// apply is an update at one of its targets: this node.
func (n *Node) apply(ctx context.Context, u cluster.Update, body cluster.Body) error {
	if err := n.admitUpdate(&u); err != nil {
		return err
	}
	r, err := n.cfg.Store.Apply(ctx, u, body)
	if err != nil {
		return err
	}
	// What was there already may have been stored by a call that did not get as far as the manager.
	switch {
	case r.Announce || !r.Applied && u.Object.Replicas.Contains(n.cfg.Self.ID):
		return n.announce(ctx, []cluster.Update{u})
	case r.Applied:
		n.usage.touch(u.Object.ID.Owner)
	}
	return nil
}

func (n *Node) applyAll(ctx context.Context, batch []cluster.Update) error {
	for i := range batch {
		if err := n.admitUpdate(&batch[i]); err != nil {
			return err
		}
	}
	results, err := n.cfg.Store.Accept(ctx, batch)
	if err != nil {
		return err
	}
	var changed []cluster.Update
	for i, r := range results {
		switch {
		case r.Announce:
			changed = append(changed, batch[i])
		case r.Applied:
			n.usage.touch(batch[i].Object.ID.Owner)
		}
	}
	return n.announce(ctx, changed)
}

// announce tells the managers of the owners of updates that have been applied here.
func (n *Node) announce(ctx context.Context, updates []cluster.Update) error {
	if len(updates) == 0 {
		return nil
	}
	owners := make([]string, len(updates))
	for i := range updates {
		owners[i] = updates[i].Object.ID.Owner
	}
	slices.Sort(owners)
	late, err := n.register(ctx, slices.Compact(owners))
	if err != nil {
		return fmt.Errorf("stored, but the manager cannot be told: %w", err)
	}
	for i := range late {
		if h := &late[i]; slices.ContainsFunc(updates, func(u cluster.Update) bool { return isCachedIn(h, u.Object.ID) }) {
			return cluster.Errorf(cluster.KindUnavailable, "update "+h.Owner, "stored, but the owner's manager has not heard of it yet")
		}
	}
	return nil
}

func isCachedIn(h *cluster.Holding, id cluster.ObjectID) bool {
	return slices.ContainsFunc(h.Cached, func(c cluster.CachedObject) bool { return c.Object.ID == id })
}

// admitUpdate refuses what this node should not take in now. Deletions are always taken.
func (n *Node) admitUpdate(u *cluster.Update) error {
	op := "update " + u.Object.ID.Owner
	if err := n.senses.observe(u.Object.Timestamp, n.cfg.Now()); err != nil {
		n.stats.skewed.Add(1)
		return cluster.Errorf(cluster.KindInvalid, op, "%w", err)
	}
	switch {
	case !u.Targets().Contains(n.cfg.Self.ID):
		return cluster.Errorf(cluster.KindInvalid, op, "node %s is not one of its targets %v", n.cfg.Self.ID, u.Targets())
	case u.Object.Deleted:
		return nil
	case n.stats.full.Load():
		return cluster.Errorf(cluster.KindUnavailable, op, "%d holdings wait for their managers: try again", n.stats.owedHoldings.Load())
	case !u.Object.Replicas.Contains(n.cfg.Self.ID):
		return nil
	case n.stopping.Load():
		return cluster.Errorf(cluster.KindFull, op, "node %s is stopping", n.cfg.Self.ID)
	case n.draining.Load() && !u.Previous.Contains(n.cfg.Self.ID):
		return cluster.Errorf(cluster.KindFull, op, "node %s is draining", n.cfg.Self.ID)
	}
	return nil
}

// Choose picks the nodes for a new object of type t: among those that hold objects of the owner
// and random others up to spread, the least loaded (Porcupine §4.5). Fewer than copies when fewer
// can take it; KindFull when none can.
func (n *Node) Choose(e cluster.Entry, t cluster.ObjectType, copies, spread int, exclude []cluster.NodeID) (cluster.ReplicaSet, error) {
	var holders []cluster.NodeID
	for _, p := range e.Fragments {
		if p.Type == t {
			holders = append(holders, p.Holders...)
		}
	}
	ids := n.senses.choose(balance.Request{
		Holders: holders, Members: n.View().IDs(), Exclude: exclude, Spread: spread, Copies: copies,
	}, n.cfg.Self.ID, n.load(), n.cfg.Now())
	if len(ids) == 0 {
		return nil, cluster.Errorf(cluster.KindFull, "choose nodes for "+e.Owner, "no live node takes new objects: free disk space or start more nodes")
	}
	return cluster.NewReplicaSet(ids...), nil
}

func (n *Node) handleApply(ctx context.Context, r *transport.Incoming) (*transport.Response, error) {
	var req call.ApplyRequest
	if err := req.Unmarshal(r.Payload); err != nil {
		return nil, err
	}
	switch {
	case len(req.Updates) == 1 && (r.Body != nil || !req.Updates[0].Object.Deleted):
		return &transport.Response{}, n.apply(ctx, req.Updates[0], asBody(r))
	case r.Body != nil:
		return nil, cluster.Errorf(cluster.KindInvalid, "apply", "%d updates with one body", len(req.Updates))
	}
	return &transport.Response{}, n.applyAll(ctx, req.Updates)
}
