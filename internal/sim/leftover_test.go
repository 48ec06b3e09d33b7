package sim

import (
	"testing"

	"porcupine/internal/cluster"
)

// TestR4_LeftoverOfAnUndoneRetirementEnds: a crash brings back the record of a move at a node that has no
// copy any more. The new replicas have the message, or have deleted it and forgotten the deletion.
func TestR4_LeftoverOfAnUndoneRetirementEnds(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		w := atRest(t, 4)
		id := cluster.ObjectID{Type: typeMessage, Owner: "u0@example.test", ID: "m1.1"}
		left, other := w.nodes[0], w.nodes[3]
		replicas := cluster.NewReplicaSet(w.nodes[1].id, w.nodes[2].id)
		o := cluster.Object{
			ID: id, Timestamp: cluster.Timestamp{Time: left.wall().UnixNano(), Node: left.id},
			Replicas: replicas, Copies: 2, Size: 1, Sum: sumOf("m"),
		}
		for _, n := range w.nodes[1:3] {
			if !deleted {
				n.disk.put(id, &stored{object: o, contents: "m"}, nil)
			}
		}
		left.crash()
		left.disk.put(id, nil, &cluster.Record{
			ID: id, Timestamp: o.Timestamp, Replicas: replicas, Targets: replicas.Union(cluster.NewReplicaSet(left.id, other.id)),
		})
		left.start()
		w.healing = true
		w.await("R4", drainMax, w.undrained)
		if w.check.failure != nil {
			t.Errorf("deleted %v: %v", deleted, w.check.failure)
		}
	}
}
