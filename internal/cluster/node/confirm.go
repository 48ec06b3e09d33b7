package node

import (
	"context"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
)

// ConfirmTimeout bounds the wait for the members' word that they are still in this epoch.
const ConfirmTimeout = time.Second

// confirmer makes sure that this node's epoch is still everybody's. A node that was stopped for a
// while, or has just been cut off, does not know yet that the others went on without it; so before
// it lets anyone say for good that something does not exist, every member must have answered in
// the same epoch AFTER the question was put (V1). Questions that come while a round is under way
// share the next one.
type confirmer struct {
	mu      sync.Mutex
	running bool
	next    *round // begins when the running one is over; nil: nobody waits
}

type round struct {
	done chan struct{}
	err  error // read after done
}

// confirm is nil if all other members answered in this node's epoch after the call began.
func (n *Node) confirm(ctx context.Context) error {
	c := &n.confirmer
	c.mu.Lock()
	if c.next == nil {
		c.next = &round{done: make(chan struct{})}
	}
	mine := c.next
	if !c.running {
		c.running = n.async(n.loop.ctx, n.confirmRounds)
	}
	running := c.running
	c.mu.Unlock()
	if !running {
		return cluster.Errorf(cluster.KindUnavailable, "confirm", "this node is stopping")
	}
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// confirmRounds runs rounds while somebody waits for one.
func (n *Node) confirmRounds(ctx context.Context) {
	c := &n.confirmer
	for {
		c.mu.Lock()
		r := c.next
		c.next = nil
		if r == nil {
			c.running = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		r.err = n.confirmRound(ctx)
		close(r.done)
	}
}

func (n *Node) confirmRound(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ConfirmTimeout)
	defer cancel()
	v := n.View()
	err := fanOut(v.IDs(), func(id cluster.NodeID) error {
		if id == n.cfg.Self.ID {
			return nil
		}
		m, _ := v.Member(id)
		_, err := n.call(ctx, m, &transport.Request{Method: call.MethodConfirm})
		return err
	})
	if err == nil && n.View().Epoch != v.Epoch {
		err = cluster.Errorf(cluster.KindUnavailable, "confirm", "the view has changed")
	}
	return err
}

// lookupProven is a lookup at the manager. An entry that would prove that a cached object does not
// exist is confirmed first; if that fails it proves nothing for good.
func (n *Node) lookupProven(ctx context.Context, owner string) (cluster.Entry, error) {
	e, err := n.lookupHere(owner)
	if err != nil || e.Knowledge != cluster.Conclusive || exists(&e) {
		return e, err
	}
	if err := n.confirm(ctx); err != nil {
		n.log.Debug("not confirmed", "owner", owner, "err", err)
		e.Knowledge = cluster.Complete
		return e, nil
	}
	// Asked again: what was written before the confirmation was told before it.
	again, err := n.lookupHere(owner)
	again.Knowledge = min(again.Knowledge, e.Knowledge)
	return again, err
}

// exists reports whether the entry has a cached object that is no tombstone.
func exists(e *cluster.Entry) bool {
	for i := range e.Cached {
		if !e.Cached[i].Object.Deleted {
			return true
		}
	}
	return false
}
