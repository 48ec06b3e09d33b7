package node

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
)

// Choose picks the nodes for copies of an object of type t: among those that hold objects of the owner
// and random others up to spread, the least loaded (Porcupine §4.5). beside are the nodes that hold the object already.
// They are not chosen again, and no two of all these nodes are on one machine if that can be avoided. Nodes in
// exclude are not chosen either: they failed at it. Fewer than copies when fewer can take it; KindFull when none can.
func (n *Node) Choose(e cluster.Entry, t cluster.ObjectType, copies, spread int, beside, exclude []cluster.NodeID) (cluster.ReplicaSet, error) {
	var holders []cluster.NodeID
	for _, p := range e.Fragments {
		if p.Type == t {
			holders = append(holders, p.Holders...)
		}
	}
	ids := n.senses.choose(balance.Request{
		Holders: holders, Members: n.View().IDs(), Beside: beside, Exclude: exclude, Spread: spread, Copies: copies,
		Type: t, Bucket: n.cfg.Cluster.BucketOf(e.Owner),
	}, n.cfg.Self.ID, n.load(), n.cfg.Now())
	if len(ids) == 0 {
		return nil, cluster.Errorf(cluster.KindFull, "choose nodes for "+e.Owner, "no live node takes new objects: free disk space or start more nodes")
	}
	return cluster.NewReplicaSet(ids...), nil
}
