package placement

import (
	"time"

	"porcupine/internal/cluster"
)

// Defaults and limits.
const (
	// RepairAfterDefault is how long a node may be absent before its replicas are replaced.
	RepairAfterDefault = time.Minute
	// GraceDefault is how long a node may be absent before it is as good as struck.
	GraceDefault = 7 * 24 * time.Hour
	// TurnAfter is how much later each next holder of an object acts than the one before it.
	TurnAfter = 20 * time.Second
	// SettleAfter is how old an object must be before it is moved while it still propagates: the
	// update's own log may bring it to where it is missing.
	SettleAfter = 10 * time.Second
	// ApartAfter is how long an object of a cached or inline type must have been left as it is before a copy of it is
	// moved for Apart: a service that has such objects lie together, and writes one again and again where they lay
	// before, would have it moved again and again.
	ApartAfter = 5 * time.Minute
	// EvenMinDefault is the least difference in free space, in bytes, for which disks are evened out;
	// it must also be more than an EvenShare-th part of the larger one's.
	EvenMinDefault = 4 << 30
	EvenShare      = 4
)

// Member is a live node and its load as last heard.
type Member struct {
	ID   cluster.NodeID
	Load cluster.Load
}

// World is what a node knows of the cluster at one moment.
type World struct {
	Self    cluster.NodeID
	Members []Member // of the view, Self included; in any order
	// Absent are the nodes that were met and are not members, and since when. A node that is in a
	// replica set and in none of these lists counts as absent since Since.
	Absent map[cluster.NodeID]time.Time
	Struck cluster.ReplicaSet // removed for good
	Now    time.Time
	// Since is when the circumstances last changed: the view, a node's draining. The turns of an
	// object's holders are counted from then at the earliest.
	Since time.Time

	RepairAfter time.Duration // 0: RepairAfterDefault
	Grace       time.Duration // 0: GraceDefault

	// Rebalance permits moves that no object needs: Even and Spread.
	Rebalance bool
	Spread    int   // nodes that the objects of one owner may be spread over; 0: no limit
	EvenMin   int64 // 0: EvenMinDefault

	// Part permits moves of copies that share a machine (Apart).
	Part bool
}

// Object is one object of the node's own disk, a tombstone or not.
type Object struct {
	cluster.Object
	Cached bool // of a cached or inline type: never moved only to even out
	// Propagating: the node has a record of it, so some target may not have applied it yet.
	Propagating bool
}

// Reason says why an object is moved.
type Reason uint8

const (
	// Repair: it has fewer live replicas than wanted, or names a struck node.
	Repair Reason = 1 + iota
	// Surplus: it has more replicas than wanted, all alive.
	Surplus
	// Drain: a holder is on its way out.
	Drain
	// Spread: its owner's objects lie on more nodes than they should.
	Spread
	// Even: a disk is much fuller than another.
	Even
	// Apart: two of its copies are on one machine, and need not be.
	Apart
)

func (r Reason) String() string {
	return [...]string{"none", "repair", "surplus", "drain", "spread", "even", "apart"}[r]
}

// Move gives an object another replica set.
type Move struct {
	Object   cluster.Object     // as it was found
	Replicas cluster.ReplicaSet // where it shall lie
	Copies   int                // its Copies, said out loud where it was 0
	Reason   Reason
	leaving  cluster.ReplicaSet // live holders that shall drop it
	previous cluster.ReplicaSet // all that must hear of it
	confirm  bool               // it is not known whether those that keep it have it yet
}

// Added are the nodes that need the contents.
func (m *Move) Added() cluster.ReplicaSet { return m.Replicas.Without(m.Object.Replicas) }

// Contents reports whether a target may need the contents.
func (m *Move) Contents() bool { return !m.Object.Deleted && (m.confirm || len(m.Added()) > 0) }

// Updates gives the updates that carry the move out at node self, one or two, in their order: where
// a live holder shall drop the object and another node get it (or may not have it yet), the first
// update only adds. The second may be sent only AFTER the first is durable on all of its replica set;
// if it never is, the object has a replica too many, and that is found again.
//
// The timestamps follow from the object's own and the new replica set: trying again is harmless.
func (m *Move) Updates(self cluster.NodeID) []cluster.Update {
	base := m.Object
	base.Copies = m.Copies
	var updates []cluster.Update
	both := m.Replicas.Union(m.leaving)
	if len(m.leaving) > 0 && (len(m.Added()) > 0 || m.confirm) && len(both) <= cluster.ReplicaSetMax {
		o := at(base, both, self)
		updates = append(updates, cluster.Update{Object: o, Previous: m.previous})
		base.Timestamp = o.Timestamp
	}
	return append(updates, cluster.Update{Object: at(base, m.Replicas, self), Previous: m.previous})
}

// stampRange bounds, in nanoseconds, how much younger than what it was made from a move is.
const stampRange = 1_000_000

// at gives the object a replica set and a timestamp that is a little newer. The same set gives the
// same timestamp, another set (all but certainly) another: timestamps stay unique (R3).
func at(o cluster.Object, set cluster.ReplicaSet, self cluster.NodeID) cluster.Object {
	o.Replicas = set
	o.Timestamp = cluster.Timestamp{Time: o.Timestamp.Time + 1 + int64(hashOf(set.Key(), uint64(o.Copies))%stampRange), Node: self}
	return o
}
