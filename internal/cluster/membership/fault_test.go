package membership_test

import (
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// settled boots a cluster of that size and waits until it is one group at rest.
func settled(t *testing.T, seed uint64, size cluster.NodeID) *world {
	t.Helper()
	w := newWorld(seed)
	for _, id := range nodesFrom(1, size) {
		w.boot(id, 1)
	}
	if d, ok := w.settle(1, 20*time.Second); !ok {
		t.Fatalf("seed %d: %d nodes did not become one group within %v", seed, size, d)
	}
	w.run(10 * time.Second)
	return w
}

func (w *world) check(t *testing.T) {
	t.Helper()
	for _, b := range w.broken {
		t.Error(b)
	}
}

// installsSince counts the views that each node installed while f ran, and gives the largest.
func (w *world) installsSince(f func()) int {
	before := map[cluster.NodeID]int{}
	for id, n := range w.nodes {
		before[id] = n.installs
	}
	f()
	most := 0
	for id, n := range w.nodes {
		most = max(most, n.installs-before[id])
	}
	return most
}

func TestM5_DeadNodeIsOutWithinTwoSeconds(t *testing.T) {
	var worst time.Duration
	for seed := uint64(1); seed <= 40; seed++ {
		w := settled(t, seed, 5)
		w.run(time.Duration(seed) * 13 * time.Millisecond)
		w.crash(cluster.NodeID(1 + seed%5))
		d, ok := w.settle(1, 10*time.Second)
		if !ok {
			t.Fatalf("seed %d: the dead node is still a member", seed)
		}
		worst = max(worst, d)
		w.check(t)
	}
	if worst > 2*time.Second {
		t.Errorf("a dead node stayed a member for %v, want at most 2s", worst)
	}
	t.Logf("at worst %v", worst)
}

func TestM5_RefusedCallsMakeItFaster(t *testing.T) {
	w := settled(t, 1, 5)
	w.crash(2)
	w.obey(w.nodes[4], w.nodes[4].core.Suspect(w.now, 2))
	if d, ok := w.settle(1, 10*time.Second); !ok || d > 900*time.Millisecond {
		t.Errorf("after a refused call the node left the view in %v, want at most 900ms", d)
	}
	w.check(t)
}

// One failed call is not a failed node.
func TestM5_FalseSuspicionChangesNothing(t *testing.T) {
	w := settled(t, 1, 5)
	most := w.installsSince(func() {
		for range 100 {
			for _, id := range nodesFrom(2, 5) {
				w.obey(w.nodes[1], w.nodes[1].core.Suspect(w.now, id))
			}
			w.run(100 * time.Millisecond)
		}
	})
	if most != 0 {
		t.Errorf("%d views installed, want none", most)
	}
}

// False suspicion: none in 20 minutes of ten nodes at 10 % loss and 100 ms of jitter.
func TestM5_QuietUnderLossAndJitter(t *testing.T) {
	w := settled(t, 7, 10)
	w.loss, w.jitter, w.dup = 0.1, 100*time.Millisecond, 0.05
	length := 20 * time.Minute
	if testing.Short() {
		length = 5 * time.Minute
	}
	if most := w.installsSince(func() { w.run(length) }); most != 0 {
		t.Errorf("%d views installed in %v, want none", most, length)
	}
	w.check(t)
}

func TestM5_OneWayNodeEndsOutAndDoesNotFlap(t *testing.T) {
	const size = 5
	all := nodesFrom(1, size)
	cases := []struct {
		name string
		cut  func(w *world, id cluster.NodeID)
	}{
		{"deaf", func(w *world, id cluster.NodeID) {
			for _, o := range all {
				w.oneWay(o, id, true)
			}
		}},
		{"mute", func(w *world, id cluster.NodeID) {
			for _, o := range all {
				w.oneWay(id, o, true)
			}
		}},
	}
	for _, c := range cases {
		for _, id := range all {
			t.Run(fmt.Sprintf("%s %s", c.name, name(id)), func(t *testing.T) {
				w := settled(t, uint64(id), size)
				if most := w.installsSince(func() { c.cut(w, id); w.run(2 * time.Minute) }); most > 2 {
					t.Errorf("%d epochs at one node, want at most 2", most)
				}
				if got := w.components(); got != 2 || len(w.nodes[id].view.Members) != 1 {
					t.Errorf("%d components, the node's view has %d members; want it to be alone", got, len(w.nodes[id].view.Members))
				}
				clear(w.cut)
				if d, ok := w.settle(1, 20*time.Second); !ok {
					t.Errorf("healed, and no single group after %v", d)
				}
				w.check(t)
			})
		}
	}
}

// One link that is broken, wholly or one way: at most two epochs for each node, then peace.
func TestM5M6_OneBrokenLink(t *testing.T) {
	for size := cluster.NodeID(2); size <= 5; size++ {
		for a := cluster.NodeID(1); a <= size; a++ {
			for b := cluster.NodeID(1); b <= size; b++ {
				for _, both := range []bool{false, true} {
					if a == b || both && a > b {
						continue
					}
					w := settled(t, uint64(a*10+b), size)
					most := w.installsSince(func() {
						w.oneWay(a, b, true)
						if both {
							w.oneWay(b, a, true)
						}
						w.obey(w.nodes[a], w.nodes[a].core.Suspect(w.now, b))
						w.run(2 * time.Minute)
					})
					if most > 2 || w.components() == 0 {
						t.Errorf("%d nodes, %s->%s broken (both ways: %v): %d epochs at one node, %d components",
							size, name(a), name(b), both, most, w.components())
					}
					clear(w.cut)
					if d, ok := w.settle(1, 20*time.Second); !ok {
						t.Errorf("%d nodes, %s->%s: healed, and no single group after %v", size, name(a), name(b), d)
					}
					w.check(t)
				}
			}
		}
	}
}

// Two halves that only one node bridges: every node ends in exactly one component.
func TestM6_Bridge(t *testing.T) {
	for bridge := cluster.NodeID(1); bridge <= 7; bridge++ {
		w := settled(t, uint64(bridge), 7)
		var left, right []cluster.NodeID
		for _, id := range nodesFrom(1, 7) {
			switch {
			case id == bridge:
			case len(left) < 3:
				left = append(left, id)
			default:
				right = append(right, id)
			}
		}
		w.split(left, right, true)
		w.run(2 * time.Minute)
		before := len(w.views)
		w.run(5 * time.Minute)
		if got := w.components(); got != 2 || len(w.views) != before {
			t.Errorf("bridge %s: %d components and %d epochs in five minutes, want 2 and none", name(bridge), got, len(w.views)-before)
		}
		w.check(t)
	}
}

// Any links may be broken in any direction: M6 holds when things have come to rest, epochs do not
// run away, and all is well after the heal.
func TestM6_ArbitraryLinks(t *testing.T) {
	seeds := uint64(15)
	if testing.Short() {
		seeds = 5
	}
	whole := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		size := cluster.NodeID(3 + seed%5)
		w := settled(t, seed, size)
		share := w.rng.Float64() * 0.5
		for _, a := range nodesFrom(1, size) {
			for _, b := range nodesFrom(1, size) {
				if a != b && w.rng.Float64() < share {
					w.oneWay(a, b, true)
				}
			}
		}
		w.run(2 * time.Minute)
		most := w.installsSince(func() { w.run(5 * time.Minute) })
		if most > 90 {
			t.Errorf("seed %d: %d epochs at one node in five minutes", seed, most)
		}
		if w.components() > 0 && most == 0 {
			whole++
		}
		clear(w.cut)
		// The largest penalty is a minute.
		if d, ok := w.settle(1, 80*time.Second); !ok {
			t.Errorf("seed %d: healed, and no single group after %v", seed, d)
		}
		w.check(t)
	}
	t.Logf("%d of %d came to rest for good", whole, seeds)
}

