package node

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/cluster/wire/call"
)

// senses is what the node takes in from every stamp it sees: the others' clocks and loads.
type senses struct {
	mu    sync.Mutex
	clock *cluster.Clock
	loads *balance.Table
	sole  map[cluster.NodeID]bool // as last heard
	rng   *rand.Rand
}

func (s *senses) now(wall time.Time) cluster.Timestamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.Now(wall)
}

// take observes a stamp. soleChanged says that the sender's Sole flag is news; the error is a
// *cluster.SkewError.
func (s *senses) take(st cluster.Stamp, wall time.Time) (soleChanged bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads.Observe(st.From, st.Load, wall)
	before, heard := s.sole[st.From]
	if !heard || before != st.Load.Sole {
		s.sole[st.From] = st.Load.Sole
		soleChanged = true
	}
	return soleChanged, s.clock.Observe(st.Clock, wall)
}

func (s *senses) choose(q balance.Request, wall time.Time) []cluster.NodeID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return balance.Choose(q, s.loads, wall, s.rng)
}

// Pending gives the durable commits that a node has to do, as last heard; 0 if nothing was.
func (n *Node) Pending(id cluster.NodeID) int {
	n.senses.mu.Lock()
	defer n.senses.mu.Unlock()
	known, _ := n.senses.loads.Get(id)
	return known.Load.Pending
}

// Stamp gives what travels on every call and answer of this node.
func (n *Node) Stamp() cluster.Stamp {
	return cluster.Stamp{
		From:  n.cfg.Self.ID,
		Epoch: n.View().Epoch,
		Clock: n.senses.now(n.cfg.Now()),
		Load:  n.load(),
	}
}

func (n *Node) load() cluster.Load {
	l := n.cfg.Store.Load()
	l.Owners = n.owners.Load()
	l.Draining = n.draining.Load()
	return l
}

// unfenced are the methods that work across epochs: membership itself, and looking.
var unfenced = map[string]bool{call.MethodMembership: true, call.MethodStatus: true}

// Admit sees the stamp of every request. It refuses one from another epoch before it is executed
// (M4): KindStale tells the caller to catch up, KindBehind that this node must.
func (n *Node) Admit(_ context.Context, s cluster.Stamp, method string) error {
	n.Observe(s)
	if unfenced[method] {
		return nil
	}
	mine := n.View().Epoch
	switch c := s.Epoch.Compare(mine); {
	case c < 0:
		n.stats.fenced.Add(1)
		return cluster.Errorf(cluster.KindStale, method, "epoch %v is over, this node is in %v", s.Epoch, mine)
	case c > 0:
		n.stats.fenced.Add(1)
		return cluster.Errorf(cluster.KindBehind, method, "this node is still in epoch %v, not in %v", mine, s.Epoch)
	}
	return nil
}

// Observe takes in a stamp that came with an answer, or before a request.
func (n *Node) Observe(s cluster.Stamp) {
	if s.From == cluster.NoNode || s.From == n.cfg.Self.ID {
		return
	}
	soleChanged, err := n.senses.take(s, n.cfg.Now())
	if err != nil {
		n.stats.skewed.Add(1)
		n.log.Error("clock skew between nodes", "peer", s.From, "err", err)
	}
	if soleChanged {
		n.post(func(l *loop) { l.heardSole(s.From, s.Load.Sole) })
	}
	if n.View().Epoch.Less(s.Epoch) {
		n.post(func(l *loop) { l.behind(s.From) })
	}
}

// retain forgets the loads of nodes that are not members.
func (s *senses) retain(v *cluster.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads.Retain(v.IDs())
}
