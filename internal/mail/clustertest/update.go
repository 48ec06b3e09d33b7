package clustertest

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"slices"

	"porcupine/internal/cluster"
)

// record is an update that has not reached all its targets. It lies, as it were, on the disks of
// those that it reached: while none of them answers it goes nowhere.
type record struct {
	update   cluster.Update
	contents []byte
	targets  cluster.ReplicaSet
	reached  cluster.ReplicaSet
}

// Update sends an update to all its targets at once. Its error is that of the real node.
func (n *Node) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	n.cluster.Updates.Add(1)
	var contents []byte
	if body != nil {
		contents = make([]byte, body.Size())
		if _, err := body.ReadAt(contents, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	switch targets := len(u.Targets()); {
	case ctx.Err() != nil:
		return unavailable("update")
	case targets == 0 || targets > cluster.ReplicaSetMax:
		return cluster.Errorf(cluster.KindInvalid, "update", "%d targets", targets)
	case body != nil && sha256.Sum256(contents) != u.Object.Sum:
		return cluster.Errorf(cluster.KindInvalid, "update", "sum is wrong")
	}
	if u.Object.Timestamp.IsZero() {
		u.Object.Timestamp = n.cluster.now(n.id)
	}
	return n.cluster.send(u, contents)
}

// UpdateAll sends updates without contents.
func (n *Node) UpdateAll(ctx context.Context, us []cluster.Update) []error {
	errs := make([]error, len(us))
	for i, u := range us {
		errs[i] = n.Update(ctx, u, nil)
	}
	return errs
}

// send applies an update where it can and says how it ended. Preconditions: mu is held.
func (c *Cluster) send(u cluster.Update, contents []byte) error {
	r := &record{update: u, contents: contents, targets: u.Targets()}
	errs := make(map[cluster.NodeID]error)
	var overtaken []*record // what is newer at some targets: all of this update's must hear of it
	for _, id := range r.targets {
		applied, err := c.apply(id, &u, contents)
		if applied {
			r.reached = r.reached.Union(cluster.ReplicaSet{id})
			if newer := c.newest(id, u.Object.ID); newer.update.Object.Timestamp != u.Object.Timestamp {
				overtaken = append(overtaken, newer)
			}
		}
		if err != nil {
			errs[id] = err
		}
	}
	c.keep(r)
	for _, newer := range overtaken {
		newer.targets = newer.targets.Union(r.targets)
		c.keep(newer)
	}
	return outcome(&u, errs)
}

// newest gives the newest update that a node knows of an object. Preconditions: mu is held.
func (c *Cluster) newest(id cluster.NodeID, object cluster.ObjectID) *record {
	n := c.Node(id)
	u, contents := n.gone[object], []byte(nil)
	if s, ok := n.objects[object]; ok && u.Object.Timestamp.Compare(s.object.Timestamp) < 0 {
		u, contents = cluster.Update{Object: s.object}, s.contents
	}
	return &record{update: u, contents: contents, targets: u.Targets(), reached: cluster.ReplicaSet{id}}
}

// outcome says what the initiator may say of an update with these failures.
func outcome(u *cluster.Update, errs map[cluster.NodeID]error) error {
	failed := cluster.NewReplicaSet(slices.Collect(maps.Keys(errs))...)
	if u.Object.Deleted && len(u.Object.Replicas) == 0 {
		if len(failed) < len(u.Previous) {
			return nil
		}
		return errs[failed[0]]
	}
	durable := u.Object.Replicas.Without(failed)
	missing := u.Object.Replicas.Without(durable)
	switch {
	case len(missing) == 0:
		return nil
	case len(durable) > 0:
		return &cluster.Shortfall{Durable: durable, Missing: missing, Err: errs[missing[0]]}
	}
	kind := cluster.KindOf(errs[missing[0]])
	for _, id := range missing {
		switch k := cluster.KindOf(errs[id]); {
		case k == cluster.KindFull:
			return errs[id]
		case k != kind:
			kind = cluster.KindUnavailable
		}
	}
	return cluster.Errorf(kind, "update", "no node took it: %w", errs[missing[0]])
}

// apply is an update at one target, by the Thomas write rule. An error may come although it was
// applied. Preconditions: mu is held.
func (c *Cluster) apply(id cluster.NodeID, u *cluster.Update, contents []byte) (applied bool, err error) {
	node, err := c.reach("update", id)
	if err != nil {
		return false, err
	}
	stays := u.Object.Replicas.Contains(id)
	if node.faults.Full && !u.Object.Deleted && stays {
		return false, cluster.Errorf(cluster.KindFull, "update", "disk is full")
	}
	if node.faults.Behind {
		return false, cluster.Errorf(cluster.KindBehind, "update", "an older view")
	}
	old, have := node.objects[u.Object.ID]
	if joined := c.join(id, old, have, u, contents); joined != nil {
		c.keep(joined)
	} else if (!have || old.object.Timestamp.Compare(u.Object.Timestamp) < 0) && node.gone[u.Object.ID].Object.Timestamp.Compare(u.Object.Timestamp) < 0 {
		if stays {
			node.objects[u.Object.ID] = stored{object: u.Object, contents: contents}
		} else {
			delete(node.objects, u.Object.ID)
			node.gone[u.Object.ID] = *u
		}
	}
	if node.faults.Mute {
		return true, unavailable("update")
	}
	return true, nil
}

// keep notes an update that is somewhere but not everywhere. Of two of one object the newer goes
// to the targets of both. Preconditions: mu is held.
func (c *Cluster) keep(r *record) {
	if len(r.reached) == 0 {
		return
	}
	if old := c.records[r.update.Object.ID]; old != nil {
		newer, older := r, old
		switch r.update.Object.Timestamp.Compare(old.update.Object.Timestamp) {
		case -1:
			newer, older = old, r
		case 0:
			newer.reached = newer.reached.Union(old.reached)
		}
		newer.targets = newer.targets.Union(older.targets)
		r = newer
	}
	c.records[r.update.Object.ID] = r
	if r.reached.ContainsAll(r.targets) {
		delete(c.records, r.update.Object.ID)
	}
}

// Propagate brings updates to those of their targets that answer now, and gives the number of
// updates that have not reached all yet.
func (c *Cluster) Propagate() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, r := range c.records {
		if !slices.ContainsFunc(r.reached, func(id cluster.NodeID) bool { _, err := c.reach("offer", id); return err == nil }) {
			continue
		}
		for _, target := range r.targets.Without(r.reached) {
			if applied, _ := c.apply(target, &r.update, r.contents); applied { // else it is offered again
				r.reached = r.reached.Union(cluster.ReplicaSet{target})
			}
		}
		if c.records[id] == r && r.reached.ContainsAll(r.targets) { // not if a joined one took its place
			delete(c.records, id)
		}
	}
	return len(c.records)
}
