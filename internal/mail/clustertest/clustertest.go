// Package clustertest is a cluster in memory for the tests of the mail rooms: obvious where the
// real one is clever. Its soft state is computed anew from the hard state at every question, its
// calls are method calls, and its faults are switched on by the test. It knows nothing of epochs on
// calls, heals nothing by itself and lies only where it says so: an update that did not reach all its
// targets waits in a record at those that it reached, until the test calls Propagate. Updates of types that
// merge are joined, as the real store joins them; what a type derives is computed at every question.
//
// A Cluster is used from any goroutine. A Node has the methods that the mail rooms ask of a node.
package clustertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"

	"porcupine/internal/cluster"
)

// ID is the id of every test cluster.
var ID = cluster.ID{1: 0x70, 2: 0x6f}

// Cluster is a set of nodes with ids 1, 2, 3 and so on.
type Cluster struct {
	// Lookups, Asks, Updates and Scans (calls of Owners) count calls.
	Lookups, Asks, Updates, Scans atomic.Int64

	mu        sync.Mutex
	types     map[cluster.ObjectType]cluster.TypeSpec
	nodes     []*Node // by id, ascending, members or not
	view      *cluster.View
	knowledge cluster.Knowledge
	clock     int64
	records   map[cluster.ObjectID]*record // that are not retired
}

// Node is one node. The fields are switched with Cluster.Set.
type Node struct {
	cluster  *Cluster
	id       cluster.NodeID
	handlers map[string]handler
	objects  map[cluster.ObjectID]stored
	gone     map[cluster.ObjectID]cluster.Update // the newest update that left no copy here
	faults   Faults
}

// Faults of a node. A node with faults is still a member.
type Faults struct {
	Hung   bool // every call to it fails
	Full   bool // it stores nothing new
	Behind bool // it stores nothing: its view is older than its caller's
	Mute   bool // it stores, and the call fails all the same: the answer is lost
	NoSoft bool // as manager it has no soft state: LocalEntry is false
}

type handler func(ctx context.Context, from cluster.NodeID, payload []byte) ([]byte, error)

type stored struct {
	object   cluster.Object
	contents []byte
	damaged  bool
}

// New makes a cluster of n members that knows everything.
func New(n int, types []cluster.TypeSpec) *Cluster {
	c := &Cluster{types: make(map[cluster.ObjectType]cluster.TypeSpec), knowledge: cluster.Conclusive, clock: 1_000_000,
		records: make(map[cluster.ObjectID]*record)}
	for _, t := range types {
		c.types[t.Name] = t
	}
	for i := range n {
		c.nodes = append(c.nodes, &Node{cluster: c, id: cluster.NodeID(i + 1),
			handlers: make(map[string]handler), objects: make(map[cluster.ObjectID]stored),
			gone: make(map[cluster.ObjectID]cluster.Update)})
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

// Damage makes a node's copy of an object unreadable.
func (c *Cluster) Damage(on cluster.NodeID, id cluster.ObjectID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.Node(on).objects[id]
	s.damaged = true
	c.Node(on).objects[id] = s
}

// Contents gives what a node's disk has of a live object.
func (c *Cluster) Contents(on cluster.NodeID, id cluster.ObjectID) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.Node(on).objects[id]
	return s.contents, ok && !s.object.Deleted
}

func (c *Cluster) now(node cluster.NodeID) cluster.Timestamp {
	c.clock += 1000
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
			if c.types[id.Type].Cached {
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
