package balance

import (
	"math/rand/v2"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// Policy picks the nodes for one object, the best first: Dynamic, or one of those that the papers
// compare it with (TOCS §5.5).
type Policy interface {
	Choose(q Request, t *Table, now time.Time, rng *rand.Rand) []cluster.NodeID
}

// Dynamic is the policy of this system: function Choose. D1, D2, D4 of the papers are its spreads.
type Dynamic struct {
	Spread int // in place of the request's; 0: the request's
}

// Choose implements Policy.
func (d Dynamic) Choose(q Request, t *Table, now time.Time, rng *rand.Rand) []cluster.NodeID {
	if d.Spread > 0 {
		q.Spread = widen(d.Spread, q.Copies)
	}
	return Choose(q, t, now, rng)
}

// widen gives the spread of objects with several copies: an owner's objects then lie on as many replica sets as
// they would lie on nodes with one copy each.
func widen(spread, copies int) int { return spread + max(copies, 1) - 1 }

// Random is the policy R of the papers: any live nodes, whatever they have to do and whatever they
// hold, and whatever machine they are on. Nodes that take nothing are left out.
type Random struct{}

// Choose implements Policy.
func (Random) Choose(q Request, t *Table, _ time.Time, rng *rand.Rand) []cluster.NodeID {
	open := t.open(q, q.Members)
	copies := min(max(q.Copies, 1), len(open))
	for i := range copies {
		j := i + rng.IntN(len(open)-i)
		open[i], open[j] = open[j], open[i]
	}
	return open[:copies]
}

// Static is the policies S1, S2, S4 of the papers: an owner's nodes are fixed by the hash of its name. They are
// the node that the owner's bucket falls to when all buckets are dealt out in order, and those that follow
// it; the least loaded of them is chosen. When none of them lives, nobody else takes their place.
type Static struct {
	Spread int // nodes of an owner; 0: SpreadDefault
	// Nodes are all nodes there are, whether they live or not; nil: the members of the view.
	Nodes []cluster.NodeID
}

// Choose implements Policy.
func (s Static) Choose(q Request, t *Table, now time.Time, rng *rand.Rand) []cluster.NodeID {
	nodes := s.Nodes
	if nodes == nil {
		nodes = q.Members
	}
	if len(nodes) == 0 {
		return nil
	}
	spread := s.Spread
	if spread <= 0 {
		spread = SpreadDefault
	}
	home := int(q.Bucket) * len(nodes) / cluster.BucketCount
	var fixed []cluster.NodeID
	for i := range min(widen(spread, q.Copies), len(nodes)) {
		if id := nodes[(home+i)%len(nodes)]; slices.Contains(q.Members, id) {
			fixed = append(fixed, id)
		}
	}
	return t.leastLoaded(q, t.open(q, fixed), nil, max(q.Copies, 1), now, rng)
}

// open gives those of the nodes that can take an object, in their order.
func (t *Table) open(q Request, ids []cluster.NodeID) []cluster.NodeID {
	list := make([]cluster.NodeID, 0, len(ids))
	for _, id := range ids {
		if !q.rulesOut(id) && !t.closed(id) {
			list = append(list, id)
		}
	}
	return list
}

// leastLoaded takes the best of the candidates, at most count of them, each on a machine of its own as far as
// possible: if need be one of the others, at random.
func (t *Table) leastLoaded(q Request, c, others []cluster.NodeID, count int, now time.Time, rng *rand.Rand) []cluster.NodeID {
	var chosen []cluster.NodeID
	for len(chosen) < count {
		from := t.apart(q, chosen, c, others)
		if len(from) == 0 {
			break
		}
		id := from[t.best(from, now, rng)]
		chosen = append(chosen, id)
		is := func(other cluster.NodeID) bool { return other == id }
		c, others = slices.DeleteFunc(c, is), slices.DeleteFunc(others, is)
	}
	return chosen
}

// apart narrows the candidates down to those on machines that have no copy yet; if there are none, to the others there
// are on such machines; and if there are none of them either, not at all. A machine whose nodes failed at the
// object comes after those of which nothing is known: all of it may be dead.
func (t *Table) apart(q Request, chosen, c, others []cluster.NodeID) []cluster.NodeID {
	if len(t.machines) == 0 {
		return c
	}
	taken := slices.Concat(q.Beside, chosen)
	for _, beside := range [][]cluster.NodeID{slices.Concat(taken, q.Exclude), taken} {
		for _, pool := range [][]cluster.NodeID{c, others} {
			if list := t.machines.Apart(beside, pool); len(list) > 0 {
				return list
			}
		}
	}
	return c
}
