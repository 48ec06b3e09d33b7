package cluster

import (
	"cmp"
	"fmt"
)

// Epoch identifies one installed membership (Porcupine §4.2). Counter is the Lamport clock of
// the coordinator that proposed it; Coordinator makes ids unique. Epochs are totally ordered,
// and a node's epoch never decreases, across restarts too (invariant M2).
type Epoch struct {
	Counter     uint64
	Coordinator NodeID
}

// Compare orders epochs by counter, then by coordinator.
func (e Epoch) Compare(o Epoch) int {
	if c := cmp.Compare(e.Counter, o.Counter); c != 0 {
		return c
	}
	return cmp.Compare(e.Coordinator, o.Coordinator)
}

// Less reports whether e is older than o.
func (e Epoch) Less(o Epoch) bool { return e.Compare(o) < 0 }

// IsZero reports whether e is the epoch before all others.
func (e Epoch) IsZero() bool { return e == Epoch{} }

// String gives "counter.coordinator", for example "12.00c0ffee00c0ffee".
func (e Epoch) String() string { return fmt.Sprintf("%d.%s", e.Counter, e.Coordinator) }
