package uidledger

import (
	"bytes"
	"cmp"
	"slices"

	"porcupine/internal/cluster"
)

// Set is the ledger replicas of a folder in one version, decided by a majority of the version before (L9). It never
// changes under one version.
type Set struct {
	Version     uint64
	UIDValidity uint32           // of the folder under this version and later ones, until it grows (L12)
	Floor       [counters]uint64 // all leases that newcomers take part in lie above
	Lease       [counters]uint32 // L of each counter: the same in all versions, since lanes are made of it
	Members     []Member         // ascending by node, at most LanesMax
}

// Member is one replica of a set, and the lane its leases lie in: no other member has it.
type Member struct {
	Node cluster.NodeID
	Lane uint8
}

// FirstSet is the set that a folder begins with, version 1. Under one UIDVALIDITY it must be the same wherever the folder
// is opened: the first head says it, and where two sides may begin at once with different nodes, these have different
// UIDVALIDITYs. Of more than LanesMax nodes the first ones are taken.
func FirstSet(nodes cluster.ReplicaSet, uidValidity uint32) Set {
	s := Set{Version: 1, UIDValidity: uidValidity, Lease: [counters]uint32{UIDLease, ModSeqLease}}
	for i, n := range nodes[:min(len(nodes), LanesMax)] {
		s.Members = append(s.Members, Member{n, uint8(i)})
	}
	return s
}

// Nodes are the members.
func (s *Set) Nodes() cluster.ReplicaSet {
	nodes := make(cluster.ReplicaSet, 0, len(s.Members))
	for _, m := range s.Members {
		nodes = append(nodes, m.Node)
	}
	return nodes
}

// lane finds a member's lane.
func (s *Set) lane(node cluster.NodeID) (uint8, bool) {
	for _, m := range s.Members {
		if m.Node == node {
			return m.Lane, true
		}
	}
	return 0, false
}

// lease is L of a counter.
func (s *Set) lease(c Counter) uint64 { return uint64(s.Lease[c]) }

// superblock is SB: one lease for each lane.
func (s *Set) superblock(c Counter) uint64 { return LanesMax * s.lease(c) }

// budget is how far a replica's ceiling may rise above its base.
func (s *Set) budget(c Counter) uint64 { return (BudgetMax + 1) * s.superblock(c) }

func (s *Set) majority() int { return len(s.Members)/2 + 1 }

// next is the set of the next version with other nodes. Who stays keeps the lane: it may grant under the old version
// for a while. Who comes takes a free one. ceilings are the highest that a majority told, under its promise.
//
// What a member that goes may have granted without anybody's knowledge lies within the budget above what a majority
// knew, so within the budget above ceilings; all that a newcomer takes part in, or grants in that lane, lies above
// the floor.
func (s *Set) next(nodes cluster.ReplicaSet, uidValidity uint32, ceilings [counters]uint64) Set {
	n := Set{Version: s.Version + 1, UIDValidity: max(s.UIDValidity, uidValidity), Floor: ceilings, Lease: s.Lease}
	var free [LanesMax]bool
	for lane := range free {
		free[lane] = true
	}
	for _, m := range s.Members {
		if nodes.Contains(m.Node) {
			n.Members = append(n.Members, m)
			free[m.Lane] = false
			continue
		}
		for c := range n.Floor {
			n.Floor[c] = max(n.Floor[c], ceilings[c]+s.budget(Counter(c)))
		}
	}
	for _, node := range nodes {
		lane := slices.Index(free[:], true)
		if _, stays := s.lane(node); stays || lane < 0 {
			continue
		}
		n.Members = append(n.Members, Member{node, uint8(lane)})
		free[lane] = false
	}
	slices.SortFunc(n.Members, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	if n.UIDValidity != s.UIDValidity {
		n.Floor = [counters]uint64{} // all numbers begin anew
	}
	return n
}

func (s *Set) equal(t *Set) bool {
	return s.Version == t.Version && s.UIDValidity == t.UIDValidity && s.Floor == t.Floor && s.Lease == t.Lease && slices.Equal(s.Members, t.Members)
}

// Newer reports whether this set was decided after another one. Versions go on with a UIDVALIDITY that never falls; where
// a ledger was begun anew, since the old one was lost or was a former user's of the same name, they begin anew under a
// greater one. So that counts first: a replica that comes back from before must not bring its set back (L12).
func (s *Set) Newer(t *Set) bool {
	return cmp.Or(cmp.Compare(s.UIDValidity, t.UIDValidity), cmp.Compare(s.Version, t.Version)) > 0
}

// cmpSets orders sets as Newer does. Two of one version do not exist; if they do, all choose the same.
func cmpSets(s, t *Set) int {
	return cmp.Or(cmp.Compare(s.UIDValidity, t.UIDValidity), cmp.Compare(s.Version, t.Version), bytes.Compare(appendSet(nil, s), appendSet(nil, t)))
}
