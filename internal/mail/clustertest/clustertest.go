// Package clustertest is a cluster in memory for the tests of the mail rooms: obvious where the
// real one is clever. Its soft state is computed anew from the hard state at every question, its
// calls are method calls, and its faults are switched on by the test. It knows nothing of epochs on
// calls, heals nothing by itself and lies only where it says so.
//
// A Cluster is used from any goroutine. A Node has the methods that the mail rooms ask of a node.
package clustertest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"porcupine/internal/cluster"
)

// ID is the id of every test cluster.
var ID = cluster.ID{1: 0x70, 2: 0x6f}

// Cluster is a set of nodes with ids 1, 2, 3 and so on.
type Cluster struct {
	// Lookups, Asks and Updates count calls.
	Lookups, Asks, Updates atomic.Int64

	mu        sync.Mutex
	cached    map[cluster.ObjectType]bool
	nodes     []*Node // by id, ascending, members or not
	view      *cluster.View
	knowledge cluster.Knowledge
	clock     int64
}

// Node is one node. The fields are switched with Cluster.Set.
type Node struct {
	cluster  *Cluster
	id       cluster.NodeID
	handlers map[string]handler
	objects  map[cluster.ObjectID]stored
	faults   Faults
}

// Faults of a node. A node with faults is still a member.
type Faults struct {
	Hung   bool // every call to it fails
	Full   bool // it stores nothing
	Mute   bool // it stores, and the call fails all the same: the answer is lost
	NoSoft bool // as manager it has no soft state: LocalEntry is false
}

type handler func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error)

type stored struct {
	object   cluster.Object
	contents []byte
}

// New makes a cluster of n members that knows everything.
func New(n int, types []cluster.TypeSpec) *Cluster {
	c := &Cluster{cached: make(map[cluster.ObjectType]bool), knowledge: cluster.Conclusive, clock: 1_000_000}
	for _, t := range types {
		c.cached[t.Name] = t.Cached
	}
	for i := range n {
		c.nodes = append(c.nodes, &Node{cluster: c, id: cluster.NodeID(i + 1),
			handlers: make(map[string]handler), objects: make(map[cluster.ObjectID]stored)})
	}
	ids := make([]cluster.NodeID, n)
	for i := range ids {
		ids[i] = cluster.NodeID(i + 1)
	}
	c.SetMembers(ids...)
	return c
}

// Node gives the node with that id.
func (c *Cluster) Node(id cluster.NodeID) *Node { return c.nodes[id-1] }

// SetMembers installs a new view. Buckets go to members in turn; those whose manager changes, or
// came back, are assigned anew, and a member that was not one before has a new Since.
func (c *Cluster) SetMembers(ids ...cluster.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.view
	v := &cluster.View{Epoch: cluster.Epoch{Counter: 1, Coordinator: ids[0]}, Map: make(cluster.UserMap, cluster.BucketCount)}
	if old != nil {
		v.Epoch.Counter = old.Epoch.Counter + 1
	}
	for _, id := range cluster.NewReplicaSet(ids...) {
		m, ok := old.Member(id)
		if !ok {
			m = cluster.Member{Endpoint: cluster.Endpoint{ID: id}, Since: v.Epoch}
		}
		v.Members = append(v.Members, m)
	}
	for b := range v.Map {
		v.Map[b] = cluster.Assignment{Manager: v.Members[b%len(v.Members)].ID, Epoch: v.Epoch}
		if old != nil && v.Contains(old.Map[b].Manager) {
			v.Map[b] = old.Map[b] // the fewest moves
			if m, _ := v.Member(old.Map[b].Manager); m.Since == v.Epoch {
				v.Map[b].Epoch = v.Epoch
			}
		}
	}
	c.view = v
}

// MoveBucket makes a node the manager of an owner's bucket, in a new view.
func (c *Cluster) MoveBucket(owner string, to cluster.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := *c.view
	v.Epoch.Counter++
	v.Map = slices.Clone(v.Map)
	v.Map[ID.BucketOf(owner)] = cluster.Assignment{Manager: to, Epoch: v.Epoch}
	c.view = &v
}

// Manager gives the manager of an owner.
func (c *Cluster) Manager(owner string) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Node(c.view.Manager(ID.BucketOf(owner)))
}

// SetKnowledge says what every entry proves from now on.
func (c *Cluster) SetKnowledge(k cluster.Knowledge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.knowledge = k
}

// SetFaults switches a node's faults.
func (c *Cluster) SetFaults(id cluster.NodeID, f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Node(id).faults = f
}

// Copies gives the nodes on whose disks a live object lies, members or not.
func (c *Cluster) Copies(id cluster.ObjectID) (nodes cluster.ReplicaSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if s, ok := n.objects[id]; ok && !s.object.Deleted {
			nodes = append(nodes, n.id)
		}
	}
	return nodes
}

// Objects gives the ids of all live objects of an owner and type on all disks, once for each copy.
func (c *Cluster) Objects(owner string, t cluster.ObjectType) (ids []cluster.ObjectID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		for id, s := range n.objects {
			if id.Owner == owner && id.Type == t && !s.object.Deleted {
				ids = append(ids, id)
			}
		}
	}
	slices.SortFunc(ids, cluster.ObjectID.Compare)
	return ids
}

// Disks gives the contents of all disks, for tests that search them.
func (c *Cluster) Disks() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all bytes.Buffer
	for _, n := range c.nodes {
		for id, s := range n.objects {
			all.WriteString(id.Owner + id.ID)
			all.Write(s.object.Attr)
			all.Write(s.contents)
		}
	}
	return all.Bytes()
}

