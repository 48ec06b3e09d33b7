package replication

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// "Add targets" (thesis ch. 5): a deletion comes to node 1, which knows of a replica that the sender
// does not name. Nobody else tells that replica, so it is offered the deletion at once; those that
// the sender tells are left to it for a while.
func TestR5_AddedTargetsAreToldAtOnce(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := NewLog(1, nil, 0)
	l.Install([]cluster.NodeID{1, 2, 3}, now)
	r := cluster.Record{ID: cluster.ObjectID{Type: "message", Owner: "u", ID: "m"}, Timestamp: cluster.Timestamp{Time: 7, Node: 2},
		Deleted: true, Targets: cluster.NewReplicaSet(1, 2, 3)}
	out := l.AddedFor(r, cluster.NewReplicaSet(1, 2), now)
	if len(out.Offers) != 1 || out.Offers[0].To != 3 {
		t.Fatalf("offers at once: %+v, want one to node 3", out.Offers)
	}
	out = l.Answered(out.Offers[0].Number, []Answer{{ID: r.ID, Reply: Reply{Verdict: Newer, Have: r.Timestamp}}}, nil, now)
	if len(out.Offers) != 0 {
		t.Errorf("offers after its answer: %+v, want none", out.Offers)
	}
	if out = l.Tick(now.Add(TakeOverAfter)); len(out.Offers) != 1 || out.Offers[0].To != 2 {
		t.Errorf("offers after a while: %+v, want one to node 2", out.Offers)
	}
}
