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

// TestV2_CopiesAreRemovedWhenTheManagerKnows: an object that lay on nodes 1 and 3 is to lie on 1 and 2. The
// manager can be reached by node 3 alone. As long as it sends readers there, node 3 keeps its copy.
func TestV2_CopiesAreRemovedWhenTheManagerKnows(t *testing.T) {
	now := time.Unix(1e9, 0)
	told := false
	l := NewLog(1, nil, 0)
	l.Wait(func(id cluster.ObjectID) bool { return told && id.Owner == "u" })
	l.Install([]cluster.NodeID{1, 2, 3}, now)
	r := cluster.Record{ID: cluster.ObjectID{Type: "message", Owner: "u", ID: "m"}, Timestamp: cluster.Timestamp{Time: 7, Node: 1},
		Replicas: cluster.NewReplicaSet(1, 2), Targets: cluster.NewReplicaSet(1, 2, 3)}
	l.Added(r, now)
	now = now.Add(TakeOverAfter)
	out := l.Tick(now)
	if len(out.Offers) != 1 || out.Offers[0].To != 2 {
		t.Fatalf("offers: %+v, want one to node 2, which gets a copy", out.Offers)
	}
	out = l.Answered(out.Offers[0].Number, []Answer{{ID: r.ID, Reply: Reply{Verdict: Newer, Have: r.Timestamp}}}, nil, now)
	for range 20 {
		if len(out.Offers) > 0 {
			t.Fatalf("offers while the manager does not know: %+v, want none", out.Offers)
		}
		if l.Deadline().IsZero() {
			t.Fatal("the log waits for ever")
		}
		now = now.Add(RetryMin)
		out = l.Tick(now)
	}
	told = true
	if out = l.Tick(now.Add(RetryMin)); len(out.Offers) != 1 || out.Offers[0].To != 3 {
		t.Errorf("offers when the manager knows: %+v, want one to node 3", out.Offers)
	}
}

func TestV2_Moves(t *testing.T) {
	for _, test := range []struct {
		name     string
		replicas cluster.ReplicaSet
		previous cluster.ReplicaSet
		want     bool
	}{
		{"new", cluster.NewReplicaSet(1, 2), nil, false},
		{"changed", cluster.NewReplicaSet(1, 2), cluster.NewReplicaSet(1, 2), false},
		{"a replica more", cluster.NewReplicaSet(1, 2), cluster.NewReplicaSet(1), false},
		{"another replica", cluster.NewReplicaSet(1, 2), cluster.NewReplicaSet(1, 3), true},
		{"a replica less", cluster.NewReplicaSet(1), cluster.NewReplicaSet(1, 3), true},
		{"moved away from here", cluster.NewReplicaSet(2), cluster.NewReplicaSet(1), false},
		{"deleted", nil, cluster.NewReplicaSet(1, 2), false},
	} {
		if got := Moves(1, &cluster.Update{Object: cluster.Object{Replicas: test.replicas}, Previous: test.previous}); got != test.want {
			t.Errorf("%s: Moves = %t, want %t", test.name, got, test.want)
		}
	}
}
