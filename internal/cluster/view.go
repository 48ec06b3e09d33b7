package cluster

import "slices"

// Endpoint is where a node can be reached: its id and the address of its cluster port.
type Endpoint struct {
	ID   NodeID
	Name string // what people call the node; shown, never decided on
	Addr string // host:port of the cluster listener
}

// Member is a node in a view.
type Member struct {
	Endpoint
	// Since is the epoch from which the node has been a member without a gap in the lineage of
	// views. A rejoiner, the smaller side of a healed partition, or a process that was paused and
	// voted out gets Since = the epoch of the view that takes it in. A member whose Since is
	// newer than a reference to it has lost the soft state behind that reference.
	Since Epoch
}

// View is one installed membership: its epoch, its members in order of id, and the user map.
// A View is immutable once made; it is shared, never copied or changed.
type View struct {
	Epoch   Epoch
	Members []Member // ascending by ID, no duplicates
	Map     UserMap
}

// Member gives the member with that id.
func (v *View) Member(id NodeID) (Member, bool) {
	if v == nil {
		return Member{}, false
	}
	i, ok := slices.BinarySearchFunc(v.Members, id, func(m Member, id NodeID) int {
		switch {
		case m.ID < id:
			return -1
		case m.ID > id:
			return 1
		}
		return 0
	})
	if !ok {
		return Member{}, false
	}
	return v.Members[i], true
}

// Contains reports whether the node is a member.
func (v *View) Contains(id NodeID) bool { _, ok := v.Member(id); return ok }

// IDs lists the members' ids, ascending.
func (v *View) IDs() []NodeID {
	ids := make([]NodeID, len(v.Members))
	for i, m := range v.Members {
		ids[i] = m.ID
	}
	return ids
}

// Manager gives the node that manages a bucket in this view.
func (v *View) Manager(b Bucket) NodeID { return v.Map[b].Manager }

// UserMap assigns each bucket its manager (Porcupine §3, "user map"). It has BucketCount
// entries, is the same on every node of an epoch (M1, M3), and is immutable once in a View.
type UserMap []Assignment

// Assignment says who manages a bucket, and since when.
type Assignment struct {
	Manager NodeID
	// Epoch is when the bucket was last assigned: the manager of that moment started with no
	// soft state for it. It is renewed when the manager changes, and when a manager stays but
	// has lost its memory (its Since is renewed).
	Epoch Epoch
}
