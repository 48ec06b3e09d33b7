package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// Update makes an update durable on all nodes of its new replica set, and removes the object from
// the nodes that are in its old one only. It returns nil when all of that is done and the owner's
// manager has been told (or will be, see register). A zero Timestamp is filled in. body is nil
// for a deletion.
//
// It may have been applied on some of the nodes when it fails: KindUnavailable (a node did not
// answer), KindFull, KindInvalid. Trying again with the same timestamp is harmless.
func (n *Node) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	if u.Object.Timestamp.IsZero() {
		u.Object.Timestamp = n.senses.now(n.cfg.Now())
	}
	targets := u.Targets()
	if len(targets) == 0 || len(targets) > cluster.ReplicaSetMax {
		return cluster.Errorf(cluster.KindInvalid, "update "+u.Object.ID.Owner, "%d target nodes", len(targets))
	}
	if len(targets) == 1 {
		return n.applyAt(ctx, targets[0], u, body)
	}
	return fanOut(targets, func(id cluster.NodeID) error { return n.applyAt(ctx, id, u, body) })
}

// UpdateAll applies updates without contents (deletions), grouped by node. The errors are in the
// order of the updates; an update is done when its error is nil.
func (n *Node) UpdateAll(ctx context.Context, updates []cluster.Update) []error {
	errs := make([]error, len(updates))
	groups := map[cluster.NodeID][]int{}
	for i := range updates {
		if updates[i].Object.Timestamp.IsZero() {
			updates[i].Object.Timestamp = n.senses.now(n.cfg.Now())
		}
		for _, id := range updates[i].Targets() {
			groups[id] = append(groups[id], i)
		}
	}
	var mu sync.Mutex // guards errs
	var wg sync.WaitGroup
	for id, indexes := range groups {
		wg.Go(func() {
			for part := range slices.Chunk(indexes, call.UpdatesMax) {
				batch := make([]cluster.Update, len(part))
				for j, i := range part {
					batch[j] = updates[i]
				}
				if err := n.applyAllAt(ctx, id, batch); err != nil {
					mu.Lock()
					for _, i := range part {
						errs[i] = errors.Join(errs[i], err)
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errs
}

// fanOut runs f for each node at once and waits for all.
func fanOut(ids []cluster.NodeID, f func(cluster.NodeID) error) error {
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { errs[i] = f(id) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // of one kind: the first decides what the caller does
		}
	}
	return nil
}

func (n *Node) applyAt(ctx context.Context, id cluster.NodeID, u cluster.Update, body cluster.Body) error {
	if id == n.cfg.Self.ID {
		return n.apply(ctx, u, body)
	}
	req := &transport.Request{Method: call.MethodApply, Payload: (&call.ApplyRequest{Updates: []cluster.Update{u}}).Marshal(), Body: body}
	return n.to(ctx, "update "+u.Object.ID.Owner, id, func(ctx context.Context, to cluster.Member) error {
		_, err := n.call(ctx, to, req)
		return err
	})
}

func (n *Node) applyAllAt(ctx context.Context, id cluster.NodeID, batch []cluster.Update) error {
	if id == n.cfg.Self.ID {
		return n.applyAll(ctx, batch)
	}
	req := &transport.Request{Method: call.MethodApply, Payload: (&call.ApplyRequest{Updates: batch}).Marshal()}
	return n.to(ctx, fmt.Sprintf("%d updates", len(batch)), id, func(ctx context.Context, to cluster.Member) error {
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
	if r.Announce {
		return n.register(ctx, u.Object.ID.Owner)
	}
	return nil
}

func (n *Node) applyAll(ctx context.Context, batch []cluster.Update) error {
	for i := range batch {
		if err := n.admitUpdate(&batch[i]); err != nil {
			return err
		}
	}
	results, err := n.cfg.Store.ApplyAll(ctx, batch)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for i, r := range results {
		if owner := batch[i].Object.ID.Owner; r.Announce && !told[owner] {
			told[owner] = true
			if err := n.register(ctx, owner); err != nil {
				return err
			}
		}
	}
	return nil
}

// admitUpdate refuses what this node should not take in now. Deletions are always taken.
func (n *Node) admitUpdate(u *cluster.Update) error {
	n.senses.mu.Lock()
	err := n.senses.clock.Observe(u.Object.Timestamp, n.cfg.Now())
	n.senses.mu.Unlock()
	if err != nil {
		n.stats.skewed.Add(1)
		return &cluster.Error{Kind: cluster.KindInvalid, Op: "update " + u.Object.ID.Owner, Err: err}
	}
	if u.Object.Deleted {
		return nil
	}
	if n.stats.full.Load() {
		return cluster.Errorf(cluster.KindUnavailable, "update "+u.Object.ID.Owner, "%d holdings wait for their managers: try again", n.stats.owedHoldings.Load())
	}
	if n.draining.Load() && u.Object.Replicas.Contains(n.cfg.Self.ID) {
		return cluster.Errorf(cluster.KindFull, "update "+u.Object.ID.Owner, "node %s is stopping", n.cfg.Self.ID)
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
	now := n.cfg.Now()
	n.senses.mu.Lock()
	n.senses.loads.Observe(n.cfg.Self.ID, n.load(), now)
	n.senses.mu.Unlock()
	ids := n.senses.choose(balance.Request{
		Holders: holders, Members: n.View().IDs(), Exclude: exclude, Spread: spread, Copies: copies,
	}, now)
	if len(ids) == 0 {
		return nil, cluster.Errorf(cluster.KindFull, "choose nodes for "+e.Owner, "no live node takes new objects: free disk space or start more nodes")
	}
	return cluster.NewReplicaSet(ids...), nil
}

// sequential is a Body over a stream that is read once, in order: the contents of an update that
// came over the network, on their way into the store.
type sequential struct {
	r    io.Reader
	size int64
	at   int64
}

// asBody gives the contents of an incoming request as a Body; small ones are in memory already.
func asBody(r *transport.Incoming) (cluster.Body, error) {
	if r.Body == nil {
		return nil, nil
	}
	if r.BodySize <= transport.InlineBodyMax {
		b := make([]byte, r.BodySize)
		if _, err := io.ReadFull(r.Body, b); err != nil {
			return nil, cluster.Errorf(cluster.KindUnavailable, "read contents", "%w", err)
		}
		return bytes.NewReader(b), nil
	}
	return &sequential{r: r.Body, size: r.BodySize}, nil
}

func (s *sequential) Size() int64 { return s.size }

// ReadAt works only where the last read ended, which is how the store reads.
func (s *sequential) ReadAt(p []byte, off int64) (int, error) {
	if off != s.at {
		return 0, fmt.Errorf("read at %d of a stream that is at %d", off, s.at)
	}
	k, err := io.ReadFull(s.r, p[:min(int64(len(p)), s.size-s.at)])
	s.at += int64(k)
	if err == nil && k < len(p) {
		err = io.EOF
	}
	return k, err
}
