package sim

import (
	"flag"
	"os"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "replay this seed (TestReplay)")
	hoursFlag = flag.Float64("sim.hours", 0, "simulate at least this many cluster-hours (TestMany)")
	firstFlag = flag.Uint64("sim.first", 1, "first seed of TestMany")
)

// TestReplay plays one seed and tells what happens.
func TestReplay(t *testing.T) {
	if *seedFlag == 0 {
		t.Skip("give a seed with -sim.seed=N")
	}
	r := Run(Options{Seed: *seedFlag, Log: os.Stdout})
	t.Logf("seed %d: %d nodes, trace %016x, %+v", r.Seed, r.Nodes, r.Trace, r.Stats)
	if r.Failure != nil {
		t.Fatal(r.Failure)
	}
}

// TestMany plays seeds until enough hours have been simulated, or for ten seconds.
func TestMany(t *testing.T) {
	begun := time.Now()
	var total Stats
	seed := *firstFlag
	for ; *seedsFlag == 0 || seed < *firstFlag+uint64(*seedsFlag); seed++ {
		if *hoursFlag > 0 && total.Simulated.Hours() >= *hoursFlag || *hoursFlag == 0 && time.Since(begun) > 10*time.Second {
			break
		}
		at := time.Now()
		r := Run(Options{Seed: seed})
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
