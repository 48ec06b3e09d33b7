package cluster

import (
	"cmp"
	"io"
	"slices"
	"strings"
)

// ObjectType names a kind of object, for example "message". A service chooses the names; at
// most TypeLengthMax bytes of lower-case letters.
type ObjectType string

// Limits of an object's names. A store refuses an object that exceeds them.
const (
	TypeLengthMax   = 16
	OwnerLengthMax  = 512
	ObjectIDLenMax  = 64
	ReplicaSetMax   = 8
	AttrSizeMax     = 16 << 10
	CachedSizeMax   = 256 << 10
	ObjectSizeMax   = 1 << 30
	HoldingPartsMax = 4096 // fragments and cached objects of one owner on one node
	DerivedSizeMax  = 64 << 10
)

// TypeSpec tells the substrate how to treat a type.
type TypeSpec struct {
	Name ObjectType
	// Cached says what the owner's manager keeps in its soft state: if true, the contents of
	// each object (the paper's user profile soft state; at most CachedSizeMax each), if false,
	// only which replica sets hold objects of this type (the paper's mailbox fragment list).
	Cached bool
	// Inline says that contents, at most CachedSizeMax each, lie in the record itself, as those of
	// cached types do, so that many small objects are read together. The manager's soft state does not
	// hold them: only where they lie is reported. A type is Cached, Inline, or neither.
	//
	// Of cached objects the manager sees if nodes hold different versions, and has them sent the newest.
	// Of others nobody does, if two updates knew nothing of each other and their replica sets have no
	// node in common. Who reads objects of an inline type that merges reads all fragments, joins what
	// differs, and writes it with all of the holders as Previous: that ends it.
	Inline bool
	// Vault says that the contents of a deleted object stay on disk for a while, where an
	// administrator can get them back (not for cached and inline types).
	Vault bool
	// Merge, if it is set, joins the contents of two updates of which neither knew the other, in
	// place of newest-wins. It must be commutative, associative and idempotent, and give the
	// same bytes on every node. Only for cached and inline types. An error keeps the newer one's contents.
	Merge func(a, b []byte) ([]byte, error)
	// Derive, if it is set, computes data from the contents of an object: an index, a summary. Every
	// replica computes it for itself when it stores the contents, and keeps it beside them. It must
	// depend on nothing but the contents; what comes out is at most DerivedSizeMax bytes. It is called
	// from any goroutine, reads the contents (already checked against their sum) with ReadAt, and keeps
	// nothing. An error or a panic means that there is nothing to derive: the object is stored
	// all the same. Not for cached and inline types.
	Derive func(contents io.ReaderAt, size int64) ([]byte, error)
	// DeriveVersion names what Derive computes, from 1 on. Data of another version is computed anew
	// when it is asked for.
	DeriveVersion uint32
}

// HasInline reports whether the contents of the type's objects lie in their records.
func (t *TypeSpec) HasInline() bool { return t.Cached || t.Inline }

// ObjectID names one object for ever.
type ObjectID struct {
	Type  ObjectType
	Owner string // hashes to the bucket; for mail, an address
	ID    string // unique within type and owner; any bytes
}

// Compare orders ids by owner, type, id: the order of the hard state on disk.
func (o ObjectID) Compare(p ObjectID) int {
	if c := strings.Compare(o.Owner, p.Owner); c != 0 {
		return c
	}
	if c := cmp.Compare(o.Type, p.Type); c != 0 {
		return c
	}
	return strings.Compare(o.ID, p.ID)
}

// Object is what a replica keeps about an object beside its contents.
type Object struct {
	ID        ObjectID
	Timestamp Timestamp  // of the update that wrote it; the newest wins (Thomas write rule)
	Replicas  ReplicaSet // where it lies
	Copies    int        // replicas wanted, at most ReplicaSetMax; 0: as many as Replicas has
	Deleted   bool       // a tombstone: no contents, kept so that older copies lose to it
	Attr      []byte     // the service's own small metadata, at most AttrSizeMax
	Size      int64      // bytes of contents
	Sum       [32]byte   // SHA-256 of the contents
}

// ReplicaSet is the set of nodes that hold an object: ascending, no duplicates, never changed in
// place.
type ReplicaSet []NodeID

// NewReplicaSet makes a set of the ids given, in any order, repeated or not.
func NewReplicaSet(ids ...NodeID) ReplicaSet {
	s := slices.Clone(ids)
	slices.Sort(s)
	return slices.Compact(s)
}

// Contains reports whether the node is in the set.
func (s ReplicaSet) Contains(id NodeID) bool {
	_, ok := slices.BinarySearch(s, id)
	return ok
}

// ContainsAll reports whether every node of t is in the set.
func (s ReplicaSet) ContainsAll(t ReplicaSet) bool {
	for _, id := range t {
		if !s.Contains(id) {
			return false
		}
	}
	return true
}

// Union gives the nodes that are in either set.
func (s ReplicaSet) Union(t ReplicaSet) ReplicaSet {
	if s.ContainsAll(t) {
		return s
	}
	return NewReplicaSet(slices.Concat(s, t)...)
}

// Without gives the nodes of the set that are not in t.
func (s ReplicaSet) Without(t ReplicaSet) ReplicaSet {
	var rest ReplicaSet
	for _, id := range s {
		if !t.Contains(id) {
			rest = append(rest, id)
		}
	}
	return rest
}

// Equal reports whether both sets hold the same nodes.
func (s ReplicaSet) Equal(t ReplicaSet) bool { return slices.Equal(s, t) }

// Key gives the set as a string that is equal for equal sets, for use as a map key: eight
// big-endian bytes a node.
func (s ReplicaSet) Key() string {
	b := make([]byte, 0, 8*len(s))
	for _, id := range s {
		for shift := 56; shift >= 0; shift -= 8 {
			b = append(b, byte(id>>shift))
		}
	}
	return string(b)
}

// String gives "{id,id}".
func (s ReplicaSet) String() string {
	parts := make([]string, len(s))
	for i, id := range s {
		parts[i] = id.String()
	}
	return "{" + strings.Join(parts, ",") + "}"
}
