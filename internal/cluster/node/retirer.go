package node

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// Limits and times of retirements. They cost nothing when they are lost: the targets offer the update to
// each other once more, and everybody says that he has it.
const (
	// RetireDelay is how long a retirement waits for others that go the same way: in a cluster of N nodes a pair of them has
	// one of each N messages or so, and with a tenth of a second each went alone among 16 nodes and cost a third of
	// all processor time (porcupine eval cost). It is well below replication.TakeOverAfter.
	RetireDelay = time.Second
	// RetireSoon is how long one of a cached object waits: until it has come, its node may be the only one that has a user
	// (Load.Sole).
	RetireSoon = 100 * time.Millisecond
	// RetireTimeout bounds the call.
	RetireTimeout = 2 * time.Second
	// RetirementsWaitingMax bounds what waits for one node.
	RetirementsWaitingMax = 16 * call.RetirementsMax
)

// retirer collects the retirements for each node, this one included, so that a busy node calls
// another once a second or little more, and not once for each update.
type retirer struct {
	ring   func()                        // wakes the loop
	isSoon func(cluster.ObjectType) bool // its retirements wait for RetireSoon only

	mu    sync.Mutex
	peers map[cluster.NodeID]*retiring
}

// retiring is what waits for one node.
type retiring struct {
	items []cluster.Retirement
	at    time.Time // when they are due
	busy  bool      // a call is under way
}

// add tells nodes of a retirement, soon.
func (r *retirer) add(to []cluster.NodeID, item cluster.Retirement, now time.Time) {
	delay := RetireDelay
	if r.isSoon(item.ID.Type) {
		delay = RetireSoon
	}
	at := now.Add(delay)
	r.mu.Lock()
	wake := false
	for _, id := range to {
		p := r.peers[id]
		if p == nil {
			p = &retiring{}
			r.peers[id] = p
		}
		if len(p.items) >= RetirementsWaitingMax {
			continue
		}
		p.items = append(p.items, item)
		sooner := len(p.items) == 1 || at.Before(p.at)
		if sooner {
			p.at = at
		}
		wake = wake || sooner || len(p.items) == call.RetirementsMax
	}
	r.mu.Unlock()
	if wake {
		r.ring()
	}
}

// due gives a batch for each node that has one due. Until done, a node is given no other.
func (r *retirer) due(now time.Time) map[cluster.NodeID][]cluster.Retirement {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due map[cluster.NodeID][]cluster.Retirement
	for id, p := range r.peers {
		if p.busy || len(p.items) == 0 || len(p.items) < call.RetirementsMax && now.Before(p.at) {
			continue
		}
		if due == nil {
			due = map[cluster.NodeID][]cluster.Retirement{}
		}
		k := min(len(p.items), call.RetirementsMax)
		due[id] = p.items[:k:k]
		p.items, p.busy = p.items[k:], true
	}
	return due
}

// done says that a batch is on its way. A node that was not reached is given up, and what waits
// for it too.
func (r *retirer) done(id cluster.NodeID, err error) {
	r.mu.Lock()
	p := r.peers[id]
	p.busy = false
	more := err == nil && len(p.items) > 0
	if !more {
		delete(r.peers, id)
	}
	r.mu.Unlock()
	if more {
		r.ring()
	}
}

// deadline is when the next batch is due; zero: nothing waits.
func (r *retirer) deadline() (d time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		if !p.busy && len(p.items) > 0 && (d.IsZero() || p.at.Before(d)) {
			d = p.at
		}
	}
	return d
}

// retire sends what is due.
func (l *loop) retire(now time.Time) {
	n := l.n
	due := n.retirer.due(now)
	for _, id := range slices.Sorted(maps.Keys(due)) {
		items := due[id]
		if id == n.cfg.Self.ID {
			l.follow(l.log.Retired(items, now))
			n.retirer.done(id, nil)
			continue
		}
		n.async(func(ctx context.Context) { n.retirer.done(id, n.sendRetire(ctx, id, items)) })
	}
}

func (n *Node) sendRetire(ctx context.Context, id cluster.NodeID, items []cluster.Retirement) error {
	m, ok := n.View().Member(id)
	if !ok {
		return departed(call.MethodRetire, id)
	}
	ctx, cancel := context.WithTimeout(ctx, RetireTimeout)
	defer cancel()
	_, err := n.call(ctx, m, &transport.Request{Method: call.MethodRetire, Payload: (&call.RetireRequest{Retirements: items}).Marshal()})
	if err != nil {
		n.log.Debug("retirements not delivered; the log will", "peer", id, "items", len(items), "err", err)
	}
	return err
}
