package upkeep

import (
	"context"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/placement"
)

// drainMeta is the name of the stored value that says that the node drains.
const drainMeta = "upkeep.draining"

// emptyPasses is how many passes in a row must have found the node empty before it leaves: an object
// that was under way to it when it began to drain may still arrive.
const emptyPasses = 2

// emptyRest is how long a process must have run before it leaves because it is empty: time enough to
// say 'porcupine node drain --cancel' to a node that was drained and is started again.
const emptyRest = time.Minute

// drainState is guarded by Upkeep.mu.
type drainState struct {
	done bool
	held placement.Held // as of the last pass
}

// loadDraining takes up a drain that an earlier process began.
func (u *Upkeep) loadDraining() error {
	value, err := u.disk.Meta(drainMeta)
	if cluster.IsKind(err, cluster.KindNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if string(value) == "1" {
		u.draining.Store(true)
		u.node.SetDraining(true)
	}
	return nil
}

// Drain has this node take no new objects and move off what it has, or ends that. It is durable, and
// outlives the process. Config.OnDrained is called when nothing is left.
func (u *Upkeep) Drain(ctx context.Context, on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	if err := u.disk.PutMeta(ctx, drainMeta, []byte(value)); err != nil {
		return err
	}
	u.draining.Store(on)
	u.node.SetDraining(on)
	u.log.Info("draining of this node", "on", on)
	u.poke()
	return nil
}

// hold remembers what the last pass could not let go.
func (u *Upkeep) hold(h placement.Held) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.drained.held = h
}

// seeToDrain ends a drain when nothing is left: no object, no tombstone, and no update record that
// this node alone may remember.
func (p *pass) seeToDrain(left int64) {
	u := p.u
	if !u.draining.Load() {
		p.empty = 0
		u.mu.Lock()
		u.drained.done = false
		u.mu.Unlock()
		return
	}
	if left > 0 || u.cfg.Now().Before(u.began.Add(emptyRest)) || u.node.Records() > 0 || len(u.node.View().Members) < 2 {
		p.empty = 0
		return
	}
	if p.empty++; p.empty < emptyPasses {
		return
	}
	u.mu.Lock()
	first := !u.drained.done
	u.drained.done = true
	u.mu.Unlock()
	if first {
		u.log.Info("this node is drained: nothing is left on it, and it leaves the cluster")
		u.cfg.OnDrained()
	}
}
