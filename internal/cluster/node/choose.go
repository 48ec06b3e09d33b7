package node

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
)

// Choose picks the nodes for a new object of type t: among those that hold objects of the owner
// and random others up to spread, the least loaded (Porcupine §4.5). Fewer than copies when fewer
// can take it; KindFull when none can.
func (n *Node) Choose(e cluster.Entry, t cluster.ObjectType, copies, spread int, exclude []cluster.NodeID) (cluster.ReplicaSet, error) {
	var holders []cluster.NodeID
	for _, p := range e.Fragments {
		if p.Type == t {
			holders = append(holders, p.Holders...)
		}
	}
	ids := n.senses.choose(balance.Request{
		Holders: holders, Members: n.View().IDs(), Exclude: exclude, Spread: spread, Copies: copies,
	}, n.cfg.Self.ID, n.load(), n.cfg.Now())
	if len(ids) == 0 {
		return nil, cluster.Errorf(cluster.KindFull, "choose nodes for "+e.Owner, "no live node takes new objects: free disk space or start more nodes")
	}
	return cluster.NewReplicaSet(ids...), nil
}
