package balance

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

const (
	// SpreadDefault is right for uniform clusters; about 4 is for mixed ones (Porcupine §6.3).
	SpreadDefault = 2
	// sampleMin is the number of candidates beyond which two of them, drawn at random, are
	// compared in place of all: many proxies with the same stale table would otherwise all run to
	// the same node.
	sampleMin = 4
)

// Request describes one choice.
type Request struct {
	Holders []cluster.NodeID // nodes that hold objects of the owner: the entry's mail map
	Members []cluster.NodeID // live members of the view, ascending
	Beside  []cluster.NodeID // nodes that hold the object already
	Exclude []cluster.NodeID // nodes that failed at this object before
	Spread  int              // soft limit on the nodes of an owner; 0: SpreadDefault
	Copies  int              // nodes wanted; 0: 1
	// What the object is: for policies that go by it.
	Type   cluster.ObjectType
	Bucket cluster.Bucket // of the owner
}

// Choose picks the nodes for one object, the best first. Candidates are the holders that can
// take it, filled up to the spread with other members at random; a holder that is down, full,
// draining or excluded does not count, so the limit is broken when need be (Porcupine §4.5).
// Copies above the spread widen it, and so do machines: no two nodes of Beside and of those chosen are on one machine
// while any member on another one can take the object. It gives fewer than Copies when fewer members can take
// it, and none when no member can.
func Choose(q Request, t *Table, now time.Time, rng *rand.Rand) []cluster.NodeID {
	copies := max(q.Copies, 1)
	spread := q.Spread
	if spread <= 0 {
		spread = SpreadDefault
	}
	spread = max(spread, copies)
	c, others := candidates(q, t, spread, rng)
	return t.leastLoaded(q, c, others, copies, now, rng)
}

// candidates lists the holders that can take an object, and other members up to the spread. others are the
// members beyond it that can.
func candidates(q Request, t *Table, spread int, rng *rand.Rand) (list, others []cluster.NodeID) {
	var holders []cluster.NodeID
	for _, id := range q.Members {
		switch {
		case q.rulesOut(id) || t.closed(id):
		case slices.Contains(q.Holders, id):
			holders = append(holders, id)
		default:
			others = append(others, id)
		}
	}
	i := 0
	for ; len(holders) < spread && i < len(others); i++ {
		j := i + rng.IntN(len(others)-i)
		others[i], others[j] = others[j], others[i]
		holders = append(holders, others[i])
	}
	return holders, others[i:]
}

// rulesOut reports whether the request rules a node out.
func (q *Request) rulesOut(id cluster.NodeID) bool {
	return slices.Contains(q.Exclude, id) || slices.Contains(q.Beside, id)
}

// best gives the index of the candidate with the shortest wait: of all of them, or of two drawn
// at random when they are many. Among those that are alike it is any one.
func (t *Table) best(c []cluster.NodeID, now time.Time, rng *rand.Rand) int {
	sample := make([]int, len(c))
	for i := range sample {
		sample[i] = i
	}
	n := len(c)
	if n > sampleMin {
		n = 2
	}
	for i := range n { // a random order: the first one that is alike is any one
		j := i + rng.IntN(len(sample)-i)
		sample[i], sample[j] = sample[j], sample[i]
	}
	list := t.estimates(c, now)
	best := slices.MinFunc(sample[:n], func(a, b int) int { return cmp.Compare(list[a].wait, list[b].wait) })
	for _, i := range sample[:n] {
		if list[i].isAlike(list[best]) {
			return i
		}
	}
	return best
}
