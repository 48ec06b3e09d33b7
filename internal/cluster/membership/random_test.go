package membership_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this one seed of the randomized tests, with a trace")
	seedsFlag = flag.Uint64("seeds", 0, "run this many seeds of the randomized tests")
)

// chaos draws one fault. Rates are drawn per seed, so that whole classes are missing in some.
func (w *world) chaos(size int, weights []int) {
	pick := func() cluster.NodeID { return cluster.NodeID(1 + w.rng.IntN(size)) }
	total := 0
	for _, x := range weights {
		total += x
	}
	draw := w.rng.IntN(total)
	kind := 0
	for draw >= weights[kind] {
		draw -= weights[kind]
		kind++
	}
	id := pick()
	n := w.nodes[id]
	switch kind {
	case 0:
		if n.running && !n.paused {
			w.trace("CRASH %s", name(id))
			w.crash(id)
		}
	case 1:
		if !n.running {
			w.trace("BOOT %s", name(id))
			w.boot(id, 1)
		}
	case 2:
		if n.running && !n.paused {
			w.trace("FAST RESTART %s", name(id))
			w.crash(id)
			w.boot(id, 1)
		}
	case 3:
		if n.running && !n.paused {
			w.trace("PAUSE %s", name(id))
			w.pause(id)
			life := n.life
			w.at(w.now.Add(time.Duration(w.rng.IntN(5000))*time.Millisecond), func() {
				if n.paused && n.life == life {
					w.trace("RESUME %s", name(id))
					w.resume(id)
				}
			})
		}
	case 4:
		other := pick()
		w.trace("ONE WAY %s->%s", name(id), name(other))
		w.oneWay(id, other, true)
	case 5:
		other := pick()
		w.trace("CUT %s--%s", name(id), name(other))
		w.split([]cluster.NodeID{id}, []cluster.NodeID{other}, true)
	case 6:
		at := cluster.NodeID(1 + w.rng.IntN(size))
		w.trace("PARTITION at %s", name(at))
		w.split(nodesFrom(1, at), nodesFrom(at+1, cluster.NodeID(size)), true)
	case 7:
		w.trace("HEAL")
		clear(w.cut)
	case 8:
		if n.running && !n.paused {
			w.trace("LEAVE %s", name(id))
			w.obey(n, n.core.Leave(w.now))
		}
	case 9:
		other := pick()
		if n.running && !n.paused {
			w.trace("SUSPECT %s by %s", name(other), name(id))
			w.obey(n, n.core.Suspect(w.now, other))
		}
	}
}

// randomRun breaks a cluster for a while, then heals it and demands convergence.
func randomRun(seed uint64, trace func(w *world)) *world {
	w := newWorld(seed)
	if trace != nil {
		trace(w)
	}
	size := 2 + w.rng.IntN(7)
	weights := make([]int, 10)
	for i := range weights {
		weights[i] = w.rng.IntN(5)
	}
	weights[1]++
	w.jitter = time.Duration(w.rng.IntN(100)) * time.Millisecond
	w.loss = []float64{0, 0, 0.02, 0.1, 0.3}[w.rng.IntN(5)]
	w.dup = []float64{0, 0.05}[w.rng.IntN(2)]
	for _, id := range nodesFrom(1, cluster.NodeID(size)) {
		w.boot(id, 1, id%cluster.NodeID(size)+1)
	}
	for range 10 + w.rng.IntN(30) {
		w.run(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
		w.chaos(size, weights)
	}
	w.trace("CALM")
	clear(w.cut)
	w.loss, w.dup, w.jitter = 0, 0, 5*time.Millisecond
	for _, id := range nodesFrom(1, cluster.NodeID(size)) {
		if n := w.nodes[id]; n.paused {
			w.resume(id)
		}
	}
	w.run(2 * time.Second) // who is leaving ends that
	for _, id := range nodesFrom(1, cluster.NodeID(size)) {
		if !w.nodes[id].running {
			w.boot(id, 1)
		}
	}
	// Penalties end within 16 s, probes come every 6 s, rounds take 2 s.
	d, ok := w.settle(1, 40*time.Second)
	if !ok || len(w.live()[0].view.Members) != size {
		w.violated("M5: not converged after %v", d)
	}
	w.settled = d
	before := len(w.views)
	w.run(20 * time.Second)
	if len(w.views) != before || w.components() != 1 {
		w.violated("M5: %d epochs after convergence", len(w.views)-before)
	}
	return w
}

// TestRandomM1M2M3M5M6 runs many small clusters through random faults.
func TestRandomM1M2M3M5M6(t *testing.T) {
	if *seedFlag != 0 {
		w := randomRun(*seedFlag, func(w *world) {
			w.trace = func(f string, a ...any) {
				fmt.Printf("%9.3f %s\n", w.now.Sub(w.start).Seconds(), fmt.Sprintf(f, a...))
			}
		})
		t.Logf("hash %016x, broken %q", w.hash, w.broken)
		return
	}
	seeds := uint64(80)
	if testing.Short() {
		seeds = 50
	}
	if *seedsFlag != 0 {
		seeds = *seedsFlag
	}
	var worst time.Duration
	failed := 0
	for seed := uint64(1); seed <= seeds; seed++ {
		w := randomRun(seed, nil)
		worst = max(worst, w.settled)
		if len(w.broken) > 0 {
			t.Errorf("seed %d: %s\nreplay: go test ./internal/cluster/membership -run TestRandom -v -seed %d", seed, w.broken[0], seed)
			if failed++; failed == 10 {
				t.FailNow()
			}
		}
	}
	t.Logf("%d seeds; convergence at worst %v after the last restart", seeds, worst)
}
