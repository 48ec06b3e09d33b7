package node

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store"
)

// Watcher is told of what commits change at this node: *feed.Feed. Its methods are called by every commit,
// from any goroutine, and must not wait for anything but a short lock.
type Watcher interface {
	// Wants reports whether anybody wants to hear of an owner's objects of a type.
	Wants(owner string, t cluster.ObjectType) bool
	// Changed is told of a change AFTER its commit. It may not keep slices of c.
	Changed(c cluster.Change)
}

// SetWatcher says who is told of changes, before Start.
func (n *Node) SetWatcher(w Watcher) {
	if n.begun.Load() {
		n.log.Error("a watcher of changes set after the start is told nothing")
		return
	}
	n.watcher = w
}

// wants reports whether somebody wants to hear of changes of an object.
func (n *Node) wants(id cluster.ObjectID) bool {
	return n.watcher != nil && n.watcher.Wants(id.Owner, id.Type)
}

// tellChange tells the watcher what an update has come to here, AFTER the commit. What the store had already is told
// once more: the caller that stored it may have gone before it could tell.
func (n *Node) tellChange(u *cluster.Update, r *store.Result) {
	changed := r.Applied || r.Verdict == replication.Same
	if !changed || r.Want || r.Err != nil || !n.wants(u.Object.ID) {
		return
	}
	n.watcher.Changed(n.changeOf(u, r))
}

func (n *Node) changeOf(u *cluster.Update, r *store.Result) cluster.Change {
	o := &u.Object
	isNotice := o.Sum == [32]byte{} // it says nothing of the contents, and so not all of the object
	switch {
	case r.Have != o.Timestamp: // joined with what was here
	case o.Deleted || !o.Replicas.Contains(n.cfg.Self.ID):
		return cluster.Change{Object: *o, State: cluster.ChangeRemoved}
	case !isNotice:
		return cluster.Change{Object: *o, State: cluster.ChangeStored}
	}
	return cluster.Change{Object: cluster.Object{ID: o.ID, Timestamp: r.Have}}
}

// tellDoubtful tells of an update of which the outcome was in doubt: whatever the store says now may have
// been done by the call that ended in doubt.
func (n *Node) tellDoubtful(u *cluster.Update, r *store.Result) {
	if r.Applied || r.Verdict == replication.Same || !n.wants(u.Object.ID) {
		return // told, or nobody asks
	}
	n.watcher.Changed(cluster.Change{Object: cluster.Object{ID: u.Object.ID, Timestamp: r.Have}})
}
