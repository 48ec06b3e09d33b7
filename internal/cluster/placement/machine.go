package placement

import (
	"cmp"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Crowded reports whether two copies of objects on this replica set share a machine while a node on another one can take
// one of them. Sets with nodes that are absent or on their way out do not count: Repair and Drain come first.
func (p *Planner) Crowded(set cluster.ReplicaSet) bool {
	if len(p.machines) == 0 || len(p.machines.Together(set)) == 0 || len(set) == cluster.ReplicaSetMax {
		return false
	}
	return len(p.split(set).sound) == len(set) && len(p.elsewhere(set, 0)) > 0
}

// elsewhere gives the nodes on machines without a copy that take an object of that size.
func (p *Planner) elsewhere(set cluster.ReplicaSet, size int64) (open []cluster.NodeID) {
	for _, id := range p.machines.Apart(set, p.ids) {
		if p.open(id, size) {
			open = append(open, id)
		}
	}
	return open
}

// part moves one of an object's copies that share a machine to another machine, if one has room. A set of the
// largest size stays as it is: the copy could not be added BEFORE the other one is dropped.
func (p *Planner) part(o *Object, h *home) (Move, bool) {
	if !p.Crowded(o.Replicas) || o.Cached && p.w.Now.Sub(time.Unix(0, o.Timestamp.Time)) < ApartAfter {
		return Move{}, false
	}
	open := p.elsewhere(o.Replicas, o.Size)
	if len(open) == 0 {
		return Move{}, false
	}
	return exchange(o, p.leave(o.ID, o.Replicas, 1), p.inOrder(o, h, open)[:1], Apart), true
}

// leave gives the n nodes of the set that shall drop the object: those that share their machine with another one first,
// then those that have the least free space.
func (p *Planner) leave(id cluster.ObjectID, set cluster.ReplicaSet, n int) (out cluster.ReplicaSet) {
	for range n {
		from := set
		if together := p.machines.Together(set); len(together) > 0 {
			from = together
		}
		gone := cluster.ReplicaSet{slices.MinFunc(from, func(a, b cluster.NodeID) int {
			return cmp.Or(cmp.Compare(p.free[a], p.free[b]), cmp.Compare(hashOf(id.ID, uint64(a)), hashOf(id.ID, uint64(b))))
		})}
		out, set = out.Union(gone), set.Without(gone)
	}
	return out
}

// crowding is how many copies of a set could be lost with a machine of another one.
func (p *Planner) crowding(set cluster.ReplicaSet) int {
	if len(p.machines) == 0 {
		return 0
	}
	return len(set) - p.machines.Count(set)
}

// crowds reports whether a node would share its machine with another one of the set but self, which leaves it.
func (p *Planner) crowds(id cluster.NodeID, set cluster.ReplicaSet) bool {
	if len(p.machines) == 0 || set.Contains(id) {
		return false
	}
	return len(p.machines.Apart(set.Without(cluster.ReplicaSet{p.w.Self}), []cluster.NodeID{id})) == 0
}
