package balance

import (
	"math"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// FreshMax is how old a load may be and still count. Older ones decay to unknown, never to idle:
// a node that has not been heard of is not the one to prefer (Porcupine §4.5; own model: loads
// of 5 s cost a wide spread 40 % of its throughput).
const FreshMax = 3 * time.Second

// commitDefault stands for a commit time that a node does not know yet.
const commitDefault = 5 * time.Millisecond

// Known is a load as it was last heard.
type Known struct {
	Load cluster.Load
	At   time.Time // when this node heard it, by its own clock
}

// Table is what one node knows of the load of the nodes. One owner, no lock.
type Table struct {
	loads map[cluster.NodeID]Known
}

// NewTable makes an empty table.
func NewTable() *Table { return &Table{loads: make(map[cluster.NodeID]Known)} }

// Observe takes in a load heard now. An older observation never replaces a newer one.
func (t *Table) Observe(id cluster.NodeID, l cluster.Load, now time.Time) {
	if old, ok := t.loads[id]; ok && now.Before(old.At) {
		return
	}
	t.loads[id] = Known{Load: l, At: now}
}

// Get gives the load last heard of a node.
func (t *Table) Get(id cluster.NodeID) (Known, bool) {
	k, ok := t.loads[id]
	return k, ok
}

// Retain forgets the nodes that are not in ids (ascending), so that the table stays as small as
// the cluster.
func (t *Table) Retain(ids []cluster.NodeID) {
	for id := range t.loads {
		if _, ok := slices.BinarySearch(ids, id); !ok {
			delete(t.loads, id)
		}
	}
}

// closed reports whether the node said that it takes no new objects. That does not decay: a disk
// does not empty itself because the news is old.
func (t *Table) closed(id cluster.NodeID) bool {
	l := t.loads[id].Load
	return l.DiskFull || l.Draining
}

// wait estimates how long a new commit would wait at the node. A node whose load is not known
// counts like the median of those that are: see fill.
func (t *Table) wait(id cluster.NodeID, now time.Time) (time.Duration, bool) {
	k, ok := t.loads[id]
	if !ok || now.Sub(k.At) > FreshMax {
		return 0, false
	}
	commit := k.Load.Commit
	if commit <= 0 {
		commit = commitDefault
	}
	pending := max(k.Load.Pending, 0)
	if int64(pending) >= math.MaxInt64/int64(commit)-1 {
		return math.MaxInt64, true
	}
	return time.Duration(pending+1) * commit, true
}
