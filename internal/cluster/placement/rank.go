package placement

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"porcupine/internal/cluster"
)

// hashOf gives the same number on every node and in every version.
func hashOf(text string, n uint64) uint64 {
	var buf [192]byte
	b := binary.BigEndian.AppendUint64(buf[:0], n)
	b = append(b, text...)
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// turn gives the place of a node in the order in which an object's live holders act.
func turn(id cluster.ObjectID, holders cluster.ReplicaSet, self cluster.NodeID) int {
	name := string(id.Type) + "\x00" + id.Owner + "\x00" + id.ID
	mine, place := hashOf(name, uint64(self)), 0
	for _, h := range holders {
		if h != self && cmp.Or(cmp.Compare(hashOf(name, uint64(h)), mine), cmp.Compare(h, self)) < 0 {
			place++
		}
	}
	return place
}

// draw orders nodes for an owner: every node computes the same order from the same free spaces, and
// over many owners each comes first in proportion to its free space (weighted rendezvous hashing).
// So the objects of one owner go to few nodes, and those of many owners to all.
func draw(owner string, nodes []cluster.NodeID, free func(cluster.NodeID) int64) []cluster.NodeID {
	type scored struct {
		id    cluster.NodeID
		score float64
	}
	list := make([]scored, len(nodes))
	for i, id := range nodes {
		u := (float64(hashOf(owner, uint64(id))>>11) + 0.5) / (1 << 53) // in (0, 1)
		list[i] = scored{id, -float64(max(free(id), 1)) / math.Log(u)}
	}
	slices.SortFunc(list, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
	})
	ids := make([]cluster.NodeID, len(list))
	for i := range list {
		ids[i] = list[i].id
	}
	return ids
}
