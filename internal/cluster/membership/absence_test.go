package membership_test

import (
	"slices"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
)

// graceful is settled with a grace period.
func graceful(t *testing.T, size cluster.NodeID, grace time.Duration) *world {
	t.Helper()
	w := newWorld(1)
	w.grace = grace
	for _, id := range nodesFrom(1, size) {
		w.boot(id, 1)
	}
	if _, ok := w.settle(1, 20*time.Second); !ok {
		t.Fatal("no single group")
	}
	return w
}

// absence gives how long a node has seen another one be absent, 0 if it is not.
func (w *world) absence(by, of cluster.NodeID) time.Duration {
	for _, a := range w.nodes[by].core.Absent(w.now) {
		if a.ID == of {
			return a.For
		}
	}
	return 0
}

// near reports whether a is b, give or take.
func near(a, b, by time.Duration) bool { return a-b < by && b-a < by }

// What was seen of an absence is kept over restarts; time in which the observer was off, or stood
// still, is left out.
func TestAbsenceIsWhatWasSeen(t *testing.T) {
	w := graceful(t, 3, 7*24*time.Hour)
	w.crash(3)
	w.run(10 * time.Minute)
	if got := w.absence(1, 3); !near(got, 10*time.Minute, 3*time.Second) {
		t.Errorf("seen absent for %v, want 10m", got)
	}
	w.crash(1)
	w.run(50 * time.Minute)
	w.boot(1, 2)
	w.run(10 * time.Minute)
	if got := w.absence(1, 3); !near(got, 20*time.Minute, 70*time.Second) {
		t.Errorf("after a restart: seen absent for %v, want 20m less a minute at most", got)
	}
	w.pause(1)
	w.run(50 * time.Minute)
	w.resume(1)
	w.run(10 * time.Minute)
	if got := w.absence(1, 3); !near(got, 30*time.Minute, 75*time.Second) {
		t.Errorf("after a pause: seen absent for %v, want 30m", got)
	}
	w.boot(3, 1)
	if _, ok := w.settle(1, 20*time.Second); !ok || w.absence(1, 3) != 0 {
		t.Errorf("back as a member: seen absent for %v", w.absence(1, 3))
	}
	w.crash(3)
	w.run(time.Minute)
	if got := w.absence(2, 3); !near(got, time.Minute, 3*time.Second) {
		t.Errorf("absent again: %v, want it counted anew", got)
	}
	w.check(t)
}

// A cluster that was switched off as a whole for longer than the grace period comes back whole.
func TestGraceSparesAClusterThatWasOff(t *testing.T) {
	w := graceful(t, 4, 20*time.Minute)
	for _, id := range nodesFrom(1, 4) { // one after the other: the last has seen the others go
		w.crash(id)
		w.run(5 * time.Second)
	}
	w.run(50 * time.Minute)
	for _, id := range nodesFrom(1, 4) {
		w.boot(id, 1)
		w.run(10 * time.Second)
	}
	if d, ok := w.settle(1, 20*time.Second); !ok || len(w.nodes[1].view.Members) != 4 {
		t.Errorf("after %v: members %v, want all", d, w.nodes[1].view.IDs())
	}
	w.check(t)
}

// The smaller side of a partition strikes nobody, however long it lasts. It is struck, as one.
func TestGraceStrikesTheSmallerSide(t *testing.T) {
	w := graceful(t, 5, 20*time.Minute)
	w.stand = func(n *node) bool { return n.id <= 2 }
	w.split(nodesFrom(1, 2), nodesFrom(3, 5), true)
	before := len(w.views)
	w.run(50 * time.Minute)
	for _, c := range []struct {
		id   cluster.NodeID
		want []cluster.NodeID
	}{{1, nil}, {2, nil}, {3, nodesFrom(1, 2)}, {4, nodesFrom(1, 2)}, {5, nodesFrom(1, 2)}} {
		if got := w.nodes[c.id].core.Struck(); !slices.Equal(got, c.want) {
			t.Errorf("%s has struck %v, want %v", name(c.id), got, c.want)
		}
	}
	if n := len(w.views) - before; n > 5 {
		t.Errorf("%d epochs, want at most 5", n)
	}
	clear(w.cut)
	w.run(10 * time.Second)
	for _, id := range nodesFrom(1, 2) {
		if w.nodes[id].refused != membership.RefusalStruck {
			t.Errorf("%s refused as %v, want struck", name(id), w.nodes[id].refused)
		}
	}
	w.check(t)
}

// Of two halves the one with the smallest id strikes.
func TestGraceOfTwoHalves(t *testing.T) {
	w := graceful(t, 2, 20*time.Minute)
	w.stand = func(n *node) bool { return n.id == 2 }
	w.split([]cluster.NodeID{1}, []cluster.NodeID{2}, true)
	w.run(50 * time.Minute)
	if a, b := w.nodes[1].core.Struck(), w.nodes[2].core.Struck(); len(a) != 1 || len(b) != 0 {
		t.Errorf("a has struck %v, b %v; want a to strike b", a, b)
	}
	if !w.nodes[1].core.Majority() || w.nodes[2].core.Majority() {
		t.Error("want a majority at a alone")
	}
	w.check(t)
}
