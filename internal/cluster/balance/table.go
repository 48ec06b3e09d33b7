package balance

import (
	"math"
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// FreshMax is how old a load may be and still count. Older ones decay to unknown, never to idle:
// a node that has not been heard of is not the one to prefer (Porcupine §4.5; own model: loads
// of 5 s cost a wide spread 40 % of its throughput). Nor do they decay to better than they were: see
// remains.
//
// With news on calls and answers, as they are, half a second, three and ten differ by less than three per cent where all
// disks are alike. Where one of thirty is ten times slower and little is under way, one second loses 5 % against three,
// half a second 15 % (BenchmarkFresh, decision 0014).
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
	loads    map[cluster.NodeID]Known
	machines cluster.Machines // as last said; that does not decay, since nodes do not move while they run
	fresh    time.Duration    // FreshMax; the model in the tests tries others
}

// NewTable makes an empty table.
func NewTable() *Table {
	return &Table{loads: make(map[cluster.NodeID]Known), machines: cluster.Machines{}, fresh: FreshMax}
}

// Observe takes in a load heard now. An older observation never replaces a newer one.
func (t *Table) Observe(id cluster.NodeID, l cluster.Load, now time.Time) {
	if old, ok := t.loads[id]; ok && now.Before(old.At) {
		return
	}
	t.loads[id] = Known{Load: l, At: now}
	if l.Machine != cluster.NoMachine {
		t.machines[id] = l.Machine
	} else {
		delete(t.machines, id)
	}
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
			delete(t.machines, id)
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

// lately gives a node's load if it was heard of lately.
func (t *Table) lately(id cluster.NodeID, now time.Time) (cluster.Load, bool) {
	k, ok := t.loads[id]
	return k.Load, ok && now.Sub(k.At) <= t.fresh
}

// estimates gives one for each candidate. A commit time that a node does not know counts like the middle
// of those that the others know: a node that has just joined, or that has had nothing to do, is neither
// preferred nor shunned. A load that is not known counts like the middle of the known ones, too, unless
// worse remains of it.
func (t *Table) estimates(c []cluster.NodeID, now time.Time) []estimate {
	var commits, waits []time.Duration
	for _, id := range c {
		if l, ok := t.lately(id, now); ok && l.Commit > 0 {
			commits = append(commits, l.Commit)
		}
	}
	commit := middle(commits)
	list := make([]estimate, len(c))
	for i, id := range c {
		if l, ok := t.lately(id, now); ok {
			list[i] = estimateOf(l, commit)
			waits = append(waits, list[i].wait)
		}
	}
	for i, id := range c {
		if _, ok := t.lately(id, now); !ok {
			list[i] = estimate{wait: max(middle(waits), t.remains(id, now))}
		}
	}
	return list
}

// remains gives what is left of a load that was heard of too long ago to be known: the queue may have gone
// since, though no faster than its disk works, and a disk that was slow is slow still. 0 for a node never
// heard of, and for one that did not know its own speed.
//
// Without it, a single disk ten times slower than 29 others takes half of their throughput from them when news
// are 5 s old (BenchmarkModel): each time that the news are too old, every proxy tries it again.
func (t *Table) remains(id cluster.NodeID, now time.Time) time.Duration {
	k, ok := t.loads[id]
	if !ok || k.Load.Commit <= 0 {
		return 0
	}
	return max(k.Load.Commit, estimateOf(k.Load, 0).wait-now.Sub(k.At))
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
