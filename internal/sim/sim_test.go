package sim

import (
	"flag"
	"os"
	"runtime/debug"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "replay this seed (TestReplay)")
	hoursFlag = flag.Float64("sim.hours", 0, "simulate at least this many cluster-hours (TestMany)")
	nodesFlag = flag.Int("sim.nodes", 30, "nodes of TestScale")
	breakFlag = flag.Duration("sim.break", 0, "length of the phase of faults in TestMany and TestReplay; 0: drawn from the seed")
	firstFlag = flag.Uint64("sim.first", 1, "first seed of TestMany")
)

// TestSameSeedSameTrace is the ground that all else stands on.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		opt := Options{Seed: seed, Break: time.Minute}
		a, b := Run(opt), Run(opt)
		if a.Trace != b.Trace || a.Stats != b.Stats {
			t.Errorf("seed %d gives trace %016x and %016x, stats %v and %v", seed, a.Trace, b.Trace, a.Stats.String(), b.Stats.String())
		}
		if c := Run(Options{Seed: seed + 1000, Break: time.Minute}); c.Trace == a.Trace {
			t.Errorf("seeds %d and %d give the same trace", seed, seed+1000)
		}
	}
}

// TestScale runs a large cluster through a boot, crashes and a partition.
func TestScale(t *testing.T) {
	if f := Scale(*nodesFlag, 1, func(p Phase) { t.Log(p) }); f != nil {
		t.Fatal(f)
	}
}

// TestReplay plays one seed and tells what happens.
func TestReplay(t *testing.T) {
	if *seedFlag == 0 {
		t.Skip("give a seed with -sim.seed=N")
	}
	r := Run(Options{Seed: *seedFlag, Break: *breakFlag, Log: os.Stdout})
	t.Logf("seed %d: %d nodes, trace %016x, %+v", r.Seed, r.Nodes, r.Trace, r.Stats)
	if r.Failure != nil {
		t.Fatal(r.Failure)
	}
}

// TestMany plays seeds until enough hours have been simulated, or for ten seconds.
func TestMany(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // short-lived garbage: collect it less often
	begun := time.Now()
	var total Stats
	seed := *firstFlag
	for ; *seedsFlag == 0 || seed < *firstFlag+uint64(*seedsFlag); seed++ {
		if *hoursFlag > 0 && total.Simulated.Hours() >= *hoursFlag || *hoursFlag == 0 && time.Since(begun) > 10*time.Second {
			break
		}
		at := time.Now()
		r := Run(Options{Seed: seed, Break: *breakFlag})
		if testing.Verbose() && time.Since(at) > 5*time.Second {
			t.Logf("seed %d took %v: %v", seed, time.Since(at).Round(time.Millisecond), r.Stats.String())
		}
		total.add(&r.Stats)
		if r.Failure != nil {
			t.Fatal(r.Failure)
		}
	}
	t.Logf("seeds %d to %d in %v: %v", *firstFlag, seed-1, time.Since(begun).Round(time.Millisecond), total.String())
}
