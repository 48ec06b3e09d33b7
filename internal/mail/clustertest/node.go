package clustertest

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"slices"

	"porcupine/internal/cluster"
)

// ID is the node's id.
func (n *Node) ID() cluster.NodeID { return n.id }

// Timestamp is newer than all before it.
func (n *Node) Timestamp(context.Context) (cluster.Timestamp, error) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return n.cluster.now(n.id), nil
}

// View is the view of all members.
func (n *Node) View() *cluster.View {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return n.cluster.view
}

// Pending is 0: the nodes are idle.
func (n *Node) Pending(cluster.NodeID) int { return 0 }

// Changed never happens: views change without a signal.
func (n *Node) Changed() <-chan struct{} { return nil }

// KnownNodes counts all nodes, members or not.
func (n *Node) KnownNodes() int { return len(n.cluster.nodes) }

// Serve registers a handler.
func (n *Node) Serve(method string, h func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error)) {
	n.handlers[method] = h
}

// Ask runs a handler at the owner's manager.
func (n *Node) Ask(ctx context.Context, owner, method string, payload []byte) ([]byte, error) {
	n.cluster.Asks.Add(1)
	n.cluster.mu.Lock()
	manager, err := n.cluster.reach("ask "+method, n.cluster.view.Manager(ID.BucketOf(owner)))
	n.cluster.mu.Unlock()
	if err != nil || ctx.Err() != nil {
		return nil, unavailable("ask " + method)
	}
	return manager.handlers[method](ctx, n.id, payload)
}

// Tell runs a handler at one node.
func (n *Node) Tell(ctx context.Context, to cluster.NodeID, method string, payload []byte) ([]byte, error) {
	n.cluster.mu.Lock()
	node, err := n.cluster.reach("tell "+method, to)
	n.cluster.mu.Unlock()
	if err != nil || ctx.Err() != nil {
		return nil, unavailable("tell " + method)
	}
	return node.handlers[method](ctx, n.id, payload)
}

// LocalEntry is the entry, if this node is the owner's manager.
func (n *Node) LocalEntry(_ context.Context, owner string) (cluster.Entry, bool) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	if n.faults.NoSoft || n.cluster.view.Manager(ID.BucketOf(owner)) != n.id {
		return cluster.Entry{}, false
	}
	return n.cluster.entry(owner), true
}

// Lookup is the entry, from the manager.
func (n *Node) Lookup(ctx context.Context, owner string) (cluster.Entry, error) {
	n.cluster.Lookups.Add(1)
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	if _, err := n.cluster.reach("look up", n.cluster.view.Manager(ID.BucketOf(owner))); err != nil || ctx.Err() != nil {
		return cluster.Entry{}, unavailable("look up")
	}
	return n.cluster.entry(owner), nil
}

// Owners lists the newest version of all objects of a type, tombstones included.
func (n *Node) Owners(_ context.Context, t cluster.ObjectType, after string, limit int) ([]cluster.CachedObject, error) {
	n.cluster.Scans.Add(1)
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	if n.cluster.knowledge == cluster.Partial {
		return nil, unavailable("list owners")
	}
	var all []cluster.CachedObject
	for _, m := range n.cluster.view.Members {
		for id, s := range n.cluster.Node(m.ID).objects {
			if id.Type == t && id.Owner > after {
				all = addCached(all, s)
			}
		}
	}
	slices.SortFunc(all, func(a, b cluster.CachedObject) int { return a.Object.ID.Compare(b.Object.ID) })
	return all[:min(limit, len(all))], nil
}

// Choose takes the members that the owner's mail lies on if there are spread of them, and of
// those, the emptiest; fewer than copies if fewer can take it.
func (n *Node) Choose(e cluster.Entry, t cluster.ObjectType, copies, spread int, beside, exclude []cluster.NodeID) (cluster.ReplicaSet, error) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	var holders, others []cluster.NodeID
	for _, m := range n.cluster.view.Members {
		node := n.cluster.Node(m.ID)
		if slices.Contains(exclude, m.ID) || slices.Contains(beside, m.ID) || node.faults.Full {
			continue
		}
		if slices.ContainsFunc(e.Fragments, func(f cluster.Placed) bool { return f.Type == t && f.Replicas.Contains(m.ID) }) {
			holders = append(holders, m.ID)
		} else {
			others = append(others, m.ID)
		}
	}
	emptiest := func(a, b cluster.NodeID) int {
		return cmp.Compare(len(n.cluster.Node(a).objects), len(n.cluster.Node(b).objects))
	}
	slices.SortStableFunc(others, emptiest)
	candidates := append(holders, others[:max(0, min(len(others), max(spread, copies)-len(holders)))]...)
	slices.SortStableFunc(candidates, emptiest)
	if len(candidates) == 0 {
		return nil, cluster.Errorf(cluster.KindFull, "choose nodes", "no node can take it")
	}
	return cluster.NewReplicaSet(candidates[:min(copies, len(candidates))]...), nil
}

// List lists the live objects of an owner on one node.
func (n *Node) List(_ context.Context, on cluster.NodeID, owner string, t cluster.ObjectType) ([]cluster.Object, error) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	node, err := n.cluster.reach("list", on)
	if err != nil {
		return nil, err
	}
	var all []cluster.Object
	for _, id := range node.sortedIDs(owner) {
		if s := node.objects[id]; id.Type == t && !s.object.Deleted {
			all = append(all, s.object)
		}
	}
	return all, nil
}

// Open reads an object from one node.
func (n *Node) Open(_ context.Context, on cluster.NodeID, id cluster.ObjectID) (cluster.Object, io.ReadCloser, error) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	node, err := n.cluster.reach("open", on)
	if err != nil {
		return cluster.Object{}, nil, err
	}
	s, ok := node.objects[id]
	if !ok || s.object.Deleted {
		return cluster.Object{}, nil, cluster.Errorf(cluster.KindNotFound, "open "+id.ID, "no such object")
	}
	if s.damaged {
		return cluster.Object{}, nil, cluster.Errorf(cluster.KindCorrupt, "open "+id.ID, "checksum does not match")
	}
	return s.object, io.NopCloser(bytes.NewReader(s.contents)), nil
}
