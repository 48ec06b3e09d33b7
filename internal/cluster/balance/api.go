package balance

import (
	"math/rand/v2"
	"time"

	"porcupine/internal/cluster"
)

// Known is a load as it was last heard.
type Known struct {
	Load cluster.Load
	At   time.Time // when it was heard, by this node's clock
}

// Table is what one node knows of the load of the nodes. Not safe for concurrent use; the zero
// value is not ready, use NewTable.
type Table struct {
	loads map[cluster.NodeID]Known
}

// NewTable makes an empty table.
func NewTable() *Table { return &Table{loads: make(map[cluster.NodeID]Known)} }

// Observe takes in a load heard now. An older observation never replaces a newer one.
func (t *Table) Observe(id cluster.NodeID, l cluster.Load, now time.Time) {}

// Get gives the load last heard of a node.
func (t *Table) Get(id cluster.NodeID) (Known, bool) { k, ok := t.loads[id]; return k, ok }

// Retain forgets the nodes that are not in ids (ascending), so that the table stays as small as the cluster.
func (t *Table) Retain(ids []cluster.NodeID) {}

// Request describes one choice.
type Request struct {
	Holders []cluster.NodeID // nodes that hold objects of the owner: the entry's mail map
	Members []cluster.NodeID // live members of the view, ascending
	Exclude []cluster.NodeID // nodes that failed at this object before
	Spread  int              // soft limit on the nodes per owner; 0: SpreadDefault
	Copies  int              // nodes wanted; 0: 1
}

// SpreadDefault is right for uniform clusters; about 4 is for mixed ones (Porcupine §6.3).
const SpreadDefault = 2

// Choose picks the nodes for one object, the best first. It gives fewer than Copies when fewer
// can take it, and none when no member can.
func Choose(q Request, t *Table, now time.Time, rng *rand.Rand) []cluster.NodeID { return nil }