// Put stores an object on one node behind everybody's back: a leftover, an older copy.
func (c *Cluster) Put(on cluster.NodeID, o cluster.Object, contents []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.Timestamp.IsZero() {
		o.Timestamp = c.now(on)
	}
	o.Size, o.Sum = int64(len(contents)), sha256.Sum256(contents)
	c.Node(on).objects[o.ID] = stored{object: o, contents: contents}
}

func (c *Cluster) now(node cluster.NodeID) cluster.Timestamp {
	c.clock++
	return cluster.Timestamp{Time: c.clock, Node: node}
}

func unavailable(op string) error {
	return cluster.Errorf(cluster.KindUnavailable, op, "node does not answer")
}

// reach gives a member that answers. Preconditions: mu is held.
func (c *Cluster) reach(op string, id cluster.NodeID) (*Node, error) {
	if !c.view.Contains(id) || c.Node(id).faults.Hung {
		return nil, unavailable(op)
	}
	return c.Node(id), nil
}

// entry computes an owner's entry. Preconditions: mu is held.
func (c *Cluster) entry(owner string) cluster.Entry {
	e := cluster.Entry{Owner: owner, Knowledge: c.knowledge}
	for _, m := range c.view.Members {
		for _, id := range c.Node(m.ID).sortedIDs(owner) {
			s := c.Node(m.ID).objects[id]
			if c.cached[id.Type] {
				e.Cached = addCached(e.Cached, s)
			} else if !s.object.Deleted {
				e.Fragments = addFragment(e.Fragments, s.object, m.ID)
			}
		}
	}
	return e
}

func addCached(all []cluster.CachedObject, s stored) []cluster.CachedObject {
	o := cluster.CachedObject{Object: s.object, Contents: s.contents}
	for i := range all {
		if all[i].Object.ID == s.object.ID {
			if all[i].Object.Timestamp.Compare(s.object.Timestamp) < 0 {
				all[i] = o
			}
			return all
		}
	}
	return append(all, o)
}

func addFragment(all []cluster.Placed, o cluster.Object, on cluster.NodeID) []cluster.Placed {
	for i := range all {
		f := &all[i]
		if f.Type != o.ID.Type || !f.Replicas.Equal(o.Replicas) {
			continue
		}
		if !slices.Contains(f.Holders, on) {
			f.Holders = append(f.Holders, on)
		}
		if f.Holders[0] == on {
			f.Count++
			f.Bytes += o.Size
		}
		return all
	}
	return append(all, cluster.Placed{Holders: []cluster.NodeID{on},
		Fragment: cluster.Fragment{Type: o.ID.Type, Replicas: o.Replicas, Count: 1, Bytes: o.Size}})
}

func (n *Node) sortedIDs(owner string) (ids []cluster.ObjectID) {
	for id := range n.objects {
		if owner == "" || id.Owner == owner {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, cluster.ObjectID.Compare)
	return ids
}

// ID is the node's id.
func (n *Node) ID() cluster.NodeID { return n.id }

// View is the view of all members.
func (n *Node) View() *cluster.View {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	return n.cluster.view
}

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

// LocalEntry is the entry, if this node is the owner's manager.
func (n *Node) LocalEntry(owner string) (cluster.Entry, bool) {
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
func (n *Node) Choose(e cluster.Entry, t cluster.ObjectType, copies, spread int, exclude []cluster.NodeID) (cluster.ReplicaSet, error) {
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	var holders, others []cluster.NodeID
	for _, m := range n.cluster.view.Members {
		node := n.cluster.Node(m.ID)
		if slices.Contains(exclude, m.ID) || node.faults.Full {
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

// Update applies an update at all its targets, or fails at the first that cannot.
func (n *Node) Update(ctx context.Context, u cluster.Update, body cluster.Body) error {
	n.cluster.Updates.Add(1)
	var contents []byte
	if body != nil {
		contents = make([]byte, body.Size())
		if _, err := body.ReadAt(contents, 0); err != nil && err != io.EOF {
			return err
		}
	}
	n.cluster.mu.Lock()
	defer n.cluster.mu.Unlock()
	if ctx.Err() != nil {
		return unavailable("update")
	}
	if body != nil && sha256.Sum256(contents) != u.Object.Sum {
		return cluster.Errorf(cluster.KindInvalid, "update", "sum is wrong")
	}
	if u.Object.Timestamp.IsZero() {
		u.Object.Timestamp = n.cluster.now(n.id)
	}
	for _, id := range u.Targets() {
		if err := n.cluster.apply(id, &u, contents); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) apply(id cluster.NodeID, u *cluster.Update, contents []byte) error {
	node, err := c.reach("update", id)
	if err != nil {
		return err
	}
	if node.faults.Full && !u.Object.Deleted {
		return cluster.Errorf(cluster.KindFull, "update", "disk is full")
	}
	if old, ok := node.objects[u.Object.ID]; !ok || old.object.Timestamp.Compare(u.Object.Timestamp) < 0 {
		if u.Object.Replicas.Contains(id) {
			node.objects[u.Object.ID] = stored{object: u.Object, contents: contents}
		} else {
			delete(node.objects, u.Object.ID)
		}
	}
	if node.faults.Mute {
		return unavailable("update")
	}
	return nil
}

// UpdateAll applies updates without contents.
func (n *Node) UpdateAll(ctx context.Context, us []cluster.Update) []error {
	errs := make([]error, len(us))
	for i, u := range us {
		errs[i] = n.Update(ctx, u, nil)
	}
	return errs
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
	return s.object, io.NopCloser(bytes.NewReader(s.contents)), nil
}
