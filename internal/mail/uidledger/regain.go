package uidledger

import (
	"cmp"
	"slices"

	"porcupine/internal/cluster"
)

// Regain gives the contents of the grant object that a replica goes on from when its own is not found anywhere, while nodes are away that may
// have it: one that was drained has moved it there, and has nothing left when the drain is taken back. To begin anew would
// be to give the same numbers again (U1). others are the grant objects of other members of the request's set, as many as were found.
//
// Why no number is given twice: the replica's ceiling was at most its base and the budget, and base was then no more than the ceilings of
// a majority of the set, of which it may be one itself. So it lies at or below the ceilings of a majority less one of the others, however
// high those are that were not found; it begins above that, and the budget. Its own base it does not know: it counts from what a majority
// is known to have, as always, so it may have to be told that first (Spent, AskRaise).
//
// KindUnavailable: too few were found, or they know of a decision on the next set, in which the replica may have promised
// something.
func Regain(r *Request, others [][]byte) ([]byte, error) {
	op := "go on as a ledger replica without what was granted before"
	var ceilings [counters][]uint64
	for _, b := range others {
		g, err := ParseGrant(b)
		if err != nil {
			return nil, &cluster.Error{Kind: cluster.KindCorrupt, Op: op, Err: err}
		}
		if r.Set.Newer(&g.Set) {
			g.adopt(r.Set)
		}
		if !g.Set.equal(&r.Set) || g.Promised != (Ballot{}) {
			return nil, cluster.Errorf(cluster.KindUnavailable, op, "the ledger replicas are being changed: start the nodes that are away, or remove those that are gone for good")
		}
		for c := range ceilings {
			ceilings[c] = append(ceilings[c], g.Counters[c].Ceil)
		}
	}
	unknown := len(r.Set.Members) - 1 - len(others)
	which := r.Set.majority() - 2 - unknown // the majority less one, from 0 on; those that were not found come first
	if which < 0 || unknown < 0 {
		return nil, cluster.Errorf(cluster.KindUnavailable, op, "it may lie on nodes that are away: start them, or remove those that are gone for good")
	}
	var g Grant
	g.adopt(r.Set)
	for c := range ceilings {
		slices.SortFunc(ceilings[c], func(a, b uint64) int { return cmp.Compare(b, a) })
		x := &g.Counters[c]
		x.Ceil = min(max(x.Ceil, ceilings[c][which])+r.Set.budget(Counter(c)), Counter(c).largest())
	}
	return g.Marshal(), nil
}
