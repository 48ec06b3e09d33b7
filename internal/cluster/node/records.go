package node

import (
	"context"
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/wire/call"
)

// Limits of the way of records to the loop.
const (
	FactsMax    = 4096                   // waiting for the loop; commits wait for room
	factsAtOnce = 256                    // taken in before the loop looks at the clock again
	owedPeriod  = 500 * time.Millisecond // how often Owed is counted anew
	dropRetry   = time.Second            // before a disk that is busy is told of retirements again
	// OverdueAfter is how long a view must have stood before it strikes a node that too many update
	// records wait for.
	OverdueAfter = time.Minute
)

// fact is news for the log: a record that is durable here, or retirements. They come one by one with
// every commit, so they have a queue of their own, and take no closure each.
type fact struct {
	added   *cluster.Record    // nil: retired
	told    cluster.ReplicaSet // targets that the sender of added's update tells
	holding *cluster.Holding   // the manager must hear of it BEFORE others remove their copies because of added
	retired []cluster.Retirement
}

// learn hands a fact to the loop. It waits for room, whatever becomes of the caller: a record on disk
// of which the log does not know would propagate only after the next start.
func (n *Node) learn(f fact) {
	select {
	case n.facts <- f:
	case <-n.stopped:
	}
}

// recorded takes the record that the commit of an update left. It may have targets that the update's
// sender did not know; if the update came too late, its sender tells nobody of the newer one.
func (n *Node) recorded(r *store.Result, u *cluster.Update) {
	if r.Verdict == replication.Older {
		n.stats.superseded.Add(1)
	}
	if r.Record == nil {
		return
	}
	f := fact{added: r.Record}
	if r.Verdict != replication.Older {
		f.told = u.Targets()
	}
	if r.Announce && replication.Moves(n.cfg.Self.ID, &cluster.Update{Object: cluster.Object{Replicas: r.Record.Replicas}, Previous: r.Record.Targets}) {
		h, err := n.cfg.Store.Holding(u.Object.ID.Owner)
		if err != nil {
			n.log.Error("a holding cannot be read: its manager is told late where objects lie", "owner", u.Object.ID.Owner, "err", err)
		} else {
			f.holding = &h
		}
	}
	n.learn(f)
}

// loadRecords takes in the records of earlier lives, BEFORE the node serves.
func (l *loop) loadRecords() error {
	count := 0
	err := l.n.cfg.Store.Records(func(r cluster.Record) error {
		l.log.Load(r, l.now())
		count++
		return nil
	})
	switch {
	case cluster.IsKind(err, cluster.KindCorrupt): // the other targets have it too, and comparing finds what they have not
		l.n.log.Error("not all update records can be read; run the store's verify command", "read", count, "err", err)
	case err != nil:
		return fmt.Errorf("read the update records: %w", err)
	}
	if count > 0 {
		l.n.log.Info("update records found", "records", l.log.Len(), "kept deletions", count-l.log.Len())
	}
	l.n.stats.records.Store(int64(l.log.Len()))
	return nil
}

// learn takes in facts: this one, and those that wait.
func (l *loop) learn(f fact) {
	now := l.now()
	for taken := 1; ; taken++ {
		if f.holding != nil {
			l.carry(l.reporter.Register(*f.holding, now))
		}
		if f.added != nil {
			l.follow(l.log.AddedFor(*f.added, f.told, now))
		} else {
			l.follow(l.log.Retired(f.retired, now))
		}
		if taken == factsAtOnce {
			return
		}
		select {
		case f = <-l.n.facts:
		default:
			return
		}
	}
}

// follow carries out what the log wants.
func (l *loop) follow(o replication.Output) {
	n := l.n
	n.stats.records.Store(int64(l.log.Len()))
	for _, offer := range o.Offers {
		n.async(func(ctx context.Context) {
			answers, err := n.offer(ctx, offer)
			n.answer(func(l *loop) {
				l.follow(l.log.Answered(offer.Number, answers, err, l.now()))
			})
		})
	}
	for _, r := range o.Retires {
		if r.To == n.cfg.Self.ID {
			n.async(func(ctx context.Context) { n.dropRecords(ctx, r.Items) })
			continue
		}
		for _, item := range r.Items {
			n.retirer.add([]cluster.NodeID{r.To}, item, l.now())
		}
	}
}

// dropRecords takes retired records from this node's disk. It goes on while the disk has no time: the log
// has forgotten them, and what stays on disk would be taken for an update that propagates. What is left
// when the node ends is there at the next start, and is offered once more.
func (n *Node) dropRecords(ctx context.Context, items []cluster.Retirement) {
	for len(items) > 0 && ctx.Err() == nil {
		k := min(len(items), call.RetirementsMax)
		err := n.cfg.Store.Retire(ctx, items[:k])
		if cluster.IsKind(err, cluster.KindLimit) || cluster.IsKind(err, cluster.KindUnavailable) {
			rest(ctx, dropRetry)
			continue
		}
		if err != nil { // of some of them; the store has gone on with the others
			n.log.Warn("update records not dropped; they will be after the next start", "records", k, "err", err)
		}
		items = items[k:]
	}
}

// tickRecords does what is due in the log.
func (l *loop) tickRecords(now time.Time) {
	l.retire(now)
	l.reconcile(now)
	if d := l.log.Deadline(); !d.IsZero() && !now.Before(d) {
		l.follow(l.log.Tick(now))
	}
	if now.Sub(l.owedAt) >= owedPeriod {
		l.owedAt = now
		owed := l.log.Owed()
		l.n.stats.owed.Store(&owed)
		l.absent()
		l.strikeOverdue()
	}
}

// strikeOverdue writes off the node that too many records wait for (R8): what it missed it can no
// longer be told one by one. Not while views change: after a partition a part of the nodes is
// back before the rest, and the rest is owed everything for that moment.
func (l *loop) strikeOverdue() {
	id, ok := l.log.Overdue()
	if !ok || !l.members.Majority() || l.now().Sub(l.viewAt) < OverdueAfter {
		return
	}
	o, err := l.members.Forget(l.now(), id)
	if err != nil {
		l.n.log.Warn("a node that too many update records wait for cannot be struck", "peer", id, "err", err)
		return
	}
	l.n.log.Error("node struck: too many update records wait for it", "peer", id, "records", l.log.Len())
	l.obey(o)
	l.known()
}
