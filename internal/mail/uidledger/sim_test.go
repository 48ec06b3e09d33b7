package uidledger

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"
)

var (
	uidSeed    = flag.Uint64("uid.seed", 0, "TestReplay plays this seed with every event of note")
	uidReveals = flag.Int("uid.reveals", 0, "TestMany plays seeds until so many messages were revealed")
	uidFirst   = flag.Uint64("uid.first", 1, "the first seed of TestMany")
	uidSeeds   = flag.Int("uid.seeds", 0, "TestMany ends after so many seeds")
	uidNaive   = flag.Bool("uid.naive", false, "numbers are max+1 on every side, to see that the checks see")
)

// simTotals are the counts of many runs.
type simTotals struct{ seeds, reveals, retired int }

func play(seed uint64, naive bool) (*world, *simBad) {
	w := newWorld(seed)
	w.naive = naive
	return w, w.run()
}

// report says what broke, with the last events and the line that plays it again.
func report(t *testing.T, seed uint64, bad *simBad, naive bool) {
	t.Helper()
	w := newWorld(seed)
	w.naive = naive
	var last []string
	w.trace = func(s string) { last = append(last, s) }
	func() {
		defer func() { _ = recover() }()
		w.run()
	}()
	for _, s := range last[max(0, len(last)-40):] {
		t.Log(s)
	}
	t.Fatalf("seed %d: %s: %s\nreplay: go test ./internal/mail/uidledger -run TestReplay -v -uid.seed=%d -uid.naive=%t", seed, bad.invariant, bad.what, seed, naive)
}

func (x *simTotals) add(w *world) {
	x.seeds++
	x.reveals += w.check.reveals
	x.retired += w.check.retired
}

func (x *simTotals) String() string {
	return fmt.Sprintf("%d seeds, %d reveals, %.3f retired UIDs per reveal, 0 violations", x.seeds, x.reveals, float64(x.retired)/float64(max(x.reveals, 1)))
}

// TestU_Simulation plays some seeds, others each day: U1 to U6 and D4 hold.
func TestU_Simulation(t *testing.T) {
	day := uint64(time.Now().Unix() / 86400)
	var total simTotals
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		seed := day<<24 + uint64(total.seeds)
		if total.seeds < 50 {
			seed = uint64(total.seeds + 1)
		}
		w, bad := play(seed, false)
		if bad != nil {
			report(t, seed, bad, false)
		}
		total.add(w)
	}
	t.Log(total.String())
}

// TestMany plays seeds until enough was revealed.
func TestMany(t *testing.T) {
	if *uidReveals == 0 {
		t.Skip("for example -run TestMany -v -timeout 0 -uid.reveals=10000000")
	}
	var total simTotals
	start, said := time.Now(), time.Now()
	for seed := *uidFirst; total.reveals < *uidReveals && (*uidSeeds == 0 || total.seeds < *uidSeeds); seed++ {
		w, bad := play(seed, *uidNaive)
		if bad != nil {
			report(t, seed, bad, *uidNaive)
		}
		total.add(w)
		if time.Since(said) > 30*time.Second {
			said = time.Now()
			t.Logf("%v, next seed %d", &total, seed+1)
		}
	}
	t.Logf("%v, in %v", &total, time.Since(start).Round(time.Second))
}

// TestReplay plays one seed and says all.
func TestReplay(t *testing.T) {
	if *uidSeed == 0 {
		t.Skip("for example -run TestReplay -v -uid.seed=7")
	}
	w := newWorld(*uidSeed)
	w.naive = *uidNaive
	w.trace = func(s string) { t.Log(s) }
	if bad := w.run(); bad != nil {
		t.Fatalf("%s: %s", bad.invariant, bad.what)
	}
	t.Logf("%d reveals", w.check.reveals)
}

// TestU1_NaiveSchemeFails: max+1 on both sides shows one UID for two messages, and the check sees it.
func TestU1_NaiveSchemeFails(t *testing.T) {
	const within = 20
	for seed := uint64(1); seed <= within; seed++ {
		if _, bad := play(seed, true); bad != nil && slices.Contains([]string{"U1", "U3", "U5"}, bad.invariant) {
			t.Logf("seed %d: %s: %s", seed, bad.invariant, bad.what)
			return
		}
	}
	t.Fatalf("%d seeds with max+1 on every side, and nothing was seen", within)
}
