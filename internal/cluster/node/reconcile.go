package node

import (
	"bytes"
	"context"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/softstate"
)

// reconcilePeriod is how often the soft state is asked for holders that differ.
const reconcilePeriod = 5 * time.Second

// reconcile sends the newest version of a cached object to all who hold one of it, where they hold
// different ones for a while: they were written by initiators of which neither knew of the other's targets,
// so no record tells the one of the other (R1).
func (l *loop) reconcile(now time.Time) {
	if now.Sub(l.reconciled) < reconcilePeriod {
		return
	}
	l.reconciled = now
	l.n.soft.mu.Lock()
	divergences := l.n.soft.manager.Divergences(now)
	l.n.soft.mu.Unlock()
	for _, d := range divergences {
		l.n.async(func(ctx context.Context) { l.n.resend(ctx, d) })
	}
}

// resend updates an object to the version that is the newest already. What it does not reach is
// told again: by the logs of those that it reached, or by the soft state.
func (n *Node) resend(ctx context.Context, d softstate.Divergence) {
	if !enter(ctx, n.catchUp.calls) {
		return
	}
	defer func() { <-n.catchUp.calls }()
	e, _, err := n.lookupHere(d.ID.Owner)
	if err != nil {
		return // another node manages the owner now, and sees what this one saw
	}
	i := slices.IndexFunc(e.Cached, func(c cluster.CachedObject) bool {
		return c.Object.ID == d.ID && c.Object.Timestamp == d.Newest
	})
	if i < 0 {
		return // a newer one came
	}
	n.stats.reconciled.Add(1)
	u := cluster.Update{Object: e.Cached[i].Object, Previous: d.Holders.Union(d.Stale)}
	var body cluster.Body
	if !u.Object.Deleted {
		body = bytes.NewReader(e.Cached[i].Contents)
	}
	log := n.log.With("type", d.ID.Type, "owner", d.ID.Owner, "holders", d.Holders, "stale", d.Stale)
	if err := n.Update(ctx, u, body); err != nil {
		log.Warn("nodes hold different versions; the newest was not sent to all yet", "err", err)
		return
	}
	log.Info("nodes held different versions; the newest was sent to all")
}
