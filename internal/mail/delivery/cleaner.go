package delivery

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// Limits of the cleaner.
const (
	leftoversMax  = 4096             // removals that wait; more are dropped and logged
	leftoverTries = 10               // until one is given up
	cleanPeriod   = 5 * time.Second  // between two tries of all
	cleanTimeout  = 10 * time.Second // of one call
	cleanBatchMax = 200              // removals of one call
)

// leftover is a copy that may lie where it should not: the call that would have stored it failed,
// and the message was stored elsewhere or refused.
type leftover struct {
	id    cluster.ObjectID
	on    cluster.NodeID
	tries int
}

// cleaner removes leftovers when their nodes can be reached again. It forgets them when the
// process ends: what then stays has the id of the message it is a copy of, so that readers show
// it once. If the message was refused and the sender sends it again, it may be there twice, as
// with any lost answer (Porcupine §3.6, accepted anomalies).
type cleaner struct {
	cluster substrate
	logger  *slog.Logger
	wake    chan struct{}

	mu   sync.Mutex
	left []leftover
}

func newCleaner(node substrate, logger *slog.Logger) *cleaner {
	return &cleaner{cluster: node, logger: logger, wake: make(chan struct{}, 1)}
}

// add notes leftovers of an object, one for each node.
func (c *cleaner) add(id cluster.ObjectID, on cluster.ReplicaSet) {
	if len(on) == 0 {
		return
	}
	c.mu.Lock()
	for _, node := range on {
		if len(c.left) == leftoversMax {
			c.logger.Warn("too many leftovers of failed deliveries: a message may be seen twice", "owner", id.Owner, "id", id.ID, "node", node)
			break
		}
		c.left = append(c.left, leftover{id: id, on: node})
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run tries all leftovers when new ones come and each cleanPeriod, until ctx ends.
func (c *cleaner) run(ctx context.Context) {
	ticker := time.NewTicker(cleanPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-c.wake:
		}
		c.mu.Lock()
		work := c.left
		c.left = nil
		c.mu.Unlock()
		c.keep(c.try(ctx, work))
	}
}

// try removes what it can and gives what is left.
func (c *cleaner) try(ctx context.Context, work []leftover) (rest []leftover) {
	for len(work) > 0 {
		batch := work[:min(len(work), cleanBatchMax)]
		work = work[len(batch):]
		updates := make([]cluster.Update, len(batch))
		for i, l := range batch {
			updates[i] = removal(l.id, cluster.NewReplicaSet(l.on))
		}
		callCtx, cancel := context.WithTimeout(ctx, cleanTimeout)
		errs := c.cluster.UpdateAll(callCtx, updates)
		cancel()
		for i, err := range errs {
			if err == nil || cluster.IsKind(err, cluster.KindNotFound) {
				continue
			}
			l := batch[i]
			if l.tries++; l.tries == leftoverTries {
				c.logger.Warn("leftover of a failed delivery stays: a message may be seen twice",
					"owner", l.id.Owner, "id", l.id.ID, "node", l.on, "err", err)
				continue
			}
			rest = append(rest, l)
		}
	}
	return rest
}

func (c *cleaner) keep(rest []leftover) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = append(rest, c.left...)
	if len(c.left) > leftoversMax {
		c.left = c.left[:leftoversMax]
	}
}
