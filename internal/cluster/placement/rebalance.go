package placement

import (
	"cmp"
	"slices"

	"porcupine/internal/cluster"
)

// home is where one owner's objects lie.
type home struct {
	weight map[cluster.NodeID]int64 // live nodes that hold some, and how many
	core   cluster.ReplicaSet       // those that they should lie on; nil: not known, or few enough
	wide   bool                     // no further node should hold some
	vague  bool                     // there is a limit, and the mail map is not known
}

// homeOf computes where an owner's objects lie, from the mail map or, without one, from the objects.
func (p *Planner) homeOf(objects []Object, maps map[string][]cluster.Fragment) *home {
	h := &home{weight: map[cluster.NodeID]int64{}}
	add := func(set cluster.ReplicaSet, count int64) {
		for _, id := range set {
			if _, alive := p.members[id]; alive {
				h.weight[id] += count
			}
		}
	}
	fragments, known := maps[objects[0].ID.Owner]
	for _, f := range fragments {
		add(f.Replicas, f.Count)
	}
	for i := range objects {
		if o := &objects[i]; !known && !o.Cached && !o.Deleted {
			add(o.Replicas, 1)
		}
	}
	if p.w.Spread <= 0 {
		return h
	}
	h.wide, h.vague = len(h.weight) >= p.w.Spread, !known
	if !known || len(h.weight) <= p.w.Spread {
		return h
	}
	var ids []cluster.NodeID
	for _, id := range p.ids {
		if h.weight[id] > 0 && p.open(id, 0) {
			ids = append(ids, id)
		}
	}
	slices.SortStableFunc(ids, func(a, b cluster.NodeID) int { return cmp.Compare(h.weight[b], h.weight[a]) })
	h.core = cluster.NewReplicaSet(p.machines.Pick(nil, ids, p.w.Spread)...)
	return h
}

// gather moves an object of an owner whose spread is too wide to the nodes that hold most of it.
func (p *Planner) gather(o *Object, h *home) (Move, bool) {
	if len(h.core) < p.w.Spread {
		return Move{}, false // there are too few nodes with room to gather at
	}
	outside := o.Replicas.Without(h.core)
	var inside []cluster.NodeID
	for _, id := range h.core.Without(o.Replicas) {
		if p.open(id, o.Size) {
			inside = append(inside, id)
		}
	}
	inside = draw(o.ID.Owner, inside, func(id cluster.NodeID) int64 { return p.members[id].DiskFree })
	for n := min(len(outside), len(inside)); n > 0; n-- {
		out := outside[:n]
		m := exchange(o, out, p.machines.Pick(o.Replicas.Without(out), inside, n), Spread)
		if p.crowding(m.Replicas) <= p.crowding(o.Replicas) {
			return m, true
		}
	}
	return Move{}, false
}

// even moves an object of this node to the emptiest one that has no other copy on its machine, if this node is the
// fullest and the difference is large.
func (p *Planner) even(o *Object, h *home) (Move, bool) {
	self, least, most := p.w.Self, p.w.Self, cluster.NoNode
	for _, id := range p.ids {
		if p.members[id].Draining {
			continue
		}
		if p.members[id].DiskFree < p.members[least].DiskFree {
			least = id
		}
		if p.open(id, o.Size) && !p.crowds(id, o.Replicas) && (most == cluster.NoNode || p.free[id] > p.free[most]) {
			most = id
		}
	}
	if least != self || most == cluster.NoNode || o.Replicas.Contains(most) || o.Size == 0 {
		return Move{}, false
	}
	if h.vague || h.wide && h.weight[most] == 0 || h.core != nil && !h.core.Contains(most) {
		return Move{}, false // it would come back for Spread
	}
	// The difference that calls for it is twice the one at which it stops.
	before := p.members[most].DiskFree - p.members[self].DiskFree
	now := p.free[most] - p.free[self] - 2*o.Size
	limit := max(p.w.EvenMin, p.members[most].DiskFree/EvenShare)
	if before < limit || now < limit/2 {
		return Move{}, false
	}
	return exchange(o, cluster.ReplicaSet{self}, []cluster.NodeID{most}, Even), true
}

func exchange(o *Object, out cluster.ReplicaSet, in []cluster.NodeID, why Reason) Move {
	return Move{
		Replicas: o.Replicas.Without(out).Union(cluster.NewReplicaSet(in...)), Reason: why,
		leaving: out, previous: o.Replicas,
	}
}
