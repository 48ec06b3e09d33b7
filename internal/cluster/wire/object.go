package wire

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/wire/field"
)

// AppendObjectID writes the fields of an ObjectID.
func AppendObjectID(b []byte, o cluster.ObjectID) []byte {
	b = field.String(b, 1, string(o.Type))
	b = field.String(b, 2, o.Owner)
	return field.String(b, 3, o.ID)
}

// UnmarshalObjectID reads what AppendObjectID writes. Type and owner are not empty.
func UnmarshalObjectID(b []byte) (cluster.ObjectID, error) {
	o, err := partialObjectID(b)
	if err == nil && (o.Type == "" || o.Owner == "") {
		err = cluster.Errorf(cluster.KindInvalid, "decode object id", "type %q, owner %q: one is missing", o.Type, o.Owner)
	}
	return o, err
}

func partialObjectID(b []byte) (o cluster.ObjectID, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			o.Type = cluster.ObjectType(r.String(cluster.TypeLengthMax))
		case 2:
			o.Owner = r.Raw(cluster.OwnerLengthMax)
		case 3:
			o.ID = r.Raw(cluster.ObjectIDLenMax)
		}
	}
	return o, r.Err()
}

// AppendObject writes the fields of an Object.
func AppendObject(b []byte, o *cluster.Object) []byte { return appendObject(b, o, o.ID) }

// AppendObjectAfter writes the fields of an Object that follows another in a list: type and owner
// only if they are not those of the one before.
func AppendObjectAfter(b []byte, before cluster.ObjectID, o *cluster.Object) []byte {
	id := o.ID
	if id.Type == before.Type && id.Owner == before.Owner {
		id.Type, id.Owner = "", ""
	}
	return appendObject(b, o, id)
}

func appendObject(b []byte, o *cluster.Object, id cluster.ObjectID) []byte {
	b = field.Message(b, 1, func(b []byte) []byte { return AppendObjectID(b, id) })
	b = field.Message(b, 2, func(b []byte) []byte { return appendTimestamp(b, o.Timestamp) })
	b = field.PackedFixed(b, 3, o.Replicas)
	b = field.Bool(b, 4, o.Deleted)
	b = field.Bytes(b, 5, o.Attr)
	b = field.Uint(b, 6, natural(o.Size))
	if o.Sum != ([32]byte{}) {
		b = field.Bytes(b, 7, o.Sum[:])
	}
	return field.Uint(b, 8, natural(o.Copies))
}

// UnmarshalObject reads what AppendObject writes.
func UnmarshalObject(b []byte) (cluster.Object, error) {
	return UnmarshalObjectAfter(b, cluster.ObjectID{})
}

// UnmarshalObjectAfter reads what AppendObjectAfter writes. The object has a type and an owner, and
// its replicas are a set.
func UnmarshalObjectAfter(b []byte, before cluster.ObjectID) (o cluster.Object, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			o.ID = field.Decode(r, partialObjectID)
		case 2:
			o.Timestamp = field.Decode(r, unmarshalTimestamp)
		case 3:
			o.Replicas = replicas(r)
		case 4:
			o.Deleted = r.Bool()
		case 5:
			o.Attr = r.Bytes(cluster.AttrSizeMax)
		case 6:
			o.Size = int64(r.UintMax(cluster.ObjectSizeMax))
		case 7:
			if sum := r.View(len(o.Sum)); copy(o.Sum[:], sum) != len(o.Sum) {
				r.Fail("object: sum of %d bytes, want %d", len(sum), len(o.Sum))
			}
		case 8:
			o.Copies = int(r.UintMax(cluster.ReplicaSetMax))
		}
	}
	if o.ID.Type == "" && o.ID.Owner == "" {
		o.ID.Type, o.ID.Owner = before.Type, before.Owner
	}
	if o.ID.Type == "" || o.ID.Owner == "" {
		r.Fail("object %q: type %q, owner %q: one is missing", o.ID.ID, o.ID.Type, o.ID.Owner)
	}
	return o, r.Err()
}

// replicas reads a replica set.
func replicas(r *field.Reader) cluster.ReplicaSet { return nodeSet(r, cluster.ReplicaSetMax) }

// nodeSet reads a set of nodes: ascending, none twice, none of them NoNode.
func nodeSet(r *field.Reader, most int) []cluster.NodeID {
	set := field.FixedList[cluster.NodeID](r, most)
	before := cluster.NoNode
	for _, id := range set {
		if id <= before {
			r.Fail("set of nodes is not in ascending order")
			return nil
		}
		before = id
	}
	return set
}

// TargetsMax is how many nodes an update may have to reach.
const TargetsMax = replication.TargetsMax

// AppendUpdate writes the fields of an Update.
func AppendUpdate(b []byte, u *cluster.Update) []byte {
	b = field.Message(b, 1, func(b []byte) []byte { return AppendObject(b, &u.Object) })
	return field.PackedFixed(b, 2, u.Previous)
}

// UnmarshalUpdate reads what AppendUpdate writes.
func UnmarshalUpdate(b []byte) (u cluster.Update, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			u.Object = field.Decode(r, UnmarshalObject)
		case 2:
			u.Previous = nodeSet(r, TargetsMax)
		}
	}
	if u.Object.ID.Owner == "" {
		r.Fail("update without an object")
	}
	return u, r.Err()
}
