package replication

import "porcupine/internal/cluster"

// Wait has the log wait, before it offers a record of an object that this node has a copy of to those
// that will remove theirs, until told says that the manager of the owner's bucket has heard what this
// node holds. A manager that knows nothing but the old replica set sends readers to those nodes, and they
// would show what else they have, without this object (V2). The other replicas do their part: they
// acknowledge an update by which others remove their copies AFTER their managers have heard.
//
// told is asked when an offer is due. The commit that left a record must count as not told BEFORE
// Added. Call Wait before all else; without it nothing is waited for.
func (l *Log) Wait(told func(cluster.ObjectID) bool) { l.told = told }

// untold reports whether a target must wait: it is to remove its copy, and the manager has not heard yet
// that one lies here.
func (l *Log) untold(e *entry, bit uint64) bool {
	return l.told != nil && bit&e.bits(e.rec.Replicas) == 0 && e.rec.Replicas.Contains(l.self) && !l.told(e.rec.ID)
}

// Moves reports whether other nodes will remove their copies because of an update of which a node gets
// one: then the node's manager must have heard of it BEFORE the node acknowledges it (V2).
func Moves(self cluster.NodeID, u *cluster.Update) bool {
	return u.Object.Replicas.Contains(self) && len(u.Targets()) > len(u.Object.Replicas)
}
