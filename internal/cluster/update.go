package cluster

import "io"

// Body is the contents of an object on its way in: it can be read more than once, since a
// delivery that fails at one node is tried at another. *bytes.Reader and *io.SectionReader are
// bodies. The caller keeps ownership; a room that takes a Body does not close or keep it.
type Body interface {
	io.ReaderAt
	Size() int64
}

// Update is one change of one object (Porcupine §4.4, thesis ch. 5): its new state and the nodes
// that must hear of it. Content updates, replica addition, replica removal and deletion are all
// the same operation.
//
//   - A new object: Previous is empty, Object.Replicas is where it shall lie.
//   - New contents: Object.Timestamp is newer, the whole object is replaced.
//   - A replica more, less or elsewhere: a newer timestamp, the same contents, other Replicas.
//   - A deletion without trace (a message): Object.Deleted, Object.Replicas empty. Each target
//     removes its copy.
//   - A deletion that must beat older copies (a profile): Object.Deleted, Object.Replicas the
//     nodes that keep the tombstone.
type Update struct {
	Object   Object
	Previous ReplicaSet // all others that may hold the object: the replica set that the initiator knew
}

// Targets lists the nodes that the update must reach: the old replica set and the new one.
func (u *Update) Targets() ReplicaSet {
	return u.Object.Replicas.Union(u.Previous)
}

// Known is a node that has ever been met and not been removed by an administrator, member or not.
type Known struct {
	Endpoint
	// Sole says that, when last heard of, the node held a cached object (a profile) that lay on
	// no other node. While such a node is absent, nothing can be proven not to exist.
	Sole bool
}
