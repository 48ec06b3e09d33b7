package replication

import (
	"bytes"
	"crypto/sha256"

	"porcupine/internal/cluster"
)

// Joined is an update that a node makes itself, because two updates of which neither knew the
// other are to be joined (cluster.TypeSpec.Merge).
type Joined struct {
	Update   cluster.Update // its Timestamp is zero: the node stamps it, later than both
	Contents []byte
}

// Join says what becomes of an update of a type that merges, at node self, which has a copy with the
// contents mine. theirs are the update's contents; nil if it came without. nil: the rules of Decide
// apply as they are, because the older of the two adds nothing to the newer one. Otherwise the store
// stamps the joined update and commits it in place of the one that came, by Decide; the answer to
// that one is Older, with the joined one's timestamp. The caller may not change mine and theirs later.
//
// Joining ends. What nodes join at the same time has the same bytes, so that of two joined updates
// the older adds nothing to the newer; and contents that only grow, of finitely many updates, are
// complete in the end.
//
// A node that is to remove its copy by a newer update that came without its contents cannot tell what
// its copy would add. If they differ it sends its own contents on as they are, and the replicas
// join. It makes itself one of the replicas: else nobody would have them if it died.
func Join(self cluster.NodeID, have State, mine []byte, u *cluster.Update, theirs []byte, merge func(a, b []byte) ([]byte, error)) *Joined {
	old := have.Object
	if merge == nil || old == nil || old.Deleted || u.Object.Deleted || have.newest() != old.Timestamp {
		return nil
	}
	order := u.Object.Timestamp.Compare(old.Timestamp)
	if order == 0 || sameContents(old, &u.Object) {
		return nil
	}
	newer, newest, oldest := &u.Object, theirs, mine
	if order < 0 {
		newer, newest, oldest = old, mine, theirs
	}
	contents := mine
	switch {
	case theirs != nil:
		joined, err := merge(newest, oldest)
		if err != nil || bytes.Equal(joined, newest) {
			return nil
		}
		contents = joined
	case order < 0: // whoever has the older one will be sent the newer one, and joins them then
		return nil
	case newer.Replicas.Contains(self): // it is to be a replica still: it wants the contents first
		return nil
	}
	o := *newer
	o.Timestamp = cluster.Timestamp{}
	o.Replicas = with(newer.Replicas, self)
	o.Size, o.Sum = int64(len(contents)), sha256.Sum256(contents)
	if o.Copies == 0 {
		o.Copies = len(newer.Replicas)
	}
	if newer.Sum == ([32]byte{}) && newer.Size == 0 { // a notice has no attributes either
		o.Attr = old.Attr
	}
	targets := bounded(o.Replicas, u.Targets(), old.Replicas)
	if have.Record != nil {
		targets = bounded(targets, have.Record.Targets)
	}
	return &Joined{Update: cluster.Update{Object: o, Previous: targets}, Contents: contents}
}

// with adds a node to a replica set, in place of its last one if it is full.
func with(set cluster.ReplicaSet, id cluster.NodeID) cluster.ReplicaSet {
	if !set.Contains(id) && len(set) >= cluster.ReplicaSetMax {
		set = set[:cluster.ReplicaSetMax-1]
	}
	return set.Union(cluster.ReplicaSet{id})
}
