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

// commitDefault stands for the commit time of all nodes if none knows its own.
const commitDefault = 5 * time.Millisecond

// alikeFactor is by how much commit times of one kind of disk differ from one moment to another. Less
// says nothing.
const alikeFactor = 4

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

// estimate is what a new commit at a node would meet.
type estimate struct {
	wait    time.Duration
	pending int // commits before it; 0 if the load is not known
}

// isAlike reports whether a node is as good a choice as the best one. Where no more is pending, a commit
// time that is a little longer does not count: else one node would take all mail of a quiet cluster,
// and only because its last commit was the quickest.
func (e estimate) isAlike(best estimate) bool {
	return e.wait <= best.wait || e.pending <= best.pending && e.wait/alikeFactor <= best.wait
}

// fresh gives a node's load if it was heard of lately.
func (t *Table) fresh(id cluster.NodeID, now time.Time) (cluster.Load, bool) {
	k, ok := t.loads[id]
	return k.Load, ok && now.Sub(k.At) <= FreshMax
}

// estimates gives one for each candidate. A commit time that a node does not know counts like the middle
// of those that the others know: a node that has just joined, or that has had nothing to do, is neither
// preferred nor shunned. A load that is not known counts like the middle of the known ones, too.
func (t *Table) estimates(c []cluster.NodeID, now time.Time) []estimate {
	var commits, waits []time.Duration
	for _, id := range c {
		if l, ok := t.fresh(id, now); ok && l.Commit > 0 {
			commits = append(commits, l.Commit)
		}
	}
	commit := middle(commits)
	list := make([]estimate, len(c))
	for i, id := range c {
		if l, ok := t.fresh(id, now); ok {
			list[i] = estimateOf(l, commit)
			waits = append(waits, list[i].wait)
		}
	}
	for i, id := range c {
		if _, ok := t.fresh(id, now); !ok {
			list[i] = estimate{wait: middle(waits)}
		}
	}
	return list
}

// estimateOf gives what a new commit would meet at a node with that load.
func estimateOf(l cluster.Load, unknown time.Duration) estimate {
	commit := l.Commit
	if commit <= 0 {
		commit = unknown
	}
	e := estimate{wait: math.MaxInt64, pending: max(l.Pending, 0)}
	if int64(e.pending) < math.MaxInt64/int64(commit)-1 {
		e.wait = time.Duration(e.pending+1) * commit
	}
	return e
}

// middle gives the middle one, or commitDefault if there is none.
func middle(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return commitDefault
	}
	slices.Sort(list)
	return list[len(list)/2]
}
