package daemon

import (
	"runtime"
	"sync/atomic"
	"testing"
)

func TestGarbageHasRoom(t *testing.T) {
	for _, test := range []struct {
		live uint64
		want int
	}{
		{0, garbagePercentMax},
		{1 << 20, garbagePercentMax},
		{8 << 20, 400},
		{16 << 20, 200},
		{25 << 20, 128},
		{garbageRoom, garbagePercent},
		{10 << 30, garbagePercent},
	} {
		if got := percentFor(test.live); got != test.want {
			t.Errorf("%d bytes alive: %d %%, want %d", test.live, got, test.want)
		}
	}
}

// After each collection the share follows what is alive; small changes are not worth a stop.
func TestGarbageFollowsTheHeap(t *testing.T) {
	var live atomic.Uint64
	shares := make(chan int, 16)
	g := &garbage{live: live.Load, set: func(p int) int {
		shares <- p
		return 0
	}}
	live.Store(16 << 20)
	g.begin()
	if p := <-shares; p != 200 {
		t.Errorf("first %d %%, want 200", p)
	}
	live.Store(17 << 20)
	g.adjust()
	for _, step := range []struct {
		live uint64
		want int
	}{{1 << 30, 100}, {8 << 20, 400}} {
		live.Store(step.live)
		runtime.GC()
		if p := <-shares; p != step.want {
			t.Errorf("after a collection with %d bytes alive %d %%, want %d", step.live, p, step.want)
		}
	}
	if err := g.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := <-shares; p != garbagePercent {
		t.Errorf("at the end %d %%, want %d", p, garbagePercent)
	}
	live.Store(1)
	g.adjust()
	if len(shares) != 0 {
		t.Errorf("set to %d %% after the end", <-shares)
	}
}
