package uidledger

import (
	"porcupine/internal/cluster"
)

// Decide is a replica's answer to a request. state is the contents of its own grant object, nil if there is none. It
// returns the contents that must be durable BEFORE the reply goes out (nil: nothing changed). The caller holds a lock of
// the folder from reading the state until then. An error is of KindCorrupt: the grant object cannot be read, and
// nothing may be granted from it. A refusal is a reply.
//
// Why leases are disjoint: lane leases of one replica lie in ever higher superblocks, since its ceiling is their end;
// those of different replicas in different lanes. A dense lease lies above the ceilings of all members, and all are
// raised to its end before it is used. A member that goes may still grant in its lane; it can get no higher than its
// base and the budget, which the floor of the next set lies above (Set.next).
func Decide(self cluster.NodeID, state []byte, r *Request) (next []byte, reply Reply, err error) {
	var g Grant
	if state != nil {
		if g, err = ParseGrant(state); err != nil {
			return nil, Reply{}, &cluster.Error{Kind: cluster.KindCorrupt, Op: "answer a request to a ledger replica", Err: err}
		}
	}
	before := g
	reply = g.decide(self, r)
	reply.State = g
	if state == nil || !g.equal(&before) {
		next = g.Marshal()
	}
	return next, reply, nil
}

func (g *Grant) equal(h *Grant) bool {
	return g.Set.equal(&h.Set) && g.Counters == h.Counters && g.Promised == h.Promised && g.Accepted == h.Accepted && g.Next.equal(&h.Next)
}

func (g *Grant) decide(self cluster.NodeID, r *Request) Reply {
	switch {
	case g.Set.Newer(&r.Set):
		return Reply{Verdict: Newer}
	case r.Set.Newer(&g.Set):
		g.adopt(r.Set)
	case !r.Set.equal(&g.Set):
		return Reply{Verdict: Differs}
	}
	lane, member := g.Set.lane(self)
	if !member {
		return Reply{Verdict: Stranger}
	}
	for c := range g.Counters {
		// What a majority has may be counted from. It was told before the promises for the next set, if any, of
		// the same replicas: so who decides that set hears of at least Agreed.
		g.Counters[c].Base = max(g.Counters[c].Base, min(r.Agreed[c], Counter(c).largest()))
	}
	switch r.Kind {
	case AskDense, AskRaise:
		return Reply{Verdict: g.raise(r)}
	case AskLane:
		return g.grantLane(r, lane)
	case AskPrepare:
		if r.Ballot.less(g.Promised) {
			return Reply{Verdict: Promised}
		}
		g.Promised = r.Ballot
		return Reply{Verdict: Yes}
	default: // AskAccept: ParseRequest lets no other kind through
		if r.Ballot.less(g.Promised) || r.Next.Version != g.Set.Version+1 {
			return Reply{Verdict: Promised}
		}
		g.Promised, g.Accepted, g.Next = r.Ballot, r.Ballot, r.Next
		return Reply{Verdict: Yes}
	}
}

// adopt takes over a newer set, which was decided.
func (g *Grant) adopt(s Set) {
	for c := range g.Counters {
		x := &g.Counters[c]
		if s.UIDValidity != g.Set.UIDValidity {
			*x = Ceiling{} // all numbers begin anew
		}
		// Each replica under this version has a ceiling of at least the floor, so it counts as known.
		x.Ceil, x.Base = max(x.Ceil, s.Floor[c]), max(x.Base, s.Floor[c])
	}
	g.Set, g.Promised, g.Accepted, g.Next = s, Ballot{}, Ballot{}, Set{}
}

// raise answers AskDense and AskRaise. After a promise nothing is raised for others: who decides the next set has been
// told the ceiling, and counts on it.
func (g *Grant) raise(r *Request) Verdict {
	x := &g.Counters[r.Counter]
	switch {
	case g.Promised != Ballot{}:
		return Promised
	case r.Kind == AskDense && x.Ceil > r.After:
		return Raised
	case r.Upto > r.Counter.largest():
		return Exhausted
	case r.Upto > x.Base+g.Set.budget(r.Counter):
		return Spent
	}
	x.Ceil = max(x.Ceil, r.Upto)
	return Yes
}

func (g *Grant) grantLane(r *Request, lane uint8) Reply {
	c, x, superblock := r.Counter, &g.Counters[r.Counter], g.Set.superblock(r.Counter)
	count := uint64(max(r.Count, 1))
	first := max(x.Ceil, r.After)/superblock + 1 // the superblock
	last := first + count - 1
	if limit := x.Base + g.Set.budget(c); limit < (last+1)*superblock-1 { // fewer, if that is all the budget has
		if limit+1 < (first+1)*superblock {
			return Reply{Verdict: Spent}
		}
		last = (limit+1)/superblock - 1
	}
	for last >= first && (last+1)*superblock-1 > c.largest() {
		last--
	}
	if last < first {
		return Reply{Verdict: Exhausted}
	}
	x.Ceil = (last+1)*superblock - 1
	return Reply{Verdict: Yes, First: first*superblock + uint64(lane)*g.Set.lease(c), Leases: uint8(last - first + 1)}
}
