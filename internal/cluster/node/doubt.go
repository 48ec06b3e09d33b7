package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/call"
)

// Limits of what is in doubt.
const (
	// DoubtsMax bounds the updates in doubt. Of what exceeds it the log hears when the node is
	// started again.
	DoubtsMax = 1 << 14
	// DoubtRetry is the pause before a disk that did not answer is asked again.
	DoubtRetry = time.Second
)

// doubts are updates whose caller has gone before the disk had answered: they may be committed, with
// a record of which the log has not heard. The store takes what it is given in order; so it is
// asked again, with the headers alone, and what it then says is so.
type doubts struct {
	mu      sync.Mutex
	updates []cluster.Update
	running bool
}

// doubt notes updates that ended in err, if that leaves the outcome open.
func (n *Node) doubt(err error, updates ...cluster.Update) {
	if !cluster.IsKind(err, cluster.KindUnavailable) {
		return
	}
	d := &n.doubts
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range updates {
		switch {
		case len(updates[i].Targets()) < 2 && !n.wants(updates[i].Object.ID): // no record was written
		case len(d.updates) >= DoubtsMax:
			n.stats.doubtsLost.Add(1)
		default:
			d.updates = append(d.updates, updates[i])
		}
	}
	if len(d.updates) > 0 && !d.running {
		d.running = n.async(n.settleDoubts)
	}
}

// settleDoubts asks until nothing is in doubt. What the store does not answer, for whatever reason, is
// in doubt still.
func (n *Node) settleDoubts(ctx context.Context) {
	for ctx.Err() == nil {
		batch := n.doubts.take()
		if len(batch) == 0 {
			return
		}
		results, err := n.cfg.Store.Accept(ctx, batch) // not accept: whether it may be taken in is not the question
		if err != nil {
			n.doubts.giveBack(batch)
			if !n.isOut() { // of that the log has heard
				n.log.Warn("the disk does not say whether updates are stored; asking again", "updates", len(batch), "owner", batch[0].Object.ID.Owner, "err", err)
			}
			rest(ctx, DoubtRetry)
			continue
		}
		for i := range results {
			n.tellDoubtful(&batch[i], &results[i])
		}
		if err := n.mention(ctx, n.accepted(batch, results)); err != nil {
			n.log.Warn("updates are settled, a manager has not heard of them", "updates", len(batch), "owner", batch[0].Object.ID.Owner, "err", err)
		}
	}
}

// take gives the next batch; without one the settling is over.
func (d *doubts) take() []cluster.Update {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := min(len(d.updates), call.UpdatesMax)
	batch := d.updates[:k:k]
	d.updates = d.updates[k:]
	d.running = k > 0
	return batch
}

// giveBack takes a batch back that the store has not answered.
func (d *doubts) giveBack(batch []cluster.Update) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.updates = slices.Concat(batch, d.updates)
}

// rest waits, unless ctx ends before.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
