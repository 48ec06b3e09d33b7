package uidledger

import (
	"flag"
	"slices"
	"testing"
	"time"
)

var (
	uidSeed    = flag.Uint64("uid.seed", 0, "TestReplay plays this seed with every event of note")
	uidReveals = flag.Int("uid.reveals", 0, "TestMany plays seeds until so many messages were revealed")
	uidFirst   = flag.Uint64("uid.first", 1, "the first seed of TestMany")
	uidSeeds   = flag.Int("uid.seeds", 0, "TestMany ends after so many seeds")
	uidAll     = flag.Bool("uid.all", false, "TestMany goes on after a failure, and counts them")
	uidNaive   = flag.Bool("uid.naive", false, "numbers are max+1 on every side, to see that the checks see")
)

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
	t.Errorf("seed %d: %s: %s\nreplay: go test ./internal/mail/uidledger -run TestReplay -v -uid.seed=%d -uid.naive=%t", seed, bad.invariant, bad.what, seed, naive)
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
		r := playOne(seed, false)
		if r.bad != nil {
			report(t, seed, r.bad, false)
			return
		}
		total.add(r)
	}
	t.Log(&total)
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
