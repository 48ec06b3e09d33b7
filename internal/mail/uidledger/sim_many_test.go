package uidledger

import (
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// simCounts are what happened in one run, or in many. A struct of numbers: those of two runs are added.
type simCounts struct {
	clients    [clientKinds]int // clients played
	partitions int              // changes of the network that cut something off
	packets    int              // lost, beside those of partitions
	crashes    int              // managers, in the middle of whatever they did
	pauses     int              // managers that stood still
	losses     int              // nodes destroyed
	drains     int              // nodes that lost sight of what they had granted
	regained   int              // of these, that went on above all that it can have been
	sets       int              // sets of replicas decided, beside the first
	validities int              // of these, with another UIDVALIDITY
	blind      int              // messages expunged while no node that has them could be reached
	forgotten  int              // times that what ended long ago was forgotten
}

func (c *simCounts) add(d *simCounts) {
	for k := range c.clients {
		c.clients[k] += d.clients[k]
	}
	c.partitions += d.partitions
	c.packets += d.packets
	c.crashes += d.crashes
	c.pauses += d.pauses
	c.losses += d.losses
	c.drains += d.drains
	c.regained += d.regained
	c.sets += d.sets
	c.validities += d.validities
	c.blind += d.blind
	c.forgotten += d.forgotten
}

// simTotals are the counts of many runs.
type simTotals struct {
	seeds, reveals, retired int
	violations              map[string]int // seeds in which an invariant was broken, by the first one
	simCounts
}

func (x *simTotals) add(r *simResult) {
	x.seeds++
	x.reveals += r.reveals
	x.retired += r.retired
	x.simCounts.add(&r.counts)
	if r.bad != nil {
		if x.violations == nil {
			x.violations = map[string]int{}
		}
		x.violations[r.bad.invariant]++
	}
}

// bad is the number of seeds in which something was broken.
func (x *simTotals) bad() (n int) {
	for _, k := range x.violations {
		n += k
	}
	return n
}

func (x *simTotals) String() string {
	return fmt.Sprintf("%d seeds, %d reveals, %.3f retired UIDs per reveal, %d violations", x.seeds, x.reveals, float64(x.retired)/float64(max(x.reveals, 1)), x.bad())
}

// table is all that was counted, as a document has it.
func (x *simTotals) table() string {
	var b strings.Builder
	row := func(what string, n int) { fmt.Fprintf(&b, "| %s | %d |\n", what, n) }
	row("seeds", x.seeds)
	row("reveals", x.reveals)
	for k, n := range x.clients {
		row(clientKind(k).String()+"s", n)
	}
	row("partitions", x.partitions)
	row("packets lost beside", x.packets)
	row("managers that crashed", x.crashes)
	row("managers that stood still", x.pauses)
	row("nodes destroyed", x.losses)
	row("nodes that lost sight of what they granted", x.drains)
	row("of these, that went on", x.regained)
	row("changes of the ledger replicas", x.sets-x.validities)
	row("changes of UIDVALIDITY", x.validities)
	row("expunges while no holder could be reached", x.blind)
	row("times that old ends were forgotten", x.forgotten)
	fmt.Fprintf(&b, "| retired UIDs per reveal | %.3f |\n", float64(x.retired)/float64(max(x.reveals, 1)))
	for _, invariant := range slices.Sorted(maps.Keys(x.violations)) {
		row("seeds that broke "+invariant, x.violations[invariant])
	}
	row("violations", x.bad())
	return b.String()
}

// simResult is what came of one seed.
type simResult struct {
	seed             uint64
	reveals, retired int
	counts           simCounts
	bad              *simBad
}

// playMany plays seeds from a first one on, several at a time, and gives the results to yield in the order of the seeds,
// until that gives false. So what comes out does not depend on how many are played at a time.
func playMany(first uint64, workers int, naive bool, yield func(*simResult) bool) {
	type job struct {
		seed uint64
		out  chan *simResult
	}
	jobs, line := make(chan job), make(chan chan *simResult, 4*workers)
	var ended atomic.Bool
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for j := range jobs {
				j.out <- playOne(j.seed, naive)
			}
		})
	}
	wg.Go(func() {
		defer close(line)
		defer close(jobs)
		for seed := first; !ended.Load(); seed++ {
			j := job{seed, make(chan *simResult, 1)}
			line <- j.out
			jobs <- j
		}
	})
	for out := range line {
		if !ended.Load() && !yield(<-out) {
			ended.Store(true)
		}
	}
	wg.Wait()
}

func playOne(seed uint64, naive bool) *simResult {
	w, bad := play(seed, naive)
	for k := range w.counts.clients {
		for _, c := range w.clients {
			if c.kind == clientKind(k) {
				w.counts.clients[k]++
			}
		}
	}
	w.counts.sets = int(w.newest().Version - w.first.Version)
	return &simResult{seed, w.check.reveals, w.check.retired, w.counts, bad}
}

// TestMany plays seeds until enough was revealed, as many at a time as there are processors.
func TestMany(t *testing.T) {
	if *uidReveals == 0 {
		t.Skip("for example -run TestMany -v -timeout 0 -uid.reveals=10000000")
	}
	// A run keeps little and makes much: with the default most of the time would go into collecting it.
	defer debug.SetGCPercent(debug.SetGCPercent(1600))
	var total simTotals
	start, said := time.Now(), time.Now()
	playMany(*uidFirst, runtime.GOMAXPROCS(0), *uidNaive, func(r *simResult) bool {
		if r.bad != nil && total.bad() == 0 {
			report(t, r.seed, r.bad, *uidNaive)
		}
		total.add(r)
		if time.Since(said) > 30*time.Second {
			said = time.Now()
			t.Logf("%v, next seed %d, after %v", &total, r.seed+1, time.Since(start).Round(time.Second))
		}
		return (*uidAll || r.bad == nil) && total.reveals < *uidReveals && (*uidSeeds == 0 || total.seeds < *uidSeeds)
	})
	t.Logf("%v, in %v with %d processors\n%s", &total, time.Since(start).Round(time.Second), runtime.GOMAXPROCS(0), total.table())
}
