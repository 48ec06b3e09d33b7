package cluster

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Machine stands for what several nodes share and may be lost with, all at once: a computer with a node for each of its
// disks, a rack, the host of virtual machines. Two copies of an object do not lie on one machine while there are
// other machines that can take them. It is the number of a name that an administrator has given (MachineNamed).
type Machine uint64

// NoMachine is the Machine of a node of which none is known: it is a machine of its own.
const NoMachine Machine = 0

// MachineNamed gives the machine of that name, the same on every node and in every version; NoMachine for the empty
// name. Two names of one number would only keep copies further apart than need be.
func MachineNamed(name string) Machine {
	if name == "" {
		return NoMachine
	}
	sum := sha256.Sum256([]byte(name))
	return max(1, Machine(binary.BigEndian.Uint64(sum[:])))
}

// Machines says on which machine nodes are. A node that is not in it, or on NoMachine, is a machine of its own.
type Machines map[NodeID]Machine

// Shared reports whether two nodes are on one machine; a node shares its own.
func (m Machines) Shared(a, b NodeID) bool {
	return a == b || m[a] != NoMachine && m[a] == m[b]
}

// Apart gives, in their order, the candidates that are on a machine with none of the nodes in beside.
func (m Machines) Apart(beside, candidates []NodeID) (list []NodeID) {
	for _, c := range candidates {
		if !slices.ContainsFunc(beside, func(b NodeID) bool { return m.Shared(b, c) }) {
			list = append(list, c)
		}
	}
	return list
}

// Together gives the nodes of a set that share their machine with another one of it.
func (m Machines) Together(set ReplicaSet) (list ReplicaSet) {
	for _, a := range set {
		if slices.ContainsFunc(set, func(b NodeID) bool { return a != b && m.Shared(a, b) }) {
			list = append(list, a)
		}
	}
	return list
}

// Count gives the number of machines that the nodes of a set are on.
func (m Machines) Count(set ReplicaSet) (n int) {
	for i, a := range set {
		if !slices.ContainsFunc(set[:i], func(b NodeID) bool { return m.Shared(a, b) }) {
			n++
		}
	}
	return n
}

// Pick takes up to n of the candidates, each time the first that is apart from the nodes in beside and from those
// taken before, or if there is none, the first. So it takes no fewer than there are, and as many machines as can be.
func (m Machines) Pick(beside, candidates []NodeID, n int) (picked []NodeID) {
	beside, candidates = slices.Clone(beside), slices.Clone(candidates)
	for len(picked) < n && len(candidates) > 0 {
		next := candidates[0]
		if apart := m.Apart(beside, candidates); len(apart) > 0 {
			next = apart[0]
		}
		candidates = slices.DeleteFunc(candidates, func(id NodeID) bool { return id == next })
		picked, beside = append(picked, next), append(beside, next)
	}
	return picked
}
