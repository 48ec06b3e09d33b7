package node

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// Retirements for a node wait for each other; one of a cached object takes those that wait with it, soon.
func TestRetirementsGoTogether(t *testing.T) {
	start, rings := time.Unix(1000, 0), 0
	r := retirer{ring: func() { rings++ }, isSoon: func(t cluster.ObjectType) bool { return t == "cached" }, peers: map[cluster.NodeID]*retiring{}}
	of := func(ty cluster.ObjectType) cluster.Retirement {
		return cluster.Retirement{ID: cluster.ObjectID{Type: ty, Owner: "o", ID: "x"}}
	}
	at := func(d time.Duration, want int) {
		t.Helper()
		if got := len(r.due(start.Add(d))[7]); got != want {
			t.Errorf("after %v %d are due, want %d", d, got, want)
		}
	}
	r.add([]cluster.NodeID{7}, of("message"), start)
	r.add([]cluster.NodeID{7}, of("message"), start.Add(RetireDelay/2))
	if d := r.deadline(); rings != 1 || !d.Equal(start.Add(RetireDelay)) {
		t.Errorf("rung %d times, due at %v, want once and %v", rings, d, start.Add(RetireDelay))
	}
	at(RetireDelay-1, 0)
	at(RetireDelay, 2)
	r.done(7, nil)
	r.add([]cluster.NodeID{7}, of("message"), start)
	r.add([]cluster.NodeID{7}, of("cached"), start)
	if d := r.deadline(); rings != 3 || !d.Equal(start.Add(RetireSoon)) {
		t.Errorf("rung %d times, due at %v, want three times and %v", rings, d, start.Add(RetireSoon))
	}
	at(RetireSoon-1, 0)
	at(RetireSoon, 2)
}
