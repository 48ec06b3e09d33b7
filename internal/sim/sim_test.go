package sim

import (
	"flag"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	seedFlag     = flag.Uint64("sim.seed", 0, "replay this seed (TestReplay)")
	hoursFlag    = flag.Float64("sim.hours", 0, "simulate at least this many cluster-hours (TestMany)")
	nodesFlag    = flag.Int("sim.nodes", 30, "nodes of TestScale")
	breakFlag    = flag.Duration("sim.break", 0, "length of the phase of faults in TestMany and TestReplay; 0: drawn from the seed")
	onlyFlag     = flag.String("sim.only", "", "classes of faults for TestMany and TestReplay, separated by commas, in place of those drawn from the seed")
	firstFlag    = flag.Uint64("sim.first", 0, "first seed of TestMany; 0: others each day")
	machinesFlag = flag.Bool("sim.machines", false, "several nodes on one machine, and one machine is lost in the end, in TestMany and TestReplay")
	goOnFlag     = flag.Bool("sim.all", false, "TestMany goes on after a failure, and tells of each at once")
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

// TestChanges tells what single changes cost a large cluster, and what rest costs it.
func TestChanges(t *testing.T) {
	var phases []Phase
	if f := Changes(*nodesFlag, 1, func(p Phase) { t.Log(p); phases = append(phases, p) }); f != nil {
		t.Fatal(f)
	}
	if death := phases[2]; death.Epochs != 1 || death.Bytes == 0 || death.Busiest > death.Bytes {
		t.Errorf("%v: want one epoch, and octets", death)
	}
	if rest := phases[1]; rest.Epochs != 0 || rest.Pushes != 0 {
		t.Errorf("%v: want neither an epoch nor a push", rest)
	}
}

// TestReplay plays one seed and tells what happens.
func TestReplay(t *testing.T) {
	if *seedFlag == 0 {
		t.Skip("give a seed with -sim.seed=N")
	}
	r := Run(Options{Seed: *seedFlag, Break: *breakFlag, Dense: *denseFlag, Days: *daysFlag, Sparse: *sparseFlag, Only: *onlyFlag, Machines: *machinesFlag, Log: os.Stdout})
	t.Logf("seed %d: %d nodes, trace %016x, %+v", r.Seed, r.Nodes, r.Trace, r.Stats)
	if r.Failure != nil {
		t.Fatalf("at commit %s: %v", commit(t), r.Failure)
	}
}

// rotation is how many seeds belong to one day: a test without flags plays others tomorrow.
const rotation = 1000

// shareBreak is the length of the phase of faults in a test without flags: short, so that the test is.
const shareBreak = 5 * time.Minute

// firstSeed gives the first seed to play.
func firstSeed() uint64 {
	if *firstFlag > 0 {
		return *firstFlag
	}
	return uint64(time.Now().Unix()/86400)*rotation + 1
}

// player plays seeds in order, several at once, until there is enough or one fails.
type player struct {
	opt   Options
	goOn  bool                               // after a failure
	until func(seeds int, total *Stats) bool // enough
	slow  func(seed uint64, took time.Duration, s *Stats)
	fails func(*Failure)

	mu       sync.Mutex
	next     uint64
	played   int
	total    Stats
	failed   *Failure // the one of the lowest seed
	failures []*Failure
}

// play gives the seed after the last one that was played.
func (p *player) play(first uint64) (after uint64) {
	p.next = first
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(p.work)
	}
	wg.Wait()
	return p.next
}

func (p *player) work() {
	for {
		p.mu.Lock()
		if p.failed != nil && !p.goOn || p.until(int(p.next), &p.total) {
			p.mu.Unlock()
			return
		}
		opt := p.opt
		opt.Seed = p.next
		p.next++
		p.mu.Unlock()
		begun := time.Now()
		r := Run(opt)
		p.mu.Lock()
		p.total.add(&r.Stats)
		p.played++
		if f := r.Failure; f != nil {
			p.failures = append(p.failures, f)
			if p.fails != nil {
				p.fails(f)
			}
			if p.failed == nil || f.Seed < p.failed.Seed {
				p.failed = f
			}
		}
		if p.slow != nil {
			p.slow(opt.Seed, time.Since(begun), &r.Stats)
		}
		p.mu.Unlock()
	}
}

// TestMany plays seeds until enough hours have been simulated, or for ten seconds.
func TestMany(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // short-lived garbage: collect it less often
	begun, first := time.Now(), firstSeed()
	p := player{opt: Options{Break: *breakFlag, Dense: *denseFlag, Days: *daysFlag, Sparse: *sparseFlag, Only: *onlyFlag, Machines: *machinesFlag}, goOn: *goOnFlag}
	if *goOnFlag {
		p.fails = func(f *Failure) { t.Logf("seed %d breaks %s at %v: %s", f.Seed, f.Invariant, f.At, f.Text) }
	}
	if *hoursFlag == 0 && *seedsFlag == 0 && *breakFlag == 0 {
		p.opt.Break = shareBreak
	}
	p.until = func(next int, total *Stats) bool {
		return *seedsFlag > 0 && next >= int(first)+*seedsFlag ||
			*hoursFlag > 0 && total.Simulated.Hours() >= *hoursFlag ||
			*hoursFlag == 0 && *seedsFlag == 0 && time.Since(begun) > 8*time.Second
	}
	p.slow = func(seed uint64, took time.Duration, s *Stats) {
		if testing.Verbose() && took > 20*time.Second {
			t.Logf("seed %d took %v: %v", seed, took.Round(time.Millisecond), s.String())
		}
	}
	after := p.play(first)
	if p.failed != nil {
		t.Fatalf("at commit %s: %v", commit(t), p.failed)
	}
	t.Logf("seeds %d to %d in %v: %v", first, after-1, time.Since(begun).Round(time.Millisecond), p.total.String())
}

// commit names the version that runs; work that is not committed is not seen.
func commit(t *testing.T) string {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		t.Logf("git rev-parse: %v", err)
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
