package node

import (
	"context"
	"sync"

	"porcupine/internal/cluster"
)

// post hands an event to the loop. It waits while the queue is full. The error says that the event
// was not taken: ctx ended, or the loop has.
//
// The loop itself never posts, and what it calls never waits for a post: else a full queue would
// stand still for ever. Facts that come with every call go by way of notices, which has no queue.
func (n *Node) post(ctx context.Context, f func(*loop)) error {
	select {
	case <-n.stopped: // else the choice between room in the queue and this would be a coin's
		return stopping("tell the loop")
	default:
	}
	select {
	case n.loop.events <- f:
		return nil
	case <-n.stopped:
		return stopping("tell the loop")
	case <-ctx.Done():
		return cluster.Errorf(cluster.KindUnavailable, "tell the loop", "%w", context.Cause(ctx))
	}
}

// answer is post for the goroutines that the loop itself has begun: the only way in which it can
// fail is that the loop has ended, and then nobody wants the answer.
func (n *Node) answer(f func(*loop)) { _ = n.post(context.Background(), f) }

// ask posts an event and waits until the loop has carried it out.
func (n *Node) ask(ctx context.Context, f func(*loop)) error {
	done := make(chan struct{})
	if err := n.post(ctx, func(l *loop) { f(l); close(done) }); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-n.stopped:
		return stopping("ask the loop")
	case <-ctx.Done():
		return cluster.Errorf(cluster.KindUnavailable, "ask the loop", "%w", context.Cause(ctx))
	}
}

func stopping(op string) error {
	return cluster.Errorf(cluster.KindUnavailable, op, "this node is stopping")
}

// ended reports whether the loop has ended.
func (n *Node) ended() bool {
	select {
	case <-n.stopped:
		return true
	default:
		return false
	}
}

// life is what Stop waits for: goroutines, none of which begin once it has begun to wait.
type life struct {
	mu    sync.Mutex
	ended bool
	work  sync.WaitGroup
}

// async runs f in a goroutine that Stop waits for, with a context that ends with the node. It
// gives false, and does not run f, when the node is stopping.
func (n *Node) async(f func(ctx context.Context)) bool {
	n.life.mu.Lock()
	defer n.life.mu.Unlock()
	if n.life.ended {
		return false
	}
	n.life.work.Go(func() { f(n.ctx) })
	return true
}

// end waits for all that async began.
func (l *life) end() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.work.Wait()
}

// notices are facts that come with every call and answer: a member that did not answer, one that
// speaks in a newer epoch, a Sole flag. When a node dies or a view changes they come by the
// thousand, all the same; so they are kept as sets, no larger than the cluster, and wake the loop
// once.
type notices struct {
	wake chan struct{} // one element: there is something

	mu       sync.Mutex
	suspects map[cluster.NodeID]bool
	soles    map[cluster.NodeID]bool // the flag as last heard
}

func (s *notices) init() {
	s.wake = make(chan struct{}, 1)
	s.suspects, s.soles = map[cluster.NodeID]bool{}, map[cluster.NodeID]bool{}
}

// suspect notes that a member should be pinged.
func (s *notices) suspect(id cluster.NodeID) {
	s.mu.Lock()
	s.suspects[id] = true
	s.mu.Unlock()
	s.ring()
}

// sole notes a node's Sole flag.
func (s *notices) sole(id cluster.NodeID, sole bool) {
	s.mu.Lock()
	s.soles[id] = sole
	s.mu.Unlock()
	s.ring()
}

func (s *notices) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take empties the sets.
func (s *notices) take() (suspects, soles map[cluster.NodeID]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	suspects, soles = s.suspects, s.soles
	s.suspects, s.soles = map[cluster.NodeID]bool{}, map[cluster.NodeID]bool{}
	return suspects, soles
}
