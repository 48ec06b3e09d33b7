package testbed

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/eval/simdisk"
)

// benchNodes is the size of the papers' cluster.
const benchNodes = 30

// processor gives what the process has had of the processors so far.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// openBench makes a cluster of thirty nodes with disks as slow as those of the experiments.
func openBench(b *testing.B) *Bed {
	bed, err := Open(b.Context(), Config{Nodes: benchNodes, Dir: b.TempDir(), Unit: 216 * time.Millisecond, Costs: simdisk.Costs{Object: 1, Record: 0.5}})
	if err != nil {
		b.Fatal(err)
	}
	return bed
}

func closeBench(b *testing.B, bed *Bed) {
	if err := bed.Close(); err != nil {
		b.Fatal(err)
	}
}

// seconds lets b.N seconds pass and gives what they cost: give -benchtime 20x.
func seconds(b *testing.B) time.Duration {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	before := processor(b)
	for b.Loop() {
		<-second.C
	}
	return processor(b) - before
}

// BenchmarkBoot makes a cluster: what joining, changes of view and the first look at the store cost.
func BenchmarkBoot(b *testing.B) {
	for b.Loop() {
		before := processor(b)
		bed := openBench(b)
		b.ReportMetric((processor(b) - before).Seconds(), "cpu-s/boot")
		closeBench(b, bed)
	}
}

// BenchmarkIdle tells what a node costs that has nothing to do.
func BenchmarkIdle(b *testing.B) {
	bed := openBench(b)
	defer closeBench(b, bed)
	cost := seconds(b)
	b.ReportMetric(cost.Seconds()*1e3/benchNodes/float64(b.N), "cpu-ms/node-s")
}

// ages is the nodes' own policy, and notes how old the news are that it chooses by.
type ages struct {
	mu    sync.Mutex
	known []time.Duration // of other nodes
}

func (a *ages) Choose(q balance.Request, t *balance.Table, now time.Time, rng *rand.Rand) []cluster.NodeID {
	a.mu.Lock()
	for _, id := range q.Members {
		if k, ok := t.Get(id); ok && k.At.Before(now) { // its own is of now
			a.known = append(a.known, now.Sub(k.At))
		}
	}
	a.mu.Unlock()
	return balance.Choose(q, t, now, rng)
}

// quantile gives the age that so many of the news are not older than.
func (a *ages) quantile(q float64) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) == 0 {
		return 0
	}
	slices.Sort(a.known)
	return a.known[int(q*float64(len(a.known)-1))]
}

// startBench loads a cluster as the experiments do, and returns when its queues are filled.
func startBench(b *testing.B, bed *Bed, copies int) *Running {
	users, err := bed.AddUsers(b.Context(), 20*benchNodes, copies, cluster.BucketCount)
	if err != nil {
		b.Fatal(err)
	}
	r := bed.Start(Load{Users: users, Clients: 6 * benchNodes})
	if err := wait(b.Context(), 5*time.Second); err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkLoad tells what a message costs on all nodes together when the disks are the limit, and how old the
// news of the load are that a proxy chooses by.
func BenchmarkLoad(b *testing.B) {
	for _, copies := range []int{1, 2} {
		b.Run(fmt.Sprint(copies), func(b *testing.B) {
			bed := openBench(b)
			defer closeBench(b, bed)
			r := startBench(b, bed, copies)
			defer r.Stop()
			a := &ages{}
			bed.SetPolicy(a)
			before := r.Counts()
			cost := seconds(b)
			after := r.Counts()
			b.ReportMetric(float64(after.Delivered-before.Delivered)/float64(b.N), "messages/s")
			b.ReportMetric(float64(a.quantile(0.5).Milliseconds()), "ms-age-p50")
			b.ReportMetric(float64(a.quantile(0.9).Milliseconds()), "ms-age-p90")
			b.ReportMetric(cost.Seconds()*1e3/float64(max(after.Delivered-before.Delivered, 1)), "cpu-ms/message")
		})
	}
}

// BenchmarkDeaths has six of the nodes die under load, and come back.
func BenchmarkDeaths(b *testing.B) {
	bed := openBench(b)
	defer closeBench(b, bed)
	r := startBench(b, bed, 2)
	defer r.Stop()
	// step carries out one half and tells what it cost until the nodes had settled.
	step := func(what string, do func(n *Node) error) {
		began, before := time.Now(), processor(b)
		for i := range benchNodes / 5 {
			if err := do(bed.Nodes[1+5*i]); err != nil {
				b.Fatal(err)
			}
		}
		if err := bed.Settle(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((processor(b) - before).Seconds(), "cpu-s/"+what)
		b.ReportMetric(time.Since(began).Seconds(), "s/"+what)
	}
	for b.Loop() {
		step("deaths", (*Node).Kill)
		step("returns", func(n *Node) error { return n.Restart(b.Context()) })
	}
}
