package daemon

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"sync"
)

const (
	// garbageRoom is how many bytes of garbage may gather before they are collected, if less than that is alive.
	// The runtime collects when there is as much garbage as living memory, and that is little in a node with few users: 15 MiB,
	// so it collects after each 150 messages. With this room it is after each 300. With twice the room a flood of wrong passwords, 19 MiB
	// each, takes more than the 200 MiB that it may (TestAttack12_ParallelLogins).
	garbageRoom = 32 << 20
	// garbagePercent is the runtime's own share of garbage, in percent of what is alive. There is never less room.
	garbagePercent = 100
	// garbagePercentMax is the share while next to nothing is alive: what comes alive before the next collection counts, too.
	garbagePercentMax = 400
)

// garbage has the runtime collect less often while the heap is small. It looks again after each collection, so what is
// alive may grow as fast as it will: a node needs about garbageRoom of memory more than without it, and more only while the stacks of
// many goroutines, which the runtime counts as alive, are large beside its heap. GOGC, if
// it is set, and GOMEMLIMIT stand above it.
type garbage struct {
	mu    sync.Mutex
	live  func() uint64 // bytes that the last collection left
	set   func(percent int) (before int)
	now   int // percent
	ended bool
}

// cycle is what one collection finds dead.
type cycle struct{ _ *cycle }

// begin looks after each collection from now on, until end.
func (g *garbage) begin() {
	g.adjust()
	runtime.AddCleanup(new(cycle), func(g *garbage) {
		if !g.isOver() {
			g.begin()
		}
	}, g)
}

func (g *garbage) isOver() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// adjust sets the share, if it has changed by more than an eighth: each change stops all goroutines for a moment.
func (g *garbage) adjust() {
	g.mu.Lock()
	defer g.mu.Unlock()
	want := percentFor(g.live())
	if off := want - g.now; !g.ended && (8*off > g.now || 8*-off > g.now) {
		g.set(want)
		g.now = want
	}
}

// end sets the runtime's default again.
func (g *garbage) end(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.ended {
		g.ended = true
		g.set(garbagePercent)
	}
	return nil
}

// percentFor gives the share of garbage that makes garbageRoom of it.
func percentFor(live uint64) int {
	const full = uint64(garbageRoom) * 100
	return int(min(garbagePercentMax, max(garbagePercent, full/max(live, 1))))
}

// collectLess begins to look after the garbage collector, unless its share is set from outside.
func (d *daemon) collectLess() error {
	if os.Getenv("GOGC") != "" {
		return nil
	}
	sample := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}}
	g := &garbage{set: debug.SetGCPercent, live: func() uint64 {
		runtimemetrics.Read(sample)
		return sample[0].Value.Uint64()
	}}
	d.atEnd("garbage collector", g.end)
	g.begin()
	return nil
}