// A link that flaps costs a bounded number of epochs.
func TestM5_FlappingLink(t *testing.T) {
	w := settled(t, 3, 3)
	most := w.installsSince(func() {
		for range 100 {
			w.split([]cluster.NodeID{1}, []cluster.NodeID{2, 3}, true)
			w.run(3 * time.Second)
			clear(w.cut)
			w.run(3 * time.Second)
		}
	})
	if most > 2*40 {
		t.Errorf("%d epochs at one node in ten minutes of flapping, want at most 80", most)
	}
	w.check(t)
	if d, ok := w.settle(1, 80*time.Second); !ok {
		t.Errorf("no single group %v after the flapping", d)
	}
}

func TestM5_ManyAtOnceCostFewEpochs(t *testing.T) {
	w := settled(t, 5, 10)
	step := func(what string, limit int, f func()) {
		t.Helper()
		before := w.nodes[1].installs
		f()
		if d, ok := w.settle(1, 20*time.Second); !ok {
			t.Fatalf("%s: no single group after %v", what, d)
		}
		if got := w.nodes[1].installs - before; got > limit {
			t.Errorf("%s: %d epochs, want at most %d", what, got, limit)
		}
		w.check(t)
	}
	step("ten join", 2, func() {
		for _, id := range nodesFrom(11, 20) {
			w.boot(id, 1)
		}
	})
	w.run(10 * time.Second)
	step("ten die", 2, func() {
		for _, id := range nodesFrom(6, 15) {
			w.crash(id)
		}
	})
	w.run(10 * time.Second)
	step("ten come back", 2, func() {
		for _, id := range nodesFrom(6, 15) {
			w.boot(id)
		}
	})
}

// A large cluster: numbers for the documents. With -seeds 1 it is 1,000 nodes.
func TestM5_LargeCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	size := cluster.NodeID(100)
	if *seedsFlag != 0 {
		size = 1000 // a minute of processor time
	}
	w := newWorld(1)
	for _, id := range nodesFrom(1, size) {
		w.boot(id, 1, 1+(id-1)/100*100)
	}
	report := func(what string) {
		before := len(w.views)
		clear(w.sent)
		d, ok := w.settle(1, time.Minute)
		if !ok {
			t.Fatalf("%s: no single group", what)
		}
		t.Logf("%d nodes, %s: %v, %d epochs, messages %v", size, what, d, len(w.views)-before, w.sent)
	}
	report("boot")
	w.run(10 * time.Second)
	for id := cluster.NodeID(5); id <= size; id += 10 {
		w.crash(id)
	}
	report("a tenth dies")
	w.run(10 * time.Second)
	w.split(nodesFrom(1, size/2), nodesFrom(size/2+1, size), true)
	w.run(10 * time.Second)
	if got := w.components(); got != 2 {
		t.Fatalf("partition: %d components, want 2", got)
	}
	clear(w.cut)
	report("a partition heals")
	w.check(t)
}

func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		a, b := randomRun(seed, nil), randomRun(seed, nil)
		if a.hash != b.hash {
			t.Errorf("seed %d: traces %016x and %016x", seed, a.hash, b.hash)
		}
	}
}
