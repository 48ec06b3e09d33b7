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
// the same epoch AFTER the question was put (V1). An epoch never comes back, so none of them had
// gone on when it was put. Questions that come while a round is under way share the next one.
type confirmer struct {
	mu      sync.Mutex
	running bool
	next    *round // begins when the running one is over; nil: nobody waits
}

type round struct {
	done chan struct{}
	// Read after done.
	epoch cluster.Epoch // in which all members were
	err   error
}

// confirm gives an epoch in which all its members, this node among them, still were after the call
// began.
func (n *Node) confirm(ctx context.Context) (cluster.Epoch, error) {
	c := &n.confirmer
	c.mu.Lock()
	if c.next == nil {
		c.next = &round{done: make(chan struct{})}
	}
	mine := c.next
	if !c.running {
		c.running = n.async(n.confirmRounds)
	}
	running := c.running
	c.mu.Unlock()
	if !running {
		return cluster.Epoch{}, stopping("confirm")
	}
	select {
	case <-mine.done:
		return mine.epoch, mine.err
	case <-ctx.Done():
		return cluster.Epoch{}, cluster.Errorf(cluster.KindUnavailable, "confirm", "%w", context.Cause(ctx))
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
		r.epoch, r.err = n.confirmRound(ctx)
		close(r.done)
	}
}

func (n *Node) confirmRound(ctx context.Context) (cluster.Epoch, error) {
	ctx, cancel := context.WithTimeout(ctx, ConfirmTimeout)
	defer cancel()
	v := n.View()
	errs := fanOut(v.IDs(), func(id cluster.NodeID) error {
		if id == n.cfg.Self.ID {
			return nil
		}
		m, _ := v.Member(id)
		_, err := n.call(ctx, m, &transport.Request{Method: call.MethodConfirm})
		return err
	})
	err := firstOf(errs)
	if err == nil && n.View().Epoch != v.Epoch {
		err = cluster.Errorf(cluster.KindUnavailable, "confirm", "the view has changed")
	}
	return v.Epoch, err
}
