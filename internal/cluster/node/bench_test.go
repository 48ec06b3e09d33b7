package node

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/call"
)

// Nothing of a node outlives it, in real time too: not after a kill, not after a stop.
func TestNoGoroutineIsLeft(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := boot(t, 2)
	w.machines[0].put(typeNote, "o", "x", "contents", w.machines[1].id)
	if e := w.machines[0].lookup("nobody"); e.Owner != "nobody" {
		t.Errorf("Lookup = %+v", e)
	}
	w.machines[1].kill()
	if err := w.machines[0].stop(); err != nil {
		t.Error(err)
	}
}

// The two nodes of a benchmark stand on disks in memory and on the switch: what is measured is the
// node and its store, without the wire and without fsync.

func BenchmarkLookup(b *testing.B) {
	w := boot(b, 2)
	for _, m := range w.machines {
		b.Run(place(w, m), func(b *testing.B) {
			owner := m.managed(1)[0]
			m.put(typeCard, owner, "", strings.Repeat("c", 500), m.id)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if e, err := w.machines[0].node.Lookup(context.Background(), owner); err != nil || len(e.Cached) != 1 {
						b.Errorf("Lookup = %+v, %v", e, err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkLookupAbsent pays for the confirmation that nobody has gone on without the manager.
func BenchmarkLookupAbsent(b *testing.B) {
	w := boot(b, 2)
	for _, m := range w.machines {
		b.Run(place(w, m), func(b *testing.B) {
			owner := m.managed(1)[0]
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := w.machines[0].node.Lookup(context.Background(), owner); err != nil {
						b.Errorf("Lookup = %v", err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkUpdate stores messages by way of one node of three: R = 1 and R = 2, with this node among the
// replicas and without. calls/op are all calls of the cluster, retirements and reports included.
func BenchmarkUpdate(b *testing.B) {
	w := boot(b, 3)
	for _, c := range []struct {
		name string
		on   []int
	}{{"R1/local", []int{0}}, {"R1/remote", []int{1}}, {"R2/local", []int{0, 1}}, {"R2/remote", []int{1, 2}}} {
		var on []cluster.NodeID
		for _, i := range c.on {
			on = append(on, w.machines[i].id)
		}
		b.Run(c.name, func(b *testing.B) { benchmarkUpdate(b, w, on) })
	}
}

func benchmarkUpdate(b *testing.B, w *world, on []cluster.NodeID) {
	contents := strings.Repeat("m", 5<<10)
	var number, calls atomic.Int64
	for _, m := range w.machines {
		m.failCalls(func(method string, _ cluster.NodeID) error {
			if method != call.MethodMembership {
				calls.Add(1)
			}
			return nil
		})
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(contents)))
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := number.Add(1)
			u, body := newObject(typeNote, fmt.Sprintf("owner-%d", i%100), fmt.Sprintf("%s-%d-%d", b.Name(), b.N, i), contents, on...)
			if err := w.machines[0].node.Update(context.Background(), u, body); err != nil {
				b.Errorf("Update = %v", err)
				return
			}
		}
	})
	b.StopTimer()
	w.awaitQuiet(w.machines...)
	b.ReportMetric(float64(calls.Load())/float64(b.N), "calls/op")
}

func place(w *world, m *machine) string {
	if m == w.machines[0] {
		return "local"
	}
	return "remote"
}

// BenchmarkDrain brings a node that was away the updates that it missed: 1 KiB each, the time for one.
func BenchmarkDrain(b *testing.B) {
	w := boot(b, 2)
	from, to := w.machines[0], w.machines[1]
	to.kill()
	w.settle(from)
	contents := strings.Repeat("m", 1<<10)
	var number atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			i := number.Add(1)
			if err := from.tryPut(typeNote, fmt.Sprintf("owner-%d", i%1000), fmt.Sprint(i), contents, from.id, to.id); err == nil {
				b.Error("no shortfall while a target is away")
				return
			}
		}
	})
	to.start()
	w.settle(from, to)
	begun := from.node.Records()
	b.ResetTimer()
	w.awaitQuiet(from, to)
	b.ReportMetric(float64(begun), "records")
}
