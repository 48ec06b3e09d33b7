package node

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
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

func BenchmarkUpdate(b *testing.B) {
	w := boot(b, 2)
	contents := strings.Repeat("m", 5<<10)
	var number atomic.Int64
	for _, m := range w.machines {
		b.Run(place(w, m), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(contents)))
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					i := number.Add(1)
					u, body := newObject(typeNote, fmt.Sprintf("owner-%d", i%1000), fmt.Sprint(i), contents, m.id)
					if err := w.machines[0].node.Update(context.Background(), u, body); err != nil {
						b.Errorf("Update = %v", err)
						return
					}
				}
			})
		})
	}
}

func place(w *world, m *machine) string {
	if m == w.machines[0] {
		return "local"
	}
	return "remote"
}
