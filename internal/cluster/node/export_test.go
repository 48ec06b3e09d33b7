package node

import (
	"slices"
	"testing"
	"time"
)

// Machines is the harness for tests of services, which see nothing of the node but what it exports.
type Machines struct{ w *world }

// BootMachines boots a cluster on which each node has a service. In a bubble.
func BootMachines(t testing.TB, count int, register func(*Node)) Machines {
	t.Helper()
	w := newWorld(t, count)
	w.register = register
	for _, m := range w.machines {
		m.start()
	}
	w.settle(w.machines...)
	return Machines{w}
}

// InBubble runs a test in fake time.
func InBubble(t *testing.T, f func(t *testing.T)) { t.Helper(); inBubble(t, f) }

// Pass lets fake time pass.
func Pass(d time.Duration) { pass(d) }

// Rounds is how often a test repeats itself.
func Rounds(n int) int { return rounds(n) }

// Bounce kills a machine, waits until the others have gone on without it, and starts it again.
func (m Machines) Bounce(i int) {
	m.w.Helper()
	others := slices.Delete(slices.Clone(m.w.machines), i, i+1)
	m.w.machines[i].kill()
	m.w.settle(others...)
	pass(time.Second)
	m.w.machines[i].start()
	m.w.settle(m.w.machines...)
}
