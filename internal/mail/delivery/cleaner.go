package delivery

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"porcupine/internal/cluster"
)

// Limits of the cleaner.
const (
	leftoversMax  = 4096             // removals that wait; more are dropped and logged
	leftoverTries = 100              // until one is given up
	retryPeriod   = 5 * time.Second  // after a try that failed
	recheckAfter  = 30 * time.Second // after one that succeeded: the failed call may still be on its way
	cleanTimeout  = 10 * time.Second // of one call
	cleanBatchMax = 200              // removals of one call
)

// leftover is a copy that may lie where it should not: the call that would have stored it failed,
// and the message was stored elsewhere or refused.
type leftover struct {
	id      cluster.ObjectID
	on      cluster.NodeID
	due     time.Time // when to try next
	tries   int       // that failed
	removed bool      // once; a second time is for the call that came late
}

// cleaner removes leftovers when their nodes can be reached again. It forgets them when the
// process ends: what then stays has the id of the message it is a copy of, so that readers show
// it once. If the message was refused and the sender sends it again, it may be there twice, as
// with any lost answer (Porcupine §3.6, accepted anomalies).
type cleaner struct {
	cluster substrate
	logger  *slog.Logger
	wake    chan struct{} // one element: there are new leftovers

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
	for _, node := range on {
		c.keep(leftover{id: id, on: node})
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run removes leftovers when they come, when they are due and when the view changes, until ctx ends.
func (c *cleaner) run(ctx context.Context) {
	ticker := time.NewTicker(retryPeriod)
	defer ticker.Stop()
	for {
		changed := c.cluster.Changed()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-c.wake:
		case <-changed: // a node that was away may be back, with its copy
			c.hurry(time.Now())
		}
		for _, l := range c.try(ctx, c.takeDue(time.Now())) {
			c.keep(l)
		}
	}
}

// hurry makes due what waits for another try.
func (c *cleaner) hurry(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.left {
		if l := &c.left[i]; !l.removed && l.due.After(now) {
			l.due = now
		}
	}
}

// takeDue takes the leftovers that are due off the list.
func (c *cleaner) takeDue(now time.Time) (due []leftover) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = slices.DeleteFunc(c.left, func(l leftover) bool {
		if now.Before(l.due) {
			return false
		}
		due = append(due, l)
		return true
	})
	return due
}

// try removes what it can and gives what has to be tried again.
func (c *cleaner) try(ctx context.Context, work []leftover) (rest []leftover) {
	for batch := range slices.Chunk(work, cleanBatchMax) {
		updates := make([]cluster.Update, len(batch))
		for i, l := range batch {
			updates[i] = removal(l.id, cluster.NewReplicaSet(l.on))
		}
		callCtx, cancel := context.WithTimeout(ctx, cleanTimeout)
		errs := c.cluster.UpdateAll(callCtx, updates)
		cancel()
		for i, err := range errs {
			if l := batch[i]; l.next(err, time.Now()) {
				rest = append(rest, l)
			} else if err != nil && !l.removed {
				c.logger.Warn("leftover of a failed delivery stays: a message may be seen twice",
					"owner", l.id.Owner, "id", l.id.ID, "node", l.on, "err", err)
			}
		}
	}
	return rest
}

// next takes in the outcome of a try and reports whether there is to be another.
func (l *leftover) next(err error, now time.Time) bool {
	if err == nil || cluster.IsKind(err, cluster.KindNotFound) {
		again := !l.removed
		l.removed, l.due = true, now.Add(recheckAfter)
		return again
	}
	l.tries++
	l.due = now.Add(retryPeriod)
	return l.tries < leftoverTries
}

// keep puts a leftover on the list, or says that it cannot.
func (c *cleaner) keep(l leftover) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.left) == leftoversMax {
		c.logger.Warn("too many leftovers of failed deliveries: a message may be seen twice", "owner", l.id.Owner, "id", l.id.ID, "node", l.on)
		return
	}
	c.left = append(c.left, l)
}

func (c *cleaner) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left)
}
