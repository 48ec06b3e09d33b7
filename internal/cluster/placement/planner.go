package placement

import (
	"cmp"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Planner plans one pass over a node's buckets. It keeps account of what it has planned to put on
// each disk, so that one pass does not run all to the same node. One owner, no lock; make a new one
// for each pass, with new loads.
type Planner struct {
	w        World
	members  map[cluster.NodeID]cluster.Load
	ids      []cluster.NodeID         // of the members, ascending
	free     map[cluster.NodeID]int64 // with what was planned
	machines cluster.Machines
	settled  int // nodes that are to stay: members that do not drain, and absent ones
	held     Held
}

// Held is what a node on its way out cannot let go yet.
type Held struct {
	Objects int // too few other live nodes have, or can take, a copy
	// Absent are the nodes that some of them wait for: so many copies are wanted that those nodes are
	// counted with until they are struck. Empty: the nodes that are there cannot take them.
	Absent cluster.ReplicaSet
}

// Held gives what the buckets planned until now have shown of that, if this node is on its way out.
func (p *Planner) Held() Held { return p.held }

// hold notes that this node keeps a copy although it is on its way out; others are the live replicas that
// there would be without it.
func (p *Planner) hold(others, copies int) {
	p.held.Objects++
	absent := cluster.ReplicaSet{}
	for id := range p.w.Absent { // a set: the order does not matter
		if s := p.standing(id); s == away || s == gone {
			absent = absent.Union(cluster.ReplicaSet{id})
		}
	}
	if others >= max(1, min(copies, p.settled-len(absent))) {
		p.held.Absent = p.held.Absent.Union(absent)
	}
}

// Lacks reports whether objects on this replica set have fewer live replicas than wanted and than there
// are nodes, absent ones included. copies is the number wanted, as far as known: at least as many as the
// set names.
func (p *Planner) Lacks(set cluster.ReplicaSet, copies int) bool {
	live := 0
	for _, id := range set {
		if _, ok := p.members[id]; ok {
			live++
		}
	}
	return live < min(max(copies, len(set)), p.settled)
}

// NewPlanner makes a planner for a pass in this world.
func NewPlanner(w World) *Planner {
	w.RepairAfter = cmp.Or(w.RepairAfter, RepairAfterDefault)
	w.Grace = cmp.Or(w.Grace, GraceDefault)
	w.EvenMin = cmp.Or(w.EvenMin, EvenMinDefault)
	p := &Planner{w: w, members: map[cluster.NodeID]cluster.Load{}, free: map[cluster.NodeID]int64{}, machines: cluster.Machines{}}
	for _, m := range w.Members {
		p.members[m.ID] = m.Load
		p.free[m.ID] = m.Load.DiskFree
		if m.Load.Machine != cluster.NoMachine {
			p.machines[m.ID] = m.Load.Machine
		}
		p.ids = append(p.ids, m.ID)
		if !m.Load.Draining {
			p.settled++
		}
	}
	slices.Sort(p.ids)
	for id := range w.Absent { // counted only: the order does not matter
		if p.standing(id) == away || p.standing(id) == gone {
			p.settled++
		}
	}
	return p
}

// standing is what may be expected of a node.
type standing uint8

const (
	sound    standing = iota // a member that stays
	draining                 // a member on its way out
	away                     // absent for less than RepairAfter
	gone                     // absent for longer
	struck                   // removed for good, or absent for longer than Grace
)

func (p *Planner) standing(id cluster.NodeID) standing {
	load, ok := p.members[id]
	switch {
	case p.w.Struck.Contains(id):
		return struck
	case ok && load.Draining:
		return draining
	case ok:
		return sound
	}
	switch absent := p.w.Now.Sub(p.absentSince(id)); {
	case absent >= p.w.Grace:
		return struck
	case absent >= p.w.RepairAfter:
		return gone
	}
	return away
}

func (p *Planner) absentSince(id cluster.NodeID) time.Time {
	if since, ok := p.w.Absent[id]; ok {
		return since
	}
	return p.w.Since
}

// open reports whether a node takes an object of that size.
func (p *Planner) open(id cluster.NodeID, size int64) bool {
	load, ok := p.members[id]
	return ok && !load.DiskFull && !load.Draining && !p.w.Struck.Contains(id) && p.free[id] > size
}

// Affected reports whether objects on this replica set may need a move, so that a bucket need not be
// listed if none of its holdings' sets does. few is the number of copies that objects usually have: a
// smaller set may want more; 0: such sets do not count.
func (p *Planner) Affected(set cluster.ReplicaSet, few int) bool {
	if len(set) < few && p.settled > len(set) {
		return true
	}
	for _, id := range set {
		if s := p.standing(id); s != sound && s != away {
			return true
		}
	}
	return few > 0 && len(set) > few
}

// Deadline is when a node that is away now will be gone; zero: no node is away. A pass made before
// then has not seen to its replicas.
func (p *Planner) Deadline() (first time.Time) {
	for id, since := range p.w.Absent {
		if p.standing(id) != away {
			continue
		}
		if at := since.Add(p.w.RepairAfter); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first
}

// Bucket gives the moves of one bucket's objects, in their order. objects are all that this node
// holds there, in order of id. maps are mail maps, by owner, as far as they are known: without them
// the replica sets of the objects given stand in, and nothing is moved for Spread. waiting is the
// number of objects that another holder moves first, or that must come to rest before: a later pass
// looks at them again.
func (p *Planner) Bucket(objects []Object, maps map[string][]cluster.Fragment) (moves []Move, waiting int) {
	for first := 0; first < len(objects); {
		end := first + 1
		for end < len(objects) && objects[end].ID.Owner == objects[first].ID.Owner {
			end++
		}
		h := p.homeOf(objects[first:end], maps)
		for i := range objects[first:end] {
			o := &objects[first+i]
			move, ok := p.plan(o, h)
			switch {
			case !ok:
			case !p.myTurn(o, &move):
				if move.Reason != Spread && move.Reason != Apart {
					waiting++
				}
			default:
				for _, id := range move.Added() {
					p.free[id] -= o.Size
				}
				for _, id := range move.leaving {
					p.free[id] += o.Size
				}
				moves = append(moves, move)
			}
		}
		first = end
	}
	return moves, waiting
}

// plan decides about one object: what it needs first, then what would be better.
func (p *Planner) plan(o *Object, h *home) (Move, bool) {
	parts := p.split(o.Replicas)
	copies := o.Copies
	if copies <= 0 {
		copies = len(o.Replicas)
	}
	m, ok := p.restore(o, parts, copies, h)
	if !ok && p.w.Part && !o.Deleted {
		m, ok = p.part(o, h)
	}
	if !ok && p.w.Rebalance && len(parts.sound) == len(o.Replicas) && !o.Deleted && !o.Cached {
		if m, ok = p.gather(o, h); !ok {
			m, ok = p.even(o, h)
		}
	}
	m.Object, m.Copies, m.confirm = o.Object, min(copies, cluster.ReplicaSetMax), o.Propagating
	return m, ok
}

// parts is a replica set by the standing of its nodes.
type parts struct {
	sound, draining, away, gone, struck cluster.ReplicaSet
}

func (p *Planner) split(set cluster.ReplicaSet) (s parts) {
	lists := [...]*cluster.ReplicaSet{sound: &s.sound, draining: &s.draining, away: &s.away, gone: &s.gone, struck: &s.struck}
	for _, id := range set {
		l := lists[p.standing(id)]
		*l = append(*l, id)
	}
	return s
}

// restore gives an object as many sound replicas as it wants, no more, and none on nodes that leave.
func (p *Planner) restore(o *Object, s parts, copies int, h *home) (Move, bool) {
	need := copies - len(s.sound) - len(s.away)
	var added cluster.ReplicaSet
	if need > 0 {
		added = p.choose(o, h, slices.Concat(s.sound, s.away), need)
	}
	set := cluster.NewReplicaSet(slices.Concat(s.sound, s.away, added)...)
	m := Move{Reason: Repair}
	// A node on its way out keeps its replica until there are as many others, alive, as the cluster
	// can have without it.
	if len(s.sound)+len(added) >= max(1, min(copies, p.settled)) {
		m.leaving = s.draining
	} else {
		if s.draining.Contains(p.w.Self) {
			p.hold(len(s.sound)+len(added), copies)
		}
		if room := cluster.ReplicaSetMax - len(set); len(s.draining) <= room {
			set = set.Union(s.draining)
		}
	}
	// An absent one stays named while nobody can take its place: it may come back.
	if missing := copies - len(s.sound) - len(added); missing > 0 {
		set = set.Union(p.latest(s.gone, missing))
	}
	if len(s.draining) > 0 && len(s.gone)+len(s.struck) == 0 {
		m.Reason = Drain
	}
	if extra := len(s.sound) - copies; extra > 0 && len(s.sound) == len(set) && set.Equal(o.Replicas) {
		m.Reason = Surplus
		m.leaving = p.leave(o.ID, s.sound, extra)
		set = set.Without(m.leaving)
	}
	m.Replicas = set
	m.previous = o.Replicas.Without(s.struck)
	return m, len(set) > 0 && !set.Equal(o.Replicas)
}

// latest gives the n nodes that were members last.
func (p *Planner) latest(absent cluster.ReplicaSet, n int) cluster.ReplicaSet {
	list := slices.Clone(absent)
	slices.SortFunc(list, func(a, b cluster.NodeID) int {
		return cmp.Or(p.absentSince(b).Compare(p.absentSince(a)), cmp.Compare(a, b))
	})
	return cluster.NewReplicaSet(list[:min(n, len(list))]...)
}

// choose picks up to n nodes for new replicas beside the given ones: on machines that have none, as far as there are any.
func (p *Planner) choose(o *Object, h *home, beside []cluster.NodeID, n int) cluster.ReplicaSet {
	var open []cluster.NodeID
	for _, id := range p.ids {
		if !o.Replicas.Contains(id) && p.open(id, o.Size) {
			open = append(open, id)
		}
	}
	return cluster.NewReplicaSet(p.machines.Pick(beside, p.inOrder(o, h, open), n)...)
}

// inOrder puts nodes into the order in which they are to get replicas: those that hold other objects of the owner
// first, so that the owner's spread does not grow, then the others, both in the order that free space draws.
func (p *Planner) inOrder(o *Object, h *home, ids []cluster.NodeID) []cluster.NodeID {
	var near, far []cluster.NodeID
	for _, id := range ids {
		if h.weight[id] > 0 {
			near = append(near, id)
		} else {
			far = append(far, id)
		}
	}
	free := func(id cluster.NodeID) int64 { return p.members[id].DiskFree }
	return append(draw(o.ID.Owner, near, free), draw(o.ID.Owner, far, free)...)
}

// myTurn reports whether this node is to carry out the move now.
func (p *Planner) myTurn(o *Object, m *Move) bool {
	born := time.Unix(0, o.Timestamp.Time)
	if o.Propagating && p.w.Now.Sub(born) < SettleAfter {
		return false
	}
	since := p.w.Since
	if born.After(since) && !born.After(p.w.Now) {
		since = born
	}
	var holders cluster.ReplicaSet
	for _, id := range o.Replicas {
		switch p.standing(id) {
		case sound, draining:
			holders = append(holders, id)
		case gone:
			if at := p.absentSince(id).Add(p.w.RepairAfter); at.After(since) {
				since = at
			}
		}
	}
	place := turn(o.ID, holders, p.w.Self)
	switch m.Reason {
	case Even:
		return true // only the fullest node proposes it
	case Surplus, Spread, Apart:
		return place == 0 // nobody suffers if it is not done
	case Drain:
		// A node that drains knows it before the others do.
		if out := p.split(holders).draining; out.Contains(p.w.Self) {
			place = turn(o.ID, out, p.w.Self)
		} else {
			place += len(out)
		}
	}
	return p.w.Now.Sub(since) >= time.Duration(place)*TurnAfter
}
