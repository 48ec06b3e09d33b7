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

// skewLogPeriod is how often the skewed clock of one node is reported.
const skewLogPeriod = time.Minute

// senses is what the node takes in from every stamp it sees: the others' clocks and loads. All
// maps are pruned to the members of each view.
type senses struct {
	mu    sync.Mutex // never held across I/O
	clock *cluster.Clock
	peers *cluster.Clocks
	loads *balance.Table
	sole  map[cluster.NodeID]bool      // as last heard
	skews map[cluster.NodeID]time.Time // when a clock too far ahead was last reported
	ahead time.Time                    // when this node's own was
	rng   *rand.Rand

	policy balance.Policy
}

// read gives the clock's reading for a stamp of a call.
func (s *senses) read(wall time.Time) cluster.Timestamp {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.Read(wall)
}

// next gives the timestamp of an update; a *cluster.AheadError, and the clock was not moved, if the others'
// clocks are too far behind.
func (s *senses) next(wall time.Time) (cluster.Timestamp, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.peers.Check(s.clock.Read(wall), wall); err != nil {
		return cluster.Timestamp{}, err
	}
	return s.clock.Now(wall), nil
}

// mayGive says what next would, and moves nothing.
func (s *senses) mayGive(wall time.Time) (cluster.Timestamp, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.clock.Read(wall)
	return t, s.peers.Check(t, wall)
}

// believe gives the wall time, or that of the others where the wall is wrong.
func (s *senses) believe(wall time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peers.Believe(wall)
}

// heard is what a stamp told.
type heard struct {
	soleChanged bool  // the sender's Sole flag is news
	skew        error // a *cluster.SkewError: the clock was not moved
	report      bool  // and it is time to say so
	ahead       error // a *cluster.AheadError: this node's own clock is wrong
	reportAhead bool
}

// take observes a stamp.
func (s *senses) take(st cluster.Stamp, wall time.Time) (h heard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads.Observe(st.From, st.Load, wall)
	before, known := s.sole[st.From]
	if h.soleChanged = !known || before != st.Load.Sole; h.soleChanged {
		s.sole[st.From] = st.Load.Sole
	}
	s.peers.Heard(st.From, st.Clock, wall)
	if h.ahead = s.peers.Check(s.clock.Read(wall), wall); h.ahead != nil && isDue(s.ahead, wall) {
		s.ahead, h.reportAhead = wall, true
	}
	if h.skew = s.clock.Observe(st.Clock, s.peers.Believe(wall)); h.skew != nil && isDue(s.skews[st.From], wall) {
		s.skews[st.From], h.report = wall, true
	}
	return h
}

// isDue reports whether it is time to say again what was last said then. A clock that was set back is no reason
// to be silent.
func isDue(last, wall time.Time) bool {
	since := wall.Sub(last)
	return since >= skewLogPeriod || since < 0
}

// observe moves the clock past the timestamp of an update.
func (s *senses) observe(t cluster.Timestamp, wall time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.Observe(t, s.peers.Believe(wall))
}

// choose picks nodes; own is this node's load now.
func (s *senses) choose(q balance.Request, self cluster.NodeID, own cluster.Load, wall time.Time) []cluster.NodeID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads.Observe(self, own, wall)
	return s.policy.Choose(q, s.loads, wall, s.rng)
}

// retain forgets the nodes that are not members.
func (s *senses) retain(v *cluster.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads.Retain(v.IDs())
	s.peers.Retain(v.IDs())
	for id := range s.sole {
		if !v.Contains(id) {
			delete(s.sole, id)
		}
	}
	for id := range s.skews {
		if !v.Contains(id) {
			delete(s.skews, id)
		}
	}
}

// Pending gives the durable commits that a node has to do, as last heard; 0 if nothing was.
func (n *Node) Pending(id cluster.NodeID) int {
	n.senses.mu.Lock()
	defer n.senses.mu.Unlock()
	known, _ := n.senses.loads.Get(id)
	return known.Load.Pending
}

// Loads gives the loads of the members as last heard, and this node's own.
func (n *Node) Loads() map[cluster.NodeID]cluster.Load {
	loads := map[cluster.NodeID]cluster.Load{n.cfg.Self.ID: n.load()}
	v := n.View()
	n.senses.mu.Lock()
	defer n.senses.mu.Unlock()
	for _, m := range v.Members {
		if known, ok := n.senses.loads.Get(m.ID); ok && m.ID != n.cfg.Self.ID {
			loads[m.ID] = known.Load
		}
	}
	return loads
}

// Stamp gives what travels on every call and answer of this node.
func (n *Node) Stamp() cluster.Stamp {
	return cluster.Stamp{
		From:  n.cfg.Self.ID,
		Epoch: n.View().Epoch,
		Clock: n.senses.read(n.cfg.Now()),
		Load:  n.load(),
	}
}

func (n *Node) load() cluster.Load {
	l := n.cfg.Store.Load()
	l.Owners = n.owners.Load()
	l.Machine = n.on
	l.Draining = n.draining.Load() || n.stopping.Load() || n.isOut()
	return l
}

// isUnfenced reports the methods that work across epochs: membership itself, and looking.
func isUnfenced(method string) bool {
	return method == call.MethodMembership || method == call.MethodStatus
}

// Admit sees the stamp of every request. It refuses one from another epoch before it is executed
// (M4): KindStale tells the caller to catch up, KindBehind that this node must.
func (n *Node) Admit(_ context.Context, s cluster.Stamp, method string) error {
	if n.failed.Load() {
		return cluster.Errorf(cluster.KindUnavailable, method, "this node has failed and must be started again")
	}
	// Not KindUnavailable: who asked should ask again in the next view, which will be without this node.
	if err := n.takesPart(method, cluster.KindBehind); err != nil {
		return err
	}
	n.Observe(s)
	if isUnfenced(method) {
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
	return n.refuseLate(&s, method)
}

// Observe takes in a stamp that came with an answer, or before a request. It waits for nothing.
func (n *Node) Observe(s cluster.Stamp) {
	if s.From == cluster.NoNode || s.From == n.cfg.Self.ID {
		return
	}
	h := n.senses.take(s, n.cfg.Now())
	if h.skew != nil {
		n.stats.skewed.Add(1)
	}
	if h.ahead != nil {
		n.stats.skewed.Add(1)
	}
	if h.reportAhead {
		n.log.Error("this node's clock is wrong", "err", h.ahead)
	}
	if h.report {
		n.log.Error("clock skew between nodes", "peer", s.From, "err", h.skew)
	}
	if h.soleChanged {
		n.notices.sole(s.From, s.Load.Sole)
	}
	if n.View().Epoch.Less(s.Epoch) {
		// The core pings it, if it is a member, and learns which of the two lags behind.
		n.notices.suspect(s.From)
	}
}
