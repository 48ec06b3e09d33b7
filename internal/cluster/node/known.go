package node

import (
	"slices"
	"time"

	"porcupine/internal/cluster"
)

// known tells the manager of the soft state which nodes exist: they decide what is conclusive. A
// node that was told of others, and has never met one, does not know how many there are.
func (l *loop) known() {
	struck := cluster.NewReplicaSet(l.members.Struck()...)
	l.n.stats.struck.Store(&struck)
	l.strike(struck)
	l.absent()
	l.watchRepairs()
	known := l.repairs.Counted(l.members.Known())
	l.n.stats.known.Store(&known)
	counted := known
	if l.met = l.met || len(known) > 1; !l.met {
		counted = append(slices.Clone(counted), cluster.Known{Sole: true}) // NoNode is never a member
	}
	l.n.soft.mu.Lock()
	l.n.soft.manager.SetKnown(counted)
	l.n.soft.mu.Unlock()
}

// absent notes which known nodes are not members, and since when.
func (l *loop) absent() {
	now := l.now()
	since := map[cluster.NodeID]time.Time{}
	for _, a := range l.members.Absent(now) {
		since[a.ID] = now.Add(-a.For)
	}
	l.n.stats.absent.Store(&since)
}

// strike takes the nodes that were removed for good out of what the log waits for.
func (l *loop) strike(struck cluster.ReplicaSet) {
	for _, id := range struck.Without(l.struck) {
		l.follow(l.log.Strike(id, l.now()))
	}
	l.struck = struck
}
